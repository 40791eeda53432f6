package kit_test

import (
	"regexp"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
)

func TestQueues_PublishAsMagentoDoes(t *testing.T) {
	q := kit.Broker(t)
	queue := q.Queue("order_placed")
	conn, ch := open(t, q.URL)
	defer func() { _ = conn.Close() }()
	if q.Depth(queue) != -1 {
		t.Error("the queue is there before anyone declared it")
	}
	if err := kit.DeclareExchange(ch, q.Exchange); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	q.WaitForQueue(20*time.Second, queue)
	if err := ch.QueueBind(queue, "sales.order.placed", q.Exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	first := q.Publish("sales.order.placed", `{"increment_id":"1"}`)
	second := q.Publish("sales.order.placed", `{"increment_id":"1"}`)
	q.Publish("not.bound", `{}`)
	kit.Eventually(t, 20*time.Second, func() bool { return q.Depth(queue) == 2 }, "two messages in the queue")
	d, ok := q.Get(queue)
	if !ok || d.DeliveryMode != amqp.Persistent || d.MessageId != first || first == second ||
		!regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(first) || d.ContentType != "" || len(d.Headers) != 0 || !d.Timestamp.IsZero() {
		t.Errorf("%v %+v", ok, d)
	}
	q.Send(queue, amqp.Publishing{Headers: amqp.Table{"x-test": "1"}, Body: []byte("{}")})
	kit.Eventually(t, 20*time.Second, func() bool { return q.Depth(queue) == 2 }, "the message that was sent")
}

func TestQueues_LeaveNothing(t *testing.T) {
	var url string
	var queues, exchanges []string
	t.Run("declares", func(t *testing.T) {
		q := kit.Broker(t)
		url = q.URL
		if got := q.RetryDelays(time.Second, 1500*time.Millisecond); got != "1s,1.5s" {
			t.Errorf("RetryDelays gave %q", got)
		}
		q.Own(q.Prefix + ".other")
		queues = []string{q.Queue("order_placed"), q.DeadLetters("price_sync"), q.RetryQueue(5 * time.Second), q.RetryQueue(1500 * time.Millisecond), q.Prefix + ".other"}
		exchanges = []string{q.Exchange, q.RetryQueue(time.Second)}
		conn, ch := open(t, url)
		defer func() { _ = conn.Close() }()
		for _, name := range queues {
			if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range exchanges {
			if err := kit.DeclareExchange(ch, name); err != nil {
				t.Fatal(err)
			}
		}
	})
	conn, _ := open(t, url)
	defer func() { _ = conn.Close() }()
	for _, name := range queues {
		ch := channel(t, conn)
		if _, err := ch.QueueDeclarePassive(name, true, false, false, false, nil); err == nil {
			t.Errorf("the queue %s was left", name)
		}
	}
	for _, name := range exchanges {
		ch := channel(t, conn)
		if err := ch.ExchangeDeclarePassive(name, "topic", true, false, false, false, nil); err == nil {
			t.Errorf("the exchange %s was left", name)
		}
	}
}

func open(t *testing.T, url string) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	return conn, channel(t, conn)
}

func channel(t *testing.T, conn *amqp.Connection) *amqp.Channel {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}
