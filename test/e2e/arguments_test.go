package e2e

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Queues that somebody has made with other arguments are used as they are, though the broker would answer 406 to a declaration;
// `check` says what differs, and fails where it loses messages.
func TestTopology_KeepsQueuesWithOtherArguments(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	conn, err := amqp.Dial(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]amqp.Table{
		e.Queue("order_placed"):       nil, // no dead-letter route, a classic queue
		e.DeadLetters("order_placed"): {"x-max-priority": int64(3)},
		e.RetryQueue(time.Second):     {"x-message-ttl": int64(1500), "x-dead-letter-exchange": ""},
	} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
			t.Fatal(err)
		}
	}
	r := e.Start().AwaitReady()
	if n := r.Events("", "error", "PRECONDITION_FAILED"); n != 0 {
		t.Errorf("the broker has refused a declaration %d times", n)
	}
	e.ERP.Faults.Next(fault.Fault{Kind: fault.Fail, Status: 503}, fault.Fault{Kind: fault.Fail, Status: 503})
	placed := e.Place(10, fakemagento.Placing{})
	e.AwaitDone(placed...)
	e.Publish("sales.order.placed", "no JSON")
	e.AwaitLetters("order_placed", 1)

	out, code := e.Call("check")
	if code != 1 {
		t.Errorf("check ends with %d", code)
	}
	for _, words := range [][]string{
		{"queue " + e.Queue("order_placed"), "x-dead-letter-exchange"}, {"queue " + e.RetryQueue(time.Second), "x-message-ttl"},
	} {
		if !failLine(out, words) {
			t.Errorf("check has no FAIL with %q:\n%s", words, out)
		}
	}
	if _, ok := e.Get(e.DeadLetters("order_placed")); !ok {
		t.Error("the dead letter is gone")
	}
	e.Finish()
}
