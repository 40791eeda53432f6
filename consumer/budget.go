package consumer

import "sync"

// budget bounds the bytes of bodies that one consumer holds, over all sessions: it knows how many it holds, and how large the
// last bodies were.
type budget struct {
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

// take counts a body that has come.
func (b *budget) take(body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += int64(len(body))
	b.count++
	b.sizes[b.next] = len(body)
	b.next = (b.next + 1) % len(b.sizes)
}

// drop counts bodies that are no longer held.
func (b *budget) drop(count int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= bytes
	b.count -= count
}

// room is how many bodies of the present size fit into the share; one always does.
func (b *budget) room() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	largest := 1
	for _, size := range b.sizes {
		largest = max(largest, size)
	}
	return int(max(1, b.share/int64(copies*largest)))
}

// exceeded reports whether more is held than the share, which a single body may be.
func (b *budget) exceeded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count > 1 && b.held > b.share
}

// full reports whether nothing more fits.
func (b *budget) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count > 0 && b.held >= b.share
}
