package netsuite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Cancel closes all lines of an order, or lowers the quantities of some to what is left of them and closes those of which nothing
// is. What is left is the same however often it is sent, so that nothing is taken twice.
func (c *Client) Cancel(ctx context.Context, _ erp.Call, d erp.Document, x erp.Cancellation) error {
	what := "cancel sales order " + d.Number
	r, err := c.order(ctx, what, d)
	if err != nil {
		return event.NotDone(err)
	}
	if x.Complete {
		return c.close(ctx, what, r)
	}
	return c.reduce(ctx, what, r, x.Lines)
}

// close closes every line of an order, which closes the order. One of which something was shipped or billed is left to a person.
func (c *Client) close(ctx context.Context, what string, r *record) error {
	var open []fields
	var gone []string
	for _, l := range r.Item.Items {
		if !l.Closed {
			open = append(open, fields{"line": l.Line, "isClosed": true})
		}
		if l.Fulfilled.value().IsPositive() || l.Billed.value().IsPositive() {
			gone = append(gone, l.Line.String())
		}
	}
	switch {
	case len(open) == 0:
		return nil
	case len(gone) > 0:
		return event.NotDone(&event.Error{
			Class: event.Rejected, Downstream: erphttp.Downstream,
			Err: fmt.Errorf("%s: of its lines %s something is fulfilled or billed: take it back in NetSuite", what, strings.Join(gone, ", ")),
		})
	}
	return c.patch(ctx, what, r.ID, fields{"item": fields{"items": open}}, nil)
}

// amountPlaces are those of amounts that are made smaller.
const amountPlaces = 2

// reduce lowers lines to what is to be left of them, by one request. A line keeps its share of the amount and, where Magento's tax
// is forced, of the tax: NetSuite would not compute either again.
func (c *Client) reduce(ctx context.Context, what string, r *record, all []erp.CancellationLine) error {
	f := c.o.Codes()
	var changed []fields
	taxes := false
	for _, x := range all {
		l, err := c.lineOf(ctx, what, f, r, x.Reference, x.SKU)
		if err != nil {
			return event.NotDone(err)
		}
		now, keep := l.Quantity.value(), x.Row.Keep()
		if !x.Row.Ordered.Valid {
			keep = decimal.Max(decimal.Zero, now.Sub(x.Quantity.Decimal))
		}
		switch {
		case l.Closed || now.LessThanOrEqual(keep):
		case keep.IsZero():
			changed = append(changed, fields{"line": l.Line, "isClosed": true})
		default:
			share := func(d decimal.Decimal) decimal.Decimal { return d.Mul(keep).DivRound(now, amountPlaces) }
			one := fields{"line": l.Line}
			one.number("quantity", keep)
			one.number("amount", share(l.Amount.value()))
			changed = append(changed, one)
			for i := range r.TaxDetails.Items {
				if t := &r.TaxDetails.Items[i]; l.TaxDetails != "" && t.Reference.ID == l.TaxDetails && r.HasOverride {
					t.Basis, t.Amount, taxes = number{share(t.Basis.Decimal)}, number{share(t.Amount.Decimal)}, true
				}
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	body := fields{"item": fields{"items": changed}}
	var query url.Values
	if taxes {
		body["taxDetails"] = fields{"items": written(r.TaxDetails.Items)}
		query = url.Values{"replace": {"taxDetails"}}
	}
	return c.patch(ctx, what, r.ID, body, query)
}

// written returns taxes as they are sent.
func written(all []taxDetail) []fields {
	var list []fields
	for _, t := range all {
		one := fields{}
		one.ref("taxDetailsReference", t.Reference.ID)
		one.text("taxType", t.Type, maxLong)
		one.ref("taxCode", t.Code.ID)
		one.number("taxBasis", t.Basis.Decimal)
		one.number("taxRate", t.Rate.Decimal)
		one.number("taxAmount", t.Amount.Decimal)
		list = append(list, one)
	}
	return list
}

// patch changes an order. Lines are known by their numbers: one without a number would be added.
func (c *Client) patch(ctx context.Context, what, id string, body fields, query url.Values) error {
	text, err := json.Marshal(body)
	if err != nil {
		return event.NotDone(err)
	}
	_, err = c.send(ctx, erphttp.Request{What: what, Method: http.MethodPatch, Path: path("salesOrder", id), Query: query, Body: text})
	return err
}

// notShipped has an order not ship what was refunded: its lines are lowered to what was shipped and is still to be, and an order of
// which nothing is left is closed.
func (c *Client) notShipped(ctx context.Context, what string, m erp.CreditMemo, r *record) error {
	if m.Over() {
		return c.close(ctx, what, r)
	}
	var all []erp.CancellationLine
	for _, l := range m.Lines {
		if l.Row.Ordered.Valid {
			all = append(all, erp.CancellationLine{Reference: l.Reference, SKU: l.SKU, Row: l.Row})
		}
	}
	return c.reduce(ctx, what, r, all)
}
