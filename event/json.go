package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// wellFormed checks that b is one JSON value of bounded depth. Every other function here relies on that. The text of its errors
// continues a sentence that begins with what b is. It has no personal data.
func wellFormed(b []byte) error {
	if err := shallow(b); err != nil { // first: the decoder recurses
		return err
	}
	if !jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return notJSON(b)
	}
	return nil
}

// phpSerialized matches the beginning of the output of PHP's serialize(): an array, an object, a text, a number, a boolean, null.
var phpSerialized = regexp.MustCompile(`^\s*(a:\d+:\{|[OC]:\d+:"|s:\d+:"|i:-?\d+;|d:[-.\d]+;|b:[01];|N;)`)

// notJSON returns an error that says where b stops being JSON.
func notJSON(b []byte) error {
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return errors.New("is empty")
	case phpSerialized.Match(b):
		return errors.New("is not JSON but the output of PHP's serialize(): publish that of json_encode()")
	}
	at := len(b)
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(b, new(json.RawMessage)), &syntax) {
		at = min(max(0, int(syntax.Offset)-1), len(b))
		if syntax.Error() == "unexpected end of JSON input" {
			at = len(b)
		}
	}
	if at == len(b) {
		return fmt.Errorf("is not JSON: it ends, after %d bytes, before its JSON does: %s", at, excerpt(b, at))
	}
	return fmt.Errorf("is not JSON from byte %d on: %s", at, excerpt(b, at))
}

// shallow checks the depth of b, up to where it is JSON.
func shallow(b []byte) error {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) <= maxDepth {
		return nil // true of nearly every body, and cheaper than a scan
	}
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("has arrays and objects nested more than %d deep", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// unquote returns the text of the JSON string v, without white space and a byte order mark around it.
func unquote(v []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(v, &text); err != nil {
		return nil, fmt.Errorf("can't be unquoted: %w", err)
	}
	return bytes.TrimSpace(withoutMark(bytes.TrimSpace([]byte(text)))), nil
}

// unquoteJSON returns the JSON in the JSON string v.
func unquoteJSON(v []byte) ([]byte, error) {
	text, err := unquote(v)
	if err != nil {
		return nil, err
	}
	return text, wellFormed(text)
}

// member returns the member of that name of v, or nil.
func member(v []byte, name string) []byte {
	if v = bytes.TrimSpace(v); v[0] != '{' || !bytes.Contains(v, []byte(name)) {
		return nil
	}
	for key, value := range members(v) {
		if string(key[1:len(key)-1]) == name {
			return value
		}
	}
	return nil
}

func has(v []byte, name string) bool { return member(v, name) != nil }

// stringMember returns the member of that name of v, if it is a string.
func stringMember(v []byte, name string) ([]byte, bool) {
	value := member(v, name)
	return value, value != nil && value[0] == '"'
}

// onlyMember returns the only member of the object v, or nil if it has none or several.
func onlyMember(v []byte) (name string, only []byte) {
	for key, value := range members(v) {
		if only != nil {
			return "", nil
		}
		name, only = string(key[1:len(key)-1]), value
	}
	return name, only
}

// maxNames bounds how many members of an object an error names.
const maxNames = 20

// MemberNames returns the names of the members of an event's body, and in brackets those of the objects among them, for the author
// of a publisher whose bodies are not understood. It returns at most 20 names, and * for a name that may be data. The body must be
// one that Decode has returned.
func MemberNames(body json.RawMessage) string {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return "none"
	}
	return listNames(body, true)
}

func listNames(v []byte, deeper bool) string {
	var list []string
	for key, value := range members(v) {
		if len(list) == maxNames {
			list = append(list, "…")
			break
		}
		name := string(key[1 : len(key)-1])
		if !memberName.MatchString(name) {
			name = "*"
		}
		if inner, ok := object(value); ok && deeper {
			name += " (" + listNames(inner, false) + ")"
		}
		list = append(list, name)
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// elements iterates over the elements of the valid JSON array v. It allocates nothing: a body of 16 MiB may have 8 million.
func elements(v []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := skipSpace(v, 1); v[i] != ']'; {
			end := skipValue(v, i)
			if !yield(v[i:end]) {
				return
			}
			if i = skipSpace(v, end); v[i] == ',' {
				i = skipSpace(v, i+1)
			}
		}
	}
}

// members iterates over the keys, still quoted, and the values of the valid JSON object v.
func members(v []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for i := skipSpace(v, 1); v[i] != '}'; {
			keyEnd := skipValue(v, i)
			start := skipSpace(v, skipSpace(v, keyEnd)+1) // past the colon
			end := skipValue(v, start)
			if !yield(v[i:keyEnd], v[start:end]) {
				return
			}
			if i = skipSpace(v, end); v[i] == ',' {
				i = skipSpace(v, i+1)
			}
		}
	}
}

func skipSpace(v []byte, i int) int {
	for v[i] == ' ' || v[i] == '\t' || v[i] == '\n' || v[i] == '\r' {
		i++
	}
	return i
}

// endOfString returns the index of the quote that ends the string that begins at v[i].
func endOfString(v []byte, i int) int {
	for {
		i += 1 + bytes.IndexByte(v[i+1:], '"')
		escapes := 0
		for v[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// skipValue returns the index after the JSON value that begins at v[i].
func skipValue(v []byte, i int) int {
	depth := 0
	for ; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = endOfString(v, i)
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of the array or object around a number or literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
