package app

import (
	"maps"
	"slices"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/bulk"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/lists"
)

var stockSync = registration{
	Consumer: config.Consumer{
		Name: bulk.StockSync, Topics: []string{lists.TopicStock}, Batch: true,
		Does: "writes stock levels to Magento in bulk, the newest of each SKU and source, and only what differs " +
			"([docs/prices-and-stock.md](docs/prices-and-stock.md))",
		Needs: []string{config.DownstreamMagento},
	},
	wire: wireStockSync,
	check: func(c *checks) {
		c.magento.Stock = &check.MagentoStock{Buffered: slices.Sorted(maps.Keys(c.cfg.StockBuffer))}
		c.lists(c.cfg.StockDir)
	},
}

func wireStockSync(s *Service) wired {
	v := s.volume()
	h := &bulk.StockHandler{
		Line: v.line(s), Sources: s.remotes.shop.Inventory, Legacy: s.remotes.shop.StockItems, Shop: v.shop, Buffer: s.cfg.StockBuffer,
	}
	return s.watchLists(wired{Consumer: consumer.Consumer{Kind: event.Stock, Batch: v.batch(s, h, h.Limit)}}, bulk.StockSync, s.cfg.StockDir, true)
}
