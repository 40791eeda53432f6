package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/bulk"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/watermark"
)

var priceSync = registration{
	Consumer: config.Consumer{
		Name: bulk.PriceSync, Topics: []string{lists.TopicPrices}, Batch: true,
		Does: "writes base, special and tier prices to Magento in bulk, the newest of each, and only what differs " +
			"([docs/prices-and-stock.md](docs/prices-and-stock.md))",
		Needs: []string{config.DownstreamMagento},
	},
	wire: wirePriceSync,
	check: func(c *checks) {
		c.magento.Prices = &check.MagentoPrices{PerWebsite: c.cfg.PriceScope == config.WebsitePrices}
		c.lists(c.cfg.PriceDir)
	},
}

func wirePriceSync(s *Service) wired {
	v := s.volume()
	h := &bulk.PriceHandler{
		Line: v.line(s), Prices: s.remotes.shop.Prices, Shop: v.shop,
		Rules: bulk.PriceRules{AllowZero: s.cfg.PriceAllowZero, PerWebsite: s.cfg.PriceScope == config.WebsitePrices},
	}
	if !s.cfg.PriceMaxChange.IsZero() {
		h.Rules.Guard = &bulk.Guard{MaxChange: s.cfg.PriceMaxChange.Decimal}
	}
	return s.watchLists(wired{
		Consumer: consumer.Consumer{Kind: event.Prices, Batch: v.batch(s, h, h.Limit)},
		tasks:    []periodic.Task{s.heldPrices(v.store)},
	}, bulk.PriceSync, s.cfg.PriceDir, false)
}

// heldPrices counts the prices that wait for a person.
func (s *Service) heldPrices(store *watermark.Store) periodic.Task {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mageline_prices_held", Help: "Prices that differ so much from what Magento has that they wait for a person.",
	})
	s.registry.MustRegister(gauge)
	return periodic.Task{Name: "held prices", Every: 15 * time.Second, Shared: true, Run: func(ctx context.Context) error {
		n, since, err := store.CountHeld(ctx)
		if err != nil {
			return err
		}
		gauge.Set(float64(n))
		s.held.Store(&heldPrices{n, since})
		return nil
	}}
}

// heldPrices counts them, and has when the first of them was held.
type heldPrices struct {
	prices int
	since  time.Time
}

// volume is what price_sync and stock_sync share.
type volume struct {
	store *watermark.Store
	slots *pg.Slots
	shop  *bulk.Shop
	meter *bulkMeter
}

// slotMargin is by how much the lease of a slot exceeds the longest call in it.
const slotMargin = 10 * time.Second

// volume makes it, once.
func (s *Service) volume() *volume {
	if s.bulk != nil {
		return s.bulk
	}
	me := pg.NewProcess(process())
	shop := s.remotes.shop
	s.bulk = &volume{
		store: Watermarks(s.cfg, s.db, me),
		slots: &pg.Slots{
			DB: s.db, Process: me, Name: "bulk call", N: s.cfg.MagentoBulkConcurrency, TTL: s.cfg.MagentoTimeout + slotMargin,
			Unreleased: func(name string, err error) {
				s.log.Warn().Str("event", "lease_not_released").Str("lease", name).Err(err).Msg("a lease could not be released; it expires by itself")
			},
		},
		shop:  &bulk.Shop{Modules: shop.Modules, Stores: shop.Stores, Inventory: shop.Inventory},
		meter: newBulkMeter(s.registry),
	}
	return s.bulk
}

// Watermarks opens the versions of prices and stock.
func Watermarks(cfg *config.Config, db *pg.DB, me *pg.Process) *watermark.Store {
	return &watermark.Store{DB: db, Process: me, Lease: cfg.IdempotencyLease, Timeout: cfg.MagentoTimeout}
}

func (v *volume) line(s *Service) bulk.Line {
	return bulk.Line{
		Watermarks: v.store, Slots: v.slots, Meter: v.meter, All: s.cfg.Send == config.SendAll, Changes: s.changes,
		Sizes: bulk.NewSizes(s.cfg.MagentoBulkSize, s.cfg.MagentoBulkTarget, v.meter.Size),
	}
}

// bulkLinger is how long an entry waits for others to fill its call.
const bulkLinger = 200 * time.Millisecond

func (v *volume) batch(s *Service, h consumer.BatchHandler, limit func(kind string) int) *consumer.Batch {
	return &consumer.Batch{
		Handler: h, Size: s.cfg.MagentoBulkSize, Limit: limit, Linger: bulkLinger, Concurrency: s.cfg.MagentoBulkConcurrency,
		Workers: s.cfg.MagentoBulkConcurrency + 1, // one claims and reads while the others write
	}
}

// bulkMeter is the metrics of bulk calls.
type bulkMeter struct {
	entries *prometheus.CounterVec
	rows    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	size    *prometheus.GaugeVec
}

func newBulkMeter(registerer prometheus.Registerer) *bulkMeter {
	m := &bulkMeter{
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mageline_bulk_entries_total", Help: "Entries of prices and stock, by what became of them.",
		}, []string{"kind", "outcome"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mageline_bulk_rows_total", Help: "Rows that Magento was sent in bulk calls.",
		}, []string{"kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mageline_bulk_call_seconds", Help: "Time of one bulk call that writes.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60},
		}, []string{"kind"}),
		size: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mageline_bulk_size", Help: "How many entries a bulk call has at most now.",
		}, []string{"kind"}),
	}
	registerer.MustRegister(m.entries, m.rows, m.seconds, m.size)
	return m
}

// Entries counts entries.
func (m *bulkMeter) Entries(kind, outcome string, n int) {
	m.entries.WithLabelValues(kind, outcome).Add(float64(n))
}

// Called counts a call.
func (m *bulkMeter) Called(kind string, rows int, took time.Duration) {
	m.rows.WithLabelValues(kind).Add(float64(rows))
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
}

// Size shows the size of calls.
func (m *bulkMeter) Size(kind string, n int) { m.size.WithLabelValues(kind).Set(float64(n)) }

// heldProblem is the sentence of /readyz.
func (s *Service) heldProblem() string {
	held := s.held.Load()
	if held == nil || held.prices == 0 {
		return ""
	}
	noun, verb := "prices", "wait"
	if held.prices == 1 {
		noun, verb = "price", "waits"
	}
	return fmt.Sprintf("%d %s %s for a decision since %s, as they differ by more than %s from what Magento has: `mageline prices held`.",
		held.prices, noun, verb, held.since.UTC().Format(time.RFC3339), s.cfg.PriceMaxChange)
}
