package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/config"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/testkit/fakemagento"
	"github.com/mageline/mageline/testkit/fault"
)

func TestNoComment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rules: func(o *handlers.OrderRules) { o.Comment = false }})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isComments(p)
	r.isRow(handlers.OrderPlaced, p.IncrementID, "comment", "")
	outcome, err = r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Duplicate)
}

func TestStatusWithTheComment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	r.shop.AddStatus("processing", "exported")
	for _, tt := range []struct {
		name, setting, state string
		status               string // of the order afterwards
		warning              string
	}{
		{"pair", "processing:exported", "processing", "exported", ""},
		{"bare", "exported", "processing", "exported", ""},
		{"pair of another state", "complete:exported", "processing", "processing", "has no status for the order's state"},
		{"refused for the state", "complete:exported,exported", "new", "pending", "Magento refuses the status"},
		{"nothing set", "", "processing", "processing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			if tt.setting != "" {
				var statuses config.StatusByState
				if err := statuses.Decode(tt.setting); err != nil {
					t.Fatal(err)
				}
				r.export.ExportedStatus = statuses.Status
			}
			p := r.shop.PlaceOrder(fakemagento.Placing{State: tt.state})
			outcome, err := r.placed(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			r.isOnce(p)
			if status := r.shop.Comments(p.EntityID)[0].Status; status != tt.status {
				t.Errorf("status %q, want %q", status, tt.status)
			}
			warned := r.log.line(`"level":"warn"`)
			if tt.warning == "" && warned != "" || !strings.Contains(warned, tt.warning) {
				t.Errorf("warning %q, want %q", warned, tt.warning)
			}
		})
	}
}

// How Magento fails decides whether it is asked before the comment is written again.
func TestAfterAFailedComment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	const get, look, write = "GET /orders/:id", "GET /orders/:id/comments", "POST /orders/:id/comments"
	for _, tt := range []struct {
		name  string
		fault fault.Fault
		class event.Class
		state idempotency.State
		next  []string
	}{
		{"connection cut, written", fault.Fault{Kind: fault.Drop}, event.Unavailable, idempotency.Uncertain, []string{get}},
		{"a page, written", fault.Fault{Kind: fault.Garble}, event.Unavailable, idempotency.Uncertain, []string{get}},
		{"connection cut, not written", fault.Fault{Kind: fault.Refuse}, event.Unavailable, idempotency.Uncertain, []string{get, look, write}},
		{"500", fault.Fault{Kind: fault.Fail}, event.Unavailable, idempotency.Uncertain, []string{get, look, write}},
		{"400 of a deadlock", fault.Fault{Kind: fault.Fail, Status: 400}, event.Unavailable, idempotency.Uncertain, []string{get, look, write}},
		{"401", fault.Fault{Kind: fault.Fail, Status: 401}, event.Unauthorized, idempotency.Failed, []string{get, write}},
		{"404", fault.Fault{Kind: fault.Fail, Status: 404}, event.NotFound, idempotency.Failed, []string{get, write}},
		{"429", fault.Fault{Kind: fault.Throttle, After: time.Second}, event.Throttled, idempotency.Uncertain, []string{get, look, write}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.shop.Faults.Set(fault.Plan{Only: onlyPosts})
			r.shop.Faults.Next(tt.fault)
			_, err := r.placed(fmt.Sprintf(`{"entity_id":%d,"increment_id":%q}`, p.EntityID, p.IncrementID))
			isClass(t, err, tt.class)
			r.isRow(handlers.OrderPlaced, p.IncrementID, "comment", tt.state)
			r.toShop.took()
			outcome, err := r.placed(fmt.Sprintf(`{"entity_id":%d,"increment_id":%q}`, p.EntityID, p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toShop, tt.next...)
			r.isOnce(p)
		})
	}
}

// The history that comes with the order may be cut short by a module of the shop: then the comments tell.
func TestUncertainCommentIsLookedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.shop.Faults.Set(fault.Plan{Only: onlyPosts})
	r.shop.Faults.Next(fault.Fault{Kind: fault.Drop})
	_, err := r.placed(number(p.IncrementID))
	isClass(t, err, event.Unavailable)
	r.toShop.answering(func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.HasSuffix(q.URL.Path, "/orders") {
			return false
		}
		_, _ = fmt.Fprintf(w, `{"items":[{"entity_id":%d,"increment_id":%q,"state":"processing"}],"search_criteria":{},"total_count":1}`,
			p.EntityID, p.IncrementID)
		return true
	})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
	if n := r.shop.Requests()["GET /V1/orders/:id/comments"]; n != 1 {
		t.Errorf("the comments were read %d times, want 1", n)
	}
}

// An order that the ERP has is no dead letter because Magento does not take the comment.
func TestRefusedCommentIsJournaled(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, tt := range []struct {
		name string
		hook func(w http.ResponseWriter, r *http.Request) bool
	}{
		{"the comment", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"message":"The comment is too short."}`))
			}
			return r.Method == http.MethodPost
		}},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.Header().Set("Location", "/login")
				w.WriteHeader(http.StatusFound)
			}
			return r.Method == http.MethodPost
		}},
		{"the order before it", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/orders/") {
				w.WriteHeader(http.StatusConflict)
			}
			return strings.Contains(r.URL.Path, "/orders/")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.toShop.answering(tt.hook)
			outcome, err := r.placed(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			documents := r.erp.DocumentsOf(p.IncrementID)
			line := r.log.line(`"journal":true`)
			if !strings.Contains(line, documents[0].Number) || !strings.Contains(line, p.IncrementID) {
				t.Errorf("the journal says %q, which must name %s and %s", line, p.IncrementID, documents[0].Number)
			}
			r.isRow(handlers.OrderPlaced, p.IncrementID, "comment", idempotency.Skipped)
			if _, err := r.placed(number(p.IncrementID)); err != nil {
				t.Errorf("the next event: %v", err)
			}
			if n := len(r.erp.DocumentsOf(p.IncrementID)); n != 1 {
				t.Errorf("%d documents, want 1", n)
			}
		})
	}
}

// A second writer of an order waits, whatever it writes: Magento loses one of two.
func TestOneWriterOfAnOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	inside, leave := make(chan struct{}), make(chan struct{})
	r.toShop.answering(func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPost {
			close(inside)
			<-leave
		}
		return false
	})
	placed := make(chan error, 1)
	go func() {
		_, err := r.placed(number(p.IncrementID))
		placed <- err
	}()
	await(t, inside, placed)
	r.shop.Cancel(p.EntityID)
	other := r.replica("second")
	_, err := r.handle(r.canceledOn(other), number(p.IncrementID))
	d := isDeferral(t, err, event.Shortest)
	if d.Downstream != "" || !strings.Contains(d.Reason, "first") {
		t.Errorf("the deferral says %q of %q, want who writes", d.Reason, d.Downstream)
	}
	close(leave)
	if err := <-placed; err != nil {
		t.Fatal(err)
	}
	r.toShop.answering(nil)
	outcome, err := r.handle(r.canceledOn(other), number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	if documents := r.erp.Documents(); len(documents) != 1 || len(documents[0].Cancellations) != 1 {
		t.Fatalf("documents %v, want one, cancelled once", documents)
	}
	if n := len(r.shop.Comments(p.EntityID)); n != 2 {
		t.Errorf("%d comments, want 2", n)
	}
}

func TestLogsHoldNoPersonalData(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{CustomerID: 7})
	r.toERP.with(http.MethodPost, 422, `{"message":"customer vesna@fixture.example, Vesna Testperson, Geheimweg 7 is blocked"}`)
	_, err := r.placed(number(p.IncrementID))
	isClass(t, err, event.Rejected)
	r.toERP.answering(nil)
	outcome, handled := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, handled, event.Done)
	for _, secret := range []string{"vesna@", "Vesna", "Testperson", "Geheimweg", "5550199"} {
		if strings.Contains(err.Error(), secret) || r.log.line(secret) != "" {
			t.Errorf("%q is in the error %q or in the log", secret, err)
		}
	}
}
