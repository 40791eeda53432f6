package businesscentral

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// ReportCreditMemo makes a sales credit memo, and has the order not ship what was refunded. Whether the memo's prices include
// tax is the customer's setting, which only the memo itself shows: so its lines are added one by one to a memo that is there,
// each a step.
func (c *Client) ReportCreditMemo(ctx context.Context, call erp.Call, m erp.CreditMemo) (erp.Document, error) {
	f := c.o.Codes()
	what := "create credit memo " + m.ExternalReference
	reference, err := referenceOf(m.ExternalReference)
	if err == nil {
		_, err = c.storeOf(f, m.Store)
	}
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	who := &erp.SalesOrder{Customer: m.Customer}
	order, err := c.openOrder(ctx, what, m.DocumentNumber)
	if err != nil {
		return erp.Document{}, err
	}
	id, err := call.Do(ctx, "header", func(ctx context.Context, a erp.Attempt) (string, error) {
		if !a.Uncertain {
			a = call.Attempt
		}
		return c.memoHeader(ctx, what, a, m, order, reference, who)
	})
	if err != nil {
		return erp.Document{}, err
	}
	// From here on the memo is there, whatever becomes of the rest.
	memo, err := c.readMemo(ctx, what, id)
	if err != nil {
		return erp.Document{}, event.MayBeDone(err)
	}
	d := documentOf(memo)
	err = c.fillMemo(ctx, call, f, m, memo, who)
	if err == nil {
		d.Total = c.totalOf(ctx, "/salesCreditMemos("+id+")", d.Total)
		err = c.notShipped(ctx, what, m, order)
	}
	if err != nil {
		return d, fmt.Errorf("credit memo %s is in Business Central, and is not complete: %w", d.Number, event.MayBeDone(err))
	}
	return d, nil
}

// memoHeader returns the id of the memo, which it creates unless it is there.
func (c *Client) memoHeader(ctx context.Context, what string, a erp.Attempt, m erp.CreditMemo, order *record, reference string, who *erp.SalesOrder) (string, error) {
	if a.Uncertain {
		found, err := c.search(ctx, what, "salesCreditMemos", equals("externalDocumentNumber", reference), url.Values{"$select": {"id,number,externalDocumentNumber"}, "$top": {"2"}})
		switch {
		case err != nil:
			return "", err
		case len(found) > 1:
			return "", &event.Error{
				Class: event.Rejected, Downstream: erphttp.Downstream,
				Err: fmt.Errorf("%s: Business Central has several credit memos with this reference, %s and %s: delete all but one, then replay", what, found[0].Number, found[1].Number),
			}
		case len(found) == 1:
			return found[0].ID, nil
		}
		if err := a.MayRepeat("credit memo " + m.ExternalReference); err != nil {
			return "", err
		}
	}
	h := body{}
	h.add("externalDocumentNumber", reference)
	h.add("creditMemoDate", told(m.PlacedOn))
	switch {
	case order != nil:
		h.add("customerNumber", order.CustomerNumber)
	default:
		invoices, err := c.search(ctx, what, "salesInvoices", equals("orderNumber", code(m.DocumentNumber)), url.Values{"$select": {"id,number,customerNumber"}, "$top": {"2"}})
		switch {
		case err != nil:
			return "", event.NotDone(err)
		case len(invoices) == 0:
			return "", event.NotDone(&event.Error{
				Class: event.NotFound, Downstream: erphttp.Downstream,
				Err: fmt.Errorf("%s: Business Central has neither order %s nor an invoice of it", what, m.DocumentNumber),
			})
		}
		h.add("customerNumber", invoices[0].CustomerNumber)
		if len(invoices) == 1 {
			h.add("invoiceNumber", invoices[0].Number)
		}
	}
	h.add("currencyCode", code(told(m.Currency)))
	text, err := json.Marshal(h)
	if err != nil {
		return "", event.NotDone(err)
	}
	answer, err := c.send(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: "/salesCreditMemos", Body: text, Order: who})
	if err != nil {
		return "", err
	}
	var made record
	if err := answer.Object(&made); err != nil || made.ID == "" {
		return "", answer.Unreadable(errors.Join(err, errors.New("there is no id")))
	}
	return made.ID, nil
}

func (c *Client) readMemo(ctx context.Context, what, id string) (record, error) {
	a, err := c.send(ctx, erphttp.Request{
		What: what, Method: http.MethodGet, Path: "/salesCreditMemos(" + id + ")", Header: fresh(), Question: true,
		Query: url.Values{
			"$select": {"id,number,status,currencyCode,pricesIncludeTax,totalAmountIncludingTax"},
			"$expand": {"salesCreditMemoLines($select=id,lineType,lineObjectNumber,description2,quantity)"},
		},
	})
	if err != nil {
		return record{}, err
	}
	var r record
	if err := a.Object(&r); err != nil || r.Number == "" {
		return record{}, a.Unreadable(errors.Join(err, errors.New("there is no number")))
	}
	return r, nil
}

// fillMemo adds the lines that the memo does not have yet. They are added one after the other, so that how many it has says
// which are there.
func (c *Client) fillMemo(ctx context.Context, call erp.Call, f *codes.File, m erp.CreditMemo, memo record, who *erp.SalesOrder) error {
	lines, err := memoLines(f, m, memo.PricesIncludeTax)
	if err != nil {
		return err
	}
	what := "add the lines of credit memo " + m.ExternalReference
	for i, l := range lines {
		if memo.Status != "Draft" || i < len(memo.MemoLines) {
			continue
		}
		_, err := call.Do(ctx, fmt.Sprintf("line %d", i+1), func(ctx context.Context, a erp.Attempt) (string, error) {
			if a.Uncertain {
				now, err := c.readMemo(ctx, what, memo.ID)
				if err != nil {
					return "", event.MayBeDone(err)
				}
				if len(now.MemoLines) > i {
					return now.MemoLines[i].ID, nil
				}
				if err := a.MayRepeat(fmt.Sprintf("line %d of credit memo %s", i+1, m.ExternalReference)); err != nil {
					return "", err
				}
			}
			return c.addMemoLine(ctx, what, memo.ID, l, who)
		})
		if err != nil {
			return err
		}
	}
	if f.Option("credit_memo") != "post" || memo.Status != "Draft" {
		return nil
	}
	_, err = call.Do(ctx, "post", func(ctx context.Context, a erp.Attempt) (string, error) {
		if a.Uncertain {
			now, err := c.readMemo(ctx, what, memo.ID)
			if err != nil || now.Status != "Draft" {
				return "posted", event.MayBeDone(err)
			}
			if err := a.MayRepeat("the posting of credit memo " + m.ExternalReference); err != nil {
				return "", err
			}
		}
		_, err := c.send(ctx, erphttp.Request{
			What: "post credit memo " + m.ExternalReference, Method: http.MethodPost, Path: "/salesCreditMemos(" + memo.ID + ")/Microsoft.NAV.post", Header: versioned("*"), Order: who,
		})
		return "posted", err
	})
	return err
}

func (c *Client) addMemoLine(ctx context.Context, what, id string, l *body, who *erp.SalesOrder) (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", event.NotDone(err)
	}
	answer, err := c.send(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: "/salesCreditMemos(" + id + ")/salesCreditMemoLines", Body: text, Order: who})
	if err != nil {
		return "", err
	}
	var made recordLine
	if err := answer.Object(&made); err != nil || made.ID == "" {
		return "", answer.Unreadable(errors.Join(err, errors.New("there is no id")))
	}
	return made.ID, nil
}

func memoLines(f *codes.File, m erp.CreditMemo, included bool) ([]*body, error) {
	parts := erp.PartsOfCreditMemo(m, f.Tolerance())
	s := newSheet(f, m.Currency, included)
	for i, l := range m.Lines {
		switch {
		case l.Quantity.Decimal.IsPositive():
			err := s.item(goods{
				sku: l.SKU, name: l.Name, reference: &l.Reference, quantity: l.Quantity.Decimal, amount: parts.Lines[i], taxCode: l.TaxCode, percent: l.TaxPercent,
			})
			if err != nil {
				return nil, err
			}
		case !parts.Lines[i].Gross().IsZero():
			if err := s.account(erp.AccountRefund, told(l.Name), parts.Lines[i], l.TaxCode, l.TaxPercent); err != nil {
				return nil, err
			}
		}
	}
	if !parts.Shipping.Gross().IsZero() {
		if err := s.account(erp.AccountShipping, titles[erp.AccountShipping], parts.Shipping, m.Shipping.TaxCode, m.Shipping.TaxPercent); err != nil {
			return nil, err
		}
	}
	err := s.close(parts)
	return s.lines, err
}

// notShipped lowers the order's lines to what was shipped and what is still to be; an order of which nothing is left is
// deleted. One that is not there any more is posted, and there is nothing to lower.
func (c *Client) notShipped(ctx context.Context, what string, m erp.CreditMemo, order *record) error {
	if order == nil {
		return nil
	}
	if m.Over() {
		return c.remove(ctx, what, *order)
	}
	for _, l := range m.Lines {
		if !l.Row.Ordered.Valid {
			continue
		}
		if err := c.lower(ctx, what, *order, l.Reference, l.SKU, keep(erp.CancellationLine{Row: l.Row})); err != nil {
			return err
		}
	}
	return nil
}
