package idempotency_test

import (
	"context"
	"errors"
	neturl "net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit"
)

const (
	short = 500 * time.Millisecond // passes
	long  = 3 * time.Second        // is renewed in time on a busy machine
)

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// An owner that does not end with its context loses the key, and can't finish what another has done.
func TestDo_OvertakenOwnerCanNotFinish(t *testing.T) {
	url := database(t)
	a, b := open(t, url, "a", short), open(t, url, "b", time.Minute)
	key := order("1")
	_, _, err := a.Do(t.Context(), idempotency.Effect{Key: key}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		<-ctx.Done()
		if event.ClassOf(context.Cause(ctx)) != event.Timeout {
			t.Errorf("the context ended for %v", context.Cause(ctx))
		}
		if err := event.Expired(ctx); event.ClassOf(err) != event.Timeout {
			t.Errorf("the lease expired with %v", err)
		}
		until(t, "lease passes", func() bool { return state(t, b, key).Expired })
		do(t, b, key, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			if !c.Uncertain || c.Number != 2 || c.UncertainFor < 0 || c.UncertainFor > 20*time.Second {
				t.Errorf("the take-over got %+v", c)
			}
			return idempotency.Result{Value: "of b"}, nil
		})
		if err := event.Progress(ctx); err == nil {
			t.Error("the lost claim was renewed")
		}
		return idempotency.Result{Value: "of a"}, nil
	})
	if d := isDeferral(err); d == nil || d.Downstream != "" {
		t.Errorf("the owner that was overtaken got %v", err)
	}
	if got := state(t, b, key); got.State != idempotency.Done || got.Result.Value != "of b" || got.Owner != "b" {
		t.Errorf("recorded as %+v", got)
	}
}

// Steps and waits renew; nothing else does.
func TestDo_RenewsWithStepsAndWaitsOnly(t *testing.T) {
	url := database(t)
	l := open(t, url, "a", long)
	key := order("1")
	res, _ := do(t, l, key, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		first := state(t, l, key).Lease
		for began := time.Now(); time.Since(began) < long+short; {
			if err := event.Progress(ctx); err != nil {
				return idempotency.Result{}, err
			}
		}
		resume := event.Wait(ctx)
		until(t, "a wait outlasts the lease", func() bool { return state(t, l, key).Expired })
		if err := ctx.Err(); err != nil {
			t.Errorf("the context ended in a wait: %v", err)
		}
		if err := resume(ctx); err != nil {
			return idempotency.Result{}, err
		}
		if again := state(t, l, key); again.Expired || !again.Lease.After(first) {
			t.Errorf("after steps and a wait: %+v", again)
		}
		return idempotency.Result{Value: "1"}, ctx.Err()
	})
	if res.Value != "1" {
		t.Errorf("got %+v", res)
	}
	_, _, err := open(t, url, "b", short).Do(t.Context(), idempotency.Effect{Key: order("2")}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		<-ctx.Done()
		return idempotency.Result{}, ctx.Err()
	})
	if event.ClassOf(err) != event.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("without a step: %v", err)
	}
}

func TestRelease_LeavesItUncertain(t *testing.T) {
	url := database(t)
	l := open(t, url, "a", time.Minute)
	key := order("1")
	comment := idempotency.Key{Consumer: key.Consumer, Key: key.Key, Effect: "comment"}
	do(t, l, comment, done("5"))
	_, _, err := l.Do(t.Context(), idempotency.Effect{Key: key}, func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		c.Accept()
		if n, err := l.Release(ctx, key.Consumer, key.Key, "create"); n != 1 || err != nil {
			t.Errorf("released %d, %v", n, err)
		}
		if err := event.Progress(ctx); err == nil || ctx.Err() == nil {
			t.Errorf("a released claim was renewed: %v", err)
		}
		return idempotency.Result{Value: "late"}, nil
	})
	if isDeferral(err) == nil {
		t.Errorf("the owner got %v", err)
	}
	if got := state(t, l, key); got.State != idempotency.Uncertain || got.Number != 2 || got.Accepted {
		t.Errorf("released as %+v", got)
	}
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: key}, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		c.Accept()
		return idempotency.Result{}, errors.New("no number yet")
	})
	if n, err := l.Release(t.Context(), key.Consumer, key.Key, ""); n != 2 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	do(t, l, key, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		if !c.Uncertain || c.Accepted || c.Number != 5 {
			t.Errorf("after the release: %+v", c)
		}
		return idempotency.Result{}, nil
	})
	if n, err := l.Release(t.Context(), key.Consumer, "unknown", ""); n != 0 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
}

func TestLease_HasOneHolder(t *testing.T) {
	url := database(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			a, b := openOn(t, pool(t, url, mode), "a", time.Minute), openOn(t, pool(t, url, mode), "b", short)
			ctx, release, err := a.Lease(t.Context(), "order:"+name)
			if err != nil {
				t.Fatal(err)
			}
			if err := event.Progress(ctx); err != nil {
				t.Fatalf("renew: %v", err)
			}
			for _, l := range []*idempotency.Ledger{a, b} {
				if _, _, err := l.Lease(t.Context(), "order:"+name); isDeferral(err) == nil {
					t.Fatalf("two hold one lease: %v", err)
				}
			}
			release()
			release()
			ctx, release, err = b.Lease(t.Context(), "order:"+name)
			if err != nil {
				t.Fatalf("a lease given back can't be taken: %v", err)
			}
			<-ctx.Done()
			until(t, "a lease that has passed can be taken", func() bool {
				var again func()
				_, again, err = a.Lease(t.Context(), "order:"+name)
				if err == nil {
					t.Cleanup(again)
				}
				return err == nil
			})
			if err := event.Progress(context.WithoutCancel(ctx)); isDeferral(err) == nil {
				t.Errorf("a lost lease was renewed: %v", err)
			}
			release() // of one that is lost: leaves the other's alone
			if _, _, err := b.Lease(t.Context(), "order:"+name); isDeferral(err) == nil {
				t.Errorf("a late release freed another's lease: %v", err)
			}
		})
	}
}

// Only one of many who ask together gets a lease.
func TestLease_HasOneHolderAmongManyWhoAsk(t *testing.T) {
	url := database(t)
	ledgers := []*idempotency.Ledger{open(t, url, "a", time.Minute), open(t, url, "b", time.Minute)}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		holders int
	)
	for i := range 16 {
		wg.Go(func() {
			for range 20 {
				_, release, err := ledgers[i%2].Lease(context.Background(), "one")
				if err != nil {
					if isDeferral(err) == nil {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				if holders++; holders > 1 {
					t.Errorf("%d holders", holders)
				}
				mu.Unlock()
				mu.Lock()
				holders--
				mu.Unlock()
				release()
			}
		})
	}
	wg.Wait()
}

// Postgres away is a deferral that names it, before and after; nothing that was recorded is lost, and a commit whose
// answer was lost is found.
func TestLedger_DefersWhilePostgresIsAway(t *testing.T) {
	t.Parallel() // it waits out the time that an end is tried for
	url := database(t)
	direct := open(t, url, "direct", time.Minute)
	proxy, through := kit.ProxyURL(t, url)
	l := openOn(t, pool(t, through, pgx.QueryExecModeCacheStatement), "a", time.Minute)
	do(t, l, order("0"), done("0"))

	proxy.Cut()
	do(t, l, order("cut"), done("1"))

	proxy.LoseAnswer(nil)
	do(t, l, order("lost claim"), func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		proxy.LoseAnswer(nil)
		return idempotency.Result{Value: "2"}, nil
	})
	if got := state(t, direct, order("lost claim")); got.State != idempotency.Done || got.Number != 1 || got.Result.Value != "2" {
		t.Errorf("after two lost commits: %+v", got)
	}

	proxy.Refuse()
	_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order("away")}, done("never"))
	if d := isDeferral(err); d == nil || d.Downstream != "postgres" {
		t.Fatalf("refused: %v", err)
	}
	if _, _, err := l.Lookup(t.Context(), order("0")); isDeferral(err) == nil {
		t.Errorf("lookup: %v", err)
	}
	if err := l.Ready(t.Context()); isDeferral(err) == nil {
		t.Errorf("ready: %v", err)
	}
	proxy.Accept()
	do(t, l, order("away"), done("3"))

	proxy.Stall() // a half-open link: nobody says that it is broken
	_, _, err = l.Do(t.Context(), idempotency.Effect{Key: order("silent")}, done("never"))
	if d := isDeferral(err); d == nil || d.Downstream != "postgres" {
		t.Fatalf("stalled: %v", err)
	}
	proxy.Resume()
	until(t, "Postgres is back", func() bool { return l.Ready(t.Context()) == nil })

	_, _, err = l.Do(t.Context(), idempotency.Effect{Key: order("gone")}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		proxy.Refuse()
		return idempotency.Result{Value: "4"}, nil
	})
	if d := isDeferral(err); d == nil || d.Downstream != "postgres" {
		t.Errorf("an end that can't be recorded: %v", err)
	}
	if got := state(t, direct, order("gone")); got.State != idempotency.InProgress {
		t.Errorf("recorded as %s", got.State)
	}
	proxy.Accept() // long before the lease passes
	until(t, "the end is recorded after all", func() bool {
		row := state(t, direct, order("gone"))
		return row.State == idempotency.Done && row.Result.Value == "4"
	})
}

// A server that only reads is as good as away; the ledger goes on when its address leads to one that writes.
func TestLedger_DefersWhilePostgresOnlyReads(t *testing.T) {
	url := ownDatabase(t)
	l := open(t, url, "a", time.Minute)
	run(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order("1")}, done("never"))
	if d := isDeferral(err); d == nil || d.Downstream != "postgres" {
		t.Errorf("got %v", err)
	}
	if err := l.Ready(t.Context()); isDeferral(err) == nil {
		t.Errorf("ready: %v", err)
	}
	writes, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	q := writes.Query()
	q.Set("default_transaction_read_only", "off")
	writes.RawQuery = q.Encode()
	run(t, writes.String(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`)
	until(t, "it writes", func() bool { return l.Ready(t.Context()) == nil })
	do(t, l, order("1"), done("1"))
}

// A database whose transactions are serializable by default refuses more of them; they are repeated.
func TestLedger_RepeatsSerializationFailures(t *testing.T) {
	url := ownDatabase(t)
	run(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$`)
	ledgers := []*idempotency.Ledger{open(t, url, "a", time.Minute), open(t, url, "b", time.Minute)}
	var (
		wg  sync.WaitGroup
		ran [20]atomic.Int64
	)
	for i := range 16 {
		wg.Go(func() {
			for n := range ran {
				for {
					_, _, err := ledgers[i%2].Do(context.Background(), idempotency.Effect{Key: order(strconv.Itoa(n))}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
						ran[n].Add(1)
						return idempotency.Result{Value: "1"}, nil
					})
					if err == nil {
						break
					}
					if isDeferral(err) == nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for n := range ran {
		if got := ran[n].Load(); got != 1 {
			t.Errorf("%d ran %d times", n, got)
		}
	}
}
