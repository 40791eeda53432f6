package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
)

// CreditMemosService calls the endpoints of credit memos. Ids are entity ids. A credit memo is made by OrdersService.Refund
// and InvoicesService.Refund, which work out what it comes to; Refund takes it as it is given.
//
// Source of the endpoints: app/code/Magento/Sales/etc/webapi.xml.
type CreditMemosService struct{ client *Client }

// The states of a credit memo (Sales\Model\Order\Creditmemo).
const (
	CreditMemoOpen     = 1
	CreditMemoRefunded = 2
	CreditMemoCanceled = 3
)

// CreditMemo is what was given back of an order (Sales\Api\Data\CreditmemoInterface). Amounts are in OrderCurrencyCode,
// those named Base… in BaseCurrencyCode.
type CreditMemo struct {
	EntityID      ID   `json:"entity_id"`
	IncrementID   Text `json:"increment_id"` // the number shown to people
	OrderID       ID   `json:"order_id"`
	InvoiceID     ID   `json:"invoice_id"` // 0 where the order was refunded, not an invoice
	StoreID       ID   `json:"store_id"`
	State         ID   `json:"state"` // CreditMemoOpen, CreditMemoRefunded or CreditMemoCanceled
	TransactionID Text `json:"transaction_id"`
	EmailSent     Flag `json:"email_sent"`
	CreatedAt     Time `json:"created_at"`
	UpdatedAt     Time `json:"updated_at"`

	OrderCurrencyCode Text    `json:"order_currency_code"`
	BaseCurrencyCode  Text    `json:"base_currency_code"`
	BaseToOrderRate   Decimal `json:"base_to_order_rate"`

	Subtotal           Decimal `json:"subtotal"` // without tax, before discounts
	SubtotalInclTax    Decimal `json:"subtotal_incl_tax"`
	DiscountAmount     Decimal `json:"discount_amount"`
	ShippingAmount     Decimal `json:"shipping_amount"` // without tax
	ShippingInclTax    Decimal `json:"shipping_incl_tax"`
	ShippingTaxAmount  Decimal `json:"shipping_tax_amount"`
	TaxAmount          Decimal `json:"tax_amount"`
	Adjustment         Decimal `json:"adjustment"` // AdjustmentPositive less AdjustmentNegative
	AdjustmentPositive Decimal `json:"adjustment_positive"`
	AdjustmentNegative Decimal `json:"adjustment_negative"`
	GrandTotal         Decimal `json:"grand_total"`
	BaseGrandTotal     Decimal `json:"base_grand_total"`
	// The tax inside of the discounts, on prices that include tax: of all rows, and of shipping.
	DiscountTaxCompensationAmount         Decimal `json:"discount_tax_compensation_amount"`
	ShippingDiscountTaxCompensationAmount Decimal `json:"shipping_discount_tax_compensation_amount"`

	Items    []DocumentItem    `json:"items"`
	Comments []DocumentComment `json:"comments"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (m *CreditMemo) UnmarshalJSON(data []byte) error { return readObject(data, m) }

// MarshalJSON writes what was read with what was changed.
func (m CreditMemo) MarshalJSON() ([]byte, error) { return writeObject(m, m.asRead) }

// Get reads a credit memo; ErrNotFound if there is none.
//
// GET /V1/creditmemo/:id, permission Magento_Sales::sales_creditmemo
func (s *CreditMemosService) Get(ctx context.Context, id int64) (*CreditMemo, error) {
	return getByID(ctx, s.client, operation{method: http.MethodGet, path: creditMemoPath(id)}, "credit memo", id, func(m *CreditMemo) ID { return m.EntityID })
}

// Search reads one page of credit memos. Without a sort they are sorted by entity_id.
//
// GET /V1/creditmemos, permission Magento_Sales::sales_creditmemo
func (s *CreditMemosService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*CreditMemo], error) {
	return search[CreditMemo](ctx, s.client, "/V1/creditmemos", "entity_id", criteria)
}

// All gives all credit memos that a search finds, a page in memory at a time: see OrdersService.All. Those of an order are
// found by Eq("order_id", …).
//
// GET /V1/creditmemos, permission Magento_Sales::sales_creditmemo
func (s *CreditMemosService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*CreditMemo, error] {
	return walk(ctx, criteria, "entity_id", func(m *CreditMemo) ID { return m.EntityID }, s.Search)
}

// Refund makes a credit memo that has its amounts already, in both currencies, and gives it as it was saved. It needs
// OrderID and Items, each with OrderItemID and Qty; Magento checks that BaseGrandTotal is not more than what was paid, and
// works out nothing. With InvoiceID and without offline the payment method gives the money back.
//
// It is not repeated by itself, and must not be without a look at the order's credit memos: each call refunds again.
//
// POST /V1/creditmemo/refund, permission Magento_Sales::sales_creditmemo; Sales\Model\Service\CreditmemoService::refund
func (s *CreditMemosService) Refund(ctx context.Context, m *CreditMemo, offline bool) (*CreditMemo, error) {
	switch {
	case m.EntityID != 0:
		return nil, fmt.Errorf("magento: credit memo %d is there already: Refund makes one", m.EntityID)
	case m.OrderID == 0 || len(m.Items) == 0 || !m.BaseGrandTotal.Valid:
		return nil, errors.New("magento: a credit memo needs its order, its items and its base_grand_total")
	}
	op := operation{method: http.MethodPost, path: "/V1/creditmemo/refund"}
	body := map[string]any{"creditmemo": m, "offlineRequested": offline}
	return saveOne(ctx, s.client, op, body, func(m *CreditMemo) bool { return m.EntityID != 0 })
}

// Comments reads all comments of a credit memo; the endpoint has no pages.
//
// GET /V1/creditmemo/:id/comments, permission Magento_Sales::sales_creditmemo
func (s *CreditMemosService) Comments(ctx context.Context, id int64) ([]DocumentComment, error) {
	return comments[DocumentComment](ctx, s.client, creditMemoPath(id)+"/comments")
}

// AddComment adds a comment to a credit memo and gives it as it is now. Magento keeps every one. With
// Comment.NotifyCustomer some versions mail it.
//
// POST /V1/creditmemo/:id/comments, permission Magento_Sales::sales_creditmemo; the body's fields are those of
// app/code/Magento/Sales/Api/Data/CreditmemoCommentInterface.php
func (s *CreditMemosService) AddComment(ctx context.Context, id int64, c Comment) (*DocumentComment, error) {
	return addDocumentComment(ctx, s.client, creditMemoPath(id)+"/comments", id, c)
}

// SendEmail mails a credit memo to the customer, again if it has been. It reports whether the mail was sent: a shop may not
// send such mails, or send them later.
//
// POST /V1/creditmemo/:id/emails, permission Magento_Sales::sales_creditmemo
func (s *CreditMemosService) SendEmail(ctx context.Context, id int64) (bool, error) {
	return sendEmail(ctx, s.client, creditMemoPath(id)+"/emails")
}

// Cancel cancels a credit memo, which Magento refuses for every one ("You can not cancel Credit Memo", ErrBadRequest); a
// shop's module may allow it.
//
// PUT /V1/creditmemo/:id, permission Magento_Sales::sales_creditmemo; Sales\Model\Service\CreditmemoService::cancel
func (s *CreditMemosService) Cancel(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodPut, path: creditMemoPath(id)}, nil)
}

func creditMemoPath(id int64) string { return fmt.Sprintf("/V1/creditmemo/%d", id) }
