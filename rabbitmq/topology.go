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

// Source is the queue of one consumer and the topics that it is bound to.
type Source struct {
	Consumer string
	Topics   []string
}

// Topology is every exchange, queue and binding that mageline needs.
type Topology struct {
	Exchange string // Magento's topic exchange
	Prefix   string // first part of every queue's name
	Type     string // Quorum or Classic
	Sources  []Source
	Delays   []time.Duration // of the retry queues; equal ones share a queue
}

// Queue is the name of a consumer's queue.
func (t Topology) Queue(consumer string) string { return t.Prefix + "." + consumer }

// DeadLetterQueue is the name of a consumer's dead-letter queue.
func (t Topology) DeadLetterQueue(consumer string) string { return t.Queue(consumer) + ".dlq" }

// Retry is the name of the retry queue with a delay, and of the fanout exchange before it.
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

// Exchanges lists the exchanges: Magento's, declared exactly as Magento declares it, and one for each retry queue.
func (t Topology) Exchanges() []Exchange {
	all := []Exchange{{t.Exchange, amqp.ExchangeTopic}}
	for _, d := range t.distinctDelays() {
		all = append(all, Exchange{t.Retry(d), amqp.ExchangeFanout})
	}
	return all
}

// Queues lists the queues with their arguments, which can never be changed once a queue exists.
func (t Topology) Queues() []Queue {
	var all []Queue
	for _, s := range t.Sources {
		name := t.Queue(s.Consumer)
		work := amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + ".dlq"}
		letters := amqp.Table{}
		if t.Type != Classic {
			work["x-dead-letter-strategy"] = "at-least-once"
			work["x-overflow"] = "reject-publish" // at-least-once silently needs it
			work["x-delivery-limit"] = int64(1000)
			letters["x-delivery-limit"] = int64(1_000_000_000) // without a limit 3.x reorders what is given back
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

// Bindings lists the bindings. A message in a retry queue keeps the routing key it was published with, the queue that
// it goes back to.
func (t Topology) Bindings() []Binding {
	var all []Binding
	for _, s := range t.Sources {
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

// Declare makes what is missing and returns the names of what it made; of bindings the broker does not tell whether they
// were missing. What exists is used as it is, even with other arguments: `mageline check` tells of those. What the broker
// refuses keeps nothing else from being made; the error tells all of it. Every question is asked on a channel of its own,
// because the broker closes the channel of one that it answers with no.
func (t Topology) Declare(ctx context.Context, conn *amqp.Connection) (made []string, err error) {
	made, err = t.Make(ctx, conn)
	if err != nil && (ctx.Err() != nil || conn.IsClosed()) {
		return made, err
	}
	return made, also(err, t.Bind(ctx, conn))
}

// Make is Declare without the bindings.
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

// ExchangeMade is how Make names an exchange.
func ExchangeMade(name string) string { return "exchange " + name }

// QueueMade is how Make names a queue.
func QueueMade(name string) string { return "queue " + name }

// Bind declares the bindings. It is the same whether they are there.
func (t Topology) Bind(ctx context.Context, conn *amqp.Connection) (err error) {
	for rest := t.Bindings(); len(rest) > 0; {
		b := rest[0]
		failure := OnChannel(conn, func(ch *amqp.Channel) (err error) { // all on one, until one is refused
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

// also adds one error to others, in one line.
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

// OnChannel runs f on a channel of its own, which a refusal of the broker may close.
func OnChannel(conn *amqp.Connection, f func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer func() { _ = ch.Close() }() // the broker may have closed it already
	return f(ch)
}

// IsNotFound reports whether the broker said that there is no such queue or exchange.
func IsNotFound(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.NotFound
}

// IsLocked reports whether the broker said that the queue can't be used so: it has a single active consumer, or belongs to
// another connection alone.
func IsLocked(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.ResourceLocked
}

// Depth is the number of ready messages in a queue; ok is false when there is no such queue. It asks the queue's leader,
// so it does not lag as the management API does, and does not count what consumers hold.
func Depth(conn *amqp.Connection, queue string) (messages int, ok bool, err error) {
	var q amqp.Queue
	err = OnChannel(conn, func(ch *amqp.Channel) (err error) {
		q, err = Look(ch, queue)
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

// Look gives the ready messages of a queue and its subscriptions. RabbitMQ waits 250 ms for the answer of a quorum queue's
// leader, and says that there are none where it does not come (rabbit_quorum_queue:stat, read in 3.10.8). So an answer
// without any that took long is asked for again, a few times: with a link that is as slow it may be true.
func Look(ch *amqp.Channel, queue string) (q amqp.Queue, err error) {
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
