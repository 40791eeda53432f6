package consumer_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
)

// A handler that ignores the end of its context keeps its message, is named, and ends the process when its lease has
// passed; what it had is delivered again. The others go on until then.
func TestHung_EndsTheProcessAfterTheLease(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var handled atomic.Int64
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if number(e) == 1 {
			<-release
		}
		handled.Add(1)
		return event.Done, nil
	})
	t.Cleanup(func() { close(release) }) // goleak: the handler must return after all
	r.opts.HandlerTimeout, r.opts.Lease = 100*time.Millisecond, 15*time.Second
	r.start()
	for n := range 4 { // until it may hold more than one
		r.Publish(placed, numbered(n+2))
	}
	r.eventually("these are done", func() bool { return handled.Load() == 4 })
	r.Publish(placed, numbered(1))
	r.eventually("it is named", func() bool {
		return strings.Contains(r.Status().Consumers[orders].Reason, "does not return") && r.Status().Ready() &&
			r.log.Has("handler_hung")
	})
	r.Publish(placed, numbered(9))
	r.eventually("others go on", func() bool { return handled.Load() == 5 })
	r.eventually("the runtime ends", func() bool { return r.ended.Load() != nil })
	if err := *r.ended.Load(); !errors.Is(err, consumer.ErrHung) {
		t.Errorf("ended with %v", err)
	}
	if n := r.settled(orders, "acked"); n != 5 {
		t.Errorf("%d were acknowledged", n)
	}
	r.eventually("its message is there again", func() bool { return r.Depth(r.Queue(orders)) == 1 })
}

// One that returns late, but before its lease has passed, is settled as one that timed out.
func TestHung_MayReturnLate(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var handled atomic.Int64
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		if handled.Add(1) == 1 {
			<-release
			return "", errors.New("its context had ended")
		}
		return event.Done, nil
	})
	r.opts.HandlerTimeout, r.opts.Lease = 100*time.Millisecond, time.Hour
	r.start()
	r.Publish(placed, numbered(1))
	r.eventually("it is named", func() bool { return strings.Contains(r.Status().Consumers[orders].Reason, "does not return") })
	close(release)
	r.outcomes(map[string]int{"retried": 1, "acked": 1})
	if reason := r.Status().Consumers[orders].Reason; reason != "" {
		t.Errorf("it is still named: %s", reason)
	}
}
