package bulk

import (
	"context"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// Tier prices have a row for each tier, and one for the SKU, without a scope. Whoever writes tiers of the SKU holds that one, so that
// all of them are never replaced while one of them is written. Its version is that of the newest replacement: an older tier is stale.

// tierScope is the scope of a tier.
func tierScope(website int64, group string, quantity decimal.Decimal) string {
	return fmt.Sprintf("website %d, group %s, quantity %s", website, strings.ToLower(group), quantity)
}

func tierRows(i *item) []*watermark.Row {
	return []*watermark.Row{ownRow(i), {Key: watermark.Key{SKU: i.key.SKU, Kind: kindTier}}}
}

func tierOf(sku string, p event.Price) magentoapi.TierPrice {
	return magentoapi.TierPrice{
		SKU: sku, Price: p.Price.Decimal, Type: magentoapi.PriceType(p.TierType), WebsiteID: p.WebsiteID, Group: p.CustomerGroup, Quantity: p.Quantity,
	}
}

func tierKey(t magentoapi.TierPrice) watermark.Key {
	return watermark.Key{SKU: keySKU(t.SKU), Kind: kindTier, Scope: tierScope(t.WebsiteID, t.Group, t.Quantity)}
}

// tierPresent is what Magento has of tiers, by SKU and by tier.
type tierPresent struct {
	skus map[string]int
	by   map[watermark.Key]magentoapi.TierPrice
}

func (h *PriceHandler) readTiers(ctx context.Context, kind string, items []*item) (tierPresent, error) {
	rows, err := readAll(ctx, h.Sizes, kind, skusOf(items), h.Prices.TierPrices)
	p := tierPresent{skus: map[string]int{}, by: map[watermark.Key]magentoapi.TierPrice{}}
	for _, r := range rows {
		p.by[tierKey(r)] = r
		p.skus[keySKU(r.SKU)]++
	}
	return p, err
}

func (p tierPresent) has(i *item) bool { return p.is(i.key, i.price) }

func (p tierPresent) is(key watermark.Key, price event.Price) bool {
	r, there := p.by[key]
	return there && same(r.Price, price.Price.Decimal) && string(r.Type) == price.TierType
}

func (tierPresent) refuses(*item) error { return nil }

// tier adds and changes tiers.
type tier struct{ *PriceHandler }

func (tier) unfit(*item) error             { return nil }
func (tier) kind() string                  { return kindTier }
func (tier) reads() bool                   { return false }
func (tier) trusts() bool                  { return false }
func (tier) rows(i *item) []*watermark.Row { return tierRows(i) }

func (t tier) read(ctx context.Context, items []*item) (present, error) {
	return t.readTiers(ctx, kindTier, items)
}

func (t tier) send(ctx context.Context, _ present, items []*item) (map[*item]error, error) {
	rows := make([]magentoapi.TierPrice, len(items))
	for n, i := range items {
		rows[n] = tierOf(i.sku, i.price)
	}
	return refusals(t.Prices.UpdateTierPrices(ctx, rows), items)
}

// tierDelete deletes tiers.
type tierDelete struct{ *PriceHandler }

func (tierDelete) unfit(*item) error             { return nil }
func (tierDelete) kind() string                  { return kindTierDelete }
func (tierDelete) reads() bool                   { return true }
func (tierDelete) trusts() bool                  { return true }
func (tierDelete) rows(i *item) []*watermark.Row { return tierRows(i) }

func (t tierDelete) read(ctx context.Context, items []*item) (present, error) {
	p, err := t.readTiers(ctx, kindTierDelete, items)
	return tierGone{p}, err
}

// tierGone is a tierPresent of items that are deleted.
type tierGone struct{ tierPresent }

func (p tierGone) has(i *item) bool {
	_, there := p.by[i.key]
	return !there
}

// send deletes the tiers as they were read: Magento finds them by their price too.
func (t tierDelete) send(ctx context.Context, p present, items []*item) (map[*item]error, error) {
	rows := make([]magentoapi.TierPrice, len(items))
	for n, i := range items {
		rows[n] = p.(tierGone).by[i.key]
		rows[n].SKU = i.sku
	}
	return refusals(t.Prices.DeleteTierPrices(ctx, rows), items)
}

// tierReplace puts tiers in the place of all that a SKU has.
type tierReplace struct{ *PriceHandler }

func (tierReplace) unfit(*item) error             { return nil }
func (tierReplace) kind() string                  { return kindTierReplace }
func (tierReplace) reads() bool                   { return true }
func (tierReplace) trusts() bool                  { return false }
func (tierReplace) rows(i *item) []*watermark.Row { return []*watermark.Row{ownRow(i)} }

// read also finds the tiers that are newer than the replacement: they stay as Magento has them.
func (t tierReplace) read(ctx context.Context, items []*item) (present, error) {
	for _, i := range items {
		newer, err := t.Watermarks.Newer(ctx, kindTier, i.key.SKU, i.version)
		if err != nil {
			return nil, err
		}
		i.keep = newer
	}
	p, err := t.readTiers(ctx, kindTierReplace, items)
	return tiersPresent{p}, err
}

// tiersPresent is a tierPresent of items that replace tiers.
type tiersPresent struct{ tierPresent }

// wanted returns the tiers that the SKU is to have, by their keys.
func (p tiersPresent) wanted(i *item) map[watermark.Key]magentoapi.TierPrice {
	wanted := map[watermark.Key]magentoapi.TierPrice{}
	for _, price := range i.tiers {
		r := tierOf(i.sku, price)
		wanted[tierKey(r)] = r
	}
	for _, k := range i.keep {
		delete(wanted, k)
		if r, there := p.by[k]; there {
			r.SKU = i.sku
			wanted[k] = r
		}
	}
	return wanted
}

func (p tiersPresent) has(i *item) bool {
	wanted := p.wanted(i)
	for key, w := range wanted {
		if r, there := p.by[key]; !there || !same(r.Price, w.Price) || r.Type != w.Type {
			return false
		}
	}
	return len(wanted) == p.skus[i.key.SKU]
}

func (t tierReplace) send(ctx context.Context, p present, items []*item) (map[*item]error, error) {
	var rows []magentoapi.TierPrice
	var owners []*item
	for _, i := range items {
		wanted := p.(tiersPresent).wanted(i)
		for _, key := range sortedKeys(wanted) {
			rows, owners = append(rows, wanted[key]), append(owners, i)
		}
	}
	if len(rows) == 0 { // all that they had were deleted by something newer
		return nil, nil
	}
	return refusals(t.Prices.ReplaceTierPrices(ctx, rows), owners)
}
