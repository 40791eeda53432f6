// Package deadletter lists, shows, replays and drops the messages of dead-letter queues.
//
// One reader at a time works on a queue, held by an advisory lock in Postgres. A reader takes the messages that were
// there when it began, without acknowledging them, and gives back at its end, in their order, all that it did not
// replay or drop: so a list changes nothing, and whatever kills a reader, the broker has every message still.
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

// maxReading is how long a reader holds what it has taken. A broker ends the channel that holds a message for 30 minutes
// (consumer_timeout).
const maxReading = 15 * time.Minute

// requeueTimeout bounds the giving back; what is not given back then, the broker takes back when the connection closes.
const requeueTimeout = 5 * time.Minute

// Options say where the dead letters are.
type Options struct {
	Broker rabbitmq.Options
	// DatabaseURL is where readers exclude each other. It must be a direct connection: a pooler in transaction mode
	// loses the lock (MIGRATE_DATABASE_URL, where that is set).
	DatabaseURL string
	// Prefix is QUEUE_PREFIX: letters go back to queues whose names begin with it and a dot, and no others unless told.
	Prefix string
	// Topics has, for each consumer's queue, the topic of a message that came without one: the consumer's first. A
	// letter's id is made of it, as the consumer makes it.
	Topics map[string]string
	// Host names this machine to whoever finds a queue locked.
	Host string
	Log  zerolog.Logger

	maxReading time.Duration // for tests; 0 is the constant
	// step, for tests, is told how far a letter has come: begun (published, or written), through (confirmed, or on the
	// disk), left.
	step func(string)
}

// Reader reads dead-letter queues. It holds nothing between calls, and its methods may be called at any time.
type Reader struct{ o Options }

// New makes a Reader.
func New(o Options) *Reader {
	if o.maxReading == 0 {
		o.maxReading = maxReading
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return &Reader{o}
}

// NoQueueError means that the queue does not exist.
type NoQueueError struct{ Queue string }

func (e *NoQueueError) Error() string {
	return fmt.Sprintf("the queue %s does not exist: see `mageline dlq list` for those that do", e.Queue)
}

// NoLetterError means that no letter of the queue has the id.
type NoLetterError struct{ Queue, ID string }

func (e *NoLetterError) Error() string {
	return fmt.Sprintf("no letter in %s has the id %s: see `mageline dlq list %s`", e.Queue, e.ID, e.Queue)
}

// LockedError means that another reader works on the queue.
type LockedError struct {
	Queue string
	// Holder is the other reader's host and process, and Since when it began; empty and zero when Postgres does not
	// tell (it tells only the same role, or one with pg_read_all_stats) or the reader has just ended.
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

// StoppedError means that the reader had to give back what it held before it was through (15 minutes). A replay goes on
// with the same call, Until in its filter, so that letters which came back dead meanwhile are not taken, and Limit.
type StoppedError struct {
	Queue string
	After time.Duration
	Until time.Time // when this run began
	Limit int       // what is left of the limit; 0 if there was none
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("gave back what it held of %s after %s, before it was through", e.Queue, e.After)
}

// lockedQueue is a queue that is locked for one reader, and its connection.
type lockedQueue struct {
	r     *Reader
	queue string
	lock  *lock
	conn  *amqp.Connection
}

// withQueue locks the queue, connects, and has f withQueue it.
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

// everything is a set of all that is there.
const everything = math.MaxInt

// readSet finds how many messages there are, has f take them, at most the first set of them, and gives back what is held
// then.
func (s *lockedQueue) readSet(ctx context.Context, set int, f func(*reading) error) error {
	h, err := newReading(s.conn, s.queue, s.lock, set, s.r.o.maxReading)
	if err != nil {
		return err
	}
	err = f(h)
	// What is held goes back even when ctx has ended: a broker would give it back too, but not in its order.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), requeueTimeout)
	defer cancel()
	if restErr := h.takeRest(back); err == nil {
		err = restErr
	}
	return errors.Join(err, h.requeue(back))
}
