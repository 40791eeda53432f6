package mapping

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/magentoapi"
)

// unexplained is how much of a grand total may belong to no named part without a warning: the rounding of a few rows.
var unexplained = decimal.RequireFromString("0.02")

// totals returns the parts of the grand total from the order's own columns, never from the rows. Magento adds them up as
//
//	subtotal + discount_amount (0 or below, with that of shipping)
//	+ discount_tax_compensation_amount + shipping_discount_tax_compensation_amount
//	+ shipping_amount + tax_amount (with that of shipping, WEEE and wrapping)
//	+ WEEE + gift wrapping - gift cards - store credit - reward points
//
// The compensation is the tax inside the discount: with prices that include tax the discount reduces the price with tax, while
// subtotal and shipping_amount are without. Magento has it in two columns, one for all rows and one for shipping. Both are in
// Totals.DiscountTaxCompensation, which is the sum of those of the lines and of Shipping, as Discount and Tax are. The rest (an
// extension's fee, rounding) is Other.
func totals(o *magentoapi.Order, sales []sale) (erp.Totals, []Warning) {
	t := erp.Totals{
		Subtotal:                amount(o.Subtotal),
		Discount:                amount(o.DiscountAmount),
		DiscountTaxCompensation: sum(amount(o.DiscountTaxCompensationAmount), amount(o.ShippingDiscountTaxCompensationAmount)),
		Shipping:                amount(o.ShippingAmount),
		Tax:                     amount(o.TaxAmount),
		Adjustments:             adjustments(o, sales),
		GrandTotal:              amount(o.GrandTotal),
	}
	if !t.GrandTotal.Valid {
		return t, []Warning{Warning(fmt.Sprintf("order %s has no grand total, so its totals can't be checked", o.IncrementID))}
	}
	parts := sum(t.Subtotal, t.Discount, t.DiscountTaxCompensation, t.Shipping, t.Tax)
	for _, a := range t.Adjustments {
		parts = sum(parts, a.Amount)
	}
	t.Other = erp.NewAmount(t.GrandTotal.Decimal.Sub(parts.Decimal))
	if t.Other.Decimal.Abs().GreaterThan(unexplained) {
		return t, []Warning{Warning(fmt.Sprintf("order %s: %s of its grand total %s is in no part that Magento names; it is sent as totals.other: see which extension of the shop adds to totals",
			o.IncrementID, t.Other, t.GrandTotal))}
	}
	return t, nil
}

// adjustments returns those that the order has and that are not zero.
func adjustments(o *magentoapi.Order, sales []sale) []erp.Adjustment {
	x := &o.ExtensionAttributes
	cards := amount(x.GiftCardsAmount)
	if !cards.Valid {
		for _, c := range x.GiftCards {
			cards = sum(cards, amount(c.Amount))
		}
	}
	as := []erp.Adjustment{}
	add := func(code erp.AdjustmentCode, a erp.Amount) {
		if !a.Decimal.IsZero() {
			as = append(as, erp.Adjustment{Code: code, Amount: a})
		}
	}
	add(erp.GiftCard, paid(cards))
	add(erp.StoreCredit, paid(amount(x.CustomerBalanceAmount)))
	add(erp.RewardPoints, paid(amount(x.RewardCurrencyAmount)))
	add(erp.GiftWrap, sum(amount(x.GwPrice), wrappedItems(o), amount(x.GwCardPrice)))
	add(erp.WEEE, weee(o, sales))
	return as
}

// wrappedItems returns the price of the wrapping of single items. Where the order does not have it, it is computed from the rows.
func wrappedItems(o *magentoapi.Order) erp.Amount {
	if o.ExtensionAttributes.GwItemsPrice.Valid {
		return amount(o.ExtensionAttributes.GwItemsPrice)
	}
	var all erp.Amount
	for _, item := range o.Items {
		price := item.ExtensionAttributes.GwPrice
		if !price.Valid {
			price = item.GwPrice
		}
		if price.Valid && item.QtyOrdered.Valid {
			all = sum(all, erp.NewAmount(price.Decimal.Mul(item.QtyOrdered.Decimal)))
		}
	}
	return all
}

// weee returns the sum of the fixed product taxes, which only the rows have. A shop may include them in the subtotal (the setting
// "Include FPT In Subtotal"): then the subtotal exceeds the rows by them, and they are no part of their own.
func weee(o *magentoapi.Order, sales []sale) erp.Amount {
	var all, rows erp.Amount
	for _, s := range sales {
		all = sum(all, amount(s.item.WeeeTaxAppliedRowAmount))
		if !s.included {
			rows = sum(rows, amount(s.item.RowTotal))
		}
	}
	if o.Subtotal.Valid && rows.Valid {
		excess := o.Subtotal.Decimal.Sub(rows.Decimal)
		if excess.Sub(all.Decimal).Abs().LessThan(excess.Abs()) {
			return erp.Amount{}
		}
	}
	return all
}

// paid returns what a means of payment takes off the grand total: Magento has what was used of it.
func paid(a erp.Amount) erp.Amount {
	if !a.Valid {
		return a
	}
	return erp.NewAmount(a.Decimal.Abs().Neg())
}

// sum adds the values that are not null; without any it is null.
func sum(as ...erp.Amount) erp.Amount {
	var all erp.Amount
	for _, a := range as {
		if a.Valid {
			all = erp.NewAmount(all.Decimal.Add(a.Decimal))
		}
	}
	return all
}
