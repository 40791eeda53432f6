package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader is a pipe whose reader may stall or go.
type reader struct {
	mu      sync.Mutex
	text    bytes.Buffer
	calls   int
	err     error
	stalled chan struct{} // while it is open, a write waits
	waits   chan struct{} // gets a value when one does
}

func newReader() *reader {
	r := &reader{stalled: make(chan struct{}), waits: make(chan struct{}, 1)}
	close(r.stalled)
	return r
}

func (r *reader) stall() (resume func()) {
	stalled := make(chan struct{})
	r.mu.Lock()
	r.stalled = stalled
	r.mu.Unlock()
	return sync.OnceFunc(func() { close(stalled) })
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	stalled := r.stalled
	r.mu.Unlock()
	select {
	case <-stalled:
	default:
		select {
		case r.waits <- struct{}{}:
		default:
		}
		<-stalled
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.err != nil {
		return 0, r.err
	}
	return r.text.Write(p)
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

const soon = 30 * time.Second

func write(t *testing.T, s *Sink, line string) {
	t.Helper()
	if n, err := s.Write([]byte(line)); n != len(line) || err != nil {
		t.Fatalf("Write gives %d, %v", n, err)
	}
}

func TestSink_WritesInOrderFromManyGoroutines(t *testing.T) {
	r := newReader()
	s := New(r)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 500 {
				write(t, s, fmt.Sprintf("%d %d\n", w, i))
			}
		})
	}
	writers.Wait()
	s.Close(soon)
	next := map[string]int{}
	for line := range strings.Lines(r.String()) {
		writer, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number != fmt.Sprint(next[writer]) {
			t.Fatalf("writer %s: line %s, want %d", writer, number, next[writer])
		}
		next[writer]++
	}
	for w := range 8 {
		if next[fmt.Sprint(w)] != 500 {
			t.Errorf("writer %d has %d lines", w, next[fmt.Sprint(w)])
		}
	}
	if s.Dropped() != 0 {
		t.Errorf("%d lines were dropped", s.Dropped())
	}
}

// Nobody reads: nothing waits, what is beyond the buffer is dropped and counted. When somebody reads again, the log tells
// where lines are missing, and how many.
func TestSink_DropsWhenNobodyReads(t *testing.T) {
	r := newReader()
	resume := r.stall()
	defer resume()
	s := New(r)
	s.Gap(func(n uint64) []byte { return fmt.Appendf(nil, "missing %d\n", n) })
	write(t, s, "first\n")
	<-r.waits
	line := strings.Repeat("x", 1023) + "\n"
	for range 2 * limit / len(line) {
		write(t, s, line)
	}
	const want = limit / 1024
	if got := s.Dropped(); got != want {
		t.Errorf("%d lines were dropped, want %d", got, want)
	}
	began := time.Now()
	s.Flush(10 * time.Millisecond)
	if time.Since(began) > soon/2 {
		t.Error("Flush waits for a reader that does not read")
	}
	resume()
	s.Flush(soon)
	write(t, s, "last\n")
	s.Close(soon)
	text := r.String()
	if !strings.HasPrefix(text, "first\nxxx") || strings.Count(text, line) != want ||
		!strings.HasSuffix(text, fmt.Sprintf("missing %d\nlast\n", want)) {
		t.Errorf("%d whole lines, the end is %q", strings.Count(text, line), text[max(0, len(text)-60):])
	}
}

// The reader goes: every line is dropped and counted, nothing fails. Another one may come.
func TestSink_DropsWhenReaderIsGone(t *testing.T) {
	r := newReader()
	s := New(r)
	s.Gap(func(n uint64) []byte { return fmt.Appendf(nil, "missing %d\n", n) })
	r.fail(errors.New("broken pipe"))
	for range 3 {
		write(t, s, "nobody sees this\n")
		s.Flush(soon)
	}
	if s.Dropped() != 3 {
		t.Errorf("%d lines were dropped, want 3", s.Dropped())
	}
	r.fail(nil)
	write(t, s, "one\n")
	s.Flush(soon)
	write(t, s, "two\n")
	s.Close(soon)
	if got := r.String(); got != "one\nmissing 3\ntwo\n" {
		t.Errorf("%q", got)
	}
}

func TestSink_WritesWholeLinesOfAtMostPipeBuf(t *testing.T) {
	r := newReader()
	resume := r.stall()
	defer resume()
	s := New(r)
	write(t, s, "first\n")
	<-r.waits
	long := strings.Repeat("y", 3*pipeBuf) + "\n"
	for _, line := range []string{strings.Repeat("a", 3000) + "\n", strings.Repeat("b", 3000) + "\n", long, "c\n", "d\n"} {
		write(t, s, line)
	}
	resume()
	s.Close(soon)
	if r.calls != 5 { // first; a; b; the long one; c and d
		t.Errorf("%d writes", r.calls)
	}
	if got := r.String(); !strings.HasSuffix(got, long+"c\nd\n") {
		t.Errorf("the end is %q", got[len(got)-20:])
	}
}

// A write that hangs for ever keeps nobody from ending.
func TestSink_CloseLeavesAHangingWriteBehind(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := New(out)
	for range 200 {
		write(t, s, strings.Repeat("z", 1023)+"\n") // more than a pipe takes
	}
	began := time.Now()
	s.Close(50 * time.Millisecond)
	if took := time.Since(began); took > soon/2 {
		t.Errorf("Close took %s", took)
	}
	write(t, s, "too late\n")
	if s.Dropped() != 1 {
		t.Errorf("%d lines were dropped, want 1", s.Dropped())
	}
	if err := in.Close(); err != nil { // ends the write
		t.Fatal(err)
	}
	<-s.done
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
