package tracing

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"go.opentelemetry.io/otel"
)

// collector is an OTLP endpoint that answers as it is told to, then with 200, and keeps what it was sent.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []int
	requests []*http.Request
	spans    []*tracepb.Span
	services []string
}

func newCollector(t *testing.T, answers ...int) *collector {
	c := &collector{answers: answers}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests = append(c.requests, r)
		if len(c.answers) > 0 {
			status := c.answers[0]
			c.answers = c.answers[1:]
			w.WriteHeader(status)
			return
		}
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		data, err := io.ReadAll(body)
		// The type that a collector reads, not the one that was sent.
		var got collectorpb.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(data, &got)
		}
		if err != nil {
			t.Error(err)
		}
		for _, resource := range got.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					c.services = append(c.services, a.GetValue().GetStringValue())
				}
			}
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// environment sets the OTLP variables to these and clears the others.
func environment(t *testing.T, pairs ...string) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv(pairs[i], pairs[i+1])
	}
}

func TestStart_ExportsToTheEndpoint(t *testing.T) {
	tests := map[string]struct {
		variables func(url string) []string
		path      string
		service   string
		gzip      bool
	}{
		"base of all signals": {
			func(url string) []string { return []string{"OTEL_EXPORTER_OTLP_ENDPOINT", url + "/otel/"} },
			"/otel/v1/traces", "mageline", false,
		},
		"traces alone, a name, packed": {
			func(url string) []string {
				return []string{
					"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url + "/traces",
					"OTEL_SERVICE_NAME", "shop", "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip",
				}
			},
			"/traces", "shop", true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			environment(t, append(test.variables(c.URL), "OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b, x-key=k")...)
			before := otel.GetTracerProvider()
			defer otel.SetTracerProvider(before)
			stop, err := Start(t.Context(), Options{Service: "mageline", Version: "v1", Failed: func(err error) { t.Error(err) }})
			if err != nil {
				t.Fatal(err)
			}
			_, span := otel.Tracer("test").Start(t.Context(), "order_placed")
			span.End()
			if err := stop(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.spans) != 1 || c.spans[0].GetName() != "order_placed" || len(c.services) != 1 || c.services[0] != test.service {
				t.Fatalf("the collector has %v of %v", c.spans, c.services)
			}
			r := c.requests[0]
			if r.URL.Path != test.path || r.Header.Get("X-Tenant") != "a b" || r.Header.Get("X-Key") != "k" ||
				(r.Header.Get("Content-Encoding") == "gzip") != test.gzip {
				t.Errorf("request to %s with %v", r.URL.Path, r.Header)
			}
		})
	}
}

func TestStart_WithoutEndpoint(t *testing.T) {
	environment(t, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	before := otel.GetTracerProvider()
	stop, err := Start(t.Context(), Options{})
	if err != nil || stop(t.Context()) != nil || otel.GetTracerProvider() != before {
		t.Errorf("something is set up: %v", err)
	}
}

func TestUploadTraces_RepeatsWhatMayPassLater(t *testing.T) {
	tests := map[string]struct {
		answers  []int
		requests int
		fails    bool
	}{
		"taken":                        {nil, 1, false},
		"throttled once":               {[]int{429}, 2, false},
		"away once":                    {[]int{503}, 2, false},
		"refused for good":             {[]int{400}, 1, true},
		"an error of its own for good": {[]int{500}, 1, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, test.answers...)
			s, err := fromEnvironment(func(name string) string {
				return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}[name]
			})
			if err != nil {
				t.Fatal(err)
			}
			err = newClient(s).UploadTraces(t.Context(), []*tracepb.ResourceSpans{{}})
			if (err != nil) != test.fails || len(c.requests) != test.requests {
				t.Errorf("%d requests, %v", len(c.requests), err)
			}
		})
	}
}

func TestUploadTraces_EndsWithItsContext(t *testing.T) {
	c := newCollector(t, 503, 503, 503, 503, 503, 503)
	s, err := fromEnvironment(func(name string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := newClient(s).UploadTraces(ctx, nil); err == nil {
		t.Error("it has sent nothing and says nothing")
	}
}

func TestFromEnvironment_NamesWhatIsWrong(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ name, value, want string }{
		"no scheme":             {"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"another scheme":        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		"gRPC":                  {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"a header without name": {"OTEL_EXPORTER_OTLP_HEADERS", "secret", "OTEL_EXPORTER_OTLP_HEADERS"},
		"a time with a unit":    {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT"},
		"another compression":   {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"},
		"no such file":          {"OTEL_EXPORTER_OTLP_CERTIFICATE", noPEM + "x", "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"no certificate":        {"OTEL_EXPORTER_OTLP_CERTIFICATE", noPEM, "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"a key alone":           {"OTEL_EXPORTER_OTLP_CLIENT_KEY", noPEM, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
			variables[test.name] = test.value
			_, err := fromEnvironment(func(name string) string { return variables[name] })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not name %s", err, test.want)
			}
			if err != nil && test.value == "secret" && strings.Contains(err.Error(), test.value) {
				t.Errorf("%v shows a secret", err)
			}
		})
	}
}
