package consumer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// clock ends the context of an attempt after a time without progress. It stands still while the handling waits for
// something that is no fault of its own.
type clock struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	waiting int
}

// withTimeout gives a context that ends, with an event.Timeout error as its cause, after limit without progress.
func withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{limit: limit, cancel: cancel}
	c.timer = time.AfterFunc(limit, c.expire)
	return event.WithClock(ctx, c), func() {
		c.timer.Stop()
		cancel(context.Canceled)
	}
}

func (c *clock) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == 0 {
		c.cancel(&event.Error{
			Class: event.Timeout,
			Err:   fmt.Errorf("no progress for %s: raise HANDLER_TIMEOUT if the downstream is just slow", c.limit),
		})
	}
}

// Progress starts the time anew.
func (c *clock) Progress(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == 0 {
		c.timer.Reset(c.limit)
	}
	return nil
}

// Wait stops the time until resume is called, and then starts it anew.
func (c *clock) Wait() (resume func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting++
	c.timer.Stop()
	return func(ctx context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
		if c.waiting == 0 && ctx.Err() == nil {
			c.timer.Reset(c.limit)
		}
		return nil
	}
}
