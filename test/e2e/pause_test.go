package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// An operator pauses the ERP: both replicas obey, and so does one that is started later; what is in flight finishes, and
// nothing else reaches the ERP until it is resumed.
func TestPausedByOperator(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond, time.Second)
	replicas := []*replica.Replica{start(t, l.env).AwaitReady(), start(t, l.env).AwaitReady()}
	release := l.hold()
	begun := l.place(1, fakemagento.Placing{})
	kit.Eventually(t, patience, func() bool { return l.kept.Load() == 1 }, "a call in flight")

	if out, code := call(t, l.env, "pause", "erp", "--until", "1h"); code != 0 || !strings.Contains(out, "erp is paused by an operator since ") {
		t.Fatalf("pause: exit %d, %s", code, out)
	}
	for _, r := range replicas {
		awaitPaused(r, "order_placed", "order_canceled")
	}
	release()
	l.awaitDone(patience, begun...)

	replicas = append(replicas, start(t, l.env))
	awaitPaused(replicas[2], "order_placed", "order_canceled")
	for _, line := range replicas[2].Logged() {
		if line["message"] == "subscribed" && strings.HasPrefix(fmt.Sprint(line["consumer"]), "order_") {
			t.Errorf("the replica that was started later has subscribed before it knew of the pause: %v", line)
		}
	}
	calls := len(l.erp.Requests())
	waiting := l.place(20, fakemagento.Placing{})

	// The pause of a consumer goes on when that of the downstream ends, and leaves the others alone.
	if out, code := call(t, l.env, "pause", "order_placed"); code != 0 {
		t.Fatalf("pause: exit %d, %s", code, out)
	}
	if out, code := call(t, l.env, "resume", "erp"); code != 0 {
		t.Fatalf("resume: exit %d, %s", code, out)
	}
	for _, r := range replicas {
		kit.Eventually(t, patience, func() bool {
			_, document := r.Ready()
			return document.Consumers["order_canceled"].State == "subscribed"
		}, "order_canceled to go on")
		awaitPaused(r, "order_placed")
	}
	kit.Eventually(t, patience, func() bool { return l.Depth(l.Queue("order_placed")) == len(waiting) }, "every order to wait in its queue")
	if n := len(l.erp.Requests()) - calls; n != 0 {
		t.Errorf("the ERP was called %d times in the pause", n)
	}
	if out, code := call(t, l.env, "resume", "order_placed"); code != 0 {
		t.Fatalf("resume: exit %d, %s", code, out)
	}
	for _, r := range replicas {
		r.AwaitReady()
	}
	l.awaitDone(patience, waiting...)

	// A pause with an end ends by itself.
	if out, code := call(t, l.env, "pause", "magento", "--until", "10s"); code != 0 {
		t.Fatalf("pause: exit %d, %s", code, out)
	}
	for _, r := range replicas {
		kit.Eventually(t, patience, func() bool { return r.Said("an operator's pause is over") == 3 }, "the third pause to be over")
		r.AwaitReady()
	}
	l.finish(replicas...)
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
