package magentoapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

const oddOrder = `{"vendor_top":{"a":[1,null]},"entity_id":"57","increment_id":"000000123","grand_total":"29.9900",` +
	`"subtotal":19.989999999999998,"total_paid":null,"state":"new","customer_is_guest":true,"ids":9007199254740993,` +
	`"created_at":"2026-11-23 09:15:02","store_id":0,"payment":{"method":"checkmo","vendor_token":"x"},` +
	`"items":[{"item_id":1,"sku":"A","vendor_row":7}],"extension_attributes":{"vendor":{"deep":"1.10"},"gift_cards":[]}}`

func readOddOrder(t *testing.T) *Order {
	t.Helper()
	var o Order
	if err := json.Unmarshal([]byte(oddOrder), &o); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestWhatIsReadAndNotChangedIsWrittenAsItCame(t *testing.T) {
	for _, in := range []string{
		oddOrder, `{}`, `{"entity_id":null}`, `{"grand_total":29.9900,"grand_total":1}`, `{"Entity_ID":5}`,
		`{"extension_attributes":[]}`, `{"items":[]}`, `{"items":null}`, `{"items":[null]}`, `{"payment":{}}`,
	} {
		var o Order
		if err := json.Unmarshal([]byte(in), &o); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, err := json.Marshal(o); err != nil || string(got) != in {
			t.Errorf("got  %s, %v\nwant %s", got, err, in)
		}
	}
}

func TestOnlyWhatWasChangedIsWrittenAnew(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(o *Order)
		old, want string
	}{
		"a text":              {func(o *Order) { o.State = "closed" }, `"state":"new"`, `"state":"closed"`},
		"a text to nothing":   {func(o *Order) { o.State = "" }, `"state":"new"`, `"state":""`},
		"an amount":           {func(o *Order) { o.GrandTotal.Decimal = decimal.RequireFromString("10.50") }, `"29.9900"`, `10.5`},
		"an amount to null":   {func(o *Order) { o.GrandTotal = Decimal{} }, `"29.9900"`, `null`},
		"an amount from null": {func(o *Order) { o.TotalPaid = Decimal{decimal.NewNullDecimal(decimal.Zero)} }, `"total_paid":null`, `"total_paid":0`},
		"a flag":              {func(o *Order) { o.CustomerIsGuest.Bool = false }, `"customer_is_guest":true`, `"customer_is_guest":0`},
		"a pointer to null":   {func(o *Order) { o.StoreID = nil }, `"store_id":0`, `"store_id":null`},
		"something below": {
			func(o *Order) { o.Payment.PoNumber = "PO-1" },
			`"vendor_token":"x"}`, `"vendor_token":"x","po_number":"PO-1"}`,
		},
		"something in a list": {func(o *Order) { o.Items[0].SKU = "B" }, `"sku":"A"`, `"sku":"B"`},
		"one more in a list":  {func(o *Order) { o.Items = append(o.Items, OrderItem{SKU: "B"}) }, `"vendor_row":7}`, `"vendor_row":7},{"sku":"B"}`},
		"a key that was missing": {
			func(o *Order) { o.CustomerNote = "n" },
			`"gift_cards":[]}}`, `"gift_cards":[]},"customer_note":"n"}`,
		},
	} {
		o := readOddOrder(t)
		c.change(o)
		want := strings.Replace(oddOrder, c.old, c.want, 1)
		if want == oddOrder {
			t.Fatalf("%s: nothing to replace", name)
		}
		if got, err := json.Marshal(o); err != nil || string(got) != want {
			t.Errorf("%s: got  %s, %v\nwant %s", name, got, err, want)
		}
	}
}

func TestAMadeValueWritesWhatIsSet(t *testing.T) {
	store := ID(0)
	got, err := json.Marshal(Order{IncrementID: "1", StoreID: &store, IsVirtual: Flag{Valid: true}, Payment: &OrderPayment{Method: "checkmo"}})
	if want := `{"increment_id":"1","store_id":0,"is_virtual":0,"payment":{"method":"checkmo"}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := json.Marshal(&Order{}); err != nil || string(got) != `{}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// encoding/json reads names without regard to case, and of two the last.
func TestAChangeReplacesEveryKeyThatIsRead(t *testing.T) {
	var o Order
	if err := json.Unmarshal([]byte(`{"STATE":"a","x":1,"State":"b"}`), &o); err != nil {
		t.Fatal(err)
	}
	o.State = "c"
	if got, err := json.Marshal(o); err != nil || string(got) != `{"state":"c","x":1}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// A copy can be changed without the first; reading again forgets what was read before.
func TestValuesShareNothing(t *testing.T) {
	o := readOddOrder(t)
	two := *o
	two.State = "closed"
	if got, err := json.Marshal(o); err != nil || string(got) != oddOrder {
		t.Errorf("got %s, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"entity_id":8}`), o); err != nil || o.State != "" || o.Items != nil {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestDepthIsBounded(t *testing.T) {
	for levels, readable := range map[int]bool{40: true, 200: false, 5000: false} {
		body := strings.Repeat(`{"parent_item":`, levels) + `{"name":"` + strings.Repeat(`[[[\"{{{`, 1000) + `","x":` +
			strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200) + `}` + strings.Repeat(`}`, levels)
		var i OrderItem
		if err := json.Unmarshal([]byte(body), &i); (err == nil) != readable {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

// What is read, changed and written is read as what was changed, and nothing else is lost.
func FuzzUnknownFieldsSurvive(f *testing.F) {
	f.Add([]byte(oddOrder), "x")
	f.Add([]byte(`{"State":"b","state":"a"," ":{},"\ud800":1,"":[]}`), "")
	f.Add([]byte(`[]`), "x")
	f.Add([]byte(`{"items":[{"parent_item":{"x":1}},null],"payment":{"x":[[]]}}`), "x")
	f.Fuzz(func(t *testing.T, data []byte, state string) {
		var o Order
		if json.Unmarshal(data, &o) != nil {
			return
		}
		o.State = Text(strings.ToValidUTF8(state, ""))
		body, err := json.Marshal(o)
		if err != nil {
			t.Fatalf("%q can be read and not written: %v", data, err)
		}
		var again Order
		if err := json.Unmarshal(body, &again); err != nil || again.State != o.State {
			t.Fatalf("%q was written as %q: state %q, %v", data, body, again.State, err)
		}
		var before, after map[string]any
		if json.Unmarshal(data, &before) != nil {
			return // [] and null
		}
		if err := json.Unmarshal(body, &after); err != nil {
			t.Fatal(err)
		}
		for name := range before {
			if strings.EqualFold(name, "state") {
				delete(before, name)
			}
		}
		for name := range after {
			if strings.EqualFold(name, "state") {
				delete(after, name)
			}
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%q was written as %q", data, body)
		}
	})
}
