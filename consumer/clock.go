package consumer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// clock ends the context of an attempt after a time without progress. It stands still while the handling waits for
// something that is no fault of its own. When the handling goes on in spite of its end, it says so.
type clock struct {
	limit  time.Duration
	lease  time.Duration
	cancel context.CancelCauseFunc
	watch  hangWatch

	mu      sync.Mutex
	timer   *time.Timer
	waiting int
	expired bool
	stopped bool
}

// hangWatch is told of a handling that has not returned after its context has ended.
type hangWatch interface {
	hangs()    // cutGrace after that
	outlives() // and when the lease of what it has claimed has passed, or is about to
}

// withTimeout returns a context that ends, with an event.Timeout error as its cause, after limit without progress, and the
// clock that ends it.
func withTimeout(ctx context.Context, limit, lease time.Duration, watch hangWatch) (context.Context, *clock) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{limit: limit, lease: lease, cancel: cancel, watch: watch}
	c.mu.Lock()
	c.timer = time.AfterFunc(limit, c.expire)
	c.mu.Unlock()
	return ctx, c
}

// stop notes that the handling has returned.
func (c *clock) stop() {
	c.mu.Lock()
	c.stopped = true
	c.timer.Stop()
	c.mu.Unlock()
	c.cancel(context.Canceled)
}

func (c *clock) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting > 0 || c.stopped {
		return
	}
	c.expired = true
	c.cancel(&event.Error{
		Class: event.Timeout,
		Err:   fmt.Errorf("no progress for %s: raise the handler timeout if the downstream is just slow", c.limit),
	})
	c.timer = time.AfterFunc(cutGrace, c.hang)
}

func (c *clock) hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.watch.hangs()
	c.timer = time.AfterFunc(c.lease-c.limit-cutGrace, c.outlive) // at once where the lease has passed already
}

func (c *clock) outlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.watch.outlives()
	}
}

// Progress restarts the time.
func (c *clock) Progress(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == 0 && !c.expired && !c.stopped {
		c.timer.Reset(c.limit)
	}
	return nil
}

// Wait stops the time until resume is called, and then restarts it.
func (c *clock) Wait() (resume func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting++
	if !c.expired {
		c.timer.Stop()
	}
	return func(ctx context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
		if c.waiting == 0 && !c.expired && !c.stopped && ctx.Err() == nil {
			c.timer.Reset(c.limit)
		}
		return nil
	}
}
