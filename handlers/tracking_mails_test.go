package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// One mail for a shipment that is made, with its number, and one for each number that is added later.
func TestTracked_Mails(t *testing.T) {
	t.Parallel()
	rules := making
	rules.Notify = true
	r := newRig(t, settings{tracking: rules})

	t.Run("made, then added", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.track(p, "T1")
		r.track(p, "T2")
		for range 2 {
			for _, number := range []string{"T1", "T2"} {
				outcome, err := r.tracked(parcel(p.IncrementID, number), repeated)
				isOutcome(t, outcome, err, event.Duplicate)
			}
		}
		if got := fmt.Sprint(r.shop.Shipments(p.EntityID)[0].Mails); got != "[[T1] [T1 T2]]" {
			t.Errorf("mails %s", got)
		}
	})
	t.Run("the number was there", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.track(p, "T1")
		r.track(p, "T1", items("24-MB01=2"))
		if n := r.mails(p); n != 1 {
			t.Errorf("%d mails", n)
		}
	})
	t.Run("a first attempt that failed costs no mail", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.Ship(p.EntityID, nil)
		r.toShop.with(http.MethodGet, 404, `{"message":"no"}`)
		_, err := r.tracked(parcel(p.IncrementID, "T"))
		isClass(t, err, event.NotFound)
		r.toShop.forget()
		outcome, err := r.tracked(parcel(p.IncrementID, "T"), repeated)
		isOutcome(t, outcome, err, event.Done)
		if n := r.mails(p); n != 1 {
			t.Errorf("%d mails", n)
		}
	})
	for name, kind := range map[string]fault.Kind{"sent, the answer lost": fault.Drop, "not sent, nobody knows": fault.Refuse} {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.shop.Ship(p.EntityID, nil)
			r.shop.Faults.Set(fault.Plan{Every: fault.Fault{Kind: kind}, Only: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/emails") }})
			_, err := r.tracked(parcel(p.IncrementID, "T"))
			isClass(t, err, event.Unavailable)
			r.isShipped(p, "0×2 T")
			if kind == fault.Refuse {
				r.withoutData() // as a row of before
			}
			before := r.mails(p)
			r.shop.Faults.Set(fault.Plan{})
			for _, want := range []event.Outcome{event.Done, event.Duplicate} {
				outcome, err := r.tracked(parcel(p.IncrementID, "T"), repeated)
				isOutcome(t, outcome, err, want)
			}
			if n := r.mails(p); n != before || n > 1 {
				t.Errorf("%d mails, %d before", n, before)
			}
			r.isShipped(p, "0×2 T")
		})
	}
	t.Run("refused for good", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.Ship(p.EntityID, nil)
		r.toShop.answering(func(w http.ResponseWriter, req *http.Request) bool {
			if !strings.HasSuffix(req.URL.Path, "/emails") {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			return true
		})
		r.track(p, "T")
		r.isShipped(p, "0×2 T")
		if !r.log.Has("shipment_mail_refused") {
			t.Error("nobody is told")
		}
	})
	t.Run("the ship's answer lost", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Drop}, Only: func(r *http.Request) bool { return r.Method == http.MethodPost }})
		_, err := r.tracked(parcel(p.IncrementID, "T"))
		isClass(t, err, event.Unavailable)
		r.shop.Faults.Set(fault.Plan{})
		outcome, err := r.tracked(parcel(p.IncrementID, "T"), repeated)
		isOutcome(t, outcome, err, event.Done)
		r.isShipped(p, "0×2 T")
		if n := r.mails(p); n != 1 {
			t.Errorf("%d mails", n)
		}
	})
}

// A 400 that answers ship says nothing: the shipments are read again before it is judged.
func TestTracked_MaskedSave(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	t.Run("saved all the same", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.MaskNextSaves(true)
		r.track(p, "T")
		isCalls(t, r.toShop, findOrder, findShipments, ship, findShipments)
		r.isShipped(p, "0×2 T")
	})
	t.Run("not saved", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.MaskNextSaves(false)
		_, err := r.tracked(parcel(p.IncrementID, "T"))
		isClass(t, err, event.Unavailable, "see error log")
		r.isShipped(p)
		r.isRow(handlers.TrackingReceived, p.IncrementID+":T", "track", idempotency.Uncertain)
		outcome, err := r.tracked(parcel(p.IncrementID, "T"), repeated)
		isOutcome(t, outcome, err, event.Done)
		r.isShipped(p, "0×2 T")
	})
	t.Run("nobody can look", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.MaskNextSaves(true)
		shipped := false
		r.toShop.answering(func(w http.ResponseWriter, req *http.Request) bool {
			if shipped = shipped || req.Method == http.MethodPost; !shipped || req.Method == http.MethodPost {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		})
		_, err := r.tracked(parcel(p.IncrementID, "T"))
		isClass(t, err, event.NotFound, "can't be read again")
		r.isRow(handlers.TrackingReceived, p.IncrementID+":T", "track", idempotency.Uncertain)
		r.toShop.forget()
		outcome, err := r.tracked(parcel(p.IncrementID, "T"), repeated)
		isOutcome(t, outcome, err, event.Done)
		r.isShipped(p, "0×2 T")
	})
	t.Run("a refusal that a shipment belies", func(t *testing.T) {
		r := r.in(t)
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.toShop.answering(func(w http.ResponseWriter, req *http.Request) bool {
			if req.Method != http.MethodPost {
				return false
			}
			r.toShop.next.ServeHTTP(discarded{}, req)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"message":"Shipment Document Validation Error(s):\nThe order does not allow a shipment to be created."}`))
			return true
		})
		r.track(p, "T")
		r.isShipped(p, "0×2 T")
	})
}
