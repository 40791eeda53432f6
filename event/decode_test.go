package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mageline/mageline/event"
)

// quote puts text into a JSON string, as a topic of type string does.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// operation is the body of Magento's asynchronous API: docs/reference/magento.md, Messages.
func operation(parameters string) string {
	data := `{"entity_id":null,"entity_link":"","meta_information":` + quote(parameters) + `}`
	return `{"bulk_uuid":"799ac9a0","topic_name":"sales.order.placed","serialized_data":` + quote(data) +
		`,"result_serialized_data":null,"status":4,"result_message":"","error_code":null}`
}

func TestDecode_UnwrapsEachShape(t *testing.T) {
	const a, b = `{"increment_id":"000000123"}`, `{"entity_id":57,"store_id":"1"}`
	tests := []struct {
		name, body string
		want       []string
	}{
		{"object", b, []string{b}},
		{"object with white space", " \n" + b + "\t", []string{b}},
		{"one scalar member is the event itself", a, []string{a}},
		{"one member that holds text is the event itself", `{"path":"a {b}.csv"}`, []string{`{"path":"a {b}.csv"}`}},
		{"one member that holds an array is the event itself", `{"prices":[{"sku":"A"}]}`, []string{`{"prices":[{"sku":"A"}]}`}},
		{"one member that holds a quoted number is the event itself", `{"increment_id":"123"}`, []string{`{"increment_id":"123"}`}},
		{"empty object", `{}`, []string{`{}`}},
		{"string", quote(a), []string{a}},
		{"string in a string", quote(quote(b)), []string{b}},
		{"schema", `{"order":` + b + `}`, []string{b}},
		{"schema around a single id", `{"order": ` + a + ` }`, []string{a}},
		{"schema with text", `{"message":` + quote(a) + `}`, []string{a}},
		{"string with a schema", quote(`{"order":` + b + `}`), []string{b}},
		{"operation", operation(b), []string{b}},
		{"operation with a schema", operation(`{"order":` + a + `}`), []string{a}},
		{"operation with text in its parameter", operation(`{"message":` + quote(a) + `}`), []string{a}},
		{"operation in a string", quote(operation(b)), []string{b}},
		{"operation in a schema", `{"operation":` + operation(b) + `}`, []string{b}},
		{"operation without meta_information", `{"serialized_data":` + quote(b) + `}`, []string{b}},
		{"array", `[` + a + `, ` + b + ` ]`, []string{a, b}},
		{"array of every shape", `[` + a + `,` + quote(b) + `,{"o":` + b + `},` + operation(a) + `,[` + b + `]]`, []string{a, b, b, a, b}},
		{"array in a string", quote(`[` + a + `]`), []string{a}},
		{"array in an operation", operation(`[` + a + `,` + b + `]`), []string{a, b}},
		{"brackets and quotes in strings", `{"a":"]}\\\"[{","b":"\""}`, []string{`{"a":"]}\\\"[{","b":"\""}`}},
		{"unknown fields stay", `{"entity_id":57,"x":{"y":[1]}}`, []string{`{"entity_id":57,"x":{"y":[1]}}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.Decode([]byte(tt.body), event.Anything)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%d events %s, want %d", len(got), got, len(tt.want))
			}
			for i := range got {
				if string(got[i]) != tt.want[i] {
					t.Errorf("event %d is %s, want %s", i, got[i], tt.want[i])
				}
			}
		})
	}
}

func TestDecode_RefusesWhatCantBeRead(t *testing.T) {
	tests := []struct{ name, body string }{
		{"nothing", ""},
		{"white space", "  "},
		{"no JSON", "order 123"},
		{"two values", `{} {}`},
		{"cut off", `{"increment_id":"0000`},
		{"not UTF-8", "{\"a\":\"\xff\"}"},
		{"empty array", `[]`},
		{"empty array in an array", `[[]]`},
		{"empty array in a string", `"[]"`},
		{"number", `57`},
		{"null", `null`},
		{"boolean", `true`},
		{"string without JSON", `"000000123 is placed"`},
		{"empty string", `""`},
		{"serialized_data without JSON", `{"serialized_data":"a:1:{}"}`},
		{"meta_information without JSON", `{"serialized_data":` + quote(`{"meta_information":"{"}`) + `}`},
		{"too large", `{"a":"` + strings.Repeat("x", event.MaxBody) + `"}`},
		{"too deep", strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000)},
		{"far too deep", strings.Repeat(`[`, 1<<20)},
		{"too deep in the event", `{"a":1,"b":` + strings.Repeat(`[`, 500) + strings.Repeat(`]`, 500) + `}`},
		{"too many wrappings", strings.Repeat(`{"a":`, 50) + `{}` + strings.Repeat(`}`, 50)},
		{"too many events", `[` + strings.Repeat(`{},`, 20_000) + `{}]`},
		{"too many values that are no events", `[` + strings.Repeat(`1,`, 4<<20) + `{}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.Decode([]byte(tt.body), event.Anything)
			if err == nil || event.ClassOf(err) != event.Malformed {
				t.Fatalf("error %v, want one of class malformed", err)
			}
			if len(got) != 0 {
				t.Fatalf("%d events beside the error", len(got))
			}
		})
	}
}

// All events of an array are tried, also when one of the array can't be read.
func TestDecode_ReturnsEventsBesideErrors(t *testing.T) {
	got, err := event.Decode([]byte(`[{"increment_id":"1"},"no JSON",{"increment_id":"2"},3]`), event.Anything)
	if event.ClassOf(err) != event.Malformed || !strings.Contains(err.Error(), "1 more") {
		t.Errorf("error %v, want a malformed one that counts the other", err)
	}
	if len(got) != 2 || string(got[0]) != `{"increment_id":"1"}` || string(got[1]) != `{"increment_id":"2"}` {
		t.Errorf("events %s", got)
	}
}

var kinds = []event.Kind{event.Anything, event.Orders, event.Parcels, event.Files}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"increment_id":"000000123"}`, quote(`{"entity_id":57}`), `{"order":{"entity_id":57}}`, operation(`{"order":{"entity_id":57}}`),
		`[{"a":1},[{"b":[]}],"{}"]`, `[]`, `[1,null,true,-1.5e3]`, `{"a":"\ud800\u0000"}`, `{"a" : {"b":1 } }`, "\xff", `"\"\\\"x\\\"\""`,
		strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200), `{"serialized_data":"{\"meta_information\":\"[]\"}"}`,
		"\uFEFF57", `"000000123"`, `"\uFEFF{\"id\":57}"`, `{"order":{"id":57},"storeId":1}`, `["a.b","{\"increment_id\":\"5\"}",2]`,
		`{"specversion":"1.0","type":"a.order.b","data":{"value":{"increment_id":"5"},"_metadata":{"storeId":"2"}}}`,
		`{"event":{"data":{"value":{"order_id":57}}}}`, `{"orders":[{"id":1},{"id":2}],"x":1}`, `a:1:{s:8:"order_id";i:5;}`,
		`{"invoice":{"entity_id":9},"x":1}`, `{"firstname":"Vesna","x":"y}`, `{"a":{"b":{"c":{"path":"x"}}},"d":{"order_number":5}}`,
	} {
		for _, kind := range kinds {
			f.Add([]byte(seed), string(kind))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kindName string) {
		kind := event.Kind(kindName)
		before := bytes.Clone(body)
		events, err := event.Decode(body, kind)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed: it must go to the retry queue as it came")
		}
		if err != nil && event.ClassOf(err) != event.Malformed && event.ClassOf(err) != event.Invalid {
			t.Fatalf("class %q of %v", event.ClassOf(err), err)
		}
		if err != nil && (len(err.Error()) > 4096 || !utf8.ValidString(err.Error())) {
			t.Fatalf("an error of %d bytes: %q", len(err.Error()), err)
		}
		// The validator is not the standard library's: it must say the same.
		const mark = "\uFEFF"
		if valid, said := json.Valid(bytes.TrimPrefix(body, []byte(mark))), err != nil && strings.HasPrefix(err.Error(), "the body is not JSON"); valid && said ||
			!valid && err == nil {
			t.Fatalf("%q: %v", body, err)
		}
		if err == nil && len(events) == 0 {
			t.Fatal("neither event nor error")
		}
		for _, e := range events {
			if !json.Valid(e) || !utf8.Valid(e) || e[0] != '{' {
				t.Fatalf("event %q is no JSON object", e)
			}
			// What is taken out is taken out for good: decoding it again gives it as it is, unless it was at a bound.
			again, err := event.Decode(e, kind)
			if err != nil || len(again) != 1 || !bytes.Equal(again[0], e) {
				t.Fatalf("event %q decodes to %q, %v", e, again, err)
			}
		}
	})
}

func TestParseOrder_FindsIDAndNumber(t *testing.T) {
	store := func(id event.ID) *event.ID { return &id }
	tests := []struct {
		name, body string
		want       event.Order
		class      event.Class // "" for none
	}{
		{"increment id", `{"increment_id":"000000123"}`, event.Order{IncrementID: "000000123"}, ""},
		{"increment id as a number", `{"increment_id":100000123}`, event.Order{IncrementID: "100000123"}, ""},
		{"entity id", `{"entity_id":57}`, event.Order{EntityID: 57}, ""},
		{"entity id as a string", `{"entity_id":"57","store_id":"2"}`, event.Order{EntityID: 57, StoreID: store(2)}, ""},
		{"both, unknown fields", `{"entity_id":57,"increment_id":"1-2","foo":{},"store_id":0}`, event.Order{EntityID: 57, IncrementID: "1-2", StoreID: store(0)}, ""},
		{"increment id with an escape", `{"increment_id":"A\u002d1"}`, event.Order{IncrementID: "A-1"}, ""},
		{"increment id with spaces around", `{"increment_id":" 9 "}`, event.Order{IncrementID: "9"}, ""},
		{"store not known", `{"entity_id":57,"store_id":null}`, event.Order{EntityID: 57}, ""},
		{"a member twice", `{"entity_id":57,"store_id":1,"store_id":null}`, event.Order{EntityID: 57}, ""},
		{"entity id not there yet", `{"entity_id":null,"increment_id":"9"}`, event.Order{IncrementID: "9"}, ""},
		{"whole order", `{"entity_id":1,"state":"new","items":[{"item_id":"4"},{"item_id":5}]}`, event.Order{EntityID: 1}, ""},
		{"nothing", `{}`, event.Order{}, event.Invalid},
		{"empty", `{"entity_id":"","increment_id":" "}`, event.Order{}, event.Invalid},
		{"id with a fraction", `{"entity_id":5.5}`, event.Order{}, event.Invalid},
		{"negative id", `{"entity_id":-5}`, event.Order{}, event.Invalid},
		{"id too large", `{"entity_id":99999999999999999999}`, event.Order{}, event.Invalid},
		{"id that is an object", `{"entity_id":{}}`, event.Order{}, event.Invalid},
		{"boolean number", `{"increment_id":true}`, event.Order{}, event.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.ParseOrder(json.RawMessage(tt.body))
			if tt.class != "" {
				if err == nil || event.ClassOf(err) != tt.class {
					t.Fatalf("error %v, want class %s", err, tt.class)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (got.StoreID == nil) != (tt.want.StoreID == nil) || got.StoreID != nil && *got.StoreID != *tt.want.StoreID {
				t.Errorf("store %v, want %v", got.StoreID, tt.want.StoreID)
			}
			got.StoreID, tt.want.StoreID = nil, nil
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzParseOrder(f *testing.F) {
	for _, seed := range []string{
		`{"increment_id":"000000123"}`, `{"entity_id":"57","store_id":1}`, `{"entity_id":1,"state":"new","items":[{"item_id":"4"}]}`,
		`{"entity_id":-0,"increment_id":1e400}`, `{"ENTITY_ID":9223372036854775808}`, `[]`, `{"items":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		bodies, _ := event.Decode(body, event.Orders)
		for _, body := range bodies {
			o, err := event.ParseOrder(body)
			if err != nil {
				if event.ClassOf(err) != event.Invalid {
					t.Fatalf("class %q of %v", event.ClassOf(err), err)
				}
				continue
			}
			if o.EntityID < 0 || o.StoreID != nil && *o.StoreID < 0 || o.EntityID == 0 && o.IncrementID == "" {
				t.Fatalf("%s gives %+v", body, o)
			}
		}
	})
}
