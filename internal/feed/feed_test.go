package feed

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/search"
)

func amount(s string) *search.Amount { return search.NewAmount(decimal.RequireFromString(s)) }

func at(s string) *time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return &t
}

func hoodie() Product {
	return Product{Document: &search.Document{
		SKU: "24-MB01", ID: 7, Type: "simple", Store: "de", Name: `=Hoodie "A", rot`, Description: "Warm.\nSoft.", URL: "https://shop.example/hoodie.html",
		Image: "https://shop.example/1.jpg", Images: []search.Image{{URL: "https://shop.example/1.jpg"}, {URL: "https://shop.example/2.jpg"}},
		Currency: "EUR", Price: amount("49.9"), FinalPrice: amount("49.9"), InStock: true, Quantity: amount("-3"),
		Categories: []search.Category{{Path: "Men > Tops", Level: 2}, {Path: "Sale", Level: 1}},
		Attributes: search.Values{"color": "@red", "ean": "4006381333931"},
		OtherAttributes: []search.Attribute{
			{Code: "manufacturer", Label: "Maker", Value: []string{"Acme"}}, {Code: "mpn", Label: "MPN", Value: []string{"A-1", "A-2"}},
		},
	}, Weight: "1.5 kg"}
}

func TestTable_OneRowForEachProduct(t *testing.T) {
	fields := search.Fields([]search.Own{{Code: "color", Type: search.Keyword}, {Code: "ean", Type: search.Keyword}})
	var out bytes.Buffer
	w, err := NewTable(&out, fields)
	if err != nil {
		t.Fatal(err)
	}
	configurable := Product{Document: &search.Document{SKU: "-C", Type: "configurable", Name: "C", Variants: []search.Variant{{SKU: "C1"}, {SKU: "C2"}}}}
	for _, p := range []Product{hoodie(), configurable} {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatal(rows, err)
	}
	first, second := map[string]string{}, map[string]string{}
	for i, name := range rows[0] {
		first[name], second[name] = rows[1][i], rows[2][i]
	}
	for name, want := range map[string]string{
		"sku": "24-MB01", "name": `'=Hoodie "A", rot`, "description": "Warm.\nSoft.", "price": "49.9", "quantity": "-3", "in_stock": "true",
		"images": "https://shop.example/1.jpg | https://shop.example/2.jpg", "categories": "Men > Tops | Sale", "attributes.color": "'@red",
		"attributes.ean": "4006381333931", "other_attributes": "Maker: Acme | MPN: A-1, A-2", "special_price": "", "variants": "",
	} {
		if first[name] != want {
			t.Errorf("%s is %q, want %q", name, first[name], want)
		}
	}
	if second["sku"] != "'-C" || second["variants"] != "C1 | C2" || second["attributes.color"] != "" {
		t.Errorf("the second row is %q", second)
	}
}

func TestLines_TheDocumentOfTheIndex(t *testing.T) {
	var out bytes.Buffer
	w := NewLines(&out)
	for range 2 {
		if err := w.Write(hoodie()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want, err := hoodie().Document.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want)+"\n"+string(want)+"\n" {
		t.Errorf("wrote %s", out.String())
	}
}

func TestSafe_NoCellIsAFormula(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "a": "a", "=1+1": "'=1+1", "+49 341": "'+49 341", "-A": "'-A", "@x": "'@x", "\t=1": "'\t=1", "\r=1": "'\r=1", "＝1": "'＝1", " =1": " =1", "ä": "ä",
	} {
		if got := Safe(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add("A", `=cmd|' /C calc'!A0`, "x\"y\n", "\t@z")
	fields := search.Fields([]search.Own{{Code: "a", Type: search.Keyword}})
	f.Fuzz(func(t *testing.T, sku, name, label, value string) {
		var out bytes.Buffer
		w, err := NewTable(&out, fields)
		if err != nil {
			t.Fatal(err)
		}
		p := Product{Document: &search.Document{
			SKU: sku, Name: name, Attributes: search.Values{"a": value}, OtherAttributes: []search.Attribute{{Label: label, Value: []string{value}}},
			Images: []search.Image{{URL: value}}, Categories: []search.Category{{Path: label}}, Variants: []search.Variant{{SKU: sku}},
		}}
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q, %v", rows, err)
		}
		for _, cell := range rows[1] {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) && json.Unmarshal([]byte(cell), new(float64)) != nil {
				t.Errorf("a cell is %q", cell)
			}
		}
	})
}
