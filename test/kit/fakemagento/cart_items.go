package fakemagento

import (
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

func (s *Server) cartItems(_ call, k *cart) (any, *problem) { return s.showItems(k), nil }

func (s *Server) showItems(k *cart) []any {
	items := []any{}
	for _, i := range k.items {
		items = append(items, s.showItem(k, i))
	}
	return items
}

func (s *Server) showItem(k *cart, i *cartItem) map[string]any {
	return map[string]any{
		"item_id": i.id, "sku": i.product.sku, "qty": i.qty, "name": i.product.values["name"], "price": i.product.values["price"],
		"product_type": i.product.values["type_id"], "quote_id": k.cartID(),
	}
}

func (s *Server) addCartItem(c call, k *cart) (any, *problem) {
	given, wrong := c.object("cartItem")
	if wrong != nil {
		return nil, wrong
	}
	// A customer's own cart is known without it.
	if c.PathValue("cart") != "" && text(given["quote_id"]) != c.PathValue("cart") {
		return nil, noSuchEntity("cartId", given["quote_id"])
	}
	p, wrong := s.catalog.product(text(given["sku"]))
	if wrong != nil {
		return nil, wrong
	}
	at := slices.IndexFunc(k.items, func(i *cartItem) bool { return i.product == p })
	var had int64
	if at >= 0 {
		had = k.items[at].qty
	}
	qty, wrong := s.quantity(p, given["qty"], had)
	if wrong != nil {
		return nil, wrong
	}
	if at < 0 {
		at = len(k.items)
		s.carts.nextItem++
		k.items = append(k.items, &cartItem{id: s.carts.nextItem, product: p})
	}
	k.items[at].qty = qty
	return s.showItem(k, k.items[at]), nil
}

// quantity reads how many are wanted besides those that the cart has, and asks whether there are so many. Products
// are sold in whole pieces.
func (s *Server) quantity(p *product, v any, had int64) (int64, *problem) {
	wanted, ok := money(v)
	switch {
	case !ok || !wanted.IsPositive():
		return 0, invalid(`Invalid value of "%value" provided for the %fieldName field.`, map[string]any{"fieldName": "qty", "value": v})
	case !wanted.IsInteger():
		return 0, invalid("You cannot use decimal quantity for this product.", nil)
	}
	wanted = wanted.Add(decimal.NewFromInt(had))
	if wanted.GreaterThan(s.salable(p.sku, 1)) {
		return 0, invalid("The requested qty is not available", nil)
	}
	return wanted.IntPart(), nil
}

func (k *cart) item(c call) (int, *problem) {
	id, wrong := c.id("item")
	if wrong != nil {
		return 0, wrong
	}
	at := slices.IndexFunc(k.items, func(i *cartItem) bool { return i.id == id })
	if at < 0 {
		return 0, notFound("The %1 Cart doesn't contain the %2 item.", []any{k.cartID(), id})
	}
	return at, nil
}

func (s *Server) updateCartItem(c call, k *cart) (any, *problem) {
	given, wrong := c.object("cartItem")
	if wrong != nil {
		return nil, wrong
	}
	if c.PathValue("cart") != "" && text(given["quote_id"]) != c.PathValue("cart") {
		return nil, noSuchEntity("cartId", given["quote_id"])
	}
	at, wrong := k.item(c)
	if wrong != nil {
		return nil, wrong
	}
	qty, wrong := s.quantity(k.items[at].product, given["qty"], 0)
	if wrong != nil {
		return nil, wrong
	}
	k.items[at].qty = qty
	return s.showItem(k, k.items[at]), nil
}

func (s *Server) deleteCartItem(c call, k *cart) (any, *problem) {
	at, wrong := k.item(c)
	if wrong != nil {
		return nil, wrong
	}
	k.items = slices.Delete(k.items, at, at+1)
	return true, nil
}

func (s *Server) getCoupon(_ call, k *cart) (any, *problem) {
	if k.coupon == "" {
		return []any{}, nil // PHP's null
	}
	return k.coupon, nil
}

func (s *Server) setCoupon(c call, k *cart) (any, *problem) {
	code := strings.TrimSpace(c.PathValue("code"))
	if len(k.items) == 0 {
		return nil, notFound(`The "%1" Cart doesn't contain products.`, []any{k.cartID()})
	}
	if _, ok := s.carts.coupons[code]; !ok {
		return nil, notFound("The coupon code isn't valid. Verify the code and try again.", nil)
	}
	k.coupon = code
	return true, nil
}

func (s *Server) deleteCoupon(_ call, k *cart) (any, *problem) {
	if len(k.items) == 0 {
		return nil, notFound(`The "%1" Cart doesn't contain products.`, []any{k.cartID()})
	}
	k.coupon = ""
	return true, nil
}
