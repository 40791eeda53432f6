package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/process"
)

// A replica stands still with its call out: the ERP has booked, and the answer never comes to it. Another takes over when
// its lease has passed, and finds the order. The one that wakes up must neither repeat nor overwrite anything.
func TestReplica_FrozenBeyondItsLease(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	e.Set("HANDLER_TIMEOUT", "1s", "IDEMPOTENCY_LEASE", "6s", "ERP_TIMEOUT", "500ms")
	frozen := e.Start().AwaitReady()
	e.ERP.Faults.Next(fault.Fault{Kind: fault.Late, After: time.Hour})
	o := e.PlaceOne(fakemagento.Placing{})
	kit.Eventually(t, env.Patience, func() bool { return len(e.ERP.DocumentsOf(o.IncrementID)) == 1 }, "the ERP to book")
	frozen.Signal(process.Freeze)
	e.Start().AwaitReady()
	e.Publish("sales.order.updated", env.Body(o, 1)) // the broker still takes the frozen one for alive
	e.AwaitDone(o)
	number := e.Number(o)
	frozen.Signal(process.Thaw)
	kit.Eventually(t, env.Patience, func() bool { status, _ := frozen.Ready(); return status == http.StatusOK }, "the frozen one to go on")
	e.Finish()
	e.CheckDone(o)
	if e.Number(o) != number {
		t.Error("the order was exported or commented once more")
	}
	e.HasComments(o, "Sales order "+number+" created in ACME")
	if n := len(e.History(o.IncrementID)); n < 2 {
		t.Errorf("the ERP was called %d times: nobody has looked", n)
	}
}
