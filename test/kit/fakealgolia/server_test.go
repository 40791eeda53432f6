package fakealgolia

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ask sends a request to a host and returns the status and the answer.
func ask(t *testing.T, s *Server, method, path, body string, header ...string) (int, map[string]any) {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("X-Algolia-Application-Id", ApplicationID)
	req.Header.Set("X-Algolia-Api-Key", Key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	text, _ := io.ReadAll(rec.Body)
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, text)
	}
	return rec.Code, answer
}

// batch sends operations, given as action and body.
func batch(t *testing.T, s *Server, parts ...string) (int, map[string]any) {
	t.Helper()
	var requests []string
	for i := 0; i < len(parts); i += 2 {
		requests = append(requests, fmt.Sprintf(`{"action":%q,"body":%s}`, parts[i], parts[i+1]))
	}
	return ask(t, s, http.MethodPost, "/1/indexes/p/batch", `{"requests":[`+strings.Join(requests, ",")+`]}`)
}

func TestServer_Refuses(t *testing.T) {
	s := New(1)
	s.AddKey("search", []string{"search"})
	s.AddKey("other", []string{"search", "addObject", "settings"}, "q*")
	s.Configure("p", map[string]any{"searchableAttributes": []string{"name"}}, "")
	s.SetBodyLimit(2000)
	for _, tt := range []struct {
		method, path, body string
		header             []string
		status             int
	}{
		{"GET", "/1/indexes/p/settings", "", []string{"X-Algolia-Api-Key", "wrong"}, 403},
		{"GET", "/1/indexes/p/settings", "", []string{"X-Algolia-Application-Id", "wrong"}, 403},
		{"GET", "/1/indexes/p/settings", "", []string{"X-Algolia-Api-Key", "search"}, 403},
		{"GET", "/1/indexes/p/settings", "", []string{"X-Algolia-Api-Key", "other"}, 403},
		{"POST", "/1/indexes/p/batch", `{"requests":[{"action":"addObject","body":{"objectID":"1"}}]}`, []string{"X-Algolia-Api-Key", "search"}, 403},
		{"POST", "/1/indexes/q1/operation", `{"operation":"copy","destination":"p"}`, []string{"X-Algolia-Api-Key", "other"}, 403},
		{"POST", "/1/indexes/p/batch", `{"requests":[]}`, []string{"Content-Type", "text/plain"}, 415},
		{"POST", "/1/indexes/p/batch", `{"requests":[` + strings.Repeat(" ", 2000) + `]}`, nil, 413},
		{"POST", "/1/indexes/p/batch", `{"requests":[],"more":1}`, nil, 400},
		{"POST", "/1/indexes/p/batch", `{"requests":[{"action":"upsert","body":{"objectID":"1"}}]}`, nil, 400},
		{"POST", "/1/indexes/p/batch", `{"requests":[{"action":"addObject","body":{"name":"x"}}]}`, nil, 400},
		{"POST", "/1/indexes/p/batch", `{"requests":[{"action":"addObject"}]}`, nil, 400},
		{"POST", "/1/indexes/p/batch", `{"requests":[{"action":"addObject","body":{"objectID":"1","v":{"_operation":"IncrementSet","value":1}}}]}`, nil, 400},
		{"POST", "/1/indexes/p/batch", `{"requests":[{"action":"partialUpdateObject","body":{"objectID":"1","v":{"_operation":"IncrementSet","value":"x"}}}]}`, nil, 400},
		{"PUT", "/1/indexes/p/settings", `{"unknown":[]}`, nil, 400},
		{"PUT", "/1/indexes/p/settings", `{"searchableAttributes":"name"}`, nil, 400},
		{"POST", "/1/indexes/p/query", `{"filters":"a==1"}`, nil, 400},
		{"POST", "/1/indexes/p/query", `{"size":1}`, nil, 400},
		{"POST", "/1/indexes/p/query", `{"hitsPerPage":1001}`, nil, 400},
		{"POST", "/1/indexes/p/browse", `{"cursor":"x"}`, nil, 400},
		{"POST", "/1/indexes/p/deleteByQuery", `{"filters":""}`, nil, 400},
		{"POST", "/1/indexes/p/operation", `{"operation":"move","destination":"q","scope":["rules"]}`, nil, 400},
		{"POST", "/1/indexes/p/operation", `{"operation":"copy","destination":"p"}`, nil, 400},
		{"POST", "/1/indexes/missing/query", `{}`, nil, 404},
		{"GET", "/1/indexes/p/task/7", "", nil, 404},
		{"GET", "/1/indexes/p/nothing", "", nil, 404},
		{"GET", "/2/indexes/p/settings", "", nil, 404},
		{"GET", "/1/indexes/p/settings?x=1", "", nil, 400},
	} {
		if status, answer := ask(t, s, tt.method, tt.path, tt.body, tt.header...); status != tt.status || answer["message"] == nil {
			t.Errorf("%s %s %.80s: %d %v, want %d", tt.method, tt.path, tt.body, status, answer, tt.status)
		}
	}
}

func TestServer_IncrementSetAndFrom(t *testing.T) {
	for name, tt := range map[string]struct {
		operations []string
		want       string // name and v
	}{
		"set creates":                {[]string{`{"objectID":"1","n":"a","v":{"_operation":"IncrementSet","value":5}}`}, `"a" 5`},
		"set to 0 creates nothing":   {[]string{`{"objectID":"1","n":"a","v":{"_operation":"IncrementSet","value":0}}`}, ` `},
		"set higher":                 {[]string{`{"objectID":"1","n":"a","v":5}`, `{"objectID":"1","n":"b","v":{"_operation":"IncrementSet","value":6}}`}, `"b" 6`},
		"set equal is ignored":       {[]string{`{"objectID":"1","n":"a","v":5}`, `{"objectID":"1","n":"b","v":{"_operation":"IncrementSet","value":5}}`}, `"a" 5`},
		"from another is ignored":    {[]string{`{"objectID":"1","n":"a","v":5}`, `{"objectID":"1","n":"b","v":{"_operation":"IncrementFrom","value":4}}`}, `"a" 5`},
		"from equal":                 {[]string{`{"objectID":"1","n":"a","v":5}`, `{"objectID":"1","n":"b","v":{"_operation":"IncrementFrom","value":5}}`}, `"b" 6`},
		"what is not named is left":  {[]string{`{"objectID":"1","n":"a","v":5}`, `{"objectID":"1","v":7}`}, `"a" 7`},
		"null is not there any more": {[]string{`{"objectID":"1","n":"a","v":5}`, `{"objectID":"1","n":null}`}, ` 5`},
	} {
		s := New(1)
		for _, body := range tt.operations {
			if status, answer := batch(t, s, "partialUpdateObject", body); status != http.StatusOK {
				t.Fatal(status, answer)
			}
		}
		r := s.Records("p")["1"]
		if got := string(r["n"]) + " " + string(r["v"]); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestServer_TasksAreDoneInTheOrderOfAnIndex(t *testing.T) {
	s := New(1)
	release := s.HoldTasks("p")
	_, one := batch(t, s, "addObject", `{"objectID":"1","n":1}`)
	_, two := batch(t, s, "deleteObject", `{"objectID":"1"}`, "addObject", `{"objectID":"2"}`)
	status := func(answer map[string]any) string {
		_, task := ask(t, s, "GET", fmt.Sprintf("/1/indexes/p/task/%.0f", answer["taskID"]), "")
		return fmt.Sprint(task["status"])
	}
	if status(one) != "notPublished" || status(two) != "notPublished" || s.Records("p") != nil {
		t.Error("a task that is held was done")
	}
	// What is done to another index does not wait, but for a copy of this one.
	_, _ = ask(t, s, "PUT", "/1/indexes/q/settings", `{"searchableAttributes":["n"]}`)
	_, _ = ask(t, s, "POST", "/1/indexes/p/operation", `{"operation":"copy","destination":"r"}`)
	if s.Settings("q") == nil || s.Records("r") != nil {
		t.Errorf("q has %v, r has %v", s.Settings("q"), s.Records("r"))
	}
	release()
	if len(s.Records("p")) != 1 || len(s.Records("r")) != 1 || status(one) != "published" || status(two) != "published" {
		t.Errorf("p has %v, r has %v", s.Records("p"), s.Records("r"))
	}
}

func TestServer_CopyAndMove(t *testing.T) {
	s := New(1)
	s.Configure("p", map[string]any{"searchableAttributes": []string{"n"}, "replicas": []string{"p_by_price"}}, "rule")
	s.Put("p", "1", nil)
	operate := func(from, body string) {
		if status, answer := ask(t, s, "POST", "/1/indexes/"+from+"/operation", body); status != http.StatusOK {
			t.Fatal(status, answer)
		}
	}
	operate("p", `{"operation":"copy","destination":"scope","scope":["settings","rules"]}`)
	rules, synonyms := s.Rules("scope")
	if len(s.Records("scope")) != 0 || len(s.Settings("scope")) != 1 || rules != 1 || synonyms != 0 {
		t.Errorf("copied %v, %v, %d, %d", s.Records("scope"), s.Settings("scope"), rules, synonyms)
	}
	operate("nothing", `{"operation":"move","destination":"p"}`)
	if len(s.Records("p")) != 1 {
		t.Error("a move of what is missing changed something")
	}
	operate("nothing", `{"operation":"copy","destination":"empty"}`)
	if r := s.Records("empty"); r == nil || len(r) != 0 {
		t.Errorf("a copy of what is missing is %v", r)
	}
	operate("p", `{"operation":"move","destination":"q"}`)
	if s.Records("p") != nil || len(s.Records("q")) != 1 {
		t.Error("nothing was moved")
	}
}

func TestServer_SearchAndBrowse(t *testing.T) {
	s := New(1)
	s.Configure("p", map[string]any{"searchableAttributes": []string{"name"}, "attributesForFaceting": []string{"filterOnly(color)"}}, "")
	for n := range 25 {
		s.Put("p", fmt.Sprintf("%02d", n), map[string]any{"name": fmt.Sprintf("Hero Hoodie %d", n), "color": []string{"red", "blue"}[n%2], "size": "XL", "v": n})
	}
	for body, want := range map[string]float64{
		`{}`: 25, `{"query":"hoodie hero"}`: 25, `{"query":"xl"}`: 0, `{"filters":"color:red"}`: 13, `{"filters":"size:XL"}`: 0,
		`{"filters":"v>=20 AND v<24"}`: 4, `{"filters":"v=3"}`: 1, `{"query":"hoodie 24","filters":"color:red AND v!=3"}`: 1,
	} {
		if _, answer := ask(t, s, "POST", "/1/indexes/p/query", body); answer["nbHits"] != want {
			t.Errorf("%s: %v hits, want %v", body, answer["nbHits"], want)
		}
	}
	seen, body := 0, `{"hitsPerPage":10,"attributesToRetrieve":["v"]}`
	for page := 1; ; page++ {
		_, answer := ask(t, s, "POST", "/1/indexes/p/browse", body)
		seen += len(answer["hits"].([]any))
		if answer["cursor"] == nil {
			if seen != 25 || page != 3 {
				t.Errorf("%d records in %d pages", seen, page)
			}
			break
		}
		body = fmt.Sprintf(`{"cursor":%q}`, answer["cursor"])
	}
}

func TestServer_HostsFailApart(t *testing.T) {
	s := New(1)
	addresses, stop := s.Start()
	defer stop()
	s.Down(0, http.StatusServiceUnavailable)
	s.Down(1, Cut)
	s.LoseAnswers(1)
	status := func(n int) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, addresses[n]+"/1/indexes/p/batch", strings.NewReader(`{"requests":[{"action":"addObject","body":{"objectID":"1"}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Algolia-Application-Id", ApplicationID)
		req.Header.Set("X-Algolia-Api-Key", Key)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "cut"
		}
		defer res.Body.Close()
		return res.Status
	}
	if a, b := status(0), status(1); a != "503 Service Unavailable" || b != "cut" || s.Records("p") != nil {
		t.Errorf("%s, %s", a, b)
	}
	if a := status(2); a != "cut" || len(s.Records("p")) != 1 {
		t.Errorf("a lost answer: %s, %v", a, s.Records("p"))
	}
	if a := status(3); a != "200 OK" || s.Hits() != [Hosts]int{1, 1, 1, 1} {
		t.Errorf("%s, %v", a, s.Hits())
	}
}
