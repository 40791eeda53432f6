package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
)

// DeadLetters are the dead letters of all consumers.
type DeadLetters struct {
	Reader    *deadletter.Reader // made with Help
	Consumers []config.Consumer
	Topology  rabbitmq.Topology // for names of queues: its prefix and its delays
	// Ledger opens the ledger for a replay that looks what becomes of its letters.
	Ledger func(ctx context.Context) (ledger *idempotency.Ledger, closeLedger func(), err error)
}

// Queue is a dead-letter queue at a glance.
type Queue struct {
	deadletter.Overview
	OldestAge int    `json:"oldest_age_seconds"`
	Locked    string `json:"locked,omitempty"` // who works on it; then the classes are not known
	// Keys says what the business keys of its letters are, in one word.
	Keys string `json:"-"`
}

// Queues looks into the dead-letter queues that there are.
func (d *DeadLetters) Queues(ctx context.Context) ([]Queue, error) {
	var queues []string
	keys := map[string]string{}
	for _, c := range d.Consumers {
		queue := d.Topology.DeadLetterQueue(c.Name)
		queues = append(queues, queue)
		keys[queue] = cmp.Or(c.Keys, "key")
	}
	overviews, err := d.Overviews(ctx, queues)
	if err != nil {
		return nil, err
	}
	all := make([]Queue, 0, len(overviews))
	for _, o := range overviews {
		q := Queue{Overview: o, Keys: keys[o.Queue]}
		if !o.Oldest.IsZero() {
			q.OldestAge = int(max(0, time.Since(o.Oldest)).Seconds())
		}
		if o.Locked != nil {
			q.Locked = o.Locked.Error()
		}
		all = append(all, q)
	}
	return all, nil
}

// Overviews looks into some queues.
func (d *DeadLetters) Overviews(ctx context.Context, queues []string) ([]deadletter.Overview, error) {
	all, err := d.Reader.Overviews(ctx, queues)
	return all, explained(err)
}

// List returns the letters of a queue that match.
func (d *DeadLetters) List(ctx context.Context, queue string, f deadletter.Filter) ([]deadletter.ListedLetter, error) {
	letters, err := d.Reader.List(ctx, queue, f)
	return letters, explained(err)
}

// Show returns each letter of a queue that has the id.
func (d *DeadLetters) Show(ctx context.Context, queue, id string) ([]deadletter.Shown, error) {
	letters, err := d.Reader.Show(ctx, queue, id)
	return letters, explained(err)
}

// Depth returns how many letters a queue has.
func (d *DeadLetters) Depth(ctx context.Context, queue string) (int, error) {
	n, err := d.Reader.Depth(ctx, queue)
	return n, explained(err)
}

// Discard drops letters once they are in a file.
func (d *DeadLetters) Discard(ctx context.Context, o deadletter.DiscardOptions) (deadletter.DiscardSummary, error) {
	summary, err := d.Reader.Discard(ctx, o)
	return summary, explained(err)
}

// Restore sends the letters of such a file back to their queues.
func (d *DeadLetters) Restore(ctx context.Context, in io.Reader, o deadletter.RestoreOptions) (deadletter.RestoreSummary, error) {
	summary, err := d.Reader.Restore(ctx, in, o)
	return summary, explained(err)
}

// explained adds to an error what the operator can do.
func explained(err error) error {
	var noQueue *deadletter.NoQueueError
	var noLetter *deadletter.NoLetterError
	var fragile *deadletter.FragileError
	switch {
	case errors.As(err, &noQueue):
		return fmt.Errorf("%w: see `mageline dlq list` for those that do", err)
	case errors.As(err, &noLetter):
		return fmt.Errorf("%w: see `mageline dlq list %s`", err, noLetter.Queue)
	case errors.As(err, &fragile):
		return fmt.Errorf("%w. Move them to another queue with a shovel of RabbitMQ's, delete this one, and `mageline topology` makes it as it should be", err)
	}
	return err
}

// Help returns what usually helps with a letter, for a person who has not seen such a one before. queue is where it lies.
func Help(l deadletter.Letter, queue, id string) string {
	keep := "keep it with `mageline dlq discard " + queue + " --id " + id + " --out FILE`"
	switch {
	case l.Reason == deadletter.CrashLoop:
		return "processes have died over it: look at their last lines in the log, and for OOMKilled; then replay it alone (--limit 1)"
	case event.Class(l.Class) == event.Malformed:
		return "can't be replayed with success: its body can't be read; tell whoever publishes it, have it sent again, and " + keep
	case !l.CanSucceed():
		return "can't be replayed with success: it names no order; ask whoever publishes it which one is meant, publish that with `mageline publish`, and " + keep
	}
	switch event.Class(l.Class) {
	case event.Malformed: // above
	case event.Invalid:
		return "put right what the error names, in Magento, in the settings or with a corrected event (`mageline publish`), then replay"
	case event.NotFound:
		return "look whether it is there by now: if so replay, else " + keep
	case event.Rejected:
		return "put right what the error says, there where it was refused, then replay with --canary"
	case event.Unauthorized:
		return "put right the credential or permission that the error names (`mageline check`), then replay"
	case event.Throttled:
		return "replay slowly, with --rate; set the downstream's rate limit"
	case event.Unavailable, event.Timeout:
		return "passing: replay with --canary when /readyz shows that the downstream answers"
	case event.Internal:
		return "a fault of mageline: look for the letter's id in the log, report it, replay after the update"
	}
	if l.Queue == "" {
		return "it does not say where it was consumed: replay it with --to QUEUE"
	}
	return "the broker has dead-lettered it (" + cmp.Or(l.Reason, "it does not say why") + "): `mageline check` finds policies and queues that do, then replay"
}
