package check

import "github.com/mageline/mageline/rabbitmq"

type object = rabbitmq.ManagementObject

// queueState is a queue as the API tells it.
type queueState struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Durable    bool   `json:"durable"`
	AutoDelete bool   `json:"auto_delete"`
	Arguments  object `json:"arguments"`
	// Policy and OperatorPolicy are the names of those that match, null for none, and Effective what they set together:
	// of two limits the lower one.
	Policy         string `json:"policy"`
	OperatorPolicy string `json:"operator_policy"`
	Effective      object `json:"effective_policy_definition"`
}

type exchangeState struct {
	Name      string `json:"name"`
	Arguments object `json:"arguments"`
	Policy    string `json:"policy"`
}

type policyState struct {
	Name       string `json:"name"`
	Pattern    string `json:"pattern"`
	ApplyTo    string `json:"apply-to"`
	Priority   int    `json:"priority"`
	Definition object `json:"definition"`
}

type alarmState struct {
	Status string `json:"status"`
	Alarms []struct {
		Node     string `json:"node"`
		Resource string `json:"resource"`
	} `json:"alarms"`
}
