package fakemagento

import (
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

const invoicePaid, invoiceCanceled = 2, 3

// toInvoice is what of a row can be invoiced.
func toInvoice(row map[string]any) decimal.Decimal {
	open := number4(row["qty_ordered"]).Sub(number4(row["qty_invoiced"])).Sub(number4(row["qty_canceled"]))
	return decimal.Max(open, decimal.Zero)
}

// canInvoice is Sales\Model\Order::canInvoice.
func (o *order) canInvoice() bool {
	if slices.Contains([]string{"payment_review", "holded", "canceled", "complete", "closed"}, o.state()) {
		return false
	}
	return slices.ContainsFunc(o.rows(), func(row map[string]any) bool { return !hasParent(row) && toInvoice(row).IsPositive() })
}

func (s *Server) invoiceOrder(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	parts, strangers, wrong := o.parts(c, toInvoice)
	if wrong != nil {
		return nil, wrong
	}
	if wrong := o.checkInvoice(parts, strangers); wrong != nil {
		return nil, wrong
	}
	one := s.invoice(o, parts)
	s.sales.invoices.firstComment(one, c)
	if c.body["notify"] == true {
		one.document["email_sent"] = 1
	}
	if c.body["capture"] == true && !o.offline() {
		s.transaction(o, one, "capture")
	}
	return one.id, nil
}

// checkInvoice is Sales\Model\Order\InvoiceQuantityValidator and Validation\CanInvoice.
func (o *order) checkInvoice(parts []part, strangers []string) *problem {
	var problems []string
	total := decimal.Zero
	for _, p := range parts {
		if !hasParent(p.row) && p.qty.GreaterThan(toInvoice(p.row)) {
			problems = append(problems, fmt.Sprintf(`The quantity to invoice must not be greater than the uninvoiced quantity for product SKU "%v".`, p.row["sku"]))
		}
		total = total.Add(p.qty)
	}
	switch {
	case len(strangers) > 0:
		problems = append(problems, "The invoice contains one or more items that are not part of the original order.")
	case !total.IsPositive():
		problems = append(problems, "You can't create an invoice without products.")
	}
	if !o.canInvoice() {
		problems = append(problems, fmt.Sprintf("An invoice cannot be created when an order has a status of %v.", o.document["status"]))
	}
	return validation("Invoice", problems)
}

func validation(document string, problems []string) *problem {
	if len(problems) == 0 {
		return nil
	}
	message := document + " Document Validation Error(s):"
	for _, p := range problems {
		message += "\n" + p
	}
	return invalid(message, nil)
}

// invoice makes an invoice, which counts as paid. The first has the shipping on it. It needs mu.
func (s *Server) invoice(o *order, parts []part) *paper {
	d := o.document
	rows, sums := documentRows(parts, "qty_invoiced")
	shipping := number4(d["shipping_amount"]).Sub(number4(d["shipping_invoiced"]))
	shippingTax := number4(d["shipping_tax_amount"]).Sub(number4(d["shipping_tax_invoiced"]))
	tax := sums["tax_amount"].Add(shippingTax)
	total := sums["row_total"].Sub(sums["discount_amount"]).Add(shipping).Add(tax)
	document := map[string]any{"state": invoicePaid, "items": rows, "total_qty": amount(sums["qty"]), "is_used_for_refund": 0}
	for key, n := range map[string]decimal.Decimal{
		"subtotal": sums["row_total"], "subtotal_incl_tax": sums["row_total_incl_tax"], "discount_amount": sums["discount_amount"].Neg(),
		"shipping_amount": shipping, "shipping_incl_tax": shipping.Add(shippingTax), "shipping_tax_amount": shippingTax,
		"tax_amount": tax, "grand_total": total,
	} {
		both(document, key, n)
	}
	for i, p := range parts {
		row, _ := rows[i].(map[string]any)
		p.row["qty_invoiced"] = amount(number4(p.row["qty_invoiced"]).Add(p.qty))
		plus(p.row, "row_invoiced", number4(row["row_total"]))
		plus(p.row, "tax_invoiced", number4(row["tax_amount"]))
		plus(p.row, "discount_invoiced", number4(row["discount_amount"]))
	}
	plus(d, "subtotal_invoiced", sums["row_total"])
	plus(d, "tax_invoiced", tax)
	plus(d, "shipping_invoiced", shipping)
	plus(d, "shipping_tax_invoiced", shippingTax)
	plus(d, "total_invoiced", total)
	// An order that was placed as paid has no invoice here, other than in Magento: it isn't paid twice.
	paid := decimal.Min(number4(d["total_paid"]).Add(total), number4(d["grand_total"]))
	both(d, "total_paid", paid)
	both(d, "total_due", number4(d["grand_total"]).Sub(paid))
	if payment, ok := d["payment"].(map[string]any); ok {
		payment["amount_paid"] = amount(paid)
	}
	if state := o.state(); state == "new" || state == "pending_payment" {
		s.enter(o, "processing")
	}
	s.progress(o)
	d["updated_at"] = time.Now().UTC().Format(layout)
	return s.sales.invoices.add(o, document, s.options.Keep)
}

func (s *Server) transaction(o *order, one *paper, kind string) {
	s.sales.lastTransaction++
	id := s.sales.lastTransaction
	payment, _ := o.document["payment"].(map[string]any)
	if payment == nil {
		return
	}
	txn := fmt.Sprintf("ch_%d_%d", o.id, id)
	one.document["transaction_id"] = txn
	payment["last_trans_id"] = txn
	s.sales.transactions = append(s.sales.transactions, map[string]any{
		"transaction_id": id, "order_id": o.id, "payment_id": payment["entity_id"], "txn_id": txn, "txn_type": kind, "is_closed": 1,
		"method": payment["method"], "increment_id": o.document["increment_id"], "additional_information": []any{},
		"child_transactions": []any{}, "created_at": time.Now().UTC().Format(layout),
	})
	if extra := len(s.sales.transactions) - s.options.Keep; extra > 0 {
		s.sales.transactions = slices.Delete(s.sales.transactions, 0, extra)
	}
}

// captureInvoice is Sales\Model\Service\InvoiceService::setCapture, which saves nothing.
func (s *Server) captureInvoice(c call) (any, *problem) {
	_, o, wrong := s.invoiceOf(c)
	switch {
	case wrong != nil:
		return nil, wrong
	case o.offline():
		return nil, invalid("The capture action is not available.", nil)
	}
	return "1", nil
}

// voidInvoice is Sales\Model\Service\InvoiceService::setVoid, which saves nothing.
func (s *Server) voidInvoice(c call) (any, *problem) {
	one, o, wrong := s.invoiceOf(c)
	switch {
	case wrong != nil:
		return nil, wrong
	case o.offline() || one.document["state"] == invoiceCanceled:
		return nil, invalid("The void action is not available.", nil)
	}
	return true, nil
}

func (s *Server) invoiceOf(c call) (*paper, *order, *problem) {
	one, wrong := s.sales.invoices.find(c.PathValue("id"))
	if wrong != nil {
		return nil, nil, wrong
	}
	o := s.find(one.order)
	if o == nil {
		return nil, nil, unknownEntity()
	}
	return one, o, nil
}

// Invoices gives the entity ids of an order's invoices.
func (s *Server) Invoices(order int) []int { return s.papersOf(&s.sales.invoices, order) }

// CreditMemos gives the entity ids of an order's credit memos.
func (s *Server) CreditMemos(order int) []int { return s.papersOf(&s.sales.creditMemos, order) }

func (s *Server) papersOf(p *papers, order int) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []int
	for _, one := range p.all {
		if one.order == order {
			ids = append(ids, one.id)
		}
	}
	return ids
}

// Refund refunds all of an order outside of Magento, as a person does in the admin, and gives the credit memo's entity id.
func (s *Server) Refund(id int) int {
	refunded := 0
	s.change(id, func(o *order) {
		one, wrong := s.refund(o, call{}, nil)
		if wrong != nil {
			panic(fmt.Errorf("fakemagento: order %d can't be refunded: %s", id, wrong.template))
		}
		refunded = one.id
	})
	return refunded
}
