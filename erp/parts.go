package erp

import (
	"slices"

	"github.com/shopspring/decimal"
)

// Sum is the price of one part of a document: without tax after discounts, and its tax.
type Sum struct{ Net, Tax decimal.Decimal }

// Gross is what is paid for the part.
func (s Sum) Gross() decimal.Decimal { return s.Net.Add(s.Tax) }

// Percent is the rate that the part was taxed with: told where that is known, else by the amounts, to two places.
func (s Sum) Percent(told Quantity) decimal.Decimal {
	if told.Valid || s.Net.IsZero() {
		return told.Decimal
	}
	return s.Tax.Mul(decimal.NewFromInt(100)).DivRound(s.Net, 2)
}

// Sum returns what the line comes to. It never multiplies a unit price: shops round those.
func (l Line) Sum() Sum {
	return Sum{l.RowTotal.Decimal.Sub(l.DiscountAmount.Decimal).Add(l.DiscountTaxCompensation.Decimal), l.TaxAmount.Decimal}
}

// Sum returns what shipping comes to; zero for nil.
func (s *Shipping) Sum() Sum {
	if s == nil {
		return Sum{}
	}
	return Sum{s.Amount.Decimal.Sub(s.DiscountAmount.Decimal).Add(s.DiscountTaxCompensation.Decimal), s.TaxAmount.Decimal}
}

// Sum returns what is credited of the line.
func (l CreditMemoLine) Sum() Sum {
	return Sum{l.RowTotal.Decimal.Sub(l.DiscountAmount.Decimal).Add(l.DiscountTaxCompensation.Decimal), l.TaxAmount.Decimal}
}

// Account says what an amount of a document is for that is neither a line of goods nor shipping. The file of codes has an
// account for each.
type Account string

// The accounts. Those of adjustments are called as the adjustment.
const (
	AccountGuests    Account = "guests"
	AccountShipping  Account = "shipping"
	AccountDiscount  Account = "discount"
	AccountFee       Account = "fee"
	AccountRounding  Account = "rounding"
	AccountGiftCard          = Account(GiftCard)
	AccountCredit            = Account(StoreCredit)
	AccountPoints            = Account(RewardPoints)
	AccountGiftWrap          = Account(GiftWrap)
	AccountWEEE              = Account(WEEE)
	AccountTax       Account = "tax"        // tax as a line of its own
	AccountRefund    Account = "refund"     // an adjustment refund of a credit memo
	AccountRefundFee Account = "refund_fee" // an adjustment fee of a credit memo
)

// Extra is an amount of a document beside its lines and shipping. Below 0 it lowers the total. It has no tax of its own.
type Extra struct {
	Account Account
	Amount  decimal.Decimal
}

// Parts is a document's total in its parts, each rounded to the places of its currency. They add up to Total exactly.
type Parts struct {
	// Lines are those of the order or credit memo, in the same order.
	Lines    []Sum
	Shipping Sum
	// Extras are those that are not zero: adjustments, then fee, then rounding.
	Extras []Extra
	Total  decimal.Decimal
}

// PartsOf takes an order apart. What is left between the parts and the grand total is a fee where it exceeds tolerance, as an
// extension's surcharge does, and else rounding.
func PartsOf(o SalesOrder, tolerance decimal.Decimal) Parts {
	places := Places(o.Currency)
	p := Parts{Shipping: o.Shipping.Sum().round(places), Total: o.Totals.GrandTotal.Decimal.Round(places)}
	for _, l := range o.Lines {
		p.Lines = append(p.Lines, l.Sum().round(places))
	}
	for _, a := range o.Totals.Adjustments {
		p.extra(Account(a.Code), a.Amount.Decimal.Round(places))
	}
	p.rest(o.Totals.GrandTotal.Valid, tolerance)
	return p
}

// PartsOfCreditMemo takes a credit memo apart, as PartsOf an order.
func PartsOfCreditMemo(m CreditMemo, tolerance decimal.Decimal) Parts {
	places := Places(m.Currency)
	p := Parts{
		Shipping: Sum{m.Shipping.Amount.Decimal, m.Shipping.TaxAmount.Decimal}.round(places),
		Total:    m.Totals.GrandTotal.Decimal.Round(places),
	}
	for _, l := range m.Lines {
		p.Lines = append(p.Lines, l.Sum().round(places))
	}
	for _, a := range m.Totals.Adjustments {
		p.extra(Account(a.Code), a.Amount.Decimal.Round(places))
	}
	p.extra(AccountRefund, m.AdjustmentRefund.Decimal.Round(places))
	p.extra(AccountRefundFee, m.AdjustmentFee.Decimal.Abs().Neg().Round(places))
	p.rest(m.Totals.GrandTotal.Valid, tolerance)
	return p
}

func (s Sum) round(places int32) Sum {
	// The gross amount is what counts: of it the tax is rounded, and the rest is net.
	tax := s.Tax.Round(places)
	return Sum{s.Gross().Round(places).Sub(tax), tax}
}

func (p *Parts) extra(a Account, amount decimal.Decimal) {
	if !amount.IsZero() {
		p.Extras = append(p.Extras, Extra{a, amount})
	}
}

// rest adds what is left to the total as a fee or as rounding. Without a known total the parts are the total.
func (p *Parts) rest(known bool, tolerance decimal.Decimal) {
	left := p.Total.Sub(p.Sum())
	switch {
	case !known:
		p.Total = p.Sum()
	case left.Abs().GreaterThan(tolerance):
		p.extra(AccountFee, left)
	default:
		p.extra(AccountRounding, left)
	}
}

// Sum adds up the parts.
func (p Parts) Sum() decimal.Decimal {
	sum := p.Shipping.Gross()
	for _, l := range p.Lines {
		sum = sum.Add(l.Gross())
	}
	for _, e := range p.Extras {
		sum = sum.Add(e.Amount)
	}
	return sum
}

// Tax adds up the tax of the parts.
func (p Parts) Tax() decimal.Decimal {
	sum := p.Shipping.Tax
	for _, l := range p.Lines {
		sum = sum.Add(l.Tax)
	}
	return sum
}

// without and with three decimals: all others of ISO 4217 that shops use have two.
var (
	noPlaces    = []string{"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
	threePlaces = []string{"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
)

// Places returns the decimal places of a currency by ISO 4217; 2 where it is not known.
func Places(currency *string) int32 {
	switch {
	case currency == nil:
		return 2
	case slices.Contains(noPlaces, *currency):
		return 0
	case slices.Contains(threePlaces, *currency):
		return 3
	default:
		return 2
	}
}

// Compare returns by how much an ERP's document differs from the order's grand total, and whether that is more than
// tolerance. A document whose total is not known does not differ.
func Compare(o SalesOrder, d Document, tolerance decimal.Decimal) (difference decimal.Decimal, over bool) {
	if !d.Total.Valid || !o.Totals.GrandTotal.Valid {
		return decimal.Zero, false
	}
	difference = d.Total.Decimal.Sub(o.Totals.GrandTotal.Decimal)
	return difference, difference.Abs().GreaterThan(tolerance)
}
