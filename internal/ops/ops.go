// Package ops serves what a platform asks a process over HTTP: whether it runs (/healthz), whether it is ready (/readyz), and its
// metrics (/metrics).
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
)

// Readiness is the answer of /readyz.
type Readiness struct {
	// Ready is true when RabbitMQ and Postgres are reachable and each consumer is subscribed or paused on purpose.
	Ready bool `json:"ready"`
	// Problems are what a person should know first, a sentence each. Handler makes them from the other fields.
	Problems    []string              `json:"problems"`
	RabbitMQ    Dependency            `json:"rabbitmq"`
	Postgres    Dependency            `json:"postgres"`
	Downstreams map[string]Downstream `json:"downstreams"` // those that an enabled consumer needs
	Consumers   map[string]Consumer   `json:"consumers"`

	// These show in the problems only.
	Stopping    bool           `json:"-"`
	DeadLetters map[string]int `json:"-"` // by queue
	Codes       string         `json:"-"` // what is wrong with the changed file of codes
	Other       []string       `json:"-"` // sentences about what has no field
	LongWaiting int            `json:"-"` // orders that have waited for longer than a day
	OldestWait  time.Time      `json:"-"` // since when the first of them has; zero if there is none
	HeldPrices  string         `json:"-"` // a sentence about prices that wait for a person; empty if there is none
}

// Dependency is the state of RabbitMQ or Postgres.
type Dependency struct {
	State  string     `json:"state"`            // such as connected, blocked, closed, open, subscribed, paused
	Reason string     `json:"reason,omitempty"` // for the person on call; no secret in it
	Since  *time.Time `json:"since,omitempty"`  // of this state
}

// Downstream is the state of a remote API, with its calls of the last 5 minutes.
type Downstream struct {
	Dependency
	Calls    int `json:"calls"`
	Failures int `json:"failures"` // time-outs among them
	Timeouts int `json:"timeouts"`
	// Codes counts the calls by status, or by error class where there was none.
	Codes map[string]int `json:"codes"`
}

// Consumer is the state of a consumer, and the backlog of its queue.
type Consumer struct {
	Dependency
	Messages int `json:"messages"`
}

// Handler serves /healthz, /readyz and /metrics. ready is called for each request to /readyz and must not wait for anything remote.
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
	mux.Handle("GET /metrics", scrape(metrics))
	return mux
}

// endTimeout bounds the requests that are in flight when Serve ends.
const endTimeout = 2 * time.Second

// Listen listens on an address, host:port. It is apart from Serve so that an address in use is an error before anything else begins.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("health and metrics can't be served on %s (MAGELINE_HTTP_ADDR): %w", addr, err)
	}
	return l, nil
}

// Serve answers requests on l until ctx ends, and closes l. It returns when its goroutines have ended: nil if ctx has ended.
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

// BuildInfo returns the metric mageline_build_info, which is always 1.
func BuildInfo(version, commit string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mageline_build_info",
		Help:        "The version that runs; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}
