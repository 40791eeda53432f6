package consumer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
)

func TestDecide_EachEndOfAHandling(t *testing.T) {
	const short, middle, long = time.Second, 10 * time.Second, time.Minute
	delays := []time.Duration{middle, short, long} // not in order: attempts follow the list, picks the length
	failed := func(c event.Class) error { return &event.Error{Class: c, Err: errors.New("x")} }
	tests := []struct {
		name string
		give facts // delays are set below
		want verdict
	}{
		{"success", facts{outcome: event.Done, circuitsClosed: true}, verdict{action: acknowledge}},
		{"success with an open circuit", facts{outcome: event.Done}, verdict{action: acknowledge}},
		{"success as it was cut", facts{outcome: event.Done, cut: true}, verdict{action: acknowledge}},
		{"cut", facts{err: failed(event.Unavailable), cut: true}, verdict{action: requeue}},
		{"cut beats poison", facts{err: failed(event.Rejected), cut: true}, verdict{action: requeue}},

		{"malformed", facts{err: failed(event.Malformed), circuitsClosed: true}, verdict{action: deadLetter, class: event.Malformed, reason: "poison"}},
		{"invalid", facts{err: failed(event.Invalid)}, verdict{action: deadLetter, class: event.Invalid, reason: "poison"}},
		{"rejected at the last attempt", facts{err: failed(event.Rejected), attempt: 4}, verdict{action: deadLetter, class: event.Rejected, reason: "poison"}},

		{"not found", facts{err: failed(event.NotFound), circuitsClosed: true}, verdict{action: retry, delay: middle, class: event.NotFound}},
		{"not found is no matter of circuits", facts{err: failed(event.NotFound)}, verdict{action: retry, delay: middle, class: event.NotFound}},
		{"second attempt", facts{err: failed(event.NotFound), attempt: 2, circuitsClosed: true}, verdict{action: retry, delay: short, class: event.NotFound}},
		{"third attempt", facts{err: failed(event.NotFound), attempt: 3, circuitsClosed: true}, verdict{action: retry, delay: long, class: event.NotFound}},
		{"attempts used up", facts{err: failed(event.NotFound), attempt: 4, circuitsClosed: true}, verdict{action: deadLetter, class: event.NotFound, reason: "exhausted"}},
		{"more attempts than delays are left of an older setting", facts{err: failed(event.NotFound), attempt: 9, circuitsClosed: true}, verdict{action: deadLetter, class: event.NotFound, reason: "exhausted"}},
		{"no class", facts{err: errors.New("x"), circuitsClosed: true}, verdict{action: retry, delay: middle, class: event.Internal}},
		{"no class, circuit open", facts{err: errors.New("x")}, verdict{action: retry, delay: middle, class: event.Internal}},

		{"unavailable", facts{err: failed(event.Unavailable), circuitsClosed: true}, verdict{action: retry, delay: middle, class: event.Unavailable}},
		{"unavailable, circuit open", facts{err: failed(event.Unavailable)}, verdict{action: postpone, delay: short, class: event.Unavailable, held: true}},
		{"unavailable, circuit open, attempts used up", facts{err: failed(event.Unavailable), attempt: 4}, verdict{action: postpone, delay: short, class: event.Unavailable, held: true}},
		{"timeout", facts{err: failed(event.Timeout), circuitsClosed: true}, verdict{action: retry, delay: middle, class: event.Timeout}},
		{"timeout, circuit open", facts{err: failed(event.Timeout)}, verdict{action: postpone, delay: short, class: event.Timeout, held: true}},

		{"throttled", facts{err: failed(event.Throttled), circuitsClosed: true}, verdict{action: postpone, delay: short, class: event.Throttled}},
		{
			"throttled for a while",
			facts{err: &event.Error{Class: event.Throttled, RetryAfter: 2 * time.Second, Err: errors.New("x")}, attempt: 4},
			verdict{action: postpone, delay: middle, class: event.Throttled},
		},
		{
			"throttled for longer than any delay",
			facts{err: fmt.Errorf("x: %w", &event.Error{Class: event.Throttled, RetryAfter: time.Hour, Err: errors.New("x")})},
			verdict{action: postpone, delay: long, class: event.Throttled},
		},

		{
			"unauthorized",
			facts{err: failed(event.Unauthorized), attempt: 4, refusals: 1, freshRefusal: true, circuitsClosed: true},
			verdict{action: postpone, delay: middle, class: event.Unauthorized, unauthorized: true, refusals: 1},
		},
		{
			"unauthorized again, others pass",
			facts{err: failed(event.Unauthorized), refusals: 2, freshRefusal: true},
			verdict{action: postpone, delay: short, class: event.Unauthorized, unauthorized: true, refusals: 2},
		},
		{
			"unauthorized again, nothing passes",
			facts{err: failed(event.Unauthorized), refusals: 1},
			verdict{action: postpone, delay: short, class: event.Unauthorized, unauthorized: true, refusals: 1},
		},
		{
			"unauthorized for the third time",
			facts{err: failed(event.Unauthorized), refusals: 3, freshRefusal: true},
			verdict{action: deadLetter, class: event.Rejected, reason: "poison"},
		},

		{"deferred", facts{err: &event.Deferral{Wait: middle, Pick: event.Nearest}, attempt: 4}, verdict{action: postpone, delay: middle}},
		{"deferred, wrapped", facts{err: event.WithKey(fmt.Errorf("x: %w", &event.Deferral{Wait: long, Pick: event.NotShorter}), "k")}, verdict{action: postpone, delay: long}},
		{"circuit open", facts{err: event.NotDone(&event.Deferral{Downstream: "erp"})}, verdict{action: postpone, delay: short, held: true}},
		{"Postgres away", facts{err: &event.Deferral{Downstream: "postgres"}}, verdict{action: postpone, delay: short, held: true, postgresAway: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.give.delays = delays
			tt.give.attempt = max(1, tt.give.attempt)
			if got := decide(tt.give); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// No class is forgotten: whatever fails is retried or dead-lettered, and nothing is dropped.
func TestDecide_EveryClassEnds(t *testing.T) {
	classes := []event.Class{
		event.Malformed, event.Invalid, event.NotFound, event.Rejected, event.Unauthorized, event.Throttled, event.Unavailable,
		event.Timeout, event.Internal, "a class of a later version",
	}
	for _, class := range classes {
		for attempt := 1; attempt < 5; attempt++ {
			for _, closed := range []bool{true, false} {
				v := decide(facts{
					err: event.Errorf(class, "x"), attempt: attempt, delays: []time.Duration{1, 2}, circuitsClosed: closed,
					refusals: attempt, freshRefusal: closed,
				})
				if v.action == acknowledge || v.action == requeue {
					t.Errorf("%s at attempt %d: action %d", class, attempt, v.action)
				}
				if (v.action == retry || v.action == postpone) && v.delay == 0 {
					t.Errorf("%s at attempt %d waits in no queue", class, attempt)
				}
			}
		}
	}
}

func TestPick_OfTheRetryDelays(t *testing.T) {
	delays := []time.Duration{30, 5, 120, 5, 600}
	tests := []struct {
		how        event.Pick
		wait, want time.Duration
	}{
		{event.Shortest, 0, 5},
		{event.Shortest, 600, 5},
		{event.NotShorter, 0, 5},
		{event.NotShorter, 5, 5},
		{event.NotShorter, 6, 30},
		{event.NotShorter, 600, 600},
		{event.NotShorter, 601, 600},
		{event.NotLonger, 601, 600},
		{event.NotLonger, 600, 600},
		{event.NotLonger, 599, 120},
		{event.NotLonger, 5, 5},
		{event.NotLonger, 1, 5},
		{event.Nearest, 0, 5},
		{event.Nearest, 17, 5},
		{event.Nearest, 18, 30},
		{event.Nearest, 80, 120},
		{event.Nearest, 9999, 600},
	}
	for _, tt := range tests {
		if got := pick(delays, tt.how, tt.wait); got != tt.want {
			t.Errorf("pick %d of %v for %d: %d, want %d", tt.how, delays, tt.wait, got, tt.want)
		}
	}
	if got := pick([]time.Duration{7}, event.NotShorter, 100); got != 7 {
		t.Errorf("the only delay: %d", got)
	}
}

func TestFoldErrors_OfOneMessage(t *testing.T) {
	transient, deferral, poison := event.Errorf(event.NotFound, "t"), error(&event.Deferral{}), event.Errorf(event.Invalid, "p")
	tests := []struct {
		name string
		errs []error
		want error
	}{
		{"none", nil, nil},
		{"all well", []error{nil, nil}, nil},
		{"poison among good", []error{nil, poison, nil}, poison},
		{"transient beats poison", []error{poison, transient}, transient},
		{"deferral beats poison", []error{poison, nil, deferral}, deferral},
		{"transient beats deferral", []error{deferral, poison, transient}, transient},
		{"the first of its kind", []error{transient, event.Errorf(event.Timeout, "later")}, transient},
	}
	for _, tt := range tests {
		if got := foldErrors(tt.errs); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestFoldOutcomes_OfOneMessage(t *testing.T) {
	all := []event.Outcome{event.Skipped, event.Duplicate, event.Stale, event.Done}
	for i, want := range all {
		if got := foldOutcomes(all[:i+1]); got != want {
			t.Errorf("%v: %s, want %s", all[:i+1], got, want)
		}
		backwards := slices.Clone(all[:i+1])
		slices.Reverse(backwards)
		if got := foldOutcomes(backwards); got != want {
			t.Errorf("%v: %s, want %s", backwards, got, want)
		}
	}
}
