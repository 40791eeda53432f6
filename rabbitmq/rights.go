package rabbitmq

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// refusal matches RabbitMQ's text for a missing permission. Newer versions put the permission in front ("read access to queue …").
var refusal = regexp.MustCompile(`access to (queue|exchange) '(.+)' in vhost '(.+)' refused for user '(.+)'`)

// The permissions that an operation needs on a queue or exchange, in the words of rabbitmqctl set_permissions
// (https://www.rabbitmq.com/docs/access-control#authorisation).
var (
	toDeclareExchange = map[string]string{"exchange": "configure"}
	toDeclareQueue    = map[string]string{"queue": "configure and read", "exchange": "write"} // with a dead-letter route
	toBind            = map[string]string{"queue": "write", "exchange": "read"}
	// ToConsume is what a subscription needs.
	ToConsume = map[string]string{"queue": "read"}
	// ToPublish is what a publish needs.
	ToPublish = map[string]string{"exchange": "write"}
)

// Explain adds to a refusal which permission the user lacks for an operation, and the call of rabbitmqctl that grants all that the
// topology needs. rights are those of the operation, as ToConsume. To other errors it adds what the function Explain adds.
func (t Topology) Explain(err error, rights map[string]string) error {
	var done *explained
	if !IsRefused(err) || errors.As(err, &done) {
		return Explain(err)
	}
	m := refusal.FindStringSubmatch(err.Error())
	if m == nil || rights[m[1]] == "" {
		return Explain(err)
	}
	kind, name, vhost, user := m[1], m[2], m[3], m[4]
	return &explained{err, fmt.Sprintf("user %s needs the permission to %s on %s %s: %s",
		user, rights[kind], kind, name, t.Grant(vhost, user, kind == "exchange" && rights[kind] == "configure"))}
}

// Grant returns the call of rabbitmqctl that sets a user's permissions to all that the topology needs. With exchange it includes
// the permission to declare Magento's exchange.
func (t Topology) Grant(vhost, user string, exchange bool) string {
	own, magento := regexp.QuoteMeta(t.Prefix+"."), regexp.QuoteMeta(t.Exchange)+"$"
	configure := "^" + own
	if exchange {
		configure = "^(" + own + "|" + magento + ")"
	}
	call := "rabbitmqctl set_permissions"
	for _, arg := range []string{"-p", vhost, user, configure, "^(" + own + `|amq\.default$|` + magento + ")", "^(" + own + "|" + magento + ")"} {
		if strings.Trim(arg, "-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/") != "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		call += " " + arg
	}
	return call
}
