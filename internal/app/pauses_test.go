package app

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/pause"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// With Postgres away the pauses that are known stay, and those set meanwhile are found when it is back.
func TestPauses_StayWhilePostgresIsAway(t *testing.T) {
	database := kit.Database(t)
	if _, err := migrations.Up(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	direct, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	set := func(name string) {
		t.Helper()
		if _, err := pause.Set(t.Context(), direct, name, time.Time{}, "op@test"); err != nil {
			t.Fatal(err)
		}
	}
	set("erp")
	proxy, url := kit.ProxyURL(t, database)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var told []map[string]string
	var resumed []string
	p := &pauses{
		db: pool, log: zerolog.Nop(),
		tell:    func(reasons map[string]string) { told = append(told, maps.Clone(reasons)) },
		resumed: func(name string) { resumed = append(resumed, name) },
	}
	if p.begun() {
		t.Error("they are known before they were read")
	}
	if err := p.read(t.Context()); err != nil || len(told) != 1 || told[0]["erp"] == "" || !p.begun() {
		t.Fatalf("told %v, %v", told, err)
	}
	proxy.Refuse()
	if err := p.read(t.Context()); err == nil || len(told) != 1 {
		t.Errorf("told %v, %v", told, err)
	}
	set("order_placed")
	if stood, err := pause.Clear(t.Context(), direct, "erp"); err != nil || !stood {
		t.Fatalf("resume: it was paused: %v, %v", stood, err)
	}
	proxy.Accept()
	if err := p.read(t.Context()); err != nil || len(told) != 2 || told[1]["erp"] != "" || told[1]["order_placed"] == "" {
		t.Errorf("told %v, %v", told, err)
	}
	if !slices.Equal(resumed, []string{"erp"}) {
		t.Errorf("resumed: %v", resumed)
	}
}
