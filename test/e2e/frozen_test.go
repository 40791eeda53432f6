package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// A replica stands still with its call out: the ERP has booked, and the answer never comes to it. Another takes over when
// its lease has passed, and finds the order. The one that wakes up must neither repeat nor overwrite anything.
func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond, time.Second)
	l.env = l.with("HANDLER_TIMEOUT", "1s", "IDEMPOTENCY_LEASE", "6s", "ERP_TIMEOUT", "500ms")
	frozen := start(t, l.env).AwaitReady()
	l.erp.Faults.Next(fault.Fault{Kind: fault.Late, After: time.Hour})
	o := l.place(1, fakemagento.Placing{})[0]
	kit.Eventually(t, patience, func() bool { return len(l.erp.DocumentsOf(o.IncrementID)) == 1 }, "the ERP to book")
	frozen.Signal(syscall.SIGSTOP)
	other := start(t, l.env).AwaitReady()
	l.Publish("sales.order.updated", event(o, 1)) // the broker still takes the frozen one for alive
	l.awaitDone(patience, o)
	number := l.number(o)
	frozen.Signal(syscall.SIGCONT)
	kit.Eventually(t, patience, func() bool { status, _ := frozen.Ready(); return status == http.StatusOK }, "the frozen one to go on")
	l.finish(frozen, other)
	if !l.done([]fakemagento.Placed{o}) || l.number(o) != number {
		t.Error("the order was exported or commented once more")
	}
	l.hasComments(o, "Sales order "+number+" created in ACME")
	if n := len(l.history(o)); n < 2 {
		t.Errorf("the ERP was called %d times: nobody has looked", n)
	}
}
