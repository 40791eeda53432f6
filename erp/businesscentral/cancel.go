package businesscentral

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Cancel deletes an order, or lowers the quantities of its lines to what is left of them. A quantity that is left is the same
// however often it is sent, so that nothing is taken twice. Business Central decides whether it may: its words are the reason
// for which it is rejected.
func (c *Client) Cancel(ctx context.Context, call erp.Call, d erp.Document, x erp.Cancellation) error {
	what := "cancel sales order " + d.Number
	order, err := c.openOrder(ctx, what, d.Number)
	if err != nil {
		return err
	}
	if order == nil {
		return c.goneBefore(ctx, call, what, d.Number, x.Complete)
	}
	if x.Complete {
		return c.remove(ctx, what, *order)
	}
	for _, l := range x.Lines {
		if err := c.lower(ctx, what, *order, l.Reference, l.SKU, keep(l)); err != nil {
			return err
		}
	}
	return nil
}

// keep returns the quantity that a line is to have. Where the shop does not tell how its row stands, it is what the line has
// less what is cancelled.
func keep(l erp.CancellationLine) func(now decimal.Decimal) decimal.Decimal {
	return func(now decimal.Decimal) decimal.Decimal {
		if l.Row.Ordered.Valid {
			return l.Row.Keep()
		}
		return decimal.Max(decimal.Zero, now.Sub(l.Quantity.Decimal))
	}
}

// openOrder reads the order with a number and its lines; nil where there is none.
func (c *Client) openOrder(ctx context.Context, what, number string) (*record, error) {
	found, err := c.search(ctx, what, "salesOrders", equals("number", code(number)), url.Values{
		"$select": {"id,number,status,externalDocumentNumber,customerNumber,currencyCode,pricesIncludeTax"}, "$top": {"2"},
		"$expand": {"salesOrderLines($select=id,lineType,lineObjectNumber,description2,quantity)"},
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

// goneBefore says what it means that an order is not there: a person or an earlier attempt has deleted it, or it was posted.
func (c *Client) goneBefore(ctx context.Context, call erp.Call, what, number string, complete bool) error {
	invoice, err := c.invoiceOf(ctx, what, number)
	switch {
	case err != nil:
		return err
	case invoice != "":
		return event.NotDone(&event.Error{
			Class: event.Rejected, Downstream: erphttp.Downstream,
			Err: fmt.Errorf("%s: it is shipped and invoiced as %s: make a credit memo in Business Central", what, invoice),
		})
	case call.Uncertain && complete: // what deletes it leaves no trace
		return nil
	}
	return event.NotDone(&event.Error{
		Class: event.NotFound, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: Business Central has no such order: see whether a person has deleted it", what),
	})
}

// invoiceOf returns the number of a posted invoice of an order; empty where there is none.
func (c *Client) invoiceOf(ctx context.Context, what, number string) (string, error) {
	posted, err := c.search(ctx, what, "salesInvoices", equals("orderNumber", code(number)), url.Values{"$select": {"id,number,orderNumber"}, "$top": {"1"}})
	if err != nil || len(posted) == 0 {
		return "", err
	}
	return posted[0].Number, nil
}

// remove deletes an order. It may be there no more by now, which is the same.
func (c *Client) remove(ctx context.Context, what string, order record) error {
	_, err := c.send(ctx, erphttp.Request{What: what, Method: http.MethodDelete, Path: "/salesOrders(" + order.ID + ")", Header: versioned(order.ETag)})
	return err
}

// lower sets the quantity of a line to what is to be left of it, unless it is that or less already.
func (c *Client) lower(ctx context.Context, what string, order record, reference string, sku *string, keep func(now decimal.Decimal) decimal.Decimal) error {
	line, err := c.lineOf(order, reference, sku)
	if err != nil {
		return event.NotDone(&event.Error{Class: event.Rejected, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: %w", what, err)})
	}
	now, err := decimal.NewFromString(line.Quantity.String())
	if err != nil {
		return &event.Error{Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true, Err: fmt.Errorf("%s: the quantity of line %s can't be read", what, reference)}
	}
	left := keep(now)
	if now.LessThanOrEqual(left) {
		return nil
	}
	text, err := json.Marshal(body{{"quantity", json.Number(left.String())}})
	if err != nil {
		return event.NotDone(err)
	}
	_, err = c.send(ctx, erphttp.Request{What: what, Method: http.MethodPatch, Path: "/salesOrderLines(" + line.ID + ")", Header: versioned(line.ETag), Body: text})
	return err
}

// lineOf finds the ERP's line of one of the shop's: by its reference, and where lines have none by the item, if only one line
// has that.
func (c *Client) lineOf(order record, reference string, sku *string) (recordLine, error) {
	for _, l := range order.Lines {
		if l.Type == "Item" && l.Description2 == reference && reference != "" {
			return l, nil
		}
	}
	f := c.o.Codes()
	number, err := f.SKU(sku)
	if err != nil {
		return recordLine{}, err
	}
	var same []recordLine
	for _, l := range order.Lines {
		if l.Type == "Item" && code(l.Object) == code(number) {
			same = append(same, l)
		}
	}
	if len(same) != 1 {
		return recordLine{}, fmt.Errorf("%d of its lines may be line %s of the shop (item %s): change the quantity in Business Central by hand", len(same), reference, number)
	}
	return same[0], nil
}
