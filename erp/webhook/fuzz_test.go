package webhook

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzAnswers answers a look-up with anything: what is found has a number that can be shown, or is accepted.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		`{"document_number":"SO-1"}`, `{"items":[{"document_number":"SO-1","external_reference":"r"}]}`, "\ufeff{}",
		`{"items":[{"document_number":null,"external_reference":"r"}]}`, ``, `[]`, `{"document_number":1e9}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := New(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, nil
		})}, Options{URL: "http://erp.test"})
		if err != nil {
			t.Fatal(err)
		}
		found, _ := c.Find(t.Context(), "r")
		for _, d := range found {
			if d.Accepted != (d.Number == "") || len(d.Number) > 255 || strings.TrimSpace(d.Number) != d.Number || strings.ContainsAny(d.Number, "\r\n\x00") {
				t.Errorf("found %+v", d)
			}
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
