// Package fakemagento is a Magento shop as its REST API shows it, for tests and the demo: orders with their comments, the
// catalog, stock, customers, carts, bulk operations and the stores. It is written from Magento's sources and shares no
// code with the client that it is there to test.
package fakemagento

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit/fault"
)

// Options are what the shop is like. With no credential set, nobody is asked for one.
type Options struct {
	// Version is the release that the shop is; empty: 2.4.5, which takes the most that does harm without a word.
	Version Version
	// Token is an integration's access token, accepted as bearer.
	Token string
	// OAuth are the four values of an integration that signs its requests.
	OAuth OAuth
	// DecodesPath has signatures checked as Magento 2.4.6 does: over a path in which some of what was escaped is not.
	DecodesPath bool
	// Username and Password are those of an admin who may fetch tokens.
	Username, Password string
	// AdminTokenLifetime is how long such a token is good for; 0 is Magento's 4 h.
	AdminTokenLifetime time.Duration
	// Stores are the store views; none: one, English, in Berlin's time zone.
	Stores []Store
	// Edition is what the shop was bought as; empty: Magento Open Source.
	Edition Edition
	// PriceScope is the setting Stores > Configuration > Catalog > Catalog > Price > Catalog Price Scope; empty: ScopeGlobal.
	PriceScope PriceScope
	// NoInventory is a shop whose modules of multi-source inventory (MSI) were taken out: there are stock items only.
	NoInventory bool
	// Denied are the resources that the integration was not given, such as "Magento_Catalog::catalog".
	Denied []string
	// Seed is that of the faults and of the deadlocks.
	Seed uint64
	// ItemLimit is how many items a list in a body may have, as the Web API input limits say; 0 is no limit.
	ItemLimit int
	// Keep bounds the orders that are remembered, the newest, and the carts; 0 is 100,000 of each.
	Keep int
	// AsyncDelay is how long an asynchronous operation stays open: the first request after it carries it out.
	AsyncDelay time.Duration
	// Sources are the codes of the places that goods are sent from (MSI); none: "default".
	Sources []string
	// Carriers are the codes of the installed carriers; none: those that Magento comes with.
	Carriers []string
}

// Edition is Magento Open Source or Adobe Commerce.
type Edition string

const (
	// OpenSource is without Content Staging.
	OpenSource Edition = ""
	// Commerce has Content Staging, where a special price is a scheduled update.
	Commerce Edition = "commerce"
)

// PriceScope says whether websites have prices of their own.
type PriceScope string

const (
	// ScopeGlobal is one price for all websites.
	ScopeGlobal PriceScope = ""
	// ScopeWebsite is a price for each website, kept for each of its store views.
	ScopeWebsite PriceScope = "website"
)

// Store is a store view.
type Store struct {
	ID                 int
	Code, Name         string
	WebsiteID          int
	Locale, Timezone   string
	BaseCurrency       string
	DefaultDisplayCode string // currency; empty: BaseCurrency
}

const (
	defaultKeep     = 100_000
	defaultLifetime = 4 * time.Hour
	maxBody         = 16 << 20
)

// Server is the shop. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers. A fault of Kind Late or Drop does the work first.
	Faults *fault.Injector

	options Options
	handler http.Handler

	mu        sync.Mutex
	orders    []*order // by entity id
	numbered  map[string][]*order
	nextID    int
	nextItem  int
	sequences map[int]int // by store id: the last order number
	statuses  map[string][]string
	counts    map[string]int
	problems  map[string]int
	admin     map[string]time.Time // admin tokens and when they end
	nonces    map[string]bool
	nonceRing []string

	catalog    catalog
	updates    map[int64]bool // the seconds in which scheduled updates begin
	inventory  inventory
	stockIndex lagging
	customers  customers
	carts      carts
	bulks      bulks
	separately map[string]bool // item ids of bundles whose components are shipped one by one
	shipments  shipments
	sales      sales
	taxes      taxes

	load      load
	closed    chan struct{}
	closeOnce sync.Once
}

// New gives a shop without orders.
func New(o Options) *Server {
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	if o.AdminTokenLifetime == 0 {
		o.AdminTokenLifetime = defaultLifetime
	}
	if o.Version == "" {
		o.Version = V245
	}
	if !slices.Contains(append(Versions(), V241), o.Version) {
		panic(fmt.Errorf("fakemagento: there is no version %q, but %q", o.Version, Versions()))
	}
	if len(o.Stores) == 0 {
		o.Stores = []Store{{ID: 1, Code: "default", Name: "Default Store View", WebsiteID: 1, Locale: "en_US", Timezone: "Europe/Berlin", BaseCurrency: "EUR"}}
	}
	if len(o.Sources) == 0 {
		o.Sources = []string{defaultSource}
	}
	if len(o.Carriers) == 0 {
		o.Carriers = []string{"dhl", "fedex", "ups", "usps"}
	}
	s := &Server{
		Faults:    fault.New(o.Seed, failure),
		closed:    make(chan struct{}),
		load:      load{random: rand.New(rand.NewPCG(o.Seed, o.Seed))},
		options:   o,
		nextItem:  1000,
		sequences: map[int]int{},
		statuses: map[string][]string{
			"new":             {"pending"},
			"pending_payment": {"pending_payment"},
			"processing":      {"processing", "fraud"},
			"complete":        {"complete"},
			"closed":          {"closed"},
			"canceled":        {"canceled"},
			"holded":          {"holded"},
			"payment_review":  {"payment_review", "fraud"},
		},
		counts:   map[string]int{},
		problems: map[string]int{},
		admin:    map[string]time.Time{},
		nonces:   map[string]bool{},

		separately: map[string]bool{},
		updates:    map[int64]bool{},
		shipments:  shipments{byID: map[int]*shipment{}, of: map[int][]*shipment{}, numbers: map[int]int{}},
	}
	s.inventory.init(o.Sources)
	s.customers.init()
	s.carts.init()
	s.bulks.init()
	s.taxes.init()
	routes := http.NewServeMux()
	routes.HandleFunc("POST /V1/integration/admin/token", s.adminToken)
	routes.Handle("GET /V1/orders/{id}", s.allowed("Magento_Sales::actions_view", s.getOrder))
	routes.Handle("GET /V1/orders", s.allowed("Magento_Sales::actions_view", s.searchOrders))
	routes.Handle("POST /V1/orders/{id}/comments", s.allowed("Magento_Sales::comment", s.addComment))
	routes.Handle("GET /V1/orders/{id}/{part}", s.allowed("Magento_Sales::actions_view", s.orderParts))
	s.salesRoutes(routes)
	s.catalog = newCatalog(o.Stores)
	s.storeRoutes(routes)
	s.stockItemRoutes(routes)
	if !o.NoInventory {
		s.inventoryRoutes(routes)
	}
	s.customerRoutes(routes)
	s.customerGroupRoutes(routes)
	s.attributeMetadataRoutes(routes)
	s.cartRoutes(routes)
	s.taxRoutes(routes)
	s.salesRuleRoutes(routes)
	s.bulkRoutes(routes)
	routes.Handle("GET /V1/modules", s.allowed("Magento_Backend::admin", s.modules))
	s.shipmentRoutes(routes)
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "Request does not match any route.", nil)
	})
	s.bulks.api = s.catalogRoutes(routes)
	s.handler = s.count(bounded(s.Faults.Wrap(s.storeScope(filtered(s.bulks.api)))))
	return s
}

// Close abandons late answers, and calls that take their time.
func (s *Server) Close() {
	s.Faults.Close()
	s.closeOnce.Do(func() { close(s.closed) })
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.consume()
	s.handler.ServeHTTP(w, r)
}

// Requests counts the requests by endpoint ("GET /V1/orders/:id"), those that failed too.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Problems gives what a real Magento would let pass and a client should not do, and how often.
func (s *Server) Problems() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.problems)
}

// AddStatus assigns a status to a state, as an admin does for a status of the shop's own.
func (s *Server) AddStatus(state, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[state] = append(slices.Clone(s.statuses[state]), status)
}

var (
	scope  = regexp.MustCompile(`^/rest(?:/([^/]+))??((?:/async(?:/bulk)?)?/V1/.*)$`)
	digits = regexp.MustCompile(`/\d+(/|$)`)
	// stocked are the endpoints of the stock item of a SKU.
	stocked = regexp.MustCompile(`^(/V1/(?:stockItems|stockStatuses)/)[^/]+$`)
	sku     = regexp.MustCompile(`^(/V1/(?:products|configurable-products|bundle-products)/)[^/]+`)
	// notSKU are the endpoints that have a word of their own where others have the SKU.
	notSKU = regexp.MustCompile(`^/V1/(?:configurable-products/variation|bundle-products/options/|products/(?:attribute|options(?:/|$)|types$|links/types|media/types|` +
		`(?:base|tier|special)-price|cost))`)
)

// count keeps the number of requests of each endpoint, and bounds bodies.
func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		path := r.URL.EscapedPath()
		if parts := scope.FindStringSubmatch(path); parts != nil {
			path = parts[2]
		}
		path = stocked.ReplaceAllString(path, "$1:sku")
		if !notSKU.MatchString(path) {
			path = sku.ReplaceAllString(path, "$1:sku")
		}
		endpoint := r.Method + " " + digits.ReplaceAllString(path, "/:id$1")
		s.mu.Lock()
		if len(s.counts) < 1000 || s.counts[endpoint] > 0 { // a scan for paths must not fill the memory
			s.counts[endpoint]++
		}
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

type storeKey struct{}

// storeScope takes /rest/<store code> off the path. The OAuth check needs the URL as it came: it goes on in the context,
// and with it the id of the store view, 0 for all.
func (s *Server) storeScope(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := scope.FindStringSubmatch(r.URL.EscapedPath())
		if parts == nil {
			refuse(w, http.StatusNotFound, "Request does not match any route.", nil)
			return
		}
		store := s.options.Stores[0].ID // where no code is given
		switch code := parts[1]; code {
		case "":
		case "all":
			store = 0
		default:
			at := slices.IndexFunc(s.options.Stores, func(st Store) bool { return st.Code == code })
			if at < 0 {
				refuse(w, http.StatusNotFound, "The store that was requested wasn't found. Verify the store and try again.", nil)
				return
			}
			store = s.options.Stores[at].ID
		}
		escaped := strings.TrimRight(parts[2], "/") // as Magento's router does
		path, err := url.PathUnescape(escaped)
		if err != nil {
			refuse(w, http.StatusNotFound, "Request does not match any route.", nil)
			return
		}
		inner := r.Clone(context.WithValue(withSignedURL(r.Context(), r), storeKey{}, store))
		inner.URL.Path, inner.URL.RawPath = path, escaped
		next.ServeHTTP(w, inner)
	})
}

// refuse answers with an error as Magento's ordinary path does: the raw template, and its parameters beside it.
func refuse(w http.ResponseWriter, status int, template string, parameters any) {
	body := map[string]any{"message": template}
	if several, ok := parameters.(fieldErrors); ok {
		body["errors"] = several
	} else if parameters != nil {
		body["parameters"] = parameters
	}
	answer(w, status, body)
}

// failure is the body of an injected failure: 500 is an unexpected exception, anything else is told in Magento's second
// error shape, that of a failure while an answer is made.
func failure(status int) []byte {
	var body any = map[string]any{"messages": map[string]any{"error": []any{
		map[string]any{"code": status, "message": http.StatusText(status)},
	}}}
	switch status {
	case http.StatusInternalServerError:
		body = map[string]any{"message": "Internal Error. Details are available in Magento log file. Report ID: webapi-6743a1b2c3d4e"}
	case http.StatusBadRequest:
		body = map[string]any{"message": "Could not save the order: SQLSTATE[40001]: Serialization failure: 1213 Deadlock found when trying to get lock; try restarting transaction"}
	case http.StatusUnauthorized:
		body = map[string]any{"message": "The consumer isn't authorized to access %resources.", "parameters": map[string]any{"resources": "Magento_Sales::actions_view"}}
	}
	return encode(body)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(encode(body))
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("fakemagento: an answer that is no JSON: %w", err))
	}
	return body
}
