package magentoapi

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestNewTakesBaseAddressesInAllForms(t *testing.T) {
	for _, c := range []struct{ base, code, want string }{
		{"https://shop.example", "", "https://shop.example/rest/all"},
		{"https://shop.example/", "de_ch", "https://shop.example/rest/de_ch"},
		{"https://shop.example/rest", "", "https://shop.example/rest/all"},
		{"https://shop.example/rest/", "", "https://shop.example/rest/all"},
		{"https://SHOP.example:443/sub/path", "", "https://shop.example/sub/path/rest/all"},
		{"http://shop.example:80", "", "http://shop.example/rest/all"},
		{"http://127.0.0.1:8081/index.php/rest", "", "http://127.0.0.1:8081/index.php/rest/all"},
		{" https://[::1]:8443 ", "", "https://[::1]:8443/rest/all"},
	} {
		client, err := New(c.base, Options{StoreCode: c.code})
		if err != nil {
			t.Errorf("New(%q): %v", c.base, err)
		} else if client.base != c.want {
			t.Errorf("New(%q) calls %s, want %s", c.base, client.base, c.want)
		}
	}
}

func TestNewRefusesWhatCanNotBeABaseAddress(t *testing.T) {
	for _, base := range []string{
		"", "shop.example", "ftp://shop.example", "https://", "https://user:hunter2@shop.example",
		"https://shop.example/?a=hunter2", "https://shop.example/rest/default/V1", "https://shop.example/%zzhunter2", "https://user:hunter2/",
	} {
		_, err := New(base, Options{})
		if err == nil {
			t.Errorf("New(%q) succeeded", base)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q): the error holds a credential: %v", base, err)
		}
	}
	for _, code := range []string{"1a", "a/b", "a b", "ü"} {
		if _, err := New("https://shop.example", Options{StoreCode: code}); err == nil {
			t.Errorf("store code %q was accepted", code)
		}
	}
}

func TestDoSendsWhatItIsGiven(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, ` {"answer": 1.10} `) })
	c := s.client(t, Options{StoreCode: "fr", Auth: Bearer(Fixed("tok3n")), UserAgent: "mageline/1"})
	var raw json.RawMessage
	err := c.Do(t.Context(), http.MethodPut, "/V1/products/"+url.PathEscape("a/b c%d"), url.Values{"q": {"1 +2", "ü"}},
		map[string]string{"a": "b"}, &raw)
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != `{"answer": 1.10}` {
		t.Errorf("the raw answer is %s", raw)
	}
	got := s.requests("")[0]
	if want := "/rest/fr/V1/products/a%2Fb%20c%25d?q=1%20%2B2&q=%C3%BC"; got.uri != want {
		t.Errorf("the address is %s, want %s", got.uri, want)
	}
	if got.method != http.MethodPut || got.body != `{"a":"b"}` {
		t.Errorf("sent %s %s", got.method, got.body)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer tok3n", "Content-Type": "application/json", "Accept": "application/json",
		"User-Agent": "mageline/1", "Accept-Encoding": "gzip", "Content-Length": "9",
	} {
		if got.header.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, got.header.Get(name), want)
		}
	}
}

func TestDoRefusesPathsWithAQuery(t *testing.T) {
	c, err := New("https://shop.example", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"V1/orders", "/V1/orders?a=b", "/V1/orders#a", "/V1/%zz"} {
		if err := c.Do(t.Context(), http.MethodGet, path, nil, nil, nil); err == nil {
			t.Errorf("path %q was accepted", path)
		}
	}
}

// net/http repeats by itself what it can rewind.
func TestBodiesCanNotBeRewound(t *testing.T) {
	var got *http.Request
	c, err := New("https://shop.example", Options{HTTPClient: &http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("true"))}, nil
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Orders.AddComment(t.Context(), 1, Comment{Text: "x"}); err != nil {
		t.Fatal(err)
	}
	if got.GetBody != nil || got.ContentLength <= 0 {
		t.Errorf("GetBody set: %v, content length %d", got.GetBody != nil, got.ContentLength)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, n int) {
		if n > 1 {
			t.Error("followed")
		}
		w.Header().Set("Location", "/elsewhere?secret=1")
		respond(w, http.StatusTemporaryRedirect, "")
	})
	follows := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	c := s.client(t, Options{HTTPClient: follows})
	_, err := c.Orders.Get(t.Context(), 1)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != 307 || !strings.Contains(err.Error(), "base address") {
		t.Errorf("got %v", err)
	}
	if follows.CheckRedirect != nil {
		t.Error("the given client was changed")
	}
}

type brokenLine struct{ written bool }

func (brokenLine) Error() string { return "the line is broken" }

func TestErrorsOfTheTransportAreFound(t *testing.T) {
	c, err := New("https://shop.example", Options{Auth: Bearer(Fixed("hunter2")), HTTPClient: &http.Client{
		Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, brokenLine{true} }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Orders.ByIncrementID(t.Context(), "000000123")
	var broken brokenLine
	if !errors.As(err, &broken) || !broken.written {
		t.Fatalf("the transport's error is not in %v", err)
	}
	var refusal *Error
	if errors.As(err, &refusal) {
		t.Error("an error of the network is no answer of Magento's")
	}
	if text := err.Error(); strings.Contains(text, "000000123") || strings.Contains(text, "hunter2") ||
		!strings.Contains(text, "GET /V1/orders") {
		t.Errorf("the error is %q", text)
	}
}

func TestTheContextEndsARequest(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, seen, int) {
		close(arrived)
		<-release
	})
	t.Cleanup(func() { close(release) })
	c := s.client(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := c.Orders.Get(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestGzipIsReadAndBoundedAfterDecompression(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"entity_id": 1, "customer_note": "`+strings.Repeat("x", 10_000)+`"}`)
		_ = z.Close()
	})
	order, err := s.client(t, Options{}).Orders.Get(t.Context(), 1)
	if err != nil || len(order.CustomerNote) != 10_000 {
		t.Errorf("got %v", err)
	}
	if _, err = s.client(t, Options{MaxBody: 9_000}).Orders.Get(t.Context(), 1); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a body that is too long: %v", err)
	}
}

func TestAnswersThatCanNotBeRead(t *testing.T) {
	const html = `<html><head><title>Welcome</title></head><body>jane@fixture.example</body></html>`
	for name, c := range map[string]struct {
		body string
		kind BodyKind
		cut  bool
	}{
		"HTML":                     {body: html, kind: BodyHTML},
		"nothing":                  {body: "", kind: BodyEmpty},
		"null":                     {body: "null", kind: BodyJSON},
		"a list":                   {body: "[]", kind: BodyJSON},
		"an empty object":          {body: "{}", kind: BodyJSON},
		"another order":            {body: `{"entity_id": 8}`, kind: BodyJSON},
		"the beginning of one":     {body: `{"entity_id": 7, "items": [{"sku`, kind: BodyJSON},
		"two values":               {body: `{"entity_id": 7}{"entity_id": 7}`, kind: BodyJSON},
		"another type":             {body: `["jane@fixture.example"]`, kind: BodyJSON},
		"a text for an id":         {body: `{"entity_id": "Geheimweg 7"}`, kind: BodyJSON},
		"text":                     {body: "OK", kind: BodyText},
		"a connection that breaks": {body: `{"entity_id": 7`, cut: true, kind: BodyEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
				if c.cut {
					w.Header().Set("Content-Length", "1000")
				}
				respond(w, 200, c.body)
			})
			_, err := s.client(t, Options{}).Orders.Get(t.Context(), 7)
			var e *Error
			if !errors.Is(err, ErrUnreadable) || !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Body != c.kind || e.Status != 200 || !e.Transient() || errors.Is(err, ErrBadRequest) {
				t.Errorf("got %+v", e)
			}
			for _, private := range []string{"jane", "Geheimweg"} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("the error repeats the body: %v", err)
				}
			}
			if c.cut && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the cause is not in %v", err)
			}
		})
	}
}

func TestDoWithoutAnAnswer(t *testing.T) {
	for body, readable := range map[string]bool{"": true, "[]": true, "null": true, "true": true, "<p>": false, "{": false} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		err := s.client(t, Options{}).Do(t.Context(), http.MethodPost, "/V1/x", nil, struct{}{}, nil)
		if readable != (err == nil) || err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("body %q: %v", body, err)
		}
	}
}
