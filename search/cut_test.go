package search

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCut_InTheStatedOrder(t *testing.T) {
	fields := []Field{
		{Name: "sku", Type: Keyword},
		{Name: "name", Type: Text},
		{Name: "description", Type: Text},
		{Name: "short", Type: Text},
		{Name: "variants", Type: Nested},
		{Name: "categories", Type: Object},
		{Name: "media", Type: Stored},
	}
	document := func(description, short, variants, media int) json.RawMessage {
		list := make([]map[string]any, variants)
		for i := range list {
			list[i] = map[string]any{"sku": fmt.Sprintf("V-%04d", i)}
		}
		d, err := json.Marshal(map[string]any{
			"sku": "A", "name": "Name", "description": strings.Repeat("wörter ", description), "short": strings.Repeat("kurz ", short),
			"variants": list, "categories": []string{"c1", "c2"}, "media": strings.Repeat("m", media),
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, tt := range map[string]struct {
		document json.RawMessage
		limit    int
		cut      []string
		variants int
	}{
		"fits":                            {document(10, 10, 3, 10), 10_000, nil, 3},
		"a long description":              {document(5000, 300, 3, 10), 10_000, []string{"description"}, 3},
		"descriptions, then the variants": {document(5000, 300, 900, 10), 12_000, []string{"description", "short", "variants"}, 500},
		"fewer variants than 500":         {document(5000, 300, 900, 10), 5_000, []string{"description", "short", "variants"}, 125},
		"whole fields at last":            {document(10, 10, 3, 20_000), 5_000, []string{"categories", "media", "variants"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			out, cut, err := Cut(tt.document, tt.limit, fields, "sku")
			if err != nil || len(out) > tt.limit || !slices.Equal(cut, tt.cut) {
				t.Fatalf("%d bytes, cut %q, %v; want at most %d and %q", len(out), cut, err, tt.limit, tt.cut)
			}
			var d struct {
				SKU      string
				Variants []struct{ SKU string }
			}
			if err := json.Unmarshal(out, &d); err != nil || d.SKU != "A" || len(d.Variants) != tt.variants || d.Variants[0].SKU != "V-0000" {
				t.Errorf("%d variants, sku %q, %v; want %d", len(d.Variants), d.SKU, err, tt.variants)
			}
		})
	}
}

func TestCut_FailsWhereNothingHelps(t *testing.T) {
	for name, document := range map[string]string{
		"what is kept is too large": `{"sku":"` + strings.Repeat("x", 100) + `","a":1}`,
		"no object":                 `[` + strings.Repeat("1,", 100) + `1]`,
		"null":                      strings.Repeat(" ", 100) + "null",
		"no JSON":                   strings.Repeat("{", 100),
	} {
		if out, cut, err := Cut(json.RawMessage(document), 50, nil, "sku"); err == nil {
			t.Errorf("%s: %s, %q", name, out, cut)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte(`{"name":"a","list":[1,2,3],"text":"some words more"}`), 20)
	f.Add([]byte(`{"name":"<<<<<<<<<<<<<<<<","list":["<&>","<"],"text":"<p>"}`), 45)
	f.Fuzz(func(t *testing.T, document []byte, limit int) {
		limit = min(max(limit, 2), 1<<20)
		out, _, err := Cut(document, limit, []Field{{Name: "text", Type: Text}})
		if err == nil && len(out) > limit {
			t.Errorf("%d bytes of at most %d: %s", len(out), limit, out)
		}
	})
}

func FuzzShorten(f *testing.F) {
	f.Add("wörter und mehr", 9)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = min(max(limit, 3), 1<<20)
		if out := Shorten(s, limit); len(out) > limit || utf8.ValidString(s) && !utf8.ValidString(out) {
			t.Errorf("%q to %d bytes: %q", s, limit, out)
		}
	})
}
