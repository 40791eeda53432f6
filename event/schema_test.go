package event_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
)

// schema is the part of magento/message.schema.json that the test reads.
type schema struct {
	Defs map[string]struct {
		Ref        string         `json:"$ref"`
		Properties map[string]any `json:"properties"`
		Required   []string       `json:"required"`
	} `json:"$defs"`
}

// TestDecode_MessagesOfTheModule holds the two ends of the line together: what the Magento module promises to publish is what
// the handlers read. A topic or a property that only one of them has fails here or in magento/Test.
func TestDecode_MessagesOfTheModule(t *testing.T) {
	raw, err := os.ReadFile("../magento/message.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	examples := map[string]string{
		"document": `{"entity_id":57,"increment_id":"000000123","store_id":1,"occurred_at":"2026-11-29T10:00:00Z"}`,
		"customer": `{"entity_id":42,"store_id":1,"occurred_at":"2026-11-29T10:00:00Z"}`,
		"skus":     `{"skus":["24-MB01"],"occurred_at":"2026-11-29T10:00:00Z"}`,
	}
	topics := 0
	for topic, def := range s.Defs {
		if !strings.Contains(topic, ".") {
			continue
		}
		topics++
		form := strings.TrimPrefix(def.Ref, "#/$defs/")
		example := examples[form]
		var members map[string]any
		if err := json.Unmarshal([]byte(example), &members); err != nil {
			t.Fatalf("%s has the form %q, of which there is no example: %v", topic, def.Ref, err)
		}
		for name := range s.Defs[form].Properties {
			if _, ok := members[name]; !ok {
				t.Errorf("%s: the schema has %s, which the example lacks", form, name)
			}
		}
		if len(members) != len(s.Defs[form].Properties) {
			t.Errorf("%s: the example has a member that the schema lacks", form)
		}
		kind := kindOf(topic)
		events, err := event.Decode([]byte(example), kind)
		if err != nil || len(events) != 1 {
			t.Errorf("%s: %d events, %v", topic, len(events), err)
			continue
		}
		if id, is := map[event.Kind]int64{event.Shipments: 57, event.CreditMemos: 57, event.Customers: 42}[kind]; is {
			if got, err := event.ParseID(events[0], kind); err != nil || got != id {
				t.Errorf("%s is read as %d, %v", topic, got, err)
			}
		}
		if kind == event.Orders {
			o, err := event.ParseOrder(events[0])
			if err != nil || o.EntityID != 57 || o.IncrementID != "000000123" || o.StoreID == nil || *o.StoreID != 1 {
				t.Errorf("%s is read as %+v, %v", topic, o, err)
			}
		}
		if strings.HasPrefix(topic, "catalog.products.") {
			p, err := event.ParseProducts(events[0])
			if err != nil || len(p.Items) != 1 || p.Items[0].SKU != "24-MB01" || p.Items[0].Err != nil {
				t.Errorf("%s is read as %+v, %v", topic, p, err)
			}
		}
	}
	if topics != 10 {
		t.Errorf("%d topics in the schema, want 10", topics)
	}
}

// kindOf is what the consumer of a topic reads its events as.
func kindOf(topic string) event.Kind {
	switch {
	case strings.HasPrefix(topic, "sales.order."):
		return event.Orders
	case strings.HasPrefix(topic, "sales.shipment."):
		return event.Shipments
	case strings.HasPrefix(topic, "sales.creditmemo."):
		return event.CreditMemos
	case strings.HasPrefix(topic, "customer."):
		return event.Customers
	}
	return event.Anything // of products and of invoices
}
