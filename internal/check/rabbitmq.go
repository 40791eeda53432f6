package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// RabbitMQ looks at the broker: the connection, exchanges and queues as they are against those that are declared, and
// whether the user may do what the consumers do. Nothing is declared, published or consumed.
type RabbitMQ struct {
	Options  rabbitmq.Options
	Topology rabbitmq.Topology
	// Management is the address of the broker's HTTP API with user and password, for what AMQP does not tell; may be empty.
	Management string
	// Publishes says that an enabled consumer publishes events to the exchange, as Magento does.
	Publishes bool
}

const (
	// managementTimeout bounds all questions to RabbitMQ's HTTP API together.
	managementTimeout = 15 * time.Second
	brokerTimeout     = 30 * time.Second
	publishTimeout    = 10 * time.Second
)

// Check looks.
func (r RabbitMQ) Check(ctx context.Context) []Finding {
	unseen := r.look(ctx)
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	conn, err := rabbitmq.Dial(ctx, r.Options, "mageline check")
	if err != nil {
		lines := append(r.unreachable(inTime(ctx, err)), Finding{
			Unknown, "exchanges, queues and permissions", "can't be seen without RabbitMQ", "see the lines above",
		})
		return append(lines, unseen.lines...)
	}
	// The library's calls know no context: they end when the connection does.
	defer context.AfterFunc(ctx, func() { rabbitmq.Close(conn) })()
	defer rabbitmq.Close(conn)

	version, _ := conn.Properties["version"].(string)
	lines := []Finding{
		r.version(version),
		ok("RabbitMQ credential", "accepted for vhost %q", conn.Config.Vhost),
	}
	lines = append(lines, r.nodes(ctx)...)
	b := &broker{RabbitMQ: r, conn: conn, missing: map[string]bool{}, known: unseen.queues}
	lines = append(lines, b.exchanges()...)
	lines = append(lines, b.queues()...)
	lines = append(lines, b.permissions()...)
	lines = append(lines, r.publishing(ctx))
	return append(lines, unseen.lines...)
}

func (r RabbitMQ) address() string { return "RabbitMQ " + rabbitmq.HostPort(r.Options.URL) }

// nodes looks at each node, where there are several: one that takes no connection is missed when another goes.
func (r RabbitMQ) nodes(ctx context.Context) []Finding {
	all, err := r.Options.Nodes()
	if err != nil || len(all) < 2 {
		return nil
	}
	lines := make([]Finding, len(all))
	var asking sync.WaitGroup
	for i, node := range all {
		asking.Go(func() {
			subject := "RabbitMQ node " + rabbitmq.HostPort(node.URL)
			conn, err := rabbitmq.Dial(ctx, node, "mageline check")
			if err != nil {
				lines[i] = Finding{Warn, subject, inTime(ctx, err).Error(), "start it, or take it out of MAGELINE_AMQP_URL"}
				return
			}
			rabbitmq.Close(conn)
			lines[i] = ok(subject, "takes connections")
		})
	}
	asking.Wait()
	return lines
}

func (r RabbitMQ) unreachable(err error) []Finding {
	reached := ok(r.address(), "reachable")
	var refused *amqp.Error
	switch {
	case rabbitmq.IsLimit(err):
		return []Finding{reached, {Fail, "RabbitMQ limits", err.Error(), "raise that limit: without a connection nothing is consumed"}}
	case errors.As(err, &refused) && (refused.Code == amqp.NotAllowed || errors.Is(err, amqp.ErrVhost)):
		return []Finding{reached, {
			Fail, "RabbitMQ vhost", err.Error(),
			"set the vhost at the end of MAGELINE_AMQP_URL (%2F is /), or make it and let the user in: rabbitmqctl add_vhost, rabbitmqctl set_permissions",
		}}
	case errors.As(err, &refused) && refused.Code == amqp.AccessRefused:
		return []Finding{reached, {Fail, "RabbitMQ credential", err.Error(), "correct the user and the password in MAGELINE_AMQP_URL"}}
	default:
		return []Finding{{Fail, r.address(), err.Error(), "see that RabbitMQ runs and that MAGELINE_AMQP_URL leads to it"}}
	}
}

// version knows that quorum queues have a message TTL and a safe dead-letter route since 3.10
// (https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/3.10.0.md).
func (r RabbitMQ) version(version string) Finding {
	major, minor, ok2 := majorMinor(version)
	if ok2 && r.Topology.Type != rabbitmq.Classic && (major < 3 || major == 3 && minor < 10) {
		return Finding{
			Fail, r.address(), "reachable, version " + version + ", whose quorum queues know no message TTL: retries would wait for ever",
			"update RabbitMQ to 3.10 or newer",
		}
	}
	return ok(r.address(), "reachable, version %s", version)
}

func majorMinor(version string) (major, minor int, ok bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(parts[1])
	return major, minor, err == nil
}

// broker is a connection and what was seen on it.
type broker struct {
	RabbitMQ
	conn *amqp.Connection
	// missing has the exchanges and queues that are not there, by kind and name.
	missing map[string]bool
	// known has queues as the management API tells them, by name.
	known map[string]queueState
}

// permissions asks for each right with a request that the broker refuses, or that does nothing, after it has looked at
// the right: 403 means that the user does not have it.
func (b *broker) permissions() []Finding {
	declare, bind, consume := &right{verb: "declare", permission: "configure"},
		&right{verb: "bind", permission: "write to the queue and read from the exchange"},
		&right{verb: "consume", permission: "read"}
	for _, e := range b.Topology.Exchanges() {
		if b.missing["exchange "+e.Name] {
			declare.ask(b.conn, "exchange "+e.Name, func(ch *amqp.Channel) error { return declareImpossibleExchange(ch, e) })
		}
	}
	for _, q := range b.Topology.Queues() {
		missing := b.missing["queue "+q.Name]
		if missing {
			declare.ask(b.conn, "queue "+q.Name, func(ch *amqp.Channel) error { return declareImpossibleQueue(ch, q.Name) })
		}
		// Of retry queues only the broker takes; who declares a queue with a dead-letter route must be able to read it.
		if missing || !b.isRetry(q.Name) {
			consume.ask(b.conn, "queue "+q.Name, func(ch *amqp.Channel) error { return consumeImpossibly(ch, q.Name) })
		}
	}
	asked := map[string]bool{}
	for _, binding := range b.Topology.Bindings() {
		what := "queue " + binding.Queue + " to exchange " + binding.Exchange
		if asked[what] {
			continue
		}
		asked[what] = true
		bind.ask(b.conn, what, func(ch *amqp.Channel) error {
			// A binding that nobody has; taking it away needs the same rights.
			return ch.QueueUnbind(binding.Queue, "mageline-check."+rand.Text(), binding.Exchange, nil)
		})
	}
	grant := b.grant(b.conn)
	return []Finding{declare.line(grant), bind.line(grant), consume.line(grant)}
}

// grant is the rabbitmqctl call that grants the user of a connection every right that mageline needs.
func (r RabbitMQ) grant(conn *amqp.Connection) string {
	user := "USER"
	if nodes, err := rabbitmq.ParseURL(r.Options.URL); err == nil {
		user = nodes[0].Username
	}
	return r.Topology.Grant(conn.Config.Vhost, user, true)
}

func (r RabbitMQ) isRetry(queue string) bool {
	return slices.ContainsFunc(r.Topology.Delays, func(d time.Duration) bool { return r.Topology.Retry(d) == queue })
}

// declareImpossibleExchange asks to declare an exchange in a way that RabbitMQ refuses with 406, after it has looked at
// the permission. Tried on 3.10.
func declareImpossibleExchange(ch *amqp.Channel, e rabbitmq.Exchange) error {
	err := ch.ExchangeDeclare(e.Name, e.Kind, false, true, false, false, amqp.Table{"alternate-exchange": int32(0)})
	if err == nil { // another broker than RabbitMQ: it is empty and nobody's
		return ch.ExchangeDelete(e.Name, true, false)
	}
	return err
}

// declareImpossibleQueue does the same with a queue; one that were made all the same would be ours alone, and end with
// the connection.
func declareImpossibleQueue(ch *amqp.Channel, queue string) error {
	_, err := ch.QueueDeclare(queue, false, true, true, false, amqp.Table{"x-dead-letter-exchange": int32(0)})
	return err
}

// consumeImpossibly asks to consume in a way that RabbitMQ refuses with 406, after it has looked at the permission.
func consumeImpossibly(ch *amqp.Channel, queue string) error {
	if err := ch.Qos(1, 0, false); err != nil {
		return err
	}
	_, err := ch.Consume(queue, "mageline-check", false, false, false, false, amqp.Table{"x-priority": "none"})
	return err // a subscription would end with the channel
}

// right is one thing that a user may do or not, with several exchanges and queues.
type right struct {
	verb, permission string
	refused, unclear []string
	limit            string // what the broker said where it has as much as it may have
	asked            int
}

func (r *right) ask(conn *amqp.Connection, what string, f func(*amqp.Channel) error) {
	r.asked++
	err := rabbitmq.OnChannel(conn, func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		err := f(ch)
		if errors.Is(err, amqp.ErrClosed) { // a refused publish closes the channel before the next call
			if reason := <-closed; reason != nil {
				return reason
			}
		}
		return err
	})
	switch c := code(err); {
	case c == amqp.AccessRefused:
		r.refused = append(r.refused, what)
	case rabbitmq.IsLimit(err):
		r.limit = rabbitmq.Explain(err).Error()
	case err != nil && c != amqp.NotFound && c != amqp.PreconditionFailed:
		r.unclear = append(r.unclear, what+": "+err.Error())
	}
}

// line is of all that was asked; grant is the call that grants every right.
func (r *right) line(grant string) Finding {
	subject := "RabbitMQ permission to " + r.verb
	switch {
	case len(r.refused) > 0:
		return Finding{
			Fail, subject, "refused for " + strings.Join(r.refused, ", "),
			fmt.Sprintf("give the user of MAGELINE_AMQP_URL the right to %s: %s", r.permission, grant),
		}
	case r.limit != "":
		return Finding{Fail, subject, r.limit, "raise that limit, or start fewer consumers (MAGELINE_CONSUMERS)"}
	case len(r.unclear) > 0:
		return Finding{Unknown, subject, r.unclear[0], "see that RabbitMQ stays reachable, and check again"}
	case r.asked == 0:
		return ok(subject, "nothing is missing that must be declared")
	default:
		return ok(subject, "granted")
	}
}

// publishing asks for the right to publish, in transactions that are rolled back: RabbitMQ looks at the right when it
// gets a message, and routes none of a rolled-back transaction. It has a connection of its own, because the broker stops
// reading from one that publishes while it has an alarm.
func (r RabbitMQ) publishing(ctx context.Context) Finding {
	const subject = "RabbitMQ permission to publish"
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	conn, err := rabbitmq.Dial(ctx, r.Options, "mageline check")
	if err != nil {
		return Finding{Unknown, subject, inTime(ctx, err).Error(), "see that RabbitMQ stays reachable, and check again"}
	}
	defer context.AfterFunc(ctx, func() { rabbitmq.Close(conn) })()
	grant := r.grant(conn)
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	var alarm string
	var watching sync.WaitGroup
	watching.Go(func() { // ends when the connection closes
		for b := range blocked {
			if b.Active && alarm == "" {
				alarm = "alarm, " + b.Reason
				rabbitmq.Close(conn) // nothing more comes from it
			}
		}
	})
	publish := &right{verb: "publish", permission: "write"}
	targets := []string{""}
	for _, e := range r.Topology.Exchanges() {
		if e.Name != r.Topology.Exchange || r.Publishes { // else that one is Magento's to publish to
			targets = append(targets, e.Name)
		}
	}
	for _, exchange := range targets {
		name := "exchange " + exchange
		if exchange == "" {
			name = "the default exchange (amq.default in permissions)"
		}
		publish.ask(conn, name, func(ch *amqp.Channel) error {
			if err := ch.Tx(); err != nil {
				return err
			}
			// Without a body: nothing but the right is asked for.
			if err := ch.PublishWithContext(ctx, exchange, "mageline-check."+rand.Text(), false, false, amqp.Publishing{}); err != nil {
				return err
			}
			return ch.TxRollback()
		})
	}
	rabbitmq.Close(conn)
	watching.Wait()
	if alarm != "" {
		return Finding{Fail, subject, "the broker takes no messages: " + alarm, "free memory or disk on the broker's machine"}
	}
	return publish.line(grant)
}
