package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/reindex"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/search"
)

// Reindex is what the command of this name works with.
type Reindex struct {
	*reindex.Reindex

	cfg     *config.Config
	db      *pg.DB
	remotes *remotes

	mu        sync.Mutex
	conn      *amqp.Connection
	publisher *rabbitmq.Publisher
}

// NotConfiguredError says that the configuration has no such thing.
type NotConfiguredError struct{ What string }

func (e *NotConfiguredError) Error() string { return e.What }

// idleMargin is by how much a message must be silent for longer than a handling without progress may last.
const idleMargin = 30 * time.Second

// OpenReindex makes one. It connects to nothing yet.
func OpenReindex(ctx context.Context, cfg *config.Config, version string, patience time.Duration, report func(reindex.Progress)) (*Reindex, error) {
	if cfg.MagentoURL == "" {
		return nil, &NotConfiguredError{"there is no Magento to read products from: set MAGELINE_MAGENTO_URL"}
	}
	calm := *cfg
	calm.BreakerFailures = 0 // one answer that fails ends the command anyway
	remotes, err := wireRemotes(&calm, config.NewSecrets(&calm, zerolog.Nop()), version, zerolog.Nop(), nil)
	if err != nil {
		return nil, err
	}
	if remotes.engine == nil {
		remotes.close()
		return nil, &NotConfiguredError{"there is no search engine to write to: set MAGELINE_SEARCH and MAGELINE_SEARCH_URL"}
	}
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		remotes.close()
		return nil, err
	}
	shop := indexedShop(cfg, remotes)
	r := &Reindex{cfg: cfg, db: db, remotes: remotes}
	r.Reindex = &reindex.Reindex{
		State: &reindex.Store{DB: db, Process: pg.NewProcess(process())}, Indexes: &indexes.Store{DB: db},
		Engine: remotes.engine, Documents: &documents.Store{DB: db}, Products: patientProducts{remotes.shop.Products},
		Fields:  func(ctx context.Context, v reindex.View) ([]search.Field, error) { return shop.Fields(ctx, v.Index) },
		Publish: r.publish, Queue: r.queue, Report: report, Idle: cfg.HandlerTimeout + idleMargin, Patience: patience,
	}
	for _, i := range cfg.SearchIndexes() {
		r.Views = append(r.Views, reindex.View(i))
	}
	return r, nil
}

// longestWait is that between two requests for a page.
const longestWait = 32 * time.Second

// patientProducts repeats a page of Magento's that fails for a moment: a reindex takes hours.
type patientProducts struct{ reindex.Products }

func (p patientProducts) Search(ctx context.Context, c magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Product], error) {
	for wait := time.Second; ; wait *= 2 {
		page, err := p.Products.Search(ctx, c)
		if err == nil || ctx.Err() != nil || wait > longestWait {
			return page, err
		}
		switch event.ClassOf(handlers.FromMagento(err)) {
		case event.Unavailable, event.Timeout, event.Throttled:
		default:
			return page, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return page, err
		}
	}
}

// Close ends what OpenReindex has begun.
func (r *Reindex) Close() {
	if r.publisher != nil {
		r.publisher.Close()
	}
	r.db.Close()
	r.remotes.close()
}

// Has reports whether a store view has an index.
func (r *Reindex) Has(store string) bool {
	return slices.ContainsFunc(r.Views, func(v reindex.View) bool { return v.Store == store })
}

// QueueName returns the queue of the consumer.
func (r *Reindex) QueueName() string { return Topology(r.cfg).Queue(products.Name) }

// SendSKUs publishes single products, and returns how many.
func (r *Reindex) SendSKUs(ctx context.Context, skus, stores []string) (n int, err error) {
	const most = 500 // of a message
	for some := range slices.Chunk(skus, most) {
		if err := r.Send(ctx, reindex.TopicExported, reindex.Message{SKUs: some, Stores: stores}); err != nil {
			return n, fmt.Errorf("%w; %d of %d products are published", err, n, len(skus))
		}
		n += len(some)
	}
	return n, nil
}

// connect returns the publisher, of a new connection if the last one is lost.
func (r *Reindex) connect(ctx context.Context) (*rabbitmq.Publisher, *amqp.Connection, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.publisher != nil && !r.conn.IsClosed() {
		return r.publisher, r.conn, nil
	}
	if r.publisher != nil {
		r.publisher.Close()
		r.publisher = nil
	}
	conn, err := Dial(ctx, r.cfg, "mageline reindex")
	if err != nil {
		return nil, nil, err
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		rabbitmq.Close(conn)
		return nil, nil, err
	}
	r.publisher, r.conn = publisher, conn
	return publisher, conn, nil
}

func (r *Reindex) publish(ctx context.Context, topic string, body []byte) error {
	publisher, _, err := r.connect(ctx)
	if err != nil {
		return err
	}
	err = publisher.Publish(ctx, r.cfg.AMQPExchange, topic, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Timestamp: time.Now(), Body: body,
	})
	if errors.Is(err, rabbitmq.ErrReturned) {
		return fmt.Errorf("no queue is bound to topic %q at exchange %q: run `mageline topology`, or start mageline with this consumer", topic, r.cfg.AMQPExchange)
	}
	return rabbitmq.Explain(err)
}

func (r *Reindex) queue(ctx context.Context) (q reindex.Queue, err error) {
	_, conn, err := r.connect(ctx)
	if err != nil {
		return q, err
	}
	t := Topology(r.cfg)
	q.Name = t.Queue(products.Name)
	err = rabbitmq.OnChannel(conn, func(ch *amqp.Channel) error {
		found, err := rabbitmq.Inspect(ch, q.Name)
		q.Messages, q.Readers = found.Messages, found.Consumers
		return err
	})
	if err != nil {
		return q, fmt.Errorf("look at queue %s: %w", q.Name, rabbitmq.Explain(err))
	}
	delays := slices.Clone(t.Delays)
	slices.Sort(delays)
	for _, delay := range slices.Compact(delays) {
		n, _, err := rabbitmq.Depth(conn, t.Retry(delay))
		if err != nil {
			return q, rabbitmq.Explain(err)
		}
		q.Retrying += n
	}
	return q, nil
}

// kept is how long an index stays after another one has taken its place.
const kept = 24 * time.Hour

// oldIndexes removes the indexes that were kept for long enough, and those of a swap that was begun again.
func (s *Service) oldIndexes() periodic.Task {
	store := &indexes.Store{DB: s.db}
	return periodic.Task{Name: "old indexes", Every: 5 * time.Minute, Run: func(ctx context.Context) error {
		due, err := store.Due(ctx, kept)
		if err != nil {
			return err
		}
		for _, t := range due {
			if err := s.remotes.engine.Remove(ctx, t); err != nil {
				return fmt.Errorf("remove the old index %s of %s: %w", t.Name, t.Index, err)
			}
			if err := store.Removed(ctx, t); err != nil {
				return err
			}
			zerolog.Ctx(ctx).Info().Str("event", "search_index_removed").Str("index", t.Index).Str("name", t.Name).
				Msg("an index that another one has replaced was removed")
		}
		return nil
	}}
}
