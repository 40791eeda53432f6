package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Where quorum queues can't be had: orders pass, retries return, dead letters are replayed.
func TestReplica_WorksOnClassicQueues(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	e.Set("QUEUE_TYPE", "classic", "BREAKER_FAILURES", "0", "ERP_UNCERTAIN_WAIT", "0")
	r := e.Start().AwaitReady()
	failed := fault.Fault{Kind: fault.Fail, Status: 503}
	e.ERP.Faults.Next(failed, failed, failed)
	placed := e.Place(20, fakemagento.Placing{})
	e.AwaitDone(placed...)
	kit.Eventually(t, env.Patience, func() bool { return r.Metric("mageline_deliveries_total", `outcome="retried"`) >= 3 }, "three retries")
	e.RefuseOrders()
	refused := e.Place(3, fakemagento.Placing{})
	letters := e.DeadLetters("order_placed")
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == len(refused) }, fmt.Sprintf("%d dead letters", len(refused)))
	e.Heal()
	if out, code := e.Call("--replay-dlq", letters); code != 0 || !strings.Contains(out, "replayed 3, skipped 0, failed 0") {
		t.Errorf("the replay ends with %d: %s", code, out)
	}
	placed = append(placed, refused...)
	e.AwaitDone(placed...)
	out, code := e.Call("check")
	if code != 0 || !strings.Contains(out, "at most once") {
		t.Errorf("check ends with %d and does not say that retries return at most once:\n%s", code, out)
	}
	e.Finish()
	e.CheckDone(placed...)
}
