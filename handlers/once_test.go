package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

const (
	find   = "GET /sales-orders"
	create = "POST /sales-orders"
)

// onlyPosts limits faults to what writes.
func onlyPosts(r *http.Request) bool { return r.Method == http.MethodPost }

// How the ERP fails decides whether it is asked before it is sent to again. This ERP books whatever it gets.
func TestPlaced_AfterAFailedCreate(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{timeout: 3 * time.Second})
	for _, tt := range []struct {
		name  string
		fault fault.Fault
		class event.Class
		state idempotency.State
		// what the next attempt does
		next []string
	}{
		{"answered too late", fault.Fault{Kind: fault.Late, After: time.Minute}, event.Timeout, idempotency.Uncertain, []string{find}},
		{"connection cut, booked", fault.Fault{Kind: fault.Drop}, event.Unavailable, idempotency.Uncertain, []string{find}},
		{"connection cut, not booked", fault.Fault{Kind: fault.Refuse}, event.Unavailable, idempotency.Uncertain, []string{find, create}},
		{"500", fault.Fault{Kind: fault.Fail}, event.Unavailable, idempotency.Uncertain, []string{find, create}},
		{"503 in HTML", fault.Fault{Kind: fault.Page}, event.Unavailable, idempotency.Uncertain, []string{find, create}},
		{"200 in HTML, booked", fault.Fault{Kind: fault.Garble}, event.Unavailable, idempotency.Uncertain, []string{find}},
		{"408", fault.Fault{Kind: fault.Fail, Status: 408}, event.Timeout, idempotency.Uncertain, []string{find, create}},
		{"429", fault.Fault{Kind: fault.Throttle, After: time.Second}, event.Throttled, idempotency.Uncertain, []string{find, create}},
		{"400", fault.Fault{Kind: fault.Fail, Status: 400}, event.Rejected, idempotency.Failed, []string{create}},
		{"401", fault.Fault{Kind: fault.Fail, Status: 401}, event.Unauthorized, idempotency.Failed, []string{create}},
		{"403", fault.Fault{Kind: fault.Fail, Status: 403}, event.Unauthorized, idempotency.Failed, []string{create}},
		{"404", fault.Fault{Kind: fault.Fail, Status: 404}, event.NotFound, idempotency.Failed, []string{create}},
		{"409 without a number", fault.Fault{Kind: fault.Fail, Status: 409}, event.Rejected, idempotency.Failed, []string{create}},
		{"413", fault.Fault{Kind: fault.Fail, Status: 413}, event.Rejected, idempotency.Failed, []string{create}},
		{"422", fault.Fault{Kind: fault.Fail, Status: 422}, event.Rejected, idempotency.Failed, []string{create}},
		{"423", fault.Fault{Kind: fault.Fail, Status: 423}, event.Unavailable, idempotency.Failed, []string{create}},
		{"302", fault.Fault{Kind: fault.Redirect, Status: 302}, event.Unavailable, idempotency.Uncertain, []string{find, create}},
		{"404 in HTML", fault.Fault{Kind: fault.Page, Status: 404}, event.Unavailable, idempotency.Uncertain, []string{find, create}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.erp.Faults.Set(fault.Plan{Only: onlyPosts})
			calls := []string{create}
			if tt.class == event.Unauthorized { // the call is repeated once
				calls = append(calls, create)
				r.erp.Faults.Next(tt.fault)
			}
			r.erp.Faults.Next(tt.fault)
			_, err := r.placed(number(p.IncrementID))
			isClass(t, err, tt.class)
			isCalls(t, r.toERP, calls...)
			r.isCreate(p.IncrementID, tt.state)
			r.isComments(p)

			outcome, err := r.placed(number(p.IncrementID)) // a later event, not a redelivery: only the ledger knows
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, tt.next...)
			r.isOnce(p)
		})
	}
}

// While the ERP can't be asked, nothing is sent, and nothing is forgotten.
func TestPlaced_AskingFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, tt := range []struct {
		name   string
		change func(*event.Event)
		status int
		body   string
		class  event.Class
	}{
		{"uncertain, 500", repeated, 500, `{}`, event.Unavailable},
		{"uncertain, 401", repeated, 401, `{}`, event.Unauthorized},
		{"uncertain, a page", repeated, 200, `<html>`, event.Unavailable},
		{"uncertain, a page that says that nothing is there", repeated, 404, `<html>`, event.Unavailable},
		{"uncertain, another order's document", repeated, 200, `{"items":[{"document_number":"SO-1","external_reference":"other"}]}`, event.Unavailable},
		{"replayed, 500", replayed, 500, `{}`, event.Unavailable},
		{"reconciled, 500", reconciled, 500, `{}`, event.Unavailable},
		{"reconciled, 422", reconciled, 422, `{}`, event.Rejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.erp.Book(p.IncrementID) // by an attempt that no ledger knows
			r.toERP.with(http.MethodGet, tt.status, tt.body)
			_, err := r.placed(number(p.IncrementID), tt.change)
			isClass(t, err, tt.class)
			calls := []string{find}
			if tt.class == event.Unauthorized {
				calls = append(calls, find)
			}
			isCalls(t, r.toERP, calls...)
			r.isCreate(p.IncrementID, idempotency.Uncertain)
			r.toERP.answering(nil)
			outcome, err := r.placed(number(p.IncrementID)) // an ordinary event
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, find)
			r.isOnce(p)
		})
	}
}

func TestPlaced_WhoAsksFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	old := time.Now().Add(-46 * 24 * time.Hour) // the retention is 90 days
	young := time.Now().Add(-44 * 24 * time.Hour)
	for _, tt := range []struct {
		name    string
		placing fakemagento.Placing
		change  func(*event.Event)
		asks    bool
	}{
		{"first delivery", fakemagento.Placing{}, func(*event.Event) {}, false},
		{"repeated without a row", fakemagento.Placing{}, repeated, true},
		{"replayed", fakemagento.Placing{}, replayed, true},
		{"reconciled", fakemagento.Placing{}, reconciled, true},
		{"older than half of the retention", fakemagento.Placing{CreatedAt: old}, func(*event.Event) {}, true},
		{"almost as old", fakemagento.Placing{CreatedAt: young}, func(*event.Event) {}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			missing, there := r.shop.PlaceOrder(tt.placing), r.shop.PlaceOrder(tt.placing)
			want := []string{create}
			if tt.asks {
				want = []string{find, create}
			}
			outcome, err := r.placed(number(missing.IncrementID), tt.change)
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, want...)
			r.isOnce(missing)
			if !tt.asks {
				return
			}
			r.erp.Book(there.IncrementID)
			outcome, err = r.placed(number(there.IncrementID), tt.change)
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, find)
			r.isOnce(there)
		})
	}
}

// What reconcile finds in Magento and the ledger does not know may be in the ERP, also where it would not go out now: it must
// not wait as if it had never been sent.
func TestPlaced_ReconciledOrderThatDoesNotGoOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, state := range []string{"holded", "canceled"} {
		p, missing := r.shop.PlaceOrder(fakemagento.Placing{State: state}), r.shop.PlaceOrder(fakemagento.Placing{State: state})
		r.erp.Book(p.IncrementID)
		outcome, err := r.placed(number(p.IncrementID), reconciled)
		isOutcome(t, outcome, err, event.Done)
		isCalls(t, r.toERP, find)
		r.isOnce(p)
		if _, err := r.placed(number(missing.IncrementID), reconciled); err != nil {
			t.Fatal(err)
		}
		isCalls(t, r.toERP, find)
		r.isComments(missing)
	}
}

// Once the ERP was asked and has refused the order for good, nothing is uncertain any more.
func TestPlaced_RefusedAfterTheLook(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.toERP.with(http.MethodPost, 422, `{"message":"no such SKU"}`)
	_, err := r.placed(number(p.IncrementID), repeated)
	isClass(t, err, event.Rejected)
	isCalls(t, r.toERP, find, create)
	r.isCreate(p.IncrementID, idempotency.Failed)
}

// A replay of what failed for certain asks nevertheless.
func TestPlaced_ReplayAsksAlsoWhatFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.toERP.with(http.MethodPost, 422, `{"message":"no such SKU"}`)
	_, err := r.placed(number(p.IncrementID))
	isClass(t, err, event.Rejected, "no such SKU")
	r.toERP.answering(nil)
	r.toERP.took()
	outcome, err := r.placed(number(p.IncrementID), replayed)
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, find, create)
	r.isOnce(p)
}

// What the ledger has forgotten is neither sent nor told again.
func TestPlaced_ForgottenOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{CreatedAt: time.Now().Add(-100 * 24 * time.Hour)})
	r.exported(p)
	r.sql(`DELETE FROM effect`)
	outcome, err := r.placed(number(p.IncrementID), func(e *event.Event) { e.Topic = "sales.order.updated" })
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
}

func TestPlaced_UncertainWait(t *testing.T) {
	t.Parallel()
	wait := func(e *handlers.ExportRules) { e.UncertainWait = 15 * time.Minute }
	r := newRig(t, settings{export: wait})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	q := r.shop.PlaceOrder(fakemagento.Placing{})
	r.toERP.with(http.MethodPost, 500, `{}`)
	for _, o := range []fakemagento.Placed{p, q} {
		_, err := r.placed(number(o.IncrementID))
		isClass(t, err, event.Unavailable)
	}
	r.toERP.answering(nil)
	r.toERP.took()

	// It is asked only, and the waiting does not start anew with each question.
	for _, passed := range []time.Duration{0, 5 * time.Minute, 9 * time.Minute} {
		r.sql(`UPDATE effect SET sent_at = sent_at - $1::bigint * interval '1 second'`, int(passed.Seconds()))
		_, err := r.placed(number(p.IncrementID), repeated)
		d := isDeferral(t, err, event.NotLonger)
		if d.Wait <= 0 || d.Wait > 15*time.Minute-passed {
			t.Errorf("it waits for %s more after %s", d.Wait, passed)
		}
		isCalls(t, r.toERP, find)
		r.isCreate(p.IncrementID, idempotency.Uncertain)
	}
	// 14 minutes have passed: the document of one order turns up.
	r.erp.Book(p.IncrementID)
	outcome, err := r.placed(number(p.IncrementID), repeated)
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, find)
	r.isOnce(p)
	// The other's does not: after the wait it is sent again, and if that fails, the wait is as long again.
	r.sql(`UPDATE effect SET sent_at = sent_at - interval '61 seconds' WHERE state = 'uncertain'`)
	r.toERP.with(http.MethodPost, 500, `{}`)
	_, err = r.placed(number(q.IncrementID), repeated)
	isClass(t, err, event.Unavailable)
	isCalls(t, r.toERP, find, create)
	r.toERP.answering(nil)
	_, err = r.placed(number(q.IncrementID), repeated)
	if d := isDeferral(t, err, event.NotLonger); d.Wait < 14*time.Minute {
		t.Errorf("after another uncertain create it waits for %s only", d.Wait)
	}
	r.sql(`UPDATE effect SET sent_at = sent_at - interval '16 minutes' WHERE state = 'uncertain'`)
	r.toERP.took()
	outcome, err = r.placed(number(q.IncrementID), repeated)
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, find, create, find)
	r.isOnce(q)
}

// An ERP that carries a create out later than ERP_UNCERTAIN_WAIT has the order twice: nothing that it answers could have told.
// Both documents are named where the first is there by the time at which the second is made.
func TestPlaced_CarriedOutAfterTheWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{export: func(e *handlers.ExportRules) { e.UncertainWait = 15 * time.Minute }})
	for _, tt := range []struct {
		name   string
		passed time.Duration // since the create that is carried out late
		during bool          // it is carried out while the order is sent again
		class  event.Class   // "": the order is done
		calls  []string
		want   int
	}{
		{"before the wait is over", 14 * time.Minute, false, "", []string{find}, 1},
		{"while the order is sent again", 16 * time.Minute, true, event.Rejected, []string{find, create, find}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.toERP.with(http.MethodPost, 504, `{}`)
			_, err := r.placed(number(p.IncrementID))
			isClass(t, err, event.Unavailable)
			r.toERP.took()
			r.sql(`UPDATE effect SET sent_at = sent_at - $1::bigint * interval '1 second' WHERE state = 'uncertain'`, int(tt.passed.Seconds()))
			late := ""
			r.toERP.answering(func(_ http.ResponseWriter, request *http.Request) bool {
				if late == "" && tt.during == (request.Method == http.MethodPost) {
					late = r.erp.Book(p.IncrementID)
				}
				return false
			})
			outcome, err := r.placed(number(p.IncrementID), repeated)
			if tt.class == "" {
				isOutcome(t, outcome, err, event.Done)
			} else {
				isClass(t, err, tt.class, late)
				r.isCreate(p.IncrementID, idempotency.Uncertain)
			}
			isCalls(t, r.toERP, tt.calls...)
			if got := len(r.erp.DocumentsOf(p.IncrementID)); got != tt.want {
				t.Errorf("the ERP has %d documents, want %d", got, tt.want)
			}
		})
	}
}

// An order that may have been sent, and may not go out any more, is found if it is there.
func TestPlaced_UncertainOrderThatIsCancelledThen(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, booked := range []bool{true, false} {
		t.Run(fmt.Sprintf("booked %v", booked), func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.erp.Faults.Set(fault.Plan{Only: onlyPosts})
			r.erp.Faults.Next(fault.Fault{Kind: map[bool]fault.Kind{true: fault.Drop, false: fault.Refuse}[booked]})
			_, err := r.placed(number(p.IncrementID))
			isClass(t, err, event.Unavailable)
			r.shop.Cancel(p.EntityID)
			r.toERP.took()
			outcome, err := r.placed(number(p.IncrementID), repeated)
			isCalls(t, r.toERP, find)
			if booked {
				isOutcome(t, outcome, err, event.Done)
				r.isOnce(p)
				return
			}
			isOutcome(t, outcome, err, event.Skipped)
			r.isCreate(p.IncrementID, idempotency.Skipped)
			r.isComments(p)
		})
	}
}

func TestPlaced_AcceptedWithoutANumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, tt := range []struct {
		name   string
		status int
		body   string
	}{
		{"202", 202, `{}`},
		{"202 without a body", 202, ``},
		{"201 without a body", 201, ``},
		{"204", 204, ``},
		{"200 with an object without a number", 200, `{"queued":true}`},
		{"200 with a number that is null", 200, `{"document_number":null}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.toERP.with(http.MethodPost, tt.status, tt.body)
			_, err := r.placed(number(p.IncrementID))
			isClass(t, err, event.NotFound)
			isCalls(t, r.toERP, create)
			for _, change := range []func(*event.Event){repeated, replayed, reconciled, func(*event.Event) {}} {
				if row := r.isCreate(p.IncrementID, idempotency.Uncertain); !row.Accepted {
					t.Fatal("the row has not the mark accepted")
				}
				_, err = r.placed(number(p.IncrementID), change)
				isClass(t, err, event.NotFound, "key release order_placed:"+p.IncrementID)
				isCalls(t, r.toERP, find)
			}
			r.toERP.answering(nil)
			r.erp.Book(p.IncrementID)
			outcome, err := r.placed(number(p.IncrementID), repeated)
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, find)
			r.isOnce(p)
		})
	}
}

func TestPlaced_AcceptedAndReleased(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.toERP.with(http.MethodPost, 202, `{}`)
	_, err := r.placed(number(p.IncrementID))
	isClass(t, err, event.NotFound)
	release := func() {
		t.Helper()
		if n, err := r.ledger.Release(t.Context(), handlers.OrderPlaced, p.IncrementID, ""); n != 1 || err != nil {
			t.Fatalf("released %d rows: %v", n, err)
		}
	}
	release()
	r.toERP.took()
	_, err = r.placed(number(p.IncrementID), replayed)
	isClass(t, err, event.NotFound)
	isCalls(t, r.toERP, find, create)
	_, err = r.placed(number(p.IncrementID), replayed)
	isClass(t, err, event.NotFound)
	isCalls(t, r.toERP, find) // once more is once
	release()
	r.toERP.answering(nil)
	outcome, err := r.placed(number(p.IncrementID), replayed)
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
}

// The ERP shows a document that has no number yet: it must not be sent, whatever event comes next.
func TestPlaced_DocumentWithoutANumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.toERP.with(http.MethodGet, 200, fmt.Sprintf(`{"items":[{"document_number":null,"external_reference":%q}]}`, p.IncrementID))
	for _, change := range []func(*event.Event){reconciled, func(*event.Event) {}, repeated} {
		_, err := r.placed(number(p.IncrementID), change)
		isClass(t, err, event.NotFound)
		isCalls(t, r.toERP, find)
		if row := r.isCreate(p.IncrementID, idempotency.Uncertain); !row.Accepted {
			t.Error("the row has not the mark accepted")
		}
	}
	r.toERP.answering(nil)
	r.erp.Book(p.IncrementID)
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
}

func TestPlaced_TwoDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	one, two := r.erp.Book(p.IncrementID), r.erp.Book(p.IncrementID)
	for range 2 {
		_, err := r.placed(number(p.IncrementID), repeated)
		isClass(t, err, event.Rejected, one, two)
		isCalls(t, r.toERP, find)
		r.isCreate(p.IncrementID, idempotency.Uncertain)
	}
	r.isComments(p)
}

func TestPlaced_OrderThatIsThereAlready(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{erpMode: fakeerp.Conflicts})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.erp.Book(p.IncrementID)
	outcome, err := r.placed(number(p.IncrementID)) // answered 409 with its number
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, create)
	r.isOnce(p)
}

func TestPlaced_OpenCircuit(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{failures: 1})
	first, second := r.shop.PlaceOrder(fakemagento.Placing{}), r.shop.PlaceOrder(fakemagento.Placing{})
	r.toERP.with(http.MethodPost, 503, ``)
	_, err := r.placed(number(first.IncrementID))
	isClass(t, err, event.Unavailable)
	r.toERP.took()
	_, err = r.placed(number(second.IncrementID))
	if d := isDeferral(t, err, event.Shortest); d.Downstream != "erp" {
		t.Errorf("the deferral names %q, want erp", d.Downstream)
	}
	r.isCreate(second.IncrementID, idempotency.Failed)
	_, err = r.placed(number(first.IncrementID), repeated)
	_ = isDeferral(t, err, event.Shortest)
	r.isCreate(first.IncrementID, idempotency.Uncertain)
	isCalls(t, r.toERP)
}

// Many deliveries of one event on two replicas: each ends, one document, one comment.
func TestPlaced_ManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	replicas := []*idempotency.Ledger{r.ledger, r.replica("second")}
	var orders []fakemagento.Placed
	for range 5 {
		orders = append(orders, r.shop.PlaceOrder(fakemagento.Placing{}))
	}
	ctx, cancel := context.WithTimeout(r.context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	outcomes := make([][]event.Outcome, len(orders))
	var mu sync.Mutex
	for i, p := range orders {
		for n := range 20 {
			h := r.placedOn(replicas[n%2])
			all.Go(func() {
				e := event.Event{Body: []byte(number(p.IncrementID)), Attempt: 1}
				for ctx.Err() == nil {
					outcome, err := h.Handle(ctx, e)
					if err == nil {
						mu.Lock()
						outcomes[i] = append(outcomes[i], outcome)
						mu.Unlock()
						return
					}
					var d *event.Deferral
					if !asDeferral(err, &d) {
						t.Errorf("order %s: %v", p.IncrementID, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	for i, p := range orders {
		r.isOnce(p)
		if n := len(outcomes[i]); n != 20 {
			t.Errorf("order %s: %d of 20 deliveries ended", p.IncrementID, n)
		}
		if !slices.Contains(outcomes[i], event.Duplicate) || !slices.Contains(outcomes[i], event.Done) {
			t.Errorf("order %s: outcomes %v", p.IncrementID, outcomes[i])
		}
	}
	if posts := len(r.toERP.idempotencyKeys()); posts != len(orders) {
		t.Errorf("%d orders were sent %d times", len(orders), posts)
	}
}
