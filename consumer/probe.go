package consumer

import (
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/rabbitmq"
)

const (
	// singlePatience is how long a probe of a queue with a single active consumer waits for a message. Where another
	// replica is the active one, none comes; and no other consumer can probe the circuit meanwhile.
	singlePatience = time.Second
	// singlePause is between two of them.
	singlePause = 2 * time.Second
)

// prober fetches, for a paused consumer, the one message that shows whether what pauses it is over. It fetches on a channel of
// its own, so that what the broker refuses there ends nothing else. Its methods without a comment on it are those of the
// goroutine of link.run.
type prober struct {
	l       *link
	channel *amqp.Channel // on which probes are fetched; nil until there is one
	next    time.Time     // before which there is no probe
	probing atomic.Bool   // a probe is handled
}

// probe has one message handled, if there is one, it is time for it, and a slot and all permits can be had. changed tells that
// the gate has changed.
func (p *prober) probe(st standing, changed <-chan struct{}) error {
	l := p.l
	if p.probing.Load() || time.Now().Before(p.next) || !l.slots.take() {
		return nil
	}
	var permits []circuit.Probe
	giveUp := func() {
		for _, permit := range permits {
			permit.End()
		}
		l.slots.release()
	}
	for _, b := range st.halfOpen {
		permit, ok := b.Probe()
		if !ok { // another consumer has it
			giveUp()
			return nil
		}
		permits = append(permits, permit)
	}
	got, on, err := p.fetch(changed)
	if err != nil {
		giveUp()
		return fmt.Errorf("take a message from queue %s: %w", l.queue, l.r.topology.Explain(err, rabbitmq.ToConsume))
	}
	if on == nil {
		giveUp()
		return nil
	}
	m := newMessage(got, l.consumer)
	m.probe = &probe{permits: permits, on: on, alone: on != p.channel}
	l.budget.take(m.Body)
	l.intake.fetch(1)
	l.open.Add(1)
	p.probing.Store(true)
	l.dispatcher.probe(m)
	return nil
}

// ended notes that the handling of the probe has ended. It may be called from any goroutine.
func (p *prober) ended() { p.probing.Store(false) }

// fetch takes one message from the queue. It returns the channel on which it is to be settled; nil if there is no message.
func (p *prober) fetch(changed <-chan struct{}) (got amqp.Delivery, on *amqp.Channel, err error) {
	if p.l.single.Load() {
		return p.fetchSingle(changed)
	}
	if p.channel == nil || p.channel.IsClosed() {
		if p.channel, err = p.l.s.consume.Channel(); err != nil {
			return got, nil, err
		}
	}
	got, ok, err := p.channel.Get(p.l.queue, false)
	switch {
	case rabbitmq.IsLocked(err):
		p.l.single.Store(true) // if it belongs to another connection alone, a subscription is refused too
		return got, nil, nil
	case err != nil:
		return got, nil, err
	case !ok:
		p.next = time.Now().Add(tick)
		return got, nil, nil
	}
	return got, p.channel, nil
}

// fetchSingle does so by a subscription with a prefetch of 1, which has ended when it returns.
func (p *prober) fetchSingle(changed <-chan struct{}) (got amqp.Delivery, on *amqp.Channel, err error) {
	ch, err := p.l.s.consume.Channel()
	if err != nil {
		return got, nil, err
	}
	defer func() {
		if on == nil {
			_ = ch.Close() // with it goes what may have come too late
			p.next = time.Now().Add(singlePause)
		}
	}()
	if err := ch.Qos(1, 0, false); err != nil {
		return got, nil, err
	}
	tag := p.l.intake.nextTag()
	in, err := ch.Consume(p.l.queue, tag, false, false, false, false, nil)
	if err != nil {
		return got, nil, err
	}
	got, ok := p.await(in, changed)
	if err := ch.Cancel(tag, false); err != nil {
		return got, nil, err
	}
	if !ok {
		got, ok = <-in // closed, after what the broker has sent by then
	}
	if !ok {
		return got, nil, nil
	}
	if st := p.l.r.gate.standing(p.l.consumer); st.paused && !st.probe { // it drains, or an operator has paused it
		return got, nil, ch.Nack(got.DeliveryTag, false, true)
	}
	return got, ch, nil
}

// await waits for a delivery as long as it is wanted.
func (p *prober) await(in <-chan amqp.Delivery, changed <-chan struct{}) (got amqp.Delivery, ok bool) {
	late := time.NewTimer(singlePatience)
	defer late.Stop()
	for {
		select {
		case got, ok = <-in:
			return got, ok
		case <-changed:
			p.l.nudge() // run looks too
			if !p.l.r.gate.standing(p.l.consumer).probe {
				return got, false
			}
		case <-late.C:
			return got, false
		case <-p.l.s.ended:
			return got, false
		}
	}
}

// close closes the channel of probes.
func (p *prober) close() {
	if p.channel != nil {
		_ = p.channel.Close() // the session may have ended
	}
}

// leave closes the channel of a probe that has it alone. It may be called from any goroutine.
func (p *prober) leave(m *message) {
	if m.probe != nil && m.probe.alone {
		p.l.r.handlers.Go(func() { _ = m.probe.on.Close() }) // which waits for the broker, or for the end of the session
	}
}

// probeSettled counts that a probe was settled on its channel; err is why it was not.
func (l *link) probeSettled(m *message, outcome string, err error) {
	if err != nil { // the channel or the session has ended: it is delivered again
		l.intake.fetch(-1)
		l.open.Add(-1)
		l.stale(m)
	} else {
		l.settled(m, outcome)
		l.prober.leave(m)
	}
	l.nudge()
}
