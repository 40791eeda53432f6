package handlers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Two orders may have one number: of stores that count alike (magento2 issue 33457), or after a database was restored, which uses
// numbers and entity ids again. They have one business key and one reference in the ERP, so only one of them can have a document,
// and the other must never end as its duplicate. So the ledger keeps which order a row is for: see
// docs/decisions/019-two-orders-with-one-number.md.

// createKey returns the key of the effect that creates the ERP's document of an order.
func createKey(businessKey string) idempotency.Key {
	return idempotency.Key{Consumer: OrderPlaced, Key: businessKey, Effect: CreateEffect}
}

// entityID names an order by its entity id, in messages and in the reason of a row that is done.
func entityID(id int64) string { return entityIDPrefix + strconv.FormatInt(id, 10) }

const entityIDPrefix = "entity_id "

// another is an order with the number of the one that a row is for.
type another struct {
	error
	order *magentoapi.Order
	row   orderbook.Known
}

func (a *another) Unwrap() error { return a.error }

// sameOrder reports whether an order is the one in the ledger. If both have the time when it was placed, that must agree too.
func sameOrder(known, o orderbook.Order) bool {
	return known.EntityID == o.EntityID && (known.Placed.IsZero() || o.Placed.IsZero() || known.Placed.Equal(o.Placed))
}

// anotherOrder is the error for an event whose business key has a row for another order. stands says what has become of that one.
func anotherOrder(key, stands string, known, o orderbook.Order) error {
	was, is := entityID(known.EntityID), entityID(o.EntityID)
	if known.EntityID == o.EntityID {
		was += " of " + known.Placed.UTC().Format(time.DateTime)
		is += " of " + o.Placed.UTC().Format(time.DateTime)
	}
	return event.Errorf(event.Invalid, "order %s %s, with %s in Magento; this event is for another order of that number, with %s: "+
		"where stores count alike, ORDER_KEY=store_increment_id tells them apart; else enter it in the ERP by hand", key, stands, was, is)
}

// inERP, waits and mayBe are what may have become of an order, for anotherOrder.
func inERP(document string) string { return "is in the ERP as " + document }

const (
	waits = "waits until it may go out"
	mayBe = "may be in the ERP"
)

// identity returns what the ledger keeps of an order.
func identity(o *magentoapi.Order) orderbook.Order {
	return orderbook.Order{EntityID: int64(o.EntityID), Placed: o.CreatedAt.Time}
}

// duplicate checks that an event is for the order that its row is for, and returns that order's entity id, or 0 if it is not known. o
// is the order if it was read for this event already. An event that names its order by number costs one search, because another order
// may have the number. For one with the entity id Magento is not asked.
func (h *Placed) duplicate(ctx context.Context, ref event.Order, o *magentoapi.Order, key string, row idempotency.Result) (id int64, err error) {
	id = madeFor(row)
	is := orderbook.Order{EntityID: int64(ref.EntityID)}
	switch {
	case o != nil:
		is = identity(o)
	case is.EntityID != 0 && is.EntityID == id:
		return id, nil
	case is.EntityID != 0:
	case h.Rules.Key == mapping.ByStoreAndIncrementID && ref.StoreID != nil:
		return id, nil // Magento's own unique key (app/code/Magento/Sales/etc/db_schema.xml)
	default:
		found, err := numbered(ctx, h.Orders, ref)
		switch {
		case err != nil:
			return 0, err
		case len(found) == 0:
			return 0, &event.Error{
				Class: event.NotFound, Downstream: magento,
				Err: fmt.Errorf("order %s is in the ERP as %s, and Magento has no order of that number: it was deleted, or the event is for "+
					"another one and has run ahead of its commit", key, row.Value),
			}
		case len(found) > 1:
			return 0, several(ref, found)
		}
		is = identity(found[0])
	}
	known, ok, err := h.Book.Known(ctx, createKey(key))
	switch {
	case err != nil:
		return 0, err
	case !ok:
		known.EntityID = id // for an old row, of before the ledger kept more
	}
	if known.EntityID == 0 || sameOrder(known.Order, is) {
		return is.EntityID, nil
	}
	return 0, &another{error: anotherOrder(key, inERP(row.Value), known.Order, is), row: known}
}

// notDuplicate ends the handling of an event that only seemed to be a duplicate. An order that the event names by its entity id may
// be one that does not go out anyway, of another store.
func (h *Placed) notDuplicate(ctx context.Context, ref event.Order, key string, err error) (event.Outcome, error) {
	var other *another
	if !errors.As(err, &other) || ref.EntityID == 0 {
		return "", err
	}
	o, readErr := find(ctx, h.Orders, ref)
	switch {
	case readErr == nil:
		return h.forAnother(ctx, key, o, err)
	case event.ClassOf(readErr) == event.NotFound || event.ClassOf(readErr).Poison():
		return "", err
	default:
		return "", readErr
	}
}

// forAnother ends the handling of an event for an order whose number another order has: with err, unless it does not go out anyway.
func (h *Placed) forAnother(ctx context.Context, key string, o *magentoapi.Order, err error) (event.Outcome, error) {
	if state, reason := h.Export.judge(o); state == idempotency.Skipped {
		zerolog.Ctx(ctx).Info().Str("event", "order_skipped").Str("key", key).Int64("entity_id", int64(o.EntityID)).Str("reason", reason).
			Msg("the order does not go out; another one has its number")
		return event.Skipped, nil
	}
	return "", err
}

// taken fails if a claimed row is for another order than o, and that one waits or may be in the ERP. A row that is skipped or has
// failed has nothing in the ERP: another order may use it.
func (h *Placed) taken(ctx context.Context, key string, c *idempotency.Claim, o *magentoapi.Order, is *orderbook.Order) error {
	if c.Number == 1 {
		return nil
	}
	known, ok, err := h.Book.Known(ctx, c.Key)
	if err != nil || !ok {
		return err
	}
	if known.Waiting && known.EntityID != is.EntityID {
		return &another{error: anotherOrder(key, waits, known.Order, *is), order: o, row: known}
	}
	if (c.Uncertain || c.Accepted) && !sameOrder(known.Order, *is) {
		known.Waiting = false
		return &another{error: anotherOrder(key, mayBe, known.Order, *is), order: o, row: known}
	}
	return nil
}
