package magentoapi

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// TransactionsService calls the endpoints of what payment methods have told Magento of their transactions.
//
// Source of the endpoints: app/code/Magento/Sales/etc/webapi.xml.
type TransactionsService struct{ client *Client }

// Transaction is one step of a payment (Sales\Api\Data\TransactionInterface).
type Transaction struct {
	TransactionID ID   `json:"transaction_id"` // Magento's own
	ParentID      ID   `json:"parent_id"`      // 0 for the first step
	OrderID       ID   `json:"order_id"`
	PaymentID     ID   `json:"payment_id"`
	TxnID         Text `json:"txn_id"` // the payment provider's
	ParentTxnID   Text `json:"parent_txn_id"`
	TxnType       Text `json:"txn_type"` // order, authorization, capture, void, refund, payment
	IsClosed      Flag `json:"is_closed"`
	Method        Text `json:"method"`
	IncrementID   Text `json:"increment_id"` // of the order
	CreatedAt     Time `json:"created_at"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (t *Transaction) UnmarshalJSON(data []byte) error { return readObject(data, t) }

// MarshalJSON writes what was read with what was changed.
func (t Transaction) MarshalJSON() ([]byte, error) { return writeObject(t, t.asRead) }

// Get reads a transaction by Magento's own id; ErrNotFound if there is none.
//
// GET /V1/transactions/:id, permission Magento_Sales::transactions_fetch
func (s *TransactionsService) Get(ctx context.Context, id int64) (*Transaction, error) {
	path := fmt.Sprintf("/V1/transactions/%d", id)
	return getByID(ctx, s.client, operation{method: http.MethodGet, path: path}, "transaction", id, func(t *Transaction) ID { return t.TransactionID })
}

// Search reads one page of transactions. Without a sort they are sorted by transaction_id.
//
// GET /V1/transactions, permission Magento_Sales::transactions_fetch
func (s *TransactionsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Transaction], error) {
	return search[Transaction](ctx, s.client, "/V1/transactions", "transaction_id", criteria)
}

// All gives all transactions that a search finds, a page in memory at a time: see OrdersService.All. Those of an order are
// found by Eq("order_id", …).
//
// GET /V1/transactions, permission Magento_Sales::transactions_fetch
func (s *TransactionsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Transaction, error] {
	return walk(ctx, criteria, "transaction_id", func(t *Transaction) ID { return t.TransactionID }, s.Search)
}
