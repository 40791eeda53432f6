package fakemagento

import (
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"
)

var (
	hundred      = decimal.New(100, 0)
	shippingCost = decimal.New(5, 0)
	shippingTax  = decimal.New(19, 0) // percent
)

// amount gives a number as PHP prints a float: without zeros behind.
func amount(d decimal.Decimal) json.Number { return json.Number(d.String()) }

// orderDocument makes the order as GET /V1/orders/:id shows it: prices without tax, one currency, tax by row. Keys whose
// value is null are left out. It needs mu.
func (s *Server) orderDocument(id int, p Placing, store Store) map[string]any {
	created := p.CreatedAt.UTC().Format(layout)
	var subtotal, subtotalInclTax, discount, tax, quantity decimal.Decimal
	items := []any{}
	for _, line := range p.Lines {
		row, rowTax, rowInclTax := line.sums()
		subtotal, tax, quantity = subtotal.Add(row), tax.Add(rowTax), quantity.Add(decimal.New(line.Qty, 0))
		subtotalInclTax, discount = subtotalInclTax.Add(rowInclTax), discount.Add(line.Discount)
		items = append(items, s.rows(id, 7+len(items), line, p.Virtual, created, store)...)
	}
	shipping, taxOfShipping := shippingCost, shippingCost.Mul(shippingTax).Div(hundred).Round(2)
	if p.Virtual {
		shipping, taxOfShipping = decimal.Zero, decimal.Zero
	}
	tax = tax.Add(taxOfShipping)
	total := subtotal.Sub(discount).Add(shipping).Add(tax)

	payment := map[string]any{
		"entity_id": id, "parent_id": id, "method": p.Method, "additional_information": []any{"Payment"},
		"amount_ordered": amount(total), "base_amount_ordered": amount(total),
		"shipping_amount": amount(shipping), "base_shipping_amount": amount(shipping),
	}
	d := map[string]any{
		"entity_id": id, "increment_id": p.IncrementID, "state": p.State, "status": p.Status,
		"store_id": store.ID, "store_name": "Main Website\nMain Website Store\n" + store.Name,
		"customer_is_guest": flag(p.CustomerID == 0), "customer_group_id": flag(p.CustomerID != 0), "customer_note_notify": 1,
		"customer_email": email, "customer_firstname": firstName, "customer_lastname": lastName,
		"base_currency_code": store.BaseCurrency, "order_currency_code": store.BaseCurrency,
		"store_currency_code": store.BaseCurrency, "global_currency_code": store.BaseCurrency,
		"base_to_order_rate": 1, "base_to_global_rate": 1, "store_to_base_rate": 0, "store_to_order_rate": 0,
		"total_item_count": len(items), "total_qty_ordered": amount(quantity),
		"quote_id": id, "billing_address_id": 2 * id, "weight": amount(quantity), "is_virtual": flag(p.Virtual),
		"remote_ip": "203.0.113.9", "protect_code": "0123456789abcdef0123456789abcdef",
		"created_at": created, "updated_at": created,
		"items": items, "billing_address": address(id, 2*id, "billing"), "payment": payment, "status_histories": notes(id, p.Status, created),
	}
	if p.CustomerID != 0 {
		d["customer_id"] = p.CustomerID
	}
	both(d, "subtotal", subtotal)
	both(d, "subtotal_incl_tax", subtotalInclTax)
	both(d, "discount_amount", discount.Neg())
	both(d, "shipping_amount", shipping)
	both(d, "shipping_incl_tax", shipping.Add(taxOfShipping))
	both(d, "shipping_tax_amount", taxOfShipping)
	both(d, "shipping_discount_amount", decimal.Zero)
	both(d, "tax_amount", tax)
	both(d, "discount_tax_compensation_amount", decimal.Zero)
	d["shipping_discount_tax_compensation_amount"] = json.Number("0")
	d["base_shipping_discount_tax_compensation_amnt"] = json.Number("0")
	both(d, "grand_total", total)
	both(d, "total_due", total)
	if p.State == "processing" && p.Method != "checkmo" {
		both(d, "total_due", decimal.Zero)
		both(d, "total_paid", total)
		payment["amount_paid"] = amount(total)
	}
	assignment := map[string]any{"items": items, "shipping": map[string]any{}}
	if !p.Virtual {
		d["shipping_description"] = "Flat Rate - Fixed"
		totals := map[string]any{}
		for _, key := range []string{"shipping_amount", "shipping_incl_tax", "shipping_tax_amount", "shipping_discount_amount", "shipping_discount_tax_compensation_amount"} {
			totals[key] = d[key]
		}
		assignment["shipping"] = map[string]any{"method": "flatrate_flatrate", "address": address(id, 2*id-1, "shipping"), "total": totals}
	}
	d["extension_attributes"] = map[string]any{"shipping_assignments": []any{assignment}}
	return d
}

// notes are what an order has in its history before anybody comments on it, oldest last: what a payment module has written,
// whose is_customer_notified is 2 (not applicable: History::setIsCustomerNotified without an argument), and an entry of a
// migration, of which all that can be null is.
func notes(id int, status, created string) []any {
	note := func(n int, comment, notified any) map[string]any {
		return map[string]any{
			"entity_id": id*1000 + n, "parent_id": id, "entity_name": "order", "created_at": created,
			"comment": comment, "is_customer_notified": notified, "is_visible_on_front": 0,
		}
	}
	payment := note(999, "Captured amount online. Transaction ID: \"tx-"+fmt.Sprint(id)+"\"", 2)
	if status != "" {
		payment["status"] = status
	}
	return []any{payment, note(998, nil, nil)}
}

// both sets an amount in the order's and in the base currency.
func both(d map[string]any, key string, value decimal.Decimal) {
	d[key], d["base_"+key] = amount(value), amount(value)
}

func address(order, id int, kind string) map[string]any {
	return map[string]any{
		"entity_id": id, "parent_id": order, "address_type": kind,
		"firstname": firstName, "lastname": lastName, "street": []any{street}, "city": "Berlin",
		"region": "Berlin", "region_code": "BER", "region_id": 82, "postcode": "10115", "country_id": "DE",
		"telephone": telephone, "email": email,
	}
}

// sums are a line's total, the tax on it after the discount, and the total with the tax before it.
func (l Line) sums() (row, tax, inclTax decimal.Decimal) {
	row = l.Price.Mul(decimal.New(l.Qty, 0))
	percent := func(d decimal.Decimal) decimal.Decimal { return d.Mul(l.TaxPercent).Div(hundred).Round(2) }
	return row, percent(row.Sub(l.Discount)), row.Add(percent(row))
}

// rows are a line's row, and those of its components, which have no money. It needs mu.
func (s *Server) rows(order, product int, line Line, virtual bool, created string, store Store) []any {
	qty := decimal.New(line.Qty, 0)
	row, rowTax, rowInclTax := line.sums()
	unitTax := line.Price.Mul(line.TaxPercent).Div(hundred).Round(2)
	s.nextItem++
	kind := "simple"
	switch {
	case virtual:
		kind = "virtual"
	case line.Type != "":
		kind = line.Type
	}
	item := map[string]any{
		"item_id": s.nextItem, "order_id": order, "quote_item_id": s.nextItem + 500, "store_id": store.ID,
		"product_id": product, "product_type": kind, "sku": line.SKU, "name": line.Name,
		"is_virtual": flag(virtual), "is_qty_decimal": 0, "free_shipping": 0, "no_discount": 0,
		"weight": json.Number("1"), "row_weight": amount(qty),
		"qty_ordered": amount(qty), "qty_canceled": json.Number("0"), "qty_invoiced": json.Number("0"),
		"qty_refunded": json.Number("0"), "qty_shipped": json.Number("0"),
		"discount_percent": json.Number("0"), "row_invoiced": json.Number("0"), "tax_invoiced": json.Number("0"),
		"tax_percent": amount(line.TaxPercent), "created_at": created, "updated_at": created,
	}
	both(item, "price", line.Price)
	both(item, "original_price", line.Price)
	both(item, "price_incl_tax", line.Price.Add(unitTax))
	both(item, "row_total", row)
	both(item, "row_total_incl_tax", rowInclTax)
	both(item, "tax_amount", rowTax)
	both(item, "discount_amount", line.Discount)
	both(item, "discount_tax_compensation_amount", decimal.Zero)
	rows := []any{item}
	for _, component := range line.Components {
		component.Qty, component.Price = component.Qty*line.Qty, decimal.Zero
		of := s.rows(order, product+len(rows), component, virtual, created, store)
		child, _ := of[0].(map[string]any)
		child["parent_item_id"], child["parent_item"] = item["item_id"], item
		rows = append(rows, of...)
	}
	if line.ShipSeparately {
		s.separately[fmt.Sprint(item["item_id"])] = true
	}
	return rows
}
