package elastic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mageline/mageline/search"
)

// longest is how many characters of a value an engine takes as a whole: Lucene's bound is 32,766 bytes of UTF-8. A longer value is
// returned with its document, and not found by itself.
const longest = 8191

// SortField is the part of a Text with Sort that has its whole value.
const SortField = "keyword"

// property is one field in a mapping of the engine's.
type property struct {
	Type        string              `json:"type,omitempty"`
	IgnoreAbove int                 `json:"ignore_above,omitempty"`
	Enabled     *bool               `json:"enabled,omitempty"`
	Fields      map[string]property `json:"fields,omitempty"`
	Properties  map[string]property `json:"properties,omitempty"`
}

// mapping is that of an index.
type mapping struct {
	Dynamic    any                 `json:"dynamic,omitempty"` // "strict", or a boolean, which engines write as a text too
	Properties map[string]property `json:"properties,omitempty"`
}

// types are those of fields without fields of their own.
var types = map[search.Type]property{
	search.Keyword: {Type: "keyword", IgnoreAbove: longest},
	search.Decimal: {Type: "double"},
	search.Integer: {Type: "long"},
	search.Boolean: {Type: "boolean"},
	search.Date:    {Type: "date"},
	search.Stored:  {Type: "object", Enabled: new(bool)}, // whatever is in it is not even read
}

// properties turns fields into those of a mapping.
func properties(fields []search.Field) (map[string]property, error) {
	made := make(map[string]property, len(fields))
	for _, f := range fields {
		if _, twice := made[f.Name]; twice || f.Name == "" || strings.Contains(f.Name, ".") {
			return nil, invalid("field %q is there twice, or has a name that no field can have", f.Name)
		}
		p, ok := types[f.Type]
		switch f.Type {
		case search.Text:
			p.Type = "text"
			if f.Sort {
				p.Fields = map[string]property{SortField: types[search.Keyword]}
			}
		case search.Object, search.Nested:
			inner, err := properties(f.Fields)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			p.Type, p.Properties = string(f.Type), inner
		default:
			if !ok {
				return nil, invalid("field %s has the type %q, which is none", f.Name, f.Type)
			}
		}
		made[f.Name] = p
	}
	return made, nil
}

// mappingOf returns the strict mapping of an index with the fields.
func mappingOf(fields []search.Field) (mapping, error) {
	p, err := properties(append(slices.Clone(fields), search.Field{Name: VersionField, Type: search.Integer}))
	return mapping{Dynamic: "strict", Properties: p}, err
}

// FieldCount returns how many fields an index with the fields has as engines count them: each object, each part of a Text and the
// version are one too. The setting mapping.total_fields.limit, 1,000 unless it is set, bounds it.
func FieldCount(fields []search.Field) (int, error) {
	m, err := mappingOf(fields)
	return count(m.Properties), err
}

func count(properties map[string]property) int {
	n := len(properties)
	for _, p := range properties {
		n += len(p.Fields) + count(p.Properties)
	}
	return n
}

// differ returns what has lacks of want and can be given, and the names of what it has in a form that can't be changed.
func differ(want, has map[string]property, under string) (lacks map[string]property, changed []string) {
	lacks = map[string]property{}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w := want[name]
		h, ok := has[name]
		if h.Type == "" {
			h.Type = "object" // the type that engines leave out
		}
		switch {
		case !ok:
			lacks[name] = w
		case w.Type != h.Type || enabled(w) != enabled(h):
			changed = append(changed, under+name)
		case w.Properties != nil:
			inner, below := differ(w.Properties, h.Properties, under+name+".")
			changed = append(changed, below...)
			if len(inner) > 0 {
				lacks[name] = property{Type: w.Type, Properties: inner}
			}
		default:
			parts, below := differ(w.Fields, h.Fields, under+name+".")
			changed = append(changed, below...)
			if w.IgnoreAbove != h.IgnoreAbove || len(parts) > 0 {
				lacks[name] = w
			}
		}
	}
	return lacks, changed
}

func enabled(p property) bool { return p.Enabled == nil || *p.Enabled }

// names lists the fields of a mapping with those below them, by their paths.
func names(properties map[string]property, under string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if inner := properties[name].Properties; inner != nil {
			all = append(all, names(inner, under+name+".")...)
		} else {
			all = append(all, under+name)
		}
	}
	return all
}

// encode makes JSON of what always can be JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("elastic: a request that is no JSON: " + err.Error())
	}
	return b
}
