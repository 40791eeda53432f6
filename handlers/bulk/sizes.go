package bulk

import (
	"sync"
	"time"
)

// firstSize is how many entries a call of a kind has until it is known how long Magento takes.
const firstSize = 100

// Sizes says how many entries a call of each kind may have: as many as Magento writes within Target. A call that takes longer halves
// the size, one that takes less than a third of it doubles it. A batch is larger, so that readings are few, as long as its calls are
// quick. Make one with NewSizes.
type Sizes struct {
	most   int
	target time.Duration
	tell   func(kind string, n int)

	mu  sync.Mutex
	now map[string]int
	cap map[string]int // what Magento has refused to exceed
	// slow are the kinds of which the last call took more than a third of target.
	slow map[string]bool
	// read is the same for readings.
	read map[string]int
}

// NewSizes returns sizes of at most so many entries. tell is told of each size, again and again.
func NewSizes(most int, target time.Duration, tell func(kind string, n int)) *Sizes {
	return &Sizes{most: most, target: target, tell: tell, now: map[string]int{}, cap: map[string]int{}, slow: map[string]bool{}, read: map[string]int{}}
}

// batch returns how many entries of the kind are claimed and read at once. Where calls are slow it is one call's, so that what is
// under way ends soon.
func (s *Sizes) batch(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch limit := s.cap[kind]; {
	case s.slow[kind]:
		return s.limit(kind)
	case limit > 0:
		return min(limit, s.most)
	}
	return s.most
}

// call returns how many entries a call of the kind may have.
func (s *Sizes) call(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit(kind)
}

func (s *Sizes) limit(kind string) int {
	n := s.now[kind]
	if n == 0 {
		n = min(firstSize, s.most)
	}
	if limit := s.cap[kind]; limit > 0 {
		n = min(n, limit)
	}
	return n
}

// took notes that a call with n entries took so long. One that was far from full says nothing of a larger one.
func (s *Sizes) took(kind string, n int, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.limit(kind)
	s.slow[kind] = d >= s.target/3
	switch {
	case d > s.target:
		s.now[kind] = max(1, size/2)
	case d < s.target/3 && 2*n >= size:
		s.now[kind] = min(2*size, s.most)
	}
	s.tell(kind, s.limit(kind))
}

// atMost notes that Magento takes no more than n entries of the kind.
func (s *Sizes) atMost(kind string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cap[kind] = max(1, n)
	s.tell(kind, s.limit(kind))
}

// reading returns how many SKUs a reading may ask for.
func (s *Sizes) reading(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.read[kind]; n > 0 {
		return n
	}
	return s.most
}

// readAtMost notes that Magento answers for no more than n SKUs.
func (s *Sizes) readAtMost(kind string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[kind] = n
}
