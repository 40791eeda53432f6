package consumer

import (
	"math/bits"
	"slices"
	"time"

	"github.com/mageline/mageline/event"
)

// defaultBytes bounds the entries of a call where Batch.Bytes does not.
const defaultBytes = 1 << 20

// gatherer makes batches of the entries of many messages, and of their results one end for each message. It does no I/O, starts
// no goroutine and reads no clock. M is whatever stands for a message. It is not safe for concurrent use.
//
// A message arrives, is parsed when few entries wait, and is open until its last entry has a result or it is released. Each way
// in which a message leaves the gatherer is an end in ended, and each message has exactly one.
type gatherer[M any] struct {
	size, bytes int
	limit       func(kind string) int
	linger      time.Duration
	window      int // rows that wait, above which no further message is parsed
	calls       int // at once; a batch beside so many is prepared while these call

	arrived []M                      // not parsed, oldest first
	open    map[*pending[M]]struct{} // parsed or being parsed
	queues  []*kindQueue[M]          // entries that wait, by kind
	busy    map[string]*keyInCall[M] // keys in a batch that is under way
	batches int                      // under way
	rows    int                      // of all entries that wait
	ended   []ended[M]               // to be taken

	recent [100]int // rows of the messages that were parsed last, a ring
	parses int      // messages that were parsed
	enough int      // messages that keep the calls busy; 0: none was parsed yet
}

// pending is a message that is open.
type pending[M any] struct {
	message  M
	entries  []Entry
	parsed   time.Time
	left     int  // entries without a result
	inCalls  int  // entries in a batch
	begun    bool // an entry was in a batch
	released bool // entries that are in no batch stay so
	outcome  event.Outcome
	err      error
	whole    bool // err is about more than some entries
	rejected []Rejection
}

// ended is how a message left the gatherer.
type ended[M any] struct {
	message M
	// requeue is true if entries of it were not begun and never will be: it goes back to its queue.
	requeue bool
	outcome event.Outcome // if err is nil
	err     error         // the one that decides, as foldErrors has it
	// rejected are the entries over which it failed, in the order of the message, where err is poison and is about these alone.
	rejected []Rejection
}

// place is an entry of a message.
type place[M any] struct {
	of *pending[M]
	at int
}

func (p place[M]) entry() *Entry { return &p.of.entries[p.at] }

type kindQueue[M any] struct {
	kind        string
	waiting     []place[M]
	rows, bytes int
}

// keyInCall are the entries that wait until the batch with their key has ended.
type keyInCall[M any] struct{ waiting []place[M] }

func newGatherer[M any](b *Batch) *gatherer[M] {
	g := &gatherer[M]{
		size: b.Size, bytes: b.Bytes, limit: b.Limit, linger: b.Linger, window: b.Size * (b.Concurrency + 1), calls: b.Concurrency,
		open: map[*pending[M]]struct{}{}, busy: map[string]*keyInCall[M]{},
	}
	if g.bytes == 0 {
		g.bytes = defaultBytes
	}
	return g
}

// take returns the messages that have left since it was called last.
func (g *gatherer[M]) take() []ended[M] {
	e := g.ended
	g.ended = nil
	return e
}

// arrive adds a message.
func (g *gatherer[M]) arrive(m M) { g.arrived = append(g.arrived, m) }

// next returns a message to be parsed, or nil while enough entries wait. Parsed ones are larger than the bodies that they came
// in, so there are no more of them than calls can soon be made of, and those of one message.
func (g *gatherer[M]) next() *pending[M] {
	if len(g.arrived) == 0 || g.rows >= g.window {
		return nil
	}
	p := &pending[M]{message: g.arrived[0]}
	g.arrived = slices.Delete(g.arrived, 0, 1)
	g.open[p] = struct{}{}
	return p
}

// parsed says what is in p, whose body has so many bytes. err is about the message as a whole, or about those of its events
// that are not among the entries.
func (g *gatherer[M]) parsed(p *pending[M], entries []Entry, bytes int, err error, now time.Time) {
	p.entries, p.left, p.parsed = entries, len(entries), now
	if err != nil {
		p.err, p.whole = err, true
	}
	rows := 0
	for i := range entries {
		e := &entries[i]
		e.Rows = max(1, e.Rows)
		rows += e.Rows
		if e.Bytes <= 0 {
			e.Bytes = bytes / len(entries)
		}
		switch {
		case e.Err != nil:
			p.result(i, Result{Err: e.Err})
		case !p.released:
			g.queue(e.Kind).push(place[M]{p, i})
			g.rows += e.Rows
		}
	}
	if len(entries) == 0 && err == nil {
		p.outcome = event.Skipped
	}
	g.measure(rows)
	g.end(p)
}

// measure notes how many rows a message has. Enough messages are those in calls, which are as many rows as may wait, those that
// wait, and two that arrive meanwhile. What counts is the median of the last messages: a list of all prices among thousands of
// single ones must not stop these from gathering. It is rounded up to a power of two, so that it seldom changes.
func (g *gatherer[M]) measure(rows int) {
	g.recent[g.parses%len(g.recent)] = max(1, rows)
	g.parses++
	if g.parses > 10 && g.parses%10 > 0 {
		return
	}
	known := slices.Sorted(slices.Values(g.recent[:min(g.parses, len(g.recent))]))
	need := 2*g.window/known[len(known)/2] + 2
	g.enough = 1 << bits.Len(uint(need-1)) //nolint:gosec // at least 2
}

// result notes the result of an entry.
func (p *pending[M]) result(i int, r Result) {
	p.left--
	if r.Err == nil {
		if r.Outcome == "" {
			r.Outcome = event.Done
		}
		p.outcome = foldOutcomes([]event.Outcome{r.Outcome, p.outcome})
		p.entries[i] = Entry{} // it frees the handler's value
		return
	}
	p.err = foldErrors([]error{p.err, r.Err})
	if isPoison(r.Err) {
		p.rejected = append(p.rejected, Rejection{Index: i, Entry: p.entries[i], Err: r.Err})
	}
}

// end takes p out if nothing more comes of it.
func (g *gatherer[M]) end(p *pending[M]) {
	if _, open := g.open[p]; !open || p.inCalls > 0 || p.left > 0 && !p.released {
		return
	}
	delete(g.open, p)
	e := ended[M]{message: p.message, requeue: p.left > 0}
	if !e.requeue {
		e.outcome, e.err = p.outcome, p.err
		if !p.whole && isPoison(p.err) {
			slices.SortFunc(p.rejected, func(a, b Rejection) int { return a.Index - b.Index })
			e.err, e.rejected = p.rejected[0].Err, p.rejected
		}
	}
	g.ended = append(g.ended, e)
}

// release gives up what was not begun. Messages of which no entry was in a batch leave at once. With all, the others leave too,
// when what is in calls has ended: no further batch or part of one has an entry of theirs.
func (g *gatherer[M]) release(all bool) {
	for _, m := range g.arrived {
		g.ended = append(g.ended, ended[M]{message: m, requeue: true})
	}
	g.arrived = nil
	var ending []*pending[M]
	for p := range g.open {
		p.released = p.released || all || !p.begun
		if p.released && p.entries != nil {
			ending = append(ending, p)
		}
	}
	g.rows = 0
	for _, q := range g.queues {
		waiting := q.waiting
		*q = kindQueue[M]{kind: q.kind}
		for _, at := range waiting {
			g.wait(q, at)
		}
	}
	for _, k := range g.busy {
		waiting := k.waiting
		k.waiting = nil
		for _, at := range waiting {
			if !at.of.released {
				k.waiting = append(k.waiting, at)
				g.rows += at.entry().Rows
			}
		}
	}
	slices.SortFunc(ending, func(a, b *pending[M]) int { return a.parsed.Compare(b.parsed) })
	for _, p := range ending {
		g.end(p)
	}
}

// wait has an entry wait in q, if its message is not released.
func (g *gatherer[M]) wait(q *kindQueue[M], at place[M]) {
	if !at.of.released {
		q.push(at)
		g.rows += at.entry().Rows
	}
}

func (g *gatherer[M]) queue(kind string) *kindQueue[M] {
	for _, q := range g.queues {
		if q.kind == kind {
			return q
		}
	}
	q := &kindQueue[M]{kind: kind}
	g.queues = append(g.queues, q)
	return q
}

func (q *kindQueue[M]) push(at place[M]) {
	q.waiting = append(q.waiting, at)
	q.rows += at.entry().Rows
	q.bytes += at.entry().Bytes
}

func (q *kindQueue[M]) pop() place[M] {
	at := q.waiting[0]
	q.waiting[0] = place[M]{}
	q.waiting = q.waiting[1:]
	q.rows -= at.entry().Rows
	q.bytes -= at.entry().Bytes
	return at
}

// batch returns entries for a call: those of the kind that has waited longest among the kinds of which there are enough, or
// whose first has waited for long enough, or all of them where dry says that nothing more arrives before something ends. While
// as many batches are under way as can call, one more would only wait for its turn: it is made when it is full. If there is
// none, due is when there will be one without anything new; zero if never.
func (g *gatherer[M]) batch(now time.Time, dry bool) (b *batch[M], due time.Time) {
	dry = dry && len(g.arrived) == 0 || g.rows >= g.window
	for {
		var oldest *kindQueue[M]
		due = time.Time{}
		for _, q := range g.queues {
			if len(q.waiting) == 0 {
				continue
			}
			at := q.waiting[0].of.parsed
			ends := at.Add(g.linger)
			partial := q.rows < g.most(q.kind) && q.bytes < g.bytes
			if partial && g.batches >= g.calls {
				continue
			}
			if partial && !dry && now.Before(ends) {
				if due.IsZero() || ends.Before(due) {
					due = ends
				}
				continue
			}
			if oldest == nil || at.Before(oldest.waiting[0].of.parsed) {
				oldest = q
			}
		}
		if oldest == nil {
			return nil, due
		}
		if b = g.cut(oldest); b != nil {
			return b, time.Time{}
		}
	}
}

// most is how many rows a call of the kind has at most.
func (g *gatherer[M]) most(kind string) int {
	if g.limit != nil {
		if n := g.limit(kind); n > 0 {
			return min(n, g.size)
		}
	}
	return g.size
}

// cut takes a call's entries from the front of q; nil if those that waited there all have a key that is in another call, and
// wait for its end now.
func (g *gatherer[M]) cut(q *kindQueue[M]) *batch[M] {
	b := &batch[M]{kind: q.kind}
	var mine map[string]struct{}
	rows, bytes := 0, 0
	for most := g.most(q.kind); len(q.waiting) > 0; {
		e := q.waiting[0].entry()
		if len(b.entries) > 0 && (rows+e.Rows > most || bytes+e.Bytes > g.bytes) {
			break
		}
		at := q.pop()
		if _, ours := mine[e.Key]; e.Key != "" && !ours {
			if other := g.busy[e.Key]; other != nil {
				other.waiting = append(other.waiting, at)
				continue
			}
			if mine == nil {
				mine = map[string]struct{}{}
			}
			mine[e.Key] = struct{}{}
			g.busy[e.Key] = &keyInCall[M]{}
			b.keys = append(b.keys, e.Key)
		}
		rows, bytes = rows+e.Rows, bytes+e.Bytes
		g.rows -= e.Rows
		at.of.inCalls++
		at.of.begun = true
		b.entries = append(b.entries, at)
	}
	if len(b.entries) == 0 {
		return nil
	}
	b.todo = []span{{0, len(b.entries)}}
	g.batches++
	return b
}

// call returns the next call of b: all of it at first, later the same again or a part of it. When ok is false b has ended.
func (g *gatherer[M]) call(b *batch[M]) (c Call, ok bool) {
	for len(b.todo) > 0 {
		s := b.todo[len(b.todo)-1]
		b.todo = b.todo[:len(b.todo)-1]
		b.calling = g.kept(b.entries[s.from:s.to])
		if len(b.calling) == 0 {
			continue
		}
		b.now = span{s.from, s.from + len(b.calling)}
		c = Call{Kind: b.kind, Halving: b.halving, Entries: make([]Entry, len(b.calling))}
		for i, at := range b.calling {
			c.Entries[i] = *at.entry()
		}
		return c, true
	}
	g.batches--
	g.free(b)
	return Call{}, false
}

// kept returns, in place, the entries whose messages are not released; the others leave their batch.
func (g *gatherer[M]) kept(entries []place[M]) []place[M] {
	kept := entries[:0]
	for _, at := range entries {
		if at.of.released {
			at.of.inCalls--
			g.end(at.of)
			continue
		}
		kept = append(kept, at)
	}
	return kept
}

// free lets the entries go on that wait for the keys of b.
func (g *gatherer[M]) free(b *batch[M]) {
	var freed []place[M]
	for _, key := range b.keys {
		freed = append(freed, g.busy[key].waiting...)
		delete(g.busy, key)
	}
	b.keys = nil
	if len(freed) == 0 {
		return
	}
	for _, q := range g.queues {
		waiting := q.waiting
		q.waiting = nil
		for _, at := range freed {
			if at.entry().Kind == q.kind {
				q.push(at)
			}
		}
		q.waiting = append(q.waiting, waiting...)
	}
}

// answered says how the call that call returned last has ended. healthy says that every circuit that the entries need is closed
// after it.
func (g *gatherer[M]) answered(b *batch[M], results []Result, err error, healthy bool) {
	if err == nil && len(results) != len(b.calling) {
		err = event.Errorf(event.Internal, "Write returned %d results for %d entries", len(results), len(b.calling))
	}
	if err == nil {
		b.failures = 0
		for i, at := range b.calling {
			g.settle(at, results[i])
		}
		return
	}
	switch b.after(err, len(b.calling), healthy) {
	case callAgain:
		b.todo = append(b.todo, b.now)
	case callHalves:
		middle := (b.now.from + b.now.to) / 2
		b.todo = append(b.todo, span{middle, b.now.to}, span{b.now.from, middle})
	case endCall:
		g.fail(b.calling, err)
	case endBatch:
		g.fail(b.calling, err)
		for _, s := range b.todo {
			g.fail(g.kept(b.entries[s.from:s.to]), err)
		}
		b.todo = nil
	}
}

func (g *gatherer[M]) fail(entries []place[M], err error) {
	for _, at := range entries {
		g.settle(at, Result{Err: err})
	}
}

// settle notes the result of an entry that was in a call.
func (g *gatherer[M]) settle(at place[M], r Result) {
	at.of.inCalls--
	at.of.result(at.at, r)
	g.end(at.of)
}

// count is how many messages the gatherer has.
func (g *gatherer[M]) count() int { return len(g.arrived) + len(g.open) }

// waiting is how many of them have not begun.
func (g *gatherer[M]) waiting() int {
	n := len(g.arrived)
	for p := range g.open {
		if !p.begun {
			n++
		}
	}
	return n
}
