package operate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/deadletter"
)

// Replay says which letters are replayed, and how it is watched.
type Replay struct {
	deadletter.ReplayOptions // without Canary and Follow
	// CanaryTimeout is how long the first letter has to go well before the rest is published; 0: all are published at once.
	CanaryTimeout time.Duration
	CanaryEnded   func(deadletter.CanaryResult) // may be nil
	// FollowTimeout is how long the letters have to end once they are published; 0: nobody looks.
	FollowTimeout    time.Duration
	FollowedProgress func(deadletter.Followed) // may be nil
}

// NoCanaryError is a replay whose first letter the ledger could not show, which can be told before anything is read. It
// comes in a *UsageError.
type NoCanaryError struct {
	Consumer string // that works on entries; empty where To is the matter
	To       string // a queue that is none of a consumer whose messages have rows
}

func (e *NoCanaryError) Error() string {
	if e.Consumer != "" {
		return e.Consumer + " works on entries, and the ledger has no row for a message"
	}
	return e.To + " is no queue of a consumer that the ledger has rows of"
}

// CheckReplay fails with a *UsageError for a replay that can't be watched as it asks for.
func (d *DeadLetters) CheckReplay(r Replay) error {
	if r.CanaryTimeout == 0 {
		return nil
	}
	for _, c := range d.Consumers {
		if c.Batch && (r.Queue == d.Topology.DeadLetterQueue(c.Name) || r.To == d.Topology.Queue(c.Name)) {
			return &UsageError{&NoCanaryError{Consumer: c.Name}}
		}
	}
	if _, ok := d.queues(false)[r.To]; r.To != "" && !ok {
		return &UsageError{&NoCanaryError{To: r.To}}
	}
	return nil
}

// queues are the consumers by their queues; those of batches only if they are asked for.
func (d *DeadLetters) queues(batches bool) map[string]string {
	consumers := map[string]string{}
	for _, c := range d.Consumers {
		if batches || !c.Batch {
			consumers[d.Topology.Queue(c.Name)] = c.Name
		}
	}
	return consumers
}

// Replay sends letters back to the queues that they were consumed from.
func (d *DeadLetters) Replay(ctx context.Context, r Replay) (deadletter.ReplaySummary, error) {
	if err := d.CheckReplay(r); err != nil {
		return deadletter.ReplaySummary{}, err
	}
	o := r.ReplayOptions
	if r.CanaryTimeout > 0 || r.FollowTimeout > 0 {
		ledger, closeLedger, err := d.Ledger(ctx)
		if err != nil {
			return deadletter.ReplaySummary{}, err
		}
		defer closeLedger()
		if r.CanaryTimeout > 0 {
			o.Canary = d.canary(r, ledger)
		}
		if r.FollowTimeout > 0 {
			o.Follow = d.follow(r, ledger)
		}
	}
	summary, err := d.Reader.Replay(ctx, o)
	return summary, explained(err)
}

// canary is how the ledger shows the end of the first letter.
func (d *DeadLetters) canary(r Replay, ledger *idempotency.Ledger) *deadletter.Canary {
	consumers := d.queues(false)
	return &deadletter.Canary{
		Timeout:  r.CanaryTimeout,
		Ended:    r.CanaryEnded,
		Consumer: func(queue string) (string, bool) { name, ok := consumers[queue]; return name, ok },
		Effects: func(ctx context.Context, consumer, key string) ([]deadletter.LedgerRow, error) {
			rows, err := ledger.Rows(ctx, consumer, key)
			if err != nil {
				return nil, fmt.Errorf("look in the ledger for %s:%s: %w", consumer, key, err)
			}
			all := make([]deadletter.LedgerRow, 0, len(rows))
			for _, row := range rows {
				all = append(all, deadletter.LedgerRow{
					Name: row.Key.Effect, State: strings.ReplaceAll(string(row.State), "_", " "),
					Over:  row.State == idempotency.Done || row.State == idempotency.Skipped,
					Claim: row.Number, Updated: row.Updated.UnixMicro(),
				})
			}
			return all, nil
		},
	}
}

// follow is how the ledger and the queues show what becomes of the letters.
func (d *DeadLetters) follow(r Replay, ledger *idempotency.Ledger) *deadletter.Follow {
	consumers := d.queues(true)
	follow := &deadletter.Follow{
		Timeout:  r.FollowTimeout,
		Progress: r.FollowedProgress,
		Consumer: func(queue string) (string, bool) { name, ok := consumers[queue]; return name, ok },
		Standings: func(ctx context.Context, consumer string, keys []string) (map[string]deadletter.Standing, error) {
			found, err := ledger.Standings(ctx, consumer, keys)
			if err != nil {
				return nil, fmt.Errorf("look in the ledger for %d keys of %s: %w", len(keys), consumer, err)
			}
			all := make(map[string]deadletter.Standing, len(found))
			for key, s := range found {
				all[key] = deadletter.Standing(s)
			}
			return all, nil
		},
	}
	for _, delay := range d.Topology.Delays {
		follow.Retries = append(follow.Retries, d.Topology.Retry(delay))
	}
	return follow
}
