package check_test

import (
	"testing"
	"time"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit/private"
)

// A limit of the vhost is told as one, with the call that raises it, by a broker that has it.
func TestRabbitMQ_VhostLimits(t *testing.T) {
	t.Parallel()
	private.Require(t)
	n, err := private.StartRabbitMQ()
	if n != nil {
		t.Cleanup(n.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctl := func(args ...string) {
		t.Helper()
		if out, err := n.Ctl(args...); err != nil {
			t.Fatal(out, err)
		}
	}
	ctl("add_vhost", "small")
	ctl("set_permissions", "-p", "small", "guest", ".*", ".*", ".*")
	ctl("set_vhost_limits", "-p", "small", `{"max-queues": 0}`)
	checker := check.RabbitMQ{Options: rabbitmq.Options{URL: n.URL + "small"}, Topology: rabbitmq.Topology{
		Exchange: "magento", Prefix: "mageline", Type: rabbitmq.Quorum, Delays: []time.Duration{time.Second},
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: "order_placed", Topics: []string{"sales.order.placed"}}},
	}}
	found := lines(t, checker)
	want(t, found, check.Fail, "RabbitMQ permission to declare", "queue limit in vhost 'small' (0) is reached", "set_vhost_limits, max-queues")

	ctl("set_vhost_limits", "-p", "small", `{"max-connections": 0}`)
	found = lines(t, checker)
	want(t, found, check.Fail, "RabbitMQ limits", "connection limit (0) is reached", "set_vhost_limits, max-connections")
}
