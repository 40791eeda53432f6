package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mageline/mageline/event"
)

// Batch makes a consumer of entries instead of messages: it gathers the entries of many messages into calls of a downstream
// that takes many at once.
//
// A message is open until its last entry has a result. If every entry has an outcome, it is acknowledged. If some were refused
// for good, a partial letter with only those is dead-lettered. If anything failed in passing, the whole message is retried, and
// what was written is found stale or unchanged then.
type Batch struct {
	Handler BatchHandler
	// Size is how many rows a call has at most.
	Size int
	// Limit, where it is set, lowers Size for the entries of a kind. It is asked before each call and must return at once; what
	// is not above 0 is Size.
	Limit func(kind string) int
	// Bytes bounds the entries of one call, which has at least one; 0 is 1 MiB.
	Bytes int
	// Linger is how long an entry waits for others to fill its call.
	Linger time.Duration
	// Concurrency is how many calls run at once in this process.
	Concurrency int
	// Workers is how many Writes run at once, where a Write waits for its turn to call the downstream, and prepares before it;
	// 0 is Concurrency.
	Workers int
}

// BatchHandler reads the entries of a message, writes those of many messages in one call, and makes the letter for those that
// were refused. Its methods are called from several goroutines at once.
type BatchHandler interface {
	// Entries returns what the event asks to have written, in the order of its list. An error is about the event as a whole, and
	// has a class as a Handler's; an entry that can't be used beside others that can has Entry.Err set.
	Entries(ctx context.Context, e event.Event) ([]Entry, error)

	// Write makes one call with all entries of the call. It returns a result for each, in the same order, or an error with a
	// class if the call failed as a whole. It does not repeat or divide the call: Write is called again with the same entries, or
	// with half of them, where that helps.
	//
	// As a Handler it may be called again with an entry at any time, must return soon when ctx ends, and may panic.
	Write(ctx context.Context, c Call) ([]Result, error)

	// Letter returns a body of the same form as the event's that has only the rejected entries, so that publishing it is the
	// same as publishing these alone. Its member "errors" is set by whoever calls Letter.
	Letter(e event.Event, rejected []Rejection) (json.RawMessage, error)
}

// Entry is one thing of a message that is written by itself: a price, a quantity, a document.
type Entry struct {
	// Value is the handler's own.
	Value any
	// Kind divides entries that can't share a call, such as those of two endpoints.
	Kind string
	// Key, where it is not empty, names what the entry changes. Entries with one key are never in two calls at once.
	Key string
	// Rows is how many rows of the message's list the entry stands for, because they must not be divided; 0 is 1. One with more
	// rows than a call may have is a call by itself.
	Rows int
	// Bytes is what the entry adds to a call; 0 is its share of the body that it came in.
	Bytes int
	// Err, where it is set, is the entry's result: it is in no call.
	Err error
}

// Call is what one Write is for.
type Call struct {
	// Kind is that of all entries.
	Kind    string
	Entries []Entry
	// Halving is true while the entry is looked for over which a call failed as a whole. What is called meanwhile says nothing of
	// the downstream: requests with the context of the Write do not count for its circuit (event.Uncounted).
	Halving bool
}

// Result is how one entry of a call ended.
type Result struct {
	// Outcome, if Err is nil: event.Done if it was written or is there already (the zero value too), event.Stale if something
	// newer is, event.Skipped if there is nothing to do for it.
	Outcome event.Outcome
	// Err has a class, as a Handler's. Poison rejects the entry; anything else has the whole message tried again.
	Err error
}

// Rejection is an entry that was refused for good.
type Rejection struct {
	// Index is its place among the event's entries.
	Index int
	Entry Entry
	Err   error
}

func (b *Batch) validate() (errs []error) {
	if b.Handler == nil {
		errs = append(errs, errors.New("its batch has no handler"))
	}
	if b.Size < 1 {
		errs = append(errs, fmt.Errorf("a batch size of %d: at least 1 is possible", b.Size))
	}
	if b.Workers < 0 {
		errs = append(errs, fmt.Errorf("%d workers of a batch", b.Workers))
	}
	if b.Bytes < 0 || b.Linger < 0 {
		errs = append(errs, fmt.Errorf("a batch of %d bytes that lingers for %s", b.Bytes, b.Linger))
	}
	return errs
}

// unacknowledged is how many deliveries the consumer holds at most: while its calls run, the entries of the next one gather.
func (b *Batch) unacknowledged(prefetch int) int {
	return min(max(prefetch, b.Size*(b.Concurrency+1)), max(prefetch, math.MaxUint16))
}
