package mapping

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/magentoapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The orders of testdata are whole answers of GET /V1/orders/:id, with the amounts that Magento's own calculation (by
// row, tax after discount) comes to.
func TestSalesOrder_OfGoldenOrders(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	website := int64(1)
	store := Store{Code: "default", Name: "Default Store View", WebsiteID: &website, Location: berlin}

	// What is particular about some of the orders; the others are as plain as can be.
	special := map[string]struct {
		store       *Store // nil: the one above
		warnings    int
		other       string // totals.other; "" is 0.00
		rowsBeside  bool   // the rows do not add up to Magento's subtotal
		taxesBeside bool   // something else than lines and shipping is taxed
	}{
		"extension-fee":           {warnings: 1, other: "2.50"},
		"payment-surcharge":       {warnings: 1, other: "5.33"},
		"rounding-cent":           {other: "-0.01"},
		"partial":                 {store: &Store{}, warnings: 1, other: "12.92", taxesBeside: true},
		"no-grand-total":          {store: &Store{}, warnings: 1, other: "null", rowsBeside: true, taxesBeside: true},
		"weee":                    {taxesBeside: true},
		"weee-in-subtotal":        {rowsBeside: true, taxesBeside: true},
		"gift-wrap-reward-points": {taxesBeside: true},
		"odd-forms":               {store: &Store{Location: berlin}},
		"foreign-currency":        {store: &Store{}},
	}

	files, err := filepath.Glob("testdata/*.order.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d orders, %v: want at least 40", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".order.json")
		t.Run(name, func(t *testing.T) {
			o := readOrder(t, file)
			x := special[name]
			s := store
			if x.store != nil {
				s = *x.store
			}
			key, err := BusinessKey(ByIncrementID, o)
			if err != nil {
				t.Fatal(err)
			}
			so, warnings, err := SalesOrder(o, ExternalReference("", key), s)
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != x.warnings {
				t.Errorf("got warnings %q, want %d", warnings, x.warnings)
			}
			got, err := json.Marshal(so)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".order.json")+".sales-order.json", got)

			if x.other == "" {
				x.other = "0.00"
			}
			checkTotals(t, got, x.other, !x.rowsBeside, !x.taxesBeside)
		})
	}
}

func readOrder(t *testing.T, file string) *magentoapi.Order {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var o magentoapi.Order
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return &o
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("%s differs; look at `git diff` after `go test ./mapping -update`; got\n%s", file, pretty.Bytes())
	}
}

// money reads an amount of the JSON as it stands there, without any code of the mapping; null is 0.
func money(t *testing.T, s *string) *big.Rat {
	t.Helper()
	if s == nil {
		return new(big.Rat)
	}
	r, ok := new(big.Rat).SetString(*s)
	if !ok {
		t.Fatalf("%q is not an amount", *s)
	}
	return r
}

type writtenOrder struct {
	Lines []struct {
		ParentReference         *string `json:"parent_reference"`
		RowTotal                *string `json:"row_total"`
		RowTotalInclTax         *string `json:"row_total_incl_tax"`
		DiscountAmount          *string `json:"discount_amount"`
		DiscountTaxCompensation *string `json:"discount_tax_compensation"`
		TaxAmount               *string `json:"tax_amount"`
	} `json:"lines"`
	Shipping *struct {
		Amount                  *string `json:"amount"`
		TaxAmount               *string `json:"tax_amount"`
		DiscountAmount          *string `json:"discount_amount"`
		DiscountTaxCompensation *string `json:"discount_tax_compensation"`
	} `json:"shipping"`
	Totals struct {
		Subtotal                *string `json:"subtotal"`
		Discount                *string `json:"discount"`
		DiscountTaxCompensation *string `json:"discount_tax_compensation"`
		Shipping                *string `json:"shipping"`
		Tax                     *string `json:"tax"`
		Adjustments             []struct {
			Code   string  `json:"code"`
			Amount *string `json:"amount"`
		} `json:"adjustments"`
		Other      *string `json:"other"`
		GrandTotal *string `json:"grand_total"`
	} `json:"totals"`
}

// checkTotals adds up what was written, as an ERP would.
func checkTotals(t *testing.T, written []byte, other string, rows, taxes bool) {
	t.Helper()
	var w writtenOrder
	if err := json.Unmarshal(written, &w); err != nil {
		t.Fatal(err)
	}
	if got := w.Totals.Other; got == nil && other != "null" || got != nil && *got != other {
		t.Errorf("other is %s, want %s", money(t, got).FloatString(4), other)
	}
	if w.Totals.GrandTotal == nil {
		return
	}
	add := func(parts ...*string) *big.Rat {
		all := new(big.Rat)
		for _, p := range parts {
			all.Add(all, money(t, p))
		}
		return all
	}
	equal := func(what string, got, want *big.Rat) {
		if got.Cmp(want) != 0 {
			t.Errorf("%s: %s, want %s", what, got.FloatString(4), want.FloatString(4))
		}
	}
	parts := []*string{w.Totals.Subtotal, w.Totals.Discount, w.Totals.DiscountTaxCompensation, w.Totals.Shipping, w.Totals.Tax, w.Totals.Other}
	for _, a := range w.Totals.Adjustments {
		if money(t, a.Amount).Sign() == 0 {
			t.Errorf("adjustment %s is zero", a.Code)
		}
		parts = append(parts, a.Amount)
	}
	equal("the parts of the totals", add(parts...), money(t, w.Totals.GrandTotal))

	var row, discount, compensation, tax []*string
	for _, l := range w.Lines {
		row, tax = append(row, l.RowTotal), append(tax, l.TaxAmount)
		discount, compensation = append(discount, l.DiscountAmount), append(compensation, l.DiscountTaxCompensation)
	}
	if s := w.Shipping; s != nil {
		tax = append(tax, s.TaxAmount)
		discount, compensation = append(discount, s.DiscountAmount), append(compensation, s.DiscountTaxCompensation)
		equal("shipping", add(s.Amount), add(w.Totals.Shipping))
	}
	if rows {
		equal("the lines' row totals", add(row...), add(w.Totals.Subtotal))
	}
	if taxes {
		equal("the taxes of lines and shipping", add(tax...), add(w.Totals.Tax))
	}
	equal("the discounts of lines and shipping", add(discount...), new(big.Rat).Neg(add(w.Totals.Discount)))
	equal("the tax compensations of lines and shipping", add(compensation...), add(w.Totals.DiscountTaxCompensation))
}

// The personal data of the fixtures is listed for the test that looks for it in all logs.
func TestFixtures_ListTheirPersonalData(t *testing.T) {
	data, err := os.ReadFile("testdata/PERSONAL.txt")
	if err != nil {
		t.Fatal(err)
	}
	var fixtures strings.Builder
	files, _ := filepath.Glob("testdata/*.order.json")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fixtures.Write(b)
	}
	for _, p := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if !strings.Contains(fixtures.String(), p) {
			t.Errorf("%q is in no fixture", p)
		}
	}
}
