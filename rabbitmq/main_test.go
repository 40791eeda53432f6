package rabbitmq_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/rabbitmq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial gives a connection of this test alone.
func dial(t *testing.T, url string) *amqp.Connection {
	t.Helper()
	conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: url}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rabbitmq.Close(conn) })
	return conn
}

// publisher gives a publisher on a connection of this test alone.
func publisher(t *testing.T, url string) *rabbitmq.Publisher {
	t.Helper()
	conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: url}, "test")
	if err != nil {
		t.Fatal(err)
	}
	p, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// on runs f on a channel of its own.
func on(t *testing.T, conn *amqp.Connection, f func(*amqp.Channel) error) {
	t.Helper()
	if err := rabbitmq.OnChannel(conn, f); err != nil {
		t.Fatal(err)
	}
}

// declare makes a queue; args nil makes a quorum queue.
func declare(t *testing.T, conn *amqp.Connection, queue string, args amqp.Table) {
	t.Helper()
	if args == nil {
		args = amqp.Table{"x-queue-type": "quorum"}
	}
	on(t, conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, args)
		return err
	})
}

// get takes the one message that must be in a queue.
func get(t *testing.T, conn *amqp.Connection, queue string) (d amqp.Delivery) {
	t.Helper()
	on(t, conn, func(ch *amqp.Channel) error {
		var ok bool
		var err error
		if d, ok, err = ch.Get(queue, true); err == nil && !ok {
			t.Fatalf("queue %s is empty", queue)
		}
		return err
	})
	return d
}
