package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// delivery is a message on its way through a line, and what was decided of it.
type delivery struct {
	amqp.Delivery
	idOnce       sync.Once // the hash of a body is taken only when somebody asks
	idText       string
	consumer     string
	topic        string
	attempt      int           // of the handling that is under way; counts from 1
	subscription *subscription // that brought it; nil if it was fetched

	entered bool // among those that may have killed a process
	suspect bool // one has died over it
	deaths  int  // while it was handled alone

	isProbe     bool
	probedOn    *amqp.Channel // the channel of a probe
	probedAlone bool          // which nothing else is on: it is closed with the probe
	probes      []circuit.Probe

	first   []byte // body of the first event
	failed  []failure
	outcome event.Outcome
	err     error
	verdict verdict
	nack    bool
	reject  bool      // the broker is to dead-letter it by itself
	behind  time.Time // since when its acknowledgement waits for an open delivery below it
}

// failure is an event that could not be handled.
type failure struct {
	event event.Event
	err   error
}

// maxAttempts bounds what x-mageline-attempts is believed to say, far above what RETRY_DELAYS can ask for.
const maxAttempts = 1_000_000

// open takes a delivery of s in; s is nil where it was fetched, on a channel of its own. It is called with mu held.
func (l *line) open(d amqp.Delivery, s *subscription) *delivery {
	if s != nil {
		l.tags.arrive(d.DeliveryTag)
	}
	l.memory.take(d.Body)
	l.count(s, 1)
	o := &delivery{Delivery: d, consumer: l.consumer.Name, attempt: 1, subscription: s}
	o.topic = rabbitmq.Topic(&o.Delivery, l.consumer.Topics[0])
	if rabbitmq.Believed(&o.Delivery) {
		// Whoever can publish to a queue can write any number.
		o.attempt = 1 + int(min(max(0, rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts)), maxAttempts))
	}
	return o
}

// id is the same for each delivery of the message.
func (d *delivery) id() string {
	d.idOnce.Do(func() { d.idText = rabbitmq.ID(d.topic, d.MessageId, d.Body) })
	return d.idText
}

// Run adds what tells a delivery apart to each line that is logged of it, and costs nothing where none is.
func (d *delivery) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str("consumer", d.consumer).Str("id", d.id()).Str("message_id", d.MessageId).Str("topic", d.topic).Int("attempt", d.attempt)
}

// has reports whether d came with a header of ours.
func (d *delivery) has(header string) bool {
	return rabbitmq.Believed(&d.Delivery) && rabbitmq.Text(d.Headers, header) != ""
}

// counted is the outcome under which the delivery is counted.
func (d *delivery) counted() string {
	switch {
	case d.nack:
		return outcomeRequeued
	case d.verdict.action == retry:
		return outcomeRetried
	case d.verdict.action == putOff:
		return outcomeDeferred
	case d.verdict.action == deadLetter:
		return outcomeDeadLettered
	default:
		return string(d.outcome)
	}
}

var asConsumer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}

// handle has the events of d handled, and decides what becomes of it.
func (l *line) handle(d *delivery) {
	log := l.r.opts.Log.Hook(d)
	ctx := log.WithContext(l.r.work)
	if len(d.probes) > 0 {
		ctx = circuit.WithProbes(ctx, d.probes...)
	}
	ctx = propagation.TraceContext{}.Extract(ctx, carrier(d.Headers))
	ctx, span := l.r.tracer.Start(ctx, l.span, asConsumer...)
	defer span.End()
	l.r.together.RLock() // before the clock starts: while a suspect is handled alone, everybody waits
	watch := &hanging{pump: l.pump, d: d, began: time.Now()}
	ctx, c := withTimeout(ctx, l.consumer.Limits.HandlerTimeout, l.r.opts.Lease, watch)
	ctx = event.WithHandling(ctx, event.Handling{
		Message: d.id, Clock: c, TakeOver: func(ctx context.Context) error { return l.takeOver(ctx, d) },
	})
	defer watch.returned()
	defer c.stop()

	l.metrics.inFlight.Inc()
	began := time.Now()
	d.outcome, d.err = l.attempt(ctx, d)
	l.metrics.duration.Observe(time.Since(began).Seconds())
	l.metrics.inFlight.Dec()

	d.err = withCause(ctx, d.err)
	for i := range d.failed {
		d.failed[i].err = withCause(ctx, d.failed[i].err)
	}
	l.noteUnreadable(ctx, d.err)
	for _, p := range d.probes {
		p.End()
	}
	refusals, anew := l.refusals(d)
	d.verdict = decide(facts{
		err:            d.err,
		outcome:        d.outcome,
		attempt:        d.attempt,
		deaths:         d.deaths,
		delays:         l.r.opts.RetryDelays,
		circuitsClosed: l.r.gate.allClosed(l.consumer),
		refusals:       refusals,
		refusedAnew:    anew,
		cut:            l.r.work.Err() != nil,
	})
	if d.err == nil {
		l.succeeded(d)
		return
	}
	span.SetStatus(codes.Error, string(d.verdict.class))
	l.logFailure(&log, d)
}

// withCause adds to an error what has ended the context, which tells more than what the handler made of it.
func withCause(ctx context.Context, err error) error {
	if err == nil || event.ClassOf(err) == event.Timeout {
		return err
	}
	var timeout *event.Error
	if errors.As(context.Cause(ctx), &timeout) {
		return &event.Error{Class: event.Timeout, Err: fmt.Errorf("%w: %w", timeout, err)}
	}
	return err
}

func (l *line) handleEvents(ctx context.Context, d *delivery) (event.Outcome, error) {
	bodies, unreadable := l.decode(d.Body) // both, when some of an array can't be read
	e := event.Event{
		ID:         d.MessageId,
		Topic:      d.topic,
		Attempt:    d.attempt,
		Replayed:   d.has(rabbitmq.HeaderReplayedAt),
		Reconciled: d.has(rabbitmq.HeaderReconciledAt),
	}
	// A handling that was put off may have got as far as the downstream, with a row that a failover of Postgres has lost.
	e.Repeat = d.Redelivered || d.attempt > 1 || e.Replayed || d.has(rabbitmq.HeaderPutOff)
	e.Published, _ = published(&d.Delivery)
	outcomes := make([]event.Outcome, 0, len(bodies))
	errs := make([]error, 0, len(bodies)+1)
	for i, body := range bodies {
		if i > 0 {
			_ = event.Progress(ctx) // nothing has been claimed in between: no lease can be lost
		}
		e.Body = body
		outcome, err := l.handleEvent(ctx, e)
		errs = append(errs, err)
		if err == nil {
			outcomes = append(outcomes, outcome)
		} else if l.consumer.DeadLettered != nil {
			d.failed = append(d.failed, failure{e, err})
		}
	}
	if len(bodies) > 0 {
		d.first = bodies[0]
	}
	if err := foldErrors(append(errs, unreadable)); err != nil {
		return "", err
	}
	return foldOutcomes(outcomes), nil
}

// decode takes the events out of a body. Large ones take turns: while text in them is unquoted there are more copies of
// them than memory counts.
func (l *line) decode(body []byte) ([]json.RawMessage, error) {
	const large = 1 << 20
	if len(body) > large {
		l.r.decoding.Lock()
		defer l.r.decoding.Unlock()
	}
	return event.Decode(body, l.consumer.Kind)
}

func (l *line) handleEvent(ctx context.Context, e event.Event) (outcome event.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic may hold what was in the message; the stack holds none of it.
			zerolog.Ctx(ctx).Error().Str("event", "handler_panicked").Bytes("stack", debug.Stack()).Msg("a handler panicked")
			err = event.Errorf(event.Internal, "the handler of %s panicked (%T): see its stack in the log", l.consumer.Name, p)
		}
	}()
	return l.consumer.Handler.Handle(ctx, e)
}

// noteUnreadable has the circuit of a downstream count an answer that it took for a success, and that can't be read.
func (l *line) noteUnreadable(ctx context.Context, err error) {
	var e *event.Error
	if !errors.As(err, &e) || !e.Unreadable {
		return
	}
	for _, c := range l.r.opts.Circuits {
		if c.Name() == e.Downstream {
			c.Unreadable(ctx, e.Error())
		}
	}
}

// refusals gives how often the request of d that is refused as unauthorized now was refused in a row, and whether this time
// counts: it is the first, or others of this consumer have passed since the last. Where another request was refused before,
// that one has passed: it is a matter of chance.
func (l *line) refusals(d *delivery) (n int, anew bool) {
	if d.err == nil || event.ClassOf(d.err) != event.Unauthorized {
		return 0, false
	}
	if !rabbitmq.Believed(&d.Delivery) || rabbitmq.Text(d.Headers, rabbitmq.HeaderUnauthorizedFor) != refusedRequest(d.err) {
		return 1, true
	}
	n = int(min(max(0, rabbitmq.Int(d.Headers, rabbitmq.HeaderUnauthorized)), maxRefusals))
	at, err := time.Parse(time.RFC3339Nano, rabbitmq.Text(d.Headers, rabbitmq.HeaderUnauthorizedAt))
	if n == 0 || err == nil && l.lastSuccess.Load() > at.UnixNano() {
		return n + 1, true
	}
	return n, false
}

// refusedRequest names the request that err says was refused, and for which effect.
func refusedRequest(err error) string {
	var e *event.Error
	if errors.As(err, &e) {
		return rabbitmq.Bounded(strings.TrimSpace(event.EffectOf(err)+" "+e.Request), 200)
	}
	return ""
}

func (l *line) succeeded(d *delivery) {
	if d.outcome == event.Done {
		l.lastSuccess.Store(time.Now().UnixNano())
	}
	at, source := published(&d.Delivery)
	if source == "" {
		at, source = occurred(d.first)
	}
	if source != "" {
		l.r.metrics.age.WithLabelValues(l.consumer.Name, source).Observe(max(0, time.Since(at).Seconds()))
	}
}

func (l *line) logFailure(log *zerolog.Logger, d *delivery) {
	v := d.verdict
	cause := func(line *zerolog.Event) {
		if v.delay > 0 {
			line.Dur("retry_in", v.delay)
		}
		if v.class != "" {
			line.Str("class", string(v.class))
		}
		if key := event.KeyOf(d.err); key != "" {
			line.Str("key", key)
		}
		line.Err(d.err)
	}
	switch {
	case v.action == deadLetter:
		log.Error().Str("event", "delivery_dead_lettered").Str("reason", v.reason).
			Str("queue", l.r.topology.DeadLetterQueue(l.consumer.Name)).Func(cause).
			Msg("dead-lettered: see `mageline dlq show`; replay it when its cause is gone")
	case v.action == giveBack:
		log.Warn().Str("event", "delivery_requeued").Func(cause).Msg("requeued, mageline is stopping")
	case v.action == putOff && v.quiet:
		log.Debug().Str("event", "delivery_deferred").Func(cause).Msg("deferred, no attempt used: another handling has the key")
	case v.action == putOff:
		log.Info().Str("event", "delivery_deferred").Func(cause).Msg("deferred, no attempt used")
	default:
		log.Warn().Str("event", "delivery_retried").Func(cause).Msg("failed, tried again later")
	}
}

// carrier lets the trace context be read from and written to AMQP headers.
type carrier amqp.Table

func (c carrier) Get(key string) string { return rabbitmq.Text(amqp.Table(c), key) }
func (c carrier) Set(key, value string) { c[key] = value }
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
