package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// SourceItems reads and writes what lies in sources. *magentoapi.InventoryService implements it.
type SourceItems interface {
	AllSourceItems(ctx context.Context, criteria magentoapi.SearchCriteria) iter.Seq2[*magentoapi.SourceItem, error]
	SaveSourceItems(ctx context.Context, items ...magentoapi.SourceItem) error
}

// StockItems reads and writes stock where there are no sources. *magentoapi.StockItemsService implements it.
type StockItems interface {
	Get(ctx context.Context, sku string) (*magentoapi.StockItem, error)
	Update(ctx context.Context, sku string, item *magentoapi.StockItem) (int64, error)
}

// StockHandler handles stock_sync: it writes quantities to Magento.
type StockHandler struct {
	Line
	Sources SourceItems
	Legacy  StockItems
	Shop    *Shop
	// Buffer is what is taken from the quantity of a source.
	Buffer map[string]decimal.Decimal
}

// Limit returns how many entries a batch of the kind may have.
func (h *StockHandler) Limit(kind string) int { return h.Sizes.batch(kind) }

// Entries returns the items of an event.
func (h *StockHandler) Entries(ctx context.Context, e event.Event) ([]consumer.Entry, error) {
	s, err := event.ParseStock(e.Body)
	if err != nil {
		return nil, err
	}
	entries := make([]consumer.Entry, 0, len(s.Items))
	for _, one := range s.Items {
		i := newItem(ctx, e, s.AsOf, one.SKU, one.Raw)
		i.stock = h.buffered(one)
		i.key = watermark.Key{SKU: keySKU(one.SKU), Kind: kindStock, Scope: strings.ToLower(one.SourceCode)}
		entries = append(entries, consumer.Entry{Value: i, Kind: kindStock, Key: i.key.String(), Err: one.Err})
	}
	return entries, nil
}

// buffered returns an item without what is kept back in its source, and with its status.
func (h *StockHandler) buffered(i event.StockItem) event.StockItem {
	if keep := h.Buffer[i.SourceCode]; keep.IsPositive() {
		i.Quantity = decimal.Max(i.Quantity.Sub(keep), decimal.Zero)
	}
	if i.InStock == nil {
		in := i.Quantity.IsPositive()
		i.InStock = &in
	}
	return i
}

// Write makes a call, or one for each SKU where the shop has no sources.
func (h *StockHandler) Write(ctx context.Context, c consumer.Call) ([]consumer.Result, error) {
	codes := map[string]bool{}
	for _, e := range c.Entries {
		codes[e.Value.(*item).key.Scope] = true
	}
	known, msi, err := h.Shop.sources(ctx, codes)
	if err != nil {
		return nil, err
	}
	if msi {
		return h.write(ctx, sources{h, known}, nil, c.Entries)
	}
	return h.write(ctx, stockItems{h}, nil, c.Entries)
}

// Letter returns a body with only the rejected items.
func (h *StockHandler) Letter(e event.Event, rejected []consumer.Rejection) (json.RawMessage, error) {
	return h.letter(e, "items", rejected)
}

// sources writes the items of sources (multi-source inventory).
type sources struct {
	*StockHandler
	known map[string]bool // sources of the shop; nil if they may not be read
}

// unfit refuses a source that there is not. Magento answers it with the words that it has for a lock: "Could not save Source Item".
func (s sources) unfit(i *item) error {
	if s.known == nil || s.known[i.key.Scope] {
		return nil
	}
	return invalid("%s: the shop has no source %s", i.describe(), i.stock.SourceCode)
}

func (sources) kind() string                  { return kindStock }
func (sources) reads() bool                   { return false }
func (sources) trusts() bool                  { return false }
func (sources) rows(i *item) []*watermark.Row { return []*watermark.Row{ownRow(i)} }

// send writes all, or nothing if Magento refuses one.
func (s sources) send(ctx context.Context, _ present, items []*item) (map[*item]error, error) {
	rows := make([]magentoapi.SourceItem, len(items))
	for n, i := range items {
		rows[n] = magentoapi.SourceItem{
			SKU: magentoapi.Text(i.sku), SourceCode: magentoapi.Text(i.stock.SourceCode),
			Quantity: magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(i.stock.Quantity)},
			Status:   magentoapi.Flag{Valid: true, Bool: *i.stock.InStock},
		}
	}
	return nil, handlers.FromMagento(s.Sources.SaveSourceItems(ctx, rows...))
}

// What one reading of source items may ask for: rows, as Magento may bound a page, and bytes, as web servers bound an address.
const (
	pageRows   = 300
	queryBytes = 6000
)

func (s sources) read(ctx context.Context, items []*item) (present, error) {
	p := stockPresent{}
	var codes []string
	for _, i := range items {
		if !slices.Contains(codes, i.stock.SourceCode) {
			codes = append(codes, i.stock.SourceCode)
		}
	}
	for skus := range readings(skusOf(items), max(1, pageRows/len(codes))) {
		criteria := magentoapi.SearchCriteria{Fields: "items[sku,source_code,quantity,status],total_count"}.OnPage(1, pageRows)
		if len(skus) == 1 { // a SKU with a comma can't be in a list
			criteria = criteria.Where(magentoapi.Eq("sku", skus[0]))
		} else {
			criteria = criteria.Where(magentoapi.In("sku", skus...))
		}
		if !slices.ContainsFunc(codes, func(c string) bool { return strings.Contains(c, ",") }) && len(strings.Join(codes, ",")) < 1000 {
			criteria = criteria.Where(magentoapi.In("source_code", codes...))
		}
		for row, err := range s.Sources.AllSourceItems(ctx, criteria) {
			if err != nil {
				return nil, handlers.FromMagento(err)
			}
			p[watermark.Key{SKU: keySKU(string(row.SKU)), Kind: kindStock, Scope: strings.ToLower(string(row.SourceCode))}] = quantity{row.Quantity.Decimal, row.Status.Bool}
		}
	}
	return p, nil
}

// readings divides SKUs into lists of at most so many, and of so many bytes as an address may have. One with a comma is alone.
func readings(skus []string, most int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		var list []string
		bytes := 0
		for _, sku := range skus {
			if strings.Contains(sku, ",") {
				if !yield([]string{sku}) {
					return
				}
				continue
			}
			n := len(url.QueryEscape(sku)) + len("%2C")
			if len(list) > 0 && (len(list) == most || bytes+n > queryBytes) {
				if !yield(list) {
					return
				}
				list, bytes = nil, 0
			}
			list, bytes = append(list, sku), bytes+n
		}
		if len(list) > 0 {
			yield(list)
		}
	}
}

// quantity is what Magento has.
type quantity struct {
	decimal.Decimal
	inStock bool
}

type stockPresent map[watermark.Key]quantity

func (p stockPresent) has(i *item) bool {
	q, there := p[i.key]
	return there && same(q.Decimal, i.stock.Quantity) && q.inStock == *i.stock.InStock
}

func (stockPresent) refuses(*item) error { return nil }

// stockItems writes the stock item of each SKU, in a shop without sources.
type stockItems struct{ *StockHandler }

func (stockItems) unfit(i *item) error {
	if i.stock.SourceCode == event.DefaultSource {
		return nil
	}
	return invalid("%s: there is no source %s: the shop has no multi-source inventory, and its stock is that of the source default",
		i.describe(), i.stock.SourceCode)
}

func (stockItems) kind() string                  { return kindStock }
func (stockItems) reads() bool                   { return false }
func (stockItems) trusts() bool                  { return false }
func (stockItems) rows(i *item) []*watermark.Row { return []*watermark.Row{ownRow(i)} }

func (s stockItems) read(ctx context.Context, items []*item) (present, error) {
	p := stockPresent{}
	for _, i := range items {
		row, err := s.Legacy.Get(ctx, i.sku)
		if errors.Is(err, magentoapi.ErrNotFound) && !errors.Is(err, magentoapi.ErrNoEndpoint) {
			continue // the write says so
		}
		if err != nil {
			return nil, handlers.FromMagento(err)
		}
		p[i.key] = quantity{row.Qty.Decimal, row.IsInStock.Bool}
		if err := event.Progress(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// send writes one item after the other. After a failure that may be Magento's the rest is not sent.
func (s stockItems) send(ctx context.Context, _ present, items []*item) (map[*item]error, error) {
	refused := map[*item]error{}
	var failure error
	for _, i := range items {
		if failure != nil {
			refused[i] = notSent{failure}
			continue
		}
		_, err := s.Legacy.Update(ctx, i.sku, &magentoapi.StockItem{
			ItemID: 1, // Magento finds the item by the SKU
			Qty:    magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(i.stock.Quantity)}, IsInStock: magentoapi.Flag{Valid: true, Bool: *i.stock.InStock},
		})
		switch {
		case errors.Is(err, magentoapi.ErrNotFound) && !errors.Is(err, magentoapi.ErrNoEndpoint):
			refused[i] = &event.Error{Class: event.Rejected, Downstream: "magento", Err: err}
		case err != nil:
			refused[i] = handlers.FromMagento(err)
			if !event.ClassOf(refused[i]).Poison() {
				failure = refused[i]
			}
		}
		if err := event.Progress(ctx); err != nil && failure == nil {
			failure = err
		}
	}
	return refused, nil
}
