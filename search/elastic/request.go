package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
)

// maxAnswer bounds what is read of an answer. The longest good ones are a mapping, and a bulk answer in which each item has failed.
const maxAnswer = 16 << 20

// request is one call of the engine.
type request struct {
	what   string // such as "write 20 documents to products": errors begin with it
	method string
	path   string // escaped
	query  url.Values
	body   []byte
	kind   string // Content-Type of the body
	gzip   bool   // the body is compressed
}

// segments joins parts of a path, each escaped.
func segments(parts ...string) string {
	var path strings.Builder
	for _, part := range parts {
		path.WriteString("/" + url.PathEscape(part))
	}
	return path.String()
}

// refusal is an answer that is no success, or that there was none.
type refusal struct {
	status  int    // 0: no answer
	kind    string // the engine's type of the error, such as index_not_found_exception
	text    string
	passing bool // the same request may succeed a moment later
	cause   error
}

func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() error { return r.cause }

// refusalOf returns the refusal in err, or an empty one.
func refusalOf(err error) refusal {
	var r *refusal
	if errors.As(err, &r) {
		return *r
	}
	return refusal{}
}

// call sends a request, repeats it while what ails the engine may pass, and reads the answer into v. It returns how often it was
// sent.
func (c *Client) call(ctx context.Context, r request, v any) (sent int, err error) {
	for n := 1; ; n++ {
		body, err := c.once(ctx, r)
		if err == nil {
			if body[0] == '{' && json.Unmarshal(body, v) == nil {
				return n, nil
			}
			return n, c.unreadable(r, errors.New("the body is not the JSON object that it should be"))
		}
		if !passing(err) {
			return n, err
		}
		if err := c.wait(ctx, n, err); err != nil {
			return n, err
		}
	}
}

func passing(err error) bool {
	var d *event.Deferral
	if errors.As(err, &d) {
		return false
	}
	var r *refusal
	if errors.As(err, &r) {
		return r.passing
	}
	// Classified by the transport: it waits as long as was asked for before it sends the next request.
	var e *event.Error
	return errors.As(err, &e) && (e.Class == event.Throttled || e.Class == event.Unavailable)
}

// wait waits before the n-th repetition, from 1, of what failed with err. It returns err if there is to be none: after Repeats.Max, or if
// the wait that the engine asks for, or the context, does not allow it. The clocks of a handling stand still meanwhile.
func (c *Client) wait(ctx context.Context, n int, err error) error {
	o := c.o.Repeats
	if n > o.Max {
		return err
	}
	pause := o.MaxWait
	if doubled := o.Wait << min(n-1, 30); doubled > 0 {
		pause = min(pause, doubled)
	}
	pause -= rand.N(pause/2 + 1)
	var e *event.Error
	if errors.As(err, &e) {
		if e.RetryAfter > o.MaxWait {
			return err
		}
		pause = max(pause, e.RetryAfter)
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
		return err
	}
	resume := event.Wait(ctx)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		_ = resume(ctx) // what ends here has no need of its lease
		return fmt.Errorf("%w, while waiting to repeat what failed: %w", context.Cause(ctx), err)
	}
	if lost := resume(ctx); lost != nil {
		return fmt.Errorf("%w, while waiting to repeat what failed: %w", lost, err)
	}
	return nil
}

// once sends a request and returns the body of a success. A request that is refused as unauthorized is sent a second time, with
// the credential that there is by then.
func (c *Client) once(ctx context.Context, r request) ([]byte, error) {
	body, err := c.send(ctx, r, false)
	if err != nil && c.o.Credential != nil && event.ClassOf(err) == event.Unauthorized {
		return c.send(ctx, r, true)
	}
	return body, err
}

func (c *Client) send(ctx context.Context, r request, refused bool) ([]byte, error) {
	turn := c.turn.Load()
	next := func() { c.turn.CompareAndSwap(turn, turn+1) }
	u := *c.bases[int(turn)%len(c.bases)]
	decoded, err := url.PathUnescape(r.path)
	if err != nil {
		return nil, invalid("%s: %s is no path", r.what, r.path)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/")+decoded, strings.TrimRight(u.EscapedPath(), "/")+r.path
	u.RawQuery = r.query.Encode()
	var content io.Reader
	if r.body != nil {
		content = bytes.NewReader(r.body) // with a length: OpenSearch wants no chunks
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), content)
	if err != nil {
		return nil, invalid("%s: no address can be made of %s and %s", r.what, c.o.AddressName, r.path)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "mageline")
	if r.body != nil {
		req.Header.Set("Content-Type", r.kind)
		if r.gzip {
			req.Header.Set("Content-Encoding", "gzip")
		}
	}
	secrets := []string{}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password)
	}
	if c.o.Credential != nil {
		credential, err := c.o.Credential(ctx, refused)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.what, err)
		}
		req.Header.Set("Authorization", credential)
		_, secret, _ := strings.Cut(credential, " ")
		secrets = append(secrets, secret)
	}
	res, err := c.http.Do(req)
	if err != nil {
		next()
		return nil, c.lost(r, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		if res.StatusCode >= 500 {
			next()
		}
		return nil, c.refused(r, res, body, secrets)
	}
	switch body = bytes.TrimSpace(body); {
	case err != nil:
		next()
		return nil, c.lost(r, err)
	case len(body) > maxAnswer:
		return nil, c.unreadable(r, fmt.Errorf("the body is longer than %d bytes", maxAnswer))
	case len(body) == 0 || body[0] != '{' && body[0] != '[':
		return nil, c.unreadable(r, errors.New("the body is no JSON"))
	}
	return body, nil
}

// problem is the body of an answer that is no success. "error" is an object, or a text where the request was not even read.
type problem struct {
	Error json.RawMessage `json:"error"`
}

type reason struct {
	Type     string  `json:"type"`
	Reason   string  `json:"reason"`
	CausedBy *reason `json:"caused_by"`
}

// readReason reads an error of the engine's.
func readReason(raw json.RawMessage) reason {
	var r reason
	if json.Unmarshal(raw, &r) != nil {
		_ = json.Unmarshal(raw, &r.Reason) // a text, or nothing that could be told
	}
	return r
}

// String has the innermost cause, which names the value, behind the outermost reason, which names the field.
func (r reason) String() string {
	text := strings.Trim(r.Type+": "+r.Reason, ": ")
	last := r.CausedBy
	for depth := 0; last != nil && last.CausedBy != nil && depth < 10; depth++ {
		last = last.CausedBy
	}
	if last != nil && last.Reason != "" && !strings.Contains(text, last.Reason) {
		text += ": " + last.Reason
	}
	return text
}

// Types of errors that decide whatever the status is. Engines changed the status of some.
const (
	clusterBlock  = "cluster_block_exception"
	indexClosed   = "index_closed_exception"
	indexNotFound = "index_not_found_exception"
	indexExists   = "resource_already_exists_exception"
	conflict      = "version_conflict_engine_exception"
)

// refused returns the error of an answer that is no success.
//
//	3xx                                    Unavailable    something else than the engine answers
//	cluster_block_exception, index_closed  Unavailable    by an operator or a full disk, whatever the status is
//	index_not_found_exception              Unavailable    with search.ErrNoTarget
//	400, 413                               Rejected
//	401, 403                               Unauthorized
//	408                                    Timeout
//	429                                    Throttled      repeated
//	502, 503, 504                          Unavailable    repeated
//	any other                              Unavailable
func (c *Client) refused(r request, res *http.Response, body []byte, secrets []string) error {
	var p problem
	_ = json.Unmarshal(body, &p) // of a body that is no JSON nothing is told
	why := readReason(p.Error)
	own := &refusal{status: res.StatusCode, kind: why.Type}
	e := &event.Error{
		Class: event.Unavailable, Downstream: Downstream, Status: res.StatusCode, Request: r.what, Err: own,
		RetryAfter: event.RetryAfter(res.Header, c.o.Now()),
	}
	own.text = fmt.Sprintf("%s: the search engine answered %d %s", r.what, res.StatusCode, http.StatusText(res.StatusCode))
	if text := why.String(); text != "" {
		own.text += " (" + clean(text, secrets) + ")"
	}
	switch status := res.StatusCode; {
	case status >= 300 && status <= 399:
		own.text += fmt.Sprintf("; redirects are not followed: set %s to the final address", c.o.AddressName)
	case why.Type == clusterBlock, why.Type == indexClosed:
		own.text += blocked
	case why.Type == indexNotFound:
		own.text, own.cause = own.text+": "+search.ErrNoTarget.Error(), search.ErrNoTarget
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
		e.Class = event.Rejected
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Class = event.Unauthorized
		own.text += fmt.Sprintf("; check %s and its rights", c.o.CredentialName)
	case status == http.StatusRequestTimeout:
		e.Class = event.Timeout
	case status == http.StatusTooManyRequests:
		e.Class, own.passing = event.Throttled, true
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		own.passing = true
	case status < 500:
		own.text += fmt.Sprintf("; see that %s leads to OpenSearch or Elasticsearch", c.o.AddressName)
	}
	return e
}

// blocked is the remedy for an index that takes no writes.
const blocked = "; the index takes no writes: free disk space on the engine's nodes, or lift the block (index.blocks.*, cluster.blocks.*)"

// Subject has the form of downstream.Options.Classify: an index that takes no writes is an outage and no wrong credential, though it
// comes as 403 or 429.
func Subject(a event.Answer, byStatus event.Subject) event.Subject {
	if a.Status == http.StatusForbidden || a.Status == http.StatusTooManyRequests {
		var p problem
		if json.Unmarshal(a.Body, &p) == nil && readReason(p.Error).Type == clusterBlock {
			return event.AboutHealth
		}
	}
	return byStatus
}

// unreadable returns the error of a success that says nothing.
func (c *Client) unreadable(r request, why error) error {
	return &event.Error{
		Class: event.Unavailable, Downstream: Downstream, Unreadable: true,
		Err: &refusal{cause: why, text: fmt.Sprintf("%s: the answer can't be read: %v; see that %s leads to OpenSearch or Elasticsearch and not to a proxy's page",
			r.what, why, c.o.AddressName)},
	}
}

// lost returns the error of a request without an answer. What the transport has classified stays as it is.
func (c *Client) lost(r request, err error) error {
	// *url.Error repeats the address.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var e *event.Error
	var d *event.Deferral
	if errors.As(err, &e) || errors.As(err, &d) {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	var ne net.Error
	timeout := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
	class := event.Unavailable
	if timeout {
		class = event.Timeout
	}
	return &event.Error{Class: class, Downstream: Downstream, Err: &refusal{
		text:  fmt.Sprintf("%s: no answer from the search engine; see that %s is right and the engine runs: %v", r.what, c.o.AddressName, err),
		cause: err,
		// What timed out would be slow again.
		passing: !timeout && !errors.Is(err, context.Canceled),
	}}
}

// maxText is how many characters of the engine's own words an error repeats.
const maxText = 300

// What follows the name of a scheme of HTTP is a credential, whoever sent it.
var credentialLike = regexp.MustCompile(`(?i)\b(Bearer|Basic|ApiKey) +[A-Za-z0-9+/=._~-]{6,}`)

// clean shortens what the engine says to one line and takes credentials out of it.
func clean(s string, secrets []string) string {
	if len(s) > 16*maxText {
		s = s[:16*maxText]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	s = credentialLike.ReplaceAllString(s, "$1 ***")
	for _, secret := range slices.Backward(secrets) {
		if len(secret) >= 6 {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText]) + "…"
	}
	return s
}
