package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// adapter starts an ERP adapter that answers as h, and gives a connector to it.
func adapter(t *testing.T, h http.HandlerFunc, o Options) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.URL = server.URL + o.URL
	client := server.Client()
	t.Cleanup(client.CloseIdleConnections)
	c, err := New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func secret(s string) func() string { return func() string { return s } }

// create builds the payload of an order and creates it.
func create(t *testing.T, c *Client, key string, o erp.SalesOrder) (erp.Document, error) {
	t.Helper()
	p, err := c.Build(o)
	if err != nil {
		t.Fatal(err)
	}
	return c.Create(t.Context(), erp.Call{Key: key}, p)
}

func told(s string) *string { return &s }

func TestCreate_SendsTheOrderAsItIs(t *testing.T) {
	var got *http.Request
	var body []byte
	c := adapter(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"document_number":"SO-1001"}`)
	}, Options{
		URL: "/api/?code=k1", Token: secret("tok"), Secret: secret("sec"),
		Now: func() time.Time { return time.Unix(1795425302, 0) },
	})
	order := erp.SalesOrder{ExternalReference: "000000123", BaseGrandTotal: erp.NewAmount(decimal.RequireFromString("86.87"))}
	doc, err := create(t, c, "order_placed:000000123", order)
	if err != nil || doc.Number != "SO-1001" || doc.Accepted {
		t.Fatalf("got %+v, %v", doc, err)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/api/sales-orders" || got.URL.RawQuery != "code=k1" {
		t.Errorf("got %s %s", got.Method, got.URL)
	}
	mac := hmac.New(sha256.New, []byte("sec"))
	fmt.Fprintf(mac, "1795425302.%s", body)
	for name, want := range map[string]string{
		"Content-Type":         "application/json",
		"Idempotency-Key":      "order_placed:000000123",
		"Authorization":        "Bearer tok",
		"X-Mageline-Signature": "t=1795425302,v1=" + hex.EncodeToString(mac.Sum(nil)),
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
	if want, _ := json.Marshal(order); string(body) != string(want) {
		t.Errorf("got body %s", body)
	}
}

func TestSignature_IsAsPublished(t *testing.T) {
	// openssl: printf '1700000000.{}' | openssl dgst -sha256 -hmac key
	want := "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
	if got := sign("key", time.Unix(1700000000, 0), []byte("{}")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCreate_WithoutCredentialHasNoHeaderOfOne(t *testing.T) {
	c := adapter(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Authorization", "X-Mageline-Signature"} {
			if v, ok := r.Header[name]; ok {
				t.Errorf("%s is sent: %q", name, v)
			}
		}
		w.WriteHeader(http.StatusCreated)
	}, Options{Token: secret("")})
	if _, err := create(t, c, "k", erp.SalesOrder{}); err != nil {
		t.Error(err)
	}
}

func TestCreate_EveryAnswer(t *testing.T) {
	accepted := erp.Document{Accepted: true}
	for _, c := range []struct {
		status  int
		body    string
		want    erp.Document
		class   event.Class // "" is success
		notDone bool
	}{
		{200, `{"document_number":"SO-1"}`, erp.Document{Number: "SO-1"}, "", false},
		{201, "\ufeff {\"document_number\": 1001 }\n", erp.Document{Number: "1001"}, "", false},
		{409, `{"document_number":"SO-1"}`, erp.Document{Number: "SO-1"}, "", false},
		{202, ``, accepted, "", false},
		{202, `{"status":"queued"}`, accepted, "", false},
		{204, ``, accepted, "", false},
		{200, `{}`, accepted, "", false},
		{200, ` `, accepted, "", false},
		{201, `{"document_number":null}`, accepted, "", false},
		{201, `{"document_number":"  "}`, accepted, "", false},

		{200, `<html>maintenance</html>`, erp.Document{}, event.Unavailable, false},
		{200, `"SO-1"`, erp.Document{}, event.Unavailable, false},
		{200, `[{"document_number":"SO-1"}]`, erp.Document{}, event.Unavailable, false},
		{200, `null`, erp.Document{}, event.Unavailable, false},
		{200, `{"document_number":"SO-1"`, erp.Document{}, event.Unavailable, false},
		{200, `{"document_number":["SO-1"]}`, erp.Document{}, event.Unavailable, false},
		{200, `{"document_number":"a\nb"}`, erp.Document{}, event.Unavailable, false},
		{200, `{"document_number":"` + strings.Repeat("9", 256) + `"}`, erp.Document{}, event.Unavailable, false},
		{200, `{"document_number":"SO-1"}` + strings.Repeat(" ", erphttp.DefaultMaxBody), erp.Document{}, event.Unavailable, false},
		{202, `<html>`, erp.Document{}, event.Unavailable, false},

		{301, ``, erp.Document{}, event.Unavailable, false},
		{307, ``, erp.Document{}, event.Unavailable, false},
		{400, ``, erp.Document{}, event.Rejected, true},
		{401, ``, erp.Document{}, event.Unauthorized, true},
		{403, ``, erp.Document{}, event.Unauthorized, true},
		{404, ``, erp.Document{}, event.NotFound, true},
		{405, ``, erp.Document{}, event.Rejected, true},
		{408, ``, erp.Document{}, event.Timeout, false},
		{409, ``, erp.Document{}, event.Rejected, true},
		{409, `{}`, erp.Document{}, event.Rejected, true},
		{409, `<html>`, erp.Document{}, event.Rejected, true},
		{410, ``, erp.Document{}, event.Rejected, true},
		{413, ``, erp.Document{}, event.Rejected, true},
		{418, ``, erp.Document{}, event.Rejected, true},
		{422, `{"document_number":"SO-1"}`, erp.Document{}, event.Rejected, true},
		{423, ``, erp.Document{}, event.Unavailable, true},
		{425, ``, erp.Document{}, event.Unavailable, true},
		{429, ``, erp.Document{}, event.Throttled, false},
		{500, `{"document_number":"SO-1"}`, erp.Document{}, event.Unavailable, false},
		{503, ``, erp.Document{}, event.Unavailable, false},
		{504, ``, erp.Document{}, event.Unavailable, false},
	} {
		name := fmt.Sprintf("%d %.40s", c.status, c.body)
		client := adapter(t, func(w http.ResponseWriter, r *http.Request) {
			if c.status >= 300 && c.status <= 399 {
				w.Header().Set("Location", "/elsewhere")
			}
			if r.URL.Path != "/sales-orders" {
				t.Errorf("%s: %s was followed", name, r.URL.Path)
			}
			answers(c.status, c.body)(w, r)
		}, Options{})
		got, err := create(t, client, "k", erp.SalesOrder{ExternalReference: "000000123"})
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.class == "") {
			t.Errorf("%s: got %+v, %v", name, got, err)
			continue
		}
		if err == nil {
			continue
		}
		var e *event.Error
		if !errors.As(err, &e) || e.Class != c.class || e.Downstream != "erp" || event.IsNotDone(err) != c.notDone ||
			e.Unreadable != (c.status < 300) {
			t.Errorf("%s: got %v, class %s, not done %v", name, err, event.ClassOf(err), event.IsNotDone(err))
		}
		if !strings.Contains(err.Error(), "000000123") {
			t.Errorf("%s: the error does not name the order: %v", name, err)
		}
	}
}

func TestFind_EveryAnswer(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   []erp.Document
		class  event.Class
	}{
		{200, `{"items":[{"document_number":"SO-1","external_reference":"A&1"}]}`, []erp.Document{{Number: "SO-1"}}, ""},
		{200, `{"items":[{"document_number":"SO-1"}]}`, []erp.Document{{Number: "SO-1"}}, ""},
		{200, `{"items":[]}`, nil, ""},
		{200, `{"items":null}`, nil, ""},
		{404, `<html>`, nil, ""},
		{200, `{"items":[{"document_number":"SO-1","external_reference":"A&1"},{"document_number":"SO-2","external_reference":"A&1"},{"document_number":"SO-1"}]}`, []erp.Document{{Number: "SO-1"}, {Number: "SO-2"}}, ""},
		{200, `{"items":[{"document_number":"SO-9","external_reference":"A&1-1"},{"document_number":"SO-1","external_reference":"A&1"}]}`, []erp.Document{{Number: "SO-1"}}, ""},
		{200, `{"items":[{"document_number":null,"external_reference":"A&1"}]}`, []erp.Document{{Accepted: true}}, ""},

		{200, `{"items":[{"document_number":"SO-9","external_reference":"B"}]}`, nil, event.Unavailable},
		{200, `{"items":[{}]}`, nil, event.Unavailable},
		{200, `{"items":{"document_number":"SO-1"}}`, nil, event.Unavailable},
		{200, `{}`, nil, event.Unavailable},
		{200, ``, nil, event.Unavailable},
		{204, ``, nil, event.Unavailable},
		{200, `[]`, nil, event.Unavailable},
		{200, `<html>`, nil, event.Unavailable},
		{200, `{"items":[]}` + strings.Repeat(" ", erphttp.DefaultMaxBody), nil, event.Unavailable},
		{301, ``, nil, event.Unavailable},
		{400, ``, nil, event.Rejected},
		{401, ``, nil, event.Unauthorized},
		{429, ``, nil, event.Throttled},
		{500, ``, nil, event.Unavailable},
	} {
		client := adapter(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/sales-orders" || r.URL.Query().Get("external_reference") != "A&1" {
				t.Errorf("got %s %s", r.Method, r.URL)
			}
			answers(c.status, c.body)(w, r)
		}, Options{})
		got, err := client.Find(t.Context(), "A&1")
		if fmt.Sprint(got) != fmt.Sprint(c.want) || (err == nil) != (c.class == "") || err != nil && event.ClassOf(err) != c.class {
			t.Errorf("%d %.60s: got %+v, %v", c.status, c.body, got, err)
		}
		if event.IsNotDone(err) {
			t.Errorf("%d: a refused question says that the effect is not done: %v", c.status, err)
		}
	}
}

// What is refused is sent once more, with the credential that is there by then; net/http does not do it.
func TestCreate_RefusedIsRepeatedOnceWithTheNewCredential(t *testing.T) {
	for _, c := range []struct {
		answers []int
		class   event.Class // "" is success
	}{
		{[]int{401, 201}, ""},
		{[]int{403, 200}, ""},
		{[]int{401, 401}, event.Unauthorized},
		{[]int{403, 401}, event.Unauthorized},
		{[]int{401, 422}, event.Rejected},
		{[]int{422}, event.Rejected},
		{[]int{404}, event.NotFound},
	} {
		var requests []string
		changed := "old"
		client := adapter(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			requests = append(requests, r.Header.Get("Authorization")+" "+r.Header.Get("Idempotency-Key")+" "+string(body[:1]))
			if r.Header.Get("X-Mageline-Signature") == "" {
				t.Error("no signature")
			}
			changed = "new"
			status := c.answers[len(requests)-1]
			answers(status, `{"document_number":"SO-1"}`)(w, r)
		}, Options{Token: func() string { return changed }, Secret: secret("s")})
		_, err := create(t, client, "k", erp.SalesOrder{})
		if (err == nil) != (c.class == "") || err != nil && event.ClassOf(err) != c.class || len(requests) != len(c.answers) {
			t.Errorf("%v: %v after %q", c.answers, err, requests)
		}
		if len(requests) == 2 && (requests[0] != "Bearer old k {" || requests[1] != "Bearer new k {") {
			t.Errorf("%v: %q", c.answers, requests)
		}
	}
}

func TestCancel_EveryAnswer(t *testing.T) {
	cancellation := erp.Cancellation{Reason: "canceled in Magento", Complete: true, Lines: []erp.CancellationLine{
		{Reference: "1001", SKU: told("24-MB01"), Quantity: erp.NewQuantity(decimal.NewFromInt(2))},
	}}
	for _, c := range []struct {
		status int
		body   string
		class  event.Class
	}{
		{200, `{"document_number":"SO-1"}`, ""},
		{200, `done`, ""},
		{204, ``, ""},
		{409, `{"document_number":"SO-1"}`, event.Rejected},
		{404, ``, event.NotFound},
		{500, ``, event.Unavailable},
	} {
		client := adapter(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.EscapedPath() != "/sales-orders/SO%2F1%20%25/cancel" || r.Header.Get("Idempotency-Key") != "order_canceled:k" {
				t.Errorf("got %s, key %q", r.URL.EscapedPath(), r.Header.Get("Idempotency-Key"))
			}
			if string(body) != `{"reason":"canceled in Magento","complete":true,"lines":[{"reference":"1001","sku":"24-MB01","quantity":"2"}]}` {
				t.Errorf("got %s", body)
			}
			answers(c.status, c.body)(w, r)
		}, Options{})
		err := client.Cancel(t.Context(), erp.Call{Key: "order_canceled:k"}, erp.Document{Number: "SO/1 %"}, cancellation)
		if (err == nil) != (c.class == "") || err != nil && event.ClassOf(err) != c.class {
			t.Errorf("%d %s: got %v", c.status, c.body, err)
		}
	}
}
