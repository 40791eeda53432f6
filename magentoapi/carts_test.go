package magentoapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

// PHP's null is [] where it is the whole answer; numbers and flags may come as texts.
func TestAnswersAsPHPWritesThem(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		respond(w, 200, map[string]string{
			"/rest/all/V1/carts/3/coupons":                                "[]",
			"/rest/all/V1/guest-carts/k%2F3/coupons":                      `"SAVE10"`,
			"/rest/all/V1/carts/3/selected-payment-method":                "[]",
			"/rest/all/V1/customers/5/billingAddress":                     "[]",
			"/rest/all/V1/customers/5/shippingAddress":                    `{"id":"8","street":"Am Markt 1\nHof","region":[],"postcode":1067}`,
			"/rest/all/V1/inventory/is-product-salable/A/1":               `"true"`,
			"/rest/all/V1/inventory/is-product-salable/A/2":               "false",
			"/rest/all/V1/inventory/get-product-salable-quantity/a%20b/1": "-1.5",
			"/rest/all/V1/carts/mine":                                     `{"id":"3","items":[{"item_id":"7","qty":"2.5000","price":0.1,"quote_id":3}],"items_qty":2.5,"is_active":true,"customer":[],"billing_address":{"street":[""],"region":null},"extension_attributes":[]}`,
			"/rest/all/V1/bulk/u/operation-status/4":                      `"12"`,
			"/rest/all/V1/directory/currency":                             `{"base_currency_code":"EUR","available_currency_codes":["EUR","JPY"],"exchange_rates":[{"currency_to":"JPY","rate":0.006134969325}]}`,
		}[r.uri])
	})
	c := s.client(t, Options{})
	if code, err := c.Cart(3).Coupon(t.Context()); err != nil || code != "" {
		t.Errorf("no coupon: %q, %v", code, err)
	}
	if code, err := c.GuestCart("k/3").Coupon(t.Context()); err != nil || code != "SAVE10" {
		t.Errorf("coupon: %q, %v", code, err)
	}
	if payment, err := c.Cart(3).PaymentMethod(t.Context()); err != nil || payment.Method != "" {
		t.Errorf("payment: %+v, %v", payment, err)
	}
	if address, err := c.Customers.BillingAddress(t.Context(), 5); err != nil || address != nil {
		t.Errorf("no address: %+v, %v", address, err)
	}
	if address, err := c.Customers.ShippingAddress(t.Context(), 5); err != nil || address.ID != 8 || len(address.Street) != 2 || address.Postcode != "1067" {
		t.Errorf("address: %+v, %v", address, err)
	}
	if salable, err := c.Inventory.IsSalable(t.Context(), "A", 1); err != nil || !salable {
		t.Errorf("salable: %t, %v", salable, err)
	}
	if salable, err := c.Inventory.IsSalable(t.Context(), "A", 2); err != nil || salable {
		t.Errorf("salable: %t, %v", salable, err)
	}
	if quantity, err := c.Inventory.SalableQuantity(t.Context(), "a b", 1); err != nil || quantity.Decimal.String() != "-1.5" {
		t.Errorf("quantity: %v, %v", quantity, err)
	}
	cart, err := c.MyCart().Get(t.Context())
	if err != nil || cart.ID != 3 || cart.Items[0].Qty.Decimal.String() != "2.5" || cart.Items[0].QuoteID != "3" || cart.Customer.ID != 0 {
		t.Errorf("cart: %+v, %v", cart, err)
	}
	if n, err := c.Bulk.Count(t.Context(), "u", OperationOpen); err != nil || n != 12 {
		t.Errorf("count: %d, %v", n, err)
	}
	if currency, err := c.Stores.Currency(t.Context()); err != nil || currency.ExchangeRates[0].Rate.Decimal.String() != "0.006134969325" {
		t.Errorf("currency: %+v, %v", currency, err)
	}
}

// The item names its cart, in the words of the one who calls.
func TestHowItemsNameTheirCart(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"item_id":5}`) })
	c := s.client(t, Options{})
	for i, test := range []struct {
		cart *CartService
		want string
	}{
		{c.Cart(3), `{"cartItem":{"sku":"A","qty":2,"quote_id":"3"}}`},
		{c.GuestCart("k3"), `{"cartItem":{"sku":"A","qty":2,"quote_id":"k3"}}`},
		{c.MyCart(), `{"cartItem":{"sku":"A","qty":2}}`},
	} {
		if _, err := test.cart.AddItem(t.Context(), &CartItem{SKU: "A", Qty: decimalOf("2")}); err != nil {
			t.Fatal(err)
		}
		if got := s.requests("")[i].body; got != test.want {
			t.Errorf("sent %s, want %s", got, test.want)
		}
	}
}

func TestWhatAnOrderIsPlacedWith(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `57`) })
	cart := s.client(t, Options{}).GuestCart("k3")
	for i, test := range []struct {
		payment *Payment
		want    string
	}{{nil, "{}"}, {&Payment{Method: "purchaseorder", PoNumber: "PO-7"}, `{"paymentMethod":{"method":"purchaseorder","po_number":"PO-7"}}`}} {
		if id, err := cart.PlaceOrder(t.Context(), test.payment); err != nil || id != 57 {
			t.Fatalf("got %d, %v", id, err)
		}
		if got := s.requests("")[i]; got.body != test.want || got.uri != "/rest/all/V1/guest-carts/k3/order" || got.method != http.MethodPut {
			t.Errorf("sent %+v, want %s", got, test.want)
		}
	}
}

// An empty id would be the path of something else: of all carts, or of a customer's own.
func TestACartWithoutAnIDIsNotAskedFor(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("sent") })
	c := s.client(t, Options{})
	if _, err := c.GuestCart("").PlaceOrder(t.Context(), nil); err == nil {
		t.Error("no error")
	}
	if _, err := c.Inventory.Source(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	if err := c.Cart(3).SetCoupon(t.Context(), ".."); err == nil {
		t.Error("no error")
	}
}

func FuzzCoupon(f *testing.F) {
	f.Add(`[]`)
	f.Add(`"SAVE10"`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, body string) {
		var code textOrNone
		if err := json.Unmarshal([]byte(body), &code); err != nil && code != "" {
			t.Errorf("%q of what can't be read: %v", code, err)
		}
	})
}

// What is read and saved unchanged is what it was, whatever the type has no field for.
func FuzzSavedTypes(f *testing.F) {
	for _, body := range []string{
		`{"item_id":"7","qty":5.0000,"x":{"y":[null,1e3]},"is_in_stock":true,"backorders":"0","extension_attributes":[]}`,
		`{"id":"5","addresses":[{"region":[],"street":"a\nb","z":0}],"custom_attributes":{"a":1},"default_billing":""}`,
		`{"source_code":1,"quantity":"1.50","status":"1","priority":null,"stock_id":2,"code":"a"}`,
		`{"items":[{"product_option":[]}],"customer":[],"billing_address":{"custom_attributes":[{"attribute_code":"a","value":null}]}}`,
		`{"method":"checkmo","additional_data":{"cc":1}}`, `[]`, `null`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		saved[StockItem](t, body)
		saved[Source](t, body)
		saved[SourceItem](t, body)
		saved[Stock](t, body)
		saved[StockSourceLink](t, body)
		saved[Customer](t, body)
		saved[CustomerGroup](t, body)
		saved[Cart](t, body)
		saved[Payment](t, body)
	})
}

func saved[T any](t *testing.T, body string) {
	t.Helper()
	var v T
	if json.Unmarshal([]byte(body), &v) != nil {
		return
	}
	written, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%T: %q can be read and not written: %v", v, body, err)
	}
	var before, after any
	if json.Unmarshal([]byte(body), &before) != nil || json.Unmarshal(written, &after) != nil {
		t.Fatalf("%T: %q was written as %q", v, body, written)
	}
	if _, ok := before.(map[string]any); ok && !reflect.DeepEqual(before, after) {
		t.Fatalf("%T: %q was written as %q", v, body, written)
	}
}
