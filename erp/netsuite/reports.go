package netsuite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// shipStatuses are the letters of a fulfilment's status by the option shipment.
var shipStatuses = map[string]string{"shipped": "C", "packed": "B", "picked": "A"}

// ReportShipment makes an item fulfilment of the order, with a package for each tracking number. It has an external id, so that
// NetSuite refuses a second one.
func (c *Client) ReportShipment(ctx context.Context, call erp.Call, s erp.Shipment) (erp.Document, error) {
	f := c.o.Codes()
	status, ok := shipStatuses[f.Option("shipment")]
	if !ok {
		return erp.Document{}, &erp.Off{Reason: "the option shipment is off: NetSuite drives the warehouse"}
	}
	what := "create item fulfilment " + s.ExternalReference
	if err := checkReference(s.ExternalReference); err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	if call.Uncertain {
		there, err := c.byExternalID(ctx, what, "itemFulfillment", s.ExternalReference, documentFields)
		switch {
		case err != nil:
			return erp.Document{}, err
		case there != nil:
			return erp.Document{Number: there.Number, ID: there.ID}, nil
		}
		if err := call.MayRepeat("item fulfilment " + s.ExternalReference); err != nil {
			return erp.Document{}, err
		}
	}
	r, err := c.order(ctx, what, erp.Document{Number: s.DocumentNumber})
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	body, err := c.fulfilment(ctx, what, f, s, r, status)
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	return c.created(ctx, "itemFulfillment", s.ExternalReference, erphttp.Request{
		What: what, Method: http.MethodPost, Path: path("salesOrder", r.ID) + "/!transform/itemFulfillment", Body: body, Header: strict(),
	})
}

// fulfilment returns the body of an item fulfilment. A transform takes over all open lines, so that those that are not shipped are
// named too.
func (c *Client) fulfilment(ctx context.Context, what string, f *codes.File, s erp.Shipment, r *record, status string) ([]byte, error) {
	location := newSheet(f, s.Store).location
	shipped := map[string]decimal.Decimal{}
	var items []fields
	for _, l := range s.Lines {
		at, err := c.lineOf(ctx, what, f, r, l.Reference, l.SKU)
		if err != nil {
			return nil, err
		}
		if _, ok := shipped[at.Line.String()]; ok || !l.Quantity.Decimal.IsPositive() {
			return nil, invalid("%s: line %s of order %s is there twice, or has the quantity %s", what, at.Line, r.Number, l.Quantity)
		}
		shipped[at.Line.String()] = l.Quantity.Decimal
		one := fields{"orderLine": at.Line, "itemReceive": true}
		one.number("quantity", l.Quantity.Decimal)
		one.ref("location", location)
		items = append(items, one)
	}
	for _, row := range s.All {
		at, err := c.lineOf(ctx, what, f, r, row.Reference, row.SKU)
		switch {
		case event.ClassOf(err) == event.Rejected: // it is not there, and not shipped either
			continue
		case err != nil:
			return nil, err
		}
		if _, ok := shipped[at.Line.String()]; ok || at.Closed || at.Fulfilled.value().GreaterThanOrEqual(at.Quantity.value()) {
			continue
		}
		shipped[at.Line.String()] = decimal.Zero
		items = append(items, fields{"orderLine": at.Line, "itemReceive": false})
	}
	if len(items) == 0 {
		return nil, invalid("%s: it has no lines", what)
	}
	b := fields{"externalId": s.ExternalReference, "item": fields{"items": items}}
	b.ref("shipStatus", status)
	b.text("tranDate", told(s.PlacedOn), len("2026-11-23"))
	var packages []fields
	for _, t := range s.Tracks {
		one := fields{}
		one.text("packageTrackingNumber", told(t.TrackingNumber), maxTrack)
		one.text("packageDescr", told(t.Title), maxLine)
		if weight, err := decimal.NewFromString(f.Option("package_weight")); err == nil {
			one.number("packageWeight", weight)
		}
		packages = append(packages, one)
	}
	if len(packages) > 0 {
		b["package"] = fields{"items": packages}
	}
	return json.Marshal(b)
}

// ReportCreditMemo makes a credit memo, and has the order not ship what was refunded.
func (c *Client) ReportCreditMemo(ctx context.Context, call erp.Call, m erp.CreditMemo) (erp.Document, error) {
	what := "create credit memo " + m.ExternalReference
	if err := checkReference(m.ExternalReference); err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	r, err := c.order(ctx, what, erp.Document{Number: m.DocumentNumber})
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	var d erp.Document
	id, err := call.Do(ctx, "credit memo", func(ctx context.Context, a erp.Attempt) (string, error) {
		if !a.Uncertain {
			a = call.Attempt
		}
		var err error
		d, err = c.creditMemo(ctx, what, a, m, r)
		return d.ID, err
	})
	if err != nil {
		return erp.Document{}, err
	}
	if d.ID == "" { // an earlier attempt has made it
		made, err := c.lookUp(ctx, what, path("creditMemo", id), url.Values{"fields": {documentFields}})
		if err != nil {
			return erp.Document{ID: id}, event.MayBeDone(err)
		}
		if d = (erp.Document{ID: id}); made != nil {
			d = documentOf(*made)
		}
	}
	if err := c.notShipped(ctx, what, m, r); err != nil {
		return d, fmt.Errorf("credit memo %s is in NetSuite, and order %s is not reduced: %w", d.Number, r.Number, event.MayBeDone(err))
	}
	return d, nil
}

// creditMemo returns the credit memo with a reference, which it creates unless it is there.
func (c *Client) creditMemo(ctx context.Context, what string, a erp.Attempt, m erp.CreditMemo, r *record) (erp.Document, error) {
	if a.Uncertain {
		there, err := c.byExternalID(ctx, what, "creditMemo", m.ExternalReference, documentFields)
		switch {
		case err != nil:
			return erp.Document{}, err
		case there != nil:
			return documentOf(*there), nil
		}
		if err := a.MayRepeat("credit memo " + m.ExternalReference); err != nil {
			return erp.Document{}, err
		}
	}
	f := c.o.Codes()
	body, err := memoBody(f, m, r)
	if err == nil {
		body, err = c.filled(ctx, what, f, body)
	}
	if err != nil {
		return erp.Document{}, event.NotDone(fmt.Errorf("%s: %w", what, err))
	}
	d, err := c.post(ctx, what, "creditMemo", m.ExternalReference, body, &erp.SalesOrder{Customer: m.Customer})
	if err == nil && d.Accepted {
		err = &event.Error{Class: event.Unavailable, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: NetSuite has taken it, and has no number of it yet", what)}
	}
	return d, err
}

// memoBody maps a credit memo. Who is credited and in which currency, the order says.
func memoBody(f *codes.File, m erp.CreditMemo, r *record) ([]byte, error) {
	h := fields{"externalId": m.ExternalReference, "memo": cut("Order "+m.OrderReference+", "+m.DocumentNumber, maxLong)}
	if err := place(h, f, m.Store, m.Currency); err != nil {
		return nil, err
	}
	h.ref("entity", r.Entity.ID)
	h.ref("currency", r.Currency.ID)
	h.text("tranDate", told(m.PlacedOn), len("2026-11-23"))
	h.text("otherRefNum", m.OrderReference, maxShort)
	parts := erp.PartsOfCreditMemo(m, f.Tolerance())
	s := newSheet(f, m.Store)
	for i, l := range m.Lines {
		switch {
		case l.Quantity.Decimal.IsPositive():
			if err := s.goods(goods{
				sku: l.SKU, description: told(l.Name), reference: l.Reference, quantity: l.Quantity.Decimal, amount: parts.Lines[i],
				taxCode: l.TaxCode, percent: l.TaxPercent,
			}); err != nil {
				return nil, err
			}
		case !parts.Lines[i].Gross().IsZero():
			if err := s.refund(l, parts.Lines[i]); err != nil {
				return nil, err
			}
		}
	}
	if err := s.shipping(h, parts.Shipping, "", m.Shipping.TaxCode, m.Shipping.TaxPercent); err != nil {
		return nil, err
	}
	if err := s.extras(parts); err != nil {
		return nil, err
	}
	s.into(h)
	return json.Marshal(h)
}

// refund adds what is paid back of a line without a quantity.
func (s *sheet) refund(l erp.CreditMemoLine, sum erp.Sum) error {
	number, err := s.f.Account(erp.AccountRefund)
	if err != nil {
		return err
	}
	one := fields{}
	one.text("description", told(l.Name), maxLong)
	return s.add(one, number, "L"+l.Reference, decimal.NewFromInt(1), sum, l.TaxCode, l.TaxPercent)
}
