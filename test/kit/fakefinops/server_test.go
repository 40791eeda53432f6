package fakefinops_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mageline/mageline/test/kit/fakefinops"
)

// call sends a request and returns the status and the body.
func call(t *testing.T, f *fakefinops.Server, method, path, body string) (int, string) {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {fakefinops.ClientID}, "client_secret": {fakefinops.ClientSecret}, "scope": {fakefinops.Scope},
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, fakefinops.TokenPath, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &token); err != nil {
		t.Fatal(err)
	}
	r = httptest.NewRequestWithContext(t.Context(), method, "/data/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	w = httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// What the real one refuses, in its words.
func TestServer_IsStrict(t *testing.T) {
	header := func(members string) string {
		return `{"dataAreaId":"usmf","OrderingCustomerAccountNumber":"GUESTS","InvoiceCustomerAccountNumber":"GUESTS"` + members + `}`
	}
	for name, tt := range map[string]struct {
		set, body string
		status    int
		text      string
	}{
		"no JSON":              {"SalesOrderHeadersV2", `{`, 400, "can't be read"},
		"unknown property":     {"SalesOrderHeadersV2", header(`,"Note":"x"`), 400, "does not exist on type"},
		"a wrong enum":         {"SalesOrderHeadersV2", header(`,"ArePricesIncludingSalesTax":"true"`), 400, "Cannot convert"},
		"a day without a time": {"SalesOrderHeadersV2", header(`,"RequestedShippingDate":"2026-11-23"`), 400, "Cannot convert"},
		"a long reference":     {"SalesOrderHeadersV2", header(`,"CustomersOrderReference":"` + strings.Repeat("x", 61) + `"`), 400, "length"},
		"an own number":        {"SalesOrderHeadersV2", header(`,"SalesOrderNumber":"X"`), 400, "does not allow editing"},
		"no customer":          {"SalesOrderHeadersV2", `{"dataAreaId":"usmf"}`, 400, "is not found in the related table"},
		"another company":      {"SalesOrderHeadersV2", `{"dataAreaId":"demf"}`, 400, "does not exist"},
		"no such order":        {"SalesOrderLines", `{"dataAreaId":"usmf","SalesOrderNumber":"9","ItemNumber":"A"}`, 400, "is not found in the related table 'Sales orders'"},
		"a number as a text":   {"SalesOrderLines", `{"dataAreaId":"usmf","OrderedSalesQuantity":"1"}`, 400, "Cannot convert"},
		"an order":             {"SalesOrderHeadersV2", header(""), 201, `"SalesOrderStatus":"Backorder"`},
		"no such set":          {"SalesOrders", `{}`, 404, "No HTTP resource"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakefinops.New(fakefinops.Options{})
			defer f.Close()
			status, body := call(t, f, http.MethodPost, tt.set, tt.body)
			if status != tt.status || !strings.Contains(body, tt.text) {
				t.Errorf("answered %d %s; want %d with %q", status, body, tt.status, tt.text)
			}
		})
	}
}

// Other companies than the user's own are seen only where it is asked for, and a * matches any text.
func TestServer_Finds(t *testing.T) {
	f := fakefinops.New(fakefinops.Options{})
	defer f.Close()
	f.Book("M2-1")
	for query, found := range map[string]bool{
		"$filter=dataAreaId eq 'usmf' and CustomersOrderReference eq 'M2-1'":                    false,
		"cross-company=true&$filter=dataAreaId eq 'usmf' and CustomersOrderReference eq 'M2-1'": true,
		"cross-company=true&$filter=dataAreaId eq 'usmf' and CustomersOrderReference eq 'M2-*'": true,
		"cross-company=true&$filter=dataAreaId eq 'usmf' and CustomersOrderReference eq 'M2-2'": false,
	} {
		status, body := call(t, f, http.MethodGet, "SalesOrderHeadersV2?"+strings.ReplaceAll(query, " ", "%20"), "")
		if status != http.StatusOK || strings.Contains(body, "M2-1") != found {
			t.Errorf("%s: answered %d %s", query, status, body)
		}
	}
}
