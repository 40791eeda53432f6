package consumer_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// A program with one consumer. It declares the queue shop.loyalty, its dead-letter queue and the retry queues, and consumes
// until it is told to stop.
func ExampleNew() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	give := func(_ context.Context, e event.Event) (event.Outcome, error) {
		order, err := event.ParseOrder(e.Body)
		if err != nil {
			return "", err // a poison message: dead-lettered at once
		}
		fmt.Println("ten points for order", order.IncrementID)
		return event.Done, nil
	}
	runtime, err := consumer.New(consumer.Options{
		Broker: rabbitmq.Options{URL: "amqp://guest:guest@127.0.0.1:5672/"}, Exchange: "magento", Prefix: "shop",
		Consumers: []consumer.Consumer{{
			Name: "loyalty", Topics: []string{"sales.order.placed"}, Kind: event.Orders, Handler: consumer.HandlerFunc(give),
		}},
		Log: zerolog.New(os.Stderr),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := runtime.Run(ctx); err != nil {
		fmt.Println(err)
	}
}

// Options that can't work are an error of New, and not of the first message.
func ExampleNew_unusable() {
	_, err := consumer.New(consumer.Options{
		Broker:    rabbitmq.Options{URL: "amqp://guest:guest@127.0.0.1:5672/"},
		Consumers: []consumer.Consumer{{Name: "loyalty"}},
	})
	fmt.Println(err != nil)
	// Output: true
}
