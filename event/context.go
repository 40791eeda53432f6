package event

import (
	"context"
	"errors"
	"sync/atomic"
)

type contextKey int

const (
	handlingKey contextKey = iota
	clockKey
)

// Handling is what the layers below a handler may know of the handling that they work for, without knowing what a delivery
// is. The runtime puts one into the context of each handling, once, with WithHandling. Handlers and clients ask for it by
// the functions Message, HandlingNumber, Progress, Wait and TakeOver, which do nothing where no message is handled.
type Handling struct {
	// Message returns the message's dead-letter id, the same for each delivery of it. It is called when somebody asks.
	Message func() string
	// Clock is the time limit of the handling; nil for none.
	Clock Clock
	// TakeOver is asked before the handling goes on with what another process has begun and not ended; nil allows it.
	TakeOver func(ctx context.Context) error
}

// handled is a context with a Handling.
type handled struct {
	clocked
	Handling
	number uint64
}

func (h *handled) Value(key any) any {
	switch {
	case key == handlingKey:
		return h
	case key == clockKey && h.clock != nil:
		return &h.clocked
	}
	return h.Context.Value(key)
}

func handlingOf(ctx context.Context) *handled {
	h, _ := ctx.Value(handlingKey).(*handled)
	return h
}

var handlings atomic.Uint64

// WithHandling returns the context of a handling.
func WithHandling(ctx context.Context, h Handling) context.Context {
	return &handled{clocked: clocked{Context: ctx, clock: h.Clock, parent: clockOf(ctx)}, Handling: h, number: handlings.Add(1)}
}

// Message returns the dead-letter id of the message that is handled, or "".
func Message(ctx context.Context) string {
	if h := handlingOf(ctx); h != nil && h.Message != nil {
		return h.Message()
	}
	return ""
}

// HandlingNumber returns a number that this process has for this handling and for no other, or 0 where no message is
// handled. It costs less than the message's id, and keeps nothing of it in memory.
func HandlingNumber(ctx context.Context) uint64 {
	if h := handlingOf(ctx); h != nil {
		return h.number
	}
	return 0
}

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

// TakeOver asks whether the handling may go on with what another process has begun and not ended, perhaps because it died
// of it. With an error it must not.
func TakeOver(ctx context.Context) error {
	if h := handlingOf(ctx); h != nil && h.TakeOver != nil {
		return h.TakeOver(ctx)
	}
	return nil
}
