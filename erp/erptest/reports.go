package erptest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// Kind is what an ERP is told beside orders.
type Kind string

// The kinds.
const (
	Shipments   Kind = "shipment"
	CreditMemos Kind = "credit memo"
	Customers   Kind = "customer"
)

// What the suite reports, by its external reference.
const (
	shipmentReference   = "ET-S1"
	creditMemoReference = "ET-C1"
	customerReference   = "C42"
)

// Shipment returns a shipment of all lines of Order, whose document has a number.
func Shipment(order, document string) erp.Shipment {
	s := erp.Shipment{
		ExternalReference: shipmentReference, EntityID: told(int64(9)), OrderReference: order, DocumentNumber: document, Origin: erp.FromMagento,
		CreatedAt: told(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)), PlacedOn: told("2026-11-25"), Store: Order(order).Store,
		Tracks: []erp.Track{{CarrierCode: told("dhl"), Title: told("DHL"), TrackingNumber: told("00340434161094042557")}},
	}
	for _, l := range Order(order).Lines {
		row := rowOf(l, l.Quantity.Decimal, decimal.Zero)
		s.Lines = append(s.Lines, erp.ShipmentLine{Reference: l.Reference, SKU: l.SKU, Quantity: l.Quantity, Row: row})
		s.All = append(s.All, erp.OrderRow{Reference: l.Reference, SKU: l.SKU, Row: row})
	}
	return s
}

// CreditMemo returns a credit memo of one piece of the first line of Order, which comes to 40.46. It was not shipped.
func CreditMemo(order, document string) erp.CreditMemo {
	amount := func(s string) erp.Amount { return erp.NewAmount(decimal.RequireFromString(s)) }
	o := Order(order)
	m := erp.CreditMemo{
		ExternalReference: creditMemoReference, EntityID: told(int64(4)), OrderReference: order, DocumentNumber: document, State: told("refunded"),
		CreatedAt: told(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)), PlacedOn: told("2026-11-25"), Currency: o.Currency,
		Store: o.Store, Customer: o.Customer, OrderState: told("processing"), AdjustmentRefund: amount("0"), AdjustmentFee: amount("0"),
		Shipping: erp.CreditedShipping{Amount: amount("0"), TaxAmount: amount("0")},
		Totals: erp.Totals{
			Subtotal: amount("34"), Discount: amount("0"), DiscountTaxCompensation: amount("0"), Shipping: amount("0"), Tax: amount("6.46"),
			Adjustments: []erp.Adjustment{}, Other: amount("0"), GrandTotal: amount("40.46"),
		},
	}
	for i, l := range o.Lines {
		refunded := decimal.Zero
		if i == 0 {
			refunded = decimal.NewFromInt(1)
			m.Lines = append(m.Lines, erp.CreditMemoLine{
				Reference: l.Reference, SKU: l.SKU, Name: l.Name, Quantity: erp.NewQuantity(refunded), RowTotal: amount("34"), RowTotalInclTax: amount("40.46"),
				DiscountAmount: amount("0"), TaxAmount: amount("6.46"), DiscountTaxCompensation: amount("0"), TaxPercent: l.TaxPercent, Row: rowOf(l, decimal.Zero, refunded),
			})
		}
		m.All = append(m.All, erp.OrderRow{Reference: l.Reference, SKU: l.SKU, Row: rowOf(l, decimal.Zero, refunded)})
	}
	return m
}

func rowOf(l erp.Line, shipped, refunded decimal.Decimal) erp.Row {
	return erp.Row{
		Ordered: l.Quantity, Shipped: erp.NewQuantity(shipped), Refunded: erp.NewQuantity(refunded), Canceled: erp.NewQuantity(decimal.Zero),
		Open: erp.NewQuantity(l.Quantity.Decimal.Sub(shipped).Sub(refunded)),
	}
}

// CustomerRecord returns the customer of Order.
func CustomerRecord() erp.CustomerRecord {
	o := Order("ET-1")
	return erp.CustomerRecord{
		ID: 42, WebsiteID: told(int64(1)), GroupID: told(int64(1)), Email: o.Customer.Email, FirstName: o.Customer.FirstName, LastName: o.Customer.LastName,
		ExternalReference: customerReference, Store: o.Store,
		Addresses: []erp.CustomerAddress{{Address: *o.BillingAddress, ID: told(int64(7)), DefaultBilling: true, DefaultShipping: true}},
	}
}

// reporter returns what reports a kind about the order of a document, and its reference; nil where the connector can't.
func (b *bench) reporter(kind Kind) (run func(ctx context.Context, c erp.Call, document string) (erp.Document, error), reference string) {
	if b.rig.Reported == nil {
		return nil, ""
	}
	switch kind {
	case Shipments:
		if r, ok := b.connector.(erp.ShipmentReporter); ok {
			return func(ctx context.Context, c erp.Call, document string) (erp.Document, error) {
				return r.ReportShipment(ctx, c, Shipment("ET-1", document))
			}, shipmentReference
		}
	case CreditMemos:
		if r, ok := b.connector.(erp.CreditMemoReporter); ok {
			return func(ctx context.Context, c erp.Call, document string) (erp.Document, error) {
				return r.ReportCreditMemo(ctx, c, CreditMemo("ET-1", document))
			}, creditMemoReference
		}
	case Customers:
		if w, ok := b.connector.(erp.CustomerWriter); ok {
			return func(ctx context.Context, c erp.Call, _ string) (erp.Document, error) {
				return w.WriteCustomer(ctx, c, CustomerRecord())
			}, customerReference
		}
	}
	return nil, ""
}

// once lets a fault meet only the first request.
func once(f fault) fault {
	var first sync.Once
	return func(w http.ResponseWriter, r *http.Request, erp http.Handler) {
		hit := false
		first.Do(func() { hit = true })
		if hit {
			f(w, r, erp)
			return
		}
		erp.ServeHTTP(w, r)
	}
}

// reportsOnce has a kind reported: undisturbed, with a lost answer, with a failure, and carried out late.
func reportsOnce(kind Kind) func(b *bench) {
	return func(b *bench) {
		if run, _ := b.reporter(kind); run == nil {
			b.notApplicable = true
			return
		}
		faults := []struct {
			name  string
			fault func(b *bench) fault
			wait  time.Duration
		}{
			{"undisturbed", nil, 0},
			{"whose answer is lost", func(*bench) fault { return lose }, time.Hour},
			{"answered 500", func(b *bench) fault { return answer(http.StatusInternalServerError, nil, b.rig.ErrorBody("no")) }, 0},
			{"carried out late", func(b *bench) fault { return b.front.hold }, time.Hour},
		}
		b.each(len(faults), func(i int, b *bench) {
			f := faults[i]
			run, reference := b.reporter(kind)
			document := b.created("ET-1").Number
			c, what := erp.Call{Key: string(kind) + ":9", Steps: &Steps{Wait: f.wait}}, string(kind)+", "+f.name
			attempt := func(ctx context.Context) error {
				_, err := run(ctx, c, document)
				if err != nil && !event.IsNotDone(err) {
					c.Attempt = erp.Attempt{Uncertain: true, Wait: f.wait}
				}
				return err
			}
			if f.fault != nil {
				b.front.breakWrites(once(f.fault(b)))
				ctx, cancel := context.WithTimeout(b.ctx, 500*time.Millisecond)
				if err := attempt(ctx); err == nil {
					b.errorf("%s: no error", what)
				} else {
					b.isClean(what, err)
				}
				cancel()
			}
			if f.name == "carried out late" {
				var deferral *event.Deferral
				if err := attempt(b.ctx); err != nil && !errors.As(err, &deferral) {
					b.errorf("%s, another attempt before: %v", what, err)
				}
				if !b.front.commitHeld(b.ctx) {
					b.fatalf("%s: nothing was sent", what)
				}
			}
			if err := attempt(b.ctx); err != nil {
				b.fatalf("%s: %v", what, err)
			}
			c.Attempt = erp.Attempt{Uncertain: true, Wait: f.wait} // as if the end of the last one were not recorded
			if err := attempt(b.ctx); err != nil {
				b.errorf("%s, reported once more: %v", what, err)
			}
			if got := b.rig.Reported(kind, reference, document); got.Count != 1 || kind == CreditMemos && got.Total != "40.46" {
				b.errorf("%s: the ERP has %d of it, which come to %q", what, got.Count, got.Total)
			}
		})
	}
}

// refusesReports has each kind refused for good.
func refusesReports(b *bench) {
	if b.rig.Reported == nil {
		b.notApplicable = true
		return
	}
	kinds := []Kind{Shipments, CreditMemos, Customers}
	b.each(len(kinds), func(i int, b *bench) {
		run, reference := b.reporter(kinds[i])
		if run == nil {
			return
		}
		document := b.created("ET-1").Number
		b.front.breakWrites(answer(http.StatusBadRequest, nil, b.rig.ErrorBody("it does not like "+email)))
		_, err := run(b.ctx, erp.Call{Key: "k", Steps: &Steps{}}, document)
		b.isError("a refused "+string(kinds[i]), err, true, event.Rejected)
		if got := b.rig.Reported(kinds[i], reference, document); got.Count != 0 {
			b.errorf("a refused %s is there %d times", kinds[i], got.Count)
		}
	})
}
