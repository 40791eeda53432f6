package elastic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/search"
)

// Each row of the table in docs/search-engines.md.
func TestDecide_EveryRow(t *testing.T) {
	for _, tt := range []struct {
		status   int
		kind     string
		deletion bool
		want     verdict
	}{
		{200, "", false, done},
		{201, "", false, done},
		{200, "", true, done},
		{404, "", true, done},
		{409, "version_conflict_engine_exception", false, stale},
		{409, "version_conflict_engine_exception", true, stale},
		{409, "something_else", false, repeat},
		{429, "es_rejected_execution_exception", false, repeat},
		{429, "rejected_execution_exception", false, repeat},
		{429, "open_search_rejected_execution_exception", true, repeat},
		{429, "circuit_breaking_exception", false, repeat},
		{503, "unavailable_shards_exception", false, repeat},
		{503, "process_cluster_event_timeout_exception", true, repeat},
		{500, "exception", false, repeat},
		{404, "shard_not_found_exception", false, repeat},
		{400, "mapper_parsing_exception", false, refuse},
		{400, "document_parsing_exception", false, refuse},
		{400, "strict_dynamic_mapping_exception", false, refuse},
		{400, "illegal_argument_exception", false, refuse},
		{413, "", false, refuse},
		{404, "index_not_found_exception", false, stop},
		{404, "index_not_found_exception", true, stop},
		{403, "cluster_block_exception", false, stop},
		{429, "cluster_block_exception", true, stop},
		{400, "index_closed_exception", false, stop},
		{403, "security_exception", false, stop},
		{401, "security_exception", true, stop},
	} {
		a := &itemAnswer{Status: tt.status}
		if tt.kind != "" {
			a.Error = json.RawMessage(fmt.Sprintf(`{"type":%q,"reason":"why"}`, tt.kind))
		}
		if got, _ := decide(a, tt.deletion); got != tt.want {
			t.Errorf("%d %s, deletion %t: %d, want %d", tt.status, tt.kind, tt.deletion, got, tt.want)
		}
	}
}

func TestReason_NamesFieldAndValue(t *testing.T) {
	for raw, want := range map[string]string{
		`{"type":"mapper_parsing_exception","reason":"failed to parse field [price]","caused_by":{"type":"x","reason":"outer","caused_by":{"type":"y","reason":"For input string: \"abc\""}}}`: `mapper_parsing_exception: failed to parse field [price]: For input string: "abc"`,
		`"Content-Type header [x] is not supported"`: "Content-Type header [x] is not supported",
		`{"type":"a"}`: "a", `null`: "", ``: "", `[1]`: "", `{"reason":"r","caused_by":{"reason":"r"}}`: "r",
	} {
		if got := readReason(json.RawMessage(raw)).String(); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func FuzzBulkAnswer(f *testing.F) {
	f.Add([]byte(`{"errors":true,"items":[{"index":{"status":429,"error":{"type":"es_rejected_execution_exception"}}},{"delete":{"status":404}}]}`))
	f.Add([]byte(`{"items":[{"index":{"status":400,"error":"text"}},{"delete":{"status":403,"error":{"caused_by":{"caused_by":{"reason":"x"}}}}}]}`))
	f.Add([]byte(`{"items":[{"index":null},{"delete":{"status":-1,"error":[]}}]}`))
	c, err := New(Options{URLs: []string{"http://127.0.0.1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var a bulkAnswer
		if json.Unmarshal(body, &a) != nil {
			return
		}
		writes := []search.Write{{ID: "a", Version: 1, Document: json.RawMessage(`{}`)}, {ID: "b", Version: 1}}
		if a.fits([]int{0, 1}, writes) != nil {
			return
		}
		b := &batch{client: c, target: search.Target{Index: "products"}, writes: writes, results: make([]search.Result, 2)}
		again, err := b.settle([]int{0, 1}, a)
		for _, i := range again {
			if err == nil && b.results[i].Err == nil {
				t.Errorf("%s: item %d is repeated for no reason", body, i)
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", body, err)
		}
	})
}

func FuzzBulkBody(f *testing.F) {
	f.Add("SKU 1", `{"name":"a"}`)
	f.Add("ü\"\\", " {\r\n} ")
	f.Add("x", "{\"a\":{\"b\":[1,\n2]}}")
	c, err := New(Options{URLs: []string{"http://127.0.0.1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, doc string) {
		w := search.Write{ID: id, Version: 7, Document: json.RawMessage(doc)}
		if !json.Valid([]byte(doc)) || c.unfit(w) != nil {
			return
		}
		b := &batch{client: c, writes: []search.Write{w, {ID: id, Version: 8}}}
		lines := bytes.Split(b.body(nil, []int{0, 1}), []byte("\n"))
		if len(lines) != 4 || len(lines[3]) != 0 {
			t.Fatalf("%q: %d lines", lines, len(lines))
		}
		var action struct {
			Index, Delete struct {
				ID string `json:"_id"`
			}
		}
		var sent, given map[string]any
		if json.Unmarshal(lines[0], &action) != nil || json.Unmarshal(lines[2], &action) != nil || action.Index.ID != id || action.Delete.ID != id {
			t.Errorf("actions %s, %s of %q", lines[0], lines[2], id)
		}
		if json.Unmarshal(lines[1], &sent) != nil || json.Unmarshal([]byte(doc), &given) != nil || given[VersionField] == nil && len(sent) != len(given)+1 {
			t.Errorf("document %s of %s", lines[1], doc)
		}
	})
}

func BenchmarkBulkBody(b *testing.B) {
	c, err := New(Options{URLs: []string{"http://127.0.0.1"}})
	if err != nil {
		b.Fatal(err)
	}
	doc := json.RawMessage(`{"name":"` + strings.Repeat("a product of the shop, ", 80) + `"}`)
	batch := &batch{client: c}
	var items []int
	for i := range 1000 {
		batch.writes = append(batch.writes, search.Write{ID: fmt.Sprintf("SKU-%d", i), Version: 1795943594910, Document: doc})
		items = append(items, i)
	}
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		body = batch.body(body[:0], items)
	}
	b.SetBytes(int64(len(body)))
}

func BenchmarkBulkAnswer(b *testing.B) {
	body := []byte(`{"errors":false,"items":[` + strings.Repeat(`{"index":{"status":200}},`, 999) + `{"index":{"status":201}}]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var a bulkAnswer
		if err := json.Unmarshal(body, &a); err != nil || len(a.Items) != 1000 {
			b.Fatal(err)
		}
	}
}
