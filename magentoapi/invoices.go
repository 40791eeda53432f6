package magentoapi

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// InvoicesService calls the endpoints of invoices. Ids are entity ids. An order's invoice is made by OrdersService.Invoice.
//
// Source of the endpoints: app/code/Magento/Sales/etc/webapi.xml.
type InvoicesService struct{ client *Client }

// The states of an invoice (Sales\Model\Order\Invoice).
const (
	InvoiceOpen     = 1
	InvoicePaid     = 2
	InvoiceCanceled = 3
)

// Invoice is an invoice of an order, or of a part of it (Sales\Api\Data\InvoiceInterface). Amounts are in
// OrderCurrencyCode, those named Base… in BaseCurrencyCode.
type Invoice struct {
	EntityID      ID   `json:"entity_id"`
	IncrementID   Text `json:"increment_id"` // the number shown to people
	OrderID       ID   `json:"order_id"`
	StoreID       ID   `json:"store_id"`
	State         ID   `json:"state"` // InvoiceOpen, InvoicePaid or InvoiceCanceled
	TransactionID Text `json:"transaction_id"`
	EmailSent     Flag `json:"email_sent"`
	CreatedAt     Time `json:"created_at"`
	UpdatedAt     Time `json:"updated_at"`

	OrderCurrencyCode Text    `json:"order_currency_code"`
	BaseCurrencyCode  Text    `json:"base_currency_code"`
	BaseToOrderRate   Decimal `json:"base_to_order_rate"`

	TotalQty          Decimal `json:"total_qty"`
	Subtotal          Decimal `json:"subtotal"` // without tax, before discounts
	SubtotalInclTax   Decimal `json:"subtotal_incl_tax"`
	DiscountAmount    Decimal `json:"discount_amount"` // 0 or below
	ShippingAmount    Decimal `json:"shipping_amount"` // without tax
	ShippingInclTax   Decimal `json:"shipping_incl_tax"`
	ShippingTaxAmount Decimal `json:"shipping_tax_amount"`
	TaxAmount         Decimal `json:"tax_amount"` // of rows and shipping
	GrandTotal        Decimal `json:"grand_total"`
	BaseGrandTotal    Decimal `json:"base_grand_total"`

	IsUsedForRefund   Flag    `json:"is_used_for_refund"`
	BaseTotalRefunded Decimal `json:"base_total_refunded"`

	Items    []DocumentItem    `json:"items"`
	Comments []DocumentComment `json:"comments"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *Invoice) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i Invoice) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// Get reads an invoice; ErrNotFound if there is none.
//
// GET /V1/invoices/:id, permission Magento_Sales::sales_invoice
func (s *InvoicesService) Get(ctx context.Context, id int64) (*Invoice, error) {
	return getByID(ctx, s.client, operation{method: http.MethodGet, path: invoicePath(id)}, "invoice", id, func(i *Invoice) ID { return i.EntityID })
}

// Search reads one page of invoices. Without a sort they are sorted by entity_id.
//
// GET /V1/invoices, permission Magento_Sales::sales_invoice
func (s *InvoicesService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Invoice], error) {
	return search[Invoice](ctx, s.client, "/V1/invoices", "entity_id", criteria)
}

// All gives all invoices that a search finds, a page in memory at a time: see OrdersService.All. Those of an order are found
// by Eq("order_id", …).
//
// GET /V1/invoices, permission Magento_Sales::sales_invoice
func (s *InvoicesService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Invoice, error] {
	return walk(ctx, criteria, "entity_id", func(i *Invoice) ID { return i.EntityID }, s.Search)
}

// Comments reads all comments of an invoice; the endpoint has no pages.
//
// GET /V1/invoices/:id/comments, permission Magento_Sales::sales_invoice
func (s *InvoicesService) Comments(ctx context.Context, id int64) ([]DocumentComment, error) {
	return comments[DocumentComment](ctx, s.client, invoicePath(id)+"/comments")
}

// AddComment adds a comment to an invoice and gives it as it is now. Magento keeps every one. Nothing is mailed.
//
// POST /V1/invoices/comments, permission Magento_Sales::sales_invoice; the body's fields are those of
// app/code/Magento/Sales/Api/Data/InvoiceCommentInterface.php
func (s *InvoicesService) AddComment(ctx context.Context, id int64, c Comment) (*DocumentComment, error) {
	return addDocumentComment(ctx, s.client, "/V1/invoices/comments", id, c)
}

// SendEmail mails an invoice to the customer, again if it has been. It reports whether the mail was sent: a shop may not
// send such mails, or send them later.
//
// POST /V1/invoices/:id/emails, permission Magento_Sales::sales_invoice
func (s *InvoicesService) SendEmail(ctx context.Context, id int64) (bool, error) {
	return sendEmail(ctx, s.client, invoicePath(id)+"/emails")
}

// Capture takes the money of an invoice by the payment method. It is not repeated by itself, for the method may take it
// twice. Magento's service does not save what the capture has changed in the invoice and the order: with some payment
// methods they stay as they were, so that making the invoice with NewInvoice.Capture is the surer way.
//
// POST /V1/invoices/:id/capture, permission Magento_Sales::sales_invoice; Sales\Model\Service\InvoiceService::setCapture
func (s *InvoicesService) Capture(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodPost, path: invoicePath(id) + "/capture"}, nil)
}

// Void gives up what was authorized for an invoice, and cancels it; what Capture says of saving is true here as well.
// ErrBadRequest if the payment method can't.
//
// POST /V1/invoices/:id/void, permission Magento_Sales::sales_invoice; Sales\Model\Service\InvoiceService::setVoid
func (s *InvoicesService) Void(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodPost, path: invoicePath(id) + "/void"}, nil)
}

// Refund makes a credit memo for an invoice, or a part of it, and gives its entity id. With NewCreditMemo.Online the payment
// method gives the money back. All that OrdersService.Refund says of repeating is true here.
//
// POST /V1/invoice/:invoiceId/refund, permission Magento_Sales::sales_invoice; Sales\Model\RefundInvoice
func (s *InvoicesService) Refund(ctx context.Context, id int64, n NewCreditMemo) (int64, error) {
	op := operation{method: http.MethodPost, path: fmt.Sprintf("/V1/invoice/%d/refund", id)}
	return s.client.identified(ctx, op, n.document())
}

func invoicePath(id int64) string { return fmt.Sprintf("/V1/invoices/%d", id) }
