package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mageline/mageline/event"
)

// client sends spans by OTLP over HTTP. OpenTelemetry's exporter for that, otlptracehttp, links gRPC, which is unused and 7 MB of
// the binary.
type client struct {
	settings settings
	http     *http.Client
}

func newClient(s settings) *client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: s.tls, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConns: 1, IdleConnTimeout: 90 * time.Second,
	}
	return &client{settings: s, http: &http.Client{Transport: transport, Timeout: s.timeout}}
}

// Start does nothing: a collector may start later than this process.
func (c *client) Start(context.Context) error { return nil }

// Stop closes the idle connections.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans. It repeats requests that the collector may accept later, until ctx ends.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire TracesData is the same as the ExportTraceServiceRequest that the collector expects.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode traces: %w", err)
	}
	if c.settings.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(body)
		if err = errors.Join(err, w.Close()); err != nil {
			return fmt.Errorf("compress traces: %w", err)
		}
		body = packed.Bytes()
	}
	const firstWait, longestWait = time.Second, 10 * time.Second
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		again, after, err := c.send(ctx, body)
		if err == nil || !again {
			return err
		}
		select {
		case <-time.After(max(wait, after)):
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}

// send sends one request. again is true if it may be repeated, no sooner than after.
func (c *client) send(ctx context.Context, body []byte) (again bool, after time.Duration, err error) {
	address := c.settings.endpoint.Redacted()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.settings.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return false, 0, fmt.Errorf("send traces to %s: %w", address, err)
	}
	for name, values := range c.settings.headers {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if c.settings.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return ctx.Err() == nil, 0, fmt.Errorf("send traces: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 == 2 {
		return false, 0, nil
	}
	err = fmt.Errorf("the collector at %s answered %s to traces: see OTEL_EXPORTER_OTLP_ENDPOINT and its log", address, resp.Status)
	switch resp.StatusCode { // those that the specification of OTLP calls retryable
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, event.RetryAfter(resp.Header, time.Now()), err
	}
	return false, 0, err
}
