package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// telling is what tells Magento of dead letters, and runs.
type telling struct {
	*handlers.NotSent
	paused atomic.Bool
	stop   func()
}

func (r *rig) telling() *telling {
	n := &telling{NotSent: &handlers.NotSent{
		Orders: r.client.Orders, Ledger: r.ledger, Rules: r.rules, Magento: r.magento, Log: zerolog.New(r.log), Every: 5 * time.Millisecond,
	}}
	n.Paused = n.paused.Load
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	r.t.Cleanup(n.stop)
	return n
}

func (n *telling) note(body string, err error) {
	n.Note(handlers.OrderPlaced, event.Event{Body: []byte(body)}, err)
}

// awaitComments waits until an order has these comments.
func (r *rig) awaitComments(p fakemagento.Placed, want ...string) {
	r.t.Helper()
	texts := func() (got []string) {
		for _, c := range r.shop.Comments(p.EntityID) {
			got = append(got, c.Text)
		}
		return got
	}
	kit.Eventually(r.t, 30*time.Second, func() bool { return slices.Equal(texts(), want) }, fmt.Sprintf("the comments %q", want))
	r.isComments(p, want...)
}

// Magento is told of each cause once, and again of the document when the order has gone out after all. The order keeps its
// status, also where another one is configured for orders that were exported.
func TestNotSent_DeadLetteredOrder(t *testing.T) { onEachVersion(t, testDeadLetteredOrder) }

func testDeadLetteredOrder(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	r.shop.AddStatus("processing", "exported")
	r.rules.Statuses = statuses(t, "exported")
	n := r.telling()
	p := r.shop.PlaceOrder(fakemagento.Placing{Status: "fraud"})
	r.toERP.with(http.MethodPost, 422, `{"message":"customer group 4 has no account"}`)
	for range 2 {
		_, err := r.placed(number(p.IncrementID))
		isClass(t, err, event.Rejected)
		n.note(number(p.IncrementID), err)
	}
	first := r.shop.Comments
	kit.Eventually(t, 30*time.Second, func() bool { return len(first(p.EntityID)) > 0 }, "a comment")
	text := first(p.EntityID)[0].Text
	if !strings.HasPrefix(text, "Not sent to "+erpName+": ") || !strings.Contains(text, "customer group 4 has no account") {
		t.Errorf("the comment %q", text)
	}
	other := "Not sent to " + erpName + ": the tax code is missing"
	n.note(fmt.Sprintf(`{"entity_id":%d}`, p.EntityID), event.Errorf(event.Rejected, "the tax code is missing"))
	r.awaitComments(p, text, other)
	// Another number is no other cause, another class is.
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "customer 17 is blocked since 12:07"))
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "customer 18 is blocked since 14:40"))
	n.note(number(p.IncrementID), event.Errorf(event.Internal, "the tax code is missing"))
	blocked := "Not sent to " + erpName + ": customer 17 is blocked since 12:07"
	r.awaitComments(p, text, other, blocked, other)
	if got := r.shop.Status(p.EntityID); got != "fraud" {
		t.Errorf("the order has the status %q, want the one that it had", got)
	}
	r.toERP.answering(nil)
	outcome, err := r.placed(number(p.IncrementID), replayed)
	isOutcome(t, outcome, err, event.Done)
	created := fmt.Sprintf("Sales order %s created in %s", r.erp.DocumentsOf(p.IncrementID)[0].Number, erpName)
	r.awaitComments(p, text, other, blocked, other, created)
	// What fails of an order that is in the ERP is not that it was not sent; a cancellation that fails is told.
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "something else"))
	n.Note(handlers.OrderCanceled, event.Event{Body: []byte(number(p.IncrementID))}, event.Errorf(event.Rejected, "it is picked"))
	r.awaitComments(p, text, other, blocked, other, created, "Not sent to "+erpName+": it is picked")
}

// A second order of a number is not sent, though the ledger has a document for the number.
func TestNotSent_DeadLetteredOrderOfAnotherStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	n := r.telling()
	one := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5"})
	r.exported(one)
	two := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5"})
	n.note(fmt.Sprintf(`{"entity_id":%d,"increment_id":"5"}`, two.EntityID), event.Errorf(event.Invalid, "two of them"))
	r.awaitComments(two, "Not sent to "+erpName+": two of them")
	if n := len(r.shop.Comments(one.EntityID)); n != 1 {
		t.Errorf("%d comments on the other one, want 1", n)
	}
}

// Nobody can be told of what names no order, one of several, or one that is not there; and nothing is asked for longer.
func TestNotSent_DeadLetterThatNamesNoOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	n := r.telling()
	one, two := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5"}), r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5"})
	failed := event.Errorf(event.Rejected, "no")
	for _, body := range []string{`{}`, `{"id":[]}`, number("5"), number("999"), `{"entity_id":999}`, fmt.Sprintf(`{"entity_id":%d,"increment_id":"6"}`, one.EntityID)} {
		n.note(body, failed)
	}
	n.note(number("5"), &event.Deferral{Reason: "another of its array waits"})
	last := r.shop.PlaceOrder(fakemagento.Placing{})
	n.note(number(last.IncrementID), failed)
	r.awaitComments(last, "Not sent to "+erpName+": no")
	r.isComments(one)
	r.isComments(two)
	n.stop()
	if line := r.log.Lines("order_comments_dropped"); len(line) > 0 {
		t.Errorf("something was still pending: %s", line)
	}
}

// While Magento is paused, or its circuit open, nothing is asked of it; a half-open one is probed by the comment, for there
// may be no message that could.
func TestNotSent_DeadLetteredWhileMagentoIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{failures: 1, openFor: 5 * time.Second})
	n := r.telling()
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	want := "Not sent to " + erpName + ": no"
	n.paused.Store(true)
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "no"))
	quiet := func(d time.Duration) {
		t.Helper()
		r.toShop.took()
		for end := time.Now().Add(d); time.Now().Before(end); {
			if calls := r.toShop.took(); calls != "" {
				t.Fatalf("Magento was asked %s", calls)
			}
			time.Sleep(time.Millisecond)
		}
	}
	quiet(50 * time.Millisecond)
	r.shop.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 503}})
	_, _ = r.placed(number(p.IncrementID))
	if r.magento.Status().State != circuit.Open {
		t.Fatalf("the circuit is %s", r.magento.Status().State)
	}
	n.paused.Store(false)
	quiet(300 * time.Millisecond)
	r.shop.Faults.Set(fault.Plan{})
	r.awaitComments(p, want)
	kit.Eventually(t, 10*time.Second, func() bool { // the comment is there before its probe has ended
		return r.magento.Status().State == circuit.Closed
	}, "the circuit to close")
}

// What the end of the process cuts off is written in the time that is left then.
func TestNotSent_CommentOfADeadLetterCutOffByTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	n := r.telling()
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	arrived := make(chan struct{})
	hang := sync.OnceFunc(func() { close(arrived) })
	var begun atomic.Bool
	r.toShop.answering(func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodPost || !strings.Contains(q.URL.Path, "/orders/") || begun.Swap(true) {
			return false
		}
		hang()
		_, _ = io.Copy(io.Discard, q.Body) // net/http sees that a client is gone only once its body is read
		<-q.Context().Done()
		return true
	})
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "no"))
	<-arrived
	n.stop()
	r.isComments(p, "Not sent to "+erpName+": no")
	if line := r.log.Lines("order_comments_dropped"); len(line) > 0 {
		t.Errorf("something is left: %s", line)
	}
}

// However Magento fails, the comment is there once, and nobody else is troubled.
func TestNotSent_CommentOfADeadLetterFails(t *testing.T) {
	onEachVersion(t, testCommentOfADeadLetterFails)
}

func testCommentOfADeadLetterFails(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	n := r.telling()
	for _, kind := range []fault.Fault{
		{Kind: fault.Drop}, {Kind: fault.Refuse}, {Kind: fault.Garble}, {Kind: fault.Fail}, {Kind: fault.Fail, Status: 400}, {Kind: fault.Fail, Status: 401},
	} {
		p := r.shop.PlaceOrder(fakemagento.Placing{})
		r.shop.Faults.Set(fault.Plan{Only: onlyPosts})
		r.shop.Faults.Next(kind)
		n.note(number(p.IncrementID), event.Errorf(event.Rejected, "no"))
		r.awaitComments(p, "Not sent to "+erpName+": no")
	}
	r.shop.Faults.Set(fault.Plan{})
	p, last := r.shop.PlaceOrder(fakemagento.Placing{}), r.shop.PlaceOrder(fakemagento.Placing{})
	r.toShop.answering(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodPost || !strings.Contains(q.URL.Path, fmt.Sprintf("/orders/%d/", p.EntityID)) {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message":"The comment is too short."}`))
		return true
	})
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "no"))
	n.note(number(last.IncrementID), event.Errorf(event.Rejected, "no"))
	r.awaitComments(last, "Not sent to "+erpName+": no")
	r.isComments(p)
	if !r.log.Has("comment_refused", "journal", "true", "key", p.IncrementID) {
		t.Error("the refused comment is not journaled")
	}
}

// The reason is one line of at most 200 characters, without addresses.
func TestNotSent_ReasonOfADeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	n := r.telling()
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "vesna@fixture.example\n\tis\x00 blocked: %s", strings.Repeat("ä", 300)))
	kit.Eventually(t, 30*time.Second, func() bool { return len(r.shop.Comments(p.EntityID)) == 1 }, "the comment")
	reason, ok := strings.CutPrefix(r.shop.Comments(p.EntityID)[0].Text, "Not sent to "+erpName+": ")
	if !ok || utf8.RuneCountInString(reason) != 200 || !strings.HasPrefix(reason, "*** is blocked: ää") || !strings.HasSuffix(reason, "ä…") {
		t.Errorf("the reason %q of %d characters", reason, utf8.RuneCountInString(reason))
	}
}

// A flood of letters is bounded; what is pending at the end is written then, or said to be left.
func TestNotSent_ManyDeadLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	n := r.telling()
	n.paused.Store(true)
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	n.note(number(p.IncrementID), event.Errorf(event.Rejected, "no"))
	for i := range 1200 {
		n.note(fmt.Sprintf(`{"entity_id":%d}`, 1000+i), event.Errorf(event.Rejected, "no"))
	}
	n.paused.Store(false)
	r.awaitComments(p, "Not sent to "+erpName+": no")
	if !r.log.Has("order_comments_dropped", "orders", "201") {
		t.Error("it is not said how many were too many")
	}
	n.paused.Store(true)
	last := r.shop.PlaceOrder(fakemagento.Placing{})
	n.note(number(last.IncrementID), event.Errorf(event.Rejected, "no"))
	n.stop()
	if !r.log.Has("order_comments_dropped", "orders", "1") || len(r.shop.Comments(last.EntityID)) != 0 {
		t.Error("it is not said that some are left at the end")
	}
}
