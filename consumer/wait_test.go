package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// testLedger opens a ledger on a database of its own.
func testLedger(t *testing.T) *idempotency.Ledger {
	t.Helper()
	database := kit.Database(t)
	if _, err := migrations.Up(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	ledger := idempotency.Open(t.Context(), idempotency.Options{Pool: pool, Process: "test", Log: zerolog.Nop()})
	t.Cleanup(ledger.Close)
	return ledger
}

// once has an effect done once for each key of a number.
func once(ledger *idempotency.Ledger, keys int, run func(ctx context.Context, key int) error) func(context.Context, event.Event) (event.Outcome, error) {
	return func(ctx context.Context, e event.Event) (event.Outcome, error) {
		key := number(e) % keys
		effect := idempotency.Effect{
			Key: idempotency.Key{Consumer: orders, Key: fmt.Sprint(key), Effect: "create"}, Repeat: e.Repeat, Lease: fmt.Sprint("writer of ", key%2),
		}
		_, duplicate, err := ledger.Do(ctx, effect, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
			return idempotency.Result{}, run(ctx, key)
		})
		if duplicate {
			return event.Duplicate, err
		}
		return event.Done, err
	}
}

// grown waits until the prefetch has grown, by n messages that are done at once.
func (r *rig) grown(n int) {
	r.t.Helper()
	for range n {
		r.Publish(placed, numbered(-1))
	}
	r.eventually("the prefetch has grown", func() bool { return r.settled(orders, "acked") == n })
}

// Events of few keys, many at once, cost no deferral: each waits for the one with its key that is handled. So it is with a single
// slot, and with leases that several keys share.
func TestWait_EqualKeysMakeNoDeferral(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 16} {
		t.Run(fmt.Sprint("concurrency ", concurrency), func(t *testing.T) {
			t.Parallel()
			const keys, messages, before = 5, 200, 32
			var calls, begun [keys]atomic.Int64
			var met [keys]chan struct{}
			for key := range met {
				met[key] = make(chan struct{})
			}
			handle := once(testLedger(t), keys, func(_ context.Context, key int) error {
				calls[key].Add(1)
				if concurrency > keys { // else the second can't begin before the first has ended
					<-met[key]
				}
				return nil
			})
			r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
				if number(e) == -1 {
					return event.Done, nil
				}
				if key := number(e) % keys; begun[key].Add(1) == 2 {
					close(met[key])
				}
				return handle(ctx, e)
			})
			r.opts.Prefetch, r.opts.Concurrency = 64, concurrency
			r.start()
			r.grown(before)
			for n := range messages {
				r.Publish(placed, numbered(n))
			}
			r.outcomes(map[string]int{"acked": before + keys, "duplicate": messages - keys})
			for key := range calls {
				if n := calls[key].Load(); n != 1 {
					t.Errorf("the effect of key %d ran %d times", key, n)
				}
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What waits has no slot: with a single one, the handling that is waited for can begin after those that wait for it.
func TestWait_LeavesTheSlotToOthers(t *testing.T) {
	t.Parallel()
	const waiters = 5
	done := make(chan struct{})
	var began atomic.Int64
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		switch number(e) {
		case -1:
		case waiters:
			close(done)
		default:
			began.Add(1)
			if err := event.WaitWithoutSlot(ctx, done); err != nil {
				return "", err
			}
		}
		return event.Done, nil
	})
	r.opts.Prefetch, r.opts.Concurrency = 8, 1
	r.opts.HandlerTimeout = time.Second // which does not run while they wait
	r.start()
	r.grown(16)
	for n := range waiters {
		r.Publish(placed, numbered(n))
	}
	r.eventually("all wait", func() bool { return began.Load() == waiters })
	time.Sleep(2 * r.opts.HandlerTimeout) // longer than a handling may take: what is awaited is that nothing ends
	r.Publish(placed, numbered(waiters))
	r.outcomes(map[string]int{"acked": 16 + waiters + 1})
}

// Those that waited for a handling that failed share its error and call nothing themselves. Each has used an attempt.
func TestWait_SharesAFailure(t *testing.T) {
	t.Parallel()
	const messages = 8
	var calls, began atomic.Int64
	allWait := make(chan struct{})
	handle := once(testLedger(t), 1, func(context.Context, int) error {
		if calls.Add(1) > 1 {
			return nil
		}
		<-allWait
		return event.NotDone(event.Errorf(event.Unavailable, "away"))
	})
	var attempts seen
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		if number(e) == -1 {
			if began.Load() == messages { // this one has the second slot: all others wait without one
				close(allWait)
			}
			return event.Done, nil
		}
		attempts.add(e)
		began.Add(1)
		return handle(ctx, e)
	})
	r.opts.Prefetch, r.opts.Concurrency = 16, 2
	r.start()
	r.grown(32)
	for n := range messages {
		r.Publish(placed, numbered(n))
	}
	r.eventually("all have begun", func() bool { return began.Load() == messages })
	r.Publish(placed, numbered(-1))
	r.outcomes(map[string]int{"acked": 32 + 1 + 1, "duplicate": messages - 1, "retried": messages})
	if n := calls.Load(); n != 2 {
		t.Errorf("the effect ran %d times, want 2: once for all who waited, and once for their next attempts", n)
	}
	for _, e := range attempts.all()[messages:] {
		if e.Attempt != 2 {
			t.Errorf("message %d came again at attempt %d, want 2", number(e), e.Attempt)
		}
	}
}

// waiting runs a runtime in which one message is handled until its context ends or end is called, and others wait for it.
func waiting(t *testing.T, concurrency int, prepare func(*rig)) (r *rig, end func(), messages int) {
	t.Helper()
	messages = 4
	done := make(chan struct{})
	var began atomic.Int64
	r = newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		switch {
		case number(e) == -1:
		case number(e) == 0 && !e.Repeat:
			began.Add(1)
			select {
			case <-done:
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		default:
			began.Add(1)
			if err := event.WaitWithoutSlot(ctx, done); err != nil {
				var deferral *event.Deferral
				if !errors.As(err, &deferral) && ctx.Err() == nil {
					t.Errorf("the wait ended with %v", err)
				}
				return "", err
			}
		}
		return event.Done, nil
	})
	r.opts.Prefetch, r.opts.Concurrency = 7, concurrency // with which no subscription is cancelled while it grows
	prepare(r)
	r.start()
	r.grown(16)
	for n := range messages {
		r.Publish(placed, numbered(n))
	}
	r.eventually("all have begun", func() bool { return began.Load() == int64(messages) })
	return r, sync.OnceFunc(func() { close(done) }), messages
}

// What waits when the process stops is requeued at once. What it waits for has its time.
func TestWait_IsRequeuedOnDrain(t *testing.T) {
	t.Parallel()
	r, end, messages := waiting(t, 2, func(*rig) {})
	defer end()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	r.eventually("those that wait are requeued", func() bool { return r.settled(orders, "requeued") == messages-1 })
	end()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	r.outcomes(map[string]int{"acked": 16 + 1, "requeued": messages - 1})
	r.eventually("they are in the queue", func() bool { return r.Depth(r.Queue(orders)) == messages-1 })
}

// A drain that is cut off requeues all of them.
func TestWait_IsRequeuedWhenHandlersAreCut(t *testing.T) {
	t.Parallel()
	r, end, messages := waiting(t, 2, func(r *rig) { r.opts.ShutdownTimeout = time.Millisecond })
	defer end()
	_ = r.stop() // ErrCut, if the one that is waited for had not ended
	r.eventually("all are in the queue", func() bool { return r.Depth(r.Queue(orders)) == messages })
}

// When the session breaks, what waits ends, and takes no slot along: all are handled in the next session.
func TestWait_EndsWithTheSession(t *testing.T) {
	t.Parallel()
	var proxy *kit.Proxy
	r, end, messages := waiting(t, 2, func(r *rig) {
		var url string
		proxy, url = kit.ProxyURL(t, r.URL)
		r.opts.Broker.URL = url
	})
	defer end()
	proxy.Cut()
	r.eventually("those that wait are stale", func() bool { return r.count("mageline_stale_settles_total") == messages-1 })
	end()
	r.outcomes(map[string]int{"acked": 16 + messages})
}
