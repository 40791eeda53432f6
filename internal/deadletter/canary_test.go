package deadletter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// What can't be seen to have gone well is not through, and the rest stays in its order.
func TestCanary_ExplainsWhyItIsNotThrough(t *testing.T) {
	done := []LedgerRow{{Name: "create", State: "done", Over: true, Claim: 1, Updated: 1}}
	for _, test := range []struct {
		name, says string
		effects    []LedgerRow
		change     func(*testQueue, *amqp.Publishing)
	}{
		{"nothing known", "has no row of order_placed:000000000", nil, nil},
		{"open", "as comment uncertain, create done", append([]LedgerRow{{Name: "comment", State: "uncertain"}}, done...), nil},
		{"done before and not taken", "it is not seen that a consumer has taken the letter", done, nil},
		{"no key", "no x-mageline-key", done, func(_ *testQueue, p *amqp.Publishing) { delete(p.Headers, rabbitmq.HeaderKey) }},
		{"of no consumer", "have no row in the ledger", done, func(l *testQueue, p *amqp.Publishing) {
			p.Headers[rabbitmq.HeaderQueue] = l.Queue("price_sync")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newTestQueue(t)
			first := l.dead(0, "rejected")
			if test.change != nil {
				test.change(l, &first)
			}
			l.Send(l.dlq, first)
			l.Send(l.dlq, l.dead(1, "rejected"))
			l.Send(l.dlq, l.dead(2, "rejected"))
			sum, err := l.replay(ReplayOptions{Canary: &Canary{
				Timeout:  3 * time.Second, // more than the rows must be steady
				Consumer: func(queue string) (string, bool) { return "order_placed", queue == l.work },
				Effects:  func(context.Context, string, string) ([]LedgerRow, error) { return test.effects, nil },
			}})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
			gone := 1
			var canary *CanaryError
			var none *NoCanaryError
			if errors.As(err, &none) {
				gone = 0
			} else if !errors.As(err, &canary) {
				t.Errorf("it ended with %v", err)
			}
			if sum.Replayed != gone {
				t.Errorf("%s, want %d replayed", sum, gone)
			}
			l.awaitDepth(l.dlq, 3-gone)
			if got := ids(l.drain(l.dlq, 3-gone)); !slices.Equal(got, []string{"m0", "m1", "m2"}[gone:]) {
				t.Errorf("left are %v", got)
			}
		})
	}
}
