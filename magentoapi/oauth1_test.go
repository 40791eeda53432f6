package magentoapi

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const rfcBaseString = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26" +
	"oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26" +
	"oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"

func parse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The example of RFC 5849, section 3.4.1.1. The last two parameters are of its body, a form.
func TestBaseStringOfTheRFC(t *testing.T) {
	ofRFC := parse(t, "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b")
	got := baseString("post", baseAddress(ofRFC), ofRFC.RawQuery, []parameter{
		{"oauth_consumer_key", "9djdj82h48djs9d2"},
		{"oauth_token", "kkk9d7dh3k39sjv7"},
		{"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", "137131201"},
		{"oauth_nonce", "7d8f3e4a"},
		{"c2", ""},
		{"a3", "2 q"},
	})
	if got != rfcBaseString {
		t.Errorf("got  %s\nwant %s", got, rfcBaseString)
	}
}

// The examples of RFC 5849, section 3.4.1.2.
func TestBaseAddressesOfTheRFC(t *testing.T) {
	for address, want := range map[string]string{
		"http://EXAMPLE.COM:80/r%20v/X?id=123":              "http://example.com/r%20v/X",
		"https://www.example.net:8080/?q=1":                 "https://www.example.net:8080/",
		"https://www.example.net:443":                       "https://www.example.net/",
		"https://www.example.net/rest/V1/products/a%2Fb%20": "https://www.example.net/rest/V1/products/a%2Fb%20",
	} {
		if got := baseAddress(parse(t, address)); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestSignatures(t *testing.T) {
	// The expected signature of HMAC-SHA256 over the RFC's base string that the library oauthlib (Python) publishes in
	// its tests (tests/oauth1/rfc5849/test_signatures.py); openssl dgst -hmac gives the same.
	if got, want := sign(rfcBaseString, "ECrDNoq1VYzzzzzzzzzyAK7TwZNtPnkqatqZZZZ", "just-a-string    asdasd"),
		"wdfdHUKXHbOnOGZP8WFAWMSAmWzN3EVBWWgXGlC/Eo4="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The data of RFC 4231, section 4.3. Its key is "Jefe"; an OAuth key always has an ampersand, so this is openssl's:
	// printf 'what do ya want for nothing?' | openssl dgst -sha256 -hmac 'Jefe&' -binary | base64
	if got, want := sign("what do ya want for nothing?", "Jefe", ""), "G6gg/yGmYvQWkZm1QqmpNvIOkZBpTOxFHAozgOPNVJU="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A search with brackets, a plus, a slash, a space and an umlaut, with secrets that must be encoded, signed with openssl
// over a base string that was written by hand.
func TestASearchIsSigned(t *testing.T) {
	auth := OAuth1(Fixed("ck"), Fixed("c&s"), Fixed("tk"), Fixed("t+s")).(*oauth1)
	auth.now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	auth.nonce = func() string { return "n0nce" }
	values, err := SearchCriteria{}.Where(Eq("increment_id", "A+1 / ü")).Values()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://shop.example/rest/all/V1/orders?"+encodeQuery(values), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Authorize(nil, req); err != nil {
		t.Fatal(err)
	}
	want := `OAuth oauth_consumer_key="ck", oauth_nonce="n0nce", oauth_signature_method="HMAC-SHA256", ` +
		`oauth_timestamp="1700000000", oauth_token="tk", oauth_version="1.0", ` +
		`oauth_signature="5rlBm%2F31bsCYoni9n5%2BT6XJUrVcQMIBWJ8rDwhekigg%3D"`
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNoncesDiffer(t *testing.T) {
	auth := OAuth1(Fixed("a"), Fixed("b"), Fixed("c"), Fixed("d"))
	nonce := regexp.MustCompile(`oauth_nonce="(\w{16,})"`)
	all := map[string]bool{}
	for range 100 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://shop.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := auth.Authorize(nil, req); err != nil {
			t.Fatal(err)
		}
		m := nonce.FindStringSubmatch(req.Header.Get("Authorization"))
		if m == nil || all[m[1]] {
			t.Fatalf("nonce %q", m)
		}
		all[m[1]] = true
	}
}

// FuzzBaseString reads the base string back and compares it with what net/url reads in the query.
func FuzzBaseString(f *testing.F) {
	f.Add("searchCriteria[filter_groups][0][filters][0][value]", "A+1 / ü", "a%5Bb%5D=c+d&e=%2B")
	f.Add("a", "", "a=1&a=&a&&=x")
	f.Add("a=b", "&", "a%3Db=%26&a~=-._")
	f.Add("\x00", "\xff", "%zz=%")
	f.Fuzz(func(t *testing.T, name, value, more string) {
		query := percentEncode(name) + "=" + percentEncode(value)
		if _, err := url.ParseQuery(more); err == nil && !strings.ContainsAny(more, ";") {
			query += "&" + more
		}
		u := &url.URL{Scheme: "https", Host: "shop.example", Path: "/rest/all/V1/orders", RawQuery: query}
		base := baseString("GET", baseAddress(u), u.RawQuery, []parameter{{"oauth_nonce", "n"}})
		parts := strings.Split(base, "&")
		if len(parts) != 3 || parts[0] != "GET" || parts[1] != "https%3A%2F%2Fshop.example%2Frest%2Fall%2FV1%2Forders" {
			t.Fatalf("base string %q", base)
		}
		normalized, err := url.PathUnescape(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		got, err := url.ParseQuery(normalized)
		if err != nil {
			t.Fatalf("parameters %q: %v", normalized, err)
		}
		want, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		want.Add("oauth_nonce", "n")
		if len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		for name, values := range want {
			slices.Sort(values)
			slices.Sort(got[name])
			if !slices.Equal(values, got[name]) {
				t.Fatalf("%q: got %q, want %q", name, got[name], values)
			}
		}
		if strings.ContainsAny(normalized, "[] +") {
			t.Errorf("not encoded in %q", normalized)
		}
	})
}

func TestDecodedAddress(t *testing.T) {
	for address, want := range map[string]string{
		"https://shop.example/rest/V1/products/A-1": "https://shop.example/rest/V1/products/A-1",
		"h/A%2FB":           "h/A/B",
		"h/A%20B":           "h/A%20B",
		"h/A%2BB%26C%3D%24": "h/A+B&C=$",
		"h/50%25%20off":     "h/50%25%20off", // the "%" is decoded, and encoded as it stands by itself
		"h/50%25off":        "h/50%25off",
		"h/50%2541":         "h/50%41", // taken for an escape
		"h/100%25":          "h/100%25",
		"h/Gr%C3%B6":        "h/Gr%C3%B6",
		"h/%28a%29%2A":      "h/%28a%29%2A",
	} {
		if got := decodedAddress(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// A refusal that is not of the signature says nothing about how the path is checked.
func TestAMissingPermissionIsNotTakenForADecodedPath(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 401, `{"message":"The consumer isn't authorized to access %resources.","parameters":{"resources":"Magento_Catalog::products"}}`)
	})
	credential := OAuth1(Fixed("ck"), Fixed("cs"), Fixed("at"), Fixed("as"))
	_, err := s.client(t, Options{Auth: credential}).Products.Get(t.Context(), "A/B")
	if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "isn't authorized to access Magento_Catalog::products") {
		t.Errorf("got %v", err)
	}
	if credential.(*oauth1).decodes.Load() {
		t.Error("the next request would be signed over a decoded path")
	}
}
