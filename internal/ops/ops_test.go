package ops_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/internal/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestHandler_AnswersReadyz(t *testing.T) {
	since := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		ready  ops.Readiness
		status int
		want   string
	}{
		{
			"starting",
			ops.Readiness{RabbitMQ: ops.Dependency{State: "connecting"}, Postgres: ops.Dependency{State: "migrating"}},
			503,
			`{"ready":false,"rabbitmq":{"state":"connecting"},"postgres":{"state":"migrating"},"downstreams":{},"consumers":{},
				"problems":["RabbitMQ is connecting: no reason is known.","Postgres is migrating: no reason is known."]}`,
		},
		{"running", ops.Readiness{
			Ready: true, RabbitMQ: ops.Dependency{State: "connected", Since: &since}, Postgres: ops.Dependency{State: "connected"},
			Downstreams: map[string]ops.Downstream{"erp": {
				Dependency: ops.Dependency{State: "open", Reason: "5 failures in a row"},
				Calls:      7, Failures: 5, Timeouts: 2, Codes: map[string]int{"201": 2, "503": 3, "timeout": 2},
			}},
			Consumers: map[string]ops.Consumer{"order_placed": {Dependency: ops.Dependency{State: "subscribed"}, Messages: 3}},
		}, 200, `{"ready":true,"problems":[],"rabbitmq":{"state":"connected","since":"2026-11-23T10:00:00Z"},"postgres":{"state":"connected"},
			"downstreams":{"erp":{"state":"open","reason":"5 failures in a row","calls":7,"failures":5,"timeouts":2,"codes":{"201":2,"503":3,"timeout":2}}},
			"consumers":{"order_placed":{"state":"subscribed","messages":3}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := get(ops.Handler(func() ops.Readiness { return tt.ready }, prometheus.NewRegistry()), http.MethodGet, "/readyz")
			var got, want any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || !reflect.DeepEqual(got, want) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
}

func TestHandler_AnswersHealthAndMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(ops.BuildInfo("v1.2.3", "abcdef"))
	h := ops.Handler(func() ops.Readiness { return ops.Readiness{} }, registry)
	if w := get(h, http.MethodGet, "/healthz"); w.Code != 200 {
		t.Errorf("/healthz %d", w.Code)
	}
	if w := get(h, http.MethodGet, "/metrics"); w.Code != 200 || !strings.Contains(w.Body.String(), `mageline_build_info{commit="abcdef",goversion="go1`) {
		t.Errorf("/metrics %d %s", w.Code, w.Body)
	}
	if w := get(h, http.MethodPost, "/readyz"); w.Code != 405 {
		t.Errorf("POST /readyz %d", w.Code)
	}
	if w := get(h, http.MethodGet, "/elsewhere"); w.Code != 404 {
		t.Errorf("/elsewhere %d", w.Code)
	}
}

// What is being answered when the context ends is answered; then nothing is left.
func TestServe_EndsWithItsContext(t *testing.T) {
	listener, err := ops.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Listen(t.Context(), listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "MAGELINE_HTTP_ADDR") {
		t.Errorf("an address in use: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked, release := make(chan struct{}), make(chan struct{})
	h := ops.Handler(func() ops.Readiness { close(asked); <-release; return ops.Readiness{Ready: true} }, prometheus.NewRegistry())
	served := make(chan error, 1)
	go func() { served <- ops.Serve(ctx, listener, h) }()
	status := make(chan int, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + listener.Addr().String() + "/readyz")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-asked
	cancel()
	close(release)
	if got := <-status; got != 200 {
		t.Errorf("status %d", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServe_ReportsABrokenListener(t *testing.T) {
	listener, err := ops.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ops.Serve(t.Context(), listener, http.NotFoundHandler()); err == nil {
		t.Error("no error")
	}
}
