package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// The bounds of Decode. What Magento itself makes stays far below each of them.
const (
	// MaxBody is the largest body that is read, in bytes.
	MaxBody = 16 << 20
	// maxDepth bounds how deep arrays and objects may lie in each other: whoever decodes an event recurses so deep.
	maxDepth = 100
	// maxWraps bounds how many wrappings (arrays, texts that hold JSON, members around the object) may lie around an
	// event. An operation of Magento's asynchronous API in an array has five.
	maxWraps = 12
	// maxEvents bounds the events of one body.
	maxEvents = 10_000
)

// Decode takes the events out of a message body. Each is one JSON object, and the body may hold it in any of the forms
// that Magento's publisher makes, and in any mix of them:
//
//   - the object itself;
//   - a JSON string that holds JSON (a topic of type string, to which modules publish text that is JSON already);
//   - an object whose one member is the object, or a string that holds the object (a topic with a schema: one member
//     for each parameter of the method);
//   - an operation of the asynchronous API, whose serialized_data is a string that holds JSON, whose meta_information
//     is a string that holds JSON again;
//   - an array of any of these.
//
// An array may hold events that can be read beside others that can't. Then both results are set: the events are to be
// handled, and the message is dead-lettered for the error if none of them must be retried. Every error has the class
// Malformed. The events share the body's memory.
func Decode(body []byte) ([]json.RawMessage, error) {
	if len(body) > MaxBody {
		return nil, Errorf(Malformed, "the body has %d bytes, at most %d are read", len(body), MaxBody)
	}
	if !utf8.Valid(body) {
		return nil, Errorf(Malformed, "the body is not UTF-8")
	}
	if err := wellFormed(body); err != nil {
		return nil, Errorf(Malformed, "the body %w", err)
	}
	var d decoder
	d.value(body, 0)
	if d.full() {
		return nil, Errorf(Malformed, "the body holds more than %d events", maxEvents)
	}
	if d.err != nil && d.failed > 1 {
		d.err = fmt.Errorf("%w (and %d more values of the body can't be read)", d.err, d.failed-1)
	}
	if d.err != nil {
		return d.events, Errorf(Malformed, "%w", d.err)
	}
	return d.events, nil
}

// decoder collects the events of one body.
type decoder struct {
	events []json.RawMessage
	err    error // the first
	failed int
}

func (d *decoder) fail(format string, args ...any) {
	d.failed++
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// full reports whether there are more events than are read; errors count, so that work is bounded too.
func (d *decoder) full() bool { return len(d.events)+d.failed > maxEvents }

// value takes the events out of v, valid JSON inside of so many wrappings.
func (d *decoder) value(v []byte, wraps int) {
	v = bytes.TrimSpace(v)
	if wraps > maxWraps {
		d.fail("an event of the body has more than %d wrappings", maxWraps)
		return
	}
	switch v[0] {
	case '{':
		d.object(v, wraps)
	case '[':
		none := true
		for e := range elements(v) {
			none = false
			d.value(e, wraps+1)
			if d.full() {
				break
			}
		}
		if none {
			d.fail("the body has an empty array where events are expected")
		}
	case '"':
		text, err := unquote(v)
		if err != nil {
			d.fail("a string of the body %w", err)
			return
		}
		d.value(text, wraps+1)
	default:
		d.fail("the body has a number, a boolean or null where an event is expected")
	}
}

func (d *decoder) object(v []byte, wraps int) {
	if data, ok := stringMember(v, "serialized_data"); ok {
		inner, err := unquote(data)
		if err != nil {
			d.fail("serialized_data of the operation %w", err)
			return
		}
		if meta, ok := stringMember(inner, "meta_information"); ok {
			wraps++
			if inner, err = unquote(meta); err != nil {
				d.fail("meta_information of the operation %w", err)
				return
			}
		}
		d.value(inner, wraps+1)
		return
	}
	if only := onlyMember(v); only != nil {
		if only[0] == '{' {
			d.value(only, wraps+1)
			return
		}
		// A string is unwrapped only when it holds an object: {"increment_id":"000000123"} is the event itself.
		if only[0] == '"' {
			if inner, err := unquote(only); err == nil && bytes.TrimSpace(inner)[0] == '{' {
				d.value(inner, wraps+1)
				return
			}
		}
	}
	d.events = append(d.events, v)
}

// wellFormed checks that b is one JSON value of bounded depth. Everything below it relies on that. Its errors have no
// part of b in them, which may be personal data.
func wellFormed(b []byte) error {
	if err := shallow(b); err != nil { // first: gjson recurses
		return err
	}
	if !gjson.ValidBytes(b) {
		return fmt.Errorf("is not JSON")
	}
	return nil
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

// unquote gives the JSON that the JSON string v holds.
func unquote(v []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(v, &text); err != nil {
		return nil, fmt.Errorf("can't be unquoted: %w", err)
	}
	inner := []byte(text)
	if err := wellFormed(inner); err != nil {
		return nil, err
	}
	return inner, nil
}

// stringMember gives the member of that name of the object v, if v is an object and the member is a string.
func stringMember(v []byte, name string) ([]byte, bool) {
	if v = bytes.TrimSpace(v); v[0] != '{' || !bytes.Contains(v, []byte(name)) {
		return nil, false
	}
	for key, value := range members(v) {
		if string(key[1:len(key)-1]) == name {
			return value, value[0] == '"'
		}
	}
	return nil, false
}

// onlyMember gives the value of the only member of the object v; nil when it has none, or several.
func onlyMember(v []byte) []byte {
	var only []byte
	for _, value := range members(v) {
		if only != nil {
			return nil
		}
		only = value
	}
	return only
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
