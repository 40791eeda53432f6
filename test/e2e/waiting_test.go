package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// acked waits until so many events of a consumer have been settled for good, in whichever way.
func acked(t *testing.T, r *replica.Replica, consumer string, n float64) {
	t.Helper()
	kit.Eventually(t, env.Patience, func() bool {
		sum := 0.0
		for _, outcome := range []string{"acked", "duplicate", "skipped", "dead_lettered"} {
			sum += r.Metric("mageline_deliveries_total", `consumer="`+consumer+`"`, `outcome="`+outcome+`"`)
		}
		return sum >= n
	}, "the events to be settled")
}

// An unpaid order waits, whatever is said of it; paid, it goes out once.
func TestWaitingOrder_GoesOutWhenPaid(t *testing.T) { onEachVersion(t, testGoesOutWhenPaid) }

func testGoesOutWhenPaid(t *testing.T) {
	e := newEnv(t, 200*time.Millisecond, time.Second)
	r := e.Start("ORDER_WAIT_EVERY", "1h").AwaitReady()
	o := e.Shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	for form := range 3 {
		e.Publish("sales.order.placed", env.Body(o, form))
	}
	acked(t, r, "order_placed", 3)
	if docs := e.ERP.Documents(); len(docs) != 0 {
		t.Fatalf("the ERP has an unpaid order: %+v", docs)
	}
	e.Shop.Pay(o.EntityID)
	e.Publish("sales.order.updated", env.Body(o, 3))
	e.AwaitDone(o)
	acked(t, r, "order_placed", 4)
	e.Finish()
	e.CheckDone(o)
	e.HasComments(o, "Sales order "+e.Number(o)+" created in ACME")
}

// Nobody says that it was paid: it is found when the waiting orders are read again. With several replicas too.
func TestWaitingOrder_FoundWithoutEvent(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	e.Set("ORDER_WAIT_EVERY", "500ms")
	a, b := e.Start().AwaitReady(), e.Start().AwaitReady()
	paid := e.Place(3, fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	cancelled := e.PlaceOne(fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	kit.Eventually(t, env.Patience, func() bool {
		return a.Events("order_waiting")+b.Events("order_waiting") >= 4
	}, "the orders to wait")
	for _, o := range paid {
		e.Shop.Pay(o.EntityID)
	}
	e.Shop.Cancel(cancelled.EntityID)
	e.AwaitDone(paid...)
	kit.Eventually(t, env.Patience, func() bool { return state(t, e, cancelled) == "skipped" }, "the cancelled order to be skipped")
	e.Finish()
	if n := len(e.ERP.Documents()); n != len(paid) || e.Done(paid...) != len(paid) {
		t.Errorf("the ERP has %d documents, want %d", n, len(paid))
	}
}

// Cancelled while it waits: nothing goes out, nothing is dead-lettered; the cancellation has nothing to do.
func TestWaitingOrder_CancelledMeanwhile(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	r := e.Start("ORDER_WAIT_EVERY", "1h").AwaitReady()
	told, untold := e.PlaceOne(fakemagento.Placing{State: "pending_payment"}), e.PlaceOne(fakemagento.Placing{State: "pending_payment"})
	acked(t, r, "order_placed", 2)
	e.Shop.Cancel(told.EntityID)
	e.Publish("sales.order.updated", env.Body(told, 0))
	acked(t, r, "order_placed", 3)
	e.Publish("sales.order.canceled", env.Body(told, 1))
	acked(t, r, "order_canceled", 1)
	e.Shop.Cancel(untold.EntityID) // only the cancellation is told of
	e.Publish("sales.order.canceled", env.Body(untold, 2))
	acked(t, r, "order_canceled", 2)
	e.Publish("sales.order.placed", env.Body(untold, 3)) // late
	acked(t, r, "order_placed", 4)
	for _, o := range []fakemagento.Placed{told, untold} {
		if got := state(t, e, o); got != "skipped" {
			t.Errorf("order %s is %q in the ledger, want skipped", o.IncrementID, got)
		}
		e.HasComments(o)
	}
	if n := len(e.ERP.Requests()); n != 0 {
		t.Errorf("the ERP was called %d times, want never", n)
	}
	e.Finish()
}

// What is cancelled of an exported order is taken from its document, once, and Magento is told.
func TestCancellation_ReachesTheERP(t *testing.T) { onEachVersion(t, testCancellationReachesTheERP) }

func testCancellationReachesTheERP(t *testing.T) {
	e := newEnv(t, 200*time.Millisecond, time.Second)
	r := e.Start().AwaitReady()
	two := fakemagento.Placing{Method: "paypal_express", Lines: []fakemagento.Line{
		{SKU: "A", Name: "A", Qty: 2, Price: decimal.New(10, 0)}, {SKU: "B", Name: "B", Qty: 5, Price: decimal.New(1, 0)},
	}}
	placed := e.Place(2, two)
	e.AwaitDone(placed...)
	whole, bits := placed[0], placed[1]

	e.Shop.Cancel(whole.EntityID)
	e.Shop.CancelQuantities(bits.EntityID, quantities(t, e, bits, 0, 2))
	for form := range 3 {
		e.Publish("sales.order.canceled", env.Body(whole, form))
		e.Publish("sales.order.canceled", env.Body(bits, form))
	}
	acked(t, r, "order_canceled", 6)
	e.Shop.CancelQuantities(bits.EntityID, quantities(t, e, bits, 1, 3))
	e.Publish("sales.order.canceled", env.Body(bits, 0))
	acked(t, r, "order_canceled", 7)
	e.Shop.Cancel(bits.EntityID)
	e.Publish("sales.order.canceled", env.Body(bits, 0))
	acked(t, r, "order_canceled", 8)

	document := e.ERP.DocumentsOf(whole.IncrementID)[0]
	if !document.Canceled || len(document.Cancellations) != 1 {
		t.Errorf("the document of the order that is cancelled as a whole: %+v", document)
	}
	created, cancelled := "Sales order "+document.Number+" created in ACME", "Sales order "+document.Number+" cancelled in ACME"
	e.HasComments(whole, created, cancelled)

	document = e.ERP.DocumentsOf(bits.IncrementID)[0]
	var steps []string
	for _, c := range document.Cancellations {
		var step []string
		for _, line := range c.Lines {
			step = append(step, line.SKU+"="+line.Quantity)
		}
		if c.Complete {
			step = append(step, "complete")
		}
		steps = append(steps, strings.Join(step, " "))
	}
	if len(steps) != 3 || steps[0] != "B=2" || steps[1] != "A=1 B=1" || !strings.HasSuffix(steps[2], "complete") || !document.Canceled {
		t.Errorf("the document of the order that is cancelled bit by bit has %q", steps)
	}
	if n := len(e.Shop.Comments(bits.EntityID)); n != 4 {
		t.Errorf("%d comments on it, want one for the order and one for each cancellation: %+v", n, e.Shop.Comments(bits.EntityID))
	}
	e.Finish()
}

// quantities gives cancelled quantities by item id, for the lines of an order in turn.
func quantities(t *testing.T, e *env.Env, o fakemagento.Placed, cancelled ...int64) map[int]decimal.Decimal {
	t.Helper()
	var document struct {
		Items []struct {
			ID int `json:"item_id"`
		}
	}
	if err := json.Unmarshal(e.Shop.Order(o.EntityID), &document); err != nil {
		t.Fatal(err)
	}
	quantities := map[int]decimal.Decimal{}
	for i, n := range cancelled {
		quantities[document.Items[i].ID] = decimal.New(n, 0)
	}
	return quantities
}

// state is the ledger's of an order, from mageline's own command.
func state(t *testing.T, e *env.Env, o fakemagento.Placed) string {
	t.Helper()
	out, code := e.Call("key", "show", "order_placed:"+o.IncrementID, "--effect", "create", "--json")
	var row struct{ State string }
	if code != 0 || json.Unmarshal([]byte(out), &row) != nil {
		t.Fatalf("key show ends with %d: %s", code, out)
	}
	return row.State
}
