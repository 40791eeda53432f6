package check_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// broker gives a test's own part of the broker, the topology there, and a connection.
func broker(t *testing.T) (*kit.Queues, rabbitmq.Topology, *amqp.Connection) {
	t.Helper()
	q := kit.Broker(t)
	delays := []time.Duration{5 * time.Second, time.Minute}
	q.RetryDelays(delays...)
	conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: q.URL}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rabbitmq.Close(conn) })
	return q, rabbitmq.Topology{
		Exchange: q.Exchange, Prefix: q.Prefix, Type: rabbitmq.Quorum, Delays: delays,
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: "order_placed", Topics: []string{"sales.order.placed"}}},
	}, conn
}

func lines(t *testing.T, c check.Checker) []check.Finding {
	t.Helper()
	found := check.Run(t.Context(), c)
	for _, l := range found {
		t.Log(l)
		if strings.Contains(l.String(), "\n") {
			t.Errorf("more than one line: %q", l)
		}
		if (l.Todo == "") != (l.Status == check.OK) {
			t.Errorf("%s: what to do is said exactly where something is to be done", l)
		}
	}
	return found
}

// want looks for the one line with a subject.
func want(t *testing.T, all []check.Finding, status check.Status, subject string, details ...string) {
	t.Helper()
	seen := 0
	for _, l := range all {
		if l.Subject != subject {
			continue
		}
		seen++
		if l.Status != status {
			t.Errorf("%s, want %s", l, status)
		}
		for _, d := range details {
			if !strings.Contains(l.Detail, d) {
				t.Errorf("%s, want %q in it", l, d)
			}
		}
	}
	if seen != 1 {
		t.Errorf("%d lines about %q, want one", seen, subject)
	}
}

// wantNo is that no line has a status.
func wantNo(t *testing.T, all []check.Finding, statuses ...check.Status) {
	t.Helper()
	for _, l := range all {
		for _, s := range statuses {
			if l.Status == s {
				t.Errorf("unexpected: %s", l)
			}
		}
	}
}

func options(q *kit.Queues) rabbitmq.Options { return rabbitmq.Options{URL: q.URL} }

// What run would create is OK, and check creates none of it.
func TestRabbitMQ_NothingDeclaredYet(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology, Publishes: true})
	wantNo(t, found, check.Warn, check.Fail)
	want(t, found, check.OK, "exchange "+q.Exchange, "will be created")
	want(t, found, check.OK, "queue "+q.Queue("order_placed"), "will be created")
	want(t, found, check.OK, "queue "+q.RetryQueue(time.Minute), "will be created")
	for _, verb := range []string{"declare", "bind", "consume", "publish"} {
		want(t, found, check.OK, "RabbitMQ permission to "+verb)
	}
	for _, queue := range topology.Queues() {
		if q.Depth(queue.Name) >= 0 {
			t.Errorf("check has declared %s", queue.Name)
		}
	}
	for _, e := range topology.Exchanges() {
		err := rabbitmq.OnChannel(conn, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(e.Name, e.Kind, true, false, false, false, nil)
		})
		if !rabbitmq.IsNotFound(err) {
			t.Errorf("exchange %s: %v, want that it is not there", e.Name, err)
		}
	}
}

func TestRabbitMQ_AsDeclared(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			q, topology, conn := broker(t)
			topology.Type = typ
			if _, err := topology.Declare(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology})
			wantNo(t, found, check.Fail)
			want(t, found, check.OK, "queue "+q.Queue("order_placed"), "as declared", "0 messages")
			want(t, found, check.OK, "queue "+q.DeadLetters("order_placed"), "as declared")
			want(t, found, check.OK, "queue "+q.RetryQueue(time.Minute), "as declared")
			if typ == rabbitmq.Classic {
				want(t, found, check.Warn, "MAGELINE_QUEUE_TYPE", "at most once")
			} else {
				wantNo(t, found, check.Warn)
			}
		})
	}
}

func TestRabbitMQ_UnknownWithoutManagement(t *testing.T) {
	t.Parallel()
	q, topology, _ := broker(t)
	found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology})
	for _, subject := range []string{"policies", "bindings", "alternate exchange of " + q.Exchange} {
		want(t, found, check.Unknown, subject)
	}
	for _, l := range found {
		if l.Status == check.Unknown && !strings.Contains(l.Todo, "MAGELINE_AMQP_MANAGEMENT_URL") {
			t.Errorf("%s: names no way to see it", l)
		}
	}
}

func TestRabbitMQ_QueueDiffers(t *testing.T) {
	t.Parallel()
	ours := func(name string) amqp.Table {
		return amqp.Table{
			"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + ".dlq",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-delivery-limit": int64(1000),
		}
	}
	with := func(change func(amqp.Table)) func(string) amqp.Table {
		return func(name string) amqp.Table {
			args := ours(name)
			change(args)
			return args
		}
	}
	tests := []struct {
		name    string
		args    func(queue string) amqp.Table
		status  check.Status
		details []string
	}{
		{"no dead-letter route", with(func(a amqp.Table) {
			for _, n := range []string{"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy"} {
				delete(a, n)
			}
		}), check.Fail, []string{"inequivalent arg 'x-dead-letter-exchange'", "current is none"}},
		{"another dead-letter queue", with(func(a amqp.Table) { a["x-dead-letter-routing-key"] = "elsewhere" }), check.Fail, []string{"'elsewhere'"}},
		{"at most once", with(func(a amqp.Table) { delete(a, "x-dead-letter-strategy") }), check.Fail, []string{"x-dead-letter-strategy"}},
		{"a TTL", with(func(a amqp.Table) { a["x-message-ttl"] = int64(1000) }), check.Fail, []string{"x-message-ttl", "1000"}},
		{"a length limit", with(func(a amqp.Table) { a["x-max-length"] = int64(10) }), check.Fail, []string{"x-max-length"}},
		{"a size limit", with(func(a amqp.Table) { a["x-max-length-bytes"] = int64(10) }), check.Fail, []string{"x-max-length-bytes"}},
		{"overflow", with(func(a amqp.Table) { a["x-overflow"] = "drop-head" }), check.Fail, []string{"x-overflow"}},
		{"expires", with(func(a amqp.Table) { a["x-expires"] = int64(600_000) }), check.Fail, []string{"x-expires"}},
		{"delivery limit", with(func(a amqp.Table) { a["x-delivery-limit"] = int64(3) }), check.Fail, []string{"x-delivery-limit"}},
		{"single active consumer", with(func(a amqp.Table) { a["x-single-active-consumer"] = true }), check.Warn, []string{"x-single-active-consumer"}},
		{"a group size and a TTL, which is told last", with(func(a amqp.Table) {
			a["x-single-active-consumer"] = true
			a["x-message-ttl"] = int64(1000)
			a["x-max-length"] = int64(10)
		}), check.Fail, []string{"x-single-active-consumer", "x-message-ttl", "x-max-length"}},
		{"classic, else as ours", func(name string) amqp.Table {
			return amqp.Table{"x-queue-type": "classic", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + ".dlq"}
		}, check.Warn, []string{"x-queue-type"}},
		{"classic without a dead-letter route", func(string) amqp.Table { return amqp.Table{"x-queue-type": "classic"} }, check.Fail, []string{"x-queue-type", "x-dead-letter-exchange"}},
		{"nothing at all", func(string) amqp.Table { return nil }, check.Fail, []string{"x-dead-letter-exchange"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, topology, conn := broker(t)
			name := q.Queue("order_placed")
			declareAs(t, conn, name, tt.args(name))
			found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology})
			want(t, found, tt.status, "queue "+name, tt.details...)
		})
	}
}

func declareAs(t *testing.T, conn *amqp.Connection, name string, args amqp.Table) {
	t.Helper()
	err := rabbitmq.OnChannel(conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRabbitMQ_ExchangeDiffers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, kind string
		durable    bool
		args       amqp.Table
		status     check.Status
	}{
		{"another type", "direct", true, nil, check.Fail},
		{"gone with the broker", "topic", false, nil, check.Fail},
		{"an alternate exchange as argument", "topic", true, amqp.Table{"alternate-exchange": "amq.fanout"}, check.Warn},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, topology, conn := broker(t)
			err := rabbitmq.OnChannel(conn, func(ch *amqp.Channel) error {
				return ch.ExchangeDeclare(q.Exchange, tt.kind, tt.durable, false, false, false, tt.args)
			})
			if err != nil {
				t.Fatal(err)
			}
			found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology})
			want(t, found, tt.status, "exchange "+q.Exchange, "inequivalent arg")
		})
	}
}

func TestRabbitMQ_MessagesWithoutConsumer(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	queue := q.Queue("order_placed")
	q.Send(queue, kit.Publishing([]byte("{}")))
	found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology})
	want(t, found, check.Warn, "queue "+queue, "1 messages and no consumer")
	if n := q.Depth(queue); n != 1 {
		t.Errorf("%d messages are left, want that check leaves the one", n)
	}

	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Consume(queue, "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	q.Send(queue, kit.Publishing([]byte("{}")))
	found = lines(t, check.RabbitMQ{Options: options(q), Topology: topology})
	want(t, found, check.OK, "queue "+queue, "1 consumers")
}

func TestRabbitMQ_FailsWhenAway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		change  func(t *testing.T, u *url.URL)
		status  check.Status
		subject string
	}{
		{"not there", func(_ *testing.T, u *url.URL) { u.Host = "127.0.0.1:1" }, check.Fail, "RabbitMQ 127.0.0.1:1"},
		{"wrong password", func(_ *testing.T, u *url.URL) { u.User = url.UserPassword("mageline-nobody", "s3cr3t-of-nobody") }, check.Fail, "RabbitMQ credential"},
		{"no such vhost", func(_ *testing.T, u *url.URL) { u.Path = "/no-such-vhost" }, check.Fail, "RabbitMQ vhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, topology, _ := broker(t)
			u, err := url.Parse(q.URL)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(t, u)
			found := lines(t, check.RabbitMQ{Options: rabbitmq.Options{URL: u.String()}, Topology: topology})
			want(t, found, tt.status, tt.subject)
			want(t, found, check.Unknown, "exchanges, queues and permissions")
			for _, l := range found {
				if strings.Contains(l.String(), "s3cr3t") {
					t.Errorf("a password: %s", l)
				}
			}
		})
	}
}

// A broker that stops answering ends the checker with its context, and says so.
func TestRabbitMQ_FailsWhenStalled(t *testing.T) {
	t.Parallel()
	q, topology, _ := broker(t)
	proxy, address := kit.ProxyURL(t, q.URL)
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	found := check.Run(ctx, check.RabbitMQ{Options: rabbitmq.Options{URL: address}, Topology: topology})
	if check.Failed(found) != 1 {
		t.Errorf("%v, want one FAIL", found)
	}
	proxy.Resume()
}
