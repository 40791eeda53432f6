package sap_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/sap"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakesap"
	"github.com/mageline/mageline/test/kit/fault"
)

// sapError is an error in SAP's form.
func sapError(code, text string) string {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{
		"code": "/IWBEP/CM_MGW_RT/022", "message": map[string]string{"lang": "en", "value": "An exception was raised"},
		"innererror": map[string]any{"errordetails": []any{
			map[string]string{"code": "V1/263", "message": "Pricing was carried out", "severity": "info"},
			map[string]string{"code": code, "message": text, "severity": "error"},
			map[string]string{"code": "/IWBEP/CX_MGW_BUSI_EXCEPTION", "message": "An exception was raised", "severity": "error"},
		}},
	}})
	return string(body)
}

// What each answer of SAP's means, row by row.
func TestDialect_EveryRow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		class  event.Class
		done   bool // it may have been done
	}{
		{"a missing material", 400, sapError("V1/382", "Material 24-MB01 is not defined for sales org. 1010"), event.Invalid, false},
		{"a missing account", 400, sapError("VP/199", "Sold-to party 1 not maintained for sales area 1010 10 00"), event.Invalid, false},
		{"a condition that is not there", 400, sapError("V1/401", "Condition type XX00 is not in procedure A"), event.Invalid, false},
		{"a business error", 400, sapError("V1/555", "The order has been rejected by a check"), event.Rejected, false},
		{"an approved order", 400, sapError("V2/474", "Sales document 5200 has already been approved"), event.Rejected, false},
		{"a lock in English", 400, sapError("V1/042", "Sales document 5200 is currently being processed by user MILLER"), event.Unavailable, false},
		{"a lock in other words", 400, sapError("XX/001", "Object is locked by MILLER"), event.Unavailable, false},
		{"a lock in German", 400, sapError("XX/001", "Beleg 5200 ist gerade in Bearbeitung durch MUELLER"), event.Unavailable, false},
		{"a lock by its code", 400, sapError("VL/045", "Please try later"), event.Unavailable, false},
		{"a lock by a code of the configuration", 400, sapError("ZZ/900", "Please try later"), event.Unavailable, false},
		{"another version", 412, sapError("", "Precondition failed"), event.Unavailable, false},
		{"no If-Match", 428, sapError("", "required to be conditional"), event.Unavailable, false},
		{"a wrong log-on", 401, "<html>401</html>", event.Unauthorized, false},
		{"a missing permission", 403, sapError("/IWFND/CM_BEC/026", "No authorization"), event.Unauthorized, false},
		{"a service that is not active", 404, sapError("/IWFND/MED/170", "No service found for namespace"), event.Unauthorized, false},
		{"a wrong segment", 404, sapError("005056A509B11EE1B9A8FEC11C21D78E", "Resource not found for the segment 'X'."), event.NotFound, false},
		{"a throttle", 429, "", event.Throttled, true},
		{"a throttle as 503", 503, sapError("", "Too many requests"), event.Throttled, true},
		{"a rate limit as 503", 503, sapError("", "Rate limit violation"), event.Throttled, true},
		{"a system that is down", 503, "<html>down</html>", event.Unavailable, true},
		{"a short dump", 500, sapError("SY/530", "An exception occurred"), event.Unavailable, true},
		{"a gateway's time-out", 504, "", event.Unavailable, true},
	} {
		r := newRig(t, file, fakesap.Options{})
		s, err := sap.New(&http.Client{Transport: answers{r, tt.status, tt.body}}, sap.Options{
			URL: "http://sap.example", Username: username, LockCodes: []string{"ZZ/900"}, Codes: func() *codes.File { return r.codes },
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Build(erptest.Order("ET-1"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Create(t.Context(), erp.Call{}, p)
		if event.ClassOf(err) != tt.class || event.IsNotDone(err) == tt.done {
			t.Errorf("%s: class %s, not done: %t; want %s, %t: %v", tt.name, event.ClassOf(err), event.IsNotDone(err), tt.class, !tt.done, err)
		}
		subject := sap.Dialect(nil).Subject(event.Answer{Status: tt.status, Body: []byte(tt.body)}, event.SubjectOf(tt.status))
		if (subject == event.AboutLoad) != (tt.class == event.Throttled) {
			t.Errorf("%s: the answer is about %s", tt.name, subject)
		}
	}
}

// answers gives a token to who asks for one, and one answer to the rest.
type answers struct {
	r      *rig
	status int
	body   string
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	res := &http.Response{StatusCode: a.status, Header: http.Header{}, Request: r, Body: readCloser(a.body)}
	if r.Method == http.MethodHead {
		res.StatusCode = http.StatusOK
		res.Header.Set("X-Csrf-Token", "token")
	}
	return res, nil
}

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

func readCloser(text string) body { return body{strings.NewReader(text)} }

// A missing item is named with the line that would cure it.
func TestCreate_MissingItemHasTheLineToAdd(t *testing.T) {
	t.Parallel()
	r := newRig(t, file, fakesap.Options{})
	r.fake.SetMissing("24-MB01")
	_, err := r.create(erptest.Order("ET-1"))
	if event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), `under skus, the line    "24-MB01": "…"`) {
		t.Errorf("error %v", err)
	}
}

// A code that the file lacks is said before anything is sent, all of them at once.
func TestBuild_MissingCodes(t *testing.T) {
	t.Parallel()
	r := newRig(t, `accounts: {guests: "10100001"}`, fakesap.Options{})
	_, err := r.sap.Build(erptest.Order("ET-1"))
	if event.ClassOf(err) != event.Invalid {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{`under stores, the line    default: {company`, `under payment_methods, the line    checkmo: "…"`, `under shipping_methods, the line    flatrate_flatrate: "…"`, `under accounts, the line    shipping: "…"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s: %v", want, err)
		}
	}
	var missing *codes.Missing
	if !errors.As(err, &missing) {
		t.Errorf("the error is no *codes.Missing")
	}
	if n := len(r.fake.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// What does not fit is named; what a buyer has written is cut.
func TestBuild_Lengths(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(file, `"*": "01"`, `"*": "EXPRESS"`, 1), fakesap.Options{})
	if _, err := r.sap.Build(erptest.Order("ET-1")); event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), `ShippingCondition can't be "EXPRESS": SAP takes 2 characters`) {
		t.Errorf("error %v", err)
	}
	r = newRig(t, file, fakesap.Options{})
	if _, err := r.sap.Build(erptest.Order(strings.Repeat("9", 36))); event.ClassOf(err) != event.Invalid {
		t.Errorf("a reference of 36 characters: error %v", err)
	}
	o := erptest.Order("ET-1")
	long := strings.Repeat("Straße ", 100)
	o.ShippingAddress.Street, o.ShippingAddress.City, o.ShippingAddress.FirstName, o.Comment = []string{long, long, long, long}, &long, &long, &long
	o.Lines[0].Name = &long
	if _, err := r.create(o); err != nil {
		t.Errorf("an order with long texts: %v", err)
	}
	r.clean()
	for _, q := range []string{"0.0001", "0"} {
		o := erptest.Order("ET-2")
		o.Lines[0].Quantity = erp.NewQuantity(decimal.RequireFromString(q))
		if _, err := r.sap.Build(o); event.ClassOf(err) != event.Invalid {
			t.Errorf("a quantity of %s: error %v", q, err)
		}
	}
}

// Every property of an order that SAP is told.
func TestCreate_WhatGoesWhere(t *testing.T) {
	t.Parallel()
	text := with(strings.Replace(file, `channel: "10"`, `channel: "10", order_type: ZOR, warehouse: "1710", shipping_point: "1710", sales_office: "0001"`, 1),
		`units: {"*": PC}`, `customer_groups: {"1": {price_group: "01", customer_group: "02"}}`, `skus: {"24-MB01": "TG11", "24-*": "X-*"}`, `countries: {DE: DE}`,
		`fields: {header: {YY1_Channel_SDH: "web {increment_id}"}, line: {}}`)
	r := newRig(t, text, fakesap.Options{Extensions: map[string][]string{"A_SalesOrder": {"YY1_Channel_SDH"}}, Client: "100"})
	o := erptest.Order("ET-1")
	note := "Please ring twice"
	o.Comment = &note
	if _, err := r.create(o); err != nil {
		t.Fatal(err)
	}
	d := r.booked("ET-1")
	for name, want := range map[string]any{
		"SalesOrderType": "ZOR", "SalesOrganization": "1010", "DistributionChannel": "10", "OrganizationDivision": "00", "SalesOffice": "0001",
		"SoldToParty": "10100001", "PurchaseOrderByCustomer": "ET-1", "TransactionCurrency": "EUR", "CustomerPaymentTerms": "0001", "ShippingCondition": "01",
		"CustomerPriceGroup": "01", "CustomerGroup": "02", "YY1_Channel_SDH": "web ET-1",
		"CustomerPurchaseOrderDate": "/Date(1795392000000)/", "PricingDate": "/Date(1795392000000)/",
	} {
		if d.Header[name] != want {
			t.Errorf("%s is %v, want %v", name, d.Header[name], want)
		}
	}
	first := d.Items[0].Props
	for name, want := range map[string]any{
		"Material": "TG11", "PurchaseOrderByCustomer": "1001", "RequestedQuantity": "2", "RequestedQuantityUnit": "PC", "ProductionPlant": "1710",
		"ShippingPoint": "1710", "SalesOrderItemText": "Bag", "SalesOrderItem": "10",
	} {
		if first[name] != want {
			t.Errorf("item: %s is %v, want %v", name, first[name], want)
		}
	}
	if p := d.Items[0].Prices; len(p) != 1 || p[0].Type != "PMP0" || p[0].Rate.String() != "68" || p[0].Quantity.String() != "2" {
		t.Errorf("the price of the item is %+v", p)
	}
	if d.Items[1].Material != "X-MB02" || len(d.Texts) != 1 || d.Texts[0] != note {
		t.Errorf("items %+v, texts %v", d.Items, d.Texts)
	}
	for _, function := range []string{"WE", "RE"} {
		for name, want := range map[string]any{
			"OrganizationName1": "Vesnatest Testperson", "StreetName": "Geheimweg 7", "PostalCode": "04109", "CityName": "Leipzig", "Country": "DE",
			"PhoneNumber": "+49 341 5550142", "EmailAddress": "vesna.testperson@fixture.example",
		} {
			if got := d.Addresses[function][name]; got != want {
				t.Errorf("%s: %s is %v, want %v", function, name, got, want)
			}
		}
	}
	r.clean()
}

// The ways of an address, and a system that takes none in the create.
func TestCreate_Addresses(t *testing.T) {
	t.Parallel()
	for how, city := range map[string]any{"deep": "Leipzig", "patch": "Leipzig", "off": nil} {
		r := newRig(t, with(file, "options: {address: "+how+"}"), fakesap.Options{})
		if how == "patch" {
			r.fake.SetAddressInsert(fakesap.Refused)
		}
		if _, err := r.create(erptest.Order("ET-1")); err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		if got := r.booked("ET-1").Addresses["WE"]["CityName"]; got != city {
			t.Errorf("%s: the goods go to %v, want %v", how, got, city)
		}
		r.clean()
	}
}

// Sessions and tokens end in between, and nobody notices.
func TestClient_RenewsWhatHasEnded(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]fakesap.Options{
		"password": {Username: username, Password: password}, "OAuth": {ClientID: "client", ClientSecret: "s3cr3t-of-the-client"},
	} {
		for _, form := range []string{"text", "xml", "json"} {
			r := newRig(t, file, o)
			r.fake.SetCSRFBody(form)
			for i, end := range []func(){func() {}, r.fake.EndSessions, r.fake.EndTokens, func() { r.fake.EndSessions(); r.fake.EndTokens() }, func() { r.fake.RefuseLogons(1) }} {
				if name == "password" && i == 2 {
					continue // which has no tokens
				}
				end()
				reference := "ET-" + string(rune('1'+i))
				if _, err := r.create(erptest.Order(reference)); err != nil {
					t.Errorf("%s, %s, %d: %v", name, form, i, err)
					continue
				}
				r.booked(reference)
			}
			r.clean()
		}
	}
}

// A session is used for as long as it lasts, and a token until shortly before its end.
func TestClient_KeepsSessionAndToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, file, fakesap.Options{ClientID: "client", ClientSecret: "s3cr3t-of-the-client"})
	for i := range 5 {
		if _, err := r.create(erptest.Order("ET-" + string(rune('1'+i)))); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{}
	for _, q := range r.fake.Requests() {
		count[q.Method+" "+q.Path]++
	}
	if heads, tokens := count["HEAD "+fakesap.Root+fakesap.Orders+"/"], count["POST "+fakesap.TokenPath]; heads != 1 || tokens != 1 {
		t.Errorf("%d sessions and %d tokens for 5 orders, want one of each", heads, tokens)
	}
	r.fake.SetTokenTTL(-time.Second)
	r.fake.EndTokens()
	if _, err := r.create(erptest.Order("ET-9")); event.ClassOf(err) != event.Unauthorized || !event.IsNotDone(err) {
		t.Errorf("with tokens that are refused: %v", err)
	}
}

func TestClient_WrongClientSecretIsUnauthorized(t *testing.T) {
	t.Parallel()
	fake := fakesap.New(fakesap.Options{ClientID: "client", ClientSecret: "right"})
	defer fake.Close()
	r := newRig(t, file, fakesap.Options{})
	s, err := sap.New(&http.Client{Transport: served{fake}}, sap.Options{
		URL: "http://sap.example", TokenURL: "http://sap.example" + fakesap.TokenPath, ClientID: "client", ClientSecret: func() string { return "wr0ng-secret" },
		CredentialName: "the client's secret", Codes: func() *codes.File { return r.codes },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Find(t.Context(), "ET-1")
	if event.ClassOf(err) != event.Unauthorized || !strings.Contains(err.Error(), "the client's secret") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("error %v", err)
	}
}

// served calls a system without a network.
type served struct{ h http.Handler }

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	k := &killer{}
	handlersMu.Lock()
	host := "served-" + r.Host
	handlers[host] = s.h
	handlersMu.Unlock()
	own := r.Clone(r.Context())
	own.Host = host
	return k.RoundTrip(own)
}

// An order that is there and needs a look is one that is there.
func TestCreate_NotesBlocks(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"credit", "delivery", "billing"} {
		r := newRig(t, file, fakesap.Options{})
		r.fake.SetBlocked(why)
		r.fake.SetMessage(`{"code":"SLS_LORD/009","message":"Document is incomplete","severity":"warning"}`)
		d, err := r.create(erptest.Order("ET-1"))
		if err != nil || len(d.Notes) == 0 || !strings.Contains(strings.Join(d.Notes, "; "), why) {
			t.Errorf("%s: document %+v, error %v", why, d, err)
		}
	}
}

// Find compares exactly, also what a filter has to quote.
func TestFind_Exactly(t *testing.T) {
	t.Parallel()
	r := newRig(t, file, fakesap.Options{})
	for _, reference := range []string{"O'Neil & Sons + 1", "et-1", "ET-1"} {
		number := r.fake.Book(reference)
		found, err := r.sap.Find(t.Context(), reference)
		if err != nil || len(found) != 1 || found[0].Number != number {
			t.Errorf("%s: %+v, %v", reference, found, err)
		}
	}
	r.clean()
}

func TestCancel_WhatSAPRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, file, fakesap.Options{})
	d, err := r.create(erptest.Order("ET-1"))
	if err != nil {
		t.Fatal(err)
	}
	whole := erp.Cancellation{Complete: true}
	r.fake.SetLocked(1, "", "Beleg %s ist durch MUELLER gesperrt")
	if err := r.sap.Cancel(t.Context(), erp.Call{}, d, whole); event.ClassOf(err) != event.Unavailable || !event.IsNotDone(err) {
		t.Errorf("of a locked document: %v", err)
	}
	unknown := erp.Cancellation{Lines: []erp.CancellationLine{{Reference: "7", Quantity: quantity(1), Row: row(1, 0, 1, 0)}}}
	if err := r.sap.Cancel(t.Context(), erp.Call{}, d, unknown); event.ClassOf(err) != event.Rejected || !event.IsNotDone(err) {
		t.Errorf("of a line that is not there: %v", err)
	}
	r.fake.Approve(d.Number)
	if err := r.sap.Cancel(t.Context(), erp.Call{}, d, whole); event.ClassOf(err) != event.Rejected {
		t.Errorf("of an approved document: %v", err)
	}
	r.clean()
}

// Who an order is sold to.
func TestCreate_Customers(t *testing.T) {
	t.Parallel()
	const mail = "vesna.testperson@fixture.example"
	identified := with(file, "options: {identification_type: ZSHOP}")
	guest := func(o *erp.SalesOrder) { o.Customer.ID = nil }
	for _, tt := range []struct {
		name, codes string
		order       func(*erp.SalesOrder)
		terms       []string // of partners with the e-mail address
		soldTo      string   // "" for the first partner, "new" for one that was created
		adopted     bool
	}{
		{name: "a customer, without a place for an external id", codes: file, terms: []string{"0001"}, soldTo: "10100001"},
		{name: "a new customer", codes: identified, soldTo: "new", adopted: true},
		{name: "a customer whom SAP has", codes: identified, terms: []string{"0001"}, adopted: true},
		{name: "a customer whom SAP has twice", codes: identified, terms: []string{"0001", "0001"}, soldTo: "new"},
		{name: "a guest", codes: identified, order: guest, terms: []string{"0001"}, soldTo: "10100001"},
		{name: "a guest, found by e-mail", codes: with(identified, "guests: {match_email: true}"), order: guest, terms: []string{"0001"}},
		{name: "a guest with the address of who buys on account", codes: with(identified, "guests: {match_email: true}"), order: guest, terms: []string{"NT30"}, soldTo: "10100001"},
		{name: "a guest with the address of two", codes: with(identified, "guests: {match_email: true}"), order: guest, terms: []string{"0001", "0001"}, soldTo: "10100001"},
	} {
		r := newRig(t, tt.codes, fakesap.Options{})
		first := ""
		for _, terms := range tt.terms {
			if number := r.fake.AddPartner(strings.ToUpper(mail[:1])+mail[1:], terms); first == "" {
				first = number
			}
		}
		r.fake.AddPartner(mail[:19]+"@other.example", "0001") // alike as far as the index goes
		for _, reference := range []string{"ET-1", "ET-2"} {  // the second finds what the first has left
			o := erptest.Order(reference)
			if tt.order != nil {
				tt.order(&o)
			}
			if _, err := r.create(o); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			got := r.booked(reference).SoldTo
			all := r.fake.Partners()
			last := all[len(all)-1]
			want := tt.soldTo
			switch want {
			case "":
				want = first
			case "new":
				want = last.Number
				if last.IDs["ZSHOP"] != "C42" || len(all) != len(tt.terms)+2 {
					t.Errorf("%s: SAP has %+v", tt.name, all)
				}
			default:
				if len(all) != len(tt.terms)+1 {
					t.Errorf("%s: %d partners", tt.name, len(all))
				}
			}
			if got != want || tt.adopted && tt.soldTo == "" && all[0].IDs["ZSHOP"] != "C42" {
				t.Errorf("%s, %s: sold to %s, want %s; partners %+v", tt.name, reference, got, want, all)
			}
		}
		r.clean()
	}
}

// A customer that can't be looked up leaves the order certainly not sent: it need not be waited for.
func TestCreate_WithoutTheCustomerNothingIsSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, with(file, "options: {identification_type: ZSHOP}"), fakesap.Options{})
	for _, f := range []fault.Fault{{Kind: fault.Fail}, {Kind: fault.Refuse}, {Kind: fault.Drop}} {
		r.fake.Faults.Set(fault.Plan{Every: f, Only: func(q *http.Request) bool { return strings.Contains(q.URL.Path, fakesap.Partners) }})
		if _, err := r.create(erptest.Order("ET-1")); err == nil || !event.IsNotDone(err) || len(r.fake.DocumentsOf("ET-1")) > 0 {
			t.Errorf("fault %d: error %v, not done: %t", f.Kind, err, event.IsNotDone(err))
		}
	}
	r.fake.Faults.Set(fault.Plan{})
	if _, err := r.create(erptest.Order("ET-1")); err != nil || len(r.fake.Partners()) != 1 {
		t.Errorf("afterwards: %v, customers %+v", err, r.fake.Partners())
	}
}

// Two partners with one external id are a person's to sort out.
func TestCreate_TwoCustomersWithOneIDAreRejected(t *testing.T) {
	t.Parallel()
	r := newRig(t, with(file, "options: {identification_type: ZNONE}"), fakesap.Options{})
	_, err := r.create(erptest.Order("ET-1"))
	if !event.ClassOf(err).Poison() || len(r.fake.DocumentsOf("ET-1")) > 0 {
		t.Errorf("an identification type that SAP does not have: %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "Vesna") {
		t.Errorf("the error has a name in it: %v", err)
	}
}

func TestReportShipment_OffByDefault(t *testing.T) {
	t.Parallel()
	r := newRig(t, file, fakesap.Options{})
	var off *erp.Off
	if d, err := r.sap.ReportShipment(t.Context(), erp.Call{}, shipment()); !errors.As(err, &off) || d.Number != "" || len(r.fake.Requests()) > 0 {
		t.Errorf("document %+v, error %v, %d requests", d, err, len(r.fake.Requests()))
	}
}

// A credit memo of all that was ordered, before anything was shipped, cancels the order's document.
func TestReportCreditMemo_CancelsWhatIsNotToBeShipped(t *testing.T) {
	t.Parallel()
	r := newRig(t, with(rounding, "options: {credit_type: GA2, credit_block: \"08\", credit_reason: \"101\", credit_reference: order}"), fakesap.Options{})
	if _, err := r.create(erptest.Order("ET-1")); err != nil {
		t.Fatal(err)
	}
	m := memo()
	m.All = []erp.OrderRow{{Reference: "1001", Row: row(2, 0, 0, 2)}, {Reference: "1002", Row: row(1, 0, 0, 1)}}
	d, err := r.sap.ReportCreditMemo(t.Context(), erp.Call{}, m)
	if err != nil {
		t.Fatal(err)
	}
	c := r.fake.CreditsOf("C000000045")
	if len(c) != 1 || c[0].Number != d.Number || c[0].Order != "5201" || c[0].Header["CreditMemoRequestType"] != "GA2" || c[0].Header["HeaderBillingBlockReason"] != "08" ||
		c[0].Header["SoldToParty"] != "10100001" || c[0].Items[0]["ReferenceSDDocumentItem"] != "10" {
		t.Errorf("SAP has %+v", c)
	}
	if !r.booked("ET-1").Canceled {
		t.Errorf("the order is not cancelled")
	}
	r.clean()
}

// An answer that does not come in time may have been carried out, and what is committed late is found.
func TestCreate_CommitsLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, file, fakesap.Options{})
	r.fake.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Drop}, Only: fakesap.Writes})
	_, err := r.create(erptest.Order("ET-1"))
	if err == nil || event.IsNotDone(err) {
		t.Errorf("a lost answer: %v", err)
	}
	r.fake.Faults.Set(fault.Plan{})
	if found, err := r.sap.Find(t.Context(), "ET-1"); err != nil || len(found) != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
}
