// Package magentoapi is a client of Magento 2's REST API (Magento Open Source and Adobe Commerce, 2.4).
//
// A Client has a service for each resource and a method for each endpoint; Do reaches the endpoints that have none.
// It stands alone: it imports nothing of the program that it was written for. Each method names its endpoint, as it stands
// in Magento's reference (https://developer.adobe.com/commerce/webapi/rest/quick-reference/), and where it matters the
// class of Magento's that carries it out, which is in https://github.com/magento/magento2 below app/code/Magento.
//
// The first example shows how a client is made.
//
// What it does when things go wrong:
//
//   - Every refusal is an *Error with Magento's message, its parameters filled in; errors.Is tells the cases apart
//     (ErrNotFound, ErrUnauthorized, …). An answer of 2xx that can't be read is ErrUnreadable: the request may have
//     been carried out.
//   - A field of an unexpected form does not make an answer unreadable: see OddField.
//   - Errors of the network, and those of the given http.Client's transport, are wrapped: errors.As finds them.
//   - What only reads is repeated when Magento is busy or the connection is lost, with a pause: see Retries. A write is
//     repeated only where that does no harm, which its method says.
//   - A request that Magento answered with 401 or 403, which it has not carried out, is sent once more, with a renewed
//     credential. Requests with a body can't be rewound, so that net/http repeats nothing by itself.
//   - Redirects are not followed: they are an *Error.
//   - No error holds a credential, the query of an address, or a body; of a body only Magento's own message.
//
// Money and quantities are decimals read from the literal, never floats.
package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
)

const (
	// DefaultMaxBody is the largest answer that a Client reads, in bytes after decompression, unless Options say
	// otherwise.
	DefaultMaxBody = 32 << 20
	// maxErrorBody bounds what is read of an error's body; in developer mode it holds a stack trace.
	maxErrorBody = 1 << 20

	defaultUserAgent = "magentoapi-go"
)

// Options of a Client. The zero value is usable, for the few endpoints that need no credential.
type Options struct {
	// HTTPClient sends the requests; nil is a client without a time-out. It is copied: the copy follows no redirects.
	HTTPClient *http.Client
	// StoreCode is the store view in /rest/<code>/V1/…; empty is "all", the scope of all store views.
	StoreCode string
	// Auth adds the credential to each request; nil adds none.
	Auth Credential
	// UserAgent is sent with each request; empty is a default.
	UserAgent string
	// MaxBody is the largest answer that is read, in bytes after decompression; 0 is DefaultMaxBody. A larger one is
	// an error, ErrUnreadable.
	MaxBody int64
	// MaxItems is how many items a call may have where many are saved or read at once, such as prices: more are sent in
	// several calls. 0 is no bound. Magento's input limits (Web Api Input Limits) may allow 20; in 2.4.3 they did.
	MaxItems int
	// Retries say what is repeated; the zero value repeats three times.
	Retries Retries
	// OnOdd, if it is set, is told of each answer in which fields have an unexpected form: the call, as in
	// GET /V1/orders/57, and the fields. It must not keep them waiting, and may be called by several goroutines at once.
	OnOdd func(ctx context.Context, call string, fields []OddField)
}

// A Client calls one Magento. Its methods may be called by several goroutines at once.
type Client struct {
	AddressAttributes  *AttributeMetadataService
	AttributeSets      *AttributeSetsService
	Attributes         *AttributesService
	Bulk               *BulkService
	Bundles            *BundlesService
	Carts              *CartsService
	Categories         *CategoriesService
	Configurable       *ConfigurableService
	Coupons            *CouponsService
	CreditMemos        *CreditMemosService
	CustomerAttributes *AttributeMetadataService
	CustomerGroups     *CustomerGroupsService
	Customers          *CustomersService
	Inventory          *InventoryService
	Invoices           *InvoicesService
	Modules            *ModulesService
	Orders             *OrdersService
	Prices             *PricesService
	ProductOptions     *ProductOptionsService
	Products           *ProductsService
	SalesRules         *SalesRulesService
	Shipments          *ShipmentsService
	StockItems         *StockItemsService
	Stores             *StoresService
	Taxes              *TaxesService
	Transactions       *TransactionsService

	http      *http.Client
	root      string // …/rest
	base      string // …/rest/<code>, without a slash at its end
	auth      Credential
	userAgent []string
	maxBody   int64
	maxItems  int
	retries   Retries
	onOdd     func(ctx context.Context, call string, fields []OddField)
	accepted  *atomic.Bool // Magento has accepted the credential at least once
}

// Magento's own rule for the code of a store view (Store\Model\Validation\StoreCodeValidator).
var storeCode = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`)

// apiSegment is a part of a path that belongs to an API and not to the shop's address.
var apiSegment = regexp.MustCompile(`(?i)^(rest|soap|graphql|V[0-9]+)$`)

// New makes a Client of the Magento at baseURL: the shop's base address, with or without a sub-path, with or without
// /rest at its end. The address may hold no user, query or fragment. Nothing is sent.
func New(baseURL string, o Options) (*Client, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	if o.StoreCode == "" {
		o.StoreCode = "all"
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{}
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	client := *o.HTTPClient
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{
		http: &client, root: base, auth: o.Auth, userAgent: []string{o.UserAgent}, maxBody: o.MaxBody,
		maxItems: o.MaxItems, retries: o.Retries.orDefaults(), onOdd: o.OnOdd, accepted: &atomic.Bool{},
	}
	return c.Store(o.StoreCode)
}

// Store gives a client of the same Magento for a store view, by its code, or for "all" of them. They share transport,
// credential and options; nothing is sent. What is saved for a store view hides what is saved for all.
func (c *Client) Store(code string) (*Client, error) {
	if !storeCode.MatchString(code) {
		return nil, fmt.Errorf("magento: store code %q: must be letters, digits and underscores, a letter first", code)
	}
	of := *c
	of.base = c.root + "/" + code
	of.makeServices()
	return &of, nil
}

func (c *Client) makeServices() {
	c.AddressAttributes = &AttributeMetadataService{c, "customerAddress"}
	c.AttributeSets = &AttributeSetsService{c}
	c.Attributes = &AttributesService{c}
	c.Bulk = &BulkService{c}
	c.Bundles = &BundlesService{c}
	c.Carts = &CartsService{c}
	c.Categories = &CategoriesService{c}
	c.Configurable = &ConfigurableService{c}
	c.Coupons = &CouponsService{c}
	c.CreditMemos = &CreditMemosService{c}
	c.CustomerAttributes = &AttributeMetadataService{c, "customer"}
	c.CustomerGroups = &CustomerGroupsService{c}
	c.Customers = &CustomersService{c}
	c.Inventory = &InventoryService{c}
	c.Invoices = &InvoicesService{c}
	c.Modules = &ModulesService{c}
	c.Orders = &OrdersService{c}
	c.Prices = &PricesService{c}
	c.ProductOptions = &ProductOptionsService{c}
	c.Products = &ProductsService{c}
	c.SalesRules = &SalesRulesService{c}
	c.Shipments = &ShipmentsService{c}
	c.StockItems = &StockItemsService{c}
	c.Stores = &StoresService{c}
	c.Taxes = &TaxesService{c}
	c.Transactions = &TransactionsService{c}
}

// parseBase gives the address up to and with /rest. The address itself is in none of its errors: it may hold a password.
func parseBase(baseURL string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(baseURL))
	if err != nil { // which may quote a password
		return "", errors.New("magento: base address: is not an address such as https://shop.example/sub-path")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("magento: base address: must begin with https:// or http://")
	case u.Hostname() == "":
		return "", errors.New("magento: base address: has no host")
	case u.User != nil:
		return "", errors.New("magento: base address: must hold no user and password; the credential is given by itself")
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("magento: base address: must hold no query and no fragment")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, "/rest"), "/")
	for segment := range strings.SplitSeq(path, "/") {
		if apiSegment.MatchString(segment) {
			return "", fmt.Errorf("magento: base address: must end at /rest or before it, without /%s; the store code is given by itself", segment)
		}
	}
	host := strings.ToLower(u.Host)
	// net/http sends a default port in the Host header if the address has one; what Magento signs it has not.
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host + path + "/rest", nil
}

// Do sends one request and decodes the answer. It serves the endpoints that have no method here, a shop's own too.
//
// The path is what follows /rest/<code> and begins with /V1/; its parts are escaped already (url.PathEscape, for a SKU
// with a slash). The query may be nil. A body that is not nil is sent as JSON. The answer is decoded into out, a pointer
// (*json.RawMessage keeps it as it came), unless out is nil; it must be JSON all the same, or empty.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body, out any) error {
	if out != nil {
		out = callers{out}
	}
	return c.call(ctx, operation{method: method, path: path, query: encodeQuery(query)}, body, out)
}
