package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Where quorum queues can't be had: orders pass, retries return, dead letters are replayed.
func TestClassicQueues(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond, time.Second)
	l.env = l.with("QUEUE_TYPE", "classic", "BREAKER_FAILURES", "0", "ERP_UNCERTAIN_WAIT", "0")
	r := start(t, l.env).AwaitReady()
	failed := fault.Fault{Kind: fault.Fail, Status: 503}
	l.erp.Faults.Next(failed, failed, failed)
	placed := l.place(20, fakemagento.Placing{})
	l.awaitDone(patience, placed...)
	if n := r.Metric("mageline_deliveries_total", `outcome="retried"`); n < 3 {
		t.Errorf("%v retries, want 3", n)
	}
	l.erp.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}})
	refused := l.place(3, fakemagento.Placing{})
	letters := l.DeadLetters("order_placed")
	kit.Eventually(t, patience, func() bool { return l.Depth(letters) == len(refused) }, fmt.Sprintf("%d dead letters", len(refused)))
	l.erp.Faults.Set(fault.Plan{})
	if out, code := call(t, l.env, "--replay-dlq", letters); code != 0 || !strings.Contains(out, "replayed 3, skipped 0, failed 0") {
		t.Errorf("the replay ends with %d: %s", code, out)
	}
	placed = append(placed, refused...)
	l.awaitDone(patience, placed...)
	out, code := call(t, l.env, "check")
	if code != 0 || !strings.Contains(out, "at most once") {
		t.Errorf("check ends with %d and does not say that retries return at most once:\n%s", code, out)
	}
	l.finish(r)
	if !l.done(placed) {
		t.Error("an order was done once more")
	}
}
