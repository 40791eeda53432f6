package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// quoted is text as a string of JSON.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// publishers are bodies for one order as publishers make them that know nothing of mageline.
func publishers(o fakemagento.Placed) []string {
	id, number := fmt.Sprint(o.EntityID), quoted(o.IncrementID)
	return []string{
		id,
		number,
		`"` + strings.ReplaceAll(number, `"`, `\"`) + `"`,
		`{"orderId":` + id + `}`,
		`{"order_id":"` + id + `","status":"x"}`,
		`{"id":` + id + `}`,
		`{"order":{"increment_id":` + number + `},"storeId":1}`,
		`["sales.order.created",` + quoted(`{"id":"`+id+`"}`) + `]`,
		`["sales.order.created",` + quoted(`{"increment_id":`+number+`}`) + `,1]`,
		`{"event":{"data":{"value":{"entity_id":"` + id + `"}}}}`,
		`{"specversion":"1.0","id":"9a1e","source":"urn:uuid:5d2b","type":"com.adobe.commerce.observer.sales_order_save_commit_after",` +
			`"data":{"key":"11b9","value":{"increment_id":` + number + `},"source":"shop","_metadata":{"storeId":"1","websiteId":"1"}}}`,
		`{"bulk_uuid":"1","topic_name":"async.magento.sales.api.ordermanagementinterface.cancel.post","serialized_data":` +
			quoted(`{"entity_id":null,"entity_link":"","meta_information":`+quoted(`{"id":`+id+`}`)+`}`) + `}`,
		"\uFEFF" + `{"entity_id":` + id + `}`,
	}
}

// TestBodiesOfPublishers publishes each form of a body under topics of the shop's own: what it means is told by the
// consumer that they are bound to. Each is settled once.
func TestBodiesOfPublishers(t *testing.T) {
	t.Parallel()
	l := newLine(t, time.Hour)
	l.env = l.with("BINDINGS", "order_placed:sales.order.placed,order_placed:event.trigger,order_canceled:acme.gone")
	r := start(t, l.env).AwaitReady()
	forms := len(publishers(fakemagento.Placed{}))
	var placed []fakemagento.Placed
	for form := range forms {
		o := l.shop.PlaceOrder(fakemagento.Placing{})
		placed = append(placed, o)
		l.Publish([]string{"sales.order.placed", "event.trigger"}[form%2], publishers(o)[form])
	}
	l.awaitDone(patience, placed...)
	for form, o := range placed {
		l.shop.Cancel(o.EntityID)
		l.Publish("acme.gone", publishers(o)[form])
	}
	kit.Eventually(t, patience, func() bool {
		cancelled := 0
		for _, d := range l.erp.Documents() {
			if d.Canceled {
				cancelled++
			}
		}
		return cancelled == forms
	}, "each document to be cancelled")

	refused := []string{
		fmt.Sprintf(`{"entity_id":9,"increment_id":"000000009","order_id":%d}`, placed[0].EntityID),
		`["sales.invoice.created",` + quoted(`{"id":"1"}`) + `]`,
		`a:1:{s:8:"order_id";i:57;}`,
		`{"stock":2,"skus":["A","B"]}`,
	}
	for _, body := range refused {
		l.Publish("event.trigger", body)
	}
	kit.Eventually(t, patience, func() bool { return l.Depth(l.DeadLetters("order_placed")) == len(refused) }, "the dead letters")
	for range refused {
		d, _ := l.Get(l.DeadLetters("order_placed"))
		checkLetter(t, &d)
		t.Logf("%s: %s", d.Body, d.Headers["x-mageline-error"])
	}
	for _, queue := range []string{l.DeadLetters("order_placed"), l.DeadLetters("order_canceled"), l.RetryQueue(time.Hour), l.Queue("order_placed"), l.Queue("order_canceled")} {
		if n := l.Depth(queue); n != 0 {
			t.Errorf("%d messages are left in %s", n, queue)
		}
	}
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
