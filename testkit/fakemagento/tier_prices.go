package fakemagento

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// A tierPrice is what a group of customers pays from a quantity on.
type tierPrice struct {
	website    int
	group      string
	qty, price decimal.Decimal
	discount   bool // the price is percents
}

func (t tierPrice) same(other tierPrice) bool {
	return t.website == other.website && strings.EqualFold(t.group, other.group) && t.qty.Equal(other.qty)
}

const ofTier = "Row ID: SKU = %SKU, Website ID: %websiteId, Customer Group: %customerGroup, Quantity: %qty."

// customerGroups are those of a new shop, by id.
var customerGroups = []string{"NOT LOGGED IN", "General", "Wholesale", "Retailer"}

// groupID gives a group's id, 32000 for all of them, -1 for none.
func groupID(name string) int {
	if strings.EqualFold(name, "ALL GROUPS") {
		return 32000
	}
	return slices.IndexFunc(customerGroups, func(have string) bool { return strings.EqualFold(have, name) })
}

// checkTier tells what is wrong with a row of tier prices. That websites have no prices of their own is due to the
// price scope.
func checkTier(f *failures, p *product, row map[string]any, all []map[string]any) tierPrice {
	id := []any{row["sku"], row["website_id"], row["customer_group"], row["quantity"]}
	tier := tierPrice{group: text(row["customer_group"]), discount: row["price_type"] == "discount"}
	tier.website, _ = number(row["website_id"])
	tier.qty, _ = money(row["quantity"])
	tier.price, _ = money(row["price"])
	if p == nil {
		f.add("Invalid attribute SKU = %SKU. "+ofTier, id...)
	}
	if negative(row["price"]) || tier.discount && tier.price.GreaterThan(hundred) {
		f.add("Invalid attribute Price = %price. "+ofTier, append([]any{row["price"]}, id...)...)
	}
	if !tier.discount && row["price_type"] != "fixed" {
		f.add("Invalid attribute Price Type = %priceType. "+ofTier, append([]any{row["price_type"]}, id...)...)
	}
	if p != nil && tier.qty.LessThan(decimal.New(1, 0)) {
		f.add("Invalid attribute Quantity = %qty. "+ofTier, id...)
	}
	if tier.website != 0 {
		f.add("Invalid attribute Website ID = %websiteId. "+ofTier, id...)
	}
	for _, other := range all {
		qty, _ := money(other["quantity"])
		website, _ := number(other["website_id"])
		if fmt.Sprintf("%p", other) != fmt.Sprintf("%p", row) && other["sku"] == row["sku"] &&
			tier.same(tierPrice{website: website, group: text(other["customer_group"]), qty: qty}) {
			f.add("We found a duplicate website, tier price, customer group and quantity: "+
				"Customer Group = %customerGroup, Website ID = %websiteId, Quantity = %qty. "+ofTier, id...)
		}
	}
	if groupID(tier.group) < 0 {
		f.add("No such entity with Customer Group = %customerGroup. "+ofTier, id...)
	}
	return tier
}

// eachTier checks all rows of a call and gives those that are right to f.
func (s *Server) eachTier(c call, save func(p *product, t tierPrice)) (any, *problem) {
	all, _ := c.rows("prices")
	return s.eachPrice(c, func(f *failures, p *product, row map[string]any) {
		if tier := checkTier(f, p, row, all); !f.row {
			save(p, tier)
		}
	})
}

func (p *product) setTier(t tierPrice) {
	p.tiers = append(slices.DeleteFunc(p.tiers, t.same), t)
}

func (s *Server) updateTierPrices(c call) (any, *problem) {
	return s.eachTier(c, func(p *product, t tierPrice) { p.setTier(t) })
}

// replaceTierPrices takes away all tier prices of the SKUs that have a row that is right.
func (s *Server) replaceTierPrices(c call) (any, *problem) {
	emptied := map[*product]bool{}
	return s.eachTier(c, func(p *product, t tierPrice) {
		if !emptied[p] {
			p.tiers, emptied[p] = nil, true
		}
		p.setTier(t)
	})
}

// deleteTierPrices deletes the tiers that have the price of the row, too.
func (s *Server) deleteTierPrices(c call) (any, *problem) {
	return s.eachTier(c, func(p *product, t tierPrice) {
		p.tiers = slices.DeleteFunc(p.tiers, func(have tierPrice) bool {
			return have.same(t) && have.discount == t.discount && have.price.Equal(t.price)
		})
	})
}

func (s *Server) tierPrices(c call) (any, *problem) {
	products, wrong := s.known(c)
	if wrong != nil {
		return nil, wrong
	}
	prices := []any{}
	for _, p := range products {
		for _, t := range p.tiers {
			kind := "fixed"
			if t.discount {
				kind = "discount"
			}
			prices = append(prices, map[string]any{
				"price": amount(t.price), "price_type": kind, "website_id": t.website, "sku": p.sku,
				"customer_group": t.group, "quantity": amount(t.qty),
			})
		}
	}
	return prices, nil
}

// showTiers gives the tiers as a product has them: groups by id, percents as an extension attribute.
func (c *catalog) showTiers(p *product) []any {
	shown := []any{}
	for _, t := range p.tiers {
		extension := map[string]any{"website_id": t.website}
		value := t.price
		if t.discount {
			extension["percentage_value"] = amount(t.price)
			price, _ := money(p.values["price"])
			value = price.Mul(hundred.Sub(t.price)).Div(hundred)
		}
		shown = append(shown, map[string]any{
			"customer_group_id": groupID(t.group), "qty": amount(t.qty), "value": amount(value), "extension_attributes": extension,
		})
	}
	return shown
}
