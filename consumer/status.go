package consumer

import (
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/consumer/circuit"
)

// Status is what the runtime knows of itself and of what it needs, for /readyz.
type Status struct {
	Draining    bool
	RabbitMQ    Part
	Postgres    Part
	Downstreams map[string]Part // those that a consumer needs
	Consumers   map[string]QueuePart
}

// Part is the state of one thing and its reason.
type Part struct {
	OK     bool
	State  string
	Reason string
	Until  time.Time // of an open circuit, if known
	Since  time.Time // of a pause
}

// QueuePart is the state of a consumer and of its queues, whose messages were counted in the last few seconds.
type QueuePart struct {
	Part
	Messages        int       // ready in its queue
	Emptied         time.Time // when its queue was last seen empty, by this process; zero if it was not
	DeadLetters     int
	DeadLetterQueue string
}

// Ready reports whether /readyz answers 200: RabbitMQ and Postgres can be reached and every consumer is subscribed, or
// paused for a reason that is named.
func (s Status) Ready() bool {
	if s.Draining || !s.RabbitMQ.OK || !s.Postgres.OK {
		return false
	}
	for _, c := range s.Consumers {
		if !c.OK {
			return false
		}
	}
	return true
}

// Status tells how things stand now.
func (r *Runtime) Status() Status {
	s := Status{
		Draining:    r.draining.Load(),
		RabbitMQ:    Part{OK: true, State: "connected"},
		Postgres:    Part{OK: true, State: "connected"},
		Downstreams: map[string]Part{},
		Consumers:   map[string]QueuePart{},
	}
	if why := r.broker.Load(); why != nil {
		s.RabbitMQ = Part{State: "away", Reason: *why}
	} else if session := r.session.Load(); session != nil {
		if reason, blocked := session.publish.Blocked(); blocked {
			s.RabbitMQ = Part{
				OK: true, State: "blocked",
				Reason: "the broker reads nothing that is published (" + reason + "): retries and dead letters wait; free its memory or disk",
			}
		}
	}
	if why := r.trouble.Load(); why != nil && s.RabbitMQ.State == "connected" {
		s.RabbitMQ.Reason = *why
	}
	if text, held := r.gate.has(causePostgres); held {
		s.Postgres = Part{State: "away", Reason: text}
	}
	for _, c := range r.opts.Circuits {
		if !r.isNeeded(c) {
			continue
		}
		status := c.Status()
		part := Part{OK: status.State == circuit.Closed, State: status.State.String(), Reason: status.Reason, Until: status.Until}
		if text, paused := r.gate.has(causeOperator + c.Name()); paused && part.OK {
			part = Part{State: "paused", Reason: text}
		}
		s.Downstreams[c.Name()] = part
	}
	for _, p := range r.runners {
		standing, why := r.gate.standing(p.consumer), p.trouble.Load()
		part := Part{State: "starting", Reason: "not subscribed yet"}
		switch {
		case standing.paused:
			part = Part{OK: true, State: "paused", Reason: standing.reason, Since: time.Now()}
			if at := p.pausedSince.Load(); at != 0 {
				part.Since = time.Unix(0, at)
			}
			if why != nil { // a probe may be what the broker refuses
				part.Reason += "; " + *why
			}
		case p.subscribed.Load():
			part = Part{OK: true, State: "subscribed"}
		case p.full.Load():
			part = Part{OK: true, State: "paused", Reason: "what it handles from before a pause leaves no room for more (its prefetch, the memory limit)"}
		case why != nil:
			part = Part{State: "refused", Reason: *why}
		}
		if lack := p.lack.Load(); lack != nil && part.OK {
			part.Reason = strings.TrimPrefix(part.Reason+"; "+*lack, "; ")
		}
		if names := r.hung.of(p); names != "" {
			part.Reason = strings.TrimPrefix(part.Reason+"; "+names, "; ")
		}
		queue := QueuePart{
			Part: part, Messages: int(p.messages.Load()), DeadLetters: int(p.deadLetters.Load()),
			DeadLetterQueue: r.topology.DeadLetterQueue(p.consumer.Name),
		}
		if at := p.emptied.Load(); at != 0 {
			queue.Emptied = time.Unix(0, at)
		}
		s.Consumers[p.consumer.Name] = queue
	}
	return s
}

// isNeeded reports whether a consumer needs the downstream.
func (r *Runtime) isNeeded(c circuit.Breaker) bool {
	return slices.ContainsFunc(r.runners, func(p *runner) bool { return slices.Contains(p.consumer.Needs, c.Name()) })
}
