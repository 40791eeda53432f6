package fakenetsuite_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask sends a request to an account without a token, and returns what was answered.
func ask(t *testing.T, f *fakenetsuite.Server, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-NetSuite-PropertyNameValidation", "Error")
	r.Header.Set("Authorization", "Bearer "+f.Tokens.Issue())
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

const orders = fakenetsuite.RecordPath + "/salesOrder"

// What the real one refuses, in its words.
func TestServer_IsStrict(t *testing.T) {
	f := fakenetsuite.New(fakenetsuite.Options{})
	defer f.Close()
	item := f.Item("A")
	order := func(members string) string { return `{"entity":{"id":"9000"},` + members + `}` }
	line := func(members string) string {
		return order(`"item":{"items":[{"item":{"id":"` + item + `"},"price":{"id":"-1"},"amount":10,"quantity":2` + members + `}]}`)
	}
	for name, tt := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"no JSON":                 {`{"entity"`, 400, "Invalid content"},
		"unknown field":           {order(`"note":"x"`), 400, "property name 'note'"},
		"unknown field of a line": {line(`,"note":"x"`), 400, "item.items[0].note"},
		"unknown column":          {line(`,"custcol_x":"x"`), 400, "custcol_x"},
		"read-only field":         {order(`"total":1`), 400, "read-only"},
		"too long":                {order(`"otherRefNum":"` + strings.Repeat("x", 46) + `"`), 400, "maximum number ( 45 )"},
		"a number as a text":      {order(`"shippingCost":"5"`), 400, "INVALID_VALUE"},
		"a text as a number":      {order(`"memo":5`), 400, "INVALID_VALUE"},
		"a date that is none":     {order(`"tranDate":"23.11.2026"`), 400, "INVALID_VALUE"},
		"a reference as a text":   {order(`"currency":"1"`), 400, "INVALID_VALUE"},
		"by external id":          {order(`"location":{"externalId":"X"}`), 400, "INVALID_VALUE"},
		"no such status":          {order(`"orderStatus":"H"`), 400, "Invalid Field Value H"},
		"no such country":         {order(`"billingAddress":{"country":{"id":"Germany"}}`), 400, "Invalid Field Value Germany"},
		"no customer":             {`{}`, 400, "Customer"},
		"unknown customer":        {`{"entity":{"id":"1"}}`, 400, "Invalid Field Value 1"},
		"unknown item":            {order(`"item":{"items":[{"item":{"id":"1"}}]}`), 400, "item.items[0].item"},
		"no lines":                {order(`"memo":"x"`), 400, "at least one line"},
		"tax without its details": {strings.Replace(line(`,"taxDetailsReference":"L1"`), `{"entity"`, `{"taxDetailsOverride":true,"entity"`, 1), 400, "no tax details for the reference L1"},
		"details without a line":  {strings.Replace(line(``), `{"entity"`, `{"taxDetails":{"items":[{"taxDetailsReference":{"id":"L1"}}]},"entity"`, 1), 400, "without a line"},
		"status as a plain text":  {strings.Replace(line(``), `{"entity"`, `{"orderStatus":"B","entity"`, 1), 204, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, f, http.MethodPost, orders, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
				t.Errorf("answered %d %s; want %d with %q", w.Code, w.Body, tt.status, tt.text)
			}
		})
	}
}

// A line without a number is added, a collection is replaced only where that is asked for, and an external id is there once.
func TestServer_ChangesAsTheRealOneDoes(t *testing.T) {
	f := fakenetsuite.New(fakenetsuite.Options{})
	defer f.Close()
	item := f.Item("A")
	body := `{"externalId":"X-1","entity":{"id":"9000"},"item":{"items":[{"item":{"id":"` + item + `"},"price":{"id":"-1"},"quantity":2,"amount":10}]}}`
	w := ask(t, f, http.MethodPost, orders, body)
	if w.Code != 204 || !strings.Contains(w.Header().Get("Location"), "/salesOrder/") {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	if w := ask(t, f, http.MethodPost, orders, body); w.Code != 400 || !strings.Contains(w.Body.String(), "This record already exists.") {
		t.Errorf("a second one: answered %d %s", w.Code, w.Body)
	}
	for _, step := range []struct {
		body  string
		lines string
	}{
		{`{"item":{"items":[{"line":1,"quantity":1}]}}`, "1 for 5"},
		{`{"item":{"items":[{"item":{"id":"` + item + `"},"price":{"id":"-1"},"amount":3}]}}`, "1 for 5, 1 for 3"},
		{`{"item":{"items":[{"line":1,"isclosed":true},{"line":2,"isClosed":true}]}}`, "1 for 5 closed, 1 for 3 closed"},
	} {
		if w := ask(t, f, http.MethodPatch, orders+"/eid:X-1", step.body); w.Code != 204 {
			t.Fatalf("%s: answered %d %s", step.body, w.Code, w.Body)
		}
		var got []string
		for _, l := range f.Orders("X-1")[0].Lines {
			text := fmt.Sprint(l.Quantity, " for ", l.Amount)
			if l.Closed {
				text += " closed"
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != step.lines {
			t.Errorf("%s: the lines are %v, want %s", step.body, got, step.lines)
		}
	}
	if s := f.Orders("X-1")[0].Status; s != "H" {
		t.Errorf("all lines are closed, and the status is %s", s)
	}
	if n := f.Problems()["a line without a number, which is added"]; n != 1 {
		t.Errorf("it was noted %d times", n)
	}
}

func TestServer_QueriesAndAddresses(t *testing.T) {
	f := fakenetsuite.New(fakenetsuite.Options{})
	defer f.Close()
	number := f.Book("X-1")
	const query = `{"q":"SELECT id, itemid FROM item WHERE itemid IN ('A', 'O''Neil') AND isinactive = 'F'"}`
	for name, tt := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		text               string
	}{
		"items":                     {http.MethodPost, fakenetsuite.QueryPath, query, []string{"Prefer", "transient"}, 200, `"itemid":"O'Neil"`},
		"items without Prefer":      {http.MethodPost, fakenetsuite.QueryPath, query, nil, 400, "Prefer"},
		"another query":             {http.MethodPost, fakenetsuite.QueryPath, `{"q":"SELECT * FROM foo"}`, []string{"Prefer", "transient"}, 400, "Search error occurred"},
		"by number":                 {http.MethodGet, orders + "?q=" + url.QueryEscape(`tranId IS "`+number+`"`), "", nil, 200, `"totalResults":1`},
		"by a number of nobody":     {http.MethodGet, orders + "?q=" + url.QueryEscape(`tranId IS "X"`), "", nil, 200, `"totalResults":0`},
		"a filter that is none":     {http.MethodGet, orders + "?q=tranId", "", nil, 400, "Search error"},
		"by external id":            {http.MethodGet, orders + "/eid:X-1?fields=tranId", "", nil, 200, number},
		"by an external id of none": {http.MethodGet, orders + "/eid:X-2", "", nil, 404, "NONEXISTENT_ID"},
		"an unknown field":          {http.MethodGet, orders + "/eid:X-1?fields=foo", "", nil, 400, "foo"},
		"transform by external id":  {http.MethodPost, orders + "/eid:X-1/!transform/itemFulfillment", "{}", nil, 400, "instance ID"},
		"another transform":         {http.MethodPost, orders + "/1/!transform/invoice", "{}", nil, 404, ""},
		"a wrong token":             {http.MethodGet, orders + "/eid:X-1", "", []string{"Authorization", "Bearer x"}, 401, "INVALID_LOGIN"},
		"PUT":                       {http.MethodPut, orders + "/eid:X-1", "{}", nil, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, f, tt.method, tt.path, tt.body, tt.header...)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
				t.Errorf("answered %d %s; want %d with %q", w.Code, w.Body, tt.status, tt.text)
			}
		})
	}
}

// A misspelt field is dropped without a word, unless the header says otherwise.
func TestServer_DropsUnknownFieldsWithoutTheHeader(t *testing.T) {
	f := fakenetsuite.New(fakenetsuite.Options{})
	defer f.Close()
	body := `{"memmo":"x","entity":{"id":"9000"},"item":{"items":[{"item":{"id":"` + f.Item("A") + `"}}]}}`
	if w := ask(t, f, http.MethodPost, orders, body, "X-NetSuite-PropertyNameValidation", "Warning"); w.Code != 204 {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if f.Problems()["a field that is dropped without a word: memmo"] != 1 {
		t.Errorf("the problems are %v", f.Problems())
	}
}
