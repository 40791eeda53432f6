package idempotency

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// A flush is repeated on another connection when its own is cut. The first try may still be on its way, and arrive when
// the effect has ended: it must not open the row again.
func TestLedger_LateClaimChangesNothing(t *testing.T) {
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	l := Open(t.Context(), Options{Pool: db, Process: "one", Log: zerolog.Nop()})
	t.Cleanup(l.Close)

	for state, result := range map[State]string{Done: "SO-1", Failed: "", Uncertain: "", Waiting: "", Skipped: ""} {
		key := Key{Consumer: "order_placed", Key: string(state), Effect: "create"}
		token := l.process.Token()
		claim := change{key: key, owner: token, number: 1, state: InProgress}
		got := l.submit(t.Context(), claim)
		if got.err != nil || got.owner != token {
			t.Fatalf("claimed: %+v", got)
		}
		end := change{key: key, owner: token, number: got.number + 1, state: state, result: result}
		if got = l.submit(t.Context(), end); got.err != nil || got.owner != token {
			t.Fatalf("ended: %+v", got)
		}
		for _, late := range []change{claim, end} { // the claim, and then a renewal
			late.state = InProgress
			if got = l.submit(t.Context(), late); got.err != nil {
				t.Fatal(got.err)
			}
			row, ok, err := l.Lookup(t.Context(), key)
			if err != nil || !ok || row.State != state || row.Result.Value != result {
				t.Errorf("%s became %+v, %v", state, row, err)
			}
		}
	}
}

// Who takes an effect over from an owner whose lease has passed says so before it goes on, and does not where it may not.
// Whoever claims what failed, or is uncertain, takes nothing over.
func TestDo_TellsOfATakeOver(t *testing.T) {
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	l := Open(t.Context(), Options{Pool: db, Process: "one", Log: zerolog.Nop()})
	t.Cleanup(l.Close)
	key := Key{Consumer: "order_placed", Key: "1", Effect: "create"}
	claim := change{key: key, owner: l.process.Token(), number: 1, state: InProgress}
	if got := l.submit(t.Context(), claim); got.err != nil {
		t.Fatal(got.err)
	}
	if _, err := db.Exec(t.Context(), `UPDATE effect SET lease_until = now()`); err != nil { // its owner has died
		t.Fatal(err)
	}

	told, run := 0, 0
	do := func(answer error) error {
		ctx := event.WithHandling(t.Context(), event.Handling{TakeOver: func(context.Context) error { told++; return answer }})
		_, _, err := l.Do(ctx, Effect{Key: key}, func(context.Context, *Claim) (Result, error) {
			run++
			return Result{}, nil
		})
		return err
	}
	later := &event.Deferral{Reason: "alone"}
	if err := do(later); !errors.Is(err, later) || told != 1 || run != 0 {
		t.Errorf("one that may not go on: %v, told %d times, run %d times", err, told, run)
	}
	row, _, err := l.Lookup(t.Context(), key)
	if err != nil || row.State != Uncertain {
		t.Errorf("it left the row %+v, %v", row, err)
	}
	if err := do(nil); err != nil || told != 1 || run != 1 {
		t.Errorf("what is uncertain: %v, told %d times, run %d times", err, told, run)
	}
}
