package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// AMQP does not tell whether a binding is there: to bind anew is answered alike. What it does tell is whether an exchange is
// still the one that it was. A witness is an exchange of mageline's own, empty for ever, that is bound *to* Magento's and
// deleted by the broker (auto-delete) when that binding is gone: when Magento's exchange was deleted, and all of its
// bindings with it, even if it is there again. Bound that way round it needs the right to write on Magento's exchange.

// Witness is the name of a consumer's witness.
func (t Topology) Witness(consumer string) string { return t.Queue(consumer) + ".bound" }

// Testify reports whether the witness of a consumer is there: if so, Magento's exchange is the one to which it was bound.
// If not, it is made.
func (t Topology) Testify(conn *amqp.Connection, consumer string) (there bool, err error) {
	name := t.Witness(consumer)
	declare := func(f func(name, kind string, durable, autoDelete, internal, noWait bool, args amqp.Table) error) error {
		return f(name, amqp.ExchangeFanout, true, true, true, false, nil)
	}
	err = OnChannel(conn, func(ch *amqp.Channel) error { return declare(ch.ExchangeDeclarePassive) })
	if err == nil || !IsNotFound(err) {
		return err == nil, err
	}
	err = OnChannel(conn, func(ch *amqp.Channel) error {
		if err := declare(ch.ExchangeDeclare); err != nil {
			return err
		}
		return ch.ExchangeBind(t.Exchange, "", name, false, nil)
	})
	if err != nil { // it would be there for ever, and testify to nothing
		_ = OnChannel(conn, func(ch *amqp.Channel) error { return ch.ExchangeDelete(name, true, false) })
		return false, fmt.Errorf("bind exchange %s to exchange %s: %w", t.Exchange, name, err)
	}
	return false, nil
}
