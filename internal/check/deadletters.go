package check

import (
	"context"
	"fmt"
	"time"

	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
)

// DeadLetters looks for letters that nobody has replayed, and whether the ledger still knows what they have done.
type DeadLetters struct {
	Options  rabbitmq.Options
	Topology rabbitmq.Topology
	Reader   interface {
		Overviews(ctx context.Context, queues []string) ([]deadletter.Overview, error)
	}
	// Retention is how long the ledger keeps keys.
	Retention time.Duration
}

const (
	lettersTimeout = 20 * time.Second
	// maxLetters is how many letters of a queue are read: all are, or none, because a queue keeps its order only if all
	// are requeued together.
	maxLetters = 10_000
)

// Check looks.
func (d DeadLetters) Check(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	conn, err := rabbitmq.Dial(ctx, d.Options, "mageline check")
	if err != nil {
		return []Finding{{Unknown, "dead letters", "can't be seen without RabbitMQ", "see the lines above"}}
	}
	defer context.AfterFunc(ctx, func() { rabbitmq.Close(conn) })()
	defer rabbitmq.Close(conn)
	var lines []Finding
	for _, s := range d.Topology.Consumers {
		queue := d.Topology.DeadLetterQueue(s.Consumer)
		n, there, err := rabbitmq.Depth(conn, queue)
		switch {
		case err != nil:
			lines = append(lines, Finding{Unknown, "dead letters in " + queue, inTime(ctx, err).Error(), "check again"})
		case there && n > 0:
			lines = append(lines, d.look(ctx, queue, n)...)
		}
	}
	if lines == nil {
		lines = append(lines, ok("dead letters", "none"))
	}
	return lines
}

func (d DeadLetters) look(ctx context.Context, queue string, n int) []Finding {
	subject := "dead letters in " + queue
	lines := []Finding{{
		Warn, subject, fmt.Sprintf("%d wait for somebody to replay them", n),
		"mageline dlq list " + queue + ", put right what they tell, then mageline --replay-dlq " + queue,
	}}
	age := Finding{Unknown, "age of the " + subject, "", "compare it with MAGELINE_IDEMPOTENCY_RETENTION: mageline dlq list " + queue}
	if n > maxLetters {
		age.Detail = "too many to be looked at here"
		return append(lines, age)
	}
	overviews, err := d.Reader.Overviews(ctx, []string{queue})
	switch {
	case err != nil:
		age.Detail = inTime(ctx, err).Error()
	case len(overviews) == 0:
		return lines // the queue is gone
	case overviews[0].Locked != nil:
		age.Detail = overviews[0].Locked.Error()
	case overviews[0].Oldest.IsZero():
		age.Detail = "the letters do not tell"
	default:
		if since := time.Since(overviews[0].Oldest); since >= d.Retention*3/4 {
			// A replay asks the downstream where the ledger knows nothing, so that nothing is lost yet.
			return append(lines, Finding{
				Warn, age.Subject,
				fmt.Sprintf("the oldest is %s old, keys are kept for %s: without them a replay can repeat what was done", since.Round(time.Minute), d.Retention),
				"replay or discard it before, or set MAGELINE_IDEMPOTENCY_RETENTION higher",
			})
		}
		return lines
	}
	return append(lines, age)
}
