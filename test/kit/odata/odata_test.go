package odata_test

import (
	"reflect"
	"testing"

	"github.com/mageline/mageline/test/kit/odata"
)

func TestParseSchema_ReadsTypeLengthAndMarks(t *testing.T) {
	got := odata.ParseSchema("# a comment\norders:\n  id: Guid readonly\n  number: Code[20]\n  status: Enum Order Status readonly\n  area: Edm.String key\n  open: enum NoYes\n")
	want := odata.Schema{"orders": {
		"id": {Type: "Guid", ReadOnly: true}, "number": {Type: "Code", Max: 20}, "status": {Type: "Enum", Of: "Order Status", ReadOnly: true},
		"area": {Type: "Edm.String", Key: true}, "open": {Type: "enum", Of: "NoYes"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestMembers_KeepTheirOrder(t *testing.T) {
	got, err := odata.Members([]byte(`{"b":1,"a":{"c":[2]}}`))
	if err != nil || len(got) != 2 || got[0].Name != "b" || string(got[1].Value) != `{"c":[2]}` {
		t.Errorf("got %v, %v", got, err)
	}
	for _, body := range []string{``, `[]`, `{"a":1,"a":2}`, `{"a"`, `{"a":1} {}`} {
		if _, err := odata.Members([]byte(body)); err == nil {
			t.Errorf("%s: no error", body)
		}
	}
}

func TestParseFilter_ReadsComparisons(t *testing.T) {
	for text, want := range map[string]odata.Filter{
		"number eq 'O''Neil and sons'": {Clauses: []odata.Clause{{"number", "eq", "O'Neil and sons"}}},
		"a eq 'x' and b ne 2":          {Clauses: []odata.Clause{{"a", "eq", "x"}, {"b", "ne", "2"}}},
		"a eq 'x' or a eq 'y'":         {Clauses: []odata.Clause{{"a", "eq", "x"}, {"a", "eq", "y"}}, Any: true},
	} {
		got, err := odata.ParseFilter(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a eq", "a in ('x')", "a eq 'x' and", "a eq 'x' and b eq 'y' or c eq 'z'", "a+eq+'x'", "startswith(a,'x')"} {
		if f, err := odata.ParseFilter(text); err == nil {
			t.Errorf("%s: %+v, no error", text, f)
		}
	}
}
