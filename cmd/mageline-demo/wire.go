package main

import (
	"context"
	"encoding/json"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// wire is the shop's connection to RabbitMQ. It publishes as Magento does: without confirms, and gone is gone.
type wire struct {
	exchange string
	conn     *amqp.Connection
	channel  *amqp.Channel
	module   *modulePublisher // publishes the events of orders; nil: this does
}

func dial(url, exchange string) (*wire, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	channel, err := conn.Channel()
	if err == nil {
		err = kit.DeclareExchange(channel, exchange)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open a channel to RabbitMQ: %w", err)
	}
	return &wire{exchange: exchange, conn: conn, channel: channel}, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// publish does not stop at Ctrl-C: of an order that was placed the event must go out, or the verdict would miss it. It
// only writes, and waits for nothing.
func (w *wire) publish(ctx context.Context, topic string, body []byte) error {
	if err := w.channel.PublishWithContext(context.WithoutCancel(ctx), w.exchange, topic, false, false, kit.Publishing(body)); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}

// publishOrder publishes an event for an order a number of times, in turn in the shapes that Magento's publisher makes.
func (w *wire) publishOrder(ctx context.Context, topic string, order fakemagento.Placed, times int) error {
	if w.module != nil {
		for range times {
			if err := w.module.publish(ctx, topic, order); err != nil {
				return err
			}
		}
		return nil
	}
	object, err := json.Marshal(map[string]any{"increment_id": order.IncrementID})
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	text, err := json.Marshal(string(object))
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	shapes := [][]byte{object, text, fmt.Appendf(nil, `{"order":%s}`, object)}
	for i := range times {
		if err := w.publish(ctx, topic, shapes[i%len(shapes)]); err != nil {
			return err
		}
	}
	return nil
}

// depth counts the messages in a queue that nobody holds; -1 is a queue that is not there.
func (w *wire) depth(queue string) (int, error) {
	messages, ok, err := rabbitmq.Depth(w.conn, queue)
	if err == nil && !ok {
		return -1, nil
	}
	return messages, err
}
