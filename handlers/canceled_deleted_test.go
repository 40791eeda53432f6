package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mageline/mageline/erp/businesscentral"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Business Central cancels by deleting. Of a deletion whose answer was lost nothing is left to be found, and the cancellation
// ends well all the same, once.
func TestCanceled_DeletedByAnAttemptWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	fake := fakebusinesscentral.New(fakebusinesscentral.Options{})
	server := httptest.NewServer(fake)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); fake.Close(); server.Close() })
	file, err := codes.Parse("codes.yaml", "businesscentral", []byte(`
tax: {"*": STANDARD}
accounts: {guests: GUESTS, shipping: "8400", rounding: "8470"}
`))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := businesscentral.New(&http.Client{Transport: transport}, businesscentral.Options{
		URL: server.URL + fakebusinesscentral.Base, Company: fakebusinesscentral.CompanyID, TokenURL: server.URL + fakebusinesscentral.TokenPath,
		ClientID: fakebusinesscentral.ClientID, ClientSecret: func() string { return fakebusinesscentral.ClientSecret },
		Codes: func() *codes.File { return file },
	})
	if err != nil {
		t.Fatal(err)
	}
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	placed, canceled := r.placedOn(r.ledger), r.canceledOn(r.ledger)
	placed.ERP, canceled.ERP = connector, connector
	outcome, err := r.handle(placed, number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.shop.Cancel(p.EntityID)

	fake.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Drop}, Only: func(r *http.Request) bool { return r.Method == http.MethodDelete }})
	_, err = r.handle(canceled, number(p.IncrementID))
	isClass(t, err, event.Unavailable)
	if d := fake.Orders(p.IncrementID); len(d) != 1 || !d[0].Deleted {
		t.Fatalf("the order is not deleted: %+v", d)
	}
	fake.Faults.Set(fault.Plan{})
	outcome, err = r.handle(canceled, number(p.IncrementID), repeated)
	isOutcome(t, outcome, err, event.Done)
	outcome, err = r.handle(canceled, number(p.IncrementID), repeated)
	isOutcome(t, outcome, err, event.Duplicate)
}
