package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

// together calls Do n times at once, with the effect that all of them would run. The one that runs is held until all are there.
func together(t *testing.T, n int, l *idempotency.Ledger, e func(ctx context.Context, number int) (idempotency.Result, error),
) (ran, duplicates int, errs []error) {
	t.Helper()
	var runs, there, twice atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			ctx := event.WithHandling(t.Context(), event.Handling{WaitWithoutSlot: func(_ context.Context, done <-chan struct{}) error {
				there.Add(1)
				<-done
				return nil
			}})
			_, duplicate, err := l.Do(ctx, idempotency.Effect{Key: order("1")}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
				for runs.Add(1) == 1 && there.Load() < int64(n-1) {
					runs.Add(-1)
					time.Sleep(time.Millisecond)
				}
				return e(ctx, i)
			})
			if duplicate {
				twice.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	return int(runs.Load()), int(twice.Load()), errs
}

func TestDo_WaitsForTheSameEffectInThisProcess(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	ran, duplicates, errs := together(t, 8, l, func(context.Context, int) (idempotency.Result, error) { return idempotency.Result{Value: "57"}, nil })
	if ran != 1 || duplicates != 7 || errors.Join(errs...) != nil {
		t.Errorf("it ran %d times, %d were duplicates, errors %v; want once, 7, none", ran, duplicates, errs)
	}
}

// Who waited has the same result as who comes later.
func TestDo_SharesWhatTheRowSays(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	e := idempotency.Effect{Key: order("1"), Data: json.RawMessage(`{"lines": [1]}`)}
	waits, second := make(chan struct{}), make(chan idempotency.Result, 1)
	do := func(ctx context.Context, run effect) (idempotency.Result, bool) {
		res, duplicate, err := l.Do(ctx, e, run)
		if err != nil {
			t.Error(err)
		}
		return res, duplicate
	}
	do(t.Context(), func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		go func() {
			res, _ := do(event.WithHandling(t.Context(), event.Handling{WaitWithoutSlot: func(_ context.Context, done <-chan struct{}) error {
				close(waits)
				<-done
				return nil
			}}), done("never"))
			second <- res
		}()
		<-waits
		return idempotency.Result{Value: "57", Reason: "why"}, nil
	})
	shared := <-second
	later, duplicate := do(t.Context(), done("never"))
	if !duplicate || shared.State != later.State || shared.Value != later.Value || shared.Reason != later.Reason || string(shared.Data) != string(later.Data) {
		t.Errorf("shared %+v, later %+v", shared, later)
	}
}

func TestDo_SharesAnErrorInThisProcess(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	failed := event.NotDone(event.Errorf(event.Unavailable, "the ERP is away"))
	ran, duplicates, errs := together(t, 8, l, func(context.Context, int) (idempotency.Result, error) { return idempotency.Result{}, failed })
	if ran != 1 || duplicates != 0 {
		t.Errorf("it ran %d times, %d were duplicates; want once and none", ran, duplicates)
	}
	for _, err := range errs {
		if event.ClassOf(err) != event.Unavailable || !event.IsNotDone(err) {
			t.Errorf("error %v", err)
		}
	}
}

// An error may be about what one caller asked for and not about the effect: an event for another order with the same number is
// refused, and the order that was first must not be refused with it.
func TestDo_TriesItselfAfterAnErrorAboutTheOther(t *testing.T) {
	for _, class := range []event.Class{event.Invalid, event.Rejected, event.NotFound, event.Malformed, event.Unauthorized, event.Internal} {
		t.Run(string(class), func(t *testing.T) {
			l := open(t, database(t), "a", time.Minute)
			var begun atomic.Bool
			ran, duplicates, errs := together(t, 3, l, func(context.Context, int) (idempotency.Result, error) {
				if !begun.Swap(true) {
					return idempotency.Result{}, event.NotDone(event.Errorf(class, "it is another order"))
				}
				return idempotency.Result{Value: "57"}, nil
			})
			failed := 0
			for _, err := range errs {
				if err != nil {
					failed++
				}
			}
			if ran != 2 || duplicates != 1 || failed != 1 {
				t.Errorf("it ran %d times, %d were duplicates, %d failed; want 2, 1, 1", ran, duplicates, failed)
			}
		})
	}
}

// An order that waits is looked at by each, one after the other, as by later deliveries.
func TestDo_LooksAgainAtWhatIsNotDone(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	ran, duplicates, errs := together(t, 3, l, func(context.Context, int) (idempotency.Result, error) {
		return idempotency.Result{State: idempotency.Waiting}, nil
	})
	if ran != 3 || duplicates != 0 || errors.Join(errs...) != nil {
		t.Errorf("it ran %d times, %d were duplicates, errors %v; want 3, 0, none", ran, duplicates, errs)
	}
}

// Whose caller has given up says nothing of the effect: the next one runs it.
func TestDo_TriesItselfAfterAnotherGaveUp(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		_, _, err := l.Do(ctx, idempotency.Effect{Key: order("1")}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
			close(begun)
			<-ctx.Done()
			return idempotency.Result{}, event.NotDone(ctx.Err())
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the first ended with %v", err)
		}
	})
	<-begun
	second := event.WithHandling(t.Context(), event.Handling{WaitWithoutSlot: func(_ context.Context, done <-chan struct{}) error {
		cancel()
		<-done
		return nil
	}})
	if _, duplicate, err := l.Do(second, idempotency.Effect{Key: order("1")}, done("57")); duplicate || err != nil {
		t.Errorf("duplicate %t, error %v", duplicate, err)
	}
	first.Wait()
}

// A handling that is to end while it waits is deferred; so is one that holds a lease, which could be waited for.
func TestDo_DefersWhatMustNotWait(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	do(t, l, order("1"), func(held context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		stopping := event.WithHandling(t.Context(), event.Handling{WaitWithoutSlot: func(context.Context, <-chan struct{}) error {
			return errors.New("stopping")
		}})
		for name, ctx := range map[string]context.Context{"stopping": stopping, "with a lease": held} {
			_, _, err := l.Do(ctx, idempotency.Effect{Key: order("1")}, done("never"))
			if d := isDeferral(err); d == nil || !d.Busy {
				t.Errorf("%s: %v", name, err)
			}
		}
		return idempotency.Result{}, nil
	})
}

func TestDo_ReleasesWhoWaitsForAPanic(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	begun, waits := make(chan struct{}), make(chan struct{})
	var second sync.WaitGroup
	second.Go(func() {
		<-begun
		ctx := event.WithHandling(t.Context(), event.Handling{WaitWithoutSlot: func(_ context.Context, done <-chan struct{}) error {
			close(waits)
			<-done
			return nil
		}})
		_, _, err := l.Do(ctx, idempotency.Effect{Key: order("1")}, done("57"))
		if err != nil && event.ClassOf(err) != event.Internal {
			t.Errorf("error %v", err)
		}
	})
	func() {
		defer func() { _ = recover() }()
		_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: order("1")}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
			close(begun)
			<-waits
			panic("a bug")
		})
	}()
	second.Wait()
}

// Effects of several keys that need one lease run one after the other, without a deferral.
func TestDo_WaitsForALeaseInThisProcess(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	var running atomic.Int64
	var all sync.WaitGroup
	for _, n := range []string{"1", "2", "3", "4"} {
		all.Go(func() {
			_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order(n), Lease: "order:57"},
				func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
					if running.Add(1) > 1 {
						t.Error("two have the lease")
					}
					time.Sleep(10 * time.Millisecond)
					running.Add(-1)
					return idempotency.Result{}, nil
				})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
