package netsuite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Create sends what Build made. Header, lines and taxes are one request, which is carried out whole or not at all.
func (c *Client) Create(ctx context.Context, call erp.Call, p erp.Payload) (erp.Document, error) {
	what := "create sales order " + p.Order.ExternalReference
	if len(p.Requests) == 0 {
		return erp.Document{}, event.NotDone(&event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: the payload has no request: want those that Build makes", what),
		})
	}
	f := c.o.Codes()
	body, err := c.filled(ctx, what, f, p.Requests[len(p.Requests)-1].Body)
	if err == nil && bytes.Contains(body, []byte(`"`+customerWord+`"`)) {
		var id string
		if id, err = c.bookedFor(ctx, call, f, p.Order); err == nil {
			body = replaced(body, customerWord, id)
		}
	}
	if err != nil {
		return erp.Document{}, event.NotDone(fmt.Errorf("%s: %w", what, err)) // the order itself was not sent
	}
	return c.post(ctx, what, "salesOrder", p.Order.ExternalReference, body, &p.Order)
}

// documentFields are what is read of a document once it is there.
const documentFields = "id,tranId,externalId,status,total"

// post creates a document. A refusal may mean that it is there already, whatever its words are: NetSuite is asked by the
// reference. who is whose personal data is taken out of errors.
func (c *Client) post(ctx context.Context, what, kind, reference string, body []byte, who *erp.SalesOrder) (erp.Document, error) {
	return c.created(ctx, kind, reference, erphttp.Request{What: what, Method: http.MethodPost, Path: path(kind), Body: body, Header: strict(), Order: who})
}

// created sends a request that creates a document of a type with a reference, and returns the document.
func (c *Client) created(ctx context.Context, kind, reference string, r erphttp.Request) (erp.Document, error) {
	a, err := c.http.Do(ctx, r)
	if err != nil {
		return erp.Document{}, err
	}
	switch {
	case a.Status == http.StatusBadRequest || a.Status == http.StatusConflict:
		refusal := a.Refused()
		there, err := c.byExternalID(ctx, r.What, kind, reference, documentFields)
		switch {
		case err != nil:
			return erp.Document{}, fmt.Errorf("%w; and whether it is there already can't be seen: %w", err, refusal)
		case there != nil:
			return documentOf(*there), nil
		}
		if event.ClassOf(refusal) == event.Invalid {
			c.forget() // an item may have another id by now
		}
		return erp.Document{}, refusal
	case !a.OK():
		return erp.Document{}, a.Refused()
	case a.Status == http.StatusAccepted:
		return erp.Document{Accepted: true}, nil
	}
	id, err := idOf(a)
	if err != nil {
		return erp.Document{}, err
	}
	made, err := c.lookUp(ctx, r.What+": read its number", path(kind, id), url.Values{"fields": {documentFields}})
	switch {
	case err != nil:
		return erp.Document{}, event.MayBeDone(err)
	case made == nil:
		return erp.Document{}, &event.Error{
			Class: event.Unavailable, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: NetSuite has created %s %s, and does not show it: see that the role may read it", r.What, kind, id),
		}
	case made.Number == "":
		return erp.Document{}, &event.Error{
			Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true, Err: fmt.Errorf("%s: %s %s has no number", r.What, kind, id),
		}
	}
	return documentOf(*made), nil
}

func documentOf(r record) erp.Document {
	d := erp.Document{Number: r.Number, ID: r.ID}
	if r.Total != nil {
		if total, err := decimal.NewFromString(r.Total.String()); err == nil {
			d.Total = erp.NewAmount(total)
		}
	}
	if letter(r.Status.ID) == "A" {
		d.Notes = append(d.Notes, "it waits for an approval in NetSuite")
	}
	return d
}

// letter returns the letter of a status, which is seen as H and as SalesOrd:H.
func letter(status string) string { return status[strings.LastIndex(status, ":")+1:] }

// replaced puts a value in the place of a word.
func replaced(body []byte, word, value string) []byte {
	return bytes.ReplaceAll(body, quoted(word), quoted(value))
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // a text is always one of JSON
	}
	return b
}

const (
	// itemsFor is for how long the ids of items are kept, and maxItems how many.
	itemsFor = 10 * time.Minute
	maxItems = 50_000
	// maxAsked bounds the items that are asked for in one query.
	maxAsked = 100
)

func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.items)
}

// filled returns a body with the items' ids in the place of their numbers. An item that NetSuite does not have is a
// *codes.Missing.
func (c *Client) filled(ctx context.Context, what string, f *codes.File, body []byte) ([]byte, error) {
	numbers := words(body)
	if len(numbers) == 0 {
		return body, nil
	}
	column := f.Option("item_by")
	ids := map[string]string{}
	var unknown []string
	c.mu.Lock()
	for _, number := range numbers {
		if i, ok := c.items[column+" "+number]; ok && c.o.Now().Sub(i.at) < itemsFor {
			ids[number] = i.id
		} else {
			unknown = append(unknown, number)
		}
	}
	c.mu.Unlock()
	for len(unknown) > 0 {
		some := unknown[:min(len(unknown), maxAsked)]
		unknown = unknown[len(some):]
		found, err := c.itemIDs(ctx, what, column, some)
		if err != nil {
			return nil, err
		}
		for _, number := range some {
			switch got := found[number]; len(got) {
			case 0:
				return nil, &codes.Missing{
					File: f.Name(), Section: "skus", Key: number, What: fmt.Sprintf("%s, of which NetSuite has no active item by %s,", number, column),
				}
			case 1:
				ids[number] = got[0]
			default:
				return nil, invalid("NetSuite has %d active items %s by %s: leave it to one of them, or write the id of one under skus with the option item_by: id", len(got), number, column)
			}
		}
	}
	c.mu.Lock()
	if len(c.items) > maxItems {
		clear(c.items)
	}
	for number, id := range ids {
		if _, ok := c.items[column+" "+number]; !ok || c.o.Now().Sub(c.items[column+" "+number].at) >= itemsFor {
			c.items[column+" "+number] = item{id, c.o.Now()}
		}
	}
	c.mu.Unlock()
	for number, id := range ids {
		body = replaced(body, itemWord+number+"}", id)
	}
	return body, nil
}

// itemIDs asks for the internal ids of items by the values of a column.
func (c *Client) itemIDs(ctx context.Context, what, column string, numbers []string) (map[string][]string, error) {
	var list []string
	for _, number := range numbers {
		list = append(list, "'"+strings.ReplaceAll(number, "'", "''")+"'")
	}
	q := "SELECT id, " + column + " FROM item WHERE " + column + " IN (" + strings.Join(list, ", ") + ") AND isinactive = 'F'"
	body, err := json.Marshal(map[string]string{"q": q})
	if err != nil {
		return nil, err
	}
	a, err := c.send(ctx, erphttp.Request{
		What: what + ": look up its items", Method: http.MethodPost, Path: queryPath, Query: url.Values{"limit": {"1000"}}, Body: body,
		Header: http.Header{"Prefer": {"transient"}}, Question: true,
	})
	if err != nil {
		return nil, err
	}
	var rows struct {
		Items *[]map[string]json.RawMessage `json:"items"`
	}
	if err := a.Object(&rows); err != nil || rows.Items == nil {
		return nil, a.Unreadable(errors.Join(err, errors.New("there is no list of items")))
	}
	found := map[string][]string{}
	for _, row := range *rows.Items {
		id, err := erphttp.Text("id", row["id"])
		number, err2 := erphttp.Text(column, row[column])
		if err = errors.Join(err, err2); err != nil || id == "" {
			return nil, a.Unreadable(errors.Join(err, errors.New("an item has no id")))
		}
		found[number] = append(found[number], id)
	}
	return found, nil
}
