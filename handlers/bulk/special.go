package bulk

import (
	"context"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// special writes special prices: to every store view that they are for, as Magento writes only the one that is named.
type special struct {
	*PriceHandler
	staged bool // the shop has Content Staging
}

func (special) unfit(*item) error             { return nil }
func (special) kind() string                  { return kindSpecial }
func (s special) reads() bool                 { return s.staged }
func (s special) trusts() bool                { return s.staged }
func (special) rows(i *item) []*watermark.Row { return []*watermark.Row{ownRow(i)} }

// clock reads a time of a message, which was checked.
func clock(text string) time.Time {
	at, err := time.Parse(time.DateTime, text)
	if err != nil { // no time
		return time.Time{}
	}
	return at
}

func (s special) send(ctx context.Context, _ present, items []*item) (map[*item]error, error) {
	var rows []magentoapi.SpecialPrice
	var owners []*item
	for _, i := range items {
		for _, view := range i.views {
			rows = append(rows, magentoapi.SpecialPrice{
				SKU: i.sku, StoreID: view, Price: i.price.Price.Decimal, From: clock(i.price.From), To: clock(i.price.To),
			})
			owners = append(owners, i)
		}
	}
	return refusals(s.Prices.UpdateSpecialPrices(ctx, rows), owners)
}

func (s special) read(ctx context.Context, items []*item) (present, error) {
	return s.readSpecial(ctx, kindSpecial, items, s.staged)
}

func (h *PriceHandler) readSpecial(ctx context.Context, kind string, items []*item, staged bool) (specialPresent, error) {
	rows, err := readAll(ctx, h.Sizes, kind, skusOf(items), h.Prices.SpecialPrices)
	if err != nil {
		return specialPresent{}, err
	}
	p := specialPresent{by: map[stored][]magentoapi.SpecialPrice{}, skus: map[string][]magentoapi.SpecialPrice{}, staged: staged}
	if staged { // the second row with the period of another begins a second later, and so on
		p.slack = time.Duration(h.Sizes.most) * time.Second
	}
	for _, r := range rows {
		sku := keySKU(r.SKU)
		p.by[stored{sku, r.StoreID}] = append(p.by[stored{sku, r.StoreID}], r)
		p.skus[sku] = append(p.skus[sku], r)
	}
	return p, nil
}

// specialPresent is what Magento has of special prices. Of a SKU with special prices in several stores it tells every price with every
// date, so the dates of a store with several rows can't be trusted; the price can.
type specialPresent struct {
	by     map[stored][]magentoapi.SpecialPrice
	skus   map[string][]magentoapi.SpecialPrice
	slack  time.Duration
	staged bool
}

func (p specialPresent) has(i *item) bool {
	for _, view := range i.views {
		rows := p.by[stored{i.key.SKU, view}]
		if len(rows) == 0 || !same(rows[0].Price, i.price.Price.Decimal) {
			return false
		}
		dated := i.price.From != "" || i.price.To != ""
		if dated && (len(rows) > 1 || !p.isPeriod(rows[0], i)) {
			return false
		}
	}
	return true
}

// isPeriod reports whether a special price has the item's dates, as far as it has any: Magento keeps what is not given.
func (p specialPresent) isPeriod(r magentoapi.SpecialPrice, i *item) bool {
	is := func(want string, have time.Time) bool {
		if want == "" {
			return true
		}
		late := have.Sub(clock(want))
		return !have.IsZero() && late >= 0 && late <= p.slack
	}
	return is(i.price.From, r.From) && is(i.price.To, r.To)
}

// refuses returns what is wrong with a special price where each is an update that Magento schedules.
func (p specialPresent) refuses(i *item) error {
	if !p.staged {
		return nil
	}
	if i.price.From == "" || i.price.To == "" {
		return invalid("%s: a special price needs price_from and price_to in this shop, which has Content Staging: it has the period %s",
			i.describe(), period(i.price.From, i.price.To))
	}
	from, to := clock(i.price.From), clock(i.price.To)
	seen := map[int64]bool{}
	for _, r := range p.skus[i.key.SKU] {
		if seen[r.StoreID] || len(p.by[stored{i.key.SKU, r.StoreID}]) > 1 {
			continue // its dates can't be trusted: Magento decides
		}
		seen[r.StoreID] = true
		if (r.To.IsZero() || from.Before(r.To)) && (r.From.IsZero() || r.From.Before(to)) {
			return invalid("%s: the period %s overlaps the one that the shop has, %s: delete that one first (special_delete), or choose another",
				i.describe(), period(i.price.From, i.price.To), period(text(r.From), text(r.To)))
		}
	}
	return nil
}

func (p specialPresent) old(i *item) (decimal.Decimal, bool) {
	var found []decimal.Decimal
	for _, view := range i.views {
		if rows := p.by[stored{i.key.SKU, view}]; len(rows) > 0 {
			found = append(found, rows[0].Price)
		}
	}
	return furthest(found, i.price.Price.Decimal)
}

func text(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.DateTime)
}

// period names a time for a person.
func period(from, to string) string {
	open := func(s string) string {
		if s == "" {
			return "(open)"
		}
		return s
	}
	return strings.Join([]string{open(from), open(to)}, " to ")
}

// specialDelete deletes special prices.
type specialDelete struct{ *PriceHandler }

func (specialDelete) unfit(*item) error             { return nil }
func (specialDelete) kind() string                  { return kindSpecialDelete }
func (specialDelete) reads() bool                   { return true }
func (specialDelete) trusts() bool                  { return true }
func (specialDelete) rows(i *item) []*watermark.Row { return []*watermark.Row{ownRow(i)} }

func (s specialDelete) read(ctx context.Context, items []*item) (present, error) {
	p, err := s.readSpecial(ctx, kindSpecialDelete, items, false)
	return specialGone{p}, err
}

// specialGone is a specialPresent of items that are deleted.
type specialGone struct{ specialPresent }

func (p specialGone) has(i *item) bool {
	for _, view := range i.views {
		if len(p.by[stored{i.key.SKU, view}]) > 0 {
			return false
		}
	}
	return true
}

func (specialGone) refuses(*item) error { return nil }

// send deletes what was read: Magento checks the rows as it does those of an update.
func (s specialDelete) send(ctx context.Context, p present, items []*item) (map[*item]error, error) {
	there := p.(specialGone)
	var rows []magentoapi.SpecialPrice
	var owners []*item
	for _, i := range items {
		for _, view := range i.views {
			if found := there.by[stored{i.key.SKU, view}]; len(found) > 0 {
				row := found[0]
				row.SKU = i.sku
				rows, owners = append(rows, row), append(owners, i)
			}
		}
	}
	return refusals(s.Prices.DeleteSpecialPrices(ctx, rows), owners)
}
