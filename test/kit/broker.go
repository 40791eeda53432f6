package kit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// Queues is a test's own part of a broker: an exchange, and a prefix for the names of queues.
type Queues struct {
	URL      string // amqp://…
	Exchange string // for MAGELINE_AMQP_EXCHANGE
	Prefix   string // for MAGELINE_QUEUE_PREFIX

	t         testing.TB
	mu        sync.Mutex
	conn      *amqp.Connection
	owned     []string // queues
	exchanges []string
}

// consumers are all that mageline has or will have: what may have been declared and must be cleaned away.
var consumers = []string{
	"order_placed", "order_canceled", "shipment_created", "creditmemo_created", "customer_saved", "tracking_file_ready",
	"tracking_received", "products_exported", "price_sync", "stock_sync",
}

// defaultDelays are MAGELINE_RETRY_DELAYS where nothing is set.
var defaultDelays = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

const (
	amqpVariable = "MAGELINE_TEST_AMQP_URL"
	amqpDefault  = "amqp://guest:guest@127.0.0.1:5672/"
)

// Broker gives a test its own exchange and queue prefix on the broker at MAGELINE_TEST_AMQP_URL (default
// amqp://guest:guest@127.0.0.1:5672/), and deletes at its end what was declared there: the queues of all consumers, the
// default retry queues, those made by RetryDelays, and what Own names. Nothing is declared beforehand.
func Broker(t testing.TB) *Queues {
	t.Helper()
	address := os.Getenv(amqpVariable)
	if address == "" {
		address = amqpDefault
	}
	return BrokerAt(t, address)
}

// BrokerAt does the same on the broker at an address.
func BrokerAt(t testing.TB, address string) *Queues {
	t.Helper()
	id := make([]byte, 5)
	_, _ = rand.Read(id)
	name := "t" + hex.EncodeToString(id)
	q := &Queues{URL: address, Exchange: name + ".magento", Prefix: name, t: t}
	q.owned, q.exchanges = Names(name, defaultDelays...)
	q.exchanges = append(q.exchanges, q.Exchange)
	t.Cleanup(q.clean)
	q.channel(func(*amqp.Channel) error { return nil })
	return q
}

// DropCounts takes out of a delivery's headers what its queue has counted: how often it came back, and since RabbitMQ 4.3
// how often it was handed out.
func DropCounts(headers amqp.Table) {
	delete(headers, "x-delivery-count")
	delete(headers, "x-acquired-count")
}

// Move has the test go on at another broker, where nothing of it is declared, and where its queues are deleted at its end.
func (q *Queues) Move(address string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.URL = address
	if q.conn != nil {
		_ = q.conn.Close()
	}
}

// Names gives the queues, and the exchanges of its own, that a mageline with a prefix and these retry delays may declare.
func Names(prefix string, delays ...time.Duration) (queues, exchanges []string) {
	for _, c := range consumers {
		queues = append(queues, prefix+"."+c, prefix+"."+c+".dlq")
		exchanges = append(exchanges, prefix+"."+c+".bound")
	}
	for _, d := range delays {
		name := prefix + ".retry." + strconv.FormatInt(d.Milliseconds(), 10)
		queues, exchanges = append(queues, name), append(exchanges, name)
	}
	return queues, exchanges
}

// Queue is the name of a consumer's queue.
func (q *Queues) Queue(consumer string) string { return q.Prefix + "." + consumer }

// DeadLetters is the name of a consumer's dead-letter queue.
func (q *Queues) DeadLetters(consumer string) string { return q.Prefix + "." + consumer + ".dlq" }

// RetryQueue is the name of the retry queue of a delay, and of its exchange.
func (q *Queues) RetryQueue(delay time.Duration) string {
	return q.Prefix + ".retry." + strconv.FormatInt(delay.Milliseconds(), 10)
}

// RetryDelays has the retry queues of these delays deleted at the end, and gives the value for MAGELINE_RETRY_DELAYS.
func (q *Queues) RetryDelays(delays ...time.Duration) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var values []string
	for _, d := range delays {
		q.owned = append(q.owned, q.RetryQueue(d))
		q.exchanges = append(q.exchanges, q.RetryQueue(d))
		values = append(values, d.String())
	}
	return strings.Join(values, ",")
}

// Own has more queues deleted at the end.
func (q *Queues) Own(queues ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.owned = append(q.owned, queues...)
}

// Publish publishes as Magento does, and waits until the broker has it. Without a bound queue it is gone, as Magento's
// messages are. It gives the message id.
func (q *Queues) Publish(topic, body string) string {
	q.t.Helper()
	p := Publishing([]byte(body))
	q.channel(func(ch *amqp.Channel) error {
		if err := DeclareExchange(ch, q.Exchange); err != nil {
			return err
		}
		return confirmed(ch, q.Exchange, topic, p)
	})
	return p.MessageId
}

// Send puts a message straight into a queue, through the default exchange.
func (q *Queues) Send(queue string, p amqp.Publishing) {
	q.t.Helper()
	q.channel(func(ch *amqp.Channel) error { return confirmed(ch, "", queue, p) })
}

// Depth counts the messages in a queue that no consumer holds; -1 is a queue that is not there.
func (q *Queues) Depth(queue string) int {
	q.t.Helper()
	state, there := q.state(queue)
	if !there {
		return -1
	}
	return state.Messages
}

// Depths counts those in all of some queues; one that is not there has none.
func (q *Queues) Depths(queues ...string) (n int) {
	q.t.Helper()
	for len(queues) > 0 {
		q.channel(func(ch *amqp.Channel) error { // one for all, until a queue is not there, which closes it
			for len(queues) > 0 {
				state, err := rabbitmq.Inspect(ch, queues[0])
				if err != nil && !rabbitmq.IsNotFound(err) {
					return err
				}
				queues = queues[1:]
				if err != nil {
					return nil
				}
				n += state.Messages
			}
			return nil
		})
	}
	return n
}

// Subscriptions counts those to a queue.
func (q *Queues) Subscriptions(queue string) int {
	q.t.Helper()
	state, _ := q.state(queue)
	return state.Consumers
}

func (q *Queues) state(queue string) (state amqp.Queue, there bool) {
	q.t.Helper()
	q.channel(func(ch *amqp.Channel) (err error) {
		state, err = rabbitmq.Inspect(ch, queue)
		if rabbitmq.IsNotFound(err) {
			return nil
		}
		there = true
		return err
	})
	return state, there
}

// Get takes one message out of a queue; ok is false when it is empty.
func (q *Queues) Get(queue string) (d amqp.Delivery, ok bool) {
	q.t.Helper()
	q.channel(func(ch *amqp.Channel) (err error) {
		d, ok, err = ch.Get(queue, true)
		return err
	})
	return d, ok
}

// WaitForQueue waits until a queue is there: a service has declared its topology.
func (q *Queues) WaitForQueue(timeout time.Duration, queue string) {
	q.t.Helper()
	Eventually(q.t, timeout, func() bool { return q.Depth(queue) >= 0 }, "the queue "+queue+" is declared")
}

// channel runs f on a channel of its own: a refusal closes the channel, and only that one.
func (q *Queues) channel(f func(*amqp.Channel) error) {
	q.t.Helper()
	if err := q.try(f); err != nil {
		q.t.Fatalf("the tests' RabbitMQ (set %s): %v", amqpVariable, err)
	}
}

func (q *Queues) try(f func(*amqp.Channel) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn == nil || q.conn.IsClosed() {
		conn, err := amqp.Dial(q.URL)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		q.conn = conn
	}
	ch, err := q.conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer func() { _ = ch.Close() }()
	return f(ch)
}

func (q *Queues) clean() {
	q.mu.Lock()
	queues, exchanges := slices.Clone(q.owned), slices.Clone(q.exchanges)
	q.mu.Unlock()
	err := q.try(func(ch *amqp.Channel) error { return DeleteQueues(ch, queues, exchanges) })
	if err != nil {
		q.t.Errorf("clean the broker of %s.*: %v", q.Prefix, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn != nil {
		_ = q.conn.Close()
	}
}

// DeleteQueues deletes queues and exchanges with all that is in them; those that aren't there are no error.
func DeleteQueues(ch *amqp.Channel, queues, exchanges []string) error {
	for _, name := range exchanges {
		if err := ch.ExchangeDelete(name, false, false); err != nil {
			return fmt.Errorf("delete the exchange %s: %w", name, err)
		}
	}
	for _, name := range queues {
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			return fmt.Errorf("delete the queue %s: %w", name, err)
		}
	}
	return nil
}

// DeclareExchange declares a topic exchange exactly as Magento does.
func DeclareExchange(ch *amqp.Channel, name string) error {
	if err := ch.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare the exchange %s: %w", name, err)
	}
	return nil
}

// Publishing makes a message with the properties that Magento gives one: persistent, an id for this publish, and
// nothing else (lib/internal/Magento/Framework/MessageQueue/Publisher.php).
func Publishing(body []byte) amqp.Publishing {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return amqp.Publishing{DeliveryMode: amqp.Persistent, MessageId: hex.EncodeToString(id), Body: body}
}

// confirmed waits for the broker's confirm, which Magento does not: a test must know that its message is there.
func confirmed(ch *amqp.Channel, exchange, key string, p amqp.Publishing) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, false, false, p)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", key, err)
	}
	ok, err := confirm.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("wait for the confirm of a message to %s: %w", key, err)
	}
	if !ok {
		return fmt.Errorf("the broker refused a message to %s", key)
	}
	return nil
}
