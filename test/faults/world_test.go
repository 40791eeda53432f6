package faults

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/private"
)

// world is an environment with a proxy before each part, and the events that were published in it, of which each must have an
// end that is known. Publish and Place of the environment are not for it: nobody would ask for the end of what they publish.
type world struct {
	*env.Env
	t     *testing.T
	f     *scenario
	began time.Time

	brokerLink, databaseLink, shopLink, erpLink *kit.Proxy
	frames                                      *kit.Frames // nil unless the fault asks for it
	cluster                                     []*private.RabbitMQ

	publisher *amqp.Connection
	events    []*sent
	placed    []fakemagento.Placed
	// How many distinct events are parked and waiting at the end.
	parked, waiting int
}

// sent is an event that was published.
type sent struct {
	id, order    string      // message id; order's number, "" for one that names none
	track        string      // the tracking number that it brings to the order; "" for one that places it
	done         func() bool // of what is no order and no tracking number: whether it has had its effect
	acknowledged bool
}

// scenario is one fault, or several: what goes wrong, and in what world.
type scenario struct {
	number int // in docs/faults.md
	name   string
	// Servers of its own, which may be broken: such tests run one after the other.
	ownBroker, ownDatabase bool
	oldBroker              bool // begins on a broker of its own of the installed version
	nodes                  int  // more than 0: a cluster of its own
	// What the world is like.
	mode   fakeerp.Mode
	shop   fakemagento.Options
	frames bool
	env    []string // name, value, name, value
	// prepare may change the world before anything runs.
	prepare func(w *world)
	run     func(w *world)
}

// lane is a group of faults that run one after the other, because they break the same server; "" is none.
func (f *scenario) lane() string {
	switch {
	case f.ownBroker:
		return "own RabbitMQ"
	case f.ownDatabase:
		return "own Postgres"
	}
	return ""
}

// newWorld makes one. Nothing of mageline runs yet.
func newWorld(t *testing.T, f *scenario, seed uint64) *world {
	t.Helper()
	w := &world{t: t, f: f, began: time.Now()}
	o := env.Options{Program: program, Shop: f.shop, ERP: f.mode, Seed: seed, Delays: env.ImpatientDelays()}
	versions := fakemagento.Versions()
	o.Shop.Version = versions[(seed+uint64(f.number))%uint64(len(versions))]
	if broker := w.ownBroker(); broker != "" {
		o.Queues = kit.BrokerAt(t, broker)
	}
	if f.ownDatabase {
		o.Database = kit.DatabaseAt(t, servers.Postgres(t).URL)
	}
	w.Env = env.New(t, o).Impatient()
	t.Cleanup(func() { // before the queues are cleaned up
		if w.publisher != nil {
			_ = w.publisher.Close()
		}
	})
	w.shopLink, w.erpLink = w.Link("MAGENTO_URL"), w.Link("ERP_URL")
	w.brokerLink, w.databaseLink = w.Link("AMQP_URL"), w.Link("DATABASE_URL")
	if f.frames {
		w.frames = kit.NewFrames(t, w.Vars["AMQP_URL"])
		w.Set("AMQP_URL", w.frames.URL)
	}
	w.Set("PREFETCH", "16")
	w.Set(f.env...)
	if f.prepare != nil {
		f.prepare(w)
	}
	return w
}

// ownBroker starts the broker that the fault breaks and returns its address; "" is that of all tests.
func (w *world) ownBroker() string {
	w.t.Helper()
	switch {
	case w.f.oldBroker:
		private.Require(w.t)
		old, err := private.StartInstalledRabbitMQ()
		if old != nil {
			w.t.Cleanup(old.Close)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return old.URL
	case w.f.nodes > 0:
		private.Require(w.t)
		var err error
		w.cluster, err = private.StartCluster(w.f.nodes)
		w.t.Cleanup(func() {
			for _, n := range slices.Backward(w.cluster) {
				n.Close()
			}
		})
		if err != nil {
			w.t.Fatal(err)
		}
		return w.cluster[0].URL
	case w.f.ownBroker:
		return servers.RabbitMQ(w.t).URL
	}
	return ""
}

// publish publishes as Magento does, and notes whether the broker has confirmed it. A broker that is away is tried again
// for a while: what was written to a connection that broke may have arrived.
func (w *world) publish(order string, p amqp.Publishing) *sent {
	w.t.Helper()
	return w.publishTo(env.TopicPlaced, order, p)
}

func (w *world) publishTo(topic, order string, p amqp.Publishing) *sent {
	w.t.Helper()
	if p.MessageId == "" {
		id := make([]byte, 16)
		_, _ = rand.Read(id)
		p.MessageId, p.DeliveryMode = hex.EncodeToString(id), amqp.Persistent
	}
	s := &sent{id: p.MessageId, order: order}
	w.events = append(w.events, s)
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if err := w.confirmed(ctx, topic, p); err != nil {
		w.t.Logf("an event of order %q was not confirmed: %v", order, err)
		return s
	}
	s.acknowledged = true
	return s
}

func (w *world) confirmed(ctx context.Context, topic string, p amqp.Publishing) error {
	if w.publisher == nil || w.publisher.IsClosed() {
		conn, err := amqp.DialConfig(w.URL, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)})
		if err != nil {
			return err
		}
		w.publisher = conn
	}
	ch, err := w.publisher.Channel()
	if err != nil {
		return err
	}
	err = w.through(ctx, ch, topic, p)
	if err != nil { // a broker without a quorum does not answer a goodbye either
		_ = w.publisher.CloseDeadline(time.Now().Add(time.Second))
		return err
	}
	return ch.Close()
}

// through publishes on a channel and waits for the confirm.
func (w *world) through(ctx context.Context, ch *amqp.Channel, topic string, p amqp.Publishing) error {
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, w.Exchange, topic, false, false, p)
	if err != nil {
		return err
	}
	ok, err := confirm.WaitContext(ctx)
	if err == nil && !ok {
		err = errors.New("refused")
	}
	return err
}

// event publishes one for an order.
func (w *world) event(o fakemagento.Placed) *sent {
	w.t.Helper()
	return w.publish(o.IncrementID, amqp.Publishing{Body: []byte(env.Object(o))})
}

// track publishes a tracking number of an order; more are further members of the message.
func (w *world) track(o fakemagento.Placed, number, more string) *sent {
	w.t.Helper()
	s := w.publishTo(env.TopicTracking, o.IncrementID, amqp.Publishing{
		Body: fmt.Appendf(nil, `{"order_number":%q,"tracking_number":%q%s}`, o.IncrementID, number, more),
	})
	s.track = number
	return s
}

// awaitTracked waits until so many of the tracking numbers that were published are in Magento.
func (w *world) awaitTracked(n int) {
	w.t.Helper()
	kit.Eventually(w.t, env.Patience, func() bool { return len(w.Shop.TrackCounts()) >= n }, fmt.Sprintf("%d tracking numbers in Magento", n))
}

// place places orders and publishes an event for each, and for every third another one.
func (w *world) place(n int) []fakemagento.Placed {
	w.t.Helper()
	orders := make([]fakemagento.Placed, 0, n)
	for i := range n {
		o := w.order(fakemagento.Placing{})
		w.event(o)
		if i%3 == 2 {
			w.event(o)
		}
		orders = append(orders, o)
	}
	return orders
}

// order places one and publishes nothing.
func (w *world) order(p fakemagento.Placing) fakemagento.Placed {
	o := w.Shop.PlaceOrder(p)
	w.placed = append(w.placed, o)
	return o
}

// poison publishes events that nobody can use; they are to be parked.
func (w *world) poison(n int) {
	w.t.Helper()
	for i := range n {
		w.publish("", amqp.Publishing{Body: fmt.Appendf(nil, "no JSON %d", i)})
		w.parked++
	}
}

// finish waits until every event has its end, ends the replicas, and reports what became of the events.
func (w *world) finish() {
	w.t.Helper()
	w.report(w.Stop(w.settle, func() bool {
		now, later := w.Left()
		return now == 0 && later <= w.waiting
	}))
}

// settle waits until every event has its end.
func (w *world) settle() {
	w.t.Helper()
	w.Lasting("every event to be done, parked or waiting", w.settled)
}

func (w *world) settled() bool {
	w.t.Helper()
	now, later := w.Left()
	dead := 0
	for _, c := range env.Consumers {
		dead += max(0, w.Depth(w.DeadLetters(c)))
	}
	if now > 0 || later > w.waiting || dead < w.parked {
		return false
	}
	effects := w.effects()
	open := 0
	for _, s := range w.events {
		if s.acknowledged && !effects.done(s) {
			open++
		}
	}
	return open <= w.parked+w.waiting
}
