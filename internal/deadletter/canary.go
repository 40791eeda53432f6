package deadletter

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/rabbitmq"
)

// Canary says how a replay finds out the outcome of its first letter.
type Canary struct {
	// Timeout is for the first letter.
	Timeout time.Duration
	// Consumer returns the consumer of a queue whose messages have rows in the ledger; ok is false for any other queue.
	Consumer func(queue string) (name string, ok bool)
	// Effects reads the ledger's rows of a business key.
	Effects func(ctx context.Context, consumer, key string) ([]LedgerRow, error)
	// Ended, if not nil, is called with the outcome of the first letter, before the rest is published.
	Ended func(CanaryResult)
}

// CanaryResult is the outcome of the first letter.
type CanaryResult struct {
	ID  string `json:"id"`
	Key string `json:"key,omitempty"`
	// State is done, skipped, dead again or not through.
	State  string  `json:"state"`
	Reason string  `json:"reason,omitempty"` // why it is not through, or dead again
	After  float64 `json:"after_seconds"`
}

func (f CanaryResult) String() string {
	text := "first: " + f.ID
	if f.Key != "" {
		text += ", key " + f.Key
	}
	text += fmt.Sprintf(", %s after %.1fs", f.State, f.After)
	if f.Reason != "" {
		text += " (" + f.Reason + ")"
	}
	return text
}

// LedgerRow is a row of the ledger. It has not changed if two looks return equal ones.
type LedgerRow struct {
	Name, State string
	Over        bool // done or skipped
	Claim       int64
	Updated     int64
}

// CanaryError means that the first letter was not done before the time-out. The rest was not published.
type CanaryError struct {
	Queue string
	First CanaryResult
}

func (e *CanaryError) Error() string {
	did := "came back dead"
	if e.First.State == notThrough {
		did = "is not through after " + time.Duration(e.First.After*float64(time.Second)).Round(time.Second).String()
	}
	return fmt.Sprintf("the first letter, %s, %s (%s): the rest stays in %s", e.First.ID, did, e.First.Reason, e.Queue)
}

// States of a CanaryResult.
const (
	deadAgain  = "dead again"
	notThrough = "not through"
)

// NoCanaryError means that messages of the target queue of the first letter have no rows in the ledger. Nothing was published.
type NoCanaryError struct{ ID, To string }

func (e *NoCanaryError) Error() string {
	return fmt.Sprintf("the first letter, %s, goes to %s, whose messages have no row in the ledger that would show its end", e.ID, e.To)
}

const (
	// canaryEvery is how often the ledger is read.
	canaryEvery = 200 * time.Millisecond
	// canarySteady is for how long the rows must not change. A handler claims the next effect soon after one is done, and in
	// between every row is done.
	canarySteady = 2 * time.Second
)

// canary is the first letter of a replay.
type canary struct {
	id            string
	to            string // the queue it was published to
	consumer, key string
	before        []LedgerRow // as they were before the publish
}

// replayAfterCanary publishes the first letter, requeues the others, waits until the first is done, and replays the others. It
// keeps no message while it waits. It keeps the lock all the time, so that the set does not change.
func (r *run) replayAfterCanary(ctx context.Context, s *lockedQueue) error {
	var c *canary
	var began time.Time
	r.canary = func(to string, l letter) (err error) {
		c = &canary{id: l.ID, to: to, key: l.Key}
		var ok bool
		if c.consumer, ok = r.o.Canary.Consumer(to); !ok {
			return &NoCanaryError{l.ID, to}
		}
		c.before, err = r.effects(ctx, c)
		began = time.Now()
		return err
	}
	p := r.pass(1)
	set := 0
	err := s.readSet(ctx, everything, func(h *reading) error {
		err := p.all(ctx, h)
		set = h.held
		r.left = h.held + h.remaining()
		return err
	})
	r.canary = nil
	r.sum.Replayed, r.sum.Skipped, r.sum.Failed = p.sum.Replayed, p.sum.Skipped, p.sum.Failed
	if err != nil || p.sum.Replayed == 0 {
		return err
	}
	first, err := r.await(ctx, s, c, set)
	if err != nil {
		return err
	}
	first.ID, first.Key, first.After = c.id, c.key, math.Round(10*time.Since(began).Seconds())/10
	r.sum.Canary = &first
	if r.o.Canary.Ended != nil {
		r.o.Canary.Ended(first)
	}
	if first.Reason != "" {
		return &CanaryError{s.queue, first}
	}
	if r.o.Limit == 1 {
		return nil
	}
	r.o.Limit = max(0, r.o.Limit-1)
	return r.runPass(ctx, s, set)
}

func (r *run) effects(ctx context.Context, c *canary) ([]LedgerRow, error) {
	if c.key == "" {
		return nil, nil
	}
	return r.o.Canary.Effects(ctx, c.consumer, c.key)
}

// await waits for the outcome of the canary. set is how many letters were left in the queue when it was published.
func (r *run) await(ctx context.Context, s *lockedQueue, c *canary, set int) (CanaryResult, error) {
	deadline := time.Now().Add(r.o.Canary.Timeout)
	look := deadLetterWatch{depth: set}
	var last []LedgerRow
	var since time.Time // when the rows had changed last
	taken := false      // its queue was seen empty: a consumer has it, or had it
	for {
		if err := s.lock.check(ctx); err != nil {
			return CanaryResult{}, err
		}
		rows, err := r.effects(ctx, c)
		if err != nil {
			return CanaryResult{}, err
		}
		if !slices.Equal(rows, last) || since.IsZero() {
			last, since = rows, time.Now()
		}
		if !taken {
			depth, ok, err := rabbitmq.Depth(s.conn, c.to)
			if err != nil {
				return CanaryResult{}, err
			}
			if taken = ok && depth == 0; taken {
				since = time.Now() // a handler has it now
			}
		}
		reason := c.reason(rows, taken)
		through := reason == "" && time.Since(since) >= canarySteady
		dead, err := look.findDead(ctx, r, s, c, through)
		switch {
		case err != nil:
			return CanaryResult{}, err
		case dead != nil:
			return CanaryResult{State: deadAgain, Reason: dead.Class + ": " + dead.Error}, nil
		case through:
			return CanaryResult{State: stateOf(rows)}, nil
		case time.Now().After(deadline):
			if reason == "" {
				reason = "its rows in the ledger still change"
			}
			return CanaryResult{State: notThrough, Reason: reason}, nil
		}
		select {
		case <-ctx.Done():
			return CanaryResult{}, ctx.Err()
		case <-time.After(canaryEvery):
		}
	}
}

// stateOf returns the state of a key whose effects are all over.
func stateOf(rows []LedgerRow) string {
	for _, row := range rows {
		if row.State == "done" {
			return row.State
		}
	}
	return "skipped"
}

// reason returns why the canary is not done by what the ledger has; "" if it is.
func (c *canary) reason(rows []LedgerRow, taken bool) string {
	if c.key == "" {
		return "it has no x-mageline-key by which the ledger could show it; replay one with --limit 1 and look"
	}
	var states []string
	over := 0
	for _, row := range rows {
		if row.Over {
			over++
		}
		states = append(states, row.Name+" "+row.State)
	}
	slices.Sort(states)
	of := fmt.Sprintf("%s:%s", c.consumer, c.key)
	switch {
	case len(rows) == 0:
		return "the ledger has no row of " + of
	case over < len(rows):
		return fmt.Sprintf("the ledger has %s as %s", of, strings.Join(states, ", "))
	case slices.Equal(rows, c.before) && !taken:
		return fmt.Sprintf("all of %s was done before, and it is not seen that a consumer has taken the letter", of)
	}
	return ""
}

// deadLetterWatch looks for the canary in the dead-letter queue.
type deadLetterWatch struct {
	depth int // of the queue when it was read last
	next  time.Time
}

// findDead reads the queue if it has more than before, and returns the canary if it is there. Unless it must, it does so only
// now and then.
func (l *deadLetterWatch) findDead(ctx context.Context, r *run, s *lockedQueue, c *canary, must bool) (*letter, error) {
	depth, ok, err := rabbitmq.Depth(s.conn, s.queue)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &NoQueueError{s.queue}
	}
	l.depth = min(l.depth, depth) // somebody may have removed some
	if depth == l.depth || !must && time.Now().Before(l.next) {
		return nil, nil
	}
	began := time.Now()
	var found *letter
	err = s.each(ctx, func(one letter) {
		if one.ours && one.ID == c.id && rabbitmq.Text(one.d.Headers, rabbitmq.HeaderReplayID) == r.id {
			found = &one
		}
	})
	l.depth, l.next = depth, time.Now().Add(10*time.Since(began)) // the queue is free for others most of the time
	return found, err
}
