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
	return t.website == other.website && t.inPlaceOf(other)
}

// inPlaceOf compares all but the websites.
func (t tierPrice) inPlaceOf(other tierPrice) bool {
	return strings.EqualFold(t.group, other.group) && t.qty.Equal(other.qty)
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

// tierPlace names what a row is the price of, without the website.
func tierPlace(sku string, t tierPrice) string {
	return strings.ToLower(sku + "\x00" + t.group + "\x00" + t.qty.String())
}

// checkTier tells what is wrong with a row of tier prices. All are the websites of all rows of the call, by place.
func (s *Server) checkTier(f *failures, p *product, row map[string]any, all map[string][]int) tierPrice {
	id := []any{row["sku"], row["website_id"], row["customer_group"], row["quantity"]}
	tier := tierOf(row)
	tier.groupID = s.groupID(tier.group)
	if p == nil {
		f.add("Invalid attribute SKU = %SKU. "+ofTier, id...)
	}
	if negative(row["price"]) || tier.discount && tier.price.GreaterThan(hundred) {
		f.add("Invalid attribute Price = %price. "+ofTier, append([]any{row["price"]}, id...)...)
	}
	if !tier.discount && (row["price_type"] != "fixed" || p != nil && p.values["type_id"] == "bundle") {
		f.add("Invalid attribute Price Type = %priceType. "+ofTier, append([]any{row["price_type"]}, id...)...)
	}
	if p != nil && tier.qty.LessThan(decimal.New(1, 0)) {
		f.add("Invalid attribute Quantity = %qty. "+ofTier, id...)
	}
	if tier.website != 0 && (s.options.PriceScope == ScopeGlobal || !slices.Contains(s.catalog.websites(), tier.website)) {
		f.add("Invalid attribute Website ID = %websiteId. "+ofTier, id...)
	}
	// One for a website and one for all websites exclude each other, wherever the other is.
	websites := all[tierPlace(text(row["sku"]), tier)]
	if p != nil {
		for _, have := range p.tiers {
			if have.inPlaceOf(tier) && have.website != tier.website {
				websites = append(slices.Clone(websites), have.website)
			}
		}
	}
	duplicates := -1 // it is one of them itself
	for _, website := range websites {
		if website == tier.website || website == 0 || tier.website == 0 {
			duplicates++
		}
	}
	for range duplicates {
		f.add("We found a duplicate website, tier price, customer group and quantity: "+
			"Customer Group = %customerGroup, Website ID = %websiteId, Quantity = %qty. "+ofTier, id...)
	}
	if tier.groupID < 0 {
		f.add("No such entity with Customer Group = %customerGroup. "+ofTier, id...)
	}
	return tier
}

func tierOf(row map[string]any) tierPrice {
	tier := tierPrice{group: text(row["customer_group"]), discount: row["price_type"] == "discount"}
	tier.website, _ = number(row["website_id"])
	tier.qty, _ = money(row["quantity"])
	tier.price, _ = money(row["price"])
	return tier
}

// eachTier checks all rows of a call and hands those that are right to save. Where stored is false, what the product has is no
// duplicate.
func (s *Server) eachTier(c call, stored bool, save func(p *product, t tierPrice)) (any, *problem) {
	rows, _ := c.rows("prices")
	all := map[string][]int{}
	for _, row := range rows {
		tier := tierOf(row)
		place := tierPlace(text(row["sku"]), tier)
		all[place] = append(all[place], tier.website)
	}
	return s.eachPrice(c, s.catalog.of(withTiers), func(f *failures, p *product, row map[string]any) {
		checked := p
		if p != nil && !stored {
			checked = &product{entity: p.entity}
		}
		if tier := s.checkTier(f, checked, row, all); !f.row {
			save(p, tier)
		}
	})
}

func (p *product) setTier(t tierPrice) {
	p.tiers = append(slices.DeleteFunc(p.tiers, t.same), t)
}

func (s *Server) updateTierPrices(c call) (any, *problem) {
	return s.eachTier(c, true, func(p *product, t tierPrice) { p.setTier(t) })
}

// replaceTierPrices takes away all tier prices of the SKUs that have a row that is right.
func (s *Server) replaceTierPrices(c call) (any, *problem) {
	emptied := map[*product]bool{}
	return s.eachTier(c, false, func(p *product, t tierPrice) {
		if !emptied[p] {
			p.tiers, emptied[p] = nil, true
		}
		p.setTier(t)
	})
}

// deleteTierPrices deletes the tiers that have the group, the quantity and the price of the row, in whatever website.
func (s *Server) deleteTierPrices(c call) (any, *problem) {
	return s.eachTier(c, false, func(p *product, t tierPrice) {
		p.tiers = slices.DeleteFunc(p.tiers, func(have tierPrice) bool {
			return have.inPlaceOf(t) && have.discount == t.discount && have.price.Equal(t.price)
		})
	})
}

func (s *Server) tierPrices(c call) (any, *problem) {
	products, wrong := s.known(c, s.catalog.of(withTiers))
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
				"price": asFloat(t.price), "price_type": kind, "website_id": t.website, "sku": p.sku,
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
