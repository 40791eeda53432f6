package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// A call that never returns: the log and /readyz name the message, the others go on, and when its lease has passed the process
// ends itself with 1. The next one takes the order over and does it, once.
func TestHungHandler(t *testing.T) {
	t.Parallel()
	const lease = 25 * time.Second
	l := newLine(t, 200*time.Millisecond, time.Second)
	l.env = l.with("HANDLER_TIMEOUT", "1s", "ERP_TIMEOUT", "500ms", "MAGENTO_TIMEOUT", "500ms", "IDEMPOTENCY_LEASE", lease.String())
	hanging := l.shop.PlaceOrder(fakemagento.Placing{})
	r := program.Variant(t, "-tags=e2e").Start(t, l.with("E2E_HANG", hanging.IncrementID)).AwaitReady()
	l.awaitDone(patience, l.place(10, fakemagento.Placing{})...) // it may hold more than one then
	began := time.Now()
	l.Publish("sales.order.placed", event(hanging, 0))
	r.AwaitSaying("the handler does not return", func(status int, d replica.Readiness) bool {
		return status == 200 && strings.Contains(d.Consumers["order_placed"].Reason, "does not return since")
	})
	if n := r.Said("has not returned after its cancellation"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	l.awaitDone(patience, l.place(2, fakemagento.Placing{})...)
	if code := r.Exit(); code != 1 || time.Since(began) < lease {
		t.Errorf("it ended after %s with %d, want %s and 1", time.Since(began), code, lease)
	}
	if n := r.Said("a handler has outlived its lease"); n != 1 {
		t.Errorf("the log says %d times why it ends", n)
	}
	if l.exported([]fakemagento.Placed{hanging}) != 0 {
		t.Error("the ERP has the order whose call has never come to it")
	}
	kit.Eventually(t, patience, func() bool { return l.Depth(l.Queue("order_placed")) == 1 }, "its message to be there again")
	other := start(t, l.env).AwaitReady()
	kit.Eventually(t, 2*patience, func() bool { return l.done([]fakemagento.Placed{hanging}) }, "the next replica to do it")
	l.finish(other)
}
