package erptest

import (
	"context"
	"sync"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// Steps keeps the steps of an effect in memory, by the rules by which the ledger keeps them: what a test lets die goes on at
// the first step that is not certain.
type Steps struct {
	// Wait is that of each Attempt.
	Wait time.Duration
	// Waited, if set, reports in place of the clock whether Wait is over: the fake knows what it has not carried out yet.
	Waited func() bool

	mu    sync.Mutex
	steps map[string]*step
}

type step struct {
	done      bool
	value     string
	uncertain bool
	since     time.Time
}

var _ erp.Steps = (*Steps)(nil)

// Do runs a step unless it is done.
func (s *Steps) Do(ctx context.Context, name string, run func(context.Context, erp.Attempt) (string, error)) (string, error) {
	s.mu.Lock()
	if s.steps == nil {
		s.steps = map[string]*step{}
	}
	st := s.steps[name]
	if st == nil {
		st = &step{}
		s.steps[name] = st
	}
	if st.done {
		s.mu.Unlock()
		return st.value, nil
	}
	looked := false
	a := erp.Attempt{Uncertain: st.uncertain, Wait: s.Wait, Looked: func() { looked = true }}
	if st.uncertain {
		a.For = s.waited(st.since)
	} else {
		st.since = time.Now()
	}
	was := st.uncertain
	st.uncertain = true // should run never return
	s.mu.Unlock()
	value, err := run(ctx, a)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		st.done, st.value = true, value
	case event.IsNotDone(err):
		st.uncertain = was && !looked
	default: // the ERP may carry it out for as long from now on
		st.since = time.Now()
	}
	return value, err
}

func (s *Steps) waited(since time.Time) time.Duration {
	switch {
	case s.Waited == nil:
		return time.Since(since)
	case s.Waited():
		return s.Wait
	default:
		return 0
	}
}

// Names returns the names of the steps that were begun.
func (s *Steps) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.steps))
	for name := range s.steps {
		names = append(names, name)
	}
	return names
}
