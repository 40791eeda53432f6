package deadletter

import (
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// Unknown is the class of a letter without one: RabbitMQ dead-lettered it.
const Unknown = "unknown"

// Letter is what the headers of a dead letter say.
type Letter struct {
	// ID is the same for each delivery of the message: 12 hex digits.
	ID    string `json:"id"`
	Key   string `json:"key,omitempty"`
	Topic string `json:"topic"`
	// Queue is where it was consumed, and where it is replayed to; empty if not known.
	Queue string `json:"queue"`
	// Reason is poison, exhausted or crash_loop, or RabbitMQ's reason: delivery_limit, expired, maxlen, rejected.
	Reason   string    `json:"reason,omitempty"`
	Class    string    `json:"class"`
	Error    string    `json:"error"`
	Attempts int64     `json:"attempts"`
	FailedAt time.Time `json:"failed_at,omitzero"` // zero if unknown
}

// death is an entry of x-death, which RabbitMQ adds to a message that it dead-letters.
type death struct {
	queue, exchange, key, reason string
	at                           time.Time
}

// letter is a message of a dead-letter queue.
type letter struct {
	Letter
	d *amqp.Delivery
	// ours is true if mageline has set the x-mageline headers.
	ours bool
	// topicOf is set when only x-death has the topic. A replay must add it.
	topicOf string
}

func (r *Reader) letter(d *amqp.Delivery, queue string) letter {
	l := letter{d: d, ours: rabbitmq.Trusted(d)}
	// A letter that mageline has published has no x-death. One that RabbitMQ has dead-lettered comes through the default
	// exchange as well. x-death says which exchange it was published to.
	note, dead := r.newestDeath(d.Headers, queue)
	if dead && note.exchange != "" {
		l.ours = false
		l.topicOf = note.key
	}
	if l.ours {
		l.Letter = Letter{
			Key:      rabbitmq.Text(d.Headers, rabbitmq.HeaderKey),
			Topic:    rabbitmq.Text(d.Headers, rabbitmq.HeaderTopic),
			Queue:    rabbitmq.Text(d.Headers, rabbitmq.HeaderQueue),
			Reason:   rabbitmq.Text(d.Headers, rabbitmq.HeaderReason),
			Class:    rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass),
			Error:    rabbitmq.Text(d.Headers, rabbitmq.HeaderError),
			Attempts: rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts),
		}
		l.FailedAt, _ = time.Parse(time.RFC3339, rabbitmq.Text(d.Headers, rabbitmq.HeaderFailedAt))
	}
	if l.Topic == "" {
		l.Topic = l.topicOf
	}
	if dead && l.Queue == "" {
		l.Queue = note.queue
		l.Reason = note.reason
		l.FailedAt = note.at
		l.Error = "dead-lettered by the broker: " + note.reason
	}
	if l.Topic == "" {
		l.Topic = r.o.Topics[l.Queue]
	}
	if l.Class == "" {
		l.Class = Unknown
	}
	l.ID = rabbitmq.ID(l.Topic, d.MessageId, d.Body)
	return l
}

// newestDeath returns the newest entry of x-death that is neither of a retry queue nor of the dead-letter queue itself. Entries
// are sorted newest first (see rabbitmq.com, Dead Letter Exchanges).
func (r *Reader) newestDeath(headers amqp.Table, queue string) (death, bool) {
	entries, _ := headers["x-death"].([]any)
	for _, e := range entries {
		t, ok := e.(amqp.Table)
		if !ok {
			continue
		}
		note := death{
			queue:    rabbitmq.Text(t, "queue"),
			exchange: rabbitmq.Text(t, "exchange"),
			reason:   rabbitmq.Text(t, "reason"),
		}
		if note.queue == "" || note.queue == queue || r.isRetry(note.queue) {
			continue
		}
		if keys, _ := t["routing-keys"].([]any); len(keys) > 0 {
			note.key, _ = keys[0].(string)
		}
		note.at, _ = t["time"].(time.Time)
		return note, true
	}
	return death{}, false
}

// isRetry reports whether a queue is one of the retry queues, <prefix>.retry.<milliseconds>.
func (r *Reader) isRetry(queue string) bool {
	ms, ok := strings.CutPrefix(queue, r.o.Prefix+".retry.")
	return ok && ms != "" && strings.Trim(ms, "0123456789") == ""
}

// Filter selects letters. An empty field selects all.
type Filter struct {
	// Since and Until bound the time of the failure, both inclusive. With one of them a letter without a time is not selected.
	Since, Until time.Time
	ID, Key      string
	Class        string // an event.Class, or Unknown
	Match        string // a part of the error
}

func (f Filter) matches(l Letter) bool {
	switch {
	case (!f.Since.IsZero() || !f.Until.IsZero()) && l.FailedAt.IsZero(),
		!f.Since.IsZero() && l.FailedAt.Before(f.Since),
		!f.Until.IsZero() && l.FailedAt.After(f.Until),
		f.ID != "" && f.ID != l.ID,
		f.Key != "" && f.Key != l.Key,
		f.Class != "" && f.Class != l.Class,
		!strings.Contains(l.Error, f.Match):
		return false
	}
	return true
}
