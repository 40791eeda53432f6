package netsuite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Find asks for the order with a reference as its external id. There is one at most: NetSuite sees to that.
func (c *Client) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	if err := checkReference(reference); err != nil {
		return nil, err
	}
	what := "find sales order " + reference
	r, err := c.byExternalID(ctx, what, "salesOrder", reference, documentFields)
	switch {
	case err != nil || r == nil:
		return nil, err
	case r.Number == "":
		return nil, &event.Error{
			Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true, Err: fmt.Errorf("%s: order %s has no number", what, r.ID),
		}
	}
	return []erp.Document{documentOf(*r)}, nil
}

// lines are those of an order, as they are read.
type lines struct {
	Items []line `json:"items"`
}

type line struct {
	Line       json.Number `json:"line"`
	Item       reference   `json:"item"`
	Quantity   *number     `json:"quantity"`
	Amount     *number     `json:"amount"`
	Fulfilled  *number     `json:"quantityFulfilled"`
	Billed     *number     `json:"quantityBilled"`
	Closed     bool        `json:"isClosed"`
	TaxDetails string      `json:"taxDetailsReference"`

	own map[string]json.RawMessage
}

// UnmarshalJSON keeps the shop's own columns too.
func (l *line) UnmarshalJSON(text []byte) error {
	type plain line
	if err := json.Unmarshal(text, (*plain)(l)); err != nil {
		return err
	}
	return json.Unmarshal(text, &l.own)
}

// taxDetails are the taxes of an order, as they are read.
type taxDetails struct {
	Items []taxDetail `json:"items"`
}

type taxDetail struct {
	Reference reference `json:"taxDetailsReference"`
	Type      string    `json:"taxType"`
	Code      reference `json:"taxCode"`
	Basis     number    `json:"taxBasis"`
	Rate      number    `json:"taxRate"`
	Amount    number    `json:"taxAmount"`
}

// number is a number, or a text with one.
type number struct{ decimal.Decimal }

func (n *number) value() decimal.Decimal {
	if n == nil {
		return decimal.Zero
	}
	return n.Decimal
}

// order finds the order with a number, and reads it with its lines. Its errors are marked by event.NotDone where they are certain.
func (c *Client) order(ctx context.Context, what string, d erp.Document) (*record, error) {
	id := d.ID
	if id == "" {
		if strings.ContainsAny(d.Number, `"\`) || d.Number == "" {
			return nil, event.NotDone(invalid("%s: %q is no number of an order", what, d.Number))
		}
		a, err := c.send(ctx, erphttp.Request{
			What: what, Method: http.MethodGet, Path: path("salesOrder"), Query: url.Values{"q": {`tranId IS "` + d.Number + `"`}, "limit": {"2"}}, Question: true,
		})
		if err != nil {
			return nil, err
		}
		var list struct {
			Items *[]reference `json:"items"`
		}
		if err := a.Object(&list); err != nil || list.Items == nil {
			return nil, a.Unreadable(errors.Join(err, errors.New("there is no list")))
		}
		switch len(*list.Items) {
		case 0:
			return nil, event.NotDone(&event.Error{
				Class: event.NotFound, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: NetSuite has no order %s: see whether a person has deleted it", what, d.Number),
			})
		case 1:
			id = (*list.Items)[0].ID
		default:
			return nil, event.NotDone(&event.Error{
				Class: event.Rejected, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: NetSuite has several orders with the number %s", what, d.Number),
			})
		}
	}
	r, err := c.lookUp(ctx, what, path("salesOrder", id), url.Values{"expandSubResources": {"true"}})
	if err == nil && r == nil {
		return nil, event.NotDone(&event.Error{
			Class: event.NotFound, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: NetSuite has no order %s: see whether a person has deleted it", what, d.Number),
		})
	}
	return r, err
}

// lineOf finds NetSuite's line of one of the shop's: by the column of the file of codes, by the name of its tax, and else by the
// item, if only one line has that.
func (c *Client) lineOf(ctx context.Context, what string, f *codes.File, r *record, reference string, sku *string) (*line, error) {
	column := f.Option("line_reference")
	for i := range r.Item.Items {
		l := &r.Item.Items[i]
		var own string
		_ = json.Unmarshal(l.own[column], &own) // what is no text is none of ours
		if column != "" && own == reference || l.TaxDetails == "L"+reference {
			return l, nil
		}
	}
	id, err := c.itemOf(ctx, what, f, sku)
	if err != nil {
		return nil, err
	}
	var same []*line
	for i := range r.Item.Items {
		if l := &r.Item.Items[i]; id != "" && l.Item.ID == id {
			same = append(same, l)
		}
	}
	if len(same) != 1 {
		return nil, event.NotDone(&event.Error{
			Class: event.Rejected, Downstream: erphttp.Downstream,
			Err: fmt.Errorf("%s: %d lines of order %s may be line %s of the shop (SKU %s): change it in NetSuite by hand", what, len(same), r.Number, reference, told(sku)),
		})
	}
	return same[0], nil
}

// itemOf returns the internal id of a SKU's item; "" where it is not known by it.
func (c *Client) itemOf(ctx context.Context, what string, f *codes.File, sku *string) (string, error) {
	s := newSheet(f, erp.Store{})
	s.tax = ""
	number, err := f.SKU(sku)
	if err != nil {
		return "", event.NotDone(err)
	}
	if err := s.add(fields{}, number, "", decimal.Zero, erp.Sum{}, nil, erp.Quantity{}); err != nil {
		return "", event.NotDone(err)
	}
	body, err := json.Marshal(fields{"item": fields{"items": s.lines}})
	if err != nil {
		return "", event.NotDone(err)
	}
	var missing *codes.Missing
	if body, err = c.filled(ctx, what, f, body); errors.As(err, &missing) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var d struct{ Item lines }
	if err := json.Unmarshal(body, &d); err != nil || len(d.Item.Items) != 1 {
		return "", nil //nolint:nilerr // an item by another name than its id
	}
	return d.Item.Items[0].Item.ID, nil
}
