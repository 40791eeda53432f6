package magentoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sample makes the JSON of a value in which every field is told.
func sample(t reflect.Type, depth int) string {
	switch {
	case t == reflect.TypeFor[Text](), t.Kind() == reflect.String:
		return `"t"`
	case t == reflect.TypeFor[Time]():
		return `"2026-11-23 09:15:02"`
	case t == reflect.TypeFor[Street]():
		return `["Geheimweg 7"]`
	case t == reflect.TypeFor[CustomAttributes]():
		return `[{"attribute_code":"color","value":"5"}]`
	case wants[t] != "":
		return `1`
	case t.Kind() == reflect.Pointer:
		if depth == 0 {
			return `null`
		}
		return sample(t.Elem(), depth-1)
	case t.Kind() == reflect.Map:
		return `{"a":1}`
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		if depth == 0 {
			return `[]`
		}
		return `[` + sample(t.Elem(), depth-1) + `]`
	case t.Kind() == reflect.Struct:
		return sampleObject(t, depth, "", "")
	default:
		return `1`
	}
}

// sampleObject makes the JSON of a struct, with another value for the field of a name.
func sampleObject(t reflect.Type, depth int, field, value string) string {
	var members []string
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == field {
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		} else {
			members = append(members, fmt.Sprintf("%q:%s", name, sample(f.Type, depth)))
		}
	}
	return `{` + strings.Join(members, ",") + `}`
}

// An answer of any endpoint in which one field has any form is read; the other fields are what they are without it, and
// what can't be read is told and written as it came.
func TestOneFieldOfAnyFormLeavesTheOthers(t *testing.T) {
	forms := []string{`null`, `false`, `true`, `""`, `"x"`, `2`, `-1`, `[]`, `{}`, `[1]`, `{"0":{}}`, `{"a":1}`, `"[{}]"`}
	for _, answer := range []any{
		&Order{}, &OrderItem{}, &OrderAddress{}, &OrderPayment{}, &OrderStatusHistory{}, &OrderExtension{}, &Shipment{}, &Invoice{},
		&CreditMemo{}, &Transaction{}, &Product{}, &Customer{}, &CustomerGroup{}, &Category{}, &Attribute{}, &AttributeSet{}, &Cart{},
		&CartItem{}, &Totals{}, &StockItem{}, &StockStatus{}, &Source{}, &SourceItem{}, &Stock{}, &StoreConfig{}, &StoreView{},
		&BulkStatus{}, &Operation{}, &ConfigurableOption{}, &CategoryNode{}, &Country{}, &Currency{},
		&ProductCustomOption{}, &BundleOption{}, &BundleLink{}, &TaxClass{}, &TaxRate{}, &TaxRule{}, &SalesRule{}, &Coupon{},
		&AttributeMetadata{}, &SourceSelection{}, &PaymentDetails{},
	} {
		of := reflect.TypeOf(answer).Elem()
		for i := range of.NumField() {
			f := of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() {
				continue
			}
			for _, form := range forms {
				body, odd := sampleObject(of, 2, "", ""), sampleObject(of, 2, name, form)
				want, got := reflect.New(of), reflect.New(of)
				if err := errors.Join(readInto(body, want.Interface()), readInto(odd, got.Interface())); err != nil {
					t.Errorf("%s.%s = %s: %v", of, name, form, err)
					continue
				}
				for k := range of.NumField() {
					if k != i && of.Field(k).IsExported() && !reflect.DeepEqual(want.Elem().Field(k).Interface(), got.Elem().Field(k).Interface()) {
						t.Errorf("%s.%s = %s changes %s", of, name, form, of.Field(k).Name)
					}
				}
				k, keeps := got.Interface().(keeper)
				if !keeps {
					continue
				}
				if written, err := json.Marshal(got.Interface()); err != nil || string(written) != odd {
					t.Errorf("%s.%s = %s is written as %s, %v", of, name, form, written, err)
				}
				_, keepsItself := got.Elem().Field(i).Addr().Interface().(keeper)
				zero := keepsItself || got.Elem().Field(i).IsZero()
				told := slices.ContainsFunc(k.kept().odd, func(o OddField) bool { return o.Path == name })
				if form == "true" && f.Type != reflect.TypeFor[Flag]() && f.Type != reflect.TypeFor[json.RawMessage]() && (!told || !zero) {
					t.Errorf("%s.%s = %s: odd %v, zero %v", of, name, form, k.kept().odd, zero)
				}
			}
		}
	}
}

func readInto(body string, v any) error {
	_, err := readAnswer([]byte(body), v)
	return err
}

func TestListsThatPHPMadeObjectsOf(t *testing.T) {
	var o Order
	body := `{"items":{"3":{"sku":"A"},"12":{"sku":"B"}},"status_histories":{},"billing_address":{"street":{"0":"a","2":"b"}},` +
		`"extension_attributes":{"applied_taxes":{"VAT":{"code":"VAT"}},"shipping_assignments":{"0":{"shipping":{"method":"m"}}}}}`
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Items) != 2 || o.Items[1].SKU != "B" || o.StatusHistories == nil || !slices.Equal(o.BillingAddress.Street, Street{"a", "b"}) ||
		o.ShippingAssignment() == nil || o.ShippingAssignment().Method != "m" {
		t.Errorf("got %+v", o)
	}
	want := []OddField{{Path: "extension_attributes.applied_taxes", Form: "an object", Want: "a list", field: "extension_attributes.applied_taxes"}}
	if !slices.Equal(o.Odd(), want) {
		t.Errorf("odd: %+v", o.Odd())
	}
	o.Items[0].SKU = "C"
	got, err := json.Marshal(o)
	if err != nil || !strings.Contains(string(got), `"items":[{"sku":"C"},{"sku":"B"}],"status_histories":{}`) {
		t.Errorf("written as %s, %v", got, err)
	}
}

// A row that can't be read is written as it came beside one that was changed.
func TestAnOddRowSurvivesAChangeOfTheList(t *testing.T) {
	var o Order
	if err := json.Unmarshal([]byte(`{"status_histories":[null,"x",{"comment":"a","is_customer_notified":2}]}`), &o); err != nil {
		t.Fatal(err)
	}
	o.StatusHistories[2].Comment = "b"
	got, err := json.Marshal(o)
	if want := `{"status_histories":[null,"x",{"comment":"b","is_customer_notified":2}]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestOddFieldsAreNamedWithoutWhatTheySay(t *testing.T) {
	for body, want := range map[string]string{
		`{"grand_total":"1.234,56 €"}`:                        `grand_total is a string like "0.000,00 €", where a number belongs`,
		`{"grand_total":"Jane Doe, jane@fixture.example"}`:    `grand_total is a string like "aaaa aaa, aaaa@aaaaaaa.a…", where a number belongs`,
		`{"entity_id":-5551234567}`:                           `entity_id is a number like -0000000000, where an id (a whole number, 0 or above) belongs`,
		`{"status_histories":[{"is_customer_notified":"2"}]}`: `status_histories[0].is_customer_notified is the string "2", where 0 or 1 belongs`,
		`{"items":[{},{"qty_ordered":[]}]}`:                   `items[1].qty_ordered is an empty array, where a number belongs`,
		`{"items":[{"parent_item":{"sku":true}}]}`:            `items[0].parent_item.sku is the boolean true, where a text belongs`,
		`{"payment":"x"}`:                                     `payment is a string like "a", where an object belongs`,
		`{"items":{"a":1}}`:                                   `items is an object, where a list belongs`,
		`{"items":[1]}`:                                       `items[0] is the number 1, where an object belongs`,
		`{"billing_address":{"street":["a",{"b":1}]}}`:        `billing_address.street[1] is an object, where a text belongs`,
		`{"created_at":"23. Nov. 2026"}`:                      `created_at is a string like "00. aaa. 0000", where a time (YYYY-MM-DD hh:mm:ss) belongs`,
	} {
		var o Order
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if odd := o.Odd(); len(odd) != 1 || odd[0].Error() != want {
			t.Errorf("%s: %v\nwant %s", body, odd, want)
		}
	}
}

// Of a list whose rows are all odd, each field is told once.
func TestOddFieldsAreBounded(t *testing.T) {
	var o Order
	if err := json.Unmarshal([]byte(`{"items":[`+strings.Repeat(`{"sku":[],"parent_item":{"sku":true}},`, 999)+`{"price":false}]}`), &o); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range o.Odd() {
		paths = append(paths, f.Path)
	}
	if want := []string{"items[0].sku", "items[0].parent_item.sku", "items[999].price"}; !slices.Equal(paths, want) {
		t.Errorf("got %q, want %q", paths, want)
	}
}

// The client tells of each answer, and knows itself what it can't do without.
func TestClientTellsOfOddFields(t *testing.T) {
	body := ""
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
	var told []string
	c := s.client(t, Options{OnOdd: func(_ context.Context, call string, fields []OddField) {
		for _, f := range fields {
			told = append(told, call+" "+f.Path)
		}
	}})
	for _, x := range []struct {
		body string
		call func() error
		told string
		odd  string // the field of the error
	}{
		{`{"entity_id":7,"customer_note":false}`, func() error { _, err := c.Orders.Get(t.Context(), 7); return err }, "GET /V1/orders/7 customer_note", ""},
		{`{"entity_id":"Geheimweg 7"}`, func() error { _, err := c.Orders.Get(t.Context(), 7); return err }, "GET /V1/orders/7 entity_id", "entity_id"},
		{
			`{"items":[{"entity_id":1},{"entity_id":2,"increment_id":"5","remote_ip":1,"is_virtual":2}],"total_count":2}`,
			func() error { _, err := c.Orders.ByIncrementID(t.Context(), "5"); return err }, "GET /V1/orders items[1].is_virtual", "",
		},
		{
			`{"items":[{"entity_id":1,"increment_id":{}}],"total_count":1}`,
			func() error { _, err := c.Orders.ByIncrementID(t.Context(), "5"); return err }, "GET /V1/orders items[0].increment_id", "increment_id",
		},
		{
			`{"items":[{"entity_id":[]}],"total_count":1}`,
			func() error {
				for _, err := range c.Shipments.All(t.Context(), SearchCriteria{}) {
					return err
				}
				return nil
			}, "GET /V1/shipments items[0].entity_id", "entity_id",
		},
		{
			`{"items":[{"entity_id":1,"order_id":"x"}],"total_count":1}`,
			func() error { _, err := c.Shipments.OfOrder(t.Context(), 7); return err }, "GET /V1/shipments items[0].order_id", "order_id",
		},
		{
			`[{"sku":"A","price":"1,00"}]`,
			func() error { _, err := c.Prices.BasePrices(t.Context(), "A"); return err }, "POST /V1/products/base-prices-information [0].price", "[0].price",
		},
		{
			`{"bulk_uuid":"u","request_items":[{"id":0,"status":["rejected"]}]}`,
			func() error {
				_, err := c.Bulk.Call(t.Context(), http.MethodPost, "/V1/x", nil)
				return err
			}, "POST /async/V1/x request_items[0].status", "request_items[0].status",
		},
		{`[{"id":1,"timezone":false,"base_currency_code":{}}]`, func() error {
			configs, err := c.Stores.Configs(t.Context())
			if err == nil && configs[0].ID != 1 {
				err = errors.New("the rest is not read")
			}
			return err
		}, "GET /V1/store/storeConfigs [0].timezone, GET /V1/store/storeConfigs [0].base_currency_code", ""},
		{`{"items":[{"comment":1,"is_customer_notified":2}],"total_count":1}`, func() error {
			_, err := c.Orders.Comments(t.Context(), 7)
			return err
		}, "GET /V1/orders/7/comments items[0].is_customer_notified", ""},
	} {
		told, body = nil, x.body
		err := x.call()
		var odd OddField
		if errors.As(err, &odd); odd.Path != x.odd || err != nil && x.odd == "" {
			t.Errorf("%s: %v", x.body, err)
		}
		if strings.Join(told, ", ") != x.told {
			t.Errorf("%s: told %q", x.body, told)
		}
	}
}

// What is no JSON at all ends with an error or without, but ends.
func FuzzReadWhatIsNoJSON(f *testing.F) {
	for _, s := range []string{oddOrder, `{"items":[`, `{"items":{"0":`, `{"a`, `{"a":"`, `{"\u00`, `[[`, `{"items":[}`, `{:}`, `{"grand_total":}`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Order
		err := o.UnmarshalJSON(data)
		if json.Valid(data) && data[0] == '{' && err != nil && !strings.Contains(err.Error(), "in each other") {
			t.Errorf("%q: %v", data, err)
		}
		for _, odd := range o.Odd() {
			_ = odd.Error()
		}
	})
}

// BenchmarkReadOdd reads an order in which some of the fields are odd.
func BenchmarkReadOdd(b *testing.B) {
	body, err := os.ReadFile("../mapping/testdata/configurable.order.json")
	if err != nil {
		b.Fatal(err)
	}
	body = []byte(strings.NewReplacer(`"is_customer_notified": 1`, `"is_customer_notified": 2`, `"base_cost": 0`, `"base_cost": false`,
		`"qty_canceled": 0`, `"qty_canceled": false`).Replace(string(body)))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var o Order
		if err := json.Unmarshal(body, &o); err != nil {
			b.Fatal(err)
		}
	}
}
