// Package handlers has what happens when an event arrives, in one file for each consumer. A handler knows Magento's orders and the
// ERP's model, and nothing of queues, SQL or HTTP. It declares the small interfaces that it needs.
//
// Every effect on another system goes through the ledger, which runs it once however often the event is delivered.
package handlers

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Orders reads and comments on orders in Magento. *magentoapi.OrdersService implements it.
type Orders interface {
	// Get reads an order or, with fields, only these fields of it.
	Get(ctx context.Context, entityID int64, fields ...string) (*magentoapi.Order, error)
	ByIncrementID(ctx context.Context, incrementID string) ([]*magentoapi.Order, error)
	Search(ctx context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Order], error)
	AddComment(ctx context.Context, entityID int64, c magentoapi.Comment) error
	Comments(ctx context.Context, entityID int64) ([]magentoapi.OrderStatusHistory, error)
}

// Ledger runs effects once. *idempotency.Ledger implements it and documents the methods.
type Ledger interface {
	Do(ctx context.Context, e idempotency.Effect,
		run func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error)) (idempotency.Result, bool, error)
	Lookup(ctx context.Context, key idempotency.Key) (idempotency.Row, bool, error)
	Rows(ctx context.Context, consumer, key string) ([]idempotency.Row, error)
	Reopen(ctx context.Context, key idempotency.Key, number int64) (reopened bool, err error)
	Skip(ctx context.Context, key idempotency.Key, reason string, changes ...idempotency.Change) (bool, error)
	Lease(ctx context.Context, name string) (held context.Context, release func(), err error)
}

// OrderBook keeps what is known of each order, beside the ledger. *orderbook.Book is one, and documents the methods.
type OrderBook interface {
	Change(o orderbook.Order) idempotency.Change
	Over() idempotency.Change
	Known(ctx context.Context, key idempotency.Key) (o orderbook.Known, known bool, err error)
	ByDocument(ctx context.Context, document string) (entityIDs []int64, err error)
	Waiting(ctx context.Context, limit int) ([]orderbook.Waiting, error)
	LookedAt(ctx context.Context, state map[idempotency.Key]string) error
}

// Names of the consumers.
const (
	OrderPlaced           = "order_placed"
	OrderCanceled         = "order_canceled"
	ShipmentCreatedName   = "shipment_created"
	CreditMemoCreatedName = "creditmemo_created"
	CustomerSavedName     = "customer_saved"
	TrackingFileReady     = "tracking_file_ready"
	TrackingReceived      = "tracking_received"
)

// CreateEffect is the effect of OrderPlaced that creates the ERP's document. Its row has the state of the order.
const CreateEffect = "create"

// OrderRules are the settings of docs/orders.md that all handlers of orders share.
type OrderRules struct {
	Key             mapping.KeyRule
	ReferencePrefix string
	ERPName         string // as it appears in Magento's comments
	Comment         bool
	Statuses        *Statuses // of all comments on orders
	WaitEvery       time.Duration
	// Tolerance is by how much a document's total may differ from Magento's before the comment says so; nil is 0.02.
	Tolerance func() decimal.Decimal
}

func (r OrderRules) tolerance() decimal.Decimal {
	if r.Tolerance == nil {
		return decimal.New(2, -2)
	}
	return r.Tolerance()
}

// identityFields are the fields of mapping.Identity.
var identityFields = []string{"increment_id", "store_id"} // and entity_id, which Orders.Get always asks for

// find reads the order that an event names. With fields, an order that is named by its entity id has only these and identityFields.
func find(ctx context.Context, orders Orders, ref event.Order, fields ...string) (*magentoapi.Order, error) {
	if ref.EntityID != 0 {
		if len(fields) > 0 {
			fields = append(slices.Clone(identityFields), fields...)
		}
		o, err := orders.Get(ctx, int64(ref.EntityID), fields...)
		if err != nil {
			return nil, FromMagento(err)
		}
		if err := mapping.Identity.Check(o); err != nil {
			return nil, err
		}
		if ref.IncrementID != "" && string(o.IncrementID) != string(ref.IncrementID) {
			return nil, event.Errorf(event.Invalid, "the event names order %s with entity id %d, which is order %s in Magento: its publisher mixes them up",
				ref.IncrementID, ref.EntityID, o.IncrementID)
		}
		return o, nil
	}
	match, err := numbered(ctx, orders, ref)
	if err != nil {
		return nil, err
	}
	switch len(match) {
	case 0:
		return nil, &event.Error{
			Class: event.NotFound, Downstream: magento,
			Err: errors.New("Magento has no order " + string(ref.IncrementID) + ": the event may have run ahead of its commit"),
		}
	case 1:
		return match[0], nil
	default:
		return nil, several(ref, match)
	}
}

// numbered returns the orders with the number, and of the store, that an event names. It is one search.
func numbered(ctx context.Context, orders Orders, ref event.Order) ([]*magentoapi.Order, error) {
	found, err := orders.ByIncrementID(ctx, string(ref.IncrementID))
	if err != nil {
		return nil, FromMagento(err)
	}
	for _, o := range found {
		if err := mapping.Identity.Check(o); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(found, func(o *magentoapi.Order) bool {
		return ref.StoreID != nil && (o.StoreID == nil || *o.StoreID != magentoapi.ID(*ref.StoreID))
	}), nil
}

// several is the error for an event that may be for any of several orders.
func several(ref event.Order, orders []*magentoapi.Order) error {
	var ids []int64
	for _, o := range orders {
		ids = append(ids, int64(o.EntityID))
	}
	return event.Errorf(event.Invalid, "several orders have the number %s (entity ids %d): publish entity_id or store_id with it",
		ref.IncrementID, ids)
}

// key returns the business key of the order that an event names. If the event does not have enough for it, key reads the order and
// returns it as o.
func (r OrderRules) key(ctx context.Context, orders Orders, ref event.Order) (key string, o *magentoapi.Order, err error) {
	named := &magentoapi.Order{IncrementID: magentoapi.Text(ref.IncrementID)}
	if ref.StoreID != nil {
		id := magentoapi.ID(*ref.StoreID)
		named.StoreID = &id
	}
	if named.IncrementID == "" || (r.Key == mapping.ByStoreAndIncrementID && named.StoreID == nil) {
		if o, err = find(ctx, orders, ref); err != nil {
			return "", nil, err
		}
		named = o
	}
	key, err = mapping.BusinessKey(r.Key, named)
	return key, o, err
}

// orderLease is the name of the lease for writing to an order in Magento, which loses one of two writes at the same moment.
func orderLease(businessKey string) string { return "magento order " + businessKey }
