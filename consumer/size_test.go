package consumer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/private"
)

// A message that the broker had taken and, with a lower limit since its upgrade, takes no more can't be published to the
// dead-letter or retry queue. The broker dead-letters it by itself, and the consumer goes on.
func TestRejected_ABodyThatTheBrokerNoLongerTakes(t *testing.T) {
	t.Parallel()
	private.Require(t)
	broker, err := private.StartRabbitMQ()
	if broker != nil {
		t.Cleanup(broker.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	const kib = 1 << 10
	large := strings.Repeat("x", 100*kib)
	transient := event.Errorf(event.Unavailable, "away")
	tests := []struct {
		name, body string
		queue      func(r *rig) amqp.Table // arguments of the consumer's queue, as somebody has declared it; nil: as mageline does
		kept       bool                    // the consumer keeps it and pauses
		probe      bool                    // it is fetched as the probe of a circuit
	}{
		{"poison", large, nil, false, false},
		{"poison as a probe", large, nil, false, true},
		{"transient failure", `{"n":1,"filler":"` + large + `"}`, nil, false, false},
		{"without a delivery limit", large, func(r *rig) amqp.Table {
			return amqp.Table{"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": r.DeadLetters(orders)}
		}, true, false}, // the broker does not tell in which arguments it differs
		{"without a dead-letter route", large, func(*rig) amqp.Table { return amqp.Table{"x-queue-type": "quorum"} }, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := broker.LimitBodies(128 * kib * kib); err != nil {
				t.Fatal(err)
			}
			r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
				if number(e) == 1 {
					return "", transient
				}
				return event.Done, nil
			})
			r.Queues = kit.BrokerAt(t, broker.URL)
			r.opts.Broker.URL, r.opts.Exchange, r.opts.Prefix = r.URL, r.Exchange, r.Prefix
			r.opts.RetryDelays, r.opts.ShutdownTimeout = []time.Duration{away}, time.Second
			if tt.probe {
				r.opts.Consumers[0].Needs = []string{"erp"}
				r.opts.Circuits = []circuit.Breaker{newBreaker("erp", circuit.HalfOpen)}
			}
			if tt.queue != nil {
				r.channel(func(ch *amqp.Channel) error {
					_, err := ch.QueueDeclare(r.Queue(orders), true, false, false, false, tt.queue(r))
					return err
				})
			}
			r.declare()
			r.Publish(placed, tt.body)
			r.Publish(placed, numbered(2))
			if err := broker.LimitBodies(kib); err != nil {
				t.Fatal(err)
			}
			r.start()
			if tt.kept {
				if reason := r.consumerIs(orders, "paused"); !strings.Contains(reason, "larger than") {
					t.Errorf("paused because %q", reason)
				}
				if d := r.Depth(r.DeadLetters(orders)); d != 0 {
					t.Errorf("%d letters", d)
				}
				return
			}
			r.outcomes(map[string]int{"dead_lettered": 1, "acked": 1})
			if !tt.probe {
				r.consumerIs(orders, "subscribed")
			}
			d := r.take(r.DeadLetters(orders))
			if string(d.Body) != tt.body || d.Headers["x-first-death-reason"] != "rejected" {
				t.Errorf("a letter of %d bytes, first death %v", len(d.Body), d.Headers["x-first-death-reason"])
			}
		})
	}
}

// declare declares the topology, as a runtime that ran before has.
func (r *rig) declare() {
	r.t.Helper()
	conn, err := rabbitmq.Dial(r.t.Context(), rabbitmq.Options{URL: r.URL}, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rabbitmq.Close(conn)
	topology := rabbitmq.Topology{
		Exchange: r.Exchange, Prefix: r.Prefix, Type: r.opts.QueueType, Delays: r.opts.RetryDelays,
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: orders, Topics: []string{placed}}},
	}
	if _, err := topology.Declare(r.t.Context(), conn); err != nil {
		r.t.Fatal(err)
	}
}
