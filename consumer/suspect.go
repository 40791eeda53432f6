package consumer

import (
	"context"
	"fmt"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// A message that kills the process that handles it is delivered again, and again, together with its neighbours. Who has
// done it shows when each of them is handled with nothing else in flight.

// attempt has d handled, beside others, or alone if a process has died over it. It is called with together held for
// reading, and lets go of it.
func (l *line) attempt(ctx context.Context, d *delivery) (event.Outcome, error) {
	if d.Redelivered || d.has(rabbitmq.HeaderEntered) {
		if err := l.enter(ctx, d); err != nil {
			l.r.together.RUnlock()
			return "", err
		}
	}
	if !d.suspect {
		defer l.r.together.RUnlock()
		return l.handleEvents(ctx, d)
	}
	l.r.together.RUnlock()
	return l.alone(ctx, d)
}

// enter notes, before anything else is done with d, that this process has it.
func (l *line) enter(ctx context.Context, d *delivery) error {
	if l.r.opts.Suspects == nil {
		return nil
	}
	d.entered = true
	suspect, deaths, err := l.r.opts.Suspects.Enter(ctx, l.consumer.Name, d.id())
	if err != nil {
		return err
	}
	d.suspect, d.deaths = suspect, deaths
	if deaths >= maxDeaths {
		return event.Errorf(event.Internal, "%d processes have ended in the midst of handling this message with nothing else in "+
			"flight: see the last lines that they logged, and whether they ran out of memory", deaths)
	}
	return nil
}

// takeOver is called when d's handling finds a claim whose owner is gone: d may do to this process what was done to that.
func (l *line) takeOver(ctx context.Context, d *delivery) error {
	if d.entered {
		return nil
	}
	if err := l.enter(ctx, d); err != nil {
		return err
	}
	if d.suspect {
		return &event.Deferral{Reason: "a process has died over this message: it is to be handled alone"}
	}
	return nil
}

// alone has a suspect handled with nothing else in flight in the process.
func (l *line) alone(ctx context.Context, d *delivery) (event.Outcome, error) {
	resume := event.Wait(ctx) // for the others, which is no fault of this one
	l.r.together.Lock()
	defer l.r.together.Unlock()
	if err := resume(ctx); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := l.r.opts.Suspects.Alone(ctx, l.consumer.Name, d.id()); err != nil {
		return "", fmt.Errorf("note that message %s is handled alone: %w", d.id(), err)
	}
	l.r.opts.Log.Warn().Str("event", "suspect_handled_alone").Str("consumer", l.consumer.Name).Str("id", d.id()).Int("deaths", d.deaths).
		Msg("a process has died over this message: it is handled with nothing else in flight")
	return l.handleEvents(ctx, d)
}

// noteSuspect strikes d out once its handling has ended in any way but by being put off.
func (l *line) noteSuspect(d *delivery) {
	if !d.entered {
		return
	}
	var err error
	switch {
	case d.verdict.action != putOff:
		err = l.r.opts.Suspects.Strike(l.r.work, l.consumer.Name, d.id())
	default:
		err = l.r.opts.Suspects.PutOff(l.r.work, l.consumer.Name, d.id())
	}
	if err != nil {
		l.r.opts.Log.Warn().Str("event", "suspect_not_recorded").Err(err).Str("consumer", l.consumer.Name).Str("id", d.id()).
			Msg("could not note that the process has outlived a message: when it ends, the message is taken to have ended it")
	}
}
