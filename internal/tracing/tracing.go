// Package tracing exports traces as the standard OpenTelemetry variables say, by OTLP over HTTP.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// Options say what the program is called, and what is called after a failure.
type Options struct {
	Service string // where OTEL_SERVICE_NAME does not name another
	Version string
	// Failed is called, from any goroutine, when spans could not be exported. They are dropped.
	Failed func(error)
}

// Start sets a global tracer provider that exports spans, if a variable names an endpoint; else it does nothing. stop exports what is
// left until its context ends. It must be called once.
func Start(ctx context.Context, o Options) (stop func(context.Context) error, err error) {
	settings, err := fromEnvironment(os.Getenv)
	if err != nil {
		return nil, err
	}
	if settings.endpoint == nil {
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptrace.New(ctx, newClient(settings))
	if err != nil {
		return nil, fmt.Errorf("set up the export of traces: %w", err)
	}
	// The environment overrides what is set before it.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("set up the export of traces (OTEL_RESOURCE_ATTRIBUTES): %w", errors.Join(err, exporter.Shutdown(ctx)))
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter, trace.WithExportTimeout(exportTimeout)), trace.WithResource(about))
	otel.SetTracerProvider(provider)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(o.Failed))
	return provider.Shutdown, nil
}

// Provider returns the provider that Start has set, or nil where no traces are exported: a span costs something even then.
func Provider() api.TracerProvider {
	if p, ok := otel.GetTracerProvider().(*trace.TracerProvider); ok {
		return p
	}
	return nil
}

// exportTimeout bounds an export with its repeats. The spans of that time must fit in the batcher's queue.
const exportTimeout = 30 * time.Second
