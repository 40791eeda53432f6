package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// maxErrorText bounds x-mageline-error.
const maxErrorText = 2048

// publish sends d where it was decided to go and reports whether it may be settled: then a queue has stored it, or d
// is to be given back, or to be rejected. It returns false when the session has ended.
func (l *line) publish(d *delivery) bool {
	exchange, key, msg := l.destination(d)
	name := holdPublishing + l.consumer.Name
	backOff := firstBackOff
	for {
		if l.over() { // the broker delivers it again: a copy of it would be one too many
			l.r.gate.release(name) // its channel may have ended while it was backing off
			return false
		}
		err := l.s.publish.Publish(l.r.work, exchange, key, msg)
		switch {
		case err == nil:
			l.r.gate.release(name)
			return true
		case l.r.work.Err() != nil: // cut: what may have been stored comes twice, and is found done
			d.nack = true
			return true
		case !errors.Is(err, rabbitmq.ErrReturned) && !errors.Is(err, rabbitmq.ErrRefused):
			l.s.end(err)
			l.r.gate.release(name) // the next session starts with a topology that was looked at
			return false
		}
		if rabbitmq.IsTooLarge(err, len(msg.Body)) && l.deadLettersItself() {
			l.r.gate.release(name)
			l.r.opts.Log.Error().Err(err).AnErr("cause", d.err).Str("consumer", l.consumer.Name).Str("id", d.id()).
				Str("event", "delivery_rejected").
				Msg("the broker no longer takes a body of this size: it is left to the broker to dead-letter the message; to replay it, raise max_message_size")
			d.reject = true
			return true
		}
		refused := rabbitmq.IsRefused(err) // which the topology can't help
		err = l.r.topology.Explain(err, rabbitmq.ToPublish)
		if l.r.gate.hold(name, hold{consumer: l.consumer.Name, text: err.Error()}) {
			l.r.opts.Log.Error().Str("event", "publish_failed").Err(err).Str("consumer", l.consumer.Name).Str("id", d.id()).
				Msg("a message can't be put off or dead-lettered; it is kept, the consumer is paused: see `mageline check`")
		}
		if !refused {
			if err := l.declareAll(l.r.work, l.s); err != nil {
				l.r.opts.Log.Error().Str("event", "topology_not_declared").Err(err).Msg("the topology can't be put right")
			}
		}
		select {
		case <-time.After(backOff):
		case <-l.s.ended:
			l.r.gate.release(name)
			return false
		case <-l.r.work.Done():
		}
		backOff = min(2*backOff, maxBackOff)
	}
}

// deadLettersItself reports whether what is rejected reaches the dead-letter queue: that is there, and the queue leads to
// it. AMQP does not tell a queue's arguments, but the broker refuses a declaration that differs in them.
func (l *line) deadLettersItself() bool {
	if l.declareAll(l.r.work, l.s) != nil {
		return false
	}
	return rabbitmq.OnChannel(l.s.consume, func(ch *amqp.Channel) error {
		for _, q := range l.r.topology.Queues() {
			if q.Name != l.queue {
				continue
			}
			_, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Args)
			return err
		}
		return fmt.Errorf("queue %s is none of the topology", l.queue)
	}) == nil
}

// destination makes the message that is published in place of d.
func (l *line) destination(d *delivery) (exchange, key string, msg amqp.Publishing) {
	now := time.Now().UTC()
	set := amqp.Table{rabbitmq.HeaderTopic: d.topic, rabbitmq.HeaderEntered: nil, rabbitmq.HeaderPutOff: nil}
	first := ""
	if rabbitmq.Believed(&d.Delivery) {
		first = rabbitmq.Text(d.Headers, rabbitmq.HeaderFirstFailedAt)
	}
	if first == "" {
		first = now.Format(time.RFC3339)
	}
	v := d.verdict
	switch v.action {
	case deadLetter:
		set[rabbitmq.HeaderQueue] = l.queue
		set[rabbitmq.HeaderReason] = v.reason
		set[rabbitmq.HeaderErrorClass] = string(v.class)
		set[rabbitmq.HeaderError] = rabbitmq.Bounded(d.err.Error(), maxErrorText)
		set[rabbitmq.HeaderAttempts] = int64(d.attempt)
		set[rabbitmq.HeaderFirstFailedAt] = first
		set[rabbitmq.HeaderFailedAt] = now.Format(time.RFC3339)
		set[rabbitmq.HeaderHost] = l.r.opts.Host
		set[rabbitmq.HeaderVersion] = l.r.opts.Version
		if key := event.KeyOf(d.err); key != "" {
			set[rabbitmq.HeaderKey] = rabbitmq.Bounded(key, 200)
		}
		return "", l.r.topology.DeadLetterQueue(l.consumer.Name), rabbitmq.Again(&d.Delivery, set, l.s.publish.FrameSize())
	case retry:
		set[rabbitmq.HeaderAttempts] = int64(d.attempt)
		set[rabbitmq.HeaderFirstFailedAt] = first
	case putOff:
		set[rabbitmq.HeaderPutOff] = "true"
		if d.entered {
			set[rabbitmq.HeaderEntered] = "true"
		}
		if v.unauthorized {
			set[rabbitmq.HeaderUnauthorized] = int64(v.refusals)
			set[rabbitmq.HeaderUnauthorizedFor] = refusedRequest(d.err)
			set[rabbitmq.HeaderUnauthorizedAt] = now.Format(time.RFC3339Nano)
		}
	case acknowledge, giveBack:
		panic(fmt.Sprintf("a delivery to be settled was published: action %d", v.action))
	}
	return l.r.topology.Retry(v.delay), l.queue, rabbitmq.Again(&d.Delivery, set, l.s.publish.FrameSize())
}

// Send publishes an event of mageline's own to a consumer's queue, through the default exchange, and waits until the
// queue has stored it. It carries ctx's trace.
func (r *Runtime) Send(ctx context.Context, consumer, topic string, body []byte) error {
	return r.send(ctx, "", r.topology.Queue(consumer), amqp.Table{rabbitmq.HeaderTopic: topic}, body)
}

// PublishEvent publishes an event of mageline's own to the exchange, for whoever is bound to its topic, and waits until a
// queue has stored it. Its errors are an event's. That the user may not publish there the broker says by ending the
// connection, of all consumers: then it is tried again no sooner than other credentials that were refused.
func (r *Runtime) PublishEvent(ctx context.Context, topic string, body []byte) error {
	forbidden := func(err error) error {
		return event.Errorf(event.Unauthorized, "the user of AMQP_URL may not publish to exchange %q: give it the right to write there (rabbitmqctl set_permissions): %w",
			r.opts.Exchange, err)
	}
	if time.Now().UnixNano() < r.forbidden.Load() {
		return forbidden(errors.New("it was refused a moment ago"))
	}
	err := r.send(ctx, r.opts.Exchange, topic, amqp.Table{}, body)
	switch {
	case rabbitmq.IsRefused(err):
		r.forbidden.Store(time.Now().Add(r.opts.ProbeEvery).UnixNano())
		return forbidden(err)
	case errors.Is(err, rabbitmq.ErrReturned):
		return event.Errorf(event.Unavailable, "no queue is bound to %q at exchange %q: enable a consumer of it, or run `mageline topology`: %w",
			topic, r.opts.Exchange, err)
	case errors.Is(err, rabbitmq.ErrRefused):
		return event.Errorf(event.Unavailable, "publish %s: %w", topic, err)
	case errors.Is(err, rabbitmq.ErrUnconfirmed):
		return &event.Deferral{Reason: "RabbitMQ is away", Err: err}
	}
	return err
}

func (r *Runtime) send(ctx context.Context, exchange, key string, headers amqp.Table, body []byte) error {
	s := r.session.Load()
	if s == nil {
		return &event.Deferral{Reason: "RabbitMQ is away"}
	}
	propagation.TraceContext{}.Inject(ctx, carrier(headers))
	err := s.publish.Publish(ctx, exchange, key, amqp.Publishing{
		Headers: headers, ContentType: "application/json", DeliveryMode: amqp.Persistent,
		MessageId: rand.Text(), Timestamp: time.Now(), Body: body,
	})
	return r.topology.Explain(err, rabbitmq.ToPublish)
}
