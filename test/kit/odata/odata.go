// Package odata is what the fakes of OData services share: the schema of their entity sets, a body's members in their order,
// and $filter.
package odata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Schema is the entity sets of a service, by name.
type Schema map[string]Set

// Set is the properties of an entity set, by name.
type Set map[string]Property

// Property is what a set says of one property.
type Property struct {
	Type string // the first word: Code, Text, Guid, Decimal, Edm.String, enum
	Max  int    // characters; 0: as many as one likes
	Of   string // an enum's name
	// ReadOnly is true where it may not be in a body, Key where it is part of the key.
	ReadOnly, Key bool
}

var typed = regexp.MustCompile(`^([A-Za-z.]+)(?:\[(\d+)\])?(.*)$`)

// ParseSchema reads the two levels of YAML that a fake's schema has: sets, and under each its properties.
func ParseSchema(text string) Schema {
	schema, set := Schema{}, ""
	for _, line := range strings.Split(text, "\n") {
		name, value, ok := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case !ok:
			panic("odata: no schema: " + line)
		case !strings.HasPrefix(line, " "):
			set = name
			schema[set] = Set{}
		default:
			m := typed.FindStringSubmatch(strings.TrimSpace(value))
			if m == nil {
				panic("odata: no type: " + line)
			}
			p := Property{Type: m[1], ReadOnly: strings.HasSuffix(value, " readonly"), Key: strings.HasSuffix(value, " key")}
			p.Max, _ = strconv.Atoi(m[2])
			p.Of = strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(m[3], "readonly"), "key"))
			schema[set][strings.TrimSpace(name)] = p
		}
	}
	return schema
}

// Member is one member of an object.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Members returns the members of an object in the order in which they stand there. A name that stands there twice is an
// error.
func Members(body []byte) ([]Member, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is no object")
	}
	var all []Member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := Member{Name: t.(string)} // the decoder accepts nothing else
		if seen[m.Name] {
			return nil, fmt.Errorf("%s stands there twice", m.Name)
		}
		seen[m.Name] = true
		if err := d.Decode(&m.Value); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("something follows the object")
	}
	return all, nil
}

// Clause is one comparison of a filter.
type Clause struct{ Property, Op, Literal string }

// Filter is comparisons of which all hold or, with Any, one.
type Filter struct {
	Clauses []Clause
	Any     bool
}

var clause = regexp.MustCompile(`^(\w+) (eq|ne|ge|gt|le|lt) ('(?:[^']|'')*'|[^\s']+)`)

// ParseFilter reads a $filter of comparisons joined by and, or of ones joined by or.
func ParseFilter(text string) (Filter, error) {
	var f Filter
	joined := ""
	for text != "" {
		m := clause.FindStringSubmatch(text)
		if m == nil {
			return f, fmt.Errorf("it can't be read from %q", text)
		}
		literal := m[3]
		if strings.HasPrefix(literal, "'") {
			literal = strings.ReplaceAll(literal[1:len(literal)-1], "''", "'")
		}
		f.Clauses = append(f.Clauses, Clause{m[1], m[2], literal})
		if text = text[len(m[0]):]; text == "" {
			break
		}
		word := ""
		for _, w := range []string{" and ", " or "} {
			if strings.HasPrefix(text, w) {
				word = w
			}
		}
		if word == "" || joined != "" && joined != word {
			return f, fmt.Errorf("it can't be read from %q", text)
		}
		joined, text = word, text[len(word):]
	}
	f.Any = joined == " or "
	return f, nil
}
