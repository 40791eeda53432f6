package taken_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/taken"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

func TestStore_KeepsNotesOfEachInbox(t *testing.T) {
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s, other := taken.Store{DB: db, Inbox: "tracking"}, taken.Store{DB: db, Inbox: "prices"}
	all := func(s taken.Store) []inbox.Taken {
		t.Helper()
		notes, err := s.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return notes
	}
	wrote := time.Now().Round(time.Nanosecond)
	first := inbox.Taken{Path: "processed/ü.csv", From: "ü.csv", SHA256: "ab", Size: 5, Beside: &inbox.Beside{Path: "failed/x", Size: 1, Wrote: wrote}}
	for _, put := range []struct {
		to   taken.Store
		note inbox.Taken
	}{{s, inbox.Taken{Path: "processed/ü.csv"}}, {s, first}, {s, inbox.Taken{Path: "failed/b.csv"}}, {other, first}} {
		if err := put.to.Put(t.Context(), put.note); err != nil {
			t.Fatal(err)
		}
	}
	notes := all(s)
	if len(notes) != 2 || len(all(other)) != 1 {
		t.Fatalf("notes: %+v, of the other %+v", notes, all(other))
	}
	got := notes[0]
	if got.Path != first.Path || got.From != first.From || got.SHA256 != "ab" || got.Size != 5 || got.Beside == nil || !got.Beside.Wrote.Equal(wrote) {
		t.Errorf("got %+v, want %+v", got, first)
	}
	if got.Age < notes[1].Age || got.Age <= 0 || got.Age > time.Hour {
		t.Errorf("the first is there for %s, the second for %s", got.Age, notes[1].Age)
	}
	for range 2 {
		if err := s.Drop(t.Context(), first.Path); err != nil {
			t.Fatal(err)
		}
	}
	if len(all(s)) != 1 || len(all(other)) != 1 {
		t.Errorf("notes: %+v, of the other %+v", all(s), all(other))
	}
}
