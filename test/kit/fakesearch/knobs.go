package fakesearch

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

// ItemFault refuses single items of bulk requests, and does nothing of them.
type ItemFault struct {
	// Every refuses each item whose turn it is; OneIn one in so many, at random. 0 is none.
	Every, OneIn int
	Status       int    // 0 is 429
	Type         string // "" is what the engine says to a full queue, or to shards that are not there
	// Only limits it to some documents; nil is all.
	Only func(id string) bool
}

// FailItems says which items are refused from now on. The zero value ends it.
func (s *Server) FailItems(f ItemFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items, s.itemSeq = f, 0
}

func (s *Server) itemFault(a action) *problem {
	f := s.items
	if f.Every == 0 && f.OneIn == 0 || f.Only != nil && !f.Only(a.id) {
		return nil
	}
	s.itemSeq++
	if (f.Every == 0 || s.itemSeq%f.Every != 0) && (f.OneIn == 0 || s.random.IntN(f.OneIn) != 0) {
		return nil
	}
	p := &problem{status: f.Status, kind: f.Type, reason: "rejected execution of coordinating operation"}
	if p.status == 0 {
		p.status = http.StatusTooManyRequests
	}
	if p.kind == "" {
		p.kind = s.o.Mode.rejected()
		if p.status == http.StatusServiceUnavailable {
			p.kind, p.reason = "unavailable_shards_exception", "primary shard is not active Timeout: [1m]"
		}
	}
	return p
}

// SetMaxContent bounds the body of a request from now on: what is longer is answered with 413.
func (s *Server) SetMaxContent(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maximum = n
}

// Advance moves the engine's clock: refreshes are due, deletions are forgotten, scrolls end.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// Restart is what a node's restart does to its data: documents stay, deletions and scrolls are forgotten.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.scrolls)
	for _, i := range s.indexes {
		clear(i.gone)
		i.show(s.now())
	}
}

// Document is one that an index has.
type Document struct {
	Version int64
	Source  json.RawMessage
}

// Documents returns all documents of an index or an alias, also those that are not found yet. There is no such index: nil.
func (s *Server) Documents(name string) map[string]Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, p := s.resolve(name)
	if p != nil {
		return nil
	}
	all := map[string]Document{}
	for _, i := range found {
		for id, d := range i.docs {
			all[id] = Document{Version: d.version, Source: d.source}
		}
	}
	return all
}

// Document returns one of an index or an alias.
func (s *Server) Document(name, id string) (Document, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, p := s.resolve(name)
	if p != nil {
		return Document{}, false
	}
	for _, i := range found {
		if d, ok := i.docs[id]; ok {
			return Document{Version: d.version, Source: d.source}, true
		}
	}
	return Document{}, false
}

// Indexes returns the names of all indexes.
func (s *Server) Indexes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.indexes))
}

// Alias returns the indexes that an alias leads to.
func (s *Server) Alias(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.aliases[name]))
}

// Requests returns the number of calls, Bulks that of bulk requests among them, and Writes that of items carried out.
func (s *Server) Requests() int { return s.tally(&s.requests) }

// Bulks returns the number of bulk requests that were carried out.
func (s *Server) Bulks() int { return s.tally(&s.bulks) }

// Writes returns the number of items that were carried out.
func (s *Server) Writes() int { return s.tally(&s.writes) }

func (s *Server) tally(of *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *of
}

// Refusals returns what was refused by the engine's own rules, and how often: "400 illegal_argument_exception",
// "item 409 version_conflict_engine_exception".
func (s *Server) Refusals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}
