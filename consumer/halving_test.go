package consumer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
)

// halved has a downstream answer every call of a batch of n entries, each of a message of its own, and returns what became of
// each message and the calls.
func halved(n int, answer func(at []int) error) (errs []error, calls []Call) {
	g := newGatherer[int](&Batch{Size: n, Concurrency: 1})
	for i := range n {
		g.arrive(i)
		g.parsed(g.next(), []Entry{{Value: i}}, 10, nil, time.Time{})
	}
	b, _ := g.batch(time.Time{}, true)
	for c, ok := g.call(b); ok; c, ok = g.call(b) {
		calls = append(calls, c)
		var at []int
		for _, e := range c.Entries {
			at = append(at, e.Value.(int))
		}
		g.answered(b, make([]Result, len(at)), answer(at), true)
	}
	errs = make([]error, n)
	for _, e := range g.take() {
		errs[e.message] = e.err
	}
	return errs, calls
}

// over returns an answer that is err for each call that has one of the entries at fault.
func over(err error, guilty []int) func([]int) error {
	return func(at []int) error {
		for _, i := range guilty {
			if slices.Contains(at, i) {
				return err
			}
		}
		return nil
	}
}

func TestBatch_HalvesUntilTheEntryAtFaultIsAlone(t *testing.T) {
	t.Parallel()
	every := make([]int, 500)
	for i := range every {
		every[i] = i
	}
	for _, tt := range []struct {
		name   string
		err    error
		guilty []int
		most   int // calls
	}{
		{"none", errRefused, nil, 1},
		{"one refused", errRefused, []int{123}, 19},
		{"the first refused", errRefused, []int{0}, 19},
		{"the last refused", errRefused, []int{499}, 19},
		{"all refused", errRefused, every, 999},
		{"refused without a status", event.Errorf(event.Invalid, "too many"), []int{7, 8}, 40},
		{"one fails", errFailed, []int{123}, 20},
		{"the first fails", errFailed, []int{0}, 20},
		{"neighbours fail", errFailed, []int{100, 101, 102}, 40},
		{"some fail", errFailed, []int{3, 77, 250, 499}, 80},
		{"the handler panics", event.Errorf(event.Internal, "panic"), []int{250}, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			errs, calls := halved(500, over(tt.err, tt.guilty))
			for i, err := range errs {
				if guilty := slices.Contains(tt.guilty, i); guilty != (err != nil) || guilty && !errors.Is(err, tt.err) {
					t.Errorf("entry %d ended with %v", i, err)
				}
			}
			if len(calls) > tt.most {
				t.Errorf("%d calls, at most %d are needed", len(calls), tt.most)
			}
			whole := 0
			for _, c := range calls {
				if c.Halving == (len(c.Entries) == 500) {
					t.Errorf("a call of %d entries has Halving %v", len(c.Entries), c.Halving)
				}
				if !c.Halving {
					whole++
				}
			}
			if want := 1 + map[bool]int{true: 1}[faultOf(tt.err) == failed && len(tt.guilty) > 0]; whole != want {
				t.Errorf("all of it was called %d times, want %d", whole, want)
			}
		})
	}
}

// A failure that is no entry's fault is not looked for among the entries.
func TestBatch_EndsOverWhatIsNoEntrysFault(t *testing.T) {
	t.Parallel()
	answered := func(class event.Class, status int) error {
		return &event.Error{Class: class, Status: status, Err: fmt.Errorf("answered %d", status)}
	}
	for _, tt := range []struct {
		name  string
		err   error
		calls int
	}{
		{"throttled", answered(event.Throttled, 429), 1},
		{"unauthorized", answered(event.Unauthorized, 401), 1},
		{"not found", answered(event.NotFound, 404), 1},
		{"not allowed", answered(event.Rejected, 405), 1},
		{"connection lost", answered(event.Unavailable, 0), 1},
		{"redirected", answered(event.Unavailable, 302), 1},
		{"timed out", answered(event.Timeout, 408), 1},
		{"circuit open", event.NotDone(&event.Deferral{Reason: "open", Downstream: "magento"}), 1},
		{"down whatever it is sent", answered(event.Unavailable, 503), 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			errs, calls := halved(500, func([]int) error { return tt.err })
			for i, err := range errs {
				if !errors.Is(err, tt.err) {
					t.Fatalf("entry %d ended with %v", i, err)
				}
			}
			if len(calls) > tt.calls {
				t.Errorf("%d calls, want at most %d", len(calls), tt.calls)
			}
		})
	}
}

// With a circuit that is not closed, a failure is the downstream's.
func TestBatch_DoesNotHalveAFailureWhileTheCircuitIsOpen(t *testing.T) {
	t.Parallel()
	g := newGatherer[string](&Batch{Size: 2, Concurrency: 1})
	g.arrive("m")
	g.parsed(g.next(), make([]Entry, 2), 10, nil, time.Time{})
	b, _ := g.batch(time.Time{}, false)
	g.call(b)
	g.answered(b, nil, errFailed, true)
	if c, ok := g.call(b); !ok || len(c.Entries) != 2 || c.Halving {
		t.Fatalf("after a failure %+v is called, %v; want the same again", c, ok)
	}
	g.answered(b, nil, errFailed, false)
	if _, ok := g.call(b); ok {
		t.Error("a call is made though the circuit is open")
	}
	if e := g.take(); len(e) != 1 || !errors.Is(e[0].err, errFailed) {
		t.Errorf("ended %v", e)
	}
}
