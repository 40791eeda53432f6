// Package finops is the connector to Dynamics 365 Finance & Operations, by its OData data entities. docs/erp/finops.md says what
// goes where, and what the environment must be set up like.
package finops

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/erp/oauth"
	"github.com/mageline/mageline/event"
)

// Options is what the connector needs to know.
type Options struct {
	// URL is the environment's address, without /data.
	URL string
	// Company is the legal entity, the dataAreaId of every record.
	Company string
	// TokenURL, ClientID and ClientSecret are of the app registration in Microsoft Entra ID; an empty Scope is that of URL.
	TokenURL, ClientID, Scope string
	ClientSecret              func() string
	// Codes returns the shop's codes. It is asked for each order.
	Codes func() *codes.File
	// ReferencePrefix is before the reference of each customer.
	ReferencePrefix string
	// AddressName and CredentialName are what the settings are called that hold URL, and the credential, for errors.
	AddressName, CredentialName string
}

// Client is the connector. It is safe for concurrent use.
type Client struct {
	o    Options
	http *erphttp.Client
}

var (
	_ erp.OrderConnector     = (*Client)(nil)
	_ erp.Completer          = (*Client)(nil)
	_ erp.CreditMemoReporter = (*Client)(nil)
	_ erp.ShipmentReporter   = (*Client)(nil)
	_ erp.CustomerWriter     = (*Client)(nil)
)

// New makes a connector that calls through c, whose transport may have limits, a circuit and the traceparent header.
func New(c *http.Client, o Options) (*Client, error) {
	if o.Company == "" {
		return nil, errors.New("no company is named: want its dataAreaId, such as usmf")
	}
	if o.Codes == nil {
		o.Codes = func() *codes.File { return &codes.File{} }
	}
	o.URL = strings.TrimRight(o.URL, "/")
	tokens, err := oauth.New(oauth.Options{
		// The resource has no slash at its end: with one the token is refused.
		HTTP: c, TokenURL: o.TokenURL, ClientID: o.ClientID, Secret: o.ClientSecret, Scope: cmp.Or(o.Scope, o.URL+"/.default"),
		CredentialName: cmp.Or(o.CredentialName, "the ERP's credential"), Downstream: erphttp.Downstream,
	})
	if err != nil {
		return nil, err
	}
	h, err := erphttp.New(erphttp.Options{
		HTTP: tokens.Client(), Secrets: tokens.Secrets, URL: o.URL, AddressName: o.AddressName, CredentialName: o.CredentialName, Dialect: Dialect,
	})
	return &Client{o: o, http: h}, err
}

// The entity sets.
const (
	headers   = "SalesOrderHeadersV2"
	lines     = "SalesOrderLines"
	customers = "CustomersV3"
)

// across has records of every company shown: without it only the user's default company is.
func across(more url.Values) url.Values {
	if more == nil {
		more = url.Values{}
	}
	more.Set("cross-company", "true")
	return more
}

// key is the path of one record.
func (c *Client) key(set, name, value string) string {
	return "/data/" + set + "(" + url.PathEscape("dataAreaId="+quote(c.o.Company)+","+name+"="+quote(value)) + ")"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// send sends a request and returns a success.
func (c *Client) send(ctx context.Context, r erphttp.Request) (*erphttp.Answer, error) {
	r.Query = across(r.Query)
	a, err := c.http.Do(ctx, r)
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	return a, err
}

// change sends a change of one record, whatever its version is: what is sent says what is to be left.
func (c *Client) change(ctx context.Context, what, method, path string, body any, who *erp.SalesOrder) error {
	var text json.RawMessage
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return event.NotDone(err)
		}
	}
	_, err := c.send(ctx, erphttp.Request{What: what, Method: method, Path: path, Header: http.Header{"If-Match": {"*"}}, Body: text, Order: who})
	return err
}

// record is what is read of an order, a line or a customer.
type record struct {
	Number      string          `json:"SalesOrderNumber"`
	Reference   string          `json:"CustomersOrderReference"`
	Requisition string          `json:"CustomerRequisitionNumber"`
	Calculated  string          `json:"AreTotalsCalculated"`
	Total       decimal.Decimal `json:"OrderTotalAmount"`
	Ordering    string          `json:"OrderingCustomerAccountNumber"`

	Lot      string          `json:"InventoryLotId"`
	Item     string          `json:"ItemNumber"`
	External string          `json:"ExternalItemNumber"`
	Order    string          `json:"OrderLineReference"`
	Quantity decimal.Decimal `json:"OrderedSalesQuantity"`
	Amount   decimal.Decimal `json:"LineAmount"`

	Account string `json:"CustomerAccount"`
	Terms   string `json:"PaymentTerms"`
	OnHold  string `json:"OnHoldStatus"`
}

// search asks for the records of a set in the company that have a value.
func (c *Client) search(ctx context.Context, what, set, property, value, fields string) ([]record, error) {
	if strings.Contains(value, "*") { // a wildcard, which nothing escapes
		return nil, invalid("%s: %q has a *, which Finance & Operations takes for any text", what, value)
	}
	a, err := c.send(ctx, erphttp.Request{
		What: what, Method: http.MethodGet, Path: "/data/" + set, Question: true,
		Query: url.Values{"$filter": {"dataAreaId eq " + quote(c.o.Company) + " and " + property + " eq " + quote(value)}, "$select": {fields}},
	})
	if err != nil {
		return nil, err
	}
	var list struct {
		Value *[]record `json:"value"`
	}
	if err := a.Object(&list); err != nil || list.Value == nil {
		return nil, a.Unreadable(errors.Join(err, errors.New("there is no list")))
	}
	return *list.Value, nil
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
