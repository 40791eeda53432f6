package sap_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakesap"
)

// goldenOrders are whole answers of Magento's, by their names. MAGELINE_TEST_ORDERS names a folder with more.
func goldenOrders(t *testing.T) map[string]erp.SalesOrder {
	t.Helper()
	files, err := filepath.Glob("../../mapping/testdata/*.order.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d orders, %v", len(files), err)
	}
	if more := os.Getenv("MAGELINE_TEST_ORDERS"); more != "" {
		own, err := filepath.Glob(filepath.Join(more, "*.json"))
		if err != nil || len(own) == 0 {
			t.Fatalf("no orders in %s: %v", more, err)
		}
		files = append(files, own...)
	}
	all := map[string]erp.SalesOrder{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var o magentoapi.Order
		if json.Unmarshal(text, &o) != nil {
			continue
		}
		so, _, err := mapping.SalesOrder(&o, "ET-1", mapping.Store{Code: "default", Location: time.UTC})
		if err != nil || so.Currency == nil || !so.Totals.GrandTotal.Valid {
			continue // it is not sent, or not to be compared
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = so
	}
	if len(all) < 40 {
		t.Fatalf("only %d orders can be sent", len(all))
	}
	return all
}

// taxed returns a file of codes with a tax classification for each rate of an order, and the system's rates of these.
func taxed(o erp.SalesOrder) (text string, rates map[string]string) {
	const classes = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	rates = map[string]string{"0": "0"}
	codesOf := map[string]string{"0": "0"}
	add := func(s erp.Sum, told erp.Quantity) {
		rate := s.Percent(told).String()
		if codesOf[rate] == "" {
			codesOf[rate] = classes[len(codesOf)-1 : len(codesOf)]
			rates[codesOf[rate]] = rate
		}
	}
	parts := erp.PartsOf(o, decimal.RequireFromString("0.02"))
	for i, l := range o.Lines {
		add(parts.Lines[i], l.TaxPercent)
	}
	if o.Shipping != nil {
		add(parts.Shipping, o.Shipping.TaxPercent)
	}
	var tax []string
	for rate, code := range codesOf {
		tax = append(tax, fmt.Sprintf("%q: %q", rate, code))
	}
	return with(`
stores: {"*": {sales_organization: "1010", channel: "10", division: "00"}}
payment_methods: {"*": "0001"}
shipping_methods: {"*": "01"}
accounts: {guests: "10100001", shipping: FREIGHT, gift_card: GIFTCARD, store_credit: CREDIT, reward_points: POINTS, gift_wrap: WRAP, weee: WEEE, fee: FEE, rounding: ZRND}
`, "tax: {"+strings.Join(tax, ", ")+"}"), rates
}

// SAP computes net values and tax by itself, and its document comes to Magento's grand total, exactly.
func TestCreate_TotalsOfGoldenOrders(t *testing.T) {
	t.Parallel()
	for name, o := range goldenOrders(t) {
		for _, price := range []string{"net", "gross"} {
			text, rates := taxed(o)
			r := newRig(t, with(text, "options: {tax_as: class, shipping_as: line, price_is: "+price+"}"), fakesap.Options{TaxRates: rates})
			r.fake.SetPriceIs(price == "gross", 9)
			d, err := r.create(o)
			if err != nil {
				t.Errorf("%s, %s: %v", name, price, err)
				continue
			}
			booked := r.booked("ET-1")
			if !booked.Gross.Equal(o.Totals.GrandTotal.Decimal.Round(erp.Places(o.Currency))) || !d.Total.Decimal.Equal(booked.Gross) {
				t.Errorf("%s, %s: SAP has %s (net %s, tax %s), the connector says %s; Magento has %s", name, price, booked.Gross, booked.Net, booked.Tax, d.Total, o.Totals.GrandTotal)
			}
			for i, l := range o.Lines {
				if booked.Items[i].Reference != l.Reference || !booked.Items[i].Quantity.Equal(l.Quantity.Decimal) {
					t.Errorf("%s: item %d is %+v, want line %s of %s", name, i, booked.Items[i], l.Reference, l.Quantity)
				}
			}
			r.clean()
		}
	}
}

// However SAP rounds its tax, the condition for rounding closes the difference; without one it is said.
func TestCreate_RoundsWhatSAPComputesOtherwise(t *testing.T) {
	t.Parallel()
	cent := decimal.New(1, -2)
	for _, tt := range []struct {
		name  string
		knobs func(*fakesap.Server)
	}{
		{"a cent on an item", func(f *fakesap.Server) { f.SetTax(false, "20") }},
		{"a rate of two places", func(f *fakesap.Server) { f.SetPriceIs(false, 2) }},
		{"tax of the document", func(f *fakesap.Server) { f.SetTax(true, "") }},
	} {
		for _, deferred := range []bool{false, true} {
			o := erptest.Order("ET-1")
			without, closes := newRig(t, file, fakesap.Options{}), newRig(t, strings.Replace(file, "shipping: HD00", "shipping: HD00, rounding: ZRND", 1), fakesap.Options{})
			for _, r := range []*rig{without, closes} {
				tt.knobs(r.fake)
				r.fake.SetAnswers(false, deferred)
				d, err := r.create(o)
				booked := r.booked("ET-1")
				if err != nil || !d.Total.Decimal.Equal(booked.Gross) {
					t.Errorf("%s: document %+v, error %v; SAP has %s", tt.name, d, err, booked.Gross)
				}
				r.clean()
			}
			if got := closes.booked("ET-1").Gross; !got.Equal(o.Totals.GrandTotal.Decimal) {
				t.Errorf("%s: with a condition for rounding it comes to %s, want %s", tt.name, got, o.Totals.GrandTotal)
			}
			if got := without.booked("ET-1").Gross.Sub(o.Totals.GrandTotal.Decimal); tt.name == "a cent on an item" && !got.Equal(cent) {
				t.Errorf("%s: without a condition for rounding it differs by %s, want %s", tt.name, got, cent)
			}
		}
	}
}

// A wrong tax in SAP is no rounding: it is left for a person to see.
func TestCreate_DoesNotRoundAwayAWrongTax(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(file, "shipping: HD00", "shipping: HD00, rounding: ZRND", 1), fakesap.Options{TaxRates: map[string]string{"1": "7"}})
	d, err := r.create(erptest.Order("ET-1"))
	if err != nil || d.Total.Decimal.Equal(erptest.Order("ET-1").Totals.GrandTotal.Decimal) || len(r.booked("ET-1").Prices) != 1 {
		t.Errorf("document %+v, error %v, conditions %+v", d, err, r.booked("ET-1").Prices)
	}
}
