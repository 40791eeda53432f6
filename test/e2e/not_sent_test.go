package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
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
func TestOrderComment_TellsOfDeadLetter(t *testing.T) { onEachVersion(t, testTellsOfDeadLetter) }

func testTellsOfDeadLetter(t *testing.T) {
	e := newEnv(t, 200*time.Millisecond, time.Second)
	r := e.Start().AwaitReady()
	refused, good := e.Shop.PlaceOrder(fakemagento.Placing{}), e.Shop.PlaceOrder(fakemagento.Placing{})
	e.ERP.Faults.Set(fault.Plan{
		Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity},
		Only:  env.OfOrder(refused),
	})
	// Of an array with a good one; of an event on a replica that is stopped as soon as the letter is there.
	e.Publish("sales.order.placed", fmt.Sprintf(`[%s,%s]`, env.Body(good, 0), env.Body(refused, 0)))
	letters := func(n int) {
		t.Helper()
		e.AwaitLetters("order_placed", n)
	}
	letters(1)
	e.AwaitDone(good)
	stop(t, r)
	told := func(want int) {
		t.Helper()
		kit.Eventually(t, env.Patience, func() bool { return e.Shop.CommentCounts("Not sent to ACME: ")[refused.IncrementID] == want },
			fmt.Sprintf("%d comments that say why it is not sent", want))
	}
	told(1)
	e.Start().AwaitReady()
	e.Publish("sales.order.updated", env.Body(refused, 1)) // the same cause again
	letters(2)

	e.Heal()
	out, code := e.Call("--replay-dlq", e.DeadLetters("order_placed"), "--yes")
	if code != 0 {
		t.Fatalf("the replay ends with %d: %s", code, out)
	}
	e.AwaitDone(refused, good)
	e.Finish()
	told(1)
	comments := e.Shop.Comments(refused.EntityID)
	slices.SortFunc(comments, func(a, b fakemagento.Comment) int { return a.CreatedAt.Compare(b.CreatedAt) })
	if len(comments) != 2 || !strings.Contains(comments[0].Text, "422") || comments[1].Text != "Sales order "+e.Number(refused)+" created in ACME" {
		t.Errorf("comments %+v", comments)
	}
	if status := e.Shop.Status(refused.EntityID); status != "processing" {
		t.Errorf("the order has the status %q", status)
	}
	e.HasComments(good, "Sales order "+e.Number(good)+" created in ACME")
}

// Who does not want it is not told.
func TestOrderComment_OffForDeadLetter(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Second)
	r := e.Start("ORDER_COMMENT_FAILED", "false").AwaitReady()
	e.RefuseOrders()
	o := e.PlaceOne(fakemagento.Placing{})
	e.AwaitLetters("order_placed", 1)
	stop(t, r)
	e.HasComments(o)
}
