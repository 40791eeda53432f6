// Package bulk has the handlers of price_sync and stock_sync: what is done for the entries of a batch, in one call of Magento's.
//
// A batch goes through the same steps, whatever is in it (write.go). Of several entries for one key only the newest goes on. The
// rows of the keys are claimed (internal/watermark), which drops what is older than what Magento has. What Magento has now is read.
// What is equal counts as written, a price that differs too much is held for a person, the rest is sent, and the claim ends with
// what Magento has answered for each. What is particular to an endpoint is a target: its rows, its reading, its words.
package bulk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// Names of the consumers.
const (
	PriceSync = "price_sync"
	StockSync = "stock_sync"
)

// The kinds of calls. Each has a size of its own.
const (
	kindBase          = "base"
	kindSpecial       = "special"
	kindSpecialDelete = "special_delete"
	kindTier          = "tier"
	kindTierReplace   = "tier_replace"
	kindTierDelete    = "tier_delete"
	kindStock         = "stock"
)

// What became of an entry, as metrics have it.
const (
	written   = "written"
	unchanged = "unchanged" // Magento had the value already
	stale     = "stale"
	repeated  = "repeated" // an earlier handling of the same message had written it
	rejected  = "rejected"
	held      = "held"
)

// Prices reads and writes prices. *magentoapi.PricesService implements it.
type Prices interface {
	BasePrices(ctx context.Context, skus ...string) ([]magentoapi.BasePrice, error)
	UpdateBasePrices(ctx context.Context, prices []magentoapi.BasePrice) error
	SpecialPrices(ctx context.Context, skus ...string) ([]magentoapi.SpecialPrice, error)
	UpdateSpecialPrices(ctx context.Context, prices []magentoapi.SpecialPrice) error
	DeleteSpecialPrices(ctx context.Context, prices []magentoapi.SpecialPrice) error
	TierPrices(ctx context.Context, skus ...string) ([]magentoapi.TierPrice, error)
	UpdateTierPrices(ctx context.Context, prices []magentoapi.TierPrice) error
	ReplaceTierPrices(ctx context.Context, prices []magentoapi.TierPrice) error
	DeleteTierPrices(ctx context.Context, prices []magentoapi.TierPrice) error
}

// Watermarks keeps versions and held prices. *watermark.Store implements it and documents the methods.
type Watermarks interface {
	Claim(ctx context.Context, rows []*watermark.Row) (*watermark.Claim, error)
	Newer(ctx context.Context, kind, sku string, than time.Time) ([]watermark.Key, error)
	HeldOf(ctx context.Context, keys []watermark.Key) (map[watermark.Key]watermark.HeldPrice, error)
	Hold(ctx context.Context, h watermark.HeldPrice) error
}

// Slots bounds the calls that write at once, over all replicas. *pg.Slots implements it and documents the method.
type Slots interface {
	Take(ctx context.Context) (held context.Context, release func(), err error)
}

// Meter counts.
type Meter interface {
	// Entries counts entries by what became of them.
	Entries(kind, outcome string, n int)
	// Called counts a call that writes, with its rows and how long it took.
	Called(kind string, rows int, took time.Duration)
	// Size is told how many entries a call of the kind may have now.
	Size(kind string, n int)
}

// Changes has products read again for the search indexes: Magento publishes no event of what is written in bulk.
type Changes interface {
	// Coming records products that are about to be changed, and Done those that were.
	Coming(ctx context.Context, skus []string) error
	Done(ctx context.Context, skus []string) error
}

// Line is what the handlers have in common.
type Line struct {
	Changes    Changes
	Watermarks Watermarks
	Slots      Slots
	Sizes      *Sizes
	Meter      Meter
	// All has everything written, and nothing read that is not needed for the write. Otherwise only what differs is written.
	All bool
}

// item is an entry on its way: the value of a consumer.Entry.
type item struct {
	key     watermark.Key
	version time.Time
	message string // letter id of its message
	repeat  bool   // an earlier handling of the message may have written it
	sku     string // as the message spells it
	raw     []json.RawMessage

	price event.Price     // of a price
	tiers []event.Price   // of tier prices that take the place of all others
	stock event.StockItem // of stock

	// views are the store views that a base or special price is for.
	views []int64
	// keep are the tiers that are newer than the item, which takes the place of all others.
	keep []watermark.Key
}

// weight is how many rows of a call the item is.
func (i *item) weight() int { return max(1, len(i.raw)) * max(1, len(i.views)) }

// describe returns what names an item in a message.
func (i *item) describe() string { return "SKU " + i.sku }

// letter returns the body of an event with only the rejected entries. Those that were in no call are counted here.
func (l *Line) letter(e event.Event, list string, rejections []consumer.Rejection) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.Body, &members); err != nil {
		return nil, err
	}
	var rows []json.RawMessage
	for _, r := range rejections {
		rows = append(rows, r.Entry.Value.(*item).raw...)
		if r.Entry.Err != nil {
			l.Meter.Entries(r.Entry.Kind, rejected, 1)
		}
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	members[list] = raw
	return json.Marshal(members)
}

// keySKU returns a SKU as Magento compares it.
func keySKU(sku string) string { return strings.ToLower(strings.TrimSpace(sku)) }

// amount is a price or quantity as Magento keeps it for comparison.
func amount(d decimal.Decimal) decimal.Decimal { return d.Round(4) }

func same(a, b decimal.Decimal) bool { return amount(a).Equal(amount(b)) }

// skusOf returns the SKUs of items, each once.
func skusOf(items []*item) []string {
	seen := make(map[string]bool, len(items))
	skus := make([]string, 0, len(items))
	for _, i := range items {
		if k := keySKU(i.sku); !seen[k] {
			seen[k] = true
			skus = append(skus, i.sku)
		}
	}
	slices.Sort(skus)
	return skus
}

// target is one endpoint.
type target interface {
	// kind is that of its calls.
	kind() string
	// unfit returns why an item can't be written at all; nil if it can.
	unfit(i *item) error
	// rows are those of an item that are to be claimed: its own first, then those that are only held.
	rows(i *item) []*watermark.Row
	// reads reports whether an item can't be judged or written without what Magento has.
	reads() bool
	// trusts reports whether an item that Magento has already is not written even where everything is.
	trusts() bool
	// read reads what Magento has.
	read(ctx context.Context, items []*item) (present, error)
	// send writes items in one call. The error of an item has a class; whole is about the call.
	send(ctx context.Context, p present, items []*item) (refused map[*item]error, whole error)
}

// present is what Magento had when it was read.
type present interface {
	// has reports whether Magento has the item's value already.
	has(i *item) bool
	// refuses returns why Magento would refuse the item, as far as what was read shows.
	refuses(i *item) error
}

// priced is a present whose items have a price that can be compared with the one before.
type priced interface {
	// old returns the price that Magento has, of several the one that differs most.
	old(i *item) (decimal.Decimal, bool)
}

func invalid(format string, args ...any) error {
	return event.Errorf(event.Invalid, format, args...)
}

func tooNew(i *item) error {
	return invalid("%s: as_of is %s, more than %s ahead of the database's clock: correct the clock of whoever sends it",
		i.describe(), i.version.Format(time.RFC3339), watermark.Ahead)
}

// busy is the error of entries whose row another has.
func busy(i *item, wait time.Duration) error {
	d := &event.Deferral{Reason: fmt.Sprintf("%s is being written by another replica", i.describe()), Busy: true}
	if wait > 0 {
		d.Reason = fmt.Sprintf("%s may be on its way to Magento in a call that was given up", i.describe())
		d.Wait, d.Pick = wait, event.NotShorter
	}
	return d
}
