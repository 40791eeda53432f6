package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
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

// handling is one attempt at a message while it is under way.
type handling struct {
	l   *link
	m   *message
	res result

	waiting atomic.Bool // without a slot, for another handling
	noSlot  bool        // it waited, and has no slot now; of the goroutine that waits
}

var asConsumer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}

// handle has the events of m handled, and decides what becomes of it. It reports whether the handling has ended with its slot.
func (l *link) handle(m *message) (res result, hasSlot bool) {
	h := &handling{l: l, m: m}
	log := l.r.opts.Log.Hook(m)
	ctx := log.WithContext(l.r.work)
	if m.probe != nil && len(m.probe.permits) > 0 {
		ctx = circuit.WithProbes(ctx, m.probe.permits...)
	}
	ctx = propagation.TraceContext{}.Extract(ctx, carrier(m.Headers))
	ctx, span := l.r.tracer.Start(ctx, l.span, asConsumer...)
	defer span.End()
	l.r.together.RLock() // before the clock starts: while a suspect is handled alone, everybody waits
	watch := &hanging{runner: l.runner, m: m, began: time.Now()}
	ctx, clock := withTimeout(ctx, l.consumer.Limits.HandlerTimeout, l.r.opts.Lease, watch)
	ctx = event.WithHandling(ctx, event.Handling{Message: m.id, Clock: clock, TakeOver: h.takeOver, WaitWithoutSlot: h.waitWithoutSlot})
	defer watch.returned()
	defer clock.stop()

	l.metrics.inFlight.Inc()
	began := time.Now()
	h.res.outcome, h.res.err = h.attempt(ctx)
	l.metrics.duration.Observe(time.Since(began).Seconds())
	l.metrics.inFlight.Dec()

	h.res.err = withCause(ctx, h.res.err)
	for i := range h.res.failed {
		h.res.failed[i].err = withCause(ctx, h.res.failed[i].err)
	}
	l.judge(ctx, m, &h.res)
	if h.res.err != nil {
		span.SetStatus(codes.Error, string(h.res.verdict.class))
	}
	return h.res, !h.noSlot
}

// judge decides what becomes of m, whose handling has ended with res; a probe ends with it. ctx is the handling's.
func (l *link) judge(ctx context.Context, m *message, res *result) {
	l.noteUnreadable(ctx, res.err)
	if m.probe != nil {
		for _, p := range m.probe.permits {
			p.End()
		}
	}
	l.resolve(m, res)
}

// resolve decides what becomes of m.
func (l *link) resolve(m *message, res *result) {
	refusals, fresh := l.refusals(m, res.err)
	res.verdict = decide(facts{
		err:            res.err,
		outcome:        res.outcome,
		attempt:        m.attempt,
		deaths:         res.deaths,
		delays:         l.r.opts.RetryDelays,
		circuitsClosed: l.r.gate.allClosed(l.consumer),
		refusals:       refusals,
		freshRefusal:   fresh,
		cut:            l.r.work.Err() != nil,
	})
	if res.err == nil {
		l.succeeded(m, res)
		return
	}
	l.logFailure(m, res)
}

// withCause adds to an error what has ended the context, which says more than what the handler made of it.
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

// handleEvents calls the handler with each event of the message.
func (h *handling) handleEvents(ctx context.Context) (event.Outcome, error) {
	bodies, unreadable := h.l.decode(h.m.Body) // both, when some of an array can't be read
	e := h.m.event()
	outcomes := make([]event.Outcome, 0, len(bodies))
	errs := make([]error, 0, len(bodies)+1)
	for i, body := range bodies {
		if i > 0 {
			_ = event.Progress(ctx) // nothing has been claimed in between: no lease can be lost
		}
		e.Body = body
		outcome, err := h.l.handleEvent(ctx, e)
		errs = append(errs, err)
		if err == nil {
			outcomes = append(outcomes, outcome)
		} else if h.l.consumer.DeadLettered != nil {
			h.res.failed = append(h.res.failed, failure{e, err})
		}
	}
	if len(bodies) > 0 {
		h.res.first = bodies[0]
	}
	if err := foldErrors(append(errs, unreadable)); err != nil {
		return "", err
	}
	return foldOutcomes(outcomes), nil
}

// decode takes the events out of a body. Large ones take turns: while text in them is unquoted there are more copies of
// them than the byte budget counts.
func (l *link) decode(body []byte) ([]json.RawMessage, error) {
	const large = 1 << 20
	if len(body) > large {
		l.r.decoding.Lock()
		defer l.r.decoding.Unlock()
	}
	return event.Decode(body, l.consumer.Kind)
}

func (l *link) handleEvent(ctx context.Context, e event.Event) (outcome event.Outcome, err error) {
	defer l.recovered(ctx, &err)
	return l.consumer.Handler.Handle(ctx, e)
}

// recovered makes an error of a panic of a handler. It is to be deferred.
func (l *link) recovered(ctx context.Context, err *error) {
	if p := recover(); p != nil {
		// The value of a panic may hold what was in the message; the stack holds none of it.
		zerolog.Ctx(ctx).Error().Str("event", "handler_panicked").Bytes("stack", debug.Stack()).Msg("a handler panicked")
		*err = event.Errorf(event.Internal, "the handler of %s panicked (%T): see its stack in the log", l.consumer.Name, p)
	}
}

// noteUnreadable has the circuit of a downstream count an answer that it took for a success, and that can't be read.
func (l *link) noteUnreadable(ctx context.Context, err error) {
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

// refusals returns how often the request of m that err says is refused as unauthorized was refused in a row, and whether this
// refusal counts: it is the first, or others of this consumer have passed since the last. If another request was refused
// before, that one has passed: it is a matter of chance.
func (l *link) refusals(m *message, err error) (n int, fresh bool) {
	if err == nil || event.ClassOf(err) != event.Unauthorized {
		return 0, false
	}
	if !rabbitmq.Trusted(&m.Delivery) || rabbitmq.Text(m.Headers, rabbitmq.HeaderUnauthorizedFor) != refusedRequest(err) {
		return 1, true
	}
	n = int(min(max(0, rabbitmq.Int(m.Headers, rabbitmq.HeaderUnauthorized)), maxRefusals))
	at, parseErr := time.Parse(time.RFC3339Nano, rabbitmq.Text(m.Headers, rabbitmq.HeaderUnauthorizedAt))
	if n == 0 || parseErr == nil && l.lastSuccess.Load() > at.UnixNano() {
		return n + 1, true
	}
	return n, false
}

// refusedRequest names the request that err says was refused, and for which effect.
func refusedRequest(err error) string {
	var e *event.Error
	if errors.As(err, &e) {
		return rabbitmq.Truncate(strings.TrimSpace(event.EffectOf(err)+" "+e.Request), 200)
	}
	return ""
}

func (l *link) succeeded(m *message, res *result) {
	if res.outcome == event.Done {
		l.lastSuccess.Store(time.Now().UnixNano())
	}
	at, source := published(&m.Delivery)
	if source == "" {
		at, source = occurred(res.first)
	}
	if source != "" {
		l.r.metrics.age.WithLabelValues(l.consumer.Name, source).Observe(max(0, time.Since(at).Seconds()))
	}
}

func (l *link) logFailure(m *message, res *result) {
	log := l.r.opts.Log.Hook(m)
	v, err := res.verdict, res.err
	cause := func(line *zerolog.Event) {
		if v.delay > 0 {
			line.Dur("retry_in", v.delay)
		}
		if v.class != "" {
			line.Str("class", string(v.class))
		}
		if key := event.KeyOf(err); key != "" {
			line.Str("key", key)
		}
		if v.action == deadLetter && res.letter != nil {
			line.Str("letter", rabbitmq.ID(m.topic, m.MessageId, res.letter))
		}
		line.Err(err)
	}
	switch {
	case v.action == deadLetter:
		log.Error().Str("event", "delivery_dead_lettered").Str("reason", v.reason).
			Str("queue", l.r.topology.DeadLetterQueue(l.consumer.Name)).Func(cause).
			Msg("dead-lettered: see the dead-letter queue; replay it when its cause is gone")
	case v.action == requeue:
		log.Warn().Str("event", "delivery_requeued").Func(cause).Msg("requeued, the process is stopping")
	case v.action == postpone && v.quiet:
		log.Debug().Str("event", "delivery_deferred").Func(cause).Msg("deferred, no attempt used: another handling has the key")
	case v.action == postpone:
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
