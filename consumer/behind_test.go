package consumer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
)

// A message that takes long does not keep those behind it from being acknowledged, though the prefetch has room for more.
func TestAcker_AcknowledgesBehindAnOpenDelivery(t *testing.T) {
	t.Parallel()
	const before, behind = 200, 5
	release := make(chan struct{})
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		if strings.Contains(string(e.Body), "slow") {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return event.Done, nil
	})
	r.opts.Prefetch, r.opts.Concurrency = 64, 8
	r.start()
	for n := range before {
		r.Publish(placed, numbered(n))
	}
	r.eventually("the prefetch has grown", func() bool { return r.settled(orders, "acked") == before })
	r.Publish(placed, `{"increment_id":"slow"}`)
	for n := range behind {
		r.Publish(placed, numbered(before+n))
	}
	r.eventually("those behind it are acknowledged", func() bool { return r.settled(orders, "acked") == before+behind })
	close(release)
	r.eventually("all are", func() bool { return r.settled(orders, "acked") == before+behind+1 })
}
