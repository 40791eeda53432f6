package netsuite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

func row(ordered, shipped, refunded string) erp.Row {
	o, s, r := quantity(ordered), quantity(shipped), quantity(refunded)
	return erp.Row{Ordered: o, Shipped: s, Refunded: r, Canceled: quantity("0"), Open: erp.NewQuantity(o.Decimal.Sub(s.Decimal).Sub(r.Decimal))}
}

// shipment ships one of the two pieces of line 1001.
func shipment(reference, document string) erp.Shipment {
	return erp.Shipment{
		ExternalReference: reference, OrderReference: "ET-1", DocumentNumber: document, PlacedOn: told("2026-11-24"), Store: erp.Store{Code: told("default")},
		Lines:  []erp.ShipmentLine{{Reference: "1001", SKU: told("24-MB01"), Quantity: quantity("1"), Row: row("2", "1", "0")}},
		Tracks: []erp.Track{{CarrierCode: told("dhl"), Title: told("DHL"), TrackingNumber: told("00340434161094042557")}},
		All: []erp.OrderRow{
			{Reference: "1001", SKU: told("24-MB01"), Row: row("2", "1", "0")}, {Reference: "1002", SKU: told("24-MB02"), Row: row("1", "0", "0")},
		},
	}
}

// memo refunds one of the two pieces of line 1001, and shipping.
func memo(reference, document string) erp.CreditMemo {
	return erp.CreditMemo{
		ExternalReference: reference, OrderReference: "ET-1", DocumentNumber: document, Currency: told("EUR"), PlacedOn: told("2026-11-24"),
		Store: erp.Store{Code: told("default")},
		Lines: []erp.CreditMemoLine{{
			Reference: "1001", SKU: told("24-MB01"), Name: told("Bag"), Quantity: quantity("1"), RowTotal: amount("34"), RowTotalInclTax: amount("40.46"),
			DiscountAmount: amount("0"), TaxAmount: amount("6.46"), DiscountTaxCompensation: amount("0"), Row: row("2", "0", "1"), TaxPercent: quantity("19"),
		}},
		Shipping:         erp.CreditedShipping{Amount: amount("5"), TaxAmount: amount("0.95"), TaxPercent: quantity("19")},
		AdjustmentRefund: amount("2"), AdjustmentFee: amount("0.50"),
		Totals: erp.Totals{GrandTotal: amount("47.91")},
		All:    []erp.OrderRow{{Reference: "1001", Row: row("2", "0", "1")}, {Reference: "1002", Row: row("1", "0", "0")}},
	}
}

func TestReportShipment_FulfilsWhatIsShippedAndNothingElse(t *testing.T) {
	for option, letter := range map[string]string{"shipped": "C", "packed": "B", "picked": "A"} {
		r := newRig(t, fakenetsuite.Options{PackageWeights: true}, plain+"options: {customers: guests, package_weight: \"0.5\", shipping_as: line, shipment: "+option+"}\n", nil)
		d := r.create(erptest.Order("ET-1"))
		made, err := r.ReportShipment(t.Context(), call("s"), shipment("S-1", d.Number))
		if err != nil {
			t.Fatal(err)
		}
		all := r.fake.Fulfilments("S-1")
		if len(all) != 1 || all[0].Number != made.Number || all[0].Status != letter || len(all[0].Lines) != 1 || all[0].Lines[0].Number != "1" ||
			!all[0].Lines[0].Quantity.Equal(decimal.NewFromInt(1)) || all[0].Values["tranDate"] != "2026-11-24" {
			t.Errorf("%s: NetSuite has %+v", option, all)
		}
		if p := all[0].Packages; len(p) != 1 || p[0]["packageTrackingNumber"] != "00340434161094042557" || p[0]["packageDescr"] != "DHL" || fmt.Sprint(p[0]["packageWeight"]) != "0.5" {
			t.Errorf("%s: the packages are %+v", option, p)
		}
		if l := r.booked("ET-1").Lines; !l[0].Fulfilled.Equal(decimal.NewFromInt(1)) || !l[1].Fulfilled.IsZero() {
			t.Errorf("%s: the order has %+v", option, l)
		}
		rest := shipment("S-2", d.Number)
		rest.Lines[0].Row = row("2", "2", "0")
		rest.Lines = append(rest.Lines, erp.ShipmentLine{Reference: "1002", SKU: told("24-MB02"), Quantity: quantity("1"), Row: row("1", "1", "0")})
		if _, err := r.ReportShipment(t.Context(), call("s2"), rest); err != nil {
			t.Errorf("%s: the rest: %v", option, err)
		}
	}
}

func TestReportShipment_OnceAndWhatIsRefused(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	d := r.create(erptest.Order("ET-1"))
	uncertain := erp.Call{Attempt: erp.Attempt{Uncertain: true}}
	for _, c := range []erp.Call{uncertain, uncertain, call("s")} { // also one who does not know of the earlier ones
		if _, err := r.ReportShipment(t.Context(), c, shipment("S-1", d.Number)); err != nil {
			t.Fatal(err)
		}
	}
	if l := r.booked("ET-1").Lines; !l[0].Fulfilled.Equal(decimal.NewFromInt(1)) {
		t.Errorf("the order has %+v", l)
	}
	too := shipment("S-2", d.Number)
	too.Lines[0].Quantity = quantity("5")
	if _, err := r.ReportShipment(t.Context(), call("s"), too); event.ClassOf(err) != event.Rejected || !event.IsNotDone(err) || !strings.Contains(err.Error(), "more than what is left") {
		t.Errorf("more than is left: %v", err)
	}
	if _, err := r.ReportShipment(t.Context(), call("s"), shipment("S-3", "SO999")); event.ClassOf(err) != event.NotFound || !event.IsNotDone(err) {
		t.Errorf("of an unknown order: %v", err)
	}
	r.fake.ClosePeriod(true)
	if _, err := r.ReportShipment(t.Context(), call("s"), shipment("S-4", d.Number)); event.ClassOf(err) != event.Rejected || !strings.Contains(err.Error(), "accounting period") {
		t.Errorf("in a closed period: %v", err)
	}
	off := newRig(t, fakenetsuite.Options{}, plain+"options: {shipment: off}\n", nil)
	var none *erp.Off
	if _, err := off.ReportShipment(t.Context(), call("s"), shipment("S-1", "SO1")); err == nil || !strings.Contains(err.Error(), "off") {
		t.Errorf("switched off: %v, want %T", err, none)
	}
}

func TestReportCreditMemo_BooksItAndLowersTheOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		options fakenetsuite.Options
		codes   string
		lines   int
	}{
		"forced tax":         {codes: guests, lines: 3},
		"shipping as a line": {codes: plain + "options: {customers: guests, shipping_as: line}\n", lines: 4},
		"tax as a line":      {fakenetsuite.Options{LegacyTax: true}, plain + "options: {customers: guests, tax_as: line}\n", 4},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.options, tt.codes, nil)
			d := r.create(erptest.Order("ET-1"))
			for _, c := range []erp.Call{call("m"), {Key: "m", Attempt: erp.Attempt{Uncertain: true}}} {
				made, err := r.ReportCreditMemo(t.Context(), c, memo("CM-1", d.Number))
				if err != nil {
					t.Fatal(err)
				}
				if made.Total.String() != "47.91" || !strings.HasPrefix(made.Number, "CM") {
					t.Errorf("the document is %+v", made)
				}
			}
			m := r.fake.CreditMemos("CM-1")
			if len(m) != 1 || m[0].Total.String() != "47.91" || len(m[0].Lines) != tt.lines || m[0].Entity != "9000" || m[0].Values["tranDate"] != "2026-11-24" {
				t.Errorf("NetSuite has %+v", m)
			}
			if l := r.booked("ET-1").Lines; !l[0].Quantity.Equal(decimal.NewFromInt(1)) || l[0].Closed || l[1].Closed {
				t.Errorf("the order has %+v", l)
			}
		})
	}
}

func TestReportCreditMemo_OfAnOrderOfWhichNothingIsLeftClosesIt(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	d := r.create(erptest.Order("ET-1"))
	m := memo("CM-1", d.Number)
	m.Lines[0].Row, m.All = row("2", "0", "2"), []erp.OrderRow{{Reference: "1001", Row: row("2", "0", "2")}, {Reference: "1002", Row: row("1", "0", "1")}}
	if _, err := r.ReportCreditMemo(t.Context(), call("m"), m); err != nil {
		t.Fatal(err)
	}
	if got := r.booked("ET-1"); got.Status != "H" {
		t.Errorf("the order's status is %s", got.Status)
	}
	_, err := r.ReportCreditMemo(t.Context(), call("m"), memo("CM-3", "SO999"))
	if event.ClassOf(err) != event.NotFound || !event.IsNotDone(err) {
		t.Errorf("of an unknown order: %v", err)
	}
}

// The memo is there, and a person has to see to the order: it is named with the memo, and not made again.
func TestReportCreditMemo_OrderThatCantBeLoweredIsNamed(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	d := r.create(erptest.Order("ET-1"))
	r.fake.Fulfil(d.Number, 2)
	got, err := r.ReportCreditMemo(t.Context(), call("m"), memo("CM-1", d.Number))
	if event.ClassOf(err) != event.Rejected || event.IsNotDone(err) || got.Number == "" || !strings.Contains(err.Error(), got.Number) {
		t.Errorf("document %+v, error %v (not done: %t); want the memo with the error", got, err, event.IsNotDone(err))
	}
}
