package indexes_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/indexes"
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

func newStore(t *testing.T) *indexes.Store {
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
	return &indexes.Store{DB: db}
}

// engine is one whose Ensure returns what the test says.
type engine struct {
	search.Engine
	ensure func() (search.Target, error)
}

func (e engine) Ensure(context.Context, string, []search.Field) (search.Target, error) {
	return e.ensure()
}

func has(t search.Target) engine {
	return engine{ensure: func() (search.Target, error) { return t, nil }}
}

var (
	first  = search.Target{Index: "products", Name: "products-1", Generation: "a"}
	second = search.Target{Index: "products", Name: "products-2", Generation: "b"}
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func targets(t *testing.T, s *indexes.Store) []search.Target {
	t.Helper()
	all, err := s.Targets(t.Context(), "products", "other")
	must(t, err)
	return all["products"]
}

func ensure(t *testing.T, s *indexes.Store, e search.Engine) {
	t.Helper()
	_, err := s.Ensure(t.Context(), e, "products", nil)
	must(t, err)
}

func wantTargets(t *testing.T, s *indexes.Store, want ...search.Target) {
	t.Helper()
	if got := targets(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("written to: %v, want %v", got, want)
	}
}

func TestStore_WritesToBothWhileOneIsFilled(t *testing.T) {
	s := newStore(t)
	wantTargets(t, s)
	ensure(t, s, has(first))
	wantTargets(t, s, first)
	must(t, s.Fill(t.Context(), second))
	wantTargets(t, s, first, second)
	if next, ok, err := s.Filled(t.Context(), "products"); err != nil || !ok || next.Target != second {
		t.Errorf("filled: %v %t %v", next, ok, err)
	}

	must(t, s.Swapped(t.Context(), second))
	wantTargets(t, s, second)
	if due, err := s.Due(t.Context(), time.Hour); err != nil || len(due) > 0 {
		t.Errorf("due after a moment: %v %v", due, err)
	}
	due, err := s.Due(t.Context(), 0)
	if err != nil || !reflect.DeepEqual(due, []search.Target{first}) {
		t.Errorf("due: %v %v", due, err)
	}
	must(t, s.Removed(t.Context(), first))
	must(t, s.Removed(t.Context(), second)) // which is searched
	wantTargets(t, s, second)
	if all, err := s.Generations(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("generations: %v %v", all, err)
	}
}

func TestStore_AbandonsAGenerationForTheNext(t *testing.T) {
	s := newStore(t)
	ensure(t, s, has(first))
	must(t, s.Fill(t.Context(), second))
	third := search.Target{Index: "products", Name: "products-3", Generation: "c"}
	must(t, s.Fill(t.Context(), third))
	wantTargets(t, s, first, third)
	must(t, s.Abandon(t.Context(), "products"))
	wantTargets(t, s, first)
	due, err := s.Due(t.Context(), 24*time.Hour)
	if err != nil || len(due) != 2 {
		t.Errorf("due at once: %v %v", due, err)
	}
}

// A run that is killed between the engine's swap and its record leaves an engine that searches what is being filled.
func TestStore_FindsASwapThatWasNotRecorded(t *testing.T) {
	s := newStore(t)
	ensure(t, s, has(first))
	must(t, s.Fill(t.Context(), second))
	ensure(t, s, has(second))
	wantTargets(t, s, second)
	if due, err := s.Due(t.Context(), 0); err != nil || !reflect.DeepEqual(due, []search.Target{first}) {
		t.Errorf("kept: %v %v", due, err)
	}
}

// Algolia moves the new index to the name of the old one, which is gone then.
func TestStore_KeepsNothingWhereTheNewIndexGetsTheName(t *testing.T) {
	old := search.Target{Index: "products", Name: "products", Generation: "a"}
	next := search.Target{Index: "products", Name: "products_tmp_b", Generation: "b"}
	now := search.Target{Index: "products", Name: "products", Generation: "b"}
	for name, record := range map[string]func(*indexes.Store){
		"recorded by the run": func(s *indexes.Store) { must(t, s.Swapped(t.Context(), now)) },
		"found by a replica":  func(s *indexes.Store) { ensure(t, s, has(now)) },
	} {
		s := newStore(t)
		ensure(t, s, has(old))
		must(t, s.Fill(t.Context(), next))
		record(s)
		wantTargets(t, s, now)
		if due, err := s.Due(t.Context(), 0); err != nil || len(due) > 0 {
			t.Errorf("%s: due: %v %v", name, due, err)
		}
	}
}

// What somebody else has put in the place of an index is not mageline's to remove.
func TestStore_RemovesNoIndexThatOthersReplaced(t *testing.T) {
	s := newStore(t)
	ensure(t, s, has(first))
	again := search.Target{Index: "products", Name: "products-1", Generation: "c"}
	ensure(t, s, has(again))
	wantTargets(t, s, again)
	if due, err := s.Due(t.Context(), 0); err != nil || len(due) > 0 {
		t.Errorf("due: %v %v", due, err)
	}
}

func TestStore_RecordsNoTargetThatWasReadBeforeASwap(t *testing.T) {
	s := newStore(t)
	ensure(t, s, has(first))
	must(t, s.Fill(t.Context(), second))
	asked := 0
	ensure(t, s, engine{ensure: func() (search.Target, error) {
		asked++
		if asked > 1 {
			return second, nil
		}
		must(t, s.Swapped(t.Context(), second)) // while the answer is on its way
		return first, nil
	}})
	wantTargets(t, s, second)
	if asked != 2 {
		t.Errorf("the engine was asked %d times", asked)
	}
}

func TestStore_RecordsAnIndexThatNeedsASwap(t *testing.T) {
	s := newStore(t)
	needs := &search.NeedsSwapError{Index: "products", Fields: []string{"price"}}
	target, err := s.Ensure(t.Context(), engine{ensure: func() (search.Target, error) { return first, needs }}, "products", nil)
	if !errors.Is(err, needs) || target != first {
		t.Errorf("%v %v", target, err)
	}
	wantTargets(t, s, first)
}
