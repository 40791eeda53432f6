package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Queue types.
const (
	Quorum  = "quorum"
	Classic = "classic"
)

// ConsumerQueue is a consumer and the topics that its queue is bound to.
type ConsumerQueue struct {
	Consumer string
	Topics   []string
}

// Topology is every exchange, queue and binding of a program: for each consumer a queue, bound to the exchange with its topics,
// and a dead-letter queue; for each delay a retry queue. docs/deliveries.md describes them.
type Topology struct {
	Exchange  string // Magento's topic exchange
	Prefix    string // first part of every queue's name
	Type      string // Quorum or Classic
	Consumers []ConsumerQueue
	Delays    []time.Duration // of the retry queues; equal ones share a queue
}

// Queue returns the name of a consumer's queue.
func (t Topology) Queue(consumer string) string { return t.Prefix + "." + consumer }

// DeadLetterQueue returns the name of a consumer's dead-letter queue.
func (t Topology) DeadLetterQueue(consumer string) string { return t.Queue(consumer) + ".dlq" }

// Retry returns the name of the retry queue with a delay, and of the fanout exchange in front of it.
func (t Topology) Retry(delay time.Duration) string {
	return t.Prefix + ".retry." + strconv.FormatInt(delay.Milliseconds(), 10)
}

// Exchange is an exchange as it is declared.
type Exchange struct {
	Name, Kind string
}

// Queue is a queue as it is declared.
type Queue struct {
	Name string
	Args amqp.Table
}

// Binding binds a queue to an exchange.
type Binding struct {
	Queue, Exchange, Key string
}

// Exchanges returns the exchanges: Magento's, declared exactly as Magento declares it, and one for each retry queue.
func (t Topology) Exchanges() []Exchange {
	all := []Exchange{{t.Exchange, amqp.ExchangeTopic}}
	for _, d := range t.distinctDelays() {
		all = append(all, Exchange{t.Retry(d), amqp.ExchangeFanout})
	}
	return all
}

// Queues returns the queues with their arguments, which can't be changed once a queue exists.
func (t Topology) Queues() []Queue {
	var all []Queue
	for _, s := range t.Consumers {
		name := t.Queue(s.Consumer)
		work := amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + ".dlq"}
		letters := amqp.Table{}
		if t.Type != Classic {
			work["x-dead-letter-strategy"] = "at-least-once"
			work["x-overflow"] = "reject-publish" // without it at-least-once has no effect, silently
			work["x-delivery-limit"] = int64(1000)
			letters["x-delivery-limit"] = int64(1_000_000_000) // without a limit 3.x reorders what is requeued
		}
		all = append(all, t.typed(name, work), t.typed(name+".dlq", letters))
	}
	for _, d := range t.distinctDelays() {
		args := amqp.Table{"x-message-ttl": d.Milliseconds(), "x-dead-letter-exchange": ""}
		if t.Type != Classic {
			args["x-dead-letter-strategy"] = "at-least-once"
			args["x-overflow"] = "reject-publish"
		}
		all = append(all, t.typed(t.Retry(d), args))
	}
	return all
}

func (t Topology) typed(name string, args amqp.Table) Queue {
	typ := t.Type
	if typ == "" {
		typ = Quorum
	}
	args["x-queue-type"] = typ
	return Queue{name, args}
}

// Bindings returns the bindings. A message in a retry queue keeps the routing key that it was published with: the name of the queue
// that it goes back to.
func (t Topology) Bindings() []Binding {
	var all []Binding
	for _, s := range t.Consumers {
		for _, topic := range s.Topics {
			all = append(all, Binding{t.Queue(s.Consumer), t.Exchange, topic})
		}
	}
	for _, d := range t.distinctDelays() {
		all = append(all, Binding{t.Retry(d), t.Retry(d), ""})
	}
	return all
}

func (t Topology) distinctDelays() []time.Duration {
	delays := slices.Clone(t.Delays)
	slices.Sort(delays)
	return slices.Compact(delays)
}

// Declare declares what is missing and returns the names of the exchanges and queues that it made. AMQP does not show whether a
// binding was missing. What exists is used as it is, even with other arguments: Differences finds those. After a refusal it goes
// on with the rest, and the error has every refusal. Each look is on a channel of its own, because the broker closes the channel
// when it answers no.
func (t Topology) Declare(ctx context.Context, conn *amqp.Connection) (made []string, err error) {
	made, err = t.Make(ctx, conn)
	if err != nil && (ctx.Err() != nil || conn.IsClosed()) {
		return made, err
	}
	return made, also(err, t.Bind(ctx, conn))
}

// Make declares what is missing of the exchanges and queues, as Declare does.
func (t Topology) Make(ctx context.Context, conn *amqp.Connection) (made []string, err error) {
	note := func(what string, missing bool, failure error) (goOn bool) {
		switch {
		case failure != nil:
			err = also(err, fmt.Errorf("%s: %w", what, failure))
		case missing:
			made = append(made, what)
		}
		return failure == nil || ctx.Err() == nil && !conn.IsClosed()
	}
	for _, e := range t.Exchanges() {
		missing, failure := ensure(ctx, conn,
			func(ch *amqp.Channel) error {
				return ch.ExchangeDeclarePassive(e.Name, e.Kind, true, false, false, false, nil)
			},
			func(ch *amqp.Channel) error {
				return ch.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, nil)
			})
		if !note(ExchangeMade(e.Name), missing, t.Explain(failure, toDeclareExchange)) {
			return made, err
		}
	}
	for _, q := range t.Queues() {
		missing, failure := ensure(ctx, conn,
			func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclarePassive(q.Name, true, false, false, false, nil)
				return err
			},
			func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Args)
				return err
			})
		if !note(QueueMade(q.Name), missing, t.Explain(failure, toDeclareQueue)) {
			return made, err
		}
	}
	return made, err
}

// ExchangeMade returns the name that Make has for an exchange.
func ExchangeMade(name string) string { return "exchange " + name }

// QueueMade returns the name that Make has for a queue.
func QueueMade(name string) string { return "queue " + name }

// Bind declares the bindings, whether they exist or not.
func (t Topology) Bind(ctx context.Context, conn *amqp.Connection) (err error) {
	for rest := t.Bindings(); len(rest) > 0; {
		b := rest[0]
		failure := OnChannel(conn, func(ch *amqp.Channel) (err error) { // all on one channel, until one is refused
			for len(rest) > 0 && err == nil {
				b, rest = rest[0], rest[1:]
				err = ch.QueueBind(b.Queue, b.Key, b.Exchange, false, nil)
			}
			return err
		})
		if failure == nil {
			continue
		}
		err = also(err, fmt.Errorf("bind queue %s to exchange %s with %q: %w", b.Queue, b.Exchange, b.Key, t.Explain(failure, toBind)))
		if errors.Is(failure, amqp.ErrChannelMax) || ctx.Err() != nil || conn.IsClosed() {
			return err
		}
	}
	return err
}

// also joins errors in one line.
func also(others, err error) error {
	switch {
	case others == nil:
		return err
	case err == nil:
		return others
	}
	return fmt.Errorf("%w; %w", others, err)
}

func ensure(ctx context.Context, conn *amqp.Connection, look, declare func(*amqp.Channel) error) (missing bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = OnChannel(conn, look)
	if !IsNotFound(err) {
		return false, err
	}
	return true, OnChannel(conn, declare)
}

// OnChannel calls f with a channel of its own, which the broker closes when it refuses something.
func OnChannel(conn *amqp.Connection, f func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer func() { _ = ch.Close() }() // the broker may have closed it already
	return f(ch)
}

// IsNotFound reports whether the broker answered that there is no such queue or exchange (404).
func IsNotFound(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.NotFound
}

// IsLocked reports whether the broker answered that the queue is locked (405): it has a single active consumer, or is exclusive to
// another connection.
func IsLocked(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.ResourceLocked
}

// Depth returns the number of ready messages in a queue; ok is false if there is no such queue. It asks the queue's leader, so it
// does not lag as the management API does. Unacknowledged messages are not counted.
func Depth(conn *amqp.Connection, queue string) (messages int, ok bool, err error) {
	var q amqp.Queue
	err = OnChannel(conn, func(ch *amqp.Channel) (err error) {
		q, err = Inspect(ch, queue)
		return err
	})
	if IsNotFound(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look at queue %s: %w", queue, err)
	}
	return q.Messages, true, nil
}

// Inspect returns the numbers of ready messages and of subscriptions of a queue. RabbitMQ waits 250 ms for the answer of a quorum
// queue's leader, and without one it answers 0 (rabbit_quorum_queue:stat, read in 3.10.8). So Inspect repeats an answer of 0 that took
// that long, a few times: on a slow link it may be true.
func Inspect(ch *amqp.Channel, queue string) (q amqp.Queue, err error) {
	const patience, tries = 250 * time.Millisecond, 8
	for range tries {
		began := time.Now()
		q, err = ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil || q.Messages+q.Consumers > 0 || time.Since(began) < patience {
			break
		}
	}
	return q, err
}
