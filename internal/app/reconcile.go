package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/pause"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/reconcile"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/rabbitmq"
)

// reconciledTopic is that of the events which reconcile sends.
const reconciledTopic = "sales.order.placed"

func comparison(cfg *config.Config, orders reconcile.Orders, ledger *idempotency.Ledger) *reconcile.Comparison {
	return &reconcile.Comparison{
		Orders: orders, Ledger: ledger, Key: mapping.KeyRule(cfg.OrderKey), AllowsStore: cfg.OrderExportStores.Allow,
		Consumer: handlers.OrderPlaced, Effect: handlers.CreateEffect,
	}
}

// reconcile looks for orders whose event never came.
func (s *Service) reconcile() periodic.Task {
	task := &reconcile.Task{
		Comparison: comparison(s.cfg, s.remotes.shop.Orders, s.ledger), Progress: reconcile.NewStore(s.db),
		From: s.cfg.OrderExportFrom.Time, Retention: s.cfg.IdempotencyRetention,
		Send: func(ctx context.Context, body []byte) error {
			return s.runtime.Publisher().SendReconciled(ctx, handlers.OrderPlaced, reconciledTopic, body)
		},
		Quiet: func(windowEnd time.Time) string {
			queue := s.runtime.Status().Consumers[handlers.OrderPlaced]
			paused := ""
			if queue.State != "subscribed" {
				paused = handlers.OrderPlaced + " is " + queue.State + ": " + queue.Reason
			}
			return reconcile.Quiet(paused, queue.Emptied, windowEnd)
		},
		Published: func(ctx context.Context, row reconcile.Row) {
			zerolog.Ctx(ctx).Warn().Str("event", "order_missing").Bool("journal", true).Str("key", row.Key).Int64("entity_id", row.EntityID).
				Time("created_at", row.Created).Msg("no event for the order has ever been handled: one is sent")
		},
	}
	return periodic.Task{Name: "reconcile", Every: s.cfg.ReconcileEvery, Run: func(ctx context.Context) error {
		counts, published, err := task.Run(ctx)
		if err != nil {
			return err
		}
		zerolog.Ctx(ctx).Debug().Str("event", "reconciled").Int("published", published).
			Int("missing", counts[reconcile.Missing]).Int("open", counts[reconcile.Open]).Int("done", counts[reconcile.Done]).
			Msg("Magento's orders were compared with the ledger")
		return nil
	}}
}

// Reconciliation is what a command compares Magento, the ledger and the ERP with.
type Reconciliation struct {
	*reconcile.Comparison
	*reconcile.Store
	// Find looks an order up in the ERP; nil without one. Prefix is that of its references.
	Find   reconcile.Lookup
	Prefix string

	cfg       *config.Config
	db        *pg.DB
	ledger    *idempotency.Ledger
	remotes   *remotes
	publisher *rabbitmq.Publisher
	conn      *amqp.Connection
}

// OpenReconciliation makes one. It connects to nothing yet.
func OpenReconciliation(ctx context.Context, cfg *config.Config, version string) (*Reconciliation, error) {
	if cfg.MagentoURL == "" {
		return nil, errors.New("there is no Magento to compare with: set MAGELINE_MAGENTO_URL")
	}
	calm := *cfg
	calm.BreakerFailures = 0 // one answer that fails ends the command anyway
	remotes, err := wireRemotes(&calm, config.NewSecrets(&calm, zerolog.Nop()), version, zerolog.Nop(), nil)
	if err != nil {
		return nil, err
	}
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		remotes.close()
		return nil, err
	}
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: db, Process: process(), Lease: cfg.IdempotencyLease, Log: zerolog.Nop()})
	r := &Reconciliation{
		Comparison: comparison(cfg, remotes.shop.Orders, ledger), Store: reconcile.NewStore(db), Prefix: cfg.ERPReferencePrefix,
		cfg: cfg, db: db, ledger: ledger, remotes: remotes,
	}
	if remotes.connector != nil {
		r.Find = func(ctx context.Context, reference string) (numbers []string, err error) {
			documents, err := remotes.connector.Find(ctx, reference)
			for _, d := range documents {
				numbers = append(numbers, d.Number)
			}
			return numbers, err
		}
	}
	return r, nil
}

// Quiet reports why nothing may be published now; "" if it may. It looks at the queue itself: which circuits are open only the
// replicas know, and with one open nobody is subscribed.
func (r *Reconciliation) Quiet(ctx context.Context) (reason string, err error) {
	pauses, err := pause.List(ctx, r.db)
	if err != nil {
		return "", err
	}
	for _, p := range pauses {
		if p.Name == handlers.OrderPlaced || p.Name == config.DownstreamMagento || p.Name == config.DownstreamERP {
			return p.Reason(), nil
		}
	}
	if err := r.connect(ctx); err != nil {
		return "", err
	}
	ch, err := r.conn.Channel()
	if err != nil {
		return "", rabbitmq.Explain(err)
	}
	defer ch.Close() //nolint:errcheck // it may be closed already
	name := Topology(r.cfg).Queue(handlers.OrderPlaced)
	queue, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
	switch {
	case err != nil:
		return "", fmt.Errorf("look at queue %s: %w", name, rabbitmq.Explain(err))
	case queue.Consumers == 0:
		return "nobody is subscribed to queue " + name + ": mageline does not run, or has paused it", nil
	case queue.Messages > 0:
		return fmt.Sprintf("queue %s has %d messages: the events may be among them", name, queue.Messages), nil
	}
	return "", nil
}

// Send publishes an event for an order to the queue of order_placed.
func (r *Reconciliation) Send(ctx context.Context, body []byte) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	return rabbitmq.Explain(r.publisher.Publish(ctx, "", Topology(r.cfg).Queue(handlers.OrderPlaced), amqp.Publishing{
		Headers: rabbitmq.Reconciled(reconciledTopic, time.Now()), ContentType: "application/json", DeliveryMode: amqp.Persistent,
		Timestamp: time.Now(), Body: body,
	}))
}

func (r *Reconciliation) connect(ctx context.Context) (err error) {
	if r.publisher != nil {
		return nil
	}
	if r.conn, err = Dial(ctx, r.cfg, "mageline reconcile"); err != nil {
		return err
	}
	if r.publisher, err = rabbitmq.NewPublisher(r.conn); err != nil {
		rabbitmq.Close(r.conn)
	}
	return err
}

// Close ends what OpenReconciliation and Send have begun.
func (r *Reconciliation) Close() {
	if r.publisher != nil {
		r.publisher.Close()
	}
	r.ledger.Close()
	r.db.Close()
	r.remotes.close()
}
