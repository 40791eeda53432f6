package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// sent keeps what Waiting publishes.
type sent struct {
	topics []string
	bodies []string
	err    error
}

func (s *sent) send(_ context.Context, topic string, body []byte) error {
	if s.err != nil {
		return s.err
	}
	s.topics, s.bodies = append(s.topics, topic), append(s.bodies, string(body))
	return nil
}

func (r *rig) waiting(s *sent) *handlers.Waiting {
	return &handlers.Waiting{Orders: r.client.Orders, Ledger: r.ledger, Book: r.book, Export: r.export, Key: r.rules.Key, Max: 720 * time.Hour, Send: s.send}
}

// placeWaiting places an order that waits.
func (r *rig) placeWaiting() fakemagento.Placed {
	r.t.Helper()
	p := r.shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "stripe_payments"})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(r.t, outcome, err, event.Done)
	r.isCreate(p.IncrementID, idempotency.Waiting)
	return p
}

func (r *rig) waitingOrders() []orderbook.Waiting {
	r.t.Helper()
	all, err := r.book.Waiting(r.t.Context(), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func TestWaiting_OrdersThatWaitNoLonger(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	paid, cancelled, closed, still := r.placeWaiting(), r.placeWaiting(), r.placeWaiting(), r.placeWaiting()
	r.shop.Pay(paid.EntityID)
	r.shop.Cancel(cancelled.EntityID)
	r.shop.SetState(closed.EntityID, "closed")
	r.shop.SetState(still.EntityID, "payment_review")
	var s sent
	r.toShop.took()
	if err := r.waiting(&s).Run(r.context()); err != nil {
		t.Fatal(err)
	}
	isCalls(t, r.toShop, "GET /orders") // one search
	if len(s.bodies) != 3 {
		t.Fatalf("published %q, want three events", s.bodies)
	}
	want := map[string]event.Outcome{paid.IncrementID: event.Done, cancelled.IncrementID: event.Skipped, closed.IncrementID: event.Skipped}
	for i, body := range s.bodies {
		if s.topics[i] != "sales.order.updated" {
			t.Errorf("topic %q, want sales.order.updated", s.topics[i])
		}
		var o struct {
			EntityID    int    `json:"entity_id"`
			IncrementID string `json:"increment_id"`
			StoreID     int    `json:"store_id"`
		}
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Fatal(err)
		}
		if o.EntityID == 0 || o.StoreID != 1 {
			t.Errorf("the event %s does not name the order and its store", body)
		}
		outcome, err := r.placed(body)
		isOutcome(t, outcome, err, want[o.IncrementID])
		delete(want, o.IncrementID)
	}
	r.isOnce(paid)
	left := r.waitingOrders()
	if len(left) != 1 || left[0].Key.Key != still.IncrementID || left[0].Order.State != "payment_review" {
		t.Errorf("waiting %+v, want %s in payment_review", left, still.IncrementID)
	}
}

// Orders beyond the hundred of one search have their turn in the same round, each once, and the longest unseen first.
func TestWaiting_EachWaitingOrderIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 99, 100, 101, 250} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{})
			var keys []string
			var ids []int
			for range n {
				p := r.shop.PlaceOrder(fakemagento.Placing{})
				keys, ids = append(keys, p.IncrementID), append(ids, p.EntityID)
			}
			r.sql(`INSERT INTO effect (consumer, key, effect, state, owner, claim, lease_until, accepted, result, reason, class, created_at, updated_at)
				SELECT 'order_placed', key, 'create', 'waiting', 'x', 1, now(), false, '', '', '', now(), now() FROM unnest($1::text[]) AS key`, keys)
			r.sql(`INSERT INTO orders (key, consumer, effect, entity_id, store_id, state, document, waiting, waiting_since, looked_at)
				SELECT key, 'order_placed', 'create', id, 1, 'holded', '', true, now(), now() FROM unnest($1::text[], $2::bigint[]) AS o(key, id)`, keys, ids)
			for range 2 {
				var s sent
				if err := r.waiting(&s).Run(r.context()); err != nil {
					t.Fatal(err)
				}
				names := map[string]int{}
				for _, b := range s.bodies {
					names[b]++
				}
				if len(names) != n || len(s.bodies) != n {
					t.Errorf("%d events for %d of %d orders", len(s.bodies), len(names), n)
				}
			}
			if searches := r.shop.Requests()["GET /V1/orders"]; searches > 2*(n/100+1) {
				t.Errorf("%d searches for %d orders in two rounds", searches, n)
			}
		})
	}
}

func TestWaiting_AbandonedOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	old, young, paid, vanished := r.placeWaiting(), r.placeWaiting(), r.placeWaiting(), r.placeWaiting()
	r.sql(`UPDATE orders SET waiting_since = now() - interval '721 hours' WHERE key <> $1`, young.IncrementID)
	r.shop.Pay(paid.EntityID)
	r.sql(`UPDATE orders SET entity_id = 999999 WHERE key = $1`, vanished.IncrementID)
	var s sent
	if err := r.waiting(&s).Run(r.context()); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 1 || !strings.Contains(s.bodies[0], paid.IncrementID) {
		t.Errorf("published %q, want the paid order's event alone", s.bodies)
	}
	for _, p := range []fakemagento.Placed{old, vanished} {
		if row := r.isCreate(p.IncrementID, idempotency.Skipped); row.Result.Reason != "abandoned" {
			t.Errorf("reason %q, want abandoned", row.Result.Reason)
		}
	}
	r.isCreate(young.IncrementID, idempotency.Waiting)
	if !r.log.Has("order_abandoned", "journal", "true", "key", old.IncrementID) {
		t.Error("nothing is journaled")
	}
	// A later event is looked at as ever, and the waiting begins anew.
	outcome, err := r.placed(number(old.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isCreate(old.IncrementID, idempotency.Waiting)
	if err := r.waiting(&s).Run(r.context()); err != nil {
		t.Fatal(err)
	}
	r.isCreate(old.IncrementID, idempotency.Waiting)
	r.shop.Pay(old.EntityID)
	outcome, err = r.placed(number(old.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(old)
}

// An order that Magento does not show now may be there later: a search index that lags, a permission that is missing.
func TestWaiting_VanishedOrderWaitsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.placeWaiting()
	r.sql(`UPDATE orders SET entity_id = 999999`)
	var s sent
	if err := r.waiting(&s).Run(r.context()); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 0 {
		t.Errorf("published %q", s.bodies)
	}
	r.isCreate(p.IncrementID, idempotency.Waiting)
}

// Whatever is away: the round fails, nothing is lost, and the next one does the work.
func TestWaiting_WaitingWhileSomethingIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.placeWaiting()
	r.shop.Pay(p.EntityID)
	r.sql(`UPDATE orders SET waiting_since = now() - interval '721 hours'`) // and would be abandoned, were it not paid
	s := sent{err: errors.New("RabbitMQ is away")}
	if err := r.waiting(&s).Run(r.context()); !errors.Is(err, s.err) {
		t.Errorf("error %v, want %v", err, s.err)
	}
	s.err = nil
	for _, f := range []fault.Fault{{Kind: fault.Fail}, {Kind: fault.Page}, {Kind: fault.Garble}, {Kind: fault.Refuse}, {Kind: fault.Fail, Status: 401}} {
		r.shop.Faults.Set(fault.Plan{Every: f})
		if err := r.waiting(&s).Run(r.context()); err == nil {
			t.Errorf("fault %+v: no error", f)
		}
	}
	r.isCreate(p.IncrementID, idempotency.Waiting)
	r.shop.Faults.Set(fault.Plan{})
	if err := r.waiting(&s).Run(r.context()); err != nil || len(s.bodies) != 1 {
		t.Errorf("published %q, error %v; want one event", s.bodies, err)
	}
}
