package fakemagento

import (
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// A tierPrice is what a group of customers pays from a quantity on.
type tierPrice struct {
	website    int
	group      string
	groupID    int // 32000 for all groups
	qty, price decimal.Decimal
	discount   bool // the price is percents
}

func (t tierPrice) same(other tierPrice) bool {
	return t.website == other.website && strings.EqualFold(t.group, other.group) && t.qty.Equal(other.qty)
}

const ofTier = "Row ID: SKU = %SKU, Website ID: %websiteId, Customer Group: %customerGroup, Quantity: %qty."

const allGroups = 32000

// groupID gives the id of a customer group, -1 for none.
func (s *Server) groupID(name string) int {
	if strings.EqualFold(name, "ALL GROUPS") {
		return allGroups
	}
	for _, group := range s.customers.groups {
		if id, ok := number(group["id"]); ok && strings.EqualFold(text(group["code"]), name) {
			return id
		}
	}
	return -1
}

// checkTier tells what is wrong with a row of tier prices. That websites have no prices of their own is due to the
// price scope.
func (s *Server) checkTier(f *failures, p *product, row map[string]any, all []map[string]any) tierPrice {
	id := []any{row["sku"], row["website_id"], row["customer_group"], row["quantity"]}
	tier := tierPrice{group: text(row["customer_group"]), discount: row["price_type"] == "discount"}
	tier.groupID = s.groupID(tier.group)
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
	for range sameTiers(all, text(row["sku"]), tier) - 1 { // it is one of them itself
		f.add("We found a duplicate website, tier price, customer group and quantity: "+
			"Customer Group = %customerGroup, Website ID = %websiteId, Quantity = %qty. "+ofTier, id...)
	}
	if tier.groupID < 0 {
		f.add("No such entity with Customer Group = %customerGroup. "+ofTier, id...)
	}
	return tier
}

// sameTiers counts the rows for one place.
func sameTiers(rows []map[string]any, sku string, of tierPrice) (n int) {
	for _, row := range rows {
		qty, _ := money(row["quantity"])
		website, _ := number(row["website_id"])
		if text(row["sku"]) == sku && of.same(tierPrice{website: website, group: text(row["customer_group"]), qty: qty}) {
			n++
		}
	}
	return n
}

// eachTier checks all rows of a call and gives those that are right to f.
func (s *Server) eachTier(c call, save func(p *product, t tierPrice)) (any, *problem) {
	all, _ := c.rows("prices")
	return s.eachPrice(c, func(f *failures, p *product, row map[string]any) {
		if tier := s.checkTier(f, p, row, all); !f.row {
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
func (p *product) showTiers() []any {
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
			"customer_group_id": t.groupID, "qty": amount(t.qty), "value": amount(value), "extension_attributes": extension,
		})
	}
	return shown
}

// tiersIn reads them.
func (s *Server) tiersIn(list []any) ([]tierPrice, *problem) {
	var tiers []tierPrice
	for _, one := range list {
		d, _ := one.(map[string]any)
		t := tierPrice{group: "ALL GROUPS"}
		t.groupID, _ = number(d["customer_group_id"])
		if t.groupID != allGroups {
			group := document(s.customers.groups, "id", text(d["customer_group_id"]))
			if group == nil {
				return nil, noSuchEntity("id", d["customer_group_id"])
			}
			t.group = text(group["code"])
		}
		t.qty, _ = money(d["qty"])
		t.price, _ = money(d["value"])
		extension, _ := d["extension_attributes"].(map[string]any)
		t.website, _ = number(extension["website_id"])
		if percents, ok := money(extension["percentage_value"]); ok {
			t.price, t.discount = percents, true
		}
		tiers = append(tiers, t)
	}
	return tiers, nil
}
