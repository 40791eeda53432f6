package codes

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/internal/nearest"
)

// number is a constant number, written as it stands in the file.
type number string

// MarshalJSON writes the number.
func (n number) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// template is a text with {fields} of the order.
type template []part

type part struct {
	text  string
	field []string // the way to the field; nil for a text
}

type field struct {
	name  string
	value any
}

func fieldsOf(m map[string]any) []field {
	var all []field
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, field{name, m[name]})
	}
	return all
}

// compile reads a template. {{ is a brace.
func compile(text string) (template, error) {
	var t template
	for text != "" {
		i := strings.IndexByte(text, '{')
		switch {
		case i < 0:
			return append(t, part{text: text}), nil
		case strings.HasPrefix(text[i:], "{{"):
			t = append(t, part{text: text[:i+1]})
			text = text[i+2:]
			continue
		case i > 0:
			t = append(t, part{text: text[:i]})
		}
		name, rest, ok := strings.Cut(text[i+1:], "}")
		if !ok {
			return nil, fmt.Errorf("the brace before %q is not closed; a brace itself is {{", text[i+1:])
		}
		way := strings.Split(name, ".")
		if err := exists(name, way); err != nil {
			return nil, err
		}
		t = append(t, part{field: way})
		text = rest
	}
	return t, nil
}

// exists fails unless the model of the order has the field, and it is a text or a number.
func exists(name string, way []string) error {
	t := reflect.TypeFor[erp.SalesOrder]()
	if way[0] == "line" {
		t, way = reflect.TypeFor[erp.Line](), way[1:]
	}
	for _, step := range way {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		known := jsonNames(t)
		i, ok := known[step]
		if !ok {
			return fmt.Errorf("the order has no field {%s}%s", name, nearest.Hint(step, slices.Sorted(maps.Keys(known))))
		}
		t = t.Field(i).Type
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(way) == 0 || t.Kind() == reflect.Slice || t.Kind() == reflect.Struct && jsonNames(t) != nil {
		return fmt.Errorf("{%s} is no single value: name a field of it", name)
	}
	return nil
}

// jsonNames returns the fields of a struct by their names in JSON; nil for one that is a single value.
func jsonNames(t reflect.Type) map[string]int {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names map[string]int
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			if names == nil {
				names = map[string]int{}
			}
			names[name] = i
		}
	}
	return names
}

// HeaderFields returns the ERP's own fields of an order's document, with their values.
func (f *File) HeaderFields(o erp.SalesOrder) map[string]any {
	return fill(f.header, func() map[string]any { return asMap(o) })
}

// LineFields returns the ERP's own fields of a line, with their values.
func (f *File) LineFields(o erp.SalesOrder, l erp.Line) map[string]any {
	return fill(f.lines, func() map[string]any {
		m := asMap(o)
		m["line"] = asMap(l)
		return m
	})
}

func asMap(v any) map[string]any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the model has only what JSON has
	}
	m := map[string]any{}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		panic(err)
	}
	return m
}

func fill(fields []field, order func() map[string]any) map[string]any {
	if len(fields) == 0 {
		return nil
	}
	from := order()
	filled := make(map[string]any, len(fields))
	for _, f := range fields {
		filled[f.name] = filledIn(f.value, from)
	}
	return filled
}

// filledIn returns a value with its templates filled in.
func filledIn(v any, from map[string]any) any {
	switch v := v.(type) {
	case template:
		return v.fill(from)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = filledIn(v[i], from)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = filledIn(v[k], from)
		}
		return m
	default:
		return v
	}
}

func (t template) fill(from map[string]any) string {
	var text strings.Builder
	for _, p := range t {
		text.WriteString(p.text)
		var v any = from
		for _, step := range p.field {
			m, ok := v.(map[string]any)
			if !ok {
				v = nil
				break
			}
			v = m[step]
		}
		if p.field != nil && v != nil {
			fmt.Fprint(&text, v)
		}
	}
	return text.String()
}
