package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakefinops"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// dynamics is one of Microsoft's ERPs for the whole program.
type dynamics struct {
	handler http.Handler
	close   func()
	faults  *fault.Injector
	vars    func(url string) []string
	// codes is the file of codes but for tax, and tax the line that it lacks.
	codes, tax string
	orders     func(reference string) []dynamicsOrder
	problems   func() map[string]int
}

type dynamicsOrder struct {
	number  string
	total   decimal.Decimal
	deleted bool
}

func businessCentral() dynamics {
	fake := fakebusinesscentral.New(fakebusinesscentral.Options{Seed: seed})
	return dynamics{
		handler: fake, close: fake.Close, faults: fake.Faults, problems: fake.Problems,
		vars: func(url string) []string {
			return []string{
				"ERP", "businesscentral", "BUSINESSCENTRAL_URL", url + fakebusinesscentral.Base, "BUSINESSCENTRAL_COMPANY", fakebusinesscentral.CompanyName,
				"BUSINESSCENTRAL_TOKEN_URL", url + fakebusinesscentral.TokenPath, "BUSINESSCENTRAL_CLIENT_ID", fakebusinesscentral.ClientID,
				"BUSINESSCENTRAL_CLIENT_SECRET", fakebusinesscentral.ClientSecret,
			}
		},
		codes: "units: {\"*\": PCS}\naccounts: {guests: GUESTS, shipping: \"8400\", rounding: \"8470\"}\n", tax: "tax: {\"*\": STANDARD}\n",
		orders: func(reference string) (all []dynamicsOrder) {
			for _, d := range fake.Orders(reference) {
				all = append(all, dynamicsOrder{d.Number, d.Total, d.Deleted})
			}
			return all
		},
	}
}

func finops() dynamics {
	fake := fakefinops.New(fakefinops.Options{Seed: seed})
	return dynamics{
		handler: fake, close: fake.Close, faults: fake.Faults, problems: fake.Problems,
		vars: func(url string) []string {
			return []string{
				"ERP", "finops", "FINOPS_URL", url, "FINOPS_COMPANY", fakefinops.Company, "FINOPS_TOKEN_URL", url + fakefinops.TokenPath, "FINOPS_SCOPE", fakefinops.Scope,
				"FINOPS_CLIENT_ID", fakefinops.ClientID, "FINOPS_CLIENT_SECRET", fakefinops.ClientSecret,
			}
		},
		codes: "stores: {\"*\": {site: \"1\", warehouse: \"11\"}}\naccounts: {guests: GUESTS, shipping: FREIGHT, rounding: ROUND}\n", tax: "tax: {\"*\": FULL}\n",
		orders: func(reference string) (all []dynamicsOrder) {
			for _, d := range fake.Orders(reference) {
				all = append(all, dynamicsOrder{d.Number, d.Total, d.Deleted})
			}
			return all
		},
	}
}

// The whole program with each of Microsoft's ERPs: an order whose code is missing is a dead letter with the line to add, and ends
// well when the line is there; orders survive lost answers and a killed process, once and to the cent; a cancellation deletes.
func TestDynamics_OrdersFromEndToEnd(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() dynamics{"businesscentral": businessCentral, "finops": finops} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ordersFromEndToEnd(t, open())
		})
	}
}

func ordersFromEndToEnd(t *testing.T, erp dynamics) {
	t.Helper()
	e := newEnv(t, 200*time.Millisecond, time.Second, time.Second, time.Second, 2*time.Second, 2*time.Second).Impatient()
	server := httptest.NewServer(erp.handler)
	t.Cleanup(func() { erp.close(); server.CloseClientConnections(); server.Close() })
	codes := filepath.Join(t.TempDir(), "codes.yaml")
	write(t, codes, erp.codes)
	e.Set("ERP_URL", "", "ERP_MAPPING", codes, "ERP_NAME", "")
	e.Set(erp.vars(server.URL)...)
	r := e.Start().AwaitReady()

	first := e.Shop.PlaceOrder(fakemagento.Placing{})
	e.Publish("sales.order.placed", env.Body(first, 0))
	e.AwaitLetters("order_placed", 1)
	if out, _ := e.Call("dlq", "list", e.DeadLetters("order_placed")); !strings.Contains(out, "under tax") {
		t.Errorf("the letter does not have the line to add: %s", out)
	}
	write(t, codes, erp.tax+erp.codes)
	r.Kill()
	r = e.Start().AwaitReady()
	if out, code := e.Call("--replay-dlq", e.DeadLetters("order_placed"), "--yes"); code != 0 {
		t.Fatalf("the replay ends with %d: %s", code, out)
	}

	erp.faults.Next(fault.Fault{Kind: fault.Drop}, fault.Fault{Kind: fault.Fail, Status: 500}, fault.Fault{Kind: fault.Garble})
	orders := append(e.Place(8, fakemagento.Placing{}), first)
	for _, o := range orders[:8] {
		e.Publish("sales.order.placed", env.Body(o, 0))
	}
	booked := func(o fakemagento.Placed) bool { return len(erp.orders(o.IncrementID)) > 0 }
	kit.Eventually(t, env.Patience, func() bool { return booked(orders[0]) || booked(orders[1]) }, "an order in the ERP")
	r.Kill()
	e.Start().AwaitReady()
	commented := func() bool {
		counts := e.Shop.CommentCounts("Sales order ")
		for _, o := range orders {
			if counts[o.IncrementID] != 1 {
				return false
			}
		}
		return true
	}
	kit.Eventually(t, env.Patience, commented, "each order is in the ERP and has its comment")
	for _, o := range orders {
		all := erp.orders(o.IncrementID)
		if len(all) != 1 {
			t.Fatalf("order %s is there %d times", o.IncrementID, len(all))
		}
		var order struct {
			GrandTotal decimal.Decimal `json:"grand_total"`
		}
		if err := json.Unmarshal(e.Shop.Order(o.EntityID), &order); err != nil {
			t.Fatal(err)
		}
		if total := all[0].total; !total.Equal(order.GrandTotal) {
			t.Errorf("order %s comes to %s, and to %s in Magento", o.IncrementID, total, order.GrandTotal)
		}
	}

	e.Shop.Cancel(orders[0].EntityID)
	e.Publish("sales.order.canceled", env.Body(orders[0], 0))
	kit.Eventually(t, env.Patience, func() bool { return erp.orders(orders[0].IncrementID)[0].deleted }, "the cancelled order is deleted")
	kit.Eventually(t, env.Patience, e.Empty, "empty queues")
	if out, code := e.Call("check"); !strings.Contains(out, "ERP look-up by external reference") || code != 0 {
		t.Errorf("check ends with %d: %s", code, out)
	}
	for problem, n := range erp.problems() {
		t.Errorf("%d calls: %s", n, problem)
	}
	e.StopReplicas()
}
