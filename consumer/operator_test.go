package consumer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// What an operator has paused takes nothing, not even as a probe; what it has begun finishes, and the others go on.
func TestOperator_PausesAndResumes(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.Closed)
	began, release := make(chan struct{}, 100), make(chan struct{})
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		began <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		if err := erp.request(ctx, true); err != nil {
			return "", err
		}
		return event.Done, nil
	})
	r.opts.Consumers[0].Needs = []string{"magento", "erp"}
	r.opts.Consumers = append(r.opts.Consumers, consumer.Consumer{
		Name: "customer_saved", Topics: []string{"customer.saved"}, Needs: []string{"magento"},
		Handler: consumer.HandlerFunc(func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil }),
	})
	r.opts.Circuits = []circuit.Breaker{newBreaker("magento", circuit.Closed), erp, newBreaker("search", circuit.Closed)}
	r.start()
	r.consumerIs(orders, "subscribed")
	if all := r.Status().Downstreams; len(all) != 2 {
		t.Errorf("%v, want those that a consumer needs", all)
	}
	r.Publish(placed, numbered(1))
	<-began

	r.SetPauses(map[string]string{"erp": "erp is paused for maintenance"})
	if reason := r.consumerIs(orders, "paused"); reason != "erp is paused for maintenance" {
		t.Errorf("paused because %q", reason)
	}
	status := r.Status()
	if part := status.Downstreams["erp"]; part.State != "paused" || part.Reason != "erp is paused for maintenance" || !status.Ready() {
		t.Errorf("status %+v", status)
	}
	if reason, paused := r.PausedByOperator(orders); !paused || reason == "" {
		t.Error("not said to be paused by an operator")
	}
	for _, name := range []string{"customer_saved", "nobody"} {
		if reason, paused := r.PausedByOperator(name); paused {
			t.Errorf("%s: %s", name, reason)
		}
	}
	r.eventually("nothing is subscribed", func() bool { return r.count("mageline_paused", "consumer", orders) == 1 })
	close(release)
	r.eventually("what had begun is done", func() bool { return r.settled(orders, "acked") == 1 })
	r.Publish(placed, numbered(2))
	r.Publish("customer.saved", numbered(1))
	r.eventually("the other consumer goes on", func() bool { return r.settled("customer_saved", "acked") == 1 })

	// A circuit that would let a probe through, and a pause of the consumer in place of that of the downstream.
	erp.set(circuit.HalfOpen)
	r.SetPauses(map[string]string{orders: "orders are paused for maintenance"})
	r.eventually("both reasons are said", func() bool {
		reason := r.Status().Consumers[orders].Reason
		return strings.Contains(reason, "half-open") && strings.Contains(reason, "orders are paused for maintenance")
	})
	r.Publish("customer.saved", numbered(2))
	r.eventually("the other consumer goes on", func() bool { return r.settled("customer_saved", "acked") == 2 })
	since := r.Status().Consumers[orders].Since
	r.eventually("what waits is counted", func() bool { return r.Status().Consumers[orders].Messages == 1 })
	if again := r.Status().Consumers[orders].Since; since.IsZero() || !again.Equal(since) {
		t.Errorf("paused since %s, and then since %s", since, again)
	}
	if n := r.Depth(r.Queue(orders)); n != 1 || len(began) > 0 {
		t.Errorf("%d messages in the queue, %d were tried in the pause", n, len(began))
	}

	r.SetPauses(nil) // the circuit is still half-open: the message that waits is its probe
	r.eventually("what has waited is done", func() bool { return r.settled(orders, "acked") == 2 })
	r.consumerIs(orders, "subscribed")
}
