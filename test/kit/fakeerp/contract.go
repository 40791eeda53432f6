package fakeerp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What a body may be, by the webhook's contract. A member that is missing, or that the contract does not have, is refused as
// real ERPs refuse it; null stands for what the shop does not tell.

// check returns what is wrong with a value at path; "" for nothing.
type check func(path string, v any) string

type object map[string]check

func (o object) check(path string, v any) string {
	if v == nil {
		return ""
	}
	members, ok := v.(map[string]any)
	if !ok {
		return path + " is no object"
	}
	for name := range members {
		if o[name] == nil {
			return fmt.Sprintf("%s has a member %q that is not known", path, name)
		}
	}
	for name, check := range o {
		member, ok := members[name]
		if !ok {
			return fmt.Sprintf("%s has no %q", path, name)
		}
		if problem := check(path+"."+name, member); problem != "" {
			return problem
		}
	}
	return ""
}

func list(element check) check {
	return func(path string, v any) string {
		if v == nil {
			return ""
		}
		all, ok := v.([]any)
		if !ok {
			return path + " is no list"
		}
		for i, e := range all {
			if problem := element(fmt.Sprintf("%s[%d]", path, i), e); problem != "" {
				return problem
			}
		}
		return ""
	}
}

func matching(what string, form *regexp.Regexp) check {
	return func(path string, v any) string {
		if v == nil {
			return ""
		}
		if s, ok := v.(string); !ok || !form.MatchString(s) {
			return fmt.Sprintf("%s is %v: want %s", path, v, what)
		}
		return ""
	}
}

var (
	text     = matching("a text", regexp.MustCompile(`(?s)^.*$`))
	amount   = matching("a decimal with at least two places and no zeros beyond", regexp.MustCompile(`^-?\d+\.\d\d(\d*[1-9])?$`))
	quantity = matching("a decimal without zeros at its end", regexp.MustCompile(`^-?\d+(\.\d*[1-9])?$`))
	date     = matching("a date", regexp.MustCompile(`^\d{4}-\d\d-\d\d$`))
	instant  = func(path string, v any) string {
		if s, ok := v.(string); v != nil && (!ok || !strings.HasSuffix(s, "Z")) {
			return path + " is no instant in UTC"
		} else if _, err := time.Parse(time.RFC3339, s); v != nil && err != nil {
			return path + " is no instant of RFC 3339"
		}
		return ""
	}
	id = func(path string, v any) string {
		if n, ok := v.(json.Number); v != nil && (!ok || strings.ContainsAny(n.String(), ".eE")) {
			return path + " is no whole number"
		}
		return ""
	}
	truth = func(path string, v any) string {
		if _, ok := v.(bool); v != nil && !ok {
			return path + " is neither true nor false"
		}
		return ""
	}
)

// needed is a text that is not null and not empty.
func needed(path string, v any) string {
	if s, ok := v.(string); !ok || s == "" {
		return path + " is missing"
	}
	return ""
}

// not leaves null out.
func not(null check) check {
	return func(path string, v any) string {
		if v == nil {
			return path + " is null"
		}
		return null(path, v)
	}
}

var (
	company = object{"id": id, "name": text}.check
	address = object{
		"first_name": text, "last_name": text, "company": text, "street": list(text), "city": text, "region": text, "region_code": text,
		"postcode": text, "country": text, "telephone": text, "tax_id": text,
	}.check
	salesOrder = object{
		"external_reference": needed, "entity_id": id, "increment_id": text, "placed_at": instant, "placed_on": date, "replaces": text,
		"store": not(object{"id": id, "code": text, "name": text}.check), "currency": text, "base_currency": text, "exchange_rate": quantity,
		"base_grand_total": amount,
		"customer": not(object{
			"id": id, "guest": truth, "group_id": id, "website_id": id, "email": text, "first_name": text, "last_name": text, "tax_id": text, "company": company,
		}.check),
		"billing_address": address, "shipping_address": address,
		"shipping": object{
			"method": text, "description": text, "amount": amount, "amount_incl_tax": amount, "tax_amount": amount, "tax_percent": quantity,
			"discount_amount": amount, "discount_tax_compensation": amount,
		}.check,
		"payment": not(object{
			"method": text, "transaction_id": text, "purchase_order_number": text, "amount_ordered": amount, "amount_authorized": amount, "amount_paid": amount,
		}.check),
		"lines": not(list(object{
			"reference": needed, "parent_reference": text, "type": text, "product_id": id, "sku": text, "name": text,
			"options":  list(object{"id": id, "label": text, "value": text}.check),
			"quantity": quantity, "unit_price": amount, "unit_price_incl_tax": amount, "discount_amount": amount, "discount_tax_compensation": amount,
			"tax_percent": quantity, "tax_amount": amount, "row_total": amount, "row_total_incl_tax": amount,
		}.check)),
		"totals": not(object{
			"subtotal": amount, "discount": amount, "discount_tax_compensation": amount, "shipping": amount, "tax": amount,
			"adjustments": list(object{"code": needed, "amount": amount}.check), "other": amount, "grand_total": amount,
		}.check),
		"comment": text,
	}.check
	cancellation = object{
		"reason": needed, "complete": not(truth), "lines": not(list(object{"reference": needed, "sku": text, "quantity": not(quantity)}.check)),
	}.check
)

const notJSON = "the body is not JSON"

// violation returns what a body has against its contract; "" for nothing.
func violation(contract check, body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil || decoder.More() || v == nil {
		return notJSON
	}
	return contract("the body", v)
}

// order is what the ERP uses of a sales order.
type order struct {
	Reference string         `json:"external_reference"`
	Lines     []line         `json:"lines"`
	Totals    map[string]any `json:"totals"`
}

type line struct {
	Reference string `json:"reference"`
	SKU       string `json:"sku"`
	Quantity  string `json:"quantity"`
}

func decimal(v any) *big.Rat {
	s, _ := v.(string)
	if r, ok := new(big.Rat).SetString(s); ok {
		return r
	}
	return new(big.Rat)
}

// sum returns what is wrong with the totals, which always add up.
func (o order) sum() string {
	if o.Totals["grand_total"] == nil {
		return ""
	}
	sum := new(big.Rat)
	for _, part := range []string{"subtotal", "discount", "discount_tax_compensation", "shipping", "tax", "other"} {
		sum.Add(sum, decimal(o.Totals[part]))
	}
	adjustments, _ := o.Totals["adjustments"].([]any)
	for _, a := range adjustments {
		if a, ok := a.(map[string]any); ok {
			sum.Add(sum, decimal(a["amount"]))
		}
	}
	if sum.Cmp(decimal(o.Totals["grand_total"])) != 0 {
		return fmt.Sprintf("the totals add up to %s and not to %v", sum.FloatString(4), o.Totals["grand_total"])
	}
	return ""
}

// overdrawn returns what is wrong with taking the lines of c from a document; "" for nothing.
func (d *Document) overdrawn(c Cancellation) string {
	var o order
	if d.Body == nil || json.Unmarshal(d.Body, &o) != nil { // booked by hand
		return ""
	}
	for _, l := range c.Lines {
		i := slices.IndexFunc(o.Lines, func(o line) bool { return o.Reference == l.Reference })
		if i < 0 {
			return fmt.Sprintf("document %s has no line %s", d.Number, l.Reference)
		}
		left := decimal(o.Lines[i].Quantity)
		for _, before := range d.Cancellations {
			for _, taken := range before.Lines {
				if taken.Reference == l.Reference {
					left.Sub(left, decimal(taken.Quantity))
				}
			}
		}
		if decimal(l.Quantity).Cmp(left) > 0 {
			return fmt.Sprintf("of line %s of document %s only %s is left", l.Reference, d.Number, left.FloatString(4))
		}
	}
	return ""
}
