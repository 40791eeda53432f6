package idempotency

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// Claim is what an effect knows of its own right to run, and what it tells the ledger about its downstream.
type Claim struct {
	Key Key // as it is stored
	// Number grows with each claim of the key.
	Number int64
	// Uncertain says that an earlier run may have taken effect: look in the downstream before anything is sent.
	Uncertain bool
	// UncertainFor is the time, by the database's clock when the claim was made, since the last request that may have
	// taken effect.
	UncertainFor time.Duration
	// Accepted says that the downstream has taken an earlier request and gave no number yet: only look, never send
	// again. Only Release clears it.
	Accepted bool

	token  string
	sentAt time.Time // the database's time of what made it uncertain

	mu               sync.Mutex
	looked, accepted bool
}

// Accept says that the downstream has accepted the effect and gave no number. The mark is kept with the uncertain row,
// whatever error the effect then returns.
func (c *Claim) Accept() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = true
}

// Looked says that the downstream was asked, has nothing of the earlier runs, and will not have it any more: enough
// time has passed since the last of them. The uncertainty from before this claim is over, so that an error marked by
// event.NotDone leaves the effect Failed.
//
// Call it after the look and right before the send. An effect that must not send yet, because a request from before may
// still take effect, does not call it and returns an error marked by event.NotDone: the uncertainty then stays as old
// as it was. It does nothing on a claim that is Accepted.
func (c *Claim) Looked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = !c.Accepted
}

func (c *Claim) isAccepted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted || c.Accepted
}

// end gives what is recorded for an effect that returned res and err.
func (c *Claim) end(res Result, err error) *op {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := effectOp(c.Key, c.token, c.Number+1)
	old := c.Uncertain && !c.looked // what made it uncertain before is still open
	switch {
	case err == nil && res.State == Done:
		o.state, o.result = Done, res.Value
	case err == nil:
		o.state, o.result = res.State, res.Value
		o.accepted = c.Accepted
		if old {
			o.sent = c.sentAt.UnixMicro()
		}
	case event.IsNotDone(err) && !c.accepted && !old:
		o.state = Failed
	case event.IsNotDone(err) && !c.accepted:
		o.state, o.sent, o.accepted = Uncertain, c.sentAt.UnixMicro(), c.Accepted
	default:
		o.state, o.sent, o.accepted = Uncertain, sentNow, c.Accepted || c.accepted
	}
	o.reason, o.order = res.Reason, res.Order
	if err != nil {
		o.reason, o.class = "", event.ClassOf(err)
	}
	return o
}

// text makes s storable: valid UTF-8 without NUL, of at most limit bytes. What downstreams send ends in these columns, and
// must never fail the transaction that it shares with others.
func text(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

// hold keeps a claim in this process: a context that ends before the lease does, by this process's own monotonic clock,
// and the event.Clock that renews it.
type hold struct {
	l      *Ledger
	what   string // for messages
	renew  func() *op
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer
	deadline time.Time
	waits    int // event.Waits that have not ended: no request is out, and the renewal at their end decides
	ended    bool
	cause    error
}

// hold begins one whose claim was sent to the database at started.
func (l *Ledger) hold(ctx context.Context, what string, started time.Time, renew func() *op) *hold {
	h := &hold{l: l, what: what, renew: renew}
	ctx, h.cancel = context.WithCancelCause(ctx)
	h.ctx = event.WithClock(ctx, h)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = started.Add(l.lease - l.margin())
	h.timer = time.AfterFunc(time.Until(h.deadline), h.check)
	return h
}

// check ends the context when the deadline has passed.
func (h *hold) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.waits > 0 {
		return
	}
	if left := time.Until(h.deadline); left > 0 {
		h.timer.Reset(left)
		return
	}
	h.stop(event.Errorf(event.Timeout, "%s made no progress within its lease of %s", h.what, h.l.lease))
}

// Expired gives what has ended the context, or would have if the timer had had its turn.
func (h *hold) Expired() error {
	h.check()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}

// stop ends the context for a cause, with mu held.
func (h *hold) stop(cause error) {
	if h.cause == nil {
		h.cause = cause
		h.cancel(cause)
	}
}

// end says that the work is over, and gives what has cut it short, if anything did.
func (h *hold) end() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
	h.cancel(context.Canceled)
	return h.cause
}

// Progress renews the lease.
func (h *hold) Progress(ctx context.Context) error {
	h.mu.Lock()
	over := h.ended
	h.mu.Unlock()
	if over {
		return fmt.Errorf("renew %s: it has ended", h.what)
	}
	o := h.renew()
	got := h.l.submit(ctx, o)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case got.err != nil:
		return fmt.Errorf("renew the lease of %s: %w", h.what, got.err)
	case got.owner != o.owner:
		err := lost(h.what, got.owner)
		h.stop(err)
		return err
	}
	h.deadline = got.started.Add(h.l.lease - h.l.margin())
	return nil
}

// Wait stops the clock; resume renews the lease, which fails if another owner has taken over meanwhile.
func (h *hold) Wait() (resume func(ctx context.Context) error) {
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
