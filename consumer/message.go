package consumer

import (
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// A delivery is a message, which nothing changes once it has come, and the result of its handling. These are its states, and
// who moves it on:
//
//	backlog      delivered, not begun. intake adds it, the dispatcher begins it.
//	in flight    its handler runs, in a slot.
//	waiting      its handling waits, without a slot, for another one of this process (wait.go); then it is in flight again. When
//	             the link ends or drains, it is concluded at once, with a deferral.
//	concluded    it has a result, whose verdict says what follows (decide.go):
//	  acknowledge              -> gathered
//	  retry, defer, dead-letter -> publishing
//	  requeue                  -> requeued; a deferral too, if nothing is subscribed
//	publishing   a queue is to store it: a retry queue, or the dead-letter queue. Confirmed -> gathered. While no queue takes
//	             it, it stays here, and its consumer is paused (publish.go).
//	gathered     its acknowledgement waits for others (acker.go).
//	acknowledged, requeued, rejected (the broker dead-letters it): settled. This is the end.
//	stale        its channel or session has ended before it was settled. This is an end too: the broker delivers it again.
//
// From the backlog it is requeued when its consumer unsubscribes. Every state but the settled ones becomes stale when the
// channel ends. A delivery counts against the prefetch and the byte budget until it is settled or stale.

// message is a delivery as it came.
type message struct {
	amqp.Delivery
	consumer string
	topic    string
	attempt  int           // that its handling is; counts from 1
	from     *subscription // that delivered it; nil if it was fetched
	probe    *probe        // nil if it is none

	idOnce sync.Once // the hash of a body is taken only when somebody asks
	idText string
}

// probe is what a message is handled with that was fetched to see whether what pauses its consumer is over.
type probe struct {
	permits []circuit.Probe
	on      *amqp.Channel // on which it is settled
	alone   bool          // nothing else is on that channel: it is closed after the probe
}

// result is how the handling of a message has ended, and what was decided of the message.
type result struct {
	outcome event.Outcome // if err is nil
	err     error
	failed  []failure // the events over which it failed, for Consumer.DeadLettered
	first   []byte    // body of the first event
	letter  []byte    // the body of a dead letter with only some entries of the message; nil: the message as it came
	suspicion
	verdict verdict
}

// suspicion is what is known of a message that may have killed a process.
type suspicion struct {
	entered bool // among those that may have killed a process
	suspect bool // one has died over it
	deaths  int  // while it was handled alone
}

// failure is an event that could not be handled.
type failure struct {
	event event.Event
	err   error
}

// maxAttempts bounds what x-mageline-attempts is believed to say, far above what retry delays can ask for.
const maxAttempts = 1_000_000

// newMessage reads what a delivery to consumer c says of itself.
func newMessage(d amqp.Delivery, c *Consumer) *message {
	m := &message{Delivery: d, consumer: c.Name, attempt: 1}
	m.topic = rabbitmq.Topic(&m.Delivery, c.Topics[0])
	if rabbitmq.Trusted(&m.Delivery) {
		// Whoever can publish to a queue can write any number.
		m.attempt = 1 + int(min(max(0, rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts)), maxAttempts))
	}
	return m
}

// id is the same for each delivery of the message.
func (m *message) id() string {
	m.idOnce.Do(func() { m.idText = rabbitmq.ID(m.topic, m.MessageId, m.Body) })
	return m.idText
}

// Run adds what tells a message apart to each line that is logged of it, and costs nothing where none is.
func (m *message) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str("consumer", m.consumer).Str("id", m.id()).Str("message_id", m.MessageId).Str("topic", m.topic).Int("attempt", m.attempt)
}

// has reports whether m came with a header of ours.
func (m *message) has(header string) bool {
	return rabbitmq.Trusted(&m.Delivery) && rabbitmq.Text(m.Headers, header) != ""
}

// event returns an event of the message without its body.
func (m *message) event() event.Event {
	e := event.Event{
		ID:         m.MessageId,
		Topic:      m.topic,
		Attempt:    m.attempt,
		Replayed:   m.has(rabbitmq.HeaderReplayedAt),
		Reconciled: m.has(rabbitmq.HeaderReconciledAt),
	}
	// A handling that was deferred may have got as far as the downstream, with a row that a failover of Postgres has lost.
	e.Repeat = m.Redelivered || m.attempt > 1 || e.Replayed || m.has(rabbitmq.HeaderDeferred)
	e.Published, _ = published(&m.Delivery)
	return e
}

// counted is the outcome under which a message that was settled by this verdict is counted.
func (r *result) counted() string {
	switch r.verdict.action {
	case retry:
		return outcomeRetried
	case postpone:
		return outcomeDeferred
	case deadLetter:
		return outcomeDeadLettered
	case requeue:
		return outcomeRequeued
	case acknowledge:
	}
	return string(r.outcome)
}

// firstFailedAt is when the message failed for the first time, as a header says it; now if it has not failed before.
func (m *message) firstFailedAt(now time.Time) string {
	if rabbitmq.Trusted(&m.Delivery) {
		if at := rabbitmq.Text(m.Headers, rabbitmq.HeaderFirstFailedAt); at != "" {
			return at
		}
	}
	return now.Format(time.RFC3339)
}
