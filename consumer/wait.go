package consumer

import (
	"context"

	"github.com/mageline/mageline/event"
)

// waitWithoutSlot waits until done is closed, which another handling of this process does. The slot is free for others
// meanwhile, so that the handling that is waited for can begin even where there is only one. It returns an error if the
// handling must not wait, or no longer: its context has ended, or its link drains or has ended. Without the slot back it must
// end then.
func (h *handling) waitWithoutSlot(ctx context.Context, done <-chan struct{}) (err error) {
	select {
	case <-done:
		return nil
	default:
	}
	l := h.l
	if h.res.suspect { // nothing else is in flight: what it would wait for has hung
		return &event.Deferral{Reason: "a suspect waits for no other handling", Busy: true}
	}
	if !h.waiting.CompareAndSwap(false, true) {
		return &event.Deferral{Reason: "another goroutine of this handling waits already", Busy: true}
	}
	defer h.waiting.Store(false)
	if h.noSlot {
		return &event.Deferral{Reason: "this handling is to end", Busy: true}
	}
	resume := event.Wait(ctx)
	l.r.together.RUnlock()
	l.slots.release()
	l.slots.announce() // of another session too, where this one is over
	l.dispatcher.begin()
	stopping := &event.Deferral{Reason: "what it waited for goes on, and its consumer stops", Busy: true}
	h.noSlot = true
	select {
	case <-done:
		h.noSlot = !l.slots.enter(ctx.Done(), l.ending)
	case <-ctx.Done():
	case <-l.ending:
	}
	switch {
	case !h.noSlot:
		l.r.together.RLock() // after the slot: who is handled alone needs none
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = stopping
	}
	if lost := resume(ctx); err == nil {
		err = lost
	}
	return err
}

// unlock releases what the handling shares with all others, unless it has ended without a slot.
func (h *handling) unlock() {
	if !h.noSlot {
		h.l.r.together.RUnlock()
	}
}
