// Package netsuite is the connector to Oracle NetSuite, by its REST web services (SuiteTalk REST, record v1) and, for items,
// SuiteQL. docs/erp/netsuite.md says what goes where, and what the account must be set up like.
//
// NetSuite itself lets no two records of a type have one external id: a create that is sent a second time is refused.
package netsuite

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/erp/oauth"
	"github.com/mageline/mageline/event"
)

// Where the services are, below the account's address.
const (
	recordPath = "/services/rest/record/v1"
	queryPath  = "/services/rest/query/v1/suiteql"
	// TokenPath is where access tokens are asked for.
	TokenPath = "/services/rest/auth/oauth2/v1/token"
)

// maxBody bounds an answer: an order with all of its lines and their taxes.
const maxBody = 4 << 20

// Options is what the connector needs to know.
type Options struct {
	// URL is the account's address of SuiteTalk, as its page Company URLs has it.
	URL string
	// ClientID is the integration's, CertificateID that of the certificate mapped to it, and PrivateKey returns the key of the
	// certificate in PEM. It is asked before each request for a token.
	ClientID, CertificateID string
	PrivateKey              func() string
	// Token signs each request by token-based authentication in place of asking for access tokens; nil does not.
	Token *TokenBased
	// Codes returns the shop's codes. It is asked for each order, so that a file that has changed is used at once.
	Codes func() *codes.File
	// ReferencePrefix is before the reference of each customer.
	ReferencePrefix string
	// AddressName and CredentialName are what the settings are called that hold URL, and the credential, for errors.
	AddressName, CredentialName string
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Client is the connector. It is safe for concurrent use.
type Client struct {
	o    Options
	http *erphttp.Client

	mu    sync.Mutex
	items map[string]item // by column and number
}

// item is an item's internal id, and when it was looked up.
type item struct {
	id string
	at time.Time
}

var (
	_ erp.OrderConnector     = (*Client)(nil)
	_ erp.ShipmentReporter   = (*Client)(nil)
	_ erp.CreditMemoReporter = (*Client)(nil)
	_ erp.CustomerWriter     = (*Client)(nil)
)

// New makes a connector that calls through c, whose transport may have limits, a circuit and the traceparent header.
func New(c *http.Client, o Options) (*Client, error) {
	if c == nil {
		c = &http.Client{}
	}
	if o.Codes == nil {
		o.Codes = func() *codes.File { return &codes.File{} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.CredentialName = cmp.Or(o.CredentialName, "the ERP's credential")
	n := &Client{o: o, items: map[string]item{}}
	h := erphttp.Options{
		HTTP: c, URL: o.URL, AddressName: o.AddressName, CredentialName: o.CredentialName, Dialect: Dialect, MaxBody: maxBody, Now: o.Now,
	}
	if o.Token != nil {
		t := *o.Token
		t.now = o.Now
		h.Authorize, h.Secrets = t.authorize, t.secrets
	} else {
		base := strings.TrimRight(o.URL, "/")
		if o.PrivateKey == nil {
			return nil, errors.New("there is no private key: want that of the certificate")
		}
		tokens, err := oauth.New(oauth.Options{
			HTTP: c, TokenURL: base + TokenPath, CredentialName: o.CredentialName, Downstream: erphttp.Downstream,
			Assertion: func() (string, error) {
				return assertion(o.PrivateKey(), o.ClientID, o.CertificateID, base+TokenPath, o.Now())
			},
		})
		if err != nil {
			return nil, fmt.Errorf("%s is not an address: want https://<account>.suitetalk.api.netsuite.com", cmp.Or(o.AddressName, "the ERP's address"))
		}
		h.HTTP, h.Secrets = tokens.Client(), tokens.Secrets
	}
	var err error
	n.http, err = erphttp.New(h)
	return n, err
}

// strict has misspelt fields and wrong values refused. Without it NetSuite drops a field that it does not know, and books the
// rest.
func strict() http.Header {
	return http.Header{"X-NetSuite-PropertyNameValidation": {"Error"}, "X-NetSuite-PropertyValueValidation": {"Error"}}
}

// send sends a request and returns a success.
func (c *Client) send(ctx context.Context, r erphttp.Request) (*erphttp.Answer, error) {
	if r.Header == nil && !r.Question {
		r.Header = strict()
	}
	a, err := c.http.Do(ctx, r)
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	return a, err
}

// path is the address of a record type, and of one record by its internal id or, with byReference, its external id.
func path(kind string, id ...string) string {
	return recordPath + erphttp.Path(append([]string{kind}, id...)...)
}

func byReference(reference string) string { return "eid:" + reference }

// references are what an external id may have in an address.
var references = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// maxReference is how long an external id may be; no published table has it, and no shop numbers its orders that long.
const maxReference = 100

func checkReference(s string) error {
	if !references.MatchString(s) || len(s) > maxReference {
		return invalid("the external reference %q can't be an external id in NetSuite: want letters, digits, _ and -, at most %d; see the prefix of references", s, maxReference)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &event.Error{Class: event.Invalid, Downstream: erphttp.Downstream, Err: fmt.Errorf(format, args...)}
}

func told(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}

// reference is how NetSuite's answers name another record.
type reference struct {
	ID string `json:"id"`
}

// record is what is read of any record.
type record struct {
	ID          string       `json:"id"`
	ExternalID  string       `json:"externalId"`
	Number      string       `json:"tranId"`
	Total       *json.Number `json:"total"`
	Status      reference    `json:"status"`
	Entity      reference    `json:"entity"`
	Currency    reference    `json:"currency"`
	EntityID    string       `json:"entityId"`
	Terms       reference    `json:"terms"`
	Inactive    bool         `json:"isInactive"`
	CreditHold  reference    `json:"creditHoldOverride"`
	Item        lines        `json:"item"`
	TaxDetails  taxDetails   `json:"taxDetails"`
	HasOverride bool         `json:"taxDetailsOverride"`
}

// lookUp reads a record by its address; nil where NetSuite says that there is none. Only NetSuite's own words count: a 404 of
// anything else at the address must not be taken for "there is none".
func (c *Client) lookUp(ctx context.Context, what, at string, query url.Values) (*record, error) {
	a, err := c.http.Do(ctx, erphttp.Request{What: what, Method: http.MethodGet, Path: at, Query: query, Question: true})
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusNotFound && isError(a.Body) {
		return nil, nil //nolint:nilnil // none is an answer like any other
	}
	if !a.OK() {
		return nil, a.Refused()
	}
	var r record
	if err := a.Object(&r); err != nil || r.ID == "" {
		return nil, a.Unreadable(errors.Join(err, errors.New("there is no record with an id")))
	}
	return &r, nil
}

// byExternalID looks up the record of a type with an external id.
func (c *Client) byExternalID(ctx context.Context, what, kind, reference, fields string) (*record, error) {
	r, err := c.lookUp(ctx, what, path(kind, byReference(reference)), url.Values{"fields": {fields}})
	if err == nil && r != nil && r.ExternalID != "" && !strings.EqualFold(r.ExternalID, reference) {
		return nil, &event.Error{
			Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true,
			Err: fmt.Errorf("%s: NetSuite answers with %s %s, whose external id is %q", what, kind, r.ID, r.ExternalID),
		}
	}
	return r, err
}

// internalIDs are digits at the end of the address of a new record.
var internalIDs = regexp.MustCompile(`/(\d+)/?$`)

// idOf returns the internal id of the record that an answer says was created.
func idOf(a *erphttp.Answer) (string, error) {
	location, _, _ := strings.Cut(a.Header.Get("Location"), "?")
	m := internalIDs.FindStringSubmatch(location)
	if m == nil {
		return "", a.Unreadable(errors.New("it does not say which record was created (Location)"))
	}
	return m[1], nil
}
