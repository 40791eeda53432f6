package rabbitmq_test

import (
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit/private"
)

// While a quorum queue's leader does not answer, RabbitMQ says that the queue is empty.
func TestInspect_WaitsForTheLeader(t *testing.T) {
	private.Require(t)
	server, err := private.StartRabbitMQ()
	if server != nil {
		t.Cleanup(server.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, server.URL)
	channel := func() *amqp.Channel {
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	const queue, messages = "letters", 3
	ch := channel()
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": rabbitmq.Quorum}); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for range messages {
		confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, false, false, amqp.Publishing{DeliveryMode: amqp.Persistent})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := confirm.WaitContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	over := make(chan error, 1)
	go func() {
		_, err := server.Ctl("eval", fmt.Sprintf("P = whereis('%%2F_%s'), sys:suspend(P), timer:sleep(800), sys:resume(P).", queue))
		over <- err
	}()
	wrong := make(chan int, 1)
	plain, look := channel(), channel()
	stop := make(chan struct{})
	go func() { // what RabbitMQ says to whoever asks once
		n := 0
		defer func() { wrong <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if q, err := plain.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil || q.Messages != messages {
				n++
			}
		}
	}()
	for done := false; !done; {
		select {
		case err := <-over:
			if err != nil {
				t.Error(err)
			}
			done = true
		default:
		}
		if q, err := rabbitmq.Inspect(look, queue); err != nil || q.Messages != messages {
			t.Errorf("Inspect says %d messages, %v", q.Messages, err)
		}
	}
	close(stop)
	if <-wrong == 0 {
		t.Error("RabbitMQ has always said how many there are: is Inspect still needed?")
	}
}
