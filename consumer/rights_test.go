package consumer_test

import (
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
	const (
		cancels, canceled = "order_canceled", "sales.order.canceled"
		password          = "a-password-of-this-test"
	)
	ctl := func(t *testing.T, args ...string) {
		t.Helper()
		if out, err := node.Ctl(args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	tests := []struct {
		name string
		// what the user lacks at first; PREFIX is the queues'
		write, read string
		body        string // of a message for order_canceled, which can't go where it must
		names       []string
		state       string // of order_canceled
		letters     int
		shared      string // what is said of RabbitMQ itself
	}{
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
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Of order_placed every other message is tried again, in 200 ms; of order_canceled the one with 400 is deferred by 400.
			handle := func(_ context.Context, e event.Event) (event.Outcome, error) {
				switch n := number(e); {
				case n == 400 && e.Attempt < 3:
					return "", &event.Deferral{Reason: "not yet", Wait: 400 * time.Millisecond, Pick: event.Nearest}
				case n > 400 && n%2 == 0 && e.Attempt == 1:
					return "", event.Errorf(event.NotFound, "not yet")
				}
				return event.Done, nil
			}
			var deferred bool
			r := newRig(t, nil)
			r.Queues = kit.BrokerAt(t, node.URL)
			r.opts.Exchange, r.opts.Prefix = r.Exchange, r.Prefix
			r.opts.Consumers = []consumer.Consumer{
				{Name: orders, Topics: []string{placed}, Handler: consumer.HandlerFunc(handle)},
				{Name: cancels, Topics: []string{canceled}, Handler: consumer.HandlerFunc(func(ctx context.Context, e event.Event) (event.Outcome, error) {
					if deferred {
						return event.Done, nil
					}
					deferred = number(e) == 400 // once
					return handle(ctx, e)
				})},
			}
			user := strings.ReplaceAll(r.Prefix, ".", "-")
			ctl(t, "add_user", user, password)
			grant := func(write, read string) {
				t.Helper()
				for _, p := range []*string{&write, &read} {
					*p = strings.ReplaceAll(*p, "PREFIX", r.Prefix)
					if *p == "" {
						*p = ".*"
					}
				}
				ctl(t, "set_permissions", user, ".*", write, read)
			}
			grant(tt.write, tt.read)
			admin, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: node.URL}, "test")
			if err != nil {
				t.Fatal(err)
			}
			defer rabbitmq.Close(admin)
			if _, err := r.opts.Topology().Declare(t.Context(), admin); err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(node.URL)
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword(user, password)
			r.opts.Broker.URL = u.String()
			r.Publish(canceled, tt.body)
			r.start()

			var said string
			r.eventually("the consumer says what it lacks", func() bool {
				part := r.Status().Consumers[cancels]
				said = part.Reason
				return part.State == tt.state && strings.Contains(said, "set_permissions")
			})
			names := append([]string{"needs the permission", "rabbitmqctl set_permissions -p / " + user + " '^", "'^("}, tt.names...)
			for _, name := range names {
				name = strings.ReplaceAll(name, "PREFIX", r.Prefix)
				if !strings.Contains(said, name) {
					t.Errorf("%q is not in %q", name, said)
				}
				r.eventually(name+" is logged", func() bool { return r.log.Has("", "error", name) })
			}
			if rabbit := r.Status().RabbitMQ; rabbit.State != "connected" || !strings.Contains(rabbit.Reason, strings.ReplaceAll(tt.shared, "PREFIX", r.Prefix)) ||
				(tt.shared == "") != (rabbit.Reason == "") {
				t.Errorf("RabbitMQ is %+v", rabbit)
			}
			r.eventually("it is ready, the others subscribed, if this one is paused and not refused", func() bool {
				return r.Status().Ready() == (tt.state == "paused")
			})
			if tt.state == "paused" { // which is logged after the reason
				r.eventually("the pause is logged", func() bool { return r.log.Has("consumer_paused", "consumer", cancels) })
			}
			logged := len(r.log.Lines("", "error", "set_permissions"))
			for n := range 20 { // the others, with retries
				r.Publish(placed, numbered(500+n))
			}
			r.eventually("the others go on", func() bool { return r.settled(orders, "acked") == 20 && r.settled(orders, "retried") == 10 })
			if again := len(r.log.Lines("", "error", "set_permissions")); again != logged {
				t.Errorf("it was said %d times", again)
			}
			if n := r.settled(cancels, "acked"); n != 0 || r.Depth(r.DeadLetters(cancels)) != 0 {
				t.Errorf("without the right %d were acknowledged", n)
			}

			grant("", "")
			r.eventually("it goes on", func() bool {
				return r.Status().Consumers[cancels].State == "subscribed" && r.Status().Ready() && r.Status().RabbitMQ.Reason == "" &&
					r.settled(cancels, "acked")+r.settled(cancels, "dead_lettered") == 1
			})
			if n := r.Depth(r.DeadLetters(cancels)); n != tt.letters {
				t.Errorf("%d dead letters, want %d", n, tt.letters)
			}
			if r.log.Has("rabbitmq_connected", "session", "2") || r.log.Has("rabbitmq_away") {
				t.Error("the session has ended")
			}
			if strings.Contains(r.log.String(), password) {
				t.Error("the log has the password")
			}
			if n := r.count("mageline_stale_settles_total"); n != 0 {
				t.Errorf("%d were handled in vain", n)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
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
