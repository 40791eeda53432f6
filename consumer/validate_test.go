package consumer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// Options that can't work are refused before anything is connected to, and all that is wrong is said at once.
func TestNew_RefusesWhatCantWork(t *testing.T) {
	handler := consumer.HandlerFunc(func(context.Context, event.Event) (event.Outcome, error) { return event.Done, nil })
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mageline_in_flight", Help: "another's"}, nil))
	for name, tt := range map[string]struct {
		change func(o *consumer.Options, c *consumer.Consumer)
		want   []string // parts of the error; none: it works
	}{
		"all is well":             {func(*consumer.Options, *consumer.Consumer) {}, nil},
		"a circuit that is there": {func(_ *consumer.Options, c *consumer.Consumer) { c.Needs = []string{"erp"} }, nil},
		"limits of its own": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Limits = consumer.Limits{Prefetch: 1, Concurrency: 2}
		}, nil},
		"no consumers":   {func(o *consumer.Options, _ *consumer.Consumer) { o.Consumers = nil }, []string{"no consumers"}},
		"no name":        {func(_ *consumer.Options, c *consumer.Consumer) { c.Name = "" }, []string{"consumer 1 has no name"}},
		"no topics":      {func(_ *consumer.Options, c *consumer.Consumer) { c.Topics = nil }, []string{"orders", "no topics"}},
		"an empty topic": {func(_ *consumer.Options, c *consumer.Consumer) { c.Topics = []string{""} }, []string{"orders", "empty"}},
		"no handler":     {func(_ *consumer.Options, c *consumer.Consumer) { c.Handler = nil }, []string{"orders", "no handler"}},
		"a batch": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Handler, c.Batch = nil, &consumer.Batch{Handler: &shop{}, Size: 500, Concurrency: 2}
		}, nil},
		"a batch whose calls have more than AMQP's prefetch": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Handler, c.Batch = nil, &consumer.Batch{Handler: &shop{}, Size: 50_000, Concurrency: 2}
		}, nil},
		"a batch beside a handler": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Batch = &consumer.Batch{Handler: &shop{}, Size: 500, Concurrency: 2}
		}, []string{"orders", "both"}},
		"a batch with a hook for dead letters": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Handler, c.Batch = nil, &consumer.Batch{Handler: &shop{}, Size: 500, Concurrency: 2}
			c.DeadLettered = func(context.Context, event.Event, error) {}
		}, []string{"orders", "DeadLettered"}},
		"a batch that can't work": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Handler, c.Batch = nil, &consumer.Batch{Concurrency: -1, Linger: -1}
		}, []string{"no handler", "size of 0", "concurrency of -1", "lingers for -1ns"}},
		"a batch with fewer workers than none": {func(_ *consumer.Options, c *consumer.Consumer) {
			c.Handler, c.Batch = nil, &consumer.Batch{Handler: &shop{}, Size: 500, Concurrency: 2, Workers: -1}
		}, []string{"-1 workers"}},
		"an unknown circuit":          {func(_ *consumer.Options, c *consumer.Consumer) { c.Needs = []string{"search"} }, []string{"orders", `"search"`}},
		"a negative prefetch":         {func(_ *consumer.Options, c *consumer.Consumer) { c.Limits.Prefetch = -1 }, []string{"prefetch of -1"}},
		"a prefetch beyond AMQP's":    {func(o *consumer.Options, _ *consumer.Consumer) { o.Prefetch = 1 << 16 }, []string{"prefetch of 65536"}},
		"a negative concurrency":      {func(o *consumer.Options, _ *consumer.Consumer) { o.Concurrency = -1 }, []string{"concurrency of -1"}},
		"a negative handler time-out": {func(o *consumer.Options, _ *consumer.Consumer) { o.HandlerTimeout = -1 }, []string{"time-out of -1ns"}},
		"a negative lease":            {func(o *consumer.Options, _ *consumer.Consumer) { o.Lease = -time.Second }, []string{"Lease", "-1s"}},
		"a negative memory limit":     {func(o *consumer.Options, _ *consumer.Consumer) { o.MemoryLimit = -1 }, []string{"MemoryLimit"}},
		"a delay that AMQP can't do":  {func(o *consumer.Options, _ *consumer.Consumer) { o.RetryDelays = []time.Duration{1} }, []string{"retry delay of 1ns"}},
		"an unknown type of queue":    {func(o *consumer.Options, _ *consumer.Consumer) { o.QueueType = "stream" }, []string{`"stream"`}},
		"metrics of the same name":    {func(o *consumer.Options, _ *consumer.Consumer) { o.Registerer = taken }, []string{"metrics"}},
		"two circuits of one name": {
			func(o *consumer.Options, _ *consumer.Consumer) { o.Circuits = append(o.Circuits, o.Circuits[0]) },
			[]string{"two circuits", `"erp"`},
		},
		"two consumers of one name": {
			func(o *consumer.Options, c *consumer.Consumer) { o.Consumers = append(o.Consumers, *c) },
			[]string{"two consumers", `"orders"`},
		},
		"several things": {
			func(_ *consumer.Options, c *consumer.Consumer) { c.Topics, c.Handler = nil, nil },
			[]string{"no topics", "no handler"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := consumer.Options{
				Circuits:  []circuit.Breaker{newBreaker("erp", circuit.Closed)},
				Consumers: []consumer.Consumer{{Name: "orders", Topics: []string{placed}, Handler: handler}},
			}
			tt.change(&o, &o.Consumers[0])
			r, err := consumer.New(o)
			if (err == nil) != (len(tt.want) == 0) || (r == nil) != (err != nil) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}
