package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/rabbitmq"
)

// NewLog makes the log that the configuration asks for.
func NewLog(cfg *config.Config, w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.DurationFieldUnit = time.Second
	level, err := zerolog.ParseLevel(string(cfg.LogLevel))
	if err != nil {
		level = zerolog.InfoLevel // config has checked it
	}
	if cfg.LogFormat == config.Console {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// process names this process to the others.
func process() string {
	return Host() + "/" + strconv.Itoa(os.Getpid())
}

// Host names this machine.
func Host() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// Broker says how RabbitMQ is reached.
func Broker(cfg *config.Config) (rabbitmq.Options, error) {
	tls, err := rabbitmq.LoadTLS(cfg.AMQPCAFile, cfg.AMQPCertFile, cfg.AMQPKeyFile)
	if err != nil {
		return rabbitmq.Options{}, fmt.Errorf("the files of MAGELINE_AMQP_CA_FILE, MAGELINE_AMQP_CERT_FILE, MAGELINE_AMQP_KEY_FILE: %w", err)
	}
	return rabbitmq.Options{URL: cfg.AMQPURL.Reveal(), TLS: tls, Settings: rabbitmq.Settings{
		URL: "MAGELINE_AMQP_URL", CA: "MAGELINE_AMQP_CA_FILE", Cert: "MAGELINE_AMQP_CERT_FILE", Key: "MAGELINE_AMQP_KEY_FILE",
	}}, nil
}

// newestBroker gives each new connection what the files of secrets and certificates hold by then. Certificates that can't be
// used, as while cert and key are being replaced, leave those from before.
func newestBroker(cfg *config.Config, s *config.Secrets, log zerolog.Logger) (rabbitmq.Options, error) {
	o, err := Broker(cfg)
	if err != nil {
		return o, err
	}
	var mu sync.Mutex
	last := o.TLS
	o.Newest = func() (string, *tls.Config) {
		mu.Lock()
		defer mu.Unlock()
		if fresh, err := Broker(cfg); err == nil {
			last = fresh.TLS
		} else {
			log.Warn().Str("event", "certificate_unusable").Err(err).Msg("a certificate's file can't be used: the certificates from before are used")
		}
		url := s.Newest(&cfg.AMQPURL, func(url string) error { _, err := rabbitmq.ParseURL(url); return err })
		return url, last
	}
	return o, nil
}

// Dial connects to RabbitMQ for a command, under a name that its operator sees.
func Dial(ctx context.Context, cfg *config.Config, name string) (*amqp.Connection, error) {
	o, err := Broker(cfg)
	if err != nil {
		return nil, err
	}
	return rabbitmq.Dial(ctx, o, name)
}

// Topology has the exchanges, queues and bindings of the enabled consumers.
func Topology(cfg *config.Config) rabbitmq.Topology {
	t := rabbitmq.Topology{
		Exchange: cfg.AMQPExchange, Prefix: cfg.QueuePrefix, Type: string(cfg.QueueType), Delays: cfg.RetryDelays,
	}
	for _, c := range cfg.EnabledConsumers() {
		t.Consumers = append(t.Consumers, rabbitmq.ConsumerQueue{Consumer: c.Name, Topics: c.Topics})
	}
	return t
}

// remotes are the remote APIs, with the clients that speak to them.
type remotes struct {
	magento, erp *downstream.Downstream
	shop         *magentoapi.Client
	connector    erp.OrderConnector // nil without one
}

// wireRemotes makes clients for what the enabled consumers need; it connects to nothing.
func wireRemotes(cfg *config.Config, secrets *config.Secrets, version string, log zerolog.Logger, registerer prometheus.Registerer) (*remotes, error) {
	tracer := otel.Tracer("github.com/mageline/mageline/internal/downstream")
	r := &remotes{
		magento: downstream.New(downstream.Options{
			Name: config.DownstreamMagento, Variable: "MAGELINE_MAGENTO_URL", Timeout: cfg.MagentoTimeout, RateLimit: cfg.MagentoRateLimit,
			Failures: cfg.BreakerFailures, OpenFor: cfg.BreakerOpenFor,
			Registerer: registerer, Tracer: tracer, Log: log,
		}),
		erp: downstream.New(downstream.Options{
			Name: config.DownstreamERP, Variable: "MAGELINE_ERP_URL", Timeout: cfg.ERPTimeout, RateLimit: cfg.ERPRateLimit, Concurrency: cfg.ERPConcurrency,
			Failures: cfg.BreakerFailures, OpenFor: cfg.BreakerOpenFor,
			Registerer: registerer, Tracer: tracer, Log: log,
		}),
	}
	var err error
	if cfg.MagentoURL != "" {
		r.shop, err = magentoapi.New(cfg.MagentoURL, magentoapi.Options{
			HTTPClient: r.magento.Client(), StoreCode: cfg.MagentoStoreCode, Auth: credential(cfg, secrets),
			UserAgent: "mageline/" + version,
			// Repeating is decided in one place, package consumer, behind the circuit breaker in the transport: a second
			// loop in here would multiply the attempts, and hold a handler while its circuit opens.
			Retries: magentoapi.NoRetries,
			OnOdd:   handlers.LogOdd,
		})
		if err != nil {
			return nil, err
		}
	}
	if r.connector, err = wireERP(cfg, secrets, r.erp); err != nil {
		return nil, err
	}
	return r, nil
}

// erpClient is what the ERP is called with; the program that test/e2e builds has another (hang.go).
var erpClient = (*downstream.Downstream).Client

// resume ends what a downstream's next call waits for; the name of anything else does nothing.
func (r *remotes) resume(name string) {
	for _, d := range []*downstream.Downstream{r.magento, r.erp} {
		if d.Name() == name {
			d.Resume()
		}
	}
}

func (r *remotes) close() {
	r.magento.Close()
	r.erp.Close()
}

// credential is the one of the three that is configured.
func credential(cfg *config.Config, secrets *config.Secrets) magentoapi.Credential {
	secret := func(s *config.Secret) magentoapi.Secret {
		value := secrets.Value(s)
		return func() (string, error) { return value(), nil }
	}
	switch {
	case cfg.MagentoToken != "":
		return magentoapi.Bearer(secret(&cfg.MagentoToken))
	case cfg.MagentoConsumerKey != "":
		return magentoapi.OAuth1(secret(&cfg.MagentoConsumerKey), secret(&cfg.MagentoConsumerSecret), secret(&cfg.MagentoAccessToken), secret(&cfg.MagentoAccessTokenSecret))
	default:
		return magentoapi.AdminToken(cfg.MagentoUsername, secret(&cfg.MagentoPassword))
	}
}

// Service is everything of a running mageline.
type Service struct {
	cfg      *config.Config
	version  string
	registry *prometheus.Registry
	log      zerolog.Logger
	secrets  *config.Secrets
	db       *pg.DB
	ledger   *idempotency.Ledger
	remotes  *remotes
	runtime  *consumer.Runtime
	pauses   *pauses
	notSent  *handlers.NotSent // nil where Magento is not told
	rules    handlers.OrderRules
	export   handlers.ExportRules
	// tasks and background are those of the consumers, and the service's own.
	tasks      []periodic.Task
	background []func(ctx context.Context)
	// longWaiting is nil until it has been looked for.
	longWaiting atomic.Pointer[longWaiting]
}

// New builds the service of a version of mageline. It connects to nothing yet: what is away at start is waited for.
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
	s.ledger = idempotency.Open(ctx, idempotency.Options{
		Pool: s.db, Process: process(), Lease: cfg.IdempotencyLease, Log: log, Registerer: registry,
	})

	s.pauses = &pauses{
		db: s.db, log: log,
		tell: func(reasons map[string]string) { s.runtime.SetPauses(reasons) },
		resumed: func(name string) {
			s.remotes.resume(name)
			s.runtime.Resumed(name)
		},
	}

	s.rules, s.export = orderRules(cfg)
	options := consumer.Options{
		Broker: broker, Exchange: cfg.AMQPExchange, Prefix: cfg.QueuePrefix, QueueType: string(cfg.QueueType),
		Circuits: []circuit.Breaker{s.remotes.magento, s.remotes.erp}, Database: s.database(),
		Suspects: s.ledger, Lease: cfg.IdempotencyLease, MemoryLimit: int64(cfg.MemoryLimit),
		Limits:      consumer.Limits{Prefetch: cfg.Prefetch, Concurrency: cfg.Concurrency, HandlerTimeout: cfg.HandlerTimeout},
		RetryDelays: cfg.RetryDelays, ShutdownTimeout: cfg.ShutdownTimeout, ProbeEvery: cfg.BreakerOpenFor,
		Host: Host(), Version: version, Log: log, Registerer: registry, TracerProvider: otel.GetTracerProvider(),
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
	}
	s.tasks = append(s.tasks, s.retention(), s.gauges(registry))
	if s.runtime, err = consumer.New(options); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// bound asks RabbitMQ's management API with which topics a queue is bound.
func (s *Service) bound(broker rabbitmq.Options) func(ctx context.Context, queue string) ([]string, error) {
	valid := func(address string) error { _, err := rabbitmq.NewManagement(address, broker); return err }
	return func(ctx context.Context, queue string) ([]string, error) {
		m, err := rabbitmq.NewManagement(s.secrets.Newest(&s.cfg.AMQPManagementURL, valid), broker)
		if err != nil {
			return nil, fmt.Errorf("MAGELINE_AMQP_MANAGEMENT_URL %w", err)
		}
		defer m.Close()
		return m.Topics(ctx, queue, s.cfg.AMQPExchange)
	}
}

// Close ends what New has begun.
func (s *Service) Close() {
	s.ledger.Close()
	s.db.Close()
	s.remotes.close()
}

// database gives the question whether the ledger can be used: the schema is there, brought up to date by the first
// call that succeeds, Postgres answers and knows that this process lives, and what an operator has paused is known before
// anything is consumed.
func (s *Service) database() func(ctx context.Context) error {
	upToDate := false
	return func(ctx context.Context) error {
		if !upToDate {
			if err := s.schema(ctx); err != nil {
				return err
			}
			upToDate = true
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := s.ledger.Ready(ctx); err != nil {
			return ExplainPostgres(err, databaseVariable)
		}
		if err := s.rights(ctx); err != nil {
			return err
		}
		if err := s.ledger.Live(ctx); err != nil {
			return ExplainPostgres(err, databaseVariable)
		}
		return ExplainPostgres(s.pauses.read(ctx), databaseVariable)
	}
}

// live gives signs of life until ctx ends; without them other processes would take the messages that this one handles for
// what has killed it.
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
			s.log.Debug().Str("event", "heartbeat_failed").Err(err).Msg("could not give a sign of life") // the runtime says that Postgres is away
		}
	}
}

// leave says that the process ends in order.
func (s *Service) leave(ctx context.Context) {
	if !s.pauses.begun() {
		return // it has never used Postgres
	}
	if err := s.ledger.Leave(context.WithoutCancel(ctx)); err != nil {
		s.log.Warn().Str("event", "end_not_recorded").Err(err).Msg("could not note in Postgres that this process ends in order")
	}
}

func (s *Service) schema(ctx context.Context) error {
	if s.cfg.Migrate {
		applied, err := migrations.Up(ctx, s.directURL())
		for _, m := range applied {
			s.log.Info().Str("event", "migration_applied").Str("migration", m.File).Msg("applied")
		}
		return ExplainPostgres(err, DirectVariable(s.cfg))
	}
	pending, err := migrations.Pending(ctx, s.db)
	if err != nil {
		return ExplainPostgres(err, databaseVariable)
	}
	if pending {
		return errors.New("the database schema is not up to date and MAGELINE_MIGRATE is false: run `mageline migrate`")
	}
	return nil
}

// retention forgets old keys, an hour's worth at a time.
func (s *Service) retention() periodic.Task {
	return periodic.Task{Name: "retention", Every: time.Hour, Run: func(ctx context.Context) error {
		deleted, err := s.ledger.Retain(ctx, s.cfg.IdempotencyRetention)
		if deleted > 0 {
			zerolog.Ctx(ctx).Info().Str("event", "keys_deleted").Int64("deleted", deleted).Msg("forgot keys older than IDEMPOTENCY_RETENTION")
		}
		return err
	}}
}

// longWait is how long an order may wait until it may go out before somebody should hear of it.
const longWait = 24 * time.Hour

// longWaiting are the orders that have waited for longer, and since when the first of them has.
type longWaiting struct {
	orders int
	since  time.Time
}

// gauges keeps the numbers that only the database knows.
func (s *Service) gauges(registerer prometheus.Registerer) periodic.Task {
	keys := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mageline_keys", Help: "Rows of the ledger by state.",
	}, []string{"state"})
	waiting := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mageline_orders_waiting", Help: "Orders that may not go out yet, by Magento's state.",
	}, []string{"state"})
	registerer.MustRegister(keys, waiting)
	return periodic.Task{Name: "gauges", Every: 15 * time.Second, Shared: true, Run: func(ctx context.Context) error {
		counts, err := s.ledger.Counts(ctx)
		if err != nil {
			return err
		}
		keys.Reset()
		for state, n := range counts {
			keys.WithLabelValues(string(state)).Set(float64(n))
		}
		states, err := s.ledger.OrdersWaiting(ctx)
		if err != nil {
			return err
		}
		waiting.Reset()
		for state, n := range states {
			waiting.WithLabelValues(state).Set(float64(n))
		}
		long := &longWaiting{}
		if long.orders, long.since, err = s.ledger.WaitingLonger(ctx, longWait); err != nil {
			return err
		}
		s.longWaiting.Store(long)
		return nil
	}}
}
