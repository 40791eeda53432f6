package fakesearch

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hit is a document that a query has found.
type hit struct {
	index *index
	id    string
	document
	values map[string]any // of the source, if somebody had to look
}

// source reads the document.
func (h *hit) source() map[string]any {
	if h.values == nil {
		h.values = map[string]any{}
		_ = json.Unmarshal(h.document.source, &h.values) // it was read when it was taken
	}
	return h.values
}

// scroll is a search that goes on.
type scroll struct {
	hits    []*hit
	size    int
	until   time.Time
	request searchRequest
}

type searchRequest struct {
	Query   json.RawMessage   `json:"query"`
	Size    *int              `json:"size"`
	From    int               `json:"from"`
	Sort    []json.RawMessage `json:"sort"`
	Source  json.RawMessage   `json:"_source"`
	Version bool              `json:"version"`
	Total   any               `json:"track_total_hits"`
}

func badQuery(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, kind: "parsing_exception", reason: fmt.Sprintf(format, args...)}
}

// found returns what a query finds among the documents that are shown.
func (s *Server) found(names string, raw json.RawMessage) ([]*hit, []*index, *problem) {
	indexes, p := s.resolve(names)
	if p != nil {
		return nil, nil, p
	}
	matches, p := parseQuery(raw)
	if p != nil {
		return nil, nil, p
	}
	hits := []*hit{}
	for _, i := range indexes {
		if i.closed {
			return nil, nil, i.closedProblem()
		}
		i.due(s.now())
		for id, d := range i.shown {
			if h := (&hit{index: i, id: id, document: d}); matches(h) {
				hits = append(hits, h)
			}
		}
	}
	slices.SortFunc(hits, func(a, b *hit) int { return a.seq - b.seq })
	return hits, indexes, nil
}

func shardsOf(indexes []*index) map[string]any {
	return map[string]any{"total": len(indexes), "successful": len(indexes), "skipped": 0, "failed": 0}
}

func (s *Server) count(c *call, names string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	var body map[string]json.RawMessage
	if len(c.body) > 0 {
		if p := c.object(&body); p != nil {
			return 0, nil, p
		}
	}
	for key := range body {
		if key != "query" {
			return 0, nil, badQuery("request does not support [%s]", key)
		}
	}
	hits, indexes, p := s.found(names, body["query"])
	if p != nil {
		return 0, nil, p
	}
	return http.StatusOK, map[string]any{"count": len(hits), "_shards": shardsOf(indexes)}, nil
}

func (s *Server) search(c *call, names string) (status int, answer any, p *problem) {
	keep := c.param("scroll")
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	var r searchRequest
	if len(c.body) > 0 {
		d := json.NewDecoder(strings.NewReader(string(c.body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			return 0, nil, badQuery("%v", err)
		}
	}
	size := 10
	if r.Size != nil {
		size = *r.Size
	}
	if size+r.From > 10_000 {
		return 0, nil, illegal("Result window is too large, from + size must be less than or equal to: [10000] but was [%d].", size+r.From)
	}
	hits, indexes, p := s.found(names, r.Query)
	if p != nil {
		return 0, nil, p
	}
	if p := sortHits(hits, r.Sort); p != nil {
		return 0, nil, p
	}
	total := len(hits)
	hits = hits[min(r.From, len(hits)):]
	a := map[string]any{"took": 1, "timed_out": false, "_shards": shardsOf(indexes)}
	if keep != "" {
		d, ok := interval(keep)
		if !ok || size == 0 {
			return 0, nil, &problem{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: 1: [size] cannot be [0] in a scroll context;"}
		}
		s.seq++
		id := fmt.Sprintf("fake-scroll-%d", s.seq)
		s.scrolls[id] = &scroll{hits: hits[min(size, len(hits)):], size: size, until: s.now().Add(d), request: r}
		a["_scroll_id"] = id
	}
	a["hits"] = s.page(hits[:min(size, len(hits))], total, r)
	return http.StatusOK, a, nil
}

func (s *Server) page(hits []*hit, total int, r searchRequest) map[string]any {
	shown := []any{}
	for _, h := range hits {
		one := map[string]any{"_index": h.index.name, "_id": h.id, "_score": nil}
		if len(r.Sort) > 0 {
			one["sort"] = []any{h.seq}
		}
		if r.Version {
			one["_version"] = h.version
		}
		if string(r.Source) != "false" {
			one["_source"] = h.document.source
		}
		shown = append(shown, one)
	}
	return map[string]any{"total": map[string]any{"value": total, "relation": "eq"}, "max_score": nil, "hits": shown}
}

func (s *Server) nextPage(c *call) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	var body struct {
		Scroll   string `json:"scroll"`
		ScrollID string `json:"scroll_id"`
	}
	if p := c.object(&body); p != nil {
		return 0, nil, p
	}
	if !strings.HasPrefix(body.ScrollID, "fake-scroll-") {
		return 0, nil, illegal("Cannot parse scroll id")
	}
	one := s.scrolls[body.ScrollID]
	if one == nil || s.now().After(one.until) {
		return 0, nil, &problem{status: http.StatusNotFound, kind: "search_context_missing_exception", reason: "No search context found for id [" + body.ScrollID + "]"}
	}
	if d, ok := interval(body.Scroll); ok {
		one.until = s.now().Add(d)
	}
	size := min(one.size, len(one.hits))
	page := one.hits[:size]
	one.hits = one.hits[size:]
	return http.StatusOK, map[string]any{
		"_scroll_id": body.ScrollID, "took": 1, "timed_out": false, "_shards": map[string]any{"total": 1, "successful": 1, "skipped": 0, "failed": 0},
		"hits": s.page(page, len(page), one.request),
	}, nil
}

func (s *Server) endScroll(c *call) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	var body struct {
		ScrollID []string `json:"scroll_id"`
	}
	if p := c.object(&body); p != nil {
		return 0, nil, p
	}
	freed := 0
	for _, id := range body.ScrollID {
		if !strings.HasPrefix(id, "fake-scroll-") {
			return 0, nil, illegal("Cannot parse scroll id")
		}
		if s.scrolls[id] != nil {
			freed++
		}
		delete(s.scrolls, id)
	}
	return http.StatusOK, map[string]any{"succeeded": true, "num_freed": freed}, nil
}

func (s *Server) showDocument(c *call, name, id string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	indexes, p := s.resolve(name)
	if p != nil {
		return 0, nil, p
	}
	if len(indexes) != 1 {
		return 0, nil, illegal("alias [%s] has more than one index associated with it, can't execute a single index op", name)
	}
	i := indexes[0]
	d, ok := i.docs[id] // at once: it needs no refresh
	if !ok {
		return http.StatusNotFound, map[string]any{"_index": i.name, "_id": id, "found": false}, nil
	}
	return http.StatusOK, map[string]any{"_index": i.name, "_id": id, "_version": d.version, "_seq_no": d.seq, "_primary_term": 1, "found": true, "_source": d.source}, nil
}

// sortHits sorts by _doc, or by members of the document.
func sortHits(hits []*hit, by []json.RawMessage) *problem {
	for _, raw := range slices.Backward(by) {
		var name string
		var object map[string]json.RawMessage
		descending := false
		if json.Unmarshal(raw, &name) != nil {
			if json.Unmarshal(raw, &object) != nil || len(object) != 1 {
				return badQuery("sort by [%s]", raw)
			}
			for name = range object {
				descending = strings.Contains(string(object[name]), `"desc"`)
			}
		}
		if name == "_doc" {
			continue
		}
		name = strings.TrimSuffix(name, ".keyword")
		slices.SortStableFunc(hits, func(a, b *hit) int {
			order := compare(first(a, name), first(b, name))
			if descending {
				return -order
			}
			return order
		})
	}
	return nil
}

func first(h *hit, path string) any {
	all := valuesAt(h.source(), strings.Split(path, "."))
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func valuesAt(v any, path []string) []any {
	switch v := v.(type) {
	case []any:
		var all []any
		for _, one := range v {
			all = append(all, valuesAt(one, path)...)
		}
		return all
	case map[string]any:
		if len(path) == 0 {
			return nil
		}
		return valuesAt(v[path[0]], path[1:])
	case nil:
		return nil
	}
	if len(path) > 0 {
		return nil
	}
	return []any{v}
}

func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return f
		}
	case bool:
		if v {
			return 1
		}
		return 0
	}
	return math.NaN()
}

func compare(a, b any) int {
	if x, y := number(a), number(b); !math.IsNaN(x) && !math.IsNaN(y) {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// parseQuery reads the queries that tests and mageline ask: match_all, bool, range, term, terms, ids, exists, match, nested.
func parseQuery(raw json.RawMessage) (func(*hit) bool, *problem) {
	if len(raw) == 0 {
		return func(*hit) bool { return true }, nil
	}
	var query map[string]json.RawMessage
	if json.Unmarshal(raw, &query) != nil || len(query) != 1 {
		return nil, badQuery("[%s] query malformed", raw)
	}
	for kind, body := range query {
		switch kind {
		case "match_all":
			return func(*hit) bool { return true }, nil
		case "bool":
			return parseBool(body)
		case "ids":
			var b struct{ Values []string }
			_ = json.Unmarshal(body, &b) // the body was JSON
			return func(h *hit) bool { return slices.Contains(b.Values, h.id) }, nil
		case "exists":
			var b struct{ Field string }
			_ = json.Unmarshal(body, &b) // the body was JSON
			return func(h *hit) bool { return first(h, b.Field) != nil }, nil
		case "nested":
			var b struct{ Query json.RawMessage }
			_ = json.Unmarshal(body, &b) // the body was JSON
			return parseQuery(b.Query)
		case "range", "term", "terms", "match":
			return parseField(kind, body)
		}
		return nil, badQuery("unknown query [%s]", kind)
	}
	return nil, badQuery("query malformed, empty clause found")
}

func parseBool(body json.RawMessage) (func(*hit) bool, *problem) {
	var clauses map[string]json.RawMessage
	if json.Unmarshal(body, &clauses) != nil {
		return nil, badQuery("[bool] query malformed")
	}
	var must, not, should []func(*hit) bool
	for _, name := range slices.Sorted(maps.Keys(clauses)) {
		var list []json.RawMessage
		if json.Unmarshal(clauses[name], &list) != nil {
			list = []json.RawMessage{clauses[name]}
		}
		for _, raw := range list {
			f, p := parseQuery(raw)
			if p != nil {
				return nil, p
			}
			switch name {
			case "must", "filter":
				must = append(must, f)
			case "must_not":
				not = append(not, f)
			case "should":
				should = append(should, f)
			default:
				return nil, badQuery("[bool] query does not support [%s]", name)
			}
		}
	}
	return func(h *hit) bool {
		for _, f := range must {
			if !f(h) {
				return false
			}
		}
		for _, f := range not {
			if f(h) {
				return false
			}
		}
		any := len(should) == 0 || len(must) > 0
		for _, f := range should {
			any = any || f(h)
		}
		return any
	}, nil
}

func parseField(kind string, body json.RawMessage) (func(*hit) bool, *problem) {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil || len(fields) != 1 {
		return nil, badQuery("[%s] query malformed", kind)
	}
	for field, want := range fields {
		path := strings.Split(strings.TrimSuffix(field, ".keyword"), ".")
		some := func(f func(v any) bool) func(*hit) bool {
			return func(h *hit) bool {
				if field == "mageline_version" && h.document.source == nil {
					return f(float64(h.version)) // of a server without sources
				}
				return slices.ContainsFunc(valuesAt(h.source(), path), f)
			}
		}
		object, isObject := want.(map[string]any)
		switch {
		case kind == "range" && isObject:
			for bound := range object {
				if !slices.Contains([]string{"gte", "gt", "lte", "lt", "format"}, bound) {
					return nil, badQuery("[range] query does not support [%s]", bound)
				}
			}
			return some(func(v any) bool {
				for bound, limit := range object {
					order := compare(v, limit)
					if bound == "gte" && order < 0 || bound == "gt" && order <= 0 || bound == "lte" && order > 0 || bound == "lt" && order >= 0 {
						return false
					}
				}
				return true
			}), nil
		case kind == "terms":
			list, _ := want.([]any)
			return some(func(v any) bool {
				return slices.ContainsFunc(list, func(one any) bool { return compare(v, one) == 0 })
			}), nil
		case kind == "term":
			if isObject {
				want = object["value"]
			}
			return some(func(v any) bool { return compare(v, want) == 0 }), nil
		case kind == "match":
			if isObject {
				want = object["query"]
			}
			words := strings.Fields(strings.ToLower(fmt.Sprint(want)))
			return some(func(v any) bool {
				has := strings.Fields(strings.ToLower(fmt.Sprint(v)))
				return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(has, w) })
			}), nil
		}
	}
	return nil, badQuery("[%s] query malformed", kind)
}
