package algolia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/mageline/mageline/event"
)

// maxAnswer bounds what is read of an answer. The longest is a page of 1,000 ids.
const maxAnswer = 16 << 20

// maxMessage is how many characters of Algolia's own message an error repeats.
const maxMessage = 200

// request is one call of Algolia. What it asks for may safely be done twice.
type request struct {
	what   string // such as "write 20 documents to index products": errors begin with it
	method string
	path   string
	body   any // nil for none
}

// refusal is an answer of 4xx.
type refusal struct {
	err    *event.Error
	answer refused
}

func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the error with its class.
func (r *refusal) Unwrap() error { return r.err }

// is reports whether err is an answer of this status.
func is(err error, status int) bool {
	var no *refusal
	return errors.As(err, &no) && no.err.Status == status
}

// call sends a request to one host after the other until one answers with anything but a failure of its own, and reads the answer
// into v. An answer of 4xx is a *refusal.
func (e *Engine) call(ctx context.Context, r request, v any) error {
	if err := e.paused(r.what); err != nil {
		return err
	}
	var body []byte
	if r.body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r.body); err != nil {
			return &event.Error{Class: event.Internal, Downstream: downstream, Err: fmt.Errorf("%s: %w", r.what, err)}
		}
		body = bytes.TrimRight(b.Bytes(), "\n")
	}
	var last error
	timeouts := 0
	for _, base := range e.hosts.upNow(e.o.Now()) {
		status, answer, header, err := e.send(ctx, r, base, body, time.Duration(timeouts+1)*e.o.Timeout)
		switch {
		case ctx.Err() != nil && err != nil:
			return e.lost(r, err)
		case err != nil:
			last = e.lost(r, err)
			var d *event.Deferral
			class := event.ClassOf(last)
			if errors.As(err, &d) || class == event.Throttled {
				return e.throttled(last)
			}
			if class == event.Timeout {
				timeouts++
				continue
			}
		case status >= 200 && status <= 299:
			e.hosts.set(base, time.Time{})
			return e.read(r, answer, v)
		case status >= 400 && status <= 499:
			return e.refused(r, status, answer, header)
		default:
			last = e.failed(r, status, answer)
		}
		e.hosts.set(base, e.o.Now())
	}
	return last
}

// send sends a request to one host.
func (e *Engine) send(ctx context.Context, r request, base string, body []byte, timeout time.Duration) (int, []byte, http.Header, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, context.DeadlineExceeded)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, reader)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("no address can be made of a host and %s", r.path)
	}
	req.GetBody = nil // nothing but this package repeats a request
	req.Header.Set("X-Algolia-Application-Id", e.o.ApplicationID)
	req.Header.Set("X-Algolia-Api-Key", e.o.Key())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "mageline")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := e.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil && res.StatusCode <= 299 {
		return 0, nil, nil, err
	}
	return res.StatusCode, answer, res.Header, nil
}

// read reads a success.
func (e *Engine) read(r request, answer []byte, v any) error {
	var err error
	switch {
	case len(answer) > maxAnswer:
		err = fmt.Errorf("it has more than %d bytes", maxAnswer)
	case v == nil:
		return nil
	default:
		err = json.Unmarshal(answer, v)
	}
	if err == nil {
		return nil
	}
	return &event.Error{
		Class: event.Unavailable, Downstream: downstream, Unreadable: true,
		Err: fmt.Errorf("%s: Algolia answered with a success that can't be read: see that its hosts are right, and that no proxy answers in their place: %w", r.what, err),
	}
}

// refused returns the error of a 4xx.
func (e *Engine) refused(r request, status int, body []byte, header http.Header) error {
	answer := readRefused(body)
	text := fmt.Sprintf("%s: Algolia answered %d %s", r.what, status, http.StatusText(status))
	if answer.Message != "" {
		text += " (" + e.tidy(answer.Message) + ")"
	}
	class := event.ClassOfStatus(status)
	switch status {
	case http.StatusPaymentRequired, http.StatusForbidden, http.StatusUnauthorized:
		class = event.Unauthorized
		text += fmt.Sprintf("; see that application id and key are right, that the plan allows it, and that the key has the rights %s for this index and those named like it",
			strings.Join(Rights, ", "))
	case http.StatusNotFound:
		text += "; see that Algolia's hosts and the application id are right, and that nobody has deleted the index"
	case http.StatusTooManyRequests:
		return e.throttled(&event.Error{
			Class: event.Throttled, Downstream: downstream, Status: status, RetryAfter: event.RetryAfter(header, e.o.Now()), Err: errors.New(text),
		})
	}
	return &refusal{err: &event.Error{Class: class, Downstream: downstream, Status: status, Request: r.what, Err: errors.New(text)}, answer: answer}
}

// failed returns the error of an answer that is neither 2xx nor 4xx.
func (e *Engine) failed(r request, status int, body []byte) error {
	text := fmt.Sprintf("%s: Algolia answered %d %s", r.what, status, http.StatusText(status))
	if m := readRefused(body).Message; m != "" {
		text += " (" + e.tidy(m) + ")"
	}
	return &event.Error{Class: event.ClassOfStatus(status), Downstream: downstream, Status: status, Err: errors.New(text)}
}

// lost returns the error of a request without an answer. What the transport has classified keeps its class.
func (e *Engine) lost(r request, err error) error {
	// *url.Error repeats the address.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var known *event.Error
	var d *event.Deferral
	if errors.As(err, &known) || errors.As(err, &d) {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	class := event.Unavailable
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		class = event.Timeout
	}
	return &event.Error{Class: class, Downstream: downstream, Err: fmt.Errorf("%s: no answer from Algolia: %w", r.what, err)}
}

// tidy shortens what Algolia says to one line, without the key.
func (e *Engine) tidy(s string) string {
	if len(s) > 16*maxMessage {
		s = s[:16*maxMessage]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if key := e.o.Key(); key != "" {
		s = strings.ReplaceAll(s, key, "***")
	}
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return s
}

// A limit of Algolia's on indexing is that of a queue that has to empty, which takes minutes.
const (
	firstPause = time.Minute
	lastPause  = 10 * time.Minute
)

// pause is until when nothing is sent because Algolia asked for it.
type pause struct {
	until  time.Time
	length time.Duration
}

// throttled has all calls wait, if err is a throttle, and returns it with that wait.
func (e *Engine) throttled(err error) error {
	var known *event.Error
	if !errors.As(err, &known) || known.Class != event.Throttled {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.o.Now(); !now.Before(e.pause.until) { // not the second of a burst
		e.pause.length = min(max(2*e.pause.length, firstPause), lastPause)
		e.pause.until = now.Add(max(e.pause.length, known.RetryAfter))
	}
	return &event.Error{
		Class: event.Throttled, Downstream: downstream, Status: known.Status, RetryAfter: e.pause.until.Sub(e.o.Now()),
		Err: fmt.Errorf("%w; its queue of work is full, and it is not called again for %s", err, e.pause.until.Sub(e.o.Now()).Round(time.Second)),
	}
}

// paused returns an error while Algolia is not to be called.
func (e *Engine) paused(what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	left := e.pause.until.Sub(e.o.Now())
	if left <= 0 {
		return nil
	}
	return event.NotDone(&event.Error{
		Class: event.Throttled, Downstream: downstream, RetryAfter: left,
		Err: fmt.Errorf("%s: Algolia's queue of work is full, and it is not called again for %s", what, left.Round(time.Second)),
	})
}

// accepted ends the growth of pauses: something was queued.
func (e *Engine) accepted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.o.Now().Before(e.pause.until) {
		e.pause = pause{}
	}
}
