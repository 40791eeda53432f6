package mapping

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

// prices are those of one product.
type prices struct {
	regular, final, special *search.Amount
	from, to                *time.Time
}

// pricesOf returns a product's own prices. The final one is what a guest pays for one piece now.
func (v *View) pricesOf(p *magentoapi.Product, now time.Time) prices {
	var of prices
	if !p.Price.Valid {
		return of
	}
	of.regular = search.NewAmount(p.Price.Decimal)
	final := p.Price.Decimal
	special, err := p.CustomAttributes.Decimal("special_price")
	if err == nil && special.Valid {
		of.from, of.to = v.day(attributeText(p, "special_from_date"), false), v.day(attributeText(p, "special_to_date"), true)
		amount := special.Decimal
		if p.TypeID == "bundle" { // a percentage of the price
			amount = p.Price.Decimal.Mul(amount).Shift(-2)
		}
		of.special = search.NewAmount(amount)
		if during(now, of.from, of.to) {
			final = decimal.Min(final, amount)
		}
	}
	for _, t := range p.TierPrices {
		if t.CustomerGroupID == nil || !v.ofWebsite(t) {
			continue
		}
		group := int64(*t.CustomerGroupID)
		price, ok := tier(t, p.Price.Decimal)
		if ok && (group == allGroups || group == guests) && t.Qty.Decimal.LessThanOrEqual(decimal.New(1, 0)) {
			final = decimal.Min(final, price)
		}
	}
	of.final = search.NewAmount(final)
	return of
}

// during reports whether a special price is in force.
func during(now time.Time, from, to *time.Time) bool {
	return (from == nil || !now.Before(*from)) && (to == nil || !now.After(*to))
}

func (v *View) ofWebsite(t magentoapi.ProductTierPrice) bool {
	var id magentoapi.ID
	ok, err := t.ExtensionAttributes.Get("website_id", &id)
	return !ok || err != nil || id == 0 || int64(id) == v.WebsiteID
}

// tier returns the price of a tier, which is an amount or a percentage off.
func tier(t magentoapi.ProductTierPrice, regular decimal.Decimal) (decimal.Decimal, bool) {
	var percentage magentoapi.Decimal
	if ok, err := t.ExtensionAttributes.Get("percentage_value", &percentage); ok && err == nil && percentage.Valid && !percentage.Decimal.IsZero() {
		return regular.Mul(decimal.New(100, 0).Sub(percentage.Decimal)).Shift(-2), true
	}
	return t.Value.Decimal, t.Value.Valid
}

func (v *View) priced(p *magentoapi.Product, d *search.Document, now time.Time) {
	of := v.pricesOf(p, now)
	d.Price, d.FinalPrice, d.SpecialPrice, d.SpecialPriceFrom, d.SpecialPriceTo = of.regular, of.final, of.special, of.from, of.to
	if !v.GroupPrices || !p.Price.Valid {
		return
	}
	for _, t := range p.TierPrices {
		price, ok := tier(t, p.Price.Decimal)
		if t.CustomerGroupID == nil || !ok || !v.ofWebsite(t) {
			continue
		}
		group := strconv.FormatInt(int64(*t.CustomerGroupID), 10)
		if *t.CustomerGroupID == allGroups {
			group = "all"
		}
		d.GroupPrices = append(d.GroupPrices, search.GroupPrice{Group: group, Quantity: search.NewAmount(t.Qty.Decimal), Price: search.NewAmount(price)})
	}
}

// span takes the range of prices of a product from those of its parts: of the parts in stock, if any is.
type span struct{ inStock, all bounds }

type bounds struct{ regular, from, to *search.Amount }

func (s *span) add(of prices, inStock bool) {
	if of.final == nil {
		return
	}
	s.all.add(of)
	if inStock {
		s.inStock.add(of)
	}
}

func (b *bounds) add(of prices) {
	b.regular, b.from, b.to = lower(b.regular, of.regular), lower(b.from, of.final), higher(b.to, of.final)
}

func lower(a, b *search.Amount) *search.Amount {
	if a == nil || b != nil && b.LessThan(a.Decimal) {
		return b
	}
	return a
}

func higher(a, b *search.Amount) *search.Amount {
	if a == nil || b != nil && b.GreaterThan(a.Decimal) {
		return b
	}
	return a
}

// set writes the range into the document. The prices that the product has by itself mean nothing.
func (s *span) set(d *search.Document) {
	b := s.inStock
	if b.from == nil {
		b = s.all
	}
	d.Price, d.FinalPrice, d.PriceFrom, d.PriceTo = b.regular, b.from, b.from, b.to
	d.SpecialPrice, d.SpecialPriceFrom, d.SpecialPriceTo = nil, nil, nil
}

func (v *View) configurable(p *magentoapi.Product, d *search.Document, parts Parts, now time.Time) {
	var options []magentoapi.ConfigurableOption
	if ok, err := p.ExtensionAttributes.Get("configurable_product_options", &options); !ok || err != nil {
		options = nil
	}
	slices.SortStableFunc(options, func(a, b magentoapi.ConfigurableOption) int { return cmp.Compare(a.Position, b.Position) })
	ids, _ := PartsOf(p)
	var sum span
	d.InStock, d.Quantity = false, nil
	for _, id := range ids {
		child := parts.ByID[id]
		if child == nil || child.Status != magentoapi.ProductEnabled || !v.offers(child) {
			continue
		}
		of, stock := v.pricesOf(child, now), parts.Stock[skuKey(string(child.SKU))]
		variant := search.Variant{
			SKU: string(child.SKU), ID: int64(child.ID), Name: search.Shorten(plain(string(child.Name)), longValue), Image: v.media(attributeText(child, "image")),
			Price: of.regular, FinalPrice: of.final, SpecialPrice: of.special, SpecialPriceFrom: of.from, SpecialPriceTo: of.to, InStock: stock.InStock,
		}
		if stock.Quantity.Valid {
			variant.Quantity = search.NewAmount(stock.Quantity.Decimal)
			if d.Quantity == nil {
				d.Quantity = search.NewAmount(decimal.Decimal{})
			}
			d.Quantity = search.NewAmount(d.Quantity.Add(stock.Quantity.Decimal))
		}
		for _, o := range options {
			if option, ok := v.option(o, child); ok {
				variant.Options = append(variant.Options, option)
			}
		}
		sum.add(of, stock.InStock)
		d.InStock = d.InStock || stock.InStock
		d.Variants = append(d.Variants, variant)
	}
	sum.set(d)
}

// option returns the value by which a variant differs from the others.
func (v *View) option(o magentoapi.ConfigurableOption, child *magentoapi.Product) (search.Option, bool) {
	code := v.Codes[int64(o.AttributeID)]
	fact := v.Attributes[code]
	value, ok := child.CustomAttributes.Text(code)
	if code == "" || !ok {
		return search.Option{}, false
	}
	return search.Option{Code: code, Label: cmp.Or(fact.Label, string(o.Label), code), Value: cmp.Or(fact.Options[value], value)}, true
}

func (v *View) grouped(p *magentoapi.Product, d *search.Document, parts Parts, now time.Time) {
	_, skus := PartsOf(p)
	var sum span
	d.InStock, d.Quantity = false, nil
	for _, sku := range skus {
		part := parts.Products[skuKey(sku)]
		if part == nil || part.Status != magentoapi.ProductEnabled || !v.offers(part) {
			continue
		}
		stock := parts.Stock[skuKey(sku)]
		sum.add(v.pricesOf(part, now), stock.InStock)
		d.InStock = d.InStock || stock.InStock
	}
	sum.set(d)
}

// bundle takes the range of prices from the selections: the cheapest of what must be chosen, and the dearest of all that can be.
func (v *View) bundle(p *magentoapi.Product, d *search.Document, parts Parts, now time.Time) {
	fixed := attributeText(p, "price_type") == "1"
	of := v.pricesOf(p, now)
	share := decimal.New(1, 0) // of the price that a special price, which is a percentage, leaves
	if special, err := p.CustomAttributes.Decimal("special_price"); err == nil && special.Valid &&
		during(now, v.day(attributeText(p, "special_from_date"), false), v.day(attributeText(p, "special_to_date"), true)) {
		share = special.Decimal.Shift(-2)
	}
	var from, to decimal.Decimal
	var cheapest *search.Amount // of any selection, for a bundle of which nothing must be chosen
	sellable, priced, must := true, false, false
	for _, o := range bundleOptions(p) {
		low, high, ok := v.selections(o, fixed, p, parts, now)
		if o.Required.Bool {
			sellable = sellable && ok
			must = true
		}
		if !ok {
			continue
		}
		priced = true
		to = to.Add(high)
		cheapest = lower(cheapest, search.NewAmount(low))
		if o.Required.Bool {
			from = from.Add(low)
		}
	}
	if !must && cheapest != nil {
		from = cheapest.Decimal
	}
	d.InStock, d.Quantity = priced && sellable, nil
	if fixed && of.regular != nil {
		from, to = from.Add(of.regular.Decimal), to.Add(of.regular.Decimal)
	}
	if !priced && !fixed {
		d.Price, d.FinalPrice, d.SpecialPrice = nil, nil, nil
		return
	}
	d.Price, d.FinalPrice = search.NewAmount(from), search.NewAmount(from.Mul(share))
	d.PriceFrom, d.PriceTo = d.FinalPrice, search.NewAmount(to.Mul(share))
	if d.SpecialPrice != nil {
		d.SpecialPrice = search.NewAmount(from.Mul(share))
	}
}

// selections returns the lowest and the highest price of an option; ok is false if nothing of it can be bought.
func (v *View) selections(o magentoapi.BundleOption, fixed bool, p *magentoapi.Product, parts Parts, now time.Time) (low, high decimal.Decimal, ok bool) {
	several := o.Type == "checkbox" || o.Type == "multi"
	for _, l := range o.Links {
		part := parts.Products[skuKey(string(l.SKU))]
		if part == nil || part.Status != magentoapi.ProductEnabled || !v.offers(part) || !parts.Stock[skuKey(string(l.SKU))].InStock {
			continue
		}
		quantity := decimal.New(1, 0)
		if l.Qty.Valid && l.Qty.Decimal.IsPositive() {
			quantity = l.Qty.Decimal
		}
		var price decimal.Decimal
		switch {
		case !fixed:
			of := v.pricesOf(part, now)
			if of.final == nil {
				continue
			}
			price = of.final.Decimal
		case l.PriceType != nil && *l.PriceType == 1:
			price = p.Price.Decimal.Mul(l.Price.Decimal).Shift(-2)
		default:
			price = l.Price.Decimal
		}
		price = price.Mul(quantity)
		if !ok || price.LessThan(low) {
			low = price
		}
		if several {
			high = high.Add(price)
		} else {
			high = decimal.Max(high, price)
		}
		ok = true
	}
	return low, high, ok
}

// giftCard takes the range of prices from the amounts that a gift card of Adobe Commerce is sold for.
func giftCard(p *magentoapi.Product, d *search.Document) {
	var amounts []struct {
		Value magentoapi.Decimal `json:"value"`
	}
	if ok, err := p.ExtensionAttributes.Get("giftcard_amounts", &amounts); !ok || err != nil {
		amounts = nil
	}
	var b bounds
	add := func(amount magentoapi.Decimal) {
		if amount.Valid && amount.Decimal.IsPositive() {
			a := search.NewAmount(amount.Decimal)
			b.add(prices{regular: a, final: a})
		}
	}
	for _, a := range amounts {
		add(a.Value)
	}
	if attributeText(p, "allow_open_amount") == "1" {
		for _, code := range []string{"open_amount_min", "open_amount_max"} {
			if amount, err := p.CustomAttributes.Decimal(code); err == nil {
				add(amount)
			}
		}
	}
	if b.from != nil {
		d.Price, d.FinalPrice, d.PriceFrom, d.PriceTo = b.regular, b.from, b.from, b.to
		d.SpecialPrice, d.SpecialPriceFrom, d.SpecialPriceTo = nil, nil, nil
	}
}
