package consumer

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// pump is one consumer: its handlers, over all sessions.
type pump struct {
	r        *Runtime
	consumer *Consumer
	queue    string
	span     string // name of a handling's span
	// unauthorized names the hold of a consumer whose credential was refused.
	unauthorized string
	metrics      pumpMetrics
	slots        chan struct{} // one for each handler that runs, also those of sessions that have ended
	freed        chan struct{} // says that a slot is free

	subscribed  atomic.Bool
	full        atomic.Bool            // what it held at a pause leaves no room for a subscription
	trouble     atomic.Pointer[string] // why it is not subscribed though nothing pauses it; nil once it is
	lack        atomic.Pointer[string] // what RabbitMQ refuses of its topology though it is subscribed; nil when nothing
	running     atomic.Bool            // it pumps, in the session there is
	declaring   sync.Mutex
	bound       bool        // with declaring held: its queues and bindings were there once
	single      atomic.Bool // the queue has a single active consumer: it answers basic.get with 405
	memory      memory
	lastSuccess atomic.Int64 // Unix nanoseconds
	pausedSince atomic.Int64 // too; 0: it is not
	// What was counted last in its queue and among its dead letters.
	messages, deadLetters atomic.Int64
}

func newPump(r *Runtime, c *Consumer) *pump {
	return &pump{
		r: r, consumer: c, queue: r.topology.Queue(c.Name), span: "handle " + c.Name, unauthorized: holdUnauthorized + c.Name, metrics: r.metrics.of(c.Name),
		slots:  make(chan struct{}, c.Limits.Concurrency),
		freed:  make(chan struct{}, 1),
		memory: memory{share: r.opts.MemoryLimit / int64(len(r.opts.Consumers))},
	}
}

// line is a pump in one session.
type line struct {
	*pump
	s    *session
	ch   *amqp.Channel
	look chan struct{} // says to the goroutine of run that something was settled which it waits for
	fail chan error    // ends run
	gone atomic.Bool   // the channel has ended: what came on it can't be settled any more

	// of the goroutine of run
	made      int           // subscriptions
	probes    *amqp.Channel // on which probes are fetched; nil until there is one
	nextProbe time.Time

	mu            sync.Mutex
	tags          tags
	subscriptions []*subscription // in the order in which they were made
	granted       int             // the sum of their prefetches
	merging       bool            // one is to come in the place of some that were cancelled
	earlier       int             // deliveries that are not settled and don't count for any of them
	settled       int             // since the last grant
	waiting       []*delivery     // not begun
	inFlight      int             // begun and not settled
	probing       bool
	closed        bool        // nothing begins any more: it unsubscribes, or has left
	starting      bool        // a goroutine that has a slot has not taken its first delivery yet
	gathered      []*delivery // to be acknowledged
	behind        []*delivery // too, but with one below that was open at the last flush
	acking        bool        // somebody is at it
	ackLate       *time.Timer // until when what has gathered may wait for company
}

// tick is how often a paused consumer looks whether it may go on, besides being told.
const tick = 500 * time.Millisecond

// pump pumps on a channel of its own until this or the session ends, or until a drain is complete; then it returns nil.
func (p *pump) pump(s *session) error {
	ch, err := s.consume.Channel()
	if err != nil {
		return fmt.Errorf("open a channel for %s: %w", p.queue, err)
	}
	l := &line{
		pump: p, s: s, ch: ch, look: make(chan struct{}, 1), fail: make(chan error, 1), tags: newTags(), ackLate: time.NewTimer(ackPatience),
	}
	p.running.Store(true)
	defer p.running.Store(false)
	defer l.leave()
	return l.run()
}

// run gives the error that has ended the channel, or nil when the session has ended or a drain is complete.
func (l *line) run() error {
	closed := l.ch.NotifyClose(make(chan *amqp.Error, 1))
	cancelled := l.ch.NotifyCancel(make(chan string, 16))
	changed, unwatch := l.r.gate.watch()
	defer unwatch()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()

	for {
		if err := l.obeyGate(changed); err != nil {
			return err
		}
		if l.r.draining.Load() && l.drained() {
			return nil
		}
		if err := l.grow(); err != nil {
			return err
		}
		l.begin()
		select {
		case <-changed:
		case <-ticker.C:
		case <-l.look:
		case <-l.freed:
		case <-l.ackLate.C:
			l.acknowledgeLate()
		case tag, ok := <-cancelled:
			if ok {
				return fmt.Errorf("the broker cancelled the subscription %s to queue %s: was the queue deleted?", tag, l.queue)
			}
			cancelled = nil
		case err := <-closed:
			return fmt.Errorf("the channel of queue %s ended: %w", l.queue, errors.Join(amqp.ErrClosed, asError(err)))
		case err := <-l.fail:
			return err
		case <-l.s.ended:
			return nil
		}
	}
}

// over reports whether what came on the line can't be settled any more.
func (l *line) over() bool { return l.gone.Load() || l.s.over() }

func asError(err *amqp.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// drained reports that nothing is subscribed and everything is settled.
func (l *line) drained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.granted == 0 && l.inFlight == 0 && len(l.gathered)+len(l.behind) == 0 && !l.acking
}

// leave ends what the line has begun: the channel goes, and with it the subscriptions and everything not settled.
func (l *line) leave() {
	l.gone.Store(true)
	l.mu.Lock()
	l.closed = true
	l.flush(true) // of a channel that has ended: what has gathered is stale
	l.mu.Unlock()
	l.ackLate.Stop()
	l.full.Store(false)
	l.subscribed.Store(false)
	l.metrics.paused.Set(1)
	_ = l.ch.Close() // the session may have ended
	if l.probes != nil {
		_ = l.probes.Close()
	}
	for _, s := range l.subscriptions {
		s.brings.Wait()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.waiting {
		l.memory.drop(d.Body)
	}
	l.waiting = nil
}

// obeyGate subscribes, unsubscribes or probes, as the gate says.
func (l *line) obeyGate(changed <-chan struct{}) error {
	st := l.r.gate.standing(l.consumer)
	if !st.paused {
		l.pausedSince.Store(0)
	} else {
		l.pausedSince.CompareAndSwap(0, time.Now().UnixNano())
	}
	switch {
	case st.paused && len(l.subscriptions) > 0:
		l.r.opts.Log.Warn().Str("event", "consumer_paused").Str("consumer", l.consumer.Name).Str("reason", st.reason).Msg("paused")
		return l.unsubscribe()
	case st.paused && st.probe:
		return l.probe(st, changed)
	case !st.paused && len(l.subscriptions) > 0 && l.memory.over():
		l.r.opts.Log.Info().Str("event", "memory_limit_reached").Str("consumer", l.consumer.Name).
			Msg("bodies have become so large that they are more than its share of MEMORY_LIMIT: what has not begun goes back")
		l.nudge()
		return l.unsubscribe()
	case !st.paused && len(l.subscriptions) == 0:
		full := l.memory.full()
		l.mu.Lock()
		full = full || l.inFlight >= l.consumer.Limits.Prefetch
		l.mu.Unlock()
		l.full.Store(full)
		if full {
			return nil // each settlement looks again
		}
		if err := l.subscribe(1); err != nil {
			return err
		}
		l.r.opts.Log.Info().Str("event", "consumer_subscribed").Str("consumer", l.consumer.Name).Str("queue", l.queue).Msg("subscribed")
	}
	return nil
}

// accept takes a delivery of s, and begins with it if a slot is free.
func (l *line) accept(d amqp.Delivery, s *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, l.open(d, s))
	l.beginLocked()
	if l.memory.over() {
		l.nudge()
	}
}

// begin starts handlers for what waits, as far as there are slots.
func (l *line) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginLocked()
}

// beginLocked has one more goroutine take what waits. That one calls it again before it begins to handle: as long as
// something waits and there are slots there are more, but handlers that are done at once share a few, each of which takes
// many deliveries.
func (l *line) beginLocked() {
	if l.starting || !l.more() {
		return
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return
	}
	l.starting = true
	l.r.handlers.Go(func() { l.work(l.first()) })
}

// more reports whether a delivery may begin. mu is held.
func (l *line) more() bool { return len(l.waiting) > 0 && !l.closed && !l.over() }

// start begins with d, in a goroutine whose slot is taken already. mu is held.
func (l *line) start(d *delivery) {
	l.inFlight++
	l.r.handlers.Go(func() { l.work(d) })
}

// work handles d and goes on with what waits.
func (l *line) work(d *delivery) {
	for d != nil {
		l.handle(d)
		l.conclude(d)
		d = l.next()
	}
}

// first is next for a goroutine that starts.
func (l *line) first() *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starting = false
	return l.nextLocked()
}

// next gives a goroutine that has a slot a delivery, or takes the slot back.
func (l *line) next() *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nextLocked()
}

func (l *line) nextLocked() *delivery {
	if l.more() {
		d := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		l.inFlight++
		l.beginLocked()
		return d
	}
	<-l.slots
	if l.over() { // what waits on the next channel does not see this one's slots
		select {
		case l.freed <- struct{}{}:
		default:
		}
	}
	return nil
}
