package app

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/test/kit"
)

// labelWanted is a consumer of which nothing but this registration is in the tree.
func labelWanted(wanted chan<- event.Event) registration {
	return registration{
		Consumer: config.Consumer{
			Name: "label_wanted", Topics: []string{"shipping.label.wanted"}, Does: "has each label printed",
			Requires: []config.Requirement{{Variable: "ERP_NAME", What: "a printer", Met: func(c *config.Config) bool { return c.ERPName != "" }}},
		},
		wire: func(s *Service) wired {
			printed := prometheus.NewCounter(prometheus.CounterOpts{Name: "mageline_labels_printed_total", Help: "Labels that were printed."})
			s.registry.MustRegister(printed)
			return wired{Consumer: consumer.Consumer{Handler: consumer.HandlerFunc(func(ctx context.Context, e event.Event) (event.Outcome, error) {
				printed.Inc()
				select {
				case wanted <- e:
					return event.Done, nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			})}}
		},
		check: func(c *checks) { c.more = append(c.more, printer{c.cfg.ERPName}) },
	}
}

type printer struct{ name string }

func (p printer) Check(context.Context) []check.Finding {
	return []check.Finding{{Status: check.OK, Subject: "printer " + p.name, Detail: "has paper"}}
}

// All that the program, its operator and its pages know of a consumer follows from the one registration above.
func TestRegistry_AllFollowsFromOneRegistration(t *testing.T) {
	broker, database := kit.Broker(t), kit.Database(t)
	broker.Own(broker.Queue("label_wanted"), broker.DeadLetters("label_wanted"))
	wanted := make(chan event.Event)
	all := append(slices.Clone(registered), labelWanted(wanted))
	load := func(pairs ...string) (*config.Config, error) {
		environment(t, append([]string{
			"AMQP_URL", broker.URL, "AMQP_EXCHANGE", broker.Exchange, "QUEUE_PREFIX", broker.Prefix, "DATABASE_URL", database,
			"CONSUMERS", "label_wanted", "HTTP_ADDR", "",
		}, pairs...)...)
		return config.Load(config.EnabledConsumers, all.consumers())
	}

	t.Run("configuration", func(t *testing.T) {
		for want, pairs := range map[string][]string{
			"MAGELINE_CONSUMERS=\"label_wanted\": the consumer label_wanted needs a printer: set MAGELINE_ERP_NAME, or leave it out": nil,
			"there is no consumer \"label\", but order_placed, ":                                                                     {"CONSUMERS", "label"},
			", label_wanted": {"BINDINGS", "label:a.b"},
		} {
			if _, err := load(pairs...); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %s", pairs, err, want)
			}
		}
		cfg, err := load("ERP_NAME", "Epson", "BINDINGS", "label_wanted:acme.label")
		if err != nil {
			t.Fatal(err)
		}
		if one := cfg.EnabledConsumers(); len(one) != 1 || one[0].Name != "label_wanted" || !slices.Equal(one[0].Topics, []string{"acme.label"}) {
			t.Errorf("enabled: %+v", one)
		}
	})

	cfg, err := load("ERP_NAME", "Epson")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("check", func(t *testing.T) {
		lines, err := all.check(t.Context(), cfg, "dev")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []check.Finding{
			{Status: check.OK, Subject: "printer Epson", Detail: "has paper"},
			{Status: check.OK, Subject: "queue " + broker.Queue("label_wanted"), Detail: "will be created"},
			{Status: check.OK, Subject: "queue " + broker.DeadLetters("label_wanted"), Detail: "will be created"},
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("no line %v in %v", want, lines)
			}
		}
	})
	t.Run("row of the docs", func(t *testing.T) {
		list := all.consumers()
		want := "| `label_wanted` | `shipping.label.wanted` | has each label printed |"
		if one := list[len(list)-1]; !one.Built || one.Row() != want {
			t.Errorf("built: %t, %s", one.Built, one.Row())
		}
	})
	t.Run("queue and metrics", func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		s, err := all.service(t.Context(), cfg, "dev", zerolog.Nop(), metrics)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		broker.WaitForQueue(time.Minute, broker.Queue("label_wanted"))
		kit.Eventually(t, time.Minute, func() bool { return s.runtime.Status().Ready() }, "the service to be ready")
		broker.Publish("shipping.label.wanted", `{"entity_id":1}`)
		select {
		case e := <-wanted:
			if e.Topic != "shipping.label.wanted" {
				t.Errorf("the event's topic is %q", e.Topic)
			}
		case <-time.After(time.Minute):
			t.Error("the event has not come")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := value(t, metrics, "mageline_deliveries_total", "label_wanted"); got != 1 {
			t.Errorf("%v deliveries are counted", got)
		}
		if got := value(t, metrics, "mageline_labels_printed_total", ""); got != 1 {
			t.Errorf("%v labels are counted", got)
		}
	})
}

// value sums up a metric's counters, those of a consumer where one is named.
func value(t *testing.T, registry *prometheus.Registry, name, consumer string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			of := consumer == ""
			for _, l := range m.GetLabel() {
				of = of || l.GetName() == "consumer" && l.GetValue() == consumer
			}
			if of {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// Those that the contract names are known by their names, in this order, also where this build does not have them.
func TestRegistry_KnowsTheContractsConsumers(t *testing.T) {
	want := "order_placed order_canceled shipment_created creditmemo_created customer_saved tracking_file_ready tracking_received " +
		"products_exported price_sync stock_sync"
	if got := strings.Join(ConsumerNames(), " "); !strings.HasPrefix(got, want) {
		t.Errorf("the consumers are %s", got)
	}
	for _, c := range Consumers() {
		if c.Built && (len(c.Topics) == 0 || c.Does == "") {
			t.Errorf("%s has no topics or does not say what it does: %+v", c.Name, c)
		}
	}
	queues, _ := kit.Names("p")
	for _, name := range ConsumerNames() {
		if !slices.Contains(queues, "p."+name) {
			t.Errorf("test/kit does not delete the queue of %s", name)
		}
	}
}
