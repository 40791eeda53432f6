package reindex_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/reindex"
)

func TestReindex_IndexesEverythingAndDeletesWhatIsGone(t *testing.T) {
	w := filled(t, 1000)
	gone := []string{w.remove(3), w.remove(700)}
	w.create()
	result, err := w.reindex().Run(t.Context(), reindex.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.want()
	if result.Handled != 999 || result.Deleted != 2 || result.Failed != 0 || result.Indexes[0].Documents != 999 {
		t.Errorf("%+v", result)
	}
	if len(w.deleted) != len(gone) {
		t.Errorf("deleted %v, want %v", w.deleted, gone)
	}
}

func TestReindex_SwapsANewIndexIn(t *testing.T) {
	w := filled(t, 700)
	w.remove(5)
	old := w.searched["products"]
	result, err := w.reindex().Run(t.Context(), reindex.Options{Swap: true, MinRatio: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	if w.searched["products"] == old || !result.Indexes[0].Swapped || result.Indexes[0].Before != 700 {
		t.Errorf("%+v", result)
	}
	w.want()
	store := &indexes.Store{DB: w.db}
	if targets, err := store.Targets(t.Context(), "products"); err != nil || len(targets["products"]) != 1 {
		t.Errorf("%v %v", targets, err)
	}
	if due, err := store.Due(t.Context(), 0); err != nil || len(due) != 1 || due[0].Name != old {
		t.Errorf("kept: %v %v", due, err)
	}
}

func TestReindex_LeavesAHalfEmptyIndexBesideTheOldOne(t *testing.T) {
	w := filled(t, 400)
	for n := range 100 {
		w.lost[fmt.Sprintf("P-%d", 2*n+1)] = true
	}
	old := w.searched["products"]
	result, err := w.reindex().Run(t.Context(), reindex.Options{Swap: true, MinRatio: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	if result.Indexes[0].Swapped || result.Indexes[0].Withheld == "" || result.Indexes[0].Documents != 300 || result.Failed != 100 || w.searched["products"] != old {
		t.Errorf("%+v", result)
	}
	w.change("P-201", 9) // goes to both
	// Whoever decides that it is enough goes on with it.
	result, err = w.reindex().Run(t.Context(), reindex.Options{Resume: true, MinRatio: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if !result.Indexes[0].Swapped || !result.Resumed {
		t.Errorf("%+v", result)
	}
}

func TestReindex_CountsWhatNobodyHandles(t *testing.T) {
	w := filled(t, 700)
	w.lost["P-11"] = true
	result, err := w.reindex().Run(t.Context(), reindex.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if result.Failed != 1 || result.Handled != 699 {
		t.Errorf("%+v", result)
	}
	w.want() // and its document is still there
}

func TestReindex_EndsWhereNobodyIsSubscribed(t *testing.T) {
	w := newWorld(t, 10)
	w.lost["P-1"] = true
	r := w.reindex()
	r.Patience = 100 * time.Millisecond
	r.Queue = func(context.Context) (reindex.Queue, error) { return reindex.Queue{Name: "q", Messages: 1}, nil }
	_, err := r.Run(t.Context(), reindex.Options{})
	var stalled *reindex.StalledError
	if !errors.As(err, &stalled) || stalled.Queue.Name != "q" {
		t.Errorf("error %v", err)
	}
	w.mu.Lock()
	delete(w.lost, "P-1")
	w.mu.Unlock()
	if result, err := w.reindex().Run(t.Context(), reindex.Options{Resume: true}); err != nil || result.Handled != 10 {
		t.Errorf("%+v %v", result, err)
	}
}

func TestReindex_IsRefusedWhileAnotherRuns(t *testing.T) {
	w := newWorld(t, 10)
	other := &reindex.Store{DB: w.db, Process: pg.NewProcess("shop-7/42"), Lease: 300 * time.Millisecond}
	st, err := other.Begin(t.Context(), false, []string{})
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_ = other.Renew(t.Context(), st.Owner)
			}
		}
	}()
	_, err = w.reindex().Run(t.Context(), reindex.Options{})
	var busy *reindex.BusyError
	if !errors.As(err, &busy) || busy.Holder != "shop-7/42" {
		t.Errorf("error %v", err)
	}
	close(stop)
	<-stopped
	// It is killed: its lease passes.
	if _, err = w.reindex().Run(t.Context(), reindex.Options{}); err != nil {
		t.Errorf("after the lease: %v", err)
	}
	if err := other.Renew(t.Context(), st.Owner); !errors.Is(err, reindex.ErrTakenOver) {
		t.Errorf("the one before: %v", err)
	}
}

func TestReindex_GoesOnAsTheRunItWas(t *testing.T) {
	w := filled(t, 10)
	w.killAt = 4
	if _, err := w.reindex().Run(t.Context(), reindex.Options{}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	w.killAt = 0
	var mismatch *reindex.MismatchError
	if _, err := w.reindex().Run(t.Context(), reindex.Options{Resume: true, Swap: true}); !errors.As(err, &mismatch) {
		t.Errorf("with --swap: %v", err)
	}
	if result, err := w.reindex().Run(t.Context(), reindex.Options{Resume: true}); err != nil || !result.Resumed {
		t.Errorf("%+v %v", result, err)
	}
	// With nothing to go on with it begins.
	if result, err := w.reindex().Run(t.Context(), reindex.Options{Resume: true}); err != nil || result.Resumed {
		t.Errorf("%+v %v", result, err)
	}
}

// TestReindex_EndsRightWhereverItIsKilled kills the command at each of its calls, with changes in between, and runs it again.
func TestReindex_EndsRightWhereverItIsKilled(t *testing.T) {
	for _, swap := range []bool{false, true} {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprintf("swap %t resume %t", swap, resume), func(t *testing.T) {
				t.Parallel()
				w := filled(t, 650)
				o := reindex.Options{Swap: swap, MinRatio: 0.5}
				for n := 1; ; n++ {
					w.remove(n % 7)
					w.create()
					w.mu.Lock()
					w.calls, w.killAt = 0, n
					w.mu.Unlock()
					_, err := w.reindex().Run(t.Context(), o)
					w.mu.Lock()
					w.killAt = 0
					sku := string(w.products[n%400].SKU)
					w.mu.Unlock()
					w.change(sku, 1000+n)
					if err == nil {
						break
					}
					if !errors.Is(err, errKilled) {
						t.Fatalf("killed at call %d: %v", n, err)
					}
					again := o
					again.Resume = resume
					if _, err := w.reindex().Run(t.Context(), again); err != nil {
						t.Fatalf("run again after it was killed at call %d: %v", n, err)
					}
					if !swap || !resume { // one that goes on with a swap need not see what was deleted without an event after it began
						w.want()
					}
					w.age()
				}
				if _, err := w.reindex().Run(t.Context(), o); err != nil {
					t.Fatal(err)
				}
				w.want()
			})
		}
	}
}

func TestReindex_RefusesAStoreWithoutIndex(t *testing.T) {
	w := newWorld(t, 1)
	if _, err := w.reindex().Run(t.Context(), reindex.Options{Stores: []string{"xx"}}); err == nil {
		t.Error("no error")
	}
	if _, err := w.reindex().State.Last(t.Context()); !reflect.DeepEqual(err, reindex.ErrNothing) {
		t.Errorf("a run was begun: %v", err)
	}
}
