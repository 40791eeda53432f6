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
	// until is when it is too late for a writer to begin with it; zero for never. Then it fails as with Postgres away.
	until time.Time

	got  outcome       // the writer's, until it is done
	done chan struct{} // of one
}

// answer ends the op with an error, or with what the writer has noted.
func (o *op) answer(err error) {
	if err != nil {
		o.got = outcome{err: err}
	}
	o.done <- struct{}{}
}

const (
	sentNever int64 = 0
	sentNow   int64 = -1
)

func effectOp(key Key, owner string, number int64) *op {
	return &op{key: key, owner: owner, number: number, done: make(chan struct{}, 1)}
}

func leaseOp(name, owner string, number int64) *op {
	return &op{name: name, owner: owner, number: number, done: make(chan struct{}, 1)}
}

func (o *op) again() *op {
	c := *o
	c.got, c.until = outcome{}, time.Time{}
	c.done = make(chan struct{}, 1)
	return &c
}

// outcome is the row as it was after the flush: the op has won if the owner is its own.
type outcome struct {
	err      error
	found    bool      // for the writer
	started  time.Time // this process's clock, before the flush that wrote it was sent
	owner    string
	number   int64
	state    State
	sentAt   time.Time
	sentFor  time.Duration
	accepted bool
	result   string
	reason   string
	// takenOver: the claim was another's, whose lease had passed.
	takenOver bool
}

// maxFlush bounds the rows of one transaction.
const maxFlush = 512

var errClosed = errors.New("the ledger is closed")

const (
	// full is how many ops make a flush beside one that is under way: smaller ones would cost Postgres more for each row.
	full = 128
	// patience is for how long a flush that is under way makes others wait for more ops.
	patience = 20 * time.Millisecond
)

// queue gathers ops until a writer is free. On an idle ledger that is at once: nothing waits for company. While a flush is
// under way the next one gathers until that one ends, has taken long, or there is enough for another beside it. Who submits
// waits for the answer, so the queue's length is bounded by the handlers at work.
type queue struct {
	mu     *sync.Mutex
	ready  *sync.Cond
	ops    []*op
	quick  int // flushes that are under way and have not taken long
	closed bool
	// rows are those of one flush; kept for the next.
	effects map[Key]struct{}
	others  map[string]struct{} // leases, and keys of orders
}

func newQueue() queue {
	mu := new(sync.Mutex)
	return queue{mu: mu, ready: sync.NewCond(mu), effects: map[Key]struct{}{}, others: map[string]struct{}{}}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}

// add queues ops, for one flush if none of their rows is in it twice.
func (q *queue) add(ops ...*op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.ops = append(q.ops, ops...)
	q.ready.Signal()
	return true
}

// len is the number of ops that wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops)
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
// second op of a row stays for the next flush. It gives none once the queue is closed and empty. The writer calls flushed
// when it is done with them.
func (q *queue) next() (ops []*op, flushed func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (len(q.ops) == 0 || q.quick > 0 && len(q.ops) < full) {
		q.ready.Wait()
	}
	if len(q.ops) == 0 {
		return nil, nil
	}
	var rest []*op
	for _, o := range q.ops {
		if len(ops) < maxFlush && q.take(o) {
			ops = append(ops, o)
		} else {
			rest = append(rest, o)
		}
	}
	clear(q.effects)
	clear(q.others)
	q.ops = rest
	q.quick++
	over := sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.quick--
		q.ready.Signal()
	})
	slow := time.AfterFunc(patience, over)
	if len(rest) > 0 {
		q.ready.Signal()
	}
	return ops, func() { slow.Stop(); over() }
}

// take reports whether none of o's rows is in the flush yet, and puts them into it.
func (q *queue) take(o *op) bool {
	const lease, order = "lease ", "order "
	if o.name != "" {
		_, taken := q.others[lease+o.name]
		q.others[lease+o.name] = struct{}{}
		return !taken
	}
	if _, taken := q.effects[o.key]; taken {
		return false
	}
	if o.order != nil {
		if _, taken := q.others[order+o.key.Key]; taken {
			return false
		}
		q.others[order+o.key.Key] = struct{}{}
	}
	q.effects[o.key] = struct{}{}
	return true
}

// submit has o written and gives the row as it is then. When ctx ends first, o is taken back, unless it is being written
// already: then its outcome is awaited, which flushTimeout bounds. The ops of with are queued with it, for the same flush;
// they are answered too, but not awaited here.
func (l *Ledger) submit(ctx context.Context, o *op, with ...*op) outcome {
	err := ctx.Err()
	if err == nil && !l.queue.add(append(with, o)...) {
		err = errClosed
	}
	if err != nil {
		for _, w := range with {
			w.answer(err)
		}
		return outcome{err: err}
	}
	return l.await(ctx, o)
}

// await waits for an op that is queued.
func (l *Ledger) await(ctx context.Context, o *op) outcome {
	select {
	case <-o.done:
		return o.got
	case <-ctx.Done():
		if l.queue.remove(o) {
			return outcome{err: ctx.Err()}
		}
		<-o.done
		return o.got
	}
}
