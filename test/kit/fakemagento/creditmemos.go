package fakemagento

import (
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

const creditMemoRefunded = 2

// toRefund is what of a row can be refunded.
func toRefund(row map[string]any) decimal.Decimal {
	return decimal.Max(number4(row["qty_invoiced"]).Sub(number4(row["qty_refunded"])), decimal.Zero)
}

func (s *Server) refundOrder(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return s.refunded(o, c, nil)
}

func (s *Server) refundInvoice(c call) (any, *problem) {
	invoice, o, wrong := s.invoiceOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return s.refunded(o, c, invoice)
}

func (s *Server) refunded(o *order, c call, invoice *paper) (any, *problem) {
	one, wrong := s.refund(o, c, invoice)
	if wrong != nil {
		return nil, wrong
	}
	s.sales.creditMemos.firstComment(one, c)
	if c.body["notify"] == true {
		one.document["email_sent"] = 1
	}
	if c.body["isOnline"] == true {
		s.transaction(o, one, "refund")
	}
	return one.id, nil
}

// refundAsGiven is Sales\Model\Service\CreditmemoService::refund: it keeps the credit memo as it is given, and looks at
// nothing but the money.
func (s *Server) refundAsGiven(c call) (any, *problem) {
	given, wrong := c.object("creditmemo")
	if wrong != nil {
		return nil, wrong
	}
	id, _ := number(given["order_id"])
	o := s.find(id)
	if o == nil {
		return nil, unknownEntity()
	}
	if text(given["entity_id"]) != "" && text(given["state"]) != "1" {
		return nil, invalid("We cannot register an existing credit memo.", nil)
	}
	paid, refunded := number4(o.document["total_paid"]), number4(o.document["total_refunded"])
	total := number4(given["base_grand_total"])
	if refunded.Add(total).GreaterThan(paid) {
		return nil, invalid("The most money available to refund is %1.", []string{paid.Sub(refunded).String()})
	}
	for _, item := range objects(given["items"]) {
		row := o.row(text(item["order_item_id"]))
		if row == nil {
			return nil, invalid("Could not save a credit memo, see error log for details", nil)
		}
		if number4(item["qty"]).GreaterThan(toRefund(row)) {
			return nil, invalid("We found an invalid quantity to refund item \"%1\".", []string{text(row["name"])})
		}
	}
	for _, item := range objects(given["items"]) {
		row := o.row(text(item["order_item_id"]))
		row["qty_refunded"] = amount(number4(row["qty_refunded"]).Add(number4(item["qty"])))
	}
	given["state"] = creditMemoRefunded
	plus(o.document, "total_refunded", total)
	s.afterRefund(o)
	one := s.sales.creditMemos.add(o, given, s.options.Keep)
	if invoice, _ := s.sales.invoices.find(given["invoice_id"]); invoice != nil && !yes(c.body["offlineRequested"]) {
		plus(invoice.document, "total_refunded", total)
		invoice.document["is_used_for_refund"] = 1
		s.transaction(o, one, "refund")
	}
	return one.show(), nil
}

// row gives the row with the id, or nil.
func (o *order) row(id string) map[string]any {
	for _, row := range o.rows() {
		if idOf(row) == id {
			return row
		}
	}
	return nil
}

// refund makes a credit memo. It needs mu.
func (s *Server) refund(o *order, c call, invoice *paper) (*paper, *problem) {
	parts, strangers, wrong := o.parts(c, toRefund)
	if wrong != nil {
		return nil, wrong
	}
	arguments, _ := c.body["arguments"].(map[string]any)
	d := o.document
	shipping := number4(d["shipping_invoiced"]).Sub(number4(d["shipping_refunded"]))
	if given, ok := money(arguments["shipping_amount"]); ok {
		if given.GreaterThan(shipping) {
			return nil, invalid("Maximum shipping amount allowed to refund is: %1", []string{shipping.String()})
		}
		shipping = given
	}
	shippingTax := decimal.Zero
	if whole := number4(d["shipping_amount"]); whole.IsPositive() {
		shippingTax = number4(d["shipping_tax_amount"]).Mul(shipping).Div(whole).Round(2)
	}
	more, less := number4(arguments["adjustment_positive"]), number4(arguments["adjustment_negative"])
	rows, sums := documentRows(parts, "qty_refunded")
	tax := sums["tax_amount"].Add(shippingTax)
	total := sums["row_total"].Sub(sums["discount_amount"]).Add(shipping).Add(tax).Add(more).Sub(less)
	if wrong := o.checkRefund(parts, strangers, total, invoice); wrong != nil {
		return nil, wrong
	}

	document := map[string]any{"state": creditMemoRefunded, "items": rows}
	if invoice != nil {
		document["invoice_id"] = invoice.id
		plus(invoice.document, "total_refunded", total)
		invoice.document["is_used_for_refund"] = 1
	}
	for key, n := range map[string]decimal.Decimal{
		"subtotal": sums["row_total"], "subtotal_incl_tax": sums["row_total_incl_tax"], "discount_amount": sums["discount_amount"].Neg(),
		"shipping_amount": shipping, "shipping_incl_tax": shipping.Add(shippingTax), "shipping_tax_amount": shippingTax, "tax_amount": tax,
		"adjustment": more.Sub(less), "adjustment_positive": more, "adjustment_negative": less, "grand_total": total,
	} {
		both(document, key, n)
	}
	for i, p := range parts {
		row, _ := rows[i].(map[string]any)
		p.row["qty_refunded"] = amount(number4(p.row["qty_refunded"]).Add(p.qty))
		plus(p.row, "amount_refunded", number4(row["row_total"]))
		plus(p.row, "tax_refunded", number4(row["tax_amount"]))
	}
	plus(d, "subtotal_refunded", sums["row_total"])
	plus(d, "tax_refunded", tax)
	plus(d, "shipping_refunded", shipping)
	plus(d, "total_refunded", total)
	s.afterRefund(o)
	d["updated_at"] = time.Now().UTC().Format(layout)
	return s.sales.creditMemos.add(o, document, s.options.Keep), nil
}

// checkRefund is Sales\Model\Order\Validation\CanRefund, Invoice\Validation\CanRefund, Creditmemo\Validation\QuantityValidator
// and TotalsValidator.
func (o *order) checkRefund(parts []part, strangers []string, total decimal.Decimal, invoice *paper) *problem {
	var problems []string
	paid, refunded := number4(o.document["total_paid"]), number4(o.document["total_refunded"])
	someLeft := slices.ContainsFunc(o.rows(), func(row map[string]any) bool { return toRefund(row).IsPositive() })
	switch {
	case slices.Contains([]string{"payment_review", "holded", "canceled", "closed"}, o.state()):
		problems = append(problems, fmt.Sprintf("A creditmemo can not be created when an order has a status of %v", o.document["status"]))
	case !someLeft:
		problems = append(problems, "The order does not allow a creditmemo to be created.")
	}
	if paid.Equal(refunded) {
		problems = append(problems, "We can't create creditmemo for the order.")
	}
	if invoice != nil && number4(invoice.document["base_total_refunded"]).GreaterThanOrEqual(number4(invoice.document["base_grand_total"])) {
		problems = append(problems, "We can't create creditmemo for the invoice.")
	}
	for range strangers {
		problems = append(problems, `The creditmemo contains product SKU "" that is not part of the original order.`)
	}
	counted := decimal.Zero
	for _, p := range parts {
		if !hasParent(p.row) && p.qty.GreaterThan(toRefund(p.row)) {
			problems = append(problems, fmt.Sprintf(`The quantity to creditmemo must not be greater than the unrefunded quantity for product SKU "%v".`, p.row["sku"]))
			continue
		}
		counted = counted.Add(p.qty)
	}
	switch {
	case !total.IsPositive():
		problems = append(problems, "The credit memo's total must be positive.")
	case !counted.IsPositive() && number4(o.document["shipping_amount"]).Equal(number4(o.document["shipping_refunded"])):
		problems = append(problems, "You can't create a creditmemo without products.")
	}
	if refunded.Add(total).GreaterThan(paid) {
		problems = append(problems, "The most money available to refund is "+paid.Sub(refunded).String()+".")
	}
	return validation("Creditmemo", problems)
}

// afterRefund is Sales\Model\Order\OrderStateResolver: an order of which nothing is open is closed when all that was paid is
// given back, else complete.
func (s *Server) afterRefund(o *order) {
	open := slices.ContainsFunc(o.rows(), func(row map[string]any) bool {
		return !hasParent(row) && toInvoice(row).IsPositive() || !isVirtual(row) && s.toShip(o, row).IsPositive()
	})
	switch {
	case open:
	case number4(o.document["total_paid"]).Equal(number4(o.document["total_refunded"])):
		s.enter(o, "closed")
	case o.state() != "complete":
		s.enter(o, "complete")
	}
}
