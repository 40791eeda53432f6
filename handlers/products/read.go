package products

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// queryBytes is how many bytes a list of SKUs has in an address, which web servers bound at 8 kB.
const queryBytes = 5000

// productFields are the members of a product that documents are made of.
const productFields = "items[id,sku,name,type_id,status,visibility,price,weight,created_at,updated_at,product_links[link_type,linked_product_sku]," +
	"media_gallery_entries[media_type,label,position,disabled,file],tier_prices,custom_attributes," +
	"extension_attributes[website_ids,category_links,configurable_product_links,configurable_product_options,bundle_product_options," +
	"giftcard_amounts,rating_summary,reviews_count]],total_count"

// batchReading reads what one call is about, each product once for each store view.
type batchReading struct {
	*Handler
	stock map[string]map[string]mapping.Stock // by website, then by SKU
}

// lists divides values into lists of at most so many, and of so many bytes as an address may have. One with a comma is alone: Magento
// divides a list at commas.
func lists(values []string, most int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		var list []string
		bytes := 0
		for _, value := range values {
			if strings.Contains(value, ",") {
				if !yield([]string{value}) {
					return
				}
				continue
			}
			n := len(url.QueryEscape(value)) + len("%2C")
			if len(list) > 0 && (len(list) == most || bytes+n > queryBytes) {
				if !yield(list) {
					return
				}
				list, bytes = nil, 0
			}
			list, bytes = append(list, value), bytes+n
		}
		if len(list) > 0 {
			yield(list)
		}
	}
}

// among is the filter for one of the values.
func among(field string, values []string) magentoapi.Filter {
	if len(values) == 1 {
		return magentoapi.Eq(field, values[0])
	}
	return magentoapi.In(field, values...)
}

// search reads the products of which a field has one of the values, through a store view.
func (r *batchReading) search(ctx context.Context, v *view, field string, values []string, found func(*magentoapi.Product)) error {
	for list := range lists(values, pageRows) {
		for page := 1; ; page++ {
			answer, err := v.reader.Products.Search(ctx, magentoapi.SearchCriteria{Fields: productFields}.Where(among(field, list)).OnPage(page, pageRows))
			if err != nil {
				return fromMagento(err)
			}
			for _, p := range answer.Items {
				found(p)
			}
			r.Meter.Read(len(answer.Items))
			if err := event.Progress(ctx); err != nil {
				return err
			}
			if !answer.More() {
				break
			}
		}
	}
	return nil
}

// products reads products by their SKUs; the result is by SKU in lower case.
func (r *batchReading) products(ctx context.Context, v *view, skus []string) (map[string]*magentoapi.Product, error) {
	all := make(map[string]*magentoapi.Product, len(skus))
	err := r.search(ctx, v, "sku", skus, func(p *magentoapi.Product) { all[documents.Key(string(p.SKU))] = p })
	return all, err
}

// parts reads what products are made of, and what can be sold of all of them.
func (r *batchReading) parts(ctx context.Context, v *view, products map[string]*magentoapi.Product) (mapping.Parts, error) {
	parts := mapping.Parts{Products: map[string]*magentoapi.Product{}, ByID: map[int64]*magentoapi.Product{}}
	var ids, skus []string
	byID := make(map[int64]*magentoapi.Product, len(products))
	for _, p := range products {
		byID[int64(p.ID)] = p
	}
	add := func(p *magentoapi.Product) {
		parts.Products[documents.Key(string(p.SKU))], parts.ByID[int64(p.ID)] = p, p
	}
	for _, p := range products {
		childIDs, childSKUs := mapping.PartsOf(p)
		for _, id := range childIDs {
			if p := byID[id]; p != nil {
				add(p)
			} else {
				ids = append(ids, strconv.FormatInt(id, 10))
			}
		}
		for _, sku := range childSKUs {
			if p := products[documents.Key(sku)]; p != nil {
				add(p)
			} else {
				skus = append(skus, sku)
			}
		}
	}
	if err := r.search(ctx, v, "entity_id", unique(ids), add); err != nil {
		return parts, err
	}
	if err := r.search(ctx, v, "sku", unique(skus), add); err != nil {
		return parts, err
	}
	var all []string
	for _, p := range products {
		all = append(all, string(p.SKU))
	}
	for _, p := range parts.Products {
		all = append(all, string(p.SKU))
	}
	var err error
	parts.Stock, err = r.stockOf(ctx, v.website, unique(all))
	return parts, err
}

func unique(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// stockOf reads what a website may sell of each SKU. Store views of one website share what was read.
func (r *batchReading) stockOf(ctx context.Context, website string, skus []string) (map[string]mapping.Stock, error) {
	if r.stock == nil {
		r.stock = map[string]map[string]mapping.Stock{}
	}
	known := r.stock[website]
	if known == nil {
		known = map[string]mapping.Stock{}
		r.stock[website] = known
	}
	missing := slices.DeleteFunc(skus, func(sku string) bool {
		_, read := known[documents.Key(sku)]
		return read
	})
	for list := range lists(missing, pageRows) {
		if !r.Shop.isLegacy() {
			err := r.exported(ctx, website, list, known)
			if err == nil {
				continue
			}
			if !r.Shop.withoutExport(ctx, err) {
				return nil, fromMagento(err)
			}
		}
		if err := r.statuses(ctx, list, known); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// exported reads what a website may sell from its stock index.
func (r *batchReading) exported(ctx context.Context, website string, skus []string, known map[string]mapping.Stock) error {
	for page := 1; ; page++ {
		answer, err := r.Shop.Inventory.ExportSalable(ctx, website, magentoapi.SearchCriteria{}.Where(among("sku", skus)).OnPage(page, pageRows))
		if err != nil {
			return err
		}
		for _, s := range answer.Items {
			known[documents.Key(string(s.SKU))] = mapping.Stock{
				Quantity: s.Qty.NullDecimal, InStock: s.IsSalable.Bool || !s.IsSalable.Valid && s.Qty.Decimal.IsPositive(),
			}
		}
		if err := event.Progress(ctx); err != nil {
			return err
		}
		if !answer.More() {
			return nil
		}
	}
}

// statuses reads the stock status of each product, in a shop without multi-source inventory.
func (r *batchReading) statuses(ctx context.Context, skus []string, known map[string]mapping.Stock) error {
	for _, sku := range skus {
		s, err := r.Shop.StockItems.Status(ctx, sku)
		if errors.Is(err, magentoapi.ErrNotFound) && !errors.Is(err, magentoapi.ErrNoEndpoint) {
			known[documents.Key(sku)] = mapping.Stock{}
			continue
		}
		if err != nil {
			return fromMagento(err)
		}
		quantity := decimal.NullDecimal{Decimal: s.Qty.Decimal, Valid: s.Qty.Valid}
		known[documents.Key(sku)] = mapping.Stock{Quantity: quantity, InStock: s.StockStatus.Bool}
		if err := event.Progress(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shop) isLegacy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legacy
}

// withoutExport reports whether the shop's stock has to be read product by product, after the reading of many has failed with err.
func (s *Shop) withoutExport(ctx context.Context, err error) bool {
	denied := errors.Is(err, magentoapi.ErrUnauthorized) || errors.Is(err, magentoapi.ErrForbidden)
	if !denied && !errors.Is(err, magentoapi.ErrNoEndpoint) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.legacy {
		s.legacy = true
		zerolog.Ctx(ctx).Warn().Str("event", "stock_read_singly").Err(err).
			Msg("what a website may sell can't be read of many products at once: it is read of each, which takes longer; with multi-source inventory give the integration Magento_InventoryApi::stock")
	}
	return true
}
