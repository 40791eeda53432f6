package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// The queues of two consumers: each has its own, one for its dead letters, and they share the retry queues.
func ExampleTopology() {
	topology := rabbitmq.Topology{
		Exchange: "magento", Prefix: "shop", Type: rabbitmq.Quorum,
		Consumers: []rabbitmq.ConsumerQueue{
			{Consumer: "order_placed", Topics: []string{"sales.order.placed", "sales.order.updated"}},
			{Consumer: "order_canceled", Topics: []string{"sales.order.canceled"}},
		},
		Delays: []time.Duration{5 * time.Second, time.Minute},
	}
	fmt.Println(topology.Queue("order_placed"))
	fmt.Println(topology.DeadLetterQueue("order_placed"))
	fmt.Println(topology.Retry(time.Minute))
	// Output:
	// shop.order_placed
	// shop.order_placed.dlq
	// shop.retry.60000
}

// A message is published when RabbitMQ has confirmed it, and not before.
func ExamplePublisher() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := rabbitmq.Dial(ctx, rabbitmq.Options{URL: "amqp://guest:guest@127.0.0.1:5672/"}, "my publisher")
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer publisher.Close()

	err = publisher.Publish(ctx, "magento", "sales.order.placed", amqp.Publishing{
		DeliveryMode: amqp.Persistent, ContentType: "application/json", Body: []byte(`{"increment_id":"000000123"}`),
	})
	switch {
	case errors.Is(err, rabbitmq.ErrReturned):
		fmt.Println("no queue is bound with this topic")
	case err != nil:
		fmt.Println(err) // it may have been stored: publish it again
	}
}
