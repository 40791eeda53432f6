package fakemagento_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

var address = magentoapi.CartAddress{
	Firstname: "Mara", Lastname: "Muster", Street: magentoapi.Street{"Am Markt 1", "Hof"}, Postcode: "01067", City: "Dresden",
	CountryID: "DE", Telephone: "1", Email: "mara@shop.example",
}

// Each kind of buyer, from the empty cart to the order.
func TestCart_BecomesAnOrder(t *testing.T) {
	for name, test := range map[string]struct {
		auth    magentoapi.Credential
		buyer   int64 // 0 is a guest
		open    func(t *testing.T, c *magentoapi.Client) *magentoapi.CartService
		quoteID string // what items call the cart
	}{
		"a guest": {nil, 0, func(t *testing.T, c *magentoapi.Client) *magentoapi.CartService {
			return c.GuestCart(must(c.Carts.CreateGuest(t.Context()))(t))
		}, ""},
		"a customer": {
			magentoapi.CustomerToken("mara@shop.example", magentoapi.Fixed("pa55")), 1,
			func(t *testing.T, c *magentoapi.Client) *magentoapi.CartService {
				first, again := must(c.Carts.CreateMine(t.Context()))(t), must(c.Carts.CreateMine(t.Context()))(t)
				if first != again {
					t.Errorf("a customer has the carts %d and %d", first, again)
				}
				return c.MyCart()
			}, "1",
		},
		"an admin for a customer": {
			magentoapi.Bearer(magentoapi.Fixed("integration")), 1,
			func(t *testing.T, c *magentoapi.Client) *magentoapi.CartService {
				return c.Cart(must(c.Carts.CreateFor(t.Context(), 1))(t))
			}, "1",
		},
		"an admin for nobody": {
			magentoapi.Bearer(magentoapi.Fixed("integration")), 0,
			func(t *testing.T, c *magentoapi.Client) *magentoapi.CartService {
				return c.Cart(must(c.Carts.Create(t.Context()))(t))
			}, "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			shop, client := shopWith(t, fakemagento.Options{Token: "integration"}, test.auth, "A", "B/2")
			if _, err := shop.AddCustomer([]byte(mara), "pa55"); err != nil {
				t.Fatal(err)
			}
			shop.AddCoupon("10 %", decimal.New(10, 0))
			cart := test.open(t, client)

			fill(t, cart, test.quoteID)
			useCoupon(t, cart)
			checkOut(t, cart)
			isOrdered(t, shop, cart, test.buyer)
		})
	}
}

// fill puts three pieces of one product into a cart, by the way of others.
func fill(t *testing.T, cart *magentoapi.CartService, quoteID string) {
	t.Helper()
	a := must(cart.AddItem(t.Context(), &magentoapi.CartItem{SKU: "A", Qty: decimalOf("2")}))(t)
	b := must(cart.AddItem(t.Context(), &magentoapi.CartItem{SKU: "B/2", Qty: decimalOf("1")}))(t)
	again := must(cart.AddItem(t.Context(), &magentoapi.CartItem{SKU: "A", Qty: decimalOf("2")}))(t)
	if again.ItemID != a.ItemID || again.Qty.Decimal.String() != "4" || quoteID != "" && string(a.QuoteID) != quoteID {
		t.Errorf("added twice: %+v", again)
	}
	again.Qty = decimalOf("3")
	must(cart.UpdateItem(t.Context(), again))(t)
	if err := cart.DeleteItem(t.Context(), int64(b.ItemID)); err != nil {
		t.Fatal(err)
	}
	items := must(cart.Items(t.Context()))(t)
	if len(items) != 1 || items[0].Qty.Decimal.String() != "3" || items[0].Price.Decimal.String() != "34" {
		t.Fatalf("items %+v", items)
	}
}

func useCoupon(t *testing.T, cart *magentoapi.CartService) {
	t.Helper()
	if code := must(cart.Coupon(t.Context()))(t); code != "" {
		t.Errorf("coupon %q", code)
	}
	for _, set := range []func() error{
		func() error { return cart.SetCoupon(t.Context(), "10 %") },
		func() error { return cart.DeleteCoupon(t.Context()) },
		func() error { return cart.SetCoupon(t.Context(), "10 %") },
	} {
		if err := set(); err != nil {
			t.Fatal(err)
		}
	}
	if code := must(cart.Coupon(t.Context()))(t); code != "10 %" {
		t.Errorf("coupon %q", code)
	}
}

// checkOut gives a cart its addresses, shipping and payment.
func checkOut(t *testing.T, cart *magentoapi.CartService) {
	t.Helper()
	// 3 × 34 less 10 %, 19 % tax, no shipping yet
	if totals := must(cart.Totals(t.Context()))(t); totals.GrandTotal.Decimal.String() != "109.24" || totals.CouponCode != "10 %" {
		t.Errorf("comes to %+v", totals)
	}
	if estimated := must(cart.EstimateShipping(t.Context(), &magentoapi.CartAddress{CountryID: "DE"}))(t); len(estimated) != 1 ||
		estimated[0].Amount.Decimal.String() != "5" || estimated[0].PriceInclTax.Decimal.String() != "5.95" {
		t.Errorf("shipping %+v", estimated)
	}
	if err := cart.SetBillingAddress(t.Context(), &address, true); err != nil {
		t.Fatal(err)
	}
	if billing := must(cart.BillingAddress(t.Context()))(t); billing.City != "Dresden" || billing.Postcode != "01067" {
		t.Errorf("billing address %+v", billing)
	}
	methods := must(cart.ShippingMethods(t.Context()))(t)
	details := must(cart.SetShippingInformation(t.Context(), magentoapi.ShippingInformation{
		ShippingAddress: &address, CarrierCode: string(methods[0].CarrierCode), MethodCode: string(methods[0].MethodCode),
	}))(t)
	// 3 × 34 less 10 %, 5 for shipping, 19 % tax: 91.80 + 17.44 + 5.95
	payable := must(cart.PaymentMethods(t.Context()))(t)
	if total := details.Totals.GrandTotal.Decimal.String(); total != "115.19" || len(payable) == 0 || !slices.Equal(payable, details.PaymentMethods) {
		t.Errorf("comes to %s, payable by %v and %v", total, details.PaymentMethods, payable)
	}
	if chosen := must(cart.PaymentMethod(t.Context()))(t); chosen.Method != "" {
		t.Errorf("payment %+v", chosen)
	}
	if err := cart.SetPaymentMethod(t.Context(), &magentoapi.Payment{Method: "purchaseorder", PoNumber: "PO-7"}); err != nil {
		t.Fatal(err)
	}
	if chosen := must(cart.PaymentMethod(t.Context()))(t); chosen.PoNumber != "PO-7" {
		t.Errorf("payment %+v", chosen)
	}
}

// isOrdered places the order, and looks at it and at what is left of the cart.
func isOrdered(t *testing.T, shop *fakemagento.Server, cart *magentoapi.CartService, buyer int64) {
	t.Helper()
	id := must(cart.PlaceOrder(t.Context(), nil))(t)
	var order magentoapi.Order
	if err := json.Unmarshal(shop.Order(int(id)), &order); err != nil {
		t.Fatal(err)
	}
	shipping := order.ShippingAssignment()
	if order.State != "new" || int64(order.CustomerID) != buyer || order.CustomerIsGuest.Bool != (buyer == 0) ||
		order.CustomerEmail != "mara@shop.example" || order.GrandTotal.Decimal.String() != "115.19" ||
		order.DiscountAmount.Decimal.String() != "-10.2" || order.Items[0].QtyOrdered.Decimal.String() != "3" ||
		order.BillingAddress.City != "Dresden" || shipping.Address.Street[1] != "Hof" || shipping.Method != "flatrate_flatrate" ||
		order.Payment.Method != "purchaseorder" {
		t.Errorf("the order is %s", shop.Order(int(id)))
	}
	if _, err := cart.PlaceOrder(t.Context(), nil); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("a second order of the same cart: %v", err)
	}
	if _, err := cart.Items(t.Context()); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("what is in a cart that has become an order: %v", err)
	}
}

func TestCart_OrderedStockIsNotSoldAgain(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A")
	salable := func(want string) {
		t.Helper()
		if got := must(client.Inventory.SalableQuantity(t.Context(), "A", 1))(t); got.Decimal.String() != want {
			t.Errorf("%s are left, want %s", got.Decimal, want)
		}
	}
	order := func(qty string) error {
		cart := client.GuestCart(must(client.Carts.CreateGuest(t.Context()))(t))
		if _, err := cart.AddItem(t.Context(), &magentoapi.CartItem{SKU: "A", Qty: decimalOf(qty)}); err != nil {
			return err
		}
		must(cart.SetShippingInformation(t.Context(), magentoapi.ShippingInformation{
			ShippingAddress: &address, BillingAddress: &address, CarrierCode: "flatrate", MethodCode: "flatrate",
		}))(t)
		_, err := cart.PlaceOrder(t.Context(), &magentoapi.Payment{Method: "checkmo"})
		return err
	}
	if err := order("7"); err != nil {
		t.Fatal(err)
	}
	salable("3")
	if err := order("4"); err == nil || !strings.Contains(err.Error(), "The requested qty is not available") {
		t.Errorf("more than there are: %v", err)
	}
	salable("3")
	// What is shipped is neither there nor promised; what is cancelled is not promised.
	if _, err := client.Shipments.Ship(t.Context(), 1, magentoapi.NewShipment{Items: []magentoapi.NewDocumentItem{{OrderItemID: 1001, Qty: decimal.New(2, 0)}}}); err != nil {
		t.Fatal(err)
	}
	salable("3")
	if item := must(client.StockItems.Get(t.Context(), "A"))(t); item.Qty.Decimal.String() != "8" {
		t.Errorf("%s are there after two were shipped, want 8", item.Qty.Decimal)
	}
	if canceled := must(client.Orders.Cancel(t.Context(), 1))(t); !canceled {
		t.Error("not canceled")
	}
	salable("8")
	found := 0
	for o, err := range client.Orders.All(t.Context(), magentoapi.SearchCriteria{}.Where(magentoapi.Eq("quote_id", "1"))) {
		if err != nil || o.Items[0].SKU != "A" {
			t.Fatalf("%+v, %v", o, err)
		}
		found++
	}
	if found != 1 {
		t.Errorf("%d orders of the first cart", found)
	}
}

func TestCart_Refusals(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A")
	cart := client.GuestCart(must(client.Carts.CreateGuest(t.Context()))(t))
	add := func(sku, qty string) error {
		_, err := cart.AddItem(t.Context(), &magentoapi.CartItem{SKU: magentoapi.Text(sku), Qty: decimalOf(qty)})
		return err
	}
	place := func() error {
		_, err := cart.PlaceOrder(t.Context(), nil)
		return err
	}
	refused := func(err error, status error, text string) {
		t.Helper()
		if !errors.Is(err, status) || !strings.Contains(err.Error(), text) || errors.Is(err, magentoapi.ErrNoEndpoint) {
			t.Errorf("got %v, want %v with %q", err, status, text)
		}
	}
	bad, missing := magentoapi.ErrBadRequest, magentoapi.ErrNotFound
	refused(place(), bad, "A server error stopped your order")
	refused(cart.SetCoupon(t.Context(), "X"), missing, "doesn't contain products")
	refused(add("unknown", "1"), missing, "The product that was requested doesn't exist")
	refused(add("A", "11"), bad, "The requested qty is not available")
	refused(add("A", "0.5"), bad, "decimal quantity")
	refused(add("A", "0"), bad, `Invalid value of "0" provided for the qty field`)
	if err := add("A", "1"); err != nil {
		t.Fatal(err)
	}
	refused(cart.SetCoupon(t.Context(), "X"), missing, "coupon code isn't valid")
	_, err := cart.ShippingMethods(t.Context())
	refused(err, bad, "shipping address is missing")
	refused(cart.SetPaymentMethod(t.Context(), &magentoapi.Payment{Method: "checkmo"}), bad, "shipping address is missing")
	_, err = cart.SetShippingInformation(t.Context(), magentoapi.ShippingInformation{ShippingAddress: &address, CarrierCode: "ups", MethodCode: "1"})
	refused(err, missing, "Carrier with such method not found: ups, 1")
	refused(place(), bad, "addresses")
	must(cart.SetShippingInformation(t.Context(), magentoapi.ShippingInformation{ShippingAddress: &address, CarrierCode: "flatrate", MethodCode: "flatrate"}))(t)
	refused(place(), bad, "billing address")
	if err := cart.SetBillingAddress(t.Context(), &address, false); err != nil {
		t.Fatal(err)
	}
	refused(place(), bad, "payment method")
	refused(cart.SetPaymentMethod(t.Context(), &magentoapi.Payment{Method: "bitcoin"}), bad, "not available")
	_, err = cart.PlaceOrder(t.Context(), &magentoapi.Payment{Method: "bitcoin"})
	refused(err, bad, "not available")
	refused(cart.DeleteItem(t.Context(), 99), missing, "doesn't contain the 99 item")
	_, err = client.GuestCart("nobody").Get(t.Context())
	refused(err, missing, "cartId = nobody")
}

func TestCart_GivenToACustomer(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil, "A", "B")
	id, err := shop.AddCustomer([]byte(mara), "")
	if err != nil {
		t.Fatal(err)
	}
	had := client.Cart(must(client.Carts.CreateFor(t.Context(), int64(id)))(t))
	must(had.AddItem(t.Context(), &magentoapi.CartItem{SKU: "A", Qty: decimalOf("1")}))(t)
	cartID := must(client.Carts.Create(t.Context()))(t)
	must(client.Cart(cartID).AddItem(t.Context(), &magentoapi.CartItem{SKU: "B", Qty: decimalOf("2")}))(t)
	if err := client.Carts.Assign(t.Context(), cartID, magentoapi.CartOwner{CustomerID: int64(id), StoreID: 1}); err != nil {
		t.Fatal(err)
	}
	cart := must(client.Cart(cartID).Get(t.Context()))(t)
	if cart.Customer.Email != "mara@shop.example" || len(cart.Items) != 2 || cart.ItemsQty.Decimal.String() != "3" || !cart.IsActive.Bool {
		t.Errorf("got %+v", cart)
	}
	var active []int64
	for c, err := range client.Carts.All(t.Context(), magentoapi.SearchCriteria{PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.IsActive.Bool {
			active = append(active, int64(c.ID))
		}
	}
	if fmt.Sprint(active) != fmt.Sprint([]int64{cartID}) {
		t.Errorf("active carts %v", active)
	}
	if err := client.Carts.Assign(t.Context(), cartID, magentoapi.CartOwner{CustomerID: int64(id), StoreID: 1}); !errors.Is(err, magentoapi.ErrBadRequest) {
		t.Errorf("a second time: %v", err)
	}
}
