package rabbitmq_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// What RabbitMQ refuses is told with the right that is missing, in the words of old and of new versions.
func TestExplain_NamesTheMissingPermission(t *testing.T) {
	t.Parallel()
	top := rabbitmq.Topology{Exchange: "magento", Prefix: "shop.line"}
	const grant = `rabbitmqctl set_permissions -p / o-1 '^shop\.line\.' '^(shop\.line\.|amq\.default$|magento$)' '^(shop\.line\.|magento$)'`
	for _, tt := range []struct {
		name, reason string
		rights       map[string]string
		want         string
	}{
		{
			"3.10", "ACCESS_REFUSED - access to queue 'shop.line.order_placed' in vhost '/' refused for user 'o-1'",
			rabbitmq.ToConsume, "user o-1 needs the permission to read on queue shop.line.order_placed: " + grant,
		},
		{
			"newer", "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'o-1'",
			rabbitmq.ToPublish, "user o-1 needs the permission to write on exchange amq.default: " + grant,
		},
		{
			"quoted for the shell", "ACCESS_REFUSED - access to queue 'q' in vhost 'the shop''s' refused for user 'a b'",
			rabbitmq.ToConsume, `set_permissions -p 'the shop'\'''\''s' 'a b' '^shop`,
		},
		{
			"cut short", "ACCESS_REFUSED - access to queue 'shop.line.order_placed' in vho", rabbitmq.ToConsume,
			"grant the user this permission",
		},
		{
			"another thing", "ACCESS_REFUSED - access to topic 'x' in exchange 'y' in vhost '/' refused for user 'o-1'", rabbitmq.ToPublish,
			"grant the user this permission",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refused := &amqp.Error{Code: amqp.AccessRefused, Reason: tt.reason}
			err := top.Explain(fmt.Errorf("do it: %w", refused), tt.rights)
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.reason) || !rabbitmq.IsRefused(err) {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
			if again := rabbitmq.Explain(top.Explain(err, tt.rights)); again.Error() != err.Error() {
				t.Errorf("explained twice: %v", again)
			}
		})
	}
	if err := top.Explain(nil, rabbitmq.ToConsume); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	other := errors.New("something else")
	if err := top.Explain(other, rabbitmq.ToConsume); !errors.Is(err, other) || err.Error() != other.Error() {
		t.Errorf("of something else: %v", err)
	}
	// Who may make Magento's exchange too.
	if call := top.Grant("/", "u", true); !strings.Contains(call, ` '^(shop\.line\.|magento$)' '^(`) {
		t.Errorf("with the exchange: %s", call)
	}
}
