// Package fakeerp is an ERP behind the webhook protocol (docs/erp-webhook.md), for tests and the demo. It books what it
// is sent, and shows afterwards what it has booked and how it was asked.
package fakeerp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit/fault"
)

// Mode says what the ERP makes of a second POST for the same order.
type Mode int

const (
	// Books books each call that it gets, and looks for no duplicates: what is sent twice is booked twice.
	Books Mode = iota
	// HonoursKeys answers a second call with the same Idempotency-Key as the first, also while the first is running.
	HonoursKeys
	// Conflicts answers 409 with the number of the document that has the external reference already.
	Conflicts
)

// Options are what the ERP is like. The zero value books everything and asks for no credentials.
type Options struct {
	Mode Mode
	// Token is the bearer token that it asks for, and Secret what signatures are made with; empty: not looked at.
	Token, Secret string
	// Seed is that of the faults.
	Seed uint64
	// Keep bounds the documents and the requests that are remembered, the newest of each; 0 is 100,000.
	Keep int
}

const (
	defaultKeep = 100_000
	maxBody     = 16 << 20
	// numberPrefix begins the number of every document.
	numberPrefix = "SO-"
)

// Document is a sales order in the ERP.
type Document struct {
	Number    string
	Reference string // external reference
	Key       string // Idempotency-Key of the call that made it
	Body      json.RawMessage
	BookedAt  time.Time
	// Canceled is true when a cancellation was complete, Shipped when a person has shipped it.
	Canceled      bool
	Shipped       bool
	Cancellations []Cancellation
}

// Cancellation is one call that took quantities from a document.
type Cancellation struct {
	Key      string
	Reason   string             `json:"reason"`
	Complete bool               `json:"complete"`
	Lines    []CancellationLine `json:"lines"`
	At       time.Time          `json:"-"`
}

// CancellationLine is what was taken from one line.
type CancellationLine struct {
	Reference string `json:"reference"`
	SKU       string `json:"sku"`
	Quantity  string `json:"quantity"`
}

// Request is a call as it came, whatever became of it.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
	At                  time.Time
	// Faults of the call against the contract: a missing header, a signature that does not fit.
	Problems []string
}

type answer struct {
	status int
	body   []byte
}

// call is a POST with an Idempotency-Key: done is closed when its answer is known.
type call struct {
	done   chan struct{}
	answer answer
}

// Server is the ERP. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers. A fault of Kind Late or Drop books first.
	Faults *fault.Injector

	options Options
	handler http.Handler
	closed  chan struct{}
	close   sync.Once
	running sync.WaitGroup

	mu          sync.Mutex
	number      int
	documents   []*Document
	reports     []Report
	calls       map[string]*call
	keys        []string // of calls, oldest first
	requests    []Request
	problems    map[string]int
	bookingTime time.Duration
	lag         time.Duration
	accepting   bool
	refusal     string
	knobs       knobs
	refused     map[string]int // by the reason
}

// New returns an ERP. Close ends it.
func New(o Options) *Server {
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	s := &Server{
		Faults:   fault.New(o.Seed, func(status int) []byte { return message(http.StatusText(status)) }),
		options:  o,
		closed:   make(chan struct{}),
		number:   1000,
		calls:    map[string]*call{},
		problems: map[string]int{},
		refused:  map[string]int{},
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /sales-orders", s.create)
	routes.HandleFunc("GET /sales-orders", s.find)
	routes.HandleFunc("POST /sales-orders/{number}/cancel", s.cancel)
	routes.HandleFunc("POST /shipments", s.reported(Shipment, shipment))
	routes.HandleFunc("POST /credit-memos", s.reported(CreditMemo, creditMemo))
	routes.HandleFunc("PUT /customers/{id}", s.reported(Customer, customer))
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, answer{http.StatusNotFound, message("no such resource")})
	})
	s.handler = s.record(s.Faults.Wrap(s.odd(s.authenticate(routes))))
	return s
}

// Close abandons what is waited for (late answers, bookings that have not happened) and waits for the rest.
func (s *Server) Close() {
	s.close.Do(func() { close(s.closed) })
	s.Faults.Close()
	s.running.Wait()
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// SetBookingTime makes each booking happen that long after its call came, though the client may have given up.
func (s *Server) SetBookingTime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bookingTime = d
}

// SetLag hides documents younger than d from look-ups.
func (s *Server) SetLag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = d
}

// SetAccepting makes it answer 202 without a number: only a look-up returns the number.
func (s *Server) SetAccepting(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepting = on
}

// RefuseCancellations makes it answer 422 with the reason to each cancellation; an empty one ends that.
func (s *Server) RefuseCancellations(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = reason
}

// Documents returns all sales orders, oldest first.
func (s *Server) Documents() []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	documents := make([]Document, 0, len(s.documents))
	for _, d := range s.documents {
		documents = append(documents, d.copy())
	}
	return documents
}

// DocumentsOf returns the sales orders with an external reference.
func (s *Server) DocumentsOf(reference string) []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var documents []Document
	for _, d := range s.documents {
		if d.Reference == reference {
			documents = append(documents, d.copy())
		}
	}
	return documents
}

// Counts returns the number of sales orders for each external reference.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, d := range s.documents {
		counts[d.Reference]++
	}
	return counts
}

// Requests returns all calls, oldest first, those that failed too.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Problems returns what was wrong with calls by the contract, and how often.
func (s *Server) Problems() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.problems)
}

// Book adds a document that nobody has sent, as one that was made by hand, and returns its number.
func (s *Server) Book(reference string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book(reference, "", nil).Number
}

func (d *Document) copy() Document {
	c := *d
	c.Cancellations = slices.Clone(d.Cancellations)
	return c
}

// book needs mu.
func (s *Server) book(reference, key string, body []byte) *Document {
	s.number++
	d := &Document{
		Number:    fmt.Sprintf("%s%d", numberPrefix, s.number),
		Reference: reference,
		Key:       key,
		Body:      body,
		BookedAt:  time.Now(),
	}
	s.documents = append(s.documents, d)
	if extra := len(s.documents) - s.options.Keep; extra > 0 {
		s.documents = slices.Delete(s.documents, 0, extra)
	}
	return d
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client left while it was sending
	}
	var o order
	problem := violation(salesOrder, body)
	if problem == "" {
		if err := json.Unmarshal(body, &o); err != nil {
			problem = "the order can't be read: " + err.Error()
		} else {
			problem = o.sum()
		}
	}
	if problem != "" {
		s.violated(w, problem)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	s.once(w, r, key, func() answer {
		for _, d := range s.documents {
			if s.options.Mode == Conflicts && d.Reference == o.Reference {
				return answer{http.StatusConflict, encode(map[string]any{
					"message": "there is a sales order with this reference", "document_number": s.written(d.Number),
				})}
			}
		}
		for _, l := range o.Lines {
			if s.knobs.missing[l.SKU] {
				return s.refuse(http.StatusUnprocessableEntity, fmt.Sprintf("there is no item %s", l.SKU))
			}
		}
		d := s.book(o.Reference, key, body)
		if s.accepting {
			return answer{http.StatusAccepted, []byte("{}")}
		}
		return answer{http.StatusCreated, encode(map[string]any{"document_number": s.written(d.Number)})}
	})
}

// once does the work, under mu, after the booking time; with HonoursKeys only for the first call with the key. It
// answers when the work is done, unless the client has left.
func (s *Server) once(w http.ResponseWriter, r *http.Request, key string, work func() answer) {
	s.mu.Lock()
	c, known := s.calls[key]
	if !known || s.options.Mode != HonoursKeys || key == "" {
		c = &call{done: make(chan struct{})}
		if s.options.Mode == HonoursKeys && key != "" {
			s.remember(key, c)
		}
		if s.bookingTime == 0 {
			s.finish(key, c, work())
		} else {
			wait := s.bookingTime
			s.running.Add(1)
			go func() {
				defer s.running.Done()
				timer := time.NewTimer(wait)
				defer timer.Stop()
				select {
				case <-s.closed:
					return
				case <-timer.C:
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				s.finish(key, c, work())
			}()
		}
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		reply(w, c.answer)
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closed:
		panic(http.ErrAbortHandler)
	}
}

// remember needs mu.
func (s *Server) remember(key string, c *call) {
	s.calls[key] = c
	s.keys = append(s.keys, key)
	if len(s.keys) > s.options.Keep {
		delete(s.calls, s.keys[0])
		s.keys = s.keys[1:]
	}
}

// finish needs mu. A refusal is not remembered: what was wrong may have been put right.
func (s *Server) finish(key string, c *call, a answer) {
	c.answer = a
	close(c.done)
	if a.status >= http.StatusMultipleChoices && s.calls[key] == c {
		delete(s.calls, key)
	}
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) {
	reference := r.URL.Query().Get("external_reference")
	if reference == "" {
		reply(w, answer{http.StatusBadRequest, message("external_reference is missing")})
		return
	}
	type item struct {
		Number    any    `json:"document_number"`
		Reference string `json:"external_reference"`
	}
	s.mu.Lock()
	items := []item{}
	for _, d := range s.documents {
		if (d.Reference == reference || s.knobs.unfiltered) && (s.lag == 0 || time.Since(d.BookedAt) >= s.lag) {
			items = append(items, item{s.written(d.Number), d.Reference})
		}
	}
	s.mu.Unlock()
	reply(w, answer{http.StatusOK, encode(map[string]any{"items": items})})
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c := Cancellation{Key: r.Header.Get("Idempotency-Key"), At: time.Now()}
	problem := violation(cancellation, body)
	if problem == "" && json.Unmarshal(body, &c) != nil {
		problem = "the cancellation can't be read"
	}
	if problem != "" {
		s.violated(w, problem)
		return
	}
	number := r.PathValue("number")
	s.once(w, r, c.Key, func() answer {
		at := slices.IndexFunc(s.documents, func(d *Document) bool {
			return d.Number == number || s.knobs.numbers && d.Number == numberPrefix+number
		})
		switch {
		case at < 0:
			return s.refuse(http.StatusNotFound, "there is no sales order "+number)
		case s.refusal != "":
			return s.refuse(http.StatusUnprocessableEntity, s.refusal)
		}
		d := s.documents[at]
		switch overdrawn := d.overdrawn(c); {
		case d.Canceled && s.options.Mode == Conflicts: // there is nothing left to take
			return answer{http.StatusOK, encode(map[string]any{"document_number": s.written(d.Number)})}
		case d.Shipped:
			return s.refuse(http.StatusConflict, fmt.Sprintf("sales order %s has been shipped", number))
		case overdrawn != "" && !c.Complete && s.options.Mode != Books: // which books what it is sent
			return s.refuse(http.StatusUnprocessableEntity, overdrawn)
		}
		d.Cancellations = append(d.Cancellations, c)
		d.Canceled = d.Canceled || c.Complete
		return answer{http.StatusOK, encode(map[string]any{"document_number": s.written(number)})}
	})
}

func reply(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func message(text string) []byte { return encode(map[string]string{"message": text}) }

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(errors.New("fakeerp: an answer that is no JSON: " + err.Error()))
	}
	return body
}
