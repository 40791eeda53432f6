package fakemagento

import (
	"slices"
	"strings"
	"time"
)

// The price endpoints answer with the rows that failed, and save the others. A row can fail for several reasons; the
// reasons come row by row.
//
// Sources: app/code/Magento/Catalog/Model/Product/Price, BasePriceStorage.php, SpecialPriceStorage.php and CostStorage.php;
// TierPriceStorage.php with Validation/TierPriceValidator.php for tier_prices.go.

// failures are the refused rows of one call.
type failures struct {
	list []any
	row  bool // the row at hand has failed
}

// add tells of a failure. Parameters are a list: the names that they have in PHP don't come out.
func (f *failures) add(template string, parameters ...any) {
	values := []string{}
	for _, p := range parameters {
		values = append(values, text(p))
	}
	f.list = append(f.list, map[string]any{"message": template, "parameters": values})
	f.row = true
}

const (
	badAttribute = "Invalid attribute %fieldName = %fieldValue."
	noStore      = "Requested store is not found. Row ID: SKU = %SKU, Store ID: %storeId."
	ofSpecial    = "Row ID: SKU = %SKU, Store ID: %storeId, Price From: %priceFrom, Price To: %priceTo."
)

// priced gives the product of a row, if it is of a type that has a price of its own.
func (c *catalog) priced(row map[string]any) *product {
	p := c.products[strings.ToLower(text(row["sku"]))]
	if p == nil || p.values["type_id"] == "configurable" || p.values["type_id"] == "grouped" {
		return nil
	}
	return p
}

func (c *catalog) hasStore(id any) bool {
	n, ok := number(id)
	return ok && (n == 0 || slices.ContainsFunc(c.stores, func(s Store) bool { return s.ID == n }))
}

// eachPrice checks and saves the rows, one by one.
func (s *Server) eachPrice(c call, save func(f *failures, p *product, row map[string]any)) (any, *problem) {
	rows, wrong := c.rows("prices")
	if wrong != nil {
		return nil, wrong
	}
	f := failures{list: []any{}}
	for _, row := range rows {
		f.row = false
		save(&f, s.catalog.priced(row), row)
	}
	return f.list, nil
}

// known gives the products of the SKUs that the body asks for; an unknown one is passed over.
func (s *Server) known(c call) ([]*product, *problem) {
	skus, ok := c.body["skus"].([]any)
	if !ok {
		return nil, required("skus")
	}
	var found []*product
	for _, sku := range skus {
		if p := s.catalog.priced(map[string]any{"sku": sku}); p != nil {
			found = append(found, p)
		}
	}
	return found, nil
}

func negative(v any) bool {
	d, ok := money(v)
	return !ok || d.IsNegative()
}

// updateBasePrices saves for all store views: the shop's price scope is Global.
func (s *Server) updateBasePrices(c call) (any, *problem) {
	return s.eachPrice(c, func(f *failures, p *product, row map[string]any) {
		if p == nil {
			f.add(badAttribute, "SKU", row["sku"])
		}
		if negative(row["price"]) {
			f.add(badAttribute, "Price", row["price"])
		}
		if !s.catalog.hasStore(row["store_id"]) {
			f.add(noStore, row["sku"], row["store_id"])
		}
		if !f.row {
			p.set(0, "price", floating(row["price"]))
			p.touch()
		}
	})
}

func (s *Server) basePrices(c call) (any, *problem) {
	return s.eachKnown(c, func(p *product) map[string]any {
		return map[string]any{"price": p.values["price"], "store_id": 0, "sku": p.sku}
	})
}

func (s *Server) eachKnown(c call, show func(p *product) map[string]any) (any, *problem) {
	products, wrong := s.known(c)
	if wrong != nil {
		return nil, wrong
	}
	prices := []any{}
	for _, p := range products {
		if price := show(p); price != nil {
			prices = append(prices, price)
		}
	}
	return prices, nil
}

func isDate(v any) bool {
	_, err := time.Parse(layout, text(v))
	return v == nil || v == "" || err == nil
}

// checkSpecial tells what is wrong with a row of special prices.
func (s *Server) checkSpecial(f *failures, p *product, row map[string]any) {
	id := []any{row["sku"], row["store_id"], row["price_from"], row["price_to"]}
	if p == nil {
		f.add("The product that was requested doesn't exist. Verify the product and try again. "+ofSpecial, id...)
	}
	if store, _ := number(row["store_id"]); store != 0 {
		f.add("Could not change non global Price when price scope is global. "+ofSpecial, id...)
	}
	if !s.catalog.hasStore(row["store_id"]) {
		f.add("Requested store is not found. "+ofSpecial, id...)
	}
	if negative(row["price"]) {
		f.add("Invalid attribute Price = %price. "+ofSpecial, append([]any{row["price"]}, id...)...)
	}
	if !isDate(row["price_from"]) {
		f.add("Invalid attribute %label = %priceTo. "+ofSpecial, append([]any{"Price From"}, id...)...)
	}
	if !isDate(row["price_to"]) {
		f.add("Invalid attribute %label = %priceTo. "+ofSpecial, append([]any{"Price To"}, id...)...)
	}
}

func (s *Server) updateSpecialPrices(c call) (any, *problem) {
	return s.eachPrice(c, func(f *failures, p *product, row map[string]any) {
		if s.checkSpecial(f, p, row); f.row {
			return
		}
		price, _ := money(row["price"])
		p.set(0, "special_price", price.StringFixed(6))
		p.set(0, "special_from_date", row["price_from"])
		p.set(0, "special_to_date", row["price_to"])
	})
}

func (s *Server) deleteSpecialPrices(c call) (any, *problem) {
	return s.eachPrice(c, func(f *failures, p *product, row map[string]any) {
		if s.checkSpecial(f, p, row); f.row {
			return
		}
		for _, code := range []string{"special_price", "special_from_date", "special_to_date"} {
			p.set(0, code, nil)
		}
	})
}

func (s *Server) specialPrices(c call) (any, *problem) {
	return s.eachKnown(c, func(p *product) map[string]any {
		if p.values["special_price"] == nil {
			return nil
		}
		return map[string]any{
			"price": floating(p.values["special_price"]), "store_id": 0, "sku": p.sku,
			"price_from": p.values["special_from_date"], "price_to": p.values["special_to_date"],
		}
	})
}

func (s *Server) updateCosts(c call) (any, *problem) {
	return s.eachPrice(c, func(f *failures, p *product, row map[string]any) {
		if p == nil {
			f.add(badAttribute, "SKU", row["sku"])
		}
		if negative(row["cost"]) {
			f.add("Invalid attribute Cost = %cost. Row ID: SKU = %SKU, Store ID: %storeId.", row["cost"], row["sku"], row["store_id"])
		}
		if !s.catalog.hasStore(row["store_id"]) {
			f.add(noStore, row["sku"], row["store_id"])
		}
		if !f.row {
			cost, _ := money(row["cost"])
			p.set(0, "cost", cost.StringFixed(6))
		}
	})
}

func (s *Server) costs(c call) (any, *problem) {
	return s.eachKnown(c, func(p *product) map[string]any {
		if p.values["cost"] == nil {
			return nil
		}
		return map[string]any{"cost": floating(p.values["cost"]), "store_id": 0, "sku": p.sku}
	})
}

func (s *Server) deleteCosts(c call) (any, *problem) {
	products, wrong := s.known(c)
	if wrong != nil {
		return nil, wrong
	}
	for _, p := range products {
		p.set(0, "cost", nil)
	}
	return true, nil
}
