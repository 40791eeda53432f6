package bulk

import (
	"context"
	"encoding/json"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/watermark"
)

// Guard holds prices that differ too much from what Magento has.
type Guard struct {
	// MaxChange is the most by which a price may change, up or down, as a part of what Magento has: 0.5 is a half.
	MaxChange decimal.Decimal
}

// exceeds reports whether a price changes by more than is allowed. From 0 every change is.
func (g *Guard) exceeds(before, after decimal.Decimal) bool {
	return after.Sub(before).Abs().GreaterThan(before.Abs().Mul(g.MaxChange))
}

// hold returns the items that may be written, and holds the others.
func (b *batch) hold(ctx context.Context, p present, items []*item) (rest []*item, err error) {
	prices, ok := p.(priced)
	if !ok || len(items) == 0 {
		return items, nil
	}
	var far []*item
	for _, i := range items {
		if before, known := prices.old(i); known && b.guard.exceeds(before, i.price.Price.Decimal) {
			far = append(far, i)
		} else {
			rest = append(rest, i)
		}
	}
	if len(far) == 0 {
		return rest, nil
	}
	keys := make([]watermark.Key, len(far))
	for n, i := range far {
		keys[n] = i.key
	}
	before, err := b.Watermarks.HeldOf(ctx, keys)
	if err != nil {
		return nil, err
	}
	for _, i := range far {
		h, is := before[i.key]
		switch {
		case is && h.Released && h.AsOf.Equal(i.version) && h.New.Equal(i.price.Price.Decimal):
			rest = append(rest, i)
			continue
		case is && h.AsOf.After(i.version):
			b.settle(i, stale, event.Stale, nil)
			continue
		}
		if err := b.holdOne(ctx, prices, i); err != nil {
			return nil, err
		}
		b.settle(i, held, event.Skipped, nil)
	}
	return rest, nil
}

func (b *batch) holdOne(ctx context.Context, prices priced, i *item) error {
	before, _ := prices.old(i)
	body, err := json.Marshal(event.PriceSync{Type: event.PriceType(b.target.kind()), AsOf: i.version, Prices: []event.Price{i.price}})
	if err != nil {
		return err
	}
	err = b.Watermarks.Hold(ctx, watermark.HeldPrice{
		Key: i.key, AsOf: i.version, Old: before, New: i.price.Price.Decimal, Message: i.message, Body: string(body),
	})
	if err != nil {
		return err
	}
	zerolog.Ctx(ctx).Warn().Str("event", "price_held").Bool("journal", true).Str("key", i.sku).Str("kind", i.key.Kind).Str("scope", i.key.Scope).
		Str("old", before.String()).Str("new", i.price.Price.Decimal.String()).Time("as_of", i.version).Str("letter", i.message).
		Msg("the price differs so much from what Magento has that it waits for a person")
	return nil
}
