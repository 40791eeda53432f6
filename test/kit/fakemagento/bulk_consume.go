package fakemagento

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// requestOf gives a request as r, of another path and with another body.
func requestOf(ctx context.Context, r *http.Request, path string, body []byte) *http.Request {
	inner := r.Clone(ctx)
	inner.URL.RawPath = path
	inner.URL.Path, _ = url.PathUnescape(path) // it is escaped rightly, or it would not have come so far
	inner.Body = io.NopCloser(bytes.NewReader(body))
	return inner
}

// consume carries out the operations that are due, as Magento's consumer does in the background; here whoever asks next
// waits for it.
func (s *Server) consume() {
	for {
		s.mu.Lock()
		at := slices.IndexFunc(s.bulks.due, func(o *operation) bool { return !time.Now().Before(o.dueAt) })
		if at < 0 {
			s.mu.Unlock()
			return
		}
		o := s.bulks.due[at]
		s.bulks.due = slices.Delete(s.bulks.due, at, at+1)
		if len(s.bulks.fail) > 0 {
			failure := s.bulks.fail[0]
			s.bulks.fail = s.bulks.fail[1:]
			o.status, o.message, o.code = operationFailed, failure.Message, 0
			if failure.Retriable {
				o.status, o.code = operationRetriable, 1213
			}
			s.mu.Unlock()
			continue
		}
		s.mu.Unlock()
		ctx := context.WithValue(context.WithoutCancel(o.request.Context()), scheduledKey{}, true)
		var result recorder
		s.bulks.api.ServeHTTP(&result, requestOf(ctx, o.request, o.path, o.body))
		s.mu.Lock()
		if result.status < 300 {
			o.status, o.message, o.result = operationComplete, "Service execution success", result.body.String()
		} else {
			o.status, o.message, o.code = operationFailed, said(result.body.Bytes()), 0
		}
		s.mu.Unlock()
	}
}

// said is the message of an error, its parameters filled in, as an operation keeps it.
func said(body []byte) string {
	var refusal struct {
		Message    string
		Parameters any
	}
	_ = json.Unmarshal(body, &refusal) // it is this server's own
	message := refusal.Message
	switch parameters := refusal.Parameters.(type) {
	case map[string]any:
		longestFirst := func(a, b string) int { return len(b) - len(a) } // or %field would be taken for %fieldName
		for _, name := range slices.SortedFunc(maps.Keys(parameters), longestFirst) {
			message = strings.ReplaceAll(message, "%"+name, fmt.Sprint(parameters[name]))
		}
	case []any:
		for i, value := range parameters {
			message = strings.ReplaceAll(message, fmt.Sprintf("%%%d", i+1), fmt.Sprint(value))
		}
	}
	return message
}

// recorder keeps the answer to an operation.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
