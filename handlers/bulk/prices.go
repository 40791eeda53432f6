package bulk

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// PriceHandler handles price_sync: it writes prices to Magento's bulk endpoints.
type PriceHandler struct {
	Line
	Prices Prices
	Shop   *Shop
	Rules  PriceRules

	// widest is the number of store views of the website with the most, where one special price is as many rows.
	widest atomic.Int64
}

// PriceRules are what a shop wants of prices.
type PriceRules struct {
	AllowZero bool
	// PerWebsite says that prices are a website's and not the whole shop's.
	PerWebsite bool
	Guard      *Guard // nil: no price is held
}

// Limit returns how many entries a batch of the kind may have.
func (h *PriceHandler) Limit(kind string) int {
	n := h.Sizes.batch(kind)
	if views := int(h.widest.Load()); views > 1 && (kind == kindSpecial || kind == kindSpecialDelete) {
		n = max(1, n/views)
	}
	return n
}

// Entries returns the prices of an event; those that take the place of all tiers of a SKU as one entry.
func (h *PriceHandler) Entries(ctx context.Context, e event.Event) ([]consumer.Entry, error) {
	s, err := event.ParsePrices(e.Body)
	if err != nil {
		return nil, err
	}
	if s.Replace {
		return h.replaced(ctx, e, s), nil
	}
	entries := make([]consumer.Entry, 0, len(s.Prices))
	for _, p := range s.Prices {
		i := newItem(ctx, e, s.AsOf, p.SKU, p.Raw)
		i.price = p
		entry := consumer.Entry{Value: i, Kind: string(s.Type), Err: p.Err}
		if entry.Err == nil {
			entry.Err = h.checkZero(s.Type, p)
		}
		if entry.Err == nil {
			if err := h.place(ctx, s.Type, i); err != nil {
				return nil, err
			}
			entry.Key = i.key.String()
			if i.key.Kind == kindTier { // its call holds all tiers of the SKU
				entry.Key = kindTier + " " + i.key.SKU
			}
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func newItem(ctx context.Context, e event.Event, version time.Time, sku string, raw ...json.RawMessage) *item {
	return &item{version: version, message: event.Message(ctx), repeat: e.Repeat, sku: sku, raw: raw}
}

// replaced returns an entry for each SKU, with all of its tiers. If one of them can't be used, none is written.
func (h *PriceHandler) replaced(ctx context.Context, e event.Event, s event.PriceSync) (entries []consumer.Entry) {
	at := map[string]int{}
	for _, p := range s.Prices {
		sku := keySKU(p.SKU)
		n, there := at[sku]
		if !there || sku == "" {
			n = len(entries)
			at[sku] = n
			i := newItem(ctx, e, s.AsOf, p.SKU)
			i.key = watermark.Key{SKU: sku, Kind: kindTier}
			entries = append(entries, consumer.Entry{Value: i, Kind: kindTierReplace, Key: kindTier + " " + sku})
		}
		entry := &entries[n]
		i := entry.Value.(*item)
		i.raw, i.tiers = append(i.raw, p.Raw), append(i.tiers, p)
		entry.Rows++
		if entry.Err == nil {
			entry.Err = p.Err
		}
		if entry.Err == nil {
			entry.Err = h.checkZero(s.Type, p)
		}
	}
	return entries
}

func (h *PriceHandler) checkZero(t event.PriceType, p event.Price) error {
	switch {
	case h.Rules.AllowZero, t == event.SpecialDelete, t == event.TierDelete, p.TierType == string(magentoapi.DiscountPrice):
		return nil
	case p.Price.Decimal.IsZero():
		return invalid("the price of SKU %s is 0: a price of 0 gives the product away; allow it if that is meant", p.SKU)
	}
	return nil
}

// place finds the row of a price, and the store views that it is for.
func (h *PriceHandler) place(ctx context.Context, t event.PriceType, i *item) error {
	i.key = watermark.Key{SKU: keySKU(i.sku)}
	switch t {
	case event.TierPrices, event.TierDelete:
		i.key.Kind, i.key.Scope = kindTier, tierScope(i.price.WebsiteID, i.price.CustomerGroup, i.price.Quantity)
		return nil
	case event.BasePrices:
		i.key.Kind = kindBase
	default:
		i.key.Kind = kindSpecial
	}
	store := i.price.StoreID
	i.key.Scope, i.views = fmt.Sprintf("store %d", store), []int64{store}
	switch {
	case h.Rules.PerWebsite && store != 0:
		website, views, err := h.Shop.viewsBeside(ctx, store)
		if err != nil {
			return err
		}
		if len(views) > 0 { // else Magento does not know the store, and says so
			i.key.Scope, i.views = fmt.Sprintf("website %d", website), views
			h.widen(len(views))
		}
	case !h.Rules.PerWebsite && t == event.BasePrices: // Magento writes it to all stores
		i.key.Scope, i.views = "store 0", []int64{0}
	}
	return nil
}

func (h *PriceHandler) widen(views int) {
	for {
		now := h.widest.Load()
		if int64(views) <= now || h.widest.CompareAndSwap(now, int64(views)) {
			return
		}
	}
}

// Write makes a call.
func (h *PriceHandler) Write(ctx context.Context, c consumer.Call) ([]consumer.Result, error) {
	var t target
	guard := h.Rules.Guard
	switch c.Kind {
	case kindBase:
		t = base{h}
	case kindSpecial:
		staging, err := h.Shop.staging(ctx)
		if err != nil {
			return nil, err
		}
		t = special{h, staging}
	case kindSpecialDelete:
		t, guard = specialDelete{h}, nil
	case kindTier:
		t, guard = tier{h}, nil
	case kindTierReplace:
		t, guard = tierReplace{h}, nil
	case kindTierDelete:
		t, guard = tierDelete{h}, nil
	default:
		return nil, event.Errorf(event.Internal, "there is no kind %q of prices", c.Kind)
	}
	return h.write(ctx, t, guard, c.Entries)
}

// Letter returns a body with only the rejected prices.
func (h *PriceHandler) Letter(e event.Event, rejected []consumer.Rejection) (json.RawMessage, error) {
	return h.letter(e, "prices", rejected)
}

// ownRow returns the row of an item.
func ownRow(i *item) *watermark.Row {
	return &watermark.Row{Key: i.key, Version: i.version, Message: i.message}
}

// base writes base prices.
type base struct{ *PriceHandler }

func (base) unfit(*item) error             { return nil }
func (base) kind() string                  { return kindBase }
func (base) reads() bool                   { return false }
func (base) trusts() bool                  { return false }
func (base) rows(i *item) []*watermark.Row { return []*watermark.Row{ownRow(i)} }
func (b base) row(i *item) magentoapi.BasePrice {
	return magentoapi.BasePrice{SKU: i.sku, StoreID: i.price.StoreID, Price: i.price.Price.Decimal}
}

func (b base) send(ctx context.Context, _ present, items []*item) (map[*item]error, error) {
	rows := make([]magentoapi.BasePrice, len(items))
	for n, i := range items {
		rows[n] = b.row(i)
	}
	return refusals(b.Prices.UpdateBasePrices(ctx, rows), items)
}

// stored names a price that Magento has.
type stored struct {
	sku   string
	store int64
}

func (b base) read(ctx context.Context, items []*item) (present, error) {
	rows, err := readAll(ctx, b.Sizes, kindBase, skusOf(items), b.Prices.BasePrices)
	if err != nil {
		return nil, err
	}
	p := basePresent{}
	for _, r := range rows {
		p[stored{keySKU(r.SKU), r.StoreID}] = r.Price
	}
	return p, nil
}

// readAll reads what Magento has of SKUs, in several calls where it takes no more at once.
func readAll[R any](ctx context.Context, sizes *Sizes, kind string, skus []string, read func(ctx context.Context, skus ...string) ([]R, error)) (all []R, err error) {
	for len(skus) > 0 {
		n := min(len(skus), sizes.reading(kind))
		rows, err := read(ctx, skus[:n]...)
		if most, ok := atMost(err); ok && most < n {
			sizes.readAtMost(kind, most)
			continue
		}
		if err != nil {
			return nil, handlers.FromMagento(err)
		}
		all, skus = append(all, rows...), skus[n:]
	}
	return all, nil
}

type basePresent map[stored]decimal.Decimal

func (p basePresent) has(i *item) bool {
	for _, store := range i.views {
		price, there := p[stored{i.key.SKU, store}]
		if !there || !same(price, i.price.Price.Decimal) {
			return false
		}
	}
	return true
}

func (basePresent) refuses(*item) error { return nil }

func (p basePresent) old(i *item) (decimal.Decimal, bool) {
	var found []decimal.Decimal
	for _, store := range i.views {
		if price, there := p[stored{i.key.SKU, store}]; there {
			found = append(found, price)
		}
	}
	return furthest(found, i.price.Price.Decimal)
}

// furthest returns the price that differs most, as a part of it, from another.
func furthest(prices []decimal.Decimal, from decimal.Decimal) (far decimal.Decimal, ok bool) {
	var most decimal.Decimal
	for _, p := range prices {
		if p.IsZero() {
			return p, true
		}
		if change := from.Sub(p).Abs().Div(p.Abs()); !ok || change.GreaterThan(most) {
			far, most, ok = p, change, true
		}
	}
	return far, ok
}
