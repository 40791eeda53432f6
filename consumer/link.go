package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// link is one consumer in one session: an AMQP channel and what works on it. The intake takes deliveries from it, the
// dispatcher begins them, the acker acknowledges them. The link itself obeys the gate, has messages handled (handling.go), and
// settles them by the verdict (settle.go).
type link struct {
	*runner
	s      *session
	ch     *amqp.Channel
	look   chan struct{} // has a value after something was settled that run waits for
	fail   chan error    // ends run
	ending chan struct{} // closed when handlings that wait for others must end: the link drains, or has ended
	shrunk bool          // of the goroutine of run: it subscribes again when what it has from before is settled
	gone   atomic.Bool   // the channel has ended: what came on it can't be settled any more
	open   atomic.Int64  // deliveries that are not settled

	intake     *intake
	dispatcher dispatcher
	acker      *acker
	prober     *prober
}

// tick is how often a paused consumer looks whether it may go on, besides being told.
const tick = 500 * time.Millisecond

func newLink(p *runner, s *session, ch *amqp.Channel) *link {
	l := &link{runner: p, s: s, ch: ch, look: make(chan struct{}, 1), fail: make(chan error, 1), ending: make(chan struct{})}
	l.acker = newAcker(ch)
	l.intake = &intake{
		ch: ch, queue: p.queue, prefix: "mageline." + p.consumer.Name + ".", limit: p.consumer.Limits.Prefetch,
		budget: &p.budget, accept: l.accept,
	}
	l.acker.granted, l.acker.over, l.acker.settled = l.intake.prefetch, l.over, l.acknowledged
	l.acker.idle = func() bool { return dry(l.dispatcher.backlog(), int(l.open.Load()), l.intake.prefetch()) }
	if b := p.consumer.Batch; b != nil {
		l.intake.step = b.Size
		d := newGathering(l)
		l.dispatcher, l.intake.enough = d, func() int { return int(d.enough.Load()) }
	} else {
		l.dispatcher = &oneByOne{slots: p.slots, work: l.work, over: l.over, spawn: p.r.handlers.Go}
	}
	l.prober = &prober{l: l}
	return l
}

// dry reports whether nothing waits to be begun and the broker sends nothing more before something is settled. The prefetch may
// be used up by what was handled and waits for its acknowledgement.
func dry(backlog, open, prefetch int) bool { return backlog == 0 && open >= prefetch }

// work handles m and settles it.
func (l *link) work(m *message) (hasSlot bool) {
	res, hasSlot := l.handle(m)
	l.conclude(m, res)
	return hasSlot
}

// serve serves the consumer on a channel of its own until this or the session ends, or until a drain is complete; then it
// returns nil.
func (p *runner) serve(s *session) error {
	ch, err := s.consume.Channel()
	if err != nil {
		return fmt.Errorf("open a channel for %s: %w", p.queue, err)
	}
	l := newLink(p, s, ch)
	p.running.Store(true)
	defer p.running.Store(false)
	defer l.leave()
	return l.run()
}

// run returns the error that has ended the channel, or nil when the session has ended or a drain is complete.
func (l *link) run() error {
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
		if l.r.draining.Load() && l.intake.prefetch() == 0 {
			l.endWaits()
			if l.open.Load() == 0 {
				return nil
			}
		}
		if err := l.intake.grow(); err != nil {
			return err
		}
		l.dispatcher.begin()
		select {
		case <-changed:
		case <-ticker.C:
		case <-l.look:
		case <-l.slots.freed:
		case <-l.acker.late.C:
			l.acker.flushLate()
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

// over reports whether what came on the channel can't be settled any more.
func (l *link) over() bool { return l.gone.Load() || l.s.over() }

func asError(err *amqp.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// endWaits has the handlings end that wait for others. It is called from the goroutine of run.
func (l *link) endWaits() {
	select {
	case <-l.ending:
	default:
		close(l.ending)
	}
}

// leave ends what the link has begun: the channel is closed, and with it end the subscriptions and everything not settled.
func (l *link) leave() {
	l.gone.Store(true)
	l.endWaits()
	l.dispatcher.stop()
	l.acker.close() // of a channel that has ended: what has gathered is stale
	l.full.Store(false)
	l.subscribed.Store(false)
	l.metrics.paused.Set(1)
	_ = l.ch.Close() // the session may have ended
	l.prober.close()
	l.intake.wait()
	for _, m := range l.dispatcher.drain() {
		l.budget.drop(1, int64(len(m.Body)))
	}
}

// obeyGate subscribes, unsubscribes or probes, as the gate says.
func (l *link) obeyGate(changed <-chan struct{}) error {
	st := l.r.gate.standing(l.consumer)
	if !st.paused {
		l.pausedSince.Store(0)
	} else {
		l.pausedSince.CompareAndSwap(0, time.Now().UnixNano())
	}
	subscribed := l.intake.prefetch() > 0
	switch {
	case st.paused && (subscribed || l.shrunk):
		l.shrunk = false
		l.r.opts.Log.Warn().Str("event", "consumer_paused").Str("consumer", l.consumer.Name).Str("reason", st.reason).Msg("paused")
		return l.unsubscribe()
	case st.paused && st.probe:
		return l.prober.probe(st, changed)
	case !st.paused && subscribed && l.budget.exceeded():
		l.r.opts.Log.Info().Str("event", "memory_limit_reached").Str("consumer", l.consumer.Name).
			Msg("bodies have become so large that they are more than its share of the memory limit: what has not begun is requeued")
		l.nudge()
		return l.unsubscribe()
	case !st.paused && subscribed && l.intake.excessive():
		// What it has stays, and nothing is requeued: a requeued message is one that may have killed a process.
		l.r.opts.Log.Info().Str("event", "prefetch_lowered").Str("consumer", l.consumer.Name).Int("prefetch", l.intake.most()).
			Msg("messages have more entries than before: fewer of them are held at once")
		l.shrunk = true
		l.nudge()
		return l.intake.unsubscribe()
	case !st.paused && !subscribed:
		full := l.budget.full() || int(l.open.Load()) >= l.intake.most()
		l.full.Store(full)
		if full {
			return nil // each settlement looks again
		}
		l.shrunk = false
		return l.subscribe()
	}
	return nil
}

// subscribe begins with a prefetch of 1, after a start, a pause or a new session.
func (l *link) subscribe() error {
	if err := l.intake.subscribe(1); err != nil {
		return l.r.topology.Explain(err, rabbitmq.ToConsume)
	}
	l.subscribed.Store(true)
	l.trouble.Store(nil)
	l.gaugeRefused()
	l.metrics.paused.Set(0)
	l.r.opts.Log.Info().Str("event", "consumer_subscribed").Str("consumer", l.consumer.Name).Str("queue", l.queue).Msg("subscribed")
	return nil
}

// unsubscribe cancels the subscriptions and requeues the backlog, lowest tag first so that the queue keeps its order. Nothing is
// requeued while a subscription is there: it would return at once, thousands of times a second.
func (l *link) unsubscribe() error {
	l.dispatcher.stop()
	if err := l.intake.unsubscribe(); err != nil {
		return err
	}
	l.subscribed.Store(false)
	l.metrics.paused.Set(1)
	backlog := l.dispatcher.drain()
	slices.SortFunc(backlog, func(a, b *message) int { return cmp.Compare(a.DeliveryTag, b.DeliveryTag) })
	for _, m := range backlog {
		if err := l.acker.nack(m.DeliveryTag, true); err != nil {
			return fmt.Errorf("requeue a delivery of queue %s: %w", l.queue, err)
		}
		l.settled(m, outcomeRequeued)
	}
	return nil
}

// accept takes a delivery of s into the backlog.
func (l *link) accept(d amqp.Delivery, s *subscription) {
	m := newMessage(d, l.consumer)
	m.from = s
	s.unsettled.Add(1)
	l.open.Add(1)
	l.budget.take(m.Body)
	l.dispatcher.add(m)
	if l.budget.exceeded() {
		l.nudge()
	}
}

// nudge has run look.
func (l *link) nudge() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}

// end ends the link; the first cause stays.
func (l *link) end(cause error) {
	select {
	case l.fail <- cause:
	default:
	}
}
