package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/event"
)

// pump is one consumer: its handlers, over all sessions.
type pump struct {
	r        *Runtime
	consumer *Consumer
	queue    string
	slots    chan struct{} // one for each handler that runs, also those of sessions that have ended
	freed    chan struct{} // a handler of an ended session has returned

	subscribed  atomic.Bool
	full        atomic.Bool  // what it held at a pause leaves no room for a subscription
	lastSuccess atomic.Int64 // Unix nanoseconds
}

func newPump(r *Runtime, c *Consumer) *pump {
	r.metrics.paused.WithLabelValues(c.Name).Set(1)
	return &pump{
		r: r, consumer: c, queue: r.topology.Queue(c.Name),
		slots: make(chan struct{}, r.opts.Concurrency),
		freed: make(chan struct{}, 1),
	}
}

// line is a pump in one session. Its fields belong to the goroutine of run, which makes every settlement on the channel.
type line struct {
	*pump
	s             *session
	ch            *amqp.Channel
	deliveries    chan amqp.Delivery // of all subscriptions
	tags          []string           // of the subscriptions
	subscriptions int                // ever made
	forwarders    sync.WaitGroup
	granted       int         // the sum of the subscriptions' prefetches
	period        int         // counts the times that it was subscribed
	earlier       int         // begun in an earlier period and not settled
	settled       int         // since the last grant
	waiting       []*delivery // not begun
	inFlight      int         // begun and not settled
	handled       chan *delivery
	published     chan *delivery
	probing       bool
	nextProbe     time.Time
}

// tick is how often a paused consumer looks whether it may go on, besides being told.
const tick = 500 * time.Millisecond

// run pumps until the session ends, or until a drain is complete (then it returns nil). An error ends the session.
func (p *pump) run(s *session) error {
	ch, err := s.consume.Channel()
	if err != nil {
		return fmt.Errorf("open a channel for %s: %w", p.queue, err)
	}
	l := &line{
		pump: p, s: s, ch: ch,
		deliveries: make(chan amqp.Delivery),
		handled:    make(chan *delivery),
		published:  make(chan *delivery),
	}
	defer l.leave()
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	cancelled := ch.NotifyCancel(make(chan string, 16))
	changed, unwatch := p.r.gate.watch()
	defer unwatch()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()

	look := true // whether the gate may have changed
	for {
		if look {
			if err := l.obeyGate(); err != nil {
				return err
			}
			look = false
		}
		if p.r.draining.Load() && len(l.tags) == 0 && l.inFlight == 0 {
			return nil
		}
		l.begin()
		select {
		case d := <-l.deliveries:
			l.waiting = append(l.waiting, l.open(d))
		case d := <-l.handled:
			if err := l.conclude(d); err != nil {
				return err
			}
			look = look || len(l.tags) == 0
		case d := <-l.published:
			if err := l.settle(d); err != nil {
				return err
			}
			look = look || len(l.tags) == 0
		case <-changed:
			look = true
		case <-ticker.C:
			look = true
		case <-p.freed:
		case tag, ok := <-cancelled:
			if ok {
				return fmt.Errorf("the broker cancelled the subscription %s to queue %s: was the queue deleted?", tag, p.queue)
			}
			cancelled = nil
		case err := <-closed:
			return fmt.Errorf("the channel of queue %s ended: %w", p.queue, errors.Join(amqp.ErrClosed, asError(err)))
		case <-s.ended:
			return nil
		}
	}
}

func asError(err *amqp.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// leave ends what the line has begun: the channel goes, and with it the subscriptions and everything not settled.
func (l *line) leave() {
	l.full.Store(false)
	l.subscribed.Store(false)
	l.r.metrics.paused.WithLabelValues(l.consumer.Name).Set(1)
	_ = l.ch.Close() // the session may have ended
	done := make(chan struct{})
	go func() {
		l.forwarders.Wait()
		close(done)
	}()
	for {
		select {
		case <-l.deliveries: // goes back with the channel
		case <-done:
			return
		}
	}
}

// obeyGate subscribes, unsubscribes or probes, as the gate says.
func (l *line) obeyGate() error {
	st := l.r.gate.standing(l.consumer)
	switch {
	case st.paused && len(l.tags) > 0:
		l.r.opts.Log.Warn().Str("consumer", l.consumer.Name).Str("reason", st.reason).Msg("paused")
		return l.unsubscribe()
	case st.paused && st.probe:
		return l.probe(st)
	case !st.paused && len(l.tags) == 0:
		l.full.Store(l.inFlight >= l.r.opts.Prefetch)
		if l.full.Load() {
			return nil // each settlement looks again
		}
		l.period++
		l.earlier = l.inFlight
		if err := l.subscribe(1); err != nil {
			return err
		}
		l.r.opts.Log.Info().Str("consumer", l.consumer.Name).Str("queue", l.queue).Msg("subscribed")
	}
	return nil
}

// subscribe adds a subscription with a prefetch of n. A prefetch can't be raised on a subscription, so the line grows by
// further ones, 1, 1, 2, 4 …, and never holds more than their sum.
func (l *line) subscribe(n int) error {
	if err := l.ch.Qos(n, 0, false); err != nil {
		return fmt.Errorf("set a prefetch of %d for queue %s: %w", n, l.queue, err)
	}
	// A tag is never used twice on a channel: with deliveries of the former subscription still unsettled, a quorum queue of
	// RabbitMQ 3.10 mixes the two up and the broker ends the connection with 541 (tried).
	l.subscriptions++
	tag := "mageline." + l.consumer.Name + "." + strconv.Itoa(l.subscriptions)
	in, err := l.ch.Consume(l.queue, tag, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("subscribe to queue %s: %w", l.queue, err)
	}
	l.tags = append(l.tags, tag)
	l.granted += n
	l.settled = 0
	l.subscribed.Store(true)
	l.r.metrics.paused.WithLabelValues(l.consumer.Name).Set(0)
	l.forwarders.Go(func() {
		for d := range in {
			l.deliveries <- d
		}
	})
	return nil
}

// unsubscribe cancels the subscriptions and gives back, lowest tag first so that the queue keeps its order, what has not
// begun. Nothing is given back while a subscription is there: it would return at once, thousands of times a second.
func (l *line) unsubscribe() error {
	for _, tag := range l.tags {
		if err := l.ch.Cancel(tag, false); err != nil {
			return fmt.Errorf("cancel the subscription to queue %s: %w", l.queue, err)
		}
	}
	drained := make(chan struct{})
	go func() {
		l.forwarders.Wait()
		close(drained)
	}()
	for open := true; open; {
		select {
		case d := <-l.deliveries:
			l.waiting = append(l.waiting, l.open(d))
		case <-drained:
			open = false
		}
	}
	l.tags, l.granted, l.settled = nil, 0, 0
	l.subscribed.Store(false)
	l.r.metrics.paused.WithLabelValues(l.consumer.Name).Set(1)

	slices.SortFunc(l.waiting, func(a, b *delivery) int { return cmp.Compare(a.DeliveryTag, b.DeliveryTag) })
	for _, d := range l.waiting {
		if err := l.ch.Nack(d.DeliveryTag, false, true); err != nil {
			return fmt.Errorf("give a delivery back to queue %s: %w", l.queue, err)
		}
		l.count(outcomeRequeued)
	}
	l.waiting = nil
	return nil
}

// probe takes one message, to see whether what pauses the consumer is over.
func (l *line) probe(st standing) error {
	if l.probing || time.Now().Before(l.nextProbe) {
		return nil
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return nil
	}
	var probes []any
	var ends []func() bool
	giveUp := func() {
		for _, end := range ends {
			end()
		}
		<-l.slots
	}
	for _, circuit := range st.halfOpen {
		probe, end, ok := circuit.Probe()
		if !ok { // another consumer is at it
			giveUp()
			return nil
		}
		probes, ends = append(probes, probe), append(ends, end)
	}
	d, ok, err := l.ch.Get(l.queue, false)
	if err != nil {
		giveUp()
		return fmt.Errorf("take a message from queue %s: %w", l.queue, err)
	}
	if !ok {
		giveUp()
		l.nextProbe = time.Now().Add(tick)
		return nil
	}
	l.probing = true
	probing := l.open(d)
	probing.probes, probing.endProbes, probing.isProbe = probes, ends, true
	l.start(probing)
	return nil
}

// begin starts handlers for what waits, as far as there are slots.
func (l *line) begin() {
	for len(l.waiting) > 0 {
		select {
		case l.slots <- struct{}{}:
		default:
			return
		}
		d := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		l.start(d)
	}
}

// start has d handled in a goroutine, whose slot is taken already.
func (l *line) start(d *delivery) {
	l.inFlight++
	l.r.handlers.Go(func() {
		l.handle(d)
		<-l.slots
		select {
		case l.handled <- d:
		case <-l.s.ended:
			l.stale(d)
			select {
			case l.freed <- struct{}{}:
			default:
			}
		}
	})
}

// conclude does what was decided of d.
func (l *line) conclude(d *delivery) error {
	if d.isProbe {
		l.probing = false
	}
	if d.verdict.postgresAway {
		l.r.postgresAway(d.err)
	}
	l.noteCredential(d)
	switch d.verdict.action {
	case acknowledge:
		return l.settle(d)
	case giveBack:
		d.nack = true
		return l.settle(d)
	case putOff:
		// A probe that failed goes behind the others, so that the next probe is another message.
		if d.verdict.held && len(l.tags) == 0 && !d.isProbe {
			d.nack = true
			return l.settle(d)
		}
	case retry, deadLetter:
	}
	l.s.wg.Go(func() {
		if !l.publish(d) {
			l.stale(d)
			return
		}
		select {
		case l.published <- d:
		case <-l.s.ended:
			l.stale(d)
		}
	})
	return nil
}

// stale says of d that it was handled and can't be settled any more.
func (l *line) stale(d *delivery) {
	l.r.metrics.stale.Inc()
	l.r.opts.Log.Warn().Str("consumer", l.consumer.Name).Str("id", d.id).
		Msg("handled, but its connection has ended: it will be delivered again, and found done")
}

// noteCredential pauses the consumer whose credential was refused, and lets it go on when one of its messages passed.
func (l *line) noteCredential(d *delivery) {
	name := holdUnauthorized + l.consumer.Name
	if d.verdict.unauthorized {
		l.r.gate.hold(name, hold{
			consumer: l.consumer.Name,
			text:     d.err.Error(),
			probeAt:  time.Now().Add(l.r.opts.ProbeEvery),
		})
		return
	}
	// Only what was done shows that the credential is good: a message that can't be read, or that another downstream
	// refuses, shows nothing. While it is not known, messages are tried one at a time.
	if d.err == nil && d.outcome == event.Done {
		if _, had := l.r.gate.release(name); had {
			l.r.opts.Log.Info().Str("consumer", l.consumer.Name).Msg("the credential is accepted again")
		}
	}
}

// settle acknowledges d or gives it back, and lets the prefetch grow.
func (l *line) settle(d *delivery) error {
	var err error
	if d.nack {
		err = l.ch.Nack(d.DeliveryTag, false, true)
	} else {
		err = l.ch.Ack(d.DeliveryTag, false)
	}
	if err != nil {
		l.stale(d)
		return fmt.Errorf("settle a delivery of queue %s: %w", l.queue, err)
	}
	l.inFlight--
	if d.period < l.period {
		l.earlier--
	}
	l.settled++
	l.count(d.counted())
	// What is held from before a pause counts, so that there are never more than PREFETCH.
	if room := l.r.opts.Prefetch - l.earlier - l.granted; l.granted > 0 && l.settled >= l.granted && room > 0 {
		return l.subscribe(min(l.granted, room))
	}
	return nil
}

func (l *line) count(outcome string) {
	l.r.metrics.deliveries.WithLabelValues(l.consumer.Name, outcome).Inc()
}
