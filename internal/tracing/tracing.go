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
)

// Options say what exports, and who hears of a failure.
type Options struct {
	Service string // where OTEL_SERVICE_NAME does not name another
	Version string
	// Failed is told, from any goroutine, of spans that were not exported. They are dropped.
	Failed func(error)
}

// Start makes the process's global tracer provider export, if a variable names an endpoint; else it does nothing. stop
// exports what is left, for as long as its context allows, and is called once.
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
	// What is named by the environment wins over what is named before it.
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

// exportTimeout bounds one export with its repeats, so that the spans that wait meanwhile fit in the batcher's queue.
const exportTimeout = 30 * time.Second
