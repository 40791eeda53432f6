package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mageline/mageline/rabbitmq"
)

// role is what a queue of ours is for: what a limit does to its messages depends on it.
type role int

const (
	work    role = iota // Magento publishes to it, without confirms
	letters             // has no dead-letter route: what leaves it is gone
	retry               // only mageline publishes to it, with confirms, and its messages are meant to leave after a while
)

// effect is what a policy does to a queue.
type effect struct {
	text  string
	loses bool
}

// effects compares what policies set on a queue with its arguments. Operator policies go before arguments, and
// arguments before policies, but of two numbers the lower one counts wherever it comes from, and a policy's overflow goes
// before the argument of a quorum queue (https://www.rabbitmq.com/docs/policies, rabbit_queue_type_util:args_policy_lookup).
func effects(q queueState, r role) (found []effect) {
	for _, key := range slices.Sorted(maps.Keys(q.Effective)) {
		value := q.Effective[key]
		argument, given := q.Arguments["x-"+key]
		var loses bool
		switch key {
		case "message-ttl", "delivery-limit", "max-length", "max-length-bytes", "expires":
			if given && !lower(value, argument) {
				continue
			}
			switch key {
			case "message-ttl", "delivery-limit":
				loses = r != retry
			case "expires":
				loses = true
			default:
				// A full work queue refuses Magento's event, and Magento does not ask.
				loses = r == work || !strings.HasPrefix(overflow(q), "reject-publish")
			}
		case "overflow":
			if given && (q.Type != rabbitmq.Quorum || value == argument) {
				continue
			}
			loses = given // at-least-once dead-lettering is silently at most once without reject-publish
		default:
			if given { // the argument counts
				continue
			}
			// A route of the policy's where ours has none: where the messages that are to come back from a retry go.
			loses = r != letters && strings.HasPrefix(key, "dead-letter-")
		}
		text := fmt.Sprintf("%s is %v", key, value)
		if given {
			text += fmt.Sprintf(" instead of %v", argument)
		}
		found = append(found, effect{text, loses})
	}
	return found
}

// overflow is what happens when a queue is full; the default is to drop the oldest.
func overflow(q queueState) string {
	argument, given := q.Arguments["x-overflow"].(string)
	policy, set := q.Effective["overflow"].(string)
	if set && (!given || q.Type == rabbitmq.Quorum) {
		return policy
	}
	return argument
}

// lower reports whether a number is below another; what is not a number is taken for it.
func lower(value, than any) bool {
	a, okA := integer(value)
	b, okB := integer(than)
	return !okA || !okB || a < b
}

func integer(value any) (int64, bool) {
	n, isNumber := value.(json.Number)
	if !isNumber {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

// policyLine is the line of a queue that policies change, ok is false for none.
func policyLine(q queueState, r role) (line Finding, changed bool) {
	found := effects(q, r)
	if len(found) == 0 {
		return Finding{}, false
	}
	line = Finding{Status: Warn, Subject: "policies of queue " + q.Name}
	var texts, names, todo []string
	for _, e := range found {
		texts = append(texts, e.text)
		if e.loses {
			line.Status = Fail
		}
	}
	if q.Policy != "" {
		names = append(names, "policy "+q.Policy)
		todo = append(todo, "rabbitmqctl set_policy or clear_policy "+q.Policy)
	}
	if q.OperatorPolicy != "" {
		names = append(names, "operator policy "+q.OperatorPolicy)
		todo = append(todo, "rabbitmqctl set_operator_policy or clear_operator_policy "+q.OperatorPolicy)
	}
	if len(names) == 0 { // it was taken away a moment ago
		names, todo = []string{"a policy"}, []string{"rabbitmqctl list_policies"}
	}
	line.Detail = strings.Join(texts, ", ") + " by " + strings.Join(names, " and ")
	line.Todo = "have the pattern not match this queue: " + strings.Join(todo, ", ")
	return line, true
}

// otherwise compares a queue's arguments, as the API tells them, with those that are declared.
func otherwise(declared rabbitmq.Queue, q queueState) (found []rabbitmq.Difference) {
	if !q.Durable {
		found = append(found, rabbitmq.Difference{Argument: "durable", Current: "false", Reason: "durable is false instead of true"})
	}
	if q.AutoDelete {
		found = append(found, rabbitmq.Difference{Argument: "auto_delete", Current: "true", Reason: "auto_delete is true instead of false"})
	}
	names := slices.Collect(maps.Keys(declared.Args))
	for name := range q.Arguments {
		if _, ours := declared.Args[name]; !ours {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		want, ours := declared.Args[name]
		got, there := q.Arguments[name]
		switch {
		case name == "x-queue-type" && !there && want == q.Type: // the broker's default, which it need not write
		case !there:
			found = append(found, rabbitmq.Difference{Argument: name, Current: "", Reason: fmt.Sprintf("%s is not set instead of %q", name, fmt.Sprint(want))})
		case !ours:
			found = append(found, rabbitmq.Difference{Argument: name, Current: fmt.Sprint(got), Reason: fmt.Sprintf("%s is %q instead of not set", name, fmt.Sprint(got))})
		case fmt.Sprint(got) != fmt.Sprint(want):
			found = append(found, rabbitmq.Difference{Argument: name, Current: fmt.Sprint(got), Reason: fmt.Sprintf("%s is %q instead of %q", name, fmt.Sprint(got), fmt.Sprint(want))})
		}
	}
	return found
}
