package app

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
)

// OpenLedger opens the ledger for a command. It connects to nothing yet.
func OpenLedger(ctx context.Context, cfg *config.Config) (ledger *idempotency.Ledger, closeLedger func(), err error) {
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	ledger = idempotency.Open(ctx, idempotency.Options{Pool: db, Process: process(), Lease: cfg.IdempotencyLease, Log: zerolog.Nop()})
	return ledger, func() { ledger.Close(); db.Close() }, nil
}
