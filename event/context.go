package event

import (
	"context"
	"errors"
	"sync/atomic"
)

// The context of a handling carries what the layers below a handler need to know of the delivery, without knowing what
// a delivery is.

type contextKey int

const (
	messageKey contextKey = iota
	probeKey
	clockKey
	takeOverKey
)

// message is one that is handled.
type message struct {
	id       func() string
	handling uint64
}

var handlings atomic.Uint64

// WithMessage names the message that is handled: its dead-letter id, the same for each delivery of it. id is called when
// somebody asks.
func WithMessage(ctx context.Context, id func() string) context.Context {
	return context.WithValue(ctx, messageKey, &message{id, handlings.Add(1)})
}

// Message gives the id that WithMessage has set, or "".
func Message(ctx context.Context) string {
	if m, ok := ctx.Value(messageKey).(*message); ok {
		return m.id()
	}
	return ""
}

// Handling gives a number that this process has for the handling of a message and for no other, or 0 where none is handled. It
// costs less than the message's id, and keeps nothing of it in memory.
func Handling(ctx context.Context) uint64 {
	if m, ok := ctx.Value(messageKey).(*message); ok {
		return m.handling
	}
	return 0
}

// WithProbe marks the handling as the probe of the named half-open circuits: its requests to them are let through.
func WithProbe(ctx context.Context, p any) context.Context {
	return context.WithValue(ctx, probeKey, p)
}

// Probe gives what WithProbe has set, or nil.
func Probe(ctx context.Context) any { return ctx.Value(probeKey) }

// Clock is told how a handling goes on, because its time limits count only the time without progress.
type Clock interface {
	// Progress says that a step is complete: time limits start anew. An error means that the work is no longer ours
	// (its lease was taken over) and must stop.
	Progress(ctx context.Context) error
	// Wait says that the handling waits for something that is no fault of its own, a rate limit; resume says that the
	// wait is over, and fails as Progress does.
	Wait() (resume func(ctx context.Context) error)
}

// clocked is a context with a clock; parent is the one further out.
type clocked struct {
	context.Context
	clock  Clock
	parent *clocked
}

func (c *clocked) Value(key any) any {
	if key == clockKey {
		return c
	}
	return c.Context.Value(key)
}

// WithClock adds a clock to those that ctx has already.
func WithClock(ctx context.Context, c Clock) context.Context {
	return &clocked{Context: ctx, clock: c, parent: clockOf(ctx)}
}

// clockOf gives the innermost clock of ctx, or nil.
func clockOf(ctx context.Context) *clocked {
	c, _ := ctx.Value(clockKey).(*clocked)
	return c
}

// Progress tells every clock of ctx that a step is complete.
func Progress(ctx context.Context) error {
	var errs []error
	for c := clockOf(ctx); c != nil; c = c.parent {
		errs = append(errs, c.clock.Progress(ctx))
	}
	return errors.Join(errs...)
}

// Wait tells every clock of ctx that a wait begins, and resume that it is over.
func Wait(ctx context.Context) (resume func(ctx context.Context) error) {
	var resumes []func(context.Context) error
	for c := clockOf(ctx); c != nil; c = c.parent {
		resumes = append(resumes, c.clock.Wait())
	}
	return func(ctx context.Context) error {
		var errs []error
		for _, r := range resumes {
			errs = append(errs, r(ctx))
		}
		return errors.Join(errs...)
	}
}

// Expired gives an error once the time of a lease among ctx's clocks is over, also where ctx has not ended yet: in a process
// that was frozen, what was under way goes on before the timers have their turn. Ask it right before something is sent that
// must not come after the next owner's. Such a clock has a method Expired() error.
func Expired(ctx context.Context) error {
	for c := clockOf(ctx); c != nil; c = c.parent {
		if lease, ok := c.clock.(interface{ Expired() error }); ok {
			if err := lease.Expired(); err != nil {
				return err
			}
		}
	}
	return nil
}

// WithTakeOver has f called when a handling is about to go on with what another process has begun and not ended.
func WithTakeOver(ctx context.Context, f func(ctx context.Context) error) context.Context {
	return context.WithValue(ctx, takeOverKey, f)
}

// TakeOver says that the handling is about to go on with what another process has begun and not ended, perhaps because it
// died of it. With an error it must not.
func TakeOver(ctx context.Context) error {
	if f, ok := ctx.Value(takeOverKey).(func(context.Context) error); ok {
		return f(ctx)
	}
	return nil
}
