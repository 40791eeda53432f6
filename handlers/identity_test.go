package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// named is an event that names an order by its entity id too.
func named(p fakemagento.Placed) string {
	return fmt.Sprintf(`{"entity_id":%d,"increment_id":%q}`, p.EntityID, p.IncrementID)
}

// inStore is one that names it by its number and its store.
func inStore(p fakemagento.Placed, store int) string {
	return fmt.Sprintf(`{"increment_id":%q,"store_id":%d}`, p.IncrementID, store)
}

const readOrder = "GET /orders/:id"

var alikeStores = fakemagento.Options{Stores: []fakemagento.Store{
	{ID: 1, Code: "de", Timezone: "UTC", BaseCurrency: "EUR"}, {ID: 2, Code: "fr", Timezone: "UTC", BaseCurrency: "EUR"},
}}

// alike places two orders of one number, in two stores.
func (r *rig) alike(number string) (one, two fakemagento.Placed) {
	one = r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: number})
	return one, r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: number})
}

// exportedAs exports an order that the event names, and forgets the calls for it.
func (r *rig) exportedAs(body string) {
	r.t.Helper()
	outcome, err := r.placed(body)
	isOutcome(r.t, outcome, err, event.Done)
	r.toERP.took()
	r.toShop.took()
}

// bothIDs are what the person on call must be told.
func bothIDs(one, two fakemagento.Placed) []string {
	return []string{one.IncrementID, fmt.Sprint(one.EntityID), fmt.Sprint(two.EntityID)}
}

// Of two orders with one number the first goes out, and the second never ends as its duplicate.
func TestPlaced_SecondOrderWithOneNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	byStore := func(o *handlers.OrderRules) { o.Key = mapping.ByStoreAndIncrementID }
	for n, tt := range []struct {
		name    string
		rules   func(*handlers.OrderRules)
		body    func(one, two fakemagento.Placed) string
		outcome event.Outcome // "" where it is invalid
		calls   []string
	}{
		{"the second, by the number", nil, func(_, two fakemagento.Placed) string { return number(two.IncrementID) }, "", []string{findOrder}},
		{"the second, by its id", nil, func(_, two fakemagento.Placed) string { return named(two) }, "", []string{readOrder}},
		{"the second, by its id alone", nil, func(_, two fakemagento.Placed) string { return fmt.Sprintf(`{"entity_id":%d}`, two.EntityID) }, "", []string{readOrder, readOrder}},
		{"the second, by its store", nil, func(_, two fakemagento.Placed) string { return inStore(two, 2) }, "", []string{findOrder}},
		{"the first, by its id", nil, func(one, _ fakemagento.Placed) string { return named(one) }, event.Duplicate, nil},
		{"the first, by its store", nil, func(one, _ fakemagento.Placed) string { return inStore(one, 1) }, event.Duplicate, []string{findOrder}},
		{"the store in the key, the number", byStore, func(one, _ fakemagento.Placed) string { return number(one.IncrementID) }, "", []string{findOrder}},
		{"the store in the key, number and store", byStore, func(one, _ fakemagento.Placed) string { return inStore(one, 1) }, event.Duplicate, nil},
		{"the store in the key, number and id", byStore, func(one, _ fakemagento.Placed) string { return named(one) }, event.Duplicate, []string{readOrder}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			if tt.rules != nil {
				tt.rules(&r.rules)
			}
			one := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: fmt.Sprintf("A-%d", n)})
			r.exportedAs(named(one))
			two := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: one.IncrementID})
			outcome, err := r.placed(tt.body(one, two))
			if tt.outcome == "" {
				isClass(t, err, event.Invalid, bothIDs(one, two)...)
			} else {
				isOutcome(t, outcome, err, tt.outcome)
			}
			isCalls(t, r.toShop, tt.calls...)
			isCalls(t, r.toERP)
			if comments := r.shop.Comments(two.EntityID); len(comments) > 0 {
				t.Errorf("the second order has comments: %+v", comments)
			}
		})
	}
}

func TestPlaced_BothKnownBeforeTheFirstIsSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	one, two := r.alike("5")
	_, err := r.placed(number("5"))
	isClass(t, err, event.Invalid, bothIDs(one, two)...)
	r.isCreate("5", idempotency.Failed)
	isCalls(t, r.toERP)
	r.exportedAs(named(one))
	_, err = r.placed(named(two))
	isClass(t, err, event.Invalid, append(bothIDs(one, two), "store_increment_id")...)
	if key := event.KeyOf(err); key != "5" {
		t.Errorf("the error's key is %q, want 5", key)
	}
	r.isCreate("5", idempotency.Done)
}

// A database that was restored gives numbers and entity ids anew.
func TestPlaced_RestoredDatabase(t *testing.T) {
	t.Parallel()
	// restored gives a shop whose last order was exported and is gone.
	restored := func(t *testing.T, placing fakemagento.Placing) (r *rig, lost fakemagento.Placed) {
		r = newRig(t, settings{})
		base := r.shop.PlaceOrder(fakemagento.Placing{})
		placing.CreatedAt = time.Now().Add(-3 * time.Hour)
		lost = r.shop.PlaceOrder(placing)
		r.exportedAs(number(lost.IncrementID))
		r.shop.Restore(base.EntityID)
		return r, lost
	}
	t.Run("same number and id, by the number", func(t *testing.T) {
		r, lost := restored(t, fakemagento.Placing{})
		again := r.shop.PlaceOrder(fakemagento.Placing{})
		if again != lost {
			t.Fatalf("%+v was placed after the restore, want %+v", again, lost)
		}
		_, err := r.placed(number(again.IncrementID))
		isClass(t, err, event.Invalid, fmt.Sprint(again.EntityID), again.IncrementID, time.Now().UTC().Format(time.DateOnly))
		isCalls(t, r.toShop, findOrder)
		_, err = r.placed(fmt.Sprintf(`{"entity_id":%d}`, again.EntityID)) // it is read to find out its number
		isClass(t, err, event.Invalid)
		isCalls(t, r.toERP)
		if comments := r.shop.Comments(again.EntityID); len(comments) > 0 {
			t.Errorf("the order has comments: %+v", comments)
		}
	})
	t.Run("same number, another id", func(t *testing.T) {
		r, lost := restored(t, fakemagento.Placing{})
		r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "X"})
		again := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: lost.IncrementID})
		for _, body := range []string{number(again.IncrementID), named(again), fmt.Sprintf(`{"entity_id":%d}`, again.EntityID)} {
			_, err := r.placed(body)
			isClass(t, err, event.Invalid, bothIDs(lost, again)...)
		}
		isCalls(t, r.toERP)
	})
	t.Run("not there yet", func(t *testing.T) {
		r, lost := restored(t, fakemagento.Placing{})
		_, err := r.placed(number(lost.IncrementID))
		isClass(t, err, event.NotFound, lost.IncrementID)
		isCalls(t, r.toShop, findOrder)
		isCalls(t, r.toERP)
	})
	t.Run("an uncertain row", func(t *testing.T) {
		r, lost := restored(t, fakemagento.Placing{})
		r.sql(`UPDATE effect SET state = 'uncertain', sent_at = now() WHERE effect = 'create'`)
		again := r.shop.PlaceOrder(fakemagento.Placing{})
		_, err := r.placed(number(again.IncrementID))
		isClass(t, err, event.Invalid, fmt.Sprint(again.EntityID))
		isCalls(t, r.toERP)
		r.isCreate(lost.IncrementID, idempotency.Uncertain)
	})
	t.Run("a waiting row", func(t *testing.T) {
		r, lost := restored(t, fakemagento.Placing{State: "pending_payment"})
		again := r.shop.PlaceOrder(fakemagento.Placing{}) // nobody waits for the one that is gone
		outcome, err := r.placed(named(again))
		isOutcome(t, outcome, err, event.Done)
		r.isCreate(lost.IncrementID, idempotency.Done)
		r.isOnce(again)
	})
}

// Rows that were made before the ledger kept which order they are for.
func TestPlaced_RowsOfBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	for n, tt := range []struct {
		name    string
		forget  string
		second  bool // is there
		body    func(one, two fakemagento.Placed) string
		outcome event.Outcome // "" where it is invalid
	}{
		{"no reason", `UPDATE effect SET reason = ''`, false, func(one, _ fakemagento.Placed) string { return number(one.IncrementID) }, event.Duplicate},
		{"no reason, by its id", `UPDATE effect SET reason = ''`, false, func(one, _ fakemagento.Placed) string { return named(one) }, event.Duplicate},
		{"no reason, another's id", `UPDATE effect SET reason = ''`, true, func(_, two fakemagento.Placed) string { return named(two) }, ""},
		{"no row of the order", `DELETE FROM orders`, false, func(one, _ fakemagento.Placed) string { return number(one.IncrementID) }, event.Duplicate},
		{"no row of the order, another's id", `DELETE FROM orders`, true, func(_, two fakemagento.Placed) string { return named(two) }, ""},
		{"no time of the order", `UPDATE orders SET placed_at = NULL`, false, func(one, _ fakemagento.Placed) string { return number(one.IncrementID) }, event.Duplicate},
		{"nothing", `WITH gone AS (DELETE FROM orders) UPDATE effect SET reason = ''`, false, func(one, _ fakemagento.Placed) string { return number(one.IncrementID) }, event.Duplicate},
		{"nothing, by its id", `WITH gone AS (DELETE FROM orders) UPDATE effect SET reason = ''`, false, func(one, _ fakemagento.Placed) string { return named(one) }, event.Duplicate},
		{"nothing, two orders", `WITH gone AS (DELETE FROM orders) UPDATE effect SET reason = ''`, true, func(one, _ fakemagento.Placed) string { return number(one.IncrementID) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			one := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: fmt.Sprintf("B-%d", n)})
			r.exportedAs(number(one.IncrementID))
			r.withoutData()
			r.sql(tt.forget)
			var two fakemagento.Placed
			if tt.second {
				two = r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: one.IncrementID})
			}
			outcome, err := r.placed(tt.body(one, two))
			if tt.outcome == "" {
				isClass(t, err, event.Invalid, bothIDs(one, two)...)
			} else {
				isOutcome(t, outcome, err, tt.outcome)
			}
			isCalls(t, r.toERP)
		})
	}
}

// waits checks that a row waits for just this order.
func (r *rig) waits(p fakemagento.Placed) {
	r.t.Helper()
	r.isCreate(p.IncrementID, idempotency.Waiting)
	all, err := r.book.Waiting(r.t.Context(), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	if at := slices.IndexFunc(all, func(o orderbook.Waiting) bool { return o.Key.Key == p.IncrementID }); at < 0 || all[at].Order.EntityID != int64(p.EntityID) {
		r.t.Fatalf("waiting are %+v, want order %d", all, p.EntityID)
	}
}

// An order that waits is not put out of the ledger by another one of its number.
func TestPlaced_AnotherOrderOfAWaitingNumber(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]fakemagento.Placing{
		"that may go out": {StoreID: 2}, "that waits too": {StoreID: 2, State: "pending_payment"}, "that is cancelled": {StoreID: 2, State: "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settings{shop: alikeStores})
			one := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: "7", State: "pending_payment"})
			r.exportedAs(named(one))
			second.IncrementID = "7"
			two := r.shop.PlaceOrder(second)
			for range 2 {
				outcome, err := r.placed(named(two))
				if second.State == "canceled" {
					isOutcome(t, outcome, err, event.Skipped)
				} else {
					isClass(t, err, event.Invalid, bothIDs(one, two)...)
				}
				r.waits(one)
			}
			isCalls(t, r.toERP)
			_, err := r.placed(number("7"))
			isClass(t, err, event.Invalid, bothIDs(one, two)...)
			outcome, err := r.placed(named(one)) // still unpaid; what was read by the number left it as failed
			isOutcome(t, outcome, err, event.Done)
			r.waits(one)
			r.shop.Pay(one.EntityID)
			outcome, err = r.placed(named(one))
			isOutcome(t, outcome, err, event.Done)
			r.isOnce(one)
		})
	}
}

// A row that was put off is not judged by another order that has its entity id now.
func TestWaiting_EntityIDOfAnotherNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	base := r.shop.PlaceOrder(fakemagento.Placing{})
	lost := r.placeWaiting()
	r.shop.Restore(base.EntityID)
	other := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "X-1"})
	if other.EntityID != lost.EntityID {
		t.Fatalf("entity id %d, want %d", other.EntityID, lost.EntityID)
	}
	var s sent
	if err := r.waiting(&s).Run(r.context()); err != nil || len(s.bodies) > 0 {
		t.Errorf("published %q, error %v", s.bodies, err)
	}
	r.isCreate(lost.IncrementID, idempotency.Waiting)
}

// What may be in the ERP already is the first order's: the second is neither taken for it nor sent.
func TestPlaced_AnotherOrderOfAnUncertainNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	one, two := r.alike("8")
	r.erp.Faults.Next(fault.Fault{Kind: fault.Drop})
	_, err := r.placed(named(one))
	isClass(t, err, event.Unavailable)
	r.toERP.took()
	_, err = r.placed(named(two))
	isClass(t, err, event.Invalid, bothIDs(one, two)...)
	isCalls(t, r.toERP)
	r.isCreate("8", idempotency.Uncertain)
	outcome, err := r.placed(named(one), repeated)
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, find)
	r.isOnce(one)
	if len(r.shop.Comments(two.EntityID)) > 0 {
		t.Error("the second order has a comment")
	}
}

// An order that was refused, or does not go out, leaves its number to the next one; its own events are no duplicates then.
func TestPlaced_NumberOfAnOrderThatIsNotInTheERP(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	one, two := r.alike("9")
	r.toERP.with(http.MethodPost, http.StatusUnprocessableEntity, `{"message":"no"}`)
	_, err := r.placed(named(one))
	isClass(t, err, event.Rejected)
	r.toERP.forget()
	r.exportedAs(named(two))
	_, err = r.placed(named(one), replayed)
	isClass(t, err, event.Invalid, bothIDs(two, one)...)
	isCalls(t, r.toERP)

	one = r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: "10", State: "canceled"})
	two = r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: "10"})
	outcome, err := r.placed(named(one))
	isOutcome(t, outcome, err, event.Skipped)
	r.exportedAs(named(two))
	outcome, err = r.placed(named(one))
	isOutcome(t, outcome, err, event.Skipped)
	isCalls(t, r.toERP)
}

// A store that is not exported may count as the others do.
func TestPlaced_NumberOfAStoreThatIsNotExported(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores, export: func(e *handlers.ExportRules) { e.AllowsStore = func(id int64) bool { return id == 1 } }})
	one, two := r.alike("11")
	r.exportedAs(named(one))
	outcome, err := r.placed(named(two))
	isOutcome(t, outcome, err, event.Skipped)
	isCalls(t, r.toShop, readOrder)
	r.shop.Cancel(two.EntityID)
	outcome, err = r.canceled(named(two))
	isOutcome(t, outcome, err, event.Skipped)
	isCalls(t, r.toERP)
	r.shop.Faults.Next(fault.Fault{Kind: fault.Fail})
	_, err = r.placed(named(two))
	isClass(t, err, event.Unavailable)
	r.shop.Delete(two.EntityID)
	_, err = r.placed(named(two))
	isClass(t, err, event.Invalid, bothIDs(one, two)...)
}

// The cancellation of one order does not touch the document of another one of its number.
func TestCanceled_SecondOrderWithOneNumber(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]fakemagento.Placing{"in the ERP": {StoreID: 1}, "waiting": {StoreID: 1, State: "pending_payment"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, settings{shop: alikeStores})
			first.IncrementID = "12"
			one := r.shop.PlaceOrder(first)
			r.exportedAs(named(one))
			two := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: "12"})
			r.shop.Cancel(two.EntityID)
			for _, body := range []string{named(two), inStore(two, 2), number("12")} {
				_, err := r.canceled(body)
				isClass(t, err, event.Invalid, bothIDs(one, two)...)
			}
			r.shop.Delete(one.EntityID) // then the number names the second alone
			_, err := r.canceled(number("12"))
			isClass(t, err, event.Invalid, bothIDs(one, two)...)
			isCalls(t, r.toERP)
			if first.State != "" {
				r.waits(one)
			}
		})
	}
}

// The warehouse's number is of the order that was sent to it.
func TestTracked_NumberOfAnotherOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: making, shop: alikeStores})
	one := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: "13"})
	r.exportedAs(named(one))
	r.shop.Delete(one.EntityID)
	two := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: "13"})
	_, err := r.tracked(parcel("13", "1Z"))
	isClass(t, err, event.Invalid, bothIDs(one, two)...)
	r.isShipped(two)
}

// The comment goes to the order that has the document, also where a second one has come before it was written.
func TestPlaced_CommentAfterASecondOrderHasCome(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	one := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: "14"})
	r.shop.Faults.Set(fault.Plan{Only: onlyPosts})
	r.shop.Faults.Next(fault.Fault{Kind: fault.Fail})
	_, err := r.placed(number("14"))
	isClass(t, err, event.Unavailable)
	two := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: "14"})
	_, err = r.placed(number("14"), repeated)
	isClass(t, err, event.Invalid, bothIDs(one, two)...)
	outcome, err := r.placed(inStore(one, 1), repeated)
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(one)
	r.isComments(two)
}

// Many deliveries of both at the same moment: one document, and no event of the other order ends as its duplicate.
func TestPlaced_BothAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{shop: alikeStores})
	replicas := []*idempotency.Ledger{r.ledger, r.replica("second")}
	ctx, cancel := context.WithTimeout(r.context(), time.Minute)
	defer cancel()
	for round := range 5 {
		one, two := r.alike(fmt.Sprintf("C-%d", round))
		var (
			all   sync.WaitGroup
			mu    sync.Mutex
			ended = map[fakemagento.Placed][]string{}
		)
		for n := range 16 {
			p := []fakemagento.Placed{one, two}[n%2]
			h := r.placedOn(replicas[n/2%2])
			all.Go(func() {
				for ctx.Err() == nil {
					outcome, err := h.Handle(ctx, event.Event{Body: []byte(named(p)), Attempt: 1})
					var d *event.Deferral
					if asDeferral(err, &d) {
						continue
					}
					end := string(outcome)
					if err != nil {
						end = string(event.ClassOf(err))
					}
					mu.Lock()
					ended[p] = append(ended[p], end)
					mu.Unlock()
					return
				}
			})
		}
		all.Wait()
		if n := len(r.erp.DocumentsOf(one.IncrementID)); n != 1 {
			t.Errorf("%d documents of the number %s, want 1", n, one.IncrementID)
		}
		sent, other := one, two
		if !slices.Contains(ended[one], string(event.Done)) {
			sent, other = two, one
		}
		if slices.Contains(ended[sent], string(event.Invalid)) || slices.ContainsFunc(ended[other], func(end string) bool { return end != string(event.Invalid) }) {
			t.Errorf("the one that was sent ended %v, the other %v", ended[sent], ended[other])
		}
	}
}
