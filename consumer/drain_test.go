package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit"
)

// A drain requeues in order what has not begun, lets handlers finish, and loses nothing.
func TestDrain_RequeuesTheBacklogInOrder(t *testing.T) {
	t.Parallel()
	b := newBlocker()
	r := newRig(t, func(ctx context.Context, e event.Event) (event.Outcome, error) {
		if number(e) < 8 {
			return event.Done, nil
		}
		return b.handle(ctx, e)
	})
	r.opts.Prefetch, r.opts.Concurrency = 8, 1
	r.start()
	const messages = 20
	for n := 1; n <= messages; n++ {
		r.Publish(placed, numbered(n))
	}
	b.next(t)
	r.eventually("it has all that it may", func() bool { return r.unacked(messages) == 8 })
	stopped := make(chan error)
	go func() { stopped <- r.stop() }()
	r.eventually("what has not begun is requeued", func() bool { return r.settled(orders, "requeued") == 7 })
	if status := r.Status(); !status.Draining || status.Ready() {
		t.Errorf("status %+v", status)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a handler at work: %v", err)
	default:
	}
	b.end <- nil
	if err := <-stopped; err != nil {
		t.Errorf("a clean drain: %v", err)
	}
	r.outcomes(map[string]int{"acked": 8, "requeued": 7})
	for n := 9; n <= messages; n++ {
		if d := r.take(r.Queue(orders)); string(d.Body) != numbered(n) {
			t.Errorf("message %s in place of %d", d.Body, n)
		}
	}
}

// What fails while it drains goes where it would go at any time.
func TestDrain_PublishesRetries(t *testing.T) {
	t.Parallel()
	b := newBlocker()
	r := newRig(t, b.handle)
	r.opts.RetryDelays = []time.Duration{away}
	r.start()
	r.consumerIs(orders, "subscribed")
	r.Publish(placed, numbered(1))
	b.next(t)
	stopped := make(chan error)
	go func() { stopped <- r.stop() }()
	r.eventually("it drains", func() bool { return r.Status().Draining })
	b.end <- event.Errorf(event.NotFound, "not there")
	if err := <-stopped; err != nil {
		t.Errorf("a clean drain: %v", err)
	}
	r.outcomes(map[string]int{"retried": 1})
	if n := r.Depth(r.RetryQueue(away)); n != 1 {
		t.Errorf("%d messages in the retry queue", n)
	}
}

// Handlers that do not finish in time are cancelled, and their messages are in the queue again, no attempt used.
func TestDrain_CutsHandlersOnTimeout(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"before the subscription is cancelled": time.Nanosecond, "after it": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drainCuts(t, timeout)
		})
	}
}

func drainCuts(t *testing.T, timeout time.Duration) {
	t.Helper()
	b := newBlocker()
	r := newRig(t, b.handle)
	r.opts.ShutdownTimeout = timeout
	r.start()
	for n := range 3 {
		r.Publish(placed, numbered(n))
	}
	b.next(t)
	if err := r.stop(); !errors.Is(err, consumer.ErrCut) {
		t.Errorf("stopped with %v, want ErrCut", err)
	}
	r.eventually("all are in the queue again", func() bool { return r.Depth(r.Queue(orders)) == 3 })
	if n := r.settled(orders, "requeued"); n == 0 || n > 3 {
		t.Errorf("%d were requeued", n)
	}
	for range 3 {
		if d := r.take(r.Queue(orders)); len(d.Headers) != 0 {
			t.Errorf("headers %v", d.Headers)
		}
	}
}

// Handlers of a session that has ended are waited for too.
func TestDrain_EndsWithoutASession(t *testing.T) {
	t.Parallel()
	for _, finishes := range []bool{true, false} {
		t.Run(fmt.Sprintf("finishes %t", finishes), func(t *testing.T) {
			t.Parallel()
			b := newBlocker()
			r := newRig(t, b.handle)
			proxy, url := kit.ProxyURL(t, r.URL)
			r.opts.Broker.URL = url
			if !finishes {
				r.opts.ShutdownTimeout = 50 * time.Millisecond
			}
			r.start()
			r.Publish(placed, numbered(1))
			b.next(t)
			proxy.Refuse()
			r.eventually("the connection is lost", func() bool { return !r.Status().RabbitMQ.OK })
			stopped := make(chan error)
			go func() { stopped <- r.stop() }()
			r.eventually("it drains", func() bool { return r.Status().Draining })
			if finishes {
				b.end <- nil
			}
			if err := <-stopped; errors.Is(err, consumer.ErrCut) == finishes || (err == nil) != finishes {
				t.Errorf("stopped with %v", err)
			}
			if n := r.count("mageline_stale_settles_total"); n != 1 {
				t.Errorf("%d stale settlements", n)
			}
			r.eventually("the message is in the queue again", func() bool { return r.Depth(r.Queue(orders)) == 1 })
		})
	}
}

// A message that can't be published anywhere does not keep the process from ending: it goes back.
func TestDrain_EndsWhilePublishingFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	r.opts.ShutdownTimeout = 50 * time.Millisecond
	r.channel(shortQueue(r.DeadLetters(orders), 1))
	r.Send(r.DeadLetters(orders), kit.Publishing(nil))
	r.start()
	r.Publish(placed, "poison")
	r.consumerIs(orders, "paused")
	if err := r.stop(); !errors.Is(err, consumer.ErrCut) {
		t.Errorf("stopped with %v", err)
	}
	r.eventually("it is in the queue again", func() bool { return r.Depth(r.Queue(orders)) == 1 })
}

// A link that has gone dead does not keep the process for as long as it takes to notice.
func TestDrain_EndsOnADeadLink(t *testing.T) {
	t.Parallel()
	b := newBlocker()
	r := newRig(t, b.handle)
	proxy, url := kit.ProxyURL(t, r.URL)
	r.opts.Broker.URL = url
	r.opts.ShutdownTimeout = 50 * time.Millisecond
	r.start()
	r.Publish(placed, numbered(1))
	b.next(t)
	proxy.Stall()
	if err := r.stop(); !errors.Is(err, consumer.ErrCut) {
		t.Errorf("stopped with %v", err)
	}
	if n := r.settled(orders, "acked"); n != 0 {
		t.Errorf("%d were acknowledged", n)
	}
	proxy.Cut()
	r.eventually("the message is in the queue again", func() bool { return r.Depth(r.Queue(orders)) == 1 })
}

// Two runtimes on one queue share its messages; when one stops, the other does the rest.
func TestReplicas_ShareAQueue(t *testing.T) {
	t.Parallel()
	const messages = 100
	var first, second seen
	record := func(s *seen) consumer.HandlerFunc {
		return func(_ context.Context, e event.Event) (event.Outcome, error) { s.add(e); return event.Done, nil }
	}
	r := newRig(t, record(&first))
	r.start()
	other := &rig{Queues: r.Queues, t: t, opts: r.opts, registry: r.registry, log: &kit.Log{}}
	other.opts.Registerer = nil
	other.opts.Consumers = []consumer.Consumer{{Name: orders, Topics: []string{placed}, Handler: record(&second)}}
	other.start()
	other.consumerIs(orders, "subscribed")
	r.consumerIs(orders, "subscribed")
	for n := range messages {
		r.Publish(placed, numbered(n))
		if n == messages/2 {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}
	}
	both := func() map[int]int {
		times := map[int]int{}
		for _, n := range append(first.numbers(), second.numbers()...) {
			times[n]++
		}
		return times
	}
	r.eventually("each is done", func() bool { return len(both()) == messages })
	for n, times := range both() {
		if times != 1 {
			t.Errorf("message %d was done %d times", n, times)
		}
	}
	if len(first.all()) == 0 || len(second.all()) == 0 {
		t.Errorf("the one did %d, the other %d", len(first.all()), len(second.all()))
	}
	kit.Eventually(t, patience, func() bool { return r.Depth(r.Queue(orders)) == 0 }, "nothing is left")
}
