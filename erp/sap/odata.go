package sap

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp/erphttp"
)

// entity is the path of one entity: its set, and the names and values of its key; one value without a name where the key is
// one property. A word in braces stays as it is.
func entity(set string, key ...string) string {
	var parts []string
	for i := 0; i+1 < len(key); i += 2 {
		parts = append(parts, key[i]+"="+quoted(key[i+1]))
	}
	if len(key) == 1 {
		parts = []string{quoted(key[0])}
	}
	return "/" + set + "(" + strings.Join(parts, ",") + ")"
}

func quoted(value string) string {
	if value == orderWord {
		return "'" + value + "'"
	}
	return "'" + url.PathEscape(strings.ReplaceAll(value, "'", "''")) + "'"
}

// literal is a text in a filter.
func literal(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

func decode(body []byte, v any) error { return json.Unmarshal(body, v) }

var (
	errNoEntity = errors.New("it has no d")
	errNoList   = errors.New("it has no d.results")
)

// one reads an answer with one entity.
func readOne(a *erphttp.Answer, v any) error {
	var envelope struct {
		D json.RawMessage `json:"d"`
	}
	if err := a.Object(&envelope); err != nil {
		return err
	}
	if len(envelope.D) == 0 || envelope.D[0] != '{' {
		return errNoEntity
	}
	if err := json.Unmarshal(envelope.D, v); err != nil {
		return errors.New("d is not what it should be")
	}
	return nil
}

// readList reads an answer with a list of entities.
func readList[T any](a *erphttp.Answer) ([]T, error) {
	var d struct {
		Results json.RawMessage `json:"results"`
	}
	if err := readOne(a, &d); err != nil {
		return nil, err
	}
	if len(d.Results) == 0 || d.Results[0] != '[' {
		return nil, errNoList
	}
	var all []T
	if err := json.Unmarshal(d.Results, &all); err != nil {
		return nil, errors.New("d.results is not what it should be")
	}
	return all, nil
}

// amount reads a Decimal, which is a JSON string.
type amount struct{ decimal.Decimal }

// UnmarshalJSON reads it; null and nothing are 0.
func (m *amount) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "" || text == "null" {
		m.Decimal = decimal.Zero
		return nil
	}
	var err error
	m.Decimal, err = decimal.NewFromString(text)
	return err
}
