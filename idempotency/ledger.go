// Package idempotency is the ledger: it remembers in Postgres which effect was done for which business key, so that
// each is done once however often its event is delivered, on however many replicas, and whatever is killed in between.
//
// An effect is claimed before it runs and finished after it. A claim has an owner, a number that grows with each claim,
// and a lease; once the lease has passed another owner may take the effect over, and the old one can't finish it any
// more. What no store can know, whether a request whose answer was never recorded took effect, is the state Uncertain:
// the next owner is told to look in the downstream before it repeats anything.
package idempotency

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
)

// DB is what a Ledger needs of a pool of connections; *pgxpool.Pool is one. Each call is a transaction of its own, and
// nothing is kept on a connection between two: it may be another one.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	// Reset closes all connections: the address may lead elsewhere by now.
	Reset()
}

// Options are what a Ledger needs.
type Options struct {
	Pool    DB
	Process string        // names this process to the others, such as host and process id; at most 200 bytes
	Lease   time.Duration // after which another replica may take a claim over whose owner is gone; 0 means 90 s
	Log     zerolog.Logger
	// Gone is after which time without a sign of life another process counts as dead; 0 means 30 s. All processes on one
	// database must have the same.
	Gone time.Duration
	// Projections are the tables that effects change beside their own rows.
	Projections []Projection
	// Registerer takes the metrics of the flushes; nil for none.
	Registerer prometheus.Registerer
}

// Ledger is safe for use by many goroutines. Its claims and finishes of one moment share one transaction.
type Ledger struct {
	pool        DB
	process     *pg.Process
	heartbeat   pg.Heartbeat
	group       *pg.Group[change]
	leases      pg.Leases
	projections []Projection // by their names
	lease       time.Duration
	gone        time.Duration
	log         zerolog.Logger
	metrics     metrics
	effects     running[Key]    // that run in this process
	held        running[string] // leases that effects of this process have
	late        sync.WaitGroup  // ends that are recorded when Postgres is back
	closing     context.Context
	close       context.CancelFunc
}

const (
	// flushTimeout is for one transaction; a Postgres that takes longer counts as away.
	flushTimeout = 4 * time.Second
	// finishTimeout is for recording how an effect ended, tries against a Postgres that is away included. With the flush
	// that may have begun by then it is below the 10 s in which a cancelled handler must return.
	finishTimeout = 5 * time.Second
	// finishPause lies between those tries.
	finishPause = finishTimeout / 25
)

// Open starts the ledger. It runs until Close and not until ctx ends, because a drain that cancels the effects still has to
// record how they ended.
func Open(ctx context.Context, o Options) *Ledger {
	if o.Lease == 0 {
		o.Lease = 90 * time.Second
	}
	if o.Gone == 0 {
		o.Gone = pg.Gone
	}
	l := &Ledger{
		pool: o.Pool, process: pg.NewProcess(text(o.Process, 200)), lease: o.Lease, gone: o.Gone, log: o.Log,
		metrics: newMetrics(o.Registerer), effects: newRunning[Key](), held: newRunning[string](),
		projections: slices.SortedFunc(slices.Values(o.Projections), func(a, b Projection) int { return strings.Compare(a.Name(), b.Name()) }),
	}
	l.heartbeat = pg.Heartbeat{DB: o.Pool, Process: l.process, Timeout: flushTimeout}
	l.leases = pg.Leases{Process: l.process, TTL: o.Lease, Write: l.writeLease, Unreleased: l.unreleased}
	ctx = context.WithoutCancel(ctx)
	l.closing, l.close = context.WithCancel(ctx)
	l.group = pg.NewGroup(ctx, pg.GroupOptions[change]{
		Name: ledgerName, Commit: l.commit, Compare: compare, Rows: rowsOf, Timeout: flushTimeout, Reset: o.Pool.Reset,
		Committed: l.metrics.committed, Repeated: l.metrics.conflicts.Inc,
	})
	return l
}

// ledgerName is what errors of Postgres say that they are about.
const ledgerName = "the ledger"

// failure turns an error of Postgres into what a handler returns.
func failure(err error) error { return pg.Failure(ledgerName, err) }

// Close writes what is queued and waits until it is written. Close the ledger after the last effect has returned: what comes
// later fails. The pool stays open.
func (l *Ledger) Close() {
	l.close()
	l.late.Wait()
	l.group.Close()
}

// Do runs an effect once on any replica: the first caller runs it, later ones get its stored result, with duplicate true.
//
// Whoever takes the effect over from an owner whose lease has passed says so by event.TakeOver, and goes on if it may.
//
// While the effect is in progress in another process, Do returns an *event.Deferral; so it does with Postgres away. While it
// is in progress in this one, Do waits for it (event.WaitWithoutSlot) and shares its end: done makes this one a duplicate, and
// an error that says that something is away is returned here too. After any other error Do runs the effect itself, since the
// error may be about what the other caller asked for, such as another order of one number. If it may not wait, because its context has a lease already or is to end, it returns an
// *event.Deferral. A key that can't be stored is event.Invalid.
//
// The context of run ends before the lease does. It carries an event.Clock that renews the lease with each
// event.Progress and at the end of each event.Wait; no timer renews it. Where a renewal finds that another owner has
// taken over, it fails and ends the context.
//
// How run returns decides what is recorded:
//   - no error: the Result. Only Done ends the story; Waiting and Skipped may be claimed again.
//   - an error marked by event.NotDone: Failed, which may be repeated without a look-up. But an uncertainty from before this
//     claim stays as old as it was, unless run has called [Claim.Looked].
//   - any other error, and a panic, which passes through: Uncertain, from now.
//
// The Changes of the Result are written in each case.
//
// The end is recorded even when ctx is cancelled. Where it can't be, Do returns an *event.Deferral; the end is then
// recorded as soon as Postgres is back, and where it is not back before, the effect is uncertain once its lease has passed.
func (l *Ledger) Do(ctx context.Context, e Effect, run func(ctx context.Context, c *Claim) (Result, error),
) (res Result, duplicate bool, err error) {
	key, err := e.Key.Stored()
	if err != nil {
		return Result{}, false, err
	}
	for {
		one, own := l.effects.begin(key)
		if own {
			return l.doOwn(ctx, key, e, one, run)
		}
		if err := l.waitFor(ctx, key.String()+" is in progress", one); err != nil {
			return Result{}, false, err
		}
		switch {
		case one.cut: // it says nothing of the effect
		case one.err != nil && isShared(one.err):
			return Result{}, false, one.err
		case one.err == nil && one.res.State == Done:
			return one.res, true, nil
		}
	}
}

// doOwn does the effect that this process is at with own, and ends own.
func (l *Ledger) doOwn(ctx context.Context, key Key, e Effect, own *run, run func(context.Context, *Claim) (Result, error),
) (res Result, duplicate bool, err error) {
	own.err = event.Errorf(event.Internal, "%s: the effect panicked", key)
	defer l.effects.end(key, own)
	if e.Lease != "" {
		for {
			one, held := l.held.begin(e.Lease)
			if held {
				own.release = func() { l.held.end(e.Lease, one) }
				defer func() {
					if own.release != nil { // the lease was not taken in Postgres, or nobody frees it there
						own.release()
					}
				}()
				break
			}
			if err := l.waitFor(ctx, fmt.Sprintf("lease %q is held", e.Lease), one); err != nil {
				own.err = err
				return Result{}, false, err
			}
		}
	}
	res, duplicate, err = l.do(ctx, key, e, own, run)
	own.err = err
	own.cut = err != nil && ctx.Err() != nil && event.ClassOf(err) != event.Timeout
	return res, duplicate, err
}

// do claims the effect, runs it, and records its end. In own it leaves what a later delivery would find.
//
//nolint:funlen // the steps of one claim, in their order
func (l *Ledger) do(ctx context.Context, key Key, e Effect, own *run, run func(context.Context, *Claim) (Result, error),
) (res Result, duplicate bool, err error) {
	var held *pg.Lease
	if e.Lease != "" {
		if held, err = l.newLease(e.Lease); err != nil {
			return Result{}, false, err
		}
	}
	data, err := storable(e.Data)
	if err != nil {
		return Result{}, false, err
	}
	token := l.process.Token()
	claim := change{key: key, owner: token, number: 1, state: InProgress, data: data}
	if e.Repeat {
		claim.sent = sentNow
	}
	got, refused := l.claim(ctx, claim, held)
	if refused != nil {
		held = nil
	}
	if got.err != nil || got.owner != token {
		if held != nil {
			release := own.handOver()
			l.late.Go(func() {
				held.Release(ctx)
				release()
			})
		}
		switch {
		case got.err != nil:
			return Result{}, false, fmt.Errorf("claim %s: %w", key, got.err)
		case got.state == Done:
			own.res = Result{State: Done, Value: got.result, Reason: got.reason, Data: got.data}
			return own.res, true, nil
		default:
			return Result{}, false, &event.Deferral{
				Reason: fmt.Sprintf("%s is in progress at %s", key, pg.NameOf(got.owner)), Busy: true,
			}
		}
	}

	c := &Claim{
		Key: key, Number: got.number, Accepted: got.accepted,
		Uncertain: !got.sentAt.IsZero(), UncertainFor: got.sentFor, token: token, sentAt: got.sentAt, data: data,
	}
	h := pg.NewHold(ctx, pg.Claim{
		What: key.String(), Owner: token, Started: got.started, Lease: l.lease,
		Renew: func(ctx context.Context) (time.Time, string, error) {
			now := l.submit(ctx, c.renewal())
			return now.started, now.owner, now.err
		},
	})
	returned := false
	defer func() {
		if !returned { // a panic, or the end of the goroutine
			_ = h.End()
			if ferr := l.finish(ctx, c, Result{}, event.Errorf(event.Internal, "the effect panicked"), held, own); ferr != nil {
				l.log.Error().Str("event", "ledger_panic_not_recorded").Err(ferr).Str("key", key.String()).
					Msg("could not record that an effect panicked")
			}
		}
	}()
	if err = cmp.Or(refused, ctx.Err()); err == nil && got.takenOver {
		err = event.TakeOver(ctx)
	}
	switch {
	case err != nil:
		err = event.NotDone(err)
	case held != nil:
		res, err = under(h.Context(), held, c, run)
	default:
		res, err = run(h.Context(), c)
	}
	returned = true
	cause := h.End()
	if err != nil && cause != nil && ctx.Err() == nil {
		// The effect saw only a cancelled context: say why. Whether it is NotDone stays visible.
		err = &causedError{cause: cause, err: err}
	}
	switch {
	case err == nil && res.State == "":
		res.State = Done
	case err == nil && res.State != Done && res.State != Waiting && res.State != Skipped:
		err = event.Errorf(event.Internal, "%s ended in state %q, which no effect can end in", key, res.State)
	}
	changes, cerr := l.known(key, res.Changes)
	if res.Changes = changes; cerr != nil {
		err = errors.Join(err, cerr)
	}
	if data, derr := storable(res.Data); derr != nil {
		res.Data = nil
		err = errors.Join(err, derr)
	} else if data != "" {
		c.data = data
	}
	if ferr := l.finish(ctx, c, res, err, held, own); ferr != nil {
		var d *event.Deferral
		if errors.As(ferr, &d) {
			return Result{}, false, &event.Deferral{
				Reason: d.Reason, Downstream: d.Downstream, Wait: d.Wait, Pick: d.Pick, Err: errors.Join(d.Err, err),
			}
		}
		return Result{}, false, errors.Join(ferr, err)
	}
	if err != nil {
		return Result{}, false, event.WithEffect(err, key.Effect)
	}
	own.res = Result{State: res.State, Value: res.Value, Reason: res.Reason}
	if c.data != "" {
		own.res.Data = json.RawMessage(c.data)
	}
	return res, false, nil
}

// under runs an effect under a lease.
func under(ctx context.Context, held *pg.Lease, c *Claim, run func(context.Context, *Claim) (Result, error)) (Result, error) {
	h := held.Hold(ctx)
	defer func() { _ = h.End() }()
	return run(h.Context(), c)
}

// claim has an effect claimed, and a lease with it if there is one; refused says why that was not taken.
func (l *Ledger) claim(ctx context.Context, c change, held *pg.Lease) (got outcome, refused error) {
	if held == nil {
		return l.submit(ctx, c), nil
	}
	take := held.Change()
	with := pg.NewRequest(change{lease: &take})
	r := pg.NewRequest(c)
	got = outcomeOf(r, l.group.Do(ctx, r, with))
	err := l.group.Wait(ctx, with)
	return got, held.Taken(take, with.Value.got.started, err)
}

// finish records how the claimed effect ended, and releases its lease if it had one. It goes on trying for finishTimeout,
// whatever becomes of ctx.
func (l *Ledger) finish(ctx context.Context, c *Claim, res Result, err error, held *pg.Lease, own *run) error {
	ctx = context.WithoutCancel(ctx)
	until := time.Now().Add(finishTimeout) // not in ctx, which would cost each finish a timer
	end := c.end(res, err)
	var with []*pg.Request[change]
	if held != nil {
		lease := held.Free()
		free := pg.NewRequest(change{lease: &lease})
		with = append(with, free)
		release := own.handOver()
		l.late.Go(func() { // nobody need wait for it
			if err := l.group.Wait(ctx, free); err != nil {
				l.unreleased(lease, err)
			}
			release() // only now others of this process find it free
		})
	}
	for {
		r := pg.NewRequest(end)
		r.Until = until
		got := outcomeOf(r, l.group.Do(ctx, r, with...))
		with = nil
		switch {
		case got.err == nil && got.owner == c.token:
			return nil
		case got.err == nil:
			return pg.TakenOver(c.Key.String(), got.owner)
		}
		var d *event.Deferral
		away := errors.As(got.err, &d)
		if away && time.Until(until) > finishPause {
			time.Sleep(finishPause)
			continue
		}
		if away {
			l.recordLate(end)
		}
		return fmt.Errorf("record the end of %s: %w", c.Key, got.err)
	}
}

// recordLate goes on trying to write an end that Postgres was away for, until its lease has passed or the ledger is
// closed. Else what was in flight would wait for its lease, though its owner lives and knows how it ended. Who has taken
// the row over keeps it: it has another token.
func (l *Ledger) recordLate(end change) {
	l.late.Go(func() {
		ctx, cancel := context.WithTimeout(l.closing, l.lease)
		defer cancel()
		for away := true; away; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(finishTimeout / 10):
			}
			var d *event.Deferral
			away = errors.As(l.submit(ctx, end).err, &d)
		}
	})
}

// Lease takes the claim on a name: the writer of an order ("order:57"), a periodic task, the reader of a dead-letter
// queue. No two holders on any replica have one at a time. Held by another, or with Postgres away, it fails with an
// *event.Deferral.
//
// The context that it returns ends before the lease does, and carries an event.Clock that renews it as in [Ledger.Do].
// release releases the lease at once, whatever has become of ctx; it must be called, and more than once does no harm.
func (l *Ledger) Lease(ctx context.Context, name string) (held context.Context, release func(), err error) {
	name, err = leaseName(name)
	if err != nil {
		return nil, nil, err
	}
	return l.leases.Take(ctx, name)
}

func (l *Ledger) newLease(name string) (*pg.Lease, error) {
	name, err := leaseName(name)
	if err != nil {
		return nil, err
	}
	return l.leases.New(name), nil
}

// leaseName returns the name as it is stored.
func leaseName(name string) (string, error) {
	key, err := Key{Consumer: "lease", Key: name, Effect: "hold"}.Stored()
	return key.Key, err
}

// writeLease has a change of a lease written with what else is asked in the same moment.
func (l *Ledger) writeLease(ctx context.Context, c pg.LeaseChange) (made pg.LeaseChange, started time.Time, err error) {
	r := pg.NewRequest(change{lease: &c})
	err = l.group.Do(ctx, r)
	return c, r.Value.got.started, err
}

func (l *Ledger) unreleased(c pg.LeaseChange, err error) {
	l.recordLate(change{lease: &c})
	l.log.Warn().Str("event", "lease_not_released").Err(err).Str("lease", c.Name).Time("until", time.Now().Add(l.lease)).
		Msg("could not release a lease yet; it passes by itself")
}

// causedError adds to what a cut effect returned why it was cut.
type causedError struct{ cause, err error }

func (e *causedError) Error() string   { return e.cause.Error() + ": " + e.err.Error() }
func (e *causedError) Unwrap() []error { return []error{e.cause, e.err} }
