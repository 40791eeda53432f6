// Package businesscentral is the connector to Dynamics 365 Business Central, by its API v2.0. docs/erp/businesscentral.md says
// what goes where, and what the company must be set up like.
package businesscentral

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

// DefaultScope is what a token is asked for; it is the same for every environment in Microsoft's cloud.
const DefaultScope = "https://api.businesscentral.dynamics.com/.default"

// Options is what the connector needs to know.
type Options struct {
	// URL is the address of the API in one environment, up to and with /api/v2.0.
	URL string
	// Company is the id of the company, or its name, which is looked up once.
	Company string
	// TokenURL, ClientID, ClientSecret and Scope are of the app registration in Microsoft Entra ID; an empty Scope is
	// DefaultScope. ClientSecret is asked before each request for a token.
	TokenURL, ClientID, Scope string
	ClientSecret              func() string
	// Username and AccessKey are for an installation of one's own, with its web service access key. With a Username no token
	// is asked for.
	Username  string
	AccessKey func() string
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

	looking chan struct{} // holds one element while nobody looks up the company
	mu      sync.Mutex
	company string // its id; empty: not looked up yet
}

var (
	_ erp.OrderConnector     = (*Client)(nil)
	_ erp.CreditMemoReporter = (*Client)(nil)
	_ erp.ShipmentReporter   = (*Client)(nil)
	_ erp.CustomerWriter     = (*Client)(nil)
)

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// New makes a connector that calls through c, whose transport may have limits, a circuit and the traceparent header.
func New(c *http.Client, o Options) (*Client, error) {
	if c == nil {
		c = &http.Client{}
	}
	o.Scope = cmp.Or(o.Scope, DefaultScope)
	if o.Codes == nil {
		o.Codes = func() *codes.File { return &codes.File{} }
	}
	b := &Client{o: o, looking: make(chan struct{}, 1)}
	b.looking <- struct{}{}
	if guid.MatchString(o.Company) {
		b.company = strings.ToLower(o.Company)
	} else if o.Company == "" {
		return nil, errors.New("no company is named: want its id or its name")
	}
	h := erphttp.Options{
		HTTP: c, URL: o.URL, AddressName: o.AddressName, CredentialName: o.CredentialName, Dialect: Dialect, Now: o.Now,
	}
	if o.Username != "" {
		h.Authorize = func(req *http.Request, _ []byte, _ bool) error {
			req.SetBasicAuth(o.Username, value(o.AccessKey))
			return nil
		}
		h.Secrets = func() []string { return []string{value(o.AccessKey)} }
	} else {
		tokens, err := oauth.New(oauth.Options{
			HTTP: c, TokenURL: o.TokenURL, ClientID: o.ClientID, Secret: o.ClientSecret, Scope: o.Scope,
			CredentialName: cmp.Or(o.CredentialName, "the ERP's credential"), Downstream: erphttp.Downstream,
		})
		if err != nil {
			return nil, err
		}
		h.HTTP, h.Secrets = tokens.Client(), tokens.Secrets
	}
	var err error
	b.http, err = erphttp.New(h)
	return b, err
}

func value(secret func() string) string {
	if secret == nil {
		return ""
	}
	return secret()
}

// companyWord stands in a Payload's path where the company's id is not known before it is looked up.
const companyWord = "{company}"

// companyPath begins the path of everything in the company, as far as it is known without a request.
func (c *Client) companyPath() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return "/companies(" + cmp.Or(c.company, companyWord) + ")"
}

// inCompany is companyPath with the company looked up by its name, once.
func (c *Client) inCompany(ctx context.Context) (string, error) {
	if path := c.companyPath(); !strings.Contains(path, companyWord) {
		return path, nil
	}
	select {
	case <-c.looking:
		defer func() { c.looking <- struct{}{} }()
	case <-ctx.Done():
		return "", event.NotDone(&event.Error{Class: event.Timeout, Downstream: erphttp.Downstream, Err: fmt.Errorf("look up the company: %w", ctx.Err())})
	}
	if path := c.companyPath(); !strings.Contains(path, companyWord) {
		return path, nil
	}
	a, err := c.http.Do(ctx, erphttp.Request{What: "look up the company " + c.o.Company, Method: http.MethodGet, Path: "/companies", Header: english(), Question: true})
	if err != nil {
		return "", event.NotDone(err)
	}
	if !a.OK() {
		return "", event.NotDone(a.Refused())
	}
	var list struct {
		Value *[]struct{ ID, Name, DisplayName string }
	}
	if err := a.Object(&list); err != nil || list.Value == nil {
		return "", event.NotDone(a.Unreadable(errors.Join(err, errors.New("there is no list"))))
	}
	var names []string
	for _, one := range *list.Value {
		if (strings.EqualFold(one.Name, c.o.Company) || strings.EqualFold(one.DisplayName, c.o.Company)) && guid.MatchString(one.ID) {
			c.mu.Lock()
			c.company = one.ID
			c.mu.Unlock()
			return c.companyPath(), nil
		}
		names = append(names, one.Name)
	}
	return "", event.NotDone(&event.Error{
		Class: event.Unauthorized, Downstream: erphttp.Downstream,
		Err: fmt.Errorf("the environment has no company %q that this app may see, only %q", c.o.Company, names[:min(len(names), 10)]),
	})
}

// english asks for errors in English, whatever the server's language is: their texts are looked at.
func english() http.Header { return http.Header{"Accept-Language": {"en-US"}} }

// fresh asks for the primary database: a replica may lack what was written a moment ago.
func fresh() http.Header {
	h := english()
	h.Set("Data-Access-Intent", "ReadWrite")
	return h
}

// versioned is the header of a change to a record of which version is known.
func versioned(etag string) http.Header {
	h := english()
	h.Set("If-Match", cmp.Or(etag, "*"))
	return h
}

// send sends a request below the company and returns a success.
func (c *Client) send(ctx context.Context, r erphttp.Request) (*erphttp.Answer, error) {
	company, err := c.inCompany(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.What, err)
	}
	r.Path = company + strings.TrimPrefix(r.Path, c.companyPath())
	if r.Header == nil {
		r.Header = english()
	}
	a, err := c.http.Do(ctx, r)
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	return a, err
}

// record is what is read of an order, an invoice, a shipment, a credit memo or a customer.
type record struct {
	ID               string       `json:"id"`
	ETag             string       `json:"@odata.etag"`
	Number           string       `json:"number"`
	OrderNumber      string       `json:"orderNumber"`
	Reference        string       `json:"externalDocumentNumber"`
	CustomerNumber   string       `json:"customerNumber"`
	Status           string       `json:"status"`
	CurrencyCode     string       `json:"currencyCode"`
	PricesIncludeTax bool         `json:"pricesIncludeTax"`
	Total            *json.Number `json:"totalAmountIncludingTax"`
	Email            string       `json:"email"`
	Blocked          string       `json:"blocked"`
	PaymentTermsID   string       `json:"paymentTermsId"`
	Lines            []recordLine `json:"salesOrderLines"`
	MemoLines        []recordLine `json:"salesCreditMemoLines"`
}

type recordLine struct {
	ID           string      `json:"id"`
	ETag         string      `json:"@odata.etag"`
	Type         string      `json:"lineType"`
	Object       string      `json:"lineObjectNumber"`
	Description2 string      `json:"description2"`
	Quantity     json.Number `json:"quantity"`
	Shipped      json.Number `json:"shippedQuantity"`
}

// search asks for the records of a set that have a value.
func (c *Client) search(ctx context.Context, what, set string, filter string, options url.Values) ([]record, error) {
	if options == nil {
		options = url.Values{}
	}
	options.Set("$filter", filter)
	a, err := c.send(ctx, erphttp.Request{What: what, Method: http.MethodGet, Path: "/" + set, Query: options, Header: fresh(), Question: true})
	if err != nil {
		return nil, event.MayBeDone(err)
	}
	var list struct {
		Value *[]record `json:"value"`
	}
	if err := a.Object(&list); err != nil || list.Value == nil {
		return nil, a.Unreadable(errors.Join(err, errors.New("there is no list")))
	}
	return *list.Value, nil
}

// equals is a filter for one value.
func equals(property, value string) string {
	return property + " eq '" + strings.ReplaceAll(value, "'", "''") + "'"
}

// code returns a value as a Code field keeps it.
func code(s string) string { return strings.ToUpper(strings.TrimSpace(s)) }
