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

// wellFormed checks that b is one JSON value of bounded depth. Everything below it relies on that. Its errors follow the
// name of what b is, and have no personal data in them.
func wellFormed(b []byte) error {
	if err := shallow(b); err != nil { // first: the decoder recurses
		return err
	}
	if !jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return notJSON(b)
	}
	return nil
}

// phpSerialized is how what PHP's serialize() gives begins: an array, an object, a text, a number, a boolean, null.
var phpSerialized = regexp.MustCompile(`^\s*(a:\d+:\{|[OC]:\d+:"|s:\d+:"|i:-?\d+;|d:[-.\d]+;|b:[01];|N;)`)

// notJSON says where b stops being JSON.
func notJSON(b []byte) error {
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return errors.New("is empty")
	case phpSerialized.Match(b):
		return errors.New("is not JSON but what PHP's serialize() gives: publish what json_encode() gives")
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
		return nil // as nearly every body: no need to look where they stand
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
				return fmt.Errorf("has arrays and objects in each other more than %d deep", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// unquote gives what the JSON string v holds, without white space and a byte order mark around it.
func unquote(v []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(v, &text); err != nil {
		return nil, fmt.Errorf("can't be unquoted: %w", err)
	}
	return bytes.TrimSpace(withoutMark(bytes.TrimSpace([]byte(text)))), nil
}

// unquoteJSON gives the JSON that the JSON string v holds.
func unquoteJSON(v []byte) ([]byte, error) {
	text, err := unquote(v)
	if err != nil {
		return nil, err
	}
	return text, wellFormed(text)
}

// member gives the member of that name of v; nil if v is no object, or has none.
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

// stringMember gives the member of that name of v, if it is a string.
func stringMember(v []byte, name string) ([]byte, bool) {
	value := member(v, name)
	return value, value != nil && value[0] == '"'
}

// onlyMember gives the only member of the object v; nil when it has none, or several.
func onlyMember(v []byte) (name string, only []byte) {
	for key, value := range members(v) {
		if only != nil {
			return "", nil
		}
		name, only = string(key[1:len(key)-1]), value
	}
	return name, only
}

// maxNames bounds how many members of an object are named.
const maxNames = 20

// MemberNames gives the names of the members of an event's body, and in brackets those of the objects among them, for the
// author of a publisher whose bodies are not understood. They are at most 20, and a name that looks like data is a *. The
// body must be one that Decode has given.
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

// elements gives the elements of the valid JSON array v without building anything: a body of 16 MiB may have 8 million.
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

// members gives the keys, quoted as they are, and the values of the valid JSON object v.
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

// endOfString gives the index of the quote that ends the string that begins at v[i].
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

// skipValue gives the index behind the JSON value that begins at v[i].
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
				return i // the end of what a number or a literal stands in
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
