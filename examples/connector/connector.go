// Package connector is a connector of one's own: to an ERP that books orders as "bookings".
// It passes the suite of package erptest (connector_test.go). docs/erp/own-connector.md explains it.
package connector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Bookings is the connector.
type Bookings struct {
	http  *erphttp.Client
	codes func() *codes.File
}

// New makes a connector that calls through c, with the shop's codes as they are at each call.
func New(c *http.Client, address string, token func() string, file func() *codes.File) (*Bookings, error) {
	client, err := erphttp.New(erphttp.Options{
		HTTP: c, URL: address,
		Authorize: func(r *http.Request, _ []byte, _ bool) error {
			r.Header.Set("Authorization", "Bearer "+token())
			return nil
		},
		// What this ERP words otherwise than by the status is a row here.
		Dialect: erphttp.Dialect{Rules: []erphttp.Rule{
			{Status: 409, Text: "is locked by", Meaning: erphttp.Meaning{Class: event.Unavailable, NotDone: true}},
		}},
	})
	return &Bookings{client, file}, err
}

type booking struct {
	Ref   string `json:"ref"`
	Total string `json:"total"`
	Rows  []row  `json:"rows"`
}

type row struct {
	ID   string `json:"id"`
	Item string `json:"item"`
	Qty  string `json:"qty"`
	Net  string `json:"net"`
	Tax  string `json:"tax"`
}

// Build maps an order. Its parts add up to the grand total to the cent, whatever the ERP does with them.
func (b *Bookings) Build(o erp.SalesOrder) (erp.Payload, error) {
	file := b.codes()
	parts := erp.PartsOf(o, file.Tolerance())
	body := booking{Ref: o.ExternalReference, Total: parts.Total.StringFixed(2)}
	for i, l := range o.Lines {
		item, err := file.SKU(l.SKU)
		if err != nil {
			return erp.Payload{}, err
		}
		body.Rows = append(body.Rows, row{l.Reference, item, l.Quantity.String(), parts.Lines[i].Net.StringFixed(2), parts.Lines[i].Tax.StringFixed(2)})
	}
	extras := parts.Extras
	if !parts.Shipping.Gross().IsZero() {
		extras = append([]erp.Extra{{Account: erp.AccountShipping, Amount: parts.Shipping.Gross()}}, extras...)
	}
	for _, e := range extras {
		account, err := file.Account(e.Account)
		if err != nil { // a dead letter, which has the line to add to the file
			return erp.Payload{}, err
		}
		body.Rows = append(body.Rows, row{string(e.Account), account, "1", e.Amount.StringFixed(2), "0.00"})
	}
	text, err := json.Marshal(body)
	return erp.Payload{Order: o, Requests: []erp.Request{{Method: http.MethodPost, Path: "/bookings", Body: text}}}, err
}

// call sends a request and reads the answer's object into v, unless that is nil. The answer is one if has says so.
func (b *Bookings) call(ctx context.Context, r erphttp.Request, v any, has func() bool) error {
	a, err := b.http.Do(ctx, r)
	if err != nil {
		return err
	}
	if !a.OK() {
		return a.Refused()
	}
	if v == nil {
		return nil
	}
	if err := a.Object(v); err != nil {
		return a.Unreadable(err) // it may have been booked: the caller looks it up
	}
	if !has() {
		return a.Unreadable(errors.New("what was asked for is not in it")) // never "there is none"
	}
	return nil
}

// Create books an order.
func (b *Bookings) Create(ctx context.Context, _ erp.Call, p erp.Payload) (erp.Document, error) {
	var made struct{ Number json.Number }
	err := b.call(ctx, erphttp.Request{
		What: "book order " + p.Order.ExternalReference, Method: http.MethodPost, Path: "/bookings", Body: p.Requests[0].Body, Order: &p.Order,
	}, &made, func() bool { return made.Number != "" })
	return erp.Document{Number: made.Number.String()}, err
}

// Find returns the bookings with a reference.
func (b *Bookings) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	var list struct{ Numbers *[]json.Number }
	err := b.call(ctx, erphttp.Request{
		What: "find order " + reference, Method: http.MethodGet, Path: "/bookings", Query: url.Values{"ref": {reference}}, Question: true,
	}, &list, func() bool { return list.Numbers != nil })
	if err != nil {
		return nil, err
	}
	var found []erp.Document
	for _, n := range *list.Numbers {
		found = append(found, erp.Document{Number: n.String()})
	}
	return found, nil
}

// Cancel says what is left of each row. The ERP knows no keys; saying it twice does no harm.
func (b *Bookings) Cancel(ctx context.Context, _ erp.Call, d erp.Document, x erp.Cancellation) error {
	what := "cancel booking " + d.Number
	if x.Complete {
		return b.call(ctx, erphttp.Request{What: what, Method: http.MethodDelete, Path: erphttp.Path("bookings", d.Number)}, nil, nil)
	}
	left := map[string]string{}
	for _, l := range x.Lines {
		left[l.Reference] = l.Row.Keep().String()
	}
	body, err := json.Marshal(left)
	if err != nil {
		return event.NotDone(err)
	}
	return b.call(ctx, erphttp.Request{What: what, Method: http.MethodPatch, Path: erphttp.Path("bookings", d.Number), Body: body}, nil, nil)
}
