package consumer

import (
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/rabbitmq"
)

// A probe is one message that shows whether what pauses a consumer is over. It is fetched on a channel of its own, so that
// what the broker refuses there ends nothing else.

const (
	// singlePatience is how long a probe of a queue with a single active consumer waits for a message. Where another
	// replica is the active one, none comes; and no other consumer can probe the circuit meanwhile.
	singlePatience = time.Second
	// singlePause is between two of them.
	singlePause = 2 * time.Second
)

// probe takes one message, to see whether what pauses the consumer is over. changed tells that the gate has changed.
func (l *line) probe(st standing, changed <-chan struct{}) error {
	l.mu.Lock()
	probing := l.probing
	l.mu.Unlock()
	if probing || time.Now().Before(l.nextProbe) {
		return nil
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return nil
	}
	var probes []circuit.Probe
	giveUp := func() {
		for _, p := range probes {
			p.End()
		}
		<-l.slots
	}
	for _, b := range st.halfOpen {
		probe, ok := b.Probe()
		if !ok { // another consumer is at it
			giveUp()
			return nil
		}
		probes = append(probes, probe)
	}
	got, on, err := l.fetch(changed)
	if err != nil {
		giveUp()
		return fmt.Errorf("take a message from queue %s: %w", l.queue, l.r.topology.Explain(err, rabbitmq.ToConsume))
	}
	if on == nil {
		giveUp()
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.open(got, nil)
	d.probes, d.isProbe = probes, true
	d.probedOn, d.probedAlone = on, on != l.probes
	l.probing = true
	l.start(d)
	return nil
}

// fetch takes one message from the queue and gives the channel on which it is to be settled; nil if there is none.
func (l *line) fetch(changed <-chan struct{}) (got amqp.Delivery, on *amqp.Channel, err error) {
	if l.single.Load() {
		return l.fetchSingle(changed)
	}
	if l.probes == nil || l.probes.IsClosed() {
		if l.probes, err = l.s.consume.Channel(); err != nil {
			return got, nil, err
		}
	}
	got, ok, err := l.probes.Get(l.queue, false)
	switch {
	case rabbitmq.IsLocked(err):
		l.single.Store(true) // if it belongs to another connection alone, a subscription is refused too
		return got, nil, nil
	case err != nil:
		return got, nil, err
	case !ok:
		l.nextProbe = time.Now().Add(tick)
		return got, nil, nil
	}
	return got, l.probes, nil
}

// fetchSingle does so by a subscription with a prefetch of 1, which has ended when it returns.
func (l *line) fetchSingle(changed <-chan struct{}) (got amqp.Delivery, on *amqp.Channel, err error) {
	ch, err := l.s.consume.Channel()
	if err != nil {
		return got, nil, err
	}
	defer func() {
		if on == nil {
			_ = ch.Close() // with it goes what may have come too late
			l.nextProbe = time.Now().Add(singlePause)
		}
	}()
	if err := ch.Qos(1, 0, false); err != nil {
		return got, nil, err
	}
	l.made++
	tag := "mageline." + l.consumer.Name + "." + strconv.Itoa(l.made)
	in, err := ch.Consume(l.queue, tag, false, false, false, false, nil)
	if err != nil {
		return got, nil, err
	}
	got, ok := l.await(in, changed)
	if err := ch.Cancel(tag, false); err != nil {
		return got, nil, err
	}
	if !ok {
		got, ok = <-in // closed, after what the broker has sent by then
	}
	if !ok {
		return got, nil, nil
	}
	if st := l.r.gate.standing(l.consumer); st.paused && !st.probe { // it drains, or an operator has paused it
		return got, nil, ch.Nack(got.DeliveryTag, false, true)
	}
	return got, ch, nil
}

// await waits for a delivery as long as it is wanted.
func (l *line) await(in <-chan amqp.Delivery, changed <-chan struct{}) (got amqp.Delivery, ok bool) {
	late := time.NewTimer(singlePatience)
	defer late.Stop()
	for {
		select {
		case got, ok = <-in:
			return got, ok
		case <-changed:
			l.nudge() // run looks too
			if !l.r.gate.standing(l.consumer).probe {
				return got, false
			}
		case <-late.C:
			return got, false
		case <-l.s.ended:
			return got, false
		}
	}
}

// settleProbe notes that a probe was settled on its channel; err says that it was not. It is called with mu held.
func (l *line) settleProbe(d *delivery, err error) {
	if err != nil { // the channel or the session has ended: it is delivered again
		l.count(nil, -1)
		l.inFlight--
		l.stale(d)
		l.nudge()
		return
	}
	l.off(d)
	l.metrics.outcomes[d.counted()].Inc()
	l.leaveProbe(d)
	l.nudge()
}

// leaveProbe closes the channel of a probe that has it alone.
func (l *line) leaveProbe(d *delivery) {
	if d.probedAlone {
		l.r.handlers.Go(func() { _ = d.probedOn.Close() }) // which waits for the broker, or for the end of the session
	}
}
