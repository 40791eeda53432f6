package deadletter

import (
	"encoding/json"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

func TestRedacted_HidesPersonalData(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"ids stay", `{"increment_id":"000000123","entity_id":57,"state":"new"}`, `{"entity_id":57,"increment_id":"000000123","state":"new"}`},
		{"money keeps its digits", `{"grand_total":10.50,"qty":1E2}`, `{"grand_total":10.50,"qty":1E2}`},
		{
			"customer", `{"customer_firstname":"Zoe","customer_email":"z@x.y","customer_dob":"1990-01-01","customer_taxvat":"DE1","remote_ip":"10.1.1.1"}`,
			`{"customer_dob":"***","customer_email":"***","customer_firstname":"***","customer_taxvat":"***","remote_ip":"***"}`,
		},
		{
			"address", `{"billing_address":{"country_id":"DE","street":["Way 1",""],"x":{"y":7}},"telephone":49123}`,
			`{"billing_address":{"country_id":"***","street":["***",""],"x":{"y":"***"}},"telephone":"***"}`,
		},
		{"camel case", `{"firstName":"Zoe","PhoneNumber":"1"}`, `{"PhoneNumber":"***","firstName":"***"}`},
		{"custom attribute", `{"custom_attributes":[{"attribute_code":"x","value":"Zoe"}]}`, `{"custom_attributes":[{"attribute_code":"x","value":"***"}]}`},
		{"text with an @", `{"x":["z@x.y","a"]}`, `{"x":["***","a"]}`},
		{"JSON in a string", `"{\"email\":\"z@x.y\",\"id\":1}"`, `"{\"email\":\"***\",\"id\":1}"`},
		{
			"operation", `{"topic_name":"t","serialized_data":"{\"meta_information\":\"{\\\"lastname\\\":\\\"Doe\\\"}\"}"}`,
			`{"serialized_data":"{\"meta_information\":\"{\\\"lastname\\\":\\\"***\\\"}\"}","topic_name":"t"}`,
		},
		{"null and booleans", `{"email":null,"is_guest":true,"name":false}`, `{"email":null,"is_guest":true,"name":false}`},
		{"a text alone", `"Zoe Doe"`, `"***"`},
		{"broken JSON in a string", `{"x":"{\"email\": Zoe"}`, `{"x":"***"}`},
		{"no JSON", `Zoe Doe`, `***`},
		{"two values", `{} {"name":"Zoe"}`, `***`},
		{"empty", ``, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Shown{Body: tt.body}).Redacted().Body; got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	s := Shown{
		BodyBase64: "/w==",
		Properties: map[string]any{"message_id": "m1", "reply_to": "zoe", "user_id": "zoe"},
		Headers: map[string]any{
			"customer_email": "z", "x": "z@x.y", rabbitmq.HeaderKey: "1@2", rabbitmq.HeaderOriginalUserID: "zoe",
			"list": []any{map[string]any{"name": "Zoe"}},
		},
	}
	b, err := json.Marshal(s.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"oe", "z@", `"z"`, "/w=="} {
		if strings.Contains(string(b), secret) {
			t.Errorf("%s is in %s", secret, b)
		}
	}
	for _, kept := range []string{"m1", "1@2"} {
		if !strings.Contains(string(b), kept) {
			t.Errorf("%s is not in %s", kept, b)
		}
	}
	if s.Headers["customer_email"] != "z" {
		t.Error("the letter itself was changed")
	}
}

func FuzzRedacted(f *testing.F) {
	for _, seed := range []string{`{"email":"SECRET","x":["SECRET@"]}`, `"{\"name\":\"SECRET\"}"`, "SECRET", `[[[{"street":{"a":"SECRET"}}]]]`, "\xff", `"\ud800"`, `{"a":1e999}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		wrapped, err := json.Marshal(map[string]any{"customer_name": body, "data": body})
		if err != nil {
			t.Fatal(err)
		}
		got := (Shown{Body: string(wrapped)}).Redacted().Body
		if !json.Valid([]byte(got)) {
			t.Fatalf("%q is no JSON", got)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(got), &m); err != nil {
			t.Fatal(err)
		}
		if body != "" && m["customer_name"] != hidden {
			t.Fatalf("a name is shown: %q", got)
		}
		if again := (Shown{Body: body}).Redacted().Body; again != "" && again != hidden && !json.Valid([]byte(again)) {
			t.Fatalf("%q is neither hidden nor JSON", again)
		}
	})
}

// Headers come from anybody: whatever is in them, a letter can be read and shown.
func FuzzLetter(f *testing.F) {
	f.Add("queue", "p.work", "exchange", "magento", "key", []byte("{}"))
	f.Add("queue", "p.retry.5000", "exchange", "", "", []byte{0xff})
	f.Add("", "", "", "", "x-mageline-queue", []byte(nil))
	r := New(Options{Prefix: "p"})
	f.Fuzz(func(t *testing.T, a, b, c, e, key string, body []byte) {
		for _, keys := range []any{[]any{key}, []any{}, key, nil, []any{body}} {
			d := amqp.Delivery{Body: body, MessageId: key, Headers: amqp.Table{
				key: body, rabbitmq.HeaderFailedAt: a, rabbitmq.HeaderQueue: body,
				"x-death": []any{body, amqp.Table{a: b, c: e, "routing-keys": keys, "time": a}},
			}}
			l := r.letter(&d, "p.dlq")
			if len(l.ID) != 12 || r.isRetry(l.Queue) && rabbitmq.Text(d.Headers, rabbitmq.HeaderQueue) == "" {
				t.Fatalf("letter %+v", l.Letter)
			}
			if _, err := json.Marshal(r.show(l, "p.dlq").Redacted()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
