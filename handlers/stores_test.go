package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// sentOrder is what of a sales order tells its store and time.
type sentOrder struct {
	PlacedAt string `json:"placed_at"`
	PlacedOn string `json:"placed_on"`
	Store    struct {
		ID   int    `json:"id"`
		Code string `json:"code"`
		Name string `json:"name"`
	} `json:"store"`
}

// salesOrder reads the sales order that the ERP was sent.
func (r *rig) salesOrder(p fakemagento.Placed) (o sentOrder) {
	r.t.Helper()
	documents := r.erp.DocumentsOf(p.IncrementID)
	if len(documents) != 1 {
		r.t.Fatalf("%d documents", len(documents))
	}
	if err := json.Unmarshal(documents[0].Body, &o); err != nil {
		r.t.Fatal(err)
	}
	return o
}

var (
	beforeMidnight = time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC)
	twoStores      = []fakemagento.Store{
		{ID: 1, Code: "de", Name: "Deutschland", WebsiteID: 1, Timezone: "Europe/Berlin", BaseCurrency: "EUR"},
		{ID: 2, Code: "us", Name: "Pacific", WebsiteID: 1, Timezone: "America/Los_Angeles", BaseCurrency: "USD"},
		{ID: 3, Code: "odd", Name: "Odd", WebsiteID: 1, Timezone: "Middle-earth/Shire", BaseCurrency: "EUR"},
	}
)

func TestStores_DateOfTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: fakemagento.Options{Stores: twoStores}})
	h := r.placedOn(r.ledger)
	for _, tt := range []struct {
		store int
		on    string
		code  string
	}{{1, "2026-11-23", "de"}, {2, "2026-11-22", "us"}, {3, "2026-11-22", "odd"}, {1, "2026-11-23", "de"}} {
		p := r.shop.PlaceOrder(fakemagento.Placing{StoreID: tt.store, CreatedAt: beforeMidnight})
		outcome, err := r.handle(h, number(p.IncrementID))
		isOutcome(t, outcome, err, event.Done)
		if o := r.salesOrder(p); o.PlacedOn != tt.on || o.PlacedAt != "2026-11-22T23:30:00Z" || o.Store.Code != tt.code || o.Store.ID != tt.store {
			t.Errorf("store %d: %+v, want placed on %s", tt.store, o, tt.on)
		}
	}
	if !r.log.Has("store_timezone_unknown", "level", "warn", "timezone", "Middle-earth/Shire") {
		t.Error("no warning of the time zone that nobody knows")
	}
	requests := r.shop.Requests()
	if requests["GET /V1/store/storeConfigs"] != 1 || requests["GET /V1/store/storeViews"] != 1 {
		t.Errorf("the stores were not read once: %v", requests)
	}
}

func TestStores_StoresThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{401, 403, 404, 400} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{})
			r.toShop.answering(func(w http.ResponseWriter, q *http.Request) bool {
				if strings.Contains(q.URL.Path, "/store/") {
					w.WriteHeader(status)
					_, _ = w.Write([]byte(`{"message":"The consumer isn't authorized to access %resources.","parameters":{"resources":"Magento_Backend::store"}}`))
				}
				return strings.Contains(q.URL.Path, "/store/")
			})
			h := r.placedOn(r.ledger)
			h.Stores.Location = tokyo
			for range 2 {
				p := r.shop.PlaceOrder(fakemagento.Placing{CreatedAt: beforeMidnight})
				outcome, err := r.handle(h, number(p.IncrementID))
				isOutcome(t, outcome, err, event.Done)
				if o := r.salesOrder(p); o.PlacedOn != "2026-11-23" || o.Store.Name != "Default Store View" {
					t.Errorf("%+v, want the date in Tokyo and the name that the order has", o)
				}
			}
			if !r.log.Has("store_configuration_unreadable", "level", "warn") {
				t.Error("no warning")
			}
			if n := r.shop.Requests()["GET /V1/store/storeViews"]; n > 2 {
				t.Errorf("asked %d times for what may not be read", n)
			}
		})
	}
}

// The date an order is booked under must not depend on Magento being away for a moment.
func TestStores_StoresThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.toShop.answering(func(w http.ResponseWriter, q *http.Request) bool {
		if strings.Contains(q.URL.Path, "/store/") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return strings.Contains(q.URL.Path, "/store/")
	})
	_, err := r.placed(number(p.IncrementID))
	isClass(t, err, event.Unavailable)
	r.isCreate(p.IncrementID, idempotency.Failed)
	isCalls(t, r.toERP)
	r.toShop.answering(nil)
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, create)
	r.isOnce(p)
}

// Readings of the stores that hang hold up nobody beyond his own time.
func TestStores_HangingStoresLetGo(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	var hanging atomic.Int32
	r.toShop.answering(func(_ http.ResponseWriter, q *http.Request) bool {
		if !strings.Contains(q.URL.Path, "/store/") {
			return false
		}
		hanging.Add(1)
		<-q.Context().Done()
		panic(http.ErrAbortHandler)
	})
	h := r.placedOn(r.ledger)
	start := func(p fakemagento.Placed, readings int32) (stop func() error) {
		ctx, cancel := context.WithCancel(r.context())
		t.Cleanup(cancel)
		ended := make(chan error, 1)
		go func() {
			_, err := h.Handle(ctx, event.Event{Body: []byte(number(p.IncrementID)), Attempt: 1})
			ended <- err
		}()
		kit.Eventually(t, 10*time.Second, func() bool { return hanging.Load() == readings }, "the stores to be read")
		return func() error {
			cancel()
			return <-ended
		}
	}
	first, second := r.shop.PlaceOrder(fakemagento.Placing{}), r.shop.PlaceOrder(fakemagento.Placing{})
	stopFirst, stopSecond := start(first, 1), start(second, 2)
	if err := stopSecond(); err == nil {
		t.Error("the second ended without an error")
	}
	r.isCreate(second.IncrementID, idempotency.Failed)
	r.isCreate(first.IncrementID, idempotency.InProgress)
	if err := stopFirst(); err == nil {
		t.Error("the first ended without an error")
	}
	isCalls(t, r.toERP)
}
