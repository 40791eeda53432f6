package faults

import (
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Two stores that count alike, by magento2 issue 33457.
var countingAlike = fakemagento.Options{Stores: []fakemagento.Store{
	{ID: 1, Code: "de", Timezone: "UTC", BaseCurrency: "EUR"}, {ID: 2, Code: "fr", Timezone: "UTC", BaseCurrency: "EUR"},
}}

var alikeFaults = []*scenario{
	{number: 63, name: "two orders with one number: stores that count alike, a restored database", shop: countingAlike, run: func(w *world) {
		w.Run(2)
		firsts := w.place(6)
		w.AwaitDone(firsts...)
		w.settle() // their second events are duplicates, while there is one order of each number
		for form, first := range firsts {
			w.second(w.Shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: first.IncrementID}), form)
		}
		w.awaitParked()

		// The first of a number is still under way when the second comes.
		release := w.Hold()
		var both []fakemagento.Placed
		for form := range 4 {
			first := w.order(fakemagento.Placing{StoreID: 1, IncrementID: fmt.Sprintf("ALIKE-%d", form)})
			w.event(first)
			both = append(both, first)
			w.AwaitHeld(form + 1)
			w.second(w.Shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: first.IncrementID}), form)
		}
		release()
		w.AwaitDone(both...)
		w.awaitParked()

		// The answer to a create is lost, and the second comes before the first is tried again.
		uncertain := w.order(fakemagento.Placing{StoreID: 1, IncrementID: "ALIKE-U"})
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Drop})
		w.event(uncertain)
		w.second(w.Shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: uncertain.IncrementID}), 1)
		w.AwaitDone(uncertain)

		// The shop's database is lost, and that of the night before has no orders of today: their entity ids and numbers are given
		// anew.
		last := w.order(fakemagento.Placing{})
		w.event(last)
		lost := w.order(fakemagento.Placing{CreatedAt: time.Now().Add(-time.Hour)})
		event := w.event(lost)
		w.AwaitDone(last, lost)
		w.settle()
		comments := len(w.Shop.Comments(lost.EntityID))
		w.Shop.Restore(last.EntityID)
		event.order = last.IncrementID // it was done, and Magento has nothing of it any more
		again := w.Shop.PlaceOrder(fakemagento.Placing{})
		if again != lost || comments == 0 {
			w.t.Fatalf("%+v was placed after the restore, want %+v", again, lost)
		}
		w.second(again, 0)
		w.awaitParked()
		if n := len(w.Shop.Comments(again.EntityID)); n > 0 {
			w.t.Errorf("the new order has %d comments of the lost one", n)
		}
	}},
}

// second publishes an event for an order whose number another one has, which is to be parked.
func (w *world) second(o fakemagento.Placed, form int) {
	w.t.Helper()
	body := []string{
		fmt.Sprintf(`{"increment_id":%q}`, o.IncrementID),
		fmt.Sprintf(`{"entity_id":%d,"increment_id":%q}`, o.EntityID, o.IncrementID),
		fmt.Sprintf(`{"increment_id":%q,"store_id":2}`, o.IncrementID),
		fmt.Sprintf(`{"entity_id":%d}`, o.EntityID),
	}[form%4]
	w.publish(o.IncrementID, amqp.Publishing{Body: []byte(body)})
	w.parked++
}

// awaitParked waits until all that is to be parked is.
func (w *world) awaitParked() {
	w.t.Helper()
	kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) >= w.parked }, fmt.Sprintf("%d dead letters", w.parked))
}
