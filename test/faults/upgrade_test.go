package faults

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// What changes with RabbitMQ's version. The rules that differ are injected on any version, and the first of these faults
// goes from the installed one to that of the tests, which `make versions` makes another (docs/faults.md).
var upgradeFaults = []*scenario{
	{number: 22, name: "the broker is replaced by one of another version, with all that waits", oldBroker: true, ownBroker: true, run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		letters := w.letters(3)
		w.poison(2)
		w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusServiceUnavailable}})
		waiting := w.place(6)
		kit.Eventually(w.t, env.Patience, func() bool { _, later := w.Left(); return later > 0 }, "messages in retry queues")
		w.brokerLink.Refuse()
		for _, r := range w.Replicas {
			r.AwaitSaying("the broker is away", brokerAway)
		}
		w.Heal()
		waiting = append(waiting, w.place(6)...)
		kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) == 5 }, "letters")
		w.Channel(func(ch *amqp.Channel) error { // a letter of the broker's own
			d, ok, err := ch.Get(w.Queue("order_placed"), false)
			if err != nil || !ok {
				return fmt.Errorf("take a message: %t, %w", ok, err)
			}
			return d.Reject(false)
		})
		kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) == 6 }, "a letter of the broker's own")

		next := servers.RabbitMQ(w.t)
		env := maps.Clone(w.Vars)
		env["AMQP_URL"] = next.URL
		if out, code := program.Call(w.t, env, "topology"); code != 0 {
			w.t.Fatalf("topology ends with %d: %s", code, out)
		}
		w.moveMessages(next.URL)
		w.brokerLink.Lead(next.Addr)
		w.Move(next.URL)
		_ = w.publisher.Close()
		w.brokerLink.Accept()
		for _, r := range w.Replicas { // one of them may wait for a probe that the other has made
			r.AwaitSaying("it is connected", func(_ int, d replica.Readiness) bool { return d.RabbitMQ.State == "connected" })
		}
		w.AwaitSome(len(waiting)-1, waiting...) // without the one that the broker has dead-lettered
		w.replay(0)
		w.AwaitDone(slices.Concat(waiting, letters)...)
		w.AwaitDone(w.place(6)...)
	}},
	{number: 22, name: "more returns and look-ups than the default delivery limit of RabbitMQ 4", run: func(w *world) {
		const limit = 20
		w.Run(1)
		letters := w.letters(3)
		for range limit + 2 {
			if out, code := w.Call("dlq", "list", w.DeadLetters("order_placed")); code != 0 || strings.Count(out, "rejected") < len(letters) {
				w.t.Fatalf("the list ends with %d: %s", code, out)
			}
		}
		w.Replicas[0].Terminate()
		if code := w.Replicas[0].Exit(); code != 0 {
			w.t.Errorf("exit code %d", code)
		}
		orders := w.place(8)
		for range limit + 2 {
			w.takeAndDie(w.Queue("order_placed"), 10)
		}
		w.Run(1)
		w.AwaitDone(orders...)
		w.replay(0)
		w.AwaitDone(letters...)
	}},
	{number: 22, name: "the broker takes smaller bodies than those that wait", ownBroker: true, run: func(w *world) {
		w.limitBodies(128 << 20) // RabbitMQ 3's
		if out, code := w.Call("topology"); code != 0 {
			w.t.Fatalf("topology ends with %d: %s", code, out)
		}
		w.publish("", amqp.Publishing{Body: large})
		orders := w.place(3)
		w.limitBodies(16 << 20) // RabbitMQ 4's
		w.Run(1)
		w.AwaitDone(orders...)
		kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) == 1 }, "the broker to dead-letter it")
		w.replay(3) // refused again: it stays
		w.limitBodies(128 << 20)
		w.brokerLink.Cut() // channels keep what they began with
		w.replay(0)
		w.parked++
		w.AwaitDone(w.place(3)...)
	}},
}

// large is a body over the limit of what is read, and of what RabbitMQ 4 takes.
var large = []byte(`{"increment_id":"1","filler":"` + strings.Repeat("x", 17<<20) + `"}`)

// takeAndDie is a consumer that dies with all that it was given; every version counts that against the delivery limit.
func (w *world) takeAndDie(queue string, messages int) {
	w.t.Helper()
	w.Channel(func(ch *amqp.Channel) error { // and closes the connection
		deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		for n := range messages {
			select {
			case _, ok := <-deliveries:
				if !ok {
					return fmt.Errorf("%d of %d deliveries", n, messages)
				}
			case <-time.After(env.Patience):
				return fmt.Errorf("%d of %d deliveries within %s", n, messages, env.Patience)
			}
		}
		return nil
	})
}

// limitBodies sets what the world's own broker takes.
func (w *world) limitBodies(bytes int) {
	w.t.Helper()
	if err := servers.RabbitMQ(w.t).LimitBodies(bytes); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := servers.RabbitMQ(w.t).LimitBodies(128 << 20); err != nil {
			w.t.Error(err)
		}
	})
}

// moveMessages does what a shovel does: everything that waits goes to another broker, with its properties and headers, and
// is acknowledged when that has confirmed it. What waits in a retry queue goes to that queue's exchange with the routing key
// that it has, the queue that it goes back to.
func (w *world) moveMessages(to string) {
	w.t.Helper()
	conn, err := rabbitmq.Dial(w.t.Context(), rabbitmq.Options{URL: to}, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		w.t.Fatal(err)
	}
	defer publisher.Close()
	move := func(queue string, target func(d *amqp.Delivery) (exchange, key string)) {
		w.Channel(func(ch *amqp.Channel) error {
			for {
				d, ok, err := ch.Get(queue, false)
				if err != nil || !ok {
					return err
				}
				exchange, key := target(&d)
				if err := publisher.Publish(w.t.Context(), exchange, key, again(&d)); err != nil {
					return err
				}
				if err := d.Ack(false); err != nil {
					return err
				}
			}
		})
	}
	for _, queue := range w.RetryQueues() { // first: what expires meanwhile is in its consumer's queue
		move(queue, func(d *amqp.Delivery) (string, string) { return queue, d.RoutingKey })
	}
	for _, c := range env.Consumers {
		for _, queue := range []string{w.Queue(c), w.DeadLetters(c)} {
			if w.Depth(queue) >= 0 {
				move(queue, func(*amqp.Delivery) (string, string) { return "", queue })
			}
		}
	}
}

// again is what a delivery was published with.
func again(d *amqp.Delivery) amqp.Publishing {
	return amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode,
		Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration, MessageId: d.MessageId,
		Timestamp: d.Timestamp, Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
	}
}
