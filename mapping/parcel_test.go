package mapping_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// The order of all tests: a simple product, a configurable one with the product's SKU on its row, a bundle of one x and two
// y, a virtual product, and x once more by itself.
const parcelOrder = `{"entity_id":1,"increment_id":"7","items":[
	{"item_id":1,"sku":"A","product_type":"simple","qty_ordered":5,"qty_canceled":1,"qty_refunded":0},
	{"item_id":2,"sku":"C","product_type":"configurable","qty_ordered":2},
	{"item_id":3,"sku":"C-red","product_type":"simple","parent_item_id":2,"qty_ordered":2},
	{"item_id":4,"sku":"B","product_type":"bundle","qty_ordered":2},
	{"item_id":5,"sku":"x","product_type":"simple","parent_item_id":4,"qty_ordered":2},
	{"item_id":6,"sku":"y","product_type":"simple","parent_item_id":4,"qty_ordered":4},
	{"item_id":7,"sku":"V","product_type":"virtual","is_virtual":1,"qty_ordered":1},
	{"item_id":8,"sku":"x","product_type":"simple","qty_ordered":1}]}`

// shipmentOf is a shipment with quantities by item id, as "1=2 5=1".
func shipmentOf(t *testing.T, text string) *magentoapi.Shipment {
	t.Helper()
	s := &magentoapi.Shipment{}
	for _, part := range strings.Fields(text) {
		var id, qty int64
		if _, err := fmt.Sscanf(part, "%d=%d", &id, &qty); err != nil {
			t.Fatal(err)
		}
		s.Items = append(s.Items, magentoapi.ShipmentItem{
			OrderItemID: magentoapi.ID(id), Qty: magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(decimal.New(qty, 0))},
		})
	}
	return s
}

// itemsOf reads "A=2 C", the second all that is open.
func itemsOf(t *testing.T, text string) []event.ParcelItem {
	t.Helper()
	var items []event.ParcelItem
	for _, part := range strings.Fields(text) {
		sku, qty, ok := strings.Cut(part, "=")
		item := event.ParcelItem{SKU: sku}
		if ok {
			item.Quantity = decimal.NewNullDecimal(decimal.RequireFromString(qty))
		}
		items = append(items, item)
	}
	return items
}

func parcelOf(t *testing.T, items string, shipments ...string) (*mapping.Parcel, error) {
	t.Helper()
	var o magentoapi.Order
	if err := json.Unmarshal([]byte(parcelOrder), &o); err != nil {
		t.Fatal(err)
	}
	var all []*magentoapi.Shipment
	for _, s := range shipments {
		all = append(all, shipmentOf(t, s))
	}
	return mapping.NewParcel(&o, all, itemsOf(t, items))
}

func TestParcel_ReturnsWaysToShip(t *testing.T) {
	for _, tt := range []struct {
		name, items string
		shipped     []string
		want        string // ways, "; " between them; "" for Invalid
	}{
		{"all that is open", "", nil, "all"},
		{"a simple product", "A=2", nil, "1=2"},
		{"all of it, less what was cancelled", "a", nil, "1=4"},
		{"less what was shipped", "A", []string{"1=1", "1=2"}, "1=1"},
		{"more than is open", "A=5", nil, ""},
		{"nothing is open", "A", []string{"1=4"}, ""},
		{"a variant", "C-red=1", nil, "2=1"},
		{"a configurable product's own SKU", "C=1", nil, "2=1"},
		{"a component", "y=2", nil, "6=2; 4=1"},
		{"a part of a bundle", "y=3", nil, "6=3; 4=2"},
		{"a bundle", "B=1", nil, "5=1 6=2; 4=1"},
		{"all bundles", "B", nil, "5=2 6=4; 4=2"},
		{"a SKU alone and in a bundle", "x=3", nil, "8=1 5=2 4=2; 8=1 5=2; 8=1 4=2"},
		{"a bundle beside others", "A=1 y=2", nil, "1=1 6=2 4=1; 1=1 6=2; 1=1 4=1"},
		{"after bundles that were shipped together", "y", []string{"4=1"}, "6=2; 4=1"},
		{"after components that were shipped separately", "y", []string{"4=1 6=3"}, "6=1; 4=1"},
		{"a fraction", "A=0.5", nil, "1=0.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parcelOf(t, tt.items, tt.shipped...)
			if err != nil {
				t.Fatal(err)
			}
			ways, err := p.Ways()
			if tt.want == "" {
				if event.ClassOf(err) != event.Invalid {
					t.Fatalf("got %v, %v", ways, err)
				}
				return
			}
			var got []string
			for _, way := range ways {
				var parts []string
				for _, i := range way {
					parts = append(parts, fmt.Sprintf("%d=%s", i.OrderItemID, i.Qty))
				}
				if way == nil {
					parts = []string{"all"}
				}
				got = append(got, strings.Join(parts, " "))
			}
			if s := strings.Join(got, "; "); err != nil || s != tt.want {
				t.Errorf("got %s, %v; want %s", s, err, tt.want)
			}
		})
	}
	for _, unknown := range []string{"Z=1", "V=1", "A=1 Z=1"} {
		if _, err := parcelOf(t, unknown); event.ClassOf(err) != event.Invalid {
			t.Errorf("%s: %v", unknown, err)
		}
	}
}

func TestParcel_IsFoundInShipments(t *testing.T) {
	for _, tt := range []struct {
		name, items, shipment string
		just, made, within    bool
	}{
		{"the same", "A=2 C=1", "1=2 2=1", true, true, true},
		{"the variant's row is there too", "C-red=1", "2=1 3=0", true, true, true},
		{"more of it", "A=1", "1=2", false, false, true},
		{"less of it", "A=2", "1=1", false, false, false},
		{"other things too", "A=2", "1=2 2=1", false, false, true},
		{"nothing of it", "A=2", "2=1", false, false, false},
		{"any quantity", "A", "1=3", true, true, true},
		{"a bundle together", "B=1", "4=1", true, true, true},
		{"a bundle together, with its components", "x=1 y=2", "4=1 5=1 6=2", true, true, true},
		{"a part of a bundle, which is shipped whole", "y=1", "4=1", false, true, true},
		{"a part of two bundles", "y=3", "4=1", false, false, false},
		{"a component by itself", "y=1", "4=1 6=1", true, true, true},
		{"more of a component", "y=1", "4=1 6=2", false, false, true},
		{"a SKU on two rows", "x=2", "8=1 5=1", true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parcelOf(t, tt.items)
			if err != nil {
				t.Fatal(err)
			}
			s := shipmentOf(t, tt.shipment)
			if p.Just(s) != tt.just || p.Made(s) != tt.made || p.Within(s) != tt.within {
				t.Errorf("just %v, made %v, within %v; want %v, %v, %v", p.Just(s), p.Made(s), p.Within(s), tt.just, tt.made, tt.within)
			}
		})
	}
}

// A quantity that can't be read would be taken for none, and be shipped once more.
func TestParcel_OddQuantities(t *testing.T) {
	for _, tt := range []struct{ order, shipment, says string }{
		{``, `{"entity_id":9,"items":[{"order_item_id":1,"qty":1,"name":false,"weight":"x"}],"comments":{"2":{"comment":[]}},"created_at":[]}`, ""},
		{`"qty_shipped":false`, `{}`, ""},
		{``, `{"entity_id":9,"items":[{"order_item_id":1,"qty":"1,0"}]}`, `items[0].qty is a string like "0,0"`},
		{``, `{"entity_id":9,"items":[{"order_item_id":[],"qty":1}]}`, `items[0].order_item_id is an empty array`},
		{``, `{"entity_id":9,"items":"none"}`, `items is a string`},
		{``, `{"entity_id":9,"tracks":[{"track_number":{"a":1}}]}`, `tracks[0].track_number is an object`},
		{`"qty_shipped":"one"`, `{}`, `items[0].qty_shipped is a string`},
		{`"product_type":false`, `{}`, `items[0].product_type is the boolean false`},
	} {
		order := `{"entity_id":1,"increment_id":"7","items":[{"item_id":1,"sku":"A","qty_ordered":5}]}`
		if tt.order != "" {
			order = strings.Replace(order, `"sku"`, tt.order+`,"sku"`, 1)
		}
		var o magentoapi.Order
		var s magentoapi.Shipment
		if err := errors.Join(json.Unmarshal([]byte(order), &o), json.Unmarshal([]byte(tt.shipment), &s)); err != nil {
			t.Fatal(err)
		}
		_, err := mapping.NewParcel(&o, []*magentoapi.Shipment{&s}, itemsOf(t, "A"))
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s %s: %v", tt.order, tt.shipment, err)
		case tt.says != "" && (event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s %s: %v, want %s", tt.order, tt.shipment, err, tt.says)
		}
	}
}
