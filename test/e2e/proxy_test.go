package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// The password of a proxy that can't be reached, or refuses, is in no output of the service or of check; nor is that of one
// whose address can't be read, which is a wrong configuration: net/http would go without the proxy.
func TestProxy_PasswordIsNowhere(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusProxyAuthRequired)
	}))
	t.Cleanup(refuses.Close)
	const user = "http://proxy:" + env.ProxyPassword
	for _, tt := range []struct{ name, proxy, says string }{
		{"unreachable", user + "@127.0.0.1:1", "proxyconnect"},
		{"refuses", strings.Replace(refuses.URL, "http://", user+"@", 1), "Proxy Authentication Required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond)
			e.Set("HTTPS_PROXY", tt.proxy, "MAGENTO_URL", "https://shop.invalid", "ERP_URL", "https://erp.invalid",
				"BREAKER_FAILURES", "1", "BREAKER_OPEN_FOR", "1h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.invalid/v1/traces",
				"OTEL_BSP_SCHEDULE_DELAY", "200")
			r := e.Start().AwaitReady()
			e.Publish("sales.order.placed", `{"increment_id":"000000001"}`)
			r.AwaitSaying("the circuit is open for "+tt.says, func(_ int, d replica.Readiness) bool {
				return d.Downstreams["magento"].State == "open" && strings.Contains(d.Downstreams["magento"].Reason, tt.says)
			})
			r.AwaitEvent("traces_not_exported")
			if out, code := e.Call("check"); code != 1 || !failLine(out, []string{tt.says}) {
				t.Errorf("check ends with %d and does not say %q:\n%s", code, tt.says, out)
			}
			r.Terminate()
			if code := r.Exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			log, err := os.ReadFile(r.Log)
			if err != nil {
				t.Fatal(err)
			}
			env.Check(t, "the log", string(log))
		})
	}
	for _, command := range []string{"run", "check", "config"} {
		e := newEnv(t, time.Second)
		out, code := program.Call(t, e.With("HTTPS_PROXY", user+"%zz@proxy.invalid:3128"), command)
		if code != 2 && command != "config" || !strings.Contains(out, "HTTPS_PROXY") && command != "config" {
			t.Errorf("%s ends with %d: %s", command, code, out)
		}
		env.Check(t, command, out)
	}
}

// A redirect of the ERP tells of its address and not of the message, so it is a failure that is retried. It is not followed,
// and no other host gets the order or the credentials.
func TestERP_RedirectIsRetried(t *testing.T) {
	t.Parallel()
	var strays atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strays.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			redirects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
			}))
			t.Cleanup(redirects.Close)
			e := newEnv(t, 200*time.Millisecond)
			r := e.Start("ERP_URL", redirects.URL).AwaitReady()
			e.Place(1, fakemagento.Placing{})
			e.AwaitLetters("order_placed", 1)
			letter, _ := e.Get(e.DeadLetters("order_placed"))
			env.CheckLetter(t, &letter)
			if class, attempts := letter.Headers["x-mageline-error-class"], letter.Headers["x-mageline-attempts"]; class != "unavailable" || attempts != int64(2) {
				t.Errorf("class %v after %v attempts", class, attempts)
			}
			if text, _ := letter.Headers["x-mageline-error"].(string); !strings.Contains(text, "redirects are not followed, set MAGELINE_ERP_URL") {
				t.Errorf("the letter says %q", text)
			}
			if calls.Load() < 2 || strays.Load() != 0 {
				t.Errorf("%d calls, %d went elsewhere", calls.Load(), strays.Load())
			}
			r.Terminate()
			if code := r.Exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
