package downstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	breaker "github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// remote is a remote API inside of a synctest bubble: a real HTTP server at the other end of net.Pipe, whose clock is
// the bubble's: time.Sleep there lets the clock jump and waits for nothing.
type remote struct {
	t     *testing.T
	conns chan net.Conn
	done  chan struct{}

	mu      sync.Mutex
	refuse  bool // connections
	answer  func(http.ResponseWriter, *http.Request)
	arrived []string // methods
}

func (r *remote) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}
func (r *remote) Close() error   { close(r.done); return nil }
func (r *remote) Addr() net.Addr { return &net.TCPAddr{} }

func (r *remote) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	refuse := r.refuse
	r.mu.Unlock()
	if refuse {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case r.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	r.arrived = append(r.arrived, req.Method)
	answer := r.answer
	r.mu.Unlock()
	answer(w, req)
}

func (r *remote) set(answer func(http.ResponseWriter, *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse, r.answer = false, answer
}

func (r *remote) status(code int, header ...string) {
	r.set(func(w http.ResponseWriter, _ *http.Request) {
		if len(header) > 0 {
			w.Header().Set("Retry-After", header[0])
		}
		w.WriteHeader(code)
	})
}

func (r *remote) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrived)
}

// bubble runs f with a remote API and the Downstream in front of it, by a clock of its own.
func bubble(t *testing.T, o downstream.Options, f func(t *testing.T, d *downstream.Downstream, r *remote)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &remote{t: t, conns: make(chan net.Conn), done: make(chan struct{})}
		r.status(http.StatusOK)
		srv := &http.Server{Handler: r, ReadHeaderTimeout: time.Hour}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(r) }()
		o.Name, o.Dial = "erp", r.dial
		d := downstream.New(o)
		defer func() {
			d.Close()
			_ = srv.Close()
			if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}()
		f(t, d, r)
	})
}

// call makes one request for the message and gives its status, or its error without the url.Error around it.
func call(ctx context.Context, d *downstream.Downstream, method, message string) (int, error) {
	return callIn(event.WithHandling(ctx, event.Handling{Message: func() string { return message }}), d, method)
}

// callIn is call in the context of a handling.
func callIn(ctx context.Context, d *downstream.Downstream, method string) (int, error) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(`{"a":1}`)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://user:pass@erp.test/sales-orders?email=a@example.com", body)
	if err != nil {
		return 0, err
	}
	resp, err := d.Client().Do(req)
	if err != nil {
		return 0, errors.Unwrap(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func wantState(t *testing.T, d *downstream.Downstream, want string) {
	t.Helper()
	if st := d.Status(); st.State.String() != want {
		t.Fatalf("circuit is %s (%s), want %s", st.State, st.Reason, want)
	}
}

func TestCircuit_CountsFailuresOfDifferentMessages(t *testing.T) {
	// A step is: who asks, how, and what comes back: a status, "refused", or "wait" for the time that passes.
	type step struct{ message, method, answer string }
	const get, post = http.MethodGet, http.MethodPost
	tests := []struct {
		name  string
		steps []step
		want  string
	}{
		{"three messages", []step{{"a", post, "500"}, {"b", post, "503"}, {"c", post, "502"}}, "open"},
		{"reading and writing fail together", []step{{"a", get, "500"}, {"b", post, "500"}, {"c", get, "500"}}, "open"},
		{"one message counts once", []step{{"a", post, "500"}, {"a", post, "500"}, {"a", get, "500"}, {"a", post, "500"}, {"b", post, "500"}}, "closed"},
		{"no message counts each time", []step{{"", get, "500"}, {"", get, "500"}, {"", get, "500"}}, "open"},
		{"refused connections of one message count each time", []step{{"a", post, "refused"}, {"a", post, "refused"}, {"a", post, "refused"}}, "open"},
		{"a success between", []step{{"a", post, "500"}, {"b", post, "500"}, {"c", post, "201"}, {"d", post, "500"}, {"e", post, "500"}}, "closed"},
		{"an answer that refuses is a success", []step{{"a", post, "500"}, {"b", post, "500"}, {"c", post, "422"}, {"d", post, "500"}, {"e", post, "500"}}, "closed"},
		{"a success of the other kind", []step{{"a", post, "500"}, {"b", post, "500"}, {"c", get, "200"}, {"d", get, "404"}, {"e", post, "500"}}, "open"},
		{"404 and 422 are answers", []step{{"a", get, "404"}, {"b", post, "422"}, {"c", post, "400"}, {"d", get, "401"}}, "closed"},
		{"redirects", []step{{"a", get, "301"}, {"b", post, "302"}, {"c", get, "308"}}, "open"},
		{"pages of HTML", []step{{"a", get, "page"}, {"b", post, "page"}, {"c", get, "page"}}, "open"},
		{"redirects, pages and failures together", []step{{"a", get, "301"}, {"b", post, "page"}, {"c", get, "500"}}, "open"},
		{"pages of one message count once", []step{{"a", get, "page"}, {"a", post, "page"}, {"a", get, "301"}, {"b", get, "page"}}, "closed"},
		{"a page where nothing is found", []step{{"a", get, "page 404"}, {"b", get, "page 404"}, {"c", get, "page 404"}}, "open"},
		{"a page that refuses the credential", []step{{"a", get, "page 403"}, {"b", get, "page 401"}, {"c", get, "page 403"}}, "open"},
		{"successes that can't be read", []step{{"a", get, "unreadable"}, {"b", get, "unreadable"}, {"c", get, "unreadable"}}, "open"},
		{"reading and writing", []step{{"a", post, "unreadable"}, {"b", get, "unreadable"}, {"c", get, "500"}}, "open"},
		{"those of one message count once", []step{{"a", get, "unreadable"}, {"a", get, "unreadable"}, {"a", get, "unreadable"}, {"b", get, "unreadable"}}, "closed"},
		{"a success after them", []step{{"a", get, "unreadable"}, {"b", get, "unreadable"}, {"c", get, "200"}, {"d", get, "unreadable"}, {"e", get, "unreadable"}}, "closed"},
		{"a success of the other kind after them", []step{{"a", get, "unreadable"}, {"b", get, "unreadable"}, {"c", post, "200"}, {"d", get, "unreadable"}}, "open"},
		{"no message", []step{{"", get, "unreadable"}, {"", get, "unreadable"}, {"", get, "unreadable"}, {"", get, "unreadable"}}, "closed"},
		{"408 is a time-out", []step{{"a", post, "408"}, {"b", post, "408"}, {"c", post, "408"}}, "open"},
		{"failures that do not count", []step{{"uncounted a", post, "500"}, {"uncounted b", post, "500"}, {"uncounted c", post, "refused"}, {"uncounted d", post, "page"}}, "closed"},
		{"a success that does not count", []step{{"a", post, "500"}, {"b", post, "500"}, {"uncounted c", post, "200"}, {"d", post, "500"}}, "open"},
		{"old failures", []step{{"a", post, "500"}, {"b", post, "500"}, {"", "", "wait"}, {"c", post, "500"}, {"d", post, "500"}}, "closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, downstream.Options{Failures: 3, OpenFor: 30 * time.Second, Timeout: 10 * time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
				for i, s := range tt.steps {
					if i == len(tt.steps)-1 {
						wantState(t, d, "closed") // it is the last step that decides
					}
					switch s.answer {
					case "wait":
						time.Sleep(5*time.Minute + time.Second)
						continue
					case "refused":
						r.mu.Lock()
						r.refuse = true
						r.mu.Unlock()
					case "unreadable":
						r.status(http.StatusOK)
					default:
						text, page := strings.CutPrefix(s.answer, "page")
						code, err := strconv.Atoi(strings.TrimSpace(text))
						if err != nil && !page {
							t.Fatal(err)
						}
						r.set(func(w http.ResponseWriter, _ *http.Request) {
							w.WriteHeader(max(code, http.StatusOK))
							if page {
								_, _ = io.WriteString(w, "<html>")
							}
						})
					}
					ctx := t.Context()
					if s.message != "" {
						ctx = event.WithHandling(ctx, event.Handling{
							Message: func() string { return s.message }, Uncounted: strings.HasPrefix(s.message, "uncounted"),
						})
					}
					_, _ = callIn(ctx, d, s.method)
					if s.answer == "unreadable" {
						d.Unreadable(ctx, "a list")
					}
				}
				wantState(t, d, tt.want)
			})
		})
	}
}

// open makes the circuit of d open, by failures of as many messages.
func open(t *testing.T, d *downstream.Downstream, r *remote, failures int) {
	t.Helper()
	r.status(http.StatusInternalServerError)
	for i := range failures {
		wantState(t, d, "closed")
		if status, err := call(t.Context(), d, http.MethodPost, strconv.Itoa(i)); err != nil || status != 500 {
			t.Fatalf("status %d, %v; an answer is given to the caller as it is", status, err)
		}
	}
	wantState(t, d, "open")
}

func wantDeferral(t *testing.T, err error, pick event.Pick) *event.Deferral {
	t.Helper()
	var def *event.Deferral
	if !errors.As(err, &def) || !event.IsNotDone(err) {
		t.Fatalf("error %v, want a deferral that is marked as not done", err)
	}
	if def.Downstream != "erp" || def.Pick != pick {
		t.Fatalf("deferral %+v, want one of erp with pick %d", def, pick)
	}
	return def
}

func TestCircuit_OpenRefuses(t *testing.T) {
	bubble(t, downstream.Options{Failures: 2, OpenFor: 30 * time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		changes := make(chan string, 10)
		d.OnChange(func() { changes <- d.Status().State.String() })
		open(t, d, r, 2)
		sent := r.requests()
		_, err := call(t.Context(), d, http.MethodGet, "x")
		if def := wantDeferral(t, err, event.Shortest); def.Reason == "" {
			t.Error("the deferral has no reason")
		}
		if until := d.Status().Until; !until.Equal(time.Now().Add(30 * time.Second)) {
			t.Errorf("open until %s, now is %s", until, time.Now())
		}
		if _, ok := d.Probe(); ok {
			t.Error("an open circuit gave a probe")
		}
		time.Sleep(31 * time.Second)
		wantState(t, d, "half-open")
		_, err = call(t.Context(), d, http.MethodGet, "x")
		if def := wantDeferral(t, err, event.Shortest); def.Reason == "" {
			t.Error("the deferral has no reason")
		}
		if r.requests() != sent {
			t.Error("a refused request reached the remote API")
		}
		if first, second := <-changes, <-changes; first != "open" || second != "half-open" {
			t.Errorf("told of %s and %s", first, second)
		}
	})
}

func TestProbe_DecidesByItsRequests(t *testing.T) {
	tests := []struct {
		name    string
		answers []int // of the requests that the probe's message makes
		decided bool
		want    string
	}{
		{"answered", []int{200}, true, "closed"},
		{"answered and refused", []int{200, 422}, true, "closed"},
		{"failed", []int{500}, true, "open"},
		{"answered, then failed", []int{200, 503}, true, "open"},
		{"no request", nil, false, "half-open"},
		{"throttled", []int{429}, false, "half-open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, downstream.Options{Failures: 1, OpenFor: time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
				open(t, d, r, 1)
				time.Sleep(2 * time.Second)
				probe, ok := d.Probe()
				if !ok {
					t.Fatal("a half-open circuit gave no probe")
				}
				if _, ok := d.Probe(); ok {
					t.Fatal("it gave a second one")
				}
				ctx := breaker.WithProbes(t.Context(), probe)
				for _, code := range tt.answers {
					r.status(code)
					if status, err := call(ctx, d, http.MethodPost, "p"); err != nil && code != 429 {
						t.Fatalf("the probe's request got %d, %v", status, err)
					}
				}
				if got := probe.End(); got != tt.decided {
					t.Errorf("decided %t, want %t", got, tt.decided)
				}
				wantState(t, d, tt.want)
				if probe.End() {
					t.Error("a second end decided")
				}
				if tt.want == "half-open" {
					if _, ok := d.Probe(); !ok {
						t.Error("the permit was not given back")
					}
				}
				if tt.want == "open" {
					// A probe that has failed lets no more through.
					_, err := call(ctx, d, http.MethodPost, "p")
					if def := wantDeferral(t, err, event.Shortest); def.Reason == "" {
						t.Error("the deferral has no reason")
					}
				}
			})
		})
	}
}

// A probe's answer that can't be read is a failure, though it was a success.
func TestProbe_AnswerThatCanNotBeReadIsAFailure(t *testing.T) {
	bubble(t, downstream.Options{Failures: 1, OpenFor: time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		open(t, d, r, 1)
		time.Sleep(2 * time.Second)
		probe, _ := d.Probe()
		r.status(200)
		ctx := breaker.WithProbes(event.WithHandling(t.Context(), event.Handling{Message: func() string { return "p" }}), probe)
		if _, err := callIn(ctx, d, http.MethodGet); err != nil {
			t.Fatal(err)
		}
		d.Unreadable(event.WithHandling(t.Context(), event.Handling{Message: func() string { return "p" }}), "that of another handling")
		d.Unreadable(ctx, "a list")
		if st := d.Status(); st.State != breaker.Open || !strings.Contains(st.Reason, "a list") || !probe.End() {
			t.Errorf("%s: %s", st.State, st.Reason)
		}
		d.Unreadable(ctx, "once more") // the handling is over
		wantState(t, d, "open")
	})
}

// What can't be read counts in its place, also when others have been answered meanwhile, and a success that came after it stays
// one.
func TestUnreadable_CountsWhenItWasAnswered(t *testing.T) {
	bubble(t, downstream.Options{Failures: 2, OpenFor: time.Hour}, func(t *testing.T, d *downstream.Downstream, _ *remote) {
		handling := func(message string) context.Context {
			ctx := event.WithHandling(t.Context(), event.Handling{Message: func() string { return message }})
			if _, err := callIn(ctx, d, http.MethodGet); err != nil {
				t.Fatal(err)
			}
			return ctx
		}
		for range 300 { // more than are remembered
			a, b := handling("a"), handling("b")
			handling("c")
			d.Unreadable(a, "x")
			d.Unreadable(b, "x")
			wantState(t, d, "closed")
		}
		a, b := handling("a"), handling("b")
		d.Unreadable(b, "x")
		wantState(t, d, "closed")
		d.Unreadable(a, "x")
		wantState(t, d, "open")
	})
}

// What was sent before the circuit opened, and fails or succeeds after it has closed again, decides nothing.
func TestCircuit_RequestsOfAnEarlierStateDecideNothing(t *testing.T) {
	bubble(t, downstream.Options{Failures: 1, OpenFor: time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		hold := make(chan struct{})
		r.set(func(w http.ResponseWriter, _ *http.Request) { <-hold; w.WriteHeader(500) })
		late := make(chan error, 1)
		go func() { _, err := call(t.Context(), d, http.MethodPost, "late"); late <- err }()
		synctest.Wait()
		open(t, d, r, 1)
		time.Sleep(2 * time.Second)
		probe, _ := d.Probe()
		r.status(200)
		if _, err := call(breaker.WithProbes(t.Context(), probe), d, http.MethodPost, "p"); err != nil || !probe.End() {
			t.Fatal("the probe did not close the circuit", err)
		}
		close(hold)
		if err := <-late; err != nil {
			t.Fatal(err)
		}
		wantState(t, d, "closed")
	})
}

func TestCircuit_NeverOpensWithoutFailures(t *testing.T) {
	bubble(t, downstream.Options{Failures: 0}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		r.status(500)
		for range 20 {
			_, _ = call(t.Context(), d, http.MethodGet, "")
		}
		wantState(t, d, "closed")
	})
}

func TestCircuit_TimeOutsCountAndCancellationsDoNot(t *testing.T) {
	tests := []struct {
		name  string
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		class event.Class
		want  string
	}{
		{"the request's time-out", func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }, event.Timeout, "open"},
		{"the caller's deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, event.Timeout, "open"},
		{"the caller's clock", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(context.DeadlineExceeded) })
			return ctx, func() { cancel(nil) }
		}, event.Timeout, "open"},
		{"the consumer's clock", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(event.Errorf(event.Timeout, "no progress")) })
			return ctx, func() { cancel(nil) }
		}, event.Timeout, "open"},
		{"a cancellation", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, event.Unavailable, "closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, downstream.Options{Failures: 1, OpenFor: time.Second, Timeout: 10 * time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
				hold := make(chan struct{})
				defer close(hold)
				r.set(func(http.ResponseWriter, *http.Request) { <-hold })
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				_, err := call(ctx, d, http.MethodPost, "a")
				if err == nil || event.ClassOf(err) != tt.class || event.IsNotDone(err) {
					t.Fatalf("error %v of class %s, not done %t; want class %s, and that it may have been done", err, event.ClassOf(err), event.IsNotDone(err), tt.class)
				}
				wantState(t, d, tt.want)
			})
		})
	}
}

func TestThrottle_AllCallsWait(t *testing.T) {
	bubble(t, downstream.Options{Failures: 3, OpenFor: time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		refused := func(header ...string) time.Duration {
			t.Helper()
			r.status(http.StatusTooManyRequests, header...)
			_, err := call(t.Context(), d, http.MethodPost, "a")
			var e *event.Error
			if !errors.As(err, &e) || e.Class != event.Throttled || e.Downstream != "erp" || event.IsNotDone(err) {
				t.Fatalf("error %v, want a throttled one that is not certainly not done", err)
			}
			return e.RetryAfter
		}
		// A short wait is made by the next call itself, and no circuit.
		if got := refused("7"); got != 7*time.Second {
			t.Fatalf("wait of %s for Retry-After: 7", got)
		}
		wantState(t, d, "closed")
		r.status(200)
		begin := time.Now()
		if _, err := call(t.Context(), d, http.MethodGet, "b"); err != nil || time.Since(begin) != 7*time.Second {
			t.Fatalf("the next call went out after %s, %v", time.Since(begin), err)
		}
		// A date.
		if got := refused(time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat)); got != 9*time.Second {
			t.Fatalf("wait of %s for a date in 9 s", got)
		}
		time.Sleep(9 * time.Second)
		// A long one is an open circuit whose end is known.
		changed := make(chan struct{}, 10)
		d.OnChange(func() { changed <- struct{}{} })
		if got := refused("60"); got != time.Minute {
			t.Fatalf("wait of %s for Retry-After: 60", got)
		}
		<-changed
		if st := d.Status(); st.State != breaker.Open || !st.Until.Equal(time.Now().Add(time.Minute)) {
			t.Fatalf("%s until %s", st.State, st.Until)
		}
		time.Sleep(55 * time.Second)
		_, err := call(t.Context(), d, http.MethodGet, "c")
		if def := wantDeferral(t, err, event.Shortest); !strings.Contains(def.Reason, "429") {
			t.Fatalf("deferral because %q", def.Reason)
		}
		<-changed
		wantState(t, d, "closed")
		// Without Retry-After, also when it can't be read: 5 s, doubled up to a minute, from anew after a success.
		for _, want := range []int{5, 10, 20, 40, 60, 60} {
			if got := refused("soon"); got != time.Duration(want)*time.Second {
				t.Fatalf("wait of %s, want %d s", got, want)
			}
			time.Sleep(time.Duration(want)*time.Second + time.Millisecond)
		}
		r.status(404)
		if _, err := call(t.Context(), d, http.MethodGet, "b"); err != nil {
			t.Fatal(err)
		}
		if got := refused(); got != 5*time.Second {
			t.Fatalf("wait of %s after a success", got)
		}
	})
}

// Whatever a Retry-After asks for, the wait is one of 15 minutes at most, and it is told what was asked for.
func TestThrottle_IsBounded(t *testing.T) {
	for name, header := range map[string]string{
		"a day": "86400", "more digits than a number has": "99999999999999999999999", "a date": "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, downstream.Options{Failures: 3, OpenFor: time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
				r.status(http.StatusTooManyRequests, header)
				_, err := call(t.Context(), d, http.MethodPost, "a")
				var e *event.Error
				if !errors.As(err, &e) || e.Class != event.Throttled || e.RetryAfter != 15*time.Minute {
					t.Fatalf("error %v", err)
				}
				st := d.Status()
				if st.State != breaker.Open || !st.Until.Equal(time.Now().Add(15*time.Minute)) || !strings.Contains(st.Reason, "429") ||
					!strings.Contains(st.Reason, "mageline resume erp") {
					t.Errorf("%s until %s: %s", st.State, st.Until, st.Reason)
				}
				if name == "a day" && !strings.Contains(st.Reason, "24h0m0s") {
					t.Errorf("the reason does not tell what was asked for: %s", st.Reason)
				}
				r.status(http.StatusOK)
				time.Sleep(15*time.Minute - time.Second)
				wantState(t, d, "open")
				if _, ok := d.Probe(); ok {
					t.Error("a probe was let through")
				}
				time.Sleep(time.Second + time.Millisecond)
				wantState(t, d, "closed")
			})
		})
	}
}

// An operator's resume ends every wait at once: what waits to be sent goes out, and an open circuit is probed.
func TestResume_EndsEveryWait(t *testing.T) {
	bubble(t, downstream.Options{Failures: 2, OpenFor: time.Hour}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		for _, asked := range []string{"8", "86400"} {
			r.status(http.StatusTooManyRequests, asked)
			if _, err := call(t.Context(), d, http.MethodPost, "a"); event.ClassOf(err) != event.Throttled {
				t.Fatal(err)
			}
			r.status(http.StatusOK)
			begin := time.Now()
			sent := make(chan error, 1)
			if asked == "8" { // which the next call waits for by itself
				go func() { _, err := call(t.Context(), d, http.MethodGet, "b"); sent <- err }()
				synctest.Wait()
			}
			d.Resume()
			wantState(t, d, "closed")
			if asked != "8" {
				_, err := call(t.Context(), d, http.MethodGet, "b")
				sent <- err
			}
			if err := <-sent; err != nil || time.Since(begin) != 0 {
				t.Errorf("after Retry-After: %s the next call went out after %s: %v", asked, time.Since(begin), err)
			}
		}
		time.Sleep(20 * time.Minute) // no timer of the waits that were ended does anything
		wantState(t, d, "closed")

		open(t, d, r, 2)
		d.Resume()
		time.Sleep(2 * time.Millisecond) // of a clock that stood still
		wantState(t, d, "half-open")
		probe, ok := d.Probe()
		if !ok {
			t.Fatal("no probe")
		}
		if _, err := call(breaker.WithProbes(t.Context(), probe), d, http.MethodPost, "p"); err != nil || !probe.End() {
			t.Fatal("the probe decided nothing", err)
		}
		if st := d.Status(); st.State != breaker.Open || !st.Until.Equal(time.Now().Add(time.Hour)) { // it still fails
			t.Errorf("%s until %s", st.State, st.Until)
		}
		time.Sleep(time.Hour + time.Millisecond)
		wantState(t, d, "half-open")
		d.Resume()
		wantState(t, d, "half-open")
	})
}

// Only a 429 throttles: what else asks for a pause is a failure, or the answer that it is.
func TestRetryAfter_OfOtherStatusesIsNoThrottle(t *testing.T) {
	bubble(t, downstream.Options{Failures: 2, OpenFor: 30 * time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		r.status(http.StatusServiceUnavailable, "86400")
		for i := range 2 {
			wantState(t, d, "closed")
			begin := time.Now()
			if status, err := call(t.Context(), d, http.MethodPost, strconv.Itoa(i)); status != 503 || err != nil || time.Since(begin) != 0 {
				t.Fatalf("%d, %v after %s", status, err, time.Since(begin))
			}
		}
		if st := d.Status(); st.State != breaker.Open || !st.Until.Equal(time.Now().Add(30*time.Second)) {
			t.Errorf("%s until %s", st.State, st.Until)
		}
	})
}

// Many requests that are out together and are all throttled are one step.
func TestThrottle_OfABurstIsOneStep(t *testing.T) {
	bubble(t, downstream.Options{Concurrency: 8}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		hold := make(chan struct{})
		r.set(func(w http.ResponseWriter, _ *http.Request) { <-hold; w.WriteHeader(429) })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { _, _ = call(t.Context(), d, http.MethodGet, "") })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		wantState(t, d, "closed")
		r.status(200)
		begin := time.Now()
		if _, err := call(t.Context(), d, http.MethodGet, ""); err != nil || time.Since(begin) != 5*time.Second {
			t.Fatalf("waited %s, %v; want 5 s", time.Since(begin), err)
		}
	})
}

// clock counts what a handling's clock is told.
type clock struct {
	mu             sync.Mutex
	waits, resumes int
	lost           error
}

func (c *clock) Progress(context.Context) error { return nil }
func (c *clock) Wait() func(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits++
	return func(context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.resumes++
		return c.lost
	}
}

func TestLimits_RequestsASecond(t *testing.T) {
	bubble(t, downstream.Options{RateLimit: 2, Timeout: time.Second}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		var k clock
		ctx := event.WithClock(t.Context(), &k)
		begin := time.Now()
		for range 7 {
			if _, err := call(ctx, d, http.MethodGet, ""); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(begin); got != 3*time.Second {
			t.Errorf("7 requests at 2 a second took %s", got)
		}
		if k.waits != 6 || k.resumes != 6 {
			t.Errorf("clocks were stopped %d times and resumed %d times, want 6", k.waits, k.resumes)
		}
		// Who has lost its work while waiting sends nothing.
		k.lost = errors.New("taken over")
		sent := r.requests()
		_, err := call(ctx, d, http.MethodPost, "")
		if !errors.Is(err, k.lost) || !event.IsNotDone(err) || r.requests() != sent {
			t.Errorf("error %v after %d requests", err, r.requests()-sent)
		}
		// Nor who is ended while waiting.
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = call(ended, d, http.MethodPost, ""); !errors.Is(err, context.Canceled) || !event.IsNotDone(err) || r.requests() != sent {
			t.Errorf("error %v after %d requests", err, r.requests()-sent)
		}
	})
}

func TestLimits_RequestsAtOnce(t *testing.T) {
	bubble(t, downstream.Options{Concurrency: 3, Timeout: time.Minute}, func(t *testing.T, d *downstream.Downstream, r *remote) {
		hold := make(chan struct{})
		r.set(func(http.ResponseWriter, *http.Request) { <-hold })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := call(t.Context(), d, http.MethodPost, ""); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := r.requests(); n != 3 {
			t.Errorf("%d requests are out at once, want 3", n)
		}
		close(hold)
		wg.Wait()
		if n := r.requests(); n != 10 {
			t.Errorf("%d requests came, want 10", n)
		}
	})
}
