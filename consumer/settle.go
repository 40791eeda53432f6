package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mageline/mageline/event"
)

// conclude does what was decided of d.
func (l *line) conclude(d *delivery) {
	if d.isProbe {
		l.mu.Lock()
		l.probing = false
		l.mu.Unlock()
		defer l.nudge()
	}
	if d.verdict.postgresAway {
		l.r.postgresAway(d.err)
	}
	l.noteCredential(d)
	l.noteSuspect(d)
	switch d.verdict.action {
	case acknowledge:
		l.settle(d)
		return
	case giveBack:
		l.giveBack(d)
		return
	case putOff:
		// A probe that failed goes behind the others, so that the next probe is another message.
		if d.verdict.held && !d.isProbe && l.giveBack(d) {
			return
		}
	case retry, deadLetter:
	}
	l.r.handlers.Go(func() { // the slot is free for others while the broker confirms
		switch {
		case !l.publish(d):
			l.stale(d)
		case d.reject:
			l.reject(d)
		case d.nack:
			l.giveBack(d)
		default:
			if d.verdict.action == deadLetter {
				l.tell(d)
			}
			l.settle(d)
		}
	})
}

// tell says which events of a message that was dead-lettered have failed.
func (l *line) tell(d *delivery) {
	if len(d.failed) == 0 {
		return
	}
	log := l.r.opts.Log.Hook(d)
	for _, f := range d.failed {
		l.consumer.DeadLettered(log.WithContext(l.r.work), f.event, f.err)
	}
}

// noteCredential pauses the consumer whose credential was refused, and lets it go on when one of its messages passed.
func (l *line) noteCredential(d *delivery) {
	name := l.unauthorized
	if d.verdict.unauthorized {
		l.r.gate.hold(name, hold{
			consumer: l.consumer.Name,
			needs:    l.consumer.Needs,
			text:     d.err.Error(),
			probeAt:  time.Now().Add(l.r.opts.ProbeEvery),
		})
		return
	}
	// Only what was done shows that the credential is good: a message that can't be read, or that another downstream
	// refuses, shows nothing. While it is not known, messages are tried one at a time.
	if d.err == nil && d.outcome == event.Done {
		if _, had := l.r.gate.release(name); had {
			l.r.opts.Log.Info().Str("event", "credential_accepted").Str("consumer", l.consumer.Name).Msg("the credential is accepted again")
		}
	}
}

// ackPatience is how long an acknowledgement may wait for others, to go as one with them. What waits when the process dies
// is delivered again, and found done.
const ackPatience = 2 * time.Millisecond

// behindPatience is how long one may wait that lies behind an open delivery, to go as one with it after all. By itself each
// costs the broker and this process as much as all of a flush together.
const behindPatience = 20 * time.Millisecond

// enough is how many acknowledgements go at once. It leaves the broker most of the prefetch to go on with. mu is held.
func (l *line) enough() int { return max(1, min(64, l.granted/4)) }

// settle has d acknowledged.
func (l *line) settle(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.isProbe {
		l.settleProbe(d, d.probedOn.Ack(d.DeliveryTag, false))
		return
	}
	l.gathered = append(l.gathered, d)
	switch {
	case len(l.gathered) >= l.enough() || l.over():
		l.flush(false)
	case len(l.gathered) == 1 && len(l.behind) == 0:
		l.ackLate.Reset(ackPatience)
	}
}

// acknowledgeLate is called when something has waited for long enough.
func (l *line) acknowledgeLate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush(l.dry())
}

// dry reports whether nothing waits to be begun and the broker sends nothing more before something is settled. It is called
// with mu held.
func (l *line) dry() bool { return len(l.waiting) == 0 && l.inFlight >= l.granted }

// flush acknowledges what has gathered. What lies behind a delivery that is still open can't go with the others: some of it
// waits for the next flush, unless all is to go. While somebody is at it already, that one goes on with what has gathered if
// it is enough, or stale; else it waits anew. It is called with mu held, and lets go of it meanwhile.
func (l *line) flush(all bool) {
	if l.acking || len(l.gathered)+len(l.behind) == 0 {
		return
	}
	l.acking = true
	for again := true; again; again = len(l.gathered) >= l.enough() || len(l.gathered)+len(l.behind) > 0 && l.over() {
		batch := append(l.behind, l.gathered...)
		l.behind, l.gathered = nil, nil
		for _, d := range batch {
			l.tags.settled(d.DeliveryTag)
		}
		slices.SortFunc(batch, func(a, b *delivery) int { return cmp.Compare(a.DeliveryTag, b.DeliveryTag) })
		n, _ := slices.BinarySearchFunc(batch, l.tags.first, func(d *delivery, first uint64) int { return cmp.Compare(d.DeliveryTag, first) })
		together, alone := batch[:n], batch[n:]
		if !all && len(alone) <= l.granted/2 && !l.over() {
			alone, l.behind = overdue(alone)
			batch = batch[:n+len(alone)]
		}
		err := l.acknowledge(together, alone)
		for _, d := range batch {
			if err != nil {
				l.stale(d)
				continue
			}
			l.off(d)
			l.metrics.outcomes[d.counted()].Inc()
		}
		if err != nil {
			l.end(err)
		}
	}
	l.acking = false
	if len(l.gathered)+len(l.behind) > 0 {
		l.ackLate.Reset(ackPatience)
	}
	if l.granted == 0 || l.room() > 0 || l.scattered() {
		l.nudge()
	}
}

// overdue gives those that have waited behind an open delivery for long enough, in place, and the others in an array of
// their own: the first keeps the bodies of those that go now.
func overdue(alone []*delivery) (late, behind []*delivery) {
	now := time.Now()
	late = alone[:0]
	for _, d := range alone {
		if d.behind.IsZero() {
			d.behind = now
		}
		if now.Sub(d.behind) >= behindPatience {
			late = append(late, d)
		} else {
			behind = append(behind, d)
		}
	}
	return late, behind
}

// acknowledge writes acknowledgements: one for all that lie together below every open delivery, in order, and one for each
// of the others. It is called with mu held, and lets go of it meanwhile.
func (l *line) acknowledge(together, alone []*delivery) error {
	if l.over() {
		return errSessionOver
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	var err error
	if n := len(together); n > 0 {
		err = l.ch.Ack(together[n-1].DeliveryTag, n > 1)
	}
	for _, d := range alone {
		if err == nil {
			err = l.ch.Ack(d.DeliveryTag, false)
		}
	}
	if err != nil {
		return fmt.Errorf("acknowledge deliveries of queue %s: %w", l.queue, err)
	}
	return nil
}

var errSessionOver = errors.New("the session has ended")

// giveBack gives d back to its queue, which can only be done while nothing is subscribed; it reports whether d is off our
// hands.
func (l *line) giveBack(d *delivery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over():
		l.stale(d)
		return true
	case d.isProbe && (l.granted == 0 || l.r.work.Err() != nil):
		d.nack = true
		l.settleProbe(d, d.probedOn.Nack(d.DeliveryTag, false, true))
		return true
	case l.granted > 0 && l.r.work.Err() != nil: // cut before it was unsubscribed, which gives back what has not begun
		l.closed = true
		l.waiting = append(l.waiting, d)
		l.inFlight--
		return true
	case l.granted > 0:
		return false
	}
	d.nack = true
	l.nack(d, true)
	return true
}

// reject has the broker dead-letter d by itself.
func (l *line) reject(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over():
		l.stale(d)
	case d.isProbe:
		l.settleProbe(d, d.probedOn.Nack(d.DeliveryTag, false, false))
	default:
		l.nack(d, false)
	}
}

// nack is called with mu held.
func (l *line) nack(d *delivery, requeue bool) {
	outcome := outcomeDeadLettered
	if requeue {
		outcome = outcomeRequeued
	}
	if err := l.ch.Nack(d.DeliveryTag, false, requeue); err != nil {
		l.stale(d)
		l.end(fmt.Errorf("nack a delivery of queue %s: %w", l.queue, err))
		return
	}
	l.tags.settled(d.DeliveryTag)
	l.off(d)
	l.metrics.outcomes[outcome].Inc()
	l.nudge()
}

// off notes that d is settled. It is called with mu held.
func (l *line) off(d *delivery) {
	l.memory.drop(d.Body)
	l.count(d.subscription, -1)
	l.inFlight--
	l.settled++
}

// nudge has the goroutine of run look.
func (l *line) nudge() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}

// end ends the line; the first cause stays.
func (l *line) end(cause error) {
	select {
	case l.fail <- cause:
	default:
	}
}

// stale says of d that it was handled and can't be settled any more.
func (l *line) stale(d *delivery) {
	l.memory.drop(d.Body)
	l.leaveProbe(d)
	l.r.metrics.stale.Inc()
	l.r.opts.Log.Warn().Str("event", "settlement_stale").Str("consumer", l.consumer.Name).Str("id", d.id()).
		Msg("handled, but its connection or channel has ended: it will be delivered again, and found done")
}
