package consumer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
)

func TestClock_EndsAHandlingWithoutProgress(t *testing.T) {
	ctx, c := withTimeout(t.Context(), time.Millisecond, time.Hour, nil)
	defer c.stop()
	<-ctx.Done()
	if err := context.Cause(ctx); event.ClassOf(err) != event.Timeout || !strings.Contains(err.Error(), "handler timeout") {
		t.Errorf("ended by %v", err)
	}
}

func TestClock_EndsWithTheHandling(t *testing.T) {
	ctx, c := withTimeout(t.Context(), time.Hour, time.Hour, nil)
	if ctx.Err() != nil {
		t.Error("ended at once")
	}
	c.stop()
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("ended by %v", context.Cause(ctx))
	}
}

// clockOf makes a clock whose time is up when the test says so.
func clockOf(t *testing.T) (c *clock, ctx context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	c = &clock{limit: time.Hour, cancel: cancel}
	c.timer = time.AfterFunc(c.limit, c.expire)
	t.Cleanup(func() { c.timer.Stop(); cancel(nil) })
	return c, ctx
}

// Waiting for what is no fault of the handling does not count, however many wait.
func TestClock_StandsStillWhileAnybodyWaits(t *testing.T) {
	c, ctx := clockOf(t)
	first, second := c.Wait(), c.Wait()
	if c.timer.Stop() {
		t.Error("the time runs while it waits")
	}
	if err := first(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Progress(ctx); err != nil {
		t.Fatal(err)
	}
	if c.timer.Stop() {
		t.Error("the time runs while the second waits")
	}
	if c.expire(); ctx.Err() != nil {
		t.Error("the time was up while it waited")
	}
	if err := second(ctx); err != nil {
		t.Fatal(err)
	}
	if c.expire(); event.ClassOf(context.Cause(ctx)) != event.Timeout {
		t.Errorf("ended by %v", context.Cause(ctx))
	}
}

func TestClock_RestartsAfterProgressAndWaits(t *testing.T) {
	c, ctx := clockOf(t)
	c.timer.Stop()
	if err := c.Progress(ctx); err != nil || !c.timer.Stop() {
		t.Errorf("progress did not restart the time: %v", err)
	}
	if err := c.Wait()(ctx); err != nil || !c.timer.Stop() {
		t.Errorf("the end of a wait did not restart the time: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Wait()(ended); err != nil || c.timer.Stop() {
		t.Errorf("the time runs on for what has ended: %v", err)
	}
}

// The handler's clock is reached through its context.
func TestClock_IsReachedThroughTheContext(t *testing.T) {
	ctx, c := withTimeout(t.Context(), 50*time.Millisecond, time.Hour, nil)
	defer c.stop()
	ctx = event.WithHandling(ctx, event.Handling{Clock: c})
	resume := event.Wait(ctx)
	if err := resume(ctx); err != nil {
		t.Fatal(err)
	}
	if err := event.Progress(ctx); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if event.ClassOf(context.Cause(ctx)) != event.Timeout {
		t.Errorf("ended by %v", context.Cause(ctx))
	}
}
