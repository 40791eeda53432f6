package erphttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// books is a connector to an ERP that calls its orders bookings.
type books struct{ http *erphttp.Client }

var _ erp.OrderConnector = (*books)(nil)

func newBooks(client *http.Client, address string, token func() string) (*books, error) {
	h, err := erphttp.New(erphttp.Options{
		HTTP: client, URL: address,
		// The token is asked for each time, so that one that was changed is used at once.
		Authorize: func(req *http.Request, _ []byte, _ bool) error {
			req.Header.Set("Authorization", "Bearer "+token())
			return nil
		},
		// This ERP answers 400 where others answer 423. Whatever is not in the table has the meaning of its status.
		Dialect: erphttp.Dialect{Rules: []erphttp.Rule{
			{Status: 400, Text: "is locked by", Meaning: erphttp.Meaning{Class: event.Unavailable, NotDone: true}},
		}},
	})
	return &books{h}, err
}

// Build maps the order to the ERP's own form. No request is made here.
func (b *books) Build(o erp.SalesOrder) (erp.Payload, error) {
	body, err := json.Marshal(map[string]any{"ref": o.ExternalReference, "total": o.Totals.GrandTotal})
	if err != nil {
		return erp.Payload{}, event.Errorf(event.Invalid, "order %s can't be written as JSON: %w", o.ExternalReference, err)
	}
	return erp.Payload{Order: o, Requests: []erp.Request{{Method: http.MethodPost, Path: "/bookings", Body: body}}}, nil
}

func (b *books) Create(ctx context.Context, c erp.Call, p erp.Payload) (erp.Document, error) {
	a, err := b.http.Do(ctx, erphttp.Request{
		What: "book order " + p.Order.ExternalReference, Method: p.Requests[0].Method, Path: p.Requests[0].Path, Body: p.Requests[0].Body,
		Header: http.Header{"Idempotency-Key": {c.Key}}, Order: &p.Order,
	})
	if err != nil {
		return erp.Document{}, err
	}
	if !a.OK() {
		return erp.Document{}, a.Refused()
	}
	var booking struct {
		Number json.RawMessage `json:"number"`
	}
	if err := a.Object(&booking); err != nil {
		return erp.Document{}, a.Unreadable(err) // it may have been booked: the caller looks it up
	}
	number, err := erphttp.Text("number", booking.Number)
	if err != nil || number == "" {
		return erp.Document{}, a.Unreadable(errors.Join(err, errors.New("there is no number")))
	}
	return erp.Document{Number: number}, nil
}

func (b *books) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	a, err := b.http.Do(ctx, erphttp.Request{
		What: "find order " + reference, Method: http.MethodGet, Path: "/bookings", Query: url.Values{"ref": {reference}}, Question: true,
	})
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		return nil, a.Refused()
	}
	var list struct{ Numbers *[]string }
	if err := a.Object(&list); err != nil || list.Numbers == nil {
		return nil, a.Unreadable(errors.Join(err, errors.New("there is no list"))) // never "there is none"
	}
	var found []erp.Document
	for _, number := range *list.Numbers {
		found = append(found, erp.Document{Number: number})
	}
	return found, nil
}

func (b *books) Cancel(ctx context.Context, c erp.Call, d erp.Document, x erp.Cancellation) error {
	body, err := json.Marshal(x)
	if err != nil {
		return event.NotDone(err)
	}
	a, err := b.http.Do(ctx, erphttp.Request{
		What: "cancel booking " + d.Number, Method: http.MethodPost, Path: erphttp.Path("bookings", d.Number, "cancel"), Body: body,
		Header: http.Header{"Idempotency-Key": {c.Key}},
	})
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	return err
}

// A connector maps the order in Build, and leaves requests, classes and redaction to a Client. Its tests run the suite of
// package erptest on it.
func Example() {
	locked := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `{"numbers":["B-7"]}`)
		case locked:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"message":"customer 42 is locked by SMITH"}}`)
			locked = false
		default:
			fmt.Printf("the ERP got %s %s\n", r.URL.Path, body)
			fmt.Fprint(w, `{"number":"B-7"}`)
		}
	}))
	defer server.Close()

	connector, err := newBooks(server.Client(), server.URL, func() string { return "t0ken" })
	if err != nil {
		fmt.Println(err)
		return
	}
	payload, err := connector.Build(erp.SalesOrder{ExternalReference: "000000123"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = connector.Create(ctx, erp.Call{Key: "order_placed:000000123"}, payload)
	fmt.Printf("%v\n%s, not done: %t\n", err, event.ClassOf(err), event.IsNotDone(err))
	document, err := connector.Create(ctx, erp.Call{Key: "order_placed:000000123"}, payload)
	fmt.Println(document.Number, err)
	found, err := connector.Find(ctx, "000000123")
	fmt.Println(len(found), err)

	// Output:
	// book order 000000123: the ERP answered 400 Bad Request (customer 42 is locked by SMITH)
	// unavailable, not done: true
	// the ERP got /bookings {"ref":"000000123","total":null}
	// B-7 <nil>
	// 1 <nil>
}
