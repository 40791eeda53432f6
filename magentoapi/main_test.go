package magentoapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A seen request is one that the server of a test got.
type seen struct {
	method, uri, body string
	header            http.Header
}

// server answers each request with answer, and remembers it.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

// serve starts a server; answer gets the request, whose body is read already, and its number, from 1.
func serve(t *testing.T, answer func(w http.ResponseWriter, r seen, n int)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the request: %v", err)
		}
		s.mu.Lock()
		one := seen{r.Method, r.RequestURI, string(body), r.Header.Clone()}
		s.seen = append(s.seen, one)
		n := len(s.seen)
		s.mu.Unlock()
		answer(w, one, n)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// requests gives those whose address contains part.
func (s *server) requests(part string) []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	var some []seen
	for _, r := range s.seen {
		if strings.Contains(r.uri, part) {
			some = append(some, r)
		}
	}
	return some
}

// client makes a Client of the server with a transport of its own, so that nothing of it outlives the test. It repeats
// nothing unless the options say so.
func (s *server) client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.HTTPClient == nil {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		o.HTTPClient = &http.Client{Transport: transport}
	}
	if o.Retries == (Retries{}) {
		o.Retries = NoRetries
	}
	c, err := New(s.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// respond writes one answer.
func respond(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// response is an http.ResponseWriter that becomes a transport's answer.
type response struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *response) Header() http.Header         { return r.header }
func (r *response) WriteHeader(status int)      { r.status = status }
func (r *response) Write(p []byte) (int, error) { return r.body.Write(p) }

func (r *response) of(request *http.Request) *http.Response {
	return &http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(strings.NewReader(r.body.String())), Request: request}
}
