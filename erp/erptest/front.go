package erptest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault answers a request in the ERP's place. It may pass the request on.
type fault func(w http.ResponseWriter, r *http.Request, erp http.Handler)

// seen is a request as it came.
type seen struct {
	method, path string
	body         []byte
}

// front stands before the fake ERP, remembers what comes, and breaks the requests that a behaviour is about.
type front struct {
	erp    http.Handler
	writes func(*http.Request) bool

	mu        sync.Mutex
	which     func(*http.Request) bool
	fault     fault
	written   []seen // the requests that write
	others    []seen
	held      []*http.Request // that commitHeld passes on
	elsewhere int             // requests at elsewherePath
}

// elsewherePath is where the redirects lead.
const elsewherePath = "/erptest-elsewhere"

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	writes := f.writes(r)
	f.mu.Lock()
	s := seen{r.Method, r.URL.Path, body}
	switch {
	case r.URL.Path == elsewherePath:
		f.elsewhere++
	case writes:
		f.written = append(f.written, s)
	default:
		f.others = append(f.others, s)
	}
	fault := f.fault
	if fault != nil && !f.which(r) {
		fault = nil
	}
	f.mu.Unlock()
	if fault != nil {
		fault(w, r, f.erp)
		return
	}
	f.erp.ServeHTTP(w, r)
}

// breakWrites has the requests that write meet a fault from now on; nil ends that.
func (f *front) breakWrites(ft fault) { f.set(f.writes, ft) }

// breakReads has the other requests meet a fault.
func (f *front) breakReads(ft fault) {
	f.set(func(r *http.Request) bool { return !f.writes(r) }, ft)
}

func (f *front) set(which func(*http.Request) bool, ft fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.which, f.fault = which, ft
}

// sent returns the requests that write, since the beginning.
func (f *front) sent() []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.written)
}

// asked returns the number of the other requests.
func (f *front) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.others)
}

// misuse returns what no connector may do in any behaviour.
func (f *front) misuse() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.elsewhere > 0 {
		return []string{fmt.Sprintf("it followed a redirect %d times", f.elsewhere)}
	}
	return nil
}

// hold keeps the request until its client has left; commitHeld passes it on then.
func (f *front) hold(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	body, _ := io.ReadAll(r.Body)
	late := r.Clone(context.WithoutCancel(r.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	<-r.Context().Done()
	f.mu.Lock()
	f.held = append(f.held, late)
	f.mu.Unlock()
	panic(http.ErrAbortHandler)
}

// commitHeld waits until a client has left a held request, and passes the request on.
func (f *front) commitHeld(ctx context.Context) bool {
	for ctx.Err() == nil {
		f.mu.Lock()
		held := f.held
		f.held = nil
		f.mu.Unlock()
		for _, r := range held {
			f.erp.ServeHTTP(httptest.NewRecorder(), r)
		}
		if len(held) > 0 {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

// answer answers with a status and a body, and does nothing.
func answer(status int, header http.Header, body string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// page answers with a page of HTML, after the ERP has done what was asked.
func page(w http.ResponseWriter, r *http.Request, erp http.Handler) {
	erp.ServeHTTP(httptest.NewRecorder(), r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>back soon</body></html>\n")
}

// says answers with a success and a body, after the ERP has done what was asked.
func says(body string) fault {
	return func(w http.ResponseWriter, r *http.Request, erp http.Handler) {
		erp.ServeHTTP(httptest.NewRecorder(), r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// redirect sends the client elsewhere.
func redirect(status int) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Location", elsewherePath)
		w.WriteHeader(status)
	}
}

// drop closes the connection instead of doing anything.
func drop(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// lose has the ERP do what was asked, and closes the connection.
func lose(_ http.ResponseWriter, r *http.Request, erp http.Handler) {
	erp.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// cut has the ERP do what was asked, and closes the connection within the body of a success, or before an answer that has none.
func cut(w http.ResponseWriter, r *http.Request, erp http.Handler) {
	done := httptest.NewRecorder()
	erp.ServeHTTP(done, r)
	if done.Code == http.StatusNoContent {
		panic(http.ErrAbortHandler)
	}
	for name, values := range done.Header() {
		w.Header()[name] = values
	}
	body := done.Body.String()
	w.Header().Set("Content-Length", fmt.Sprint(len(body)+100))
	w.WriteHeader(done.Code)
	_, _ = io.WriteString(w, body)
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	panic(http.ErrAbortHandler)
}

// stall never answers.
func stall(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// flood answers with a success of most bytes, and counts how many the client took.
type flood struct {
	most  int
	mu    sync.Mutex
	taken int
}

func (f *flood) answer(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	chunk := []byte(strings.Repeat(" ", 64<<10))
	taken, _ := io.WriteString(w, "{")
	for taken < f.most {
		n, err := w.Write(chunk)
		taken += n
		if err != nil {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = taken
}
