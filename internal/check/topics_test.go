package check

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mageline/mageline/rabbitmq"
)

func TestMatches_AsTopicExchangesDo(t *testing.T) {
	for _, tt := range []struct {
		key  string
		want bool
	}{
		{"sales.order.placed", true},
		{"sales.order", false},
		{"sales.order.placed.again", false},
		{"sales.*.placed", true},
		{"*.order.*", true},
		{"*", false},
		{"#", true},
		{"sales.#", true},
		{"#.placed", true},
		{"sales.#.order.placed", true},
		{"catalog.#", false},
		{"", false},
	} {
		if got := matches(tt.key, "sales.order.placed"); got != tt.want {
			t.Errorf("%q: %t", tt.key, got)
		}
	}
}

func TestTopics_AreThoseOfTheModule(t *testing.T) {
	raw, err := os.ReadFile("../../magento/message.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for name := range schema.Defs {
		if strings.Contains(name, ".") {
			want = append(want, name)
		}
	}
	for _, topic := range moduleTopics {
		got = append(got, topic.name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%v, the module publishes %v", got, want)
	}
	config, err := os.ReadFile("../../magento/etc/config.xml")
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range moduleTopics {
		name := strings.ReplaceAll(topic.name, ".", "_")
		value := "1"
		if topic.off {
			value = "0"
		}
		if !strings.Contains(string(config), "<"+name+">"+value+"</"+name+">") {
			t.Errorf("%s is not %s in the module's config.xml", name, value)
		}
	}
}

func TestTopics_NamesThoseWithoutAQueue(t *testing.T) {
	orders := RabbitMQ{Topology: rabbitmq.Topology{
		Exchange: "magento", Prefix: "mageline",
		Consumers: []rabbitmq.ConsumerQueue{
			{Consumer: "order_placed", Topics: []string{"sales.order.placed", "sales.order.updated"}},
			{Consumer: "order_canceled", Topics: []string{"sales.order.canceled"}},
		},
	}}
	tracking := RabbitMQ{Topology: rabbitmq.Topology{
		Exchange: "magento", Prefix: "mageline",
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: "tracking_received", Topics: []string{"shipping.tracking.received"}}},
	}}
	for name, tt := range map[string]struct {
		r             RabbitMQ
		seen          []string
		unbound, note string
		ours          bool
	}{
		"others bind the rest":    {orders, []string{"sales.#", "catalog.products.*", "customer.saved"}, "", "customer.deleted", true},
		"nobody binds products":   {orders, []string{"sales.#", "customer.*"}, "catalog.products.exported catalog.products.deleted", "", true},
		"no events of Magento":    {tracking, []string{"sales.#", "customer.*", "catalog.#"}, "", "", false},
		"everything has a queue":  {orders, []string{"#"}, "", "", true},
		"what is off is no fault": {orders, []string{"sales.shipment.*", "sales.creditmemo.*", "customer.saved", "catalog.#"}, "", "sales.invoice.created, customer.deleted", true},
	} {
		unbound, note, ours := tt.r.topics(tt.seen)
		if strings.Join(unbound, " ") != tt.unbound || !strings.HasSuffix(note, tt.note) || (note == "") != (tt.note == "") || ours != tt.ours {
			t.Errorf("%s: %v, %q, %t", name, unbound, note, ours)
		}
	}
}
