// Package fakebusinesscentral is Dynamics 365 Business Central behind its API v2.0 (docs/erp/businesscentral.md), for tests
// and the demo. It is as strict as the real one: it refuses unknown and read-only properties, wrong types and lengths and
// missing headers, and computes amounts and tax itself. What it has booked can be read back.
package fakebusinesscentral

import (
	_ "embed"
	"encoding/base64"
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

	"github.com/mageline/mageline/test/kit/fakeentra"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/odata"
)

//go:embed schema.yaml
var schemaText string

var schema = odata.ParseSchema(schemaText)

// What the fake is reached by.
const (
	CompanyID    = "3a1f2b60-1111-4222-8333-000000000001"
	CompanyName  = "CRONUS DE"
	Base         = "/v2.0/contoso/Production/api/v2.0"
	TokenPath    = "/contoso/oauth2/v2.0/token"
	Scope        = "https://api.businesscentral.dynamics.com/.default"
	ClientID     = "0f0e0d0c-aaaa-4bbb-8ccc-000000000002"
	ClientSecret = "bc~cl13nt-s3cr3t"
)

// Options are what the company is set up like. The zero value takes any item, and any customer that Customers names.
type Options struct {
	Seed uint64
	// SalesTax is true for a company in a country with sales tax, where prices can't include it.
	SalesTax bool
	// NoManualNumbers refuses customers whose number the client chooses.
	NoManualNumbers bool
	// NoTemplate leaves new customers without posting groups: no document can be made for them.
	NoTemplate bool
	// NetCustomers have prices without tax, which credit memos take over from the customer.
	NetCustomers bool
	// UnitPricePlaces and AmountPlaces are the company's rounding; 0 is 5, and 2.
	UnitPricePlaces, AmountPlaces int32
	// Keep bounds the documents that are kept, the newest; 0 is 100,000.
	Keep int
}

// Server is the ERP. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers, but for tokens. A fault of Kind Late or Drop books first.
	Faults *fault.Injector
	Tokens *fakeentra.Tokens

	options Options
	handler http.Handler
	closed  chan struct{}
	close   sync.Once
	running sync.WaitGroup

	mu        sync.Mutex
	seq       int
	sets      map[string]*table
	requests  int
	refused   map[string]int
	problems  map[string]int // what no client may do
	knobs     knobs
	inFlight  int
	mostCalls int
}

// table is an entity set, with an index by each property that is searched.
type table struct {
	byID map[string]*entity
	by   map[string][]*entity // property and value
	all  []*entity
}

// entity is one record.
type entity struct {
	set, id string
	version int
	booked  time.Time
	at      time.Time // since when it can be seen
	values  map[string]any
	lines   []*entity
	parent  *entity
	// Of orders: what persons have done. Of lines: how much was there at first.
	released bool
	first    decimal.Decimal
	// deleted is set where it is gone; the books still have it.
	deleted bool
}

// problem is a refusal.
type problem struct {
	status     int
	code, text string
}

func refusal(code, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// Codes of errors.
const (
	codeDialog     = "Application_DialogException"
	codeField      = "Application_FieldValidationException"
	codeLength     = "Application_StringExceededLength"
	codeBad        = "BadRequest"
	codeNotFound   = "Internal_RecordNotFound"
	codeSameKey    = "Internal_EntityWithSameKeyExists"
	codeStale      = "Request_EntityChanged"
	codeNoToken    = "BadRequest_InvalidToken"
	codeReadOnly   = "BadRequest_InvalidOperation"
	codeServer     = "Internal_ServerError"
	codeCredential = "Authentication_InvalidCredentials"
)

// New returns a company with the customers 10000 and GUESTS. Close ends it.
func New(o Options) *Server {
	if o.UnitPricePlaces == 0 {
		o.UnitPricePlaces = 5
	}
	if o.AmountPlaces == 0 {
		o.AmountPlaces = 2
	}
	if o.Keep == 0 {
		o.Keep = 100_000
	}
	s := &Server{
		Faults:  fault.New(o.Seed, func(status int) []byte { return errorBody(codeServer, http.StatusText(status)) }),
		Tokens:  fakeentra.New(ClientID, ClientSecret, Scope),
		options: o, closed: make(chan struct{}), seq: 1000,
		sets: map[string]*table{}, refused: map[string]int{}, problems: map[string]int{},
	}
	s.knobs.missing = map[string]bool{}
	for set := range schema {
		s.sets[set] = &table{byID: map[string]*entity{}, by: map[string][]*entity{}}
	}
	s.AddCustomer("10000", "Adatum Corporation", "")
	s.AddCustomer("GUESTS", "Guests of the shop", "")
	routes := http.NewServeMux()
	routes.Handle(TokenPath, s.Tokens)
	routes.Handle("/", s.Faults.Wrap(http.HandlerFunc(s.serve)))
	s.handler = routes
	return s
}

// Close abandons what is waited for and waits for the rest.
func (s *Server) Close() {
	s.close.Do(func() { close(s.closed) })
	s.Faults.Close()
	s.running.Wait()
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func errorBody(code, text string) []byte {
	return encode(map[string]any{"error": map[string]string{"code": code, "message": text + "  CorrelationId:  7d1f2e3a-0000-4000-8000-000000000001."}})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("fakebusinesscentral: an answer that is no JSON: " + err.Error())
	}
	return b
}

// answer is what is answered to a request.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

func (p *problem) answer() answer { return answer{status: p.status, body: errorBody(p.code, p.text)} }

var address = regexp.MustCompile(`^/companies\(([0-9a-f-]{36})\)/(\w+)(?:\(([0-9a-f-]{36})\))?(?:/(salesOrderLines|salesCreditMemoLines|Microsoft\.NAV\.\w+))?$`)

// serve answers one call of the API.
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
	if a == nil && r.Method == http.MethodPost && s.knobs.commitAfter > 0 {
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
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal; odata.streaming=true")
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
	refuse := func(p *problem, header map[string]string) *answer {
		s.refused[p.code]++
		a := p.answer()
		a.header = header
		return &a
	}
	switch {
	case !strings.HasPrefix(r.URL.EscapedPath(), Base) || strings.Contains(r.URL.RawQuery, "+"):
		s.problems["an address that is none: "+r.URL.Path]++
		return refuse(&problem{http.StatusNotFound, "BadRequest_ResourceNotFound", "No HTTP resource was found that matches the request URI."}, nil)
	case k.throttled > 0:
		k.throttled--
		header := map[string]string{}
		if k.retryAfter != "" {
			header["Retry-After"] = k.retryAfter
		}
		a := refuse(&problem{http.StatusTooManyRequests, "throttled", ""}, header)
		a.body = nil
		return a
	case k.unavailable > 0:
		k.unavailable--
		a := refuse(&problem{http.StatusServiceUnavailable, "unavailable", ""}, map[string]string{"Retry-After": "1", "Content-Type": "text/plain"})
		a.body = []byte("Service Unavailable")
		return a
	case s.inFlight > 100: // 5 at work, 95 in the queue
		return refuse(&problem{http.StatusTooManyRequests, "throttled", "Too many requests reached."}, nil)
	case !s.Tokens.Good(r):
		return refuse(&problem{http.StatusUnauthorized, codeCredential, "The server has rejected the client credentials."}, nil)
	case r.Header.Get("Accept-Language") == "":
		s.problems["no Accept-Language: errors come in the server's language"]++
	case r.Method != http.MethodGet && len(body) > 0 && r.Header.Get("Content-Type") != "application/json":
		return refuse(refusal(codeBad, "Unsupported content type"), nil)
	}
	if r.Method != http.MethodGet && k.locked > 0 {
		k.locked--
		return refuse(&problem{k.lockStatus, "Internal_DataLocked", "The operation could not complete because a record in the Sales Header table was locked by another user. Please retry the activity."}, nil)
	}
	if r.Method != http.MethodGet && k.conflicts > 0 {
		k.conflicts--
		return refuse(&problem{http.StatusConflict, "Internal_DatabaseBusy", "The database is busy."}, nil)
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

func (s *Server) route(r *http.Request, body []byte) (answer, *problem) {
	path, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), Base))
	if err == nil && path == "/companies" && r.Method == http.MethodGet {
		return list([]map[string]any{{"id": CompanyID, "name": CompanyName, "displayName": CompanyName}}), nil
	}
	m := address.FindStringSubmatch(path)
	if err != nil || m == nil || schema[m[2]] == nil {
		return answer{}, &problem{http.StatusNotFound, "BadRequest_ResourceNotFound", "No HTTP resource was found that matches the request URI."}
	}
	company, set, id, part := m[1], m[2], m[3], m[4]
	if company != CompanyID {
		return answer{}, &problem{http.StatusNotFound, "Internal_CompanyNotFound", "Cannot find the company."}
	}
	var e *entity
	if id != "" {
		e = s.sets[set].byID[id]
		if e == nil || !s.visible(e, r) {
			return answer{}, &problem{http.StatusNotFound, codeNotFound, "The " + title(set) + " does not exist. Identification fields and values: " + id}
		}
	}
	if part != "" {
		return s.within(e, set, part, r, body)
	}
	switch {
	case id == "" && r.Method == http.MethodGet:
		return s.search(set, r)
	case id == "" && r.Method == http.MethodPost:
		return s.create(set, nil, body)
	case e != nil && r.Method == http.MethodGet:
		shown, p := s.show(e, r.URL.Query())
		return answer{status: http.StatusOK, body: encode(shown)}, p
	case e != nil && r.Method == http.MethodPatch:
		return s.change(e, r, body)
	case e != nil && r.Method == http.MethodDelete:
		return s.remove(e, r)
	}
	return answer{}, notAllowed(r)
}

func notAllowed(r *http.Request) *problem {
	return &problem{http.StatusMethodNotAllowed, "BadRequest_MethodNotAllowed", "'" + r.Method + "' requests are not allowed here."}
}

// within answers what is asked of a record's lines or of an action on it.
func (s *Server) within(e *entity, set, part string, r *http.Request, body []byte) (answer, *problem) {
	switch {
	case e == nil:
	case part == strings.TrimSuffix(set, "s")+"Lines" && r.Method == http.MethodPost:
		return s.create(part, e, body)
	case part == "Microsoft.NAV.shipAndInvoice" && set == "salesOrders" && r.Method == http.MethodPost:
		if p := matches(e, r); p != nil {
			return answer{}, p
		}
		return s.shipAndInvoice(e)
	case part == "Microsoft.NAV.post" && set == "salesCreditMemos" && r.Method == http.MethodPost:
		return s.postMemo(e, r)
	}
	return answer{}, notAllowed(r)
}

func list(values []map[string]any) answer {
	if values == nil {
		values = []map[string]any{}
	}
	return answer{status: http.StatusOK, body: encode(map[string]any{"@odata.context": "$metadata", "value": values})}
}

func title(set string) string {
	return map[string]string{
		"salesOrders": "Sales Header", "salesOrderLines": "Sales Line", "salesCreditMemos": "Sales Header", "salesCreditMemoLines": "Sales Line",
		"customers": "Customer", "items": "Item", "salesInvoices": "Sales Invoice Header", "salesShipments": "Sales Shipment Header",
	}[set]
}

// visible reports whether a record can be seen by a request: a read-only replica lags behind.
func (s *Server) visible(e *entity, r *http.Request) bool {
	if e.deleted {
		return false
	}
	lag := s.knobs.stale
	if r.Header.Get("Data-Access-Intent") == "ReadWrite" && !s.knobs.staleAlways {
		lag = 0
	}
	return lag == 0 || time.Since(e.at) >= lag
}

// search answers a GET of a set.
func (s *Server) search(set string, r *http.Request) (answer, *problem) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains([]string{"$filter", "$select", "$expand", "$top"}, name) {
			return answer{}, refusal(codeBad, "The query option %s is not supported.", name)
		}
	}
	f, err := odata.ParseFilter(q.Get("$filter"))
	if err != nil {
		return answer{}, refusal("Application_FilterErrorException", "The filter can't be read: %v", err)
	}
	top := len(s.sets[set].all)
	if q.Get("$top") != "" {
		if _, err := fmt.Sscanf(q.Get("$top"), "%d", &top); err != nil {
			return answer{}, refusal(codeBad, "Invalid value for $top")
		}
	}
	var found []map[string]any
	candidates := s.sets[set].all
	for i, c := range f.Clauses {
		p, ok := schema[set][c.Property]
		if !ok {
			return answer{}, refusal(codeBad, "Could not find a property named '%s' on type 'Microsoft.NAV.%s'.", c.Property, set)
		}
		if f.Any && c.Property != f.Clauses[0].Property {
			return answer{}, refusal("Application_FilterErrorException", "OR over different fields is not supported.")
		}
		if p.Type == "Code" {
			f.Clauses[i].Literal = strings.ToUpper(strings.TrimSpace(c.Literal))
		}
	}
	if set == "items" { // the company has every item but those that SetMissing names
		for _, c := range f.Clauses {
			if e := s.newEntity(set, nil); c.Property == "number" && !s.knobs.missing[c.Literal] {
				e.values["number"] = c.Literal
				candidates = append(candidates, e)
			}
		}
		top = len(candidates)
	} else if len(f.Clauses) > 0 && f.Clauses[0].Op == "eq" && !f.Any {
		candidates = s.sets[set].by[indexed(f.Clauses[0].Property, f.Clauses[0].Literal)]
	}
	for _, e := range candidates {
		if len(found) >= top || !s.visible(e, r) || !fits(e, f) {
			continue
		}
		shown, p := s.show(e, q)
		if p != nil {
			return answer{}, p
		}
		found = append(found, shown)
	}
	return list(found), nil
}

func fits(e *entity, f odata.Filter) bool {
	for _, c := range f.Clauses {
		equal := fmt.Sprint(e.values[c.Property]) == c.Literal
		if c.Property == "id" {
			equal = e.id == c.Literal
		}
		if f.Any && equal {
			return true
		}
		if !f.Any && equal != (c.Op == "eq") {
			return false
		}
	}
	return !f.Any || len(f.Clauses) == 0
}

var expandSelect = regexp.MustCompile(`^(\w+)(?:\(\$select=([\w,]+)\))?$`)

// show returns a record as it is answered.
func (s *Server) show(e *entity, q url.Values) (map[string]any, *problem) {
	picked := q.Get("$select")
	shown, p := e.picked(picked)
	if p != nil {
		return nil, p
	}
	if q.Get("$expand") == "" {
		return shown, nil
	}
	m := expandSelect.FindStringSubmatch(q.Get("$expand"))
	if m == nil || m[1] != strings.TrimSuffix(e.set, "s")+"Lines" {
		return nil, refusal(codeBad, "Could not find a navigation property named '%s'.", q.Get("$expand"))
	}
	lines := []map[string]any{}
	for _, l := range e.lines {
		line, p := l.picked(m[2])
		if p != nil {
			return nil, p
		}
		lines = append(lines, line)
	}
	shown[m[1]] = lines
	return shown, nil
}

func (e *entity) picked(names string) (map[string]any, *problem) {
	shown := map[string]any{"@odata.etag": e.etag()}
	if names == "" {
		for name, property := range schema[e.set] {
			shown[name] = wire(e.value(name), property)
		}
		return shown, nil
	}
	for _, name := range strings.Split(names, ",") {
		property, ok := schema[e.set][name]
		if !ok {
			return nil, refusal(codeBad, "Could not find a property named '%s' on type 'Microsoft.NAV.%s'.", name, e.set)
		}
		shown[name] = wire(e.value(name), property)
	}
	return shown, nil
}

func (e *entity) value(name string) any {
	switch name {
	case "id":
		return e.id
	case "documentId":
		if e.parent != nil {
			return e.parent.id
		}
	}
	return e.values[name]
}

// wire returns a value in its form in JSON, and the empty value of its type.
func wire(v any, p odata.Property) any {
	if d, ok := v.(decimal.Decimal); ok {
		return json.Number(d.String())
	}
	if v != nil {
		return v
	}
	switch p.Type {
	case "Decimal", "Integer":
		return 0
	case "Boolean":
		return false
	case "Guid":
		return "00000000-0000-0000-0000-000000000000"
	case "Date":
		return "0001-01-01"
	case "Enum":
		return "_x0020_"
	}
	return ""
}

func (e *entity) etag() string {
	return `W/"` + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "19;%s;%d;", e.id, e.version)) + `"`
}

// matches checks If-Match.
func matches(e *entity, r *http.Request) *problem {
	switch got := r.Header.Get("If-Match"); {
	case got == "":
		return refusal(codeNoToken, "Could not validate the client concurrency token required by the service. Please provide a valid token in the client request.")
	case got != "*" && got != e.etag():
		return &problem{http.StatusConflict, codeStale, "Another user has already changed the record."}
	}
	return nil
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
