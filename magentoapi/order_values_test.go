package magentoapi

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecimalIsReadFromTheLiteral(t *testing.T) {
	for in, want := range map[string]string{
		`29.99`:                             "29.99",
		`"29.9900"`:                         "29.99",
		`19.989999999999998`:                "19.99",
		`0.1`:                               "0.1",
		`33.3333`:                           "33.3333",
		`33.33335`:                          "33.3334",
		`1.0e2`:                             "100",
		`-5`:                                "-5",
		`9007199254740993.0001`:             "9007199254740993.0001", // no float64 holds it
		`null`:                              "not told",
		`""`:                                "not told",
		`"abc"`:                             "error",
		`true`:                              "error",
		`{}`:                                "error",
		`1e999999999`:                       "error",
		`1e-999999999`:                      "error",
		`"` + strings.Repeat("9", 65) + `"`: "error",
	} {
		var d Decimal
		err := json.Unmarshal([]byte(in), &d)
		got := d.Decimal.String()
		switch {
		case err != nil:
			got = "error"
		case !d.Valid:
			got = "not told"
		}
		if got != want {
			t.Errorf("%.40s: got %s (%v), want %s", in, got, err, want)
		}
	}
}

func TestScalarsComeInManyForms(t *testing.T) {
	type all struct {
		ID     ID     `json:"id"`
		Text   Text   `json:"text"`
		Flag   Flag   `json:"flag"`
		Time   Time   `json:"time"`
		Street Street `json:"street"`
	}
	for in, want := range map[string]string{
		`{}`: "0  {false false} 0001-01-01T00:00:00Z []",
		`{"id":null,"text":null,"flag":null,"time":null,"street":null}`:                                     "0  {false false} 0001-01-01T00:00:00Z []",
		`{"id":"","text":"","flag":"","time":"","street":""}`:                                               "0  {false false} 0001-01-01T00:00:00Z []",
		`{"id":57,"text":"a","flag":1,"time":"2026-11-23 09:15:02","street":["Geheimweg 7","Hof"]}`:         "57 a {true true} 2026-11-23T09:15:02Z [Geheimweg 7|Hof]",
		`{"id":"57","text":4109,"flag":"0","time":"2026-11-23T10:15:02+01:00","street":"Geheimweg 7\nHof"}`: "57 4109 {true false} 2026-11-23T09:15:02Z [Geheimweg 7|Hof]",
		`{"text":false,"flag":true,"time":"0000-00-00 00:00:00","street":[null,7]}`:                         "0  {true true} 0001-01-01T00:00:00Z [|7]",
		`{"text":"false","flag":false}`:                                                                     "0 false {true false} 0001-01-01T00:00:00Z []",
		`{"id":"x"}`:                                                                                        "error",
		`{"id":-1}`:                                                                                         "error",
		`{"id":1.5}`:                                                                                        "error",
		`{"id":[1]}`:                                                                                        "error",
		`{"flag":2}`:                                                                                        "error",
		`{"time":"yesterday"}`:                                                                              "error",
		`{"street":{"0":"a"}}`:                                                                              "error",
	} {
		var v all
		err := json.Unmarshal([]byte(in), &v)
		got := fmt.Sprintf("%d %s %v %s [%s]", v.ID, v.Text, v.Flag, v.Time.Format("2006-01-02T15:04:05Z07:00"), strings.Join(v.Street, "|"))
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: got %s (%v), want %s", in, got, err, want)
		}
	}
}

func TestOrderWithPHPsEmptyLists(t *testing.T) {
	var o Order
	err := json.Unmarshal([]byte(`{
		"entity_id": 57, "extension_attributes": [],
		"items": [{"item_id": 1, "product_option": [], "extension_attributes": []},
		          {"item_id": 2, "product_option": {"extension_attributes": [ ]}}]
	}`), &o)
	if err != nil || o.EntityID != 57 || len(o.Items) != 2 {
		t.Errorf("got %+v, %v", o, err)
	}
	if o.ShippingAssignment() != nil {
		t.Error("an order without shipping assignments has one")
	}
	err = json.Unmarshal([]byte(`{"extension_attributes":{"shipping_assignments":[{"shipping":[]}]}}`), &o)
	if err != nil || o.ShippingAssignment() == nil || o.ShippingAssignment().Address != nil {
		t.Errorf("got %+v, %v", o.ShippingAssignment(), err)
	}
}

func TestTimeIsWrittenAsMagentoDoes(t *testing.T) {
	for _, in := range []string{`"2026-11-23 09:15:02"`, `null`} {
		var v Time
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(v); err != nil || string(got) != in {
			t.Errorf("got %s, %v, want %s", got, err, in)
		}
	}
}

// Reading an order ends with an order or an error, and every number in it can be written out in little room.
func FuzzOrder(f *testing.F) {
	files, _ := filepath.Glob("../mapping/testdata/*.order.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"entity_id":"57","grand_total":"1e30","subtotal":1e-60,"customer_is_guest":true,"extension_attributes":[],"items":[{"item_id":1,"parent_item":{"item_id":2}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Order
		if json.Unmarshal(data, &o) != nil {
			return
		}
		for _, d := range []Decimal{o.GrandTotal, o.Subtotal, o.BaseToOrderRate} {
			if s := d.Decimal.String(); d.Valid && len(s) > 160 {
				t.Errorf("a number of %d characters", len(s))
			}
		}
		if o.EntityID < 0 {
			t.Errorf("entity id %d", o.EntityID)
		}
	})
}
