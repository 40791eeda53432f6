package idempotency

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// releaseTimeout bounds the wait for the return of a lease; one that could not be given back in it is so later, or passes
// by itself.
const releaseTimeout = finishTimeout

// Lease takes the claim on a name: the writer of an order ("order:57"), a periodic task, the reader of a dead-letter
// queue. No two holders on any replica have one at a time. Held by another, or with Postgres away, it fails with an
// *event.Deferral.
//
// The context it gives ends before the lease does, and carries an event.Clock that renews it as in [Ledger.Do]. release
// gives the lease back at once, whatever has become of ctx; it must be called, and more than once does no harm.
func (l *Ledger) Lease(ctx context.Context, name string) (held context.Context, release func(), err error) {
	a, err := l.newLease(name)
	if err != nil {
		return nil, nil, err
	}
	if err := a.taken(l.submit(ctx, a.claim)); err != nil {
		return nil, nil, err
	}
	h := a.hold(ctx)
	var once sync.Once
	release = func() {
		once.Do(func() {
			_ = h.end()
			a.giveBack(ctx)
		})
	}
	return h.ctx, release, nil
}

// lease is one that is to be taken, or is held.
type lease struct {
	l     *Ledger
	what  string // for messages
	claim *op    // its token names the holder
	got   outcome
}

func (l *Ledger) newLease(name string) (*lease, error) {
	key, err := Key{Consumer: "lease", Key: name, Effect: "hold"}.canonical()
	if err != nil {
		return nil, err
	}
	return &lease{l: l, what: fmt.Sprintf("lease %q", name), claim: leaseOp(key.Key, l.token(), 1)}, nil
}

// taken notes what became of the claim. An error says that another has the lease, or Postgres is away.
func (a *lease) taken(got outcome) error {
	a.got = got
	switch {
	case got.err != nil:
		return fmt.Errorf("take %s: %w", a.what, got.err)
	case got.owner != a.claim.owner:
		return &event.Deferral{Reason: fmt.Sprintf("%s is held by %s", a.what, processOf(got.owner)), Busy: true}
	}
	return nil
}

func (a *lease) hold(ctx context.Context) *hold {
	return a.l.hold(ctx, a.what, a.got.started, a.change)
}

// change is the op of who holds the lease.
func (a *lease) change() *op { return leaseOp(a.claim.name, a.claim.owner, a.got.number+1) }

// around runs an effect under the lease.
func (a *lease) around(ctx context.Context, c *Claim, run func(context.Context, *Claim) (Result, error)) (Result, error) {
	h := a.hold(ctx)
	defer func() { _ = h.end() }()
	return run(h.ctx, c)
}

// giveBack gives the lease back, whatever has become of ctx.
func (a *lease) giveBack(ctx context.Context) {
	o := a.free()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	a.freed(o, a.l.submit(ctx, o))
}

// free is the op that gives the lease back.
func (a *lease) free() *op {
	o := a.change()
	o.free = true
	return o
}

// freed notes what became of that op.
func (a *lease) freed(o *op, got outcome) {
	if got.err == nil {
		return
	}
	a.l.recordLate(o)
	a.l.log.Warn().Str("event", "lease_not_released").Err(got.err).Str("lease", o.name).Time("until", time.Now().Add(a.l.lease)).
		Msg("could not give a lease back yet; it passes by itself")
}
