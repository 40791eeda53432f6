package fakenetsuite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// newDocument makes a sales order or a credit memo of what was sent.
func (s *Server) newDocument(d *record) *problem {
	v := d.values
	if ref(v["entity"]) == "" {
		return refusal(codeUser, "entity", access+"Please enter value(s) for: Customer.")
	}
	if s.options.OneWorld && ref(v["subsidiary"]) == "" {
		return refusal(codeUser, "subsidiary", access+"Please enter value(s) for: Subsidiary.")
	}
	if c := s.tables["customer"].byID[ref(v["entity"])]; c.values["isInactive"] == true {
		return invalidValue("entity", "entity", ref(v["entity"]))
	}
	if s.knobs.closedPeriod && d.kind != "salesOrder" {
		return refusal(codeUser, "", access+"The transaction date you specified is not within the date range of your accounting period.")
	}
	if s.options.LegacyTax && (v["taxDetailsOverride"] == true || v["taxDetails"] != nil) {
		return refusal(codeContent, "taxDetails", "The sublist taxDetails is not available: SuiteTax is not enabled.")
	}
	if s.options.ShippingTaxLine && v["shippingTaxAmount"] != nil {
		return refusal(codeUser, "shippingTaxAmount", access+"The field shippingTaxAmount can't be set.")
	}
	sent := items(v["item"])
	if len(sent) == 0 {
		return refusal(codeUser, "item", access+"You must enter at least one line item for this transaction.")
	}
	for i, l := range sent {
		if p := s.newLine(d, i, l); p != nil {
			return p
		}
	}
	d.taxes = items(v["taxDetails"])
	delete(v, "item")
	delete(v, "taxDetails")
	if v["tranId"] == nil {
		v["tranId"] = map[string]string{"salesOrder": "SO", "creditMemo": "CM"}[d.kind] + d.id
	}
	status := "A"
	if d.kind == "salesOrder" {
		if status = ref(v["orderStatus"]); status == "" {
			status = "A"
		}
	}
	v["status"] = map[string]any{"id": status}
	return s.compute(d)
}

// newLine adds a line. It is the price level Custom at which the amount that was sent holds.
func (s *Server) newLine(d *record, i int, l map[string]any) *problem {
	at := fmt.Sprintf("item.items[%d]", i)
	id := ref(l["item"])
	switch {
	case id == "":
		return refusal(codeUser, at+".item", access+"Please enter value(s) for: Item.")
	case s.knobs.missing[s.numbers[id]]:
		return invalidValue(at+".item", "item", id)
	case l["line"] != nil:
		return refusal(codeUser, at+".line", access+"There is no line %v.", l["line"])
	}
	if l["quantity"] == nil {
		l["quantity"] = decimal.NewFromInt(1)
	}
	if ref(l["price"]) != "-1" || l["amount"] == nil {
		l["amount"] = amount(l["quantity"]).Mul(decimal.RequireFromString("9.99")).Round(2) // of the price list
	}
	if d.kind == "salesOrder" {
		l["quantityFulfilled"], l["quantityBilled"] = decimal.Zero, decimal.Zero
	}
	if closed, ok := l["isclosed"]; ok {
		l["isClosed"] = closed
		delete(l, "isclosed")
	}
	if l["isClosed"] == nil {
		l["isClosed"] = false
	}
	l["line"] = decimal.NewFromInt(int64(len(d.lines) + 1))
	d.lines = append(d.lines, l)
	d.first = append(d.first, amount(l["quantity"]))
	return nil
}

// compute does the sums of a document as NetSuite does: amounts by line, and for each the tax that is forced, or its own.
func (s *Server) compute(d *record) *problem {
	subtotal, tax := decimal.Zero, decimal.Zero
	forced := d.values["taxDetailsOverride"] == true
	details := map[string]map[string]any{}
	for i, t := range d.taxes {
		name := ref(t["taxDetailsReference"])
		if details[name] != nil || name == "" {
			return refusal(codeUser, fmt.Sprintf("taxDetails.items[%d].taxDetailsReference", i), access+"The tax details reference %s is there twice.", name)
		}
		details[name] = t
	}
	used := map[string]bool{}
	for i, l := range d.lines {
		subtotal = subtotal.Add(amount(l["amount"]))
		name := text(l["taxDetailsReference"])
		switch t := details[name]; {
		case forced && t == nil:
			return refusal(codeUser, fmt.Sprintf("item.items[%d].taxDetailsReference", i), access+"There are no tax details for the reference %s.", name)
		case forced && used[name]:
			return refusal(codeUser, fmt.Sprintf("item.items[%d].taxDetailsReference", i), access+"The tax details reference %s is used twice.", name)
		case forced && ref(t["taxCode"]) == "":
			return refusal(codeUser, "taxDetails", access+"Please enter value(s) for: Tax Code.")
		case forced && !amount(t["taxBasis"]).Equal(amount(l["amount"])):
			return refusal(codeUser, "taxDetails", access+"The tax basis of %s is not the amount of its line.", name)
		case forced:
			used[name] = true
			tax = tax.Add(amount(t["taxAmount"]))
		case l["isTaxable"] != false:
			tax = tax.Add(s.own(amount(l["amount"])))
		}
	}
	if len(used) != len(details) {
		return refusal(codeUser, "taxDetails", access+"There are tax details without a line.")
	}
	shipping := amount(d.values["shippingCost"])
	switch {
	case forced:
		tax = tax.Add(amount(d.values["shippingTaxAmount"]))
	case !s.options.LegacyTax:
		tax = tax.Add(s.own(shipping))
	}
	d.values["subtotal"], d.values["taxTotal"], d.values["total"] = subtotal, tax, subtotal.Add(shipping).Add(tax)
	return nil
}

// own is the tax that NetSuite computes of an amount, whatever it is for.
func (s *Server) own(d decimal.Decimal) decimal.Decimal {
	return d.Mul(decimal.NewFromInt(19)).Div(decimal.NewFromInt(100)).Round(2)
}

// changeOrder changes an order and its lines. A line without a number is added.
func (s *Server) changeOrder(o *record, values map[string]any, replaced []string) *problem {
	for _, l := range items(values["item"]) {
		if l["line"] == nil {
			s.problems["a line without a number, which is added"]++
			if p := s.newLine(o, 0, l); p != nil {
				return p
			}
			continue
		}
		i := slices.IndexFunc(o.lines, func(have map[string]any) bool { return amount(have["line"]).Equal(amount(l["line"])) })
		if i < 0 {
			return refusal(codeUser, "item", access+"There is no line %v.", l["line"])
		}
		have := o.lines[i]
		if q, ok := l["quantity"]; ok {
			if amount(q).LessThan(amount(have["quantityFulfilled"])) {
				return refusal(codeUser, "item", access+"The quantity can't be less than what is fulfilled.")
			}
			if _, ok := l["amount"]; !ok { // it multiplies by itself
				l["amount"] = amount(have["amount"]).Mul(amount(q)).DivRound(amount(have["quantity"]), 2)
			}
		}
		for name, v := range l {
			if name == "isclosed" {
				name = "isClosed"
			}
			have[name] = v
		}
	}
	if details := items(values["taxDetails"]); details != nil {
		if !slices.Contains(replaced, "taxDetails") {
			details = append(o.taxes, details...)
		}
		o.taxes = details
	}
	for name, v := range values {
		if name != "item" && name != "taxDetails" {
			o.values[name] = v
		}
	}
	s.settle(o)
	return s.compute(o)
}

// settle sets an order's status by what became of its lines.
func (s *Server) settle(o *record) {
	open, fulfilled := false, false
	for _, l := range o.lines {
		open = open || l["isClosed"] != true
		fulfilled = fulfilled || amount(l["quantityFulfilled"]).IsPositive()
	}
	switch {
	case !open:
		o.values["status"] = map[string]any{"id": "H"}
	case fulfilled:
		o.values["status"] = map[string]any{"id": "D"}
	}
}

// fulfil makes a fulfilment of an order. A transform takes over all open lines; those that are named are changed.
func (s *Server) fulfil(f *record) *problem {
	o := f.order
	if status := ref(o.values["status"]); status == "A" || status == "H" {
		return refusal(codeUser, "", access+"You have entered an Invalid Field Value %s for the following field: createdfrom.", o.id)
	}
	if s.knobs.closedPeriod {
		return refusal(codeUser, "", access+"The transaction date you specified is not within the date range of your accounting period.")
	}
	if f.values["externalId"] == nil {
		s.problems["a fulfilment without an external id"]++
	}
	named := map[string]map[string]any{}
	for i, l := range items(f.values["item"]) {
		at := fmt.Sprintf("item.items[%d].orderLine", i)
		key := amount(l["orderLine"]).String()
		if named[key] != nil {
			return refusal(codeUser, at, access+"The order line %s is there twice.", key)
		}
		if !slices.ContainsFunc(o.lines, func(have map[string]any) bool { return amount(have["line"]).String() == key && s.ships(have) }) {
			return refusal(codeUser, at, access+"There is no order line %s to fulfil.", key)
		}
		named[key] = l
	}
	shipped := map[int]decimal.Decimal{}
	for i, have := range o.lines {
		open := amount(have["quantity"]).Sub(amount(have["quantityFulfilled"]))
		l := named[amount(have["line"]).String()]
		switch {
		case !s.ships(have) || have["isClosed"] == true || !open.IsPositive():
			if l != nil && l["itemReceive"] != false {
				return refusal(codeUser, "item", access+"The order line %v has nothing left to fulfil.", have["line"])
			}
			continue
		case l != nil && l["itemReceive"] == false:
			continue
		case l != nil && l["quantity"] != nil:
			if amount(l["quantity"]).GreaterThan(open) {
				return refusal(codeUser, "item", access+"The quantity %v is more than what is left to fulfil.", l["quantity"])
			}
			open = amount(l["quantity"])
		case l == nil:
			s.problems["a line that is not named is fulfilled too"]++
		}
		shipped[i] = open
	}
	if len(shipped) == 0 {
		return refusal(codeUser, "item", access+"You must enter at least one line item for this transaction.")
	}
	for _, one := range f.more["package"] {
		if s.options.PackageWeights && one["packageWeight"] == nil {
			return refusal(codeUser, "package", access+"Please enter value(s) for: Weight.")
		}
	}
	for i, q := range shipped {
		o.lines[i]["quantityFulfilled"] = amount(o.lines[i]["quantityFulfilled"]).Add(q)
		f.lines = append(f.lines, map[string]any{"orderLine": o.lines[i]["line"], "quantity": q, "itemReceive": true})
	}
	slices.SortFunc(f.lines, func(a, b map[string]any) int { return amount(a["orderLine"]).Cmp(amount(b["orderLine"])) })
	delete(f.values, "item")
	f.values["tranId"], f.values["status"] = "IF"+f.id, f.values["shipStatus"]
	s.settle(o)
	return nil
}

// ships reports whether a line is of goods: charges can't be fulfilled.
func (s *Server) ships(l map[string]any) bool {
	return !strings.HasPrefix(s.numbers[ref(l["item"])], "ACCOUNT-")
}
