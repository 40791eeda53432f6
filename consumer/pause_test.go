package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// A refused credential pauses the consumer, which tries one message at a time; when one passes, what is still refused
// is refused for itself.
func TestUnauthorized_PausesTheConsumer(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if number(e) == 1 || !valid.Load() {
			return "", event.WithKey(event.Errorf(event.Unauthorized, "MAGENTO_TOKEN is refused"), "k")
		}
		return event.Done, nil
	})
	r.start()
	r.Publish(placed, numbered(1))
	if reason := r.consumerIs(orders, "paused"); !strings.Contains(reason, "MAGENTO_TOKEN") {
		t.Errorf("paused because %q", reason)
	}
	if !r.Status().Ready() {
		t.Error("a consumer that is paused for a reason is as ready as it can be")
	}
	for n := 2; n < 5; n++ {
		r.Publish(placed, numbered(n))
	}
	// More refusals than there are attempts use none up.
	r.eventually("each is tried many times", func() bool { return r.settled(orders, "deferred") > 12 })
	if n := r.settled(orders, "retried") + r.settled(orders, "dead_lettered") + r.settled(orders, "acked"); n > 0 {
		t.Errorf("%d deliveries ended otherwise", n)
	}
	valid.Store(true)
	r.eventually("the others pass", func() bool { return r.settled(orders, "acked") == 3 })
	// The one that is still refused, twice more and with another one done between, is refused for itself.
	for n := 5; r.Depth(r.DeadLetters(orders)) < 1; n++ {
		done := r.settled(orders, "acked")
		r.Publish(placed, numbered(n))
		r.eventually("another one passes", func() bool { return r.settled(orders, "acked") > done })
	}
	d := r.take(r.DeadLetters(orders))
	if rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass) != "rejected" || rabbitmq.Text(d.Headers, rabbitmq.HeaderReason) != "poison" ||
		rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) != 1 || string(d.Body) != numbered(1) {
		t.Errorf("letter %s with headers %v", d.Body, d.Headers)
	}
	r.Publish(placed, numbered(1000))
	r.consumerIs(orders, "subscribed")
	if n := r.settled(orders, "retried"); n > 0 || r.settled(orders, "dead_lettered") != 1 {
		t.Errorf("%d deliveries used an attempt", n)
	}
}

// What is refused at random passes when it is repeated: each refusal sends it to the next retry queue, and only the third, with
// something done between each two, shows that it is the message's own.
func TestUnauthorized_AtRandomIsDeadLetteredAfterThree(t *testing.T) {
	t.Parallel()
	var refusals atomic.Int64 // of the first message
	refusals.Store(2)
	var request atomic.Value
	request.Store("GET /a")
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if e.Attempt != 1 {
			t.Errorf("message %s uses attempt %d", e.Body, e.Attempt)
		}
		if number(e) == 1 && refusals.Add(-1) >= 0 {
			err := &event.Error{Class: event.Unauthorized, Request: request.Load().(string), Err: errors.New("refused")}
			return "", fmt.Errorf("x: %w", event.WithEffect(err, "comment"))
		}
		return event.Done, nil
	})
	const soon = 200 * time.Millisecond
	r.opts.RetryDelays = []time.Duration{soon, away, 2 * away}
	r.start()
	other := 1
	passes := func() {
		t.Helper()
		done := r.settled(orders, "acked")
		other++
		r.Publish(placed, numbered(other))
		r.eventually("another one passes", func() bool { return r.settled(orders, "acked") > done })
	}
	r.Publish(placed, numbered(1))
	r.eventually("it is refused", func() bool { return r.settled(orders, "deferred") == 1 })
	passes()
	d := r.take(r.RetryQueue(away)) // the second one, though the first may have been tried by itself meanwhile
	if n := rabbitmq.Int(d.Headers, rabbitmq.HeaderUnauthorized); n != 2 {
		t.Errorf("headers %v, want two refusals", d.Headers)
	}
	at, err := time.Parse(time.RFC3339Nano, rabbitmq.Text(d.Headers, rabbitmq.HeaderUnauthorizedAt))
	if err != nil || time.Since(at) > time.Hour || rabbitmq.Text(d.Headers, rabbitmq.HeaderUnauthorizedFor) != "comment GET /a" {
		t.Errorf("headers %v: %v", d.Headers, err)
	}
	passes()
	r.Send(r.Queue(orders), amqp.Publishing{Headers: d.Headers, MessageId: d.MessageId, Body: d.Body})
	r.eventually("it is done", func() bool { return r.settled(orders, "acked") == other })
	// Another request of it that is refused begins again: the first one has passed.
	deferred := r.settled(orders, "deferred")
	refusals.Store(1)
	request.Store("POST /b")
	r.Send(r.Queue(orders), amqp.Publishing{Headers: d.Headers, MessageId: d.MessageId, Body: d.Body})
	r.eventually("it is refused", func() bool { return r.settled(orders, "deferred") == deferred+1 })
	passes()
	r.eventually("it is done", func() bool { return r.settled(orders, "acked") == other+1 })
	// One that is refused a third time is a letter.
	refusals.Store(1)
	request.Store("GET /a")
	r.Send(r.Queue(orders), amqp.Publishing{Headers: d.Headers, MessageId: d.MessageId, Body: d.Body})
	d = r.take(r.DeadLetters(orders))
	if rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass) != "rejected" || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) != 1 {
		t.Errorf("letter with headers %v", d.Headers)
	}
}

// Neither poison nor a duplicate shows that a credential is good again.
func TestUnauthorized_PausesUntilSomethingIsDone(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		switch {
		case number(e) == 2:
			return event.Duplicate, nil
		case number(e) == 1 && !valid.Load():
			return "", event.Errorf(event.Unauthorized, "MAGENTO_TOKEN is refused")
		}
		return event.Done, nil
	})
	r.opts.RetryDelays = []time.Duration{away}
	r.start()
	r.Publish(placed, numbered(1))
	r.consumerIs(orders, "paused")
	r.Publish(placed, "no JSON")
	r.Publish(placed, numbered(2))
	r.Publish(placed, numbered(1))
	r.outcomes(map[string]int{"deferred": 2, "dead_lettered": 1, "duplicate": 1})
	if r.log.Has("credential_accepted") || r.Status().Consumers[orders].State != "paused" {
		t.Error("the pause has ended")
	}
	valid.Store(true)
	r.Publish(placed, numbered(1))
	r.consumerIs(orders, "subscribed")
}

// An open circuit pauses the consumers that need it, and nobody else; what they hold uses no attempt.
func TestCircuit_PausesWhoNeedsIt(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.Closed)
	var answers atomic.Bool
	answers.Store(true)
	var done sync.Map
	busy, release := make(chan int, 100), make(chan struct{})
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		if number(e) >= 8 && !answers.Load() {
			busy <- number(e)
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		if e.Attempt != 1 {
			t.Errorf("message %s uses attempt %d", e.Body, e.Attempt)
		}
		if err := erp.request(ctx, answers.Load()); err != nil {
			return "", err
		}
		done.Store(number(e), true)
		return event.Done, nil
	})
	r.opts.Consumers[0].Needs = []string{"erp"}
	var others atomic.Int64
	r.opts.Consumers = append(r.opts.Consumers, consumer.Consumer{
		Name: "customer_saved", Topics: []string{"customer.saved"}, Needs: []string{"magento"},
		Handler: consumer.HandlerFunc(func(context.Context, event.Event) (event.Outcome, error) { others.Add(1); return event.Done, nil }),
	})
	r.opts.Circuits = []circuit.Breaker{newBreaker("magento", circuit.Closed), erp}
	r.opts.Concurrency = 2
	r.start()
	r.consumerIs(orders, "subscribed")
	for n := 1; n < 8; n++ {
		r.Publish(placed, numbered(n))
	}
	r.eventually("the prefetch has grown", func() bool { return r.settled(orders, "acked") == 7 })
	answers.Store(false)
	for n := 8; n < 20; n++ {
		r.Publish(placed, numbered(n))
	}
	<-busy
	<-busy
	r.eventually("more is held than is handled", func() bool { return r.unacked(19) == 8 })
	close(release)
	if reason := r.consumerIs(orders, "paused"); !strings.Contains(reason, "circuit of erp is open") || !strings.Contains(reason, "it does not answer") {
		t.Errorf("paused because %q", reason)
	}
	r.eventually("what has not begun is requeued, or deferred", func() bool {
		return r.settled(orders, "requeued")+r.settled(orders, "deferred") >= 8 &&
			r.Depth(r.Queue(orders))+r.Depth(r.RetryQueue(200*time.Millisecond)) == 12
	})
	status := r.Status()
	if part := status.Downstreams["erp"]; part.OK || part.State != "open" || part.Reason == "" || !status.Ready() {
		t.Errorf("status %+v", status)
	}
	r.eventually("the right consumer is paused", func() bool {
		return r.count("mageline_paused", "consumer", orders) == 1 && r.count("mageline_paused", "consumer", "customer_saved") == 0
	})
	r.Publish("customer.saved", numbered(1))
	r.eventually("the other consumer goes on", func() bool { return others.Load() == 1 })

	answers.Store(true)
	erp.set(circuit.HalfOpen)
	r.eventually("every message is done", func() bool { return r.settled(orders, "acked") == 19 })
	for n := 1; n < 20; n++ {
		if _, ok := done.Load(n); !ok {
			t.Errorf("message %d is lost", n)
		}
	}
	if n := r.settled(orders, "retried") + r.settled(orders, "dead_lettered"); n != 0 {
		t.Errorf("%d deliveries used an attempt", n)
	}
	r.consumerIs(orders, "subscribed")
}

// A success that can't be read is a failure of the downstream's, and costs the message no attempt.
func TestCircuit_CountsAnUnreadableAnswer(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.Closed)
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		return "", fmt.Errorf("x: %w", &event.Error{Class: event.Unavailable, Downstream: "erp", Unreadable: true, Err: errors.New("a list")})
	})
	r.opts.Consumers[0].Needs = []string{"erp"}
	r.opts.Circuits = []circuit.Breaker{newBreaker("magento", circuit.Closed), erp}
	r.opts.RetryDelays = []time.Duration{2 * away, away}
	r.start()
	r.Publish(placed, numbered(1))
	r.outcomes(map[string]int{"deferred": 1})
	if state := erp.Status().State; state != circuit.Open || r.Depth(r.RetryQueue(away)) != 1 {
		t.Errorf("the circuit is %s", state)
	}
}

// A probe that fails goes to the shortest retry queue as it was, and the next probe is another message.
func TestProbe_ThatFailsGoesBehindTheOthers(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.HalfOpen)
	var got seen
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		if err := erp.request(ctx, number(e) != 1); err != nil {
			return "", err
		}
		return event.Done, nil
	})
	r.opts.Consumers[0].Needs = []string{"erp"}
	r.opts.Circuits = []circuit.Breaker{erp}
	r.opts.RetryDelays = []time.Duration{2 * away, away}
	r.start()
	r.Publish(placed, numbered(1))
	r.Publish(placed, numbered(2))
	r.outcomes(map[string]int{"deferred": 1})
	if state := erp.Status().State; state != circuit.Open || fmt.Sprint(got.numbers()) != "[1]" {
		t.Errorf("the circuit is %s after %v", state, got.numbers())
	}
	d := r.take(r.RetryQueue(away))
	if fmt.Sprint(d.Headers) != fmt.Sprint(amqp.Table{rabbitmq.HeaderTopic: placed, rabbitmq.HeaderDeferred: "true"}) {
		t.Errorf("headers %v", d.Headers)
	}
	erp.set(circuit.HalfOpen)
	r.outcomes(map[string]int{"deferred": 1, "acked": 1})
	if fmt.Sprint(got.numbers()) != "[1 2]" {
		t.Errorf("handled %v", got.numbers())
	}
	r.consumerIs(orders, "subscribed")
}

// Messages that show nothing of the downstream are handled one after the other until one does.
func TestProbe_WithoutARequestDecidesNothing(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.HalfOpen)
	var got seen
	var running, most atomic.Int64
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		got.add(e)
		switch number(e) {
		case 1, 2:
			return event.Duplicate, nil
		case 3:
			return "", event.Errorf(event.Invalid, "names no order")
		case 4:
			return "", event.Errorf(event.NotFound, "not there yet")
		case 5:
			if err := erp.request(ctx, true); err != nil {
				return "", err
			}
		}
		return event.Done, nil
	})
	r.opts.Consumers[0].Needs = []string{"erp"}
	r.opts.Circuits = []circuit.Breaker{erp}
	r.opts.RetryDelays = []time.Duration{away}
	r.start()
	r.consumerIs(orders, "paused")
	for n := range 5 {
		r.Publish(placed, numbered(n+1))
	}
	r.outcomes(map[string]int{"duplicate": 2, "dead_lettered": 1, "retried": 1, "acked": 1})
	if fmt.Sprint(got.numbers()) != "[1 2 3 4 5]" || most.Load() != 1 {
		t.Errorf("handled %v, %d at once", got.numbers(), most.Load())
	}
	r.consumerIs(orders, "subscribed")
	erp.mu.Lock()
	defer erp.mu.Unlock()
	// Looks into an empty queue decided nothing either.
	if n := len(erp.decisions); n < 5 || slices.Index(erp.decisions, true) != n-1 {
		t.Errorf("decided %v", erp.decisions)
	}
}

// Two consumers that need the same circuit have one probe between them.
func TestProbe_IsTheOnlyOneOfItsCircuit(t *testing.T) {
	t.Parallel()
	erp := newBreaker("erp", circuit.HalfOpen)
	var begun atomic.Int64
	release := make(chan struct{})
	handle := consumer.HandlerFunc(func(ctx context.Context, _ event.Event) (event.Outcome, error) {
		begun.Add(1)
		select {
		case <-release:
		case <-ctx.Done():
		}
		if err := erp.request(ctx, true); err != nil {
			return "", err
		}
		return event.Done, nil
	})
	r := newRig(t, handle)
	r.opts.Consumers[0].Needs = []string{"erp"}
	r.opts.Consumers = append(r.opts.Consumers, consumer.Consumer{Name: "order_canceled", Topics: []string{"sales.order.canceled"}, Needs: []string{"erp"}, Handler: handle})
	r.opts.Circuits = []circuit.Breaker{erp}
	r.start()
	for n := range 5 {
		r.Publish(placed, numbered(n))
		r.Publish("sales.order.canceled", numbered(n))
	}
	r.eventually("one has begun and the others were told that the permit is taken", func() bool { return begun.Load() > 0 && erp.refused() > 2 })
	if begun.Load() != 1 {
		t.Errorf("%d have begun", begun.Load())
	}
	close(release)
	r.eventually("all are done", func() bool { return r.settled(orders, "acked") == 5 && r.settled("order_canceled", "acked") == 5 })
}

// A consumer that needs an open circuit beside the half-open one makes no probe.
func TestProbe_WaitsForTheOtherCircuit(t *testing.T) {
	t.Parallel()
	erp, magento := newBreaker("erp", circuit.HalfOpen), newBreaker("magento", circuit.Open)
	var got seen
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		if err := errors.Join(magento.request(ctx, true), erp.request(ctx, true)); err != nil {
			return "", err
		}
		return event.Done, nil
	})
	r.opts.Consumers[0].Needs = []string{"erp", "magento"}
	var others atomic.Int64
	r.opts.Consumers = append(r.opts.Consumers, consumer.Consumer{
		Name: "shipment_created", Topics: []string{"sales.shipment.created"}, Needs: []string{"erp"},
		Handler: consumer.HandlerFunc(func(context.Context, event.Event) (event.Outcome, error) { others.Add(1); return event.Skipped, nil }),
	})
	r.opts.Circuits = []circuit.Breaker{erp, magento}
	r.start()
	r.Publish(placed, numbered(1))
	for n := range 5 {
		r.Publish("sales.shipment.created", numbered(n))
	}
	r.eventually("the consumer that needs only the half-open one probes", func() bool { return others.Load() == 5 })
	if n := len(got.all()); n != 0 {
		t.Errorf("%d were handled although Magento's circuit is open", n)
	}
	magento.set(circuit.HalfOpen)
	r.outcomes(map[string]int{"acked": 1})
	r.consumerIs(orders, "subscribed")
}

// Without Postgres nothing is consumed, at the start and later, and no attempt is used.
func TestPostgresAway_PausesEveryConsumer(t *testing.T) {
	t.Parallel()
	var there atomic.Bool
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if got.add(e); !there.Load() {
			return "", fmt.Errorf("claim: %w", &event.Deferral{Reason: "Postgres is away", Downstream: "postgres"})
		}
		return event.Done, nil
	})
	asked := make(chan struct{}, 1000)
	r.opts.Database = func(context.Context) error {
		asked <- struct{}{}
		if !there.Load() {
			return errors.New("connection refused")
		}
		return nil
	}
	r.start()
	r.Publish(placed, numbered(1))
	<-asked
	<-asked // it is asked again
	status := r.Status()
	if status.Postgres.OK || !strings.Contains(status.Postgres.Reason, "connection refused") || status.Ready() || status.Consumers[orders].State != "paused" {
		t.Errorf("status %+v", status)
	}
	if n := len(got.all()); n != 0 || r.Depth(r.Queue(orders)) != 1 {
		t.Errorf("%d messages were taken without Postgres", n)
	}
	there.Store(true)
	r.outcomes(map[string]int{"acked": 1})
	r.eventually("it is ready", func() bool { return r.Status().Ready() })

	there.Store(false)
	r.Publish(placed, numbered(2))
	r.eventually("Postgres is missed", func() bool { return !r.Status().Postgres.OK })
	r.consumerIs(orders, "paused")
	r.Publish(placed, numbered(3))
	there.Store(true)
	r.eventually("both are done", func() bool { return r.settled(orders, "acked") == 3 })
	for _, e := range got.all() {
		if e.Attempt != 1 {
			t.Errorf("message %d used attempt %d", number(e), e.Attempt)
		}
	}
	r.eventually("it is ready again", func() bool { return r.Status().Ready() })
}
