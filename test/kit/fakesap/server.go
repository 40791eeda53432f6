// Package fakesap is a SAP S/4HANA for tests and the demo: the OData 2 services for sales orders, credit memo requests,
// outbound deliveries and business partners, as strict as their metadata (schema.yaml). It asks for a log-on, a session and
// its CSRF token, keeps documents, computes their prices and taxes itself, and shows afterwards what it has booked.
//
// What no public source tells of the real system is a knob, with the likelier reading as its default.
package fakesap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fault"
)

// Options are what the system is like.
type Options struct {
	// Username and Password are those of the communication user. ClientID and ClientSecret are those of OAuth, whose tokens
	// it takes then beside the password. All empty: it asks for none.
	Username, Password     string
	ClientID, ClientSecret string
	// Client is what sap-client must be; "": not looked at.
	Client string
	// Customers are the accounts that there are; nil has any account of up to 10 figures.
	Customers []string
	// SalesAreas are those that there are, as "1010/10/00"; nil has them all.
	SalesAreas []string
	// Conditions are the condition types of the pricing procedure; nil is DefaultConditions.
	Conditions map[string]Condition
	// TaxRates are the tax in percent of each tax classification of a material; nil is DefaultTaxRates.
	TaxRates map[string]string
	// MaterialTax returns the tax classification of a material; nil is "1" for each.
	MaterialTax func(material string) string
	// Extensions are the customer's own fields of a set, such as YY1_Channel_SDH.
	Extensions map[string][]string
	// Seed is that of the faults.
	Seed uint64
	// Keep bounds the requests that are remembered; 0 is 100,000.
	Keep int
}

// Condition is a condition type of the pricing procedure.
type Condition struct {
	// Header is true for an amount of the whole document, which is spread over its items by their net values.
	Header bool
	// Untaxed is true where the condition stands behind the base of the tax.
	Untaxed bool
}

// DefaultConditions are a manual price of an item, a freight of the document and the customer's condition for rounding.
var DefaultConditions = map[string]Condition{"PMP0": {}, "HD00": {Header: true}, "ZRND": {Header: true, Untaxed: true}}

// DefaultTaxRates are Germany's.
var DefaultTaxRates = map[string]string{"0": "0", "1": "19", "2": "7"}

// Root is the path under which the services are.
const Root = "/sap/opu/odata/sap/"

// TokenPath is where OAuth's tokens come from.
const TokenPath = "/sap/bc/sec/oauth2/token"

const maxBody = 16 << 20

// Server is the system. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers. A fault of Kind Late or Drop books first.
	Faults *fault.Injector

	o       Options
	rates   map[string]decimal.Decimal
	handler http.Handler
	closed  chan struct{}
	close   sync.Once
	running sync.WaitGroup
	at      sync.Mutex // of inFlight
	flying  int

	mu       sync.Mutex
	numbers  map[string]int
	rows     map[string]map[string][]*row // by set and the first property of the key, as keyed
	byRef    map[string][]*row            // orders by PurchaseOrderByCustomer
	orders   []*row
	sessions map[string]*session
	tokens   map[string]time.Time // OAuth's, with their ends
	requests []Request
	problems map[string]int
	refused  map[string]int
	writes   map[string]int
	knobs    knobs
	clock    time.Duration
}

// row is one entity.
type row struct {
	set     *entitySet
	props   map[string]any
	version int
}

func (r *row) text(name string) string {
	s, _ := r.props[name].(string)
	return s
}

// Request is a call as it came.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
	Status              int
}

// New returns a system without documents. Close ends it.
func New(o Options) *Server {
	if o.Keep == 0 {
		o.Keep = 100_000
	}
	if o.Conditions == nil {
		o.Conditions = DefaultConditions
	}
	if o.TaxRates == nil {
		o.TaxRates = DefaultTaxRates
	}
	s := &Server{
		o: o, rates: map[string]decimal.Decimal{}, closed: make(chan struct{}),
		Faults:  fault.New(o.Seed, func(status int) []byte { return errorBody("SY/530", http.StatusText(status)) }),
		numbers: map[string]int{"A_SalesOrder": 5200, "A_CreditMemoRequest": 60000000, "A_OutbDeliveryHeader": 80000000, "A_BusinessPartner": 10100000, "Address": 20000},
		rows:    map[string]map[string][]*row{}, byRef: map[string][]*row{}, sessions: map[string]*session{}, tokens: map[string]time.Time{},
		problems: map[string]int{}, refused: map[string]int{}, writes: map[string]int{}, knobs: defaultKnobs(),
	}
	for class, rate := range o.TaxRates {
		s.rates[class] = decimal.RequireFromString(rate)
	}
	s.handler = s.record(s.Faults.Wrap(s.limited(http.HandlerFunc(s.serve))))
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

// Writes reports whether a request changes documents.
func Writes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasPrefix(r.URL.Path, TokenPath)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		if s.clock != 0 {
			w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		}
		s.mu.Unlock()
		sw := &statusWriter{ResponseWriter: w}
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body, sw.status})
			if extra := len(s.requests) - s.o.Keep; extra > 0 {
				s.requests = slices.Delete(s.requests, 0, extra)
			}
		}()
		next.ServeHTTP(sw, r)
	})
}

// limited refuses calls over the limit of the gateway in front.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.at.Lock()
		s.flying++
		over := s.flying
		s.at.Unlock()
		defer func() {
			s.at.Lock()
			s.flying--
			s.at.Unlock()
		}()
		s.mu.Lock()
		limit, status, after := s.knobs.limit, s.knobs.limitStatus, s.knobs.limitAfter
		s.mu.Unlock()
		if limit > 0 && over > limit {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			s.mu.Lock()
			s.refused["over the limit"]++
			s.mu.Unlock()
			reply(w, answer{status: status, body: errorBody("", "Too many requests")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer is what a call is answered with.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func reply(w http.ResponseWriter, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if len(a.body) > 0 && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
	}
	w.Header().Set("Dataserviceversion", "2.0")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (s *Server) now() time.Time { return time.Now().Add(s.clock) }

func errorBody(code, message string) []byte {
	detail := map[string]any{"ContentID": "", "code": code, "message": message, "propertyref": "", "severity": "error", "transition": false, "target": ""}
	return encode(map[string]any{"error": map[string]any{
		"code": code, "message": map[string]string{"lang": "en", "value": message},
		"innererror": map[string]any{
			"application":  map[string]string{"component_id": "SD-SLS", "service_namespace": "/SAP/", "service_id": Orders, "service_version": "0001"},
			"errordetails": []any{detail, map[string]any{"code": "/IWBEP/CX_MGW_BUSI_EXCEPTION", "message": message, "severity": "error"}},
		},
	}})
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("fakesap: an answer that is no JSON: %w", err))
	}
	return body
}

// The codes of the framework's own errors.
const (
	codeInvalid   = "005056A509B11EE1B9A8FEC11C23378E"
	codeNoSegment = "005056A509B11EE1B9A8FEC11C21D78E"
	codeParse     = "CX_SXML_PARSE_ERROR"
)

// refuse counts a refusal. It needs mu.
func (s *Server) refuse(status int, code, message string) answer {
	s.refused[message]++
	return answer{status: status, body: errorBody(code, message)}
}

// violated is a refusal of a body or an address that is the client's mistake, whatever it is about. It needs mu.
func (s *Server) violated(status int, code, message string) answer {
	s.problems[message]++
	return s.refuse(status, code, message)
}

// serve answers one call that no fault has met.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == TokenPath {
		s.token(w, r)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, Root)
	service := ""
	for _, known := range []string{Orders, Credits, Deliveries, Partners} {
		if rest == known || strings.HasPrefix(rest, known+"/") {
			service = known
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	var a answer
	done := true
	switch refusal := s.logon(r); {
	case refusal != nil:
		a = *refusal
	case !ok || service == "":
		a = s.violated(http.StatusNotFound, "/IWFND/MED/170", "No service found for namespace '', name '"+rest+"', version '0001'")
	case rest == service: // without the slash at its end
		a = answer{status: http.StatusMovedPermanently, header: http.Header{"Location": {r.URL.Path + "/"}}}
	default:
		a, done = s.inSession(r, service, strings.TrimPrefix(rest, service), body)
	}
	wait := s.knobs.booking
	s.mu.Unlock()
	if done {
		reply(w, a)
		return
	}
	// What changes a document happens after the booking time, though the client may have given up.
	result := make(chan answer, 1)
	book := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		result <- s.change(r, service, strings.TrimPrefix(rest, service), body)
	}
	if wait == 0 {
		book()
	} else {
		s.running.Go(func() {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-s.closed:
			case <-timer.C:
				book()
			}
		})
	}
	select {
	case a := <-result:
		reply(w, a)
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closed:
		panic(http.ErrAbortHandler)
	}
}

// inSession answers what reads; done is false for a call that changes something and is allowed to. It needs mu.
func (s *Server) inSession(r *http.Request, service, rest string, body []byte) (a answer, done bool) {
	res, ok := resourceOf(service, rest)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	header, refusal := s.csrf(r, service, reads)
	switch {
	case refusal != nil:
		return *refusal, true
	case !reads && r.Method != http.MethodDelete && len(body) > 0 && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return s.violated(http.StatusUnsupportedMediaType, codeInvalid, "Content-Type is not application/json"), true
	case !strings.Contains(r.Header.Get("Accept"), "application/json") && r.Method != http.MethodHead:
		s.problems["Accept is not application/json"]++
		return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/atom+xml"}}, body: []byte(`<?xml version="1.0"?><feed/>`)}, true
	case !reads:
		return answer{}, false
	case !ok:
		return s.violated(http.StatusNotFound, codeNoSegment, "Resource not found for the segment '"+rest+"'."), true
	case res.root:
		return answer{status: http.StatusOK, header: header, body: []byte(`{"d":{"EntitySets":[]}}`)}, true
	}
	a = s.read(r, res)
	for name, values := range header {
		if a.header == nil {
			a.header = http.Header{}
		}
		a.header[name] = values
	}
	return a, true
}

// read answers a GET of a set, an entity or what it leads to. It needs mu.
func (s *Server) read(r *http.Request, res resource) answer {
	set := res.set
	if res.nav != "" {
		set = schema[res.set.nav[res.nav].set]
		if set == nil {
			return s.violated(http.StatusNotFound, codeNoSegment, "Resource not found for the segment '"+res.nav+"'.")
		}
	}
	o, err := optionsOf(set, r.URL.Query())
	if err != nil {
		return s.violated(http.StatusBadRequest, codeInvalid, err.Error())
	}
	if res.key == nil && !set.query {
		return s.violated(http.StatusMethodNotAllowed, codeInvalid, "the set "+set.name+" can't be queried")
	}
	var found []*row
	switch {
	case res.key != nil:
		one := s.get(res.set, res.key)
		if one == nil {
			return s.refuse(http.StatusNotFound, codeNoSegment, "Resource not found for segment '"+res.set.name+"'")
		}
		if res.nav == "" {
			return answer{status: http.StatusOK, header: s.etagOf(one), body: encode(map[string]any{"d": s.shown(r, one, o, "")})}
		}
		found = s.related(one, set)
	default:
		found = s.candidates(set, o)
	}
	results := []any{}
	count := 0
	for _, one := range found {
		if !o.holds(one) || s.hidden(one) {
			continue
		}
		count++
		if o.top < 0 || len(results) < o.top {
			results = append(results, s.shown(r, one, o, ""))
		}
	}
	d := map[string]any{"results": results}
	if o.count {
		d["__count"] = strconv.Itoa(count)
	}
	return answer{status: http.StatusOK, body: encode(map[string]any{"d": d})}
}

// candidates returns the rows that a filter may hold for. It needs mu.
func (s *Server) candidates(set *entitySet, o options) []*row {
	if set.name == "A_SalesOrder" && !o.anyOf {
		for _, c := range o.conditions {
			if c.name == "PurchaseOrderByCustomer" && c.op == "eq" {
				return s.byRef[c.text]
			}
		}
	}
	var all []*row
	for _, key := range slices.Sorted(maps.Keys(s.rows[set.name])) {
		all = append(all, s.rows[set.name][key]...)
	}
	return all
}

// shown is an entity as it is answered. It needs mu.
func (s *Server) shown(r *http.Request, one *row, o options, at string) map[string]any {
	self := "https://" + r.Host + Root + one.set.service + "/" + one.set.name + "(" + one.address() + ")"
	metadata := map[string]any{"id": self, "uri": self, "type": one.set.service + "." + one.set.name + "Type"}
	if one.set.etag {
		metadata["etag"] = etag(one)
	}
	out := map[string]any{"__metadata": metadata}
	for name, p := range one.set.properties {
		if len(o.selected) > 0 && at == "" && !slices.Contains(o.selected, name) {
			continue
		}
		v, ok := one.props[name]
		if !ok {
			v = p.zero()
		}
		out[name] = v
	}
	for name, value := range one.props {
		if s.extension(one.set.name, name) && (len(o.selected) == 0 || at != "") {
			out[name] = value
		}
	}
	s.written(out)
	for name, target := range one.set.nav {
		path := strings.TrimPrefix(at+"/"+name, "/")
		expanded := slices.ContainsFunc(o.expand, func(e string) bool { return e == path || strings.HasPrefix(e, path+"/") })
		switch {
		case len(o.selected) > 0 && at == "" && !expanded:
		case !expanded || target.set == "":
			out[name] = map[string]any{"__deferred": map[string]string{"uri": self + "/" + name}}
		default:
			list := []any{}
			for _, child := range s.related(one, schema[target.set]) {
				list = append(list, s.shown(r, child, o, path))
			}
			switch {
			case target.many:
				out[name] = map[string]any{"results": list}
			case len(list) > 0:
				out[name] = list[0]
			default:
				out[name] = nil
			}
		}
	}
	return out
}

func (p property) zero() any {
	switch p.kind {
	case "Decimal":
		return "0"
	case "Boolean":
		return false
	case "DateTime", "DateTimeOffset", "Time":
		return nil
	default:
		return ""
	}
}

// address is the key as it stands in an address.
func (r *row) address() string {
	quoted := func(name string) string { return "'" + strings.ReplaceAll(r.text(name), "'", "''") + "'" }
	if len(r.set.key) == 1 {
		return quoted(r.set.key[0])
	}
	var parts []string
	for _, k := range r.set.key {
		parts = append(parts, k+"="+quoted(k))
	}
	return strings.Join(parts, ",")
}

func keyed(value string) string { return strings.TrimLeft(value, "0") }

// get returns the entity with a key, nil if there is none. It needs mu.
func (s *Server) get(set *entitySet, key map[string]string) *row {
	for _, one := range s.rows[set.name][keyed(key[set.key[0]])] {
		if !slices.ContainsFunc(set.key, func(k string) bool { return keyed(one.text(k)) != keyed(key[k]) && !s.samePartner(k, one, key[k]) }) {
			return one
		}
	}
	return nil
}

// add stores an entity. It needs mu.
func (s *Server) add(set *entitySet, props map[string]any) *row {
	one := &row{set: set, props: props, version: 1}
	of := s.rows[set.name]
	if of == nil {
		of = map[string][]*row{}
		s.rows[set.name] = of
	}
	first := keyed(one.text(set.key[0]))
	of[first] = append(of[first], one)
	return one
}

// remove deletes an entity. It needs mu.
func (s *Server) remove(one *row) {
	first := keyed(one.text(one.set.key[0]))
	s.rows[one.set.name][first] = slices.DeleteFunc(s.rows[one.set.name][first], func(r *row) bool { return r == one })
}

// related returns the entities of a set that have the key of one, as far as they have its properties. It needs mu.
func (s *Server) related(one *row, set *entitySet) []*row {
	var all []*row
	for _, other := range s.rows[set.name][keyed(one.text(one.set.key[0]))] {
		if !slices.ContainsFunc(one.set.key, func(k string) bool {
			_, has := set.properties[k]
			return has && other.text(k) != one.text(k)
		}) {
			all = append(all, other)
		}
	}
	return all
}

func etag(r *row) string { return fmt.Sprintf("W/\"datetimeoffset'%d'\"", r.version) }

func (s *Server) etagOf(r *row) http.Header {
	if !r.set.etag {
		return nil
	}
	return http.Header{"Etag": {etag(r)}}
}
