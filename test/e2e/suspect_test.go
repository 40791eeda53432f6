package e2e

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// What a killed replica had in its hands is entered by the one that gets it next, and struck out when it is done; a replica
// that ends in order leaves nothing behind.
func TestSuspect_EnteredAndStruckOut(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	e.Set("HANDLER_TIMEOUT", "1s", "IDEMPOTENCY_LEASE", "6s", "ERP_TIMEOUT", "500ms")
	killed := e.Start().AwaitReady()
	db, err := pgx.Connect(t.Context(), e.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	rows := func(table string) (n int) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := rows("process"); n != 1 {
		t.Errorf("a replica runs, and %d show themselves", n)
	}
	release := e.Hold()
	o := e.PlaceOne(fakemagento.Placing{})
	e.AwaitHeld(1)
	killed.Kill()
	e.Start().AwaitReady()
	kit.Eventually(t, env.Patience, func() bool { return rows("suspect") == 1 }, "the message to be entered")
	release()
	e.AwaitDone(o)
	e.Finish()
	if suspects, processes := rows("suspect"), rows("process"); suspects != 0 || processes != 1 {
		t.Errorf("%d suspects are left, and %d processes, want that of the killed one", suspects, processes)
	}
}
