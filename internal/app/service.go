package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/tracing"
)

// Service is everything of a running mageline.
type Service struct {
	cfg      *config.Config
	version  string
	registry *prometheus.Registry
	log      zerolog.Logger
	secrets  *config.Secrets
	db       *pg.DB
	ledger   *idempotency.Ledger
	book     *orderbook.Book
	remotes  *remotes
	runtime  *consumer.Runtime
	pauses   *pauses
	notSent  *handlers.NotSent // nil unless ORDER_COMMENT_FAILED is set and a consumer of orders is enabled
	rules    handlers.OrderRules
	export   handlers.ExportRules
	stores   *handlers.Stores // nil without a shop
	// tasks and background are those of the consumers, and the service's own.
	tasks      []periodic.Task
	background []func(ctx context.Context)
	problems   []func() []string
	// longWaiting is nil until the gauges have read it.
	longWaiting atomic.Pointer[longWaiting]
	// held is nil until it was counted, or without price_sync.
	held atomic.Pointer[heldPrices]
	bulk *volume // nil without price_sync and stock_sync
	// changes has products read again after a change.
	changes *documents.Changes
}

// topologyEvery is how often the topology is declared again, 0 for the default; the program that test/e2e builds has another
// (hang.go).
var topologyEvery time.Duration

// New builds the service. It connects to nothing yet: Run waits for what is away at start.
func New(ctx context.Context, cfg *config.Config, version string, log zerolog.Logger, registry *prometheus.Registry) (*Service, error) {
	return registered.service(ctx, cfg, version, log, registry)
}

func (r registry) service(ctx context.Context, cfg *config.Config, version string, log zerolog.Logger, registry *prometheus.Registry) (*Service, error) {
	s := &Service{cfg: cfg, version: version, registry: registry, log: log, secrets: config.NewSecrets(cfg, log)}
	broker, err := newestBroker(cfg, s.secrets, log)
	if err != nil {
		return nil, err
	}
	if s.remotes, err = wireRemotes(cfg, s.secrets, version, log, registry); err != nil {
		return nil, err
	}
	if s.db, err = s.openDatabase(ctx); err != nil {
		return nil, err
	}
	s.book = orderbook.New(s.db)
	s.ledger = idempotency.Open(ctx, idempotency.Options{
		Pool: s.db, Process: process(), Lease: cfg.IdempotencyLease, Log: log, Registerer: registry,
		Projections: []idempotency.Projection{s.book},
	})

	s.changes = changes(cfg, s.db)
	s.pauses = &pauses{
		db: s.db, log: log,
		tell: func(reasons map[string]string) { s.runtime.SetPauses(reasons) },
		resumed: func(name string) {
			s.remotes.resume(name)
			s.runtime.Resumed(name)
		},
	}

	s.rules, s.export = orderRules(cfg)
	s.rules.Tolerance = s.remotes.tolerance()
	if s.remotes.shop != nil {
		s.stores = &handlers.Stores{Reader: s.remotes.shop.Stores, Location: cfg.MagentoTimezone.Location}
	}
	options := consumer.Options{
		Broker: broker, Exchange: cfg.AMQPExchange, Prefix: cfg.QueuePrefix, QueueType: string(cfg.QueueType),
		Database: s.database(),
		Suspects: s.ledger, Lease: cfg.IdempotencyLease, MemoryLimit: int64(cfg.MemoryLimit),
		Limits:      consumer.Limits{Prefetch: cfg.Prefetch, Concurrency: cfg.Concurrency, HandlerTimeout: cfg.HandlerTimeout},
		LookEvery:   topologyEvery,
		RetryDelays: cfg.RetryDelays, ShutdownTimeout: cfg.ShutdownTimeout, ProbeEvery: cfg.BreakerOpenFor,
		Host: Host(), Version: version, Log: log, Registerer: registry, TracerProvider: tracing.Provider(),
	}
	for _, d := range s.remotes.all() {
		options.Circuits = append(options.Circuits, d)
	}
	if cfg.AMQPManagementURL != "" {
		options.Bound = s.bound(broker)
	}
	for _, one := range r.enabled(cfg) {
		w := one.wire(s)
		w.Name, w.Topics, w.Needs = one.Name, one.Topics, one.Needs
		options.Consumers = append(options.Consumers, w.Consumer)
		s.tasks = append(s.tasks, w.tasks...)
		s.background = append(s.background, w.background...)
		if w.problems != nil {
			s.problems = append(s.problems, w.problems)
		}
	}
	s.tasks = append(s.tasks, s.retention(), s.gauges(registry))
	if s.runtime, err = consumer.New(options); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends what New has begun.
func (s *Service) Close() {
	s.ledger.Close()
	s.db.Close()
	s.remotes.close()
}

// live writes the process's heartbeat until ctx ends. Without it other processes take this one for dead, and the messages that
// it handles for suspects.
func (s *Service) live(ctx context.Context) {
	const every = 5 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !s.pauses.begun() {
			continue // the schema may not be there yet
		}
		if err := s.ledger.Live(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug().Str("event", "heartbeat_failed").Err(err).Msg("the heartbeat could not be written") // the runtime says that Postgres is away
		}
	}
}

// leave records that the process ends in order, so that the messages it handled last are no suspects.
func (s *Service) leave(ctx context.Context) {
	if !s.pauses.begun() {
		return // it has never used Postgres
	}
	if err := s.ledger.Leave(context.WithoutCancel(ctx)); err != nil {
		s.log.Warn().Str("event", "end_not_recorded").Err(err).Msg("could not record in Postgres that this process ends in order")
	}
}
