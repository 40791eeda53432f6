package sap_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/sap"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakesap"
)

// ledger keeps steps as mageline's does: one that has begun and has no outcome is uncertain.
type ledger map[string]*step

type step struct {
	done, uncertain bool
	value           string
}

func (l ledger) Do(ctx context.Context, name string, run func(context.Context, erp.Attempt) (string, error)) (string, error) {
	s := l[name]
	if s == nil {
		s = &step{}
		l[name] = s
	}
	if s.done {
		return s.value, nil
	}
	before := s.uncertain
	s.uncertain = true
	value, err := run(ctx, erp.Attempt{Uncertain: before})
	switch {
	case err == nil:
		s.done, s.uncertain, s.value = true, false, value
	case event.IsNotDone(err):
		s.uncertain = before
	}
	return value, err
}

// killer ends the process at one moment: before or after a request.
type killer struct {
	at, n int
	names []string
}

type killed struct{}

func (k *killer) moment(name string) {
	k.n++
	k.names = append(k.names, name)
	if k.n == k.at {
		panic(killed{})
	}
}

func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	name := r.Method + " " + r.URL.Path
	k.moment("before " + name)
	w := httptest.NewRecorder()
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	handlersMu.Lock()
	h := handlers[r.Host]
	handlersMu.Unlock()
	h.ServeHTTP(w, served)
	k.moment("after " + name)
	res := w.Result()
	res.Request = r
	return res, nil
}

// handlers are the systems by the host under which they are reached without a network.
var (
	handlersMu sync.Mutex
	handlers   = map[string]http.Handler{}
)

// effect is what is killed, and how it shows that it was done once.
type effect struct {
	name  string
	codes string
	knobs func(*fakesap.Server)
	// before is done undisturbed.
	before func(t *testing.T, s *sap.Client, fake *fakesap.Server)
	run    func(ctx context.Context, s *sap.Client, c erp.Call) error
	check  func(t *testing.T, fake *fakesap.Server)
}

func createOrder(ctx context.Context, s *sap.Client, c erp.Call) error {
	p, err := s.Build(erptest.Order("ET-1"))
	if err != nil {
		return err
	}
	if c.Uncertain { // as the handler does
		found, err := s.Find(ctx, "ET-1")
		switch {
		case err != nil:
			return err
		case len(found) > 1:
			return fmt.Errorf("%d documents", len(found))
		case len(found) == 1:
			_, err = s.Complete(ctx, c, p, found[0])
			return err
		}
		if err := c.MayRepeat("the order"); err != nil {
			return err
		}
	}
	_, err = s.Create(ctx, c, p)
	return err
}

func placed(t *testing.T, s *sap.Client, _ *fakesap.Server) {
	t.Helper()
	if err := createOrder(t.Context(), s, erp.Call{}); err != nil {
		t.Fatal(err)
	}
}

func quantity(n int64) erp.Quantity { return erp.NewQuantity(decimal.NewFromInt(n)) }

func row(ordered, shipped, canceled, refunded int64) erp.Row {
	return erp.Row{
		Ordered: quantity(ordered), Shipped: quantity(shipped), Canceled: quantity(canceled), Refunded: quantity(refunded),
		Open: quantity(ordered - shipped - canceled - refunded),
	}
}

func shipment() erp.Shipment {
	number := "00340434161094042557"
	return erp.Shipment{
		ExternalReference: "S000000077", OrderReference: "ET-1", DocumentNumber: "5201",
		Lines:  []erp.ShipmentLine{{Reference: "1001", Quantity: quantity(2), Row: row(2, 2, 0, 0)}, {Reference: "1002", Quantity: quantity(1), Row: row(1, 1, 0, 0)}},
		Tracks: []erp.Track{{TrackingNumber: &number}},
	}
}

func memo() erp.CreditMemo {
	amount := func(s string) erp.Amount { return erp.NewAmount(decimal.RequireFromString(s)) }
	eur, day, sku := "EUR", "2026-11-24", "24-MB01"
	return erp.CreditMemo{
		ExternalReference: "C000000045", OrderReference: "ET-1", DocumentNumber: "5201", Currency: &eur, PlacedOn: &day,
		Lines: []erp.CreditMemoLine{{
			Reference: "1001", SKU: &sku, Quantity: quantity(1), RowTotal: amount("34"), RowTotalInclTax: amount("40.46"), DiscountAmount: amount("0"),
			TaxAmount: amount("6.46"), DiscountTaxCompensation: amount("0"), Row: row(2, 0, 0, 1), TaxPercent: quantity(19),
		}},
		Shipping: erp.CreditedShipping{Amount: amount("5"), TaxAmount: amount("0.95"), TaxPercent: quantity(19)},
		Totals:   erp.Totals{GrandTotal: amount("46.41")},
		All:      []erp.OrderRow{{Reference: "1001", Row: row(2, 0, 0, 1)}, {Reference: "1002", Row: row(1, 0, 0, 0)}},
	}
}

var (
	rounding = strings.Replace(file, "shipping: HD00", "shipping: HD00, rounding: ZRND, refund: REFUND", 1)
	whole    = func(t *testing.T, fake *fakesap.Server) {
		t.Helper()
		d := fake.DocumentsOf("ET-1")
		if len(d) != 1 || !d[0].Gross.Equal(decimal.RequireFromString("127.33")) || d[0].Addresses["WE"]["CityName"] != "Leipzig" {
			t.Errorf("SAP has %+v", d)
		}
	}
)

var effects = []effect{
	{name: "order", codes: file, run: createOrder, check: whole},
	{
		name: "order with address and rounding", codes: with(rounding, "options: {address: patch}"),
		knobs: func(f *fakesap.Server) { f.SetTax(false, "20"); f.SetAddressInsert(fakesap.Refused) }, run: createOrder,
		check: func(t *testing.T, fake *fakesap.Server) {
			whole(t, fake)
			if n := len(fake.DocumentsOf("ET-1")[0].Prices); n != 2 { // freight and rounding
				t.Errorf("%d conditions of the header, want 2", n)
			}
		},
	},
	{
		name: "order of a new customer", codes: with(file, "options: {identification_type: ZSHOP}"), run: createOrder,
		check: func(t *testing.T, fake *fakesap.Server) {
			whole(t, fake)
			partners := fake.Partners()
			if len(partners) != 1 || partners[0].IDs["ZSHOP"] != "C42" || fake.DocumentsOf("ET-1")[0].SoldTo != partners[0].Customer {
				t.Errorf("SAP has the customers %+v", partners)
			}
		},
	},
	{
		name: "cancellation of a document", codes: file, before: placed,
		run: func(ctx context.Context, s *sap.Client, c erp.Call) error {
			return s.Cancel(ctx, c, erp.Document{Number: "5201"}, erp.Cancellation{Complete: true})
		},
		check: func(t *testing.T, fake *fakesap.Server) {
			if d := fake.DocumentsOf("ET-1"); len(d) != 1 || !d[0].Canceled {
				t.Errorf("SAP has %+v", d)
			}
		},
	},
	{
		name: "cancellation of lines", codes: file, before: placed,
		run: func(ctx context.Context, s *sap.Client, c erp.Call) error {
			return s.Cancel(ctx, c, erp.Document{Number: "5201"}, erp.Cancellation{Lines: []erp.CancellationLine{
				{Reference: "1001", Quantity: quantity(1), Row: row(2, 0, 1, 0)}, {Reference: "1002", Quantity: quantity(1), Row: row(1, 0, 1, 0)},
			}})
		},
		check: func(t *testing.T, fake *fakesap.Server) {
			d := fake.DocumentsOf("ET-1")[0]
			if d.Canceled || !d.Items[0].Quantity.Equal(decimal.NewFromInt(1)) || d.Items[0].Rejected != "" || d.Items[1].Rejected != "60" {
				t.Errorf("SAP has %+v", d.Items)
			}
		},
	},
	{
		name: "shipment", codes: with(file, "options: {delivery: on}"), before: placed,
		run: func(ctx context.Context, s *sap.Client, c erp.Call) error {
			_, err := s.ReportShipment(ctx, c, shipment())
			return err
		},
		check: func(t *testing.T, fake *fakesap.Server) {
			all := fake.DeliveriesOf("5201")
			if len(all) != 1 || !all[0].Posted || all[0].Header["BillOfLading"] != "S000000077" || all[0].Header["DeliveryDocumentBySupplier"] != "00340434161094042557" ||
				!all[0].Items["10"].Equal(decimal.NewFromInt(2)) {
				t.Errorf("SAP has %+v", all)
			}
		},
	},
	{
		name: "credit memo", codes: rounding, before: placed,
		run: func(ctx context.Context, s *sap.Client, c erp.Call) error {
			_, err := s.ReportCreditMemo(ctx, c, memo())
			return err
		},
		check: func(t *testing.T, fake *fakesap.Server) {
			all := fake.CreditsOf("C000000045")
			if len(all) != 1 || !all[0].Net.Add(all[0].Tax).Equal(decimal.RequireFromString("46.41")) || len(all[0].Items) != 2 {
				t.Errorf("SAP has %+v", all)
			}
			if d := fake.DocumentsOf("ET-1")[0]; !d.Items[0].Quantity.Equal(decimal.NewFromInt(1)) || d.Items[1].Rejected != "" {
				t.Errorf("SAP has %+v", d.Items)
			}
		},
	},
	{
		name: "customer", codes: with(file, "options: {identification_type: ZSHOP}"),
		before: func(_ *testing.T, _ *sap.Client, fake *fakesap.Server) { fake.AddPartner("a@fixture.example", "0001") },
		run: func(ctx context.Context, s *sap.Client, c erp.Call) error {
			mail := "A@fixture.example"
			_, err := s.WriteCustomer(ctx, c, erp.CustomerRecord{ID: 42, Email: &mail, ExternalReference: "C42"})
			return err
		},
		check: func(t *testing.T, fake *fakesap.Server) {
			if all := fake.Partners(); len(all) != 1 || all[0].IDs["ZSHOP"] != "C42" {
				t.Errorf("SAP has %+v", all)
			}
		},
	},
}

// The process is killed before and after each request of each effect. What a later attempt does, with what the ledger and SAP
// know, makes it done once.
func TestEffects_KilledAtEachRequest(t *testing.T) {
	for _, e := range effects {
		moments := 0
		for at := 1; ; at++ {
			fake := fakesap.New(fakesap.Options{Username: username, Password: password})
			if e.knobs != nil {
				e.knobs(fake)
			}
			f, host := parse(t, e.codes), fmt.Sprintf("sap-%s-%d.example", strings.ReplaceAll(e.name, " ", "-"), at)
			handlersMu.Lock()
			handlers[host] = fake
			handlersMu.Unlock()
			open := func(k *killer) *sap.Client {
				s, err := sap.New(&http.Client{Transport: k}, sap.Options{
					URL: "http://" + host, Username: username, Password: func() string { return password }, Codes: func() *codes.File { return f },
				})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			if e.before != nil {
				e.before(t, open(&killer{}), fake)
			}
			steps, k := ledger{}, &killer{at: at}
			struck := func() (struck bool) {
				defer func() { struck = recover() != nil }()
				if err := e.run(t.Context(), open(k), erp.Call{Key: "k", Steps: steps}); err != nil {
					t.Fatalf("%s, undisturbed: %v", e.name, err)
				}
				return false
			}()
			where := fmt.Sprintf("%s, killed %s", e.name, k.names[len(k.names)-1])
			for range 2 {
				if err := e.run(t.Context(), open(&killer{}), erp.Call{Key: "k", Steps: steps, Attempt: erp.Attempt{Uncertain: true}}); err != nil {
					t.Fatalf("%s: once more: %v", where, err)
				}
			}
			e.check(t, fake)
			for problem := range fake.Problems() {
				t.Errorf("%s: %s", where, problem)
			}
			fake.Close()
			if t.Failed() {
				t.Fatal(where)
			}
			if !struck {
				break
			}
			moments = at
		}
		if moments < 4 {
			t.Errorf("%s: only %d moments", e.name, moments)
		}
	}
}

// Each request of each effect is carried out after its client has given up, and after another attempt.
func TestEffects_EachRequestCarriedOutLate(t *testing.T) {
	n := 0
	for _, e := range effects {
		t.Run(e.name, func(t *testing.T) {
			erptest.RunDelayed(t, &killer{}, fakesap.Writes, func() erptest.Delayed {
				n++
				fake := fakesap.New(fakesap.Options{Username: username, Password: password})
				t.Cleanup(fake.Close)
				if e.knobs != nil {
					e.knobs(fake)
				}
				f, host := parse(t, e.codes), fmt.Sprintf("late-%d.example", n)
				handlersMu.Lock()
				handlers[host] = fake
				handlersMu.Unlock()
				open := func(through http.RoundTripper) *sap.Client {
					s, err := sap.New(&http.Client{Transport: through}, sap.Options{
						URL: "http://" + host, Username: username, Password: func() string { return password }, Codes: func() *codes.File { return f },
					})
					if err != nil {
						t.Fatal(err)
					}
					return s
				}
				if e.before != nil {
					e.before(t, open(&killer{}), fake)
				}
				return erptest.Delayed{
					Run:    func(through http.RoundTripper, c erp.Call) error { return e.run(t.Context(), open(through), c) },
					Stands: func() string { e.check(t, fake); return "" }, // the check says itself what is wrong
				}
			})
		})
	}
}
