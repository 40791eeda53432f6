package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An outcome is what a request of a test comes to: an error of the transport, or a status.
type outcome struct {
	err    error
	status int
	header http.Header
	body   io.Reader
}

// repeated makes a Client whose requests have these outcomes, one after the other, and the times at which they were made,
// from the first. It must be called in a bubble of synctest.
func repeated(t *testing.T, o Options, outcomes ...outcome) (*Client, func() []time.Duration) {
	t.Helper()
	start := time.Now()
	var at []time.Duration
	o.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		if len(at) == len(outcomes) {
			return nil, errors.New("one request too many")
		}
		now := outcomes[len(at)]
		at = append(at, time.Since(start))
		if now.err != nil {
			return nil, now.err
		}
		if now.body == nil {
			now.body = strings.NewReader(`{"entity_id":1}`)
		}
		return &http.Response{StatusCode: now.status, Header: now.header, Body: io.NopCloser(now.body)}, nil
	})}
	c, err := New("https://shop.example", o)
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []time.Duration { return at }
}

func TestReadingIsRepeated(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	for name, first := range map[string]outcome{
		"429": {status: 429}, "500": {status: 500}, "502": {status: 502}, "503": {status: 503}, "504": {status: 504},
		"a reset": {err: reset}, "no answer": {err: io.EOF}, "wrapped": {err: fmt.Errorf("by the transport: %w", reset)},
		"an answer that broke off":     {status: 200, body: io.MultiReader(strings.NewReader(`{"entity`), brokenBody{io.ErrUnexpectedEOF})},
		"an answer whose stream ended": {status: 200, body: brokenBody{errors.New("stream error: stream ID 3; INTERNAL_ERROR")}},
		"HTTP/2 going away":            {err: errors.New("http2: server sent GOAWAY and closed the connection")},
		"an HTTP/2 stream":             {err: fmt.Errorf("wrapped: %w", errors.New("stream error: stream ID 1; INTERNAL_ERROR"))},
		"an idle connection":           {err: errors.New("http: server closed idle connection")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, at := repeated(t, Options{}, first, first, first, outcome{status: 200})
				if _, err := c.Orders.Get(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				times := at()
				for i, most := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
					if wait := times[i+1] - times[i]; wait < most/2 || wait > most {
						t.Errorf("wait %d was %s, want %s to %s", i+1, wait, most/2, most)
					}
				}
			})
		})
	}
}

type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

type timedOut struct{}

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }

func TestWhatIsNotRepeated(t *testing.T) {
	for name, only := range map[string]outcome{
		"400": {status: 400}, "404": {status: 404}, "HTML": {status: 200, body: strings.NewReader("<html>")},
		"an open circuit":            {err: errors.New("the circuit of magento is open: http2: client connection lost")},
		"a time-out":                 {err: timedOut{}},
		"a time-out of the network":  {err: &net.OpError{Op: "dial", Net: "tcp", Err: timedOut{}}},
		"an answer without an entry": {status: 200, body: strings.NewReader(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, at := repeated(t, Options{}, only, outcome{status: 200})
				if _, err := c.Orders.Get(t.Context(), 1); err == nil || len(at()) != 1 {
					t.Errorf("%d requests, %v", len(at()), err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, at := repeated(t, Options{}, outcome{status: 503}, outcome{status: 200})
		if err := c.Orders.AddComment(t.Context(), 1, Comment{}); !errors.Is(err, ErrUnavailable) || len(at()) != 1 {
			t.Errorf("a comment: %d requests, %v", len(at()), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, at := repeated(t, Options{Retries: NoRetries}, outcome{status: 503}, outcome{status: 200})
		if _, err := c.Orders.Get(t.Context(), 1); !errors.Is(err, ErrUnavailable) || len(at()) != 1 {
			t.Errorf("without retries: %d requests, %v", len(at()), err)
		}
	})
}

func TestRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, at := repeated(t, Options{Retries: Retries{Max: 40, Wait: time.Second, MaxWait: 8 * time.Second}}, slices.Repeat([]outcome{{status: 503}}, 50)...)
		_, err := c.Orders.Get(t.Context(), 1)
		times := at()
		if !errors.Is(err, ErrUnavailable) || len(times) != 41 {
			t.Fatalf("%d requests, %v", len(times), err)
		}
		for i := 4; i < len(times); i++ {
			if wait := times[i] - times[i-1]; wait < 4*time.Second || wait > 8*time.Second {
				t.Errorf("wait %d was %s", i, wait)
			}
		}
	})
}

func TestRetryAfterIsRespected(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		waits  bool
		least  time.Duration
	}{
		"seconds":          {"7", true, 7 * time.Second},
		"a date":           {"date", true, 19 * time.Second}, // to the second
		"the bound":        {"30", true, 30 * time.Second},
		"beyond the bound": {"31", false, 0},
		"none":             {"", true, 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				header := http.Header{"Retry-After": {c.header}}
				if c.header == "date" {
					header.Set("Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
				}
				client, at := repeated(t, Options{}, outcome{status: 429, header: header}, outcome{status: 200})
				begun := time.Now()
				_, err := client.Orders.Get(t.Context(), 1)
				if !c.waits {
					var e *Error
					if !errors.As(err, &e) || e.RetryAfter != 31*time.Second || len(at()) != 1 || time.Since(begun) > 0 {
						t.Errorf("%d requests, %v", len(at()), err)
					}
					return
				}
				if err != nil || len(at()) != 2 || at()[1] < c.least || at()[1] > c.least+time.Second {
					t.Errorf("%v, %v", at(), err)
				}
			})
		})
	}
}

func TestNobodySleepsPastTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, at := repeated(t, Options{Retries: Retries{Wait: 4 * time.Second}}, outcome{status: 503})
		before := time.Now()
		if _, err := c.Orders.Get(ctx, 1); !errors.Is(err, ErrUnavailable) || time.Since(before) > 0 || len(at()) != 1 {
			t.Errorf("%v after %s", err, time.Since(before))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, _ := repeated(t, Options{Retries: Retries{Wait: time.Hour, MaxWait: time.Hour}}, outcome{status: 503})
		before := time.Now()
		time.AfterFunc(time.Second, cancel)
		_, err := c.Orders.Get(ctx, 1)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) || time.Since(before) != time.Second {
			t.Errorf("%v after %s", err, time.Since(before))
		}
	})
}

// A server that is really gone, and one that cuts the connection after the request.
func TestLostConnections(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := New(gone.URL, Options{Retries: Retries{Max: 1, Wait: time.Millisecond}, HTTPClient: &http.Client{Transport: &http.Transport{}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Orders.Get(t.Context(), 1); err == nil || !lost(err) {
		t.Errorf("nobody listens: %v", err)
	}
	for name, cut := range map[string]func(w http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"within the answer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"entity_id":`)
			panic(http.ErrAbortHandler)
		},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, n int) {
			if n < 3 {
				cut(w)
			}
			respond(w, 200, `{"entity_id":1}`)
		})
		client := s.client(t, Options{
			Retries:    Retries{Wait: time.Millisecond},
			HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		})
		if _, err := client.Orders.Get(t.Context(), 1); err != nil || len(s.requests("")) != 3 {
			t.Errorf("%s: %d requests, %v", name, len(s.requests("")), err)
		}
	}
}

func TestHTTP2(t *testing.T) {
	answered := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered++
		if r.ProtoMajor != 2 {
			t.Errorf("asked by %s", r.Proto)
		}
		if answered == 1 {
			panic(http.ErrAbortHandler) // resets the stream
		}
		_, _ = io.WriteString(w, `{"entity_id":1}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c, err := New(server.URL, Options{HTTPClient: server.Client(), Retries: Retries{Wait: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if order, err := c.Orders.Get(t.Context(), 1); err != nil || order.EntityID != 1 || answered != 2 {
		t.Errorf("%d requests, %v", answered, err)
	}
}
