package rabbitmq

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// refusal is what RabbitMQ tells a user who lacks a right; newer versions say the right first ("read access to queue …").
var refusal = regexp.MustCompile(`access to (queue|exchange) '(.+)' in vhost '(.+)' refused for user '(.+)'`)

// The rights of rabbitmqctl set_permissions, by what they are on: what an operation needs
// (https://www.rabbitmq.com/docs/access-control#authorisation).
var (
	toDeclareExchange = map[string]string{"exchange": "configure"}
	toDeclareQueue    = map[string]string{"queue": "configure and read", "exchange": "write"} // with a dead-letter route
	toBind            = map[string]string{"queue": "write", "exchange": "read"}
	// ToConsume is for Explain.
	ToConsume = map[string]string{"queue": "read"}
	// ToPublish is for Explain.
	ToPublish = map[string]string{"exchange": "write"}
)

// Explain adds to a refusal of the broker which right the user lacks for an operation, and the call that grants all that
// mageline needs; to other errors what the function Explain does.
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

// Grant is the call that gives a user every right that mageline needs, in place of those it has; with that to make Magento's
// exchange, where it is missing.
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
