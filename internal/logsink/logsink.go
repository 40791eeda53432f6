// Package logsink writes a log without waiting for its reader. A write to a pipe whose reader has stopped blocks for ever, and with
// it everything that logs.
package logsink

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// limit bounds what waits to be written, in bytes. As much again may be in the write.
	limit = 256 << 10
	// pipeBuf is PIPE_BUF of Linux, the size of an atomic write to a pipe (pipe(7)): processes that share one do not cut each
	// other's lines.
	pipeBuf = 4096
)

// Sink is an io.Writer that buffers lines, which a goroutine of its own writes. Lines that find the buffer full, or that can't be
// written, are dropped and counted. Its methods may be called concurrently.
type Sink struct {
	w    io.Writer
	wake chan struct{} // wakes the goroutine
	done chan struct{} // closed when it has ended

	mu       sync.Mutex
	pending  []byte
	barriers []chan struct{} // closed when what was pending before them is written
	gap      func(lines uint64) []byte
	dropped  uint64
	told     uint64 // how many of them the log has reported
	failing  bool   // the last write failed
	closed   bool
}

// New returns a Sink that writes to w. It must be closed.
func New(w io.Writer) *Sink {
	s := &Sink{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Gap sets f, which returns the line that the log has where so many lines are missing, with its line break. f must not write to the
// sink.
func (s *Sink) Gap(f func(lines uint64) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap = f
}

// Write buffers p, which is one or several whole lines. It never blocks and never fails.
func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gap := s.missing()
	if s.closed || len(s.pending)+len(gap)+len(p) > limit {
		s.dropped += lines(p)
		return len(p), nil
	}
	if gap != nil {
		s.told = s.dropped
	}
	s.pending = append(append(s.pending, gap...), p...)
	s.rouse()
	return len(p), nil
}

// missing returns the line about dropped lines, if there are new ones. It is called with mu locked.
func (s *Sink) missing() []byte {
	if s.gap == nil || s.dropped == s.told || s.failing {
		return nil
	}
	return s.gap(s.dropped - s.told)
}

// Dropped returns how many lines were dropped.
func (s *Sink) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Flush waits until all that was buffered before is written or dropped, for at most so long, and reports whether it is.
func (s *Sink) Flush(atMost time.Duration) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	written := make(chan struct{})
	s.barriers = append(s.barriers, written)
	s.rouse()
	s.mu.Unlock()
	return await(written, atMost)
}

// Close writes what is buffered, for at most so long, and ends the goroutine. One that blocks in a write is left behind. Later lines
// are dropped.
func (s *Sink) Close(atMost time.Duration) {
	s.mu.Lock()
	if gap := s.missing(); gap != nil {
		s.pending, s.told = append(s.pending, gap...), s.dropped
	}
	s.closed = true
	s.rouse()
	s.mu.Unlock()
	await(s.done, atMost)
}

func await(done <-chan struct{}, atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (s *Sink) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Sink) run() {
	defer close(s.done)
	var spare []byte
	for range s.wake {
		for {
			s.mu.Lock()
			batch, barriers, closed := s.pending, s.barriers, s.closed
			s.pending, s.barriers = spare[:0], nil
			s.mu.Unlock()
			if len(batch) == 0 && len(barriers) == 0 {
				if closed {
					return
				}
				spare = batch
				break
			}
			s.write(batch)
			spare = batch
			for _, written := range barriers {
				close(written)
			}
		}
	}
}

// write writes whole lines, as many at once as a pipe writes atomically.
func (s *Sink) write(batch []byte) {
	for len(batch) > 0 {
		n := cut(batch)
		_, err := s.w.Write(batch[:n])
		s.mu.Lock()
		s.failing = err != nil
		if err != nil {
			s.dropped += lines(batch[:n])
		}
		s.mu.Unlock()
		batch = batch[n:]
	}
}

// cut returns the length of the lines at the start of b that go in one write. A line that is too long goes alone.
func cut(b []byte) int {
	if len(b) <= pipeBuf {
		return len(b)
	}
	if n := bytes.LastIndexByte(b[:pipeBuf], '\n'); n >= 0 {
		return n + 1
	}
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		return n + 1
	}
	return len(b)
}

// lines returns the number of lines of p. Text without a line break counts as one.
func lines(p []byte) uint64 {
	n := uint64(bytes.Count(p, []byte{'\n'})) //nolint:gosec // a count is not negative
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return n
}
