package magentoapi

import (
	"errors"
	"fmt"

	jsonv1 "github.com/go-json-experiment/json/v1"
)

// unmarshal is json.Unmarshal as Go 1.27 has it. That of Go 1.26 looks through each object twice more for each object that
// it lies in, because a type with an UnmarshalJSON gets its part to read as if nobody had checked it: reading an order
// took twice the time.
func unmarshal(data []byte, v any) error { return jsonv1.Unmarshal(data, v) }

// describeJSON leaves out what the errors of unmarshal quote of the body, but its shape.
func describeJSON(err error) error {
	var syntax *jsonv1.SyntaxError
	var kind *jsonv1.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON, or only the beginning of it (at byte %d)", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("field %q holds something that can't be read as %s", kind.Field, kind.Type)
	default:
		return errors.New(bound(maskQuoted(err.Error()), maxParameter))
	}
}
