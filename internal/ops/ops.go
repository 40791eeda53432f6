// Package ops is what the platform asks over HTTP: whether the process runs, whether it is ready, and its metrics.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Readiness is the document of /readyz.
type Readiness struct {
	// Ready is true when RabbitMQ and Postgres are reachable and each consumer is subscribed or paused on purpose.
	Ready bool `json:"ready"`
	// Problems are what a person would want to hear first, a sentence each. Handler makes them of the rest.
	Problems    []string              `json:"problems"`
	RabbitMQ    Dependency            `json:"rabbitmq"`
	Postgres    Dependency            `json:"postgres"`
	Downstreams map[string]Downstream `json:"downstreams"` // those that an enabled consumer needs
	Consumers   map[string]Consumer   `json:"consumers"`

	// What only the problems tell.
	Stopping    bool           `json:"-"`
	DeadLetters map[string]int `json:"-"` // by queue
	LongWaiting int            `json:"-"` // orders that have waited for longer than a day
	OldestWait  time.Time      `json:"-"` // since when the first of them has; zero if there is none
}

// Dependency is one part of it.
type Dependency struct {
	State  string     `json:"state"`            // such as connected, blocked, closed, open, subscribed, paused
	Reason string     `json:"reason,omitempty"` // for the person on call; no secret in it
	Since  *time.Time `json:"since,omitempty"`  // of this state
}

// Downstream is a remote API, with what its calls of the last 5 minutes have come to.
type Downstream struct {
	Dependency
	Calls    int `json:"calls"`
	Failures int `json:"failures"` // time-outs among them
	Timeouts int `json:"timeouts"`
	// Codes counts the calls by their status, or by the class of the error where there was none.
	Codes map[string]int `json:"codes"`
}

// Consumer is a consumer, and how many messages wait in its queue.
type Consumer struct {
	Dependency
	Messages int `json:"messages"`
}

// Handler serves /healthz, /readyz and /metrics. ready is called for each request to /readyz and must not wait for
// anything remote.
func Handler(ready func() Readiness, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := ready()
		if r.Downstreams == nil {
			r.Downstreams = map[string]Downstream{} // an object in any case
		}
		if r.Consumers == nil {
			r.Consumers = map[string]Consumer{}
		}
		r.Problems = r.problems(time.Now())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !r.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(r) // fails only when the client has gone
	})
	mux.Handle("GET /{$}", http.RedirectHandler("/readyz", http.StatusFound))
	// One metric that can't be gathered must not hide the others on the day they are needed.
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}))
	return mux
}

// endTimeout is for requests that are answered when Serve ends.
const endTimeout = 2 * time.Second

// Listen takes the address, host:port, so that one in use is an error before anything else begins.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("health and metrics can't be served on %s (MAGELINE_HTTP_ADDR): %w", addr, err)
	}
	return l, nil
}

// Serve answers on l until ctx ends, and returns when all that it started has ended: nil if only because of ctx. It
// closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	var err error
	select {
	case err = <-served: // by itself: the listener is broken
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
		err = <-served
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving health and metrics on %s: %w", l.Addr(), err)
}

// BuildInfo is the metric mageline_build_info, always 1.
func BuildInfo(version, commit string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mageline_build_info",
		Help:        "The version that runs; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}
