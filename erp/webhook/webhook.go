// Package webhook is the connector to a shop's own ERP adapter: a small HTTP API that the shop writes, described in
// mageline's documentation of the webhook ERP. The model of package erp is sent as it is.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Options is what the connector needs to know.
type Options struct {
	// URL is the adapter's base address, http or https; paths are added to it, and its query is kept.
	URL string
	// AddressName and CredentialName are what the settings are called that hold URL, and Token and Secret, for errors.
	AddressName, CredentialName string
	// Token and Secret are asked before each request, so that a secret that was changed in its file is used at once.
	// Token is the bearer; Secret signs the body. nil or "": the header is left out.
	Token, Secret func() string
	// Now tells the time for signatures; nil is time.Now.
	Now func() time.Time
}

// Client is the connector. It keeps no state and is safe for concurrent use.
type Client struct {
	http          *erphttp.Client
	token, secret func() string
	now           func() time.Time
}

var (
	_ erp.OrderConnector     = (*Client)(nil)
	_ erp.ShipmentReporter   = (*Client)(nil)
	_ erp.CreditMemoReporter = (*Client)(nil)
	_ erp.CustomerWriter     = (*Client)(nil)
)

// New makes a connector that calls through c, whose transport may have limits, a circuit and the traceparent header.
func New(c *http.Client, o Options) (*Client, error) {
	w := &Client{token: o.Token, secret: o.Secret, now: o.Now}
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
	var err error
	w.http, err = erphttp.New(erphttp.Options{
		HTTP: c, URL: o.URL, AddressName: o.AddressName, CredentialName: o.CredentialName,
		Authorize: w.authorize, Secrets: func() []string { return []string{w.secret()} }, Now: w.now,
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (c *Client) authorize(req *http.Request, body []byte, _ bool) error {
	if token := c.token(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if secret := c.secret(); secret != "" {
		req.Header.Set("X-Mageline-Signature", sign(secret, c.now(), body))
	}
	return nil
}

// sign makes the value of X-Mageline-Signature.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Build returns one POST to /sales-orders with the order as it is.
func (c *Client) Build(o erp.SalesOrder) (erp.Payload, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return erp.Payload{}, &event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream,
			Err: fmt.Errorf("write sales order %s as JSON: %w", o.ExternalReference, err),
		}
	}
	return erp.Payload{Order: o, Requests: []erp.Request{{Method: http.MethodPost, Path: erphttp.Path("sales-orders"), Body: body}}}, nil
}

// Create sends what Build made. A 409 that names a document says that it is there already, which is the same as created. A
// 2xx without a number, with a JSON object or with no body, is a Document that is Accepted.
func (c *Client) Create(ctx context.Context, call erp.Call, p erp.Payload) (erp.Document, error) {
	what := "create sales order " + p.Order.ExternalReference
	if len(p.Requests) != 1 {
		return erp.Document{}, event.NotDone(&event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream,
			Err: fmt.Errorf("%s: the payload has %d requests: want the one that Build makes", what, len(p.Requests)),
		})
	}
	post := p.Requests[0]
	a, err := c.http.Do(ctx, erphttp.Request{
		What: what, Method: post.Method, Path: post.Path, Header: keyed(call.Key), Body: post.Body, Order: &p.Order,
	})
	if err != nil {
		return erp.Document{}, err
	}
	if !a.OK() && a.Status != http.StatusConflict {
		return erp.Document{}, a.Refused()
	}
	number, err := documentNumber(a)
	switch {
	case err == nil && number != "":
		return erp.Document{Number: number}, nil
	case !a.OK():
		return erp.Document{}, a.Refused()
	case err != nil:
		return erp.Document{}, a.Unreadable(err)
	default:
		return erp.Document{Accepted: true}, nil
	}
}

// Find asks /sales-orders?external_reference=…; a 404 means none. A document without a number yet is Accepted.
func (c *Client) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	a, err := c.http.Do(ctx, erphttp.Request{
		What: "find sales order " + reference, Method: http.MethodGet, Path: erphttp.Path("sales-orders"),
		Query: url.Values{"external_reference": {reference}}, Question: true,
	})
	switch {
	case err != nil:
		return nil, err
	case a.Status == http.StatusNotFound:
		return nil, nil
	case !a.OK():
		return nil, a.Refused()
	}
	found, err := documents(a, reference)
	if err != nil {
		return nil, a.Unreadable(err)
	}
	return found, nil
}

// Cancel posts to /sales-orders/{document number}/cancel. Any 2xx is success, whatever its body is.
func (c *Client) Cancel(ctx context.Context, call erp.Call, d erp.Document, x erp.Cancellation) error {
	what := "cancel document " + d.Number
	body, err := json.Marshal(x)
	if err != nil {
		return event.NotDone(&event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: write the body as JSON: %w", what, err),
		})
	}
	a, err := c.http.Do(ctx, erphttp.Request{
		What: what, Method: http.MethodPost, Path: erphttp.Path("sales-orders", d.Number, "cancel"), Header: keyed(call.Key), Body: body,
	})
	switch {
	case err != nil:
		return err
	case !a.OK():
		return a.Refused()
	default:
		return nil
	}
}

func keyed(key string) http.Header { return http.Header{"Idempotency-Key": {key}} }

// documentNumber returns the document_number of a JSON object; "" if it has none, or if the body is empty. Every other
// body is an error.
func documentNumber(a *erphttp.Answer) (string, error) {
	if a.Empty() {
		return "", nil
	}
	var doc struct {
		DocumentNumber json.RawMessage `json:"document_number"`
	}
	if err := a.Object(&doc); err != nil {
		return "", err
	}
	return erphttp.Text("document_number", doc.DocumentNumber)
}

// documents reads the list that answers a search for a reference.
func documents(a *erphttp.Answer, reference string) ([]erp.Document, error) {
	var list struct {
		Items json.RawMessage `json:"items"`
	}
	if err := a.Object(&list); err != nil {
		return nil, err
	}
	if list.Items == nil {
		return nil, errors.New("the object has no items")
	}
	var items []struct {
		DocumentNumber    json.RawMessage `json:"document_number"`
		ExternalReference json.RawMessage `json:"external_reference"`
	}
	if err := json.Unmarshal(list.Items, &items); err != nil {
		return nil, errors.New("items is not a list of objects")
	}
	var docs []erp.Document
	seen := make(map[string]bool, len(items))
	others := 0
	for _, item := range items {
		ref, err := erphttp.Text("external_reference", item.ExternalReference)
		if err != nil {
			return nil, err
		}
		if ref != "" && ref != reference {
			others++
			continue
		}
		number, err := erphttp.Text("document_number", item.DocumentNumber)
		if err != nil {
			return nil, err
		}
		if ref == "" && number == "" {
			return nil, errors.New("an item has neither document_number nor external_reference")
		}
		if !seen[number] {
			seen[number] = true
			docs = append(docs, erp.Document{Number: number, Accepted: number == ""})
		}
	}
	// An adapter that does not filter, or shows only its first page, would make every order look new.
	if len(docs) == 0 && others > 0 {
		return nil, fmt.Errorf("%d items, and none has this external_reference: the adapter must search for it", others)
	}
	return docs, nil
}
