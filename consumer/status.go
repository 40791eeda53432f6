package consumer

import (
	"strings"
	"time"
)

// Status is what the runtime knows of itself and of what it needs, for /readyz.
type Status struct {
	Draining    bool
	RabbitMQ    Part
	Postgres    Part
	Downstreams map[string]Part
	Consumers   map[string]Part
}

// Part is the state of one thing and its reason.
type Part struct {
	OK     bool
	State  string
	Reason string
	Until  time.Time // of an open circuit, if known
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
		Consumers:   map[string]Part{},
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
	if text, held := r.gate.held(holdPostgres); held {
		s.Postgres = Part{State: "away", Reason: text}
	}
	for _, c := range r.opts.Circuits {
		state, reason, until := c.State()
		part := Part{OK: state == "closed", State: state, Reason: reason, Until: until}
		if text, paused := r.gate.held(holdOperator + c.Name()); paused && part.OK {
			part = Part{State: "paused", Reason: text}
		}
		s.Downstreams[c.Name()] = part
	}
	for _, p := range r.pumps {
		standing, why := r.gate.standing(p.consumer), p.trouble.Load()
		part := Part{State: "starting", Reason: "not subscribed yet"}
		switch {
		case standing.paused:
			part = Part{OK: true, State: "paused", Reason: standing.reason}
			if why != nil { // a probe may be what the broker refuses
				part.Reason += "; " + *why
			}
		case p.subscribed.Load():
			part = Part{OK: true, State: "subscribed"}
		case p.full.Load():
			part = Part{OK: true, State: "paused", Reason: "what it handles from before a pause leaves no room for more (PREFETCH, MEMORY_LIMIT)"}
		case why != nil:
			part = Part{State: "refused", Reason: *why}
		}
		if names := r.hung.of(p); names != "" {
			part.Reason = strings.TrimPrefix(part.Reason+"; "+names, "; ")
		}
		s.Consumers[p.consumer.Name] = part
	}
	return s
}
