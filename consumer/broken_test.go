package consumer_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// blocker is a handler that tells of each call, and returns when it is told so.
type blocker struct {
	begun chan event.Event
	end   chan error
}

func newBlocker() *blocker { return &blocker{make(chan event.Event, 100), make(chan error)} }

func (b *blocker) handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	b.begun <- e
	select {
	case err := <-b.end:
		return event.Done, err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// next waits for a call.
func (b *blocker) next(t *testing.T) event.Event {
	t.Helper()
	select {
	case e := <-b.begun:
		return e
	case <-time.After(patience):
		t.Fatal("no message was handled")
		return event.Event{}
	}
}

// A delivery of a session that has ended settles nothing: neither itself, which is handled again, nor the delivery of
// the new session that has the same tag. With amqp091-go's own recovery the late acknowledgement loses a message
// (docs/reference/rabbitmq.md).
func TestSession_LateSettlementSettlesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error // of the late handling
	}{
		{"success", nil},
		{"transient", event.Errorf(event.NotFound, "not there")},
		{"poison", event.Errorf(event.Rejected, "no")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBlocker()
			r := newRig(t, b.handle)
			proxy, url := kit.ProxyURL(t, r.URL)
			r.opts.Broker.URL = url
			r.opts.Prefetch, r.opts.Concurrency = 1, 3
			r.start()
			r.Publish(placed, numbered(1))
			if e := b.next(t); e.Repeat {
				t.Error("the first delivery is said to be a repetition")
			}
			proxy.Cut()
			if e := b.next(t); !e.Repeat || number(e) != 1 { // tag 1 again
				t.Errorf("after the cut came %+v", e)
			}
			b.end <- tt.err // one of the two ends: the old one is either this one, or the one that ends next
			b.end <- tt.err
			r.eventually("one was settled, one was stale", func() bool {
				return r.count("mageline_stale_settles_total") == 1 &&
					r.settled(orders, "acked")+r.settled(orders, "retried")+r.settled(orders, "dead_lettered") == 1
			})
			if n := r.Depth(r.Queue(orders)); n != 0 && tt.err == nil {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

// The late acknowledgement of tag 1 comes while tag 1 of the new session is in a handler, which then dies.
func TestSession_LateSettlementLosesNoMessage(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	begun := make(chan int64, 10)
	releases := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		n := calls.Add(1)
		begun <- n
		<-releases[n-1]
		return event.Done, nil
	})
	proxy, url := kit.ProxyURL(t, r.URL)
	r.opts.Broker.URL = url
	r.opts.Prefetch, r.opts.Concurrency = 1, 3
	r.start()
	r.Publish(placed, numbered(1))
	<-begun
	proxy.Cut()
	<-begun // by the second session
	close(releases[0])
	r.eventually("the first handling is stale", func() bool { return r.count("mageline_stale_settles_total") == 1 })
	proxy.Cut() // the second session dies with the message in a handler
	<-begun     // so it comes a third time
	close(releases[1])
	r.eventually("the second handling is stale", func() bool { return r.count("mageline_stale_settles_total") == 2 })
	if n := r.settled(orders, "acked"); n != 0 {
		t.Errorf("%d were acknowledged", n)
	}
	close(releases[2])
	r.outcomes(map[string]int{"acked": 1})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if n := r.Depth(r.Queue(orders)); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// Without RabbitMQ at the start the runtime waits, says so, and goes on by itself; later too.
func TestRuntime_WaitsForTheBroker(t *testing.T) {
	t.Parallel()
	var handled seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		handled.add(e)
		return event.Done, nil
	})
	proxy, url := kit.ProxyURL(t, r.URL)
	r.opts.Broker.URL = url
	proxy.Refuse()
	r.launch()
	r.eventually("it has tried", func() bool { return r.log.Has("rabbitmq_away") })
	status := r.Status()
	if status.RabbitMQ.OK || status.RabbitMQ.Reason == "" || status.Ready() || status.Consumers[orders].State == "subscribed" {
		t.Errorf("status %+v", status)
	}
	proxy.Accept()
	r.consumerIs(orders, "subscribed")
	r.Publish(placed, numbered(1))
	r.outcomes(map[string]int{"acked": 1})
	if !r.Status().Ready() {
		t.Errorf("status %+v", r.Status())
	}
	proxy.Refuse()
	r.eventually("it has noticed", func() bool { return !r.Status().Ready() && !r.Status().RabbitMQ.OK })
	r.Publish(placed, numbered(2))
	proxy.Accept()
	// The first acknowledgement may have been on its way when the link was cut: then that message comes again.
	r.eventually("the second message is done", func() bool { return slices.Contains(handled.numbers(), 2) })
	if log := r.log.String(); strings.Contains(log, "guest") {
		t.Error("the log has the credentials")
	}
	proxy.Refuse()
	r.eventually("it has noticed", func() bool { return !r.Status().RabbitMQ.OK })
	if err := r.stop(); err != nil {
		t.Errorf("stopped without RabbitMQ: %v", err)
	}
}

func TestConsumer_SubscribesAgainAfterItsQueueWasDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	r.start()
	r.consumerIs(orders, "subscribed")
	r.delete(r.Queue(orders))
	r.eventually("it is said", func() bool { return r.log.Has("consumer_refused", "queue", r.Queue(orders)) })
	r.WaitForQueue(patience, r.Queue(orders))
	r.eventually("it is ready again", func() bool { return r.Status().RabbitMQ.OK && r.Status().Consumers[orders].State == "subscribed" })
	r.Publish(placed, numbered(1))
	r.outcomes(map[string]int{"acked": 1})
}

// delete deletes a queue.
func (r *rig) delete(queue string) {
	r.t.Helper()
	r.channel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	})
}

// Without the queue that it should go to, a message is kept; the topology is put right and the publish repeated.
func TestPublish_DeclaresADeletedTarget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		delete func(r *rig)
	}{
		{"retry queue", func(r *rig) { r.delete(r.RetryQueue(200 * time.Millisecond)) }},
		{"dead-letter queue", func(r *rig) { r.delete(r.DeadLetters(orders)) }},
		{"retry exchange", func(r *rig) {
			r.channel(func(ch *amqp.Channel) error {
				return ch.ExchangeDelete(r.RetryQueue(200*time.Millisecond), false, false)
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
				if number(e) == 1 {
					return "", event.Errorf(event.NotFound, "not there")
				}
				return event.Done, nil
			})
			r.opts.RetryDelays = r.opts.RetryDelays[:1]
			r.start()
			r.consumerIs(orders, "subscribed")
			tt.delete(r)
			r.Publish(placed, numbered(1))
			d := r.take(r.DeadLetters(orders))
			if string(d.Body) != numbered(1) || rabbitmq.Text(d.Headers, rabbitmq.HeaderReason) != "exhausted" || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) != 2 {
				t.Errorf("letter %s with headers %v", d.Body, d.Headers)
			}
			r.Publish(placed, numbered(2))
			r.outcomes(map[string]int{"retried": 1, "dead_lettered": 1, "acked": 1})
			if n := r.count("mageline_publishes_returned_total"); (n == 0) != (tt.name == "retry exchange") {
				t.Errorf("%d publishes were returned", n)
			}
			r.consumerIs(orders, "subscribed")
		})
	}
}

// shortQueue declares a queue that takes so many messages and refuses more.
func shortQueue(name string, messages int64) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false,
			amqp.Table{"x-queue-type": "classic", "x-max-length": messages, "x-overflow": "reject-publish"})
		return err
	}
}

// A dead-letter queue that is full pauses the consumer, which keeps the message until there is room; the pause ends
// with its cause, also when the connection is lost meanwhile.
func TestPublish_WaitsWhileTheTargetIsFull(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} {
		t.Run(map[bool]string{false: "room comes", true: "connection lost"}[cut], func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
			proxy, url := kit.ProxyURL(t, r.URL)
			r.opts.Broker.URL = url
			r.channel(shortQueue(r.DeadLetters(orders), 1))
			r.start()
			r.Publish(placed, "poison 1")
			r.outcomes(map[string]int{"dead_lettered": 1})
			r.Publish(placed, "poison 2")
			if reason := r.consumerIs(orders, "paused"); !strings.Contains(reason, r.DeadLetters(orders)) || !strings.Contains(reason, "refused") {
				t.Errorf("paused because %q", reason)
			}
			if !r.Status().Ready() {
				t.Errorf("status %+v", r.Status())
			}
			r.Publish(placed, numbered(3))
			if cut {
				proxy.Cut()
				r.eventually("another session is there", func() bool { return r.log.Has("rabbitmq_connected", "session", "2") })
			}
			if d := r.take(r.DeadLetters(orders)); string(d.Body) != "poison 1" {
				t.Errorf("first letter %s", d.Body)
			}
			if d := r.take(r.DeadLetters(orders)); string(d.Body) != "poison 2" {
				t.Errorf("second letter %s", d.Body)
			}
			r.eventually("the other message is done", func() bool { return r.settled(orders, "acked") == 1 })
			r.consumerIs(orders, "subscribed")
		})
	}
}

// While the connection is lost again and again every message is done at least once, and nothing is left.
func TestRuntime_LosesNothingWhenConnectionsAreCut(t *testing.T) {
	t.Parallel()
	const messages = 60
	var got seen
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		got.add(e)
		switch number(e) % 4 {
		case 1:
			if e.Attempt == 1 {
				return "", event.Errorf(event.NotFound, "not there yet")
			}
		case 2:
			return "", event.Errorf(event.Rejected, "no")
		}
		return event.Done, nil
	})
	proxy, url := kit.ProxyURL(t, r.URL)
	r.opts.Broker.URL = url
	r.start()
	for n := range messages {
		r.Publish(placed, numbered(n))
		if n%20 == 10 {
			handled := len(got.all())
			proxy.Cut()
			r.eventually("it goes on", func() bool { return len(got.all()) > handled })
		}
	}
	letters := map[int]bool{}
	r.eventually("every message has its end", func() bool {
		for d, ok := r.Get(r.DeadLetters(orders)); ok; d, ok = r.Get(r.DeadLetters(orders)) {
			letters[number(event.Event{Body: d.Body})] = true
		}
		done := map[int]bool{}
		for _, e := range got.all() {
			done[number(e)] = done[number(e)] || number(e)%4 != 1 || e.Attempt > 1
		}
		return len(done) == messages && len(letters) == messages/4 && r.Depth(r.Queue(orders)) == 0 &&
			r.Depth(r.RetryQueue(200*time.Millisecond)) == 0 && r.count("mageline_in_flight", "consumer", orders) == 0
	})
	for n := range messages {
		if letters[n] != (n%4 == 2) {
			t.Errorf("message %d: dead letter %t", n, letters[n])
		}
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	// A second copy of a retry, of one whose confirm was lost, may have come back just before the stop: it goes back then.
	r.eventually("what was requeued is in the queue, and nothing else", func() bool {
		return r.Depth(r.Queue(orders)) == r.settled(orders, "requeued")
	})
}

// A broker that has stopped reading what is published shows in the status and in the log.
func TestStatus_TellsThatPublishingIsBlocked(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	alarm := kit.NewAlarm(t, r.URL)
	r.opts.Broker.URL = alarm.URL
	r.start()
	r.consumerIs(orders, "subscribed")
	alarm.Raise(t, "low on disk")
	r.eventually("the status says it", func() bool {
		part := r.Status().RabbitMQ
		return part.State == "blocked" && part.OK && strings.Contains(part.Reason, "low on disk")
	})
	r.eventually("the log says it", func() bool { return r.log.Has("publishing_blocked", "reason", "low on disk") })
	alarm.Clear(t)
	r.eventually("it is over", func() bool {
		return r.Status().RabbitMQ.State == "connected" && r.log.Has("publishing_unblocked")
	})
}
