// Package erphttp is what all connectors to ERPs do alike: it sends requests, reads answers up to a bound, decides the class
// of a refusal and whether what was asked has certainly not been done, and keeps credentials and personal data out of errors.
//
// A connector makes one Client, and for each call a Request. It looks at the Answer: where that is no success,
// Answer.Refused is the error; where a success can't be read, Answer.Unreadable.
package erphttp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// Downstream is the name that errors of every connector bear.
const Downstream = "erp"

// DefaultMaxBody bounds an answer. The longest good one is a list of documents with one reference.
const DefaultMaxBody = 1 << 20

// Options say how an ERP is called.
type Options struct {
	// HTTP sends the requests; its transport may have limits, a circuit and the traceparent header. Redirects are never
	// followed, whatever it does: a POST would come out of one as a GET.
	HTTP *http.Client
	// URL is the ERP's address, http or https. Paths are added to it, and its query is kept.
	URL string
	// AddressName and CredentialName are what the settings are called that hold the address and the credential, for errors.
	// Empty is "the ERP's address" and "the ERP's credential".
	AddressName, CredentialName string
	// Authorize adds the credential to a request, before each time that it is sent. refused is true where the ERP has
	// refused the request with the credential of before, which is then to be renewed. nil adds none.
	Authorize func(req *http.Request, body []byte, refused bool) error
	// Secrets returns what else must be in no error: a secret that signs requests and is not sent itself. nil is none.
	Secrets func() []string
	// Dialect is how the ERP words its errors. The zero value reads the usual forms and decides by the status.
	Dialect Dialect
	// MaxBody bounds what is read of an answer; 0 is DefaultMaxBody.
	MaxBody int
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Client sends requests to one ERP. It keeps no state and is safe for concurrent use.
type Client struct {
	o    Options
	http http.Client
	base *url.URL
}

// New makes a Client. It connects to nothing.
func New(o Options) (*Client, error) {
	o.AddressName = cmp.Or(o.AddressName, "the ERP's address")
	o.CredentialName = cmp.Or(o.CredentialName, "the ERP's credential")
	o.MaxBody = cmp.Or(o.MaxBody, DefaultMaxBody)
	if o.Now == nil {
		o.Now = time.Now
	}
	base, err := url.Parse(o.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		// The parser's error would repeat a password in the address.
		return nil, fmt.Errorf("%s is not an address: want http://host/path or https://host/path", o.AddressName)
	}
	c := &Client{o: o, base: base}
	if o.HTTP != nil {
		c.http = *o.HTTP
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Request is one call of the ERP.
type Request struct {
	// What says what is done and to what, such as "create sales order 000000123": errors begin with it.
	What   string
	Method string
	// Path is added to the address, as Path makes it.
	Path  string
	Query url.Values
	// Header is added to the headers that every request has.
	Header http.Header
	// Body is JSON; nil for none.
	Body []byte
	// Question is true where nothing is asked to be done. Its errors are not marked by event.NotDone: a question without an
	// answer says nothing about the effect that it asks for.
	Question bool
	// Order is whose personal data is taken out of errors; nil for none.
	Order *erp.SalesOrder
	// Customer is whose personal data is taken out of errors besides; nil for none.
	Customer *erp.CustomerRecord
}

// Path joins segments to a path, each escaped.
func Path(segments ...string) string {
	var path strings.Builder
	for _, s := range segments {
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String()
}

// Encode writes a blank as a plus and escapes the dollar of OData's options; not every ERP reads either back.
var plain = strings.NewReplacer("+", "%20", "%24", "$")

// encode writes a query with blanks as %20 and dollars as they are.
func encode(q url.Values) string { return plain.Replace(q.Encode()) }

// Answer is what the ERP answered to a Request.
type Answer struct {
	Status int
	Header http.Header
	// Body is without white space and a byte order mark around it.
	Body []byte

	client  *Client
	request Request
	tooLong bool
	secrets []string // that were sent
	after   time.Duration
}

// OK reports whether the status is 2xx.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Do sends a request and returns the ERP's answer, whatever its status. An error means that there was none, or that it broke
// off. A request that is refused as unauthorized is sent a second time, with the credential that Authorize adds by then: it
// has not been carried out, and a front that guards against robots refuses some at random.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	for refused := false; ; refused = true {
		req, err := c.request(ctx, r, refused)
		if err != nil {
			return nil, r.failed(event.NotDone(err))
		}
		a, err := c.send(req, r)
		if err != nil {
			return nil, r.failed(err)
		}
		if refused || a.OK() || a.meaning().Class != event.Unauthorized {
			return a, nil
		}
	}
}

// failed returns an error of the request, for a question without the mark of event.NotDone.
func (r Request) failed(err error) error {
	if r.Question {
		return event.MayBeDone(err)
	}
	return err
}

// request makes the request with the headers that every one has.
func (c *Client) request(ctx context.Context, r Request, refused bool) (*http.Request, error) {
	for name, values := range r.Header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				return nil, &event.Error{
					Class: event.Invalid, Downstream: Downstream,
					Err: fmt.Errorf("%s: the header %s can't be %q: it has control characters", r.What, name, v),
				}
			}
		}
	}
	u := *c.base
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(c.base.EscapedPath(), "/")
	decoded, err := url.PathUnescape(r.Path)
	u.Path, u.RawPath = u.Path+decoded, u.RawPath+r.Path
	if len(r.Query) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += encode(r.Query)
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	var req *http.Request
	if err == nil {
		req, err = http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	}
	if err != nil {
		return nil, &event.Error{
			Class: event.Invalid, Downstream: Downstream,
			Err: fmt.Errorf("%s: no address can be made of %s and %s", r.What, c.o.AddressName, r.Path),
		}
	}
	// With GetBody, net/http repeats a POST that has an Idempotency-Key by itself when a reused connection breaks, and nobody
	// would know that it was sent twice.
	req.GetBody = nil
	req.Header["Content-Type"], req.Header["Accept"], req.Header["User-Agent"] = applicationJSON, applicationJSON, userAgent
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if c.o.Authorize != nil {
		if err := c.o.Authorize(req, r.Body, refused); err != nil {
			return nil, fmt.Errorf("%s: %w", r.What, err)
		}
	}
	return req, nil
}

// Values of headers that every request has. Nobody changes them.
var applicationJSON, userAgent = []string{"application/json"}, []string{"mageline"}

func (c *Client) send(req *http.Request, r Request) (*Answer, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(r, err)
	}
	defer res.Body.Close()
	a := &Answer{
		Status: res.StatusCode, Header: res.Header, client: c, request: r, secrets: c.secretsOf(req),
		after: event.RetryAfter(res.Header, c.o.Now()),
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(c.o.MaxBody)+1))
	if len(body) > c.o.MaxBody {
		body, a.tooLong = body[:c.o.MaxBody], true
	}
	a.Body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	// A refusal is one by its status alone; what is lost of its body is only its reason.
	if err != nil && a.OK() {
		return nil, c.lost(r, err)
	}
	return a, nil
}

// ErrTooLong is the reason for which an answer can't be read that is longer than Options.MaxBody.
var ErrTooLong = errors.New("the body is longer than any good answer")
