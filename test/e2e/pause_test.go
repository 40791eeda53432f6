package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// An operator pauses the ERP: both replicas obey, and so does one that is started later; what is in flight finishes, and
// nothing else reaches the ERP until it is resumed.
func TestPause_ObeyedByEveryReplica(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	replicas := e.Run(2)
	release := e.Hold()
	begun := e.Place(1, fakemagento.Placing{})
	e.AwaitHeld(1)

	if out, code := e.Call("pause", "erp", "--until", "1h"); code != 0 || !strings.Contains(out, "erp is paused by an operator since ") {
		t.Fatalf("pause: exit %d, %s", code, out)
	}
	for _, r := range replicas {
		awaitPaused(r, "order_placed", "order_canceled")
	}
	release()
	e.AwaitDone(begun...)

	replicas = append(replicas, e.Start())
	awaitPaused(replicas[2], "order_placed", "order_canceled")
	if n := replicas[2].Events("consumer_subscribed", "consumer", "order_"); n != 0 {
		t.Errorf("the replica that was started later has subscribed %d times before it knew of the pause", n)
	}
	calls := len(e.ERP.Requests())
	waiting := e.Place(20, fakemagento.Placing{})

	// The pause of a consumer goes on when that of the downstream ends, and leaves the others alone.
	e.MustCall("pause", "order_placed")
	e.MustCall("resume", "erp")
	for _, r := range replicas {
		kit.Eventually(t, env.Patience, func() bool {
			_, document := r.Ready()
			return document.Consumers["order_canceled"].State == "subscribed"
		}, "order_canceled to go on")
		awaitPaused(r, "order_placed")
	}
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(e.Queue("order_placed")) == len(waiting) }, "every order to wait in its queue")
	if n := len(e.ERP.Requests()) - calls; n != 0 {
		t.Errorf("the ERP was called %d times in the pause", n)
	}
	e.MustCall("resume", "order_placed")
	for _, r := range replicas {
		r.AwaitReady()
	}
	e.AwaitDone(waiting...)

	// A pause with an end ends by itself.
	e.MustCall("pause", "magento", "--until", "10s")
	for _, r := range replicas {
		kit.Eventually(t, env.Patience, func() bool { return r.Events("operator_pause_over") == 3 }, "the third pause to be over")
		r.AwaitReady()
	}
	e.Finish()
}

// awaitPaused waits until consumers are paused by an operator, on a replica that is ready all the same.
func awaitPaused(r *replica.Replica, consumers ...string) {
	r.AwaitSaying("an operator's pause is obeyed", func(status int, d replica.Readiness) bool {
		for _, c := range consumers {
			if c := d.Consumers[c]; c.State != "paused" || !strings.Contains(c.Reason, "paused by an operator since ") {
				return false
			}
		}
		return status == http.StatusOK
	})
}
