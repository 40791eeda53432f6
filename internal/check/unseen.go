package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mageline/mageline/rabbitmq"
)

// unseen is what AMQP does not tell: lines about it, and the queues as the management API tells them, by name.
type unseen struct {
	RabbitMQ
	api    *rabbitmq.Management
	queues map[string]queueState
	lines  []Finding
}

func (u *unseen) add(l Finding) { u.lines = append(u.lines, l) }

// look asks the management API, where there is one.
func (r RabbitMQ) look(ctx context.Context) *unseen {
	u := &unseen{RabbitMQ: r, queues: map[string]queueState{}}
	if r.Management == "" {
		u.unknown("without the management API can't be seen", "set MAGELINE_AMQP_MANAGEMENT_URL, or look with ")
		return u
	}
	ctx, cancel := context.WithTimeout(ctx, managementTimeout)
	defer cancel()
	var err error
	u.api, err = rabbitmq.NewManagement(r.Management, r.Options)
	if err == nil {
		defer u.api.Close()
		err = u.alarms(ctx)
	}
	if err != nil {
		u.lines = nil
		u.add(u.away(err))
		u.unknown("can't be seen without the management API", "see the line above, or look with ")
		return u
	}
	u.policies(ctx)
	u.bindings(ctx)
	u.unrouted(ctx)
	u.add(u.alternate(ctx))
	return u
}

// unknown has the lines of what is not looked at.
func (u *unseen) unknown(why, todo string) {
	u.add(Finding{
		Unknown, "policies",
		why + "; one that sets a length limit, a TTL or another dead-letter route on a queue of ours can lose messages",
		todo + "rabbitmqctl list_policies and list_operator_policies",
	})
	u.add(Finding{
		Unknown, "bindings", why + "; those of MAGELINE_BINDINGS are added at each start and every minute, others remain",
		todo + "rabbitmqctl list_bindings, remove one with mageline topology --unbind",
	})
	u.unseenTopics(why, todo)
	u.add(Finding{
		Unknown, "alternate exchange of " + u.Topology.Exchange,
		why + "; without one, an event for which there is no queue vanishes, and Magento does not notice",
		todo + "rabbitmqctl list_policies; set one with a policy's alternate-exchange",
	})
}

func (u *unseen) address() string {
	const name = "RabbitMQ management API"
	if u.api == nil {
		return name
	}
	return name + " " + u.api.Address()
}

// away is the line of an API that does not answer: no consumer needs it.
func (u *unseen) away(err error) Finding {
	var refused *rabbitmq.ManagementRefusedError
	switch {
	case errors.As(err, &refused):
		return Finding{
			Warn, u.address(), refused.Error(),
			"correct the user and the password in MAGELINE_AMQP_MANAGEMENT_URL, and give it the tag policymaker (rabbitmqctl set_user_tags)",
		}
	case errors.Is(err, rabbitmq.ErrNoSuchObject):
		return Finding{Warn, u.address(), "answers 404", "set MAGELINE_AMQP_MANAGEMENT_URL to the API's address, as http://host:15672"}
	default:
		return Finding{
			Warn, u.address(), err.Error(),
			"see that the plugin runs (rabbitmq-plugins enable rabbitmq_management) and that MAGELINE_AMQP_MANAGEMENT_URL leads to it",
		}
	}
}

// unclear is the line of a question that was not answered, after others were.
func (u *unseen) unclear(subject string, err error) Finding {
	var refused *rabbitmq.ManagementRefusedError
	if errors.As(err, &refused) {
		return Finding{
			Unknown, subject, "the management API " + refused.Error(),
			"give the user of MAGELINE_AMQP_MANAGEMENT_URL the tag policymaker (rabbitmqctl set_user_tags) and rights on vhost " + u.api.VHost,
		}
	}
	return Finding{Unknown, subject, "the management API: " + err.Error(), "see that it stays reachable at MAGELINE_AMQP_MANAGEMENT_URL, and check again"}
}

// alarms begins, because everybody may ask for them: it shows whether the API is there at all.
func (u *unseen) alarms(ctx context.Context) error {
	var state alarmState
	if err := u.api.Get(ctx, &state, "health", "checks", "alarms"); err != nil {
		return err
	}
	u.add(ok(u.address(), "reachable"))
	const subject = "RabbitMQ alarms"
	if state.Status == "ok" {
		u.add(ok(subject, "none"))
		return nil
	}
	if len(state.Alarms) == 0 {
		return errors.New("answers with what is not RabbitMQ's: see that it is the management API's address, as http://host:15672")
	}
	var raised []string
	for _, a := range state.Alarms {
		raised = append(raised, a.Resource+" on "+a.Node)
	}
	u.add(Finding{Fail, subject, "the broker takes no messages: " + strings.Join(raised, ", "), "free memory or disk there"})
	return nil
}

// policies looks at what policies make of our queues, and will make of those that are not there yet.
func (u *unseen) policies(ctx context.Context) {
	const subject = "policies"
	var missing []rabbitmq.Queue
	changed := 0
	look := func(state queueState) {
		if line, is := policyLine(state, u.role(state.Name)); is {
			changed++
			u.add(line)
		}
	}
	for _, q := range u.Topology.Queues() {
		var state queueState
		err := u.api.Get(ctx, &state, "queues", u.api.VHost, q.Name)
		if errors.Is(err, rabbitmq.ErrNoSuchObject) {
			missing = append(missing, q)
			continue
		}
		if err == nil && state.Name != q.Name {
			err = errors.New("answers with another queue than " + q.Name)
		}
		if err != nil {
			u.add(u.unclear(subject, err))
			return
		}
		u.queues[q.Name] = state
		look(state)
	}
	if len(missing) > 0 {
		policies, err := foresee(ctx, u.api)
		if err != nil {
			u.add(u.unclear(subject, fmt.Errorf("queues that are not there yet: %w", err)))
			return
		}
		for _, q := range missing {
			state, err := policies.queue(q)
			if err != nil {
				u.add(Finding{Unknown, subject, "queue " + q.Name + " is not there yet: " + err.Error(), "mageline topology, which declares it, and check again"})
				return
			}
			look(state)
		}
	}
	if changed == 0 {
		u.add(ok(subject, "none changes a queue of ours"))
	}
}

func (r RabbitMQ) role(queue string) role {
	switch {
	case r.isRetry(queue):
		return retry
	case strings.HasSuffix(queue, ".dlq"):
		return letters
	default:
		return work
	}
}

// maxBindings is how many bindings of a queue that are not ours are listed.
const maxBindings = 20

// bindings compares those of our queues with MAGELINE_BINDINGS. policies has been there before.
func (u *unseen) bindings(ctx context.Context) {
	const subject = "bindings"
	var created []string
	var others []Finding
	there := 0
	for _, q := range u.Topology.Queues() {
		bound, err := u.api.Bindings(ctx, q.Name)
		if err != nil && !errors.Is(err, rabbitmq.ErrNoSuchObject) {
			u.add(u.unclear(subject, err))
			return
		}
		ours := map[rabbitmq.Binding]bool{} // true where it is there
		for _, b := range u.Topology.Bindings() {
			if b.Queue == q.Name {
				ours[b] = slices.ContainsFunc(bound, func(s rabbitmq.BindingState) bool { return s.Source == b.Exchange && s.Key == b.Key })
				if ours[b] {
					there++
				} else {
					created = append(created, described(b))
				}
			}
		}
		more := 0
		for _, s := range bound {
			b := rabbitmq.Binding{Queue: q.Name, Exchange: s.Source, Key: s.Key}
			if s.Source == "" || ours[b] { // the default exchange has every queue
				continue
			}
			if more++; more <= maxBindings {
				others = append(others, u.other(b, len(s.Arguments) > 0))
			}
		}
		if more > maxBindings {
			others = append(others, Finding{Warn, "bindings of queue " + q.Name, fmt.Sprintf("%d more that are not configured", more-maxBindings), "look with rabbitmqctl list_bindings"})
		}
	}
	line := ok(subject, "%d are there", there)
	if len(created) > 0 {
		line.Detail += ", will be created: " + strings.Join(created, ", ")
	}
	u.lines = append(append(u.lines, line), others...)
}

func described(b rabbitmq.Binding) string {
	return fmt.Sprintf("%q of %s to queue %s", b.Key, b.Exchange, b.Queue)
}

// other is the line of a binding that is not configured.
func (u *unseen) other(b rabbitmq.Binding, arguments bool) Finding {
	line := Finding{
		Warn, "binding " + described(b), "is not configured: its messages reach the queue all the same",
		"remove it on RabbitMQ's own pages, unless it is meant",
	}
	if consumer, ours := strings.CutPrefix(b.Queue, u.Topology.Prefix+"."); ours && b.Exchange == u.Topology.Exchange && !arguments {
		line.Todo = fmt.Sprintf("mageline topology --unbind '%s:%s', or name it in MAGELINE_BINDINGS", consumer, b.Key)
	}
	return line
}

// alternate looks where Magento's exchange sends an event for which it has no queue.
func (u *unseen) alternate(ctx context.Context) Finding {
	subject := "alternate exchange of " + u.Topology.Exchange
	todo := fmt.Sprintf(`rabbitmqctl set_policy --apply-to exchanges unroutable '^%s$' '{"alternate-exchange":"unroutable"}', and bind a queue to that exchange`,
		regexp.QuoteMeta(u.Topology.Exchange))
	var exchange exchangeState
	err := u.api.Get(ctx, &exchange, "exchanges", u.api.VHost, u.Topology.Exchange)
	var policy policyState
	switch {
	case errors.Is(err, rabbitmq.ErrNoSuchObject):
		var all foresight
		if all, err = foresee(ctx, u.api); err != nil {
			return u.unclear(subject, err)
		}
		if policy, err = matching(all.users, u.Topology.Exchange, []string{"all", "exchanges"}); err != nil {
			return Finding{Unknown, subject, "the exchange is not there yet: " + err.Error(), "mageline topology, which declares it, and check again"}
		}
	case err != nil:
		return u.unclear(subject, err)
	case exchange.Policy != "":
		err := u.api.Get(ctx, &policy, "policies", u.api.VHost, exchange.Policy)
		if err != nil && !errors.Is(err, rabbitmq.ErrNoSuchObject) {
			return u.unclear(subject, err)
		}
	}
	name, given := exchange.Arguments["alternate-exchange"].(string) // goes before the policy's
	by := "argument"
	if !given {
		name, _ = policy.Definition["alternate-exchange"].(string)
		by = "policy " + policy.Name
	}
	if name == "" {
		return Finding{Warn, subject, "none: an event for which there is no queue vanishes, and Magento does not notice", todo}
	}
	var out []rabbitmq.BindingState
	switch err := u.api.Get(ctx, &out, "exchanges", u.api.VHost, name, "bindings", "source"); {
	case errors.Is(err, rabbitmq.ErrNoSuchObject):
		return Finding{Warn, subject, fmt.Sprintf("%s (%s) is not there: unroutable events vanish all the same", name, by), "declare it, a fanout exchange, and bind a queue to it"}
	case err != nil:
		return u.unclear(subject, err)
	case len(out) == 0:
		return Finding{Warn, subject, fmt.Sprintf("%s (%s) has no queue: unroutable events vanish all the same", name, by), "bind a queue to it"}
	}
	return ok(subject, "%s, by %s", name, by)
}
