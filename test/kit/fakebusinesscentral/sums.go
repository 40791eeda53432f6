package fakebusinesscentral

import (
	"maps"
	"slices"

	"github.com/shopspring/decimal"
)

var hundred = decimal.NewFromInt(100)

// gross is a line's quantity times its price, rounded, before its discount.
func (s *Server) gross(l *entity) decimal.Decimal {
	return amount(l.values["quantity"]).Mul(amount(l.values["unitPrice"])).Round(s.options.AmountPlaces)
}

// compute does the sums of a document as Business Central does: amounts by line, tax by the lines of one percentage together.
func (s *Server) compute(document *entity) {
	places := s.options.AmountPlaces
	included := document.values["pricesIncludeTax"] == true
	sums := map[string]decimal.Decimal{} // by percent
	total := decimal.Zero
	for _, l := range document.lines {
		gross := s.gross(l)
		l.values["grossBefore"] = gross
		lineAmount := gross.Sub(amount(l.values["discountAmount"]))
		percent := amount(l.values["taxPercent"])
		sums[percent.String()] = sums[percent.String()].Add(lineAmount)
		net, incl := lineAmount, lineAmount
		if included {
			net = lineAmount.Mul(hundred).Div(hundred.Add(percent)).Round(places)
		} else {
			incl = lineAmount.Mul(hundred.Add(percent)).Div(hundred).Round(places)
		}
		l.values["amountExcludingTax"], l.values["amountIncludingTax"], l.values["totalTaxAmount"] = net, incl, incl.Sub(net)
		l.values["netAmount"], l.values["netAmountIncludingTax"], l.values["netTaxAmount"] = net, incl, incl.Sub(net)
		total = total.Add(lineAmount)
	}
	tax := decimal.Zero
	for _, percent := range slices.Sorted(maps.Keys(sums)) {
		p := decimal.RequireFromString(percent)
		if included {
			tax = tax.Add(sums[percent].Sub(sums[percent].Mul(hundred).Div(hundred.Add(p)).Round(places)))
		} else {
			tax = tax.Add(sums[percent].Mul(p).Div(hundred).Round(places))
		}
	}
	net := total
	if included {
		net = total.Sub(tax)
	}
	document.values["totalAmountExcludingTax"], document.values["totalTaxAmount"], document.values["totalAmountIncludingTax"] = net, tax, net.Add(tax)
}
