package e2e

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Queues that somebody has made with other arguments are used as they are, though the broker would answer 406 to a declaration;
// `check` says what differs, and fails where it loses messages.
func TestQueuesWithOtherArguments(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond, time.Second)
	conn, err := amqp.Dial(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]amqp.Table{
		l.Queue("order_placed"):       nil, // no dead-letter route, a classic queue
		l.DeadLetters("order_placed"): {"x-max-priority": int64(3)},
		l.RetryQueue(time.Second):     {"x-message-ttl": int64(1500), "x-dead-letter-exchange": ""},
	} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, l.env).AwaitReady()
	if n := r.Said("PRECONDITION_FAILED"); n != 0 {
		t.Errorf("the broker has refused a declaration %d times", n)
	}
	l.erp.Faults.Next(fault.Fault{Kind: fault.Fail, Status: 503}, fault.Fault{Kind: fault.Fail, Status: 503})
	placed := l.place(10, fakemagento.Placing{})
	l.awaitDone(patience, placed...)
	l.Publish("sales.order.placed", "no JSON")
	kit.Eventually(t, patience, func() bool { return l.Depth(l.DeadLetters("order_placed")) == 1 }, "the dead letter")

	out, code := call(t, l.env, "check")
	if code != 1 {
		t.Errorf("check ends with %d", code)
	}
	for _, words := range [][]string{
		{"queue " + l.Queue("order_placed"), "x-dead-letter-exchange"}, {"queue " + l.RetryQueue(time.Second), "x-message-ttl"},
	} {
		if !failLine(out, words) {
			t.Errorf("check has no FAIL with %q:\n%s", words, out)
		}
	}
	if _, ok := l.Get(l.DeadLetters("order_placed")); !ok {
		t.Error("the dead letter is gone")
	}
	l.finish(r)
}
