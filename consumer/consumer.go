// Package consumer takes deliveries from RabbitMQ, has them handled, and settles each one: it alone turns what a handler
// says into an acknowledgement, a retry, a dead letter or a requeued message. It knows AMQP, and nothing of what the
// events mean.
//
// A session is one pair of connections, one to consume and one to publish. In each session a consumer has a link: an AMQP
// channel with an intake (subscriptions, prefetch, byte budget), a dispatcher (backlog, slots) and an acker (tags,
// acknowledgements). The gate keeps the causes for which a consumer is paused. decide is the table of outcomes. The states of
// a delivery are written down in message.go.
package consumer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// Handler does what one event asks for.
//
// It may be called again with the same event at any time: after a crash, a lost connection, a failure of another event of
// the same message. It is called for several events at once. When ctx ends (Limits.HandlerTimeout without progress, or the end
// of a drain) it must return soon. A nil error settles the message for good. An error is retried or dead-lettered by its
// class (event.ClassOf); an *event.Deferral is deferred and uses no attempt. A panic is an event.Internal error.
type Handler interface {
	Handle(ctx context.Context, e event.Event) (event.Outcome, error)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, e event.Event) (event.Outcome, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	return f(ctx, e)
}

// Consumer is one queue and what is done with its messages.
type Consumer struct {
	Name   string   // the queue is <prefix>.<name>
	Topics []string // the first one is the topic of a message that came without
	Needs  []string // names of the circuits without which its messages can't be handled
	// Kind says what its events are about, whatever the topics are called: which forms of a body are understood hangs on it.
	// The zero value leaves it open.
	Kind    event.Kind
	Handler Handler // exactly one of Handler and Batch is set
	Batch   *Batch
	// Limits that are zero are those of Options. Of a batch consumer Concurrency is the Batch's number of workers, and Prefetch is at least
	// so much that a call is gathered while others run.
	Limits Limits
	// DeadLettered, where it is set, is told of each event of a dead-lettered message that has failed, with its error, once
	// the letter is stored. It is called before the delivery is acknowledged and must return at once. Of a message that was
	// not handled for the last time, because processes have died over it or its body is no event, it is told nothing.
	DeadLettered func(ctx context.Context, e event.Event, err error)
}

// Limits bound what one consumer does at once and for how long.
type Limits struct {
	Prefetch       int           // unacknowledged deliveries
	Concurrency    int           // handlers at once
	HandlerTimeout time.Duration // for one attempt without progress
}

// or returns the limits, with those of o where they are zero.
func (l Limits) or(o Limits) Limits {
	return Limits{
		Prefetch:       cmp.Or(l.Prefetch, o.Prefetch),
		Concurrency:    cmp.Or(l.Concurrency, o.Concurrency),
		HandlerTimeout: cmp.Or(l.HandlerTimeout, o.HandlerTimeout),
	}
}

// Suspects remembers, beyond the death of a process, which messages it was handling. An error is an event's: a *Deferral
// where the message, or Postgres, is to be waited for.
type Suspects interface {
	// Enter notes that this process is about to handle a message that may have killed another one. suspect is true if one
	// has died over it; deaths is how many have died since while they handled it with nothing else in flight.
	Enter(ctx context.Context, consumer, message string) (suspect bool, deaths int, err error)
	// Alone notes that the message is handled now with nothing else in flight.
	Alone(ctx context.Context, consumer, message string) error
	// Defer notes that the message waits in a queue again. It is as much a suspect as before.
	Defer(ctx context.Context, consumer, message string) error
	// Strike takes the message out: its handling has ended, and this process lives.
	Strike(ctx context.Context, consumer, message string) error
}

// Options set up a Runtime. What is left at its zero value, but for the broker and the consumers, is as mageline itself has
// it by default.
type Options struct {
	Broker    rabbitmq.Options
	Exchange  string
	Prefix    string // of queue names
	QueueType string // rabbitmq.Quorum or rabbitmq.Classic
	Consumers []Consumer
	Circuits  []circuit.Breaker
	// Database is asked until it succeeds before anything is consumed, and again whenever a handler finds Postgres away:
	// it connects, migrates where that is wanted, and answers nil when the ledger can be used. nil: nothing is asked.
	Database func(ctx context.Context) error
	// Suspects finds the messages that kill whatever process handles them. nil: nobody looks for them.
	Suspects Suspects

	Limits                          // of each consumer that has none of its own
	RetryDelays     []time.Duration // waits between attempts
	Lease           time.Duration   // of the claims that handlers have; the process ends before one that hangs outlives it
	MemoryLimit     int64           // bytes of bodies that are held at once; each consumer has an equal share
	ShutdownTimeout time.Duration   // for handlers to finish once the context of Run ends
	ProbeEvery      time.Duration   // how often a consumer whose credential was refused tries again
	LookEvery       time.Duration   // how often the topology is declared again; up to a tenth less
	// Bound returns the topics with which a queue is bound to Exchange, which AMQP can't be asked for. nil: it is not known.
	Bound func(ctx context.Context, queue string) (topics []string, err error)

	Host, Version string // for dead letters
	Log           zerolog.Logger
	// Registerer takes the metrics. nil: they are kept nowhere.
	Registerer prometheus.Registerer
	// TracerProvider makes the span of each handling. nil: there is none; the trace context of a message is passed on anyway.
	TracerProvider trace.TracerProvider
}

func (o *Options) setDefaults() {
	if o.Database == nil {
		o.Database = func(context.Context) error { return nil }
	}
	if len(o.RetryDelays) == 0 {
		o.RetryDelays = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	o.Exchange = cmp.Or(o.Exchange, "magento")
	o.Prefix = cmp.Or(o.Prefix, "mageline")
	o.Limits = o.or(Limits{Prefetch: 64, Concurrency: 16, HandlerTimeout: time.Minute})
	longest := o.HandlerTimeout
	o.Consumers = slices.Clone(o.Consumers)
	for i := range o.Consumers {
		c := &o.Consumers[i]
		c.Limits = c.Limits.or(o.Limits)
		if b := c.Batch; b != nil {
			c.Limits.Concurrency = cmp.Or(b.Workers, b.Concurrency)
			c.Limits.Prefetch = b.unacknowledged(c.Limits.Prefetch)
		}
		longest = max(longest, c.Limits.HandlerTimeout)
	}
	o.Lease = cmp.Or(o.Lease, longest+30*time.Second)
	o.MemoryLimit = cmp.Or(o.MemoryLimit, 256<<20)
	o.ShutdownTimeout = cmp.Or(o.ShutdownTimeout, 25*time.Second)
	o.ProbeEvery = cmp.Or(o.ProbeEvery, 30*time.Second)
	o.LookEvery = cmp.Or(o.LookEvery, time.Minute)
}

// Topology is what the runtime declares.
func (o *Options) Topology() rabbitmq.Topology {
	t := rabbitmq.Topology{Exchange: o.Exchange, Prefix: o.Prefix, Type: o.QueueType, Delays: o.RetryDelays}
	for _, c := range o.Consumers {
		t.Consumers = append(t.Consumers, rabbitmq.ConsumerQueue{Consumer: c.Name, Topics: c.Topics})
	}
	return t
}
