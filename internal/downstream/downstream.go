// Package downstream is the one http.RoundTripper around every remote API: circuit breaker, throttling, rate and
// concurrency limits, time-outs, connection reuse, metrics and trace. The clients of the APIs (magentoapi, erp/…) are
// given its http.Client and know nothing of all that; docs/deliveries.md has the rules.
package downstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	breaker "github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// Options say how one remote API is called. Limits are for this process.
type Options struct {
	// Name is magento, erp or search: in metrics, errors and the log.
	Name string
	// Variable is the setting that has the API's address, for errors of what answers there instead of it.
	Variable string
	// Timeout bounds one request from its sending to the end of the answer's body; waits for a limit do not count.
	// 0 is none.
	Timeout time.Duration
	// RateLimit is in requests a second; 0 is unlimited.
	RateLimit float64
	// Concurrency is how many requests are out at once, each to the end of its answer's body; 0 is unlimited.
	Concurrency int
	// Failures in a row open the circuit for OpenFor; 0: no circuit.
	Failures int
	OpenFor  time.Duration

	// Classify decides what an answer of 4xx or 5xx is about, where the API says it otherwise than by the status
	// alone: a throttle that comes as 401 or 503, or in the words of the body. byStatus is what the status says. It is
	// called by several goroutines at once. nil: the status decides.
	Classify func(a event.Answer, byStatus event.Subject) event.Subject

	Registerer prometheus.Registerer // nil: metrics are not exposed
	Tracer     trace.Tracer          // nil: no spans; traceparent is sent in any case
	Log        zerolog.Logger
	TLS        *tls.Config // nil: the system's roots
	// Dial makes the connections; nil is the ordinary way. It is for proxies and tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Downstream is one remote API. It is safe for use by several goroutines.
type Downstream struct {
	name      string
	timeout   time.Duration
	transport *http.Transport
	circuit   *circuit
	limiter   *rate.Limiter // nil: unlimited
	slots     chan struct{} // nil: unlimited
	metrics   metrics
	recent    recent
	tracer    trace.Tracer
	variable  string
	classify  func(event.Answer, event.Subject) event.Subject // nil: the status decides
	log       zerolog.Logger

	warn   sync.Mutex
	warned time.Time // when it was last said that something in front of JSON is skipped
}

// New makes the transport of one remote API. Nothing is connected to yet. Close ends it.
func New(o Options) *Downstream {
	d := &Downstream{
		name: o.Name, timeout: o.Timeout, tracer: o.Tracer, metrics: newMetrics(o.Registerer, o.Name),
		variable: cmp.Or(o.Variable, "its address"), classify: o.Classify, log: o.Log,
	}
	d.circuit = newCircuit(o.Name, o.Failures, o.OpenFor, d.metrics.state, o.Log)
	if o.RateLimit > 0 {
		d.limiter = rate.NewLimiter(rate.Limit(o.RateLimit), 1)
	}
	if o.Concurrency > 0 {
		d.slots = make(chan struct{}, o.Concurrency)
	}
	idle := o.Concurrency
	if idle == 0 {
		idle = 64
	}
	connect := 10 * time.Second
	if o.Timeout > 0 {
		connect = min(connect, o.Timeout)
	}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext
	}
	d.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        o.TLS,
		TLSHandshakeTimeout:    connect,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// An order or a document in one or two system calls, not in one for each 4 KiB.
		ReadBufferSize:  16 << 10,
		WriteBufferSize: 16 << 10,
	}
	return d
}

// Name returns the name of Options.
func (d *Downstream) Name() string { return d.name }

// Client returns a client whose requests all go this way. It follows no redirect. The errors of http.Client are
// *url.Error, whose text has the whole URL with its query in it: wrap only their Err, which names what is safe to log.
func (d *Downstream) Client() *http.Client {
	return &http.Client{
		Transport:     d,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close ends the timers and the idle connections; requests that are out go on to their end.
func (d *Downstream) Close() {
	d.circuit.stop()
	d.transport.CloseIdleConnections()
}

// Status returns the circuit's state. A throttle of more than 10 s is an open circuit too.
func (d *Downstream) Status() breaker.Status {
	d.circuit.mu.Lock()
	defer d.circuit.mu.Unlock()
	state, reason, until := d.circuit.effective()
	return breaker.Status{State: stateOf[state], Reason: reason, Until: until}
}

var stateOf = map[gobreaker.State]breaker.State{
	gobreaker.StateClosed: breaker.Closed, gobreaker.StateHalfOpen: breaker.HalfOpen, gobreaker.StateOpen: breaker.Open,
}

// Resume ends at once what the next call waits for: the pause that a 429 asked for, or an open circuit's wait for its
// probe, which makes it half-open.
func (d *Downstream) Resume() { d.circuit.resume() }

// Unreadable says that the last request of a handling, whose context it is given, was answered with a success that can't be
// read: it is a failure after all. why is for the person on call.
func (d *Downstream) Unreadable(ctx context.Context, why string) {
	if handling := event.HandlingNumber(ctx); handling != 0 {
		d.circuit.unreadable(handling, event.Message(ctx), why)
		d.recent.unreadable(time.Now())
	}
}

// OnChange has f called after each change of Status, also when an open circuit becomes half-open by time, with no lock
// held. f must return at once: it is called on the way of a request.
func (d *Downstream) OnChange(f func()) {
	d.circuit.mu.Lock()
	defer d.circuit.mu.Unlock()
	d.circuit.listeners = append(d.circuit.listeners, f)
}

// Probe takes the one permit of a half-open circuit; ok is false in any other state and when the permit is taken.
func (d *Downstream) Probe() (p breaker.Probe, ok bool) {
	permit, ok := d.circuit.permit()
	if !ok {
		return nil, false
	}
	return permit, true
}

// RoundTrip sends one request, after the waits that the limits and a throttle ask for. Besides what http.RoundTripper
// says:
//
//   - An open circuit, or a half-open one without its probe in the context, is an *event.Deferral marked by NotDone.
//   - An answer AboutLoad, such as a 429, is an *event.Error of class Throttled with its wait.
//   - One AboutAddress, a redirect or a page of HTML, is an *event.Error of class Unavailable.
//   - All others are returned as they are, also 5xx, which count as failures, and every 401 and 403, after which a client
//     may renew its credential.
//   - A byte order mark and PHP's notices in front of JSON are taken off.
//   - A connection that fails or is lost is an *event.Error of class Unavailable, a time-out one of class Timeout, also
//     while the body is read. They are marked by NotDone when the request has certainly not been sent.
//   - Only GET and HEAD are ever repeated by net/http itself.
func (d *Downstream) RoundTrip(req *http.Request) (*http.Response, error) {
	t, err := d.admit(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	c := d.begin(req, t)
	resp, err := d.transport.RoundTrip(c.request)
	if err != nil {
		err = c.lost(err)
		c.finish(string(event.ClassOf(err)))
		return nil, err
	}
	return c.answered(resp)
}

// admit waits for the limits and asks the circuit. For a ticket that it returns, release must be called.
func (d *Downstream) admit(ctx context.Context) (ticket, error) {
	// The clocks of the handling stand still from the first real wait on.
	var resume func(context.Context) error
	wait := func() {
		if resume == nil {
			resume = event.Wait(ctx)
		}
	}
	t, err := d.queue(ctx, wait)
	if resume == nil {
		return t, err
	}
	if lost := resume(ctx); lost != nil && err == nil {
		d.release()
		return ticket{}, event.NotDone(fmt.Errorf("%s was not called, because the work was lost while waiting for its limits: %w", d.name, lost))
	}
	return t, err
}

// queue asks the circuit first, so that an open one refuses without a wait, and again after the limits.
func (d *Downstream) queue(ctx context.Context, wait func()) (ticket, error) {
	if _, err := d.gate(ctx, wait); err != nil {
		return ticket{}, err
	}
	if err := d.acquire(ctx, wait); err != nil {
		return ticket{}, err
	}
	if d.limiter != nil {
		turn := d.limiter.Reserve()
		if err := d.sleep(ctx, pause{left: turn.Delay()}, wait); err != nil {
			turn.Cancel()
			d.release()
			return ticket{}, err
		}
	}
	t, err := d.gate(ctx, wait)
	if err != nil {
		d.release()
	}
	return t, err
}

func (d *Downstream) gate(ctx context.Context, wait func()) (ticket, error) {
	for {
		t, p, err := d.circuit.admit(ctx)
		if err != nil || p.left == 0 {
			return t, err
		}
		if err := d.sleep(ctx, p, wait); err != nil {
			return t, err
		}
	}
}

func (d *Downstream) acquire(ctx context.Context, wait func()) error {
	if d.slots == nil {
		return nil
	}
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	wait()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return d.notSent(ctx)
	}
}

func (d *Downstream) release() {
	if d.slots != nil {
		<-d.slots
	}
}

func (d *Downstream) sleep(ctx context.Context, p pause, wait func()) error {
	if p.left <= 0 {
		return nil
	}
	wait()
	timer := time.NewTimer(p.left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return d.notSent(ctx)
	}
}

func (d *Downstream) notSent(ctx context.Context) error {
	class := event.Unavailable
	if timedOut(ctx) {
		class = event.Timeout
	}
	return event.NotDone(&event.Error{
		Class: class, Downstream: d.name,
		Err: fmt.Errorf("%s was not called, its turn did not come in time: %w", d.name, ended(ctx)),
	})
}

// timedOut reports whether ctx, which is done, ended because time ran out and not because somebody ended it. A caller
// whose clock is not a deadline says so by the cause: context.DeadlineExceeded, or an event.Error of class Timeout.
func timedOut(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(cause, context.DeadlineExceeded) || event.ClassOf(cause) == event.Timeout
}

// ended returns why ctx is done: both its error and its cause, for callers that look for either.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(ctx.Err(), cause) {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}

// address names a request without what may be secret or personal in it: no user, no query.
func address(method string, u *url.URL) string {
	return method + " " + u.Scheme + "://" + u.Host + u.EscapedPath()
}
