// Package fakesearch is an OpenSearch or an Elasticsearch for tests and the demo, as far as mageline uses one (docs/search-engines.md).
// It is as strict as the real ones: it refuses parameters, settings and fields that it does not know, values of another type, and
// versions that are older than what it has; documents are found only after a refresh. The tests of search/elastic run on it and on a
// real OpenSearch, and what differed was put in here.
package fakesearch

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit/fault"
)

// Mode is which product it is, and which version of it.
type Mode string

// The modes. The zero Mode is OpenSearch2.
const (
	OpenSearch1    Mode = "opensearch 1.3.20"
	OpenSearch2    Mode = "opensearch 2.19.6"
	OpenSearch3    Mode = "opensearch 3.3.0"
	Elasticsearch7 Mode = "elasticsearch 7.17.28"
	Elasticsearch8 Mode = "elasticsearch 8.19.5"
	Elasticsearch9 Mode = "elasticsearch 9.2.0"
)

func (m Mode) elastic() bool { return strings.HasPrefix(string(m), "elasticsearch") }

func (m Mode) number() string {
	_, number, _ := strings.Cut(string(m), " ")
	return number
}

// types reports whether an action may still name a mapping type.
func (m Mode) types() bool { return m == OpenSearch1 || m == Elasticsearch7 }

// Options are what the engine is like.
type Options struct {
	// Mode is one of the constants, or "elasticsearch 7.9.0" and the like.
	Mode Mode
	Seed uint64 // of Faults and of FailItems
	// Authorization is what that header must be; "": not looked at.
	Authorization string
	// MaxContent bounds the body of a request, after it is decompressed; 0 is 100 MiB.
	MaxContent int64
	// NoSources keeps only the versions of documents, for very many.
	NoSources bool
}

// Server is the engine. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers. A fault of Kind Late, Drop or Garble does the work first.
	Faults *fault.Injector

	o       Options
	handler http.Handler

	mu       sync.Mutex
	random   *rand.Rand
	skew     time.Duration // by which Advance has moved the clock
	indexes  map[string]*index
	aliases  map[string]map[string]alias // by alias and index
	scrolls  map[string]*scroll
	seq      int
	maximum  int64
	items    ItemFault
	itemSeq  int
	requests int
	bulks    int
	writes   int
	refused  map[string]int
}

type alias struct {
	write *bool // is_write_index
}

// New returns an engine without an index.
func New(o Options) *Server {
	if o.Mode == "" {
		o.Mode = OpenSearch2
	}
	s := &Server{
		o: o, random: rand.New(rand.NewPCG(o.Seed, o.Seed)), indexes: map[string]*index{}, aliases: map[string]map[string]alias{},
		scrolls: map[string]*scroll{}, maximum: o.MaxContent, refused: map[string]int{},
	}
	if s.maximum == 0 {
		s.maximum = 100 << 20
	}
	s.Faults = fault.New(o.Seed, func(status int) []byte {
		kind := "exception"
		switch status {
		case http.StatusTooManyRequests:
			kind = o.Mode.rejected()
		case http.StatusServiceUnavailable:
			kind = "unavailable_shards_exception"
		}
		return encode((&problem{status: status, kind: kind, reason: http.StatusText(status)}).body())
	})
	s.handler = s.Faults.Wrap(http.HandlerFunc(s.serve))
	return s
}

// Close ends what is waited for.
func (s *Server) Close() { s.Faults.Close() }

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// now is the engine's clock.
func (s *Server) now() time.Time { return time.Now().Add(s.skew) }

// problem is an error as the engine words it.
type problem struct {
	status       int
	kind, reason string
	index, uuid  string
	shard        string
	cause        *problem
	bare         bool // the error is a text alone
}

func (p *problem) detail() map[string]any {
	d := map[string]any{"type": p.kind, "reason": p.reason}
	if p.index != "" {
		d["index"], d["index_uuid"] = p.index, p.uuid
	}
	if p.shard != "" {
		d["shard"] = p.shard
	}
	if p.cause != nil {
		d["caused_by"] = p.cause.detail()
	}
	return d
}

func (p *problem) body() map[string]any {
	if p.bare {
		return map[string]any{"error": p.reason, "status": p.status}
	}
	d := p.detail()
	root := maps.Clone(d)
	delete(root, "caused_by")
	d["root_cause"] = []any{root}
	return map[string]any{"error": d, "status": p.status}
}

func illegal(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, kind: "illegal_argument_exception", reason: fmt.Sprintf(format, args...)}
}

func noIndex(name string) *problem {
	return &problem{status: http.StatusNotFound, kind: "index_not_found_exception", reason: "no such index [" + name + "]", index: name, uuid: "_na_"}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("fakesearch: an answer that is no JSON: " + err.Error())
	}
	return b
}

// call is one request.
type call struct {
	*http.Request
	body []byte
	used map[string]bool // parameters that were looked at
}

// param returns a parameter of the query, and notes that it is known.
func (c *call) param(name string) string {
	c.used[name] = true
	return c.URL.Query().Get(name)
}

func (c *call) object(v any) *problem {
	if len(c.body) == 0 {
		return &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "request body is required"}
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "Failed to parse content to map", cause: &problem{kind: "json_parse_exception", reason: err.Error()}}
	}
	return nil
}

// serve answers a request, or says what the engine would say against it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.o.Mode.elastic() {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	c := &call{Request: r, used: map[string]bool{"pretty": true, "human": true, "error_trace": true}}
	paths := c.param("filter_path")
	status, answer, p := s.answer(c)
	if p != nil {
		status, answer = p.status, p.body()
		s.mu.Lock()
		s.refused[strconv.Itoa(p.status)+" "+p.kind]++
		s.mu.Unlock()
	}
	if paths != "" {
		answer = filter(answer, paths)
	}
	body := encode(answer)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func (s *Server) answer(c *call) (status int, answer any, p *problem) {
	if s.o.Authorization != "" && c.Header.Get("Authorization") != s.o.Authorization {
		return 0, nil, &problem{status: http.StatusUnauthorized, kind: "security_exception", reason: "missing authentication credentials for REST request [" + c.URL.Path + "]"}
	}
	if p := s.read(c); p != nil {
		return 0, nil, p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	status, answer, p = s.route(c)
	if p != nil {
		return 0, nil, p
	}
	return status, answer, nil
}

// unknown returns the problem of parameters that nobody looked at. It is asked before anything is changed.
func (c *call) unknown() *problem {
	for _, name := range slices.Sorted(maps.Keys(c.URL.Query())) {
		if !c.used[name] {
			return illegal("request [%s] contains unrecognized parameter: [%s]", c.URL.Path, name)
		}
	}
	return nil
}

// read takes the body in.
func (s *Server) read(c *call) *problem {
	s.mu.Lock()
	maximum := s.maximum
	s.mu.Unlock()
	tooLarge := &problem{status: http.StatusRequestEntityTooLarge, bare: true, reason: "Request Entity Too Large"}
	if c.ContentLength > maximum {
		return tooLarge
	}
	if c.ContentLength < 0 {
		return &problem{status: http.StatusNotAcceptable, bare: true, reason: "chunked transfer encoding is not supported"}
	}
	var from io.Reader = c.Body
	if c.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(c.Body)
		if err != nil {
			return illegal("the body is not compressed by gzip: %v", err)
		}
		from = z
	}
	if c.ContentLength > 0 && c.Header.Get("Content-Encoding") == "" {
		c.body = make([]byte, 0, c.ContentLength+1)
	}
	body, err := readAll(c.body, io.LimitReader(from, maximum+1))
	if err != nil {
		return illegal("the body can't be read: %v", err)
	}
	if int64(len(body)) > maximum {
		return tooLarge
	}
	c.body = body
	if len(body) == 0 {
		return nil
	}
	kind := c.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(kind)
	known := []string{"application/json", "application/x-ndjson"}
	if s.o.Mode.elastic() && !strings.HasPrefix(s.o.Mode.number(), "7") {
		known = append(known, "application/vnd.elasticsearch+json", "application/vnd.elasticsearch+x-ndjson")
	}
	if err != nil || !slices.Contains(known, media) || params["charset"] != "" && strings.HasSuffix(media, "ndjson") {
		return &problem{status: http.StatusNotAcceptable, bare: true, reason: "Content-Type header [" + kind + "] is not supported"}
	}
	return nil
}

func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF { //nolint:errorlint // as io.ReadAll
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// route finds what is asked for. The order is that of the engine: a name that begins with an underscore is no index.
func (s *Server) route(c *call) (status int, answer any, p *problem) {
	parts := strings.Split(strings.Trim(c.URL.Path, "/"), "/")
	method := c.Method
	one := func(methods string) bool { return slices.Contains(strings.Split(methods, "|"), method) }
	switch {
	case parts[0] == "" && one("GET|HEAD"):
		return s.root(c)
	case parts[0] == "_bulk" && len(parts) == 1 && one("POST|PUT"):
		return s.bulk(c, "")
	case parts[0] == "_aliases" && len(parts) == 1 && one("POST"):
		return s.changeAliases(c)
	case parts[0] == "_alias" && len(parts) <= 2 && one("GET"):
		return s.showAliases(c, "*", strings.Join(parts[1:], ""))
	case parts[0] == "_refresh" && len(parts) == 1 && one("POST|GET"):
		return s.refresh(c, "*")
	case parts[0] == "_search" && len(parts) == 2 && parts[1] == "scroll" && one("POST"):
		return s.nextPage(c)
	case parts[0] == "_search" && len(parts) == 2 && parts[1] == "scroll" && one("DELETE"):
		return s.endScroll(c)
	case strings.HasPrefix(parts[0], "_"):
		return 0, nil, &problem{status: http.StatusBadRequest, bare: true, reason: "no handler found for uri [" + c.URL.Path + "] and method [" + method + "]"}
	}
	return s.routeIndex(c, parts)
}

// routeIndex finds what is asked of an index.
func (s *Server) routeIndex(c *call, parts []string) (status int, answer any, p *problem) {
	asked := c.Method
	if len(parts) > 1 {
		asked = parts[1] + " " + c.Method
	}
	if len(parts) == 3 {
		switch asked {
		case "_doc GET":
			return s.showDocument(c, parts[0], parts[2])
		case "_alias GET":
			return s.showAliases(c, parts[0], parts[2])
		}
	}
	if len(parts) < 3 {
		switch asked {
		case "GET", "HEAD":
			return s.showIndex(c, parts[0])
		case "PUT":
			return s.createIndex(c, parts[0])
		case "DELETE":
			return s.deleteIndex(c, parts[0])
		case "_bulk POST", "_bulk PUT":
			return s.bulk(c, parts[0])
		case "_mapping GET":
			return s.showMapping(c, parts[0])
		case "_mapping PUT", "_mapping POST":
			return s.putMapping(c, parts[0])
		case "_settings GET":
			return s.showSettings(c, parts[0])
		case "_settings PUT":
			return s.putSettings(c, parts[0])
		case "_alias GET":
			return s.showAliases(c, parts[0], "")
		case "_refresh POST", "_refresh GET":
			return s.refresh(c, parts[0])
		case "_count GET", "_count POST":
			return s.count(c, parts[0])
		case "_search GET", "_search POST":
			return s.search(c, parts[0])
		case "_close POST", "_open POST":
			return s.openClose(c, parts[0], parts[1] == "_close")
		}
	}
	return 0, nil, &problem{status: http.StatusMethodNotAllowed, bare: true, reason: "Incorrect HTTP method for uri [" + c.URL.Path + "] and method [" + c.Method + "]"}
}

func (s *Server) root(c *call) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	version := map[string]any{"number": s.o.Mode.number(), "build_snapshot": false}
	tagline := "The OpenSearch Project: https://opensearch.org/"
	if s.o.Mode.elastic() {
		version["build_flavor"], tagline = "default", "You Know, for Search"
	} else {
		version["distribution"] = "opensearch"
	}
	return http.StatusOK, map[string]any{"name": "node", "cluster_name": "fake", "cluster_uuid": "fake", "version": version, "tagline": tagline}, nil
}

// filter leaves of an answer what its paths name, as filter_path does: a * is any member, lists are gone through.
func filter(v any, paths string) any {
	var all [][]string
	for _, path := range strings.Split(paths, ",") {
		all = append(all, strings.Split(path, "."))
	}
	left, ok := pick(v, all)
	if !ok {
		return map[string]any{}
	}
	return left
}

func pick(v any, paths [][]string) (any, bool) {
	for _, path := range paths {
		if len(path) == 0 {
			return v, true
		}
	}
	switch v := v.(type) {
	case map[string]any:
		left := map[string]any{}
		for name, inner := range v {
			var below [][]string
			for _, path := range paths {
				if path[0] == name || path[0] == "*" {
					below = append(below, path[1:])
				}
			}
			if below == nil {
				continue
			}
			if kept, ok := pick(inner, below); ok {
				left[name] = kept
			}
		}
		return left, len(left) > 0
	case []any:
		left := []any{}
		for _, inner := range v {
			if kept, ok := pick(inner, paths); ok {
				left = append(left, kept)
			}
		}
		return left, len(left) > 0
	}
	return nil, false
}
