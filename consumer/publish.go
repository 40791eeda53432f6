package consumer

import (
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// maxErrorText bounds x-mageline-error.
const maxErrorText = 2048

// stage is how the publish of what a message became has ended.
type stage int

const (
	stored      stage = iota // by a queue: the delivery is to be acknowledged
	sessionOver              // the delivery can't be settled any more
	cutOff                   // by a shutdown: the delivery is to be requeued
	tooLarge                 // for the broker: the delivery is to be rejected, for the broker to dead-letter it
)

// publish sends m where it was decided to go, again and again until a queue has stored it, or something else ends it.
func (l *link) publish(m *message, res *result) stage {
	exchange, key, msg := l.destination(m, res)
	name := causePublishing + l.consumer.Name
	backOff := firstBackOff
	for {
		if l.over() { // the broker delivers it again: a copy of it would be one too many
			l.r.gate.resume(name) // its channel may have ended while it was backing off
			return sessionOver
		}
		err := l.s.publish.Publish(l.r.work, exchange, key, msg)
		switch {
		case err == nil:
			l.r.gate.resume(name)
			return stored
		case l.r.work.Err() != nil: // cut: what may have been stored comes twice, and is found done
			return cutOff
		case !errors.Is(err, rabbitmq.ErrReturned) && !errors.Is(err, rabbitmq.ErrRefused):
			l.s.end(err)
			l.r.gate.resume(name) // the next session starts with a topology that was looked at
			return sessionOver
		}
		if rabbitmq.IsTooLarge(err, len(msg.Body)) && l.deadLettersItself() {
			l.r.gate.resume(name)
			l.r.opts.Log.Error().Err(err).AnErr("cause", res.err).Str("consumer", l.consumer.Name).Str("id", m.id()).
				Str("event", "delivery_rejected").
				Msg("the broker no longer takes a body of this size: it is left to the broker to dead-letter the message; to replay it, raise max_message_size")
			return tooLarge
		}
		refused := rabbitmq.IsRefused(err) // which the topology can't help
		err = l.r.topology.Explain(err, rabbitmq.ToPublish)
		if l.r.gate.pause(name, cause{consumer: l.consumer.Name, text: err.Error()}) {
			l.r.opts.Log.Error().Str("event", "publish_failed").Err(err).Str("consumer", l.consumer.Name).Str("id", m.id()).
				Msg("a message can't be deferred or dead-lettered; it is kept, the consumer is paused: check the topology")
		}
		if !refused {
			if err := l.declareAll(l.r.work, l.s); err != nil {
				l.r.opts.Log.Error().Str("event", "topology_not_declared").Err(err).Msg("the topology can't be put right")
			}
		}
		select {
		case <-time.After(backOff):
		case <-l.s.ended:
			l.r.gate.resume(name)
			return sessionOver
		case <-l.r.work.Done():
		}
		backOff = min(2*backOff, maxBackOff)
	}
}

// deadLettersItself reports whether what is rejected reaches the dead-letter queue: that is there, and the queue leads to
// it. AMQP does not tell a queue's arguments, but the broker refuses a declaration that differs in them.
func (l *link) deadLettersItself() bool {
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

// destination makes the message that is published in place of m.
func (l *link) destination(m *message, res *result) (exchange, key string, msg amqp.Publishing) {
	now := time.Now().UTC()
	set := amqp.Table{rabbitmq.HeaderTopic: m.topic, rabbitmq.HeaderSuspect: nil, rabbitmq.HeaderDeferred: nil}
	first := m.firstFailedAt(now)
	v := res.verdict
	switch v.action {
	case deadLetter:
		set[rabbitmq.HeaderQueue] = l.queue
		set[rabbitmq.HeaderReason] = v.reason
		set[rabbitmq.HeaderErrorClass] = string(v.class)
		set[rabbitmq.HeaderError] = rabbitmq.Truncate(res.err.Error(), maxErrorText)
		set[rabbitmq.HeaderAttempts] = int64(m.attempt)
		set[rabbitmq.HeaderFirstFailedAt] = first
		set[rabbitmq.HeaderFailedAt] = now.Format(time.RFC3339)
		set[rabbitmq.HeaderHost] = l.r.opts.Host
		set[rabbitmq.HeaderVersion] = l.r.opts.Version
		if key := event.KeyOf(res.err); key != "" {
			set[rabbitmq.HeaderKey] = rabbitmq.Truncate(key, 200)
		}
		msg = rabbitmq.Republishing(&m.Delivery, set, l.s.publish.FrameSize())
		if res.letter != nil {
			msg.Body = res.letter
		}
		return "", l.r.topology.DeadLetterQueue(l.consumer.Name), msg
	case retry:
		set[rabbitmq.HeaderAttempts] = int64(m.attempt)
		set[rabbitmq.HeaderFirstFailedAt] = first
	case postpone:
		set[rabbitmq.HeaderDeferred] = "true"
		if res.entered {
			set[rabbitmq.HeaderSuspect] = "true"
		}
		if v.unauthorized {
			set[rabbitmq.HeaderUnauthorized] = int64(v.refusals)
			set[rabbitmq.HeaderUnauthorizedFor] = refusedRequest(res.err)
			set[rabbitmq.HeaderUnauthorizedAt] = now.Format(time.RFC3339Nano)
		}
	case acknowledge, requeue:
		panic(fmt.Sprintf("a delivery to be settled was published: action %d", v.action))
	}
	return l.r.topology.Retry(v.delay), l.queue, rabbitmq.Republishing(&m.Delivery, set, l.s.publish.FrameSize())
}
