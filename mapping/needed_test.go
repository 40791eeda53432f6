package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// A place is where a value is in JSON.
type place struct {
	path     string // as OddField.Path has it
	from, to int
}

// placesIn gives every value in an object but itself. The JSON must have no spaces.
func placesIn(t *testing.T, data []byte) []place {
	t.Helper()
	var all []place
	d := json.NewDecoder(bytes.NewReader(data))
	token := func() json.Token {
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	var value func(path string)
	value = func(path string) {
		from := int(d.InputOffset())
		for from < len(data) && (data[from] == ':' || data[from] == ',') {
			from++
		}
		at := len(all)
		all = append(all, place{path, from, 0})
		switch token() {
		case json.Delim('{'):
			for d.More() {
				name := token().(string)
				if path != "" {
					name = path + "." + name
				}
				value(name)
			}
			token()
		case json.Delim('['):
			for i := 0; d.More(); i++ {
				value(path + "[" + strconv.Itoa(i) + "]")
			}
			token()
		}
		all[at].to = int(d.InputOffset())
	}
	value("")
	return all[1:]
}

// with gives JSON with another value at a place.
func (p place) with(data []byte, value string) []byte {
	return slices.Concat(data[:p.from], []byte(value), data[p.to:])
}

// orderJSON reads an order of testdata, without spaces.
func orderJSON(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".order.json")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var oddForms = []string{
	`false`, `[1]`, `null`, `true`, `""`, `"1,00"`, `2`, `-1`, `[]`, `{}`, `[null]`, `{"0":{},"4":{}}`, `{"0":"x"}`, `{"a":1}`,
}

// Of each value in an order, in each form: nothing is lost; the order is readable or the error names just that value; and
// what the value's form says nothing of is in the sales order as if Magento had not told it, but never a number.
func TestSalesOrder_SurvivesOneOddValue(t *testing.T) {
	for _, name := range []string{"bundle-fixed", "b2b-company"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order := orderJSON(t, name)
			told := numbers(t, encode(t, sales(t, order)))
			for _, p := range placesIn(t, order) {
				if strings.Contains(p.path, "[2]") || strings.Contains(p.path, "parent_item.") && p.path > "items[1]" {
					continue // more of the same
				}
				for i, form := range oddForms {
					// No field takes both of the first two: only Magento knows what it is.
					if odd := oneForm(t, order, told, p, form); !odd && i == 1 {
						break
					}
				}
			}
		})
	}
}

func oneForm(t *testing.T, order []byte, told map[string]bool, p place, form string) (odd bool) {
	t.Helper()
	body := p.with(order, form)
	var o magentoapi.Order
	if err := json.Unmarshal(body, &o); err != nil {
		t.Errorf("%s = %s: can't be read: %v", p.path, form, err)
		return true
	}
	if again := encode(t, o); !bytes.Equal(again, body) {
		t.Errorf("%s = %s: something is lost in a get and save", p.path, form)
	}
	so, _, err := SalesOrder(&o, "r", Store{})
	if err != nil {
		var odd magentoapi.OddField
		if !errors.As(err, &odd) || !strings.HasPrefix(odd.Path, p.path) || event.ClassOf(err) != event.Invalid {
			t.Errorf("%s = %s: %v", p.path, form, err)
		}
		return true
	}
	if !slices.ContainsFunc(o.Odd(), func(f magentoapi.OddField) bool { return f.Path == p.path }) {
		return false // it says something, if perhaps something else
	}
	if strings.HasSuffix(p.path, "parent_item_id") || strings.HasSuffix(p.path, "]") {
		return true // false is no parent; and a list is shorter without a row
	}
	got := encode(t, so)
	now := numbers(t, got)
	for number := range told {
		if !now[number] {
			t.Errorf("%s = %s: the sales order goes without %s", p.path, form, number)
		}
	}
	if want := encode(t, sales(t, p.with(order, "null"))); !bytes.Equal(got, want) {
		t.Errorf("%s = %s: got %s\nwant %s", p.path, form, got, want)
	}
	return true
}

func sales(t *testing.T, body []byte) any {
	t.Helper()
	var o magentoapi.Order
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	so, _, err := SalesOrder(&o, "r", Store{})
	if err != nil {
		t.Fatal(err)
	}
	return so
}

// numbers gives where the numbers of a sales order's lines, shipping and totals are.
func numbers(t *testing.T, so []byte) map[string]bool {
	all := map[string]bool{}
	for _, p := range placesIn(t, so) {
		part := p.path[:max(0, strings.IndexAny(p.path, ".["))]
		value, isText := strings.CutPrefix(string(so[p.from:p.to]), `"`)
		if _, err := strconv.ParseFloat(strings.TrimSuffix(value, `"`), 64); err == nil && isText &&
			slices.Contains([]string{"lines", "shipping", "totals"}, part) &&
			!strings.Contains(p.path, "adjustments") && !strings.Contains(p.path, "options") && p.path != "shipping.tax_percent" {
			all[p.path] = true
		}
	}
	return all
}

// What is right for values that were met in shops.
func TestSalesOrder_ReadsOddValuesOfRealShops(t *testing.T) {
	order := orderJSON(t, "simple")
	places := placesIn(t, order)
	for change, refused := range map[string]string{
		`status_histories=[{"is_customer_notified":2}]`:                                                "",
		`status_histories=[{"is_customer_notified":"2","is_visible_on_front":2,"created_at":""}]`:      "",
		`status_histories={"3":{"comment":"a","is_customer_notified":null}}`:                           "",
		`payment.amount_paid=false`:                                                                    "",
		`payment.po_number=[]`:                                                                         "",
		`payment.last_trans_id=12345`:                                                                  "",
		`customer_note=false`:                                                                          "",
		`customer_id=-1`:                                                                               "",
		`customer_group_id=null`:                                                                       "",
		`created_at="Sep 25, 2024, 5:23:40 AM"`:                                                        "",
		`billing_address=[]`:                                                                           "",
		`billing_address.region={"region":"X","region_code":"Y"}`:                                      "",
		`billing_address.street={"0":"a","1":"b"}`:                                                     "",
		`billing_address.street=["a",null,""]`:                                                         "",
		`store_name=null`:                                                                              "",
		`original_increment_id=12`:                                                                     "",
		`relation_parent_id="000000012"`:                                                               "",
		`extension_attributes=[]`:                                                                      "",
		`extension_attributes=null`:                                                                    "",
		`extension_attributes.company_order_attributes=[]`:                                             "",
		`extension_attributes.company_order_attributes={"company_id":null}`:                            "",
		`extension_attributes.gift_cards="[{\"i\":1,\"c\":\"A\",\"a\":10,\"ba\":10}]"`:                 "",
		`extension_attributes.gift_cards_amount=false`:                                                 "",
		`extension_attributes.reward_currency_amount=""`:                                               "",
		`extension_attributes.applied_taxes={"VAT":{"code":"VAT"}}`:                                    "",
		`extension_attributes.payment_additional_info={"method_title":"x"}`:                            "",
		`extension_attributes.payment_additional_info=[{"key":"a","value":["x",1]}]`:                   "",
		`items[0].product_option={"extension_attributes":{"custom_options":null}}`:                     "",
		`items[0].product_option={"extension_attributes":{"custom_options":[{"option_value":["1"]}]}}`: "",
		`items[0].parent_item=false`:                                                                   "",
		`items[0].parent_item_id=false`:                                                                "",
		`items[0].parent_item_id=""`:                                                                   "",
		`items[0].name=false`:                                                                          "",
		`items[0].weee_tax_applied_row_amount=false`:                                                   "",
		`total_paid=""`:                 "",
		`is_virtual=2`:                  "",
		`grand_total="NAN"`:             `grand_total is a string like "aaa"`,
		`grand_total="39,00 €"`:         `grand_total is a string like "00,00 €"`,
		`grand_total=false`:             `grand_total is the boolean false`,
		`grand_total=""`:                `grand_total is an empty string`,
		`grand_total=[]`:                `grand_total is an empty array`,
		`tax_amount={"a":1}`:            `tax_amount is an object`,
		`items[0].qty_ordered="1,0000"`: `items[0].qty_ordered is a string like "0,0000"`,
		`items[0].tax_percent=false`:    `items[0].tax_percent is the boolean false`,
		`items[0].sku=["A"]`:            `items[0].sku is an array`,
		`items[0]=null`:                 `items[0] is null`,
		`items="jane@fixture.example"`:  `items is a string like "aaaa@aaaaaaa.aaaaaaa"`,
		`items={"a":{}}`:                `items is an object`,
		`order_currency_code=false`:     `order_currency_code is the boolean false`,
		`entity_id="x"`:                 `entity_id is a string like "a"`,
		`shipping_amount="free"`:        `shipping_amount is a string like "aaaa"`,
		`shipping_tax_amount=false`:     `shipping_tax_amount is the boolean false`,
	} {
		path, value, _ := strings.Cut(change, "=")
		at := slices.IndexFunc(places, func(p place) bool { return p.path == path })
		var body []byte
		if at >= 0 {
			body = places[at].with(order, value)
		} else { // it is in the last object of its path
			parent, name := "", path
			if dot := strings.LastIndexByte(path, '.'); dot > 0 {
				parent, name = path[:dot], path[dot+1:]
			}
			from := 0
			if i := slices.IndexFunc(places, func(p place) bool { return p.path == parent }); i >= 0 {
				from = places[i].from
			}
			body = slices.Concat(order[:from], []byte(`{"`+name+`":`+value+`,`), order[from+1:])
		}
		var o magentoapi.Order
		if err := json.Unmarshal(body, &o); err != nil {
			t.Errorf("%s: %v", change, err)
			continue
		}
		if len(encode(t, o)) != len(body) {
			t.Errorf("%s: something is lost in a get and save", change)
		}
		so, _, err := SalesOrder(&o, "r", Store{})
		switch {
		case refused == "" && err != nil:
			t.Errorf("%s: %v", change, err)
		case refused == "" && so.Totals.Other.Decimal.Sign() != 0:
			t.Errorf("%s: other is %s", change, so.Totals.Other)
		case refused != "" && (err == nil || !strings.Contains(err.Error(), refused)):
			t.Errorf("%s: %v, want %s", change, err, refused)
		}
	}
}

// The rows of a composite may be told in its components alone, and then they are what the document is made of.
func TestReadable_NeedsTheParentsRowWithoutAnother(t *testing.T) {
	const child = `{"item_id":2,"parent_item_id":1,"sku":"A","parent_item":{"item_id":1,"product_type":"configurable","row_total":false}}`
	for items, readable := range map[string]bool{
		child: false, `{"item_id":1,"product_type":"configurable","sku":"A","row_total":10},` + child: true,
	} {
		_, _, err := SalesOrder(parseOrder(t, `{"items":[`+items+`]}`), "r", Store{})
		if (err == nil) != readable {
			t.Errorf("%s: %v", items, err)
		}
	}
}
