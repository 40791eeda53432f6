package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

const writer = "magento order 1"

// The lease is held while the effect runs, whatever becomes of it, and free afterwards.
func TestDo_HoldsItsLeaseWhileTheEffectRuns(t *testing.T) {
	url := database(t)
	a, b := open(t, url, "a", time.Minute), open(t, url, "b", time.Minute)
	held := func() bool {
		_, release, err := b.Lease(t.Context(), writer)
		if err == nil {
			release()
		}
		return err != nil
	}
	refused := errors.New("refused")
	for _, tt := range []struct {
		name string
		end  func() (idempotency.Result, error)
		err  error
	}{
		{"done", func() (idempotency.Result, error) { return idempotency.Result{Value: "1"}, nil }, nil},
		{"failed", func() (idempotency.Result, error) { return idempotency.Result{}, refused }, refused},
		{"panicked", func() (idempotency.Result, error) { panic("as it happens") }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ran := false
			func() {
				defer func() { _ = recover() }()
				_, _, err := a.Do(t.Context(), idempotency.Effect{Key: order(tt.name), Lease: writer}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
					if ran = true; !held() {
						t.Error("another has the lease at the same time")
					}
					return tt.end()
				})
				if !errors.Is(err, tt.err) {
					t.Errorf("got %v", err)
				}
			}()
			if !ran {
				t.Fatal("the effect did not run")
			}
			until(t, "the lease is free", func() bool { return !held() })
		})
	}
}

// A lease that another has: the effect does not run, is not uncertain, and runs the next time.
func TestDo_RefusedLeaseLeavesItFailed(t *testing.T) {
	url := database(t)
	a, b := open(t, url, "a", time.Minute), open(t, url, "b", time.Minute)
	_, release, err := b.Lease(t.Context(), writer)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = a.Do(t.Context(), idempotency.Effect{Key: order("1"), Lease: writer}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		t.Error("the effect ran")
		return idempotency.Result{}, nil
	})
	if isDeferral(err) == nil {
		t.Errorf("got %v", err)
	}
	if got := state(t, a, order("1")); got.State != idempotency.Failed {
		t.Errorf("recorded as %+v", got)
	}
	release()
	if _, _, err := a.Do(t.Context(), idempotency.Effect{Key: order("1"), Lease: writer}, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		if c.Uncertain {
			t.Error("uncertain, though it never ran")
		}
		return idempotency.Result{Value: "1"}, nil
	}); err != nil {
		t.Error(err)
	}
}

// An effect that does not run, because it is done or in progress elsewhere, leaves the lease free.
func TestDo_LeavesTheLeaseFreeWhereNothingRuns(t *testing.T) {
	url := database(t)
	a, b := open(t, url, "a", time.Minute), open(t, url, "b", time.Minute)
	free := func() bool {
		_, release, err := b.Lease(t.Context(), writer)
		if err == nil {
			release()
		}
		return err == nil
	}
	never := func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		t.Error("the effect ran")
		return idempotency.Result{}, nil
	}
	do(t, a, order("1"), done("SO-1"))
	res, duplicate, err := a.Do(t.Context(), idempotency.Effect{Key: order("1"), Lease: writer}, never)
	if err != nil || !duplicate || res.Value != "SO-1" {
		t.Errorf("got %+v, duplicate %v, %v", res, duplicate, err)
	}
	until(t, "the lease is free after a duplicate", free)
	do(t, b, order("2"), func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		if _, _, err := a.Do(t.Context(), idempotency.Effect{Key: order("2"), Lease: writer}, never); isDeferral(err) == nil || !isDeferral(err).Busy {
			t.Errorf("in progress elsewhere: %v", err)
		}
		until(t, "the lease is free beside a claim of another", free)
		return idempotency.Result{Value: "1"}, nil
	})
}

// A holder that is overtaken loses its context; one that goes on step by step keeps both.
func TestDo_RenewsItsLeaseWithEachStep(t *testing.T) {
	l := open(t, database(t), "a", long)
	_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order("1"), Lease: writer}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		for began := time.Now(); time.Since(began) < long+short; {
			if err := event.Progress(ctx); err != nil {
				return idempotency.Result{}, err
			}
		}
		return idempotency.Result{Value: "1"}, ctx.Err()
	})
	if err != nil {
		t.Error(err)
	}
}

// Claim and lease, finish and return are a transaction each.
func TestDo_WithALeaseTakesTwoTransactions(t *testing.T) {
	registry := prometheus.NewRegistry()
	l := idempotency.Open(t.Context(), idempotency.Options{
		Pool: pool(t, database(t), pgx.QueryExecModeCacheStatement), Process: "a", Log: zerolog.Nop(), Registerer: registry,
	})
	if _, _, err := l.Do(t.Context(), idempotency.Effect{Key: order("1"), Lease: writer}, done("1")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "mageline_ledger_flush_rows" {
			if h := f.Metric[0].Histogram; h.GetSampleCount() != 2 || h.GetSampleSum() != 4 {
				t.Errorf("%d flushes of %.0f rows together, want 2 of 4", h.GetSampleCount(), h.GetSampleSum())
			}
			return
		}
	}
	t.Fatal("there is no mageline_ledger_flush_rows")
}
