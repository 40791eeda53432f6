package fakemagento

import (
	"maps"
	"strconv"

	"github.com/shopspring/decimal"
)

func (s *Server) getBillingAddress(_ call, k *cart) (any, *problem) {
	return shownAddress(k.billing), nil
}

func (s *Server) setBillingAddress(c call, k *cart) (any, *problem) {
	address, wrong := c.object("address")
	if wrong != nil {
		return nil, wrong
	}
	k.billing = address
	k.billing["id"] = 2 * k.id
	if yes(c.body["useForShipping"]) {
		k.setShipping(address)
	}
	return k.billing["id"], nil
}

// setShipping sets the shipping address. A method that was chosen stays chosen.
func (k *cart) setShipping(address map[string]any) {
	k.shipping = maps.Clone(address)
	k.shipping["id"] = 2*k.id + 1
}

// flatRate is the shop's only carrier; the amount is that of orderDocument.
func flatRate() []any {
	return []any{map[string]any{
		"carrier_code": "flatrate", "method_code": "flatrate", "carrier_title": "Flat Rate", "method_title": "Fixed",
		"amount": amount(shippingCost), "base_amount": amount(shippingCost), "available": true, "error_message": "",
		"price_excl_tax": amount(shippingCost), "price_incl_tax": amount(shippingCost.Add(shippingCost.Mul(shippingTax).Div(hundred).Round(2))),
	}}
}

func (s *Server) estimateShipping(c call, k *cart) (any, *problem) {
	if _, wrong := c.object("address"); wrong != nil {
		return nil, wrong
	}
	if len(k.items) == 0 {
		return []any{}, nil
	}
	return flatRate(), nil
}

var noShippingAddress = invalid("The shipping address is missing. Set the address and try again.", nil)

func (s *Server) shippingMethods(_ call, k *cart) (any, *problem) {
	if len(k.items) == 0 {
		return []any{}, nil
	}
	if k.shipping == nil {
		return nil, noShippingAddress
	}
	return flatRate(), nil
}

func (s *Server) setShippingInformation(c call, k *cart) (any, *problem) {
	given, wrong := c.object("addressInformation")
	if wrong != nil {
		return nil, wrong
	}
	address, ok := given["shipping_address"].(map[string]any)
	carrier, method := text(given["shipping_carrier_code"]), text(given["shipping_method_code"])
	switch {
	case !ok || text(address["country_id"]) == "":
		return nil, noShippingAddress
	case len(k.items) == 0:
		return nil, invalid("The shipping method can't be set for an empty cart. Add an item to cart and try again.", nil)
	case carrier != "flatrate" || method != "flatrate":
		return nil, notFound("Carrier with such method not found: %1, %2", []string{carrier, method})
	}
	k.setShipping(address)
	k.method = carrier + "_" + method
	if billing, ok := given["billing_address"].(map[string]any); ok {
		k.billing = billing
		k.billing["id"] = 2 * k.id
	}
	return map[string]any{"payment_methods": paymentMethods, "totals": s.totals(k)}, nil
}

var paymentMethods = []map[string]any{
	{"code": "checkmo", "title": "Check / Money order"},
	{"code": "banktransfer", "title": "Bank Transfer Payment"},
	{"code": "purchaseorder", "title": "Purchase Order"},
}

func (s *Server) getPaymentMethods(call, *cart) (any, *problem) { return paymentMethods, nil }

func (s *Server) getPaymentMethod(_ call, k *cart) (any, *problem) {
	if k.payment == nil {
		return []any{}, nil // PHP's null
	}
	return k.payment, nil
}

func (s *Server) setPaymentMethod(c call, k *cart) (any, *problem) {
	payment, wrong := c.object("method")
	if wrong != nil {
		return nil, wrong
	}
	if k.shipping == nil {
		return nil, noShippingAddress
	}
	if wrong := k.pay(payment); wrong != nil {
		return nil, wrong
	}
	return strconv.Itoa(k.id), nil // the payment's id is a text
}

func (k *cart) pay(payment map[string]any) *problem {
	if document(paymentMethods, "code", text(payment["method"])) == nil {
		return invalid("The requested Payment Method is not available.", nil)
	}
	k.payment = payment
	return nil
}

func (s *Server) getPaymentInformation(_ call, k *cart) (any, *problem) {
	return map[string]any{"payment_methods": paymentMethods, "totals": s.totals(k)}, nil
}

// setPaymentInformation is Checkout\Model\PaymentInformationManagement: a guest's e-mail address is demanded.
func (s *Server) setPaymentInformation(c call, k *cart) (any, *problem) {
	payment, wrong := c.object("paymentMethod")
	if wrong != nil {
		return nil, wrong
	}
	if k.customer == 0 && text(c.body["email"]) == "" {
		return nil, required("email")
	}
	if billing, ok := c.body["billingAddress"].(map[string]any); ok {
		k.billing = billing
		k.billing["id"] = 2 * k.id
		if text(k.billing["email"]) == "" {
			k.billing["email"] = c.body["email"]
		}
	}
	if k.shipping == nil {
		return nil, noShippingAddress
	}
	if wrong := k.pay(payment); wrong != nil {
		return nil, wrong
	}
	return true, nil
}

func (s *Server) payCart(c call, k *cart) (any, *problem) {
	if _, wrong := s.setPaymentInformation(c, k); wrong != nil {
		return nil, wrong
	}
	return s.placeCart(c, k)
}

// placing is the order that the cart would become.
func (s *Server) placing(k *cart) Placing {
	p := Placing{StoreID: k.store, State: "new", Method: text(k.payment["method"]), CustomerID: k.customer, Virtual: k.method == ""}
	for _, i := range k.items {
		price, _ := money(i.product.values["price"])
		row := price.Mul(decimal.NewFromInt(i.qty))
		p.Lines = append(p.Lines, Line{
			SKU: i.product.sku, Name: text(i.product.values["name"]), Qty: i.qty, Price: price, TaxPercent: shippingTax,
			Discount: row.Mul(s.carts.coupons[k.coupon]).Div(hundred).Round(2),
		})
	}
	return p
}

// cartTotals are those of the order that the cart would become.
func (s *Server) cartTotals(_ call, k *cart) (any, *problem) { return s.totals(k), nil }

func (s *Server) totals(k *cart) map[string]any {
	nextItem := s.nextItem
	order := s.orderDocument(0, s.placing(k), s.store(k.store))
	s.nextItem = nextItem
	totals := map[string]any{
		"quote_currency_code": order["order_currency_code"], "base_currency_code": order["base_currency_code"],
		"items_qty": order["total_qty_ordered"], "items": []any{},
	}
	for _, key := range []string{
		"subtotal", "subtotal_incl_tax", "discount_amount", "shipping_amount", "shipping_incl_tax", "shipping_tax_amount",
		"shipping_discount_amount", "tax_amount", "grand_total",
	} {
		totals[key], totals["base_"+key] = order[key], order["base_"+key]
	}
	if k.coupon != "" {
		totals["coupon_code"] = k.coupon
	}
	totals["total_segments"] = []any{
		map[string]any{"code": "subtotal", "title": "Subtotal", "value": order["subtotal"]},
		map[string]any{"code": "shipping", "title": "Shipping & Handling", "value": order["shipping_amount"]},
		map[string]any{"code": "tax", "title": "Tax", "value": order["tax_amount"], "area": "taxes"},
		map[string]any{"code": "grand_total", "title": "Grand Total", "value": order["grand_total"], "area": "footer"},
	}
	return totals
}

// placeCart makes the cart an order, which GET /V1/orders shows, and to which what was bought is promised.
func (s *Server) placeCart(c call, k *cart) (any, *problem) {
	if payment, ok := c.body["paymentMethod"].(map[string]any); ok {
		if wrong := k.pay(payment); wrong != nil {
			return nil, wrong
		}
	}
	switch {
	case len(k.items) == 0:
		return nil, invalid("A server error stopped your order from being placed. Please try to place your order again.", nil)
	case k.shipping == nil:
		return nil, invalid("Some addresses can't be used due to the configurations for specific countries.", nil)
	case k.method == "":
		return nil, invalid("The shipping method is missing. Select the shipping method and try again.", nil)
	case text(k.billing["country_id"]) == "":
		return nil, invalid("Please check the billing address information. %1", []string{"Country is a required field."})
	case k.payment == nil:
		return nil, invalid("Enter a valid payment method and try again.", nil)
	}
	for _, i := range k.items {
		if decimal.NewFromInt(i.qty).GreaterThan(s.salable(i.product.sku, 1)) {
			return nil, invalid("Some of the products are out of stock.", nil)
		}
	}
	o := s.place(s.placing(k))
	s.address(o, k)
	k.order = o.id
	return o.id, nil
}

// address puts the cart's buyer and addresses in the order.
func (s *Server) address(o *order, k *cart) {
	buyer := document(s.customers.all, "id", strconv.Itoa(k.customer))
	if buyer == nil {
		buyer = k.billing
	}
	d := o.document
	d["customer_email"], d["customer_firstname"], d["customer_lastname"] = buyer["email"], buyer["firstname"], buyer["lastname"]
	if buyer["group_id"] != nil {
		d["customer_group_id"] = buyer["group_id"]
	}
	d["quote_id"] = k.id
	if k.coupon != "" {
		d["coupon_code"] = k.coupon
	}
	ofOrder := func(a map[string]any, kind string, id int) map[string]any {
		shown := map[string]any{"entity_id": id, "parent_id": o.id, "address_type": kind, "email": buyer["email"]}
		for _, key := range []string{
			"firstname", "lastname", "company", "street", "city", "region", "region_code", "region_id", "postcode", "country_id", "telephone", "vat_id",
		} {
			if a[key] != nil {
				shown[key] = a[key]
			}
		}
		return shown
	}
	d["billing_address"] = ofOrder(k.billing, "billing", 2*o.id)
	extension, _ := d["extension_attributes"].(map[string]any)
	for _, assignment := range objects(extension["shipping_assignments"]) {
		assignment["shipping"].(map[string]any)["address"] = ofOrder(k.shipping, "shipping", 2*o.id-1)
	}
}
