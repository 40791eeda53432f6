package magentoapi

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// FuzzUnmarshal holds unmarshal to what encoding/json reads.
func FuzzUnmarshal(f *testing.F) {
	for _, body := range []string{
		oddOrder, `[]`, `null`, `{"a":1,"A":2,"a":{}}`, "\"\xff\"", `"\ud800"`, `{"a":[1e400]}`, `[1,]`, " {\"items\":[null]} ", `1 2`,
	} {
		f.Add([]byte(body))
	}
	type row struct {
		Name  string            `json:"name"`
		Count int               `json:"count"`
		Rows  []row             `json:"rows"`
		Row   *row              `json:"row"`
		Raw   json.RawMessage   `json:"raw"`
		Texts map[string]string `json:"texts"`
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, v := range [][2]any{{new(any), new(any)}, {new(row), new(row)}} {
			err, got := json.Unmarshal(body, v[0]), unmarshal(body, v[1])
			if (err == nil) != (got == nil) || err == nil && !reflect.DeepEqual(v[0], v[1]) {
				t.Errorf("encoding/json: %+v, %v; unmarshal: %+v, %v", v[0], err, v[1], got)
			}
		}
	})
}

// BenchmarkUnmarshal reads an order as Magento answers it.
func BenchmarkUnmarshal(b *testing.B) {
	body, err := os.ReadFile("../mapping/testdata/configurable.order.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var o Order
		if err := unmarshal(body, &o); err != nil {
			b.Fatal(err)
		}
	}
}
