package fakealgolia

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func missing(name string) *problem {
	return refuse(http.StatusNotFound, "Index %s does not exist", name)
}

func (s *Server) task(c call) (any, *problem) {
	id, err := strconv.ParseInt(c.rest[len(c.rest)-1], 10, 64)
	if err != nil || len(c.rest) != 2 {
		return nil, refuse(http.StatusBadRequest, "invalid taskID")
	}
	if s.done[c.index][id] {
		return map[string]any{"status": "published", "pendingTask": false}, nil
	}
	if slices.ContainsFunc(s.queues[c.index], func(t *task) bool { return t.id == id }) {
		return map[string]any{"status": "notPublished", "pendingTask": true}, nil
	}
	return nil, refuse(http.StatusNotFound, "taskID %d does not exist in index %s", id, c.index)
}

func (s *Server) settings(c call) (any, *problem) {
	i := s.indexes[c.index]
	if i == nil {
		return nil, missing(c.index)
	}
	return i.settings, nil
}

func (s *Server) objects(c call) (any, *problem) {
	var b struct {
		Requests []struct {
			Index      string   `json:"indexName"`
			ID         string   `json:"objectID"`
			Attributes []string `json:"attributesToRetrieve"`
		} `json:"requests"`
	}
	if p := c.read(&b); p != nil {
		return nil, p
	}
	if len(b.Requests) > 1000 {
		return nil, refuse(http.StatusBadRequest, "Cannot retrieve more than 1000 objects")
	}
	results := make([]any, len(b.Requests))
	for at, one := range b.Requests {
		i := s.indexes[one.Index]
		if i == nil {
			return nil, missing(one.Index)
		}
		if r, ok := i.records[one.ID]; ok {
			results[at] = pick(r, one.Attributes)
		}
	}
	return map[string]any{"results": results}, nil
}

func pick(r Record, attributes []string) Record {
	if len(attributes) == 0 {
		return r
	}
	out := Record{"objectID": r["objectID"]}
	for _, a := range attributes {
		if v, ok := r[a]; ok {
			out[a] = v
		}
	}
	return out
}

// asked is what a search or a browse may ask for.
type asked struct {
	Query      string   `json:"query,omitempty"`
	Filters    string   `json:"filters,omitempty"`
	Hits       *int     `json:"hitsPerPage,omitempty"`
	Page       int      `json:"page,omitempty"`
	Attributes []string `json:"attributesToRetrieve,omitempty"`
	Analytics  *bool    `json:"analytics,omitempty"`
}

// find returns the records that are asked for, in the order of their ids.
func (i *index) find(a asked) ([]Record, *problem) {
	filters, err := parseFilters(a.Filters)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "filters: %v", err)
	}
	words := strings.Fields(strings.ToLower(a.Query))
	var found []Record
	for _, id := range slices.Sorted(maps.Keys(i.records)) {
		r := i.records[id]
		if i.matches(r, filters) && i.says(r, words) {
			found = append(found, r)
		}
	}
	return found, nil
}

// says reports whether the searchable attributes have all words.
func (i *index) says(r Record, words []string) bool {
	if len(words) == 0 {
		return true
	}
	var text strings.Builder
	for name, v := range r {
		if i.lists("searchableAttributes", name, true) {
			text.WriteString(strings.ToLower(string(v)))
		}
	}
	for _, w := range words {
		if !strings.Contains(text.String(), w) {
			return false
		}
	}
	return true
}

// lists reports whether a setting has an attribute, or a part of it. A setting that is empty is all or nothing.
func (i *index) lists(setting, attribute string, empty bool) bool {
	var list []string
	_ = json.Unmarshal(i.settings[setting], &list) // looked at when it was set
	if len(list) == 0 {
		return empty
	}
	return slices.ContainsFunc(list, func(one string) bool {
		if _, inner, ok := strings.Cut(one, "("); ok {
			one = strings.TrimSuffix(inner, ")")
		}
		return one == attribute || strings.HasPrefix(one, attribute+".")
	})
}

func (s *Server) query(c call) (any, *problem) {
	var a asked
	if p := c.read(&a); p != nil {
		return nil, p
	}
	i := s.indexes[c.index]
	if i == nil {
		return nil, missing(c.index)
	}
	found, p := i.find(a)
	if p != nil {
		return nil, p
	}
	size := 20
	if a.Hits != nil {
		size = *a.Hits
	}
	if size < 0 || size > 1000 {
		return nil, refuse(http.StatusBadRequest, "invalid hitsPerPage")
	}
	hits := []Record{}
	for _, r := range found[min(a.Page*size, len(found)):min((a.Page+1)*size, len(found))] {
		hits = append(hits, pick(r, a.Attributes))
	}
	n := len(found)
	if s.knobs.inexact {
		n = n*9/10 + 1
	}
	return map[string]any{
		"hits": hits, "nbHits": n, "page": a.Page, "hitsPerPage": size, "exhaustiveNbHits": !s.knobs.inexact,
		"exhaustive": map[string]bool{"nbHits": !s.knobs.inexact}, "query": a.Query, "params": "", "processingTimeMS": 1,
	}, nil
}

// cursor is where a browse goes on.
type cursor struct {
	After string
	Asked asked
}

func (s *Server) browse(c call) (any, *problem) {
	var b struct {
		asked
		Cursor string `json:"cursor"`
	}
	if p := c.read(&b); p != nil {
		return nil, p
	}
	i := s.indexes[c.index]
	if i == nil {
		return nil, missing(c.index)
	}
	at := cursor{Asked: b.asked}
	if b.Cursor != "" {
		raw, err := base64.URLEncoding.DecodeString(b.Cursor)
		if err != nil || json.Unmarshal(raw, &at) != nil {
			return nil, refuse(http.StatusBadRequest, "Cursor not valid")
		}
	}
	found, p := i.find(at.Asked)
	if p != nil {
		return nil, p
	}
	size := 1000
	if at.Asked.Hits != nil && *at.Asked.Hits > 0 {
		size = min(*at.Asked.Hits, 1000)
	}
	hits := []Record{}
	answer := map[string]any{"nbHits": len(found)}
	for n, r := range found {
		var id string
		_ = json.Unmarshal(r["objectID"], &id) // looked at when it was written
		if id <= at.After {
			continue
		}
		hits = append(hits, pick(r, at.Asked.Attributes))
		if len(hits) == size && n < len(found)-1 {
			answer["cursor"] = base64.URLEncoding.EncodeToString(encode(cursor{id, at.Asked}))
			break
		}
	}
	answer["hits"] = hits
	return answer, nil
}

// filter is one comparison.
type filter struct {
	attribute, operator string
	number              float64
	value               string // of a facet
}

var comparison = regexp.MustCompile(`^\s*([\w.]+)\s*(!=|<=|>=|=|<|>|:)\s*(\S.*?)\s*$`)

// parseFilters reads comparisons that are joined by AND.
func parseFilters(text string) (all []filter, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for _, part := range strings.Split(text, " AND ") {
		m := comparison.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("unexpected token in %q", part)
		}
		f := filter{attribute: m[1], operator: m[2], value: strings.Trim(m[3], `"'`)}
		if f.operator != ":" {
			if f.number, err = strconv.ParseFloat(m[3], 64); err != nil {
				return nil, fmt.Errorf("%q is no number", m[3])
			}
		}
		all = append(all, f)
	}
	return all, nil
}

// matches reports whether a record passes. What the settings do not allow to filter by matches nothing.
func (i *index) matches(r Record, filters []filter) bool {
	for _, f := range filters {
		if f.operator == ":" {
			if !i.lists("attributesForFaceting", f.attribute, false) || !i.has(r[f.attribute], f.value) {
				return false
			}
			continue
		}
		v, err := strconv.ParseFloat(string(r[f.attribute]), 64)
		if err != nil || !i.lists("numericAttributesForFiltering", f.attribute, true) || !compare(v, f.operator, f.number) {
			return false
		}
	}
	return true
}

func (i *index) has(v json.RawMessage, want string) bool {
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil {
		list = []json.RawMessage{v}
	}
	return slices.ContainsFunc(list, func(one json.RawMessage) bool { return strings.Trim(string(one), `"`) == want })
}

func compare(v float64, operator string, with float64) bool {
	switch operator {
	case "=":
		return v == with
	case "!=":
		return math.Abs(v-with) > 0
	case "<":
		return v < with
	case "<=":
		return v <= with
	case ">":
		return v > with
	default:
		return v >= with
	}
}
