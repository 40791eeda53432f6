// Package webhook is the connector to a shop's own ERP adapter: a small HTTP API that the shop writes, described in
// mageline's documentation of the webhook ERP. The model of package erp is sent as it is.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// downstream is the name that errors bear.
const downstream = "erp"

// maxBody bounds an answer. The longest good one is a list of documents with one reference.
const maxBody = 1 << 20

// Options is what the connector needs to know.
type Options struct {
	// URL is the adapter's base address, http or https; paths are added to it, and its query is kept.
	URL string
	// Token and Secret are asked before each request, so that a secret that was changed in its file is used at once.
	// Token is the bearer; Secret signs the body. nil or "": the header is left out.
	Token, Secret func() string
	// Now tells the time for signatures; nil is time.Now.
	Now func() time.Time
}

// Client is the connector. It keeps no state and is safe for concurrent use.
type Client struct {
	http          *http.Client
	base          *url.URL
	token, secret func() string
	now           func() time.Time
}

var _ erp.Connector = (*Client)(nil)

// New makes a connector that calls through c, whose transport may have limits, a circuit and the traceparent header.
// Redirects are never followed, whatever c does: a POST would come out of one as a GET.
func New(c *http.Client, o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		// The parser's error would repeat a password in the address.
		return nil, errors.New("MAGELINE_ERP_URL is not an address: want http://host/path or https://host/path")
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w := &Client{http: &own, base: base, token: o.Token, secret: o.Secret, now: o.Now}
	none := func() string { return "" }
	if w.token == nil {
		w.token = none
	}
	if w.secret == nil {
		w.secret = none
	}
	if w.now == nil {
		w.now = time.Now
	}
	return w, nil
}

// Name is "webhook".
func (c *Client) Name() string { return "webhook" }

// CreateOrder posts the order to /sales-orders. A 409 that names a document says that it is there already, which is the
// same as created. Another 2xx than one with a number, with a JSON object or with no body, is a Document that is Accepted.
func (c *Client) CreateOrder(ctx context.Context, idempotencyKey string, o erp.SalesOrder) (erp.Document, error) {
	what := "create sales order " + o.ExternalReference
	res, err := c.post(ctx, what, []string{"sales-orders"}, idempotencyKey, o)
	if err != nil {
		return erp.Document{}, err
	}
	if res.ok() || res.status == http.StatusConflict {
		number, err := documentNumber(res)
		switch {
		case err == nil && number != "":
			return erp.Document{Number: number}, nil
		case err == nil && res.ok():
			return erp.Document{Accepted: true}, nil
		case res.ok():
			return erp.Document{}, unreadable(what, res, err)
		}
	}
	return erp.Document{}, refused(what, res, personalData(o))
}

// FindOrder asks /sales-orders?external_reference=…; a 404 means none. A document without a number yet is Accepted. Its
// errors are never marked by event.NotDone: a question that was not asked says nothing about the effect it asks for.
func (c *Client) FindOrder(ctx context.Context, reference string) ([]erp.Document, error) {
	what := "find sales order " + reference
	res, err := c.do(what, func() (*http.Request, error) {
		return c.request(ctx, http.MethodGet, []string{"sales-orders"}, url.Values{"external_reference": {reference}}, nil)
	})
	switch {
	case err != nil:
		return nil, unmarked(err)
	case res.status == http.StatusNotFound:
		return nil, nil
	case !res.ok():
		return nil, unmarked(refused(what, res, nil))
	}
	docs, err := documents(res, reference)
	if err != nil {
		return nil, unreadable(what, res, err)
	}
	return docs, nil
}

// CancelOrder posts to /sales-orders/{document number}/cancel. Any 2xx is success.
func (c *Client) CancelOrder(ctx context.Context, idempotencyKey, number string, ca erp.Cancellation) (erp.Document, error) {
	what := "cancel document " + number
	res, err := c.post(ctx, what, []string{"sales-orders", number, "cancel"}, idempotencyKey, ca)
	if err != nil {
		return erp.Document{}, err
	}
	if !res.ok() {
		return erp.Document{}, refused(what, res, nil)
	}
	// What else the body is does not matter: only the number in it is kept.
	kept, _ := documentNumber(res)
	return erp.Document{Number: kept}, nil
}

// answer is a response that was read as far as maxBody.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte
	tooLong    bool
}

func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

func (c *Client) post(ctx context.Context, what string, path []string, key string, v any) (answer, error) {
	if strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return answer{}, event.NotDone(&event.Error{
			Class: event.Invalid, Downstream: downstream,
			Err: fmt.Errorf("%s: the key %q can't be sent in a header: it has control characters", what, key),
		})
	}
	body, err := json.Marshal(v)
	if err != nil {
		return answer{}, event.NotDone(&event.Error{
			Class: event.Internal, Downstream: downstream, Err: fmt.Errorf("%s: write the body as JSON: %w", what, err),
		})
	}
	return c.do(what, func() (*http.Request, error) {
		req, err := c.request(ctx, http.MethodPost, path, nil, body)
		if err != nil {
			return nil, event.NotDone(err)
		}
		req.Header.Set("Idempotency-Key", key)
		return req, nil
	})
}

// request makes a request with the headers that every one bears. The segments of the path are escaped each.
func (c *Client) request(ctx context.Context, method string, path []string, query url.Values, body []byte) (*http.Request, error) {
	u := *c.base
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(c.base.EscapedPath(), "/")
	for _, segment := range path {
		u.Path += "/" + segment
		u.RawPath += "/" + url.PathEscape(segment)
	}
	if len(query) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &event.Error{
			Class: event.Invalid, Downstream: downstream,
			Err: fmt.Errorf("no address can be made of MAGELINE_ERP_URL and /%s", strings.Join(path, "/")),
		}
	}
	if method == http.MethodGet {
		req.Body, req.ContentLength = nil, 0
	}
	// With GetBody, net/http would repeat a POST that has an Idempotency-Key by itself when a reused connection breaks,
	// and nobody would know that it was sent twice.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "mageline")
	if token := c.token(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if secret := c.secret(); secret != "" {
		req.Header.Set("X-Mageline-Signature", sign(secret, c.now(), body))
	}
	return req, nil
}

// sign makes the value of X-Mageline-Signature.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// do makes and sends a request, and once more with what the credential is by then if it is refused: a refused request has not
// been carried out, and a front that guards against robots refuses some at random.
func (c *Client) do(what string, request func() (*http.Request, error)) (answer, error) {
	for again := false; ; again = true {
		req, err := request()
		if err != nil {
			return answer{}, err
		}
		a, err := c.send(req, what)
		if again || err != nil || event.ClassOfStatus(a.status) != event.Unauthorized {
			return a, err
		}
	}
}

func (c *Client) send(req *http.Request, what string) (answer, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, lost(what, err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"), c.now())}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if len(a.body) > maxBody {
		a.body, a.tooLong = a.body[:maxBody], true
	}
	// A refusal is one by its status alone; what is lost of its body is only its reason.
	if err != nil && a.ok() {
		return answer{}, lost(what, err)
	}
	return a, nil
}
