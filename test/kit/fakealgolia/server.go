// Package fakealgolia is Algolia's Search API, for tests, as far as search/algolia calls it. It keeps indexes with their records,
// settings, synonyms and rules; it queues what is written, an index at a time, and does it later; it refuses what it does not
// know; and it can fail in the ways that Algolia does.
//
// Host returns one of its four hosts. They share all but their failures.
package fakealgolia

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit/fault"
)

// What the fake is reached by. Key has all rights.
const (
	ApplicationID = "FAKEAPP001"
	Key           = "algolia-admin-s3cr3t-k3y"
)

// Hosts is how many there are: the first is the ordinary one.
const Hosts = 4

// Form is how a batch is refused for one record that is too big.
type Form int

// The forms.
const (
	Named    Form = iota // with position and objectID
	Position             // with position alone, and neither in the text
	Text                 // in the text alone, as the newer infrastructure does
	Silent               // with nothing that says which record it is
)

// Record is the attributes of a record, each as JSON.
type Record map[string]json.RawMessage

// Server is the API. Its methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks the answers of all hosts.
	Faults *fault.Injector

	handlers []http.Handler
	closed   chan struct{}
	closing  sync.Once

	mu       sync.Mutex
	indexes  map[string]*index
	queues   map[string][]*task
	done     map[string]map[int64]bool // by index: tasks that are published
	seq      int64
	keys     map[string]key
	calls    map[string]int // by what is called
	hostDown [Hosts]int     // a status, hang or cut
	hostHits [Hosts]int
	refused  map[string]int
	knobs    knobs
}

type index struct {
	records  map[string]Record
	settings map[string]json.RawMessage
	rules    []json.RawMessage
	synonyms []json.RawMessage
}

type key struct {
	acl     []string
	indexes []string // patterns; empty is all
}

// task is work that is queued. It is done when it is due and nothing stands before it: in the queue of its index, and of source.
type task struct {
	id     int64
	due    time.Time
	source string // another index whose tasks of before must be done
	do     func()
}

// New returns an application without indexes.
func New(seed uint64) *Server {
	s := &Server{
		Faults: fault.New(seed, func(status int) []byte { return errorBody(status, http.StatusText(status)) }), closed: make(chan struct{}),
		indexes: map[string]*index{}, queues: map[string][]*task{}, done: map[string]map[int64]bool{}, seq: 1_514_562_690_000,
		calls: map[string]int{}, refused: map[string]int{},
		keys: map[string]key{Key: {acl: []string{
			"search", "browse", "addObject", "deleteObject", "deleteIndex", "settings", "editSettings", "listIndexes",
		}}},
		knobs: knobs{recordLimit: 100_000, bodyLimit: 10 << 20, held: map[string]bool{}},
	}
	for n := range Hosts {
		s.handlers = append(s.handlers, s.Faults.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(n, w, r) })))
	}
	return s
}

// Close ends what is waited for.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.closed) })
	s.Faults.Close()
}

// Host returns one of the hosts, from 0.
func (s *Server) Host(n int) http.Handler { return s.handlers[n] }

// ServeHTTP answers as the first host does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handlers[0].ServeHTTP(w, r) }

// Start serves the hosts on free ports, and returns their addresses and what ends them.
func (s *Server) Start() (addresses []string, stop func()) {
	var servers []*httptest.Server
	for n := range Hosts {
		server := httptest.NewServer(s.Host(n))
		servers, addresses = append(servers, server), append(addresses, server.URL)
	}
	return addresses, func() {
		s.Close()
		for _, server := range servers {
			server.CloseClientConnections()
			server.Close()
		}
	}
}

type problem struct {
	status int
	answer map[string]any
}

func refuse(status int, format string, args ...any) *problem {
	return &problem{status, map[string]any{"message": fmt.Sprintf(format, args...), "status": status}}
}

func errorBody(status int, text string) []byte {
	return encode(map[string]any{"message": text, "status": status})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("fakealgolia: an answer that is no JSON: " + err.Error())
	}
	return b
}

// call is one request.
type call struct {
	r     *http.Request
	body  []byte
	acl   []string // what the key may do
	index string
	rest  []string
}

func (s *Server) serve(host int, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	s.hostHits[host]++
	down := s.hostDown[host]
	s.mu.Unlock()
	switch {
	case down == Cut:
		panic(http.ErrAbortHandler)
	case down == Hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	case down != 0:
		w.WriteHeader(down)
		return
	}
	s.mu.Lock()
	s.pump()
	answer, p := s.answer(r, body)
	drop := false
	if p == nil && r.Method != http.MethodGet && s.knobs.lost > 0 && isWrite(r.URL.Path) {
		s.knobs.lost--
		drop = true
	}
	if p != nil {
		s.refused[fmt.Sprint(p.answer["message"])]++
	}
	s.pump()
	s.mu.Unlock()
	if drop {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if p != nil {
		w.WriteHeader(p.status)
		_, _ = w.Write(encode(p.answer))
		return
	}
	_, _ = w.Write(encode(answer))
}

// isWrite reports whether a path is one of which the answer is a task.
func isWrite(path string) bool {
	for _, end := range []string{"/batch", "/operation", "/settings", "/deleteByQuery"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

// answer needs mu, as everything below.
func (s *Server) answer(r *http.Request, body []byte) (any, *problem) {
	k, ok := s.keys[r.Header.Get("X-Algolia-Api-Key")]
	if !ok || r.Header.Get("X-Algolia-Application-Id") != ApplicationID {
		return nil, refuse(http.StatusForbidden, "Invalid Application-Id or API-Key")
	}
	if len(body) > s.knobs.bodyLimit {
		return nil, refuse(http.StatusRequestEntityTooLarge, "Request entity too large")
	}
	if len(body) > 0 && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	if r.URL.RawQuery != "" {
		return nil, refuse(http.StatusBadRequest, "Unknown parameter: %s", r.URL.RawQuery)
	}
	var parts []string
	for _, part := range strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/") {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "Invalid path")
		}
		parts = append(parts, text)
	}
	c := call{r: r, body: body, acl: k.acl}
	if len(parts) < 3 || parts[0] != "1" || parts[1] != "indexes" {
		return nil, refuse(http.StatusNotFound, "Path not found")
	}
	c.index, c.rest = parts[2], parts[3:]
	if c.index != "*" && !k.allows(c.index) {
		return nil, refuse(http.StatusForbidden, "Index not allowed with this API key")
	}
	return s.route(c)
}

func (k key) allows(name string) bool {
	if len(k.indexes) == 0 {
		return true
	}
	return slices.ContainsFunc(k.indexes, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}

func (s *Server) route(c call) (any, *problem) {
	name := c.r.Method
	if len(c.rest) > 0 {
		name += " " + c.rest[0]
	}
	s.calls[name]++
	if c.r.Method == http.MethodPost && s.knobs.throttled > 0 && (name == "POST batch" || name == "POST operation") {
		s.knobs.throttled--
		return nil, refuse(http.StatusTooManyRequests, "Too many jobs")
	}
	if s.knobs.unpaid && name == "POST batch" {
		return nil, refuse(http.StatusPaymentRequired, "Rate limit reached for index size (observed: 10001; allowed: 10000)")
	}
	routes := map[string]struct {
		acl string
		do  func(call) (any, *problem)
	}{
		"POST batch": {"", s.batch}, "POST objects": {"search", s.objects}, "POST query": {"search", s.query}, "POST browse": {"browse", s.browse},
		"POST deleteByQuery": {"deleteIndex", s.deleteBy}, "POST operation": {"addObject", s.operation}, "GET task": {"addObject", s.task},
		"GET settings": {"settings", s.settings}, "PUT settings": {"editSettings", s.setSettings}, "DELETE": {"deleteIndex", s.deleteIndex},
	}
	route, ok := routes[name]
	if !ok || len(c.rest) > 2 || len(c.rest) == 2 && c.rest[0] != "task" || (c.index == "*") != (name == "POST objects") {
		return nil, refuse(http.StatusNotFound, "Path not found")
	}
	if !c.may(route.acl) {
		return nil, refuse(http.StatusForbidden, "Method not allowed with this API key")
	}
	return route.do(c)
}

func (c call) may(right string) bool { return right == "" || slices.Contains(c.acl, right) }

// read reads a body of which no member is unknown.
func (c call) read(v any) *problem {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return refuse(http.StatusBadRequest, "Invalid JSON: %v", err)
	}
	return nil
}

// queue has do done later, and returns the answer.
func (s *Server) queue(name, source string, do func(), more map[string]any) any {
	s.seq++
	s.queues[name] = append(s.queues[name], &task{id: s.seq, due: time.Now().Add(s.knobs.delay), source: source, do: do})
	answer := map[string]any{"taskID": s.seq}
	maps.Copy(answer, more)
	return answer
}

// pump does what is due.
func (s *Server) pump() {
	for again := true; again; {
		again = false
		for _, name := range slices.Sorted(maps.Keys(s.queues)) {
			q := s.queues[name]
			if len(q) == 0 || s.knobs.held[name] || s.knobs.held["*"] || time.Now().Before(q[0].due) {
				continue
			}
			if before := s.queues[q[0].source]; q[0].source != "" && len(before) > 0 && before[0].id < q[0].id {
				continue
			}
			s.queues[name] = q[1:]
			q[0].do()
			s.publish(name, q[0].id)
			again = true
		}
	}
}

func (s *Server) publish(name string, id int64) {
	if s.done[name] == nil {
		s.done[name] = map[int64]bool{}
	}
	s.done[name][id] = true
}

// make returns an index, which is made by the first write.
func (s *Server) make(name string) *index {
	if s.indexes[name] == nil {
		s.indexes[name] = &index{records: map[string]Record{}, settings: map[string]json.RawMessage{}}
	}
	return s.indexes[name]
}
