package consumer_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/private"
)

const updated = "sales.order.updated" // the other topic of the consumer orders

// restored counts what had vanished.
func (r *rig) restored(kind string) int {
	r.t.Helper()
	return r.count("mageline_topology_restored_total", "kind", kind)
}

// What vanishes while it runs comes back by itself; each thing is a warning, and counted where that can be known.
func TestTopology_ComesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		vanish func(r *rig, ch *amqp.Channel) error
		bound  func(r *rig) func(context.Context, string) ([]string, error) // what the management API says
		want   map[string]int
	}{
		"exchange made again": {
			vanish: func(r *rig, ch *amqp.Channel) error {
				return errors.Join(ch.ExchangeDelete(r.Exchange, false, false), kit.DeclareExchange(ch, r.Exchange))
			},
			want: map[string]int{"binding": 2},
		},
		"exchange gone": {
			vanish: func(r *rig, ch *amqp.Channel) error { return ch.ExchangeDelete(r.Exchange, false, false) },
			want:   map[string]int{"exchange": 1, "binding": 2},
		},
		"dead-letter and retry queues gone": {
			vanish: func(r *rig, ch *amqp.Channel) error {
				return kit.DeleteQueues(ch, []string{r.DeadLetters(orders), r.RetryQueue(200 * time.Millisecond)}, []string{r.RetryQueue(400 * time.Millisecond)})
			},
			want: map[string]int{"queue": 2, "exchange": 1},
		},
		"one binding gone, and the management API tells": {
			vanish: func(r *rig, ch *amqp.Channel) error { return ch.QueueUnbind(r.Queue(orders), placed, r.Exchange, nil) },
			bound: func(*rig) func(context.Context, string) ([]string, error) {
				var gone atomic.Bool
				return func(context.Context, string) ([]string, error) {
					if gone.Swap(true) {
						return []string{placed, updated, "another"}, nil
					}
					return []string{updated}, nil
				}
			},
			want: map[string]int{"binding": 1},
		},
		"one binding gone, and nobody can tell": {
			vanish: func(r *rig, ch *amqp.Channel) error { return ch.QueueUnbind(r.Queue(orders), placed, r.Exchange, nil) },
			bound: func(*rig) func(context.Context, string) ([]string, error) {
				return func(context.Context, string) ([]string, error) { return nil, errors.New("answers 401") }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
			r.opts.LookEvery = 500 * time.Millisecond
			if tt.bound != nil {
				r.opts.Bound = tt.bound(r)
			}
			r.start()
			r.consumerIs(orders, "subscribed")
			r.channel(func(ch *amqp.Channel) error { return tt.vanish(r, ch) })
			r.eventually("what vanished is counted", func() bool {
				return r.restored("exchange") == tt.want["exchange"] && r.restored("queue") == tt.want["queue"] && r.restored("binding") == tt.want["binding"]
			})
			for _, topic := range []string{placed, updated} {
				before := r.settled(orders, "acked")
				r.eventually("an event of "+topic+" finds its way", func() bool {
					r.Publish(topic, numbered(1))
					return r.settled(orders, "acked") > before
				})
			}
			if r.Depth(r.DeadLetters(orders)) != 0 || r.Depth(r.RetryQueue(200*time.Millisecond)) != 0 {
				t.Error("a queue is missing")
			}
			warned := r.log.Has("bindings_restored")
			if warned != (tt.want["binding"] > 0) {
				t.Errorf("a warning of bindings: %t", warned)
			}
			if s := r.Status().Consumers[orders]; s.State != "subscribed" || s.Reason != "" {
				t.Errorf("it is %+v", s)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The right to bind is lost while it runs: the log, /readyz and a metric say so, and what is in the queue is consumed, also
// over a new connection. A consumer that has never been bound is not subscribed: nothing could come to it.
func TestTopology_RightToBindIsLost(t *testing.T) {
	t.Parallel()
	private.Require(t)
	node, err := private.StartRabbitMQ()
	if node != nil {
		t.Cleanup(node.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, rights := range map[string]struct{ write, read, names string }{
		"write on the queue":   {`^(?!PREFIX\.order_placed$)`, ".*", "write on queue PREFIX.order_placed"},
		"read on the exchange": {".*", `^(?!PREFIX\.magento$)`, "read on exchange PREFIX.magento"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
			r.Queues = kit.BrokerAt(t, node.URL)
			proxy, proxied := kit.ProxyURL(t, node.URL)
			r.opts.Exchange, r.opts.Prefix = r.Exchange, r.Prefix
			r.opts.LookEvery = 300 * time.Millisecond
			const password = "a-password-of-this-test"
			user := strings.ReplaceAll(r.Prefix, ".", "-")
			grant := func(write, read string) {
				t.Helper()
				write, read = strings.ReplaceAll(write, "PREFIX", r.Prefix), strings.ReplaceAll(read, "PREFIX", r.Prefix)
				if out, err := node.Ctl("set_permissions", user, ".*", write, read); err != nil {
					t.Fatal(err, out)
				}
			}
			if out, err := node.Ctl("add_user", user, password); err != nil {
				t.Fatal(err, out)
			}
			grant(".*", ".*")
			u, err := url.Parse(proxied)
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword(user, password)
			r.opts.Broker.URL = u.String()
			r.start()
			r.consumerIs(orders, "subscribed")

			grant(rights.write, rights.read)
			said := func() bool {
				s := r.Status().Consumers[orders]
				return s.State == "subscribed" && strings.Contains(s.Reason, strings.ReplaceAll(rights.names, "PREFIX", r.Prefix)) &&
					strings.Contains(s.Reason, "set_permissions")
			}
			r.eventually("it says what is lost", func() bool {
				return said() && r.count("mageline_topology_refused", "consumer", orders) == 1 && r.log.Has("topology_refused")
			})
			r.Publish(placed, numbered(1)) // the binding is there
			r.outcomes(map[string]int{"acked": 1})
			proxy.Cut()
			r.Send(r.Queue(orders), kit.Publishing([]byte(numbered(2))))
			r.eventually("it goes on over a new connection", func() bool { return r.settled(orders, "acked") == 2 && said() })
			if !r.Status().Ready() {
				t.Error("it is not ready")
			}
			if n := len(r.log.Lines("topology_refused")); n != 1 {
				t.Errorf("it was logged %d times", n)
			}
			grant(".*", ".*")
			r.eventually("nothing is refused any more", func() bool {
				return r.Status().Consumers[orders].Reason == "" && r.count("mageline_topology_refused", "consumer", orders) == 0
			})
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Who may not write on Magento's exchange has no witness: bindings come back all the same, and the log says that nobody would
// notice.
func TestTopology_WithoutTheRightToWitness(t *testing.T) {
	t.Parallel()
	private.Require(t)
	node, err := private.StartRabbitMQ()
	if node != nil {
		t.Cleanup(node.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	r.Queues = kit.BrokerAt(t, node.URL)
	r.opts.Exchange, r.opts.Prefix = r.Exchange, r.Prefix
	r.opts.LookEvery = 300 * time.Millisecond
	r.channel(func(ch *amqp.Channel) error { return kit.DeclareExchange(ch, r.Exchange) })
	if out, err := node.Ctl("add_user", "line", "a-password"); err != nil {
		t.Fatal(err, out)
	}
	if out, err := node.Ctl("set_permissions", "line", ".*", `^(?!`+strings.ReplaceAll(r.Exchange, ".", `\.`)+`$)`, ".*"); err != nil {
		t.Fatal(err, out)
	}
	u, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("line", "a-password")
	r.opts.Broker.URL = u.String()
	r.start()
	r.consumerIs(orders, "subscribed")
	r.channel(func(ch *amqp.Channel) error {
		return errors.Join(ch.ExchangeDelete(r.Exchange, false, false), kit.DeclareExchange(ch, r.Exchange))
	})
	r.eventually("an event finds its way", func() bool {
		r.Publish(placed, numbered(1))
		return r.settled(orders, "acked") > 0
	})
	if n := len(r.log.Lines("bindings_unwatched")); n != 1 || r.restored("binding") != 0 {
		t.Errorf("it was said %d times that nobody would notice, and %d bindings were counted", n, r.restored("binding"))
	}
	r.channel(func(ch *amqp.Channel) error {
		if err := ch.ExchangeDeclarePassive(r.opts.Topology().Witness(orders), amqp.ExchangeFanout, true, true, true, false, nil); !rabbitmq.IsNotFound(err) {
			t.Errorf("a witness that testifies to nothing is left: %v", err)
		}
		return nil
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
