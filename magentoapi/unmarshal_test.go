package magentoapi

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
)

// What a module has added is read into a type of the caller's, as encoding/json reads it, and no error quotes it.
func TestReadIntoTheCallersTypes(t *testing.T) {
	var e OrderExtension
	if err := json.Unmarshal([]byte(`{"number":29.9900,"phone":5551234567,"texts":{"jane@example.org":5551234567}}`), &e); err != nil {
		t.Fatal(err)
	}
	var n json.Number
	if there, err := e.Get("number", &n); !there || err != nil || n != "29.9900" {
		t.Errorf("got %s, %t, %v", n, there, err)
	}
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"qty":1.10}`) })
	var answer struct{ Qty json.Number }
	if err := s.client(t, Options{}).Do(t.Context(), http.MethodGet, "/V1/x", nil, nil, &answer); err != nil || answer.Qty != "1.10" {
		t.Errorf("answered %q, %v", answer.Qty, err)
	}
	for name, v := range map[string]any{"phone": new(int8), "texts": new(map[string]int8)} {
		_, err := e.Get(name, v)
		if err == nil || strings.Contains(err.Error(), "5551234567") || strings.Contains(err.Error(), "jane") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkReadOrder reads an order as Magento answers it.
func BenchmarkReadOrder(b *testing.B) {
	body, err := os.ReadFile("../mapping/testdata/configurable.order.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var o Order
		if _, err := readAnswer(body, &o); err != nil {
			b.Fatal(err)
		}
	}
}
