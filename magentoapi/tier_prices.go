package magentoapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"
)

// PriceType says what a tier price is.
type PriceType string

// The types of tier prices.
const (
	FixedPrice    PriceType = "fixed"
	DiscountPrice PriceType = "discount" // in percent
)

// AllGroups is the customer group of tier prices that are for everybody.
const AllGroups = "ALL GROUPS"

// TierPrice is what a group of customers pays from a quantity on (Catalog\Api\Data\TierPriceInterface).
type TierPrice struct {
	SKU       string
	Price     decimal.Decimal
	Type      PriceType
	WebsiteID int64 // 0 for all; must be 0 where prices are global
	// Group is the customer group's name, not its id: AllGroups, NOT LOGGED IN, General, …
	Group    string
	Quantity decimal.Decimal
}

var tierPrices = priceList[TierPrice]{
	row: func(p TierPrice) priceRow {
		return priceRow{
			SKU: Text(p.SKU), Price: amount(p.Price), Type: Text(p.Type), WebsiteID: scopeOf(p.WebsiteID), Group: Text(p.Group),
			Quantity: amount(p.Quantity),
		}
	},
	price: func(r priceRow) TierPrice {
		return TierPrice{
			string(r.SKU), r.Price.Decimal, PriceType(r.Type), scopeIn(r.WebsiteID), string(r.Group), r.Quantity.Decimal,
		}
	},
	is: func(p TierPrice, values []string) bool { return end(values, p.SKU, p.WebsiteID, p.Group, p.Quantity) },
	// Where a row is refused for the sake of a price that is there already, that one's website and group are told
	// (Validation\TierPriceValidator::checkUnique).
	like: func(p TierPrice, values []string) bool {
		n := len(values) - 4
		return n >= 0 && same(values[n], p.SKU) && strings.EqualFold(values[n+2], p.Group) && same(values[n+3], p.Quantity)
	},
}

// TierPrices reads the tier prices of SKUs; there are none for a SKU that Magento doesn't know.
//
// POST /V1/products/tier-prices-information, permission Magento_Catalog::catalog
func (s *PricesService) TierPrices(ctx context.Context, skus ...string) ([]TierPrice, error) {
	op := operation{method: http.MethodPost, path: endpoint("products", "tier-prices-information"), repeatable: true}
	return tierPrices.read(ctx, s, op, skus)
}

// UpdateTierPrices adds tier prices, and changes those with the same SKU, website, group and quantity. Rows that Magento
// refuses are told by a *PriceError; of two rows for the same place it refuses both.
//
// POST /V1/products/tier-prices, permission Magento_Catalog::catalog
func (s *PricesService) UpdateTierPrices(ctx context.Context, prices []TierPrice) error {
	op := operation{method: http.MethodPost, path: endpoint("products", "tier-prices"), repeatable: true}
	return tierPrices.send(ctx, s, op, prices)
}

// ReplaceTierPrices puts tier prices in the place of all that these SKUs have. A SKU of which every row is refused keeps
// those that it has; a SKU of which some rows are refused is left with the others. The rows of a SKU are sent in
// one call, though they be more than Options.MaxItems, and must stand together in prices if that is set.
//
// PUT /V1/products/tier-prices, permission Magento_Catalog::catalog
func (s *PricesService) ReplaceTierPrices(ctx context.Context, prices []TierPrice) error {
	if s.client.maxItems > 0 {
		seen := map[string]bool{}
		var last string
		for _, p := range prices {
			if p.SKU == last {
				continue
			}
			last = p.SKU
			if seen[p.SKU] { // its second call would take away what the first has brought
				return fmt.Errorf("magento: tier prices to replace, in several calls: the rows of SKU %q don't stand together", p.SKU)
			}
			seen[p.SKU] = true
		}
	}
	list := tierPrices
	list.together = func(a, b TierPrice) bool { return a.SKU == b.SKU }
	op := operation{method: http.MethodPut, path: endpoint("products", "tier-prices"), repeatable: true}
	return list.send(ctx, s, op, prices)
}

// DeleteTierPrices deletes tier prices: give them as they were read, for the price must agree, too. Rows that Magento
// refuses are told by a *PriceError.
//
// POST /V1/products/tier-prices-delete, permission Magento_Catalog::catalog
func (s *PricesService) DeleteTierPrices(ctx context.Context, prices []TierPrice) error {
	op := operation{method: http.MethodPost, path: endpoint("products", "tier-prices-delete"), repeatable: true}
	return tierPrices.send(ctx, s, op, prices)
}
