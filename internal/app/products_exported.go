package app

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/search"
)

var productsExported = registration{
	Consumer: config.Consumer{
		Name: products.Name, Topics: []string{products.TopicExported, products.TopicDeleted}, Batch: true,
		Does: "writes products to a search engine, a document for each store view " +
			"([docs/search.md](docs/search.md))",
		Needs: []string{config.DownstreamMagento, config.DownstreamSearch},
	},
	wire:  wireProductsExported,
	check: (*checks).search,
}

// search looks at the engine and its indexes.
func (c *checks) search() {
	engine, ok := c.remotes.engine.(search.Inspector)
	if !ok || c.remotes.shop == nil {
		return
	}
	shop := indexedShop(c.cfg, c.remotes)
	looked := check.Search{
		Engine: engine, Address: strings.Join(c.cfg.SearchURL, ", "),
		Generations: func(ctx context.Context) ([]indexes.Generation, error) {
			db, err := OpenDatabase(ctx, c.cfg)
			if err != nil {
				return nil, err
			}
			defer db.Close()
			return (&indexes.Store{DB: db}).Generations(ctx)
		},
	}
	for _, i := range c.cfg.SearchIndexes() {
		looked.Indexes = append(looked.Indexes, check.SearchIndex{
			Store: i.Store, Index: i.Index,
			Fields:  func(ctx context.Context) ([]search.Field, error) { return shop.Fields(ctx, i.Index) },
			Visible: func(ctx context.Context) (int64, error) { return shop.Visible(ctx, i.Index) },
		})
	}
	c.more = append(c.more, looked)
}

const (
	// productsBatch is how many products a call has, and productsLinger how long one waits for others.
	productsBatch  = 200
	productsLinger = 200 * time.Millisecond
	// productsCalls is how many calls run at once: one reads while another writes.
	productsCalls = 2
	// productsBytes bounds the products of a call that came with their messages.
	productsBytes = 4 << 20
)

func wireProductsExported(s *Service) wired {
	meter := newProductMeter(s.registry)
	h := &products.Handler{
		Engine: s.remotes.engine, Documents: s.changes.Store, Indexes: &indexes.Store{DB: s.db}, Changes: s.changes,
		Shop: indexedShop(s.cfg, s.remotes), Meter: meter, SkipUnchanged: s.cfg.SkipUnchanged,
	}
	return wired{
		Consumer: consumer.Consumer{Kind: event.Products, Batch: &consumer.Batch{
			Handler: h, Size: productsBatch, Linger: productsLinger, Concurrency: productsCalls, Bytes: productsBytes,
		}},
		tasks: []periodic.Task{s.settled(), s.settling(meter), s.forgotten(), s.oldIndexes()},
	}
}

// indexedShop reads what the ids of products mean in the store views that have an index.
func indexedShop(cfg *config.Config, r *remotes) *products.Shop {
	var indexes []products.StoreIndex
	for _, i := range cfg.SearchIndexes() {
		indexes = append(indexes, products.StoreIndex(i))
	}
	return productShop(cfg, r.shop, indexes)
}

// settled publishes the products that are due to be read again.
func (s *Service) settled() periodic.Task {
	const most = 500 // products of a message
	return periodic.Task{Name: "changed products", Every: time.Second, Run: func(ctx context.Context) error {
		for ctx.Err() == nil {
			due, err := s.changes.Due(ctx, most)
			if err != nil || len(due) == 0 {
				return err
			}
			if err := s.publishDue(ctx, due); err != nil {
				return err
			}
		}
		return nil
	}}
}

// settling counts the products that wait to be read again.
func (s *Service) settling(meter *productMeter) periodic.Task {
	return periodic.Task{Name: "products to be read again", Every: 15 * time.Second, Shared: true, Run: func(ctx context.Context) error {
		n, err := s.changes.Waiting(ctx)
		if err == nil {
			meter.waiting.Set(float64(n))
		}
		return err
	}}
}

func (s *Service) publishDue(ctx context.Context, due []documents.Due) error {
	body := struct {
		SKUs  []string `json:"skus"`
		Again bool     `json:"again"`
	}{Again: true}
	for _, d := range due {
		body.SKUs = append(body.SKUs, d.SKU)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if err := s.runtime.Publisher().Send(ctx, products.Name, products.TopicExported, raw); err != nil {
		return err
	}
	return s.changes.Published(ctx, due)
}

// forgotten deletes rows of documents that nobody needs any more.
func (s *Service) forgotten() periodic.Task {
	return periodic.Task{Name: "rows of documents", Every: time.Hour, Run: func(ctx context.Context) error {
		return s.changes.Store.Forget(ctx, s.cfg.IdempotencyRetention)
	}}
}

// productMeter is the metrics of documents.
type productMeter struct {
	documents *prometheus.CounterVec
	cut       *prometheus.CounterVec
	read      prometheus.Counter
	waiting   prometheus.Gauge
}

func newProductMeter(registerer prometheus.Registerer) *productMeter {
	m := &productMeter{
		documents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mageline_search_documents_total", Help: "Documents of products, by what became of them.",
		}, []string{"index", "outcome"}),
		cut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mageline_search_cut_total", Help: "Documents of which a field was shortened or left out, because they were too long.",
		}, []string{"index", "field"}),
		read: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mageline_search_products_read_total", Help: "Products that were read in Magento for documents, once for each store view.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mageline_search_settling", Help: "Products that are read again when Magento's indexes have settled.",
		}),
	}
	registerer.MustRegister(m.documents, m.cut, m.read, m.waiting)
	return m
}

// Documents counts documents.
func (m *productMeter) Documents(index, outcome string, n int) {
	m.documents.WithLabelValues(index, outcome).Add(float64(n))
}

// Cut counts documents that were cut.
func (m *productMeter) Cut(index, field string) { m.cut.WithLabelValues(index, field).Inc() }

// Read counts products that were read.
func (m *productMeter) Read(n int) { m.read.Add(float64(n)) }
