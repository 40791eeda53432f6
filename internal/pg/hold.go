package pg

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// Claim is a right that this process has by a row: the owner in it is a token of its own, its number grows with each claim,
// and it is the owner's until a lease passes by the database's clock. Then another owner may take it over.
type Claim struct {
	What    string        // names it in messages
	Owner   string        // the token
	Started time.Time     // this process's clock, before the transaction that took it was sent
	Lease   time.Duration // from then on
	// Spare, where it is not 0, is how much of the lease may be left for a renewal to be worth its transaction.
	Spare time.Duration
	// Renew renews the lease, unless another owner has taken over. It returns this process's clock before its transaction was
	// sent, and the owner as it is then.
	Renew func(ctx context.Context) (started time.Time, owner string, err error)
}

// Margin is how long before its lease the work for a claim ends, so that nothing that it has started outlasts the lease.
func Margin(lease time.Duration) time.Duration { return min(2*time.Second, lease/10) }

// Hold keeps a claim in this process: a context that ends before the lease does, by this process's own monotonic clock,
// and the event.Clock that renews it. No timer renews it: only work that goes on does.
type Hold struct {
	claim  Claim
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer
	deadline time.Time
	waits    int // event.Waits that have not ended: no request is out, and the renewal at their end decides
	ended    bool
	cause    error
}

// NewHold begins to hold a claim. End it.
func NewHold(ctx context.Context, c Claim) *Hold {
	h := &Hold{claim: c}
	ctx, h.cancel = context.WithCancelCause(ctx)
	h.ctx = event.WithClock(ctx, h)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = c.Started.Add(c.Lease - Margin(c.Lease))
	h.timer = time.AfterFunc(time.Until(h.deadline), h.check)
	return h
}

// Context returns the context of the work. It carries the Hold as an event.Clock.
func (h *Hold) Context() context.Context { return h.ctx }

// check ends the context when the deadline has passed.
func (h *Hold) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.waits > 0 {
		return
	}
	if left := time.Until(h.deadline); left > 0 {
		h.timer.Reset(left)
		return
	}
	h.stop(event.Errorf(event.Timeout, "%s made no progress within its lease of %s", h.claim.What, h.claim.Lease))
}

// Expired returns what has ended the context, or would have if the timer had had its turn.
func (h *Hold) Expired() error {
	h.check()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}

// stop ends the context for a cause, with mu held.
func (h *Hold) stop(cause error) {
	if h.cause == nil {
		h.cause = cause
		h.cancel(cause)
	}
}

// End says that the work is over, and returns what has cut it short, if anything did.
func (h *Hold) End() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
	h.cancel(context.Canceled)
	return h.cause
}

// Progress renews the lease.
func (h *Hold) Progress(ctx context.Context) error {
	h.mu.Lock()
	over, left := h.ended, time.Until(h.deadline)
	h.mu.Unlock()
	if h.claim.Spare > 0 && left > h.claim.Spare && !over {
		return nil
	}
	if over {
		return fmt.Errorf("renew %s: it has ended", h.claim.What)
	}
	started, owner, err := h.claim.Renew(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("renew the lease of %s: %w", h.claim.What, err)
	case owner != h.claim.Owner:
		err := TakenOver(h.claim.What, owner)
		h.stop(err)
		return err
	}
	h.deadline = started.Add(h.claim.Lease - Margin(h.claim.Lease))
	return nil
}

// Wait stops the clock; resume renews the lease, which fails if another owner has taken over meanwhile.
func (h *Hold) Wait() (resume func(ctx context.Context) error) {
	h.mu.Lock()
	h.waits++
	h.mu.Unlock()
	var once sync.Once
	return func(ctx context.Context) (err error) {
		once.Do(func() {
			err = h.Progress(ctx)
			h.mu.Lock()
			h.waits--
			h.mu.Unlock()
			h.check()
		})
		return err
	}
}

// TakenOver is the end of work whose claim another owner has taken over: that one, not this handling, goes on with it.
// An empty owner is an operator who has released the claim.
func TakenOver(what, owner string) error {
	if owner == "" {
		return &event.Deferral{Reason: what + " was released by an operator"}
	}
	return &event.Deferral{Reason: fmt.Sprintf("%s was taken over by %s after its lease had passed", what, NameOf(owner))}
}
