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
	key, err := Key{Consumer: "lease", Key: name, Effect: "hold"}.canonical()
	if err != nil {
		return nil, nil, err
	}
	what := fmt.Sprintf("lease %q", name)
	name = key.Key
	token := l.token()
	got := l.submit(ctx, leaseOp(name, token, 1))
	switch {
	case got.err != nil:
		return nil, nil, fmt.Errorf("take %s: %w", what, got.err)
	case got.owner != token:
		return nil, nil, &event.Deferral{Reason: fmt.Sprintf("%s is held by %s", what, processOf(got.owner))}
	}
	h := l.hold(ctx, what, got.started, func() *op { return leaseOp(name, token, got.number+1) })
	var once sync.Once
	release = func() {
		once.Do(func() {
			_ = h.end()
			o := leaseOp(name, token, got.number+1)
			o.free = true
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
			defer cancel()
			if err := l.submit(ctx, o).err; err != nil {
				l.recordLate(o)
				l.log.Warn().Err(err).Str("lease", name).Time("until", time.Now().Add(l.lease)).
					Msg("could not give a lease back yet; it passes by itself")
			}
		})
	}
	return h.ctx, release, nil
}
