package consumer

import "sync"

// memory knows how large the bodies are that a consumer holds, over all sessions, and how many it may hold.
type memory struct {
	share int64 // bytes that it may hold

	mu    sync.Mutex
	held  int64    // bytes that it holds
	count int      // in so many bodies
	sizes [100]int // of the last bodies, a ring
	next  int
}

// copies is how often a body is in memory while it is handled: as it came, because it may have to be published again, and
// once more when the event was wrapped in text.
const copies = 2

func (m *memory) take(body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += int64(len(body))
	m.count++
	m.sizes[m.next] = len(body)
	m.next = (m.next + 1) % len(m.sizes)
}

func (m *memory) drop(body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held -= int64(len(body))
	m.count--
}

// room is how many bodies of the present size fit into the share; one always does.
func (m *memory) room() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	largest := 1
	for _, size := range m.sizes {
		largest = max(largest, size)
	}
	return int(max(1, m.share/int64(copies*largest)))
}

// over reports whether more is held than the share, which a single body may be.
func (m *memory) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count > 1 && m.held > m.share
}

// full reports whether nothing more fits.
func (m *memory) full() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count > 0 && m.held >= m.share
}
