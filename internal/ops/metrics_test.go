package ops

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func scrapeOf(h http.Handler, encoding string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestScrape_AnswersTextAndGzip(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "fine_total", Help: "Is fine."}))
	h := scrape(registry)
	plain := scrapeOf(h, "")
	if plain.Code != 200 || !strings.Contains(plain.Body.String(), "fine_total 0\n") || !strings.HasPrefix(plain.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("got %d %q %s", plain.Code, plain.Header(), plain.Body)
	}
	packed := scrapeOf(h, "gzip")
	unpack, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unpack); err != nil || string(text) != plain.Body.String() {
		t.Errorf("unpacked %s, %v", text, err)
	}
}

func TestScrape_OneFailureHidesNoOther(t *testing.T) {
	half := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		registry := prometheus.NewRegistry()
		registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "fine_total", Help: "Is fine."}))
		families, _ := registry.Gather()
		return families, errors.New("another can't be gathered")
	})
	if w := scrapeOf(scrape(half), ""); w.Code != 200 || !strings.Contains(w.Body.String(), "fine_total 0") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	none := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("gone") })
	if w := scrapeOf(scrape(none), ""); w.Code != 500 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestScrape_BoundsScrapesAtOnce(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	h := scrape(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		begun <- struct{}{}
		<-end
		return nil, nil
	}))
	done := make(chan int)
	for range maxScrapes {
		go func() { done <- scrapeOf(h, "").Code }()
		<-begun
	}
	if w := scrapeOf(h, ""); w.Code != 503 {
		t.Errorf("one more than %d at once: %d", maxScrapes, w.Code)
	}
	close(end)
	for range maxScrapes {
		if code := <-done; code != 200 {
			t.Errorf("got %d", code)
		}
	}
}
