package operate

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// Topology is what mageline declares in RabbitMQ.
type Topology struct {
	rabbitmq.Topology
	Conn *amqp.Connection
}

// Declare declares what is missing and returns its names. Those that it has made are returned with an error too.
func (t Topology) Declare(ctx context.Context) (made []string, err error) {
	return t.Topology.Declare(ctx, t.Conn)
}

// Unbound is a binding that was removed.
type Unbound struct {
	Exchange string `json:"exchange"`
	Queue    string `json:"queue"`
	Topic    string `json:"unbound"`
	// BoundAgain is true where a mageline that runs binds the queue again, because its settings have the topic.
	BoundAgain bool `json:"-"`
}

// Unbind removes a consumer's binding to a topic.
func (t Topology) Unbind(consumer, topic string) (Unbound, error) {
	u := Unbound{Queue: t.Queue(consumer), Exchange: t.Exchange, Topic: topic}
	if _, there, err := rabbitmq.Depth(t.Conn, u.Queue); err != nil {
		return u, err
	} else if !there {
		return u, fmt.Errorf("there is no queue %s", u.Queue)
	}
	err := rabbitmq.OnChannel(t.Conn, func(ch *amqp.Channel) error { return ch.QueueUnbind(u.Queue, topic, u.Exchange, nil) })
	if err != nil {
		return u, fmt.Errorf("unbind queue %s from %s: %w", u.Queue, topic, err)
	}
	for _, b := range t.Bindings() {
		u.BoundAgain = u.BoundAgain || b.Queue == u.Queue && b.Key == topic
	}
	return u, nil
}
