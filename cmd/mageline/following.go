package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
)

// canaryFor makes what --canary asks the ledger with; nil without --canary. The queue of a batch consumer is wrong usage.
func (f *replayFlags) canaryFor(cfg *config.Config, queue string) (*deadletter.Canary, error) {
	if !f.canary {
		return nil, nil
	}
	topology := rabbitmq.Topology{Prefix: cfg.QueuePrefix}
	consumers := map[string]string{} // by their queues
	for _, c := range app.Consumers() {
		name := c.Name
		if !c.Batch {
			consumers[topology.Queue(name)] = name
			continue
		}
		if queue == topology.DeadLetterQueue(name) || f.to == topology.Queue(name) {
			return nil, &exitError{exitUsage, fmt.Errorf(
				"--canary can't look at %s: it works on entries, and the ledger has no row for a message; replay one with --limit 1 first, and look", name)}
		}
	}
	if _, ok := consumers[f.to]; f.to != "" && !ok {
		return nil, &exitError{exitUsage, fmt.Errorf(
			"--canary can't look at what goes to %s: it is no queue of a consumer that the ledger has rows of; replay one with --limit 1 first, and look", f.to)}
	}
	return &deadletter.Canary{
		Timeout:  f.canaryTimeout,
		Consumer: func(queue string) (string, bool) { name, ok := consumers[queue]; return name, ok },
	}, nil
}

// effects reads the ledger's rows for a canary.
func effects(ledger *idempotency.Ledger) func(ctx context.Context, consumer, key string) ([]deadletter.LedgerRow, error) {
	return func(ctx context.Context, consumer, key string) ([]deadletter.LedgerRow, error) {
		rows, err := ledger.Rows(ctx, consumer, key)
		if err != nil {
			return nil, fmt.Errorf("look in the ledger for %s:%s: %w", consumer, key, err)
		}
		all := make([]deadletter.LedgerRow, 0, len(rows))
		for _, row := range rows {
			all = append(all, deadletter.LedgerRow{
				Name: row.Key.Effect, State: strings.ReplaceAll(string(row.State), "_", " "),
				Over:  row.State == idempotency.Done || row.State == idempotency.Skipped,
				Claim: row.Number, Updated: row.Updated.UnixMicro(),
			})
		}
		return all, nil
	}
}

// followFor makes what --wait looks with; nil without --wait.
func (f *replayFlags) followFor(cfg *config.Config) *deadletter.Follow {
	if !f.wait {
		return nil
	}
	topology := rabbitmq.Topology{Prefix: cfg.QueuePrefix}
	consumers := map[string]string{} // by their queues
	for _, name := range app.ConsumerNames() {
		consumers[topology.Queue(name)] = name
	}
	follow := &deadletter.Follow{
		Timeout:  f.waitTimeout,
		Consumer: func(queue string) (string, bool) { name, ok := consumers[queue]; return name, ok },
	}
	for _, delay := range cfg.RetryDelays {
		follow.Retries = append(follow.Retries, topology.Retry(delay))
	}
	return follow
}

// standings reads how business keys stand for --wait.
func standings(ledger *idempotency.Ledger) func(ctx context.Context, consumer string, keys []string) (map[string]deadletter.Standing, error) {
	return func(ctx context.Context, consumer string, keys []string) (map[string]deadletter.Standing, error) {
		found, err := ledger.Standings(ctx, consumer, keys)
		if err != nil {
			return nil, fmt.Errorf("look in the ledger for %d keys of %s: %w", len(keys), consumer, err)
		}
		all := make(map[string]deadletter.Standing, len(found))
		for key, s := range found {
			all[key] = deadletter.Standing(s)
		}
		return all, nil
	}
}
