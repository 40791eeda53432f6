package erptest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// bench is a connector between the suite and its fake ERP, for one behaviour.
type bench struct {
	ctx       context.Context
	of        Connector
	rig       Rig
	front     *front
	connector erp.OrderConnector
	ends      []func()
	again     bool // what is asked for may have been done already

	problems      []string
	notApplicable bool
}

// stop is the panic that ends a behaviour which can't go on.
type stop struct{}

// recovered returns what a behaviour has panicked with, nil for a stop.
func recovered(r any) any {
	if _, ok := r.(stop); ok {
		return nil
	}
	return r
}

func newBench(ctx context.Context, c Connector) *bench {
	b := &bench{ctx: ctx, of: c, rig: c.Open()}
	writes := b.rig.Writes
	if writes == nil {
		writes = func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
	}
	b.front = &front{erp: b.rig.Handler, writes: writes}
	server := httptest.NewServer(b.front)
	var client *http.Client
	var closeClient func()
	if b.rig.Client != nil {
		client, closeClient = b.rig.Client()
	} else {
		transport := &http.Transport{}
		client, closeClient = &http.Client{Transport: transport}, transport.CloseIdleConnections
	}
	b.ends = append(b.ends, func() {
		closeClient()
		if b.rig.Close != nil {
			b.rig.Close()
		}
		server.CloseClientConnections()
		server.Close()
	})
	connector, err := b.rig.Connect(server.URL, client)
	if err != nil {
		b.problems = append(b.problems, "connect: "+err.Error())
	}
	b.connector = connector
	return b
}

func (b *bench) close() {
	for _, end := range b.ends {
		end()
	}
}

// each runs f with a new ERP for each of n cases, so that a throttle of one does not delay the next.
func (b *bench) each(n int, f func(i int, b *bench)) {
	for i := range n {
		own := newBench(b.ctx, b.of)
		func() {
			defer own.close()
			defer func() {
				b.problems = append(b.problems, own.problems...)
				b.problems = append(b.problems, own.front.misuse()...)
				if r := recovered(recover()); r != nil {
					panic(r)
				}
			}()
			f(i, own)
		}()
	}
}

func (b *bench) errorf(format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

func (b *bench) fatalf(format string, args ...any) {
	b.errorf(format, args...)
	panic(stop{})
}

const (
	email = "vesna.testperson@fixture.example"
	phone = "+49 341 5550142"
	name  = "Vesnatest"
)

func told[T any](v T) *T { return &v }

// Order returns an order with two lines, "1001" of 2 pieces and "1002" of 1, and a customer whose e-mail address, telephone
// and first name are in no error.
func Order(reference string) erp.SalesOrder {
	amount := func(s string) erp.Amount { return erp.NewAmount(decimal.RequireFromString(s)) }
	quantity := func(s string) erp.Quantity { return erp.NewQuantity(decimal.RequireFromString(s)) }
	address := func() *erp.Address {
		return &erp.Address{
			FirstName: told(name), LastName: told("Testperson"), Street: []string{"Geheimweg 7"}, City: told("Leipzig"),
			Postcode: told("04109"), Country: told("DE"), Telephone: told(phone),
		}
	}
	line := func(reference, sku, n, price, row, tax, gross string) erp.Line {
		return erp.Line{
			Reference: reference, Type: told("simple"), ProductID: told(int64(7)), SKU: told(sku), Name: told("Bag"), Options: []erp.Option{},
			Quantity: quantity(n), UnitPrice: amount(price), UnitPriceInclTax: amount("40.46"), DiscountAmount: amount("0"),
			DiscountTaxCompensation: amount("0"), TaxPercent: quantity("19"), TaxAmount: amount(tax), RowTotal: amount(row), RowTotalInclTax: amount(gross),
		}
	}
	return erp.SalesOrder{
		ExternalReference: reference, EntityID: told(int64(57)), IncrementID: told(reference),
		PlacedAt: told(time.Date(2026, 11, 23, 9, 15, 2, 0, time.UTC)), PlacedOn: told("2026-11-23"),
		Store:    erp.Store{ID: told(int64(1)), Code: told("default"), Name: told("Default Store View")},
		Currency: told("EUR"), BaseCurrency: told("EUR"), ExchangeRate: quantity("1"), BaseGrandTotal: amount("127.33"),
		Customer: erp.Customer{
			ID: told(int64(42)), Guest: told(false), GroupID: told(int64(1)), WebsiteID: told(int64(1)), Email: told(email),
			FirstName: told(name), LastName: told("Testperson"),
		},
		BillingAddress: address(), ShippingAddress: address(),
		Shipping: &erp.Shipping{
			Method: told("flatrate_flatrate"), Description: told("Flat Rate - Fixed"), Amount: amount("5"), AmountInclTax: amount("5.95"),
			TaxAmount: amount("0.95"), TaxPercent: quantity("19"), DiscountAmount: amount("0"), DiscountTaxCompensation: amount("0"),
		},
		Payment: erp.Payment{Method: told("checkmo"), AmountOrdered: amount("127.33"), AmountAuthorized: amount("0"), AmountPaid: amount("0")},
		Lines: []erp.Line{
			line("1001", "24-MB01", "2", "34", "68", "12.92", "80.92"),
			line("1002", "24-MB02", "1", "34", "34", "6.46", "40.46"),
		},
		Totals: erp.Totals{
			Subtotal: amount("102"), Discount: amount("0"), DiscountTaxCompensation: amount("0"), Shipping: amount("5"), Tax: amount("20.33"),
			Adjustments: []erp.Adjustment{}, Other: amount("0"), GrandTotal: amount("127.33"),
		},
	}
}

func (b *bench) order(reference string) erp.SalesOrder {
	if b.rig.Order != nil {
		return b.rig.Order(reference)
	}
	return Order(reference)
}

func (b *bench) build(reference string) erp.Payload {
	p, err := b.connector.Build(b.order(reference))
	if err != nil {
		b.fatalf("build %s: %v", reference, err)
	}
	return p
}

func call(reference string) erp.Call { return erp.Call{Key: "order_placed:" + reference} }

// create creates the order of a reference.
func (b *bench) create(ctx context.Context, reference string) (erp.Document, error) {
	return b.connector.Create(ctx, call(reference), b.build(reference))
}

// created creates the order of a reference, which must succeed.
func (b *bench) created(reference string) erp.Document {
	d, err := b.create(b.ctx, reference)
	if err != nil || d.Number == "" || d.Accepted {
		b.fatalf("create %s: document %+v, error %v; want one with a number", reference, d, err)
	}
	return d
}

// isBooked checks that the ERP has one document of a reference.
func (b *bench) isBooked(reference string) Booked {
	books := b.rig.Books(reference)
	if len(books) != 1 {
		b.fatalf("the ERP has %d documents of %s, want 1", len(books), reference)
	}
	return books[0]
}

// isFound checks that the connector finds the one document of a reference.
func (b *bench) isFound(reference string) {
	want := b.isBooked(reference)
	found, err := b.connector.Find(b.ctx, reference)
	if err != nil || len(found) != 1 || found[0].Number != want.Number {
		b.errorf("find %s: %+v, error %v; want document %s", reference, found, err, want.Number)
	}
}

// isError checks what every error of a connector has, its class, and whether it is marked as not done. Of several classes
// one will do.
func (b *bench) isError(what string, err error, notDone bool, classes ...event.Class) {
	if err == nil {
		b.errorf("%s: no error", what)
		return
	}
	b.isClean(what, err)
	var e *event.Error
	if !errors.As(err, &e) || e.Downstream != "erp" {
		b.errorf("%s: the error %v is no *event.Error of the downstream erp", what, err)
		return
	}
	fits := len(classes) == 0
	for _, class := range classes {
		fits = fits || e.Class == class
	}
	if !fits {
		b.errorf("%s: the error %v has class %s, want %v", what, err, e.Class, classes)
	}
	if event.IsNotDone(err) != notDone {
		b.errorf("%s: the error %v says not done: %t, want %t", what, err, event.IsNotDone(err), notDone)
	}
}

// isClean checks that an error has nothing in it that must not be in a log.
func (b *bench) isClean(what string, err error) {
	for _, secret := range append([]string{email, phone, name}, b.rig.Secrets...) {
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(secret)) {
			b.errorf("%s: the error has %q in it: %v", what, secret, err)
		}
	}
	if len(err.Error()) > 4<<10 {
		b.errorf("%s: the error has %d bytes", what, len(err.Error()))
	}
}
