package consumer

import (
	"context"
	"fmt"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// A message that kills the process that handles it is delivered again, and again, together with its neighbours. Who has
// done it shows when each of them is handled with nothing else in flight.

// attempt has the message handled, beside others, or alone if a process has died over it. It is called with together held for
// reading, and releases it.
func (h *handling) attempt(ctx context.Context) (event.Outcome, error) {
	together := &h.l.r.together
	if h.mayHaveKilled() {
		if err := h.enter(ctx); err != nil {
			together.RUnlock()
			return "", err
		}
	}
	if !h.res.suspect {
		defer h.unlock()
		return h.handleEvents(ctx)
	}
	together.RUnlock()
	return h.alone(ctx, h.handleEvents)
}

// mayHaveKilled reports whether the message was delivered before.
func (h *handling) mayHaveKilled() bool { return h.m.Redelivered || h.m.has(rabbitmq.HeaderSuspect) }

// enter notes, before anything else is done with the message, that this process has it.
func (h *handling) enter(ctx context.Context) error {
	suspects := h.l.r.opts.Suspects
	if suspects == nil {
		return nil
	}
	h.res.entered = true
	suspect, deaths, err := suspects.Enter(ctx, h.m.consumer, h.m.id())
	if err != nil {
		return err
	}
	h.res.suspect, h.res.deaths = suspect, deaths
	if deaths >= maxDeaths {
		return event.Errorf(event.Internal, "%d processes have ended in the midst of handling this message with nothing else in "+
			"flight: see the last lines that they logged, and whether they ran out of memory", deaths)
	}
	return nil
}

// takeOver is called when the handling finds a claim whose owner is gone: the message may do to this process what was done to
// that.
func (h *handling) takeOver(ctx context.Context) error {
	if h.res.entered {
		return nil
	}
	if err := h.enter(ctx); err != nil {
		return err
	}
	if h.res.suspect {
		return &event.Deferral{Reason: "a process has died over this message: it is to be handled alone"}
	}
	return nil
}

// alone has a suspect handled with nothing else in flight in the process.
func (h *handling) alone(ctx context.Context, handle func(context.Context) (event.Outcome, error)) (event.Outcome, error) {
	resume := event.Wait(ctx) // for the others, which is no fault of this one
	h.l.r.together.Lock()
	defer h.l.r.together.Unlock()
	if err := resume(ctx); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := h.l.r.opts.Suspects.Alone(ctx, h.m.consumer, h.m.id()); err != nil {
		return "", fmt.Errorf("note that message %s is handled alone: %w", h.m.id(), err)
	}
	h.l.r.opts.Log.Warn().Str("event", "suspect_handled_alone").Str("consumer", h.m.consumer).Str("id", h.m.id()).Int("deaths", h.res.deaths).
		Msg("a process has died over this message: it is handled with nothing else in flight")
	return handle(ctx)
}

// noteSuspect strikes m out once its handling has ended in any way but a deferral.
func (l *link) noteSuspect(m *message, res *result) {
	if !res.entered {
		return
	}
	var err error
	if res.verdict.action == postpone {
		err = l.r.opts.Suspects.Defer(l.r.work, m.consumer, m.id())
	} else {
		err = l.r.opts.Suspects.Strike(l.r.work, m.consumer, m.id())
	}
	if err != nil {
		l.r.opts.Log.Warn().Str("event", "suspect_not_recorded").Err(err).Str("consumer", m.consumer).Str("id", m.id()).
			Msg("could not note that the process has outlived a message: when it ends, the message is taken to have ended it")
	}
}
