package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// stop ends a replica in order, and leaves the queues as they are.
func stop(t *testing.T, r *replica.Replica) {
	t.Helper()
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("the replica ended with exit code %d; its log: %s", code, r.Log)
	}
}

// Magento is told of an order that was dead-lettered, once, also by a process that ends right after; and of its document
// when a replay has brought it to the ERP.
func TestTellsMagentoOfDeadLetters(t *testing.T) { onEachVersion(t, testTellsMagentoOfDeadLetters) }

func testTellsMagentoOfDeadLetters(t *testing.T) {
	l := newLine(t, 200*time.Millisecond, time.Second)
	r := start(t, l.env).AwaitReady()
	refused, good := l.shop.PlaceOrder(fakemagento.Placing{}), l.shop.PlaceOrder(fakemagento.Placing{})
	l.erp.Faults.Set(fault.Plan{
		Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity},
		Only: func(r *http.Request) bool {
			return strings.HasSuffix(r.Header.Get("Idempotency-Key"), ":"+refused.IncrementID)
		},
	})
	// Of an array with a good one; of an event on a replica that is stopped as soon as the letter is there.
	l.Publish("sales.order.placed", fmt.Sprintf(`[%s,%s]`, event(good, 0), event(refused, 0)))
	letters := func(n int) {
		t.Helper()
		kit.Eventually(t, patience, func() bool { return l.Depth(l.DeadLetters("order_placed")) == n }, fmt.Sprintf("%d letters", n))
	}
	letters(1)
	l.awaitDone(patience, good)
	stop(t, r)
	told := func(want int) {
		t.Helper()
		kit.Eventually(t, patience, func() bool { return l.shop.CommentCounts("Not sent to ACME: ")[refused.IncrementID] == want },
			fmt.Sprintf("%d comments that say why it is not sent", want))
	}
	told(1)
	r = start(t, l.env).AwaitReady()
	l.Publish("sales.order.updated", event(refused, 1)) // the same cause again
	letters(2)

	l.erp.Faults.Set(fault.Plan{})
	out, code := call(t, l.env, "--replay-dlq", l.DeadLetters("order_placed"), "--yes")
	if code != 0 {
		t.Fatalf("the replay ends with %d: %s", code, out)
	}
	l.awaitDone(patience, refused, good)
	l.finish(r)
	told(1)
	comments := l.shop.Comments(refused.EntityID)
	slices.SortFunc(comments, func(a, b fakemagento.Comment) int { return a.CreatedAt.Compare(b.CreatedAt) })
	if len(comments) != 2 || !strings.Contains(comments[0].Text, "422") || comments[1].Text != "Sales order "+l.number(refused)+" created in ACME" {
		t.Errorf("comments %+v", comments)
	}
	if status := l.shop.Status(refused.EntityID); status != "processing" {
		t.Errorf("the order has the status %q", status)
	}
	l.hasComments(good, "Sales order "+l.number(good)+" created in ACME")
}

// Who does not want it is not told.
func TestTellsMagentoNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t, time.Second)
	r := start(t, l.with("ORDER_COMMENT_FAILED", "false")).AwaitReady()
	l.erp.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity}})
	o := l.place(1, fakemagento.Placing{})[0]
	kit.Eventually(t, patience, func() bool { return l.Depth(l.DeadLetters("order_placed")) == 1 }, "the letter")
	stop(t, r)
	l.hasComments(o)
}
