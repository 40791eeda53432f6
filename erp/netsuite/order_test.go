package netsuite_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/netsuite"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

// NetSuite's own arithmetic comes to Magento's grand total: with Magento's tax forced, with shipping as a line, and with Magento's
// tax as a line where there is no SuiteTax.
func TestCreate_TotalsToTheCent(t *testing.T) {
	orders := goldenOrders(t)
	if len(orders) < 60 {
		t.Fatalf("%d orders", len(orders))
	}
	for name, tt := range map[string]struct {
		options fakenetsuite.Options
		codes   string
	}{
		"forced tax":         {codes: guests},
		"shipping as a line": {options: fakenetsuite.Options{ShippingTaxLine: true}, codes: plain + "options: {customers: guests, shipping_as: line}\n"},
		"tax as a line":      {options: fakenetsuite.Options{LegacyTax: true}, codes: plain + "options: {customers: guests, tax_as: line}\n"},
		"tax and shipping as lines": {
			options: fakenetsuite.Options{LegacyTax: true}, codes: plain + "options: {customers: guests, tax_as: line, shipping_as: line}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.options, tt.codes, nil)
			for name, o := range orders {
				d, err := r.send(o)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				want := o.Totals.GrandTotal.Decimal.Round(erp.Places(o.Currency))
				if got := r.booked(o.ExternalReference).Total; !got.Equal(want) {
					t.Errorf("%s: NetSuite comes to %s, Magento to %s", name, got, want)
				}
				if !d.Total.Decimal.Equal(want) {
					t.Errorf("%s: the document says %s, want %s", name, d.Total, want)
				}
			}
		})
	}
}

// Where NetSuite computes tax itself, what it comes to is told.
func TestCreate_TotalOfNetSuitesOwnTaxIsTold(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, plain+"options: {customers: guests, tax_as: erp}\n", nil)
	o := erptest.Order("ET-1")
	o.Lines[0].TaxAmount, o.Lines[0].TaxPercent, o.Totals.GrandTotal = amount("4.76"), quantity("7"), amount("119.17")
	if d := r.create(o); d.Total.String() != "127.33" {
		t.Errorf("the document says %s, NetSuite has %s", d.Total, r.booked("ET-1").Total)
	}
}

func TestCreate_EachFieldWhereItBelongs(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{Columns: []string{"custbody_web", "custcol_row"}}, plain+`
stores: {default: {company: "2", warehouse: "3", currency: "EUR=4 USD=1", department: "6", class: "7", tax_group: "8"}}
payment_methods: {checkmo: Invoice}
units: {"24-MB01": "11"}
fields: {header: {custbody_web: "{increment_id} of {store.code}"}}
options: {customers: guests, line_reference: custcol_row}
`, nil)
	o := erptest.Order("web-1")
	o.ShippingAddress.Company = told("Testperson GmbH")
	o.ShippingAddress.Street = []string{"Geheimweg 7", "Hinterhaus", "3. Stock", "links"}
	o.ShippingAddress.Region, o.ShippingAddress.RegionCode = told("Sachsen"), told("SN")
	o.Lines[0].Options = []erp.Option{{Label: told("Colour"), Value: told("red")}}
	o.Comment = told("Please ring twice.")
	o.Payment.TransactionID = told("ch_1")
	o.Totals.Adjustments = []erp.Adjustment{{Code: erp.GiftCard, Amount: amount("-10")}}
	o.Totals.GrandTotal = amount("117.33")
	r.create(o)
	d := r.booked("web-1")
	for name, want := range map[string]any{
		"externalId": "web-1", "tranDate": "2026-11-23", "otherRefNum": "web-1", "memo": "Invoice ch_1", "message": "Please ring twice.", "toBeEmailed": false,
		"email": "vesna.testperson@fixture.example", "custbody_web": "web-1 of default", "taxDetailsOverride": true, "taxRegOverride": true,
		"entity": id("9000"), "subsidiary": id("2"), "currency": id("4"), "location": id("3"), "department": id("6"), "class": id("7"), "nexus": id("8"),
		"shipMethod": id("5"), "orderStatus": id("B"), "shippingTaxCode": id("119"), "shippingCost": "5", "shippingTaxAmount": "0.95",
	} {
		if fmt.Sprint(d.Values[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, d.Values[name], want)
		}
	}
	if got, want := fmt.Sprint(d.Values["shippingAddress"]), "map[addr1:Geheimweg 7 addr2:Hinterhaus addr3:3. Stock, links addrPhone:+49 341 5550142 "+
		"addressee:Testperson GmbH attention:Vesnatest Testperson city:Leipzig country:map[id:DE] state:SN zip:04109]"; got != want {
		t.Errorf("the shipping address is\n%s\nwant\n%s", got, want)
	}
	var got []string
	for _, l := range d.Lines {
		got = append(got, fmt.Sprint(l.Item, " ", l.Reference, " ", l.Values["custcol_row"], " ", l.Quantity, " for ", l.Amount, " + ", l.Tax, " ", l.Values["units"], " ", l.Description))
	}
	want := []string{
		"24-MB01 L1001 1001 2 for 68 + 12.92 11 Bag; Colour: red", "24-MB02 L1002 1002 1 for 34 + 6.46 <nil> Bag", "ACCOUNT-GIFT Agift_card <nil> 1 for -10 + 0 <nil> Gift card",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the lines are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func id(s string) map[string]any { return map[string]any{"id": s} }

func TestBuild_RefusesWhatCantBeSent(t *testing.T) {
	for name, tt := range map[string]struct {
		codes  string
		change func(o *erp.SalesOrder)
		text   string
	}{
		"a reference with a stroke": {plain, func(o *erp.SalesOrder) { o.ExternalReference = "M2|1" }, "letters, digits"},
		"a long reference":          {plain, func(o *erp.SalesOrder) { o.ExternalReference = strings.Repeat("X", 101) }, "at most 100"},
		"no tax code":               {accounts + `shipping_methods: {"*": "5"}`, func(*erp.SalesOrder) {}, `"19": "…"`},
		"no shipping method":        {accounts + `tax: {"*": "1"}`, func(*erp.SalesOrder) {}, `flatrate_flatrate: "…"`},
		"no account for a line":     {"accounts: {guests: \"9000\"}\ntax: {\"*\": \"1\"}\noptions: {shipping_as: line}", func(*erp.SalesOrder) {}, "shipping"},
		"no guests' account":        {`tax: {"*": "1"}`, func(o *erp.SalesOrder) { o.Customer.ID = nil }, "guests"},
		"no store":                  {plain + `stores: {de: {company: "1"}}`, func(*erp.SalesOrder) {}, `default: {company: "…"}`},
		"no id of the currency":     {plain + `stores: {"*": {currency: "USD=1"}}`, func(*erp.SalesOrder) {}, "EUR=…"},
		"no payment method":         {plain + "options: {payment_as: terms}", func(*erp.SalesOrder) {}, `checkmo: "…"`},
		"no column":                 {plain + `options: {item_by: "a; drop"}`, func(*erp.SalesOrder) {}, "item_by"},
		"nothing of a line":         {plain, func(o *erp.SalesOrder) { o.Lines[0].Quantity = quantity("0") }, "1001"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakenetsuite.Options{}, tt.codes, nil)
			o := erptest.Order("ET-1")
			tt.change(&o)
			_, err := r.Build(o)
			if event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error %v has class %s; want invalid with %q", err, event.ClassOf(err), tt.text)
			}
		})
	}
}

func TestCreate_ItemsAreLookedUpOnce(t *testing.T) {
	var queries int
	r := newRig(t, fakenetsuite.Options{}, guests, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == fakenetsuite.QueryPath {
				queries++
			}
			next.ServeHTTP(w, req)
		})
	})
	for i := range 3 {
		r.create(erptest.Order(fmt.Sprintf("ET-%d", i)))
	}
	if queries != 1 {
		t.Errorf("%d queries for the same two items", queries)
	}
	r.fake.SetMissing("24-MB02")
	_, err := r.send(erptest.Order("ET-9")) // its id is known, and NetSuite refuses it: from now on it is looked up
	if event.ClassOf(err) != event.Invalid || !event.IsNotDone(err) {
		t.Errorf("an item that is gone: %v", err)
	}
	_, err = r.send(erptest.Order("ET-9"))
	if event.ClassOf(err) != event.Invalid || !event.IsNotDone(err) || !strings.Contains(err.Error(), `24-MB02: "…"`) && !strings.Contains(err.Error(), `"24-MB02": "…"`) {
		t.Errorf("the error %v does not have the line to add", err)
	}
	r.fake.SetMissing()
	r.fake.SetTwice("24-MB02")
	_, err = r.send(erptest.Order("ET-9"))
	if event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), "2 active items") {
		t.Errorf("an item that is there twice: %v", err)
	}
	r.fake.SetTwice("")
	r.create(erptest.Order("ET-9"))
}

func TestCreate_ItemsByTheirIDs(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	file, err := codes.Parse("codes.yaml", "netsuite", []byte(strings.Replace(guests, "options: {", fmt.Sprintf("skus: {24-MB01: %q, 24-MB02: %q}\noptions: {item_by: id, ",
		r.fake.Item("24-MB01"), r.fake.Item("24-MB02")), 1)))
	if err != nil {
		t.Fatal(err)
	}
	r.codes = file
	d := r.create(erptest.Order("ET-1"))
	if err := r.Cancel(t.Context(), erp.Call{}, d, left("0", "1")); err != nil {
		t.Error(err)
	}
	if got := r.booked("ET-1").Lines[0]; got.Item != "24-MB01" || !got.Quantity.Equal(decimal.NewFromInt(1)) {
		t.Errorf("the line is %+v", got)
	}
}

// What NetSuite has already is not made again, whatever the refusal of the second create says.
func TestCreate_OfWhatIsThereReturnsIt(t *testing.T) {
	for _, code := range []string{"", "DUP_RCRD", "INVALID_CONTENT"} {
		r := newRig(t, fakenetsuite.Options{}, guests, nil)
		first := r.create(erptest.Order("ET-1"))
		r.fake.SetDuplicateAs(code)
		if second := r.create(erptest.Order("ET-1")); second.Number != first.Number || second.ID != first.ID {
			t.Errorf("with %q: the second create returns %+v, the first %+v", code, second, first)
		}
		if n := r.fake.Counts()["ET-1"]; n != 1 {
			t.Errorf("with %q: %d orders", code, n)
		}
	}
}

// A 404 of anything but NetSuite is none of "there is no such order".
func TestFind_Another404IsAnError(t *testing.T) {
	for _, body := range []string{"", "<html>not found</html>", `{"message":"no route"}`} {
		r := newRig(t, fakenetsuite.Options{}, guests, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Method != http.MethodGet {
					next.ServeHTTP(w, req)
					return
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(body))
			})
		})
		if found, err := r.Find(t.Context(), "ET-1"); err == nil || event.ClassOf(err) != event.NotFound {
			t.Errorf("of %q: found %+v, %v", body, found, err)
		}
	}
}

func TestCreate_OrderThatWaitsForApprovalIsNoted(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, plain+"options: {customers: guests, order_status: A}\n", nil)
	if d := r.create(erptest.Order("ET-1")); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "approval") {
		t.Errorf("the notes are %q", d.Notes)
	}
}

// Both ways to log on, and both kinds of key.
func TestNew_WaysToLogOn(t *testing.T) {
	for name, o := range map[string]fakenetsuite.Options{"ECDSA": {}, "RSA": {RSA: true}, "token-based": {TokenBased: true}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, o, guests, nil)
			r.create(erptest.Order("ET-1"))
			if err := r.Cancel(t.Context(), erp.Call{}, erp.Document{Number: r.booked("ET-1").Number}, erp.Cancellation{Complete: true}); err != nil {
				t.Error(err) // it asks with a query, which is signed too
			}
		})
	}
}

func TestNew_TokensAreKeptAndRenewed(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	r.fake.Tokens.SetLifetime(time.Hour, true) // expires_in comes as a text
	r.create(erptest.Order("ET-1"))
	r.create(erptest.Order("ET-2"))
	if n := r.fake.Tokens.Issued(); n != 1 {
		t.Errorf("%d tokens were issued for two orders", n)
	}
	r.fake.Tokens.Expire()
	r.create(erptest.Order("ET-3"))
	if n := r.fake.Tokens.Issued(); n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
	r.fake.Tokens.Expire()
	r.fake.Tokens.Refuse(2)
	_, err := r.send(erptest.Order("ET-4"))
	if event.ClassOf(err) != event.Unauthorized || !event.IsNotDone(err) || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("without a token: %v", err)
	}
}

func TestParsePrivateKey_SaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"": "not in PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----": "a CERTIFICATE",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----":                     "can't be read",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----": "without a password",
	} {
		if _, err := netsuite.ParsePrivateKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %q: %v, want %q", text, err, want)
		}
	}
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	broken, err := netsuite.New(r.client, netsuite.Options{URL: r.url, PrivateKey: func() string { return "nonsense" }, Codes: func() *codes.File { return r.codes }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Find(t.Context(), "ET-1"); event.ClassOf(err) != event.Unauthorized || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("with a broken key: %v", err)
	}
}
