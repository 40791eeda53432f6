package businesscentral

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Create sends what Build made. Header and lines are one request, which is carried out whole or not at all.
func (c *Client) Create(ctx context.Context, call erp.Call, p erp.Payload) (erp.Document, error) {
	what := "create sales order " + p.Order.ExternalReference
	if len(p.Requests) == 0 {
		return erp.Document{}, event.NotDone(&event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: the payload has no request: want those that Build makes", what),
		})
	}
	f := c.o.Codes()
	post := p.Requests[len(p.Requests)-1]
	text := []byte(post.Body)
	if c.looksUp(f, p.Order) {
		number, err := c.bookedFor(ctx, call, f, p.Order)
		if err != nil {
			return erp.Document{}, event.NotDone(fmt.Errorf("%s: %w", what, err)) // the order itself was not sent
		}
		quoted, err := json.Marshal(number)
		if err != nil {
			return erp.Document{}, event.NotDone(err)
		}
		text = bytes.Replace(text, []byte(`"`+customerWord+`"`), quoted, 1)
	}
	a, err := c.send(ctx, erphttp.Request{What: what, Method: post.Method, Path: "/salesOrders", Body: text, Order: &p.Order})
	if err != nil {
		return erp.Document{}, c.explained(ctx, err, f, p.Order)
	}
	var made record
	if err := a.Object(&made); err != nil {
		return erp.Document{}, a.Unreadable(err)
	}
	if made.Number == "" || made.ID == "" {
		return erp.Document{}, a.Unreadable(errors.New("there is no number and id"))
	}
	d := documentOf(made)
	if want := p.Order.Totals.GrandTotal; want.Valid && (!d.Total.Valid || !d.Total.Decimal.Equal(want.Decimal)) {
		// The totals of the answer may be those of before the lines: only what is read again is the ERP's word.
		d.Total = c.totalOf(ctx, "/salesOrders("+made.ID+")", d.Total)
	}
	return d, nil
}

func documentOf(r record) erp.Document {
	d := erp.Document{Number: r.Number, ID: r.ID, ETag: r.ETag}
	if r.Total != nil {
		if total, err := decimal.NewFromString(r.Total.String()); err == nil {
			d.Total = erp.NewAmount(total)
		}
	}
	if r.Status == "In_x0020_Review" {
		d.Notes = append(d.Notes, "the order waits for an approval in Business Central")
	}
	return d
}

// totalOf reads what a document comes to; otherwise, should that fail, since the document is there.
func (c *Client) totalOf(ctx context.Context, path string, otherwise erp.Amount) erp.Amount {
	a, err := c.send(ctx, erphttp.Request{
		What: "read a total", Method: http.MethodGet, Path: path, Header: fresh(), Question: true,
		Query: url.Values{"$select": {"totalAmountIncludingTax"}},
	})
	if err != nil {
		return otherwise
	}
	var r record
	if a.Object(&r) != nil || r.Total == nil {
		return otherwise
	}
	return documentOf(r).Total
}

// explained adds to a refusal what it leaves out: which item is missing, or which codes the order names.
func (c *Client) explained(ctx context.Context, err error, f *codes.File, o erp.SalesOrder) error {
	if event.ClassOf(err) != event.Invalid {
		return err
	}
	if strings.Contains(err.Error(), textNoItem) {
		if missing := c.missingItem(ctx, f, o.Lines); missing != nil {
			return event.NotDone(fmt.Errorf("create sales order %s: %w", o.ExternalReference, missing))
		}
	}
	var accounts []string
	for _, a := range []erp.Account{erp.AccountGuests, erp.AccountShipping, erp.AccountRounding} {
		if number, err := f.Account(a); err == nil {
			accounts = append(accounts, string(a)+" "+number)
		}
	}
	return fmt.Errorf("%w; see that the company has the codes of %s, such as %s", err, orFile(f.Name()), strings.Join(accounts, ", "))
}

func orFile(name string) string {
	if name == "" {
		return "the file of codes"
	}
	return name
}

// maxAsked bounds the items that are asked for in one request: they are in its address.
const maxAsked = 40

// missingItem returns an error that names the first item of lines that the company does not have; nil if it has all, or does
// not say.
func (c *Client) missingItem(ctx context.Context, f *codes.File, lines []erp.Line) error {
	var filter []string
	numbers := map[string]*string{}
	for _, l := range lines {
		number, err := f.SKU(l.SKU)
		if err != nil || numbers[code(number)] != nil || len(numbers) == maxAsked {
			continue
		}
		numbers[code(number)] = l.SKU
		filter = append(filter, equals("number", code(number)))
	}
	found, err := c.search(ctx, "look up the items of an order", "items", strings.Join(filter, " or "), url.Values{"$select": {"number"}})
	if err != nil {
		return nil
	}
	for _, r := range found {
		delete(numbers, code(r.Number))
	}
	for _, number := range slices.Sorted(maps.Keys(numbers)) {
		return &codes.Missing{
			File: f.Name(), Section: "skus", Key: *numbers[number],
			What: fmt.Sprintf("SKU %s, of which Business Central has no item %s,", *numbers[number], number),
		}
	}
	return nil
}
