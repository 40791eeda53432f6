package fakemagento

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Load is how long the calls take that read or write many rows, and how they get in each other's way. The zero value takes no
// time and never deadlocks. docs/reference/magento.md has the rates that shops report.
type Load struct {
	// Call is added to each call.
	Call time.Duration
	// RowWritten and RowRead are added for each row that a call brings, and for each row that it answers with.
	RowWritten, RowRead time.Duration
	// RowSquared is added for each pair of rows that a call brings: the newer class of source items compares each with each.
	RowSquared time.Duration
	// Deadlocks is the chance, for each other call that writes in the meantime, that a call is rolled back.
	Deadlocks float64
}

// Rows counts those of the calls that read or write many.
type Rows struct {
	// Read were answered with, Written were saved, Refused were named in an answer as not saved.
	Read, Written, Refused int
	// Deadlocks are calls that were rolled back.
	Deadlocks int
}

// load is the state of Load. It has a lock of its own: calls wait without holding the shop's.
type load struct {
	mu      sync.Mutex
	of      Load
	writing int // calls at work
	random  *rand.Rand
	rows    Rows
}

// SetLoad changes how long calls take from now on.
func (s *Server) SetLoad(l Load) {
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	s.load.of = l
}

// Rows returns what was read and written so far.
func (s *Server) Rows() Rows {
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	return s.load.rows
}

// begin enters a call that writes, and returns how many others do.
func (l *load) begin() (of Load, others int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing++
	return l.of, l.writing - 1
}

// end leaves it, and decides whether it was the victim of a deadlock. Others is how many wrote when it began: who came later
// is in its way as well.
func (l *load) end(others int) (deadlock, masked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing--
	others = max(others, l.writing)
	if others == 0 || l.of.Deadlocks == 0 || l.random.Float64() >= l.of.Deadlocks*float64(others) {
		return false, false
	}
	l.rows.Deadlocks++
	return true, l.random.IntN(2) == 0
}

// wait takes time, unless the client or the shop is gone before.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	case <-r.Context().Done(): // PHP goes on without a reader, and so does this
		select {
		case <-timer.C:
		case <-s.closed:
		}
		return true
	}
}

// writing is an endpoint that saves the rows under a key of the body, in one transaction. A deadlock rolls all of them back; it
// is told as what it is, a 500 without details, or masked by the exception that the endpoint makes of any failed save.
func (s *Server) writing(key, masked string, f func(call) (any, *problem)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ok := s.decode(w, r)
		if !ok {
			return
		}
		n := 1
		if list, ok := c.body[key].([]any); ok {
			n = len(list)
		}
		of, others := s.load.begin()
		took := of.Call + time.Duration(n)*of.RowWritten + time.Duration(n)*time.Duration(n)*of.RowSquared
		went := s.wait(r, took)
		deadlock, hidden := s.load.end(others)
		switch {
		case !went:
			panic(http.ErrAbortHandler)
		case deadlock && hidden:
			refuse(w, http.StatusBadRequest, masked, nil)
			return
		case deadlock:
			refuse(w, http.StatusInternalServerError, internalError, nil)
			return
		}
		result, ok := s.finish(w, c, f)
		if !ok {
			return
		}
		bad := 0
		if failures, ok := result.(*failures); ok {
			bad = failures.rows
		}
		s.load.mu.Lock()
		s.load.rows.Written += n - bad
		s.load.rows.Refused += bad
		s.load.mu.Unlock()
	}
}

// reading is an endpoint that answers with many rows.
func (s *Server) reading(f func(call) (any, *problem)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ok := s.decode(w, r)
		if !ok {
			return
		}
		s.mu.Lock()
		result, wrong := f(c)
		s.mu.Unlock()
		n := 0
		switch result := result.(type) {
		case []any:
			n = len(result)
		case map[string]any:
			items, _ := result["items"].([]any)
			n = len(items)
		}
		s.load.mu.Lock()
		of := s.load.of
		s.load.rows.Read += n
		s.load.mu.Unlock()
		if !s.wait(r, of.Call+time.Duration(n)*of.RowRead) {
			panic(http.ErrAbortHandler)
		}
		if wrong != nil {
			wrong.answer(w)
			return
		}
		answer(w, http.StatusOK, result)
	}
}

const internalError = "Internal Error. Details are available in Magento log file. Report ID: webapi-6743a1b2c3d51"

// maxURL is how long a request's line may be where nobody changed it: nginx' large_client_header_buffers, Apache's
// LimitRequestLine.
const maxURL = 8 << 10

// bounded refuses addresses that the web server in front of Magento refuses.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Method)+len(r.RequestURI)+len("  HTTP/1.1") > maxURL {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusRequestURITooLong)
			_, _ = w.Write([]byte(strings.ReplaceAll("<html>\n<head><title>T</title></head>\n<body>\n<center><h1>T</h1></center>\n<hr><center>nginx</center>\n</body>\n</html>\n",
				"T", "414 Request-URI Too Large")))
			return
		}
		next.ServeHTTP(w, r)
	})
}
