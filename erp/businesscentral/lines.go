package businesscentral

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
)

// sheet are the lines of a document as they are made.
type sheet struct {
	f        *codes.File
	included bool
	lineTax  bool // tax is a line of its own
	places   int32
	price    int32  // places of a unit price
	location string // of items; empty: the company's own rule
	lines    []*body
	// net is the sum without tax of each tax code, and percent its rate, to foretell the ERP's tax where prices are sent
	// without it.
	net, percent map[string]decimal.Decimal
	sum          decimal.Decimal
}

func newSheet(f *codes.File, currency *string, included bool) *sheet {
	places := int32(5)
	if n, err := strconv.ParseInt(f.Option("unit_price_places"), 10, 32); err == nil && n >= 0 {
		places = int32(n)
	}
	return &sheet{
		f: f, included: included, lineTax: f.Option("tax_as") == "line", places: erp.Places(currency), price: places,
		net: map[string]decimal.Decimal{}, percent: map[string]decimal.Decimal{},
	}
}

// taxCode returns the tax code of a part; "" leaves it to the item or account.
func (s *sheet) taxCode(own *string, percent decimal.Decimal) (string, error) {
	if s.lineTax {
		own, percent = nil, decimal.Zero
	}
	return s.f.Tax(own, percent)
}

// count adds a part to what the document comes to.
func (s *sheet) count(tax string, percent, amount decimal.Decimal) {
	s.sum = s.sum.Add(amount)
	if !s.included && !s.lineTax {
		s.net[tax], s.percent[tax] = s.net[tax].Add(amount), percent
	}
}

// total is what the ERP will come to.
func (s *sheet) total() decimal.Decimal {
	sum := s.sum
	for tax, net := range s.net {
		sum = sum.Add(net.Mul(s.percent[tax]).Div(decimal.NewFromInt(100)).Round(s.places))
	}
	return sum
}

// goods is a line of an item.
type goods struct {
	sku, name, reference *string
	quantity             decimal.Decimal
	amount               erp.Sum
	unit                 erp.Amount // the shop's price of one, in the same sense as included; it may be rounded
	discounted           bool
	taxCode              *string
	percent              erp.Quantity
	fields               map[string]any
}

func (s *sheet) item(g goods) error {
	number, err := s.f.SKU(g.sku)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(code(number)); n > maxItem {
		return &codes.Missing{
			File: s.f.Name(), Section: "skus", Key: told(g.sku),
			What: fmt.Sprintf("SKU %s, whose %d characters are more than the %d of an item's number in Business Central,", told(g.sku), n, maxItem),
		}
	}
	amount := g.amount.Net
	if s.included {
		amount = g.amount.Gross()
	}
	if !g.quantity.IsPositive() || amount.IsNegative() {
		return invalid("line %s has the quantity %s and the amount %s: Business Central's price and discount can't come to that", told(g.reference), g.quantity, amount)
	}
	percent := g.amount.Percent(g.percent)
	tax, err := s.taxCode(g.taxCode, percent)
	if err != nil {
		return err
	}
	price, discount := s.priceOf(g, amount)
	l := &body{}
	l.add("lineType", "Item")
	l.add("lineObjectNumber", code(number))
	l.add("locationId", s.location)
	l.addAll(g.fields)
	l.add("description", cut(told(g.name), 100))
	if s.f.Option("line_reference") != "off" {
		l.add("description2", cut(told(g.reference), 50))
	}
	l.add("unitOfMeasureCode", code(s.f.Unit(g.sku)))
	l.add("quantity", g.quantity)
	l.add("taxCode", code(tax))
	l.add("unitPrice", price)
	l.add("discountAmount", discount)
	s.lines = append(s.lines, l)
	s.count(tax, percent, amount)
	return nil
}

// priceOf returns a unit price and a discount of which the ERP makes amount exactly: quantity times price, rounded, less the
// discount. A row that is discounted in the shop has the shop's own price, so that people see its discount.
func (s *sheet) priceOf(g goods, amount decimal.Decimal) (price, discount decimal.Decimal) {
	row := func(price decimal.Decimal) decimal.Decimal { return g.quantity.Mul(price).Round(s.places) }
	if g.discounted && g.unit.Valid {
		if price = g.unit.Decimal.Round(s.price); row(price).GreaterThanOrEqual(amount) {
			return price, row(price).Sub(amount)
		}
	}
	price = amount.DivRound(g.quantity, s.price+4).RoundCeil(s.price)
	for row(price).LessThan(amount) {
		price = price.Add(decimal.New(1, -s.price))
	}
	return price, row(price).Sub(amount)
}

// account is a line of a general ledger account: amount without tax, and its tax.
func (s *sheet) account(a erp.Account, text string, amount erp.Sum, taxCode *string, told erp.Quantity) error {
	number, err := s.f.Account(a)
	if err != nil {
		return err
	}
	percent := amount.Percent(told)
	tax, err := s.taxCode(taxCode, percent)
	if err != nil {
		return err
	}
	price := amount.Net
	if s.included {
		price = amount.Gross()
	}
	s.count(tax, percent, price)
	q := decimal.NewFromInt(1)
	if price.IsNegative() && s.f.Option("negative_as") == "quantity" {
		q, price = q.Neg(), price.Neg()
	}
	l := &body{}
	l.add("lineType", "Account")
	l.add("lineObjectNumber", code(number))
	l.add("description", cut(text, 100))
	if s.f.Option("line_reference") != "off" {
		l.add("description2", string(a))
	}
	l.add("quantity", q)
	l.add("taxCode", code(tax))
	l.add("unitPrice", price)
	s.lines = append(s.lines, l)
	return nil
}

// comment is a line that is only text.
func (s *sheet) comment(text string) {
	for n := 0; text != "" && n < maxComments; n++ {
		line := cut(text, 100)
		l := &body{}
		l.add("lineType", "Comment")
		l.add("description", line)
		s.lines = append(s.lines, l)
		text = strings.TrimSpace(strings.TrimPrefix(text, line))
	}
}

var titles = map[erp.Account]string{
	erp.AccountGiftCard: "Gift card", erp.AccountCredit: "Store credit", erp.AccountPoints: "Reward points", erp.AccountGiftWrap: "Gift wrap",
	erp.AccountWEEE: "Fixed product tax", erp.AccountFee: "Fee", erp.AccountRounding: "Rounding", erp.AccountTax: "Tax",
	erp.AccountRefund: "Adjustment refund", erp.AccountRefundFee: "Adjustment fee", erp.AccountShipping: "Shipping",
}

func orderLines(f *codes.File, o erp.SalesOrder, store codes.Store) ([]*body, error) {
	parts := erp.PartsOf(o, f.Tolerance())
	s := newSheet(f, o.Currency, included(f))
	if guid.MatchString(store.Warehouse) {
		s.location = strings.ToLower(store.Warehouse)
	}
	for i, l := range o.Lines {
		g := goods{
			sku: l.SKU, name: l.Name, reference: &l.Reference, quantity: l.Quantity.Decimal, amount: parts.Lines[i], taxCode: l.TaxCode, percent: l.TaxPercent,
			unit: l.UnitPrice, discounted: l.DiscountAmount.Decimal.IsPositive(), fields: f.LineFields(o, l),
		}
		if s.included {
			g.unit = l.UnitPriceInclTax
		}
		if err := s.item(g); err != nil {
			return nil, err
		}
		if f.Option("comments") != "off" {
			for _, option := range l.Options {
				s.comment(strings.Trim(told(option.Label)+": "+told(option.Value), ": "))
			}
		}
	}
	if o.Shipping != nil && !parts.Shipping.Gross().IsZero() {
		text := told(o.Shipping.Description)
		if text == "" {
			text = titles[erp.AccountShipping]
		}
		if err := s.account(erp.AccountShipping, text, parts.Shipping, o.Shipping.TaxCode, o.Shipping.TaxPercent); err != nil {
			return nil, err
		}
	}
	if err := s.close(parts); err != nil {
		return nil, err
	}
	err := s.notes(o)
	return s.lines, err
}

// close adds the parts of a total that are no goods, and what is left between them and the ERP's own sum.
func (s *sheet) close(parts erp.Parts) error {
	if tax := parts.Tax(); s.lineTax && !tax.IsZero() {
		if err := s.account(erp.AccountTax, titles[erp.AccountTax], erp.Sum{Net: tax}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	for _, e := range parts.Extras {
		if e.Account == erp.AccountRounding {
			continue
		}
		if err := s.account(e.Account, titles[e.Account], erp.Sum{Net: e.Amount}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	if left := parts.Total.Sub(s.total()); !left.IsZero() {
		return s.account(erp.AccountRounding, titles[erp.AccountRounding], erp.Sum{Net: left}, nil, erp.Quantity{})
	}
	return nil
}

// notes adds what has no field: how it is paid and shipped, and what the buyer wrote.
func (s *sheet) notes(o erp.SalesOrder) error {
	if s.f.Option("payment_as") == "comment" && o.Payment.Method != nil && len(s.f.PaymentMethods) > 0 {
		name, err := s.f.PaymentMethod(o.Payment.Method)
		if err != nil {
			return err
		}
		text := "Payment: " + name
		if id := told(o.Payment.TransactionID); id != "" {
			text += " " + id
		}
		if number := told(o.Payment.PurchaseOrderNumber); number != "" {
			text += ", purchase order " + number
		}
		s.comment(cut(text, 100))
	}
	if s.f.Option("shipping_method_as") == "comment" && o.Shipping != nil && o.Shipping.Method != nil && len(s.f.ShippingMethods) > 0 {
		name, err := s.f.ShippingMethod(o.Shipping.Method)
		if err != nil {
			return err
		}
		s.comment(cut("Shipping: "+name, 100))
	}
	if s.f.Option("comments") != "off" {
		s.comment(strings.Join(strings.Fields(told(o.Comment)), " "))
	}
	return nil
}
