// Package erp is the sales order as an ERP wants it, and what mageline asks of an ERP. The model is that of the webhook
// ERP, field by field and in its JSON form; the other connectors map from it. No I/O happens here.
package erp

import "context"

// Connector is one ERP. Its methods are safe for concurrent use.
//
// Errors are or wrap an *event.Error with the downstream "erp". They are marked by event.NotDone only where the effect
// certainly has not happened: the ERP has refused it for good, or the request was never written. After every other error
// the ERP may have done it, and the caller asks with FindOrder before it sends again.
type Connector interface {
	// Name is the connector's, such as "webhook".
	Name() string
	// CreateOrder makes a document of the order, or gives the one that is there already under the same reference.
	// The idempotency key must be the same whenever the same order is sent.
	CreateOrder(ctx context.Context, idempotencyKey string, o SalesOrder) (Document, error)
	// FindOrder gives every document with this external reference: none, one, or by a mishap several.
	FindOrder(ctx context.Context, reference string) ([]Document, error)
	// CancelOrder takes from a document what c names. The Document is empty where the ERP answers none.
	CancelOrder(ctx context.Context, idempotencyKey, documentNumber string, c Cancellation) (Document, error)
}

// Document is the ERP's own record of an order.
type Document struct {
	// Number is the ERP's number of it.
	Number string
	// Accepted is true where the ERP has taken the order and has no number yet: it is there, and must not be sent
	// again; the number is found by the reference later.
	Accepted bool
}

// Cancellation says what was cancelled of an order.
type Cancellation struct {
	Reason string `json:"reason"`
	// Complete is true where the whole order is cancelled, and the document with it.
	Complete bool               `json:"complete"`
	Lines    []CancellationLine `json:"lines"`
}

// CancellationLine is how much of one line of the sales order is cancelled.
type CancellationLine struct {
	Reference string   `json:"reference"` // that of the sales order's line
	SKU       *string  `json:"sku"`
	Quantity  Quantity `json:"quantity"`
}
