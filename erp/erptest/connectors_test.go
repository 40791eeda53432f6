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
	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakeerp"
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
func behindTransport(r erptest.Rig) erptest.Rig {
	r.Client = func() (*http.Client, func()) {
		d := downstream.New(downstream.Options{Name: "erp"})
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
`

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
		Close: fake.Close,
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

// A new connector is a line here.
var connectors = []erptest.Connector{
	{Name: "webhook", Open: func() erptest.Rig { return webhookRig(fakeerp.HonoursKeys) }},
	{Name: "webhook in the program", Open: func() erptest.Rig { return behindTransport(webhookRig(fakeerp.HonoursKeys)) }},
	{Name: "webhook of an odd ERP", Open: odd},
	{Name: "webhook without keys", Open: func() erptest.Rig { return webhookRig(fakeerp.Books) }},
	{Name: "businesscentral", Open: businessCentral},
	{Name: "businesscentral in the program", Open: func() erptest.Rig { return behindTransport(businessCentral()) }},
}

func TestConnectors_PassTheSuite(t *testing.T) { erptest.Run(t, connectors...) }
