package downstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mageline/mageline/event"
)

// drainLimit is how much of an answer that its reader has left is read away, so that the connection can be used again.
const drainLimit = 16 << 10

// errTimeout is the cause with which a request is ended that has used up Options.Timeout.
var errTimeout = errors.New("no complete answer in time")

// call is one request that is out, until its answer's body is at its end.
type call struct {
	d       *Downstream
	ticket  ticket
	kind    kind
	address string
	request *http.Request   // the clone that is sent
	parent  context.Context // the caller's
	cancel  context.CancelFunc
	span    trace.Span
	started time.Time
	// connected is set when the request got a connection: from then on some of it may be sent. net/http writes in a
	// goroutine of its own, so that later marks (headers written) may come after the error.
	connected atomic.Bool
	once      sync.Once
}

func (d *Downstream) begin(req *http.Request, t ticket) *call {
	c := &call{d: d, ticket: t, kind: writing, address: address(req.Method, req.URL), parent: req.Context(), started: time.Now()}
	if req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == "" {
		c.kind = reading
	}
	ctx, cancel := c.parent, context.CancelFunc(func() {})
	if d.timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, d.timeout, errTimeout)
	}
	c.cancel = cancel
	ctx, c.span = d.startSpan(ctx, req)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { c.connected.Store(true) }})
	c.request = req.WithContext(ctx) // a copy, whose URL nobody changes
	c.request.Header = maps.Clone(req.Header)
	if c.request.Header == nil {
		c.request.Header = http.Header{}
	}
	injectTrace(ctx, c.request.Header)
	if c.kind == writing {
		// net/http repeats by itself what it can rewind, if its method or an Idempotency-Key says that this is safe,
		// when a reused connection breaks: the answer of the first would be lost and the order doubled. A request
		// without a body counts as rewindable; there net/http must not find the key (Request.isReplayable looks for
		// this spelling alone, the wire knows no case).
		c.request.GetBody = nil
		if c.request.Body == nil || c.request.Body == http.NoBody {
			for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
				if v, ok := c.request.Header[name]; ok {
					delete(c.request.Header, name)
					c.request.Header[strings.ToLower(name)] = v
				}
			}
		} else {
			c.request.Body = leased{c.request.Body, c.parent}
		}
	}
	return c
}

// leased is a request's body that can't be read once the lease has passed under which it is sent. net/http reads it right
// before it writes it, and without it the request is not complete: a process that was frozen at any moment before, and is
// continued when another has taken over, sends nothing.
type leased struct {
	io.ReadCloser
	ctx context.Context
}

func (l leased) Read(p []byte) (int, error) {
	if err := event.Expired(l.ctx); err != nil {
		return 0, err
	}
	return l.ReadCloser.Read(p)
}

// lost decides what an error of the connection means, and returns it with its class.
func (c *call) lost(cause error) error {
	class, what := event.Unavailable, cause
	switch done := c.request.Context(); {
	case c.parent.Err() != nil && !timedOut(c.parent):
		// Ended from above: it says nothing about the downstream.
		what = ended(c.parent)
	case c.parent.Err() != nil:
		class, what = event.Timeout, ended(c.parent)
		c.d.circuit.failedWith(c.ticket, c.kind, event.Message(c.parent), c.address+": time-out")
	case errors.Is(context.Cause(done), errTimeout):
		class, what = event.Timeout, fmt.Errorf("%w (%s)", errTimeout, c.d.timeout)
		c.d.circuit.failedWith(c.ticket, c.kind, event.Message(c.parent), c.address+": time-out")
	case isTimeout(cause):
		class = event.Timeout
		c.d.circuit.failedWith(c.ticket, c.kind, event.Message(c.parent), c.address+": time-out")
	default:
		c.d.circuit.failedWith(c.ticket, c.kind, "", c.address+": "+cause.Error())
	}
	err := error(&event.Error{Class: class, Downstream: c.d.name, Err: fmt.Errorf("%s: %w", c.address, what)})
	if !c.connected.Load() {
		err = event.NotDone(err)
	}
	c.span.SetStatus(codes.Error, string(class))
	return err
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// answered decides what an answer is about, by its status and by how its body begins, and wraps the body: a success is one
// only when its body is complete.
func (c *call) answered(resp *http.Response) (*http.Response, error) {
	status := strconv.Itoa(resp.StatusCode)
	c.span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	subject := event.SubjectOf(resp.StatusCode)
	if subject == event.AboutAddress {
		return nil, c.discard(resp, status, c.elsewhere(resp))
	}
	found := c.begin(resp)
	// A page with a status that a front, a throttle or a failing server answers on purpose keeps that meaning.
	if found.page && subject == event.AboutRequest {
		return nil, c.discard(resp, string(event.Unavailable), c.notAPI(resp, found))
	}
	if c.d.classify != nil && resp.StatusCode >= 400 {
		subject = c.d.classify(event.Answer{
			Status: resp.StatusCode, Header: resp.Header, Body: peek(resp), Throttles: c.d.circuit.throttles(),
		}, subject)
	}
	b := &body{ReadCloser: resp.Body, call: c, status: status, refused: subject == event.AboutCredential}
	switch {
	case subject == event.AboutLoad:
		return nil, c.discard(resp, status, c.throttled(resp))
	case subject == event.AboutHealth:
		c.d.circuit.failedWith(c.ticket, c.kind, event.Message(c.parent), c.address+": "+status)
		c.span.SetStatus(codes.Error, status)
		b.decided = true
	case subject == event.AboutAddress:
		return nil, c.discard(resp, status, c.misled(fmt.Errorf("%s: answered %d, and not as the API does: see that %s leads to it",
			c.address, resp.StatusCode, c.d.variable)))
	case found.page: // that refuses the credential: the client may renew it, and the circuit counts it
		_ = c.notAPI(resp, found)
		b.decided = true
	}
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		b.end()
	}
	resp.Body = b
	return resp, nil
}

// throttled makes the error of an answer that asks for a pause, and has all calls wait for it.
func (c *call) throttled(resp *http.Response) error {
	wait := c.d.circuit.throttled(c.ticket, resp.StatusCode, event.RetryAfter(resp.Header, time.Now()))
	return &event.Error{
		Class: event.Throttled, Downstream: c.d.name, RetryAfter: wait,
		Err: fmt.Errorf("%s answered %d and is not called again for %s", c.address, resp.StatusCode, wait.Round(time.Second)),
	}
}

// classifyLook is how much of a body Options.Classify sees.
const classifyLook = 16 << 10

// peek returns the beginning of the body of resp, which is still to be read.
func peek(resp *http.Response) []byte {
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return nil
	}
	buffered := bufio.NewReaderSize(resp.Body, classifyLook)
	resp.Body = reader{buffered, resp.Body}
	data, _ := buffered.Peek(classifyLook) // where the connection breaks, whoever reads the body meets it
	return bytes.Clone(data)
}

// discard ends a request whose answer is of no use to anybody.
func (c *call) discard(resp *http.Response, code string, err error) error {
	drain(resp.Body)
	_ = resp.Body.Close()
	c.span.SetStatus(codes.Error, code)
	c.finish(code)
	return err
}

// finish releases what the request holds, once.
func (c *call) finish(code string) {
	c.once.Do(func() {
		c.cancel()
		c.d.release()
		c.d.metrics.requests.WithLabelValues(c.d.name, code).Inc()
		c.d.recent.add(code, time.Now())
		c.d.metrics.duration.Observe(time.Since(c.started).Seconds())
		c.span.End()
	})
}

// body reports to the circuit how the reading of an answer ends.
type body struct {
	io.ReadCloser
	call    *call
	status  string
	refused bool // the credential
	decided bool
	err     error // the first of Read, returned again by later ones
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.end()
	default:
		err = b.fail(err)
	}
	b.err = err
	return n, err
}

// Close may come before the end of the body; what the reader did not want is no failure.
func (b *body) Close() error {
	if b.err == nil {
		drain(b.ReadCloser)
	}
	b.end()
	return b.ReadCloser.Close()
}

func (b *body) end() {
	if !b.decided {
		b.decided = true
		b.call.d.circuit.succeeded(b.call.ticket, b.call.kind, event.HandlingNumber(b.call.parent), b.refused)
	}
	b.call.finish(b.status)
}

func (b *body) fail(err error) error {
	if b.decided { // a 5xx whose body breaks off too is one failure
		err = &event.Error{Class: event.Unavailable, Downstream: b.call.d.name, Err: fmt.Errorf("%s: the body of its %s: %w", b.call.address, b.status, err)}
	} else {
		b.decided = true
		err = b.call.lost(err)
	}
	b.call.finish(string(event.ClassOf(err)))
	return err
}

func drain(r io.Reader) { _, _ = io.CopyN(io.Discard, r, drainLimit) }
