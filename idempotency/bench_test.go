package idempotency_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/idempotency"
)

// BenchmarkClaimAndFinish compares the ledger with its limit: the two statements that a message would need without it.
// One op is one message.
func BenchmarkClaimAndFinish(b *testing.B) {
	url := database(b)
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 16
	p, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	var next atomic.Int64
	for _, handlers := range []int{1, 4, 16, 64, 256} {
		b.Run(fmt.Sprintf("ledger/handlers=%d", handlers), func(b *testing.B) {
			l := idempotency.Open(context.Background(), idempotency.Options{Pool: p, Process: "bench", Lease: time.Minute, Log: zerolog.Nop()})
			defer l.Close()
			b.ReportAllocs()
			each(b, handlers, func(ctx context.Context) error {
				_, _, err := l.Do(ctx, idempotency.Effect{Key: order(fmt.Sprint("l", next.Add(1)))}, done("SO"))
				return err
			})
		})
		b.Run(fmt.Sprintf("two-statements/handlers=%d", handlers), func(b *testing.B) {
			b.ReportAllocs()
			each(b, handlers, func(ctx context.Context) error {
				key := fmt.Sprint("s", next.Add(1))
				if _, err := p.Exec(ctx, `
INSERT INTO effect VALUES ('order_placed', $1, 'create', 'in_progress', 'bench', 1, now(), NULL, false, '', '', '', now(), now())
ON CONFLICT DO NOTHING`, key); err != nil {
					return err
				}
				_, err := p.Exec(ctx, `
UPDATE effect SET state = 'done', result = 'SO', updated_at = now()
WHERE consumer = 'order_placed' AND key = $1 AND effect = 'create' AND claim = 1`, key)
				return err
			})
		})
	}
}

// each runs do b.N times in that many goroutines.
func each(b *testing.B, goroutines int, do func(context.Context) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	errs := make(chan error, goroutines)
	b.ResetTimer()
	for range goroutines {
		go func() {
			for left.Add(-1) >= 0 {
				if err := do(context.Background()); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
