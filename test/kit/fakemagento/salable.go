package fakemagento

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// lagging is Magento's stock index: it shows a change of stock some time after it.
type lagging struct {
	lag    time.Duration
	before map[string]shownStock // by SKU in lower case
}

// shownStock is what the index shows until it has seen the change.
type shownStock struct {
	quantity decimal.Decimal
	until    time.Time
}

// SetIndexLag sets how long the stock index lags behind a change of source items.
func (s *Server) SetIndexLag(lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stockIndex.lag = lag
}

// remember keeps what the index shows of a SKU that is about to change. It needs mu.
func (s *Server) remember(sku string) {
	if s.stockIndex.lag == 0 {
		return
	}
	if s.stockIndex.before == nil {
		s.stockIndex.before = map[string]shownStock{}
	}
	now := time.Now()
	maps.DeleteFunc(s.stockIndex.before, func(_ string, b shownStock) bool { return now.After(b.until) })
	s.stockIndex.before[strings.ToLower(sku)] = shownStock{s.indexed(sku, now), now.Add(s.stockIndex.lag)}
}

// indexed is what the index shows of a SKU. It needs mu.
func (s *Server) indexed(sku string, now time.Time) decimal.Decimal {
	if before, ok := s.stockIndex.before[strings.ToLower(sku)]; ok && now.Before(before.until) {
		return before.quantity
	}
	if n, ok := s.catalog.generated.place(sku); ok && s.inventory.find(sku, defaultSource) < 0 {
		return decimal.New(int64(n%50), 0)
	}
	return s.salable(sku, 1)
}

// salableTypes are those of products that have stock of their own.
var salableTypes = []string{"simple", "virtual", "downloadable", "giftcard"}

// exportSalable answers with what a website may sell of the products of a search, from the index
// (InventoryExportStock/Model/ExportStockSalableQty.php). Products that are composed of others have no quantity.
func (s *Server) exportSalable(c call) (any, *problem) {
	if c.PathValue("type") != "website" || !slices.ContainsFunc(s.websiteStores(), func(w Store) bool { return websiteCode(w.WebsiteID) == c.PathValue("code") }) {
		return nil, notFound("No linked stock found", nil)
	}
	result, wrong := s.searchProducts(c)
	if wrong != nil {
		return nil, wrong
	}
	page, _ := result.(map[string]any)
	found, _ := page["items"].([]any)
	items := []any{}
	for _, one := range found {
		p, _ := one.(map[string]any)
		quantity := decimal.Zero
		salable := slices.Contains(salableTypes, text(p["type_id"]))
		if salable {
			quantity = s.indexed(text(p["sku"]), time.Now())
			salable = quantity.IsPositive()
		}
		items = append(items, map[string]any{"sku": p["sku"], "qty": amount(quantity), "is_salable": salable})
	}
	page["items"] = items
	return page, nil
}
