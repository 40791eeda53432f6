package documents_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/test/kit"
)

var databases = kit.Databases{Migrate: func(ctx context.Context, url string) error {
	_, err := migrations.Up(ctx, url)
	return err
}}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := databases.Close(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

func newStore(t *testing.T) *documents.Store {
	t.Helper()
	parsed, err := pg.Parse(databases.Take(t), "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := parsed.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &documents.Store{DB: db}
}

var target = search.Target{Index: "products", Name: "products-1", Generation: "a"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, s *documents.Store, at search.Target, d documents.Document) *documents.Document {
	t.Helper()
	must(t, s.Begin(t.Context(), at, time.Now(), true, []*documents.Document{&d}))
	return &d
}

func end(t *testing.T, s *documents.Store, at search.Target, d *documents.Document, o documents.Outcome) {
	t.Helper()
	d.Outcome = o
	must(t, s.End(t.Context(), at, time.Now(), []*documents.Document{d}))
}

func wantState(t *testing.T, d *documents.Document, want documents.State) {
	t.Helper()
	if d.State != want {
		t.Errorf("version %d, hash %s: state %d, want %d", d.Version, d.Hash, d.State, want)
	}
}

func TestStore_LeavesUnchangedDocumentsOut(t *testing.T) {
	s := newStore(t)
	first := begin(t, s, target, documents.Document{SKU: "A-1", Version: 5, Hash: "h"})
	wantState(t, first, documents.Write)
	wantState(t, begin(t, s, target, documents.Document{SKU: "A-1", Version: 6, Hash: "h"}), documents.Write) // nobody knows yet
	end(t, s, target, first, documents.Written)
	wantState(t, begin(t, s, target, documents.Document{SKU: "A-1", Version: 7, Hash: "h"}), documents.Write) // 6 may have been something else
	seven := begin(t, s, target, documents.Document{SKU: "A-1", Version: 7, Hash: "h"})
	end(t, s, target, seven, documents.Written)
	nine := begin(t, s, target, documents.Document{SKU: "a-1 ", Version: 9, Hash: "h"})
	wantState(t, nine, documents.Unchanged)
	if nine.ID != "A-1" {
		t.Errorf("ID %q", nine.ID)
	}
	wantState(t, begin(t, s, target, documents.Document{SKU: "A-1", Version: 8, Hash: "other"}), documents.Stale)
	wantState(t, begin(t, s, target, documents.Document{SKU: "A-1", Version: 10, Hash: "other"}), documents.Write)
	// In another generation of the index nothing is known.
	again := search.Target{Index: "products", Name: "products-1", Generation: "b"}
	wantState(t, begin(t, s, again, documents.Document{SKU: "A-1", Version: 4, Hash: "h"}), documents.Write)
}

func TestStore_KeepsADeletionFromBeingUndone(t *testing.T) {
	s := newStore(t)
	gone := begin(t, s, target, documents.Document{SKU: "A", Version: 20})
	end(t, s, target, gone, documents.Written)
	wantState(t, begin(t, s, target, documents.Document{SKU: "A", Version: 19, Hash: "h"}), documents.Stale)
	wantState(t, begin(t, s, target, documents.Document{SKU: "A", Version: 21}), documents.Unchanged)
	must(t, s.Forget(t.Context(), time.Hour)) // the generation is none of those that there are
	wantState(t, begin(t, s, target, documents.Document{SKU: "A", Version: 19, Hash: "h"}), documents.Write)
}

func TestStore_KnowsNothingAfterTwoDocumentsOfOneVersion(t *testing.T) {
	s := newStore(t)
	one := begin(t, s, target, documents.Document{SKU: "A", Version: 5, Hash: "one"})
	other := begin(t, s, target, documents.Document{SKU: "A", Version: 5, Hash: "other"})
	end(t, s, target, other, documents.Written)
	end(t, s, target, one, documents.Written)
	wantState(t, begin(t, s, target, documents.Document{SKU: "A", Version: 6, Hash: "other"}), documents.Write)
}

func TestStore_ReturnsWhatWasNotHandledSince(t *testing.T) {
	s := newStore(t)
	m, err := s.Now(t.Context())
	must(t, err)
	docs := []*documents.Document{{SKU: "Done", Version: 1, Hash: "h"}, {SKU: "Rejected", Version: 1, Hash: "h"}, {SKU: "Lost", Version: 1, Hash: "h"}}
	must(t, s.Begin(t.Context(), target, m.At, true, docs))
	docs[0].Outcome, docs[1].Outcome = documents.Written, documents.Rejected
	must(t, s.End(t.Context(), target, m.At, docs))
	unseen, err := s.Unseen(t.Context(), target, []string{"Lost", "done", "Rejected", "Never"}, m.At)
	must(t, err)
	if !reflect.DeepEqual(unseen, []string{"Lost", "Never"}) {
		t.Errorf("unseen %v", unseen)
	}
	unseen, err = s.Unseen(t.Context(), target, []string{"Done"}, m.At.Add(time.Microsecond))
	if err != nil || len(unseen) != 1 {
		t.Errorf("later: %v %v", unseen, err)
	}
	// What is unchanged was handled, too.
	must(t, s.Begin(t.Context(), target, m.At.Add(time.Second), true, []*documents.Document{{SKU: "Done", Version: 2, Hash: "h"}}))
	unseen, err = s.Unseen(t.Context(), target, []string{"Done"}, m.At.Add(time.Second))
	if err != nil || len(unseen) != 0 {
		t.Errorf("after a look that found it unchanged: %v %v", unseen, err)
	}
}

func TestStore_NowIsNeverTheSame(t *testing.T) {
	s := newStore(t)
	last := int64(0)
	for range 50 {
		m, err := s.Now(t.Context())
		must(t, err)
		if m.Version <= last || m.Version < m.At.Add(-time.Second).UnixMilli() {
			t.Fatalf("version %d at %s after %d", m.Version, m.At, last)
		}
		last = m.Version
	}
}

// index is an engine that keeps the newest version, and forgets deletions as soon as it can.
type index struct {
	version int64
	content string
}

func (i *index) write(version int64, content string) documents.Outcome {
	if version < i.version {
		return documents.Overtaken
	}
	i.version, i.content = version, content
	if content == "" {
		i.version = 0
	}
	return documents.Written
}

// TestStore_LeavesTheNewestInTheIndex has several writers write one document in any order, each step of theirs at any time, some of
// them killed. A deletion is forgotten by the engine at once, but for writes that were on their way to it.
func TestStore_LeavesTheNewestInTheIndex(t *testing.T) {
	s := newStore(t)
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // a seed
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 60 {
		sku := fmt.Sprint("R-", round)
		contents := map[int64]string{}
		for v := range int64(8) {
			contents[v+1] = fmt.Sprint("c", r.IntN(3)) // some versions have the same content
		}
		var engine index
		type writer struct {
			doc  *documents.Document
			step int
		}
		var writers []*writer
		for _, v := range r.Perm(8) {
			writers = append(writers, &writer{doc: &documents.Document{SKU: sku, Version: int64(v) + 1, Hash: contents[int64(v)+1]}})
		}
		for len(writers) > 0 {
			n := r.IntN(min(len(writers), 3))
			w := writers[n]
			w.step++
			switch w.step {
			case 1:
				must(t, s.Begin(t.Context(), target, time.Now(), true, []*documents.Document{w.doc}))
				if w.doc.State != documents.Write {
					w.step = 3
				}
			case 2:
				w.doc.Outcome = engine.write(w.doc.Version, w.doc.Hash)
				if r.IntN(8) == 0 { // killed: its message comes again
					w.step, w.doc.Outcome = 0, documents.Unknown
				}
			case 3:
				must(t, s.End(t.Context(), target, time.Now(), []*documents.Document{w.doc}))
			}
			if w.step == 3 {
				writers = append(writers[:n], writers[n+1:]...)
			}
		}
		if engine.content != contents[8] {
			t.Fatalf("round %d: the index has %q of version %d, want %q", round, engine.content, engine.version, contents[8])
		}
	}
}

func TestStore_KnowsParents(t *testing.T) {
	s := newStore(t)
	must(t, s.SetParts(t.Context(), map[string][]string{"Shirt": {"Shirt-M", "shirt-L"}, "Set": {"shirt-l", "Hat"}}))
	parents, err := s.Parents(t.Context(), []string{"SHIRT-L"})
	if err != nil || !reflect.DeepEqual(parents, []string{"set", "shirt"}) {
		t.Errorf("parents %v %v", parents, err)
	}
	must(t, s.SetParts(t.Context(), map[string][]string{"shirt": {"Shirt-M"}, "set": nil}))
	if parents, err = s.Parents(t.Context(), []string{"Shirt-L", "Hat"}); err != nil || len(parents) != 0 {
		t.Errorf("parents %v %v", parents, err)
	}
}

func TestChanges_AreReadAtOnceAndWhenTheyHaveSettled(t *testing.T) {
	s := newStore(t)
	c := &documents.Changes{Store: s, Settle: time.Hour}
	due := func(c *documents.Changes) []documents.Due {
		t.Helper()
		all, err := c.Due(t.Context(), 10)
		must(t, err)
		return all
	}
	must(t, c.Coming(t.Context(), []string{"A", "a", "B"}))
	if all := due(c); len(all) != 0 {
		t.Errorf("due before the change: %+v", all)
	}
	must(t, c.Done(t.Context(), []string{"A"}))
	all := due(c)
	if len(all) != 1 || all[0].SKU != "a" || all[0].Last {
		t.Fatalf("due after the change: %+v", all)
	}
	must(t, c.Published(t.Context(), all))
	if all := due(c); len(all) != 0 {
		t.Errorf("due after it was published: %+v", all)
	}
	now := &documents.Changes{Store: s, Settle: time.Nanosecond}
	must(t, now.Done(t.Context(), []string{"A"}))
	all = due(now)
	if len(all) != 1 || !all[0].Last {
		t.Fatalf("due when it has settled: %+v", all)
	}
	must(t, now.Done(t.Context(), []string{"A"})) // it changes again while the message is published
	must(t, now.Published(t.Context(), all))
	if all = due(now); len(all) != 1 {
		t.Fatalf("due after another change: %+v", all)
	}
	must(t, now.Published(t.Context(), all))
	if n, err := now.Waiting(t.Context()); err != nil || n != 1 { // B
		t.Errorf("waiting: %d %v", n, err)
	}
}
