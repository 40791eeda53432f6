package e2e

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// The whole program with ERP=businesscentral: an order whose code is missing is a dead letter with the line to add, and ends well
// when the line is there; orders survive lost answers and a killed process, once and to the cent; a cancellation deletes.
func TestBusinessCentral_OrdersFromEndToEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second, time.Second, time.Second, 2*time.Second, 2*time.Second).Impatient()
	fake := fakebusinesscentral.New(fakebusinesscentral.Options{})
	server := httptest.NewServer(fake)
	t.Cleanup(func() { fake.Close(); server.CloseClientConnections(); server.Close() })
	file := filepath.Join(t.TempDir(), "codes.yaml")
	const rest = "units: {\"*\": PCS}\naccounts: {guests: GUESTS, shipping: \"8400\", rounding: \"8470\"}\n"
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rest)
	e.Set("ERP", "businesscentral", "ERP_URL", "", "ERP_MAPPING", file, "ERP_NAME", "",
		"BUSINESSCENTRAL_URL", server.URL+fakebusinesscentral.Base, "BUSINESSCENTRAL_COMPANY", fakebusinesscentral.CompanyName,
		"BUSINESSCENTRAL_TOKEN_URL", server.URL+fakebusinesscentral.TokenPath, "BUSINESSCENTRAL_CLIENT_ID", fakebusinesscentral.ClientID,
		"BUSINESSCENTRAL_CLIENT_SECRET", fakebusinesscentral.ClientSecret)
	r := e.Start().AwaitReady()

	first := e.Shop.PlaceOrder(fakemagento.Placing{})
	e.Publish("sales.order.placed", env.Body(first, 0))
	e.AwaitLetters("order_placed", 1)
	if out, _ := e.Call("dlq", "list", e.DeadLetters("order_placed")); !strings.Contains(out, "under tax") {
		t.Errorf("the letter does not have the line to add: %s", out)
	}
	write("tax: {\"*\": STANDARD}\n" + rest)
	r.Kill()
	r = e.Start().AwaitReady()
	if out, code := e.Call("--replay-dlq", e.DeadLetters("order_placed"), "--yes"); code != 0 {
		t.Fatalf("the replay ends with %d: %s", code, out)
	}

	fake.Faults.Next(fault.Fault{Kind: fault.Drop}, fault.Fault{Kind: fault.Fail, Status: 500}, fault.Fault{Kind: fault.Garble})
	orders := append(e.Place(8, fakemagento.Placing{}), first)
	for _, o := range orders[:8] {
		e.Publish("sales.order.placed", env.Body(o, 0))
	}
	booked := func(o fakemagento.Placed) bool { return fake.Counts()[o.IncrementID] > 0 }
	kit.Eventually(t, env.Patience, func() bool { return booked(orders[0]) || booked(orders[1]) }, "an order in the ERP")
	r.Kill()
	e.Start().AwaitReady()
	commented := func() bool {
		counts := e.Shop.CommentCounts("Sales order S-ORD")
		for _, o := range orders {
			if counts[o.IncrementID] != 1 {
				return false
			}
		}
		return true
	}
	kit.Eventually(t, env.Patience, commented, "each order is in the ERP and has its comment")
	for _, o := range orders {
		all := fake.Orders(o.IncrementID)
		if len(all) != 1 {
			t.Fatalf("order %s is there %d times", o.IncrementID, len(all))
		}
		var order struct {
			GrandTotal decimal.Decimal `json:"grand_total"`
		}
		if err := json.Unmarshal(e.Shop.Order(o.EntityID), &order); err != nil {
			t.Fatal(err)
		}
		if total := all[0].Total; !total.Equal(order.GrandTotal) {
			t.Errorf("order %s comes to %s, and to %s in Magento", o.IncrementID, total, order.GrandTotal)
		}
	}

	e.Shop.Cancel(orders[0].EntityID)
	e.Publish("sales.order.canceled", env.Body(orders[0], 0))
	kit.Eventually(t, env.Patience, func() bool { return fake.Orders(orders[0].IncrementID)[0].Deleted }, "the cancelled order is deleted")
	kit.Eventually(t, env.Patience, e.Empty, "empty queues")
	if out, code := e.Call("check"); !strings.Contains(out, "ERP look-up by external reference") || code != 0 {
		t.Errorf("check ends with %d: %s", code, out)
	}
	for problem, n := range fake.Problems() {
		t.Errorf("%d calls: %s", n, problem)
	}
	e.StopReplicas()
}
