package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

const (
	// takeBytes bounds the bodies of one batch of messages, judged by the largest so far. The first batch is one message,
	// each further one has twice as many, up to batchCap or the set divided by parts, whichever is larger.
	takeBytes   = 32 << 20
	batchCap    = 256
	maxPrefetch = math.MaxUint16 // a prefetch has 16 bits
	// parts keeps the subscriptions of a reading below 32, if bodies are not too large. When the process is killed RabbitMQ
	// requeues its messages subscription by subscription, in the order of an Erlang map: up to 32 keys that is the order of
	// their names (measured on 3.10).
	parts = 12
	// maxRequeue is how many messages one nack requeues. RabbitMQ 3.10 requeues them in the order of an Erlang map, which is
	// the order of the queue up to 32 keys (measured: with 256 half of them change places).
	maxRequeue = 32
	// idleWait is how long a queue that should have more may deliver nothing before its depth is read. After idleWaits of
	// them the reading fails.
	idleWait  = time.Second
	idleWaits = 20
	// requeueWait is how long the queue may take to show what was requeued.
	requeueWait = 5 * time.Second
)

// reading has the first messages of a queue, unacknowledged.
//
// It takes a batch by a subscription with a prefetch of that size, which it cancels before the next batch. That is fifty times
// as fast as basic.get, each of which is a consumer of its own to a quorum queue.
type reading struct {
	queue string
	set   int // how many messages are taken: those that were in the queue when it was locked
	conn  *amqp.Connection
	ch    *amqp.Channel
	look  *amqp.Channel // to read the depth
	lock  *lock

	// taken has the subscription of each delivery tag, counted from 1; 0 once the delivery is acknowledged. That is all that
	// is kept of a message.
	taken              []int32
	subscriptions      int32
	held               int
	acked              bool // since flush
	maxAge             time.Duration
	since              time.Time // when the oldest unacknowledged message was taken, or earlier
	nextBatch, largest int
}

// newReading takes nothing yet. set bounds how many messages it will take.
func newReading(conn *amqp.Connection, queue string, l *lock, set int, most time.Duration) (*reading, error) {
	depth, ok, err := rabbitmq.Depth(conn, queue)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &NoQueueError{queue}
	}
	h := &reading{queue: queue, set: min(set, depth), conn: conn, lock: l, maxAge: most, nextBatch: 1}
	if h.ch, err = conn.Channel(); err != nil {
		return nil, fmt.Errorf("open a channel to read %s: %w", queue, err)
	}
	if h.look, err = conn.Channel(); err != nil {
		return nil, fmt.Errorf("open a channel to look at %s: %w", queue, err)
	}
	return h, nil
}

// remaining is how much of the set is not taken yet.
func (h *reading) remaining() int { return h.set - len(h.taken) }

// endSet ends the set with the message that was taken last.
func (h *reading) endSet() { h.set = min(h.set, len(h.taken)) }

// until is when the messages must be requeued; zero when there are none.
func (h *reading) until() time.Time {
	if h.held == 0 {
		return time.Time{}
	}
	return h.since.Add(h.maxAge)
}

func (h *reading) expired() bool { return h.held > 0 && time.Now().After(h.until()) }

// take takes the next messages of the set, at most so many, and none when the set has ended or the queue is empty. It may
// return messages and an error: the messages are unacknowledged then too.
func (h *reading) take(ctx context.Context, most int) (got []amqp.Delivery, err error) {
	want := min(most, h.nextBatch, h.remaining())
	if want <= 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := h.lock.check(ctx); err != nil {
		return nil, err
	}
	got, err = h.subscribe(ctx, want, want)
	for i := range got {
		h.largest = max(h.largest, len(got[i].Body))
	}
	h.nextBatch = max(1, min(2*h.nextBatch, max(batchCap, h.set/parts), maxPrefetch, takeBytes/max(1, h.largest)))
	return got, err
}

// subscribe takes what a subscription with a prefetch delivers until it has delivered want messages.
func (h *reading) subscribe(ctx context.Context, prefetch, want int) (got []amqp.Delivery, err error) {
	if err := h.ch.Qos(prefetch, 0, false); err != nil {
		return nil, fmt.Errorf("read %s: %w", h.queue, err)
	}
	h.subscriptions++
	name := fmt.Sprintf("mageline-dead-letters-%010d", h.subscriptions)
	deliveries, err := h.ch.Consume(h.queue, name, false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", h.queue, err)
	}
	if h.held == 0 {
		h.since = time.Now()
	}
	got, err = h.receive(ctx, deliveries, want)
	if cancelErr := h.ch.Cancel(name, false); err == nil && cancelErr != nil {
		err = fmt.Errorf("read %s: %w", h.queue, cancelErr)
	}
	for d := range deliveries { // what was delivered meanwhile; the library closes the channel
		got = append(got, d)
	}
	for range got {
		h.taken = append(h.taken, h.subscriptions)
		h.held++
	}
	return got, err
}

func (h *reading) receive(ctx context.Context, deliveries <-chan amqp.Delivery, want int) (got []amqp.Delivery, err error) {
	idle, asked := time.NewTimer(idleWait), 0
	defer idle.Stop()
	for len(got) < want {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return got, fmt.Errorf("reading %s was ended by the broker: was the queue deleted?", h.queue)
			}
			got = append(got, d)
			idle.Reset(idleWait)
		case <-idle.C: // somebody else may have taken messages out of the queue
			ready, err := h.ready()
			if err != nil {
				return got, err
			}
			if ready == 0 {
				h.set = len(h.taken) + len(got)
				return got, nil
			}
			if asked++; asked == idleWaits {
				return got, fmt.Errorf("the queue %s has %d messages and delivers none: does another consumer have it exclusively?", h.queue, ready)
			}
			idle.Reset(idleWait)
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
	return got, nil
}

// ack acknowledges a message, which removes it from the queue.
func (h *reading) ack(tag uint64) error {
	if err := h.ch.Ack(tag, false); err != nil {
		return fmt.Errorf("acknowledge a letter of %s: %w", h.queue, err)
	}
	h.taken[tag-1] = 0
	h.held--
	h.acked = true
	return nil
}

// flush waits until the queue has processed all acknowledgements. For a quorum queue each channel has a client inside the
// broker, which delays acknowledgements while 32 are pending, and forgets the delayed ones when the channel is closed: letters
// that were published would be in the queue again (tried on 3.10). A subscription is answered after all that the client has
// sent. Then the client sends what it had delayed, and a second subscription is answered after that.
func (h *reading) flush(ctx context.Context) error {
	if !h.acked {
		return nil
	}
	for range 2 {
		// It may deliver a letter outside of the set, which is requeued last.
		if _, err := h.subscribe(ctx, 1, 0); err != nil {
			return err
		}
	}
	h.acked = false
	return nil
}

// takeRest takes the rest of the set, to requeue it with the others: a quorum queue puts a requeued message behind those that
// were requeued before and not delivered since.
func (h *reading) takeRest(ctx context.Context) error {
	for h.held > 0 && h.remaining() > 0 {
		if _, err := h.take(ctx, h.remaining()); err != nil {
			return err
		}
	}
	return nil
}

// requeue requeues what is unacknowledged, oldest first, so that the queue keeps its order. A quorum queue keeps it only if it
// has one message before the next comes: the client inside the broker reorders what it can't send at once.
func (h *reading) requeue(ctx context.Context) error {
	if err := h.flush(ctx); err != nil {
		return h.requeueFailed(err)
	}
	if h.held == 0 {
		return h.close()
	}
	ready, err := h.ready()
	if err != nil {
		return h.requeueFailed(err)
	}
	waiting := true
	for tag := 1; tag <= len(h.taken); {
		subscription := h.taken[tag-1]
		if subscription == 0 {
			tag++
			continue
		}
		last, n := tag, 0
		for ; tag <= len(h.taken) && n < maxRequeue; tag++ {
			if s := h.taken[tag-1]; s == subscription {
				last = tag
				n++
			} else if s != 0 {
				break
			}
		}
		if err := h.ch.Nack(uint64(last), true, true); err != nil {
			return h.requeueFailed(err)
		}
		ready += n
		if waiting {
			if waiting, err = h.await(ctx, ready); err != nil {
				return h.requeueFailed(err)
			}
		}
	}
	h.held = 0
	return h.close()
}

// close closes the channels and waits until the broker has processed all that was sent on them.
func (h *reading) close() error {
	if err := errors.Join(h.ch.Close(), h.look.Close()); err != nil {
		return fmt.Errorf("end the reading of %s: %w", h.queue, err)
	}
	return nil
}

func (h *reading) requeueFailed(err error) error {
	return fmt.Errorf("requeue what was taken from %s (the broker does it now, perhaps in another order): %w", h.queue, err)
}

// await waits until the queue has so many messages ready. It returns false when that does not happen, because somebody else
// takes messages out of it.
func (h *reading) await(ctx context.Context, want int) (bool, error) {
	for began := time.Now(); ; {
		ready, err := h.ready()
		switch {
		case err != nil:
			return false, err
		case ready >= want:
			return true, nil
		case time.Since(began) > requeueWait:
			return false, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
	}
}

func (h *reading) ready() (int, error) {
	q, err := rabbitmq.Inspect(h.look, h.queue)
	if err != nil {
		return 0, fmt.Errorf("look at queue %s: %w", h.queue, err)
	}
	return q.Messages, nil
}
