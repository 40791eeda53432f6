package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/testkit"
)

const (
	messages    = 20_000
	bodySize    = 4096
	prefetch    = 256
	concurrency = 64
	rounds      = 3
)

// BenchmarkConsume consumes the same messages from a quorum queue in three ways and prints the medians and their ratios:
// a bare amqp091-go loop (the limit), the runtime with a handler that does nothing, and the same with a claim and a finish
// in the ledger for each message.
func BenchmarkConsume(b *testing.B) {
	b.ReportAllocs()
	line := newLine(b)
	for b.Loop() {
		var bare, runtime, ledger []float64
		for range rounds {
			bare = append(bare, line.bare(b))
			runtime = append(runtime, line.runtime(b, func(context.Context, event.Event) (event.Outcome, error) {
				return event.Done, nil
			}))
			ledger = append(ledger, line.runtime(b, line.once))
		}
		limit := median(bare)
		b.ReportMetric(limit, "bare-msg/s")
		b.ReportMetric(median(runtime), "runtime-msg/s")
		b.ReportMetric(median(runtime)/limit, "runtime/bare")
		b.ReportMetric(median(ledger), "ledger-msg/s")
		b.ReportMetric(median(ledger)/limit, "ledger/bare")
	}
	b.Logf("bodies of %d bytes, quorum queues, PREFETCH %d, CONCURRENCY %d, medians of %d", bodySize, prefetch, concurrency, rounds)
}

func median(rates []float64) float64 {
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// line is a broker's part and a database of its own.
type line struct {
	broker   *testkit.Queues
	topology rabbitmq.Topology
	ledger   *idempotency.Ledger
	next     atomic.Int64 // makes the bodies distinct over the whole run
}

const name = "order_placed"

func newLine(b *testing.B) *line {
	l := &line{broker: testkit.Broker(b)}
	url := testkit.Database(b)
	if _, err := migrations.Up(b.Context(), url); err != nil {
		b.Fatal(err)
	}
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	l.ledger = idempotency.Open(b.Context(), idempotency.Options{Pool: pool, Process: "bench", Log: zerolog.Nop()})
	b.Cleanup(l.ledger.Close)
	l.broker.RetryDelays(time.Second)
	o := l.options(nil)
	l.topology = o.Topology()
	conn := l.dial(b)
	defer rabbitmq.Close(conn)
	if _, err := l.topology.Declare(b.Context(), conn); err != nil {
		b.Fatal(err)
	}
	return l
}

func (l *line) options(h consumer.HandlerFunc) consumer.Options {
	return consumer.Options{
		Broker: rabbitmq.Options{URL: l.broker.URL}, Exchange: l.broker.Exchange, Prefix: l.broker.Prefix,
		Consumers: []consumer.Consumer{{Name: name, Topics: []string{"sales.order.placed"}, Handler: h}},
		Prefetch:  prefetch, Concurrency: concurrency, RetryDelays: []time.Duration{time.Second}, Log: zerolog.Nop(),
	}
}

func (l *line) dial(b *testing.B) *amqp.Connection {
	conn, err := rabbitmq.Dial(b.Context(), rabbitmq.Options{URL: l.broker.URL}, "bench")
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

// fill puts the messages into the queue.
func (l *line) fill(b *testing.B) {
	conn := l.dial(b)
	p, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	const publishers = 64
	errs := make(chan error, publishers)
	for range publishers {
		go func() {
			var err error
			for range messages / publishers {
				if err == nil {
					err = p.Publish(b.Context(), "", l.topology.Queue(name), amqp.Publishing{DeliveryMode: amqp.Persistent, Body: l.body()})
				}
			}
			errs <- err
		}()
	}
	for range publishers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}

const count = messages / 64 * 64

func (l *line) body() []byte {
	head := fmt.Sprintf(`{"increment_id":"%09d","padding":"`, l.next.Add(1))
	return []byte(head + strings.Repeat("x", bodySize-len(head)-2) + `"}`)
}

// bare is the limit: a loop that consumes and acknowledges. It gives messages a second.
func (l *line) bare(b *testing.B) float64 {
	l.fill(b)
	conn := l.dial(b)
	defer rabbitmq.Close(conn)
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	deliveries, err := ch.Consume(l.topology.Queue(name), "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	for range count {
		d := <-deliveries
		if err := d.Ack(false); err != nil {
			b.Fatal(err)
		}
	}
	return count / time.Since(began).Seconds()
}

// runtime consumes with the runtime, from its subscription to the last message. It gives messages a second.
func (l *line) runtime(b *testing.B, h consumer.HandlerFunc) float64 {
	l.fill(b)
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var handled atomic.Int64
	var began, ended time.Time
	done := make(chan struct{})
	r := consumer.New(l.options(func(ctx context.Context, e event.Event) (event.Outcome, error) {
		outcome, err := h(ctx, e)
		switch handled.Add(1) {
		case 1:
			began = time.Now()
		case count:
			ended = time.Now()
			close(done)
		}
		return outcome, err
	}))
	finished := make(chan error, 1)
	go func() { finished <- r.Run(ctx) }()
	select {
	case <-done:
	case err := <-finished:
		b.Fatal("the runtime ended early: ", err)
	}
	stop()
	if err := <-finished; err != nil {
		b.Fatal(err)
	}
	return (count - 1) / ended.Sub(began).Seconds()
}

// once is a handler that claims and finishes a key of the ledger for each message.
func (l *line) once(ctx context.Context, e event.Event) (event.Outcome, error) {
	order, err := event.ParseOrder(e.Body)
	if err != nil {
		return "", err
	}
	key := idempotency.Key{Consumer: name, Key: string(order.IncrementID), Effect: "create"}
	_, _, err = l.ledger.Do(ctx, key, e.Repeat, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		return idempotency.Result{Value: "SO-1"}, nil
	})
	return event.Done, err
}
