package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

func TestComment_NoComment(t *testing.T) {
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

// The reading before a comment asks for what the comment needs of the order, which is little of it.
func TestComment_ReadsFewFieldsOfItsOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	var read []string
	r.toShop.answering(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodGet {
			read = append(read, req.URL.Query().Get("fields"))
		}
		return false
	})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	outcome, err := r.placed(fmt.Sprintf(`{"entity_id":%d}`, p.EntityID))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
	last := read[len(read)-1]
	if read[0] != "" || last != "entity_id,increment_id,store_id,state,status,status_histories" {
		t.Errorf("read %q: the order as a whole first, then the comment's few fields", read)
	}
}

func statuses(t *testing.T, setting string) *handlers.Statuses {
	t.Helper()
	var exported config.StatusByState
	if err := exported.Decode(setting); err != nil {
		t.Fatal(err)
	}
	return &handlers.Statuses{Exported: exported.Status}
}

// Every comment has a status, whichever release of Magento gets it: the one that is configured for the order's state, and
// where Magento refuses that the order's own.
func TestComment_StatusWithTheComment(t *testing.T) { onEachVersion(t, testStatusWithTheComment) }

func testStatusWithTheComment(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop, statusless: true})
	r.shop.AddStatus("processing", "exported")
	const none, refused, healed = "", "status_refused", "order_without_status"
	type then struct{ status, warning string } // the order's status afterwards
	for _, tt := range []struct {
		name, setting string
		order         fakemagento.Placing
		null          bool // its status was lost before
		want          map[fakemagento.Version]then
	}{
		{"pair", "processing:exported", fakemagento.Placing{}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"exported", none}, fakemagento.V247: {"processing", refused}, fakemagento.V248: {"exported", none},
		}},
		{"bare", "exported", fakemagento.Placing{}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"exported", none}, fakemagento.V247: {"processing", refused}, fakemagento.V248: {"exported", none},
		}},
		{"pair of another state", "complete:exported", fakemagento.Placing{}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"processing", none}, fakemagento.V247: {"processing", none}, fakemagento.V248: {"processing", none},
		}},
		{"not of the state", "complete:done,exported", fakemagento.Placing{State: "new"}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"exported", none}, fakemagento.V247: {"pending", refused}, fakemagento.V248: {"pending", refused},
		}},
		{"the present one", "processing:processing", fakemagento.Placing{}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"processing", none}, fakemagento.V247: {"processing", none}, fakemagento.V248: {"processing", none},
		}},
		{"none configured", "", fakemagento.Placing{}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"processing", none}, fakemagento.V247: {"processing", none}, fakemagento.V248: {"processing", none},
		}},
		{"none configured, one of the shop's own", "", fakemagento.Placing{Status: "fraud"}, false, map[fakemagento.Version]then{
			fakemagento.V245: {"fraud", none}, fakemagento.V247: {"fraud", none}, fakemagento.V248: {"fraud", none},
		}},
		{"lost", "", fakemagento.Placing{State: "complete"}, true, map[fakemagento.Version]then{
			fakemagento.V245: {"complete", healed}, fakemagento.V247: {"", healed}, fakemagento.V248: {"complete", healed},
		}},
		{"lost, one configured", "exported", fakemagento.Placing{}, true, map[fakemagento.Version]then{
			fakemagento.V245: {"exported", healed}, fakemagento.V247: {"", refused}, fakemagento.V248: {"exported", healed},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			r.rules.Statuses = statuses(t, tt.setting)
			p := r.shop.PlaceOrder(tt.order)
			if tt.null {
				r.shop.SetStatus(p.EntityID, "")
			}
			outcome, err := r.placed(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			r.isOnce(p)
			want := tt.want[shop.Version]
			if status := r.shop.Comments(p.EntityID)[0].Status; status != want.status || r.shop.Status(p.EntityID) != want.status {
				t.Errorf("the comment has the status %q, the order then %q, want %q", status, r.shop.Status(p.EntityID), want.status)
			}
			warnings := r.log.Lines("", "level", "warn")
			if want.warning == none && len(warnings) > 0 || want.warning != none && !r.log.Has(want.warning, "level", "warn") {
				t.Errorf("warnings %q, want %q", warnings, want.warning)
			}
		})
	}
}

// A status that Magento refuses is warned of once, not for each order, whoever comments.
func TestComment_RefusedStatusIsWarnedOfOnce(t *testing.T) {
	onEachVersion(t, testRefusedStatusIsWarnedOfOnce)
}

func testRefusedStatusIsWarnedOfOnce(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	r.rules.Statuses = statuses(t, "processing:elsewhere,canceled:gone")
	want := 2
	if shop.Version == fakemagento.V245 {
		want = 0
	}
	for range 3 {
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.exported(p)
		r.shop.Cancel(p.EntityID)
		outcome, err := r.canceled(number(p.IncrementID))
		isOutcome(t, outcome, err, event.Done)
		status := "canceled"
		if want == 0 {
			status = "gone"
		}
		if got := r.shop.Status(p.EntityID); got != status || len(r.shop.Comments(p.EntityID)) != 2 {
			t.Errorf("status %q, want %q; comments %v", got, status, r.shop.Comments(p.EntityID))
		}
	}
	if n := len(r.log.Lines("status_refused")); n != want {
		t.Errorf("%d warnings, want %d: one for each status", n, want)
	}
}

// How Magento fails decides whether it is asked before the comment is written again.
func TestComment_AfterAFailedComment(t *testing.T) { onEachVersion(t, testAfterAFailedComment) }

func testAfterAFailedComment(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
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
func TestComment_UncertainCommentIsLookedUp(t *testing.T) {
	onEachVersion(t, testUncertainCommentIsLookedUp)
}

func testUncertainCommentIsLookedUp(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.shop.Faults.Set(fault.Plan{Only: onlyPosts})
	r.shop.Faults.Next(fault.Fault{Kind: fault.Drop})
	_, err := r.placed(number(p.IncrementID))
	isClass(t, err, event.Unavailable)
	r.toShop.answering(func(w http.ResponseWriter, q *http.Request) bool {
		order := fmt.Sprintf(`{"entity_id":%d,"increment_id":%q,"state":"processing","status":"processing"}`, p.EntityID, p.IncrementID)
		switch {
		case strings.HasSuffix(q.URL.Path, "/orders"):
			_, _ = fmt.Fprintf(w, `{"items":[%s],"search_criteria":{},"total_count":1}`, order)
		case strings.HasSuffix(q.URL.Path, fmt.Sprintf("/orders/%d", p.EntityID)):
			_, _ = fmt.Fprint(w, order)
		default:
			return false
		}
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
func TestComment_RefusedCommentIsJournaled(t *testing.T) {
	onEachVersion(t, testRefusedCommentIsJournaled)
}

func testRefusedCommentIsJournaled(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
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
		{"the order before it", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/orders/") {
				w.WriteHeader(http.StatusConflict)
			}
			return strings.Contains(r.URL.Path, "/orders/")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			r.rules.Statuses = statuses(t, "exported")
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.toShop.answering(tt.hook)
			outcome, err := r.placed(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			documents := r.erp.DocumentsOf(p.IncrementID)
			if !r.log.Has("comment_refused", "journal", "true", "key", p.IncrementID, "comment", documents[0].Number) {
				t.Errorf("the journal does not name %s and %s: %s", p.IncrementID, documents[0].Number, r.log)
			}
			r.isRow(handlers.OrderPlaced, p.IncrementID, "comment", idempotency.Skipped)
			if lines := r.log.Lines("status_refused"); len(lines) > 0 {
				t.Errorf("it is not the status that was refused: %s", lines)
			}
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
func TestComment_OneWriterOfAnOrder(t *testing.T) { onEachVersion(t, testOneWriterOfAnOrder) }

func testOneWriterOfAnOrder(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	inside, leave := make(chan struct{}), make(chan struct{})
	var first sync.Once
	r.toShop.answering(func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPost {
			first.Do(func() { close(inside) })
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

func TestComment_LogsHoldNoPersonalData(t *testing.T) {
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
		if strings.Contains(err.Error(), secret) || strings.Contains(r.log.String(), secret) {
			t.Errorf("%q is in the error %q or in the log", secret, err)
		}
	}
}
