package rabbitmq_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func topology(broker *kit.Queues, typ string) rabbitmq.Topology {
	delays := []time.Duration{2 * time.Second, 200 * time.Millisecond, 2 * time.Second}
	broker.RetryDelays(delays...)
	return rabbitmq.Topology{
		Exchange: broker.Exchange, Prefix: broker.Prefix, Type: typ, Delays: delays,
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: "order_placed", Topics: []string{"sales.order.placed", "sales.order.updated"}}, {Consumer: "stock_sync"}},
	}
}

// The arguments are those of docs/deliveries.md to the letter: they can never be changed later.
func TestTopology_HasTheQueueArguments(t *testing.T) {
	delays := []time.Duration{5 * time.Second, time.Hour, 5 * time.Second}
	top := rabbitmq.Topology{Exchange: "magento", Prefix: "mageline", Consumers: []rabbitmq.ConsumerQueue{{Consumer: "a", Topics: []string{"t.1", "t.2"}}}, Delays: delays}
	want := []rabbitmq.Queue{
		{Name: "mageline.a", Args: amqp.Table{
			"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "mageline.a.dlq",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-delivery-limit": int64(1000),
		}},
		{Name: "mageline.a.dlq", Args: amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(1_000_000_000)}},
		{Name: "mageline.retry.5000", Args: amqp.Table{
			"x-queue-type": "quorum", "x-message-ttl": int64(5000), "x-dead-letter-exchange": "",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		}},
		{Name: "mageline.retry.3600000", Args: amqp.Table{
			"x-queue-type": "quorum", "x-message-ttl": int64(3_600_000), "x-dead-letter-exchange": "",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		}},
	}
	if got := top.Queues(); !reflect.DeepEqual(got, want) {
		t.Errorf("quorum queues\n%v\nwant\n%v", got, want)
	}
	top.Type = rabbitmq.Classic
	want = []rabbitmq.Queue{
		{Name: "mageline.a", Args: amqp.Table{"x-queue-type": "classic", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "mageline.a.dlq"}},
		{Name: "mageline.a.dlq", Args: amqp.Table{"x-queue-type": "classic"}},
		{Name: "mageline.retry.5000", Args: amqp.Table{"x-queue-type": "classic", "x-message-ttl": int64(5000), "x-dead-letter-exchange": ""}},
		{Name: "mageline.retry.3600000", Args: amqp.Table{"x-queue-type": "classic", "x-message-ttl": int64(3_600_000), "x-dead-letter-exchange": ""}},
	}
	if got := top.Queues(); !reflect.DeepEqual(got, want) {
		t.Errorf("classic queues\n%v\nwant\n%v", got, want)
	}
	exchanges := []rabbitmq.Exchange{{Name: "magento", Kind: "topic"}, {Name: "mageline.retry.5000", Kind: "fanout"}, {Name: "mageline.retry.3600000", Kind: "fanout"}}
	if got := top.Exchanges(); !slices.Equal(got, exchanges) {
		t.Errorf("exchanges %v, want %v", got, exchanges)
	}
	bindings := []rabbitmq.Binding{
		{Queue: "mageline.a", Exchange: "magento", Key: "t.1"},
		{Queue: "mageline.a", Exchange: "magento", Key: "t.2"},
		{Queue: "mageline.retry.5000", Exchange: "mageline.retry.5000"},
		{Queue: "mageline.retry.3600000", Exchange: "mageline.retry.3600000"},
	}
	if got := top.Bindings(); !slices.Equal(got, bindings) {
		t.Errorf("bindings %v, want %v", got, bindings)
	}
	if !slices.Equal(delays, []time.Duration{5 * time.Second, time.Hour, 5 * time.Second}) {
		t.Error("the caller's delays were changed: attempts follow their order")
	}
}

// The broker has the queues as they are listed, and declaring again makes nothing.
func TestTopology_DeclaresWhatIsMissing(t *testing.T) {
	for _, typ := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			broker := kit.Broker(t)
			conn := dial(t, broker.URL)
			top := topology(broker, typ)
			made, err := top.Declare(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"exchange " + broker.Exchange}
			for _, d := range []time.Duration{200 * time.Millisecond, 2 * time.Second} {
				want = append(want, "exchange "+top.Retry(d))
			}
			for _, q := range top.Queues() {
				want = append(want, "queue "+q.Name)
			}
			if !slices.Equal(made, want) {
				t.Errorf("made %q, want %q", made, want)
			}
			// The broker refuses a declaration that differs from what is there, and one with nothing is different.
			for _, q := range top.Queues() {
				declare(t, conn, q.Name, q.Args)
			}
			err = rabbitmq.OnChannel(conn, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(broker.Queue("order_placed"), true, false, false, false, nil)
				return err
			})
			var refused *amqp.Error
			if typ == rabbitmq.Quorum && (!errors.As(err, &refused) || refused.Code != amqp.PreconditionFailed) {
				t.Errorf("a declaration without arguments: %v", err)
			}
			made, err = top.Declare(t.Context(), conn)
			if err != nil || len(made) != 0 {
				t.Errorf("a second time made %q, %v", made, err)
			}
			// Magento's exchange as Magento declares it.
			on(t, conn, func(ch *amqp.Channel) error { return kit.DeclareExchange(ch, broker.Exchange) })

			// Both topics lead to the queue, and a message comes back from the retry queue to the queue it is for.
			broker.Publish("sales.order.placed", "1")
			broker.Publish("sales.order.updated", "2")
			broker.Publish("sales.order.canceled", "3")
			p := publisher(t, broker.URL)
			if err := p.Publish(t.Context(), top.Retry(200*time.Millisecond), broker.Queue("stock_sync"), kit.Publishing([]byte("4"))); err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, 20*time.Second, func() bool {
				return broker.Depth(broker.Queue("order_placed")) == 2 && broker.Depth(broker.Queue("stock_sync")) == 1
			}, "two messages of Magento's and one from the retry queue")
			if d := get(t, conn, broker.Queue("stock_sync")); d.Exchange != "" || string(d.Body) != "4" {
				t.Errorf("through exchange %q came %q", d.Exchange, d.Body)
			}
		})
	}
}

// A queue that exists is used as it is, whatever its arguments.
func TestTopology_UsesWhatExists(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn := dial(t, broker.URL)
	top := topology(broker, rabbitmq.Quorum)
	declare(t, conn, broker.Queue("order_placed"), amqp.Table{"x-max-length": int64(7)})
	made, err := top.Declare(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(made, "queue "+broker.Queue("order_placed")) || !slices.Contains(made, "queue "+broker.DeadLetters("order_placed")) {
		t.Errorf("made %q", made)
	}
	declare(t, conn, broker.Queue("order_placed"), amqp.Table{"x-max-length": int64(7)}) // is still the same
	broker.Publish("sales.order.placed", "1")
	kit.Eventually(t, 10*time.Second, func() bool { return broker.Depth(broker.Queue("order_placed")) == 1 }, "the queue is bound")
}

func TestTopology_ReportsEveryRefusal(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn := dial(t, broker.URL)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if made, err := topology(broker, rabbitmq.Quorum).Declare(ctx, conn); !errors.Is(err, context.Canceled) || len(made) != 0 {
		t.Errorf("made %q, %v", made, err)
	}
	rabbitmq.Close(conn)
	if _, err := topology(broker, rabbitmq.Quorum).Declare(t.Context(), conn); !errors.Is(err, amqp.ErrClosed) {
		t.Errorf("on a closed connection: %v", err)
	}
}

func TestDepth_CountsReadyMessages(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn := dial(t, broker.URL)
	queue := broker.Queue("order_placed")
	if n, ok, err := rabbitmq.Depth(conn, queue); n != 0 || ok || err != nil {
		t.Errorf("no queue: %d, %t, %v", n, ok, err)
	}
	declare(t, conn, queue, nil)
	broker.Send(queue, kit.Publishing([]byte("1")))
	if n, ok, err := rabbitmq.Depth(conn, queue); n != 1 || !ok || err != nil {
		t.Errorf("one message: %d, %t, %v", n, ok, err)
	}
	rabbitmq.Close(conn)
	if _, _, err := rabbitmq.Depth(conn, queue); err == nil {
		t.Error("a closed connection tells a depth")
	}
}
