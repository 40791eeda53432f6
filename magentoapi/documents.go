package magentoapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/shopspring/decimal"
)

// What invoices and credit memos have in common. Names and meanings are those of Magento's InvoiceItemInterface,
// CreditmemoItemInterface, InvoiceCommentInterface and CreditmemoCommentInterface (app/code/Magento/Sales/Api/Data).

// DocumentItem is a row of an invoice or a credit memo. Of a composite product it has the product's row and those of its
// components. Amounts are in the order's currency.
type DocumentItem struct {
	EntityID        ID      `json:"entity_id"`
	ParentID        ID      `json:"parent_id"` // of the document
	OrderItemID     ID      `json:"order_item_id"`
	ProductID       ID      `json:"product_id"`
	SKU             Text    `json:"sku"`
	Name            Text    `json:"name"`
	Qty             Decimal `json:"qty"`
	Price           Decimal `json:"price"` // without tax
	PriceInclTax    Decimal `json:"price_incl_tax"`
	DiscountAmount  Decimal `json:"discount_amount"` // of the row
	TaxAmount       Decimal `json:"tax_amount"`      // of the row
	RowTotal        Decimal `json:"row_total"`       // without tax, before discounts
	RowTotalInclTax Decimal `json:"row_total_incl_tax"`
	// DiscountTaxCompensationAmount is the tax inside of the discount, on prices that include tax.
	DiscountTaxCompensationAmount Decimal `json:"discount_tax_compensation_amount"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *DocumentItem) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i DocumentItem) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// DocumentComment is a comment on an invoice, a shipment or a credit memo.
type DocumentComment struct {
	EntityID           ID   `json:"entity_id"`
	ParentID           ID   `json:"parent_id"` // of the document
	Comment            Text `json:"comment"`
	CreatedAt          Time `json:"created_at"`
	IsCustomerNotified Flag `json:"is_customer_notified"`
	IsVisibleOnFront   Flag `json:"is_visible_on_front"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *DocumentComment) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c DocumentComment) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// A NewDocumentItem is a quantity of a row of the order, for an invoice, a shipment or a credit memo. Of a configurable
// product it is the product's own row, not the variant's. A bundle is shipped by its row if its components go together,
// else by theirs.
type NewDocumentItem struct {
	OrderItemID int64
	Qty         decimal.Decimal
}

// document is the body that makes an invoice or a credit memo: the parameters of Sales\Api\InvoiceOrderInterface,
// RefundOrderInterface and RefundInvoiceInterface.
type document struct {
	Capture       bool                `json:"capture,omitempty"`
	IsOnline      bool                `json:"isOnline,omitempty"`
	Items         []documentItem      `json:"items,omitempty"`
	Notify        bool                `json:"notify"`
	AppendComment bool                `json:"appendComment"`
	Comment       *documentComment    `json:"comment,omitempty"`
	Arguments     *creditMemoArgument `json:"arguments,omitempty"`
}

type documentItem struct {
	OrderItemID int64       `json:"order_item_id"`
	Qty         json.Number `json:"qty"`
}

type documentComment struct {
	Comment          string `json:"comment"`
	IsVisibleOnFront int    `json:"is_visible_on_front"`
}

type creditMemoArgument struct {
	ShippingAmount      *Decimal                 `json:"shipping_amount,omitempty"`
	AdjustmentPositive  *Decimal                 `json:"adjustment_positive,omitempty"`
	AdjustmentNegative  *Decimal                 `json:"adjustment_negative,omitempty"`
	ExtensionAttributes *creditMemoArgumentStock `json:"extension_attributes,omitempty"`
}

type creditMemoArgumentStock struct {
	ReturnToStockItems []int64 `json:"return_to_stock_items"`
}

func documentItems(items []NewDocumentItem) []documentItem {
	var all []documentItem
	for _, i := range items {
		all = append(all, documentItem{i.OrderItemID, json.Number(i.Qty.String())})
	}
	return all
}

func commentOf(text string, visible bool) *documentComment {
	if text == "" {
		return nil
	}
	return &documentComment{text, flag(visible)}
}

// comments reads all comments of what path names; the endpoints have no pages.
func comments[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	op := operation{method: http.MethodGet, path: path}
	body, err := c.send(ctx, op, c.auth)
	if err != nil {
		return nil, err
	}
	page, err := decodePage[T](body, SearchCriteria{})
	if err != nil {
		return nil, op.unreadable(http.StatusOK, body, err)
	}
	c.tell(ctx, op, page.odd)
	return page.Items, nil
}

// addDocumentComment adds a comment to the document with the id, by the comment's repository.
func addDocumentComment(ctx context.Context, c *Client, path string, id int64, comment Comment) (*DocumentComment, error) {
	body := map[string]any{"entity": map[string]any{
		"comment": comment.Text, "parent_id": id,
		"is_customer_notified": flag(comment.NotifyCustomer), "is_visible_on_front": flag(comment.VisibleToCustomer),
	}}
	var added DocumentComment
	if err := c.call(ctx, operation{method: http.MethodPost, path: path}, body, &added); err != nil {
		return nil, err
	}
	return &added, nil
}

// sendEmail asks for a mail and reports whether it was sent.
func sendEmail(ctx context.Context, c *Client, path string) (bool, error) {
	var sent Flag
	err := c.call(ctx, operation{method: http.MethodPost, path: path}, nil, &sent)
	return sent.Bool, err
}

// getByID is get for what has an id, which the answer must have too: a proxy that answers about something else must not
// have it taken for what was asked for.
func getByID[T any](ctx context.Context, c *Client, op operation, what string, asked int64, id func(*T) ID) (*T, error) {
	var v T
	if err := c.call(ctx, op, nil, &v); err != nil {
		return nil, err
	}
	if err := checkID(op, what, asked, id(&v), &v); err != nil {
		return nil, err
	}
	return &v, nil
}

// checkID makes an error of an answer, v, that is about something else than what was asked for.
func checkID(op operation, what string, asked int64, got ID, v any) error {
	if int64(got) == asked {
		return nil
	}
	err := oddOf(v, "entity_id", "transaction_id")
	if err == nil {
		err = fmt.Errorf("asked for %s %d, it is of %s %d", what, asked, what, got)
	}
	return op.unreadable(http.StatusOK, []byte("{}"), err)
}
