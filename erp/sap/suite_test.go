package sap_test

import (
	"net/http"
	"testing"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/sap"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakesap"
)

func suiteRig(t *testing.T, text string, knobs func(*fakesap.Server)) erptest.Rig {
	fake := fakesap.New(fakesap.Options{Username: username, Password: password})
	knobs(fake)
	f := parse(t, text)
	return erptest.Rig{
		Handler: fake,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			return sap.New(client, sap.Options{
				URL: url, Username: username, Password: func() string { return password }, Codes: func() *codes.File { return f },
			})
		},
		Close:  fake.Close,
		Writes: fakesap.Writes,
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
		Add:       fake.Book,
		ErrorBody: fakesap.ErrorBody,
		Secrets:   []string{password},
		Refusals: []erptest.Refusal{
			{Status: http.StatusPreconditionFailed, Class: event.Unavailable, NotDone: true},
			{Status: http.StatusPreconditionRequired, Class: event.Unavailable, NotDone: true},
		},
	}
}

func TestSAP_PassesTheSuite(t *testing.T) {
	none := func(*fakesap.Server) {}
	erptest.Run(t,
		erptest.Connector{Name: "sap", Open: func() erptest.Rig { return suiteRig(t, file, none) }},
		erptest.Connector{Name: "sap, odd", Open: func() erptest.Rig {
			return suiteRig(t, file, func(f *fakesap.Server) {
				f.SetAnswers(true, true)
				f.SetCSRFBody("json")
				f.SetPartnerCodes(fakesap.Both)
			})
		}},
	)
}
