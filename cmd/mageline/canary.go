package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/config"
	"github.com/mageline/mageline/deadletter"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/rabbitmq"
)

// lookAtFirst makes what --canary asks the ledger with; nil without --canary. The queue of a batch consumer is wrong usage.
func (f *replayFlags) lookAtFirst(ctx context.Context, cfg *config.Config, queue string) (*deadletter.Canary, func(), error) {
	if !f.canary {
		return nil, func() {}, nil
	}
	topology := rabbitmq.Topology{Prefix: cfg.QueuePrefix}
	consumers := map[string]string{} // by their queues
	for _, name := range config.ConsumerNames() {
		if c, _ := config.FindConsumer(name); !c.Batch {
			consumers[topology.Queue(name)] = name
			continue
		}
		if queue == topology.DeadLetterQueue(name) || f.to == topology.Queue(name) {
			return nil, nil, &exitError{exitUsage, fmt.Errorf(
				"--canary can't look at %s: it works on entries, and the ledger has no row for a message; replay one with --limit 1 first, and look", name)}
		}
	}
	if _, ok := consumers[f.to]; f.to != "" && !ok {
		return nil, nil, &exitError{exitUsage, fmt.Errorf(
			"--canary can't look at what goes to %s: it is no queue of a consumer that the ledger has rows of; replay one with --limit 1 first, and look", f.to)}
	}
	pool, err := pgxpool.New(ctx, cfg.DatabaseURL.Reveal())
	if err != nil {
		return nil, nil, failed(fmt.Errorf("open the database: %w", err))
	}
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: process(), Lease: cfg.IdempotencyLease, Log: zerolog.Nop()})
	canary := &deadletter.Canary{
		Timeout:  f.canaryTimeout,
		Consumer: func(queue string) (string, bool) { name, ok := consumers[queue]; return name, ok },
		Effects: func(ctx context.Context, consumer, key string) ([]deadletter.Effect, error) {
			rows, err := ledger.Rows(ctx, consumer, key)
			if err != nil {
				return nil, fmt.Errorf("look in the ledger for %s:%s: %w", consumer, key, err)
			}
			effects := make([]deadletter.Effect, 0, len(rows))
			for _, row := range rows {
				effects = append(effects, deadletter.Effect{
					Name: row.Key.Effect, State: strings.ReplaceAll(string(row.State), "_", " "),
					Over:  row.State == idempotency.Done || row.State == idempotency.Skipped,
					Claim: row.Number, Updated: row.Updated.UnixMicro(),
				})
			}
			return effects, nil
		},
	}
	return canary, func() { ledger.Close(); pool.Close() }, nil
}
