package fakealgolia

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

type knobs struct {
	recordLimit, bodyLimit int
	form                   Form
	delay                  time.Duration
	held                   map[string]bool
	throttled, lost        int
	unpaid, inexact        bool
}

// What Down takes besides a status.
const (
	Hang = -1 // the host does not answer
	Cut  = -2 // the host closes the connection
)

func (s *Server) set(change func(k *knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.knobs)
}

// SetRecordLimit says how large a record may be, and how one that is larger is refused.
func (s *Server) SetRecordLimit(bytes int, form Form) {
	s.set(func(k *knobs) { k.recordLimit, k.form = bytes, form })
}

// SetBodyLimit says how large a request may be.
func (s *Server) SetBodyLimit(bytes int) { s.set(func(k *knobs) { k.bodyLimit = bytes }) }

// SetDelay says how long a task waits at least before it is done.
func (s *Server) SetDelay(d time.Duration) { s.set(func(k *knobs) { k.delay = d }) }

// HoldTasks leaves the tasks of an index, or of all for "*", undone until release is called.
func (s *Server) HoldTasks(name string) (release func()) {
	s.set(func(k *knobs) { k.held[name] = true })
	return func() { s.set(func(k *knobs) { delete(k.held, name) }) }
}

// Throttle answers the next n writes with 429.
func (s *Server) Throttle(n int) { s.set(func(k *knobs) { k.throttled = n }) }

// LoseAnswers does the next n writes and closes the connection without an answer.
func (s *Server) LoseAnswers(n int) { s.set(func(k *knobs) { k.lost = n }) }

// SetUnpaid answers batches with 402.
func (s *Server) SetUnpaid(unpaid bool) { s.set(func(k *knobs) { k.unpaid = unpaid }) }

// SetInexact has queries estimate the number of their hits.
func (s *Server) SetInexact(inexact bool) { s.set(func(k *knobs) { k.inexact = inexact }) }

// Down breaks a host: with a status, Hang or Cut; 0 mends it.
func (s *Server) Down(host, how int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hostDown[host] = how
}

// AddKey makes a key with rights, for all indexes or those whose names are like a pattern.
func (s *Server) AddKey(name string, acl []string, indexes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[name] = key{acl, indexes}
}

// Hits returns how many requests each host got.
func (s *Server) Hits() [Hosts]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hostHits
}

// Calls returns how often something was called, such as POST batch.
func (s *Server) Calls(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[what]
}

// Refusals returns what was refused, and how often.
func (s *Server) Refusals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// Records returns the records of an index without the attributes that are null, nil if there is no such index. Tasks that are due
// are done before.
func (s *Server) Records(name string) map[string]Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pump()
	if s.indexes[name] == nil {
		return nil
	}
	records := map[string]Record{}
	for id, r := range s.indexes[name].records {
		r = maps.Clone(r)
		maps.DeleteFunc(r, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
		records[id] = r
	}
	return records
}

// Put writes a record, as somebody else does.
func (s *Server) Put(name, id string, attributes map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Record{"objectID": encode(id)}
	for a, v := range attributes {
		r[a] = encode(v)
	}
	s.make(name).records[id] = r
}

// Settings returns the settings of an index.
func (s *Server) Settings(name string) map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pump()
	if s.indexes[name] == nil {
		return nil
	}
	return maps.Clone(s.indexes[name].settings)
}

// Configure changes settings of an index, and gives it a rule and a synonym of this name, as a person does.
func (s *Server) Configure(name string, settings map[string]any, rule string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.make(name)
	for a, v := range settings {
		i.settings[a] = encode(v)
	}
	if rule != "" {
		i.rules = append(i.rules, encode(map[string]string{"objectID": rule}))
		i.synonyms = append(i.synonyms, encode(map[string]string{"objectID": rule}))
	}
}

// Rules returns how many rules and synonyms an index has.
func (s *Server) Rules(name string) (rules, synonyms int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.indexes[name] == nil {
		return 0, 0
	}
	return len(s.indexes[name].rules), len(s.indexes[name].synonyms)
}

// Indexes returns the names of all indexes.
func (s *Server) Indexes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pump()
	return slices.Sorted(maps.Keys(s.indexes))
}

// Drop deletes an index, as a person does.
func (s *Server) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.indexes, name)
}
