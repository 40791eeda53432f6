package elastic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/search/elastic"
	"github.com/mageline/mageline/test/kit/fakesearch"
)

var fields = []search.Field{
	{Name: "sku", Type: search.Keyword},
	{Name: "name", Type: search.Text, Sort: true},
	{Name: "price", Type: search.Decimal},
	{Name: "position", Type: search.Integer},
	{Name: "in_stock", Type: search.Boolean},
	{Name: "created_at", Type: search.Date},
	{Name: "image", Type: search.Stored},
	{Name: "rating", Type: search.Object, Fields: []search.Field{{Name: "count", Type: search.Integer}}},
	{Name: "variants", Type: search.Nested, Fields: []search.Field{{Name: "sku", Type: search.Keyword}, {Name: "price", Type: search.Decimal}}},
}

const document = `{"sku":"A","name":"Red shoe","price":19.95,"position":3,"in_stock":true,"created_at":"2026-11-29T10:00:00Z",` +
	`"image":"https://shop.example/a.jpg","rating":{"count":4},"variants":[{"sku":"A-1","price":19.95},{"sku":"A-2","price":21}]}`

// engine is one that the suite runs on, with a prefix of its own for its indexes.
type engine struct {
	t      *testing.T
	url    string
	prefix string
	fake   *fakesearch.Server // nil for a real one
}

// engines runs a test on each mode of the fake, and on a real OpenSearch.
func engines(t *testing.T, test func(t *testing.T, e *engine)) {
	for _, mode := range []fakesearch.Mode{
		fakesearch.OpenSearch1, fakesearch.OpenSearch2, fakesearch.OpenSearch3, fakesearch.Elasticsearch7, fakesearch.Elasticsearch8, fakesearch.Elasticsearch9,
	} {
		t.Run(string(mode), func(t *testing.T) { test(t, fake(t, fakesearch.Options{Mode: mode})) })
	}
	t.Run("real", func(t *testing.T) {
		e := &engine{t: t, url: realURL(t), prefix: fmt.Sprintf("t%d", time.Now().UnixNano())}
		t.Cleanup(func() { e.do(http.MethodDelete, "/"+e.prefix+"*", "") })
		test(t, e)
	})
}

func fake(t *testing.T, o fakesearch.Options) *engine {
	t.Helper()
	s := fakesearch.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); server.Close() })
	return &engine{t: t, url: server.URL, prefix: "t", fake: s}
}

func (e *engine) index(name string) string { return e.prefix + "-" + name }

func (e *engine) client(change ...func(*elastic.Options)) *elastic.Client {
	e.t.Helper()
	o := elastic.Options{
		URLs: []string{e.url}, Settings: map[string]any{"number_of_replicas": 0},
		Repeats: elastic.Repeats{Wait: time.Millisecond, MaxWait: 20 * time.Millisecond},
	}
	for _, c := range change {
		c(&o)
	}
	c, err := elastic.New(o)
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// do sends a request as an operator does, and returns status and answer.
func (e *engine) do(method, path, body string) (int, map[string]any) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, e.url+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	var answer map[string]any
	_ = json.Unmarshal(raw, &answer)
	return res.StatusCode, answer
}

func (e *engine) ensure(c *elastic.Client, index string) search.Target {
	e.t.Helper()
	target, err := c.Ensure(e.t.Context(), index, fields)
	if err != nil {
		e.t.Fatal(err)
	}
	return target
}

// write returns how each write ended: written, stale, or the class of its error.
func (e *engine) write(c *elastic.Client, target search.Target, writes ...search.Write) []string {
	e.t.Helper()
	results, err := c.Write(e.t.Context(), target, writes)
	if err != nil {
		e.t.Fatal(err)
	}
	ends := make([]string, len(results))
	for i, r := range results {
		switch {
		case r.Err != nil:
			ends[i] = string(event.ClassOf(r.Err))
		case r.Stale:
			ends[i] = "stale"
		default:
			ends[i] = "written"
		}
	}
	return ends
}

func (e *engine) source(index, id string) (string, bool) {
	e.t.Helper()
	_, a := e.do(http.MethodGet, "/"+index+"/_doc/"+id, "")
	if a["found"] != true {
		return "", false
	}
	b, err := json.Marshal(a["_source"])
	if err != nil {
		e.t.Fatal(err)
	}
	return string(b), true
}

func put(id string, version int64, doc string) search.Write {
	return search.Write{ID: id, Version: version, Document: json.RawMessage(doc)}
}

func drop(id string, version int64) search.Write { return search.Write{ID: id, Version: version} }

func TestWrite_NewestVersionStays(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		for _, step := range []struct {
			write search.Write
			end   string
			name  string // in the index afterwards; "" is none
		}{
			{put("A", 5, `{"name":"five"}`), "written", "five"},
			{put("A", 4, `{"name":"four"}`), "stale", "five"},
			{put("A", 5, `{"name":"five again"}`), "written", "five again"},
			{drop("A", 4), "stale", "five again"},
			{drop("A", 6), "written", ""},
			{put("A", 5, `{"name":"five late"}`), "stale", ""},
			{drop("A", 6), "written", ""},
			{put("A", 6, `{"name":"six"}`), "written", "six"},
			{drop("B", 9), "written", "six"}, // a deletion that overtakes the first write
			{put("B", 8, `{"name":"eight"}`), "stale", "six"},
		} {
			if end := e.write(c, target, step.write); end[0] != step.end {
				t.Errorf("%+v: %s, want %s", step.write, end[0], step.end)
			}
			source, _ := e.source(index, "A")
			if step.name != "" && !strings.Contains(source, `"name":"`+step.name+`"`) || step.name == "" && source != "" {
				t.Errorf("after %+v: %q, want %q", step.write, source, step.name)
			}
		}
		if _, ok := e.source(index, "B"); ok {
			t.Error("B came back")
		}
	})
}

func TestWrite_RefusedDocumentIsRefusedAlone(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		writes := []search.Write{
			put("good", 1, document),
			put("unknown field", 1, `{"color":"red"}`),
			put("unknown inside", 1, `{"variants":[{"sku":"x","size":"L"}]}`),
			put("text for a number", 1, `{"price":"dear"}`),
			put("value for an object", 1, `{"rating":4}`),
			put("object for a text", 1, `{"name":{"de":"Schuh"}}`),
			put("no date", 1, `{"created_at":"yesterday"}`),
			put("no flag", 1, `{"in_stock":"perhaps"}`),
			put("not quite JSON", 1, `{"name":"a" "b"}`),
			put("twice", 1, `{"name":"a","name":"b"}`),
			put("no object", 1, `["a"]`),
			put("no version", 0, `{}`),
			put("", 1, `{}`),
			put(strings.Repeat("x", 513), 1, `{}`),
			put("empty", 1, ` {
			} `),
			put("lines", 1, "{\r\n\"name\": \"a\\nb\",\n\"image\": {\"any\": [1, \"thing\"]}}"),
			put(`odd " \ ü / id`, 1, `{"price":"12.50","position":null,"name":["a","b"],"in_stock":"false"}`),
			put("long", 1, `{"sku":"`+strings.Repeat("ü", 20_000)+`","name":"`+strings.Repeat("n", 40_000)+`","image":"`+strings.Repeat("i", 40_000)+`"}`),
			drop("missing", 1),
		}
		good := []int{0, 14, 15, 16, 17, 18}
		for i, end := range e.write(c, target, writes...) {
			want := "rejected"
			if slices.Contains(good, i) {
				want = "written"
			}
			if end != want {
				t.Errorf("%s: %s, want %s", writes[i].ID, end, want)
			}
		}
		if n, err := c.Count(t.Context(), target); n != int64(len(good)-1) || err != nil {
			t.Errorf("%d documents, %v", n, err)
		}
		got, _ := e.source(index, "good")
		want := `{"mageline_version":1,` + document[1:]
		if !equalJSON(got, want) {
			t.Errorf("document %s, want %s", got, want)
		}
	})
}

func equalJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return bytes.Equal(p, q)
}

func TestWrite_SeveralOfOneDocument(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		ends := e.write(c, target,
			put("A", 2, `{"name":"two"}`), put("A", 4, `{"name":"four"}`), put("A", 4, `{"name":"four, later"}`), put("A", 3, `{"name":"three"}`),
			put("B", 2, `{"name":"two"}`), put("B", 1, `{"name":"one"}`), put("B", 3, `{"nonsense":1}`), drop("C", 2), put("C", 1, `{}`),
		)
		if want := []string{"stale", "stale", "written", "stale", "written", "stale", "rejected", "written", "stale"}; !slices.Equal(ends, want) {
			t.Errorf("%v, want %v", ends, want)
		}
		if a, _ := e.source(index, "A"); !strings.Contains(a, "four, later") {
			t.Errorf("A: %s", a)
		}
		if b, _ := e.source(index, "B"); !strings.Contains(b, "two") {
			t.Errorf("B: %s", b)
		}
	})
}

func TestWrite_SplitsByBytesAndItems(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		index := e.index("products")
		for _, gzip := range []bool{false, true} {
			c := e.client(func(o *elastic.Options) { o.MaxBytes, o.MaxItems, o.Gzip = 4000, 7, gzip })
			target := e.ensure(c, index)
			var writes []search.Write
			for i := range 50 {
				writes = append(writes, put(fmt.Sprintf("s%d", i), 1, `{"name":"`+strings.Repeat("x", i*100)+`"}`))
			}
			for i, end := range e.write(c, target, writes...) {
				if end != "written" {
					t.Errorf("%d: %s", i, end)
				}
			}
			if n, err := c.Count(t.Context(), target); n != 50 || err != nil {
				t.Errorf("%d documents, %v", n, err)
			}
		}
	})
}

func TestWrite_MakesNoIndexByAccident(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		if status, a := e.do(http.MethodDelete, "/"+index+"-1", ""); status != http.StatusOK {
			t.Fatal(status, a)
		}
		for _, w := range []search.Write{put("A", 1, `{}`), drop("A", 2)} {
			if _, err := c.Write(t.Context(), target, []search.Write{w}); !errors.Is(err, search.ErrNoTarget) || event.ClassOf(err) != event.Unavailable {
				t.Errorf("error %v (%s)", err, event.ClassOf(err))
			}
		}
		if _, err := c.Count(t.Context(), target); !errors.Is(err, search.ErrNoTarget) {
			t.Errorf("count: %v", err)
		}
		if status, _ := e.do(http.MethodGet, "/"+target.Name, ""); status != http.StatusNotFound {
			t.Errorf("%s is there: %d", target.Name, status)
		}
		next := e.ensure(c, index)
		if next.Generation == target.Generation || next.Name == target.Name {
			t.Errorf("%+v and %+v", next, target)
		}
		if _, err := c.Write(t.Context(), target, []search.Write{put("A", 1, `{}`)}); !errors.Is(err, search.ErrNoTarget) {
			t.Errorf("a write to what was deleted goes elsewhere: %v", err)
		}
	})
}

func TestWrite_BlockedIndexIsAnOutage(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		for _, block := range []string{"blocks.write", "blocks.read_only_allow_delete"} {
			if status, a := e.do(http.MethodPut, "/"+index+"/_settings", `{"index":{"`+block+`":true}}`); status != http.StatusOK {
				t.Fatal(a)
			}
			_, err := c.Write(t.Context(), target, []search.Write{put("A", 1, `{}`)})
			if event.ClassOf(err) != event.Unavailable || !strings.Contains(err.Error(), "takes no writes") {
				t.Errorf("%s: %v (%s)", block, err, event.ClassOf(err))
			}
			if status, a := e.do(http.MethodPut, "/"+index+"/_settings", `{"index":{"`+block+`":null}}`); status != http.StatusOK {
				t.Fatal(a)
			}
		}
		if status, a := e.do(http.MethodPost, "/"+index+"/_close", ""); status != http.StatusOK {
			t.Fatal(a)
		}
		if _, err := c.Write(t.Context(), target, []search.Write{put("A", 1, `{}`)}); event.ClassOf(err) != event.Unavailable {
			t.Errorf("closed: %v (%s)", err, event.ClassOf(err))
		}
		if status, a := e.do(http.MethodPost, "/"+index+"/_open", ""); status != http.StatusOK {
			t.Fatal(a)
		}
		e.write(c, target, put("A", 1, `{}`))
	})
}

func TestEnsure_ByManyAtOnceMakesOneIndex(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		index := e.index("products")
		targets, errs := make([]search.Target, 5), make([]error, 5)
		var wg sync.WaitGroup
		for i := range targets {
			c := e.client()
			wg.Go(func() { targets[i], errs[i] = c.Ensure(t.Context(), index, fields) })
		}
		wg.Wait()
		for i := range targets {
			if errs[i] != nil || targets[i] != targets[0] || targets[i].Generation == "" {
				t.Errorf("%+v, %v", targets[i], errs[i])
			}
		}
	})
}

func TestEnsure_AddsFieldsAndNamesThoseThatNeedASwap(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		if again := e.ensure(c, index); again != target {
			t.Errorf("%+v, then %+v", target, again)
		}
		more := slices.Clone(fields)
		more[0].Type = search.Text
		more[7].Fields = []search.Field{{Name: "count", Type: search.Date}}
		more[5].Type = search.Stored
		var needs *search.NeedsSwapError
		if same, err := c.Ensure(t.Context(), index, more); same != target || !errors.As(err, &needs) || !slices.Equal(needs.Fields, []string{"created_at", "rating.count", "sku"}) {
			t.Errorf("error %v", err)
		}
		more = slices.Clone(fields)
		more[7].Fields = append(slices.Clone(more[7].Fields), search.Field{Name: "mean", Type: search.Decimal})
		more = append(more, search.Field{Name: "color", Type: search.Text, Sort: true})
		state, err := c.Inspect(t.Context(), index, more)
		if err != nil || !slices.Equal(state.Lacks, []string{"color", "rating.mean"}) || state.Needs != state.Fields+3 || state.Loose || state.Target != target {
			t.Errorf("%+v, %v", state, err)
		}
		if _, err := c.Ensure(t.Context(), index, more); err != nil {
			t.Fatal(err)
		}
		if end := e.write(c, target, put("A", 1, `{"color":"red","rating":{"count":1,"mean":4.5}}`)); end[0] != "written" {
			t.Error(end)
		}
		if state, err := c.Inspect(t.Context(), index, more); err != nil || len(state.Lacks)+len(state.Changed) > 0 || state.Needs != state.Fields {
			t.Errorf("%+v, %v", state, err)
		}
	})
}

func TestEnsure_KeepsToTheFieldLimit(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		index := e.index("products")
		n, err := elastic.FieldCount(fields)
		if err != nil || n != 14 {
			t.Fatal(n, err)
		}
		limit := func(n int) func(*elastic.Options) {
			return func(o *elastic.Options) {
				o.Settings = map[string]any{"index.mapping.total_fields.limit": n, "number_of_replicas": 0}
			}
		}
		// The engine counts as we do: one field less is too little.
		if status, _ := e.do(http.MethodPut, "/"+e.index("probe"), mappingWithLimit(t, n-1)); status != http.StatusBadRequest {
			t.Errorf("the engine takes %d fields with a limit of %d: %d", n, n-1, status)
		}
		if _, err := e.client(limit(n-1)).Ensure(t.Context(), index, fields); event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), "limit is 13") {
			t.Errorf("error %v", err)
		}
		c := e.client(limit(n))
		target := e.ensure(c, index)
		if _, err := c.Ensure(t.Context(), index, append(slices.Clone(fields), search.Field{Name: "one_more", Type: search.Keyword})); event.ClassOf(err) != event.Invalid {
			t.Errorf("error %v", err)
		}
		if state, err := c.Inspect(t.Context(), index, fields); err != nil || state.Fields != n || state.Limit != n || state.Target != target {
			t.Errorf("%+v, %v", state, err)
		}
	})
}

func mappingWithLimit(t *testing.T, limit int) string {
	t.Helper()
	return fmt.Sprintf(`{"settings":{"index.mapping.total_fields.limit":%d},"mappings":%s}`, limit, elastic.MappingJSON(t, fields))
}

func TestEnsure_LeavesAnIndexOfTheAliasesNameAlone(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		if status, a := e.do(http.MethodPut, "/"+index, `{"settings":{"number_of_replicas":0}}`); status != http.StatusOK {
			t.Fatal(a)
		}
		if _, err := c.Ensure(t.Context(), index, fields); event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), "made by somebody else") {
			t.Errorf("error %v", err)
		}
		next, err := c.Create(t.Context(), index, fields)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Swap(t.Context(), next); event.ClassOf(err) != event.Invalid {
			t.Errorf("error %v", err)
		}
		if status, _ := e.do(http.MethodHead, "/"+index, ""); status != http.StatusOK {
			t.Errorf("%s is gone: %d", index, status)
		}
	})
}

func TestEnsure_TakesAnIndexBehindAnAliasOfSomebodyElse(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		made := `{"settings":{"number_of_replicas":0},"mappings":{"properties":{"sku":{"type":"keyword"},"theirs":{"type":"long"}}},"aliases":{"` + index + `":{}}}`
		if status, a := e.do(http.MethodPut, "/"+e.index("theirs"), made); status != http.StatusOK {
			t.Fatal(a)
		}
		target := e.ensure(c, index)
		if again := e.ensure(c, index); again != target {
			t.Errorf("%+v, then %+v", target, again)
		}
		if end := e.write(c, target, put("A", 1, document), put("B", 1, `{"unknown":1}`)); !slices.Equal(end, []string{"written", "rejected"}) {
			t.Error(end)
		}
		_, a := e.do(http.MethodGet, "/"+index+"/_settings", "")
		if b, _ := json.Marshal(a); !strings.Contains(string(b), `"gc_deletes":"24h"`) {
			t.Errorf("settings %s", b)
		}
	})
}

func TestSwap_MovesTheAliasInOneStep(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		old := e.ensure(c, index)
		e.write(c, old, put("A", 1, `{"name":"old"}`))
		next, err := c.Create(t.Context(), index, fields)
		if err != nil {
			t.Fatal(err)
		}
		e.write(c, next, put("A", 1, `{"name":"new"}`), put("B", 1, `{"name":"new"}`))
		if source, _ := e.source(index, "A"); !strings.Contains(source, "old") {
			t.Errorf("before the swap: %s", source)
		}
		if err := c.Remove(t.Context(), old); event.ClassOf(err) != event.Invalid {
			t.Errorf("what is searched is removed: %v", err)
		}
		state, err := c.Inspect(t.Context(), index, fields)
		if err != nil || !slices.Equal(state.Others, []search.Target{next}) || state.Target != old {
			t.Errorf("%+v, %v", state, err)
		}
		before, err := c.Swap(t.Context(), next)
		if err != nil || before != old {
			t.Fatalf("%+v, %v; want %+v", before, err, old)
		}
		if again, err := c.Swap(t.Context(), next); err != nil || again != (search.Target{}) {
			t.Errorf("a second time: %+v, %v", again, err)
		}
		// What was written before is found at once.
		_, a := e.do(http.MethodPost, "/"+index+"/_search", `{"query":{"match":{"name":"new"}}}`)
		if b, _ := json.Marshal(a["hits"]); !strings.Contains(string(b), `"value":2`) {
			t.Errorf("found %s", b)
		}
		if target := e.ensure(c, index); target != next {
			t.Errorf("%+v, want %+v", target, next)
		}
		for range 2 {
			if err := c.Remove(t.Context(), old); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Swap(t.Context(), old); !errors.Is(err, search.ErrNoTarget) {
			t.Errorf("a swap to what is gone: %v", err)
		}
		if n, err := c.Count(t.Context(), next); n != 2 || err != nil {
			t.Errorf("%d documents, %v", n, err)
		}
	})
}

func TestSwap_FirstGeneration(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		next, err := c.Create(t.Context(), index, fields)
		if err != nil {
			t.Fatal(err)
		}
		if before, err := c.Swap(t.Context(), next); err != nil || before != (search.Target{}) {
			t.Fatalf("%+v, %v", before, err)
		}
		if target := e.ensure(c, index); target != next {
			t.Errorf("%+v, want %+v", target, next)
		}
	})
}

func TestOlder_NamesEachOnce(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		c, index := e.client(), e.index("products")
		target := e.ensure(c, index)
		var writes []search.Write
		for i := range 2500 {
			writes = append(writes, put(fmt.Sprintf("s%04d", i), int64(1+i%2), `{}`))
		}
		writes = append(writes, drop("gone", 1))
		e.write(c, target, writes...)
		if status, a := e.do(http.MethodPost, "/_bulk?require_alias=true", `{"index":{"_index":"`+target.Name+`","_id":"theirs"}}`+"\n{}\n"); status != http.StatusOK || a["errors"] != false {
			t.Fatal(a)
		}
		seen := map[string]int{}
		err := c.Older(t.Context(), target, 2, func(ids []string) error {
			if len(ids) > 1000 {
				t.Errorf("%d at once", len(ids))
			}
			var drops []search.Write
			for _, id := range ids {
				seen[id]++
				drops = append(drops, drop(id, 2))
			}
			e.write(c, target, drops...)
			return nil
		})
		if err != nil || len(seen) != 1251 || seen["s0000"] != 1 || seen["theirs"] != 1 || seen["s0001"] != 0 {
			t.Errorf("%d ids, %v", len(seen), err)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s %d times", id, n)
			}
		}
		if n, err := c.Count(t.Context(), target); n != 1250 || err != nil {
			t.Errorf("%d documents, %v", n, err)
		}
		stop := errors.New("stop")
		if err := c.Older(t.Context(), target, 3, func([]string) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
	})
}

func TestVersion(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		v, err := e.client().Version(t.Context())
		if err != nil || v.Number == "" || v.Distribution != "opensearch" && v.Distribution != "elasticsearch" {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// A node keeps what it knows of deletions in memory alone: who writes must remember them for longer.
func TestRestart_ForgetsDeletions(t *testing.T) {
	test := func(t *testing.T, e *engine, restart func()) {
		index := e.index("products")
		target := e.ensure(e.client(), index)
		e.write(e.client(), target, put("A", 1, `{}`), put("B", 1, `{}`), drop("B", 5))
		if end := e.write(e.client(), target, put("B", 4, `{}`)); end[0] != "stale" {
			t.Errorf("before the restart: %s", end)
		}
		// What is in the log of changes alone would be read from there.
		if e.fake == nil {
			e.do(http.MethodPost, "/"+index+"/_flush?force=true", "")
		}
		restart()
		c := e.client()
		if end := e.write(c, target, put("A", 1, `{}`), put("B", 4, `{}`)); end[0] != "written" || end[1] != "written" {
			t.Errorf("after the restart: %s", end)
		}
		if again := e.ensure(c, index); again != target {
			t.Errorf("%+v, then %+v", target, again)
		}
	}
	t.Run("fake", func(t *testing.T) {
		e := fake(t, fakesearch.Options{})
		test(t, e, e.fake.Restart)
	})
	t.Run("real", func(t *testing.T) {
		e := &engine{t: t, url: realURL(t), prefix: fmt.Sprintf("t%d", time.Now().UnixNano())}
		if node.OpenSearch == nil {
			t.Skip("not ours to restart")
		}
		test(t, e, func() {
			node.Stop()
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
			e.url = node.URL
		})
		e.do(http.MethodDelete, "/"+e.prefix+"*", "")
	})
}

func TestDeletions_AreForgottenAfterGCDeletes(t *testing.T) {
	e := fake(t, fakesearch.Options{})
	c := e.client()
	target := e.ensure(c, "t-products")
	e.write(c, target, drop("A", 5))
	e.fake.Advance(23 * time.Hour)
	if end := e.write(c, target, put("A", 4, `{}`)); end[0] != "stale" {
		t.Error(end)
	}
	e.fake.Advance(2 * time.Hour)
	if end := e.write(c, target, put("A", 4, `{}`)); end[0] != "written" {
		t.Error(end)
	}
}
