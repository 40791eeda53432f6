package erptest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/businesscentral"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/finops"
	"github.com/mageline/mageline/erp/netsuite"
	"github.com/mageline/mageline/erp/sap"
	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakefinops"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
	"github.com/mageline/mageline/test/kit/fakesap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token  = "s3cr3t-t0ken-of-the-erp"
	secret = "s3cr3t-that-signs"
)

// webhookRig is a new fake of a shop's adapter, with the connector to it.
func webhookRig(mode fakeerp.Mode) erptest.Rig {
	rig := rigOf(fakeerp.New(fakeerp.Options{Mode: mode, Token: token, Secret: secret}))
	rig.HonoursKeys = mode == fakeerp.HonoursKeys
	if !rig.HonoursKeys { // what is reported is not looked up: the key alone keeps it from being booked twice
		rig.Reported = nil
	}
	return rig
}

func rigOf(fake *fakeerp.Server) erptest.Rig {
	return erptest.Rig{
		Handler: fake,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			return webhook.New(client, webhook.Options{
				URL: url, Token: func() string { return token }, Secret: func() string { return secret },
			})
		},
		Close: fake.Close,
		Books: func(reference string) []erptest.Booked {
			var books []erptest.Booked
			for _, d := range fake.DocumentsOf(reference) {
				books = append(books, booked(d))
			}
			return books
		},
		Add: fake.Book,
		Reported: func(kind erptest.Kind, reference, _ string) (found erptest.Reported) {
			for _, r := range fake.Reports(string(kind)) {
				var body struct{ Totals erp.Totals }
				_ = json.Unmarshal(r.Body, &body)
				switch {
				case kind == erptest.Customers && "C"+r.Reference == reference: // a PUT may be repeated
					found.Count = 1
				case r.Reference == reference:
					found.Count, found.Total = found.Count+1, body.Totals.GrandTotal.String()
				}
			}
			return found
		},
		ErrorBody: func(message string) string {
			body, _ := json.Marshal(map[string]string{"message": message})
			return string(body)
		},
		Secrets: []string{token, secret},
	}
}

func booked(d fakeerp.Document) erptest.Booked {
	b := erptest.Booked{Number: d.Number, Canceled: d.Canceled, Taken: map[string]string{}}
	for _, c := range d.Cancellations {
		for _, l := range c.Lines {
			before, _ := decimal.NewFromString(b.Taken[l.Reference])
			quantity, _ := decimal.NewFromString(l.Quantity)
			b.Taken[l.Reference] = before.Add(quantity).String()
		}
	}
	return b
}

// behindTransport is a rig whose requests go through the transport that the program uses, without its circuit.
func behindTransport(r erptest.Rig, classify func(event.Answer, event.Subject) event.Subject) erptest.Rig {
	r.Client = func() (*http.Client, func()) {
		d := downstream.New(downstream.Options{Name: "erp", Classify: classify})
		return d.Client(), d.Close
	}
	return r
}

// odd is the webhook of an adapter that counts without letters, whose clock is off, and that knows orders by their reference.
func odd() erptest.Rig {
	fake := fakeerp.New(fakeerp.Options{Mode: fakeerp.Conflicts, Token: token, Secret: secret})
	fake.SetNumbers(true)
	fake.SetClock(-time.Hour)
	rig := rigOf(fake)
	rig.Reported = nil // it does not look at keys
	books, add := rig.Books, rig.Add
	plain := func(number string) string { return strings.TrimPrefix(number, "SO-") }
	rig.Books = func(reference string) []erptest.Booked {
		all := books(reference)
		for i := range all {
			all[i].Number = plain(all[i].Number)
		}
		return all
	}
	rig.Add = func(reference string) string { return plain(add(reference)) }
	return rig
}

const businessCentralCodes = `
tax: {"19": STANDARD, "7": REDUCED, "0": ZERO}
units: {"*": PCS}
accounts: {guests: GUESTS, shipping: "8400", gift_card: "8410", store_credit: "8420", reward_points: "8430", gift_wrap: "8440", weee: "8450", fee: "8460", rounding: "8470"}
options: {customers: number, shipment: post}
`

// guests places the orders of the suite as a guest, so that each is one document in one request though customers are kept.
func guests(reference string) erp.SalesOrder {
	o := erptest.Order(reference)
	guest := true
	o.Customer.ID, o.Customer.Guest = nil, &guest
	return o
}

// businessCentral is a new company of Business Central.
func businessCentral() erptest.Rig {
	fake := fakebusinesscentral.New(fakebusinesscentral.Options{})
	file, err := codes.Parse("codes.yaml", "businesscentral", []byte(businessCentralCodes))
	if err != nil {
		panic(err)
	}
	return erptest.Rig{
		Handler: fake,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			return businesscentral.New(client, businesscentral.Options{
				URL: url + fakebusinesscentral.Base, Company: fakebusinesscentral.CompanyName,
				TokenURL: url + fakebusinesscentral.TokenPath, ClientID: fakebusinesscentral.ClientID,
				ClientSecret: func() string { return fakebusinesscentral.ClientSecret },
				Codes:        func() *codes.File { return file },
			})
		},
		Close: fake.Close, Order: guests,
		Reported: func(kind erptest.Kind, reference, document string) (found erptest.Reported) {
			switch kind {
			case erptest.Shipments:
				found.Count = fake.Shipments(document)
			case erptest.CreditMemos:
				for _, m := range fake.CreditMemos(reference) {
					found.Count, found.Total = found.Count+1, m.Total.String()
				}
			case erptest.Customers:
				found.Count = min(1, len(fake.Customer(reference)))
			}
			return found
		},
		Books: func(reference string) []erptest.Booked {
			var books []erptest.Booked
			for _, d := range fake.Orders(reference) {
				b := erptest.Booked{Number: d.Number, Canceled: d.Deleted, Taken: map[string]string{}}
				for _, l := range d.Lines {
					if taken := l.First.Sub(l.Quantity); l.Reference != "" && taken.IsPositive() {
						b.Taken[l.Reference] = taken.String()
					}
				}
				books = append(books, b)
			}
			return books
		},
		Add: fake.Book,
		Writes: func(r *http.Request) bool {
			return r.Method != http.MethodGet && r.URL.Path != fakebusinesscentral.TokenPath
		},
		ErrorBody: func(message string) string {
			body, _ := json.Marshal(map[string]any{"error": map[string]string{"code": "Application_DialogException", "message": message}})
			return string(body)
		},
		Secrets: []string{fakebusinesscentral.ClientSecret},
		Refusals: []erptest.Refusal{
			{Status: 409, Class: event.Unavailable},
			{Status: 409, Body: `{"error":{"code":"Request_EntityChanged","message":"Another user has already changed the record."}}`, Class: event.Unavailable, NotDone: true},
			{Status: 412, Class: event.Unavailable, NotDone: true},
		},
	}
}

const finopsCodes = `
stores: {"*": {site: "1", warehouse: "11"}}
tax: {"19": FULL, "7": RED, "0": ZERO}
accounts: {guests: GUESTS, shipping: FREIGHT, rounding: ROUND}
customer_groups: {"*": {customer_group: "80"}}
options: {customers: number, shipment: deliver_now}
`

// financeAndOperations is a new environment of Finance & Operations.
func financeAndOperations() erptest.Rig {
	fake := fakefinops.New(fakefinops.Options{})
	file, err := codes.Parse("codes.yaml", "finops", []byte(finopsCodes))
	if err != nil {
		panic(err)
	}
	return erptest.Rig{
		Handler: fake, Close: fake.Close, Add: fake.Book, Order: guests,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			return finops.New(client, finops.Options{
				URL: url, Company: fakefinops.Company, TokenURL: url + fakefinops.TokenPath, ClientID: fakefinops.ClientID, Scope: fakefinops.Scope,
				ClientSecret: func() string { return fakefinops.ClientSecret }, Codes: func() *codes.File { return file },
			})
		},
		Reported: func(kind erptest.Kind, reference, _ string) (found erptest.Reported) {
			switch kind {
			case erptest.Shipments:
				for _, d := range fake.Orders("ET-1") {
					if d.Lines[0].DeliverNow.Equal(decimal.NewFromInt(2)) && d.Lines[1].DeliverNow.Equal(decimal.NewFromInt(1)) {
						found.Count++
					}
				}
			case erptest.CreditMemos:
				for _, d := range fake.Orders(reference) {
					found.Count, found.Total = found.Count+1, d.Total.Neg().String()
				}
			case erptest.Customers:
				found.Count = min(1, len(fake.Customer(reference)))
			}
			return found
		},
		Books: func(reference string) []erptest.Booked {
			var books []erptest.Booked
			for _, d := range fake.Orders(reference) {
				b := erptest.Booked{Number: d.Number, Canceled: d.Deleted, Taken: map[string]string{}}
				for _, l := range d.Lines {
					taken := l.First.Sub(l.Quantity)
					if l.Deleted {
						taken = l.First
					}
					if taken.IsPositive() {
						b.Taken[l.Reference] = taken.String()
					}
				}
				books = append(books, b)
			}
			return books
		},
		Writes: func(r *http.Request) bool { return r.Method != http.MethodGet && r.URL.Path != fakefinops.TokenPath },
		ErrorBody: func(message string) string {
			body, _ := json.Marshal(map[string]any{"error": map[string]any{"code": "", "message": "An error has occurred.", "innererror": map[string]string{"message": message}}})
			return string(body)
		},
		Secrets:  []string{fakefinops.ClientSecret},
		Refusals: []erptest.Refusal{{Status: http.StatusPreconditionFailed, Class: event.Unavailable, NotDone: true}},
	}
}

const (
	sapPassword = "s3cr3t-of-the-user"
	sapCodes    = `
stores: {"*": {sales_organization: "1010", channel: "10", division: "00", currency: EUR, payment_terms: "0001"}}
payment_methods: {checkmo: "0001", "*": "0002"}
shipping_methods: {"*": "01"}
tax: {"19": "1", "7": "2", "0": "0"}
accounts: {guests: "10100001", shipping: HD00}
options: {identification_type: ZSHOP, delivery: on}
`
)

// sapWith is a new SAP whose behaviour knobs change.
func sapWith(knobs func(*fakesap.Server)) erptest.Rig {
	fake := fakesap.New(fakesap.Options{Username: "MAGELINE", Password: sapPassword})
	knobs(fake)
	file, err := codes.Parse("codes.yaml", "sap", []byte(sapCodes))
	if err != nil {
		panic(err)
	}
	return erptest.Rig{
		Handler: fake, Close: fake.Close, Add: fake.Book, Order: guests, Writes: fakesap.Writes, ErrorBody: fakesap.ErrorBody,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			return sap.New(client, sap.Options{
				URL: url, Username: "MAGELINE", Password: func() string { return sapPassword }, Codes: func() *codes.File { return file },
			})
		},
		Reported: func(kind erptest.Kind, reference, document string) (found erptest.Reported) {
			switch kind {
			case erptest.Shipments:
				for _, d := range fake.DeliveriesOf(document) {
					if d.Posted {
						found.Count++
					}
				}
			case erptest.CreditMemos:
				for _, m := range fake.CreditsOf(reference) {
					found.Count, found.Total = found.Count+1, m.Net.Add(m.Tax).String()
				}
			case erptest.Customers:
				for _, p := range fake.Partners() {
					if p.IDs["ZSHOP"] == reference {
						found.Count++
					}
				}
			}
			return found
		},
		Books: func(reference string) []erptest.Booked {
			var books []erptest.Booked
			for _, d := range fake.DocumentsOf(reference) {
				b := erptest.Booked{Number: d.Number, Canceled: d.Canceled, Taken: map[string]string{}}
				for _, i := range d.Items {
					if taken := i.Taken(); taken.IsPositive() {
						b.Taken[i.Reference] = taken.String()
					}
				}
				books = append(books, b)
			}
			return books
		},
		Secrets: []string{sapPassword},
		Refusals: []erptest.Refusal{
			{Status: http.StatusPreconditionFailed, Class: event.Unavailable, NotDone: true},
			{Status: http.StatusPreconditionRequired, Class: event.Unavailable, NotDone: true},
		},
	}
}

const netSuiteCodes = `
tax: {"19": "119", "7": "107", "0": "100"}
shipping_methods: {"*": "5"}
accounts: {guests: "9000", shipping: ACCOUNT-SHIP, gift_card: ACCOUNT-GIFT, store_credit: ACCOUNT-CREDIT, reward_points: ACCOUNT-POINTS, gift_wrap: ACCOUNT-WRAP, weee: ACCOUNT-WEEE, fee: ACCOUNT-FEE, rounding: ACCOUNT-ROUND}
`

// netSuite is a new account of NetSuite.
func netSuite(tokenBased bool) erptest.Rig {
	fake := fakenetsuite.New(fakenetsuite.Options{TokenBased: tokenBased})
	file, err := codes.Parse("codes.yaml", "netsuite", []byte(netSuiteCodes))
	if err != nil {
		panic(err)
	}
	value := func(s string) func() string { return func() string { return s } }
	o := netsuite.Options{
		ClientID: fakenetsuite.ClientID, CertificateID: fakenetsuite.CertificateID, PrivateKey: fake.Tokens.PrivateKey, Codes: func() *codes.File { return file },
	}
	secrets := []string{}
	if tokenBased {
		o.Token = &netsuite.TokenBased{
			Account: fakenetsuite.Account, ConsumerKey: value(fakenetsuite.ConsumerKey), ConsumerSecret: value(fakenetsuite.ConsumerSecret),
			TokenID: value(fakenetsuite.TokenID), TokenSecret: value(fakenetsuite.TokenSecret),
		}
		secrets = []string{fakenetsuite.ConsumerSecret, fakenetsuite.TokenSecret, fakenetsuite.TokenID, fakenetsuite.ConsumerKey}
	}
	return erptest.Rig{
		Handler: fake,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			own := o
			own.URL = url
			return netsuite.New(client, own)
		},
		Close: fake.Close,
		Books: func(reference string) []erptest.Booked {
			var books []erptest.Booked
			for _, d := range fake.Orders(reference) {
				b := erptest.Booked{Number: d.Number, Canceled: d.Status == "H", Taken: map[string]string{}}
				for _, l := range d.Lines {
					left := l.Quantity
					if l.Closed {
						left = l.Fulfilled
					}
					if of, ok := strings.CutPrefix(l.Reference, "L"); ok && l.First.GreaterThan(left) {
						b.Taken[of] = l.First.Sub(left).String()
					}
				}
				books = append(books, b)
			}
			return books
		},
		Add:   fake.Book,
		Order: guests,
		Reported: func(kind erptest.Kind, reference, document string) (found erptest.Reported) {
			switch kind {
			case erptest.Shipments:
				found.Count = fake.FulfilmentsOf(document)
			case erptest.CreditMemos:
				for _, m := range fake.CreditMemos(reference) {
					found.Count, found.Total = found.Count+1, m.Total.String()
				}
			case erptest.Customers:
				for _, c := range fake.Customers() {
					if c.Reference == reference {
						found.Count++
					}
				}
			}
			return found
		},
		Writes: func(r *http.Request) bool {
			return r.Method != http.MethodGet && strings.HasPrefix(r.URL.Path, fakenetsuite.RecordPath)
		},
		ErrorBody: func(message string) string {
			body, _ := json.Marshal(map[string]any{"title": "x", "o:errorDetails": []map[string]string{{"detail": message, "o:errorCode": "USER_ERROR"}}})
			return string(body)
		},
		Secrets:  secrets,
		Refusals: []erptest.Refusal{{Status: 409, Class: event.Unavailable, NotDone: true}},
		Unique:   true,
	}
}

// A new connector is a line here.
var connectors = []erptest.Connector{
	{Name: "webhook", Open: func() erptest.Rig { return webhookRig(fakeerp.HonoursKeys) }},
	{Name: "webhook in the program", Open: func() erptest.Rig { return behindTransport(webhookRig(fakeerp.HonoursKeys), nil) }},
	{Name: "webhook of an odd ERP", Open: odd},
	{Name: "webhook without keys", Open: func() erptest.Rig { return webhookRig(fakeerp.Books) }},
	{Name: "sap", Open: func() erptest.Rig { return sapWith(func(*fakesap.Server) {}) }},
	{Name: "sap, odd", Open: func() erptest.Rig {
		return sapWith(func(f *fakesap.Server) {
			f.SetAnswers(true, true)
			f.SetCSRFBody("json")
			f.SetPartnerCodes(fakesap.Both)
		})
	}},
	{Name: "businesscentral", Open: businessCentral},
	{Name: "businesscentral in the program", Open: func() erptest.Rig { return behindTransport(businessCentral(), businesscentral.Dialect.Subject) }},
	{Name: "netsuite in the program", Open: func() erptest.Rig { return behindTransport(netSuite(false), netsuite.Dialect.Subject) }},
	{Name: "netsuite, token-based", Open: func() erptest.Rig { return netSuite(true) }},
	{Name: "finops", Open: financeAndOperations},
	{Name: "finops in the program", Open: func() erptest.Rig { return behindTransport(financeAndOperations(), finops.Dialect.Subject) }},
}

func TestConnectors_PassTheSuite(t *testing.T) { erptest.Run(t, connectors...) }
