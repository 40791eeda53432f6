package handlers_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// steppedTracking gives the handler with steps in between.
func (r *rig) steppedTracking(l *idempotency.Ledger, s *steps) *handlers.Tracked {
	s.Orders, s.Shipments = r.client.Orders, r.client.Shipments
	h := r.trackedOn(l)
	h.Orders, h.Shipments = s, s
	return h
}

// isTracked checks that an order has one shipment with the number once, and how many mails tell of it.
func (r *rig) isTracked(where string, p fakemagento.Placed, mails ...int) {
	r.t.Helper()
	shipments := r.shop.Shipments(p.EntityID)
	if len(shipments) != 1 || len(shipments[0].Tracks) != 1 || !slices.Contains(mails, len(shipments[0].Mails)) {
		r.t.Errorf("%s: shipments %+v; want one with one track, and mails %v", where, shipments, mails)
	}
}

// tracking is what is to be done: a number that makes a shipment, or is added to one.
type tracking struct {
	r      *rig
	adding bool
	n      int
}

// order places an order and gives it and the message for it.
func (k *tracking) order() (fakemagento.Placed, event.Event) {
	k.n++
	p := k.r.shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{line("A", 3)}})
	message := parcel(p.IncrementID, fmt.Sprint("T", k.n), items("A=1"))
	if k.adding {
		k.r.shop.Ship(p.EntityID, map[string]int64{k.r.rows(p)[0]: 1})
	}
	return p, event.Event{Body: []byte(message), Attempt: 1}
}

// A handling that panics, or is cancelled by a drain, at any moment: handled again, also more than once, the order has one
// shipment with one track, and at most one mail tells of it. Something is always left open to ship.
func TestTracked_StruckAtEachMoment(t *testing.T) {
	t.Parallel()
	rules := making
	rules.Notify = true
	r := newRig(t, settings{tracking: rules})
	second := r.replica("second")
	for _, adding := range []bool{false, true} {
		kind := tracking{r: r, adding: adding}
		for name, strike := range map[string]func(cancel context.CancelFunc) func(){
			"panic":  func(context.CancelFunc) func() { return func() { panic("struck") } },
			"cancel": func(cancel context.CancelFunc) func() { return cancel },
		} {
			for at := 1; ; at++ {
				p, e := kind.order()
				ctx, cancel := context.WithCancel(r.context())
				s := &steps{strike: strike(cancel), at: at}
				_, err := guarded(ctx, r.steppedTracking(r.ledger, s), e)
				cancel()
				if s.n < at { // past the last moment
					if err != nil {
						t.Errorf("undisturbed: %v", err)
					}
					if want := map[bool]int{false: 6, true: 8}[adding]; s.n != want {
						t.Errorf("%d moments, want %d: %q", s.n, want, s.names)
					}
					r.isTracked("undisturbed", p, 1)
					break
				}
				where := fmt.Sprintf("%s %s, adding %v", name, s.names[at-1], adding)
				for _, redelivered := range []bool{true, false} {
					e.Repeat = redelivered
					outcome, err := guarded(r.context(), r.trackedOn(second), e)
					if err != nil || outcome != event.Done && outcome != event.Duplicate {
						t.Fatalf("%s: handled again: %s, %v", where, outcome, err)
					}
				}
				if adding {
					r.isTracked(where, p, 0, 1)
				} else {
					r.isTracked(where, p, 1) // it goes with the shipment
				}
			}
		}
	}
}

// A process that is killed leaves its claims as they are. Whoever takes them over looks first.
func TestTracked_KilledAtEachStep(t *testing.T) {
	t.Parallel()
	rules := making
	rules.Notify = true
	r := newRig(t, settings{tracking: rules})
	left := func(key, effect string) {
		r.sql(`INSERT INTO effect (consumer, key, effect, state, owner, claim, lease_until, accepted, result, reason, class, created_at, updated_at)
			VALUES ('tracking_received', $1, $2, 'in_progress', 'killed/1', 1, now() - interval '1 second', false, '', '', '', now(), now())
			ON CONFLICT (consumer, key, effect) DO UPDATE SET state = 'in_progress', owner = 'killed/1', result = '', reason = '',
				lease_until = now() - interval '1 second'`, key, effect)
	}
	done := func(e event.Event) {
		outcome, err := r.trackedOn(r.ledger).Handle(r.context(), e)
		isOutcome(t, outcome, err, event.Done)
	}
	for _, tt := range []struct {
		name   string
		adding bool
		left   func(key string, e event.Event)
		mails  int
	}{
		{"after the claim", false, func(key string, _ event.Event) { left(key, "track") }, 1},
		{"after the shipment", false, func(key string, e event.Event) { done(e); left(key, "track") }, 1},
		{"after everything", false, func(_ string, e event.Event) { done(e) }, 1},
		{"adding, after the claim", true, func(key string, _ event.Event) { left(key, "track") }, 1},
		{"adding, after the track", true, func(key string, e event.Event) {
			h := r.trackedOn(r.ledger)
			h.Rules.Notify = false
			outcome, err := h.Handle(r.context(), e)
			isOutcome(t, outcome, err, event.Done)
			left(key, "track")
		}, 0},
		{"adding, after the claim of the mail", true, func(key string, e event.Event) {
			s := &steps{at: 7, strike: func() { panic("before the mail") }}
			_, _ = guarded(r.context(), r.steppedTracking(r.ledger, s), e)
			left(key, "mail")
		}, 0},
		{"adding, after the mail", true, func(key string, e event.Event) { done(e); left(key, "mail") }, 1},
	} {
		for _, redelivered := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, redelivered %v", tt.name, redelivered), func(t *testing.T) {
				kind := tracking{r: r, adding: tt.adding}
				p, e := kind.order()
				parsed, err := event.ParseTracking(e.Body)
				if err != nil {
					t.Fatal(err)
				}
				tt.left(parsed.Key(), e)
				e.Repeat = redelivered
				for range 2 {
					outcome, err := r.trackedOn(r.ledger).Handle(r.context(), e)
					if err != nil || outcome != event.Done && outcome != event.Duplicate {
						t.Fatalf("%s, %v", outcome, err)
					}
				}
				r.isTracked(tt.name, p, tt.mails)
			})
		}
	}
}

// While the lease of a killed process has not passed, nobody goes on; and a process that was only frozen, and wakes after
// another has taken over, sends nothing any more. Only a request that it had under way when it froze can come late, and
// Magento knows no key that would cover it.
func TestTracked_FrozenAtEachMoment(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 6; at++ {
		t.Run(fmt.Sprint("moment ", at), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{tracking: making, lease: 3 * time.Second})
			kind := tracking{r: r}
			p, e := kind.order()
			frozen, wake := make(chan struct{}), make(chan struct{})
			s := &steps{at: at, strike: func() {
				close(frozen)
				<-wake
			}}
			h := r.steppedTracking(r.ledger, s)
			woken := make(chan error, 1)
			go func() {
				_, err := h.Handle(r.context(), e)
				woken <- err
			}()
			await(t, frozen, woken)
			other := r.trackedOn(r.replica("second"))
			deferred := 0
			kit.Eventually(t, 30*time.Second, func() bool {
				_, err := other.Handle(r.context(), e)
				var d *event.Deferral
				if asDeferral(err, &d) {
					deferred++
					return false
				}
				if err != nil {
					t.Errorf("the other replica: %v", err)
				}
				return true
			}, "the lease to pass")
			if deferred == 0 {
				t.Error("the other replica did not wait for the lease")
			}
			r.isTracked("before it wakes", p, 0)
			close(wake)
			if err := <-woken; err == nil || strings.Contains(err.Error(), "panic") {
				t.Errorf("the frozen handling ended with %v", err)
			}
			r.isTracked("after it has woken", p, 0)
		})
	}
}
