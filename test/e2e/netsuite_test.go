package e2e

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
	"github.com/mageline/mageline/test/kit/fault"
)

const netSuiteCodes = `
shipping_methods: {"*": "5"}
accounts: {guests: "9000", shipping: SHIPPING, rounding: ROUNDING}
`

// netSuiteEnv is an environment in which the ERP is NetSuite, with its file of codes, which has no codes of tax.
func netSuiteEnv(t *testing.T, delays ...time.Duration) (e *env.Env, fake *fakenetsuite.Server, codes string) {
	t.Helper()
	e = newEnv(t, delays...)
	fake = fakenetsuite.New(fakenetsuite.Options{Seed: seed})
	server := httptest.NewServer(fake)
	t.Cleanup(func() {
		fake.Close()
		server.CloseClientConnections()
		server.Close()
	})
	codes, key := filepath.Join(t.TempDir(), "codes.yaml"), filepath.Join(t.TempDir(), "netsuite.key")
	write(t, codes, netSuiteCodes)
	write(t, key, fake.Tokens.PrivateKey())
	e.Set("ERP", "netsuite", "ERP_URL", "", "ERP_TOKEN", "", "ERP_SECRET", "", "ERP_NAME", "", "ERP_MAPPING", codes, "NETSUITE_URL", server.URL,
		"NETSUITE_CLIENT_ID", fakenetsuite.ClientID, "NETSUITE_CERTIFICATE_ID", fakenetsuite.CertificateID, "NETSUITE_PRIVATE_KEY_FILE", key)
	t.Cleanup(func() {
		for reference, n := range fake.Counts() {
			if n != 1 {
				t.Errorf("NetSuite has %d orders %s", n, reference)
			}
		}
		for problem, n := range fake.Problems() {
			t.Errorf("%d calls of NetSuite: %s", n, problem)
		}
	})
	return e, fake, codes
}

// The whole program with ERP=netsuite: an order whose code is missing is a dead letter with the line to add, and ends well when the
// line is there; orders survive lost answers and a killed process, once and to the cent; what follows an order is there once.
func TestNetSuite_FromEndToEnd(t *testing.T) {
	t.Parallel()
	e, fake, codes := netSuiteEnv(t, 200*time.Millisecond, time.Second, time.Second, time.Second, 2*time.Second, 2*time.Second)
	e.Impatient()
	e.Set("ERP_UNCERTAIN_WAIT", "1s")
	r := e.Start().AwaitReady()
	first := e.PlaceOne(fakemagento.Placing{})
	e.AwaitLetters("order_placed", 1)
	if out, _ := e.Call("dlq", "list", e.DeadLetters("order_placed")); !strings.Contains(out, "under tax") {
		t.Errorf("the letter does not have the line to add: %s", out)
	}
	write(t, codes, "tax: {\"*\": \"119\"}\n"+netSuiteCodes)
	r.Kill()
	r = e.Start().AwaitReady()
	if out, code := e.Call("--replay-dlq", e.DeadLetters("order_placed"), "--yes"); code != 0 {
		t.Fatalf("the replay ends with %d: %s", code, out)
	}

	customer, err := e.Shop.AddCustomer([]byte(`{"email":"vesna@fixture.example","firstname":"Vesna","lastname":"Testperson","website_id":1,"group_id":1}`), "Geheim-4718")
	if err != nil {
		t.Fatal(err)
	}
	fake.Faults.Next(fault.Fault{Kind: fault.Drop}, fault.Fault{Kind: fault.Fail, Status: 500}, fault.Fault{Kind: fault.Garble})
	orders := append(e.Place(6, fakemagento.Placing{CustomerID: customer}), first)
	kit.Eventually(t, env.Patience, func() bool { return len(fake.Counts()) > 1 }, "an order in NetSuite")
	r.Kill()
	e.Start().AwaitReady()
	kit.Eventually(t, env.Patience, func() bool { return len(fake.Counts()) == len(orders) && e.Commented(orders...) == len(orders) }, "each order is in NetSuite and has its comment")
	for _, o := range orders {
		if d, want := fake.Orders(o.IncrementID)[0], grandTotal(t, e, o.IncrementID, orders); !d.Total.Equal(want) {
			t.Errorf("order %s comes to %s, and to %s in Magento", o.IncrementID, d.Total, want)
		}
	}

	// What follows, with a lost answer in between.
	fake.Faults.Next(fault.Fault{Kind: fault.Drop})
	shipped, canceled := orders[1], orders[0]
	e.Shop.Cancel(canceled.EntityID)
	e.Publish(env.TopicCanceled, env.Body(canceled, 0))
	e.Publish("sales.shipment.created", fmt.Sprintf(`{"entity_id":%d}`, e.Shop.Ship(shipped.EntityID, nil)))
	number := fake.Orders(shipped.IncrementID)[0].Number
	kit.Eventually(t, env.Patience, func() bool { return fake.FulfilmentsOf(number) == 1 }, "the shipment is in NetSuite")
	e.Shop.Invoice(shipped.EntityID)
	e.Publish("sales.creditmemo.created", fmt.Sprintf(`{"entity_id":%d}`, e.Shop.Refund(shipped.EntityID)))
	e.Publish("customer.saved", fmt.Sprintf(`{"id":%d}`, customer))
	kit.Eventually(t, env.Patience, func() bool {
		return fake.Orders(canceled.IncrementID)[0].Status == "H" && len(fake.AllCreditMemos()) == 1
	}, "the cancellation and the credit memo are in NetSuite")
	kit.Eventually(t, env.Patience, e.Empty, "empty queues")
	if memo, want := fake.AllCreditMemos()[0], grandTotal(t, e, shipped.IncrementID, orders); !memo.Total.Equal(want) {
		t.Errorf("the credit memo comes to %s, and to %s in Magento", memo.Total, want)
	}
	if n := fake.FulfilmentsOf(number); n != 1 {
		t.Errorf("there are %d fulfilments of the shipment", n)
	}
	all := fake.Customers()
	if len(all) != 1 || all[0].Reference != fmt.Sprint("C", customer) || all[0].Values["lastName"] != "Testperson" || fake.Orders(shipped.IncrementID)[0].Entity != all[0].ID {
		t.Errorf("the customers are %+v", all)
	}
	if out, _ := e.Call("check"); !strings.Contains(out, "OK ERP look-up by external reference") || !strings.Contains(out, "NetSuite certificate") {
		t.Errorf("check says: %s", out)
	}
	e.Finish()
}
