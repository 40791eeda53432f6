package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/config"
	"github.com/mageline/mageline/idempotency"
)

// openLedger opens the ledger for a command. It connects to nothing yet.
func openLedger(ctx context.Context, cfg *config.Config) (ledger *idempotency.Ledger, closeLedger func(), err error) {
	pool, err := pgxpool.New(ctx, cfg.DatabaseURL.Reveal())
	if err != nil {
		return nil, nil, failed(fmt.Errorf("open the database: %w", err))
	}
	ledger = idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: process(), Lease: cfg.IdempotencyLease, Log: zerolog.Nop()})
	return ledger, func() { ledger.Close(); pool.Close() }, nil
}
