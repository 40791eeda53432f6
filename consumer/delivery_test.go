package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func TestConsumer_AcknowledgesASuccess(t *testing.T) {
	t.Parallel()
	var got seen
	contexts := make(chan context.Context, 1)
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		contexts <- ctx
		return event.Done, nil
	})
	r.start()
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	p := kit.Publishing([]byte(`"{\"n\":1}"`)) // a topic of type string
	p.Timestamp = at
	// None of these but the trace are believed: Magento's exchange is everybody's.
	p.Headers = amqp.Table{
		"traceparent":           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		rabbitmq.HeaderAttempts: int64(99), rabbitmq.HeaderTopic: "customer.saved", rabbitmq.HeaderReplayedAt: "2026-11-23T10:00:00Z",
		rabbitmq.HeaderReconciledAt: "2026-11-23T10:00:00Z",
	}
	r.via("sales.order.updated", p)
	r.outcomes(map[string]int{"acked": 1})
	e := got.all()[0]
	if e.ID != p.MessageId || e.Topic != "sales.order.updated" || string(e.Body) != `{"n":1}` || e.Attempt != 1 || !e.Published.Equal(at) {
		t.Errorf("event %+v with body %s", e, e.Body)
	}
	if e.Repeat || e.Replayed || e.Reconciled {
		t.Errorf("a first delivery is a repetition: %+v", e)
	}
	ctx := <-contexts
	if id := trace.SpanContextFromContext(ctx).TraceID().String(); id != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("trace %s", id)
	}
	if id := event.Message(ctx); id != rabbitmq.ID("sales.order.updated", p.MessageId, p.Body) {
		t.Errorf("message id %s", id)
	}
	if r.Depth(r.Queue(orders)) != 0 || r.Depth(r.DeadLetters(orders)) != 0 {
		t.Error("something is left in a queue")
	}
	if n := r.count("mageline_handler_duration_seconds", "consumer", orders); n != 1 {
		t.Errorf("%d handlings were measured", n)
	}
	if n := r.count("mageline_event_age_seconds", "consumer", orders, "source", "timestamp"); n != 1 {
		t.Errorf("%d ages were measured", n)
	}
	if n := r.count("mageline_in_flight", "consumer", orders); n != 0 {
		t.Errorf("%d in flight", n)
	}
	if err := r.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestConsumer_CountsOutcomes(t *testing.T) {
	t.Parallel()
	all := []event.Outcome{event.Done, event.Duplicate, event.Skipped, event.Stale}
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) { return all[number(e)], nil })
	r.start()
	for n := range all {
		r.Publish(placed, numbered(n))
	}
	r.outcomes(map[string]int{"acked": 1, "duplicate": 1, "skipped": 1, "stale": 1})
}

// What is put straight into the queue has no topic but the consumer's first, or that of the header.
func TestConsumer_BelievesHeadersOfTheDefaultExchangeOnly(t *testing.T) {
	t.Parallel()
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) { got.add(e); return event.Done, nil })
	r.start()
	r.Send(r.Queue(orders), kit.Publishing([]byte(numbered(1))))
	r.outcomes(map[string]int{"acked": 1})
	p := kit.Publishing([]byte(numbered(2)))
	p.Headers = amqp.Table{
		rabbitmq.HeaderTopic: "sales.order.updated", rabbitmq.HeaderAttempts: int32(1), rabbitmq.HeaderReplayedAt: "2026-11-23T10:00:00Z",
	}
	r.Send(r.Queue(orders), p)
	r.outcomes(map[string]int{"acked": 2})
	p = kit.Publishing([]byte(numbered(3)))
	p.Headers = amqp.Table{rabbitmq.HeaderReconciledAt: "2026-11-23T10:00:00Z"}
	r.Send(r.Queue(orders), p)
	r.outcomes(map[string]int{"acked": 3})
	if e := got.all()[0]; e.Topic != placed || e.Attempt != 1 || e.Repeat {
		t.Errorf("without headers: %+v", e)
	}
	if e := got.all()[1]; e.Topic != "sales.order.updated" || e.Attempt != 2 || !e.Repeat || !e.Replayed || e.Reconciled {
		t.Errorf("with headers: %+v", e)
	}
	if e := got.all()[2]; e.Attempt != 1 || e.Repeat || e.Replayed || !e.Reconciled {
		t.Errorf("sent by reconcile: %+v", e)
	}
}

func TestPublisher_SendsToAQueue(t *testing.T) {
	t.Parallel()
	var got seen
	traces := make(chan trace.TraceID, 10)
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		traces <- trace.SpanContextFromContext(ctx).TraceID()
		got.add(e)
		return event.Done, nil
	})
	var deferral *event.Deferral
	if err := r.runtime(r.opts).Publisher().Send(t.Context(), orders, placed, nil); !errors.As(err, &deferral) {
		t.Errorf("without a connection: %v", err)
	}
	r.opts.Registerer = nil // the first runtime has the metrics
	r.start()
	traced := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	if err := r.Publisher().Send(traced, orders, "sales.order.updated", []byte(numbered(1))); err != nil {
		t.Fatal(err)
	}
	if err := r.Publisher().Send(t.Context(), "missing", placed, []byte(numbered(1))); !errors.Is(err, rabbitmq.ErrReturned) {
		t.Errorf("to a consumer without a queue: %v", err)
	}
	r.eventually("it is handled", func() bool { return len(got.all()) == 1 })
	if e := got.all()[0]; e.Topic != "sales.order.updated" || number(e) != 1 || e.Published.IsZero() {
		t.Errorf("event %+v", e)
	}
	if id := <-traces; id != (trace.TraceID{1}) {
		t.Errorf("trace %s", id)
	}
}

// A transient failure waits in the retry queues, and the second topic of the consumer survives there.
func TestRetry_UsesTheDelaysInTurn(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			retried(t, queueType)
		})
	}
}

func retried(t *testing.T, queueType string) {
	t.Helper()
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if got.add(e) < 3 {
			return "", event.Errorf(event.NotFound, "the order is not there yet")
		}
		return event.Done, nil
	})
	r.opts.QueueType = queueType
	r.start()
	id := r.Publish("sales.order.updated", numbered(1))
	r.outcomes(map[string]int{"retried": 2, "acked": 1})
	for i, e := range got.all() {
		if e.Attempt != i+1 || e.Topic != "sales.order.updated" || e.ID != id || string(e.Body) != numbered(1) || e.Repeat != (i > 0) {
			t.Errorf("attempt %d: %+v", i+1, e)
		}
	}
	if n := r.Depth(r.DeadLetters(orders)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

func TestRetry_KeepsHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		return "", event.WithKey(event.Errorf(event.NotFound, "not there"), "000000123")
	})
	r.opts.RetryDelays = []time.Duration{away}
	r.start()
	p := kit.Publishing([]byte(numbered(1)))
	p.Headers = amqp.Table{"theirs": "kept", rabbitmq.HeaderKey: "not ours"}
	r.via(placed, p)
	d := r.take(r.RetryQueue(away))
	if d.RoutingKey != r.Queue(orders) || d.MessageId != p.MessageId || string(d.Body) != numbered(1) || d.DeliveryMode != amqp.Persistent {
		t.Errorf("%+v", d)
	}
	first := rabbitmq.Text(d.Headers, rabbitmq.HeaderFirstFailedAt)
	if _, err := time.Parse(time.RFC3339, first); err != nil {
		t.Error(err)
	}
	want := amqp.Table{"theirs": "kept", rabbitmq.HeaderTopic: placed, rabbitmq.HeaderAttempts: int64(1), rabbitmq.HeaderFirstFailedAt: first}
	if fmt.Sprint(d.Headers) != fmt.Sprint(want) {
		t.Errorf("headers %v, want %v", d.Headers, want)
	}
}

func TestRetry_DeadLettersWhenAttemptsAreUsedUp(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 2000)
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		return "", event.WithKey(event.Errorf(event.NotFound, "order 000000123 is not there: %s", long), "000000123")
	})
	r.start()
	before := time.Now().Truncate(time.Second)
	id := r.Publish("sales.order.updated", numbered(1))
	d := r.take(r.DeadLetters(orders))
	r.outcomes(map[string]int{"retried": 2, "dead_lettered": 1})
	if n := len(got.all()); n != 3 {
		t.Errorf("%d attempts, want one more than delays", n)
	}
	if d.MessageId != id || string(d.Body) != numbered(1) {
		t.Errorf("the letter has message id %s, body %s", d.MessageId, d.Body)
	}
	first, failed := rabbitmq.Text(d.Headers, rabbitmq.HeaderFirstFailedAt), rabbitmq.Text(d.Headers, rabbitmq.HeaderFailedAt)
	firstAt, err := time.Parse(time.RFC3339, first)
	failedAt, err2 := time.Parse(time.RFC3339, failed)
	if err := errors.Join(err, err2); err != nil {
		t.Error(err)
	}
	if firstAt.Before(before) || !strings.HasSuffix(first, "Z") || failedAt.Before(firstAt) || !strings.HasSuffix(failed, "Z") {
		t.Errorf("failed first at %s, last at %s", first, failed)
	}
	text := rabbitmq.Text(d.Headers, rabbitmq.HeaderError)
	if !strings.HasPrefix(text, "order 000000123 is not there") || len(text) > 2048 || len(text) < 2000 {
		t.Errorf("error of %d bytes: %.60s", len(text), text)
	}
	want := amqp.Table{
		rabbitmq.HeaderQueue: r.Queue(orders), rabbitmq.HeaderTopic: "sales.order.updated", rabbitmq.HeaderKey: "000000123",
		rabbitmq.HeaderReason: "exhausted", rabbitmq.HeaderErrorClass: "not_found", rabbitmq.HeaderError: text, rabbitmq.HeaderAttempts: int64(3),
		rabbitmq.HeaderFirstFailedAt: first, rabbitmq.HeaderFailedAt: failed, rabbitmq.HeaderHost: "host-1", rabbitmq.HeaderVersion: "v1.2.3",
	}
	if fmt.Sprint(d.Headers) != fmt.Sprint(want) {
		t.Errorf("headers\n%v\nwant\n%v", d.Headers, want)
	}
}

// Poison goes to the dead letters at its first attempt and delays nobody.
func TestPoison_IsDeadLetteredAtOnce(t *testing.T) {
	t.Parallel()
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		switch number(e) {
		case 1:
			return "", event.Errorf(event.Invalid, "names no order")
		case 2:
			return "", fmt.Errorf("create: %w", event.Errorf(event.Rejected, "the ERP says no"))
		}
		return event.Done, nil
	})
	r.start()
	tests := []struct{ body, class string }{
		{"no JSON", "malformed"}, {"", "malformed"}, {"[]", "malformed"}, {"\xff", "malformed"}, {numbered(1), "invalid"}, {numbered(2), "rejected"},
	}
	for i, tt := range tests {
		r.Publish(placed, numbered(10+i))
		r.Publish(placed, tt.body)
		d := r.take(r.DeadLetters(orders))
		if string(d.Body) != tt.body || rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass) != tt.class ||
			rabbitmq.Text(d.Headers, rabbitmq.HeaderReason) != "poison" || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) != 1 {
			t.Errorf("%q: letter %q with headers %v", tt.body, d.Body, d.Headers)
		}
		if _, ok := d.Headers[rabbitmq.HeaderKey]; ok {
			t.Errorf("%q: a key that is not known: %v", tt.body, d.Headers)
		}
	}
	r.outcomes(map[string]int{"dead_lettered": len(tests), "acked": len(tests)})
	for _, e := range got.all() {
		if e.Attempt != 1 {
			t.Errorf("%s was tried again", e.Body)
		}
	}
}

// All events of an array are tried; a transient failure of one beats poison, and poison beats success.
func TestConsumer_HandlesEachEventOfAnArray(t *testing.T) {
	t.Parallel()
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		switch n := number(e); {
		case n == 2 && e.Attempt == 1:
			return "", event.Errorf(event.Unavailable, "no answer")
		case n == 3:
			return "", event.Errorf(event.Rejected, "no")
		}
		return event.Done, nil
	})
	r.start()
	const body = `[{"n":1},"no JSON",{"n":2},{"n":3},{"n":4}]`
	r.Publish(placed, body)
	d := r.take(r.DeadLetters(orders))
	if string(d.Body) != body || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) != 2 || rabbitmq.Text(d.Headers, rabbitmq.HeaderReason) != "poison" {
		t.Errorf("letter %s with headers %v", d.Body, d.Headers)
	}
	if want := "[1 2 3 4 1 2 3 4]"; fmt.Sprint(got.numbers()) != want {
		t.Errorf("handled %v, want %s", got.numbers(), want)
	}
	r.Publish(placed, `[{"n":5},{"n":6}]`)
	r.outcomes(map[string]int{"retried": 1, "dead_lettered": 1, "acked": 1})
}

func TestConsumer_RetriesAPanic(t *testing.T) {
	t.Parallel()
	const secret = "jane@example.com"
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if number(e) == 1 {
			panic("can't handle " + secret)
		}
		return event.Done, nil
	})
	r.opts.RetryDelays = r.opts.RetryDelays[:1]
	r.start()
	r.Publish(placed, numbered(1))
	d := r.take(r.DeadLetters(orders))
	r.Publish(placed, numbered(2))
	r.outcomes(map[string]int{"retried": 1, "dead_lettered": 1, "acked": 1})
	if class := rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass); class != "internal" {
		t.Errorf("class %s", class)
	}
	if text := rabbitmq.Text(d.Headers, rabbitmq.HeaderError); !strings.Contains(text, "panicked") || strings.Contains(text, secret) {
		t.Errorf("error %q", text)
	}
	if !r.log.Has("handler_panicked", "stack", "delivery_test.go") || strings.Contains(r.log.String(), secret) {
		t.Error("the log must have the stack, and not what the panic says")
	}
}

// Of a key that another handling has nobody need hear: it comes again and again while that goes on.
func TestDeferral_SaysNothingOfAKeyInProgress(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"in progress elsewhere": true, "for another reason": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got seen
			r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
				if got.add(e) < 3 {
					return "", event.WithKey(&event.Deferral{Reason: "some reason", Busy: busy}, "000000123")
				}
				return event.Done, nil
			})
			r.opts.Log = r.opts.Log.Level(zerolog.InfoLevel)
			r.start()
			r.Send(r.Queue(orders), kit.Publishing([]byte(numbered(1))))
			r.outcomes(map[string]int{"deferred": 2, "acked": 1})
			if said := r.log.Has("delivery_deferred"); said == busy {
				t.Errorf("a line at info: %v", said)
			}
		})
	}
}

// A deferral uses no attempt and goes to the retry queue that it asks for.
func TestDeferral_UsesNoAttempt(t *testing.T) {
	t.Parallel()
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if got.add(e) < 3 {
			return "", event.WithKey(&event.Deferral{Reason: "another has it"}, "000000123")
		}
		return "", event.WithKey(&event.Deferral{Reason: "it waits", Wait: time.Minute, Pick: event.NotShorter}, "000000123")
	})
	r.opts.RetryDelays = []time.Duration{away, 200 * time.Millisecond, 10 * time.Second}
	r.start()
	p := kit.Publishing([]byte(numbered(1)))
	p.Headers = amqp.Table{rabbitmq.HeaderAttempts: int64(2), rabbitmq.HeaderFirstFailedAt: "2026-11-23T10:00:00Z"}
	r.Send(r.Queue(orders), p)
	d := r.take(r.RetryQueue(away))
	r.outcomes(map[string]int{"deferred": 3})
	for _, e := range got.all() {
		if e.Attempt != 3 {
			t.Errorf("attempt %d", e.Attempt)
		}
	}
	want := amqp.Table{
		rabbitmq.HeaderTopic: placed, rabbitmq.HeaderAttempts: int64(2), rabbitmq.HeaderFirstFailedAt: "2026-11-23T10:00:00Z",
		rabbitmq.HeaderDeferred: "true",
	}
	if fmt.Sprint(d.Headers) != fmt.Sprint(want) {
		t.Errorf("headers %v, want %v", d.Headers, want)
	}
}

// What was deferred may have had an effect all the same: whoever handles it again is told, though no attempt was counted.
func TestDeferral_MakesTheNextHandlingARepeat(t *testing.T) {
	t.Parallel()
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		switch got.add(e) {
		case 1:
			return "", &event.Deferral{Reason: "Postgres is away"}
		case 2:
			return "", event.Errorf(event.Unavailable, "down")
		}
		return "", event.Errorf(event.Invalid, "no order")
	})
	r.opts.RetryDelays = []time.Duration{200 * time.Millisecond}
	r.start()
	r.Publish(placed, numbered(1))
	d := r.take(r.DeadLetters(orders))
	for i, e := range got.all() {
		if want := i > 0; e.Repeat != want || e.Attempt != max(1, i) {
			t.Errorf("handling %d: repeat %v at attempt %d", i+1, e.Repeat, e.Attempt)
		}
	}
	if d.Headers[rabbitmq.HeaderDeferred] != nil {
		t.Errorf("the dead letter says %v", d.Headers)
	}
}

func TestThrottled_UsesNoAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		return "", &event.Error{Class: event.Throttled, RetryAfter: time.Minute, Err: errors.New("429")}
	})
	r.opts.RetryDelays = []time.Duration{200 * time.Millisecond, away}
	r.start()
	r.Publish(placed, numbered(1))
	d := r.take(r.RetryQueue(away))
	r.outcomes(map[string]int{"deferred": 1})
	if _, counted := d.Headers[rabbitmq.HeaderAttempts]; counted {
		t.Errorf("headers %v", d.Headers)
	}
}

func TestHandlerTimeout_IsRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(ctx context.Context, _ event.Event) (event.Outcome, error) {
		<-ctx.Done()
		return "", fmt.Errorf("create the order: %w", ctx.Err())
	})
	r.opts.HandlerTimeout = 50 * time.Millisecond
	r.start()
	r.Publish(placed, numbered(1))
	d := r.take(r.DeadLetters(orders))
	if class, text := rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass), rabbitmq.Text(d.Headers, rabbitmq.HeaderError); class != "timeout" ||
		!strings.Contains(text, "handler timeout") || !strings.Contains(text, "create the order") {
		t.Errorf("class %s, error %s", class, text)
	}
	r.outcomes(map[string]int{"retried": 2, "dead_lettered": 1})
}

// A number of attempts that nobody can have made ends the message, not the process.
func TestRetry_BoundsAnAbsurdNumberOfAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		return "", event.Errorf(event.NotFound, "not there")
	})
	r.start()
	for _, attempts := range []any{int64(math.MaxInt64), int64(1_000), int64(math.MinInt64), "3", []byte{1}, -7.5} {
		p := kit.Publishing([]byte(numbered(1)))
		p.Headers = amqp.Table{rabbitmq.HeaderAttempts: attempts}
		r.Send(r.Queue(orders), p)
		d := r.take(r.DeadLetters(orders))
		if reason := rabbitmq.Text(d.Headers, rabbitmq.HeaderReason); reason != "exhausted" || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) < 3 {
			t.Errorf("%v: headers %v", attempts, d.Headers)
		}
	}
}

// Who wants to know is told of the events that failed, not of those that were done, and only once the letter is there.
func TestDeadLettered_IsToldOfEachFailedEvent(t *testing.T) {
	t.Parallel()
	type told struct {
		number  int
		class   event.Class
		letters int
	}
	tell := make(chan told, 100)
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		switch number(e) {
		case 1:
			return event.Done, nil
		case 2:
			return "", event.Errorf(event.Rejected, "no")
		case 3:
			return "", event.Errorf(event.Unavailable, "away")
		default:
			return "", &event.Deferral{Reason: "later"}
		}
	})
	r.opts.Consumers[0].DeadLettered = func(_ context.Context, e event.Event, err error) {
		n := 0
		r.eventually("the letter is there", func() bool { n = r.Depth(r.DeadLetters(orders)); return n > 0 })
		tell <- told{number(e), event.ClassOf(err), n}
	}
	r.start()
	r.Publish(placed, `[`+numbered(1)+`,`+numbered(2)+`,`+numbered(2)+`]`)
	r.Publish(placed, `not JSON`)
	r.outcomes(map[string]int{"dead_lettered": 2})
	for range 2 {
		if got := <-tell; got.number != 2 || got.class != event.Rejected || got.letters == 0 {
			t.Errorf("told %+v", got)
		}
	}
	r.Publish(placed, numbered(3))
	r.outcomes(map[string]int{"dead_lettered": 3, "retried": 2})
	if got := <-tell; got.number != 3 || got.class != event.Unavailable {
		t.Errorf("told %+v", got)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if len(tell) > 0 {
		t.Errorf("told %d more", len(tell))
	}
}
