package downstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	breaker "github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/test/kit"
)

// serve starts a remote API on a real socket.
func serve(t *testing.T, o downstream.Options, h http.HandlerFunc) (*downstream.Downstream, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o.Name = "erp"
	d := downstream.New(o)
	t.Cleanup(d.Close)
	return d, srv
}

// cut ends the connection of a request without an answer.
func cut(t *testing.T, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_ = conn.Close()
}

func send(t *testing.T, d *downstream.Downstream, method, url, body string) (*http.Response, error) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "order_placed:000000123")
	return d.Client().Do(req)
}

func discard(t *testing.T, resp *http.Response) {
	t.Helper()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// net/http repeats a request with an Idempotency-Key by itself when a reused connection breaks before the answer.
func TestRoundTrip_OnlySafeRequestsAreRepeated(t *testing.T) {
	tests := []struct {
		name, method, body string
		arrivals           int32
	}{
		{"POST", http.MethodPost, `{"a":1}`, 1},
		{"POST without a body", http.MethodPost, "", 1},
		{"PUT", http.MethodPut, `{"a":1}`, 1},
		{"DELETE", http.MethodDelete, "", 1},
		{"GET", http.MethodGet, "", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var breaking, arrivals atomic.Int32
			d, srv := serve(t, downstream.Options{Timeout: 10 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if breaking.Load() == 0 {
					return
				}
				if r.ContentLength != int64(len(tt.body)) {
					t.Errorf("Content-Length %d, want %d", r.ContentLength, len(tt.body))
				}
				if r.Header.Get("Idempotency-Key") == "" {
					t.Error("no Idempotency-Key")
				}
				if arrivals.Add(1) == 1 {
					cut(t, w)
				}
			})
			resp, err := send(t, d, http.MethodGet, srv.URL, "") // so that the connection is a reused one
			if err != nil {
				t.Fatal(err)
			}
			discard(t, resp)
			breaking.Store(1)
			resp, err = send(t, d, tt.method, srv.URL, tt.body)
			if err == nil {
				discard(t, resp)
			} else if event.ClassOf(err) != event.Unavailable || event.IsNotDone(err) {
				t.Errorf("error %v of class %s, not done %t", err, event.ClassOf(err), event.IsNotDone(err))
			}
			if (err == nil) != (tt.arrivals > 1) {
				t.Errorf("error %v", err)
			}
			if got := arrivals.Load(); got != tt.arrivals {
				t.Errorf("the remote API got %d requests, want %d", got, tt.arrivals)
			}
		})
	}
}

func TestRoundTrip_RefusedConnectionIsNotDone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	d := downstream.New(downstream.Options{Name: "magento", Timeout: 10 * time.Second, Failures: 2, OpenFor: time.Hour})
	defer d.Close()
	for range 2 {
		wantState(t, d, "closed")
		resp, err := send(t, d, http.MethodPost, "http://user:secret1@"+address+"/V1/orders?email=secret2", `{}`)
		if err == nil {
			discard(t, resp)
			t.Fatal("no error")
		}
		var e *event.Error
		if !errors.As(err, &e) || e.Class != event.Unavailable || e.Downstream != "magento" || !event.IsNotDone(err) {
			t.Errorf("error %#v, not done %t", err, event.IsNotDone(err))
		}
		text := errors.Unwrap(err).Error()
		if strings.Contains(text, "secret") || !strings.Contains(text, "POST http://"+address+"/V1/orders") {
			t.Errorf("error text %q", text)
		}
	}
	st := d.Status()
	if st.State != breaker.Open || strings.Contains(st.Reason, "secret") {
		t.Errorf("circuit %s, reason %q", st.State, st.Reason)
	}
}

// An answer whose body breaks off is a lost connection, and no success before.
func TestBody_ThatBreaksOff(t *testing.T) {
	d, srv := serve(t, downstream.Options{Failures: 2, OpenFor: time.Hour, Concurrency: 1}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"half":`))
		cut(t, w)
	})
	for range 2 {
		wantState(t, d, "closed")
		resp, err := send(t, d, http.MethodGet, srv.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		var e *event.Error
		if !errors.As(err, &e) || e.Class != event.Unavailable || e.Downstream != "erp" || event.IsNotDone(err) {
			t.Errorf("error %v", err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	wantState(t, d, "open")
}

// The time-out holds to the end of the body.
func TestBody_ThatStalls(t *testing.T) {
	release := make(chan struct{})
	d, srv := serve(t, downstream.Options{Timeout: 2 * time.Second, Failures: 1, OpenFor: time.Hour}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"half":`))
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	resp, err := send(t, d, http.MethodPost, srv.URL, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(resp.Body)
	if err == nil || event.ClassOf(err) != event.Timeout || event.IsNotDone(err) {
		t.Errorf("error %v of class %s", err, event.ClassOf(err))
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	wantState(t, d, "open")
}

func TestRoundTrip_RedirectIsNotFollowed(t *testing.T) {
	for location, want := range map[string]string{
		"/elsewhere?token=secret":                           "/elsewhere",
		"https://user:secret@www.shop.example/a b?x=secret": "https://www.shop.example/a%20b",
		"https://shop.example/" + strings.Repeat("x", 5000): "https://shop.example/xxx",
		"//login.example/#secret":                           "http://login.example/",
		"":                                                  "without saying where",
		"mailto:secret@fixture.example":                     "without saying where",
		"https://[secret":                                   "without saying where",
	} {
		var arrivals atomic.Int32
		d, srv := serve(t, downstream.Options{Variable: "MAGELINE_ERP_URL"}, func(w http.ResponseWriter, _ *http.Request) {
			arrivals.Add(1)
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(http.StatusMovedPermanently)
			_, _ = io.WriteString(w, "<html>")
		})
		resp, err := send(t, d, http.MethodPost, srv.URL+"/sales-orders", `{}`)
		if err == nil {
			discard(t, resp)
			t.Fatalf("%s: %d", location, resp.StatusCode)
		}
		var e *event.Error
		if !errors.As(err, &e) || e.Class != event.Unavailable || e.Downstream != "erp" || event.IsNotDone(err) || arrivals.Load() != 1 {
			t.Errorf("%s: %v after %d requests", location, err, arrivals.Load())
		}
		text := errors.Unwrap(err).Error()
		if !strings.Contains(text, want) || !strings.Contains(text, "MAGELINE_ERP_URL") || !strings.Contains(text, "301") ||
			strings.Contains(text, "secret") || len(text) > 600 {
			t.Errorf("%s: %s", location, text)
		}
	}
}

// A page of HTML is not the API's answer, whatever its status: but for 401 and 403, after which the credential is renewed, and
// what is a failure anyhow, it is an error.
func TestRoundTrip_PageIsNoAnswer(t *testing.T) {
	for status, answered := range map[int]bool{
		200: false, 201: false, 400: false, 404: false, 405: false, 413: false, 422: false,
		401: true, 403: true, 408: true, 500: true, 502: true, 503: true,
	} {
		d, srv := serve(t, downstream.Options{Variable: "MAGELINE_ERP_URL", Failures: 2, OpenFor: time.Hour, Concurrency: 1}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<!doctype html>\n<title>Please log in, jane@fixture.example</title>"+strings.Repeat("<p>x</p>", 1000))
		})
		for range 2 {
			wantState(t, d, "closed")
			resp, err := send(t, d, http.MethodGet, srv.URL, "")
			if answered != (err == nil) {
				t.Errorf("%d: %v", status, err)
			}
			if err == nil {
				discard(t, resp)
				continue
			}
			var e *event.Error
			text := errors.Unwrap(err).Error()
			if !errors.As(err, &e) || e.Class != event.Unavailable || event.IsNotDone(err) || !strings.Contains(text, "Please log in") ||
				!strings.Contains(text, "MAGELINE_ERP_URL") || strings.Contains(text, "jane") {
				t.Errorf("%d: %v", status, err)
			}
		}
		wantState(t, d, "open")
	}
}

// What stands in front of JSON is taken off, however the answer comes in, and said once.
func TestBody_WithoutWhatIsInFrontOfJSON(t *testing.T) {
	const body = `{"document_number":"SO-1"}`
	var log kit.Log
	var flush atomic.Bool
	var status atomic.Int32
	d, srv := serve(t, downstream.Options{Log: zerolog.New(&log), Failures: 1, OpenFor: time.Hour}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(int(status.Load()))
		for part := range slices.Chunk([]byte("\ufeff<br />\n<b>Deprecated</b>:  Jane Doe in <b>/srv/a.php</b> on line <b>4</b><br />\n"+body), 40) {
			_, _ = w.Write(part)
			if flush.Load() {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	for _, code := range []int32{200, 404, 422, 200, 404, 422} {
		status.Store(code)
		resp, err := send(t, d, http.MethodPost, srv.URL, `{}`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != body || resp.StatusCode != int(code) || resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
			t.Errorf("%d %q of %d bytes, %v", resp.StatusCode, got, resp.ContentLength, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		flush.Store(code == 422)
	}
	wantState(t, d, "closed")
	if lines := log.Lines("answer_prefix_skipped", "level", "warn", "found", "/srv/a.php:4"); len(lines) != 1 || strings.Contains(log.String(), "Jane") {
		t.Errorf("the log: %s", log.String())
	}
}

// A reader that leaves the rest of a small answer does not cost the connection, nor the place among the concurrent.
func TestRoundTrip_ConnectionsAreReused(t *testing.T) {
	addresses := make(chan string, 10)
	d, srv := serve(t, downstream.Options{Concurrency: 1}, func(w http.ResponseWriter, r *http.Request) {
		addresses <- r.RemoteAddr
		_, _ = w.Write([]byte(strings.Repeat("x", 5000)))
	})
	for range 3 {
		resp, err := send(t, d, http.MethodPost, srv.URL, `{}`)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if a, b, c := <-addresses, <-addresses, <-addresses; a != b || b != c {
		t.Errorf("connections %s, %s, %s", a, b, c)
	}
}

func TestRoundTrip_HTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	transport, ok := srv.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the test server's client has another transport")
	}
	d := downstream.New(downstream.Options{Name: "erp", TLS: transport.TLSClientConfig.Clone()})
	defer d.Close()
	resp, err := send(t, d, http.MethodPost, srv.URL, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	proto, err := io.ReadAll(resp.Body)
	if err != nil || string(proto) != "HTTP/2.0" {
		t.Errorf("%s, %v", proto, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestRoundTrip_SendsTraceparent(t *testing.T) {
	const of = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceID, err := trace.TraceIDFromHex(of)
	if err != nil {
		t.Fatal(err)
	}
	ofEvent := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	tests := []struct {
		name   string
		tracer trace.Tracer
		ctx    context.Context
		want   string
	}{
		{"nothing exported, no trace", nil, context.Background(), `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`},
		{"nothing exported, the event's", nil, ofEvent, `^00-` + of + `-0100000000000000-01$`},
		{"exported, no trace", provider.Tracer("test"), context.Background(), `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`},
		{"exported, the event's", provider.Tracer("test"), ofEvent, `^00-` + of + `-[0-9a-f]{16}-01$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan string, 1)
			d, srv := serve(t, downstream.Options{Tracer: tt.tracer}, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Traceparent") })
			req, err := http.NewRequestWithContext(tt.ctx, http.MethodGet, srv.URL+"?q=secret", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := d.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			discard(t, resp)
			if header := <-got; !regexp.MustCompile(tt.want).MatchString(header) || strings.Contains(header, strings.Repeat("0", 32)) {
				t.Errorf("traceparent %q, want %s", header, tt.want)
			}
			if req.Header.Get("Traceparent") != "" {
				t.Error("the caller's request was changed")
			}
		})
	}
	if n := len(spans.GetSpans()); n != 2 {
		t.Errorf("%d spans ended, want 2", n)
	}
}

func TestMetrics_CountRequestsByStatusOrClass(t *testing.T) {
	registry := prometheus.NewRegistry()
	var status atomic.Int32
	d, srv := serve(t, downstream.Options{Registerer: registry, Failures: 4, OpenFor: time.Hour}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		if status.Load() == 201 { // which would be counted as a success
			_, _ = io.WriteString(w, "<html>")
		}
	})
	other := downstream.New(downstream.Options{Name: "magento", Registerer: registry}) // shares the metrics
	defer other.Close()
	for _, s := range []int32{200, 200, 404, 301, 201, 500, 500} {
		status.Store(s)
		resp, err := send(t, d, http.MethodPost, srv.URL, `{}`)
		if (err == nil) != (s != 301 && s != 201) {
			t.Fatal(err)
		}
		if err == nil {
			discard(t, resp)
		}
	}
	if resp, err := send(t, d, http.MethodPost, srv.URL, `{}`); err == nil {
		discard(t, resp)
		t.Error("the open circuit let a request out")
	}
	want := `
# HELP mageline_circuit_breaker_state The circuit of a remote API: 0 closed, 1 half-open, 2 open.
# TYPE mageline_circuit_breaker_state gauge
mageline_circuit_breaker_state{downstream="erp"} 2
mageline_circuit_breaker_state{downstream="magento"} 0
# HELP mageline_downstream_requests_total Requests to a remote API by status, or by error class where there was none.
# TYPE mageline_downstream_requests_total counter
mageline_downstream_requests_total{code="200",downstream="erp"} 2
mageline_downstream_requests_total{code="301",downstream="erp"} 1
mageline_downstream_requests_total{code="404",downstream="erp"} 1
mageline_downstream_requests_total{code="500",downstream="erp"} 2
mageline_downstream_requests_total{code="unavailable",downstream="erp"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "mageline_circuit_breaker_state", "mageline_downstream_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(registry, "mageline_downstream_request_duration_seconds"); n != 2 {
		t.Errorf("%d durations, want one for each downstream", n)
	}
}

// passed is a clock whose time is over, though no timer has ended the context.
type passed struct {
	clock
	asked atomic.Int32
	err   error
}

func (p *passed) Expired() error {
	p.asked.Add(1)
	return p.err
}

// A process that was frozen goes on with what it was about to write before its timers have ended it.
func TestBody_IsNotWrittenAfterTheLease(t *testing.T) {
	bodies := make(chan string, 10)
	d, srv := serve(t, downstream.Options{Timeout: 10 * time.Second}, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil || len(body) > 0 { // else the request has broken off before its body
			bodies <- string(body)
		}
	})
	post := func(lease *passed) error {
		ctx := event.WithClock(event.WithClock(t.Context(), lease), &clock{})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, strings.NewReader(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := d.Client().Do(req)
		if err == nil {
			discard(t, resp)
		}
		return err
	}
	held := new(passed)
	if err := post(held); err != nil || <-bodies != `{"a":1}` {
		t.Fatalf("with the lease held: %v", err)
	}
	if held.asked.Load() == 0 {
		t.Error("nobody has asked for the lease")
	}
	over := &passed{err: errors.New("another has taken over")}
	if err := post(over); !errors.Is(err, over.err) {
		t.Errorf("after the lease: %v", err)
	}
	srv.Close() // waits for what the server has begun
	if len(bodies) > 0 {
		t.Errorf("the downstream has got %q", <-bodies)
	}
}
