package businesscentral

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// ReportShipment posts what was shipped of an order, where the option shipment is post. The API has only one way to post, which
// makes the invoice too. An order that is posted whole is gone.
func (c *Client) ReportShipment(ctx context.Context, call erp.Call, s erp.Shipment) (erp.Document, error) {
	if c.o.Codes().Option("shipment") != "post" {
		return erp.Document{}, &erp.Off{Reason: "Business Central would invoice a shipment too: options: {shipment: post} has it posted"}
	}
	what := "post shipment " + s.ExternalReference
	// How much was shipped before tells a later attempt whether the posting was carried out.
	before, err := call.Do(ctx, "before", func(ctx context.Context, _ erp.Attempt) (string, error) {
		order, err := c.shippable(ctx, what, s.DocumentNumber)
		switch {
		case err != nil:
			return "", event.NotDone(err)
		case order == nil:
			return "", c.notShippable(ctx, what, s.DocumentNumber)
		}
		return order.shipped().String(), nil
	})
	if err != nil {
		return erp.Document{}, err
	}
	_, err = call.Do(ctx, "post", func(ctx context.Context, a erp.Attempt) (string, error) {
		order, err := c.shippable(ctx, what, s.DocumentNumber)
		switch {
		case err != nil:
			return "", unlessUncertain(a, err)
		case a.Uncertain:
			posted, err := c.wasPosted(ctx, what, order, before, s)
			if err != nil || posted {
				return "posted", err
			}
			if err := a.MayRepeat("the posting of shipment " + s.ExternalReference); err != nil {
				return "", err
			}
		}
		if order == nil {
			return "", c.notShippable(ctx, what, s.DocumentNumber)
		}
		return "posted", c.post(ctx, what, *order, s)
	})
	return erp.Document{}, err
}

// wasPosted reports whether an earlier attempt has posted a shipment: as much more is shipped as it has, or the order is gone and
// has an invoice.
func (c *Client) wasPosted(ctx context.Context, what string, order *record, before string, s erp.Shipment) (bool, error) {
	if order == nil {
		invoice, err := c.invoiceOf(ctx, what, s.DocumentNumber)
		return invoice != "", err
	}
	now := decimalOf(before)
	for _, l := range s.Lines {
		now = now.Add(l.Quantity.Decimal)
	}
	return order.shipped().GreaterThanOrEqual(now), nil
}

// notShippable says why an order that is not open can't be shipped.
func (c *Client) notShippable(ctx context.Context, what, number string) error {
	invoice, err := c.invoiceOf(ctx, what, number)
	switch {
	case err != nil:
		return event.NotDone(err)
	case invoice != "":
		return event.NotDone(&event.Error{
			Class: event.Rejected, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: order %s is shipped and invoiced already, as %s", what, number, invoice),
		})
	}
	return event.NotDone(&event.Error{
		Class: event.NotFound, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: Business Central has no order %s: see whether a person has deleted it", what, number),
	})
}

// unlessUncertain marks the error of a question that was asked before anything was sent.
func unlessUncertain(a erp.Attempt, err error) error {
	if a.Uncertain {
		return err
	}
	return event.NotDone(err)
}

func decimalOf(s string) decimal.Decimal {
	d, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.Zero
	}
	return d
}

// shippable reads an order and how much of its lines is shipped; nil where it is not open any more.
func (c *Client) shippable(ctx context.Context, what, number string) (*record, error) {
	found, err := c.search(ctx, what, "salesOrders", equals("number", code(number)), url.Values{
		"$select": {"id,number"}, "$top": {"2"},
		"$expand": {"salesOrderLines($select=id,lineType,lineObjectNumber,description2,quantity,shippedQuantity)"},
	})
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if code(r.Number) == code(number) {
			return &r, nil
		}
	}
	return nil, nil //nolint:nilnil // no order is an answer like any other
}

// shipped adds up what is shipped of the items of an order.
func (r record) shipped() decimal.Decimal {
	sum := decimal.Zero
	for _, l := range r.Lines {
		if l.Type == "Item" {
			sum = sum.Add(decimalOf(l.Shipped.String()))
		}
	}
	return sum
}

// post sets of each item how much is shipped and invoiced now, which may be set again, and posts the order. Lines that are no
// items are posted with the first shipment.
func (c *Client) post(ctx context.Context, what string, order record, s erp.Shipment) error {
	now := map[string]decimal.Decimal{}
	for _, l := range s.Lines {
		line, err := c.lineOf(order, l.Reference, l.SKU)
		if err != nil {
			return event.NotDone(&event.Error{Class: event.Rejected, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: %w", what, err)})
		}
		now[line.ID] = now[line.ID].Add(l.Quantity.Decimal)
	}
	if len(now) == 0 {
		return event.NotDone(event.Errorf(event.Invalid, "%s: it has no lines", what))
	}
	for _, l := range order.Lines {
		if l.Type != "Item" {
			continue
		}
		quantity := json.Number(now[l.ID].String())
		text, err := json.Marshal(body{{"shipQuantity", quantity}, {"invoiceQuantity", quantity}})
		if err != nil {
			return event.NotDone(err)
		}
		_, err = c.send(ctx, erphttp.Request{What: what, Method: http.MethodPatch, Path: "/salesOrderLines(" + l.ID + ")", Header: versioned("*"), Body: text})
		if err != nil { // quantities alone post nothing
			return event.NotDone(fmt.Errorf("set what is shipped: %w", err))
		}
	}
	_, err := c.send(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: "/salesOrders(" + order.ID + ")/Microsoft.NAV.shipAndInvoice", Header: versioned("*")})
	var e *event.Error
	if errors.As(err, &e) && e.Class == event.Rejected {
		return fmt.Errorf("%w; ship and invoice it in Business Central by hand", err)
	}
	return err
}
