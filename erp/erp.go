// Package erp is the sales order as an ERP wants it, and what mageline asks of an ERP. The model is that of the webhook
// ERP, field by field and in its JSON form; the other connectors map from it. No I/O happens here.
//
// An ERP is reached by a connector, a type with the abilities that it has. Each ability is an interface of this package. A
// connector is written with package erphttp, which sends its requests and classifies the answers, and must pass the suite of
// package erptest; package webhook is the shortest example.
package erp

import (
	"context"
	"encoding/json"

	"github.com/shopspring/decimal"
)

// OrderConnector creates the shop's orders in an ERP, finds them there and cancels them. Its methods are safe for concurrent
// use. Other abilities are interfaces of their own: Completer, ShipmentReporter, CreditMemoReporter, CustomerWriter.
//
// Errors of Create, Find and Cancel are or wrap an *event.Error with the downstream "erp", or an *event.Deferral. They are
// marked by event.NotDone only where the effect certainly has not happened: the ERP has refused it for good, or the request
// was never written. After every other error the ERP may have done it, and the caller asks with Find before it sends again.
type OrderConnector interface {
	// Build returns what Create sends for an order. It does no I/O, and returns the same for the same order. An order that
	// can't be sent is an *event.Error of class Invalid that names what is wrong with it.
	Build(o SalesOrder) (Payload, error)
	// Create makes a document of a payload, or returns the one that is there already under the same reference. The caller
	// has looked it up by Find wherever an earlier attempt is not certain.
	//
	// Where it takes several requests, each that changes the ERP is a step of c (Call.Do), so that a later attempt goes on at
	// the first that is not certain. A document that is there and not complete is returned with the error.
	Create(ctx context.Context, c Call, p Payload) (Document, error)
	// Find returns every document with an external reference: none, one, or by a mishap several. An answer that can't be
	// read is an error, never none. Its errors are not marked by event.NotDone: a question without an answer says nothing
	// about the effect.
	Find(ctx context.Context, reference string) ([]Document, error)
	// Cancel takes from a document what x names. Of d at least Number is known; a connector that needs more looks it up. It
	// may be called again with the same key after the ERP has done it: then it must do nothing more. An ERP that does not
	// know keys is told what is left of a line (CancellationLine.Row), not what is taken.
	Cancel(ctx context.Context, c Call, d Document, x Cancellation) error
}

// Completer is the ability of a connector whose Create takes several requests: a document that Find has found may lack
// something.
type Completer interface {
	// Complete goes on with a document at the first step of c that is not certain, and returns it complete. The steps are
	// those of Create. Without any step on record it changes nothing, since people may have worked on the document.
	Complete(ctx context.Context, c Call, p Payload, d Document) (Document, error)
}

// Payload is what a connector sends for an order: made by Build, printed for a person, sent by Create.
type Payload struct {
	// Order is what the payload was built from.
	Order SalesOrder
	// Requests are sent in this order. What a later one takes from the answer of an earlier one, such as a document's number,
	// stands in it as a word in braces.
	Requests []Request
}

// Request is one request of a Payload.
type Request struct {
	Method string
	// Path is added to the ERP's address; each of its segments is escaped.
	Path string
	Body json.RawMessage
}

// Document is the ERP's own record of an order, as far as the ERP shows it.
type Document struct {
	// Number is the ERP's number of it, as people see it.
	Number string
	// ID names it in the ERP's addresses; empty where that is Number.
	ID string
	// ETag is its version, for ERPs that change a document only if they are sent its version.
	ETag string
	// Lines are the ERP's ids of its lines by SalesOrder's Line.Reference.
	Lines map[string]string
	// Accepted is true where the ERP has taken the order and has no number yet: it is there, and must not be sent again; the
	// number is found by the reference later.
	Accepted bool
	// Total is what the document comes to by the ERP's own arithmetic, tax included; not known where the ERP was not asked.
	// The caller compares it with the order's grand total.
	Total Amount
	// Notes are for a person: the document is there, and something about it needs a look, such as a block. They have no
	// personal data.
	Notes []string
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
	// Row is how the order's row stands after the cancellation.
	Row Row `json:"-"`
}

// Row is how a row of an order stands. All are counted from the beginning.
type Row struct {
	Ordered  Quantity `json:"ordered"`
	Shipped  Quantity `json:"shipped"`
	Refunded Quantity `json:"refunded"`
	Canceled Quantity `json:"canceled"`
	// Open is what is still to be shipped.
	Open Quantity `json:"open"`
}

// Keep returns the quantity that the ERP's line is to have: what was shipped, and what is still to be.
func (r Row) Keep() decimal.Decimal { return r.Shipped.Decimal.Add(r.Open.Decimal) }
