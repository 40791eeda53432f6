package fakemagento_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// rowsOf gives the item ids and the shipped quantities of an order's rows.
func rowsOf(t *testing.T, shop *fakemagento.Server, order int) (ids []string, shipped string, state string) {
	t.Helper()
	var o struct {
		State string
		Items []struct {
			ID      json.Number `json:"item_id"`
			Shipped json.Number `json:"qty_shipped"`
		}
	}
	if err := json.Unmarshal(shop.Order(order), &o); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, item := range o.Items {
		ids, all = append(ids, item.ID.String()), append(all, item.Shipped.String())
	}
	return ids, strings.Join(all, " "), o.State
}

func product(sku string, qty int64) fakemagento.Line {
	return fakemagento.Line{SKU: sku, Name: sku, Qty: qty, Price: decimal.New(10, 0)}
}

func composite(kind string, qty int64, separately bool, components ...fakemagento.Line) fakemagento.Line {
	l := product(kind, qty)
	l.Type, l.Components, l.ShipSeparately = kind, components, separately
	return l
}

// What ship does to each kind of row, by the rules of Sales\Model\Order\ShipmentFactory.
func TestShip_ByRow(t *testing.T) {
	for _, tt := range []struct {
		name    string
		lines   []fakemagento.Line
		items   map[int]int // by the row's place; none is all
		shipped string      // quantities of the rows afterwards; "" for a refusal
	}{
		{"all", []fakemagento.Line{product("A", 2), product("B", 3)}, nil, "2 3"},
		{"a part", []fakemagento.Line{product("A", 2), product("B", 3)}, map[int]int{1: 2}, "0 2"},
		{"more than is open is cut", []fakemagento.Line{product("A", 2)}, map[int]int{0: 5}, "2"},
		{"nothing", []fakemagento.Line{product("A", 2)}, map[int]int{0: 0}, ""},
		{"configurable by its row", []fakemagento.Line{composite("configurable", 2, false, product("V", 1))}, map[int]int{0: 1}, "1 0"},
		{"configurable by its variant", []fakemagento.Line{composite("configurable", 2, false, product("V", 1))}, map[int]int{1: 1}, ""},
		{"bundle together by its row", []fakemagento.Line{composite("bundle", 2, false, product("x", 1), product("y", 2))}, map[int]int{0: 1}, "1 1 2"},
		{"bundle together by a component", []fakemagento.Line{composite("bundle", 2, false, product("x", 1), product("y", 2))}, map[int]int{2: 1}, ""},
		{"bundle separately by a component", []fakemagento.Line{composite("bundle", 2, true, product("x", 1), product("y", 2))}, map[int]int{2: 1}, "1 0 1"},
		{"bundle separately by its row", []fakemagento.Line{composite("bundle", 2, true, product("x", 1))}, map[int]int{0: 1}, ""},
		{"bundle separately, all", []fakemagento.Line{composite("bundle", 2, true, product("x", 1), product("y", 2))}, nil, "1 2 4"},
		{"the wrong way beside others is left out without a word", []fakemagento.Line{product("A", 1), composite("bundle", 1, false, product("x", 1))}, map[int]int{0: 1, 2: 1}, "1 0 0"},
		{"both rows of a bundle together", []fakemagento.Line{composite("bundle", 2, false, product("x", 1))}, map[int]int{0: 1, 1: 1}, "1 1"},
		{"both rows of a bundle separately", []fakemagento.Line{composite("bundle", 2, true, product("x", 1))}, map[int]int{0: 1, 1: 1}, "1 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shop, c := start(t, fakemagento.Options{})
			p := shop.PlaceOrder(fakemagento.Placing{Lines: tt.lines})
			ids, before, _ := rowsOf(t, shop, p.EntityID)
			var items []string
			for at, qty := range tt.items {
				items = append(items, fmt.Sprintf(`{"order_item_id":%s,"qty":%d}`, ids[at], qty))
			}
			status, body := c.call("POST", "/rest/V1/order/1/ship", `{"items":[`+strings.Join(items, ",")+`]}`)
			_, shipped, _ := rowsOf(t, shop, p.EntityID)
			if tt.shipped == "" {
				if status != 400 || !strings.Contains(body, `Shipment Document Validation Error(s):\n`) || !strings.Contains(body, "without products") || shipped != before {
					t.Errorf("%d %s; shipped %s", status, body, shipped)
				}
				return
			}
			if status != 200 || body != "1" || shipped != tt.shipped {
				t.Errorf("%d %s; shipped %s, want %s", status, body, shipped, tt.shipped)
			}
		})
	}
}

func TestShip_ByState(t *testing.T) {
	for _, tt := range []struct {
		state   string
		invoice bool
		after   string // "" for a refusal
	}{
		{"new", false, "processing"},
		{"processing", false, "processing"},
		{"processing", true, "complete"},
		{"holded", false, ""},
		{"payment_review", false, ""},
		{"canceled", false, ""},
	} {
		shop, c := start(t, fakemagento.Options{})
		p := shop.PlaceOrder(fakemagento.Placing{})
		if tt.invoice {
			shop.Invoice(p.EntityID)
		}
		shop.SetState(p.EntityID, tt.state)
		status, body := c.call("POST", "/rest/V1/order/1/ship", `{"notify":true,"tracks":[{"track_number":"T","title":"t","carrier_code":"custom"}]}`)
		_, _, state := rowsOf(t, shop, p.EntityID)
		switch {
		case tt.after == "":
			if status != 400 || !strings.Contains(body, "A shipment cannot be created when an order has a status of") || state != tt.state {
				t.Errorf("%s: %d %s, %s", tt.state, status, body, state)
			}
		case status != 200 || state != tt.after:
			t.Errorf("%s: %d %s, %s", tt.state, status, body, state)
		default:
			if s := shop.Shipments(p.EntityID); len(s) != 1 || fmt.Sprint(s[0].Mails) != "[[T]]" || s[0].SourceCode != "default" {
				t.Errorf("%s: shipments %+v", tt.state, s)
			}
			// Nothing is open any more.
			if status, body := c.call("POST", "/rest/V1/order/1/ship", `{}`); status != 400 || !strings.Contains(body, "The order does not allow a shipment to be created.") {
				t.Errorf("%s, again: %d %s", tt.state, status, body)
			}
		}
	}
}

func TestShip_FailureIsMasked(t *testing.T) {
	shop, c := start(t, fakemagento.Options{Sources: []string{"eu", "us"}})
	long := strings.Repeat("x", 256)
	shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{product("A", 9)}})
	ids, _, _ := rowsOf(t, shop, 1)
	ship := func(more string) (int, string) {
		return c.call("POST", "/rest/V1/order/1/ship", `{"items":[{"order_item_id":`+ids[0]+`,"qty":1}]`+more+`}`)
	}
	const source = `,"arguments":{"extension_attributes":{"source_code":"us"}}`
	for i, tt := range []struct {
		more  string
		masks []bool
		fails bool
		there int
	}{
		{"", nil, true, 0}, // neither eu nor us, but "default"
		{`,"arguments":{"extension_attributes":{"source_code":"moon"}}`, nil, true, 0},
		{source, nil, false, 1},
		{source, []bool{false}, true, 1},
		{source, []bool{true}, true, 2},
		{source + `,"tracks":[{"track_number":"T","title":"` + long + `","carrier_code":"custom"}]`, nil, true, 2},
	} {
		shop.MaskNextSaves(tt.masks...)
		status, body := ship(tt.more)
		if masked := status == 400 && strings.Contains(body, "Could not save a shipment, see error log for details"); masked != tt.fails || len(shop.Shipments(1)) != tt.there {
			t.Errorf("%d: %d %s, %d shipments", i, status, body, len(shop.Shipments(1)))
		}
	}
	if s := shop.Shipments(1)[0]; s.SourceCode != "us" {
		t.Errorf("sent from %s", s.SourceCode)
	}
}

func TestTrack_Added(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	p := shop.PlaceOrder(fakemagento.Placing{})
	other := shop.PlaceOrder(fakemagento.Placing{})
	id := shop.Ship(p.EntityID, nil)
	add := func(order int, more string) int {
		status, _ := c.call("POST", "/rest/V1/shipment/track", fmt.Sprintf(`{"entity":{"order_id":%d,"parent_id":%d,"weight":0,"qty":0%s}}`, order, id, more))
		return status
	}
	const track = `,"track_number":"T","title":"t","carrier_code":"dhl"`
	for _, tt := range []struct {
		order int
		more  string
		want  int
	}{
		{p.EntityID, track, 200},
		{p.EntityID, track, 200}, // kept twice
		{other.EntityID, track, 400},
		{p.EntityID, `,"track_number":"","title":"t","carrier_code":"dhl"`, 400},
		{p.EntityID, `,"track_number":"T","title":"t","carrier_code":"` + strings.Repeat("x", 33) + `"`, 400},
		{p.EntityID, `,"track_number":"T","carrier_code":"dhl"`, 400},
	} {
		if got := add(tt.order, tt.more); got != tt.want {
			t.Errorf("order %d%s: %d, want %d", tt.order, tt.more, got, tt.want)
		}
	}
	if n := shop.TrackCounts()[p.IncrementID+" T"]; n != 2 || len(shop.Problems()) != 0 {
		t.Errorf("%d tracks, problems %v", n, shop.Problems())
	}
	if add(p.EntityID, `,"track_number":"U","title":"t","carrier_code":"pigeon"`) != 200 || len(shop.Problems()) != 1 {
		t.Errorf("a carrier that is not installed: %v", shop.Problems())
	}
	if status, _ := c.call("DELETE", "/rest/V1/shipment/track/1", ""); status != 200 || shop.TrackCounts()[p.IncrementID+" T"] != 1 {
		t.Errorf("deleted: %d, %v", status, shop.TrackCounts())
	}
	if status, body := c.call("POST", fmt.Sprintf("/rest/V1/shipment/%d/emails", id), ""); status != 200 || body != "true" {
		t.Errorf("mailed: %d %s", status, body)
	}
	if mails := shop.Shipments(p.EntityID)[0].Mails; fmt.Sprint(mails) != "[[T U]]" {
		t.Errorf("mails %v", mails)
	}
	status, body := c.get(fmt.Sprintf("/rest/V1/shipments?searchCriteria[filter_groups][0][filters][0][field]=order_id&searchCriteria[filter_groups][0][filters][0][value]=%d", other.EntityID))
	if status != 200 || !strings.Contains(body, `"total_count":0`) {
		t.Errorf("another order's shipments: %d %s", status, body)
	}
}

// An edit in the admin leaves a cancelled order that names the one in its place.
func TestOrder_Edited(t *testing.T) {
	shop, _ := start(t, fakemagento.Options{})
	first := shop.PlaceOrder(fakemagento.Placing{})
	second := shop.Edit(first.EntityID)
	third := shop.Edit(second.EntityID)
	if second.IncrementID != first.IncrementID+"-1" || third.IncrementID != first.IncrementID+"-2" {
		t.Errorf("numbers %s, %s, %s", first.IncrementID, second.IncrementID, third.IncrementID)
	}
	var o struct {
		State  string
		Child  string `json:"relation_child_id"`
		Parent string `json:"relation_parent_id"`
	}
	if err := json.Unmarshal(shop.Order(second.EntityID), &o); err != nil {
		t.Fatal(err)
	}
	if o.State != "canceled" || o.Child != fmt.Sprint(third.EntityID) || o.Parent != fmt.Sprint(first.EntityID) {
		t.Errorf("the one in the middle is %+v", o)
	}
}
