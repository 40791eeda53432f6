package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakesap"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

const sapCodes = `
stores: {"*": {sales_organization: "1010", channel: "10", division: "00"}}
payment_methods: {checkmo: "0001"}
shipping_methods: {"*": "01"}
tax: {"19": "1", "7": "2", "0": "0"}
accounts: {guests: "10100001", shipping: FREIGHT, rounding: ZRND}
options: {tax_as: class, shipping_as: line, identification_type: ZSHOP}
`

// sapEnv is an environment in which the ERP is a SAP, with its file of codes.
func sapEnv(t *testing.T, delays ...time.Duration) (e *env.Env, sap *fakesap.Server, codes string) {
	t.Helper()
	e = newEnv(t, delays...)
	sap = fakesap.New(fakesap.Options{Username: "MAGELINE", Password: "sap-Geheim-4718", Client: "100", Seed: seed})
	server := httptest.NewServer(sap)
	t.Cleanup(func() {
		sap.Close()
		server.CloseClientConnections()
		server.Close()
	})
	codes = filepath.Join(t.TempDir(), "codes.yaml")
	write(t, codes, sapCodes)
	e.Set("ERP", "sap", "ERP_URL", "", "ERP_TOKEN", "", "ERP_SECRET", "", "SAP_URL", server.URL, "SAP_USERNAME", "MAGELINE",
		"SAP_PASSWORD", "sap-Geheim-4718", "SAP_CLIENT", "100", "ERP_MAPPING", codes)
	t.Cleanup(func() {
		for reference, n := range sap.Counts() {
			if n != 1 {
				t.Errorf("SAP has %d orders %s", n, reference)
			}
		}
		for problem, n := range sap.Problems() {
			t.Errorf("%d calls of SAP were against its schema or its protocol: %s", n, problem)
		}
	})
	return e, sap, codes
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// inSAP waits until orders are in SAP and Magento is told.
func inSAP(t *testing.T, e *env.Env, sap *fakesap.Server, orders ...fakemagento.Placed) {
	t.Helper()
	patience := env.Patience + time.Duration(len(orders))*250*time.Millisecond
	kit.Eventually(t, patience, func() bool {
		documents, comments := sap.Counts(), e.Shop.CommentCounts("Sales order ")
		for _, o := range orders {
			if documents[o.IncrementID] == 0 || comments[o.IncrementID] == 0 {
				return false
			}
		}
		return true
	}, fmt.Sprintf("%d orders to be in SAP and commented", len(orders)))
}

// Each order is in SAP once, and to the cent, while SAP fails, loses answers, answers late, commits late, ends sessions and has
// documents locked.
func TestSAP_OrdersOnceUnderFaults(t *testing.T) {
	t.Parallel()
	n, err := number("MAGELINE_E2E_SAP", 40)
	if err != nil {
		t.Fatal(err)
	}
	e, sap, _ := sapEnv(t, env.ImpatientDelays()...)
	e.Impatient()
	e.Set("ERP_UNCERTAIN_WAIT", "2s", "ERP_CONCURRENCY", "4") // much longer than anything is carried out late here
	sap.SetSessions(25, 0)
	sap.SetTax(false, "10") // a cent more than Magento
	sap.SetLocked(n/20, "", "")
	sap.Faults.Set(fault.Plan{Chances: []fault.Chance{
		{OneIn: 15, Fault: fault.Fault{Kind: fault.Fail, Status: http.StatusInternalServerError}},
		{OneIn: 25, Fault: fault.Fault{Kind: fault.Drop}},
		{OneIn: 25, Fault: fault.Fault{Kind: fault.Late, After: time.Second}},
		{OneIn: 25, Fault: fault.Fault{Kind: fault.Refuse}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Garble}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Later, After: 300 * time.Millisecond}},
	}})
	e.Run(2)
	var orders []fakemagento.Placed
	for i := range n {
		p := fakemagento.Placing{CustomerID: i % 3}
		orders = append(orders, e.PlaceOne(p))
		if i == n/2 {
			sap.SetBookingTime(600 * time.Millisecond) // longer than mageline waits, shorter than it goes on to ask
			kit.Eventually(t, env.Patience, func() bool { return sap.Faults.Count(fault.Drop) > 0 }, "a lost answer")
			sap.SetBookingTime(0)
		}
	}
	inSAP(t, e, sap, orders...)
	sap.Faults.Set(fault.Plan{})
	e.Finish()
	for _, d := range sap.Documents() {
		if want := grandTotal(t, e, d.Reference, orders); !d.Gross.Equal(want) {
			t.Errorf("order %s comes to %s in SAP, and to %s in Magento", d.Reference, d.Gross, want)
		}
	}
	if customers := len(sap.Partners()); customers != 2 {
		t.Errorf("SAP has %d customers, want 2", customers)
	}
	t.Logf("of %d orders: %d calls failed, %d answers were lost, %d late, %d calls carried out late; %v", n, sap.Faults.Count(fault.Fail), sap.Faults.Count(fault.Drop),
		sap.Faults.Count(fault.Late), sap.Faults.Count(fault.Later), sap.Changes())
}

// A code that the file lacks makes a dead letter with the line to add. Added and replayed, the order goes out, without a
// restart; and what is cancelled of it is cancelled there.
func TestSAP_MissingCodeIsAddedAndReplayed(t *testing.T) {
	t.Parallel()
	e, sap, codes := sapEnv(t, 200*time.Millisecond, time.Second)
	r := e.Start().AwaitReady()
	o := e.PlaceOne(fakemagento.Placing{Method: "banktransfer"})
	e.AwaitLetters("order_placed", 1)
	out, _ := e.Call("dlq", "list", e.DeadLetters("order_placed"))
	if !strings.Contains(out, `under payment_methods, the line banktransfer: "…"`) {
		t.Errorf("the letter does not say which line to add: %s", out)
	}
	write(t, codes, "payment_methods: [")
	says := func(broken bool) {
		t.Helper()
		r.AwaitSaying(fmt.Sprintf("the file of codes is broken: %t", broken), func(_ int, page replica.Readiness) bool {
			return strings.Contains(strings.Join(page.Problems, " "), "file of codes") == broken
		})
	}
	says(true)
	write(t, codes, strings.Replace(sapCodes, `{checkmo: "0001"}`, `{checkmo: "0001", banktransfer: "0002"}`, 1))
	says(false)
	if out, code := e.Call("--replay-dlq", e.DeadLetters("order_placed"), "--yes"); code != 0 {
		t.Fatalf("the replay: %s", out)
	}
	inSAP(t, e, sap, o)
	if got := sap.DocumentsOf(o.IncrementID)[0].Header["CustomerPaymentTerms"]; got != "0002" {
		t.Errorf("the terms of payment are %v", got)
	}
	e.Shop.Cancel(o.EntityID)
	e.Publish(env.TopicCanceled, env.Body(o, 0))
	kit.Eventually(t, env.Patience, func() bool { return sap.DocumentsOf(o.IncrementID)[0].Canceled }, "the order to be cancelled in SAP")
	if out := e.MustCall("check"); !strings.Contains(out, "ERP look-up by external reference") {
		t.Errorf("check says: %s", out)
	}
	e.Finish()
}

// grandTotal is what an order comes to in Magento.
func grandTotal(t *testing.T, e *env.Env, number string, orders []fakemagento.Placed) decimal.Decimal {
	t.Helper()
	for _, o := range orders {
		if o.IncrementID != number {
			continue
		}
		var document struct {
			GrandTotal decimal.Decimal `json:"grand_total"`
		}
		if err := json.Unmarshal(e.Shop.Order(o.EntityID), &document); err != nil {
			t.Fatal(err)
		}
		return document.GrandTotal
	}
	t.Fatalf("nobody has placed order %s", number)
	return decimal.Zero
}

// What follows an order reaches SAP once each, though answers are lost and replicas are killed: a shipment as a posted delivery, a
// refund of the whole as a credit memo request that leaves nothing to be shipped, and a customer with the shop's id.
func TestSAP_WhatFollowsAnOrder(t *testing.T) {
	t.Parallel()
	e, sap, codes := sapEnv(t, env.ImpatientDelays()...)
	write(t, codes, strings.Replace(sapCodes, "options: {", "options: {delivery: on, ", 1))
	e.Impatient()
	r := e.Start().AwaitReady()
	shipped, refunded := e.PlaceOne(fakemagento.Placing{}), e.PlaceOne(fakemagento.Placing{})
	inSAP(t, e, sap, shipped, refunded)
	customer, err := e.Shop.AddCustomer([]byte(`{"email":"ada@example.com","firstname":"Ada","lastname":"Byron","group_id":1,"website_id":1,"store_id":1,
		"addresses":[{"firstname":"Ada","lastname":"Byron","street":["Main St 1"],"city":"Berlin","postcode":"10115","country_id":"DE","telephone":"1","default_billing":true}]}`), "Passw0rd!")
	if err != nil {
		t.Fatal(err)
	}
	e.Shop.Invoice(refunded.EntityID)
	shipment, memo := e.Shop.Ship(shipped.EntityID, nil), e.Shop.Refund(refunded.EntityID)
	follow := func() {
		e.Publish("sales.shipment.created", fmt.Sprintf(`{"entity_id":%d}`, shipment))
		e.Publish("sales.creditmemo.created", fmt.Sprintf(`{"entity_id":%d}`, memo))
		e.Publish("customer.saved", fmt.Sprintf(`{"id":%d}`, customer))
	}
	// Each create is carried out and its answer lost; then the process dies in the middle of what is left.
	sap.Faults.Set(fault.Plan{Only: func(r *http.Request) bool { return r.Method == http.MethodPost }})
	sap.Faults.Next(fault.Fault{Kind: fault.Drop}, fault.Fault{Kind: fault.Drop}, fault.Fault{Kind: fault.Drop})
	follow()
	kit.Eventually(t, env.Patience, func() bool { return sap.Faults.Count(fault.Drop) == 3 }, "three lost answers")
	r.Kill()
	e.Start().AwaitReady()
	follow() // once more, as a publisher that is not sure does
	document := func(o fakemagento.Placed) fakesap.Document { return sap.DocumentsOf(o.IncrementID)[0] }
	kit.Eventually(t, env.Patience, func() bool {
		deliveries, partners := sap.DeliveriesOf(document(shipped).Number), sap.Partners()
		return len(deliveries) == 1 && deliveries[0].Posted && document(refunded).Canceled && len(partners) == 1 && partners[0].IDs["ZSHOP"] == fmt.Sprintf("C%d", customer)
	}, "a posted delivery, a cancelled order and a customer in SAP")
	e.Finish()
	changes := sap.Changes()
	for _, change := range []string{"POST A_OutbDeliveryHeader", "POST A_CreditMemoRequest", "POST A_BusinessPartner"} {
		if changes[change] != 1 {
			t.Errorf("%s: %d times, want once", change, changes[change])
		}
	}
	if len(sap.DeliveriesOf(document(shipped).Number)) != 1 || len(sap.Partners()) != 1 {
		t.Errorf("SAP has %d deliveries and %d customers", len(sap.DeliveriesOf(document(shipped).Number)), len(sap.Partners()))
	}
	t.Logf("changes of SAP: %v", changes)
}
