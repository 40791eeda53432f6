package magentoapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	jsonv1 "github.com/go-json-experiment/json/v1"
)

// unmarshal is json.Unmarshal as Go 1.27 has it, for the types of this package; callers is for those of others. That of
// Go 1.26 looks through each object twice more for each object that it lies in, because a type with an UnmarshalJSON gets
// its part to read as if nobody had checked it: reading an order took twice the time.
func unmarshal(data []byte, v any) error { return jsonv1.Unmarshal(data, v) }

// readAnswer reads the JSON of an answer into out, a pointer.
func readAnswer(body []byte, out any) ([]OddField, error) {
	if _, ok := out.(*callers); ok {
		return nil, unmarshal(body, out)
	}
	return read(body, reflect.ValueOf(out).Elem())
}

// callers is a pointer of the caller's, which encoding/json itself reads into: it may hold a json.Number.
type callers struct{ v any }

// UnmarshalJSON reads into what c points to.
func (c *callers) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, c.v) }

// describeJSON leaves out what the errors of unmarshal and of encoding/json quote of the body, but its shape.
func describeJSON(err error) error {
	var (
		syntax    *jsonv1.SyntaxError
		stdSyntax *json.SyntaxError
		kind      *jsonv1.UnmarshalTypeError
		stdKind   *json.UnmarshalTypeError
		odd       OddField
	)
	switch {
	case errors.As(err, &odd):
		return odd
	case errors.As(err, &syntax):
		return notJSON(syntax.Offset)
	case errors.As(err, &stdSyntax):
		return notJSON(stdSyntax.Offset)
	case errors.As(err, &kind):
		return unreadableField(kind.Field, kind.Type)
	case errors.As(err, &stdKind):
		return unreadableField(stdKind.Field, stdKind.Type)
	default:
		return errors.New(bound(maskQuoted(err.Error()), maxParameter))
	}
}

func notJSON(offset int64) error {
	return fmt.Errorf("not JSON, or only the beginning of it (at byte %d)", offset)
}

func unreadableField(field string, as reflect.Type) error {
	return fmt.Errorf("field %q holds something that can't be read as %s", field, as)
}
