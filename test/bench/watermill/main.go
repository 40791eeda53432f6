// Command watermill consumes messages from a queue with Watermill's AMQP subscriber, acknowledges each, and prints how
// many it was a second, from the first to the last. The bench runs it beside mageline's own runtime; it is a module of
// its own so that mageline does not depend on Watermill.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// asItIs leaves the queue as it is: the bench has declared it.
type asItIs struct{}

func (asItIs) BuildTopology(*amqp091.Channel, amqp.BuildTopologyParams, amqp.Config, watermill.LoggerAdapter) error {
	return nil
}

func (asItIs) ExchangeDeclare(*amqp091.Channel, string, amqp.Config) error { return nil }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "watermill:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: watermill AMQP_URL QUEUE MESSAGES PREFETCH")
	}
	queue := args[1]
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	prefetch, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	config := amqp.NewDurableQueueConfig(args[0])
	config.Consume.Qos.PrefetchCount = prefetch
	config.TopologyBuilder = asItIs{}
	subscriber, err := amqp.NewSubscriber(config, watermill.NopLogger{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	messages, err := subscriber.Subscribe(ctx, queue)
	if err != nil {
		return err
	}
	var began time.Time
	for n := range count {
		message, ok := <-messages
		if !ok {
			return fmt.Errorf("the subscription ended after %d messages", n)
		}
		if n == 0 {
			began = time.Now()
		}
		message.Ack()
	}
	took := time.Since(began)
	if err := subscriber.Close(); err != nil {
		return err
	}
	fmt.Printf("%.1f\n", float64(count-1)/took.Seconds())
	return nil
}
