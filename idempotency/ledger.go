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
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
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
	// Registerer takes the metrics of the flushes; nil for none.
	Registerer prometheus.Registerer
}

// Ledger is safe for use by many goroutines. Its claims and finishes of one moment share one transaction.
type Ledger struct {
	pool    DB
	process string
	id      string        // of this start of the process
	tokens  atomic.Uint64 // given
	lease   time.Duration
	gone    time.Duration
	log     zerolog.Logger
	metrics metrics
	queue   queue
	writers sync.WaitGroup
	late    sync.WaitGroup // ends that Postgres was away for
	living  sync.Mutex     // held for each sign of life
	left    bool           // with living: no more of them
	closing context.Context
	close   context.CancelFunc
}

const (
	// writers flush side by side: one prepares while the other waits for the disk.
	writers = 2
	// flushTimeout is for one transaction; a Postgres that takes longer counts as away.
	flushTimeout = 4 * time.Second
	// finishTimeout is for recording how an effect ended, tries against a Postgres that is away included. With the flush
	// that may have begun by then it is below the 10 s that the delivery path gives a cancelled handler to return.
	finishTimeout = 5 * time.Second
	// finishPause lies between those tries.
	finishPause = finishTimeout / 25
)

// Open starts the ledger's writers. They run until Close and not until ctx ends, because a drain that cancels the
// effects still has to record how they ended.
func Open(ctx context.Context, o Options) *Ledger {
	if o.Lease == 0 {
		o.Lease = 90 * time.Second
	}
	if o.Gone == 0 {
		o.Gone = processGone
	}
	process := text(o.Process, 200)
	l := &Ledger{
		pool: o.Pool, process: process, id: newProcessID(process), lease: o.Lease, gone: o.Gone, log: o.Log,
		metrics: newMetrics(o.Registerer), queue: newQueue(),
	}
	ctx = context.WithoutCancel(ctx)
	l.closing, l.close = context.WithCancel(ctx)
	for range writers {
		l.writers.Go(func() { l.write(ctx) })
	}
	return l
}

// Close writes what is queued and waits for the writers. Close it after the last effect has returned: what comes later
// fails. The pool stays open.
func (l *Ledger) Close() {
	l.close()
	l.late.Wait()
	l.queue.close()
	l.writers.Wait()
}

// margin is how long before its lease an effect ends, so that nothing it started outlasts the lease.
func (l *Ledger) margin() time.Duration { return min(2*time.Second, l.lease/10) }

// token makes the owner of one claim. It is unique to the claim, so that a flush whose commit is unknown can be repeated
// and recognises what it wrote.
func (l *Ledger) token() string { return l.id + "." + strconv.FormatUint(l.tokens.Add(1), 36) }

// processOf gives the part of an owner that people know.
func processOf(owner string) string {
	if i := strings.LastIndexByte(owner, '/'); i >= 0 {
		return owner[:i]
	}
	return owner
}

// Do runs an effect once on any replica: the first caller runs it, later ones get its stored result, with duplicate true.
//
// Whoever takes the effect over from an owner whose lease has passed says so by event.TakeOver, and goes on if it may.
//
// While the effect is in progress elsewhere, also in this process, Do returns an *event.Deferral; so it does with
// Postgres away. A key that can't be stored is event.Invalid.
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
// What the Result tells of an order is kept in each case.
//
// The end is recorded even when ctx is cancelled. Where it can't be, Do returns an *event.Deferral; the end is then
// recorded as soon as Postgres is back, and where it is not back before, the effect is uncertain once its lease has passed.
func (l *Ledger) Do(ctx context.Context, e Effect, run func(ctx context.Context, c *Claim) (Result, error),
) (res Result, duplicate bool, err error) {
	key, err := e.Key.canonical()
	if err != nil {
		return Result{}, false, err
	}
	var a *lease
	if e.Lease != "" {
		if a, err = l.newLease(e.Lease); err != nil {
			return Result{}, false, err
		}
	}
	token := l.token()
	claim := effectOp(key, token, 1)
	claim.state = InProgress
	if e.Repeat {
		claim.sent = sentNow
	}
	got, leased := l.claim(ctx, claim, a)
	if leased != nil {
		a = nil
	}
	if got.err != nil || got.owner != token {
		if a != nil {
			l.late.Go(func() { a.giveBack(ctx) })
		}
		switch {
		case got.err != nil:
			return Result{}, false, fmt.Errorf("claim %s: %w", key, got.err)
		case got.state == Done:
			return Result{State: Done, Value: got.result, Reason: got.reason}, true, nil
		default:
			return Result{}, false, &event.Deferral{
				Reason: fmt.Sprintf("%s is in progress at %s", key, processOf(got.owner)), Busy: true,
			}
		}
	}

	c := &Claim{
		Key: key, Number: got.number, Accepted: got.accepted,
		Uncertain: !got.sentAt.IsZero(), UncertainFor: got.sentFor, token: token, sentAt: got.sentAt,
	}
	h := l.hold(ctx, key.String(), got.started, func() *op {
		o := effectOp(key, token, c.Number+1)
		o.state, o.accepted = InProgress, c.isAccepted()
		return o
	})
	returned := false
	defer func() {
		if !returned { // a panic, or the end of the goroutine
			_ = h.end()
			if ferr := l.finish(ctx, c, Result{}, event.Errorf(event.Internal, "the effect panicked"), a); ferr != nil {
				l.log.Error().Str("event", "panic_not_recorded").Err(ferr).Str("key", key.String()).Msg("could not record that an effect panicked")
			}
		}
	}()
	if err = cmp.Or(leased, ctx.Err()); err == nil && got.takenOver {
		err = event.TakeOver(ctx)
	}
	switch {
	case err != nil:
		err = event.NotDone(err)
	case a != nil:
		res, err = a.around(h.ctx, c, run)
	default:
		res, err = run(h.ctx, c)
	}
	returned = true
	cause := h.end()
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
	if ferr := l.finish(ctx, c, res, err, a); ferr != nil {
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
	return res, false, nil
}

// claim has an effect claimed, and a lease with it if there is one; leased says why it was not taken.
func (l *Ledger) claim(ctx context.Context, o *op, a *lease) (got outcome, leased error) {
	if a == nil {
		return l.submit(ctx, o), nil
	}
	got = l.submit(ctx, o, a.claim)
	return got, a.taken(l.await(ctx, a.claim))
}

// finish records how the claimed effect ended, and gives its lease back if it had one. It goes on trying for finishTimeout,
// whatever becomes of ctx.
func (l *Ledger) finish(ctx context.Context, c *Claim, res Result, err error, a *lease) error {
	ctx = context.WithoutCancel(ctx)
	until := time.Now().Add(finishTimeout) // not in ctx, which would cost each finish a timer
	o := c.end(res, err)
	var with []*op
	if a != nil {
		free := a.free()
		with = append(with, free)
		l.late.Go(func() { // nobody need wait for it
			<-free.done
			a.freed(free, free.got)
		})
	}
	for {
		o.until = until
		got := l.submit(ctx, o, with...)
		with = nil
		switch {
		case got.err == nil && got.owner == c.token:
			return nil
		case got.err == nil:
			return lost(c.Key.String(), got.owner)
		}
		var d *event.Deferral
		away := errors.As(got.err, &d)
		if away && time.Until(until) > finishPause {
			time.Sleep(finishPause)
			o = o.again()
			continue
		}
		if away {
			l.recordLate(o)
		}
		return fmt.Errorf("record the end of %s: %w", c.Key, got.err)
	}
}

// recordLate goes on trying to write an end that Postgres was away for, until its lease has passed or the ledger is
// closed. Else what was in flight would wait for its lease, though its owner lives and knows how it ended. Who has taken
// the row over keeps it: it has another token.
func (l *Ledger) recordLate(o *op) {
	l.late.Go(func() {
		ctx, cancel := context.WithTimeout(l.closing, l.lease)
		defer cancel()
		for away := true; away; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(finishTimeout / 10):
			}
			o = o.again()
			var d *event.Deferral
			away = errors.As(l.submit(ctx, o).err, &d)
		}
	})
}

// lost is the end of an effect or lease that another owner has taken over: it, not this handling, goes on with it.
func lost(what, owner string) error {
	by := processOf(owner)
	if by == "" {
		by = "key release"
	}
	return &event.Deferral{Reason: fmt.Sprintf("%s was taken over by %s after its lease had passed", what, by)}
}

// causedError adds to what a cut effect returned why it was cut.
type causedError struct{ cause, err error }

func (e *causedError) Error() string   { return e.cause.Error() + ": " + e.err.Error() }
func (e *causedError) Unwrap() []error { return []error{e.cause, e.err} }
