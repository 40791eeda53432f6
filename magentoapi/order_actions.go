package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// A Comment is written to an order's history, or to a document.
type Comment struct {
	Text string
	// Status becomes the order's: give the one that it has just been read with, unless it is to change. What Magento makes of
	// another one, and of none, depends on its release: up to 2.4.6 any text is taken as it is (magento2 issue 32968), and none
	// sets the order's status to NULL, by which it vanishes from the admin's grid (34180); 2.4.7 refuses every other than the
	// present one (38723); 2.4.8 refuses one that is not assigned to the order's state, and with none leaves the order's as it is.
	// A refusal is ErrBadRequest. Documents have no status: there it is not looked at.
	Status string
	// NotifyCustomer mails the comment to the customer.
	NotifyCustomer bool
	// VisibleToCustomer shows it in the customer's account.
	VisibleToCustomer bool
}

// AddComment adds a comment to an order. Magento keeps every one: a repeat is a second comment. It saves the whole
// order, without a lock: what else is written to the order at that moment can be lost.
//
// POST /V1/orders/:id/comments, permission Magento_Sales::comment; the body's fields are those of
// app/code/Magento/Sales/Api/Data/OrderStatusHistoryInterface.php
func (s *OrdersService) AddComment(ctx context.Context, orderID int64, c Comment) error {
	type statusHistory struct {
		Comment            string `json:"comment"`
		Status             string `json:"status,omitempty"`
		IsCustomerNotified int    `json:"is_customer_notified"`
		IsVisibleOnFront   int    `json:"is_visible_on_front"`
		ParentID           int64  `json:"parent_id"`
		EntityName         string `json:"entity_name"`
	}
	body := map[string]statusHistory{"statusHistory": {
		c.Text, c.Status, flag(c.NotifyCustomer), flag(c.VisibleToCustomer), orderID, "order",
	}}
	return s.client.confirmed(ctx, operation{method: http.MethodPost, path: orderPath(orderID) + "/comments"}, body)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Comments reads all comments of an order; the endpoint has no pages.
//
// GET /V1/orders/:id/comments, permission Magento_Sales::actions_view
func (s *OrdersService) Comments(ctx context.Context, orderID int64) ([]OrderStatusHistory, error) {
	return comments[OrderStatusHistory](ctx, s.client, orderPath(orderID)+"/comments")
}

// Cancel cancels what is not invoiced of an order. It reports whether Magento has done so; it has not where all is
// invoiced, or the order is cancelled, closed, complete, on hold or in payment review. It is not repeated by itself: a
// second call says false, whatever the first has done. Read the order's state to know.
//
// POST /V1/orders/:id/cancel, permission Magento_Sales::cancel; Sales\Model\Service\OrderService::cancel
func (s *OrdersService) Cancel(ctx context.Context, orderID int64) (bool, error) {
	var done Flag
	err := s.client.call(ctx, operation{method: http.MethodPost, path: orderPath(orderID) + "/cancel"}, nil, &done)
	return done.Bool, err
}

// Hold puts an order on hold. ErrBadRequest if it can't be, as one that is on hold already.
//
// POST /V1/orders/:id/hold, permission Magento_Sales::hold; Sales\Model\Order::hold
func (s *OrdersService) Hold(ctx context.Context, orderID int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodPost, path: orderPath(orderID) + "/hold"}, nil)
}

// Unhold takes an order off hold: it is in the state and has the status that it had before. ErrBadRequest if it is not
// on hold.
//
// POST /V1/orders/:id/unhold, permission Magento_Sales::unhold; Sales\Model\Order::unhold
func (s *OrdersService) Unhold(ctx context.Context, orderID int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodPost, path: orderPath(orderID) + "/unhold"}, nil)
}

// SendEmail mails the order to the customer, again if it has been. It reports whether the mail was sent: a shop may not
// send such mails, or send them later.
//
// POST /V1/orders/:id/emails, permission Magento_Sales::emails
func (s *OrdersService) SendEmail(ctx context.Context, orderID int64) (bool, error) {
	return sendEmail(ctx, s.client, orderPath(orderID)+"/emails")
}

// A NewInvoice is what of an order is to be invoiced.
type NewInvoice struct {
	// Items are what is on it; none is everything that can be invoiced.
	Items []NewDocumentItem
	// Capture takes the money by the order's payment method, if that can be done online. Without it the invoice counts
	// as paid all the same.
	Capture bool
	// Notify mails the invoice to the customer.
	Notify bool
	// Comment is written to the invoice, empty for none. CommentVisible shows it in the customer's account, MailComment
	// adds it to the mail.
	Comment                     string
	CommentVisible, MailComment bool
}

// Invoice invoices an order, or a part of it, and gives the invoice's entity id. An order in the state new goes into
// processing, and one that is shipped too into complete.
//
// It is not repeated by itself, and must not be without a look at the order's invoices: as long as something is open,
// each call invoices more. A 400 is a refusal ("Invoice Document Validation Error(s): …"), or a save that failed
// (Error.Transient); in the second case too the invoice may be there.
//
// POST /V1/order/:orderId/invoice, permission Magento_Sales::invoice; Sales\Model\InvoiceOrder
func (s *OrdersService) Invoice(ctx context.Context, orderID int64, n NewInvoice) (int64, error) {
	op := operation{method: http.MethodPost, path: fmt.Sprintf("/V1/order/%d/invoice", orderID)}
	return s.client.identified(ctx, op, document{
		Capture: n.Capture, Items: documentItems(n.Items), Notify: n.Notify, AppendComment: n.MailComment,
		Comment: commentOf(n.Comment, n.CommentVisible),
	})
}

// A NewCreditMemo is what is to be given back of an order or an invoice.
type NewCreditMemo struct {
	// Items are what is on it; none is everything that can be refunded.
	Items []NewDocumentItem
	// Online has the payment method give the money back. Only an invoice can be refunded so.
	Online bool
	// ShippingAmount is how much of the shipping is refunded, without tax; not Valid is what is left of it.
	ShippingAmount Decimal
	// Adjustments are given back besides, or kept back; not Valid is nothing.
	AdjustmentPositive, AdjustmentNegative Decimal
	// ReturnToStock names the order's rows whose quantities go back into the stock.
	ReturnToStock []int64
	// Notify mails the credit memo to the customer.
	Notify bool
	// Comment is written to the credit memo, empty for none. CommentVisible shows it in the customer's account,
	// MailComment adds it to the mail.
	Comment                     string
	CommentVisible, MailComment bool
}

func (n NewCreditMemo) document() document {
	d := document{
		IsOnline: n.Online, Items: documentItems(n.Items), Notify: n.Notify, AppendComment: n.MailComment,
		Comment: commentOf(n.Comment, n.CommentVisible),
	}
	a := creditMemoArgument{
		ShippingAmount: given(n.ShippingAmount), AdjustmentPositive: given(n.AdjustmentPositive),
		AdjustmentNegative: given(n.AdjustmentNegative),
	}
	if len(n.ReturnToStock) > 0 {
		a.ExtensionAttributes = &creditMemoArgumentStock{n.ReturnToStock}
	}
	if a != (creditMemoArgument{}) {
		d.Arguments = &a
	}
	return d
}

func given(d Decimal) *Decimal {
	if !d.Valid {
		return nil
	}
	return &d
}

// Refund makes a credit memo for an order, or a part of it, and gives its entity id. The money is given back outside of
// Magento; InvoicesService.Refund can have the payment method do it. An order of which all is refunded is closed.
//
// It is not repeated by itself, and must not be without a look at the order's credit memos: as long as something is
// left, each call refunds more. A 400 is a refusal ("Creditmemo Document Validation Error(s): …"), or a save that failed
// (Error.Transient); in the second case too the credit memo may be there.
//
// POST /V1/order/:orderId/refund, permission Magento_Sales::creditmemo; Sales\Model\RefundOrder
func (s *OrdersService) Refund(ctx context.Context, orderID int64, n NewCreditMemo) (int64, error) {
	if n.Online {
		return 0, errors.New("magento: an order can't be refunded online: refund its invoice")
	}
	op := operation{method: http.MethodPost, path: fmt.Sprintf("/V1/order/%d/refund", orderID)}
	return s.client.identified(ctx, op, n.document())
}
