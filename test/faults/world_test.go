package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/replica"
)

const (
	topic         = "sales.order.placed"
	trackingTopic = "shipping.tracking.received"
)

// consumers are those whose queues a world looks at.
var consumers = []string{"order_placed", "tracking_received", "tracking_file_ready"}

// world is what mageline stands between, with a proxy before each part, and the events that were published in it.
type world struct {
	*kit.Queues
	t        *testing.T
	f        *scenario
	seed     uint64
	began    time.Time
	shop     *fakemagento.Server
	erp      *fakeerp.Server
	database string // its address, past the proxy
	delays   []time.Duration
	env      map[string]string // of every replica, without MAGELINE_
	replicas []*replica.Replica

	// Proxies.
	brokerLink, databaseLink, shopLink, erpLink *kit.Proxy
	frames                                      *kit.Frames // nil unless the fault asks for it

	// While set, they answer instead of the ERP and the shop.
	erpFront, shopFront atomic.Pointer[front]
	held                atomic.Pointer[chan struct{}] // while set, the ERP keeps its callers waiting
	kept                atomic.Int64                  // callers that it has kept waiting

	cluster []*private.RabbitMQ

	publisher *amqp.Connection
	events    []*sent
	placed    []fakemagento.Placed
	// How many distinct events are parked and waiting at the end.
	parked, waiting int
	exits           []int // exit codes that are well besides 0
}

// front stands before a remote API.
type front func(w http.ResponseWriter, r *http.Request, api http.Handler)

// sent is an event that was published.
type sent struct {
	id, order    string // message id; order's number, "" for one that names none
	track        string // the tracking number that it brings to the order; "" for one that places it
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

// newWorld makes one. Nothing of mageline runs yet. What goes wrong in it is tried again soon, and an owner that was killed
// is outlasted by its lease of 7 s.
func newWorld(t *testing.T, f *scenario, seed uint64) *world {
	t.Helper()
	if f.ownBroker || f.ownDatabase || f.nodes > 0 {
		private.Require(t)
	}
	w := &world{t: t, f: f, seed: seed, began: time.Now()}
	if f.ownBroker {
		t.Setenv("MAGELINE_TEST_AMQP_URL", servers.broker(t).URL)
	}
	if f.oldBroker {
		old, err := private.StartInstalledRabbitMQ()
		if old != nil {
			t.Cleanup(old.Close)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("MAGELINE_TEST_AMQP_URL", old.URL)
	}
	if f.nodes > 0 {
		var err error
		w.cluster, err = private.StartCluster(f.nodes)
		t.Cleanup(func() {
			for _, n := range slices.Backward(w.cluster) {
				n.Close()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("MAGELINE_TEST_AMQP_URL", w.cluster[0].URL)
	}
	if f.ownDatabase {
		t.Setenv("MAGELINE_TEST_DATABASE_URL", servers.database(t).URL)
	}
	w.Queues = kit.Broker(t)
	w.database = kit.Database(t)
	t.Cleanup(func() { // before the above are cleaned up
		if w.publisher != nil {
			_ = w.publisher.Close()
		}
	})
	shopOptions := f.shop
	shopOptions.Seed, shopOptions.Token = seed, "shop-token"
	versions := fakemagento.Versions()
	shopOptions.Version = versions[(seed+uint64(f.number))%uint64(len(versions))]
	w.shop = fakemagento.New(shopOptions)
	w.erp = fakeerp.New(fakeerp.Options{Mode: f.mode, Seed: seed, Token: "erp-token", Secret: "erp-secret"})
	shop := httptest.NewServer(w.before(&w.shopFront, w.shop))
	t.Cleanup(func() { w.shop.Close(); shop.CloseClientConnections(); shop.Close() })
	erp := httptest.NewServer(w.before(&w.erpFront, http.HandlerFunc(w.holding)))
	t.Cleanup(func() { w.erp.Close(); erp.CloseClientConnections(); erp.Close() })

	var shopURL, erpURL, brokerURL, databaseURL string
	w.shopLink, shopURL = kit.ProxyURL(t, shop.URL)
	w.erpLink, erpURL = kit.ProxyURL(t, erp.URL)
	w.brokerLink, brokerURL = kit.ProxyURL(t, w.URL)
	w.databaseLink, databaseURL = kit.ProxyURL(t, w.database)
	if f.frames {
		w.frames = kit.NewFrames(t, brokerURL)
		brokerURL = w.frames.URL
	}
	const ms = time.Millisecond
	w.delays = []time.Duration{300 * ms, 600 * ms, 1000 * ms, 1000 * ms, 1000 * ms, 2000 * ms, 2000 * ms, 2000 * ms, 3000 * ms, 3000 * ms, 3000 * ms, 3000 * ms}
	w.env = map[string]string{
		"AMQP_URL": brokerURL, "AMQP_EXCHANGE": w.Exchange, "QUEUE_PREFIX": w.Prefix, "RETRY_DELAYS": w.RetryDelays(w.delays...),
		"DATABASE_URL": databaseURL, "MAGENTO_URL": shopURL, "ERP_URL": erpURL, "ERP_NAME": "ACME",
		"MAGENTO_TOKEN": "shop-token", "ERP_TOKEN": "erp-token", "ERP_SECRET": "erp-secret",
		"HANDLER_TIMEOUT": "2s", "IDEMPOTENCY_LEASE": "7s", "ERP_TIMEOUT": "500ms", "MAGENTO_TIMEOUT": "1s",
		"BREAKER_OPEN_FOR": "1s", "ERP_UNCERTAIN_WAIT": "0", "CONCURRENCY": "4", "PREFETCH": "16",
		"HTTP_ADDR": "127.0.0.1:0", "LOG_LEVEL": "debug",
	}
	w.set(f.env...)
	if f.prepare != nil {
		f.prepare(w)
	}
	return w
}

// set changes variables of the replicas that are started from now on.
func (w *world) set(pairs ...string) {
	w.env = maps.Clone(w.env)
	for i := 0; i < len(pairs); i += 2 {
		w.env[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(w.env, pairs[i])
		}
	}
}

// before puts a front that may be set later before an API.
func (w *world) before(f *atomic.Pointer[front], api http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// Only when the body is read to its end does the server notice that the caller leaves.
		body, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if set := f.Load(); set != nil {
			(*set)(rw, r, api)
			return
		}
		api.ServeHTTP(rw, r)
	})
}

// holding is the ERP, which may keep its callers waiting.
func (w *world) holding(rw http.ResponseWriter, r *http.Request) {
	if held := w.held.Load(); held != nil {
		w.kept.Add(1)
		select {
		case <-*held:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	w.erp.ServeHTTP(rw, r)
}

// hold makes the ERP keep its callers waiting, without booking, until release or until they leave.
func (w *world) hold() (release func()) {
	held := make(chan struct{})
	w.held.Store(&held)
	return func() {
		w.held.Store(nil)
		close(held)
	}
}

// awaitCalls waits until so many calls of the ERP are held.
func (w *world) awaitCalls(n int64) {
	w.t.Helper()
	kit.Eventually(w.t, patience, func() bool { return w.kept.Load() >= n }, fmt.Sprintf("%d calls of the ERP", n))
}

// start starts a replica and does not wait for anything.
func (w *world) start() *replica.Replica {
	w.t.Helper()
	r := program.Start(w.t, w.env)
	w.replicas = append(w.replicas, r)
	return r
}

// call runs another command of mageline to its end.
func (w *world) call(args ...string) (output string, code int) {
	w.t.Helper()
	return program.Call(w.t, w.env, args...)
}

// run starts replicas and waits until they are ready.
func (w *world) run(replicas int) []*replica.Replica {
	w.t.Helper()
	from := len(w.replicas)
	for range replicas {
		w.start()
	}
	for _, r := range w.replicas[from:] {
		r.AwaitReady()
	}
	return w.replicas[from:]
}

// publish publishes as Magento does, and notes whether the broker has confirmed it. A broker that is away is tried again
// for a while: what was written to a connection that broke may have arrived.
func (w *world) publish(order string, p amqp.Publishing) *sent {
	w.t.Helper()
	return w.publishTo(topic, order, p)
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

// body is that of an event for an order.
func body(o fakemagento.Placed) []byte {
	return fmt.Appendf(nil, `{"entity_id":%d,"increment_id":"%s"}`, o.EntityID, o.IncrementID)
}

// event publishes one for an order.
func (w *world) event(o fakemagento.Placed) *sent {
	w.t.Helper()
	return w.publish(o.IncrementID, amqp.Publishing{Body: body(o)})
}

// track publishes a tracking number of an order; more are further members of the message.
func (w *world) track(o fakemagento.Placed, number, more string) *sent {
	w.t.Helper()
	s := w.publishTo(trackingTopic, o.IncrementID, amqp.Publishing{
		Body: fmt.Appendf(nil, `{"order_number":%q,"tracking_number":%q%s}`, o.IncrementID, number, more),
	})
	s.track = number
	return s
}

// awaitTracked waits until so many of the tracking numbers that were published are in Magento.
func (w *world) awaitTracked(n int) {
	w.t.Helper()
	kit.Eventually(w.t, patience, func() bool { return len(w.shop.TrackCounts()) >= n }, fmt.Sprintf("%d tracking numbers in Magento", n))
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
	o := w.shop.PlaceOrder(p)
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

// done counts the orders that are in the ERP and commented.
func (w *world) done(orders []fakemagento.Placed) int {
	documents, comments := w.erp.Counts(), w.shop.CommentCounts("Sales order ")
	n := 0
	for _, o := range orders {
		if documents[o.IncrementID] > 0 && comments[o.IncrementID] > 0 {
			n++
		}
	}
	return n
}

// awaitDone waits until orders are done.
func (w *world) awaitDone(orders []fakemagento.Placed) {
	w.t.Helper()
	w.awaitSome(orders, len(orders))
}

// awaitSome waits until some of the orders are done.
func (w *world) awaitSome(orders []fakemagento.Placed, n int) {
	w.t.Helper()
	kit.Eventually(w.t, patience, func() bool { return w.done(orders) >= n }, fmt.Sprintf("%d of %d orders to be done", n, len(orders)))
}

// sql runs a statement in the database, past the proxy.
func (w *world) sql(statement string, args ...any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		w.t.Fatal(err)
	}
}

// channel opens one at the broker, past the proxy.
func (w *world) channel(f func(ch *amqp.Channel) error) {
	w.t.Helper()
	conn, err := amqp.Dial(w.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err == nil {
		err = f(ch)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// retryQueues are those of the delays, each once.
func (w *world) retryQueues() []string {
	var names []string
	for _, d := range w.delays {
		names = append(names, w.RetryQueue(d))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// left counts the messages that wait to be handled, now or later.
func (w *world) left() (now, later int) {
	w.t.Helper()
	for _, queue := range w.retryQueues() {
		later += max(0, w.Depth(queue))
	}
	for _, c := range consumers {
		now += max(0, w.Depth(w.Queue(c)))
	}
	return now, later
}

// finish waits until every event has its end, ends the replicas, and reports what became of the events.
func (w *world) finish() {
	w.t.Helper()
	for range 5 {
		w.settle()
		for _, r := range w.replicas {
			r.Terminate()
		}
		unexpected := 0
		for _, r := range w.replicas {
			if code := r.Exit(); !r.Killed() && code != 0 && !slices.Contains(w.exits, code) {
				w.t.Errorf("a replica ended with exit code %d; its log: %s", code, r.Log)
				unexpected++
			}
		}
		// A message that a replica held when it was told to stop was given back: another one takes it.
		if now, later := w.left(); (now == 0 && later <= w.waiting) || unexpected > 0 || w.t.Failed() {
			w.report(unexpected)
			return
		}
		w.replicas = nil
		w.start().AwaitReady()
	}
	w.t.Error("messages are left, however often a replica starts and ends")
	w.report(1)
}

// settle waits until every event has its end. A message that a replica holds is in no queue for the moment: nothing may be
// seen of any for a while.
func (w *world) settle() {
	w.t.Helper()
	const quiet = 700 * time.Millisecond // longer than the shortest delay
	limit, since := time.Now().Add(patience), time.Now()
	for time.Since(since) < quiet {
		if !w.settled() {
			since = time.Now()
		}
		if time.Now().After(limit) {
			w.t.Errorf("waited %s for every event to be done, parked or waiting", patience)
			return
		}
		time.Sleep(30 * time.Millisecond)
	}
}

func (w *world) settled() bool {
	w.t.Helper()
	now, later := w.left()
	dead := 0
	for _, c := range consumers {
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
