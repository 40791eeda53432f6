// Package feed writes the products of a shop to files: a table, a JSON object on each line, or a product feed for Google Merchant
// Center. It takes one product after the other and keeps none.
package feed

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"

	"github.com/mageline/mageline/search"
)

// Product is one that the shop shows by itself.
type Product struct {
	Document *search.Document
	// Weight has a unit, as in 1.5 kg; empty if it is not known.
	Weight string
	// Variants are what a configurable product is bought as.
	Variants []Variant
}

// Variant is a product that is bought as one of several of another.
type Variant struct {
	// Document is its own, with its own attributes. The address is that of the product that it is a variant of, with its options chosen.
	Document *search.Document
	Weight   string
	Options  []search.Option
}

// Writer writes products to a file. Close ends the file and must be called; it does not close what is below.
type Writer interface {
	Write(p Product) error
	Close() error
}

// lines writes the documents as they stand in a search index.
type lines struct{ w *bufio.Writer }

// NewLines returns a Writer of JSON lines: on each the document of one product.
func NewLines(w io.Writer) Writer { return &lines{bufio.NewWriterSize(w, 64<<10)} }

func (l *lines) Write(p Product) error {
	document, err := p.Document.JSON()
	if err != nil {
		return err
	}
	_, _ = l.w.Write(document)
	return l.w.WriteByte('\n') // the first error stays
}

func (l *lines) Close() error { return l.w.Flush() }

// table writes a row for each product.
type table struct {
	w      *csv.Writer
	fields []search.Field
}

// NewTable returns a Writer of CSV with a column for each field, and for each attribute that is a field. Of lists of objects a cell has
// the addresses of images, the paths of categories, the SKUs of variants; several are divided by " | ".
func NewTable(w io.Writer, fields []search.Field) (Writer, error) {
	t := &table{w: csv.NewWriter(w), fields: fields}
	return t, t.w.Write(t.header())
}

// attributes is the field whose own fields have a column each.
const attributes = "attributes"

func (t *table) header() []string {
	var names []string
	for _, f := range t.fields {
		if f.Name != attributes {
			names = append(names, f.Name)
			continue
		}
		for _, a := range f.Fields {
			names = append(names, attributes+"."+a.Name)
		}
	}
	return names
}

func (t *table) Write(p Product) error {
	document, err := p.Document.JSON()
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return err
	}
	var row []string
	for _, f := range t.fields {
		if f.Name != attributes {
			row = append(row, cell(f.Name, members[f.Name]))
			continue
		}
		var own map[string]json.RawMessage
		if members[f.Name] != nil {
			if err := json.Unmarshal(members[f.Name], &own); err != nil {
				return err
			}
		}
		for _, a := range f.Fields {
			row = append(row, cell(a.Name, own[a.Name]))
		}
	}
	return t.w.Write(row)
}

func (t *table) Close() error {
	t.w.Flush()
	return t.w.Error()
}

// divided is between several values of a cell.
const divided = " | "

// cell returns a value as it stands in a table.
func cell(name string, value json.RawMessage) string {
	if len(value) == 0 || string(value) == "null" {
		return ""
	}
	switch value[0] {
	case '"':
		var s string
		_ = json.Unmarshal(value, &s) // it was marshalled just now
		return Safe(s)
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal(value, &list)
		var parts []string
		for _, one := range list {
			parts = append(parts, part(name, one))
		}
		return Safe(strings.Join(parts, divided))
	case '{':
		return Safe(string(value))
	default: // a number, true or false
		return string(value)
	}
}

// part returns what a cell says of one value of a list.
func part(name string, value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	var o struct {
		URL   string      `json:"url"`
		Path  string      `json:"path"`
		SKU   string      `json:"sku"`
		Label string      `json:"label"`
		Group string      `json:"group"`
		Price json.Number `json:"price"`
		From  json.Number `json:"quantity"`
		Value []string    `json:"value"`
	}
	if json.Unmarshal(value, &o) != nil {
		return string(value)
	}
	switch name {
	case "images":
		return o.URL
	case "categories":
		return o.Path
	case "variants":
		return o.SKU
	case "other_attributes":
		return o.Label + ": " + strings.Join(o.Value, ", ")
	case "group_prices":
		return o.Group + " from " + o.From.String() + ": " + o.Price.String()
	}
	return string(value)
}

// Safe returns a text as it may stand in a cell of a table that is opened with a spreadsheet: one that begins as a formula does gets an
// apostrophe in front.
func Safe(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}
