package ops_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/internal/ops"
)

// well is a process of which there is nothing to say.
func well() ops.Readiness {
	return ops.Readiness{
		Ready: true, RabbitMQ: ops.Dependency{State: "connected"}, Postgres: ops.Dependency{State: "connected"},
		Downstreams: map[string]ops.Downstream{"erp": {Dependency: ops.Dependency{State: "closed"}}},
		Consumers:   map[string]ops.Consumer{"order_placed": {Dependency: ops.Dependency{State: "subscribed"}, Messages: 12}},
		DeadLetters: map[string]int{"m.order_placed.dlq": 0},
	}
}

// Each problem is a sentence; what is well is none.
func TestReadyz_SaysProblems(t *testing.T) {
	t.Parallel()
	erp := func(r *ops.Readiness, state string, codes map[string]int, failures int) {
		d := ops.Downstream{Dependency: ops.Dependency{State: state}, Codes: codes, Failures: failures}
		for n := range maps.Values(codes) {
			d.Calls += n
		}
		r.Downstreams["erp"] = d
	}
	for _, tt := range []struct {
		name   string
		change func(*ops.Readiness)
		want   []string
	}{
		{"well", func(*ops.Readiness) {}, nil},
		{"a paused consumer", func(r *ops.Readiness) {
			since := time.Now().Add(-14 * time.Minute)
			r.Consumers["order_placed"] = ops.Consumer{
				Dependency: ops.Dependency{State: "paused", Reason: "the circuit of erp is open: 5 failures in a row.", Since: &since}, Messages: 1180,
			}
		}, []string{`^order_placed is paused since 20\S+Z \(14 min\): the circuit of erp is open: 5 failures in a row; 1180 messages wait in its queue\.$`}},
		{"a refused consumer, an operator's pause and a handler that hangs", func(r *ops.Readiness) {
			r.Consumers["order_canceled"] = ops.Consumer{Dependency: ops.Dependency{State: "refused", Reason: "no right"}, Messages: 1}
			r.Consumers["price_sync"] = ops.Consumer{Dependency: ops.Dependency{State: "paused", Reason: "paused by an operator"}}
			r.Consumers["order_placed"] = ops.Consumer{Dependency: ops.Dependency{State: "subscribed", Reason: "the handler of message x does not return"}}
		}, []string{
			`^order_canceled is refused: no right; 1 message waits in its queue\.$`,
			`^order_placed: the handler of message x does not return\.$`,
			`^price_sync is paused: paused by an operator; 0 messages wait in its queue\.$`,
		}},
		{"a downstream of whose calls one in ten fails", func(r *ops.Readiness) {
			erp(r, "closed", map[string]int{"201": 90, "500": 6, "timeout": 4}, 10)
		}, nil},
		{"more than one in ten", func(r *ops.Readiness) {
			erp(r, "closed", map[string]int{"201": 89, "500": 6, "timeout": 5}, 11)
		}, []string{`^erp fails 11 of 100 calls of the last 5 minutes \(11 %\) though its circuit is closed, .*: 201 89 %, 500 6 %, time-outs 5 %\.$`}},
		{"too few calls to tell", func(r *ops.Readiness) {
			erp(r, "closed", map[string]int{"500": 19}, 19)
		}, nil},
		{"few calls", func(r *ops.Readiness) {
			erp(r, "closed", map[string]int{"500": 20}, 20)
		}, []string{`^erp fails 20 of 20 `}},
		{"an open circuit says it already", func(r *ops.Readiness) {
			erp(r, "open", map[string]int{"500": 100}, 100)
		}, nil},
		{"dead letters", func(r *ops.Readiness) {
			r.DeadLetters = map[string]int{"m.b.dlq": 1, "m.a.dlq": 312, "m.c.dlq": 0}
		}, []string{"^312 dead letters in m.a.dlq: `mageline dlq list` ", `^1 dead letter in m.b.dlq: `}},
		{"orders that wait for long", func(r *ops.Readiness) {
			r.LongWaiting, r.OldestWait = 2, time.Now().Add(-74*time.Hour)
		}, []string{`^2 orders have been waiting for longer than a day, the first since 20\S+Z \(3 days\), in a state in which none may go out: `}},
		{"stopping, with everything away", func(r *ops.Readiness) {
			r.Stopping, r.RabbitMQ, r.Postgres = true, ops.Dependency{State: "away", Reason: "refused."}, ops.Dependency{State: "away", Reason: "no route"}
		}, []string{`^This process is stopping`, `^RabbitMQ is away: refused\.$`, `^Postgres is away: no route\.$`}},
		{"RabbitMQ refuses a part", func(r *ops.Readiness) {
			r.RabbitMQ.Reason = "no right to configure"
		}, []string{`^RabbitMQ: no right to configure\.$`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := well()
			tt.change(&r)
			w := get(ops.Handler(func() ops.Readiness { return r }, prometheus.NewRegistry()), http.MethodGet, "/readyz")
			var got struct{ Problems []string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Problems == nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if len(got.Problems) != len(tt.want) {
				t.Fatalf("got %q, want %q", got.Problems, tt.want)
			}
			for i, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(got.Problems[i]) {
					t.Errorf("got %q, want %q", got.Problems[i], want)
				}
			}
		})
	}
}

// The address without a path leads to what there is to see.
func TestHandler_RedirectsRootToReadyz(t *testing.T) {
	t.Parallel()
	h := ops.Handler(well, prometheus.NewRegistry())
	if w := get(h, http.MethodGet, "/"); w.Code != http.StatusFound || w.Header().Get("Location") != "/readyz" {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := get(h, http.MethodGet, "/nothing"); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}
