package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, seed uint64) (*fault.Injector, *httptest.Server, *atomic.Int64) {
	t.Helper()
	var worked atomic.Int64
	inject := fault.New(seed, func(int) []byte { return []byte(`{"message":"no"}`) })
	server := httptest.NewServer(inject.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		worked.Add(1)
		w.Header().Set("X-Work", "done")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"ok":true}`)
	})))
	t.Cleanup(func() {
		inject.Close()
		server.CloseClientConnections()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return inject, server, &worked
}

func TestInjector_EachKind(t *testing.T) {
	tests := map[string]struct {
		fault      fault.Fault
		status     int // 0: no answer
		body       string
		retryAfter string
		worked     int64
	}{
		"none":                   {fault.Fault{}, 201, `{"ok":true}`, "", 1},
		"fail":                   {fault.Fault{Kind: fault.Fail}, 500, `{"message":"no"}`, "", 0},
		"fail with 503":          {fault.Fault{Kind: fault.Fail, Status: 503}, 503, `{"message":"no"}`, "", 0},
		"page":                   {fault.Fault{Kind: fault.Page}, 503, "<!DOCTYPE html>", "", 0},
		"garble":                 {fault.Fault{Kind: fault.Garble}, 200, "<!DOCTYPE html>", "", 1},
		"throttle":               {fault.Fault{Kind: fault.Throttle, After: 7 * time.Second}, 429, `{"message":"no"}`, "7", 0},
		"throttle, blank":        {fault.Fault{Kind: fault.Throttle}, 429, `{"message":"no"}`, "", 0},
		"throttle as it is told": {fault.Fault{Kind: fault.Throttle, After: time.Second, RetryAfter: "soon"}, 429, `{"message":"no"}`, "soon", 0},
		"fail, with a pause":     {fault.Fault{Kind: fault.Fail, Status: 503, RetryAfter: "60"}, 503, `{"message":"no"}`, "60", 0},
		"prefix":                 {fault.Fault{Kind: fault.Prefix, Text: fault.ByteOrderMark}, 201, "\ufeff" + `{"ok":true}`, "", 1},
		"say":                    {fault.Fault{Kind: fault.Say, Text: "[]"}, 200, "[]", "", 0},
		"drop":                   {fault.Fault{Kind: fault.Drop}, 0, "", "", 1},
		"refuse":                 {fault.Fault{Kind: fault.Refuse}, 0, "", "", 0},
		"late":                   {fault.Fault{Kind: fault.Late, After: time.Millisecond}, 201, `{"ok":true}`, "", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inject, server, worked := serve(t, 1)
			inject.Next(test.fault)
			response, err := http.Post(server.URL, "application/json", strings.NewReader("{}"))
			if got := worked.Load(); got != test.worked {
				t.Errorf("the work was done %d times, want %d", got, test.worked)
			}
			if got := inject.Count(test.fault.Kind); got != 1 {
				t.Errorf("counted %d, want 1", got)
			}
			if test.status == 0 {
				if err == nil {
					_ = response.Body.Close()
					t.Fatalf("got an answer %d, want none", response.StatusCode)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || !strings.HasPrefix(string(body), test.body) {
				t.Errorf("got %d %q, want %d %q", response.StatusCode, body, test.status, test.body)
			}
			if got := response.Header.Get("Retry-After"); got != test.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, test.retryAfter)
			}
		})
	}
}

func TestInjector_Redirects(t *testing.T) {
	inject, server, worked := serve(t, 1)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, test := range []struct {
		fault    fault.Fault
		status   int
		location string
	}{
		{fault.Fault{Kind: fault.Redirect}, 301, "https://www." + strings.TrimPrefix(server.URL, "http://") + "/a?b=c"},
		{fault.Fault{Kind: fault.Redirect, Status: 308, Text: "/login"}, 308, "/login"},
	} {
		inject.Next(test.fault)
		response, err := client.Post(server.URL+"/a?b=c", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != test.status || response.Header.Get("Location") != test.location || worked.Load() != 0 {
			t.Errorf("got %d to %q", response.StatusCode, response.Header.Get("Location"))
		}
	}
}

func TestInjector_LateThoughTheClientLeaves(t *testing.T) {
	inject, server, worked := serve(t, 1)
	inject.Next(fault.Fault{Kind: fault.Late, After: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		answered <- err
	}()
	kit.Eventually(t, 20*time.Second, func() bool { return worked.Load() == 1 }, "the work to be done")
	leave()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want no answer", err)
	}
}

func TestPlan_OnlyAndEvery(t *testing.T) {
	inject, server, worked := serve(t, 1)
	inject.Set(fault.Plan{
		Every: fault.Fault{Kind: fault.Fail},
		Only:  func(r *http.Request) bool { return r.Method == http.MethodPost },
	})
	get, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = get.Body.Close()
	post, err := http.Post(server.URL, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = post.Body.Close()
	if get.StatusCode != 201 || post.StatusCode != 500 || worked.Load() != 1 {
		t.Errorf("GET %d, POST %d, worked %d", get.StatusCode, post.StatusCode, worked.Load())
	}
}

// The same seed gives the same faults, and a chance of one in four hits about a quarter.
func TestPlan_ChancesComeFromTheSeed(t *testing.T) {
	run := func(seed uint64) string {
		inject := fault.New(seed, func(int) []byte { return nil })
		inject.Set(fault.Plan{Chances: []fault.Chance{{OneIn: 4, Fault: fault.Fault{Kind: fault.Fail}}}})
		api := inject.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		var faults strings.Builder
		for range 400 {
			answer := httptest.NewRecorder()
			api.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
			faults.WriteByte("01"[answer.Code/500])
		}
		return faults.String()
	}
	first := run(7)
	if first != run(7) {
		t.Error("one seed gave two rows of faults")
	}
	if first == run(8) {
		t.Error("two seeds gave one row of faults")
	}
	if hits := strings.Count(first, "1"); hits < 60 || hits > 140 {
		t.Errorf("%d of 400 failed, want about 100", hits)
	}
}

func TestInjector_LaterThoughNobodyWaits(t *testing.T) {
	inject, server, worked := serve(t, 1)
	inject.Next(fault.Fault{Kind: fault.Later, After: 50 * time.Millisecond}, fault.Fault{Kind: fault.Later, After: time.Millisecond})
	if res, err := http.Post(server.URL, "application/json", strings.NewReader("{}")); err == nil { //nolint:noctx // it ends at once
		_ = res.Body.Close()
		t.Errorf("answered with %s, want no answer", res.Status)
	}
	if !inject.Owes() || worked.Load() != 0 {
		t.Error("the work was done at once")
	}
	kit.Eventually(t, 10*time.Second, func() bool { return worked.Load() == 1 && !inject.Owes() }, "the work to be done")
	if res, err := http.Get(server.URL); err == nil { //nolint:noctx // it ends at once
		_ = res.Body.Close()
		t.Errorf("answered with %s, want no answer", res.Status)
	}
	if inject.Owes() { // a question does nothing later
		t.Error("a question is still to be carried out")
	}
}
