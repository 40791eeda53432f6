package elastic

import (
	"testing"

	"github.com/mageline/mageline/search"
)

// MappingJSON is the mapping that an index with the fields is made with.
func MappingJSON(t *testing.T, fields []search.Field) string {
	t.Helper()
	m, err := mappingOf(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(encode(m))
}
