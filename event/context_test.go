package event_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mageline/mageline/event"
)

// ticking is a clock that counts its waits.
type ticking struct{ waits, progress int }

func (c *ticking) Progress(context.Context) error { c.progress++; return nil }

func (c *ticking) Wait() func(context.Context) error {
	c.waits++
	return func(context.Context) error { return nil }
}

func TestHandling_IsReachedThroughItsContext(t *testing.T) {
	clock, told := &ticking{}, 0
	refused := errors.New("no")
	ctx := event.WithHandling(t.Context(), event.Handling{
		Message: func() string { return "0123456789ab" }, Clock: clock,
		TakeOver: func(context.Context) error { told++; return refused },
	})
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if event.Message(inner) != "0123456789ab" || event.HandlingNumber(inner) == 0 {
		t.Errorf("message %q, number %d", event.Message(inner), event.HandlingNumber(inner))
	}
	if other := event.WithHandling(t.Context(), event.Handling{}); event.HandlingNumber(other) == event.HandlingNumber(ctx) {
		t.Error("two handlings have one number")
	}
	if err := event.TakeOver(inner); !errors.Is(err, refused) || told != 1 {
		t.Errorf("take-over gave %v, told %d times", err, told)
	}
	if err := event.Progress(inner); err != nil || clock.progress != 1 {
		t.Errorf("progress %d, %v", clock.progress, err)
	}
}

func TestHandling_DoesNothingWhereNoMessageIsHandled(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"no handling": t.Context(), "an empty one": event.WithHandling(t.Context(), event.Handling{}),
	} {
		if event.Message(ctx) != "" || event.TakeOver(ctx) != nil || event.Progress(ctx) != nil || event.Wait(ctx)(ctx) != nil {
			t.Errorf("%s: it did something", name)
		}
	}
	if event.HandlingNumber(t.Context()) != 0 {
		t.Error("a context without a handling has a number")
	}
}

func TestWaitWithoutSlot(t *testing.T) {
	done, ended := make(chan struct{}), make(chan struct{})
	close(done)
	stopping := errors.New("stopping")
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(stopping)
	handling := event.WithHandling(t.Context(), event.Handling{
		Clock:           &ticking{},
		WaitWithoutSlot: func(context.Context, <-chan struct{}) error { return stopping },
	})
	for name, tt := range map[string]struct {
		ctx  context.Context
		on   chan struct{}
		want error
	}{
		"no handling":                            {t.Context(), done, nil},
		"no handling, and it is cancelled":       {cancelled, ended, stopping},
		"the handling's own way":                 {handling, done, stopping},
		"a handling with a lease":                {event.WithClock(handling, &ticking{}), done, event.ErrHasLease},
		"a lease without a handling":             {event.WithClock(t.Context(), &ticking{}), done, event.ErrHasLease},
		"a lease around a handling":              {event.WithHandling(event.WithClock(t.Context(), &ticking{}), event.Handling{Clock: &ticking{}}), done, event.ErrHasLease},
		"a lease around one without a clock too": {event.WithHandling(event.WithClock(t.Context(), &ticking{}), event.Handling{}), done, event.ErrHasLease},
	} {
		if err := event.WaitWithoutSlot(tt.ctx, tt.on); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
