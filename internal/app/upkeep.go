package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/periodic"
)

// retention deletes keys that are older than IDEMPOTENCY_RETENTION, once an hour.
func (s *Service) retention() periodic.Task {
	return periodic.Task{Name: "retention", Every: time.Hour, Run: func(ctx context.Context) error {
		deleted, err := s.ledger.Retain(ctx, s.cfg.IdempotencyRetention)
		if deleted > 0 {
			zerolog.Ctx(ctx).Info().Str("event", "keys_deleted").Int64("deleted", deleted).Msg("keys older than IDEMPOTENCY_RETENTION were deleted")
		}
		return err
	}}
}

// longWait is how long an order may wait before /readyz names it.
const longWait = 24 * time.Hour

// longWaiting counts the orders that have waited for longer, and has when the first of them began.
type longWaiting struct {
	orders int
	since  time.Time
}

// gauges reads the numbers that only Postgres has.
func (s *Service) gauges(registerer prometheus.Registerer) periodic.Task {
	keys := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mageline_keys", Help: "Rows of the ledger by state.",
	}, []string{"state"})
	waiting := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mageline_orders_waiting", Help: "Orders that may not go out yet, by Magento's state.",
	}, []string{"state"})
	registerer.MustRegister(keys, waiting)
	return periodic.Task{Name: "gauges", Every: 15 * time.Second, Shared: true, Run: func(ctx context.Context) error {
		counts, sampled, err := s.ledger.Counts(ctx)
		if err != nil {
			return err
		}
		states, err := s.book.WaitingByState(ctx)
		if err != nil {
			return err
		}
		if sampled { // what waits are orders, of which the number is known
			counts[idempotency.Waiting] = 0
			for _, n := range states {
				counts[idempotency.Waiting] += n
			}
		}
		keys.Reset()
		for state, n := range counts {
			keys.WithLabelValues(string(state)).Set(float64(n))
		}
		waiting.Reset()
		for state, n := range states {
			waiting.WithLabelValues(state).Set(float64(n))
		}
		long := &longWaiting{}
		if long.orders, long.since, err = s.book.WaitingLonger(ctx, longWait); err != nil {
			return err
		}
		s.longWaiting.Store(long)
		return nil
	}}
}
