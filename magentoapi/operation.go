package magentoapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// An operation is what is asked of Magento, apart from the credential.
type operation struct {
	method, path, query string
	body                []byte // nil for none
	// repeatable is set for a write that leaves the shop as it is when it is carried out a second time, as putting a
	// whole entity in its place does. The method that sets it says why. GET needs no such word.
	repeatable bool
}

// call sends the operation with body, unless it is nil, as JSON, and decodes the answer as Do does.
func (c *Client) call(ctx context.Context, op operation, body, out any) error {
	_, err := c.ask(ctx, op, body, out)
	return err
}

// ask is call, and gives what of the answer has an unexpected form.
func (c *Client) ask(ctx context.Context, op operation, body, out any) ([]OddField, error) {
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("magento: %s %s: making the request's body: %w", op.method, op.path, err)
		}
		op.body = b
	}
	answer, err := c.send(ctx, op, c.auth)
	if err != nil {
		return nil, err
	}
	return c.decode(ctx, op, answer, out)
}

// confirmed is call for an endpoint that answers true when it has done what it was asked.
func (c *Client) confirmed(ctx context.Context, op operation, body any) error {
	var done Flag
	if err := c.call(ctx, op, body, &done); err != nil {
		return err
	}
	if !done.Bool {
		return op.unreadable(http.StatusOK, []byte("false"), errors.New("false, where Magento answers true"))
	}
	return nil
}

// identified is call for an endpoint that answers with the id of what it has saved.
func (c *Client) identified(ctx context.Context, op operation, body any) (int64, error) {
	var id ID
	if err := c.call(ctx, op, body, &id); err != nil {
		return 0, err
	}
	if id == 0 {
		return 0, op.unreadable(http.StatusOK, nil, errors.New("no id, where Magento answers one"))
	}
	return int64(id), nil
}

// get reads one object.
func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	var v T
	if err := c.call(ctx, operation{method: http.MethodGet, path: path}, nil, &v); err != nil {
		return nil, err
	}
	return &v, nil
}

// getList reads a list that has no pages.
func getList[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var list []T
	err := c.call(ctx, operation{method: http.MethodGet, path: path}, nil, &list)
	return list, err
}

// pointed is an operation that answers with a list of entities. A row of an unexpected form is an entity with nothing set.
func pointed[T any](ctx context.Context, c *Client, op operation, body any) ([]*T, error) {
	var list []T
	if err := c.call(ctx, op, body, &list); err != nil {
		return nil, err
	}
	entities := make([]*T, len(list))
	for i := range list {
		entities[i] = &list[i]
	}
	return entities, nil
}

// saveOne is an operation that answers with what it has saved; has reports whether that has an id.
func saveOne[T any](ctx context.Context, c *Client, op operation, body any, has func(*T) bool) (*T, error) {
	var v T
	if err := c.call(ctx, op, body, &v); err != nil {
		return nil, err
	}
	if !has(&v) {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("no id, where Magento answers one"))
	}
	return &v, nil
}

func errNoID(what string) error {
	return fmt.Errorf("magento: a %s without an id can't be changed", what)
}

// encodeQuery encodes deterministically, sorted by name, and a space as %20: Magento's check of an OAuth signature
// decodes "+" in some versions and leaves it in others (Framework\Oauth\Helper\Request). Each name has its "=", without
// which that check leaves the parameter out.
func encodeQuery(query url.Values) string {
	return strings.ReplaceAll(query.Encode(), "+", "%20")
}

// send carries an operation out, again if it may be, and gives the body of a 2xx answer.
func (c *Client) send(ctx context.Context, op operation, auth Credential) ([]byte, error) {
	for n := 1; ; n++ {
		answer, err := c.attempt(ctx, op, auth)
		if err == nil || !op.repeatable && op.method != http.MethodGet || !passing(err) {
			return answer, err
		}
		if err := c.retries.wait(ctx, n, err); err != nil {
			return nil, err
		}
	}
}

// anonymous are endpoints that may need no credential, so that a success there says nothing of it
// ("anonymous" in the etc/webapi.xml of Magento's Quote, Directory and Search modules; and for the stores where
// webapi/webapisecurity/allow_insecure is 1).
var anonymous = regexp.MustCompile(`^/V1/(?:store|directory|guest-carts|search)(?:/|$)`)

// attempt sends an operation, once more with a renewed credential if Magento refuses the first.
func (c *Client) attempt(ctx context.Context, op operation, auth Credential) ([]byte, error) {
	var first *Error // the refusal of the first request
	for {
		req, err := c.request(ctx, op)
		if err != nil {
			return nil, err
		}
		if auth != nil {
			if err := auth.Authorize(c, req); err != nil {
				return nil, fmt.Errorf("magento: %s %s: %w", op.method, op.path, err)
			}
		}
		answer, err := c.roundTrip(req, op)
		if err == nil {
			if auth != nil && !c.accepted.Load() && !anonymous.MatchString(op.path) {
				c.accepted.Store(true)
			}
			return answer, nil
		}
		var refusal *Error
		if auth == nil || !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized && refusal.Status != http.StatusForbidden {
			return nil, err
		}
		if first != nil {
			if refusal.reason == nil && refusal.Status == first.Status {
				refusal.reason = first.reason
			}
			return nil, err
		}
		first, refusal.accepted = refusal, c.accepted.Load()
		auth.Refused(req, refusal)
	}
}

func (c *Client) request(ctx context.Context, op operation) (*http.Request, error) {
	if wrong := checkPath(op.path); wrong != "" {
		return nil, fmt.Errorf("magento: path %q: %s", op.path, wrong)
	}
	var body io.Reader
	if op.body != nil {
		// Wrapped, so that net/http can't rewind it and sets no GetBody: it repeats by itself what it can rewind.
		body = struct{ io.Reader }{bytes.NewReader(op.body)}
	}
	address := c.base + op.path
	if op.query != "" {
		address += "?" + op.query
	}
	req, err := http.NewRequestWithContext(ctx, op.method, address, body)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("magento: %s %s: %w", op.method, op.path, err)
	}
	if op.body != nil {
		req.ContentLength = int64(len(op.body))
		req.Header["Content-Type"] = applicationJSON
	}
	req.Header["Accept"], req.Header["User-Agent"] = applicationJSON, c.userAgent
	return req, nil
}

// applicationJSON is the value of headers of every request. Nobody changes it.
var applicationJSON = []string{"application/json"}

func (c *Client) roundTrip(req *http.Request, op operation) ([]byte, error) {
	sent := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		// A *url.Error has the whole address in its text, and with it the query.
		if outer, ok := err.(*url.Error); ok { //nolint:errorlint // only the outermost one is net/http's own
			err = outer.Err
		}
		return nil, fmt.Errorf("magento: %s %s: %w", op.method, op.path, err)
	}
	defer resp.Body.Close()
	noteResponse(req, resp, sent)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what came of it is enough for a message
		return nil, op.refused(resp, body)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	if err != nil {
		return nil, op.unreadable(resp.StatusCode, nil, fmt.Errorf("the answer broke off: %w", err))
	}
	if int64(len(body)) > c.maxBody {
		return nil, op.unreadable(resp.StatusCode, nil, fmt.Errorf("the answer is longer than %d bytes", c.maxBody))
	}
	return body, nil
}

// decode reads the body of a 2xx answer into out, and gives what of it has an unexpected form.
func (c *Client) decode(ctx context.Context, op operation, body []byte, out any) ([]OddField, error) {
	if out == nil {
		if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || json.Valid(trimmed) {
			return nil, nil
		}
		return nil, op.unreadable(http.StatusOK, body, errors.New("not JSON"))
	}
	odd, err := readAnswer(body, out)
	if err != nil {
		return nil, op.unreadable(http.StatusOK, body, describeJSON(err))
	}
	if string(bytes.TrimSpace(body)) == "null" { // which Magento never answers: its null is []
		return nil, op.unreadable(http.StatusOK, body, errors.New("null"))
	}
	c.tell(ctx, op, odd)
	return odd, nil
}

// tell tells the caller what of an answer had an unexpected form.
func (c *Client) tell(ctx context.Context, op operation, odd []OddField) {
	if c.onOdd != nil && len(odd) > 0 {
		c.onOdd(ctx, op.method+" "+op.path, odd)
	}
}
