package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// acked waits until so many events of a consumer have been settled for good, in whichever way.
func acked(t *testing.T, r *replica.Replica, consumer string, n float64) {
	t.Helper()
	kit.Eventually(t, patience, func() bool {
		sum := 0.0
		for _, outcome := range []string{"acked", "duplicate", "skipped", "dead_lettered"} {
			sum += r.Metric("mageline_deliveries_total", `consumer="`+consumer+`"`, `outcome="`+outcome+`"`)
		}
		return sum >= n
	}, "the events to be settled")
}

// An unpaid order waits, whatever is said of it; paid, it goes out once.
func TestWaitsForPayment(t *testing.T) { onEachVersion(t, testWaitsForPayment) }

func testWaitsForPayment(t *testing.T) {
	l := newLine(t, 200*time.Millisecond, time.Second)
	r := start(t, l.with("ORDER_WAIT_EVERY", "1h")).AwaitReady()
	o := l.shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	for form := range 3 {
		l.Publish("sales.order.placed", event(o, form))
	}
	acked(t, r, "order_placed", 3)
	if docs := l.erp.Documents(); len(docs) != 0 {
		t.Fatalf("the ERP has an unpaid order: %+v", docs)
	}
	l.shop.Pay(o.EntityID)
	l.Publish("sales.order.updated", event(o, 3))
	l.awaitDone(patience, o)
	acked(t, r, "order_placed", 4)
	l.finish(r)
	if !l.done([]fakemagento.Placed{o}) {
		t.Error("the order was exported or commented once more")
	}
	l.hasComments(o, "Sales order "+l.number(o)+" created in ACME")
}

// Nobody says that it was paid: it is found when the waiting orders are read again. With several replicas too.
func TestWaitsAndIsFound(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond, time.Second)
	l.env = l.with("ORDER_WAIT_EVERY", "500ms")
	a, b := start(t, l.env).AwaitReady(), start(t, l.env).AwaitReady()
	paid := l.place(3, fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	cancelled := l.place(1, fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})[0]
	kit.Eventually(t, patience, func() bool {
		return a.Said("the order waits until it may go out")+b.Said("the order waits until it may go out") >= 4
	}, "the orders to wait")
	for _, o := range paid {
		l.shop.Pay(o.EntityID)
	}
	l.shop.Cancel(cancelled.EntityID)
	l.awaitDone(patience, paid...)
	kit.Eventually(t, patience, func() bool { return l.state(cancelled) == "skipped" }, "the cancelled order to be skipped")
	l.finish(a, b)
	if n := len(l.erp.Documents()); n != len(paid) || !l.done(paid) {
		t.Errorf("the ERP has %d documents, want %d", n, len(paid))
	}
}

// Cancelled while it waits: nothing goes out, nothing is dead-lettered; the cancellation has nothing to do.
func TestCancelledWhileItWaits(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond, time.Second)
	r := start(t, l.with("ORDER_WAIT_EVERY", "1h")).AwaitReady()
	told, untold := l.place(1, fakemagento.Placing{State: "pending_payment"})[0], l.place(1, fakemagento.Placing{State: "pending_payment"})[0]
	acked(t, r, "order_placed", 2)
	l.shop.Cancel(told.EntityID)
	l.Publish("sales.order.updated", event(told, 0))
	acked(t, r, "order_placed", 3)
	l.Publish("sales.order.canceled", event(told, 1))
	acked(t, r, "order_canceled", 1)
	l.shop.Cancel(untold.EntityID) // only the cancellation is told of
	l.Publish("sales.order.canceled", event(untold, 2))
	acked(t, r, "order_canceled", 2)
	l.Publish("sales.order.placed", event(untold, 3)) // late
	acked(t, r, "order_placed", 4)
	for _, o := range []fakemagento.Placed{told, untold} {
		if state := l.state(o); state != "skipped" {
			t.Errorf("order %s is %q in the ledger, want skipped", o.IncrementID, state)
		}
		l.hasComments(o)
	}
	if n := len(l.erp.Requests()); n != 0 {
		t.Errorf("the ERP was called %d times, want never", n)
	}
	l.finish(r)
}

// What is cancelled of an exported order is taken from its document, once, and Magento is told.
func TestCancelsInERP(t *testing.T) { onEachVersion(t, testCancelsInERP) }

func testCancelsInERP(t *testing.T) {
	l := newLine(t, 200*time.Millisecond, time.Second)
	r := start(t, l.env).AwaitReady()
	two := fakemagento.Placing{Method: "paypal_express", Lines: []fakemagento.Line{
		{SKU: "A", Name: "A", Qty: 2, Price: decimal.New(10, 0)}, {SKU: "B", Name: "B", Qty: 5, Price: decimal.New(1, 0)},
	}}
	placed := l.place(2, two)
	l.awaitDone(patience, placed...)
	whole, bits := placed[0], placed[1]

	l.shop.Cancel(whole.EntityID)
	l.shop.CancelQuantities(bits.EntityID, l.quantities(bits, 0, 2))
	for form := range 3 {
		l.Publish("sales.order.canceled", event(whole, form))
		l.Publish("sales.order.canceled", event(bits, form))
	}
	acked(t, r, "order_canceled", 6)
	l.shop.CancelQuantities(bits.EntityID, l.quantities(bits, 1, 3))
	l.Publish("sales.order.canceled", event(bits, 0))
	acked(t, r, "order_canceled", 7)
	l.shop.Cancel(bits.EntityID)
	l.Publish("sales.order.canceled", event(bits, 0))
	acked(t, r, "order_canceled", 8)

	document := l.erp.DocumentsOf(whole.IncrementID)[0]
	if !document.Canceled || len(document.Cancellations) != 1 {
		t.Errorf("the document of the order that is cancelled as a whole: %+v", document)
	}
	created, cancelled := "Sales order "+document.Number+" created in ACME", "Sales order "+document.Number+" cancelled in ACME"
	l.hasComments(whole, created, cancelled)

	document = l.erp.DocumentsOf(bits.IncrementID)[0]
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
	if n := len(l.shop.Comments(bits.EntityID)); n != 4 {
		t.Errorf("%d comments on it, want one for the order and one for each cancellation: %+v", n, l.shop.Comments(bits.EntityID))
	}
	l.finish(r)
}

// quantities gives cancelled quantities by item id, for the lines of an order in turn.
func (l *line) quantities(o fakemagento.Placed, cancelled ...int64) map[int]decimal.Decimal {
	l.t.Helper()
	var document struct {
		Items []struct {
			ID int `json:"item_id"`
		}
	}
	if err := json.Unmarshal(l.shop.Order(o.EntityID), &document); err != nil {
		l.t.Fatal(err)
	}
	quantities := map[int]decimal.Decimal{}
	for i, n := range cancelled {
		quantities[document.Items[i].ID] = decimal.New(n, 0)
	}
	return quantities
}

// number is that of an order's only document.
func (l *line) number(o fakemagento.Placed) string {
	l.t.Helper()
	documents := l.erp.DocumentsOf(o.IncrementID)
	if len(documents) != 1 {
		l.t.Fatalf("order %s has %d documents", o.IncrementID, len(documents))
	}
	return documents[0].Number
}

// hasComments fails the test when an order has other comments than these, or one that a customer sees.
func (l *line) hasComments(o fakemagento.Placed, want ...string) {
	l.t.Helper()
	var got []string
	for _, c := range l.shop.Comments(o.EntityID) {
		got = append(got, c.Text)
		if c.Notified || c.VisibleOnFront {
			l.t.Errorf("the customer sees the comment %q", c.Text)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		l.t.Errorf("order %s has the comments %q, want %q", o.IncrementID, got, want)
	}
}

// state is the ledger's of an order, from mageline's own command.
func (l *line) state(o fakemagento.Placed) string {
	l.t.Helper()
	out, code := call(l.t, l.env, "key", "show", "order_placed:"+o.IncrementID, "--effect", "create", "--json")
	var row struct{ State string }
	if code != 0 || json.Unmarshal([]byte(out), &row) != nil {
		l.t.Fatalf("key show ends with %d: %s", code, out)
	}
	return row.State
}
