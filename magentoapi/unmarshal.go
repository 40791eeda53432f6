package magentoapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// readAnswer reads the JSON of an answer into out, a pointer. Nobody may write to body from then on.
func readAnswer(body []byte, out any) ([]OddField, error) {
	if c, ok := out.(callers); ok {
		return nil, json.Unmarshal(body, c.v)
	}
	return readOwned(body, reflect.ValueOf(out).Elem())
}

// callers is a pointer of the caller's. encoding/json itself reads into it: it may hold a json.Number.
type callers struct{ v any }

// describeJSON leaves out what the errors of encoding/json quote of the body, but its shape.
func describeJSON(err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
		odd    OddField
	)
	switch {
	case errors.As(err, &odd):
		return odd
	case errors.As(err, &syntax):
		return notJSON(syntax.Offset)
	case errors.As(err, &kind):
		return unreadableField(kind.Field, kind.Type)
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
