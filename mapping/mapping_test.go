package mapping

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

func parseOrder(t *testing.T, text string) *magentoapi.Order {
	t.Helper()
	var o magentoapi.Order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestBusinessKey_FollowsTheRule(t *testing.T) {
	for _, c := range []struct {
		rule  KeyRule
		order string
		want  string
		class event.Class
	}{
		{ByIncrementID, `{"increment_id":"000000123","store_id":2}`, "000000123", ""},
		{ByIncrementID, `{"increment_id":123}`, "123", ""},
		{ByStoreAndIncrementID, `{"increment_id":"000000123","store_id":"2"}`, "2-000000123", ""},
		{ByStoreAndIncrementID, `{"increment_id":"A-1","store_id":0}`, "0-A-1", ""},
		{ByStoreAndIncrementID, `{"increment_id":"000000123"}`, "", event.Invalid},
		{ByIncrementID, `{"entity_id":5}`, "", event.Invalid},
		{"number", `{"increment_id":"1"}`, "", event.Internal},
	} {
		got, err := BusinessKey(c.rule, parseOrder(t, c.order))
		if got != c.want || (err == nil) != (c.class == "") || err != nil && event.ClassOf(err) != c.class {
			t.Errorf("%s of %s: got %q, %v", c.rule, c.order, got, err)
		}
	}
	if got := ExternalReference("SHOP1-", "000000123"); got != "SHOP1-000000123" {
		t.Errorf("external reference: got %q", got)
	}
}

func TestSalesOrder_PlacedOnIsTheStoresDay(t *testing.T) {
	o := parseOrder(t, `{"created_at":"2026-11-23 23:30:00"}`)
	for zone, want := range map[string]string{"Europe/Berlin": "2026-11-24", "America/New_York": "2026-11-23", "UTC": "2026-11-23"} {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		so, _, _ := SalesOrder(o, "r", Store{Location: location})
		if *so.PlacedOn != want || so.PlacedAt.Format(time.RFC3339) != "2026-11-23T23:30:00Z" {
			t.Errorf("%s: placed on %s at %s, want on %s", zone, *so.PlacedOn, so.PlacedAt, want)
		}
	}
}

func TestSalesOrder_HasShippingOnlyIfShipped(t *testing.T) {
	address := `"extension_attributes":{"shipping_assignments":[{"shipping":{"address":{"city":"Leipzig"},"method":"dhl_std"}}]}`
	for order, want := range map[string]bool{
		`{"is_virtual":1,` + address + `}`:       false,
		`{"is_virtual":0}`:                       true,
		`{` + address + `}`:                      true,
		`{"shipping_amount":4.9}`:                true,
		`{"shipping_amount":0}`:                  false,
		`{"shipping_description":"Pick-up"}`:     true,
		`{"extension_attributes":[]}`:            false,
		`{"is_virtual":"0","shipping_amount":0}`: true,
	} {
		so, _, _ := SalesOrder(parseOrder(t, order), "r", Store{})
		if got := so.Shipping != nil; got != want {
			t.Errorf("%s: shipping is told: %v, want %v", order, got, want)
		}
		if so.Shipping == nil && so.ShippingAddress != nil {
			t.Errorf("%s: an address without shipping", order)
		}
	}
}

func TestSalesOrder_FindsTheShippingTaxRate(t *testing.T) {
	for order, want := range map[string]string{
		`{"is_virtual":0,"shipping_tax_amount":0.95,"extension_attributes":{"applied_taxes":[{"percent":19}]}}`:                                                                                     "19",
		`{"is_virtual":0,"shipping_tax_amount":0,"extension_attributes":{"applied_taxes":[{"percent":19}]}}`:                                                                                        "",
		`{"is_virtual":0,"shipping_tax_amount":0.95,"extension_attributes":{"applied_taxes":[{"percent":19},{"percent":7}]}}`:                                                                       "",
		`{"is_virtual":0,"extension_attributes":{"item_applied_taxes":[{"type":"product","applied_taxes":[{"percent":7}]},{"type":"shipping","applied_taxes":[{"percent":4},{"percent":4.875}]}]}}`: "8.875",
	} {
		so, _, _ := SalesOrder(parseOrder(t, order), "r", Store{})
		if got := so.Shipping.TaxPercent.String(); got != want {
			t.Errorf("%s: got %q, want %q", order, got, want)
		}
	}
}

// lineText is reference, parent, SKU, quantity and row total of each line.
func lineText(ls []erp.Line) string {
	var out []string
	for _, l := range ls {
		parent, sku := "", ""
		if l.ParentReference != nil {
			parent = "<" + *l.ParentReference
		}
		if l.SKU != nil {
			sku = *l.SKU
		}
		out = append(out, fmt.Sprintf("%s%s %s %s %s", l.Reference, parent, sku, l.Quantity, l.RowTotal))
	}
	return strings.Join(out, "; ")
}

func TestSalesOrder_PicksTheRowsThatAreLines(t *testing.T) {
	for name, c := range map[string]struct{ items, want string }{
		"the variant's SKU where the parent has its own": {
			`{"item_id":1,"product_type":"configurable","sku":"TEE","qty_ordered":2,"row_total":20},{"item_id":2,"parent_item_id":1,"sku":"TEE-S","qty_ordered":2}`,
			"1 TEE-S 2 20.00",
		},
		"a configurable whose variant comes first": {
			`{"item_id":1,"parent_item_id":2,"sku":"TEE-S","qty_ordered":1},{"item_id":2,"product_type":"configurable","sku":"TEE","qty_ordered":1,"row_total":10}`,
			"2 TEE-S 1 10.00",
		},
		"a configurable without its variant's row": {
			`{"item_id":1,"product_type":"configurable","sku":"TEE-S","qty_ordered":1,"row_total":10}`,
			"1 TEE-S 1 10.00",
		},
		"a parent that is only told inside of its child": {
			`{"item_id":2,"parent_item_id":1,"sku":"TEE-S","qty_ordered":1,"parent_item":{"item_id":1,"product_type":"configurable","sku":"TEE","qty_ordered":1,"row_total":10}}`,
			"1 TEE-S 1 10.00",
		},
		"a parent that is told nowhere": {
			`{"item_id":2,"parent_item_id":1,"sku":"A","qty_ordered":1,"row_total":10}`,
			"2 A 1 10.00",
		},
		"a bundle that is free: its components": {
			`{"item_id":1,"product_type":"bundle","sku":"KIT","qty_ordered":1,"row_total":0},{"item_id":2,"parent_item_id":1,"sku":"A","qty_ordered":1,"row_total":0}`,
			"2 A 1 0.00",
		},
		"a bundle with a fixed price, one component's money not told": {
			`{"item_id":1,"product_type":"bundle","sku":"KIT","qty_ordered":1,"row_total":9.9},{"item_id":2,"parent_item_id":1,"sku":"A","qty_ordered":3}`,
			"1 KIT 1 9.90; 2<1 A 3 0.00",
		},
		"a bundle with one free component": {
			`{"item_id":1,"product_type":"bundle","sku":"KIT","qty_ordered":1,"row_total":5},{"item_id":2,"parent_item_id":1,"sku":"A","qty_ordered":1,"row_total":0},{"item_id":3,"parent_item_id":1,"sku":"B","qty_ordered":1,"row_total":5}`,
			"2 A 1 0.00; 3 B 1 5.00",
		},
		"a row that names itself as its parent": {
			`{"item_id":1,"parent_item_id":1,"sku":"A","qty_ordered":1,"row_total":1}`,
			"1 A 1 1.00",
		},
		"no rows": {``, ""},
	} {
		so, _, _ := SalesOrder(parseOrder(t, `{"items":[`+c.items+`]}`), "r", Store{})
		if got := lineText(so.Lines); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		if so.Lines == nil {
			t.Errorf("%s: lines are null in JSON", name)
		}
	}
}

func TestSalesOrder_ListsAdjustments(t *testing.T) {
	for order, want := range map[string]string{
		`{"extension_attributes":{"gift_cards":[{"amount":10},{"amount":"5.5"}]}}`:                                                                                                                       "gift_card -15.50",
		`{"extension_attributes":{"gift_cards":[{"amount":10}],"gift_cards_amount":0}}`:                                                                                                                  "",
		`{"extension_attributes":{"gift_cards_amount":1,"customer_balance_amount":2,"reward_currency_amount":3}}`:                                                                                        "gift_card -1.00 store_credit -2.00 reward_points -3.00",
		`{"items":[{"item_id":1,"qty_ordered":2,"gw_price":1.5}]}`:                                                                                                                                       "gift_wrap 3.00",
		`{"items":[{"item_id":1,"qty_ordered":2,"gw_price":1.5}],"extension_attributes":{"gw_items_price":"3.0000","gw_price":"2.0000"}}`:                                                                "gift_wrap 5.00",
		`{"items":[{"item_id":1,"row_total":10,"weee_tax_applied_row_amount":1}],"subtotal":10}`:                                                                                                         "weee 1.00",
		`{"items":[{"item_id":1,"row_total":10,"weee_tax_applied_row_amount":1}],"subtotal":11}`:                                                                                                         "",
		`{"items":[{"item_id":1,"weee_tax_applied_row_amount":1}]}`:                                                                                                                                      "weee 1.00",
		`{"items":[{"item_id":1,"product_type":"bundle","row_total":10,"weee_tax_applied_row_amount":1},{"item_id":2,"parent_item_id":1,"row_total":10,"weee_tax_applied_row_amount":1}],"subtotal":10}`: "weee 1.00",
	} {
		so, _, _ := SalesOrder(parseOrder(t, order), "r", Store{})
		var got []string
		for _, a := range so.Totals.Adjustments {
			got = append(got, string(a.Code)+" "+a.Amount.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", order, got, want)
		}
	}
}

func TestSalesOrder_WarnsOnlyBeyondRounding(t *testing.T) {
	for total, warn := range map[string]bool{"10": false, "10.02": false, "9.98": false, "10.0201": true, "9.97": true} {
		so, warnings, _ := SalesOrder(parseOrder(t, `{"increment_id":"7","subtotal":10,"grand_total":`+total+`}`), "r", Store{})
		if (len(warnings) > 0) != warn {
			t.Errorf("grand total %s, other %s: got warnings %q", total, so.Totals.Other, warnings)
		}
	}
}

func TestSalesOrder_KeepsMissingValuesNull(t *testing.T) {
	so, _, _ := SalesOrder(&magentoapi.Order{}, "r", Store{})
	got, err := json.Marshal(so)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"external_reference":"r","entity_id":null,"increment_id":null,"placed_at":null,"placed_on":null,"replaces":null,"store":{"id":null,"code":null,"name":null},` +
		`"currency":null,"base_currency":null,"exchange_rate":null,"base_grand_total":null,` +
		`"customer":{"id":null,"guest":null,"group_id":null,"website_id":null,"email":null,"first_name":null,"last_name":null,"tax_id":null,"company":null},` +
		`"billing_address":null,"shipping_address":null,"shipping":null,` +
		`"payment":{"method":null,"transaction_id":null,"purchase_order_number":null,"amount_ordered":null,"amount_authorized":null,"amount_paid":null},` +
		`"lines":[],"totals":{"subtotal":null,"discount":null,"discount_tax_compensation":null,"shipping":null,"tax":null,"adjustments":[],"other":null,"grand_total":null},"comment":null}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCancellation_SubtractsWhatWasCancelledBefore(t *testing.T) {
	for name, c := range map[string]struct {
		order string
		taken map[string]decimal.Decimal
		key   string
		want  string
	}{
		"the whole order": {
			order: `{"state":"canceled","items":[{"item_id":1001,"sku":"24-MB01","qty_ordered":2,"qty_canceled":2}]}`,
			key:   "K:1001=2",
			want:  `{"reason":"canceled in Magento","complete":true,"lines":[{"reference":"1001","sku":"24-MB01","quantity":"2"}]}`,
		},
		"the whole order, rows not saved yet": {
			order: `{"state":"canceled","items":[{"item_id":1001,"sku":"A","qty_ordered":2,"qty_canceled":0},{"item_id":1002,"sku":"B","qty_ordered":3,"qty_refunded":1,"qty_shipped":1}]}`,
			key:   "K:1001=2,1002=1",
			want:  `{"reason":"canceled in Magento","complete":true,"lines":[{"reference":"1001","sku":"A","quantity":"2"},{"reference":"1002","sku":"B","quantity":"1"}]}`,
		},
		"a part, of which some was taken before": {
			order: `{"state":"processing","items":[{"item_id":1,"sku":"A","qty_ordered":5,"qty_canceled":3},{"item_id":2,"sku":"B","qty_ordered":1,"qty_canceled":1},{"item_id":3,"sku":"C","qty_ordered":1}]}`,
			taken: map[string]decimal.Decimal{"1": decimal.NewFromInt(2), "2": decimal.NewFromInt(1)},
			key:   "K:1=3,2=1",
			want:  `{"reason":"canceled in Magento","complete":false,"lines":[{"reference":"1","sku":"A","quantity":"1"}]}`,
		},
		"nothing": {
			order: `{"state":"processing","items":[{"item_id":1,"sku":"A","qty_ordered":5,"qty_canceled":0}]}`,
			key:   "K:",
			want:  `{"reason":"canceled in Magento","complete":false,"lines":[]}`,
		},
		"a configurable": {
			order: `{"state":"complete","items":[{"item_id":1,"product_type":"configurable","sku":"TEE","qty_ordered":3,"qty_canceled":2,"row_total":30},{"item_id":2,"parent_item_id":1,"sku":"TEE-S","qty_ordered":3,"qty_canceled":0}]}`,
			key:   "K:1=2",
			want:  `{"reason":"canceled in Magento","complete":false,"lines":[{"reference":"1","sku":"TEE-S","quantity":"2"}]}`,
		},
		"a bundle with dynamic price, cancelled on the bundle's row": {
			order: `{"state":"processing","items":[{"item_id":1,"product_type":"bundle","sku":"KIT","qty_ordered":2,"qty_canceled":1,"row_total":30},{"item_id":2,"parent_item_id":1,"sku":"A","qty_ordered":6,"row_total":30}]}`,
			key:   "K:2=3",
			want:  `{"reason":"canceled in Magento","complete":false,"lines":[{"reference":"2","sku":"A","quantity":"3"}]}`,
		},
		"a bundle with fixed price": {
			order: `{"state":"processing","items":[{"item_id":1,"product_type":"bundle","sku":"KIT","qty_ordered":2,"qty_canceled":1,"row_total":30},{"item_id":2,"parent_item_id":1,"sku":"A","qty_ordered":2.5}]}`,
			key:   "K:1=1,2=1.25",
			want:  `{"reason":"canceled in Magento","complete":false,"lines":[{"reference":"1","sku":"KIT","quantity":"1"},{"reference":"2","sku":"A","quantity":"1.25"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := parseOrder(t, c.order)
			if got := CancellationKey("K", Cancelled(o)); got != c.key {
				t.Errorf("key: got %q, want %q", got, c.key)
			}
			got, err := json.Marshal(Cancellation(o, c.taken))
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestCancellationKey_OfManyLinesFitsInAHeader(t *testing.T) {
	var ls []erp.CancellationLine
	for i := range 500 {
		ls = append(ls, erp.CancellationLine{Reference: fmt.Sprint(1000 + i), Quantity: erp.NewQuantity(decimal.NewFromInt(1))})
	}
	key := CancellationKey("000000123", ls)
	if len(key) > 250 {
		t.Errorf("the key has %d bytes", len(key))
	}
	more := slices.Clone(ls)
	more[499].Quantity = erp.NewQuantity(decimal.NewFromInt(2))
	if key == CancellationKey("000000123", more) {
		t.Error("a cancellation of more has the same key")
	}
}

// Whatever Magento says, the mapping does not fail, and where it tells a grand total the totals add up to it.
func FuzzSalesOrder(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.order.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"grand_total":"1e30","subtotal":-1e-20,"items":[{"item_id":1,"parent_item_id":2},{"item_id":2,"parent_item_id":1,"product_type":"configurable"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o magentoapi.Order
		if json.Unmarshal(data, &o) != nil {
			return
		}
		so, _, err := SalesOrder(&o, "reference", Store{})
		if err != nil {
			return
		}
		written, err := json.Marshal(so)
		if err != nil {
			t.Fatal(err)
		}
		var w writtenOrder
		if err := json.Unmarshal(written, &w); err != nil {
			t.Fatal(err)
		}
		if w.Totals.GrandTotal != nil {
			parts := money(t, w.Totals.Subtotal)
			for _, p := range []*string{w.Totals.Discount, w.Totals.DiscountTaxCompensation, w.Totals.Shipping, w.Totals.Tax, w.Totals.Other} {
				parts.Add(parts, money(t, p))
			}
			for _, a := range w.Totals.Adjustments {
				parts.Add(parts, money(t, a.Amount))
			}
			if parts.Cmp(money(t, w.Totals.GrandTotal)) != 0 {
				t.Errorf("the totals come to %s, not to %s", parts.FloatString(4), *w.Totals.GrandTotal)
			}
		}
		if len(so.Lines) > 2*len(o.Items) {
			t.Errorf("%d rows make %d lines", len(o.Items), len(so.Lines))
		}
		for _, l := range Cancellation(&o, nil).Lines {
			if !l.Quantity.Decimal.IsPositive() {
				t.Errorf("line %s is cancelled by %s", l.Reference, l.Quantity)
			}
		}
	})
}
