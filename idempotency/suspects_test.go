package idempotency_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

const consumerName, letter = "order_placed", "0123456789ab"

// A message is innocent until a process has died over it, and only those deaths count that it died alone with it.
func TestEnter_CountsDeathsOfASuspect(t *testing.T) {
	db := pool(t, database(t), pgx.QueryExecModeCacheStatement)
	process := func(name string) *idempotency.Ledger { return living(t, db, name) }

	one := process("one")
	enters(t, one, false, 0)
	enters(t, one, false, 0) // once more in the same process: its session has ended, the process has not
	kill(t, db, "one")

	two := process("two")
	enters(t, two, true, 0) // handled beside others, any of them may have done it
	alone(t, two)
	kill(t, db, "two")

	three := process("three")
	enters(t, three, true, 1)
	kill(t, db, "three") // before it was alone with it

	four := process("four")
	enters(t, four, true, 1)
	alone(t, four)
	if err := four.Defer(t.Context(), consumerName, letter); err != nil { // it waits in a queue
		t.Fatal(err)
	}
	kill(t, db, "four")

	five := process("five")
	enters(t, five, true, 1)
	for deaths := 2; deaths <= 3; deaths++ {
		alone(t, five)
		kill(t, db, "five")
		five = process("five")
		enters(t, five, true, deaths)
	}
	if err := five.Strike(t.Context(), consumerName, letter); err != nil {
		t.Fatal(err)
	}
	enters(t, five, false, 0)
}

// A message that a living process has is left to it.
func TestEnter_DefersWhileAnotherProcessHasIt(t *testing.T) {
	db := pool(t, database(t), pgx.QueryExecModeCacheStatement)
	one, two := living(t, db, "one"), living(t, db, "two")
	enters(t, one, false, 0)
	_, _, err := two.Enter(t.Context(), consumerName, letter)
	var d *event.Deferral
	if !errors.As(err, &d) || d.Downstream != "" {
		t.Fatalf("entered at a second process: %v", err)
	}
	for _, other := range [][2]string{{"order_canceled", letter}, {consumerName, "another"}} {
		if suspect, _, err := two.Enter(t.Context(), other[0], other[1]); suspect || err != nil {
			t.Errorf("%v: suspect %t, %v", other, suspect, err)
		}
	}
	// What is not one's own can't be struck out or called alone.
	alone(t, two)
	if err := two.Strike(t.Context(), consumerName, letter); err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Enter(t.Context(), consumerName, letter); !errors.As(err, &d) {
		t.Errorf("another process has struck it out: %v", err)
	}
	if err := one.Leave(t.Context()); err != nil { // in order
		t.Fatal(err)
	}
	if err := one.Live(t.Context()); err != nil { // a tick that came a moment later
		t.Fatal(err)
	}
	var there int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM process WHERE id LIKE 'one/%'`).Scan(&there); err != nil || there != 0 {
		t.Errorf("who has left is there %d times, %v", there, err)
	}
	enters(t, two, false, 0)
}

// Rows of what is long over go.
func TestRetain_RemovesOldSuspects(t *testing.T) {
	db := pool(t, database(t), pgx.QueryExecModeCacheStatement)
	l := living(t, db, "one")
	enters(t, l, false, 0)
	if _, err := db.Exec(t.Context(), `UPDATE process SET renewed_at = now() - interval '2 hours'`); err != nil {
		t.Fatal(err)
	}
	for _, older := range []time.Duration{time.Hour, 0} {
		if _, err := l.Retain(t.Context(), older); err != nil {
			t.Fatal(err)
		}
		var processes, suspects int
		if err := db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM process), (SELECT count(*) FROM suspect)`).
			Scan(&processes, &suspects); err != nil {
			t.Fatal(err)
		}
		want := 1
		if older == 0 {
			want = 0
		}
		if processes != 0 || suspects != want {
			t.Errorf("older than %s: %d processes and %d suspects are left", older, processes, suspects)
		}
	}
}

// living is a ledger whose process has given a sign of life.
func living(t *testing.T, db *pgxpool.Pool, name string) *idempotency.Ledger {
	t.Helper()
	l := openOn(t, db, name, 0)
	if err := l.Live(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func enters(t *testing.T, l *idempotency.Ledger, wantSuspect bool, wantDeaths int) {
	t.Helper()
	suspect, deaths, err := l.Enter(t.Context(), consumerName, letter)
	if err != nil || suspect != wantSuspect || deaths != wantDeaths {
		t.Fatalf("entered: suspect %t, deaths %d, %v; want %t, %d", suspect, deaths, err, wantSuspect, wantDeaths)
	}
}

func alone(t *testing.T, l *idempotency.Ledger) {
	t.Helper()
	if err := l.Alone(t.Context(), consumerName, letter); err != nil {
		t.Fatal(err)
	}
}

// kill lets the last sign of life of a process be 30 s old.
func kill(t *testing.T, db *pgxpool.Pool, name string) {
	t.Helper()
	tag, err := db.Exec(t.Context(),
		`UPDATE process SET renewed_at = now() - interval '30 seconds' WHERE id LIKE $1 || '/%'`, name)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("no process %s: %v", name, err)
	}
}

// What is put off is nobody's: a process that is paused for long must not keep it from the others.
func TestPutOff_LeavesItWithNobody(t *testing.T) {
	db := pool(t, database(t), pgx.QueryExecModeCacheStatement)
	one, two := living(t, db, "one"), living(t, db, "two")
	enters(t, one, false, 0)
	if err := one.Defer(t.Context(), consumerName, letter); err != nil {
		t.Fatal(err)
	}
	enters(t, two, false, 0)
	var deferral *event.Deferral
	if _, _, err := one.Enter(t.Context(), consumerName, letter); !errors.As(err, &deferral) {
		t.Errorf("the one that has put it off takes it from the one that has it: %v", err)
	}
}
