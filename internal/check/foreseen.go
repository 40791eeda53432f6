package check

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/mageline/mageline/rabbitmq"
)

// foresight has all policies of the vhost: what they will make of a queue or an exchange that is not there yet.
type foresight struct{ users, operators []policyState }

func foresee(ctx context.Context, m *rabbitmq.Management) (f foresight, err error) {
	if err := m.Get(ctx, &f.users, "policies", m.VHost); err != nil {
		return f, err
	}
	return f, m.Get(ctx, &f.operators, "operator-policies", m.VHost)
}

// queue returns a queue as it will be once it is declared.
func (f foresight) queue(q rabbitmq.Queue) (queueState, error) {
	state := queueState{Name: q.Name, Type: fmt.Sprint(q.Args["x-queue-type"]), Durable: true, Arguments: object{}, Effective: object{}}
	for name, value := range q.Args {
		if n, isNumber := value.(int64); isNumber {
			value = json.Number(fmt.Sprint(n))
		}
		state.Arguments[name] = value
	}
	kinds := []string{"all", "queues", state.Type + "_queues"}
	user, err := matching(f.users, q.Name, kinds)
	if err != nil {
		return state, err
	}
	operator, err := matching(f.operators, q.Name, kinds)
	if err != nil {
		return state, err
	}
	state.Policy, state.OperatorPolicy = user.Name, operator.Name
	for key, value := range user.Definition {
		state.Effective[key] = value
	}
	for key, value := range operator.Definition { // of two numbers the lower one, else the operator's
		if theirs, set := state.Effective[key]; !set || lower(value, theirs) {
			state.Effective[key] = value
		}
	}
	return state, nil
}

// matching returns the policy that applies: of those that match, the one with the highest priority. The zero policy is none.
func matching(policies []policyState, name string, kinds []string) (found policyState, err error) {
	for _, p := range policies {
		if !slices.Contains(kinds, p.ApplyTo) || found.Name != "" && p.Priority <= found.Priority {
			continue
		}
		pattern, err := regexp.Compile(p.Pattern)
		if err != nil { // the broker's patterns know more than ours
			return found, fmt.Errorf("whether the pattern of policy %s matches can't be seen before", p.Name)
		}
		if pattern.MatchString(name) {
			found = p
		}
	}
	return found, nil
}
