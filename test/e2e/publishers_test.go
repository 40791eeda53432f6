package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// publishers are bodies for one order as publishers make them that know nothing of mageline.
func publishers(o fakemagento.Placed) []string {
	id, number := fmt.Sprint(o.EntityID), env.Quoted(o.IncrementID)
	return []string{
		id,
		number,
		`"` + strings.ReplaceAll(number, `"`, `\"`) + `"`,
		`{"orderId":` + id + `}`,
		`{"order_id":"` + id + `","status":"x"}`,
		`{"id":` + id + `}`,
		`{"order":{"increment_id":` + number + `},"storeId":1}`,
		`["sales.order.created",` + env.Quoted(`{"id":"`+id+`"}`) + `]`,
		`["sales.order.created",` + env.Quoted(`{"increment_id":`+number+`}`) + `,1]`,
		`{"event":{"data":{"value":{"entity_id":"` + id + `"}}}}`,
		`{"specversion":"1.0","id":"9a1e","source":"urn:uuid:5d2b","type":"com.adobe.commerce.observer.sales_order_save_commit_after",` +
			`"data":{"key":"11b9","value":{"increment_id":` + number + `},"source":"shop","_metadata":{"storeId":"1","websiteId":"1"}}}`,
		`{"bulk_uuid":"1","topic_name":"async.magento.sales.api.ordermanagementinterface.cancel.post","serialized_data":` +
			env.Quoted(`{"entity_id":null,"entity_link":"","meta_information":`+env.Quoted(`{"id":`+id+`}`)+`}`) + `}`,
		"\uFEFF" + `{"entity_id":` + id + `}`,
	}
}

// TestEvent_BodiesOfPublishers publishes each form of a body under topics of the shop's own: what it means is told by the
// consumer that they are bound to. Each is settled once.
func TestEvent_BodiesOfPublishers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Hour)
	e.Set("BINDINGS", "order_placed:sales.order.placed,order_placed:event.trigger,order_canceled:acme.gone")
	r := e.Start().AwaitReady()
	forms := len(publishers(fakemagento.Placed{}))
	var placed []fakemagento.Placed
	for form := range forms {
		o := e.Shop.PlaceOrder(fakemagento.Placing{})
		placed = append(placed, o)
		e.Publish([]string{"sales.order.placed", "event.trigger"}[form%2], publishers(o)[form])
	}
	e.AwaitDone(placed...)
	for form, o := range placed {
		e.Shop.Cancel(o.EntityID)
		e.Publish("acme.gone", publishers(o)[form])
	}
	kit.Eventually(t, env.Patience, func() bool {
		cancelled := 0
		for _, d := range e.ERP.Documents() {
			if d.Canceled {
				cancelled++
			}
		}
		return cancelled == forms
	}, "each document to be cancelled")

	refused := []string{
		fmt.Sprintf(`{"entity_id":9,"increment_id":"000000009","order_id":%d}`, placed[0].EntityID),
		`["sales.invoice.created",` + env.Quoted(`{"id":"1"}`) + `]`,
		`a:1:{s:8:"order_id";i:57;}`,
		`{"stock":2,"skus":["A","B"]}`,
	}
	for _, body := range refused {
		e.Publish("event.trigger", body)
	}
	e.AwaitLetters("order_placed", len(refused))
	for range refused {
		d, _ := e.Get(e.DeadLetters("order_placed"))
		env.CheckLetter(t, &d)
		t.Logf("%s: %s", d.Body, d.Headers["x-mageline-error"])
	}
	for _, queue := range []string{e.DeadLetters("order_placed"), e.DeadLetters("order_canceled"), e.RetryQueue(time.Hour), e.Queue("order_placed"), e.Queue("order_canceled")} {
		if n := e.Depth(queue); n != 0 {
			t.Errorf("%d messages are left in %s", n, queue)
		}
	}
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
