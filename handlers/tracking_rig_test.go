package handlers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// Calls to the shop.
const (
	findOrder     = "GET /orders"
	findShipments = "GET /shipments"
	ship          = "POST /order/:id/ship"
	addTrack      = "POST /shipment/track"
	mail          = "POST /shipment/:id/emails"
)

func (r *rig) trackedOn(l *idempotency.Ledger) *handlers.Tracked {
	return &handlers.Tracked{
		Orders: r.client.Orders, Shipments: r.client.Shipments, Ledger: l, Book: r.book, Key: r.rules.Key, Rules: r.tracking,
	}
}

func (r *rig) tracked(body string, changes ...func(*event.Event)) (event.Outcome, error) {
	return r.handle(r.trackedOn(r.ledger), body, changes...)
}

// parcel is a message; more are further members of it.
func parcel(order, number string, more ...string) string {
	return fmt.Sprintf(`{"order_number":%q,"tracking_number":%q%s}`, order, number, strings.Join(append([]string{""}, more...), ","))
}

// items are quantities by SKU: "A=1", or "A" for all that is open.
func items(of ...string) string {
	var list []string
	for _, item := range of {
		sku, qty, ok := strings.Cut(item, "=")
		if !ok {
			list = append(list, fmt.Sprintf(`{"sku":%q}`, sku))
			continue
		}
		list = append(list, fmt.Sprintf(`{"sku":%q,"quantity":%s}`, sku, qty))
	}
	return `"items":[` + strings.Join(list, ",") + `]`
}

func line(sku string, qty int64) fakemagento.Line {
	return fakemagento.Line{SKU: sku, Name: sku, Qty: qty, Price: decimal.New(10, 0), TaxPercent: decimal.New(19, 0)}
}

func configurable(sku string, qty int64) fakemagento.Line {
	l := line(sku, qty)
	l.Type, l.Components = "configurable", []fakemagento.Line{line(sku, 1)}
	return l
}

func bundle(sku string, qty int64, separately bool, components ...fakemagento.Line) fakemagento.Line {
	l := line(sku, qty)
	l.Type, l.Components, l.ShipSeparately = "bundle", components, separately
	return l
}

// rows gives the item ids of an order's rows by their place.
func (r *rig) rows(p fakemagento.Placed) []string {
	r.t.Helper()
	var o struct {
		Items []struct {
			ID json.Number `json:"item_id"`
		} `json:"items"`
	}
	if err := json.Unmarshal(r.shop.Order(p.EntityID), &o); err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, item := range o.Items {
		ids = append(ids, item.ID.String())
	}
	return ids
}

// shipped tells an order's shipments: of each the quantities by the row's place in the order, and the numbers.
func (r *rig) shipped(p fakemagento.Placed) []string {
	r.t.Helper()
	rows := r.rows(p)
	var all []string
	for _, s := range r.shop.Shipments(p.EntityID) {
		var what []string
		for _, id := range slices.Sorted(maps.Keys(s.Items)) {
			what = append(what, fmt.Sprintf("%d×%s", slices.Index(rows, id), s.Items[id]))
		}
		for _, t := range s.Tracks {
			what = append(what, t.Number)
		}
		all = append(all, strings.Join(what, " "))
	}
	return all
}

func (r *rig) isShipped(p fakemagento.Placed, want ...string) {
	r.t.Helper()
	if got := r.shipped(p); !slices.Equal(got, want) {
		r.t.Errorf("shipments %q, want %q", got, want)
	}
}

// mails counts the mails about an order.
func (r *rig) mails(p fakemagento.Placed) (n int) {
	for _, s := range r.shop.Shipments(p.EntityID) {
		n += len(s.Mails)
	}
	return n
}

var making = handlers.TrackingRules{Create: true}

// track handles a message for an order, which must go well.
func (r *rig) track(p fakemagento.Placed, number string, more ...string) {
	r.t.Helper()
	outcome, err := r.tracked(parcel(p.IncrementID, number, more...))
	isOutcome(r.t, outcome, err, event.Done)
}

// number is that of one of the order's shipments, quoted.
func (r *rig) number(p fakemagento.Placed, at int) string {
	return fmt.Sprintf("%q", r.shop.Shipments(p.EntityID)[at].Number)
}

// discarded is an answer that nobody gets.
type discarded struct{}

func (discarded) Header() http.Header         { return http.Header{} }
func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) WriteHeader(int)             {}
