package businesscentral_test

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

// memo credits one of two pieces of line 1001, half of the price of shipping, and keeps a fee back: 40.46 + 2.98 - 1.
func memo(reference, document string) erp.CreditMemo {
	return erp.CreditMemo{
		ExternalReference: reference, OrderReference: "ET-1", DocumentNumber: document, Currency: told("EUR"), PlacedOn: told("2026-11-25"),
		Lines: []erp.CreditMemoLine{{
			Reference: "1001", SKU: told("24-MB01"), Name: told("Bag"), Quantity: quantity("1"), TaxPercent: quantity("19"),
			RowTotal: amount("34"), RowTotalInclTax: amount("40.46"), DiscountAmount: amount("0"), TaxAmount: amount("6.46"), DiscountTaxCompensation: amount("0"),
			Row: erp.Row{Ordered: quantity("2"), Shipped: quantity("0"), Refunded: quantity("1"), Open: quantity("1")},
		}},
		Shipping:         erp.CreditedShipping{Amount: amount("2.50"), TaxAmount: amount("0.48"), TaxPercent: quantity("19")},
		AdjustmentRefund: amount("0"), AdjustmentFee: amount("1"),
		Totals: erp.Totals{GrandTotal: amount("42.44")},
		All:    []erp.OrderRow{{Reference: "1001", Row: erp.Row{Open: quantity("1")}}},
	}
}

func TestReportCreditMemo_TotalsToTheCentAndTheOrderShipsLess(t *testing.T) {
	for name, tt := range map[string]struct {
		options fakebusinesscentral.Options
		codes   string
	}{
		"customer with prices that include tax": {codes: plain},
		"customer with prices without tax":      {options: fakebusinesscentral.Options{NetCustomers: true}, codes: plain},
		"posted":                                {codes: plain + "options: {credit_memo: post}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.options, tt.codes, nil)
			d := r.create(erptest.Order("ET-1"))
			got, err := r.ReportCreditMemo(t.Context(), erp.Call{Key: "m", Steps: &erptest.Steps{}}, memo("CM-1", d.Number))
			if err != nil {
				t.Fatal(err)
			}
			memos := r.fake.CreditMemos("CM-1")
			if len(memos) != 1 || memos[0].Number != got.Number || !memos[0].Total.Equal(decimal.RequireFromString("42.44")) {
				t.Fatalf("the company has %+v, want one of 42.44", memos)
			}
			if posted := memos[0].Values["status"] != "Draft"; posted != (name == "posted") {
				t.Errorf("posted: %t", posted)
			}
			if q := r.booked("ET-1").Lines[0].Quantity; !q.Equal(decimal.NewFromInt(1)) {
				t.Errorf("the order still has %s of the line, want 1", q)
			}
		})
	}
}

func TestReportCreditMemo_OfWhatIsPostedOrOver(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	r.fake.Post(d.Number)
	if _, err := r.ReportCreditMemo(t.Context(), erp.Call{}, memo("CM-1", d.Number)); err != nil {
		t.Errorf("of a posted order: %v", err)
	}
	if m := r.fake.CreditMemos("CM-1"); len(m) != 1 || !strings.HasPrefix(m[0].Values["invoiceNumber"].(string), "PS-INV") {
		t.Errorf("the memo of a posted order is %+v, want one that names the invoice", m)
	}
	d = r.create(erptest.Order("ET-2"))
	over := memo("CM-2", d.Number)
	over.Lines[0].Row.Open, over.All = quantity("0"), []erp.OrderRow{{Reference: "1001"}}
	if _, err := r.ReportCreditMemo(t.Context(), erp.Call{}, over); err != nil {
		t.Errorf("of an order of which nothing is left: %v", err)
	}
	if !r.booked("ET-2").Deleted {
		t.Error("an order of which nothing was shipped and nothing is open is still there")
	}
	_, err := r.ReportCreditMemo(t.Context(), erp.Call{}, memo("CM-3", "S-ORD999999"))
	if event.ClassOf(err) != event.NotFound || !event.IsNotDone(err) {
		t.Errorf("of an unknown order: %v", err)
	}
}

func TestReportCreditMemo_UncertainIsLookedUp(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	uncertain := erp.Call{Attempt: erp.Attempt{Uncertain: true}}
	for range 3 {
		if _, err := r.ReportCreditMemo(t.Context(), uncertain, memo("CM-1", d.Number)); err != nil {
			t.Fatal(err)
		}
	}
	if m := r.fake.CreditMemos("CM-1"); len(m) != 1 || len(m[0].Lines) != 3 {
		t.Errorf("the company has %+v, want one memo of 3 lines", m)
	}
}

func TestReportCreditMemo_ReleasedOrderIsNamedWithTheMemo(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	r.fake.Release(d.Number)
	got, err := r.ReportCreditMemo(t.Context(), erp.Call{}, memo("CM-1", d.Number))
	if event.ClassOf(err) != event.Rejected || event.IsNotDone(err) || got.Number == "" || !strings.Contains(err.Error(), got.Number) {
		t.Errorf("document %+v, error %v (not done: %t); want the memo with the error", got, err, event.IsNotDone(err))
	}
}
