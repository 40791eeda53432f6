package consumer_test

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/private"
)

// lack is a right that the user of RabbitMQ does not have at first; PREFIX is the queues'.
type lack struct {
	name        string
	write, read string // what the user may write and read; "" is everything
	body        string // of a message for order_canceled, which can't go where it must
	names       []string
	state       string // of order_canceled
	letters     int
	shared      string // what is said of RabbitMQ itself
}

var lacks = []lack{
	{
		name: "read the queue", read: `^(?!PREFIX\.order_canceled$)`,
		body: numbered(1), state: "refused", names: []string{"read on queue PREFIX.order_canceled"},
	},
	{
		name: "write the queue, to bind it", write: `^(?!PREFIX\.order_canceled$)`,
		body: numbered(1), state: "refused", names: []string{"write on queue PREFIX.order_canceled"},
	},
	{
		name: "write the retry queue and its exchange", write: `^(?!PREFIX\.retry\.400$)`,
		body: numbered(400), state: "paused", names: []string{"write on exchange PREFIX.retry.400"}, shared: "write on queue PREFIX.retry.400",
	},
	{
		name: "write the default exchange", write: `^(?!amq\.default$)`,
		body: "poison", state: "paused", names: []string{"write on exchange amq.default"}, letters: 1,
	},
}

// A right that the user of RabbitMQ lacks keeps from their work those consumers that need it, and nobody else: each of them
// says what is missing and how it is granted, and goes on by itself when it is.
func TestRights_OfOneConsumerEndNoOther(t *testing.T) {
	t.Parallel()
	private.Require(t)
	node, err := private.StartRabbitMQ()
	if node != nil {
		t.Cleanup(node.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lacks {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			r := newLacking(t, node, l)
			r.saysWhatIsMissing()
			r.keepsNobodyElse()
			r.goesOnWhenGranted()
		})
	}
}

const (
	cancels, canceled = "order_canceled", "sales.order.canceled"
	userPassword      = "a-password-of-this-test"
)

// lacking is a rig on a broker where its user lacks a right.
type lacking struct {
	*rig
	lack
	node *private.RabbitMQ
	user string
}

// newLacking starts one, with a message that can't go where it must.
func newLacking(t *testing.T, node *private.RabbitMQ, l lack) *lacking {
	t.Helper()
	r := &lacking{rig: newRig(t, nil), lack: l, node: node}
	r.Queues = kit.BrokerAt(t, node.URL)
	r.opts.Exchange, r.opts.Prefix = r.Exchange, r.Prefix
	var deferred bool
	r.opts.Consumers = []consumer.Consumer{
		{Name: orders, Topics: []string{placed}, Handler: consumer.HandlerFunc(handleOfRights)},
		{Name: cancels, Topics: []string{canceled}, Handler: consumer.HandlerFunc(func(ctx context.Context, e event.Event) (event.Outcome, error) {
			if deferred {
				return event.Done, nil
			}
			deferred = number(e) == 400 // once
			return handleOfRights(ctx, e)
		})},
	}
	r.user = strings.ReplaceAll(r.Prefix, ".", "-")
	r.ctl("add_user", r.user, userPassword)
	r.grant(l.write, l.read)
	r.declare()
	u, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(r.user, userPassword)
	r.opts.Broker.URL = u.String()
	r.Publish(canceled, l.body)
	r.start()
	return r
}

// handleOfRights has every other message of order_placed tried again, in 200 ms, and the one with 400 deferred by 400.
func handleOfRights(_ context.Context, e event.Event) (event.Outcome, error) {
	switch n := number(e); {
	case n == 400 && e.Attempt < 3:
		return "", &event.Deferral{Reason: "not yet", Wait: 400 * time.Millisecond, Pick: event.Nearest}
	case n > 400 && n%2 == 0 && e.Attempt == 1:
		return "", event.Errorf(event.NotFound, "not yet")
	}
	return event.Done, nil
}

func (r *lacking) ctl(args ...string) {
	r.t.Helper()
	if out, err := r.node.Ctl(args...); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
}

// named returns a text with the prefix of the queues.
func (r *lacking) named(text string) string { return strings.ReplaceAll(text, "PREFIX", r.Prefix) }

// grant lets the user write and read what these match; "" is everything.
func (r *lacking) grant(write, read string) {
	r.t.Helper()
	r.ctl("set_permissions", r.user, ".*", cmp.Or(r.named(write), ".*"), cmp.Or(r.named(read), ".*"))
}

// declare declares the topology as somebody who may.
func (r *lacking) declare() {
	r.t.Helper()
	admin, err := rabbitmq.Dial(r.t.Context(), rabbitmq.Options{URL: r.node.URL}, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rabbitmq.Close(admin)
	if _, err := r.opts.Topology().Declare(r.t.Context(), admin); err != nil {
		r.t.Fatal(err)
	}
}

func (r *lacking) saysWhatIsMissing() {
	r.t.Helper()
	var said string
	r.eventually("the consumer says what it lacks", func() bool {
		part := r.Status().Consumers[cancels]
		said = part.Reason
		return part.State == r.state && strings.Contains(said, "set_permissions")
	})
	for _, name := range append([]string{"needs the permission", "rabbitmqctl set_permissions -p / " + r.user + " '^", "'^("}, r.names...) {
		name = r.named(name)
		if !strings.Contains(said, name) {
			r.t.Errorf("%q is not in %q", name, said)
		}
		r.eventually(name+" is logged", func() bool { return r.log.Has("", "error", name) })
	}
	if part := r.Status().RabbitMQ; part.State != "connected" || !strings.Contains(part.Reason, r.named(r.shared)) || (r.shared == "") != (part.Reason == "") {
		r.t.Errorf("RabbitMQ is %+v", part)
	}
	r.eventually("it is ready, the others subscribed, if this one is paused and not refused", func() bool {
		return r.Status().Ready() == (r.state == "paused")
	})
	if r.state == "paused" { // which is logged after the reason
		r.eventually("the pause is logged", func() bool { return r.log.Has("consumer_paused", "consumer", cancels) })
	}
}

// keepsNobodyElse has another consumer work, with retries.
func (r *lacking) keepsNobodyElse() {
	r.t.Helper()
	logged := len(r.log.Lines("", "error", "set_permissions"))
	for n := range 20 {
		r.Publish(placed, numbered(500+n))
	}
	r.eventually("the others go on", func() bool { return r.settled(orders, "acked") == 20 && r.settled(orders, "retried") == 10 })
	if again := len(r.log.Lines("", "error", "set_permissions")); again != logged {
		r.t.Errorf("it was said %d times", again)
	}
	if n := r.settled(cancels, "acked"); n != 0 || r.Depth(r.DeadLetters(cancels)) != 0 {
		r.t.Errorf("without the right %d were acknowledged", n)
	}
}

func (r *lacking) goesOnWhenGranted() {
	r.t.Helper()
	r.grant("", "")
	r.eventually("it goes on", func() bool {
		return r.Status().Consumers[cancels].State == "subscribed" && r.Status().Ready() && r.Status().RabbitMQ.Reason == "" &&
			r.settled(cancels, "acked")+r.settled(cancels, "dead_lettered") == 1
	})
	if n := r.Depth(r.DeadLetters(cancels)); n != r.letters {
		r.t.Errorf("%d dead letters, want %d", n, r.letters)
	}
	if r.log.Has("rabbitmq_connected", "session", "2") || r.log.Has("rabbitmq_away") {
		r.t.Error("the session has ended")
	}
	if strings.Contains(r.log.String(), userPassword) {
		r.t.Error("the log has the password")
	}
	if n := r.count("mageline_stale_settles_total"); n != 0 {
		r.t.Errorf("%d were handled in vain", n)
	}
	if err := r.stop(); err != nil {
		r.t.Error(err)
	}
}

// A consumer that can't be subscribed does not keep the process from stopping.
func TestRights_RefusedWhileItStops(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	r.opts.Consumers = append(r.opts.Consumers, consumer.Consumer{Name: "order_canceled", Topics: []string{"t"}, Handler: r.opts.Consumers[0].Handler})
	// Another connection's own: it is there, and nobody else may use it (405).
	conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: r.URL}, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer rabbitmq.Close(conn)
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(r.Queue("order_canceled"), false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	r.start()
	if reason := r.consumerIs("order_canceled", "refused"); !strings.Contains(reason, "RESOURCE_LOCKED") || !strings.Contains(reason, r.Queue("order_canceled")) {
		t.Errorf("refused: %s", reason)
	}
	r.consumerIs(orders, "subscribed")
	r.Publish(placed, numbered(1))
	r.outcomes(map[string]int{"acked": 1})
	began := time.Now()
	if err := r.stop(); err != nil || time.Since(began) > patience/2 {
		t.Errorf("stopped after %s: %v", time.Since(began), err)
	}
	if s := r.Status(); s.Ready() || !errors.Is(ch.Close(), nil) {
		t.Errorf("ready at the end: %+v", s)
	}
}
