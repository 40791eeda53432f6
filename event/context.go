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

// Handling is what the layers below a handler may know of the handling that they work for: they know nothing of deliveries. The
// runtime adds one to the context of each handling, once, with WithHandling. Handlers and clients use it through the functions
// Message, HandlingNumber, Uncounted, Progress, Wait, WaitWithoutSlot, Expired and TakeOver, which do nothing on any other context.
type Handling struct {
	// Message returns the letter id, which is the same for each delivery of the message. It is called only when needed.
	Message func() string
	// Clock bounds the time of the handling; nil for no bound.
	Clock Clock
	// WaitWithoutSlot waits until done is closed, without the slot that the handling has among those that run at once. It
	// returns an error if it must not wait any longer, or not at all. nil: the handling has no slot.
	WaitWithoutSlot func(ctx context.Context, done <-chan struct{}) error
	// Uncounted says that requests of the handling show nothing of a downstream, because they are expected to fail: its circuit
	// counts neither their failures nor their successes.
	Uncounted bool
	// TakeOver is called before the handling takes over what another process has begun and not ended; nil allows it.
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

// WithHandling returns ctx with a handling.
func WithHandling(ctx context.Context, h Handling) context.Context {
	return &handled{clocked: clocked{Context: ctx, clock: h.Clock, parent: clockOf(ctx)}, Handling: h, number: handlings.Add(1)}
}

// Message returns the letter id of the message that is handled, or "".
func Message(ctx context.Context) string {
	if h := handlingOf(ctx); h != nil && h.Message != nil {
		return h.Message()
	}
	return ""
}

// HandlingNumber returns a number that is unique to this handling in this process, or 0 where no message is handled. It costs less
// than the letter id, and keeps no body in memory.
func HandlingNumber(ctx context.Context) uint64 {
	if h := handlingOf(ctx); h != nil {
		return h.number
	}
	return 0
}

// Uncounted reports whether circuits count nothing of a request with this context.
func Uncounted(ctx context.Context) bool {
	h := handlingOf(ctx)
	return h != nil && h.Uncounted
}

// Clock bounds the time of a handling. It counts only time without progress.
type Clock interface {
	// Progress is called when a step is complete. Time is counted from 0 again. After an error the handling must stop: its
	// lease was taken over.
	Progress(ctx context.Context) error
	// Wait is called when the handling begins to wait for a limit, which does not count. resume is called when the wait is
	// over, and fails as Progress does.
	Wait() (resume func(ctx context.Context) error)
}

// clocked is a context with a clock. parent is the next outer one.
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

// WithClock returns ctx with one more clock.
func WithClock(ctx context.Context, c Clock) context.Context {
	return &clocked{Context: ctx, clock: c, parent: clockOf(ctx)}
}

// clockOf returns the innermost clock of ctx, or nil.
func clockOf(ctx context.Context) *clocked {
	c, _ := ctx.Value(clockKey).(*clocked)
	return c
}

// Progress calls Progress of every clock of ctx.
func Progress(ctx context.Context) error {
	var errs []error
	for c := clockOf(ctx); c != nil; c = c.parent {
		errs = append(errs, c.clock.Progress(ctx))
	}
	return errors.Join(errs...)
}

// Wait calls Wait of every clock of ctx. resume calls all that they returned.
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

// Expired returns an error if a lease among ctx's clocks has expired, also if ctx has not ended yet: in a process that was frozen
// goroutines go on before timers fire. Call it right before sending what must not be sent after the lease was taken over. The
// clock of a lease has a method Expired() error.
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

// ErrHasLease is what WaitWithoutSlot returns to a handling that must not wait.
var ErrHasLease = errors.New("a handling with a lease waits for no other: the other may wait for it")

// WaitWithoutSlot waits until another handling of this process has closed done: it is at what this one is about to do. Others
// are handled in its slot meanwhile, and the clocks of ctx stand still. It returns an error if ctx ends, or if the handling is
// to end because its process stops or its connection has broken.
//
// A handling that has a lease itself does not wait: two could wait for each other for ever. It gets ErrHasLease.
func WaitWithoutSlot(ctx context.Context, done <-chan struct{}) error {
	h := handlingOf(ctx)
	if clock := clockOf(ctx); clock != nil && (h == nil || clock != &h.clocked || clock.parent != nil) {
		return ErrHasLease
	}
	if h != nil && h.WaitWithoutSlot != nil {
		return h.WaitWithoutSlot(ctx, done)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TakeOver returns an error if the handling must not take over what another process has begun and not ended, perhaps because it
// died over it.
func TakeOver(ctx context.Context) error {
	if h := handlingOf(ctx); h != nil && h.TakeOver != nil {
		return h.TakeOver(ctx)
	}
	return nil
}
