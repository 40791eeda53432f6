package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Whatever becomes of a request to the shop, no number is there twice, and no piece is shipped twice.
func TestTracked_LostAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	for name, kind := range map[string]fault.Fault{
		"dropped after the work": {Kind: fault.Drop}, "refused before": {Kind: fault.Refuse}, "failed": {Kind: fault.Fail, Status: 503},
		"garbled": {Kind: fault.Garble}, "deadlock": {Kind: fault.Fail, Status: 400},
	} {
		for _, adding := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, adding %v", name, adding), func(t *testing.T) {
				r := r.in(t)
				p := r.shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{line("A", 5)}})
				want := "0×1 T"
				message := parcel(p.IncrementID, "T", items("A=1"))
				if adding {
					r.shop.Ship(p.EntityID, nil)
					want, message = "0×5 T", parcel(p.IncrementID, "T")
				}
				r.shop.Faults.Set(fault.Plan{Every: kind, Only: func(r *http.Request) bool { return r.Method == http.MethodPost }})
				for range 3 {
					if _, err := r.tracked(message, repeated); err == nil && kind.Kind != fault.Drop && kind.Kind != fault.Garble {
						t.Error("it went well")
					}
				}
				r.shop.Faults.Set(fault.Plan{})
				outcome, err := r.tracked(message, repeated)
				if err != nil || outcome != event.Done && outcome != event.Duplicate {
					t.Fatalf("%s, %v", outcome, err)
				}
				r.isShipped(p, want)
			})
		}
	}
}

// Parcels of one order at the same moment on two replicas: one writes to the order at a time.
func TestTracked_ParcelsAtTheSameMoment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	replicas := []*handlers.Tracked{r.trackedOn(r.ledger), r.trackedOn(r.replica("second"))}
	p := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "000007123", Lines: []fakemagento.Line{line("A", 4), line("B", 4)}})
	r.shop.Faults.Set(fault.Plan{Latency: 20 * time.Millisecond}) // long enough for another to be let in
	var mu sync.Mutex
	writing, most := 0, 0
	r.toShop.answering(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost {
			return false
		}
		mu.Lock()
		writing++
		most = max(most, writing)
		mu.Unlock()
		r.toShop.next.ServeHTTP(w, req)
		mu.Lock()
		writing--
		mu.Unlock()
		return true
	})
	var all sync.WaitGroup
	for n := range 8 {
		for i := range 2 { // the same event on both
			all.Go(func() {
				sku := []string{"A=1", "B=1"}[n%2]
				order := []string{p.IncrementID, strings.TrimLeft(p.IncrementID, "0")}[n/4] // whatever it is called
				e := event.Event{Body: []byte(parcel(order, fmt.Sprint("T", n), items(sku))), Attempt: 1}
				kit.Eventually(t, 60*time.Second, func() bool {
					_, err := replicas[i].Handle(r.context(), e)
					var d *event.Deferral
					if err != nil && !asDeferral(err, &d) {
						t.Error(err)
					}
					return err == nil
				}, "the other parcels")
			})
		}
	}
	all.Wait()
	numbers := map[string]int{}
	for _, s := range r.shop.Shipments(p.EntityID) {
		if len(s.Tracks) != 1 || len(s.Items) != 1 {
			t.Errorf("shipment %+v", s)
		}
		for _, track := range s.Tracks {
			numbers[track.Number]++
		}
	}
	if len(numbers) != 8 || len(r.shop.Shipments(p.EntityID)) != 8 || most != 1 {
		t.Errorf("%v; %d writes at once", numbers, most)
	}
}

// Two parcels without items at the same moment: one makes the shipment, the other adds its number.
func TestTracked_TwoNumbersOfOneShipment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	replicas := []*handlers.Tracked{r.trackedOn(r.ledger), r.trackedOn(r.replica("second"))}
	for range 5 {
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		var all sync.WaitGroup
		for i, h := range replicas {
			all.Go(func() {
				e := event.Event{Body: []byte(parcel(p.IncrementID, fmt.Sprint("T", i))), Attempt: 1}
				kit.Eventually(t, 60*time.Second, func() bool {
					_, err := h.Handle(r.context(), e)
					return err == nil
				}, "the other parcel")
			})
		}
		all.Wait()
		shipments := r.shop.Shipments(p.EntityID)
		if len(shipments) != 1 || len(shipments[0].Tracks) != 2 {
			t.Errorf("shipments %+v", shipments)
		}
	}
}
