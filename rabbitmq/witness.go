package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// AMQP does not show whether a binding exists: binding again has the same answer. It does show whether an exchange exists. A
// witness is an exchange of mageline's own that is bound to Magento's exchange and has nothing else. RabbitMQ deletes it
// (auto-delete) when its binding is gone: when Magento's exchange was deleted, and all bindings with it, even if that exchange is
// there again. The binding needs the permission to write on Magento's exchange.

// Witness returns the name of a consumer's witness.
func (t Topology) Witness(consumer string) string { return t.Queue(consumer) + ".bound" }

// Testify reports whether the witness of a consumer is there. If so, Magento's exchange has not been deleted since the witness was
// bound. If not, Testify declares and binds it.
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
	if err != nil { // an unbound witness would never be deleted
		_ = OnChannel(conn, func(ch *amqp.Channel) error { return ch.ExchangeDelete(name, true, false) })
		return false, fmt.Errorf("bind exchange %s to exchange %s: %w", t.Exchange, name, err)
	}
	return false, nil
}
