// Package logsink lets a program write its log without ever waiting for whoever reads it: a pipe whose reader has stopped
// holds up each write to it, for ever, and with it everything that logs.
package logsink

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// limit is how much may wait to be written, in bytes. As much again may be under way.
	limit = 256 << 10
	// pipeBuf is PIPE_BUF of Linux, what a pipe takes whole (pipe(7)): processes that share one do not cut each other's lines.
	pipeBuf = 4096
)

// Sink is an io.Writer that takes each line at once; a goroutine of its own writes it. Lines that find the buffer full, or
// that can't be written, are dropped and counted. It is safe for use by many goroutines.
type Sink struct {
	w    io.Writer
	wake chan struct{} // says to the goroutine that there is something to do
	done chan struct{} // closed when it has ended

	mu       sync.Mutex
	pending  []byte
	barriers []chan struct{} // closed when what was pending before them is written
	gap      func(lines uint64) []byte
	dropped  uint64
	told     uint64 // how many of them the log tells of
	failing  bool   // the last write failed
	closed   bool
}

// New makes one that writes to w. Close ends it.
func New(w io.Writer) *Sink {
	s := &Sink{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Gap has the log tell where lines are missing: f gives the line for so many of them, with its line break. It must not write
// to the sink.
func (s *Sink) Gap(f func(lines uint64) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap = f
}

// Write takes p, which is one line or several whole ones. It never waits and never fails.
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

// missing is the line that tells of dropped ones, if there is something to tell. It is called with mu held.
func (s *Sink) missing() []byte {
	if s.gap == nil || s.dropped == s.told || s.failing {
		return nil
	}
	return s.gap(s.dropped - s.told)
}

// Dropped counts the lines that were dropped.
func (s *Sink) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Flush waits until what was taken before is written or dropped, for at most so long. It reports whether it is.
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

// Close writes what was taken, for at most so long, and ends the goroutine; one that hangs in a write is left behind. What is
// written afterwards is dropped.
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

// write writes whole lines, as many at once as a pipe takes whole.
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

// cut gives the length of the lines at the start of b that go together; a line that is longer goes alone.
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

// lines counts those of p; what has no line break is one, too.
func lines(p []byte) uint64 {
	n := uint64(bytes.Count(p, []byte{'\n'})) //nolint:gosec // a count is not negative
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return n
}
