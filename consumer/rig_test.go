package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariables[0]) != "" {
		os.Exit(consumeAsChild())
	}
	if os.Getenv(largeVariable) != "" {
		os.Exit(consumeLarge())
	}
	kit.Parallel(4)
	goleak.VerifyTestMain(m)
}

const (
	orders = "order_placed" // the consumer of most tests
	placed = "sales.order.placed"
	// patience is how long a test waits for what must happen; it never waits so long for what must not.
	patience = 30 * time.Second
	away     = time.Hour // a retry delay that no test waits for
)

// rig is a runtime on a real broker, in a test's own exchange and queues.
type rig struct {
	*kit.Queues
	*consumer.Runtime
	t        *testing.T
	opts     consumer.Options
	registry *prometheus.Registry
	log      *kit.Log
	stop     func() error // ends Run and returns its error
	ended    atomic.Pointer[error]
}

// newRig sets a runtime up; options may be changed before start.
func newRig(t *testing.T, h consumer.HandlerFunc) *rig {
	t.Helper()
	r := &rig{Queues: kit.Broker(t), t: t, registry: prometheus.NewRegistry(), log: &kit.Log{}}
	r.opts = consumer.Options{
		Broker:    rabbitmq.Options{URL: r.URL},
		Exchange:  r.Exchange,
		Prefix:    r.Prefix,
		QueueType: rabbitmq.Quorum,
		Consumers: []consumer.Consumer{{Name: orders, Topics: []string{placed, "sales.order.updated"}, Handler: h}},
		Database:  func(context.Context) error { return nil },

		Limits:          consumer.Limits{Prefetch: 8, Concurrency: 8, HandlerTimeout: time.Minute},
		RetryDelays:     []time.Duration{200 * time.Millisecond, 400 * time.Millisecond},
		ShutdownTimeout: time.Minute, ProbeEvery: 50 * time.Millisecond,
		Host: "host-1", Version: "v1.2.3", Log: zerolog.New(r.log), Registerer: r.registry,
	}
	return r
}

// runtime makes a Runtime of options that can work.
func (r *rig) runtime(o consumer.Options) *consumer.Runtime {
	r.t.Helper()
	runtime, err := consumer.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return runtime
}

// launch runs the runtime until the test ends or stop is called.
func (r *rig) launch() {
	r.t.Helper()
	r.RetryDelays(r.opts.RetryDelays...)
	inBatches(&r.opts)
	r.Runtime = r.runtime(r.opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := r.Run(ctx)
		r.ended.Store(&err)
		done <- err
	}()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	r.t.Cleanup(func() {
		_ = r.stop() // a test that cares has called it before
		if r.t.Failed() {
			r.t.Logf("the runtime's log:\n%s", r.log)
		}
	})
}

// start launches and waits until every queue is there.
func (r *rig) start() {
	r.t.Helper()
	r.launch()
	r.eventually("the topology is declared", func() bool { return r.Status().RabbitMQ.OK })
}

func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	kit.Eventually(r.t, patience, condition, what)
}

// count reads a metric; of a histogram the number of its observations.
func (r *rig) count(name string, labels ...string) int {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, m := range family.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				if !found {
					continue metrics
				}
			}
			return int(m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()))
		}
	}
	return 0
}

// settled counts the deliveries of a consumer that ended so.
func (r *rig) settled(name, outcome string) int {
	r.t.Helper()
	return r.count("mageline_deliveries_total", "consumer", name, "outcome", outcome)
}

// outcomes checks how often deliveries of the consumer orders ended in each way; what is not named never did.
func (r *rig) outcomes(want map[string]int) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("deliveries ended as %v", want), func() bool {
		for outcome, n := range want {
			if r.settled(orders, outcome) < n {
				return false
			}
		}
		return true
	})
	for _, outcome := range []string{"acked", "retried", "dead_lettered", "duplicate", "deferred", "skipped", "stale", "requeued"} {
		if got := r.settled(orders, outcome); got != want[outcome] {
			r.t.Errorf("%d deliveries %s, want %d", got, outcome, want[outcome])
		}
	}
}

// unacked counts what the consumer has of n messages that were published, none of which has left its queue for
// another one. While messages are settled it may be wrong: too few, and too many by those that are acknowledged and not
// counted yet.
func (r *rig) unacked(n int) int {
	r.t.Helper()
	ready := r.Depth(r.Queue(orders))
	return n - ready - r.settled(orders, "acked")
}

// Send puts a message straight into a queue.
func (r *rig) Send(queue string, p amqp.Publishing) {
	r.t.Helper()
	r.Queues.Send(queue, p)
}

// via publishes p to Magento's exchange.
func (r *rig) via(topic string, p amqp.Publishing) {
	r.t.Helper()
	conn, err := rabbitmq.Dial(r.t.Context(), rabbitmq.Options{URL: r.URL}, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		r.t.Fatal(err)
	}
	defer publisher.Close()
	if err := publisher.Publish(r.t.Context(), r.Exchange, topic, p); err != nil {
		r.t.Fatal(err)
	}
}

// channel runs f on a connection of its own.
func (r *rig) channel(f func(*amqp.Channel) error) {
	r.t.Helper()
	conn, err := rabbitmq.Dial(r.t.Context(), rabbitmq.Options{URL: r.URL}, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rabbitmq.Close(conn)
	if err := rabbitmq.OnChannel(conn, f); err != nil {
		r.t.Fatal(err)
	}
}

// take waits for a message in a queue and takes it.
func (r *rig) take(queue string) (d amqp.Delivery) {
	r.t.Helper()
	r.eventually("a message in "+queue, func() (ok bool) {
		if r.Depth(queue) < 1 {
			return false
		}
		d, ok = r.Get(queue)
		return ok
	})
	kit.DropCounts(d.Headers)
	return d
}

// consumerIs waits until the status of a consumer is so and returns the reason.
func (r *rig) consumerIs(name, state string) (reason string) {
	r.t.Helper()
	r.eventually("the consumer "+name+" is "+state, func() bool {
		part := r.Status().Consumers[name]
		reason = part.Reason
		return part.State == state
	})
	return reason
}

// numbered is the body of a message n.
func numbered(n int) string { return fmt.Sprintf(`{"n":%d}`, n) }

// number reads it.
func number(e event.Event) int {
	var b struct{ N int }
	_ = json.Unmarshal(e.Body, &b) // 0 is nobody's number
	return b.N
}

// seen records what a handler was called with.
type seen struct {
	mu     sync.Mutex
	events []event.Event
}

func (s *seen) add(e event.Event) (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return len(s.events)
}

func (s *seen) all() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event.Event(nil), s.events...)
}

func (s *seen) numbers() (all []int) {
	for _, e := range s.all() {
		all = append(all, number(e))
	}
	return all
}

// breaker is a downstream with its circuit breaker, which opens at the first failure.
type breaker struct {
	name string

	mu        sync.Mutex
	state     circuit.State
	listeners []func()
	taken     bool // the permit
	busy      int  // times that the permit was asked for and taken
	decisions []bool
}

type probe struct {
	c              *breaker
	called, failed bool
}

func newBreaker(name string, state circuit.State) *breaker { return &breaker{name: name, state: state} }

func (c *breaker) Name() string { return c.name }

func (c *breaker) Status() circuit.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return circuit.Status{State: c.state, Reason: "it does not answer"}
}

func (c *breaker) OnChange(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, f)
}

func (c *breaker) set(state circuit.State) {
	c.mu.Lock()
	c.state = state
	listeners := c.listeners
	c.mu.Unlock()
	for _, f := range listeners {
		f()
	}
}

func (c *breaker) Probe() (circuit.Probe, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != circuit.HalfOpen {
		return nil, false
	}
	if c.taken {
		c.busy++
		return nil, false
	}
	c.taken = true
	return &probe{c: c}, true
}

// Unreadable opens it, as any failure does.
func (c *breaker) Unreadable(context.Context, string) { c.set(circuit.Open) }

func (p *probe) End() (decided bool) {
	c := p.c
	c.mu.Lock()
	c.taken = false
	c.decisions = append(c.decisions, p.called)
	called, failed := p.called, p.failed
	c.mu.Unlock()
	switch {
	case failed:
		c.set(circuit.Open)
	case called:
		c.set(circuit.Closed)
	}
	return called
}

func (c *breaker) refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}

// request is a call of the downstream, which answers or fails.
func (c *breaker) request(ctx context.Context, answers bool) error {
	c.mu.Lock()
	state := c.state
	var mine *probe
	for _, p := range circuit.Probes(ctx) {
		if p, ok := p.(*probe); ok && p.c == c {
			mine = p
		}
	}
	if mine != nil {
		mine.called, mine.failed = true, mine.failed || !answers
	}
	c.mu.Unlock()
	switch {
	case mine == nil && state != circuit.Closed:
		return event.NotDone(&event.Deferral{Reason: "the circuit of " + c.name + " is " + state.String(), Downstream: c.name})
	case answers:
		return nil
	}
	if mine == nil {
		c.set(circuit.Open)
	}
	return &event.Error{Class: event.Unavailable, Downstream: c.name, Err: fmt.Errorf("%s answered 503", c.name)}
}
