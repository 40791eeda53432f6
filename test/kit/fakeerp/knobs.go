package fakeerp

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// knobs are what real ERPs and their people do that nobody expects. Each can be set at any time, and what it made the ERP
// refuse is counted in Refusals.
type knobs struct {
	locked     int // tries to write that find the record locked
	lockedBy   string
	badToken   int // calls whose token is refused
	missing    map[string]bool
	clock      time.Duration
	numbers    bool
	unfiltered bool
}

// Lock makes the next tries to write anything fail with 423, in the words in which ERPs name who holds a record.
func (s *Server) Lock(tries int, by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs.locked, s.knobs.lockedBy = tries, by
}

// RefuseToken makes the next calls fail with 401, as if the credential had ended.
func (s *Server) RefuseToken(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs.badToken = calls
}

// SetMissing says which SKUs the ERP does not have: an order with one of them is refused with 422 and its name.
func (s *Server) SetMissing(skus ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs.missing = map[string]bool{}
	for _, sku := range skus {
		s.knobs.missing[sku] = true
	}
}

// SetClock sets the ERP's clock off by d: it shows in the Date of its answers.
func (s *Server) SetClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs.clock = d
}

// SetNumbers makes it write the numbers of documents as numbers of JSON, without the letters before them.
func (s *Server) SetNumbers(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs.numbers = on
}

// SetUnfiltered makes a look-up list all documents, whatever reference it asks for.
func (s *Server) SetUnfiltered(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs.unfiltered = on
}

// Delete removes a document, as a person does.
func (s *Server) Delete(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.documents = slices.DeleteFunc(s.documents, func(d *Document) bool { return d.Number == number })
}

// Ship ships a document, as a person does: it can't be cancelled any more.
func (s *Server) Ship(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.documents {
		d.Shipped = d.Shipped || d.Number == number
	}
}

// Refusals returns what was refused for a reason of the ERP's own, and how often.
func (s *Server) Refusals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// refuse counts a refusal. It needs mu.
func (s *Server) refuse(status int, reason string) answer {
	s.refused[reason]++
	return answer{status, message(reason)}
}

// violated answers a body that is against the contract, which is a problem of the client's.
func (s *Server) violated(w http.ResponseWriter, problem string) {
	s.mu.Lock()
	s.problems[problem]++
	status := http.StatusUnprocessableEntity
	if problem == notJSON {
		status = http.StatusBadRequest
	}
	a := s.refuse(status, problem)
	s.mu.Unlock()
	reply(w, a)
}

// written returns the form in which a document's number is answered. It needs mu.
func (s *Server) written(number string) any {
	if s.knobs.numbers {
		return json.Number(strings.TrimPrefix(number, numberPrefix))
	}
	return number
}

// odd answers in the ERP's place what a knob says.
func (s *Server) odd(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.knobs.clock != 0 {
			w.Header().Set("Date", time.Now().Add(s.knobs.clock).UTC().Format(http.TimeFormat))
		}
		var refused *answer
		switch {
		case s.knobs.badToken > 0:
			s.knobs.badToken--
			a := s.refuse(http.StatusUnauthorized, "the token has ended")
			refused = &a
		case s.knobs.locked > 0 && r.Method != http.MethodGet:
			s.knobs.locked--
			a := s.refuse(http.StatusLocked, fmt.Sprintf("the record is currently being processed by %s", s.knobs.lockedBy))
			refused = &a
		}
		s.mu.Unlock()
		if refused != nil {
			reply(w, *refused)
			return
		}
		next.ServeHTTP(w, r)
	})
}
