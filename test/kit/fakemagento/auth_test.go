package fakemagento

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The request of RFC 5849 section 3.4.1.1 without its form body; the signature was made with Python's hmac.
func TestOAuth_SignatureOfTheRFC(t *testing.T) {
	s := New(Options{OAuth: OAuth{ConsumerSecret: "j49sk3j29djd", AccessTokenSecret: "dh893hdasih9"}})
	r := httptest.NewRequest(http.MethodPost, "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", nil)
	r = r.WithContext(withSignedURL(r.Context(), r))
	got := s.expectedSignature(r, map[string]string{
		"realm": "Example", "oauth_consumer_key": "9djdj82h48djs9d2", "oauth_token": "kkk9d7dh3k39sjv7",
		"oauth_signature_method": "HMAC-SHA256", "oauth_timestamp": "137131201", "oauth_nonce": "7d8f3e4a", "oauth_signature": "x",
	})
	if want := "HRsmRViYlO/sFuB+OnmZyi9IJg5hmt/GfqetqRmtk78="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOAuth_AcceptsAndRefuses(t *testing.T) {
	values := OAuth{"ck", "cs", "at", "ats"}
	s := New(Options{OAuth: values})
	s.PlaceOrder(Placing{})
	now := strconv.FormatInt(time.Now().Unix(), 10)
	type change func(fields map[string]string)
	tests := map[string]struct {
		change change
		after  change // after the signature was made
		status int
		text   string
	}{
		"right":           {nil, nil, 200, ""},
		"no version":      {func(f map[string]string) { delete(f, "oauth_version") }, nil, 200, ""},
		"other query":     {nil, func(f map[string]string) { f["query"] = "searchCriteria=" }, 401, "The signature is invalid"},
		"SHA1":            {func(f map[string]string) { f["oauth_signature_method"] = "HMAC-SHA1" }, nil, 401, "not supported"},
		"old":             {func(f map[string]string) { f["oauth_timestamp"] = "137131201" }, nil, 401, "timestamp"},
		"no nonce":        {func(f map[string]string) { delete(f, "oauth_nonce") }, nil, 401, "oauth_nonce"},
		"other consumer":  {func(f map[string]string) { f["oauth_consumer_key"] = "x" }, nil, 401, "consumer"},
		"other token":     {func(f map[string]string) { f["oauth_token"] = "x" }, nil, 401, "token"},
		"other signature": {nil, func(f map[string]string) { f["oauth_signature"] = "x" }, 401, "The signature is invalid"},
	}
	const query = "searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5Bfield%5D=increment_id&searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5Bvalue%5D=0%20%2B%C3%A4"
	send := func(fields map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://shop.test/rest/V1/orders?"+fields["query"], nil)
		var parts []string
		for name, value := range fields {
			if name != "query" {
				parts = append(parts, fmt.Sprintf("%s=%q", name, strings.ReplaceAll(url.QueryEscape(value), "+", "%20")))
			}
		}
		r.Header.Set("Authorization", "OAuth "+strings.Join(parts, ", "))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fields := map[string]string{
				"oauth_consumer_key": values.ConsumerKey, "oauth_token": values.AccessToken, "oauth_signature_method": "HMAC-SHA256",
				"oauth_timestamp": now, "oauth_nonce": name, "oauth_version": "1.0",
			}
			if test.change != nil {
				test.change(fields)
			}
			r := httptest.NewRequest(http.MethodGet, "http://shop.test/rest/V1/orders?"+query, nil)
			fields["oauth_signature"] = s.expectedSignature(r.WithContext(withSignedURL(r.Context(), r)), fields)
			fields["query"] = query
			if test.after != nil {
				test.after(fields)
			}
			if w := send(fields); w.Code != test.status || !strings.Contains(w.Body.String(), test.text) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if test.status == 200 {
				if w := send(fields); w.Code != 401 || !strings.Contains(w.Body.String(), "nonce") {
					t.Errorf("sent again: %d %s", w.Code, w.Body)
				}
			}
		})
	}
}

// Whatever the query, the search answers, and never with more than there is.
func FuzzSearch(f *testing.F) {
	f.Add("searchCriteria[filter_groups][0][filters][0][field]=increment_id&searchCriteria[filter_groups][0][filters][0][value]=000000001&fields=items[entity_id]")
	f.Add("search_criteria[sortOrders][0][field]=entity_id&searchCriteria[pageSize]=1&searchCriteria[currentPage]=99999999999999999999")
	f.Add("searchCriteria[pageSize]=9223372036854775807&searchCriteria[currentPage]=9223372036854775807&fields=a[b[c]],]]")
	s := New(Options{})
	for range 3 {
		s.PlaceOrder(Placing{})
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "http://shop.test/rest/V1/orders", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 500 || strings.Count(w.Body.String(), `"increment_id"`) > 3+strings.Count(query, "increment_id") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
