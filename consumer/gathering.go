package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// gathering is the dispatcher of a batch consumer. What belongs into which call, and what becomes of a message, the gatherer
// says (gather.go); gathering has messages read and calls made, in slots, and concludes the messages.
//
// A message that may have killed a process is entered as such before it is read. One that has, and a probe, are in no call with
// entries of another message: they have a gatherer of their own.
type gathering struct {
	l *link
	b *Batch

	mu       sync.Mutex
	gatherer *gatherer[*opened]
	stopped  bool
	released chan struct{} // closed when what has begun is to begin no further call
	reading  bool          // a goroutine reads messages
	entering int           // messages on their way to the gatherer
	calling  int           // batches under way
	late     *time.Timer   // when entries have waited for others for long enough

	enough atomic.Int64 // as the gatherer has it
}

// opened is a message that is being handled, and what was read of it.
type opened struct {
	handling
	events []entriesOf
}

func newGathering(l *link) *gathering {
	d := &gathering{l: l, b: l.consumer.Batch, gatherer: newGatherer[*opened](l.consumer.Batch), released: make(chan struct{})}
	d.late = time.AfterFunc(time.Hour, l.nudge)
	return d
}

func (d *gathering) open(m *message) *opened { return &opened{handling: handling{l: d.l, m: m}} }

func (d *gathering) add(m *message) {
	d.mu.Lock()
	defer d.unlock()
	o := d.open(m)
	if !o.mayHaveKilled() {
		d.gatherer.arrive(o)
		d.advance()
		return
	}
	d.entering++
	released := d.released
	d.l.r.handlers.Go(func() { d.enter(o, released) })
}

func (d *gathering) begin() {
	d.mu.Lock()
	defer d.unlock()
	d.advance()
}

func (d *gathering) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.late.Stop()
}

func (d *gathering) putBack(m *message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.gatherer.arrive(d.open(m))
}

// drain releases the messages of which nothing has begun. Unless it is for the byte budget, which they fill no more when they have
// ended, messages that have begun are released too: what is in a call ends, and they are concluded then.
func (d *gathering) drain() (backlog []*message) {
	d.mu.Lock()
	d.stopped = false
	all := d.l.over() || d.l.r.gate.standing(d.l.consumer).paused
	if all {
		close(d.released)
		d.released = make(chan struct{})
	}
	d.gatherer.release(all)
	var rest []ended[*opened]
	for _, e := range d.gatherer.take() {
		if e.requeue && !e.message.res.entered {
			backlog = append(backlog, e.message.m)
		} else {
			rest = append(rest, e)
		}
	}
	d.mu.Unlock()
	d.conclude(rest)
	return backlog
}

func (d *gathering) backlog() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gatherer.waiting()
}

// unlock unlocks, and concludes what has ended meanwhile.
func (d *gathering) unlock() {
	ended := d.gatherer.take()
	d.mu.Unlock()
	d.conclude(ended)
}

// advance begins what can be begun. It is called with mu held.
func (d *gathering) advance() {
	if d.stopped || d.l.over() {
		return
	}
	if !d.reading {
		if p := d.gatherer.next(); p != nil {
			d.reading = true
			d.l.r.handlers.Go(func() { d.read(p) })
		}
	}
	for d.l.slots.entering.Load() == 0 && d.l.slots.take() {
		b := d.next()
		if b == nil {
			d.l.slots.release()
			return
		}
		d.calling++
		d.l.r.handlers.Go(func() { d.run(b) })
	}
}

// next returns a batch, or nil after it has seen to it that it is asked again when there will be one. It is called with mu held.
func (d *gathering) next() *batch[*opened] {
	// Nothing more arrives by itself if every delivery that may be unacknowledged waits here.
	open, prefetch := int(d.l.open.Load()), d.l.intake.prefetch()
	dry := d.calling == 0 && d.entering == 0 && !d.reading && open >= prefetch && d.gatherer.count() >= open
	b, due := d.gatherer.batch(time.Now(), dry)
	if b == nil && !due.IsZero() {
		d.late.Reset(time.Until(due))
	}
	return b
}

// run makes the calls of a batch, and of the batches after it, in a slot.
func (d *gathering) run(b *batch[*opened]) {
	for b != nil {
		d.mu.Lock()
		c, ok := d.gatherer.call(b)
		if !ok {
			d.calling--
			b = nil
			if !d.stopped && !d.l.over() && d.l.slots.entering.Load() == 0 {
				b = d.next()
			}
			if b != nil {
				d.calling++
			} else {
				d.freeSlot()
			}
			d.unlock()
			continue
		}
		d.advance() // the entries that are now in the call make room for others
		d.unlock()
		d.l.r.together.RLock() // before the clock starts: while a suspect is handled alone, everybody waits
		results, err := d.write(d.l.r.work, b.calling, c)
		d.l.r.together.RUnlock()
		d.mu.Lock()
		d.gatherer.answered(b, results, err, d.l.r.gate.allClosed(d.l.consumer))
		d.unlock()
	}
}

func (d *gathering) freeSlot() {
	d.l.slots.release()
	if d.l.over() || d.l.slots.entering.Load() > 0 {
		d.l.slots.announce()
	}
}

// read reads messages for as long as few entries wait.
func (d *gathering) read(p *pending[*opened]) {
	for p != nil {
		d.l.r.together.RLock()
		entries, err := p.message.read(d.l.r.work)
		d.l.r.together.RUnlock()
		d.mu.Lock()
		d.gatherer.parsed(p, entries, len(p.message.m.Body), err, time.Now())
		d.enough.Store(int64(d.gatherer.enough))
		p = nil
		if !d.stopped && !d.l.over() {
			p = d.gatherer.next()
		}
		d.reading = p != nil
		d.advance()
		d.unlock()
	}
}

// read returns the entries of the message's events.
func (o *opened) read(ctx context.Context) (entries []Entry, err error) {
	log := o.l.r.opts.Log.Hook(o.m)
	ctx = event.WithHandling(log.WithContext(ctx), event.Handling{Message: o.m.id})
	bodies, unreadable := o.l.decode(o.m.Body) // both, when some of an array can't be read
	if len(bodies) > 0 {
		o.res.first = bodies[0]
	}
	var errs []error
	e := o.m.event()
	for _, body := range bodies {
		e.Body = body
		of, err := o.entries(ctx, e)
		if err != nil {
			errs, of = append(errs, err), nil
		}
		entries = append(entries, of...)
		o.events = append(o.events, entriesOf{e, len(of)})
	}
	return entries, foldErrors(append(errs, unreadable))
}

func (o *opened) entries(ctx context.Context, e event.Event) (entries []Entry, err error) {
	defer o.l.recovered(ctx, &err)
	return o.l.consumer.Batch.Handler.Entries(ctx, e)
}

// write makes one call. What its failure says of the consumer, whose messages may be open for long, is said at once.
func (d *gathering) write(ctx context.Context, entries []place[*opened], c Call) (results []Result, err error) {
	l := d.l
	first := entries[0]
	ctx = propagation.TraceContext{}.Extract(ctx, carrier(first.of.message.m.Headers)) // of one of them, so that its requests are traced
	ctx, span := l.r.tracer.Start(ctx, "write "+l.consumer.Name, linked(entries)...)
	defer span.End()
	log := l.r.opts.Log.With().Str("consumer", l.consumer.Name).Int("entries", len(entries)).Logger()
	watch := &hanging{runner: l.runner, m: first.of.message.m, began: time.Now()}
	ctx, clock := withTimeout(log.WithContext(ctx), l.consumer.Limits.HandlerTimeout, l.r.opts.Lease, watch)
	defer watch.returned()
	defer clock.stop()
	ctx = event.WithHandling(ctx, event.Handling{Message: func() string { return nameOf(first) }, Clock: clock, Uncounted: c.Halving})

	l.metrics.inFlight.Inc()
	defer l.metrics.inFlight.Dec()
	results, err = d.call(ctx, c)
	l.metrics.duration.Observe(time.Since(watch.began).Seconds())
	said := err
	for i := range results {
		results[i].Err = withCause(ctx, results[i].Err)
		said = cmp.Or(said, results[i].Err)
	}
	l.noteUnreadable(ctx, said)
	if err = withCause(ctx, err); err == nil {
		return results, nil
	}
	var deferral *event.Deferral
	switch {
	case errors.As(err, &deferral) && deferral.Downstream == "postgres":
		l.r.database.away(err)
	case deferral == nil && event.ClassOf(err) == event.Unauthorized:
		l.noteCredential(&result{err: err, verdict: verdict{unauthorized: true}})
	}
	span.SetStatus(codes.Error, string(event.ClassOf(err)))
	if deferral != nil {
		log.Info().Str("event", "batch_failed").Bool("halving", c.Halving).Err(err).Msg("a call with the entries of a batch was not made")
	} else {
		log.Warn().Str("event", "batch_failed").Bool("halving", c.Halving).Str("class", string(event.ClassOf(err))).Err(err).
			Msg("a call with the entries of a batch failed as a whole")
	}
	return nil, err
}

func (d *gathering) call(ctx context.Context, c Call) (results []Result, err error) {
	defer d.l.recovered(ctx, &err)
	return d.b.Handler.Write(ctx, c)
}

// nameOf is what a circuit knows the call by of which at is the first entry: a message of many entries has many calls, and when one
// after the other fails it is not the message's fault.
func nameOf(at place[*opened]) string {
	id := at.of.message.m.id()
	if at.at == 0 {
		return id
	}
	return fmt.Sprintf("%s/%d", id, at.at)
}

// linked returns what a call's span has of the messages of its entries.
func linked(entries []place[*opened]) []trace.SpanStartOption {
	const most = 32
	var links []trace.Link
	var last *message
	for _, at := range entries {
		m := at.of.message.m
		if m == last {
			continue
		}
		last = m
		ctx := propagation.TraceContext{}.Extract(context.Background(), carrier(m.Headers))
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			if links = append(links, trace.Link{SpanContext: sc}); len(links) == most {
				break
			}
		}
	}
	return append(slices.Clone(asConsumer), trace.WithLinks(links...))
}

// conclude settles messages that have ended, not in the goroutine of its caller, which goes on with the next call.
func (d *gathering) conclude(all []ended[*opened]) {
	if len(all) == 0 {
		return
	}
	d.l.r.handlers.Go(func() {
		for _, e := range all {
			if e.message.res.entered { // it is to be struck out, which takes a while
				d.l.r.handlers.Go(func() { d.finish(e) })
			} else {
				d.finish(e)
			}
		}
	})
}

// finish decides what becomes of a message that has ended, and settles it.
func (d *gathering) finish(e ended[*opened]) {
	l, o := d.l, e.message
	res := o.res
	if e.requeue {
		// It waits for what stops the consumer. If that is over already, it goes through a retry queue.
		res.verdict = verdict{action: postpone, delay: pick(l.r.opts.RetryDelays, event.Shortest, 0), held: true}
		l.conclude(o.m, res)
		return
	}
	res.outcome, res.err = e.outcome, e.err
	if len(e.rejected) > 0 {
		letter, first, err := partialLetter(d.b.Handler, o.events, e.rejected)
		if err != nil {
			log := l.r.opts.Log.Hook(o.m)
			log.Error().Str("event", "partial_letter_failed").Err(err).
				Msg("no letter can be made of the rejected entries: the whole message is dead-lettered")
		} else {
			res.letter, res.err = letter, first
		}
	}
	l.resolve(o.m, &res)
	l.conclude(o.m, res)
}

// enter notes that this process has a message that was delivered before, and has it handled, with others or alone.
func (d *gathering) enter(o *opened, released <-chan struct{}) {
	err := d.note(o)
	d.mu.Lock()
	d.entering--
	if err == nil && !o.res.suspect && !isClosed(released) {
		d.gatherer.arrive(o)
		d.advance()
		d.unlock()
		return
	}
	d.mu.Unlock()
	switch {
	case err != nil:
		d.finish(ended[*opened]{message: o, err: err})
	case o.res.suspect && d.l.slots.enter(d.l.s.ended, released):
		d.finish(d.suspect(o, released, nil))
		d.freeSlot()
	default:
		d.finish(ended[*opened]{message: o, requeue: true})
	}
}

// note enters a message among those that may have killed a process.
func (d *gathering) note(o *opened) error {
	d.l.r.together.RLock()
	defer d.l.r.together.RUnlock()
	log := d.l.r.opts.Log.Hook(o.m)
	watch := &hanging{runner: d.l.runner, m: o.m, began: time.Now()}
	ctx, clock := withTimeout(log.WithContext(d.l.r.work), d.l.consumer.Limits.HandlerTimeout, d.l.r.opts.Lease, watch)
	defer watch.returned()
	defer clock.stop()
	return withCause(ctx, o.enter(ctx))
}

// probe has a probe handled.
func (d *gathering) probe(m *message) {
	o := d.open(m)
	d.mu.Lock()
	released := d.released
	d.mu.Unlock()
	d.l.r.handlers.Go(func() {
		defer d.freeSlot()
		if o.mayHaveKilled() {
			if err := d.note(o); err != nil {
				endAll(m.probe.permits)
				d.finish(ended[*opened]{message: o, err: err})
				return
			}
		}
		if o.res.suspect {
			d.finish(d.suspect(o, released, m.probe.permits))
		} else {
			d.finish(d.solo(o, released, m.probe.permits, d.l.r.together.RLocker()))
		}
	})
}

// suspect has a suspect handled with nothing else in flight in the process, in a slot.
func (d *gathering) suspect(o *opened, released <-chan struct{}, permits []circuit.Probe) (e ended[*opened]) {
	begun := false
	_, err := o.alone(d.l.r.work, func(context.Context) (event.Outcome, error) {
		begun = true
		e = d.solo(o, released, permits, noLock{})
		return e.outcome, e.err
	})
	if !begun {
		endAll(permits)
		e = ended[*opened]{message: o, err: err}
	}
	return e
}

// noLock is for who has the lock already.
type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// solo handles a message in calls of its own, one after the other, and returns how it has ended. What is done with it is done with
// the lock held. A permit is for one call, so that others need not wait for a probe of many calls: when one call has shown that
// the downstream is back, they go on, and so does this message.
func (d *gathering) solo(o *opened, released <-chan struct{}, permits []circuit.Probe, lock sync.Locker) ended[*opened] {
	probing := len(permits) > 0
	defer func() { endAll(permits) }()
	g := newGatherer[*opened](d.b)
	g.arrive(o)
	p := g.next()
	lock.Lock()
	entries, err := o.read(d.l.r.work)
	lock.Unlock()
	g.parsed(p, entries, len(o.m.Body), err, time.Now())
	if isClosed(released) {
		g.release(true)
	}
	var failure error
	for b, _ := g.batch(time.Now(), true); b != nil; b, _ = g.batch(time.Now(), true) {
		for c, ok := g.call(b); ok; c, ok = g.call(b) {
			lock.Lock()
			results, err := d.write(circuit.WithProbes(d.l.r.work, permits...), b.calling, c)
			lock.Unlock()
			if probing {
				endAll(permits)
				permits = d.l.r.gate.permits(d.l.consumer)
			}
			healthy := d.l.r.gate.allClosed(d.l.consumer)
			g.answered(b, results, err, healthy)
			if err != nil && faultOf(err) == elsewhere {
				failure = err
			}
			if failure != nil || probing && !healthy && len(permits) == 0 || isClosed(released) || d.l.over() {
				g.release(true)
			}
		}
	}
	e := g.take()[0]
	if e.requeue && failure != nil {
		e = ended[*opened]{message: o, err: failure}
	}
	return e
}

func endAll(permits []circuit.Probe) {
	for _, p := range permits {
		p.End()
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
