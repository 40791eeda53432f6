package check

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/mageline/mageline/rabbitmq"
)

// moduleTopic is a topic of the Magento module's events.
type moduleTopic struct {
	name string
	off  bool // unless the shop switches it on
}

// moduleTopics are those of magento/message.schema.json.
var moduleTopics = []moduleTopic{
	{name: "sales.order.placed"},
	{name: "sales.order.updated"},
	{name: "sales.order.canceled"},
	{name: "sales.shipment.created"},
	{name: "sales.creditmemo.created"},
	{name: "sales.invoice.created", off: true},
	{name: "customer.saved"},
	{name: "customer.deleted", off: true},
	{name: "catalog.products.exported"},
	{name: "catalog.products.deleted"},
}

const topicsSubject = "topics of the Magento module"

// topics looks for topics to which no queue is bound. seen has the keys with which anything is bound to the exchange, besides what
// mageline binds. ours says whether mageline consumes any of them.
func (r RabbitMQ) topics(seen []string) (unbound []string, note string, ours bool) {
	var off []string
	for _, t := range moduleTopics {
		bound := slices.ContainsFunc(r.Topology.Bindings(), func(b rabbitmq.Binding) bool {
			return b.Exchange == r.Topology.Exchange && matches(b.Key, t.name)
		})
		ours = ours || bound
		switch {
		case bound || slices.ContainsFunc(seen, func(key string) bool { return matches(key, t.name) }):
		case t.off:
			off = append(off, t.name)
		default:
			unbound = append(unbound, t.name)
		}
	}
	if len(off) > 0 {
		note = "; no queue, and off in the module by default: " + strings.Join(off, ", ")
	}
	return unbound, note, ours
}

// unseenTopics is the line of topics where the bindings of others can't be seen.
func (u *unseen) unseenTopics(why, todo string) {
	unbound, note, ours := u.topics(nil)
	switch {
	case !ours:
	case len(unbound) == 0:
		u.add(ok(topicsSubject, "each that is on by default has a queue%s", note))
	default:
		u.add(Finding{
			Unknown, topicsSubject, "mageline binds no queue to " + strings.Join(unbound, ", ") + "; that of others " + why + note,
			todo + "bin/magento mageline:status in the shop",
		})
	}
}

// unrouted looks at all bindings of the exchange.
func (u *unseen) unrouted(ctx context.Context) {
	var out []rabbitmq.BindingState
	err := u.api.Get(ctx, &out, "exchanges", u.api.VHost, u.Topology.Exchange, "bindings", "source")
	if err != nil && !errors.Is(err, rabbitmq.ErrNoSuchObject) {
		u.add(u.unclear(topicsSubject, err))
		return
	}
	var keys []string
	for _, b := range out {
		keys = append(keys, b.Key)
	}
	unbound, note, ours := u.topics(keys)
	switch {
	case !ours:
	case len(unbound) == 0:
		u.add(ok(topicsSubject, "each that is on by default has a queue%s", note))
	default:
		u.add(Finding{
			Warn, topicsSubject,
			"no queue is bound to " + strings.Join(unbound, ", ") +
				": the module keeps their events in the shop's outbox until it deletes them, those of other publishers vanish" + note,
			"enable their consumer, bind a queue of your own, or switch them off in Magento: Stores > Configuration > Services > mageline",
		})
	}
}

// matches reports whether a binding's key takes a topic, as RabbitMQ's topic exchanges do: * is one word, # any number of them.
func matches(key, topic string) bool {
	return matchWords(strings.Split(key, "."), strings.Split(topic, "."))
}

func matchWords(key, topic []string) bool {
	switch {
	case len(key) == 0:
		return len(topic) == 0
	case key[0] == "#":
		return matchWords(key[1:], topic) || (len(topic) > 0 && matchWords(key, topic[1:]))
	case len(topic) == 0 || (key[0] != "*" && key[0] != topic[0]):
		return false
	default:
		return matchWords(key[1:], topic[1:])
	}
}
