package consumer_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit"
)

// singleActive declares the queue of orders as one with a single active consumer.
func (r *rig) singleActive() {
	r.t.Helper()
	r.channel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(r.Queue(orders), true, false, false, false, amqp.Table{
			"x-queue-type": "quorum", "x-single-active-consumer": true, "x-dead-letter-exchange": "",
			"x-dead-letter-routing-key": r.DeadLetters(orders), "x-delivery-limit": int64(1000),
		})
		return err
	})
}

// A queue with a single active consumer answers basic.get with 405. Its consumer goes on all the same after an open circuit:
// what it had in flight is settled, the probe that fails goes to the shortest retry queue, and the next one is another message.
func TestProbe_SingleActiveConsumer(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.Closed)
	var answers atomic.Bool
	var got seen
	held := make(chan struct{})
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		if number(e) == 1 {
			select {
			case <-held:
			case <-ctx.Done():
			}
			return event.Done, nil
		}
		if err := erp.request(ctx, answers.Load()); err != nil {
			return "", err
		}
		return event.Done, nil
	})
	r.opts.Consumers[0].Needs = []string{"erp"}
	r.opts.Circuits = []circuit.Breaker{erp}
	r.opts.RetryDelays = []time.Duration{away}
	r.singleActive()
	answers.Store(true)
	r.start()
	r.consumerIs(orders, "subscribed")
	for n := range 16 { // the prefetch grows
		r.Publish(placed, numbered(100+n))
	}
	r.outcomes(map[string]int{"acked": 16})
	r.Publish(placed, numbered(1)) // in flight until the end
	r.eventually("it has begun", func() bool { return len(got.all()) == 17 })
	answers.Store(false)
	r.Publish(placed, numbered(2))
	r.consumerIs(orders, "paused")
	r.outcomes(map[string]int{"acked": 16, "deferred": 1})
	r.Publish(placed, numbered(3))
	r.Publish(placed, numbered(4))
	erp.set(circuit.HalfOpen)
	r.outcomes(map[string]int{"acked": 16, "deferred": 2})
	answers.Store(true)
	erp.set(circuit.HalfOpen)
	r.consumerIs(orders, "subscribed")
	r.outcomes(map[string]int{"acked": 17, "deferred": 2})
	close(held)
	r.outcomes(map[string]int{"acked": 18, "deferred": 2})
	if n := got.numbers()[16:]; fmt.Sprint(n) != "[1 2 3 4]" {
		t.Errorf("handled %v", n)
	}
	if n := r.count("mageline_stale_settles_total"); n != 0 {
		t.Errorf("%d were handled in vain", n)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// Of two replicas one is active. The other, whose circuit is half-open, gets no message to probe with: that keeps none of its
// other consumers from probing, and when the active one is gone it takes over.
func TestProbe_SingleActiveConsumerElsewhere(t *testing.T) {
	t.Parallel()
	for _, others := range []bool{true, false} {
		t.Run(fmt.Sprintf("others=%t", others), func(t *testing.T) {
			t.Parallel()
			var first, second seen
			active := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
				first.add(e)
				return event.Done, nil
			})
			active.singleActive()
			active.start()
			active.consumerIs(orders, "subscribed")

			erp := newBreaker("erp", circuit.HalfOpen)
			handler := consumer.HandlerFunc(func(ctx context.Context, e event.Event) (event.Outcome, error) {
				second.add(e)
				if err := erp.request(ctx, true); err != nil {
					return "", err
				}
				return event.Done, nil
			})
			r := newRig(t, handler)
			r.Queues = active.Queues
			r.opts.Exchange, r.opts.Prefix = active.Exchange, active.Prefix
			r.opts.Consumers[0].Needs = []string{"erp"}
			r.opts.Consumers = append(r.opts.Consumers, consumer.Consumer{
				Name: "order_canceled", Topics: []string{"sales.order.canceled"}, Needs: []string{"erp"}, Handler: handler,
			})
			r.opts.Circuits = []circuit.Breaker{erp}
			r.start()
			r.eventually("it has probed in vain", func() bool {
				erp.mu.Lock()
				defer erp.mu.Unlock()
				return len(erp.decisions) > 4
			})
			for n := range 5 {
				r.Publish(placed, numbered(n))
			}
			active.outcomes(map[string]int{"acked": 5})
			if reason := r.consumerIs(orders, "paused"); !r.Status().Ready() {
				t.Errorf("not ready: %s", reason)
			}
			if others {
				r.Publish("sales.order.canceled", numbered(9))
				r.eventually("another consumer has probed", func() bool { return r.settled("order_canceled", "acked") == 1 })
				r.consumerIs(orders, "subscribed")
			}
			if err := active.stop(); err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				r.Publish(placed, numbered(n))
			}
			r.outcomes(map[string]int{"acked": 5})
			if n := len(first.all()); n != 5 {
				t.Errorf("the first has handled %d, want 5", n)
			}
		})
	}
}

// A credential that was refused is tried again on such a queue too.
func TestProbe_SingleActiveConsumerUnauthorized(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		if !valid.Load() {
			return "", event.Errorf(event.Unauthorized, "MAGENTO_TOKEN is refused")
		}
		return event.Done, nil
	})
	r.singleActive()
	r.start()
	r.Publish(placed, numbered(1))
	r.consumerIs(orders, "paused")
	r.eventually("it is tried again", func() bool { return r.settled(orders, "deferred") > 1 })
	valid.Store(true)
	r.consumerIs(orders, "subscribed")
	r.eventually("it is done", func() bool { return r.settled(orders, "acked") == 1 })
}

// A drain does not wait for a probe that waits for a message.
func TestProbe_SingleActiveConsumerDrains(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	r.opts.Consumers[0].Needs = []string{"erp"}
	erp := newBreaker("erp", circuit.HalfOpen)
	r.opts.Circuits = []circuit.Breaker{erp}
	r.singleActive()
	r.start()
	r.eventually("it probes by a subscription", func() bool { return r.Subscriptions(r.Queue(orders)) == 1 })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	kit.Eventually(t, patience, func() bool { return r.Subscriptions(r.Queue(orders)) == 0 }, "no subscription to be left")
}
