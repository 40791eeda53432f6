package search

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// shortText is how many bytes Cut leaves of a long text.
	shortText = 1000
	// longList is how many entries Cut leaves of a list, before it takes more.
	longList = 500
)

// Cut returns the document with at most limit bytes, for an engine that bounds the size of one, and the names of the fields that
// are shorter than they were or left out. A document that fits is returned as it is. Cut goes on only for as long as it is too large,
// in this order:
//
//  1. Text of more than 1,000 bytes is shortened to that, the longest field first: descriptions.
//  2. Lists of more than 500 entries keep the first 500: variants.
//  3. Lists are halved, the largest first, down to one entry.
//  4. Fields are left out, the largest first; keep names those that never are.
//
// It fails if the fields to keep are too large by themselves, or if the document is no JSON object.
func Cut(document json.RawMessage, limit int, fields []Field, keep ...string) (json.RawMessage, []string, error) {
	if len(document) <= limit {
		return document, nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil || members == nil {
		return nil, nil, fmt.Errorf("the document is no JSON object of at most %d bytes", limit)
	}
	c := cutter{members: members, limit: limit, keep: keep, lists: map[string][]json.RawMessage{}, cut: map[string]bool{}, size: 2}
	for name, value := range members {
		c.size += sizeOf(name, value)
		if len(value) > 0 && value[0] == '[' {
			var list []json.RawMessage
			if json.Unmarshal(value, &list) == nil && len(list) > 1 {
				c.lists[name] = list
			}
		}
	}
	text := map[string]bool{}
	for _, f := range fields {
		text[f.Name] = f.Type == Text
	}
	c.each(func(name string) bool { return text[name] && len(c.members[name]) > shortText }, c.shorten)
	c.each(func(name string) bool { return len(c.lists[name]) > longList }, func(name string) { c.list(name, c.lists[name][:longList]) })
	for c.size > limit {
		name := c.largest(func(name string) bool { return len(c.lists[name]) > 1 })
		if name == "" {
			break
		}
		c.list(name, c.lists[name][:len(c.lists[name])/2])
	}
	c.each(func(string) bool { return true }, func(name string) { c.set(name, nil) })
	if c.size > limit {
		return nil, nil, fmt.Errorf("the document has more than %d bytes in the fields that can't be left out", limit)
	}
	names := make([]string, 0, len(c.cut))
	for name := range c.cut {
		names = append(names, name)
	}
	slices.Sort(names)
	out, err := encode(c.members)
	return out, names, err
}

// encode writes JSON as it is counted: json.Marshal would write six bytes for each sign of HTML.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

type cutter struct {
	members map[string]json.RawMessage
	lists   map[string][]json.RawMessage // those of several entries
	cut     map[string]bool
	keep    []string
	size    int
	limit   int
}

// sizeOf returns what a member adds to an object: its name in quotation marks, a colon and a comma.
func sizeOf(name string, value json.RawMessage) int {
	quoted, _ := encode(name) // a text can always be written
	return len(quoted) + len(value) + 2
}

// each calls do for the fields that which holds for, each once, the largest first, until the document fits.
func (c *cutter) each(which func(name string) bool, do func(name string)) {
	done := map[string]bool{}
	for c.size > c.limit {
		name := c.largest(func(name string) bool { return !done[name] && which(name) })
		if name == "" {
			return
		}
		done[name] = true
		do(name)
	}
}

// largest returns the name of the largest field that which holds for, "" if there is none.
func (c *cutter) largest(which func(name string) bool) string {
	found := ""
	for name, value := range c.members {
		if slices.Contains(c.keep, name) || !which(name) {
			continue
		}
		if size := len(c.members[found]); found == "" || len(value) > size || len(value) == size && name < found {
			found = name
		}
	}
	return found
}

// set replaces a field, or leaves it out.
func (c *cutter) set(name string, value json.RawMessage) {
	c.cut[name] = true
	c.size -= sizeOf(name, c.members[name])
	if value == nil {
		delete(c.members, name)
		return
	}
	c.members[name] = value
	c.size += sizeOf(name, value)
}

func (c *cutter) list(name string, list []json.RawMessage) {
	value, err := encode(list)
	if err != nil {
		return
	}
	c.lists[name] = list
	c.set(name, value)
}

// shorten leaves the beginning of a text, to the end of a word where there is one.
func (c *cutter) shorten(name string) {
	var s string
	if json.Unmarshal(c.members[name], &s) != nil {
		return // a list of texts
	}
	value, err := encode(Shorten(s, shortText))
	if err == nil && len(value) < len(c.members[name]) {
		c.set(name, value)
	}
}

// Shorten returns a text of at most limit bytes, with an ellipsis if it was longer, and without a part of a word where that takes
// less than a quarter of it.
func Shorten(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	end := max(limit-len(ellipsis), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	s = s[:end]
	if blank := strings.LastIndexAny(s, " \n\t"); blank > end*3/4 {
		s = strings.TrimRight(s[:blank], " \n\t")
	}
	return s + ellipsis
}
