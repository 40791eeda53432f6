package pg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ErrClosed is the end of a request that comes after Close.
var ErrClosed = errors.New("it is closed")

// Row names a row of a table: the table, and up to three columns of its key.
type Row [4]string

// Request is one change that is asked of a [Group]. It is used once: to ask again, make a new one.
type Request[T any] struct {
	// Value says what is to be written, and takes what Commit notes about the row.
	Value T
	// Until is when it is too late to begin with it; zero for never. Then it fails as with Postgres away.
	Until time.Time

	done chan struct{} // takes one, when the request has its answer
	err  error
}

// NewRequest returns a request for value.
func NewRequest[T any](value T) *Request[T] {
	return &Request[T]{Value: value, done: make(chan struct{}, 1)}
}

// answer ends the request.
func (r *Request[T]) answer(err error) {
	r.err = err
	r.done <- struct{}{}
}

// GroupOptions say what a [Group] writes, and how.
type GroupOptions[T any] struct {
	// Name is what Failure says of it: "the ledger".
	Name string
	// Commit writes the requests in one transaction, with a statement for each table and an array for each column, and notes
	// in their Values what became of them. They are in the order of Compare, and no row is among them twice. It may be called
	// again with the same requests, after an error and after a commit whose answer was lost. It is called by several
	// goroutines at once.
	Commit func(ctx context.Context, requests []*Request[T]) error
	// Compare is the order in which the rows are locked, in every process the same, so that two transactions can't wait for
	// each other in a circle.
	Compare func(a, b *T) int
	// Rows appends to rows those that a request changes.
	Rows func(rows []Row, v *T) []Row
	// Timeout is for one transaction; a Postgres that takes longer counts as away.
	Timeout time.Duration
	// Reset closes all connections, after an answer of a server that only reads: the address may lead elsewhere by now.
	Reset func()
	// Committed and Repeated are told of each transaction that was committed, and of each that lost to another one and is
	// repeated; nil for nobody.
	Committed func(rows int, took time.Duration)
	Repeated  func()
}

// Group is a group commit: what many goroutines ask in one moment goes in one transaction, because a transaction for each
// would cost most of the throughput. It is safe for use by many goroutines.
//
// On an idle group a request goes at once. While a transaction is under way the next one gathers, until that one ends, has
// taken long, or there is enough for another beside it. A transaction has no row twice: the second request for a row goes
// with the next one. One that Postgres refuses is split in halves until the request at fault fails alone. One that loses to
// another is repeated, and one whose connection was cut is repeated once; so a request must be one that can be repeated.
type Group[T any] struct {
	GroupOptions[T]
	queue   queue[T]
	writers sync.WaitGroup
}

const (
	// groupWriters write side by side: one prepares while the other waits for the disk.
	groupWriters = 2
	// maxGroup bounds the requests of one transaction.
	maxGroup = 512
	// fullGroup is how many requests make a transaction beside one that is under way: smaller ones would cost Postgres more
	// for each row.
	fullGroup = 128
	// patience is for how long a transaction that is under way makes others wait for more requests.
	patience = 20 * time.Millisecond
	// maxRepeats is how often a transaction that loses to another is tried.
	maxRepeats = 10
)

// NewGroup starts a group's writers. They run until Close, and not until ctx ends.
func NewGroup[T any](ctx context.Context, o GroupOptions[T]) *Group[T] {
	g := &Group[T]{GroupOptions: o, queue: newQueue(o.Rows)}
	ctx = context.WithoutCancel(ctx)
	for range groupWriters {
		g.writers.Go(func() { g.write(ctx) })
	}
	return g
}

// Close writes what is queued and waits for the writers. What is asked later fails with ErrClosed.
func (g *Group[T]) Close() {
	g.queue.close()
	g.writers.Wait()
}

// Do has r written, and returns when that has committed or failed. The error is one of [Failure], ctx's, or ErrClosed.
// When ctx ends first, r is taken back, unless it is being written already: then its answer is awaited, which Timeout bounds.
//
// The requests of with are queued beside r, for the same transaction unless one of their rows is another's there already.
// Each gets its own answer, for which [Group.Wait] waits.
func (g *Group[T]) Do(ctx context.Context, r *Request[T], with ...*Request[T]) error {
	err := ctx.Err()
	if err == nil && !g.queue.add(r, with) {
		err = fmt.Errorf("%s: %w", g.Name, ErrClosed)
	}
	if err != nil {
		for _, w := range with {
			w.answer(err)
		}
		return err
	}
	return g.Wait(ctx, r)
}

// Wait waits for the answer of a request that was queued beside another one, as [Group.Do] waits for that.
func (g *Group[T]) Wait(ctx context.Context, r *Request[T]) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		if g.queue.remove(r) {
			return ctx.Err()
		}
		<-r.done
		return r.err
	}
}

// write commits what is queued until the queue is closed and empty. What gathers while a transaction runs is the next one.
func (g *Group[T]) write(ctx context.Context) {
	for {
		requests, over := g.queue.next()
		if len(requests) == 0 {
			return
		}
		if requests = g.inTime(requests); len(requests) > 0 {
			g.settle(ctx, requests)
		}
		// Those that it has answered come back at once with their next request. They are given their turn before the next
		// transaction is made up, or they would be one later than those who have waited, for ever: two halves instead of a
		// whole. A timer would be too coarse: on a process that has nothing else to do it takes a millisecond.
		for n := -1; n < g.queue.len(); runtime.Gosched() {
			n = g.queue.len()
			runtime.Gosched()
		}
		over()
	}
}

// inTime returns the requests that it is not too late for, and answers the others.
func (g *Group[T]) inTime(requests []*Request[T]) []*Request[T] {
	now := time.Now()
	return slices.DeleteFunc(requests, func(r *Request[T]) bool {
		late := !r.Until.IsZero() && now.After(r.Until)
		if late {
			r.answer(Failure(g.Name, context.DeadlineExceeded))
		}
		return late
	})
}

// settle writes requests and answers each. Each repetition is harmless, because Commit may be repeated.
func (g *Group[T]) settle(ctx context.Context, requests []*Request[T]) {
	var (
		err     error
		dropped bool
	)
	for n := 0; n < maxRepeats; n++ {
		started := time.Now()
		if err = g.commit(ctx, requests); err == nil {
			for _, r := range requests {
				r.answer(nil)
			}
			return
		}
		switch ClassOf(err) {
		case Repeat:
			if g.Repeated != nil {
				g.Repeated()
			}
			time.Sleep(rand.N(time.Duration(n+1) * 5 * time.Millisecond))
			continue
		case Away:
			// A connection that was cut costs one repetition on a fresh one; a Postgres that is silent, none.
			if !dropped && time.Since(started) < g.Timeout/4 {
				dropped = true
				if Code(err) == readOnly && g.Reset != nil {
					g.Reset() // after a failover the same address leads to another server
				}
				continue
			}
		case Refused:
			if half := len(requests) / 2; half > 0 {
				g.settle(ctx, requests[:half])
				g.settle(ctx, requests[half:])
				return
			}
		}
		break
	}
	err = Failure(g.Name, err)
	for _, r := range requests {
		r.answer(err)
	}
}

// commit writes requests in one transaction. With an error, nobody knows whether it was committed.
func (g *Group[T]) commit(ctx context.Context, requests []*Request[T]) error {
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	started := time.Now()
	slices.SortFunc(requests, func(a, b *Request[T]) int { return g.Compare(&a.Value, &b.Value) })
	if err := g.Commit(ctx, requests); err != nil {
		return err
	}
	if g.Committed != nil {
		g.Committed(len(requests), time.Since(started))
	}
	return nil
}

// queue gathers requests until a writer is free. Whoever asks waits for the answer, so its length is bounded by the
// goroutines that ask.
type queue[T any] struct {
	rowsOf  func(rows []Row, v *T) []Row
	mu      *sync.Mutex
	ready   *sync.Cond
	waiting []*Request[T]
	quick   int // transactions that are under way and have not taken long
	closed  bool
	// rows are those of one transaction, and some is for one request; both are kept for the next.
	rows map[Row]struct{}
	some []Row
}

func newQueue[T any](rows func(rows []Row, v *T) []Row) queue[T] {
	mu := new(sync.Mutex)
	return queue[T]{rowsOf: rows, mu: mu, ready: sync.NewCond(mu), rows: map[Row]struct{}{}}
}

func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}

// add queues r and what goes with it, for one transaction if none of their rows is in it twice.
func (q *queue[T]) add(r *Request[T], with []*Request[T]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(append(q.waiting, with...), r)
	q.ready.Signal()
	return true
}

// len is the number of requests that wait.
func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// remove takes back a request that no writer has begun with.
func (q *queue[T]) remove(r *Request[T]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// next waits for requests and takes those of one transaction: no row twice, because one statement can't change a row twice.
// The second request for a row stays for the next one. It returns none once the queue is closed and empty. The writer calls
// over when it is done with them.
func (q *queue[T]) next() (requests []*Request[T], over func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (len(q.waiting) == 0 || q.quick > 0 && len(q.waiting) < fullGroup) {
		q.ready.Wait()
	}
	if len(q.waiting) == 0 {
		return nil, nil
	}
	var rest []*Request[T]
	for _, r := range q.waiting {
		if len(requests) < maxGroup && q.take(r) {
			requests = append(requests, r)
		} else {
			rest = append(rest, r)
		}
	}
	clear(q.rows)
	q.waiting = rest
	q.quick++
	ended := sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.quick--
		q.ready.Signal()
	})
	slow := time.AfterFunc(patience, ended)
	if len(rest) > 0 {
		q.ready.Signal()
	}
	return requests, func() { slow.Stop(); ended() }
}

// take puts the rows of a request into the transaction, and reports whether none of them was there already. Those of one
// that stays are taken too: no later request overtakes it.
func (q *queue[T]) take(r *Request[T]) bool {
	q.some = q.rowsOf(q.some[:0], &r.Value)
	free := true
	for _, row := range q.some {
		n := len(q.rows)
		q.rows[row] = struct{}{}
		free = free && len(q.rows) > n
	}
	return free
}
