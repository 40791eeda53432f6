package magentoapi

import (
	"context"
	"net/http"
	"time"

	"github.com/shopspring/decimal"
)

// PricesService calls the endpoints that read and save prices of many products at once, Options.MaxItems in a call. They
// write the prices only: there is no event of a product's save, and the price index follows later.
//
// Magento saves the rows that are right and answers with the others, so that an update of which rows were refused is a
// *PriceError: what it doesn't name is saved. All updates are repeated where a read is: they put a value in its place, and
// what is deleted already is none to delete.
//
// Sources: app/code/Magento/Catalog/etc/webapi.xml and Model/Product/Price.
type PricesService struct{ client *Client }

// BasePrice is a product's regular price in the base currency (Catalog\Api\Data\BasePriceInterface).
type BasePrice struct {
	SKU string
	// StoreID is the store view, 0 for all. Where prices are global Magento takes every one for 0; where they are of a
	// website it saves the price for all of the website's views.
	StoreID int64
	Price   decimal.Decimal
}

// SpecialPrice is a price for a time (Catalog\Api\Data\SpecialPriceInterface).
type SpecialPrice struct {
	SKU     string
	StoreID int64 // must be 0 where prices are global
	Price   decimal.Decimal
	// From and To are the first and the last moment, to the second, zero for no bound. They are what the store's clock
	// shows, whatever their location: Magento keeps them without a zone and compares them with the store's time. Those
	// that are read are in UTC. A To at midnight lasts to the end of that day
	// (lib/internal/Magento/Framework/Stdlib/DateTime/Timezone.php, isScopeDateInInterval).
	From, To time.Time
}

// Cost is what a product costs the shop (Catalog\Api\Data\CostInterface).
type Cost struct {
	SKU     string
	StoreID int64
	Cost    decimal.Decimal
}

var basePrices = priceList[BasePrice]{
	row: func(p BasePrice) priceRow {
		return priceRow{SKU: Text(p.SKU), StoreID: scopeOf(p.StoreID), Price: amount(p.Price)}
	},
	price: func(r priceRow) BasePrice { return BasePrice{string(r.SKU), scopeIn(r.StoreID), r.Price.Decimal} },
	is: func(p BasePrice, values []string) bool {
		return are(values, "SKU", p.SKU) || are(values, "Price", p.Price) || are(values, p.SKU, p.StoreID)
	},
}

// BasePrices reads the prices of SKUs. There is none for a SKU that Magento doesn't know, or whose type has no price.
//
// POST /V1/products/base-prices-information, permission Magento_Catalog::catalog
func (s *PricesService) BasePrices(ctx context.Context, skus ...string) ([]BasePrice, error) {
	op := operation{method: http.MethodPost, path: endpoint("products", "base-prices-information"), repeatable: true}
	return basePrices.read(ctx, s, op, skus)
}

// UpdateBasePrices saves prices. Rows that Magento refuses are told by a *PriceError: an unknown SKU, a type without a
// price of its own, a price below 0, an unknown store view.
//
// POST /V1/products/base-prices, permission Magento_Catalog::catalog
func (s *PricesService) UpdateBasePrices(ctx context.Context, prices []BasePrice) error {
	op := operation{method: http.MethodPost, path: endpoint("products", "base-prices"), repeatable: true}
	return basePrices.send(ctx, s, op, prices)
}

var specialPrices = priceList[SpecialPrice]{
	row: func(p SpecialPrice) priceRow {
		return priceRow{
			SKU: Text(p.SKU), StoreID: scopeOf(p.StoreID), Price: amount(p.Price), From: onTheClock(p.From), To: onTheClock(p.To),
		}
	},
	price: func(r priceRow) SpecialPrice {
		return SpecialPrice{string(r.SKU), scopeIn(r.StoreID), r.Price.Decimal, r.From.Time, r.To.Time}
	},
	is: func(p SpecialPrice, values []string) bool {
		return end(values, p.SKU, p.StoreID, p.From, p.To)
	},
}

// SpecialPrices reads the special prices of SKUs; there is none for a SKU that has none, or that Magento doesn't know.
//
// POST /V1/products/special-price-information, permission Magento_Catalog::catalog
func (s *PricesService) SpecialPrices(ctx context.Context, skus ...string) ([]SpecialPrice, error) {
	op := operation{method: http.MethodPost, path: endpoint("products", "special-price-information"), repeatable: true}
	return specialPrices.read(ctx, s, op, skus)
}

// UpdateSpecialPrices saves special prices. Rows that Magento refuses are told by a *PriceError.
//
// POST /V1/products/special-price, permission Magento_Catalog::catalog
func (s *PricesService) UpdateSpecialPrices(ctx context.Context, prices []SpecialPrice) error {
	op := operation{method: http.MethodPost, path: endpoint("products", "special-price"), repeatable: true}
	return specialPrices.send(ctx, s, op, prices)
}

// DeleteSpecialPrices deletes special prices: give them as they were read. Rows that Magento refuses are told by a
// *PriceError.
//
// POST /V1/products/special-price-delete, permission Magento_Catalog::catalog
func (s *PricesService) DeleteSpecialPrices(ctx context.Context, prices []SpecialPrice) error {
	op := operation{method: http.MethodPost, path: endpoint("products", "special-price-delete"), repeatable: true}
	return specialPrices.send(ctx, s, op, prices)
}

var costs = priceList[Cost]{
	row: func(c Cost) priceRow {
		return priceRow{SKU: Text(c.SKU), StoreID: scopeOf(c.StoreID), Cost: amount(c.Cost)}
	},
	price: func(r priceRow) Cost { return Cost{string(r.SKU), scopeIn(r.StoreID), r.Cost.Decimal} },
	is: func(c Cost, values []string) bool {
		return are(values, "SKU", c.SKU) || end(values, c.SKU, c.StoreID)
	},
}

// Costs reads the costs of SKUs; there is none for a SKU that has none, or that Magento doesn't know.
//
// POST /V1/products/cost-information, permission Magento_Catalog::catalog
func (s *PricesService) Costs(ctx context.Context, skus ...string) ([]Cost, error) {
	op := operation{method: http.MethodPost, path: endpoint("products", "cost-information"), repeatable: true}
	return costs.read(ctx, s, op, skus)
}

// UpdateCosts saves costs. Rows that Magento refuses are told by a *PriceError.
//
// POST /V1/products/cost, permission Magento_Catalog::catalog
func (s *PricesService) UpdateCosts(ctx context.Context, prices []Cost) error {
	op := operation{method: http.MethodPost, path: endpoint("products", "cost"), repeatable: true}
	return costs.send(ctx, s, op, prices)
}

// DeleteCosts deletes the costs of SKUs, of all store views. Magento passes an unknown SKU over.
//
// POST /V1/products/cost-delete, permission Magento_Catalog::catalog
func (s *PricesService) DeleteCosts(ctx context.Context, skus ...string) error {
	for c := range chunks(len(skus), s.client.maxItems, nil) {
		op := operation{method: http.MethodPost, path: endpoint("products", "cost-delete"), repeatable: true}
		if err := s.client.confirmed(ctx, op, map[string][]string{"skus": skus[c.from:c.to]}); err != nil {
			return err
		}
	}
	return nil
}
