// Package fakenetsuite is Oracle NetSuite behind its REST web services (docs/erp/netsuite.md), for tests and the demo. It is as
// strict as the real one: it refuses unknown fields, wrong types and lengths, a second record with an external id, and calls over
// the account's limit, and does its sums itself. What it has booked can be read back.
package fakenetsuite

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/odata"
)

//go:embed schema.yaml
var schemaText string

var schema = odata.ParseSchema(schemaText)

// Where the services are.
const (
	RecordPath = "/services/rest/record/v1"
	QueryPath  = "/services/rest/query/v1/suiteql"
	TokenPath  = "/services/rest/auth/oauth2/v1/token"
)

// Options are what the account is set up like. The zero value has SuiteTax, takes OAuth 2.0, and has every item.
type Options struct {
	Seed uint64
	// TokenBased is true where requests are signed by token-based authentication, and no access tokens are issued.
	TokenBased bool
	// RSA is true where the certificate has a key of RSA, in place of one on P-256.
	RSA bool
	// LegacyTax is an account without SuiteTax: taxDetails are refused.
	LegacyTax bool
	// ShippingTaxLine has the tax of shipping in the header refused: it wants a line of its own.
	ShippingTaxLine bool
	// NamesByHand numbers no customers by itself: their names must be unique.
	NamesByHand bool
	// OneWorld has customers and orders without a subsidiary refused.
	OneWorld bool
	// PackageWeights has packages without a weight refused.
	PackageWeights bool
	// Concurrency is how many calls of the account run at once; 0 is 55: the highest tier.
	Concurrency int
	// Columns are the account's own fields, custbody_, custcol_ and custentity_.
	Columns []string
	// Keep bounds the records of a type that are kept, the newest; 0 is 100,000.
	Keep int
}

// Server is the account. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers, but for tokens. A fault of Kind Late or Drop books first.
	Faults *fault.Injector
	Tokens *Tokens

	options Options
	handler http.Handler
	closed  chan struct{}
	close   sync.Once
	running sync.WaitGroup

	mu        sync.Mutex
	seq       int
	tables    map[string]*table
	items     map[string]string // ids by number
	numbers   map[string]string // numbers by id
	requests  int
	refused   map[string]int
	problems  map[string]int // what no client may do
	knobs     knobs
	inFlight  int
	mostCalls int
}

// table is the records of a type.
type table struct {
	byID, byReference map[string]*record
	byNumber          map[string][]*record // of documents by tranId, of customers by e-mail in lower case
	all               []*record
}

// record is one record.
type record struct {
	kind, id, reference string
	booked              time.Time
	values              map[string]any
	lines               []map[string]any // of item
	first               []decimal.Decimal
	taxes               []map[string]any
	more                map[string][]map[string]any // other collections
	order               *record                     // of a fulfilment
	deleted             bool
}

// problem is a refusal.
type problem struct {
	status           int
	code, text, path string
}

func refusal(code, path, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, code, fmt.Sprintf(format, args...), path}
}

// Codes of errors, and how the texts of most begin.
const (
	codeUser    = "USER_ERROR"
	codeContent = "INVALID_CONTENT"
	access      = "Error while accessing a resource. "
)

// Customers that the account has.
const (
	GuestsID = "9000"
	DemoID   = "10000"
)

// New returns an account with two customers. Close ends it.
func New(o Options) *Server {
	if o.Concurrency == 0 {
		o.Concurrency = 55
	}
	if o.Keep == 0 {
		o.Keep = 100_000
	}
	s := &Server{
		Faults:  fault.New(o.Seed, func(status int) []byte { return errorBody(status, "UNEXPECTED_ERROR", http.StatusText(status), "") }),
		Tokens:  newTokens(o.RSA),
		options: o, closed: make(chan struct{}), seq: 1000,
		tables: map[string]*table{}, items: map[string]string{}, numbers: map[string]string{}, refused: map[string]int{}, problems: map[string]int{},
	}
	s.knobs.missing = map[string]bool{}
	for _, kind := range kinds {
		s.tables[kind] = &table{byID: map[string]*record{}, byReference: map[string]*record{}, byNumber: map[string][]*record{}}
	}
	s.person(GuestsID, "Guests of the shop", "")
	s.person(DemoID, "Demo customer", "")
	routes := http.NewServeMux()
	routes.Handle(TokenPath, s.Tokens)
	routes.Handle("/", s.Faults.Wrap(http.HandlerFunc(s.serve)))
	s.handler = routes
	return s
}

var kinds = []string{"salesOrder", "itemFulfillment", "creditMemo", "customer"}

// person adds a customer with an id.
func (s *Server) person(id, name, email string) *record {
	c := &record{kind: "customer", id: id, booked: time.Now(), values: map[string]any{"entityId": name, "companyName": name, "email": email}}
	s.add(c)
	return c
}

// Close abandons what is waited for and waits for the rest.
func (s *Server) Close() {
	s.close.Do(func() { close(s.closed) })
	s.Faults.Close()
	s.running.Wait()
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.options.TokenBased && r.URL.Path == TokenPath {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.handler.ServeHTTP(w, r)
}

func errorBody(status int, code, text, path string) []byte {
	detail := map[string]string{"detail": text, "o:errorCode": code}
	if path != "" {
		detail["o:errorPath"] = path
	}
	return encode(map[string]any{
		"type":  "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4",
		"title": http.StatusText(status), "status": status, "o:errorDetails": []any{detail},
	})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("fakenetsuite: an answer that is no JSON: " + err.Error())
	}
	return b
}

// answer is what is answered to a request.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

func (p *problem) answer() answer {
	return answer{status: p.status, body: errorBody(p.status, p.code, p.text, p.path)}
}

// serve answers one call of the services.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client left while it was sending
	}
	s.mu.Lock()
	s.requests++
	s.inFlight++
	s.mostCalls = max(s.mostCalls, s.inFlight)
	a, late := s.before(r, body), time.Duration(0)
	if a == nil && r.Method == http.MethodPost && r.URL.Path != QueryPath && s.knobs.commitAfter > 0 {
		late = s.knobs.commitAfter
	}
	if a == nil && late == 0 {
		did := s.do(r, body)
		a = &did
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inFlight--
		s.mu.Unlock()
	}()
	if late > 0 {
		a = s.doLate(r, body, late)
	}
	if len(a.body) > 0 {
		w.Header().Set("Content-Type", "application/vnd.oracle.resource+json")
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// doLate does the work after the time that it takes, though the client may have given up.
func (s *Server) doLate(r *http.Request, body []byte, after time.Duration) *answer {
	done := make(chan answer, 1)
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-s.closed:
			return
		case <-timer.C:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		done <- s.do(r, body)
	}()
	select {
	case a := <-done:
		return &a
	case <-r.Context().Done():
	case <-s.closed:
	}
	panic(http.ErrAbortHandler)
}

// before refuses what never gets to the application. It needs mu.
func (s *Server) before(r *http.Request, body []byte) *answer {
	k := &s.knobs
	refuse := func(p *problem) *answer {
		s.refused[p.code]++
		a := p.answer()
		return &a
	}
	login := &problem{http.StatusUnauthorized, "INVALID_LOGIN", "Invalid login attempt.", ""}
	limit := &problem{http.StatusTooManyRequests, "CONCURRENCY_LIMIT_EXCEEDED", "Concurrent request limit exceeded. Request blocked.", ""}
	if k.throttleAsLogin {
		limit = login
	}
	switch {
	case s.inFlight > s.options.Concurrency:
		return refuse(limit)
	case k.throttled > 0:
		k.throttled--
		a := refuse(limit)
		if k.retryAfter != "" {
			a.header = map[string]string{"Retry-After": k.retryAfter}
		}
		return a
	case k.unavailable > 0:
		k.unavailable--
		a := refuse(&problem{http.StatusServiceUnavailable, "unavailable", "", ""})
		a.header, a.body = map[string]string{"Content-Type": "text/plain"}, []byte("Service Unavailable")
		return a
	case s.options.TokenBased && !s.Tokens.signed(r), !s.options.TokenBased && !s.Tokens.good(r):
		return refuse(login)
	case len(body) > 0 && r.Header.Get("Content-Type") != "application/json":
		return refuse(&problem{http.StatusUnsupportedMediaType, codeContent, "Unsupported content type.", ""})
	}
	if r.Method == http.MethodGet || r.URL.Path == QueryPath {
		return nil
	}
	switch {
	case k.forbidden > 0:
		k.forbidden--
		return refuse(&problem{http.StatusForbidden, "INSUFFICIENT_PERMISSION", "You do not have permission to access this record.", ""})
	case k.noRole > 0:
		k.noRole--
		return refuse(refusal(codeUser, "", "Your current role does not have permission to perform this action."))
	case k.changed > 0:
		k.changed--
		return refuse(&problem{k.changedStatus, "RCRD_HAS_BEEN_CHANGED", "Record has been changed.", ""})
	case k.workflow > 0:
		k.workflow--
		return refuse(refusal(codeUser, "", access+"This record has been locked by a user defined workflow."))
	}
	return nil
}

// do does what is asked. It needs mu.
func (s *Server) do(r *http.Request, body []byte) answer {
	a, p := s.route(r, body)
	if p != nil {
		s.refused[p.code+": "+p.text]++
		return p.answer()
	}
	return a
}

var addresses = regexp.MustCompile(`^/(\w+)(?:/([^/]+))?(?:/!transform/(\w+))?$`)

func (s *Server) route(r *http.Request, body []byte) (answer, *problem) {
	if r.URL.Path == QueryPath {
		return s.suiteQL(r, body)
	}
	at, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), RecordPath))
	m := addresses.FindStringSubmatch(at)
	if err != nil || !strings.HasPrefix(r.URL.Path, RecordPath) || m == nil || s.tables[m[1]] == nil {
		s.problems["an address that is none: "+r.URL.Path]++
		return answer{}, &problem{http.StatusNotFound, "NOT_FOUND", "The requested page does not exist.", ""}
	}
	kind, id, transform := m[1], m[2], m[3]
	if id == "" {
		switch r.Method {
		case http.MethodGet:
			return s.filter(kind, r)
		case http.MethodPost:
			return s.create(kind, nil, r, body)
		}
		return answer{}, notAllowed
	}
	found := s.find(kind, id)
	if found == nil {
		return answer{}, &problem{http.StatusNotFound, "NONEXISTENT_ID", "The record instance does not exist. Provide a valid record instance ID.", ""}
	}
	switch {
	case transform == "itemFulfillment" && kind == "salesOrder" && r.Method == http.MethodPost:
		if strings.HasPrefix(id, "eid:") {
			return answer{}, refusal(codeContent, "", "Invalid record instance ID %s.", id)
		}
		return s.create("itemFulfillment", found, r, body)
	case transform != "":
		return answer{}, &problem{http.StatusNotFound, "NOT_FOUND", "The transformation is not supported.", ""}
	case r.Method == http.MethodGet:
		return s.show(found, r.URL.Query())
	case r.Method == http.MethodPatch:
		return s.change(found, r, body)
	}
	return answer{}, notAllowed
}

var notAllowed = &problem{http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "The method is not allowed here.", ""}

// find returns a record by its internal id or, with eid:, its external id; nil where there is none.
func (s *Server) find(kind, id string) *record {
	r := s.tables[kind].byID[id]
	if reference, ok := strings.CutPrefix(id, "eid:"); ok {
		r = s.tables[kind].byReference[reference]
	}
	if r != nil && r.deleted {
		return nil
	}
	return r
}

// add puts a record into its table. It needs mu, as all that follows.
func (s *Server) add(r *record) {
	t := s.tables[r.kind]
	t.byID[r.id] = r
	if r.reference != "" {
		t.byReference[r.reference] = r
	}
	key := text(r.values["tranId"])
	if r.kind == "customer" {
		key = strings.ToLower(text(r.values["email"]))
	}
	if key != "" {
		t.byNumber[key] = append(t.byNumber[key], r)
	}
	t.all = append(t.all, r)
	if extra := len(t.all) - s.options.Keep; extra > 0 {
		for _, old := range t.all[:extra] {
			delete(t.byID, old.id)
			delete(t.byReference, old.reference)
		}
		t.all = slices.Delete(t.all, 0, extra)
	}
}

// Requests returns the number of calls, but for tokens.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Problems returns what was wrong with calls that no refusal tells of, and how often.
func (s *Server) Problems() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.problems)
}

// Refusals returns what was refused, and how often.
func (s *Server) Refusals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// MostCalls returns how many calls were running at once, at most.
func (s *Server) MostCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mostCalls
}
