package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// exchanges compares the exchanges that are there with those that are declared.
func (b *broker) exchanges() []Finding {
	lines := make([]Finding, 0, len(b.Topology.Exchanges()))
	for _, e := range b.Topology.Exchanges() {
		lines = append(lines, b.exchange(e))
	}
	return lines
}

func (b *broker) exchange(e rabbitmq.Exchange) Finding {
	subject := "exchange " + e.Name
	err := rabbitmq.OnChannel(b.conn, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(e.Name, e.Kind, true, false, false, false, nil)
	})
	if rabbitmq.IsNotFound(err) {
		b.missing[subject] = true
		return ok(subject, "will be created")
	}
	if err == nil {
		err = rabbitmq.OnChannel(b.conn, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, nil)
		})
	}
	reason, differs := rabbitmq.Precondition(err)
	switch {
	case err == nil:
		return ok(subject, "%s, durable", e.Kind)
	case code(err) == amqp.AccessRefused:
		// Who may not configure it may use it all the same: it is there.
		return ok(subject, "is there; its type can't be seen without the right to configure it")
	case differs && strings.Contains(reason, "'alternate-exchange'"):
		return Finding{
			Warn, subject, reason + "; Magento declares it without arguments, and is refused the same way",
			"set the alternate exchange by a policy instead of an argument",
		}
	case differs:
		return Finding{Fail, subject, reason, "delete the exchange while nothing publishes to it; Magento and mageline declare it anew"}
	default:
		return Finding{Unknown, subject, err.Error(), "see that RabbitMQ stays reachable, and check again"}
	}
}

// queues compares the queues that are there with those that are declared, and says which have messages and no consumer.
func (b *broker) queues() []Finding {
	var lines []Finding
	for _, q := range b.Topology.Queues() {
		lines = append(lines, b.queue(q)...)
	}
	if b.Topology.Type == rabbitmq.Classic {
		lines = append(lines, Finding{
			Warn, "MAGELINE_QUEUE_TYPE", "classic: a retry returns at most once, so that a broker's crash can lose one",
			"set it to quorum, for queues that are not there yet",
		})
	}
	return lines
}

func (b *broker) queue(q rabbitmq.Queue) []Finding {
	subject := "queue " + q.Name
	var state amqp.Queue
	err := rabbitmq.OnChannel(b.conn, func(ch *amqp.Channel) (err error) {
		state, err = rabbitmq.Inspect(ch, q.Name)
		return err
	})
	if rabbitmq.IsNotFound(err) {
		b.missing[subject] = true
		return []Finding{ok(subject, "will be created")}
	}
	var found []rabbitmq.Difference
	if err == nil {
		found, err = rabbitmq.Differences(b.conn, q)
	}
	if known, is := b.known[q.Name]; is && (err == nil || code(err) == amqp.AccessRefused) {
		err = nil // who may not configure it sees its arguments all the same
		for _, d := range otherwise(q, known) {
			if !slices.ContainsFunc(found, func(f rabbitmq.Difference) bool { return f.Argument == d.Argument }) {
				found = append(found, d)
			}
		}
	}
	var line Finding
	switch {
	case code(err) == amqp.AccessRefused:
		line = Finding{
			Unknown, subject, "is there; its arguments can't be seen without the right to configure it",
			"set MAGELINE_AMQP_MANAGEMENT_URL, or give the user of MAGELINE_AMQP_URL that right (rabbitmqctl set_permissions), or compare with mageline topology --print",
		}
	case code(err) == amqp.ResourceLocked:
		line = Finding{Fail, subject, "belongs to another connection alone: " + err.Error(), "end the program that has declared it exclusive"}
	case err != nil:
		line = Finding{Unknown, subject, err.Error(), "see that RabbitMQ stays reachable, and check again"}
	case len(found) > 0:
		line = b.different(subject, found)
	default:
		line = ok(subject, "as declared, %d messages, %d consumers", state.Messages, state.Consumers)
	}
	if state.Messages == 0 || state.Consumers > 0 || b.isRetry(q.Name) || strings.HasSuffix(q.Name, ".dlq") {
		return []Finding{line}
	}
	idle := Finding{
		Warn, subject, fmt.Sprintf("%d messages and no consumer", state.Messages),
		"start mageline with this consumer; if it runs, /readyz says why the consumer is paused",
	}
	if line.Status == OK {
		return []Finding{idle}
	}
	return []Finding{line, idle}
}

func (b *broker) different(subject string, found []rabbitmq.Difference) Finding {
	if slices.ContainsFunc(found, func(d rabbitmq.Difference) bool { return d.Argument == "x-queue-type" && d.Current != rabbitmq.Quorum }) {
		// A classic queue has none of these: it is told of by its type.
		found = slices.DeleteFunc(found, func(d rabbitmq.Difference) bool {
			return d.Current == "" && slices.Contains([]string{"x-dead-letter-strategy", "x-overflow", "x-delivery-limit"}, d.Argument)
		})
	}
	line := Finding{
		Warn, subject, "",
		"arguments can't be changed: let the queue run empty, delete it, and mageline topology declares it anew",
	}
	reasons := make([]string, 0, len(found))
	for _, d := range found {
		reasons = append(reasons, d.Reason)
		if loses(d.Argument) {
			line.Status = Fail
		}
	}
	line.Detail = strings.Join(reasons, "; ")
	return line
}

// loses reports whether a queue that has this otherwise can lose messages: docs/deliveries.md.
func loses(argument string) bool {
	switch argument {
	case "x-message-ttl", "x-overflow", "x-expires", "x-delivery-limit", "durable", "auto_delete", "exclusive":
		return true
	}
	return strings.HasPrefix(argument, "x-dead-letter-") || strings.HasPrefix(argument, "x-max-length")
}

// code is the one with which the broker refused, 0 for other errors.
func code(err error) int {
	var refused *amqp.Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return 0
}
