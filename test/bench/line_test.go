package bench

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
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
	"github.com/mageline/mageline/test/kit"
)

const name = "order_placed"

// line is a broker's part and a database of its own.
type line struct {
	t        *testing.T
	consumer string // whose queue it is
	broker   *kit.Queues
	database string
	ledger   *idempotency.Ledger
	topology rabbitmq.Topology
	next     atomic.Int64 // makes the bodies distinct over the whole run
}

func newLine(t *testing.T) *line { return newLineOf(t, name, "sales.order.placed") }

func newLineOf(t *testing.T, consumer, topic string) *line {
	t.Helper()
	l := &line{t: t, consumer: consumer, broker: kit.Broker(t), database: kit.Database(t)}
	if _, err := migrations.Up(t.Context(), l.database); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), l.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l.ledger = idempotency.Open(t.Context(), idempotency.Options{Pool: pool, Process: "bench", Log: zerolog.Nop()})
	t.Cleanup(l.ledger.Close)
	l.broker.RetryDelays(time.Second)
	o := options(l.broker.URL, l.broker.Exchange, l.broker.Prefix, nil)
	o.Consumers[0].Name, o.Consumers[0].Topics = consumer, []string{topic}
	l.topology = o.Topology()
	conn := l.dial()
	defer rabbitmq.Close(conn)
	if _, err := l.topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return l
}

func options(url, exchange, prefix string, h consumer.HandlerFunc) consumer.Options {
	return consumer.Options{
		Broker: rabbitmq.Options{URL: url}, Exchange: exchange, Prefix: prefix,
		Consumers: []consumer.Consumer{{Name: name, Topics: []string{"sales.order.placed"}, Handler: h}},
		Limits:    consumer.Limits{Prefetch: prefetch, Concurrency: concurrency}, RetryDelays: []time.Duration{time.Second}, Log: zerolog.Nop(),
	}
}

func settings() string { return fmt.Sprintf("PREFETCH %d, CONCURRENCY %d", prefetch, concurrency) }

func (l *line) dial() *amqp.Connection {
	l.t.Helper()
	conn, err := rabbitmq.Dial(l.t.Context(), rabbitmq.Options{URL: l.broker.URL}, "bench")
	if err != nil {
		l.t.Fatal(err)
	}
	return conn
}

// fill puts n messages into the queue, the bodies made by body.
func (l *line) fill(n int, body func() []byte) {
	l.t.Helper()
	l.publish(n, func() amqp.Publishing { return amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body()} })
}

// publish puts n messages into the queue.
func (l *line) publish(n int, message func() amqp.Publishing) {
	l.t.Helper()
	conn := l.dial()
	p, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		l.t.Fatal(err)
	}
	defer p.Close()
	const publishers = 64
	errs := make(chan error, publishers)
	var left atomic.Int64
	left.Store(int64(n))
	for range publishers {
		go func() {
			var err error
			for err == nil && left.Add(-1) >= 0 {
				err = p.Publish(l.t.Context(), "", l.topology.Queue(l.consumer), message())
			}
			errs <- err
		}()
	}
	for range publishers {
		if err := <-errs; err != nil {
			l.t.Fatal(err)
		}
	}
}

// body is about an order that no other message is about.
func (l *line) body() []byte { return bodyOf(fmt.Sprintf("%09d", l.next.Add(1))) }

func bodyOf(order string) []byte {
	head := fmt.Sprintf(`{"increment_id":%q,"padding":"`, order)
	return []byte(head + strings.Repeat("x", bodySize-len(head)-2) + `"}`)
}

// bare is the limit: a loop that consumes and acknowledges, on a connection as the library makes it. It gives messages a
// second.
func (l *line) bare() float64 {
	l.t.Helper()
	l.fill(size.messages, l.body)
	deliveries, end := l.subscribe()
	defer end()
	var began time.Time
	for n := range size.messages {
		d := <-deliveries
		if n == 0 {
			began = time.Now()
		}
		if err := d.Ack(false); err != nil {
			l.t.Fatal(err)
		}
	}
	return float64(size.messages-1) / time.Since(began).Seconds()
}

func (l *line) subscribe() (<-chan amqp.Delivery, func()) {
	l.t.Helper()
	conn, err := amqp.Dial(l.broker.URL)
	if err != nil {
		l.t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		l.t.Fatal(err)
	}
	deliveries, err := ch.Consume(l.topology.Queue(l.consumer), "", false, false, false, false, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return deliveries, func() { rabbitmq.Close(conn) }
}

// runtime consumes with the runtime, from the first message to the last. It gives messages a second.
func (l *line) runtime(h consumer.HandlerFunc) float64 {
	l.t.Helper()
	return l.timed(h, func() {}, func() {})
}

// timed is runtime with what is called at the first message and after the last.
func (l *line) timed(h consumer.HandlerFunc, first, last func()) float64 {
	l.t.Helper()
	l.fill(size.messages, l.body)
	var (
		begun, handled atomic.Int64
		began, ended   time.Time
		all            = make(chan struct{})
	)
	stop := l.start(func(ctx context.Context, e event.Event) (event.Outcome, error) {
		if begun.Add(1) == 1 {
			first()
			began = time.Now()
		}
		outcome, err := h(ctx, e)
		if err != nil {
			l.t.Error(err)
		}
		if handled.Add(1) == int64(size.messages) {
			ended = time.Now()
			last()
			close(all)
		}
		return outcome, err
	})
	defer stop()
	select {
	case <-all:
	case <-time.After(patience):
		l.t.Fatalf("%d of %d messages were handled within %s", handled.Load(), size.messages, patience)
	}
	return float64(size.messages-1) / ended.Sub(began).Seconds()
}

// start starts the runtime; stop drains it.
func (l *line) start(h consumer.HandlerFunc) (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	r, err := consumer.New(options(l.broker.URL, l.broker.Exchange, l.broker.Prefix, h))
	if err != nil {
		l.t.Fatal(err)
	}
	finished := make(chan error, 1)
	go func() { finished <- r.Run(ctx) }()
	return func() {
		l.t.Helper()
		cancel()
		if err := <-finished; err != nil {
			l.t.Error(err)
		}
	}
}

func nothing(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil }

// once is a handler that claims and finishes a key of the ledger for each message.
func once(ledger *idempotency.Ledger) consumer.HandlerFunc {
	return func(ctx context.Context, e event.Event) (event.Outcome, error) {
		order, err := event.ParseOrder(e.Body)
		if err != nil {
			return "", err
		}
		key := idempotency.Key{Consumer: name, Key: string(order.IncrementID), Effect: "create"}
		_, _, err = ledger.Do(ctx, idempotency.Effect{Key: key, Repeat: e.Repeat}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
			return idempotency.Result{Value: "SO-1"}, nil
		})
		return event.Done, err
	}
}

// program runs one of the other consumers on a queue with n messages; it prints how many it was a second.
func (l *line) program(n int, command string, args ...string) float64 {
	l.t.Helper()
	l.fill(n, l.body)
	out, err := exec.CommandContext(l.t.Context(), command, args...).Output() //nolint:gosec // ours
	if err != nil {
		l.t.Fatalf("%s: %v", command, err)
	}
	perSecond, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		l.t.Fatal(err)
	}
	return perSecond
}

func (l *line) watermill() float64 {
	l.t.Helper()
	return l.program(size.messages, filepath.Join(folder, "watermill"), l.broker.URL, l.topology.Queue(l.consumer), strconv.Itoa(size.messages), strconv.Itoa(prefetch))
}

// hasPHP reports whether PHP is installed with what consume.php needs.
func hasPHP(ctx context.Context) bool {
	return exec.CommandContext(ctx, "php", "-r", `exit(extension_loaded("amqp") && extension_loaded("pgsql") ? 0 : 1);`).Run() == nil
}

// consuming compares the ways to consume the same messages.
func consuming(t *testing.T, out *table) {
	l := newLine(t)
	php := hasPHP(t.Context())
	var bare, runtime, ledger, watermill, other []float64
	for range size.rounds {
		bare = append(bare, l.bare())
		runtime = append(runtime, l.runtime(nothing))
		ledger = append(ledger, l.runtime(once(l.ledger)))
		watermill = append(watermill, l.watermill())
		if php {
			n := size.messages / 10 // it is that much slower
			other = append(other, l.program(n, "php", "consume.php", l.broker.URL, l.topology.Queue(l.consumer), strconv.Itoa(n),
				strconv.Itoa(prefetch), l.database))
		}
	}
	out.rates("runtime, handler does nothing; limit: bare amqp091-go loop", runtime, bare, "0.85", settings())
	out.rates("the same; limit: Watermill's AMQP subscriber", runtime, watermill, "above 1", settings())
	out.rates("with a claim and a finish in the ledger; limit: bare loop", ledger, bare, "0.55, better 0.75", settings())
	if php {
		out.rates("the same; limit: php-amqp, two Postgres statements a message", ledger, other, "", settings())
	} else {
		out.add(row{"the same; limit: php-amqp", rate(ledger), "PHP is not installed (apt-get install php-cli php-amqp php-pgsql)", "", "", settings()})
	}
}

// idle measures from publish to the handler's start, with nothing else going on.
func idle(t *testing.T, out *table) {
	l := newLine(t)
	arrived := make(chan time.Time, 1)
	measure := func() (took []time.Duration) {
		conn := l.dial()
		p, err := rabbitmq.NewPublisher(conn)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for n := range size.pings + 1 {
			began := time.Now()
			if err := p.Publish(t.Context(), "", l.topology.Queue(l.consumer), amqp.Publishing{DeliveryMode: amqp.Persistent, Body: l.body()}); err != nil {
				t.Fatal(err)
			}
			at := <-arrived
			if n > 0 { // the first waited for the subscription
				took = append(took, at.Sub(began))
			}
			time.Sleep(2 * time.Millisecond)
		}
		return took
	}
	stop := l.start(func(context.Context, event.Event) (event.Outcome, error) {
		arrived <- time.Now()
		return event.Done, nil
	})
	ours := measure()
	stop()
	deliveries, end := l.subscribe()
	go func() {
		for d := range deliveries {
			arrived <- time.Now()
			_ = d.Ack(false)
		}
	}()
	limit := measure()
	end()
	for _, p := range []int{50, 99} {
		a, b := percentile(ours, p), percentile(limit, p)
		out.add(row{
			fmt.Sprintf("publish to handler start, idle, p%d; limit: bare loop", p), ms(a), ms(b),
			fmt.Sprintf("%.2f", a.Seconds()/b.Seconds()), "", settings(),
		})
	}
}
