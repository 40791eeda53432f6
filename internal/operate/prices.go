package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mageline/mageline/internal/watermark"
)

// watermarkTable is what withoutTable says is missing.
const watermarkTable = "watermarks"

// Watermarks are the versions of prices and stock.
type Watermarks struct{ Store *watermark.Store }

// NoSKUError means that there is nothing of a SKU.
type NoSKUError struct{ What, SKU string }

func (e *NoSKUError) Error() string { return fmt.Sprintf("there is no %s of SKU %s", e.What, e.SKU) }

// Show returns the rows of a SKU, or fails with a *NoSKUError.
func (w Watermarks) Show(ctx context.Context, sku string) ([]watermark.Standing, error) {
	all, err := w.Store.Show(ctx, keySKU(sku))
	if err == nil && len(all) == 0 {
		err = &NoSKUError{"watermark", sku}
	}
	return all, withoutTable(err, watermarkTable)
}

// Reset removes the rows of a SKU, so that whatever comes next counts as new, and returns their number. It fails with a *NoSKUError
// if there is none, and where one is being written.
func (w Watermarks) Reset(ctx context.Context, sku string) (int, error) {
	removed, held, err := w.Store.Reset(ctx, keySKU(sku))
	switch {
	case err != nil:
		return 0, withoutTable(err, watermarkTable)
	case held > 0:
		return removed, fmt.Errorf("%d watermarks of SKU %s stay, because they are being written: call it again in a moment", held, sku)
	case removed == 0:
		return 0, &NoSKUError{"watermark", sku}
	}
	return removed, nil
}

// keySKU returns a SKU as it stands in a row.
func keySKU(sku string) string { return strings.ToLower(strings.TrimSpace(sku)) }

// Prices are those that wait for a person.
type Prices struct {
	Store *watermark.Store
	// Publish sends a message to the queue of price_sync, confirmed.
	Publish func(ctx context.Context, body []byte) error
}

// Held returns all of them, the oldest first.
func (p Prices) Held(ctx context.Context) ([]watermark.HeldPrice, error) {
	all, err := p.Store.Held(ctx)
	return all, withoutTable(err, watermarkTable)
}

// Release has the held prices of a SKU written, or all with an empty one, each as of its own version, and returns their number. One that
// was cut short can be repeated.
func (p Prices) Release(ctx context.Context, sku string) (n int, err error) {
	all, err := p.Store.Release(ctx, keySKU(sku))
	if err != nil {
		return 0, withoutTable(err, watermarkTable)
	}
	if len(all) == 0 && sku != "" {
		return 0, &NoSKUError{"held price", sku}
	}
	for _, h := range all {
		if err := p.Publish(ctx, []byte(h.Body)); err != nil {
			return n, errors.Join(err, fmt.Errorf("%d of %d were sent; the others are marked as released: call it again", n, len(all)))
		}
		n++
	}
	return n, nil
}

// Drop forgets the held prices of a SKU, or all with an empty one, and returns their number.
func (p Prices) Drop(ctx context.Context, sku string) (int, error) {
	all, err := p.Store.Drop(ctx, keySKU(sku))
	if err == nil && len(all) == 0 && sku != "" {
		err = &NoSKUError{"held price", sku}
	}
	return len(all), withoutTable(err, watermarkTable)
}
