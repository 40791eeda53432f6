package downstream

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// metrics are those about downstreams, of docs/operations.md.
type metrics struct {
	requests *prometheus.CounterVec // code is the status, or the class of the error
	duration prometheus.Observer
	state    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, name string) metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	requests := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mageline_downstream_requests_total",
		Help: "Requests to a remote API by status, or by error class where there was none.",
	}, []string{"downstream", "code"}))
	duration := register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "mageline_downstream_request_duration_seconds",
		Help:    "Time from sending a request to the end of its answer, without waits for limits.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60},
	}, []string{"downstream"}))
	state := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "mageline_circuit_breaker_state",
		Help: "The circuit of a remote API: 0 closed, 1 half-open, 2 open.",
	}, []string{"downstream"}))
	return metrics{requests, duration.WithLabelValues(name), state.WithLabelValues(name)}
}

// register returns the collector that another Downstream has registered already, because all share the metrics.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	err := r.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if existing, ok := there.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic("downstream: " + err.Error()) // two metrics of one name: a bug
	}
	return c
}

func (d *Downstream) startSpan(ctx context.Context, req *http.Request) (context.Context, trace.Span) {
	if d.tracer == nil {
		return ctx, noop.Span{}
	}
	return d.tracer.Start(ctx, req.Method+" "+d.name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("http.request.method", req.Method),
			attribute.String("server.address", req.URL.Hostname()),
			attribute.String("url.path", req.URL.EscapedPath()),
		))
}

// injectTrace writes the W3C headers of the trace of ctx, or those of a new trace: a traceparent is sent in any case.
func injectTrace(ctx context.Context, h http.Header) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		var c trace.SpanContextConfig
		var ids [len(c.TraceID) + len(c.SpanID)]byte
		_, _ = rand.Read(ids[:]) // never fails
		copy(c.SpanID[:], ids[copy(c.TraceID[:], ids[:]):])
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(c))
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}
