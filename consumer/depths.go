package consumer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/rabbitmq"
)

// depths counts the messages of the queues every few seconds, for the metrics and for Status.
type depths struct{ r *Runtime }

func (d depths) run(ctx context.Context) {
	const every = 5 * time.Second
	for {
		if s := d.r.session.Load(); s != nil {
			for _, p := range d.r.runners {
				if n, ok := d.count(s, p.queue, d.r.metrics.depth, &p.messages); ok && n == 0 {
					p.emptied.Store(time.Now().UnixNano())
				}
				d.count(s, d.r.topology.DeadLetterQueue(p.consumer.Name), d.r.metrics.deadLetters, &p.deadLetters)
			}
			for _, delay := range d.r.opts.RetryDelays {
				d.count(s, d.r.topology.Retry(delay), d.r.metrics.depth, nil)
			}
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}

// count counts the messages of a queue, for the metric and for keep, which may be nil. ok is false where it could not.
func (depths) count(s *session, queue string, g *prometheus.GaugeVec, keep *atomic.Int64) (n int, ok bool) {
	n, ok, err := rabbitmq.Depth(s.consume, queue)
	if err != nil || !ok {
		return 0, false // the session ends, or it passes: the next round will tell
	}
	g.WithLabelValues(queue).Set(float64(n))
	if keep != nil {
		keep.Store(int64(n))
	}
	return n, true
}
