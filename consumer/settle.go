package consumer

import (
	"fmt"
	"time"

	"github.com/mageline/mageline/event"
)

// conclude does what was decided of m, whose handling has ended with res.
func (l *link) conclude(m *message, res result) {
	if m.probe != nil {
		l.prober.ended()
		defer l.nudge()
	}
	if res.verdict.postgresAway {
		l.r.database.away(res.err)
	}
	l.noteCredential(&res)
	l.noteSuspect(m, &res)
	switch res.verdict.action {
	case acknowledge:
		l.acknowledge(m, &res)
		return
	case requeue:
		l.requeue(m)
		return
	case postpone:
		// A probe that failed goes behind the others, so that the next probe is another message.
		if res.verdict.held && m.probe == nil && l.requeue(m) {
			return
		}
	case retry, deadLetter:
	}
	l.publishAndSettle(m, res)
}

// publishAndSettle settles m once a queue has stored what it became. Its slot is free for others while the broker confirms.
func (l *link) publishAndSettle(m *message, res result) {
	l.r.handlers.Go(func() {
		switch l.publish(m, &res) {
		case sessionOver:
			l.stale(m)
		case tooLarge:
			l.reject(m)
		case cutOff:
			l.requeue(m)
		case stored:
			if res.verdict.action == deadLetter {
				l.tell(m, &res)
			}
			l.acknowledge(m, &res)
		}
	})
}

// tell says which events of a message that was dead-lettered have failed.
func (l *link) tell(m *message, res *result) {
	if len(res.failed) == 0 {
		return
	}
	log := l.r.opts.Log.Hook(m)
	for _, f := range res.failed {
		l.consumer.DeadLettered(log.WithContext(l.r.work), f.event, f.err)
	}
}

// noteCredential pauses the consumer whose credential was refused, and lets it go on when one of its messages has passed.
func (l *link) noteCredential(res *result) {
	name := l.unauthorized
	if res.verdict.unauthorized {
		l.r.gate.pause(name, cause{
			consumer: l.consumer.Name,
			needs:    l.consumer.Needs,
			text:     res.err.Error(),
			probeAt:  time.Now().Add(l.r.opts.ProbeEvery),
		})
		return
	}
	// Only what was done shows that the credential is good: a message that can't be read, or that another downstream
	// refuses, shows nothing. While it is not known, messages are tried one at a time.
	if res.err == nil && res.outcome == event.Done {
		if _, had := l.r.gate.resume(name); had {
			l.r.opts.Log.Info().Str("event", "credential_accepted").Str("consumer", l.consumer.Name).Msg("the credential is accepted again")
		}
	}
}

// acknowledge has m acknowledged.
func (l *link) acknowledge(m *message, res *result) {
	if m.probe != nil {
		l.probeSettled(m, res.counted(), m.probe.on.Ack(m.DeliveryTag, false))
		return
	}
	l.acker.ack(m, res.counted())
}

// requeue nacks m, which may only be done while nothing is subscribed: it would come back at once, thousands of times a second.
// It reports whether m is settled, or will be without anything else that its handling has to do.
func (l *link) requeue(m *message) bool {
	cut := l.r.work.Err() != nil
	if l.over() {
		l.stale(m)
		return true
	}
	if m.probe != nil {
		if l.intake.prefetch() > 0 && !cut {
			return false
		}
		l.probeSettled(m, outcomeRequeued, m.probe.on.Nack(m.DeliveryTag, false, true))
		return true
	}
	var err error
	kept, nacked := false, false
	l.intake.fixed(func(prefetch int) {
		switch {
		case prefetch == 0:
			nacked, err = true, l.acker.nack(m.DeliveryTag, true)
		case cut: // before it was unsubscribed, which requeues the backlog
			l.dispatcher.putBack(m)
			kept = true
		}
	})
	if nacked {
		l.nacked(m, outcomeRequeued, err)
	}
	return nacked || kept
}

// reject has the broker dead-letter m by itself.
func (l *link) reject(m *message) {
	switch {
	case l.over():
		l.stale(m)
	case m.probe != nil:
		l.probeSettled(m, outcomeDeadLettered, m.probe.on.Nack(m.DeliveryTag, false, false))
	default:
		l.nacked(m, outcomeDeadLettered, l.acker.nack(m.DeliveryTag, false))
	}
}

// nacked counts that m was nacked, or that it was not.
func (l *link) nacked(m *message, outcome string, err error) {
	if err != nil {
		l.stale(m)
		l.end(fmt.Errorf("nack a delivery of queue %s: %w", l.queue, err))
		return
	}
	l.settled(m, outcome)
	l.nudge()
}

// settled counts that m is settled.
func (l *link) settled(m *message, outcome string) {
	l.budget.drop(1, int64(len(m.Body)))
	if m.from != nil {
		m.from.unsettled.Add(-1)
	} else {
		l.intake.fetch(-1)
	}
	l.open.Add(-1)
	l.intake.settle(1)
	l.metrics.outcomes[outcome].Inc()
}

// acknowledged counts what the acker has settled; err is why it could not.
func (l *link) acknowledged(batch []settlement, err error) {
	if err != nil {
		for i := range batch {
			l.stale(batch[i].m)
		}
		l.end(fmt.Errorf("settle deliveries of queue %s: %w", l.queue, err))
		return
	}
	bytes := int64(0)
	for i := range batch {
		m := batch[i].m
		bytes += int64(len(m.Body))
		m.from.unsettled.Add(-1)
		l.metrics.outcomes[batch[i].outcome].Inc()
	}
	l.budget.drop(len(batch), bytes)
	l.open.Add(-int64(len(batch)))
	if l.intake.settle(len(batch)) || l.intake.prefetch() == 0 {
		l.nudge()
	}
}

// stale says of m that it was handled and can't be settled any more.
func (l *link) stale(m *message) {
	l.budget.drop(1, int64(len(m.Body)))
	l.prober.leave(m)
	l.r.metrics.stale.Inc()
	l.r.opts.Log.Warn().Str("event", "settlement_stale").Str("consumer", l.consumer.Name).Str("id", m.id()).
		Msg("handled, but its connection or channel has ended: it will be delivered again, and found done")
}
