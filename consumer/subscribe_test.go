package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// The prefetch starts at 1, doubles as messages are settled, and never exceeds PREFETCH.
func TestPrefetch_GrowsAsMessagesAreSettled(t *testing.T) {
	t.Parallel()
	const messages = 50
	turn := make(chan struct{})
	var answers atomic.Bool
	answers.Store(true)
	erp := newBreaker("erp", circuit.Open)
	r := newRig(t, func(ctx context.Context, _ event.Event) (event.Outcome, error) {
		select {
		case <-turn:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if err := erp.request(ctx, true); err != nil {
			return "", err
		}
		return event.Done, nil
	})
	r.opts.Prefetch, r.opts.Concurrency = 6, 20
	r.opts.Consumers[0].Needs = []string{"erp"}
	r.opts.Circuits = []circuit.Breaker{erp}
	r.start()
	for n := range messages {
		r.Publish(placed, numbered(n))
	}
	settled := 0
	grow := func(settle, want int) {
		t.Helper()
		for range settle {
			turn <- struct{}{}
			settled++
		}
		r.eventually(fmt.Sprintf("%d unacknowledged deliveries after %d were settled", want, settled), func() bool {
			if n := messages - r.Depth(r.Queue(orders)) - settled; n > want { // some of them may not be acknowledged yet
				t.Fatalf("%d unacknowledged deliveries after %d were settled, want %d", n, settled, want)
			}
			return r.settled(orders, "acked") == settled && r.unacked(messages) == want
		})
	}
	grow(0, 0)
	erp.set(circuit.Closed)
	grow(0, 1)
	grow(1, 2)
	grow(2, 4)
	grow(4, 6)
	grow(10, 6)

	// A pause with all of them in a handler: what is still held counts, also when the consumer goes on.
	erp.set(circuit.Open)
	r.consumerIs(orders, "paused")
	r.eventually("the subscription is cancelled", func() bool { return r.count("mageline_paused", "consumer", orders) == 1 })
	erp.set(circuit.Closed)
	r.eventually("it says that it is full", func() bool { return strings.Contains(r.Status().Consumers[orders].Reason, "from before a pause") })
	if !r.Status().Ready() {
		t.Errorf("status %+v", r.Status())
	}
	grow(0, 6)
	grow(14, 6)

	// What is settled in a pause does not let the prefetch grow after it.
	r.SetPauses(map[string]string{orders: "orders are paused for maintenance"})
	r.eventually("the subscription is cancelled", func() bool { return r.count("mageline_paused", "consumer", orders) == 1 })
	grow(6, 0)
	r.SetPauses(nil)
	grow(0, 1)
	grow(1, 2)
	close(turn)
	r.eventually("all are done", func() bool { return r.settled(orders, "acked") == messages })
}

// Once the prefetch has grown, two subscriptions have all of it, and more than it is never held.
func TestPrefetch_MergesSubscriptions(t *testing.T) {
	t.Parallel()
	const messages, prefetch = 400, 16
	turn := make(chan struct{})
	var held, most atomic.Int64
	r := newRig(t, func(ctx context.Context, _ event.Event) (event.Outcome, error) {
		n := held.Add(1)
		defer held.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-turn:
			return event.Done, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	r.opts.Prefetch, r.opts.Concurrency = prefetch, 2*prefetch
	r.start()
	for n := range messages {
		r.Publish(placed, numbered(n))
	}
	released := 0
	until := func(most, atLeast int) {
		t.Helper()
		for released < atLeast || r.Subscriptions(r.Queue(orders)) > most {
			if released == messages-prefetch {
				t.Fatalf("%d subscriptions after %d of %d messages, want %d", r.Subscriptions(r.Queue(orders)), released, messages, most)
			}
			turn <- struct{}{}
			released++
		}
	}
	until(4, prefetch+prefetch/2) // of five: RabbitMQ counts those that are cancelled until what they have brought is settled
	r.SetPauses(map[string]string{orders: "a pause while they merge"})
	r.eventually("nothing is subscribed", func() bool { return r.count("mageline_paused", "consumer", orders) == 1 })
	r.SetPauses(nil)
	until(2, released+5*prefetch)
	r.eventually("two subscriptions have all of the prefetch", func() bool {
		if held.Load() == prefetch && r.Subscriptions(r.Queue(orders)) <= 2 {
			return true
		}
		select {
		case turn <- struct{}{}: // one of the two may have been cancelled, and have brought what is not settled yet
		default:
		}
		return false
	})
	close(turn)
	r.eventually("all are done", func() bool { return r.settled(orders, "acked") == messages })
	if most.Load() != prefetch {
		t.Errorf("%d were in handlers at once, PREFETCH is %d", most.Load(), prefetch)
	}
}
