package pause_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mageline/mageline/internal/pause"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func list(t *testing.T, db *pgxpool.Pool) []pause.Pause {
	t.Helper()
	all, err := pause.List(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPause_IsSetAndCleared(t *testing.T) {
	db := database(t)
	if all := list(t, db); len(all) != 0 {
		t.Fatalf("a new database has the pauses %+v", all)
	}
	first, err := pause.Set(t.Context(), db, "order_placed", time.Time{}, "eva@one")
	if err != nil || first.Name != "order_placed" || first.Since.IsZero() || !first.Until.IsZero() || first.By != "eva@one" {
		t.Fatalf("%+v, %v", first, err)
	}
	until := time.Now().Add(time.Hour).Round(time.Microsecond)
	again, err := pause.Set(t.Context(), db, "order_placed", until, "ada@two")
	if err != nil || !again.Since.Equal(first.Since) || !again.Until.Equal(until) || again.By != "ada@two" {
		t.Errorf("paused again: %+v, %v; the first: %+v", again, err, first)
	}
	if _, err := pause.Set(t.Context(), db, "erp", time.Time{}, "eva@one"); err != nil {
		t.Fatal(err)
	}
	all := list(t, db)
	if len(all) != 2 || all[0].Name != "erp" || all[1].Name != "order_placed" || !all[1].Until.Equal(until) || !all[0].Until.IsZero() {
		t.Errorf("%+v", all)
	}
	for _, stood := range []bool{true, false} {
		if got, err := pause.Clear(t.Context(), db, "order_placed"); got != stood || err != nil {
			t.Errorf("cleared: stood %t, %v; want %t", got, err, stood)
		}
	}
	if all := list(t, db); len(all) != 1 || all[0].Name != "erp" {
		t.Errorf("%+v", all)
	}
}

// Each call of Clear is counted, whether a pause stood or not, so that replicas know of it.
func TestResumes_CountsEachClear(t *testing.T) {
	db := database(t)
	want := map[string]int64{}
	for _, name := range []string{"", "erp", "erp", "order_placed"} {
		if name != "" {
			if _, err := pause.Clear(t.Context(), db, name); err != nil {
				t.Fatal(err)
			}
			want[name]++
		}
		if got, err := pause.Resumes(t.Context(), db); err != nil || !maps.Equal(got, want) {
			t.Errorf("resumed %v, %v; want %v", got, err, want)
		}
	}
}

// A pause that has reached its end is none.
func TestList_LeavesOutEndedPauses(t *testing.T) {
	db := database(t)
	ended := func() pause.Pause {
		t.Helper()
		p, err := pause.Set(t.Context(), db, "erp", time.Now().Add(-time.Hour), "a")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	old := ended()
	if all := list(t, db); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if anew, err := pause.Set(t.Context(), db, "erp", time.Time{}, "a"); err != nil || !anew.Since.After(old.Since) {
		t.Errorf("paused anew since %s, %v; the ended one: %s", anew.Since, err, old.Since)
	}
	ended()
	if stood, err := pause.Clear(t.Context(), db, "erp"); stood || err != nil {
		t.Errorf("an ended pause stood: %t, %v", stood, err)
	}
}

func TestReason_DoesNotNameWhoPaused(t *testing.T) {
	since := time.Date(2026, 11, 23, 20, 10, 0, 0, time.FixedZone("", 3600))
	for want, p := range map[string]pause.Pause{
		"erp is paused by an operator since 2026-11-23T19:10:00Z":                                   {Name: "erp", Since: since, By: "eva@one"},
		"price_sync is paused by an operator since 2026-11-23T19:10:00Z until 2026-11-23T20:10:00Z": {Name: "price_sync", Since: since, Until: since.Add(time.Hour)},
	} {
		if got := p.Reason(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPause_FailsWithoutPostgres(t *testing.T) {
	db, err := pgxpool.New(t.Context(), "postgres://someone:secret@127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, set := pause.Set(t.Context(), db, "erp", time.Time{}, "a")
	_, clear := pause.Clear(t.Context(), db, "erp")
	_, list := pause.List(t.Context(), db)
	_, resumes := pause.Resumes(t.Context(), db)
	for what, err := range map[string]error{
		"pause erp: ": set, "resume erp: ": clear, "read the pauses: ": list, "read what was resumed: ": resumes,
	} {
		if err == nil || !strings.HasPrefix(err.Error(), what) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want %s…, got %v", what, err)
		}
	}
}
