package consumer_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/mageline/mageline/event"
)

// What a consumer needs and has no circuit pauses it without costing an attempt, and it goes on when told.
func TestOutage_PausesAConsumer(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	full.Store(true)
	var attempts atomic.Int64
	var r *rig
	r = newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		attempts.Store(int64(e.Attempt))
		if full.Load() {
			r.Outage(orders, "the disk is full")
			return "", &event.Deferral{Reason: "the disk is full", Downstream: "disk"}
		}
		return event.Done, nil
	})
	r.start()
	r.consumerIs(orders, "subscribed")
	r.Publish(placed, numbered(1))
	if reason := r.consumerIs(orders, "paused"); reason != "the disk is full" {
		t.Errorf("paused because %q", reason)
	}
	if r.Outage(orders, "it is still full") {
		t.Error("an outage that stands is new")
	}
	full.Store(false)
	r.Restored(orders)
	r.Restored(orders)
	r.consumerIs(orders, "subscribed")
	r.eventually("the message is done", func() bool { return r.count("mageline_deliveries_total", "outcome", "acked") == 1 })
	if n := attempts.Load(); n != 1 {
		t.Errorf("it was done at attempt %d", n)
	}
}
