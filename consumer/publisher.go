package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// Publisher publishes events of the program's own, on the connection of a Runtime. Its methods may be called from any goroutine.
type Publisher struct {
	topology   rabbitmq.Topology
	session    *atomic.Pointer[session]
	refusedFor time.Duration // how long nothing is published to an exchange that refused it
	refused    atomic.Int64  // until then, in nanoseconds since 1970
}

// Publisher returns the publisher of events of the program's own. They are published while Run has a connection.
func (r *Runtime) Publisher() *Publisher { return r.events }

// Send publishes an event to a consumer's queue, through the default exchange, and waits until the
// queue has stored it. It carries ctx's trace.
func (p *Publisher) Send(ctx context.Context, consumer, topic string, body []byte) error {
	return p.send(ctx, "", p.topology.Queue(consumer), amqp.Table{rabbitmq.HeaderTopic: topic}, body)
}

// SendReconciled sends an event that was found to be missing. Whoever handles it asks the downstream before it repeats anything.
func (p *Publisher) SendReconciled(ctx context.Context, consumer, topic string, body []byte) error {
	return p.send(ctx, "", p.topology.Queue(consumer), rabbitmq.Reconciled(topic, time.Now()), body)
}

// Publish publishes an event to the exchange, for whoever is bound to its topic, and waits until a
// queue has stored it. Its errors are an event's. That the user may not publish there the broker says by ending the
// connection, of all consumers: then it is tried again no sooner than other credentials that were refused.
func (p *Publisher) Publish(ctx context.Context, topic string, body []byte) error {
	forbidden := func(err error) error {
		return event.Errorf(event.Unauthorized, "RabbitMQ's user may not publish to exchange %q: give it the right to write there (rabbitmqctl set_permissions): %w",
			p.topology.Exchange, err)
	}
	if time.Now().UnixNano() < p.refused.Load() {
		return forbidden(errors.New("it was refused a moment ago"))
	}
	err := p.send(ctx, p.topology.Exchange, topic, amqp.Table{}, body)
	switch {
	case rabbitmq.IsRefused(err):
		p.refused.Store(time.Now().Add(p.refusedFor).UnixNano())
		return forbidden(err)
	case errors.Is(err, rabbitmq.ErrReturned):
		return event.Errorf(event.Unavailable, "no queue is bound to %q at exchange %q: enable a consumer of it, or bind its queue: %w",
			topic, p.topology.Exchange, err)
	case errors.Is(err, rabbitmq.ErrRefused):
		return event.Errorf(event.Unavailable, "publish %s: %w", topic, err)
	case errors.Is(err, rabbitmq.ErrUnconfirmed):
		return &event.Deferral{Reason: "RabbitMQ is away", Err: err}
	}
	return err
}

func (p *Publisher) send(ctx context.Context, exchange, key string, headers amqp.Table, body []byte) error {
	s := p.session.Load()
	if s == nil {
		return &event.Deferral{Reason: "RabbitMQ is away"}
	}
	propagation.TraceContext{}.Inject(ctx, carrier(headers))
	err := s.publish.Publish(ctx, exchange, key, amqp.Publishing{
		Headers: headers, ContentType: "application/json", DeliveryMode: amqp.Persistent,
		MessageId: rand.Text(), Timestamp: time.Now(), Body: body,
	})
	return p.topology.Explain(err, rabbitmq.ToPublish)
}
