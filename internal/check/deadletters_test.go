package check_test

import (
	"net/url"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func deadLetters(q *kit.Queues, topology rabbitmq.Topology, database string) check.DeadLetters {
	return check.DeadLetters{
		Options: options(q), Topology: topology, Retention: 100 * time.Hour,
		Reader: deadletter.New(deadletter.Options{
			Broker: options(q), DatabaseURL: database, Prefix: q.Prefix, Host: "test", Log: zerolog.Nop(),
		}),
	}
}

func dead(failed time.Time) amqp.Publishing {
	p := kit.Publishing([]byte(`{"increment_id":"1"}`))
	p.Headers = amqp.Table{rabbitmq.HeaderFailedAt: failed.UTC().Format(time.RFC3339)}
	return p
}

func TestDeadLetters_ByAge(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	database := kit.DatabaseURL()
	queue := q.DeadLetters("order_placed")
	want(t, lines(t, deadLetters(q, topology, database)), check.OK, "dead letters", "none")
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	want(t, lines(t, deadLetters(q, topology, database)), check.OK, "dead letters", "none")

	now := time.Now()
	q.Send(queue, dead(now.Add(-time.Hour)))
	found := lines(t, deadLetters(q, topology, database))
	want(t, found, check.Warn, "dead letters in "+queue, "1 wait")
	if len(found) != 1 {
		t.Errorf("%d lines, want one", len(found))
	}

	q.Send(queue, dead(now.Add(-80*time.Hour))) // more than 3/4 of what keys are kept
	found = lines(t, deadLetters(q, topology, database))
	want(t, found, check.Warn, "age of the dead letters in "+queue, "80h0m0s old", "100h0m0s")
	kit.Eventually(t, 10*time.Second, func() bool { return q.Depth(queue) == 2 }, "both letters are back")
	first, _ := q.Get(queue)
	if got := rabbitmq.Text(first.Headers, rabbitmq.HeaderFailedAt); got != now.Add(-time.Hour).UTC().Format(time.RFC3339) {
		t.Errorf("the first letter failed at %s: check has changed their order", got)
	}
}

func TestDeadLetters_UnknownWhenNotReadable(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	queue := q.DeadLetters("order_placed")
	q.Send(queue, kit.Publishing([]byte("{}")))
	want(t, lines(t, deadLetters(q, topology, kit.DatabaseURL())), check.Unknown, "age of the dead letters in "+queue, "do not tell")

	away := change(t, kit.DatabaseURL(), func(u *url.URL) { u.Host = "127.0.0.1:1" })
	want(t, lines(t, deadLetters(q, topology, away)), check.Unknown, "age of the dead letters in "+queue, "127.0.0.1:1")

	gone := deadLetters(q, topology, kit.DatabaseURL())
	gone.Options.URL = "amqp://127.0.0.1:1/"
	want(t, lines(t, gone), check.Unknown, "dead letters")
}
