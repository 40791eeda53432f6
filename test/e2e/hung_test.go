package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// A call that never returns: the log and /readyz name the message, the others go on, and when its lease has passed the process
// ends itself with 1. The next one takes the order over and does it, once.
func TestHungHandler_EndsTheReplica(t *testing.T) {
	t.Parallel()
	const lease = 25 * time.Second
	e := newEnv(t, 200*time.Millisecond, time.Second)
	e.Set("HANDLER_TIMEOUT", "1s", "ERP_TIMEOUT", "500ms", "MAGENTO_TIMEOUT", "500ms", "IDEMPOTENCY_LEASE", lease.String())
	hanging := e.Shop.PlaceOrder(fakemagento.Placing{})
	r := program.Variant(t, "-tags=e2e").Start(t, e.With("E2E_HANG", hanging.IncrementID)).AwaitReady()
	e.AwaitDone(e.Place(10, fakemagento.Placing{})...) // it may hold more than one then
	began := time.Now()
	e.Publish("sales.order.placed", env.Body(hanging, 0))
	r.AwaitSaying("the handler does not return", func(status int, d replica.Readiness) bool {
		return status == 200 && strings.Contains(d.Consumers["order_placed"].Reason, "does not return since")
	})
	r.AwaitEvent("handler_hung")
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	if code := r.Exit(); code != 1 || time.Since(began) < lease {
		t.Errorf("it ended after %s with %d, want %s and 1", time.Since(began), code, lease)
	}
	if hung, outlived := r.Events("handler_hung"), r.Events("handler_outlived_lease"); hung != 1 || outlived != 1 {
		t.Errorf("the log says %d times that it hangs, and %d times why the process ends", hung, outlived)
	}
	if e.Exported(hanging) != 0 {
		t.Error("the ERP has the order whose call has never come to it")
	}
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(e.Queue("order_placed")) == 1 }, "its message to be there again")
	e.Start().AwaitReady()
	kit.Eventually(t, 2*env.Patience, func() bool { return e.Done(hanging) == 1 }, "the next replica to do it")
	e.Finish()
}
