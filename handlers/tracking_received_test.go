package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// Which shipment: each case of docs/tracking.md, "From the message to the shipment". prepare is what a person has done before; the
// rows of the order are A×2 and B×3.
func TestTracked_WhichShipment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	for _, tt := range []struct {
		name    string
		prepare func(p fakemagento.Placed, rows []string)
		message []string // further members
		want    []string
		calls   []string
	}{
		{"none yet", nil, nil, []string{"0×2 1×3 T"}, []string{findOrder, findShipments, ship}},
		{
			"the only one", func(p fakemagento.Placed, rows []string) { r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1}) },
			nil,
			[]string{"0×1 T"},
			[]string{findOrder, findShipments, addTrack},
		},
		{"the only one, which has a track", func(p fakemagento.Placed, _ []string) { r.track(p, "T0") }, nil, []string{"0×2 1×3 T0 T"}, nil},
		{"the newest without a track", func(p fakemagento.Placed, rows []string) {
			for range 3 {
				r.shop.Ship(p.EntityID, map[string]int64{rows[1]: 1})
			}
			r.track(p, "T0", `"shipment_number":`+r.number(p, 2))
		}, nil, []string{"1×1", "1×1 T", "1×1 T0"}, nil},
		{"all have a track: what is open", func(p fakemagento.Placed, _ []string) {
			r.track(p, "T0", items("A=1"))
			r.track(p, "T1", items("B=1"))
		}, nil, []string{"0×1 T0", "1×1 T1", "0×1 1×2 T"}, nil},
		{"one has the number", func(p fakemagento.Placed, _ []string) {
			r.track(p, "T", items("A=1"))
			r.track(p, "T1", items("B=1"))
		}, nil, []string{"0×1 T", "1×1 T1"}, []string{findOrder, findShipments}},
		{"named", func(p fakemagento.Placed, rows []string) {
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
		}, []string{`"shipment_number":"FIRST"`}, []string{"0×1 T", "0×1"}, nil},
		{"named without zeros", func(p fakemagento.Placed, rows []string) {
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
		}, []string{`"shipment_number":"FIRST AS DIGITS"`}, []string{"0×1 T", "0×1"}, nil},
		{"items: new", nil, []string{items("A=1", "B=2")}, []string{"0×1 1×2 T"}, nil},
		{"items: all of a SKU", nil, []string{items("B")}, []string{"1×3 T"}, nil},
		{
			"items: all that is open of a SKU", func(p fakemagento.Placed, _ []string) { r.track(p, "T0", items("B=1")) },
			[]string{items("B")},
			[]string{"1×1 T0", "1×2 T"},
			nil,
		},
		{"items: the one that holds just these", func(p fakemagento.Placed, rows []string) {
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1, rows[1]: 1})
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
		}, []string{items("A=1")}, []string{"0×1 1×1", "0×1 T"}, []string{findOrder, findShipments, addTrack}},
		{"items: all of a SKU is in the one that holds just that", func(p fakemagento.Placed, rows []string) {
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 2})
		}, []string{items("A")}, []string{"0×2 T"}, nil},
		{
			"items: that one has a track", func(p fakemagento.Placed, _ []string) { r.track(p, "T0", items("A=1")) },
			[]string{items("A=1")},
			[]string{"0×1 T0", "0×1 T"},
			nil,
		},
		{
			"items: other quantities", func(p fakemagento.Placed, rows []string) { r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1}) },
			[]string{items("B=1")},
			[]string{"0×1", "1×1 T"},
			nil,
		},
		{
			"items: the same number with other items", func(p fakemagento.Placed, _ []string) { r.track(p, "T", items("A=1")) },
			[]string{items("B=1")},
			[]string{"0×1 T", "1×1 T"},
			nil,
		},
		{
			"items: the same number with the same items", func(p fakemagento.Placed, _ []string) { r.track(p, "T", items("A=1", "B=1")) },
			[]string{items("B=1.0", "a=1")},
			[]string{"0×1 1×1 T"},
			[]string{findOrder, findShipments},
		},
		{
			"items: the number has all of them already", func(p fakemagento.Placed, _ []string) { r.track(p, "T") },
			[]string{items("A=1")},
			[]string{"0×2 1×3 T"},
			[]string{findOrder, findShipments},
		},
		{"items: a part of them has the number already", func(p fakemagento.Placed, _ []string) {
			r.track(p, "T", items("A=2"))
		}, []string{items("A=2", "B=1")}, []string{"0×2 T", "1×1 T"}, []string{findOrder, findShipments, ship}},
		{"items: two with the number have all of them", func(p fakemagento.Placed, _ []string) {
			r.track(p, "T", items("A=2"))
			r.track(p, "T", items("B=3"))
		}, []string{items("A=2", "B=3")}, []string{"0×2 T", "1×3 T"}, []string{findOrder, findShipments}},
		{"joins", func(p fakemagento.Placed, _ []string) {
			r.track(p, "T0", items("A=1"))
			r.track(p, "T1", items("B=1"))
		}, []string{`"joins":"t0"`, items("B=2")}, []string{"0×1 T0 T", "1×1 T1"}, []string{findOrder, findShipments, addTrack}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{line("A", 2), line("B", 3)}})
			if tt.prepare != nil {
				tt.prepare(p, r.rows(p))
			}
			for i, m := range tt.message {
				if strings.Contains(m, "FIRST AS DIGITS") {
					tt.message[i] = `"shipment_number":` + strings.TrimLeft(strings.Trim(r.number(p, 0), `"`), "0")
				} else if strings.Contains(m, "FIRST") {
					tt.message[i] = `"shipment_number":` + r.number(p, 0)
				}
			}
			r.toShop.took()
			outcome, err := r.tracked(parcel(p.IncrementID, "T", tt.message...))
			isOutcome(t, outcome, err, event.Done)
			if calls := r.toShop.took(); tt.calls != nil && calls != strings.Join(tt.calls, ", ") {
				t.Errorf("calls %s, want %q", calls, tt.calls)
			}
			r.isShipped(p, tt.want...)
			// Once more: the ledger knows it.
			outcome, err = r.tracked(parcel(p.IncrementID, "T", tt.message...), repeated)
			isOutcome(t, outcome, err, event.Duplicate)
			isCalls(t, r.toShop)
			r.isShipped(p, tt.want...)
		})
	}
}

// What does not go, and how it is told.
func TestTracked_NoShipmentForIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	for _, tt := range []struct {
		name    string
		placing fakemagento.Placing
		prepare func(p fakemagento.Placed)
		message []string
		rules   handlers.TrackingRules
		class   event.Class
		says    []string
		state   idempotency.State
	}{
		{name: "wait", class: event.NotFound, says: []string{"no shipment yet", "TRACKING_WHEN_NO_SHIPMENT=wait"}, state: idempotency.Failed},
		{name: "wait, others have tracks", prepare: func(p fakemagento.Placed) {
			h := r.trackedOn(r.ledger)
			h.Rules = making
			for i, sku := range []string{"A=1", "B=1"} {
				outcome, err := r.handle(h, parcel(p.IncrementID, fmt.Sprint("T", i), items(sku)))
				isOutcome(t, outcome, err, event.Done)
			}
		}, class: event.NotFound, state: idempotency.Failed},
		{
			name: "wait, none holds just these", prepare: func(p fakemagento.Placed) { r.shop.Ship(p.EntityID, nil) },
			message: []string{items("A=1")}, class: event.NotFound, state: idempotency.Failed,
		},
		{
			name: "on hold", prepare: func(p fakemagento.Placed) { r.shop.SetState(p.EntityID, "holded") }, rules: making,
			class: event.Rejected, says: []string{"state holded", "Shipment Document Validation Error(s)"}, state: idempotency.Uncertain,
		},
		{
			name: "cancelled, items", prepare: func(p fakemagento.Placed) { r.shop.Cancel(p.EntityID) }, rules: making, message: []string{items("A=1")},
			class: event.Invalid, says: []string{"state canceled", "0 are open"}, state: idempotency.Failed,
		},
		{
			name: "cancelled", prepare: func(p fakemagento.Placed) { r.shop.Cancel(p.EntityID) }, rules: making,
			class: event.Rejected, says: []string{"state canceled"}, state: idempotency.Uncertain,
		},
		{
			name: "in payment review", placing: fakemagento.Placing{State: "payment_review"}, rules: making,
			class: event.Rejected, state: idempotency.Uncertain,
		},
		{name: "virtual", placing: fakemagento.Placing{Virtual: true}, rules: making, class: event.Rejected, state: idempotency.Uncertain},
		{name: "nothing is open, and each has a track", prepare: func(p fakemagento.Placed) {
			rows := r.rows(p)
			for i, row := range rows {
				r.shop.Ship(p.EntityID, map[string]int64{row: int64(2 + i)})
				h := r.trackedOn(r.ledger)
				outcome, err := r.handle(h, parcel(p.IncrementID, fmt.Sprint("T", i), `"shipment_number":`+r.number(p, i)))
				isOutcome(t, outcome, err, event.Done)
			}
		}, rules: making, class: event.Rejected, says: []string{"does not allow a shipment"}, state: idempotency.Uncertain},
		{
			name: "a shipment that is not there", message: []string{`"shipment_number":"000099999"`}, rules: making,
			class: event.NotFound, says: []string{"has no shipment 000099999"}, state: idempotency.Failed,
		},
		{
			name: "a SKU that is not in the order", message: []string{items("C=1")}, rules: making,
			class: event.Invalid, says: []string{`"C"`}, state: idempotency.Failed,
		},
		{
			name: "more than is open", message: []string{items("A=3")}, rules: making,
			class: event.Invalid, says: []string{"3 of SKU A", "2 are open"}, state: idempotency.Failed,
		},
		{
			name: "nothing is open of it", prepare: func(p fakemagento.Placed) { r.shop.Ship(p.EntityID, map[string]int64{r.rows(p)[0]: 1}) },
			message: []string{items("A=2")}, rules: making, class: event.Invalid, says: []string{"1 are open"}, state: idempotency.Failed,
		},
		{
			name: "joins a number that is not there", message: []string{`"joins":"T0"`}, rules: making,
			class: event.NotFound, says: []string{"joins"}, state: idempotency.Failed,
		},
		{
			name: "items of which a part has the number, and the rest is not open", prepare: func(p fakemagento.Placed) {
				h := r.trackedOn(r.ledger)
				outcome, err := r.handle(h, parcel(p.IncrementID, "T", items("A=2")))
				isOutcome(t, outcome, err, event.Done)
			},
			message: []string{items("A=3", "B=1")}, rules: making, class: event.Invalid, says: []string{"1 of SKU A", "0 are open"}, state: idempotency.Failed,
		},
		{
			name: "a source that the shop does not have", message: []string{`"source_code":"moon"`}, rules: making,
			class: event.Unavailable, says: []string{"see error log"}, state: idempotency.Uncertain,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			tt.placing.Lines = []fakemagento.Line{line("A", 2), line("B", 3)}
			p := r.shop.PlaceOrder(tt.placing)
			if tt.prepare != nil {
				tt.prepare(p)
			}
			before := r.shipped(p)
			h := r.trackedOn(r.ledger)
			h.Rules = tt.rules
			_, err := r.handle(h, parcel(p.IncrementID, "T", tt.message...))
			isClass(t, err, tt.class, tt.says...)
			if key := event.KeyOf(err); !strings.HasPrefix(key, p.IncrementID+":T") {
				t.Errorf("key %q", key)
			}
			r.isRow(handlers.TrackingReceived, event.KeyOf(err), "track", tt.state)
			r.isShipped(p, before...)
		})
	}
	for _, body := range []string{`{}`, `{"order_number":"1","joins":"T"}`, `{"order_number":"1","pad":3}`, `[]`, parcel("1", "T", `"items":[{"sku":"A","quantity":-1}]`)} {
		_, err := r.tracked(body)
		isClass(t, err, event.Invalid)
	}
}

// A parcel without a number, such as one that an own van takes: its shipment has no track, until a number comes for it.
func TestTracked_WithoutANumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	for _, tt := range []struct {
		name    string
		prepare func(p fakemagento.Placed, rows []string)
		more    string
		want    []string // without a number
		then    []string // when it has come
	}{
		{"none yet", nil, "", []string{"0×2 1×3"}, []string{"0×2 1×3 T"}},
		{"items: new", nil, items("A=1", "B=2"), []string{"0×1 1×2"}, []string{"0×1 1×2 T"}},
		{"the only one", func(p fakemagento.Placed, rows []string) { r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1}) }, "", []string{"0×1"}, []string{"0×1 T"}},
		{"items: the one that holds just these", func(p fakemagento.Placed, rows []string) {
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
			r.shop.Ship(p.EntityID, map[string]int64{rows[1]: 1})
		}, items("A=1"), []string{"0×1", "1×1"}, []string{"0×1 T", "1×1"}},
		{"the newest without a track", func(p fakemagento.Placed, rows []string) {
			r.shop.Ship(p.EntityID, map[string]int64{rows[0]: 1})
			r.shop.Ship(p.EntityID, map[string]int64{rows[1]: 1})
		}, "", []string{"0×1", "1×1"}, []string{"0×1", "1×1 T"}},
		{"all have a track: what is open", func(p fakemagento.Placed, _ []string) {
			r.track(p, "T0", items("A=1"))
			r.track(p, "T1", items("B=1"))
		}, "", []string{"0×1 T0", "1×1 T1", "0×1 1×2"}, []string{"0×1 T0", "1×1 T1", "0×1 1×2 T"}},
		{"items: nothing is open of them", func(p fakemagento.Placed, _ []string) { r.track(p, "T0") }, items("A=1"), []string{"0×2 1×3 T0"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{line("A", 2), line("B", 3)}})
			if tt.prepare != nil {
				tt.prepare(p, r.rows(p))
			}
			var more []string
			if tt.more != "" {
				more = []string{tt.more}
			}
			body := fmt.Sprintf(`{"order_number":%q%s}`, p.IncrementID, strings.Join(append([]string{""}, more...), ","))
			for _, want := range []event.Outcome{event.Done, event.Duplicate} {
				outcome, err := r.tracked(body, repeated)
				isOutcome(t, outcome, err, want)
				r.isShipped(p, tt.want...)
			}
			if tt.then != nil {
				r.track(p, "T", more...)
				r.isShipped(p, tt.then...)
			}
		})
	}
}

// What a number is found by, and what follows when it is there.
func TestTracked_WhichOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making, shop: fakemagento.Options{Stores: []fakemagento.Store{{ID: 1, Code: "a"}, {ID: 2, Code: "b"}}}})
	p := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "000007100"})
	odd := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "WEB-17/a"})

	t.Run("zeros in front", func(t *testing.T) {
		r := r.in(t)
		outcome, err := r.tracked(`{"order_number":7100,"tracking_number":"zeros"}`)
		isOutcome(t, outcome, err, event.Done)
		isCalls(t, r.toShop, findOrder, findOrder, findShipments, ship)
		r.isShipped(p, "0×2 zeros")
	})
	t.Run("too few digits, or a number that is whole", func(t *testing.T) {
		r := r.in(t)
		r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "000000123"})
		for _, body := range []string{parcel("123", "short"), parcel("7100", "whole", `"pad":false`)} {
			_, err := r.tracked(body)
			isClass(t, err, event.NotFound)
		}
		r.isShipped(p, "0×2 zeros")
	})
	t.Run("the number as it is comes first", func(t *testing.T) {
		r := r.in(t)
		exact := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "7100"})
		r.track(exact, "exact")
		r.isShipped(exact, "0×2 exact")
	})
	t.Run("no digits", func(t *testing.T) {
		r := r.in(t)
		r.track(odd, "odd")
		r.isShipped(odd, "0×2 odd")
	})
	t.Run("document number", func(t *testing.T) {
		r := r.in(t)
		exported := r.shop.PlaceOrder(fakemagento.Placing{})
		r.exported(exported)
		document := r.erp.DocumentsOf(exported.IncrementID)[0].Number
		outcome, err := r.tracked(parcel(document, "by document"))
		isOutcome(t, outcome, err, event.Done)
		r.isShipped(exported, "0×2 by document")
	})
	t.Run("document number of two orders", func(t *testing.T) {
		r := r.in(t)
		a, b := r.shop.PlaceOrder(fakemagento.Placing{}), r.shop.PlaceOrder(fakemagento.Placing{})
		r.exported(a)
		r.exported(b)
		r.sql(`UPDATE orders SET document = 'D-1' WHERE entity_id = ANY($1)`, []int64{int64(a.EntityID), int64(b.EntityID)})
		_, err := r.tracked(parcel("D-1", "two"))
		isClass(t, err, event.Invalid, fmt.Sprint(a.EntityID), fmt.Sprint(b.EntityID))
	})
	t.Run("edited twice", func(t *testing.T) {
		r := r.in(t)
		first := r.shop.PlaceOrder(fakemagento.Placing{})
		last := r.shop.Edit(r.shop.Edit(first.EntityID).EntityID)
		r.track(first, "edited")
		r.isShipped(last, "0×2 edited")
	})
	t.Run("not there, or not yet", func(t *testing.T) {
		r := r.in(t)
		for _, number := range []string{"9999", "000009999", "WEB-18"} {
			_, err := r.tracked(parcel(number, "T"))
			isClass(t, err, event.NotFound, number)
		}
		late := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "000009999"})
		outcome, err := r.tracked(parcel("9999", "T"), repeated)
		isOutcome(t, outcome, err, event.Done)
		r.isShipped(late, "0×2 T")
	})
	t.Run("two stores count alike", func(t *testing.T) {
		r := r.in(t)
		a := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5000", StoreID: 1})
		b := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5000", StoreID: 2})
		_, err := r.tracked(parcel("5000", "T"))
		isClass(t, err, event.Invalid, fmt.Sprint(a.EntityID), fmt.Sprint(b.EntityID))
	})
	t.Run("one number for two orders", func(t *testing.T) {
		r := r.in(t)
		a, b := r.shop.PlaceOrder(fakemagento.Placing{}), r.shop.PlaceOrder(fakemagento.Placing{})
		r.track(a, "same")
		r.track(b, "same")
		r.isShipped(a, "0×2 same")
		r.isShipped(b, "0×2 same")
	})
	t.Run("complete", func(t *testing.T) {
		r := r.in(t)
		done := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.Invoice(done.EntityID)
		r.shop.Ship(done.EntityID, nil)
		if !strings.Contains(string(r.shop.Order(done.EntityID)), `"state":"complete"`) {
			t.Fatal("the order is not complete")
		}
		r.track(done, "late")
		r.isShipped(done, "0×2 late")
	})
	t.Run("on hold with a shipment", func(t *testing.T) {
		r := r.in(t)
		held := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.Ship(held.EntityID, nil)
		r.shop.SetState(held.EntityID, "holded")
		r.track(held, "T")
		r.isShipped(held, "0×2 T")
	})
	t.Run("on hold, and replayed when it is not any more", func(t *testing.T) {
		r := r.in(t)
		held := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.SetState(held.EntityID, "holded")
		_, err := r.tracked(parcel(held.IncrementID, "T"))
		isClass(t, err, event.Rejected)
		r.shop.SetState(held.EntityID, "processing")
		outcome, err := r.tracked(parcel(held.IncrementID, "T"), replayed)
		isOutcome(t, outcome, err, event.Done)
		r.isShipped(held, "0×2 T")
	})
}

// A warehouse's SKUs, and what Magento ships by.
func TestTracked_Composites(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making})
	for _, tt := range []struct {
		name  string
		lines []fakemagento.Line
		items []string
		want  []string // after the message, and after another for the rest
		posts int      // attempts to ship
	}{
		{"configurable", []fakemagento.Line{configurable("C-red", 3)}, []string{"C-red=1"}, []string{"0×1 T", "0×2 rest"}, 1},
		{"configurable, all", []fakemagento.Line{configurable("C-red", 3)}, []string{"C-red"}, []string{"0×3 T"}, 1},
		{
			"bundle together, its SKU",
			[]fakemagento.Line{bundle("B", 2, false, line("x", 1), line("y", 2))},
			[]string{"B=1"},
			[]string{"0×1 1×1 2×2 T", "0×1 1×1 2×2 rest"},
			2,
		},
		{
			"bundle together, its components",
			[]fakemagento.Line{bundle("B", 2, false, line("x", 1), line("y", 2))},
			[]string{"x=1", "y=2"},
			[]string{"0×1 1×1 2×2 T", "0×1 1×1 2×2 rest"},
			2,
		},
		{
			"bundle together, a part of it",
			[]fakemagento.Line{bundle("B", 2, false, line("x", 1), line("y", 2))},
			[]string{"y=1"},
			[]string{"0×1 1×1 2×2 T", "0×1 1×1 2×2 rest"},
			2,
		},
		{
			"bundle separately, a component",
			[]fakemagento.Line{bundle("B", 1, true, line("x", 1), line("y", 2))},
			[]string{"y=1"},
			[]string{"0×1 2×1 T", "0×1 1×1 2×1 rest"},
			1,
		},
		{
			"bundle separately, its SKU",
			[]fakemagento.Line{bundle("B", 1, true, line("x", 1), line("y", 2))},
			[]string{"B=1"},
			[]string{"0×1 1×1 2×2 T"},
			1,
		},
		{
			"bundle together beside others",
			[]fakemagento.Line{line("A", 1), bundle("B", 1, false, line("x", 1)), configurable("C", 1)},
			[]string{"A=1", "x=1"},
			[]string{"0×1 1×1 2×1 T", "3×1 rest"},
			1,
		},
		{
			"bundle separately beside others",
			[]fakemagento.Line{line("A", 1), bundle("B", 1, true, line("x", 1), line("y", 1))},
			[]string{"A=1", "x=1"},
			[]string{"0×1 1×1 2×1 T", "1×1 3×1 rest"},
			1,
		},
		{
			"two bundles of both kinds",
			[]fakemagento.Line{bundle("B", 1, true, line("x", 1)), bundle("D", 1, false, line("z", 1))},
			[]string{"x=1", "z=1"},
			[]string{"0×1 1×1 2×1 3×1 T"},
			1,
		},
		{
			"one SKU alone and in a bundle",
			[]fakemagento.Line{line("x", 1), bundle("B", 1, true, line("x", 1))},
			[]string{"x=2"},
			[]string{"0×1 1×1 2×1 T"},
			1,
		},
		{"one SKU on two rows", []fakemagento.Line{line("A", 2), line("A", 3)}, []string{"A=4"}, []string{"0×2 1×2 T", "1×1 rest"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{Lines: tt.lines})
			r.track(p, "T", items(tt.items...))
			if n := strings.Count(r.toShop.took(), ship); n != tt.posts {
				t.Errorf("%d attempts to ship, want %d", n, tt.posts)
			}
			r.isShipped(p, tt.want[0])
			// What a lost ledger leaves to be found in Magento.
			r.sql(`DELETE FROM effect WHERE consumer = 'tracking_received' AND key LIKE $1`, p.IncrementID+":%")
			outcome, err := r.tracked(parcel(p.IncrementID, "T", items(tt.items...)), repeated)
			isOutcome(t, outcome, err, event.Done)
			r.isShipped(p, tt.want[0])
			if len(tt.want) == 1 {
				return
			}
			r.shop.Ship(p.EntityID, nil)
			r.track(p, "rest")
			r.isShipped(p, tt.want...)
		})
	}
}

// The carrier that the track gets.
func TestTracked_Carriers(t *testing.T) {
	t.Parallel()
	rules := making
	rules.Carriers = []string{"hermes_paket"}
	r := newRig(t, settings{tracking: rules, shop: fakemagento.Options{Carriers: []string{"dhl", "hermes_paket"}}})
	long := strings.Repeat("ä", 300)
	for _, tt := range []struct {
		name        string
		members     []string
		code, title string
	}{
		{"none", nil, "custom", "custom"},
		{"a title", []string{`"title":"Fahrradkurier"`}, "custom", "Fahrradkurier"},
		{"Magento's", []string{`"carrier_code":"dhl"`}, "dhl", "dhl"},
		{"Magento's in capitals, with a title", []string{`"carrier_code":"DHL"`, `"title":"DHL Paket"`}, "dhl", "DHL Paket"},
		{"the shop's own", []string{`"carrier_code":"Hermes_Paket"`}, "hermes_paket", "Hermes_Paket"},
		{"unknown", []string{`"carrier_code":"Post CH"`}, "custom", "Post CH"},
		{"unknown, with a title", []string{`"carrier_code":"post_ch"`, `"title":"Die Post"`}, "custom", "Die Post"},
		{"title too long", []string{`"title":"` + long + `"`}, "custom", strings.Repeat("ä", 255)},
		{"unknown and too long", []string{`"carrier_code":"` + long + `"`}, "custom", strings.Repeat("ä", 255)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.track(p, "new", tt.members...)
			r.track(p, "added", tt.members...)
			for _, track := range r.shop.Shipments(p.EntityID)[0].Tracks {
				if track.CarrierCode != tt.code || track.Title != tt.title {
					t.Errorf("track %s is of %q, %q", track.Number, track.CarrierCode, track.Title)
				}
			}
		})
	}
	if problems := r.shop.Problems(); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
}

func TestTracked_Sources(t *testing.T) {
	t.Parallel()
	rules := making
	rules.SourceCode = "eu"
	r := newRig(t, settings{tracking: rules, shop: fakemagento.Options{Sources: []string{"eu", "us"}}})
	for message, want := range map[string]string{"": "eu", `"source_code":"us"`: "us"} {
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		body := parcel(p.IncrementID, "T")
		if message != "" {
			body = parcel(p.IncrementID, "T", message)
		}
		outcome, err := r.tracked(body)
		isOutcome(t, outcome, err, event.Done)
		if got := r.shop.Shipments(p.EntityID)[0].SourceCode; got != want {
			t.Errorf("sent from %q, want %q", got, want)
		}
	}
}
