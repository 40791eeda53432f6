package mapping

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// The orders of testdata/shops are from Magento's own tax scenarios (mage_tax_…), from orders in public reports (t_…), and with
// one odd value each (odd_…, hist2). Persons are invented, money is exact.
func shopOrders(t *testing.T) []string {
	t.Helper()
	golden, err := filepath.Glob("testdata/*.order.json")
	if err != nil {
		t.Fatal(err)
	}
	shops, err := filepath.Glob("testdata/shops/*.json")
	if err != nil || len(shops) < 60 {
		t.Fatalf("%d orders of shops, %v", len(shops), err)
	}
	return append(golden, shops...)
}

// Every order is mapped, and its parts, as an ERP books them, add up to the grand total to the cent; but an order with a number
// that is none is refused.
func TestPartsOf_EveryOrderAddsUp(t *testing.T) {
	refused := []string{"odd_grand_total_nan", "odd_grand_total_locale", "odd_qty_comma", "odd_tax_percent_bool"}
	tolerance := decimal.New(2, -2)
	for _, file := range shopOrders(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			o := readOrder(t, file)
			so, _, err := SalesOrder(o, "R", Store{})
			if slices.Contains(refused, name) {
				if event.ClassOf(err) != event.Invalid {
					t.Errorf("mapped, error %v; want it refused", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := erp.PartsOf(so, tolerance)
			if !p.Sum().Equal(p.Total) {
				t.Errorf("the parts add up to %s, the total is %s", p.Sum(), p.Total)
			}
			if so.Totals.GrandTotal.Valid && !p.Total.Equal(so.Totals.GrandTotal.Decimal.Round(2)) {
				t.Errorf("the total is %s, the grand total %s", p.Total, so.Totals.GrandTotal)
			}
			if len(p.Lines) != len(so.Lines) {
				t.Fatalf("%d lines of %d", len(p.Lines), len(so.Lines))
			}
			for i, l := range so.Lines {
				if p.Lines[i].Gross().Sub(l.Sum().Gross()).Abs().GreaterThan(decimal.New(5, -3)) || !p.Lines[i].Net.Equal(p.Lines[i].Net.Round(2)) {
					t.Errorf("line %s comes to %s, in cents %s", l.Reference, l.Sum().Gross(), p.Lines[i].Gross())
				}
			}
			for _, e := range p.Extras {
				// Three of the scenarios leave rows, or the discount of shipping, out.
				known := name == "t_surcharge_sar" || strings.HasPrefix(name, "mage_tax_excluding_tax_apply_tax_after_discount") || name == "mage_tax_including_tax_apply_tax_after_discount" || !strings.HasPrefix(file, "testdata/shops/")
				if e.Account == erp.AccountFee && !known {
					t.Errorf("%s is a fee", e.Amount)
				}
				if name == "t_surcharge_sar" && e.Account == erp.AccountFee && !e.Amount.Equal(decimal.RequireFromString("5.33")) {
					t.Errorf("the surcharge is %s", e.Amount)
				}
			}
		})
	}
}
