// Package fault breaks the answers of a fake HTTP API on purpose, as remote APIs break: before the work is done, after
// it, too late for the client, or with something that is no answer at all. Random choices come from a seed.
package fault

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is the way in which a request is answered.
type Kind int

const (
	// None lets the request be answered as it should.
	None Kind = iota
	// Fail answers with Status (500 without one) and does nothing.
	Fail
	// Late does the work at once and answers After later, when the client has given up.
	Late
	// Drop does the work and closes the connection without an answer.
	Drop
	// Refuse closes the connection and does nothing.
	Refuse
	// Page answers with Status (503 without one) and an HTML page, and does nothing: a proxy, a maintenance page.
	Page
	// Garble does the work and answers 200 with an HTML page.
	Garble
	// Throttle answers 429 with Retry-After (RetryAfter, else After in whole seconds, else none) and does nothing.
	Throttle
	// Redirect answers with Status (301 without one) and Location: Text, or the same path at https://www.…, and does nothing.
	Redirect
	// Prefix does the work and puts Text, such as ByteOrderMark, in front of the answer.
	Prefix
	// Later closes the connection without an answer and does the work After later: as where the client has given up on a
	// request that is carried out all the same.
	Later
	// Say answers with Status (200 without one) and the JSON in Text, and does nothing.
	Say
)

// What stands in front of the answers of many a shop: a file that was saved with it, and what PHP writes where display_errors
// is on, with html_errors and without (main/main.c, php_error_cb).
const (
	ByteOrderMark = "\ufeff"
	Notices       = "<br />\n<b>Deprecated</b>:  Creation of dynamic property Vendor\\Module\\Model\\Order::$jane@fixture.example is deprecated in " +
		"<b>/var/www/html/vendor/vendor/module/Model/Order.php</b> on line <b>42</b><br />\n" +
		"<br />\n<b>Warning</b>:  Undefined array key &quot;Jane&quot; in <b>/var/www/html/app/code/Vendor/Module/Plugin.php</b> on line <b>7</b><br />\n"
	PlainNotices = "\nDeprecated: Vendor\\Module\\Model\\Order::x(): Implicitly marking parameter $jane as nullable is deprecated in " +
		"/var/www/html/vendor/vendor/module/Model/Order.php on line 42\n\nNotice: Undefined index: jane in /var/www/html/app/code/Y.php on line 7\n"
)

// Fault is one way of answering, with what it needs.
type Fault struct {
	Kind   Kind
	Status int
	After  time.Duration
	// RetryAfter is sent as the header of that name by Fail, Page and Throttle, whatever it is.
	RetryAfter string
	Text       string // see the kinds
}

// Chance is a fault that meets one request in OneIn, at random.
type Chance struct {
	OneIn int
	Fault Fault
}

// Plan says how requests are answered until the next plan is set.
type Plan struct {
	// Latency is waited before each request is looked at.
	Latency time.Duration
	// Every is the fault of each request, where its Kind isn't None.
	Every Fault
	// Chances are tried one after the other; the first that hits decides.
	Chances []Chance
	// Only limits the faults (not the latency) to the requests for which it is true; nil is all.
	Only func(*http.Request) bool
}

// Injector answers requests after its plan. Its methods may be called at any time, from any goroutine.
type Injector struct {
	errorBody func(status int) []byte
	closed    chan struct{}
	closeOnce sync.Once
	working   sync.WaitGroup // of Later
	owed      atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
	plan   Plan
	next   []Fault
	counts map[Kind]int
}

// New gives an injector without a plan. errorBody makes the JSON body of a failure in the API's own shape.
func New(seed uint64, errorBody func(status int) []byte) *Injector {
	return &Injector{
		errorBody: errorBody,
		closed:    make(chan struct{}),
		random:    rand.New(rand.NewPCG(seed, seed)),
		counts:    map[Kind]int{},
	}
}

// Set replaces the plan. The zero Plan ends all faults, those of Next excepted.
func (i *Injector) Set(p Plan) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.plan = p
}

// Next sets the faults of the next requests that the plan's Only lets through, one each, ahead of those of the plan.
func (i *Injector) Next(faults ...Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next = append(i.next, faults...)
}

// Count tells how many requests were answered in a way.
func (i *Injector) Count(k Kind) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.counts[k]
}

// Close ends all waiting: late answers are abandoned, and what was to be done later is not.
func (i *Injector) Close() {
	i.closeOnce.Do(func() { close(i.closed) })
	i.working.Wait()
}

// Owes reports whether something is still to be done Later.
func (i *Injector) Owes() bool { return i.owed.Load() > 0 }

// later has a request that changes something carried out after a time.
func (i *Injector) later(r *http.Request, after time.Duration, api http.Handler) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRest))
	if err != nil {
		return
	}
	own := r.Clone(context.WithoutCancel(r.Context()))
	own.Body = io.NopCloser(bytes.NewReader(body))
	i.owed.Add(1)
	i.working.Go(func() {
		defer i.owed.Add(-1)
		if i.wait(own.Context(), after) {
			api.ServeHTTP(newRecorder(), own)
		}
	})
}

func (i *Injector) pick(r *http.Request) (time.Duration, Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.choose(r)
	i.counts[f.Kind]++
	return i.plan.Latency, f
}

func (i *Injector) choose(r *http.Request) Fault {
	if i.plan.Only != nil && !i.plan.Only(r) {
		return Fault{}
	}
	if len(i.next) > 0 {
		f := i.next[0]
		i.next = i.next[1:]
		return f
	}
	if i.plan.Every.Kind != None {
		return i.plan.Every
	}
	for _, c := range i.plan.Chances {
		if c.OneIn > 0 && i.random.IntN(c.OneIn) == 0 {
			return c.Fault
		}
	}
	return Fault{}
}

// wait returns false when the client left or the injector was closed before d had passed.
func (i *Injector) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-i.closed:
		return false
	}
}

// Wrap puts the faults before an API.
func (i *Injector) Wrap(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		latency, f := i.pick(r)
		if !i.wait(r.Context(), latency) {
			panic(http.ErrAbortHandler)
		}
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		switch f.Kind {
		case None:
			api.ServeHTTP(w, r)
		case Fail:
			write(w, orElse(f.Status, http.StatusInternalServerError), "application/json; charset=utf-8", i.errorBody)
		case Throttle:
			if f.After > 0 && f.RetryAfter == "" {
				w.Header().Set("Retry-After", strconv.Itoa(int(f.After.Seconds())))
			}
			write(w, http.StatusTooManyRequests, "application/json; charset=utf-8", i.errorBody)
		case Page:
			write(w, orElse(f.Status, http.StatusServiceUnavailable), "text/html; charset=utf-8", page)
		case Redirect:
			where := f.Text
			if where == "" {
				where = "https://www." + r.Host + r.URL.RequestURI()
			}
			w.Header().Set("Location", where)
			write(w, orElse(f.Status, http.StatusMovedPermanently), "text/html; charset=utf-8", page)
		case Say:
			write(w, orElse(f.Status, http.StatusOK), "application/json", func(int) []byte { return []byte(f.Text) })
		case Prefix:
			answer := newRecorder()
			api.ServeHTTP(answer, r)
			answer.body = *bytes.NewBuffer(append([]byte(f.Text), answer.body.Bytes()...))
			answer.header.Del("Content-Length")
			answer.replay(w)
		case Later:
			i.later(r, f.After, api)
			panic(http.ErrAbortHandler)
		case Refuse:
			panic(http.ErrAbortHandler)
		case Drop:
			api.ServeHTTP(newRecorder(), r)
			panic(http.ErrAbortHandler)
		case Garble:
			api.ServeHTTP(newRecorder(), r)
			write(w, http.StatusOK, "text/html; charset=utf-8", page)
		case Late:
			late := newRecorder()
			api.ServeHTTP(late, r)
			// The server notices that the client has left only when the body has been read to its end.
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxRest))
			if !i.wait(r.Context(), f.After) {
				panic(http.ErrAbortHandler)
			}
			late.replay(w)
		}
	})
}

// maxRest bounds what is read of a body that the API has left unread, in bytes.
const maxRest = 32 << 20

func orElse(status, otherwise int) int {
	if status == 0 {
		return otherwise
	}
	return status
}

func page(status int) []byte {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	return []byte("<!DOCTYPE html>\n<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\n")
}

func write(w http.ResponseWriter, status int, contentType string, body func(int) []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body(status))
}

// recorder keeps an answer that is sent later or never.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func (r *recorder) replay(w http.ResponseWriter) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes())
}
