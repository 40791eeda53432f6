// Package deadletter lists, shows, replays and discards the messages of dead-letter queues. Such a message is called a letter.
//
// One Reader at a time reads a queue: an advisory lock in Postgres excludes the others. A reading consumes the messages that
// were in the queue when it began, without acknowledging them. At its end it requeues, in their order, all that it did not
// replay or discard. So a list changes nothing, and whatever kills a reader, RabbitMQ still has every message.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/rabbitmq"
)

// maxReading is how long a reading keeps messages unacknowledged. RabbitMQ closes a channel that keeps one for 30 minutes
// (consumer_timeout).
const maxReading = 15 * time.Minute

// requeueTimeout bounds the requeueing at the end. RabbitMQ requeues the rest when the connection closes.
const requeueTimeout = 5 * time.Minute

// Options say where the dead letters are.
type Options struct {
	Broker rabbitmq.Options
	// DatabaseURL is where readers take the lock of a queue. It must be a direct connection (MIGRATE_DATABASE_URL, where
	// that is set): a pooler in transaction mode loses the lock.
	DatabaseURL string
	// Prefix is QUEUE_PREFIX. Letters are replayed only to queues whose names begin with it and a dot, unless
	// ReplayOptions.To names another.
	Prefix string
	// Topics maps each consumer's queue to the consumer's first topic: that of a message that came without one. The
	// letter's id is made of it, as the consumer makes it.
	Topics map[string]string
	// Host names this machine to whoever finds a queue locked.
	Host string
	// Help says what usually helps with a letter that lies in a queue; id is the letter's, or a word for it where many are
	// meant. Nil: nothing.
	Help func(l Letter, queue, id string) string
	Log  zerolog.Logger

	maxReading time.Duration // for tests; 0 is the constant
	// step is called in tests as a letter proceeds: begun (published or written), through (confirmed or on the disk), left
	// (acknowledged).
	step func(string)
}

// Reader reads dead-letter queues. It keeps no connection between calls. Its methods may be called concurrently.
type Reader struct{ o Options }

// New returns a Reader.
func New(o Options) *Reader {
	if o.maxReading == 0 {
		o.maxReading = maxReading
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	if o.Help == nil {
		o.Help = func(Letter, string, string) string { return "" }
	}
	return &Reader{o}
}

// NoQueueError means that the queue does not exist.
type NoQueueError struct{ Queue string }

func (e *NoQueueError) Error() string {
	return fmt.Sprintf("the queue %s does not exist", e.Queue)
}

// NoLetterError means that no letter of the queue has the id.
type NoLetterError struct{ Queue, ID string }

func (e *NoLetterError) Error() string {
	return fmt.Sprintf("no letter in %s has the id %s", e.Queue, e.ID)
}

// LockedError means that another reader has the lock of the queue.
type LockedError struct {
	Queue string
	// Holder is the other reader's host and process, and Since is when it began. They are zero when the reader has just
	// ended, or when Postgres does not show them: it shows them to the same role and to one with pg_read_all_stats.
	Holder string
	Since  time.Time
}

func (e *LockedError) Error() string {
	holder, since := e.Holder, ""
	if holder == "" {
		holder = "another reader"
	}
	if !e.Since.IsZero() {
		since = " since " + e.Since.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s works on the queue %s%s: only one can at a time", holder, e.Queue, since)
}

// StoppedError means that 15 minutes had passed before the reading was complete. What it had not replayed is requeued. The
// same call continues it, with Until in its filter, so that letters that came back dead meanwhile are left out, and Limit.
type StoppedError struct {
	Queue string
	After time.Duration
	Until time.Time // when this run began
	Limit int       // what is left of the limit; 0 if there was none
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("requeued the rest of %s after %s, before the reading was complete", e.Queue, e.After)
}

// lockedQueue is a queue that one reader has the lock of, and a connection to it.
type lockedQueue struct {
	r     *Reader
	queue string
	lock  *lock
	conn  *amqp.Connection
}

// withQueue locks the queue, connects, and calls f.
func (r *Reader) withQueue(ctx context.Context, queue string, f func(*lockedQueue) error) error {
	lock, err := r.lock(ctx, queue)
	if err != nil {
		return err
	}
	defer lock.release()
	conn, err := rabbitmq.Dial(ctx, r.o.Broker, "mageline "+r.o.Host+" dead letters")
	if err != nil {
		return err
	}
	defer rabbitmq.Close(conn)
	s := &lockedQueue{r, queue, lock, conn}
	if err := s.keepBelowDeliveryLimit(ctx); err != nil {
		return err
	}
	return f(s)
}

// everything is the size of a set that has all messages of a queue.
const everything = math.MaxInt

// readSet calls f with a reading of the first set messages of the queue, or of all that it has. Then it requeues what f has
// not acknowledged.
func (s *lockedQueue) readSet(ctx context.Context, set int, f func(*reading) error) error {
	h, err := newReading(s.conn, s.queue, s.lock, set, s.r.o.maxReading)
	if err != nil {
		return err
	}
	err = f(h)
	// Also when ctx has ended: RabbitMQ would requeue it when the channel closes, but not in its order.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), requeueTimeout)
	defer cancel()
	if restErr := h.takeRest(back); err == nil {
		err = restErr
	}
	return errors.Join(err, h.requeue(back))
}
