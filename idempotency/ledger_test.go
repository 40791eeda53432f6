package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

var databases = kit.Databases{Migrate: func(ctx context.Context, url string) error {
	_, err := migrations.Up(ctx, url)
	return err
}}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := databases.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// database gives the URL of a migrated database, in which others have been before.
func database(t testing.TB) string { return databases.Take(t) }

// ownDatabase is for a test that changes the schema or a setting, or that looks at how rows lie.
func ownDatabase(t testing.TB) string {
	t.Helper()
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url
}

func pool(t testing.TB, url string, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 4
	config.ConnConfig.ConnectTimeout = 2 * time.Second
	config.ConnConfig.DefaultQueryExecMode = mode
	p, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// open gives a replica's ledger.
func open(t testing.TB, url, process string, lease time.Duration) *idempotency.Ledger {
	t.Helper()
	return openOn(t, pool(t, url, pgx.QueryExecModeCacheStatement), process, lease)
}

func openOn(t testing.TB, p *pgxpool.Pool, process string, lease time.Duration) *idempotency.Ledger {
	t.Helper()
	l := idempotency.Open(t.Context(), idempotency.Options{
		Pool: p, Process: process, Lease: lease, Log: zerolog.Nop(),
	})
	t.Cleanup(l.Close)
	return l
}

func order(n string) idempotency.Key {
	return idempotency.Key{Consumer: "order_placed", Key: n, Effect: "create"}
}

type effect = func(context.Context, *idempotency.Claim) (idempotency.Result, error)

func gives(res idempotency.Result, err error) effect {
	return func(context.Context, *idempotency.Claim) (idempotency.Result, error) { return res, err }
}

func done(value string) effect { return gives(idempotency.Result{Value: value}, nil) }

func do(t *testing.T, l *idempotency.Ledger, key idempotency.Key, e effect) (idempotency.Result, bool) {
	t.Helper()
	res, duplicate, err := l.Do(t.Context(), idempotency.Effect{Key: key}, e)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return res, duplicate
}

func state(t *testing.T, l *idempotency.Ledger, key idempotency.Key) idempotency.Row {
	t.Helper()
	row, found, err := l.Lookup(t.Context(), key)
	if err != nil || !found {
		t.Fatalf("%s: found %v, %v", key, found, err)
	}
	return row
}

func isDeferral(err error) *event.Deferral {
	var d *event.Deferral
	errors.As(err, &d)
	return d
}

// modes are the ways of pgx to speak to a server that a pooler in transaction mode may ask for.
var modes = map[string]pgx.QueryExecMode{
	"prepared": pgx.QueryExecModeCacheStatement, "describe": pgx.QueryExecModeCacheDescribe,
	"exec": pgx.QueryExecModeExec, "simple": pgx.QueryExecModeSimpleProtocol,
}

func TestDo_RunsAnEffectOnce(t *testing.T) {
	url := database(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			p := pool(t, url, mode)
			a, b := openOn(t, p, "a", time.Minute), openOn(t, p, "b", time.Minute)
			key := order(name)
			want := idempotency.Result{State: idempotency.Done, Value: "SO-1"}
			if _, duplicate := do(t, a, key, gives(want, nil)); duplicate {
				t.Fatal("the first is a duplicate")
			}
			for _, l := range []*idempotency.Ledger{a, b} {
				res, duplicate := do(t, l, key, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
					t.Error("the effect ran twice")
					return idempotency.Result{}, nil
				})
				if !duplicate || res.Value != "SO-1" || res.State != idempotency.Done {
					t.Fatalf("the second got %+v, duplicate %v", res, duplicate)
				}
			}
			rows, err := b.Rows(t.Context(), key.Consumer, key.Key)
			if err != nil || len(rows) != 1 || rows[0].Owner != "a" || rows[0].Number != 1 {
				t.Fatalf("rows %+v, %v", rows, err)
			}
		})
	}
}

// What is recorded when an effect fails, and what the next claim is told.
func TestDo_RecordsHowTheEffectEnds(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	boom := errors.New("boom")
	looked := func(err error) effect {
		return func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			c.Looked()
			return idempotency.Result{}, err
		}
	}
	accepted := func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		c.Accept()
		return idempotency.Result{}, event.Errorf(event.NotFound, "no number yet")
	}
	waiting := idempotency.Result{State: idempotency.Waiting, Reason: "pending_payment"}
	for _, c := range []struct {
		name      string
		effects   []effect
		want      idempotency.State
		uncertain bool // of the next claim
		accepted  bool
	}{
		{"refused", []effect{gives(idempotency.Result{}, event.NotDone(boom))}, idempotency.Failed, false, false},
		{"unknown", []effect{gives(idempotency.Result{}, boom)}, idempotency.Uncertain, true, false},
		{"refused after an unknown", []effect{gives(idempotency.Result{}, boom), gives(idempotency.Result{}, event.NotDone(boom))}, idempotency.Uncertain, true, false},
		{"refused after a look", []effect{gives(idempotency.Result{}, boom), looked(event.NotDone(boom))}, idempotency.Failed, false, false},
		{"unknown after a look", []effect{gives(idempotency.Result{}, boom), looked(boom)}, idempotency.Uncertain, true, false},
		{"waiting", []effect{gives(waiting, nil)}, idempotency.Waiting, false, false},
		{"waiting after an unknown", []effect{gives(idempotency.Result{}, boom), gives(waiting, nil)}, idempotency.Waiting, true, false},
		{"skipped", []effect{gives(idempotency.Result{State: idempotency.Skipped}, nil)}, idempotency.Skipped, false, false},
		{"accepted", []effect{accepted}, idempotency.Uncertain, true, true},
		{"accepted stays", []effect{accepted, looked(event.NotDone(boom))}, idempotency.Uncertain, true, true},
		{"accepted stays while it waits", []effect{accepted, gives(waiting, nil), gives(idempotency.Result{}, event.NotDone(boom))}, idempotency.Uncertain, true, true},
		{"odd state", []effect{gives(idempotency.Result{State: "odd"}, nil)}, idempotency.Uncertain, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := order(c.name)
			for i, e := range c.effects {
				if _, duplicate, err := l.Do(t.Context(), idempotency.Effect{Key: key}, e); duplicate || isDeferral(err) != nil {
					t.Fatalf("run %d: duplicate %v, %v", i, duplicate, err)
				}
			}
			if got := state(t, l, key); got.State != c.want || got.Accepted != c.accepted {
				t.Errorf("recorded as %s, accepted %v", got.State, got.Accepted)
			}
			do(t, l, key, func(_ context.Context, got *idempotency.Claim) (idempotency.Result, error) {
				if got.Uncertain != c.uncertain || got.Accepted != c.accepted || got.Number != int64(len(c.effects)+1) {
					t.Errorf("the next claim is %+v", got)
				}
				return idempotency.Result{}, nil
			})
		})
	}
}

// The wait after an uncertain create is counted from the last send, not from the last look.
func TestDo_KeepsTheAgeOfAnUncertainty(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	key := order("1")
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: key}, gives(idempotency.Result{}, errors.New("lost answer")))
	sent := state(t, l, key).Sent
	for range 3 {
		_, _, err := l.Do(t.Context(), idempotency.Effect{Key: key}, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			return idempotency.Result{}, event.NotDone(&event.Deferral{Reason: "only asked"})
		})
		if d := isDeferral(err); d == nil || d.Reason != "only asked" {
			t.Fatalf("got %v", err)
		}
	}
	if again := state(t, l, key).Sent; !again.Equal(sent) {
		t.Errorf("the uncertainty began at %s, and after looks at %s", sent, again)
	}
}

func TestDo_RepeatWithoutARowIsUncertain(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	for _, repeat := range []bool{false, true} {
		_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order(fmt.Sprint(repeat)), Repeat: repeat}, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			if c.Uncertain != repeat {
				t.Errorf("repeat %v is uncertain %v", repeat, c.Uncertain)
			}
			return idempotency.Result{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDo_PanicLeavesItUncertain(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	func() {
		defer func() {
			if recover() != "oh" {
				t.Error("the panic did not pass through")
			}
		}()
		_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: order("1")}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) { panic("oh") })
	}()
	if got := state(t, l, order("1")); got.State != idempotency.Uncertain || got.Class != event.Internal {
		t.Errorf("recorded as %s, %s", got.State, got.Class)
	}
}

func TestDo_DefersWhileInProgressElsewhere(t *testing.T) {
	url := database(t)
	a, b := open(t, url, "replica-a", time.Minute), open(t, url, "replica-b", time.Minute)
	key := order("1")
	do(t, a, key, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		for _, l := range []*idempotency.Ledger{a, b} {
			_, _, err := l.Do(ctx, idempotency.Effect{Key: key}, done("never"))
			if d := isDeferral(err); d == nil || !strings.Contains(d.Reason, "replica-a") || !strings.Contains(d.Reason, key.Key) || d.Downstream != "" {
				t.Errorf("a second claim gave %v", err)
			}
		}
		return idempotency.Result{}, nil
	})
}

// The end is recorded although the handling was cancelled.
func TestDo_RecordsTheEndOfACancelledContext(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	if _, _, err := l.Do(ctx, idempotency.Effect{Key: order("1")}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		cancel()
		<-ctx.Done()
		return idempotency.Result{Value: "SO-1"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := state(t, l, order("1")); got.State != idempotency.Done {
		t.Errorf("recorded as %s", got.State)
	}
	if _, _, err := l.Do(ctx, idempotency.Effect{Key: order("2")}, done("")); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled claim gave %v", err)
	}
}

func TestDo_StoresOddKeys(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	for name, key := range map[string]string{"empty": "", "nul": "a\x00b", "no UTF-8": "a\xff", "long and no UTF-8": strings.Repeat("\xff", 300)} {
		if _, _, err := l.Do(t.Context(), idempotency.Effect{Key: order(key)}, done("")); event.ClassOf(err) != event.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := strings.Repeat("x", 201)
	do(t, l, order(long), done("1"))
	if _, duplicate := do(t, l, order(long), done("2")); !duplicate {
		t.Error("a long key was not recognised")
	}
	if _, duplicate := do(t, l, order(long+"y"), done("2")); duplicate {
		t.Error("two long keys are one")
	}
	if got := state(t, l, order(long)); len(got.Key.Key) > 200 {
		t.Errorf("stored as %q", got.Key.Key)
	}
	// What a downstream says can't harm the neighbours in the flush.
	if res, _ := do(t, l, order("odd result"), done("SO\x00\xff"+strings.Repeat("9", 5000))); res.Value == "" {
		t.Error("no result")
	}
	if got := state(t, l, order("odd result")); got.State != idempotency.Done {
		t.Errorf("recorded as %s", got.State)
	}
}
