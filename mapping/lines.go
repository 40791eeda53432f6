package mapping

import (
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/magentoapi"
)

// sale is one product that was sold, as the warehouse ships it: one line of the sales order.
type sale struct {
	item *magentoapi.OrderItem
	// parent is the row of the composite, if there is one that is not item.
	parent *magentoapi.OrderItem
	// included is true if the parent is a line too, whose price includes this one.
	included bool
	// variant is the row of the variant, if item is the row of a configurable product; else nil.
	variant *magentoapi.OrderItem
}

// sold returns the rows that are lines. Magento has a row for a composite product and one for each component:
//   - configurable: the composite's row has quantity and money, the component's has the variant's SKU. They are one line.
//   - bundle with dynamic price: the components' rows have the money, the composite's repeats their sum. Lines are the components.
//   - bundle with fixed price: the composite's row has the money. Lines are both, the components at 0.
//
// REST does not have the price type of a bundle: where the money is distinguishes the two. Every other row is a line.
func sold(o *magentoapi.Order) []sale {
	items := rows(o)
	byID := make(map[magentoapi.ID]*magentoapi.OrderItem, len(items))
	for _, item := range items {
		byID[item.ItemID] = item
	}
	parentOf := func(item *magentoapi.OrderItem) *magentoapi.OrderItem {
		if item.ParentItemID == 0 || item.ParentItemID == item.ItemID {
			return nil
		}
		return byID[item.ParentItemID]
	}
	components := make(map[*magentoapi.OrderItem][]*magentoapi.OrderItem)
	for _, item := range items {
		if p := parentOf(item); p != nil {
			components[p] = append(components[p], item)
		}
	}
	var sales []sale
	for _, item := range items {
		parent := parentOf(item)
		switch {
		case parent == nil && item.ProductType == "configurable":
			s := sale{item: item}
			if variants := components[item]; len(variants) > 0 {
				s.variant = variants[0]
			}
			sales = append(sales, s)
		case parent == nil:
			if len(components[item]) == 0 || hasThePrice(item, components[item]) {
				sales = append(sales, sale{item: item})
			}
		case parent.ProductType == "configurable":
			// It is a part of the parent's line.
		default:
			sales = append(sales, sale{item: item, parent: parent, included: hasThePrice(parent, components[parent])})
		}
	}
	return sales
}

// rows returns the order's items, with those that are only inside of their components.
func rows(o *magentoapi.Order) []*magentoapi.OrderItem {
	told := make(map[magentoapi.ID]bool, len(o.Items))
	for i := range o.Items {
		told[o.Items[i].ItemID] = true
	}
	items := make([]*magentoapi.OrderItem, 0, len(o.Items))
	for i := range o.Items {
		item := &o.Items[i]
		if p := item.ParentItem; p != nil && p.ItemID != 0 && p.ItemID == item.ParentItemID && !told[p.ItemID] {
			told[p.ItemID] = true
			items = append(items, p)
		}
		items = append(items, item)
	}
	return items
}

// hasThePrice reports whether the money of a composite is on its own row and not on those of its components. If it is on neither,
// nothing was paid for it, and the lines are the components, which the warehouse ships.
func hasThePrice(composite *magentoapi.OrderItem, components []*magentoapi.OrderItem) bool {
	for _, c := range components {
		if hasMoney(c) {
			return false
		}
	}
	return hasMoney(composite)
}

func hasMoney(item *magentoapi.OrderItem) bool {
	if item.RowTotal.Valid {
		return !item.RowTotal.Decimal.IsZero()
	}
	return !item.Price.Decimal.IsZero()
}

func lines(o *magentoapi.Order, sales []sale) []erp.Line {
	codes := taxCodes(o)
	ls := make([]erp.Line, 0, len(sales))
	for _, s := range sales {
		l := line(s)
		l.TaxCode = codes[s.item.ItemID]
		ls = append(ls, l)
	}
	return ls
}

// taxCodes returns Magento's code of the rate of each row that exactly one rate applies to. That of shipping is under 0.
func taxCodes(o *magentoapi.Order) map[magentoapi.ID]*string {
	var codes map[magentoapi.ID]*string
	for _, item := range o.ExtensionAttributes.ItemAppliedTaxes {
		if item.Type != "shipping" && item.Type != "product" || item.Type == "product" && item.ItemID == 0 {
			continue
		}
		if codes == nil {
			codes = map[magentoapi.ID]*string{}
		}
		row := item.ItemID
		if item.Type == "shipping" {
			row = 0
		}
		if _, several := codes[row]; several || len(item.AppliedTaxes) != 1 {
			codes[row] = nil
			continue
		}
		codes[row] = text(item.AppliedTaxes[0].Code)
	}
	return codes
}

func line(s sale) erp.Line {
	item := s.item
	l := erp.Line{
		Reference:               itemReference(item),
		Type:                    text(item.ProductType),
		ProductID:               id(item.ProductID),
		SKU:                     s.sku(),
		Name:                    text(item.Name),
		Options:                 options(item),
		Quantity:                quantity(item.QtyOrdered),
		UnitPrice:               amount(item.Price),
		UnitPriceInclTax:        amount(item.PriceInclTax),
		DiscountAmount:          amount(item.DiscountAmount),
		DiscountTaxCompensation: amount(item.DiscountTaxCompensationAmount),
		TaxPercent:              quantity(item.TaxPercent),
		TaxAmount:               amount(item.TaxAmount),
		RowTotal:                amount(item.RowTotal),
		RowTotalInclTax:         amount(item.RowTotalInclTax),
	}
	if s.included {
		ref := itemReference(s.parent)
		l.ParentReference = &ref
		zero := erp.NewAmount(decimal.Zero)
		l.UnitPrice, l.UnitPriceInclTax, l.RowTotal, l.RowTotalInclTax = zero, zero, zero, zero
		l.DiscountAmount, l.DiscountTaxCompensation, l.TaxAmount = zero, zero, zero
	}
	return l
}

// sku returns the SKU of the variant, if there is one: the composite's row may have that of the composite.
func (s sale) sku() *string {
	if s.variant != nil && s.variant.SKU != "" {
		return text(s.variant.SKU)
	}
	return text(s.item.SKU)
}

// options returns the custom options. Magento has no titles of them.
func options(item *magentoapi.OrderItem) []erp.Option {
	custom := item.ProductOption.ExtensionAttributes.CustomOptions
	os := make([]erp.Option, 0, len(custom))
	for _, o := range custom {
		os = append(os, erp.Option{ID: id(o.OptionID), Value: text(o.OptionValue)})
	}
	return os
}
