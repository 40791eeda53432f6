package idempotency

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// op is one change of one row, waiting for the next flush. It is used once; again gives a fresh copy to repeat it.
type op struct {
	key   Key    // of an effect
	name  string // of a lease; empty for an effect
	owner string // the token of the claim
	// number is 1 to claim the row, whoever had it, if it may be claimed. A higher one belongs to who has claimed it
	// already: its claim's number plus one.
	number   int64
	state    State // what an effect becomes
	sent     int64 // sentNever, sentNow, or microseconds since 1970
	accepted bool
	result   string
	reason   string
	class    event.Class
	order    *Order
	free     bool // give the lease back

	done chan outcome // of one
}

const (
	sentNever int64 = 0
	sentNow   int64 = -1
)

func effectOp(key Key, owner string, number int64) *op {
	return &op{key: key, owner: owner, number: number, done: make(chan outcome, 1)}
}

func leaseOp(name, owner string, number int64) *op {
	return &op{name: name, owner: owner, number: number, done: make(chan outcome, 1)}
}

func (o *op) again() *op {
	c := *o
	c.done = make(chan outcome, 1)
	return &c
}

// outcome is the row as it was after the flush: the op has won if the owner is its own.
type outcome struct {
	err      error
	started  time.Time // this process's clock, before the flush that wrote it was sent
	owner    string
	number   int64
	state    State
	sentAt   time.Time
	sentFor  time.Duration
	accepted bool
	result   string
	reason   string
}

// maxFlush bounds the rows of one transaction.
const maxFlush = 512

var errClosed = errors.New("the ledger is closed")

// queue gathers ops until a writer is free. Who submits waits for the answer, so its length is bounded by the handlers
// at work.
type queue struct {
	mu     *sync.Mutex
	ready  *sync.Cond
	ops    []*op
	closed bool
}

func newQueue() queue {
	mu := new(sync.Mutex)
	return queue{mu: mu, ready: sync.NewCond(mu)}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}

func (q *queue) add(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.ops = append(q.ops, o)
	q.ready.Signal()
	return true
}

// remove takes back an op that no writer has begun with.
func (q *queue) remove(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.ops {
		if other == o {
			q.ops = append(q.ops[:i], q.ops[i+1:]...)
			return true
		}
	}
	return false
}

// next waits for ops and takes those of one flush: no row twice, because one statement can't change a row twice. The
// second op of a row stays for the next flush. It gives none once the queue is closed and empty.
func (q *queue) next() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ops) == 0 && !q.closed {
		q.ready.Wait()
	}
	type orderKey string
	var (
		taken = make(map[any]bool, len(q.ops))
		batch []*op
		rest  []*op
	)
	for _, o := range q.ops {
		row := any(o.key)
		if o.name != "" {
			row = o.name
		}
		if len(batch) == maxFlush || taken[row] || o.order != nil && taken[orderKey(o.key.Key)] {
			rest = append(rest, o)
			continue
		}
		taken[row] = true
		if o.order != nil {
			taken[orderKey(o.key.Key)] = true
		}
		batch = append(batch, o)
	}
	q.ops = rest
	if len(rest) > 0 {
		q.ready.Signal()
	}
	return batch
}

// submit has o written and gives the row as it is then. When ctx ends first, o is taken back, unless it is being written
// already: then its outcome is awaited, which flushTimeout bounds.
func (l *Ledger) submit(ctx context.Context, o *op) outcome {
	if err := ctx.Err(); err != nil {
		return outcome{err: err}
	}
	if !l.queue.add(o) {
		return outcome{err: errClosed}
	}
	select {
	case got := <-o.done:
		return got
	case <-ctx.Done():
		if l.queue.remove(o) {
			return outcome{err: ctx.Err()}
		}
		return <-o.done
	}
}
