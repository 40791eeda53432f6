package fakenetsuite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

var filters = regexp.MustCompile(`^(tranId|email) IS "([^"]+)"$`)

// filter answers a GET of a type: ids only.
func (s *Server) filter(kind string, r *http.Request) (answer, *problem) {
	m := filters.FindStringSubmatch(r.URL.Query().Get("q"))
	if m == nil || (kind == "customer") != (m[1] == "email") {
		return answer{}, &problem{http.StatusBadRequest, codeUser, "Search error occurred: the filter can't be read.", ""}
	}
	key := m[2]
	if kind == "customer" {
		key = strings.ToLower(key)
	}
	items := []any{}
	for _, one := range s.tables[kind].byNumber[key] {
		if !one.deleted {
			items = append(items, map[string]any{"links": []any{}, "id": one.id})
		}
	}
	return listOf(items), nil
}

func listOf(items []any) answer {
	return answer{status: http.StatusOK, body: encode(map[string]any{
		"links": []any{}, "count": len(items), "hasMore": false, "items": items, "offset": 0, "totalResults": len(items),
	})}
}

var itemQuery = regexp.MustCompile(`^SELECT id, (itemid|upccode) FROM item WHERE (itemid|upccode) IN \((.+)\) AND isinactive = 'F'$`)

// suiteQL answers the one shape of query that is asked.
func (s *Server) suiteQL(r *http.Request, body []byte) (answer, *problem) {
	var q struct{ Q string }
	if r.Method != http.MethodPost || json.Unmarshal(body, &q) != nil {
		return answer{}, notAllowed
	}
	if r.Header.Get("Prefer") != "transient" {
		return answer{}, refusal("INVALID_HEADER", "", "The required request header 'Prefer' is missing or incorrect. It must be set to 'transient'.")
	}
	m := itemQuery.FindStringSubmatch(q.Q)
	if m == nil || m[1] != m[2] {
		p := refusal(codeUser, "", "Search error occurred: Field 'foo' not found.")
		return answer{}, p
	}
	items := []any{}
	for _, quoted := range regexp.MustCompile(`'((?:[^']|'')*)'`).FindAllStringSubmatch(m[3], -1) {
		number := strings.ReplaceAll(quoted[1], "''", "'")
		if s.knobs.missing[number] {
			continue
		}
		items = append(items, map[string]any{"links": []any{}, "id": s.item(number), m[1]: number})
		if s.knobs.twice == number {
			items = append(items, map[string]any{"links": []any{}, "id": "1", m[1]: number})
		}
	}
	return listOf(items), nil
}

// item returns the id of an item. The account has every item but those that SetMissing names.
func (s *Server) item(number string) string {
	if id, ok := s.items[number]; ok {
		return id
	}
	id := fmt.Sprint(50_000 + len(s.items))
	s.items[number], s.numbers[id] = id, number
	return id
}
