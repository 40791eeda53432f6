package businesscentral

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/shopspring/decimal"
)

// member is one member of a body. Business Central sets the members in the order in which they stand there, so that a map,
// whose names are sorted, would not do.
type member struct {
	name  string
	value any
}

type body []member

// add adds a member unless it is empty.
func (b *body) add(name string, v any) {
	switch v := v.(type) {
	case string:
		if v == "" {
			return
		}
	case decimal.Decimal:
		*b = append(*b, member{name, json.Number(v.String())})
		return
	}
	*b = append(*b, member{name, v})
}

// addAll adds the shop's own fields, sorted by their names.
func (b *body) addAll(fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		*b = append(*b, member{name, fields[name]})
	}
}

// MarshalJSON writes the members in their order.
func (b body) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	text.WriteByte('{')
	for i, m := range b {
		if i > 0 {
			text.WriteByte(',')
		}
		if err := e.Encode(m.name); err != nil {
			return nil, err
		}
		text.WriteByte(':')
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
	}
	text.WriteByte('}')
	return bytes.ReplaceAll(text.Bytes(), []byte("\n"), nil), nil
}
