package env

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Topics of the events that tests publish.
const (
	TopicPlaced   = "sales.order.placed"
	TopicUpdated  = "sales.order.updated"
	TopicCanceled = "sales.order.canceled"
	TopicTracking = "shipping.tracking.received"
)

// Object is the body of an event for an order, an object that names it in both ways.
func Object(o fakemagento.Placed) string {
	return fmt.Sprintf(`{"entity_id":%d,"increment_id":"%s"}`, o.EntityID, o.IncrementID)
}

// Body is the body of an event for an order, each time in another of the forms that Magento's publisher makes.
func Body(o fakemagento.Placed, form int) string {
	switch form % 5 {
	case 0:
		return fmt.Sprintf(`{"increment_id":"%s"}`, o.IncrementID)
	case 1:
		return fmt.Sprintf(`{"entity_id":"%d","store_id":1}`, o.EntityID)
	case 2:
		return Quoted(Object(o))
	case 3:
		return `{"order":` + Object(o) + `}`
	default:
		return `[` + Object(o) + `]`
	}
}

// Quoted is text as a string of JSON.
func Quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // no string fails
	}
	return string(b)
}

// Place places orders and publishes an event for each.
func (e *Env) Place(n int, p fakemagento.Placing) []fakemagento.Placed {
	e.t.Helper()
	placed := make([]fakemagento.Placed, 0, n)
	for i := range n {
		o := e.Shop.PlaceOrder(p)
		e.Publish(TopicPlaced, Body(o, i))
		placed = append(placed, o)
	}
	return placed
}

// PlaceOne places one.
func (e *Env) PlaceOne(p fakemagento.Placing) fakemagento.Placed {
	e.t.Helper()
	return e.Place(1, p)[0]
}

// InFlight places an order and waits until its call has come to the ERP, which holds it.
func (e *Env) InFlight() fakemagento.Placed {
	e.t.Helper()
	before := e.Held()
	o := e.PlaceOne(fakemagento.Placing{})
	e.AwaitHeld(before + 1)
	return o
}

// Exported counts those of the orders that the ERP has.
func (e *Env) Exported(orders ...fakemagento.Placed) int {
	return count(e.ERP.Counts(), orders)
}

// Commented counts those of the orders on which Magento has a comment that names the document.
func (e *Env) Commented(orders ...fakemagento.Placed) int {
	return count(e.Shop.CommentCounts("Sales order "), orders)
}

// Done counts the orders that are both.
func (e *Env) Done(orders ...fakemagento.Placed) int {
	documents, comments := e.ERP.Counts(), e.Shop.CommentCounts("Sales order ")
	n := 0
	for _, o := range orders {
		if documents[o.IncrementID] > 0 && comments[o.IncrementID] > 0 {
			n++
		}
	}
	return n
}

func count(counts map[string]int, orders []fakemagento.Placed) int {
	n := 0
	for _, o := range orders {
		if counts[o.IncrementID] > 0 {
			n++
		}
	}
	return n
}

// AwaitDone waits until the orders are in the ERP and commented.
func (e *Env) AwaitDone(orders ...fakemagento.Placed) {
	e.t.Helper()
	e.AwaitSome(len(orders), orders...)
}

// AwaitSome waits until n of the orders are.
func (e *Env) AwaitSome(n int, orders ...fakemagento.Placed) {
	e.t.Helper()
	kit.Eventually(e.t, Patience, func() bool { return e.Done(orders...) >= n },
		fmt.Sprintf("%d of %d orders to be in the ERP and commented", n, len(orders)))
}

// AwaitDoneWithin is for what may take longer than anything else.
func (e *Env) AwaitDoneWithin(limit time.Duration, orders ...fakemagento.Placed) {
	e.t.Helper()
	kit.Eventually(e.t, limit, func() bool { return e.Done(orders...) == len(orders) },
		fmt.Sprintf("%d orders to be in the ERP and commented", len(orders)))
}

// CheckDone fails the test when one of the orders is not in the ERP or not commented.
func (e *Env) CheckDone(orders ...fakemagento.Placed) {
	e.t.Helper()
	if e.Done(orders...) != len(orders) {
		e.t.Errorf("%d of %d orders are in the ERP, %d are commented", e.Exported(orders...), len(orders), e.Commented(orders...))
	}
}

// Number is that of an order's only document.
func (e *Env) Number(o fakemagento.Placed) string {
	e.t.Helper()
	documents := e.ERP.DocumentsOf(o.IncrementID)
	if len(documents) != 1 {
		e.t.Fatalf("order %s has %d documents", o.IncrementID, len(documents))
	}
	return documents[0].Number
}

// History tells how the ERP was called for an order.
func (e *Env) History(number string) []string {
	var calls []string
	for _, r := range e.ERP.Requests() {
		if number != "" && (strings.Contains(r.Query, number) || strings.Contains(string(r.Body), `"`+number+`"`)) {
			calls = append(calls, r.At.Format("15:04:05.000")+" "+r.Method+" "+r.Path)
		}
	}
	return calls
}

// HasComments fails the test when an order has other comments than these, or one that a customer sees.
func (e *Env) HasComments(o fakemagento.Placed, want ...string) {
	e.t.Helper()
	var got []string
	for _, c := range e.Shop.Comments(o.EntityID) {
		got = append(got, c.Text)
		if c.Notified || c.VisibleOnFront {
			e.t.Errorf("the customer sees the comment %q", c.Text)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		e.t.Errorf("order %s has the comments %q, want %q", o.IncrementID, got, want)
	}
}

// RefuseOrders has the ERP refuse every order for good, which makes dead letters, until Heal.
func (e *Env) RefuseOrders() {
	e.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity}})
}

// Heal ends the faults of the ERP and the shop.
func (e *Env) Heal() {
	e.ERP.Faults.Set(fault.Plan{})
	e.Shop.Faults.Set(fault.Plan{})
}

// OfOrder is true of the calls that create an order in the ERP.
func OfOrder(o fakemagento.Placed) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return strings.HasSuffix(r.Header.Get("Idempotency-Key"), ":"+o.IncrementID)
	}
}

// AwaitLetters waits until a consumer has n dead letters.
func (e *Env) AwaitLetters(consumer string, n int) {
	e.t.Helper()
	kit.Eventually(e.t, Patience, func() bool { return e.Depth(e.DeadLetters(consumer)) == n }, fmt.Sprintf("%d dead letters of %s", n, consumer))
}

func onCall(method, path string, after bool, then func()) FrontFunc {
	return func(w http.ResponseWriter, r *http.Request, api http.Handler) {
		if r.Method != method || !strings.Contains(r.URL.Path, path) {
			api.ServeHTTP(w, r)
			return
		}
		if after {
			api.ServeHTTP(httptest.NewRecorder(), r)
		}
		then()
		panic(http.ErrAbortHandler)
	}
}
