package app

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/handlers/bulk"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/watermark"
)

// DeadLetters makes what works on dead letters. It connects to nothing yet, and logs nothing: whoever uses it tells what
// happens.
func DeadLetters(cfg *config.Config) (*operate.DeadLetters, error) {
	broker, err := Broker(cfg)
	if err != nil {
		return nil, err
	}
	topology := Topology(cfg)
	topics := map[string]string{}
	for _, s := range topology.Consumers {
		topics[topology.Queue(s.Consumer)] = s.Topics[0]
	}
	return &operate.DeadLetters{
		Reader: deadletter.New(deadletter.Options{
			Broker: broker, DatabaseURL: DirectURL(cfg), Prefix: cfg.QueuePrefix, Topics: topics, Host: Host(),
			Help: operate.Help, Log: zerolog.Nop(),
		}),
		Consumers: Consumers(),
		Topology:  topology,
		Ledger: func(ctx context.Context) (*idempotency.Ledger, func(), error) {
			return OpenLedger(ctx, cfg)
		},
	}, nil
}

// OpenWatermarks opens the versions of prices and stock, and the held prices, for a command. It connects to nothing yet.
func OpenWatermarks(ctx context.Context, cfg *config.Config) (store *watermark.Store, closeStore func(), err error) {
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	return Watermarks(cfg, db, pg.NewProcess(process())), db.Close, nil
}

// PriceQueue is the queue of price_sync.
func PriceQueue(cfg *config.Config) string { return Topology(cfg).Queue(bulk.PriceSync) }
