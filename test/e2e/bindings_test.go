package e2e

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/private"
)

// One of several bindings vanishes, which AMQP does not tell: it is there again at the next look, and with AMQP_MANAGEMENT_URL
// the log says which one it was.
func TestTopology_RestoresBindingSeenByManagementAPI(t *testing.T) {
	t.Parallel()
	private.Require(t)
	node, err := private.StartRabbitMQ()
	if node != nil {
		t.Cleanup(node.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	management, err := node.Management()
	if err != nil {
		t.Fatal(err)
	}
	e := newEnvWith(t, env.Options{Queues: kit.BrokerAt(t, node.URL), Delays: []time.Duration{200 * time.Millisecond}})
	e.Set("AMQP_MANAGEMENT_URL", management)
	r := program.Variant(t, "-tags=e2e").Start(t, e.With("E2E_LOOK_EVERY", "3s")).AwaitReady()
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	conn, err := amqp.Dial(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueUnbind(e.Queue("order_placed"), "sales.order.placed", e.Exchange, nil); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, 2*env.Patience, func() bool { return r.Metric("mageline_topology_restored_total", `kind="binding"`) == 1 }, "the binding to be there again, and counted")
	r.AwaitEvent("bindings_restored", "level", "warn", "consumer", "order_placed", "topics", "[sales.order.placed]")
	if n := r.Events("bindings_unwatched"); n != 0 {
		t.Errorf("it said %d times that nobody would notice", n)
	}
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	e.Finish()
}
