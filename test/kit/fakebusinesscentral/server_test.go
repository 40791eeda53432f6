package fakebusinesscentral_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call sends a request to a company and returns the status and the body.
func call(t *testing.T, f *fakebusinesscentral.Server, method, path, body string, header ...string) (int, string) {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {fakebusinesscentral.ClientID}, "client_secret": {fakebusinesscentral.ClientSecret},
		"scope": {fakebusinesscentral.Scope},
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, fakebusinesscentral.TokenPath, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &token); err != nil {
		t.Fatal(err)
	}
	r = httptest.NewRequestWithContext(t.Context(), method, fakebusinesscentral.Base+"/companies("+fakebusinesscentral.CompanyID+")/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Language", "en-US")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w = httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// What the real one refuses, in its words.
func TestServer_IsStrict(t *testing.T) {
	line := func(members string) string {
		return `{"customerNumber":"10000","pricesIncludeTax":true,"salesOrderLines":[{"lineType":"Item","lineObjectNumber":"A",` + members + `}]}`
	}
	for name, tt := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"no JSON":                       {`{"customerNumber"`, 400, "Invalid Request Body"},
		"unknown property":              {`{"customerNumber":"10000","note":"x"}`, 400, "The property 'note' does not exist"},
		"read-only property":            {`{"customerNumber":"10000","number":"X"}`, 400, "Control 'number' is read-only."},
		"too long":                      {`{"customerNumber":"10000","shipToCity":"` + strings.Repeat("x", 31) + `"}`, 400, "Application_StringExceededLength"},
		"a number as a text":            {line(`"quantity":"2"`), 400, "expected type"},
		"a text as a number":            {`{"customerNumber":10000}`, 400, "expected type"},
		"a date that is none":           {`{"customerNumber":"10000","orderDate":"23.11.2026"}`, 400, "Unable to convert value to Date"},
		"no customer":                   {`{}`, 400, "must be provided"},
		"unknown customer":              {`{"customerNumber":"X"}`, 400, "The sell-to customer cannot be found."},
		"unknown type of line":          {`{"customerNumber":"10000","salesOrderLines":[{"lineType":"Product"}]}`, 400, "is not an option"},
		"sequence":                      {line(`"sequence":1`), 500, "SystemId"},
		"discount before quantity":      {line(`"discountAmount":1,"quantity":2`), 400, "Quantity must have a value"},
		"discount above the amount":     {line(`"quantity":1,"unitPrice":1,"discountAmount":2`), 400, "between 0 and 100"},
		"unknown unit":                  {line(`"unitOfMeasureCode":"KG","quantity":2`), 400, "Internal_InvalidTableRelation"},
		"unknown tax code":              {line(`"quantity":2,"taxCode":"X"`), 400, "Internal_InvalidTableRelation"},
		"quantity of a comment":         {`{"customerNumber":"10000","salesOrderLines":[{"description":"x","quantity":1}]}`, 400, "Quantity must be equal to '0'"},
		"unknown account":               {`{"customerNumber":"10000","salesOrderLines":[{"lineType":"Account","lineObjectNumber":"1","quantity":1}]}`, 400, "Account does not exist."},
		"a line without a type is text": {`{"customerNumber":"10000","salesOrderLines":[{"description":"x"}]}`, 201, `S-ORD`},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakebusinesscentral.New(fakebusinesscentral.Options{})
			defer f.Close()
			status, body := call(t, f, http.MethodPost, "salesOrders", tt.body)
			if status != tt.status || !strings.Contains(body, tt.text) {
				t.Errorf("answered %d %s; want %d with %q", status, body, tt.status, tt.text)
			}
		})
	}
}

// Members are set in their order, as in the real one: a unit after the price resets it, a tax code after it rescales it.
func TestServer_SetsMembersInTheirOrder(t *testing.T) {
	f := fakebusinesscentral.New(fakebusinesscentral.Options{})
	defer f.Close()
	for members, want := range map[string]string{
		`"unitOfMeasureCode":"PCS","quantity":2,"taxCode":"STANDARD","unitPrice":10`: `"totalAmountIncludingTax":20,`,
		`"quantity":2,"unitPrice":10,"unitOfMeasureCode":"PCS"`:                      `"totalAmountIncludingTax":0,`,
		`"quantity":2,"unitPrice":10,"taxCode":"STANDARD"`:                           `"totalAmountIncludingTax":23.8,`,
	} {
		_, body := call(t, f, http.MethodPost, "salesOrders", `{"customerNumber":"10000","pricesIncludeTax":true,"salesOrderLines":[{"lineType":"Item","lineObjectNumber":"A",`+members+`}]}`)
		if !strings.Contains(body, want) {
			t.Errorf("%s: answered %s, want %s", members, body, want)
		}
	}
}

func TestServer_VersionsOfRecords(t *testing.T) {
	f := fakebusinesscentral.New(fakebusinesscentral.Options{})
	defer f.Close()
	_, body := call(t, f, http.MethodPost, "salesOrders", `{"customerNumber":"10000"}`)
	var made struct {
		ID   string
		ETag string `json:"@odata.etag"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	path := "salesOrders(" + made.ID + ")"
	for _, tt := range []struct {
		method, etag string
		status       int
	}{
		{http.MethodPatch, "", 400},
		{http.MethodPatch, made.ETag, 200},
		{http.MethodPatch, made.ETag, 409}, // it has changed by the one before
		{http.MethodDelete, "", 400},
		{http.MethodDelete, made.ETag, 409},
		{http.MethodDelete, "*", 204},
		{http.MethodDelete, "*", 404},
	} {
		status, body := call(t, f, tt.method, path, `{"shipToName":"x"}`, "If-Match", tt.etag)
		if status != tt.status {
			t.Errorf("%s with If-Match %q: answered %d %s, want %d", tt.method, tt.etag, status, body, tt.status)
		}
	}
}

func TestServer_Filters(t *testing.T) {
	f := fakebusinesscentral.New(fakebusinesscentral.Options{})
	defer f.Close()
	f.Book("O'Neil 1")
	for filter, want := range map[string]int{
		"externalDocumentNumber eq 'o''neil 1'":                          200,
		"externalDocumentNumber eq 'X' or externalDocumentNumber eq 'Y'": 200,
		"externalDocumentNumber eq 'X' or number eq 'Y'":                 400,
		"note eq 'X'":                     400,
		"externalDocumentNumber in ('X')": 400,
	} {
		status, body := call(t, f, http.MethodGet, "salesOrders?$filter="+url.PathEscape(filter), "")
		if status != want {
			t.Errorf("%s: answered %d %s, want %d", filter, status, body, want)
		}
		if strings.Contains(filter, "neil") && !strings.Contains(body, "O'NEIL 1") {
			t.Errorf("%s: answered %s", filter, body)
		}
	}
	if status, _ := call(t, f, http.MethodGet, "salesOrders?$filter=number+eq+'X'", ""); status != http.StatusNotFound {
		t.Errorf("a plus for a blank: answered %d", status)
	}
}
