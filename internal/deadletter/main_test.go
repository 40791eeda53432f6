package deadletter

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func TestMain(m *testing.M) {
	kit.Parallel(4)
	goleak.VerifyTestMain(m)
}

const (
	topic   = "sales.order.placed"
	retryMS = 100
)

// testQueue is a test's own broker with the topology that mageline declares, and a reader of its dead letters.
type testQueue struct {
	*kit.Queues
	t         *testing.T
	o         Options
	work, dlq string
}

func newTestQueue(t *testing.T) *testQueue { return newTestQueueOf(t, rabbitmq.Quorum) }

func newTestQueueOf(t *testing.T, queueType string) *testQueue {
	t.Helper()
	q := kit.Broker(t)
	q.RetryDelays(retryMS * time.Millisecond)
	l := &testQueue{Queues: q, t: t, work: q.Queue("order_placed"), dlq: q.DeadLetters("order_placed")}
	l.o = Options{
		Broker: rabbitmq.Options{URL: q.URL}, DatabaseURL: kit.Database(t), Prefix: q.Prefix, Host: "test-host",
		Topics: map[string]string{l.work: topic}, Log: zerolog.Nop(),
	}
	conn, err := rabbitmq.Dial(t.Context(), l.o.Broker, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer rabbitmq.Close(conn)
	topology := rabbitmq.Topology{
		Exchange: q.Exchange, Prefix: q.Prefix, Type: queueType,
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: "order_placed", Topics: []string{topic}}},
		Delays:    []time.Duration{retryMS * time.Millisecond},
	}
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return l
}

// channel gives a channel of its own connection, closed with the test.
func (l *testQueue) channel() *amqp.Channel {
	l.t.Helper()
	conn, err := amqp.Dial(l.URL)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		l.t.Fatal(err)
	}
	return ch
}

// dead is a message as mageline dead-letters it.
func (l *testQueue) dead(i int, class string) amqp.Publishing {
	body := fmt.Sprintf(`{"entity_id":%d}`, i)
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: "m" + strconv.Itoa(i), Body: []byte(body),
		Headers: amqp.Table{
			rabbitmq.HeaderQueue: l.work, rabbitmq.HeaderTopic: topic, rabbitmq.HeaderKey: fmt.Sprintf("%09d", i),
			rabbitmq.HeaderReason: "poison", rabbitmq.HeaderErrorClass: class, rabbitmq.HeaderError: "the ERP refused order " + strconv.Itoa(i),
			rabbitmq.HeaderAttempts: int64(1), rabbitmq.HeaderFirstFailedAt: "2026-11-20T10:00:00Z",
			rabbitmq.HeaderFailedAt: time.Date(2026, 11, 20, 10, 0, i, 0, time.UTC).Format(time.RFC3339),
			rabbitmq.HeaderHost:     "pod-1", rabbitmq.HeaderVersion: "1.0", "traceparent": "00-abc-def-01",
		},
	}
}

// fill publishes letters 0 to n-1, of the class that classOf gives.
func (l *testQueue) fill(n int, classOf func(int) string) {
	l.t.Helper()
	ch := l.channel()
	if err := ch.Confirm(false); err != nil {
		l.t.Fatal(err)
	}
	var confirms []*amqp.DeferredConfirmation
	for i := range n {
		c, err := ch.PublishWithDeferredConfirm("", l.dlq, true, false, l.dead(i, classOf(i)))
		if err != nil {
			l.t.Fatal(err)
		}
		if confirms = append(confirms, c); len(confirms) == 200 || i == n-1 { // so that the broker keeps up, and the order
			for _, c := range confirms {
				if !c.Wait() {
					l.t.Fatal("a letter was not confirmed")
				}
			}
			confirms = confirms[:0]
		}
	}
	l.awaitDepth(l.dlq, n)
}

func rejected(int) string { return "rejected" }

// oddTimeout gives every second letter another class.
func oddTimeout(i int) string {
	if i%2 == 1 {
		return "timeout"
	}
	return "rejected"
}

func (l *testQueue) awaitDepth(queue string, n int) {
	l.t.Helper()
	kit.Eventually(l.t, 20*time.Second, func() bool { return l.Depth(queue) == n }, fmt.Sprintf("%d messages in %s", n, queue))
}

// drain takes all messages out of a queue, once it has at least n.
func (l *testQueue) drain(queue string, n int) []amqp.Delivery {
	l.t.Helper()
	kit.Eventually(l.t, 20*time.Second, func() bool { return l.Depth(queue) >= n }, fmt.Sprintf("%d messages in %s", n, queue))
	depth := l.Depth(queue)
	if depth == 0 {
		return nil
	}
	ch := l.channel()
	if err := ch.Qos(depth, 0, false); err != nil {
		l.t.Fatal(err)
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	var all []amqp.Delivery
	for range depth {
		select {
		case d := <-deliveries:
			all = append(all, d)
		case <-time.After(20 * time.Second):
			l.t.Fatalf("%s gave %d of its %d messages", queue, len(all), depth)
		}
	}
	if err := ch.Ack(all[depth-1].DeliveryTag, true); err != nil {
		l.t.Fatal(err)
	}
	if err := ch.Close(); err != nil {
		l.t.Fatal(err)
	}
	return all
}

// ids gives the message ids, in order.
func ids(ds []amqp.Delivery) []string {
	var all []string
	for _, d := range ds {
		all = append(all, d.MessageId)
	}
	return all
}

// wanted are the message ids of the letters 0 to n-1 that keep.
func wanted(n int, keep func(int) bool) []string {
	var all []string
	for i := range n {
		if keep(i) {
			all = append(all, "m"+strconv.Itoa(i))
		}
	}
	return all
}

func every(int) bool { return true }

func (l *testQueue) replay(o ReplayOptions) (ReplaySummary, error) {
	l.t.Helper()
	if o.Queue == "" {
		o.Queue = l.dlq
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	return New(l.o).Replay(ctx, o)
}

func (l *testQueue) mustReplay(o ReplayOptions, replayed, skipped, failed int) {
	l.t.Helper()
	sum, err := l.replay(o)
	if err != nil {
		l.t.Fatal(err)
	}
	if sum.Replayed != replayed || sum.Skipped != skipped || sum.Failed != failed {
		l.t.Fatalf("%s, want %d, %d, %d", sum, replayed, skipped, failed)
	}
}

func (l *testQueue) list() []ListedLetter {
	l.t.Helper()
	lines, err := New(l.o).List(l.t.Context(), l.dlq, Filter{})
	if err != nil {
		l.t.Fatal(err)
	}
	return lines
}
