package fakemagento

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

type carts struct {
	all      []*cart // the newest, by id
	nextID   int
	nextItem int
	coupons  map[string]decimal.Decimal // percent, by code

	couponCodes []string // in the order in which they were made
}

// cart is a quote. What is bought has the prices of the product at the time of asking.
type cart struct {
	id, store, customer int    // customer 0 is a guest
	masked              string // a guest's id in paths; empty where an admin made the cart
	items               []*cartItem
	coupon              string
	billing, shipping   map[string]any
	method              string // of shipping, <carrier>_<method>
	payment             map[string]any
	order               int  // the id of the order that it became
	merged              bool // into another
	created, updated    time.Time
}

func (k *cart) active() bool { return k.order == 0 && !k.merged }

type cartItem struct {
	id      int
	product *product
	qty     int64
}

func (cs *carts) init() { cs.coupons = map[string]decimal.Decimal{} }

// AddCoupon makes a coupon that takes so many percent off all rows.
func (s *Server) AddCoupon(code string, percent decimal.Decimal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.carts.coupons[code]; !ok {
		s.carts.couponCodes = append(s.carts.couponCodes, code)
	}
	s.carts.coupons[code] = percent
}

// cartRoutes has each endpoint three times: for a guest, who names the cart by its masked id; for a customer, who has one;
// for an admin, who may see them all.
func (s *Server) cartRoutes(routes *http.ServeMux) {
	admin := func(pattern string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Cart::manage", s.endpoint(f)))
	}
	admin("POST /V1/carts", func(c call) (any, *problem) { return s.newCart(c, 0).id, nil })
	admin("POST /V1/customers/{id}/carts", s.createCartFor)
	admin("GET /V1/carts/search", s.searchCarts)
	admin("GET /V1/carts/{cart}", s.anyCart(s.adminsCart))
	admin("PUT /V1/carts/{cart}", s.onCart(s.adminsCart, s.assignCustomer))
	routes.Handle("POST /V1/carts/mine", s.endpoint(s.self(s.createCartFor)))
	routes.Handle("POST /V1/guest-carts", s.endpoint(func(c call) (any, *problem) {
		k := s.newCart(c, 0)
		k.masked = rand.Text() + rand.Text()[:6]
		return k.masked, nil
	}))
	routes.Handle("GET /V1/guest-carts/{cart}", s.endpoint(s.anyCart(s.guestsCart)))
	routes.Handle("GET /V1/carts/mine", s.endpoint(s.self(s.anyCart(s.customersCart))))
	for pattern, f := range map[string]func(call, *cart) (any, *problem){
		"GET /items":                      s.cartItems,
		"POST /items":                     s.addCartItem,
		"PUT /items/{item}":               s.updateCartItem,
		"DELETE /items/{item}":            s.deleteCartItem,
		"GET /coupons":                    s.getCoupon,
		"PUT /coupons/{code}":             s.setCoupon,
		"DELETE /coupons":                 s.deleteCoupon,
		"GET /billing-address":            s.getBillingAddress,
		"POST /billing-address":           s.setBillingAddress,
		"POST /estimate-shipping-methods": s.estimateShipping,
		"GET /shipping-methods":           s.shippingMethods,
		"POST /shipping-information":      s.setShippingInformation,
		"GET /payment-methods":            s.getPaymentMethods,
		"GET /selected-payment-method":    s.getPaymentMethod,
		"PUT /selected-payment-method":    s.setPaymentMethod,
		"GET /totals":                     s.cartTotals,
		"PUT /order":                      s.placeCart,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		admin(method+" /V1/carts/{cart}"+path, s.onCart(s.adminsCart, f))
		routes.Handle(method+" /V1/carts/mine"+path, s.endpoint(s.self(s.onCart(s.customersCart, f))))
		routes.Handle(method+" /V1/guest-carts/{cart}"+path, s.endpoint(s.onCart(s.guestsCart, f)))
	}
	for pattern, f := range map[string]func(call, *cart) (any, *problem){ // not for an admin
		"GET /payment-information":      s.getPaymentInformation,
		"POST /set-payment-information": s.setPaymentInformation,
		"POST /payment-information":     s.payCart,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		routes.Handle(method+" /V1/carts/mine"+path, s.endpoint(s.self(s.onCart(s.customersCart, f))))
		routes.Handle(method+" /V1/guest-carts/{cart}"+path, s.endpoint(s.onCart(s.guestsCart, f)))
	}
}

// onCart finds the cart of a request. One that has become an order is gone, for all but anyCart.
func (s *Server) onCart(find func(call) *cart, next func(call, *cart) (any, *problem)) func(call) (any, *problem) {
	return func(c call) (any, *problem) {
		k := find(c)
		if k == nil || !k.active() {
			return nil, noSuchEntity("cartId", c.PathValue("cart"))
		}
		if c.Method != http.MethodGet {
			k.updated = time.Now()
		}
		return next(c, k)
	}
}

func (s *Server) adminsCart(c call) *cart {
	id, _ := strconv.Atoi(c.PathValue("cart"))
	return s.cart(func(k *cart) bool { return k.id == id })
}

func (s *Server) guestsCart(c call) *cart {
	return s.cart(func(k *cart) bool { return k.masked != "" && k.masked == c.PathValue("cart") })
}

// customersCart is the one of the customer whose id self has put in the path.
func (s *Server) customersCart(c call) *cart {
	id, _ := strconv.Atoi(c.PathValue("id"))
	return s.cart(func(k *cart) bool { return k.customer == id && k.active() })
}

func (s *Server) cart(is func(*cart) bool) *cart {
	at := slices.IndexFunc(s.carts.all, is)
	if at < 0 {
		return nil
	}
	return s.carts.all[at]
}

func (s *Server) newCart(c call, customer int) *cart {
	s.carts.nextID++
	k := &cart{id: s.carts.nextID, store: s.store(c.store).ID, customer: customer, created: time.Now(), updated: time.Now()}
	s.carts.all = append(s.carts.all, k)
	if len(s.carts.all) > s.options.Keep {
		s.carts.all = slices.Delete(s.carts.all, 0, 1)
	}
	return k
}

// createCartFor gives the cart that the customer has, or a new one.
func (s *Server) createCartFor(c call) (any, *problem) {
	customer, wrong := s.customer(c.PathValue("id"))
	if wrong != nil {
		return nil, wrong
	}
	if k := s.customersCart(c); k != nil {
		return k.id, nil
	}
	id, _ := number(customer["id"])
	return s.newCart(c, id).id, nil
}

func (s *Server) assignCustomer(c call, k *cart) (any, *problem) {
	customer, wrong := s.customer(text(c.body["customerId"]))
	if wrong != nil {
		return nil, wrong
	}
	if k.customer != 0 {
		return nil, invalid("The customer can't be assigned to the cart because the cart isn't anonymous.", nil)
	}
	id, _ := number(customer["id"])
	// The cart that the customer has goes into this one.
	if other := s.cart(func(o *cart) bool { return o.customer == id && o.active() }); other != nil {
		for _, theirs := range other.items {
			at := slices.IndexFunc(k.items, func(i *cartItem) bool { return i.product == theirs.product })
			if at < 0 {
				k.items = append(k.items, theirs)
			} else {
				k.items[at].qty += theirs.qty
			}
		}
		other.merged = true
	}
	k.customer, k.masked = id, ""
	return true, nil
}

// anyCart shows a cart, also one that has become an order.
func (s *Server) anyCart(find func(call) *cart) func(call) (any, *problem) {
	return func(c call) (any, *problem) {
		k := find(c)
		if k == nil {
			return nil, noSuchEntity("cartId", c.PathValue("cart"))
		}
		return s.showCart(k), nil
	}
}

func (s *Server) searchCarts(c call) (any, *problem) {
	var all []map[string]any
	for _, k := range s.carts.all {
		all = append(all, s.showCart(k))
	}
	known := []string{"entity_id", "customer_id", "customer_email", "is_active", "store_id", "created_at", "updated_at", "items_count", "items_qty"}
	return list(c, func(field string) bool { return slices.Contains(known, field) }, all)
}

func (s *Server) showCart(k *cart) map[string]any {
	store := s.store(k.store)
	items := s.showItems(k)
	var quantity int64
	for _, i := range k.items {
		quantity += i.qty
	}
	d := map[string]any{
		"id": k.id, "created_at": k.created.UTC().Format(layout), "updated_at": k.updated.UTC().Format(layout),
		"is_active": k.active(), "is_virtual": false, "items": items, "items_count": len(items), "items_qty": quantity,
		"customer": map[string]any{}, "orig_order_id": 0, "customer_is_guest": k.customer == 0, "customer_note_notify": true,
		"customer_tax_class_id": 3, "store_id": k.store, "billing_address": shownAddress(k.billing),
		"currency":             map[string]any{"base_currency_code": store.BaseCurrency, "quote_currency_code": store.display(), "store_currency_code": store.BaseCurrency},
		"extension_attributes": map[string]any{"shipping_assignments": []any{}},
	}
	if customer := document(s.customers.all, "id", strconv.Itoa(k.customer)); customer != nil {
		d["customer"] = customer
	}
	if k.shipping != nil {
		d["extension_attributes"] = map[string]any{"shipping_assignments": []any{map[string]any{
			"shipping": map[string]any{"address": k.shipping, "method": k.method}, "items": items,
		}}}
	}
	return d
}

func shownAddress(a map[string]any) map[string]any {
	shown := map[string]any{"id": 0, "region": nil, "region_id": nil, "region_code": nil, "country_id": nil, "street": []any{""}}
	maps.Copy(shown, a)
	return shown
}

// cartID is what the cart is called in its items: a guest's by the masked id.
func (k *cart) cartID() any {
	if k.masked != "" {
		return k.masked
	}
	return strconv.Itoa(k.id)
}
