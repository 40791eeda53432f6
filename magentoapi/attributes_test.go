package magentoapi

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestExtensionAttributes(t *testing.T) {
	var e ExtensionAttributes
	for _, in := range []string{`[]`, `null`, `{}`} {
		if err := json.Unmarshal([]byte(in), &e); err != nil || len(e) != 0 {
			t.Errorf("%s: %v, %v", in, e, err)
		}
	}
	if err := json.Unmarshal([]byte(`["a"]`), &e); err == nil {
		t.Error("a list with something in it was read as an object")
	}
	if err := json.Unmarshal([]byte(`{"stock_item":{"qty":1.10,"x":null},"none":null}`), &e); err != nil {
		t.Fatal(err)
	}
	var stock struct {
		Qty Decimal `json:"qty"`
	}
	if found, err := e.Get("stock_item", &stock); !found || err != nil || stock.Qty.Decimal.String() != "1.1" {
		t.Errorf("got %+v, %v, %v", stock, found, err)
	}
	for _, name := range []string{"none", "missing"} {
		if found, err := e.Get(name, &stock); found || err != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	var text string
	if _, err := e.Get("stock_item", &text); err == nil {
		t.Error("an object was read as a text")
	}
	if err := e.Set("website_ids", []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	const want = `{"none":null,"stock_item":{"qty":1.10,"x":null},"website_ids":[1,2]}`
	if got, err := json.Marshal(e); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	var empty ExtensionAttributes
	if err := empty.Set("a", 1); err != nil || len(empty) != 1 {
		t.Errorf("got %v, %v", empty, err)
	}
	if err := empty.Set("a", func() {}); err == nil {
		t.Error("a function was set")
	}
}

func TestCustomAttributesInAllForms(t *testing.T) {
	const list = `[{"attribute_code":"color","value":"5"},{"attribute_code":"price_x","value":"45.000000","label":"L"},` +
		`{"attribute_code":"sizes","value":["1",2]},{"attribute_code":"choices","value":"7,8"},{"attribute_code":"weight","value":1.50},` +
		`{"attribute_code":"none","value":null}]`
	var a CustomAttributes
	if err := json.Unmarshal([]byte(list), &a); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(a); err != nil || string(got) != list {
		t.Errorf("got %s, %v", got, err)
	}
	for code, want := range map[string]struct {
		text    string
		found   bool
		list    []string
		decimal string
	}{
		"color":   {"5", true, []string{"5"}, "5"},
		"price_x": {"45.000000", true, []string{"45.000000"}, "45"},
		"sizes":   {"", false, []string{"1", "2"}, "error"},
		"choices": {"7,8", true, []string{"7", "8"}, "error"},
		"weight":  {"1.50", true, []string{"1.50"}, "1.5"},
		"none":    {"", false, nil, "not told"},
		"missing": {"", false, nil, "not told"},
	} {
		text, found := a.Text(code)
		l, err := a.List(code)
		if text != want.text || found != want.found || !reflect.DeepEqual(l, want.list) || err != nil {
			t.Errorf("%s: %q, %v, %q, %v", code, text, found, l, err)
		}
		number, err := a.Decimal(code)
		got := number.Decimal.String()
		switch {
		case err != nil:
			got = "error"
		case !number.Valid:
			got = "not told"
		}
		if got != want.decimal {
			t.Errorf("%s: the number is %s, want %s", code, got, want.decimal)
		}
	}

	for _, keyed := range []string{
		`{"color":"5"}`, `{"color":{"attribute_code":"color","value":"5"}}`, `{"7":{"attribute_code":"color","value":"5"}}`,
	} {
		var a CustomAttributes
		if err := json.Unmarshal([]byte(keyed), &a); err != nil {
			t.Fatal(err)
		}
		if text, found := a.Text("color"); text != "5" || !found {
			t.Errorf("%s: %q, %v", keyed, text, found)
		}
		if got, err := json.Marshal(a); err != nil || string(got) != `[{"attribute_code":"color","value":"5"}]` {
			t.Errorf("%s is written as %s, %v", keyed, got, err)
		}
	}
	for _, bad := range []string{`"x"`, `1`, `[1]`} {
		if err := json.Unmarshal([]byte(bad), &a); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestCustomAttributesAreChanged(t *testing.T) {
	var a CustomAttributes
	if err := json.Unmarshal([]byte(`[{"attribute_code":"a","value":"1","label":"L"},{"attribute_code":"b","value":"2"}]`), &a); err != nil {
		t.Fatal(err)
	}
	shared := a
	for code, v := range map[string]any{"a": []string{"3"}, "c": nil} {
		if err := a.Set(code, v); err != nil {
			t.Fatal(err)
		}
	}
	a.Delete("b")
	a.Delete("missing")
	const want = `[{"attribute_code":"a","value":["3"],"label":"L"},{"attribute_code":"c","value":null}]`
	if got, err := json.Marshal(a); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if text, _ := shared.Text("a"); text != "1" || len(shared) != 2 {
		t.Errorf("a copy of the list was changed too: %v", shared)
	}
	if err := a.Set("a", func() {}); err == nil {
		t.Error("a function was set")
	}
}

func FuzzCustomAttributes(f *testing.F) {
	for _, seed := range []string{
		`[{"attribute_code":"a","value":"1","label":"L"},{"attribute_code":"b","value":[1,"2",null]}]`,
		`{"a":"1","b":{"attribute_code":"b","value":null},"c":{}}`, `{"2":{"attribute_code":"a"}}`, `[]`, `null`, `[null]`,
	} {
		f.Add([]byte(seed), "a")
	}
	f.Fuzz(func(t *testing.T, data []byte, code string) {
		var a CustomAttributes
		if json.Unmarshal(data, &a) != nil {
			return
		}
		_, _ = a.List(code)
		_, _ = a.Decimal(code)
		text, found := a.Text(code)
		body, err := json.Marshal(a)
		if err != nil {
			t.Fatalf("%q can be read and not written: %v", data, err)
		}
		var again CustomAttributes
		if err := json.Unmarshal(body, &again); err != nil || len(again) != len(a) {
			t.Fatalf("%q was written as %q: %v", data, body, err)
		}
		if text2, found2 := again.Text(code); text != text2 || found != found2 {
			t.Errorf("%q: %q was %q before", body, text2, text)
		}
	})
}
