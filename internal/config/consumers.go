package config

import "slices"

// Consumer is one queue and its topics: the table of README.md.
type Consumer struct {
	Name   string
	Topics []string // that its queue is bound with
	// Magento and ERP say what it needs to run at all.
	Magento, ERP bool
	// Inbox says that it needs TRACKING_DIR.
	Inbox bool
	// Batch consumers work on entries, not messages: the ledger has no row for a message of theirs.
	Batch bool
	built bool
}

// all are the consumers with what they need. Those that this
// build does not have are known too, so that their names are not called unknown.
var all = []Consumer{
	{Name: "order_placed", Topics: []string{"sales.order.placed", "sales.order.updated"}, Magento: true, ERP: true, built: true},
	{Name: "order_canceled", Topics: []string{"sales.order.canceled"}, Magento: true, ERP: true, built: true},
	{Name: "shipment_created"},
	{Name: "creditmemo_created"},
	{Name: "customer_saved"},
	{Name: "tracking_file_ready", Topics: []string{"shipping.tracking_file.ready"}, Inbox: true, built: true},
	{Name: "tracking_received", Topics: []string{"shipping.tracking.received"}, Magento: true, built: true},
	{Name: "products_exported", Batch: true},
	{Name: "price_sync", Batch: true},
	{Name: "stock_sync", Batch: true},
}

// FindConsumer gives a consumer by its name, also one that this build or deployment does not run.
func FindConsumer(name string) (Consumer, bool) {
	i := slices.IndexFunc(all, func(c Consumer) bool { return c.Name == name })
	if i < 0 {
		return Consumer{}, false
	}
	return all[i], true
}

// ConsumerNames gives the names of all consumers, also of those that this build or deployment does not run.
func ConsumerNames() []string {
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names
}

// EnabledConsumers gives the consumers that this deployment runs, with their topics as BINDINGS has them. Those whose
// downstream is none, and the one without its inbox, are left out.
func (c *Config) EnabledConsumers() []Consumer {
	var enabled []Consumer
	for _, consumer := range all {
		named := c.Consumers.All() || slices.Contains(c.Consumers, consumer.Name)
		if !consumer.built || !named || consumer.ERP && c.ERP == NoERP || consumer.Inbox && c.TrackingDir == "" {
			continue
		}
		consumer.Topics = slices.Clone(consumer.Topics)
		if topics, ok := c.Bindings[consumer.Name]; ok {
			consumer.Topics = slices.Clone(topics)
		}
		enabled = append(enabled, consumer)
	}
	return enabled
}
