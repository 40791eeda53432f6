package ops

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

const (
	// maxScrapes bounds how many scrapes are answered at once.
	maxScrapes = 4
	// scrapeTimeout bounds one of them.
	scrapeTimeout = 10 * time.Second
)

// scrape serves metrics in Prometheus' text format, which every version of it reads. promhttp would also write OpenMetrics and
// protobuf, which takes 0.27 MB of the binary: docs/decisions/033-binary-size.md.
func scrape(metrics prometheus.Gatherer) http.Handler {
	slots := make(chan struct{}, maxScrapes)
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
			return
		}
		families, err := metrics.Gather() // one metric that can't be gathered does not hide the others
		var body bytes.Buffer
		for _, family := range families {
			if _, writeErr := expfmt.MetricFamilyToText(&body, family); writeErr != nil {
				err = writeErr
			}
		}
		if body.Len() == 0 && err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		w.Header().Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			_, _ = body.WriteTo(w) // fails only when the client has gone
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		_, _ = body.WriteTo(packed)
		_ = packed.Close()
	})
	return http.TimeoutHandler(answer, scrapeTimeout, "the metrics could not be gathered in time")
}
