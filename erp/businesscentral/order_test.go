package businesscentral_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

// Business Central's own arithmetic comes to Magento's grand total: with prices that include tax, with ones that do not, and
// with Magento's tax as a line.
func TestCreate_TotalsToTheCent(t *testing.T) {
	for name, tt := range map[string]struct {
		options fakebusinesscentral.Options
		codes   string
	}{
		"gross":             {codes: plain},
		"gross, two places": {options: fakebusinesscentral.Options{UnitPricePlaces: 2}, codes: plain + "options: {unit_price_places: \"2\"}\n"},
		"net":               {codes: plain + "options: {price_is: net}\n"},
		"tax as a line":     {options: fakebusinesscentral.Options{SalesTax: true}, codes: plain + "options: {tax_as: line}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			orders := goldenOrders(t)
			if len(orders) < 38 {
				t.Fatalf("%d orders", len(orders))
			}
			r := newRig(t, tt.options, strings.Replace(tt.codes, "tax: {", "tax: {"+rates(orders), 1), nil)
			for name, o := range orders {
				d, err := r.send(o)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				want := o.Totals.GrandTotal.Decimal.Round(erp.Places(o.Currency))
				if got := r.booked(o.ExternalReference).Total; !got.Equal(want) {
					t.Errorf("%s: the company comes to %s, Magento to %s", name, got, want)
				}
				if !d.Total.Decimal.Equal(want) {
					t.Errorf("%s: the document says %s, want %s", name, d.Total, want)
				}
			}
		})
	}
}

// rates returns a tax code of the company for each rate of orders that is not in plain.
func rates(orders map[string]erp.SalesOrder) string {
	found := map[string]bool{}
	add := func(sum erp.Sum, told erp.Quantity) {
		if p := sum.Percent(told).String(); !slices.Contains([]string{"19", "7", "0", "20", "21"}, p) {
			found[p] = true
		}
	}
	for _, o := range orders {
		parts := erp.PartsOf(o, decimal.RequireFromString("0.02"))
		for i, l := range o.Lines {
			add(parts.Lines[i], l.TaxPercent)
		}
		if o.Shipping != nil {
			add(parts.Shipping, o.Shipping.TaxPercent)
		}
	}
	lines := ""
	for p := range found {
		lines += fmt.Sprintf("%q: VAT%s, ", p, p)
	}
	return lines
}

// What the ERP rounds to is not what the shop rounds to.
func TestCreate_RowsThatPricesDoNotMultiplyTo(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	for i, tt := range []struct{ quantity, row string }{
		{"3", "10.00"}, {"7", "0.01"}, {"0.333", "9.99"}, {"1000", "33.33"}, {"6", "19.9999"}, {"99999", "0.05"}, {"1", "0"},
	} {
		o := erptest.Order(fmt.Sprintf("ROW-%d", i))
		o.Lines = o.Lines[:1]
		o.Lines[0].Quantity, o.Lines[0].RowTotal, o.Lines[0].TaxAmount = quantity(tt.quantity), amount(tt.row), amount("0")
		o.Shipping = nil
		o.Totals = erp.Totals{GrandTotal: erp.NewAmount(decimal.RequireFromString(tt.row).Round(2))}
		r.create(o)
		d := r.booked(o.ExternalReference)
		if !d.Total.Equal(o.Totals.GrandTotal.Decimal) {
			t.Errorf("%s of %s: the company comes to %s", tt.quantity, tt.row, d.Total)
		}
		if l := d.Lines[0]; l.Discount.IsNegative() {
			t.Errorf("%s of %s: the discount is %s", tt.quantity, tt.row, l.Discount)
		}
	}
}

func TestCreate_EachFieldWhereItBelongs(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain+"fields: {header: {salesperson: WEB}, line: {}}\n", nil)
	o := erptest.Order("web-1")
	o.ShippingAddress.Company = told("Testperson GmbH")
	o.ShippingAddress.Street = []string{"Geheimweg 7", "Hinterhaus", "3. Stock"}
	o.Lines[0].DiscountAmount, o.Lines[0].UnitPriceInclTax = amount("4"), amount("40.46")
	o.Totals.GrandTotal = amount("123.33")
	o.Comment = told(strings.Repeat("Please ring twice. ", 8))
	o.Payment.TransactionID = told("ch_1")
	o.Totals.Adjustments = []erp.Adjustment{{Code: erp.GiftCard, Amount: amount("-10")}}
	o.Totals.GrandTotal = amount("113.33")
	r.create(o)
	d := r.booked("WEB-1")
	for name, want := range map[string]any{
		"externalDocumentNumber": "WEB-1", "orderDate": "2026-11-23", "customerNumber": "GUESTS", "currencyCode": "EUR", "pricesIncludeTax": true,
		"shipToName": "Testperson GmbH", "shipToContact": "Vesnatest Testperson", "shipToAddressLine1": "Geheimweg 7", "shipToAddressLine2": "Hinterhaus, 3. Stock",
		"shipToPostCode": "04109", "shipToCountry": "DE", "sellToCity": "Leipzig", "salesperson": "WEB", "phoneNumber": "+49 341 5550142",
	} {
		if d.Values[name] != want {
			t.Errorf("%s is %v, want %v", name, d.Values[name], want)
		}
	}
	var got []string
	for _, l := range d.Lines {
		got = append(got, fmt.Sprint(l.Type, " ", l.Object, " ", l.Reference, " ", l.Quantity, " x ", l.Price, " - ", l.Discount, " ", l.TaxCode))
	}
	want := []string{
		"Item 24-MB01 1001 2 x 40.46 - 4 STANDARD", "Item 24-MB02 1002 1 x 40.46 - 0 STANDARD", "Account 8400 shipping 1 x 5.95 - 0 STANDARD",
		"Account 8410 gift_card 1 x -10 - 0 ZERO", "Comment   0 x 0 - 0 ", "Comment   0 x 0 - 0 ", "Comment   0 x 0 - 0 ", "Comment   0 x 0 - 0 ",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the lines are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := d.Lines[4].Description; text != "Payment: ONLINE ch_1" {
		t.Errorf("the first comment is %q", text)
	}
}

func TestBuild_RefusesWhatCantBeSent(t *testing.T) {
	for name, tt := range map[string]struct {
		codes  string
		change func(o *erp.SalesOrder)
		text   string
	}{
		"long reference":      {plain, func(o *erp.SalesOrder) { o.ExternalReference = strings.Repeat("X", 36) }, "35"},
		"no tax code":         {accounts, func(*erp.SalesOrder) {}, `"19": "…"`},
		"no account":          {`tax: {"*": STANDARD}` + "\naccounts: {guests: GUESTS}", func(*erp.SalesOrder) {}, "shipping"},
		"no guests' account":  {`tax: {"*": STANDARD}`, func(*erp.SalesOrder) {}, "guests"},
		"another company":     {plain + "stores: {\"*\": {company: OTHER}}", func(*erp.SalesOrder) {}, "OTHER"},
		"no store":            {plain + "stores: {de: {company: X}}", func(*erp.SalesOrder) {}, `default: {company: "…"}`},
		"terms that are none": {plain + "options: {payment_as: terms}", func(*erp.SalesOrder) {}, "payment terms"},
		"no payment method":   {strings.ReplaceAll(plain, `payment_methods: {"*": ONLINE}`, `payment_methods: {free: FREE}`), func(*erp.SalesOrder) {}, `checkmo: "…"`},
		"long SKU":            {plain, func(o *erp.SalesOrder) { o.Lines[0].SKU = told("GAMES-EQUIPMENT-A-B-C") }, `GAMES-EQUIPMENT-A-B-C: "…"`},
		"a row below zero":    {plain, func(o *erp.SalesOrder) { o.Lines[0].RowTotal = amount("-20") }, "1001"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakebusinesscentral.Options{}, tt.codes, nil)
			o := erptest.Order("ET-1")
			tt.change(&o)
			_, err := r.Build(o)
			if event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error %v has class %s; want invalid with %q", err, event.ClassOf(err), tt.text)
			}
		})
	}
}

func TestCreate_NamesTheMissingItem(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	r.fake.SetMissing("24-MB02")
	_, err := r.send(erptest.Order("ET-1"))
	if event.ClassOf(err) != event.Invalid || !event.IsNotDone(err) || !strings.Contains(err.Error(), `24-MB02: "…"`) && !strings.Contains(err.Error(), `"24-MB02": "…"`) {
		t.Errorf("the error %v does not have the line to add", err)
	}
	r.fake.SetMissing()
	r.create(erptest.Order("ET-1"))
}

func TestFind_PostedOrdersAreFoundByTheirInvoice(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	r.fake.Post(d.Number)
	found, err := r.Find(t.Context(), "ET-1")
	if err != nil || len(found) != 1 || found[0].Number != d.Number {
		t.Fatalf("found %+v, %v; want the order %s once", found, err, d.Number)
	}
	second := r.fake.Book("ET-1")
	found, err = r.Find(t.Context(), "et-1")
	if err != nil || len(found) != 2 || found[0].Number != second {
		t.Errorf("found %+v, %v; want both orders", found, err)
	}
}

// A read-only replica lags behind: every look-up asks for the primary database.
func TestFind_AsksThePrimaryDatabase(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	r.fake.SetStale(1<<60, false)
	r.create(erptest.Order("ET-1"))
	if found, err := r.Find(t.Context(), "ET-1"); err != nil || len(found) != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestCreate_TotalThatDiffersIsTold(t *testing.T) {
	// The company rounds otherwise than the file of codes says.
	r := newRig(t, fakebusinesscentral.Options{UnitPricePlaces: 1}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	if want := r.booked("ET-1").Total; !d.Total.Decimal.Equal(want) || want.Equal(decimal.RequireFromString("127.33")) {
		t.Errorf("the document says %s, the company has %s", d.Total, want)
	}
}
