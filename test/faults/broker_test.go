package faults

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// patient is the environment in which a call may take as long as something else goes wrong.
var patient = []string{"ERP_TIMEOUT", "20s", "HANDLER_TIMEOUT", "25s", "IDEMPOTENCY_LEASE", "31s"}

func brokerAway(status int, d replica.Readiness) bool {
	return status == 503 && d.RabbitMQ.State == "away" && d.RabbitMQ.Reason != ""
}

var brokerFaults = []*scenario{
	{number: 1, name: "broker restarts while idle", ownBroker: true, run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		servers.RabbitMQ(w.t).Stop()
		w.Replicas[0].AwaitSaying("the broker is away", brokerAway)
		w.restartBroker()
		w.AwaitDone(w.place(6)...)
	}},
	{number: 2, name: "broker crashes while handlers run", ownBroker: true, env: patient, run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(10)...) // the prefetch has grown
		release := w.Hold()
		orders := w.place(8)
		w.AwaitHeld(3)
		servers.RabbitMQ(w.t).Kill()
		w.Replicas[0].AwaitSaying("the broker is away", brokerAway)
		orders = append(orders, w.place(1)...) // not confirmed
		release()
		w.restartBroker()
		w.AwaitDone(orders[:8]...)
		w.event(orders[8])
	}},
	{number: 3, name: "connection reset in mid-handler, acknowledged afterwards", env: patient, run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(10)...)
		release := w.Hold()
		w.place(8)
		w.AwaitHeld(3)
		for _, r := range w.Replicas {
			before := r.Events("rabbitmq_connected")
			w.brokerLink.Cut()
			kit.Eventually(w.t, env.Patience, func() bool { return r.Events("rabbitmq_connected") > before }, "a new session")
		}
		release()
		w.AwaitDone(w.placed...)
		stale := 0
		kit.Eventually(w.t, env.Patience, func() bool {
			stale = 0
			for _, r := range w.Replicas {
				stale += r.Events("settlement_stale")
			}
			return stale > 0
		}, "a delivery of the old session to be finished")
	}},
	{number: 4, name: "half-open link beyond two heartbeats", run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(6)...)
		w.brokerLink.Stall()
		orders := w.place(6)
		w.Replicas[0].AwaitSaying("the broker is away", brokerAway)
		w.brokerLink.Resume()
		w.AwaitDone(orders...)
	}},
	{number: 5, name: "link of 1 byte a second while publishing", run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(6)...)
		w.brokerLink.Drip(time.Second)
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		orders := w.place(3)
		w.poison(2)
		w.Replicas[0].AwaitSaying("the broker is away", brokerAway)
		w.brokerLink.Drip(0)
		w.AwaitDone(orders...)
	}},
	{number: 6, name: "memory alarm while acknowledging and dead-lettering", ownBroker: true, run: func(w *world) {
		w.alarm([]string{"set_vm_memory_high_watermark", "absolute", "1MB"}, []string{"set_vm_memory_high_watermark", "absolute", "2GB"})
	}},
	{number: 7, name: "disk alarm while acknowledging and dead-lettering", ownBroker: true, run: func(w *world) {
		w.alarm([]string{"set_disk_free_limit", "9000GB"}, []string{"set_disk_free_limit", "1MB"})
	}},
	{number: 8, name: "channel closed by 406 in mid-batch", frames: true, run: func(w *world) {
		w.Run(2)
		var acks, closed int
		w.frames.On(func(f *kit.Frame) bool {
			if f.Is(kit.MethodAck) && !f.FromBroker {
				if acks++; acks%7 == 0 && closed < 4 {
					closed++
					f.More = append(f.More, kit.AckPayload(1<<40)) // PRECONDITION_FAILED - unknown delivery tag
				}
			}
			return true
		})
		w.place(60)
		w.AwaitDone(w.placed...)
		w.frames.On(nil)
		if closed == 0 {
			w.t.Error("nothing was shown: no channel was closed")
		}
	}},
	{number: 9, name: "consumer cancelled: the queue is deleted", run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		w.settle()
		w.Channel(func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(w.Queue("order_placed"), false, false, false)
			return err
		})
		w.WaitForQueue(env.Patience, w.Queue("order_placed"))
		w.awaitBinding()
		w.AwaitDone(w.place(6)...)
	}},
	{number: 10, name: "queue deleted and made again with other arguments", run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		w.settle()
		w.brokerLink.Refuse()
		w.Replicas[0].AwaitSaying("the broker is away", brokerAway)
		w.Channel(func(ch *amqp.Channel) error {
			if _, err := ch.QueueDelete(w.Queue("order_placed"), false, false, false); err != nil {
				return err
			}
			_, err := ch.QueueDeclare(w.Queue("order_placed"), true, false, false, false, nil) // classic, and no dead-letter route
			return err
		})
		w.brokerLink.Accept()
		w.awaitBinding()
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail})
		w.place(6)
		w.poison(2)
		w.AwaitDone(w.placed...)
	}},
	{number: 11, name: "dead-letter and retry queues missing at publish", env: patient, run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(6)...)
		w.settle()
		release := w.Hold()
		orders := w.place(2)
		w.AwaitHeld(1)
		w.Channel(func(ch *amqp.Channel) error {
			return kit.DeleteQueues(ch, append(w.RetryQueues(), w.DeadLetters("order_placed")), w.RetryQueues())
		})
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		release()
		w.poison(2)
		w.AwaitDone(orders...)
	}},
	{number: 12, name: "confirms never arrive", frames: true, run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(6)...)
		var swallowed atomic.Int64
		anew := false
		w.frames.On(func(f *kit.Frame) bool {
			const classConnection, methodStart = 10, 10
			// The next session gets its confirms: else it would wait for them beyond the end of the test.
			anew = anew || f.Class == classConnection && f.Method == methodStart
			if !anew && f.FromBroker && f.Is(kit.MethodAck) {
				swallowed.Add(1)
				return false
			}
			return true
		})
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		orders := w.place(3)
		w.poison(2)
		before := w.Replicas[0].Events("rabbitmq_connected")
		kit.Eventually(w.t, env.Patience, func() bool {
			return swallowed.Load() > 0 && w.Replicas[0].Events("rabbitmq_connected") > before
		}, "a new session, for want of a confirm")
		w.frames.On(nil)
		w.AwaitDone(orders...)
	}},
	{number: 13, name: "confirms arrive as refusals", frames: true, run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(6)...)
		var refused int
		w.frames.On(func(f *kit.Frame) bool {
			if f.FromBroker && f.Is(kit.MethodAck) && refused < 5 {
				refused++
				f.Payload[3] = kit.MethodNack // of the same form; the broker has the message all the same
			}
			return true
		})
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		orders := w.place(3)
		w.poison(2)
		w.AwaitDone(orders...)
		w.settle()
		w.frames.On(nil)
		if refused < 5 {
			w.t.Errorf("nothing was shown: %d confirms were refusals", refused)
		}
	}},
	{number: 14, name: "publisher dies after the confirm and before its acknowledgement", frames: true, run: func(w *world) {
		for _, poison := range []bool{false, true} {
			r := w.Run(1)[0]
			if !poison {
				w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail})
			}
			w.frames.On(func(f *kit.Frame) bool {
				if f.FromBroker && f.Is(kit.MethodAck) {
					go r.Kill()
					return false
				}
				return true
			})
			if poison {
				w.poison(1)
			} else {
				w.place(1)
			}
			kit.Eventually(w.t, env.Patience, func() bool { return !r.Running() }, "the publisher to die")
			w.frames.On(nil)
		}
		w.Run(1)
	}},
	{number: 15, name: "headers as large as a frame", run: func(w *world) {
		w.Run(1)
		header := amqp.Table{"x-big": strings.Repeat("b", 120_000), "x-small": strings.Repeat("s", 10_000), "x-kept": "k"}
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		for range 3 {
			o := w.order(fakemagento.Placing{})
			w.publish(o.IncrementID, amqp.Publishing{Body: []byte(env.Object(o)), Headers: header})
		}
		w.publish("", amqp.Publishing{Body: []byte("no JSON"), Headers: header})
		w.parked++
		w.AwaitDone(w.placed...)
	}},
	{number: 16, name: "bodies over the limit", ownBroker: true, run: func(w *world) {
		w.limitBodies(128 << 20) // RabbitMQ 4's is that of what is read
		w.Run(1)
		w.publish("", amqp.Publishing{Body: large})
		w.parked++
		w.AwaitDone(w.place(6)...)
	}},
	{number: 17, name: "credentials rotated and permissions revoked", ownBroker: true, run: func(w *world) {
		broker := servers.RabbitMQ(w.t)
		ctl := func(args ...string) {
			w.t.Helper()
			if _, err := broker.Ctl(args...); err != nil {
				w.t.Fatal(err)
			}
		}
		ctl("add_user", "line", "first")
		w.t.Cleanup(func() { ctl("delete_user", "line") })
		ctl("set_permissions", "line", ".*", ".*", ".*")
		u, err := url.Parse(w.Vars["AMQP_URL"])
		if err != nil {
			w.t.Fatal(err)
		}
		u.User = url.UserPassword("line", "first")
		w.Set("AMQP_URL", u.String())
		r := w.Run(1)[0]
		w.AwaitDone(w.place(6)...)
		ctl("change_password", "line", "second")
		w.brokerLink.Cut()
		orders := w.place(3)
		r.AwaitSaying("the broker refuses the password", func(status int, d replica.Readiness) bool {
			return brokerAway(status, d) && strings.Contains(d.RabbitMQ.Reason, "403")
		})
		ctl("change_password", "line", "first")
		w.AwaitDone(orders...)
		// Nothing can be published any more: retries and dead letters wait.
		ctl("clear_permissions", "line")
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail})
		orders = w.place(3)
		w.poison(1)
		w.brokerLink.Cut()
		r.AwaitSaying("the broker refuses", func(status int, d replica.Readiness) bool { return brokerAway(status, d) })
		ctl("set_permissions", "line", ".*", ".*", ".*")
		w.AwaitDone(orders...)
	}},
	{number: 18, name: "the broker's certificate expires", run: func(w *world) {
		certs := newCertificates(w)
		w.Set("AMQP_URL", strings.Replace(certs.url, "amqp://", "amqps://", 1), "AMQP_CA_FILE", certs.roots)
		r := w.Run(1)[0]
		w.AwaitDone(w.place(6)...)
		certs.serve(-time.Hour)
		orders := w.place(3)
		r.AwaitSaying("the certificate has expired", func(status int, d replica.Readiness) bool {
			return brokerAway(status, d) && strings.Contains(d.RabbitMQ.Reason, "expired")
		})
		certs.serve(time.Hour)
		w.AwaitDone(orders...)
	}},
	{number: 19, name: "quorum lost: two of three nodes down, then back", nodes: 3, run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(10)...)
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		w.place(6)
		for _, n := range w.cluster[1:] {
			n.Kill()
		}
		w.place(1) // as a rule it is not confirmed
		for _, n := range w.cluster[1:] {
			if err := n.Launch(); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, n := range w.cluster[1:] {
			if err := n.Await(); err != nil {
				w.t.Fatal(err)
			}
		}
		w.AwaitDone(w.placed[:16]...)
		w.event(w.placed[16])
		w.AwaitDone(w.place(6)...)
	}},
	{number: 20, name: "consumer_timeout reached by a long call", ownBroker: true, env: patient, run: func(w *world) {
		set := func(timeout, look string) {
			w.t.Helper()
			out, err := servers.RabbitMQ(w.t).Ctl("eval", fmt.Sprintf(
				"application:set_env(rabbit, consumer_timeout, %s), [application:set_env(rabbit, Tick, %s) || Tick <- [channel_tick_interval, quorum_tick_interval]].",
				timeout, look))
			if err != nil {
				w.t.Fatal(err, out)
			}
		}
		set("1500", "500")
		w.t.Cleanup(func() { set("1800000", "60000") })
		r := w.Run(1)[0]
		w.AwaitDone(w.place(10)...)
		release := w.Hold()
		orders := w.place(6)
		w.AwaitHeld(2)
		kit.Eventually(w.t, env.Patience, func() bool { // since 4.3 it cancels the subscription in place of closing the channel
			return r.Events("consumer_refused") > 0
		}, "the broker to lose its env.Patience")
		release()
		w.AwaitDone(orders...)
	}},
	{number: 64, name: "bindings vanish: the exchange is made anew, dead-letter and retry queues with it", env: patient, run: func(w *world) {
		replicas := w.Run(2)
		w.AwaitDone(w.place(6)...)
		w.settle()
		w.Channel(func(ch *amqp.Channel) error {
			if err := kit.DeleteQueues(ch, append(w.RetryQueues(), w.DeadLetters("order_placed")), append(w.RetryQueues(), w.Exchange)); err != nil {
				return err
			}
			return kit.DeclareExchange(ch, w.Exchange)
		})
		restored := func(kind string) (n float64) {
			for _, r := range replicas {
				n += r.Metric("mageline_topology_restored_total", `kind="`+kind+`"`)
			}
			return n
		}
		kit.Eventually(w.t, env.Patience, func() bool { // of all consumers, which take their turn
			return restored("binding") >= 4 && restored("queue") >= float64(1+len(w.RetryQueues()))
		}, "what has vanished to be there again, and counted")
		kit.Eventually(w.t, env.Patience, w.routed, "events to be routed")
		w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Fail})
		w.place(6)
		w.poison(1)
		w.AwaitDone(w.placed...)
		if n := replicas[0].Events("bindings_restored") + replicas[1].Events("bindings_restored"); n == 0 {
			w.t.Error("no warning of bindings that had vanished")
		}
	}},
}

// routed reports whether an event would find its way: it publishes one that must.
func (w *world) routed() bool {
	w.t.Helper()
	conn, err := rabbitmq.Dial(w.t.Context(), rabbitmq.Options{URL: w.URL}, "faults")
	if err != nil {
		w.t.Fatal(err)
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		w.t.Fatal(err)
	}
	defer publisher.Close()
	o := w.Shop.PlaceOrder(fakemagento.Placing{})
	p := kit.Publishing([]byte(env.Object(o)))
	err = publisher.Publish(w.t.Context(), w.Exchange, env.TopicPlaced, p)
	switch {
	case errors.Is(err, rabbitmq.ErrReturned):
		return false
	case err != nil:
		w.t.Fatal(err)
	}
	w.placed = append(w.placed, o)
	w.events = append(w.events, &sent{id: p.MessageId, order: o.IncrementID, acknowledged: true})
	return true
}

// restartBroker starts the private one again and waits until every replica is back.
func (w *world) restartBroker() {
	w.t.Helper()
	if err := servers.RabbitMQ(w.t).Start(); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range w.Replicas {
		if !r.Killed() {
			r.AwaitReady()
		}
	}
}

// awaitBinding waits until an event would find its way.
func (w *world) awaitBinding() {
	w.t.Helper()
	for _, r := range w.Replicas {
		r.AwaitReady()
	}
}

// alarm starts a replica at a broker that has raised an alarm: it handles and acknowledges, and what it has to publish
// waits until the alarm is over.
func (w *world) alarm(raise, end []string) {
	w.t.Helper()
	ctl := func(args []string) {
		w.t.Helper()
		if _, err := servers.RabbitMQ(w.t).Ctl(args...); err != nil {
			w.t.Fatal(err)
		}
	}
	w.t.Cleanup(func() { ctl(end) })
	if out, code := w.Call("topology"); code != 0 {
		w.t.Fatalf("topology ends with %d: %s", code, out)
	}
	orders := w.place(11) // the prefetch grows
	sick := orders[9:]
	w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail}, Only: func(r *http.Request) bool {
		return slices.ContainsFunc(sick, func(o fakemagento.Placed) bool {
			return strings.HasSuffix(r.Header.Get("Idempotency-Key"), o.IncrementID)
		})
	}})
	w.poison(3)
	ctl(raise)
	r := w.Run(1)[0]
	w.AwaitDone(orders[:9]...)
	r.AwaitEvent("publishing_blocked")
	w.ERP.Faults.Set(fault.Plan{})
	ctl(end)
}

// certificates is a broker behind TLS.
type certificates struct {
	url, roots string
	authority  *env.Authority
	w          *world

	mu      sync.Mutex
	current *tls.Certificate
	conns   []net.Conn
}

// newCertificates puts TLS before the broker, with an authority of its own and a certificate that is good.
func newCertificates(w *world) *certificates {
	w.t.Helper()
	authority, err := env.NewAuthority("mageline faults")
	if err != nil {
		w.t.Fatal(err)
	}
	c := &certificates{authority: authority, w: w, roots: filepath.Join(w.t.TempDir(), "roots.pem")}
	if err := os.WriteFile(c.roots, authority.PEM, 0o600); err != nil {
		w.t.Fatal(err)
	}
	c.serve(time.Hour)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.current, nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(w.Vars["AMQP_URL"])
	if err != nil {
		w.t.Fatal(err)
	}
	target := u.Host
	u.Host = listener.Addr().String()
	c.url = u.String()
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, client, server)
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
				done.Go(func() {
					_, _ = io.Copy(pair[0], pair[1]) // until either side ends
					_ = pair[0].Close()
					_ = pair[1].Close()
				})
			}
		}
	})
	w.t.Cleanup(func() {
		_ = listener.Close()
		c.cut()
		done.Wait()
	})
	return c
}

// serve shows a certificate that is good for so long from now on, or has not been for so long, and cuts every connection.
func (c *certificates) serve(left time.Duration) {
	c.w.t.Helper()
	cert, key, err := c.authority.Issue("rabbitmq", time.Now().Add(left))
	if err != nil {
		c.w.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.mu.Lock()
	c.current = &pair
	c.mu.Unlock()
	c.cut()
}

func (c *certificates) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}
