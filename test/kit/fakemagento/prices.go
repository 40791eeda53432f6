package fakemagento

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// The price endpoints answer with the rows that failed, and save the others. A row can fail for several reasons; the
// reasons come row by row.
//
// Sources: app/code/Magento/Catalog/Model/Product/Price, BasePriceStorage.php, SpecialPriceStorage.php and CostStorage.php;
// TierPriceStorage.php with Validation/TierPriceValidator.php for tier_prices.go.

// failures are the refused rows of one call. In JSON they are the list of the reasons.
type failures struct {
	list []any
	rows int
	row  bool // the row at hand has failed
}

// MarshalJSON returns the list.
func (f *failures) MarshalJSON() ([]byte, error) { return json.Marshal(f.list) }

// add tells of a failure. Parameters are a list: the names that they have in PHP don't come out.
func (f *failures) add(template string, parameters ...any) {
	values := []string{}
	for _, p := range parameters {
		values = append(values, text(p))
	}
	f.list = append(f.list, map[string]any{"message": template, "parameters": values})
	if !f.row {
		f.rows++
	}
	f.row = true
}

const (
	badAttribute = "Invalid attribute %fieldName = %fieldValue."
	noStore      = "Requested store is not found. Row ID: SKU = %SKU, Store ID: %storeId."
	ofSpecial    = "Row ID: SKU = %SKU, Store ID: %storeId, Price From: %priceFrom, Price To: %priceTo."
)

// What has a price of its own, by the endpoint (Catalog/etc/di.xml, Bundle/etc/di.xml, Downloadable/etc/di.xml).
var (
	withBase    = []string{"simple", "virtual", "downloadable", "bundle"} // a bundle only with a fixed price
	withSpecial = []string{"simple", "virtual", "downloadable", "bundle"} // a bundle's are percents
	withTiers   = withSpecial
	withCost    = []string{"simple", "virtual", "downloadable"}
)

// priced returns the product of a SKU, if it is of one of the types.
func (c *catalog) priced(sku any, types []string) *product {
	p, _ := c.product(text(sku))
	if p == nil || !slices.Contains(types, text(p.values["type_id"])) {
		return nil
	}
	return p
}

// pricedBase is priced for base prices: a bundle of which the components make the price has none.
func (c *catalog) pricedBase(sku any) *product {
	p := c.priced(sku, withBase)
	if p != nil && p.values["type_id"] == "bundle" && text(p.values["price_type"]) != "1" {
		return nil
	}
	return p
}

func (c *catalog) hasStore(id any) bool {
	n, ok := number(id)
	return ok && (n == 0 || slices.ContainsFunc(c.stores, func(s Store) bool { return s.ID == n }))
}

// viewsBeside returns the store views of the website that a view is of, itself among them.
func (c *catalog) viewsBeside(store int) (views []int) {
	at := slices.IndexFunc(c.stores, func(s Store) bool { return s.ID == store })
	for _, s := range c.stores {
		if at >= 0 && s.WebsiteID == c.stores[at].WebsiteID {
			views = append(views, s.ID)
		}
	}
	return views
}

// looselyEqual compares as PHP's in_array does: two texts that are numbers as numbers.
func looselyEqual(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(strings.TrimSpace(a), 64)
	y, errY := strconv.ParseFloat(strings.TrimSpace(b), 64)
	return errX == nil && errY == nil && x == y
}

// eachPrice checks and saves the rows, one by one. Find returns the product of a SKU, nil where it has no such price: then the
// SKU is among the wrong ones, and every row whose SKU PHP takes for equal to one of these is refused with it.
func (s *Server) eachPrice(c call, find func(sku any) *product, save func(f *failures, p *product, row map[string]any)) (any, *problem) {
	rows, wrong := c.rows("prices")
	if wrong != nil {
		return nil, wrong
	}
	var bad []string
	for _, row := range rows {
		if find(row["sku"]) == nil {
			bad = append(bad, text(row["sku"]))
		}
	}
	f := &failures{list: []any{}}
	for _, row := range rows {
		f.row = false
		p := find(row["sku"])
		if p != nil && slices.ContainsFunc(bad, func(sku string) bool { return looselyEqual(sku, text(row["sku"])) }) {
			p = nil
		}
		save(f, p, row)
	}
	return f, nil
}

// A pricedSKU is a product that is asked for, under the name by which it was.
type pricedSKU struct {
	*product
	sku string
}

// known returns the products of the SKUs that the body asks for; an unknown one is passed over.
func (s *Server) known(c call, find func(sku any) *product) ([]pricedSKU, *problem) {
	skus, ok := c.body["skus"].([]any)
	if !ok {
		return nil, required("skus")
	}
	var found []pricedSKU
	for _, sku := range skus {
		if p := find(sku); p != nil {
			found = append(found, pricedSKU{p, text(sku)})
		}
	}
	return found, nil
}

func (c *catalog) of(types []string) func(sku any) *product {
	return func(sku any) *product { return c.priced(sku, types) }
}

func negative(v any) bool {
	d, ok := money(v)
	return !ok || d.IsNegative()
}

// scopes returns for which store views a base price holds that is given for one. Up to 2.4.1 that is the one, whatever the
// price scope is.
func (s *Server) scopes(store int) []int {
	switch {
	case s.options.Version == V241 || store == 0:
		return []int{store}
	case s.options.PriceScope == ScopeWebsite:
		return s.catalog.viewsBeside(store)
	default:
		return []int{0}
	}
}

func (s *Server) updateBasePrices(c call) (any, *problem) {
	return s.eachPrice(c, s.catalog.pricedBase, func(f *failures, p *product, row map[string]any) {
		if p == nil {
			f.add(badAttribute, "SKU", row["sku"])
		}
		if negative(row["price"]) {
			f.add(badAttribute, "Price", row["price"])
		}
		if !s.catalog.hasStore(row["store_id"]) {
			f.add(noStore, row["sku"], row["store_id"])
		}
		if f.row {
			return
		}
		store, _ := number(row["store_id"])
		for _, scope := range s.scopes(store) {
			p.set(scope, "price", floating(row["price"]))
		}
		if s.options.Version == V248 { // updateLastUpdatedAt
			p.touch()
		}
	})
}

// eachScope calls f with each store view that has a value of its own of a key, 0 first.
func (e *entity) eachScope(key string, f func(store int, value any)) {
	if e.values[key] != nil {
		f(0, e.values[key])
	}
	var stores []int
	for store := range e.scoped {
		stores = append(stores, store)
	}
	slices.Sort(stores)
	for _, store := range stores {
		if value := e.scoped[store][key]; value != nil {
			f(store, value)
		}
	}
}

func (s *Server) basePrices(c call) (any, *problem) {
	return s.eachKnown(c, s.catalog.pricedBase, func(p pricedSKU, add func(row map[string]any)) {
		p.eachScope("price", func(store int, value any) {
			add(map[string]any{"price": asFloat(value), "store_id": store, "sku": p.sku})
		})
	})
}

func (s *Server) eachKnown(c call, find func(sku any) *product, show func(p pricedSKU, add func(row map[string]any))) (any, *problem) {
	products, wrong := s.known(c, find)
	if wrong != nil {
		return nil, wrong
	}
	prices := []any{}
	for _, p := range products {
		show(p, func(row map[string]any) { prices = append(prices, row) })
	}
	return prices, nil
}

// asFloat returns a price as PHP writes a float with serialize_precision 17: 29.95 is 29.949999999999999.
func asFloat(v any) any {
	d, ok := money(v)
	if !ok {
		return v
	}
	return json.Number(strconv.FormatFloat(d.InexactFloat64(), 'g', 17, 64))
}

func (s *Server) updateCosts(c call) (any, *problem) {
	return s.eachPrice(c, s.catalog.of(withCost), func(f *failures, p *product, row map[string]any) {
		if p == nil {
			f.add(badAttribute, "SKU", row["sku"])
		}
		if negative(row["cost"]) {
			f.add("Invalid attribute Cost = %cost. Row ID: SKU = %SKU, Store ID: %storeId.", row["cost"], row["sku"], row["store_id"])
		}
		if !s.catalog.hasStore(row["store_id"]) {
			f.add(noStore, row["sku"], row["store_id"])
		}
		if !f.row {
			cost, _ := money(row["cost"])
			p.set(0, "cost", cost.StringFixed(6))
		}
	})
}

func (s *Server) costs(c call) (any, *problem) {
	return s.eachKnown(c, s.catalog.of(withCost), func(p pricedSKU, add func(row map[string]any)) {
		if p.values["cost"] != nil {
			add(map[string]any{"cost": asFloat(p.values["cost"]), "store_id": 0, "sku": p.sku})
		}
	})
}

func (s *Server) deleteCosts(c call) (any, *problem) {
	products, wrong := s.known(c, s.catalog.of(withCost))
	if wrong != nil {
		return nil, wrong
	}
	for _, p := range products {
		p.set(0, "cost", nil)
	}
	return true, nil
}

// BasePrice returns the base price of a SKU for a store view, 0 for all: its own, else that for all.
func (s *Server) BasePrice(sku string, store int) (price decimal.Decimal, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, wrong := s.catalog.product(sku)
	if wrong != nil {
		return decimal.Zero, false
	}
	if own, ok := money(p.scoped[store]["price"]); ok {
		return own, true
	}
	return money(p.values["price"])
}

// SetBasePrice changes a base price, as somebody does in Magento's admin.
func (s *Server) SetBasePrice(sku string, store int, price decimal.Decimal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, wrong := s.catalog.product(sku); wrong == nil {
		p.set(store, "price", amount(price))
	}
}
