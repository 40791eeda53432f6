package consumer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
)

// fate is what a downstream of these tests does with an entry.
type fate int

const (
	written       fate = iota
	stale              // something newer is there
	nothing            // there is nothing to do for it
	unusable           // its message says something that can't be used: it is in no call
	rejectedAlone      // named in the answer as refused, the others are written
	busyElsewhere      // deferred: another call has it
	refusesCall        // any call with it is refused with a 422
	failsCall          // any call with it is answered with a 500
	fates
)

var (
	errUnusable = event.Errorf(event.Invalid, "can't be used")
	errRejected = event.Errorf(event.Rejected, "is not wanted")
	errRefused  = fmt.Errorf("call: %w", &event.Error{Class: event.Rejected, Status: 422, Err: errors.New("something in it is wrong")})
	errFailed   = fmt.Errorf("call: %w", &event.Error{Class: event.Unavailable, Status: 500, Err: errors.New("failed")})
	errThrottle = &event.Error{Class: event.Throttled, Status: 429, Err: errors.New("later")}
	errLost     = &event.Error{Class: event.Unavailable, Err: errors.New("connection lost")}
	errBusy     = &event.Deferral{Reason: "another one writes it", Busy: true}
)

// thing is the value of an entry of these tests.
type thing struct {
	message *wanted
	at      int
	fate    fate
	number  int // of all that arrived
}

// wanted is a message of these tests and what the model knows of it.
type wanted struct {
	number    int
	entries   []Entry
	things    []*thing
	err       error // of the event
	results   []*Result
	held      int // calls that have an entry of it now
	begun     bool
	mayReturn bool // it was released
	ended     int
}

// simulation drives a gatherer at random, and keeps a model of what must come of each message: what the downstream said last of
// each of its entries.
type simulation struct {
	t       testing.TB
	choose  func(n int) int // from 0 to n-1; only zeros end it
	b       Batch
	g       *gatherer[*wanted]
	now     time.Time
	limits  map[string]int
	all     []*wanted
	parsing []*pending[*wanted]
	running []*running
	things  int
	begun   map[string]int // number of the last entry that was begun, by kind and key
	faults  bool           // calls fail for no entry's fault too
	calls   int
	workers int // batches at once, some of which only wait to call
}

// running is a batch whose call is out.
type running struct {
	b        *batch[*wanted]
	all      []*thing
	call     Call
	made     int
	failures int // in a row
}

func newSimulation(t testing.TB, choose func(n int) int, faults bool) *simulation {
	s := &simulation{t: t, choose: choose, now: time.Unix(0, 0), limits: map[string]int{}, begun: map[string]int{}, faults: faults}
	s.b = Batch{
		Size: 1 + choose(12), Bytes: 50 * (1 + choose(10)), Linger: time.Duration(choose(20)), Concurrency: 1 + choose(3),
		Limit: func(kind string) int { return s.limits[kind] },
	}
	s.g = newGatherer[*wanted](&s.b)
	s.workers = s.b.Concurrency + choose(2)
	return s
}

func (s *simulation) message() *wanted {
	m := &wanted{number: len(s.all)}
	n := s.choose(6)
	if s.choose(6) == 0 {
		n = s.choose(5 * s.b.Size)
	}
	kind := s.kind()
	for i := range n {
		if s.choose(4) == 0 {
			kind = s.kind()
		}
		th := &thing{message: m, at: i}
		if s.choose(3) == 0 {
			th.fate = fate(s.choose(int(fates)))
		}
		e := Entry{Value: th, Kind: kind, Rows: s.choose(3), Bytes: s.choose(60)}
		if s.choose(3) == 0 {
			e.Key = fmt.Sprint("key ", s.choose(5))
		}
		if th.fate == unusable {
			e.Err = errUnusable
		}
		m.things = append(m.things, th)
		m.entries = append(m.entries, e)
		m.results = append(m.results, nil)
	}
	if s.choose(15) == 0 {
		m.err = errUnusable // of another event of the message
	}
	s.all = append(s.all, m)
	return m
}

func (s *simulation) kind() string { return []string{"base", "special"}[s.choose(2)] }

func (s *simulation) step() {
	switch s.choose(8) {
	case 0, 1:
		s.g.arrive(s.message())
	case 2:
		s.parse()
	case 3, 4:
		s.start()
	case 5:
		if len(s.running) > 0 {
			s.answer(s.choose(len(s.running)))
		}
	case 6:
		s.now = s.now.Add(time.Duration(s.choose(15)))
		if s.choose(8) == 0 {
			s.limits[s.kind()] = s.choose(s.b.Size + 3)
		}
	case 7:
		if s.choose(10) == 0 {
			s.release(s.choose(2) == 0)
		}
	}
	s.settle()
}

// parse has some messages parsed, in any order.
func (s *simulation) parse() {
	waited := s.g.rows
	if p := s.g.next(); p != nil {
		s.parsing = append(s.parsing, p)
		if waited >= s.b.Size*(s.b.Concurrency+1) {
			s.t.Fatalf("a message is to be parsed though %d rows wait", waited)
		}
	}
	if len(s.parsing) > 0 && s.choose(3) > 0 {
		s.parsed(s.choose(len(s.parsing)))
	}
}

func (s *simulation) parsed(i int) {
	p := s.parsing[i]
	s.parsing = slices.Delete(s.parsing, i, i+1)
	defer s.g.parsed(p, slices.Clone(p.message.entries), 1000, p.message.err, s.now)
	for _, th := range p.message.things { // the order in which they wait is that of being parsed
		th.number = s.things
		s.things++
		if th.fate == unusable {
			th.ends(Result{Err: errUnusable})
		}
	}
}

func (s *simulation) start() {
	if len(s.running) >= s.workers {
		return
	}
	beside := len(s.running) >= s.b.Concurrency
	b, due := s.g.batch(s.now, s.choose(5) == 0)
	if b == nil {
		if !due.IsZero() && !due.After(s.now) {
			s.t.Fatalf("no batch at %v, though one was due at %v", s.now, due)
		}
		return
	}
	r := &running{b: b}
	if !s.call(r) {
		s.t.Fatal("a batch that has just begun makes no call")
	}
	rows, bytes := 0, 0
	for _, e := range r.call.Entries {
		th := e.Value.(*thing)
		r.all = append(r.all, th)
		th.message.held++
		th.message.begun = true
		rows, bytes = rows+e.Rows, bytes+e.Bytes
		if e.Kind != b.kind {
			s.t.Fatalf("an entry of kind %s in a batch of %s", e.Kind, b.kind)
		}
		if line := b.kind + e.Key; th.number < s.begun[line] {
			s.t.Fatalf("entry %d begins after entry %d", th.number, s.begun[line])
		} else {
			s.begun[line] = th.number
		}
		if e.Key == "" {
			continue
		}
		for _, other := range s.running {
			for _, o := range other.all {
				if o.message.entries[o.at].Key == e.Key {
					s.t.Fatalf("%s is in two calls", e.Key)
				}
			}
		}
	}
	if beside && rows < s.g.most(b.kind) && bytes < s.b.Bytes && !s.heldBack(b.kind, rows, bytes) {
		s.t.Fatalf("a batch of %d rows and %d bytes beside as many as can call, which take %d rows or %d bytes", rows, bytes, s.g.most(b.kind), s.b.Bytes)
	}
	if n := len(r.call.Entries); n > 1 && (rows > s.g.most(b.kind) || bytes > s.b.Bytes) {
		s.t.Fatalf("%d rows and %d bytes in %d entries, at most %d and %d", rows, bytes, n, s.g.most(b.kind), s.b.Bytes)
	}
	s.running = append(s.running, r)
}

// heldBack reports whether a batch that was cut from enough entries has less because the next one would not fit, or because others
// wait for their key now.
func (s *simulation) heldBack(kind string, rows, bytes int) bool {
	for _, q := range s.g.queues {
		if q.kind == kind && len(q.waiting) > 0 {
			next := q.waiting[0].entry()
			return rows+next.Rows > s.g.most(kind) || bytes+next.Bytes > s.b.Bytes
		}
	}
	for _, k := range s.g.busy {
		for _, at := range k.waiting {
			if at.entry().Kind == kind {
				return true
			}
		}
	}
	return false
}

// call asks for the next call of r and reports whether there is one.
func (s *simulation) call(r *running) bool {
	var ok bool
	r.call, ok = s.g.call(r.b)
	if !ok {
		return false
	}
	r.made++
	for _, e := range r.call.Entries {
		th := e.Value.(*thing)
		if th.message.results[th.at] != nil {
			s.t.Fatalf("entry %d of message %d is called again though it has a result", th.at, th.message.number)
		}
		if th.message.mayReturn && r.made == 1 {
			s.t.Fatalf("entry %d of message %d begins though it was released", th.at, th.message.number)
		}
	}
	return true
}

// answer has the downstream answer a call.
func (s *simulation) answer(i int) {
	r := s.running[i]
	s.calls++
	results, err := downstream(r.call)
	healthy := true
	if s.faults && s.choose(10) == 0 {
		results, err = nil, []error{errThrottle, errLost, errBusy}[s.choose(3)]
	}
	if s.faults && s.choose(20) == 0 {
		healthy = false
	}
	switch n := len(r.call.Entries); {
	case err == nil:
		for i, e := range r.call.Entries {
			e.Value.(*thing).ends(results[i])
		}
		r.failures = 0
	case errors.Is(err, errRefused):
		r.failures = 0
		if n == 1 {
			r.call.Entries[0].Value.(*thing).ends(Result{Err: err})
		}
	case errors.Is(err, errFailed) && healthy && r.failures < r.b.patience():
		r.failures++
		if n == 1 {
			r.call.Entries[0].Value.(*thing).ends(Result{Err: err})
		}
	default:
		r.rest(err)
	}
	s.g.answered(r.b, results, err, healthy)
	if s.call(r) {
		return
	}
	if r.made > 2*len(r.all)+1 {
		s.t.Fatalf("%d calls for %d entries", r.made, len(r.all))
	}
	for _, th := range r.all {
		th.message.held--
	}
	s.running = slices.Delete(s.running, i, i+1)
}

// rest ends what was called, and what would have been called after it.
func (r *running) rest(err error) {
	called := map[*thing]bool{}
	for _, e := range r.call.Entries {
		called[e.Value.(*thing)] = true
	}
	for _, th := range r.all {
		if th.message.results[th.at] == nil && (called[th] || !th.message.mayReturn) {
			th.ends(Result{Err: err})
		}
	}
}

func (th *thing) ends(r Result) { th.message.results[th.at] = &r }

// downstream is what these tests write to.
func downstream(c Call) ([]Result, error) {
	results := make([]Result, len(c.Entries))
	for i, e := range c.Entries {
		switch e.Value.(*thing).fate {
		case refusesCall:
			return nil, errRefused
		case failsCall:
			return nil, errFailed
		case stale:
			results[i].Outcome = event.Stale
		case nothing:
			results[i].Outcome = event.Skipped
		case rejectedAlone:
			results[i].Err = errRejected
		case busyElsewhere:
			results[i].Err = errBusy
		case written, unusable, fates:
		}
	}
	return results, nil
}

func (s *simulation) release(all bool) {
	for _, m := range s.all {
		if m.ended == 0 && (all || !m.begun) {
			m.mayReturn = true
		}
	}
	s.g.release(all)
}

// settle compares the messages that have left with the model.
func (s *simulation) settle() {
	for _, e := range s.g.take() {
		m := e.message
		m.ended++
		if m.ended > 1 {
			s.t.Fatalf("message %d has ended %d times", m.number, m.ended)
		}
		open := slices.Contains(m.results, nil)
		switch {
		case e.requeue && !m.mayReturn:
			s.t.Fatalf("message %d is requeued though it was not released", m.number)
		case e.requeue:
			if !open && len(m.results) > 0 {
				s.t.Fatalf("message %d is requeued though every entry has a result", m.number)
			}
			continue
		case open:
			s.t.Fatalf("message %d has ended with entries that have no result", m.number)
		}
		s.compare(m, e)
	}
}

func (s *simulation) compare(m *wanted, e ended[*wanted]) {
	transient, poison, outcome := false, m.err != nil, event.Outcome("")
	var rejected []int
	for i, r := range m.results {
		switch {
		case r.Err == nil && r.Outcome == "":
			outcome = event.Done
		case r.Err == nil && (outcome == "" || outcome == event.Skipped):
			outcome = r.Outcome
		case r.Err == nil:
		case isPoison(r.Err):
			poison = true
			rejected = append(rejected, i)
		default:
			transient = true
		}
	}
	switch {
	case transient:
		if e.err == nil || isPoison(e.err) || len(e.rejected) > 0 {
			s.t.Fatalf("message %d ended with %v and a letter of %d, want a transient error", m.number, e.err, len(e.rejected))
		}
	case m.err != nil:
		if !isPoison(e.err) || len(e.rejected) > 0 {
			s.t.Fatalf("message %d ended with %v and a letter of %d, want one of all of it", m.number, e.err, len(e.rejected))
		}
	case poison:
		var got []int
		for _, r := range e.rejected {
			got = append(got, r.Index)
			if th := r.Entry.Value.(*thing); th.message != m || th.at != r.Index {
				s.t.Fatalf("message %d has entry %d of message %d in its letter as %d", m.number, th.at, th.message.number, r.Index)
			}
		}
		if !slices.Equal(got, rejected) || !isPoison(e.err) {
			s.t.Fatalf("message %d ended with %v and a letter of %v, want %v", m.number, e.err, got, rejected)
		}
	case e.err != nil:
		s.t.Fatalf("message %d ended with %v", m.number, e.err)
	case len(m.results) == 0:
		if e.outcome != event.Skipped {
			s.t.Fatalf("a message without entries ended as %q", e.outcome)
		}
	case e.outcome != outcome:
		s.t.Fatalf("message %d ended as %q, want %q", m.number, e.outcome, outcome)
	}
}

// finish has everything end that has arrived, without a release.
func (s *simulation) finish() {
	for range 1000 + 20*s.things {
		for len(s.parsing) > 0 {
			s.parsed(0)
		}
		s.parse()
		s.now = s.now.Add(s.b.Linger)
		s.start()
		if len(s.running) > 0 {
			s.answer(0)
		}
		s.settle()
		if s.idle() {
			return
		}
	}
	s.t.Fatalf("%d messages are still open, %d arrived, %d batches run", len(s.g.open), len(s.g.arrived), len(s.running))
}

func (s *simulation) idle() bool {
	return len(s.g.open) == 0 && len(s.g.arrived) == 0 && len(s.running) == 0 && len(s.parsing) == 0
}

func (s *simulation) check() {
	for _, m := range s.all {
		if m.ended != 1 {
			s.t.Fatalf("message %d has ended %d times", m.number, m.ended)
		}
	}
	if s.g.rows != 0 || len(s.g.busy) != 0 {
		s.t.Fatalf("%d rows and %d keys are left", s.g.rows, len(s.g.busy))
	}
	for _, q := range s.g.queues {
		if q.rows != 0 || q.bytes != 0 || len(q.waiting) != 0 {
			s.t.Fatalf("%d rows, %d bytes and %d entries of kind %s are left", q.rows, q.bytes, len(q.waiting), q.kind)
		}
	}
}

// Whatever arrives, is answered, fails and is released in whatever order: each message ends once, as the results of its entries
// say, and no call has more than it may.
func TestGatherer_EndsEachMessageOnceAsItsEntriesDid(t *testing.T) {
	t.Parallel()
	const runs = 3000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for run := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, run))
		s := newSimulation(t, random.IntN, run%2 == 0)
		for range random.IntN(400) {
			s.step()
		}
		if run%3 == 0 {
			s.release(true)
			for s.settle(); len(s.running) > 0; s.settle() {
				s.answer(0)
			}
			for len(s.parsing) > 0 {
				s.parsed(0)
			}
			s.settle()
			if !s.idle() {
				t.Fatalf("run %d: something is left after a drain", run)
			}
		} else {
			s.finish()
		}
		s.check()
		if t.Failed() {
			t.Fatalf("run %d", run)
		}
	}
}

// How many messages are needed follows the median of the last: a large one among small ones must not stop these from gathering.
func TestGatherer_NeedsFewerMessagesOfManyRows(t *testing.T) {
	g := newGatherer[int](&Batch{Size: 500, Concurrency: 2})
	parse := func(messages, rows int) {
		for range messages {
			g.arrive(0)
			entries := make([]Entry, rows)
			for i := range entries {
				entries[i].Err = errUnusable // which waits for nothing
			}
			g.parsed(g.next(), entries, 0, nil, time.Time{})
		}
	}
	if g.enough != 0 {
		t.Errorf("%d messages are enough before one was seen", g.enough)
	}
	for _, step := range []struct{ messages, rows, want int }{
		{1, 500, 8}, {1, 50_000, 2}, {100, 1, 4096}, {20, 50_000, 4096}, {100, 500, 8}, {100, 0, 4096}, {100, 7, 512},
	} {
		if parse(step.messages, step.rows); g.enough != step.want {
			t.Errorf("after %d messages of %d rows %d are enough, want %d", step.messages, step.rows, g.enough, step.want)
		}
	}
}

func FuzzGatherer(f *testing.F) {
	f.Add([]byte("\x05\x04\x00\x02\x00\x05\x02\x03\x05\x07"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, choices []byte, faults bool) {
		steps := len(choices)
		s := newSimulation(t, func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := choices[0]
			choices = choices[1:]
			return int(c) % n
		}, faults)
		for range min(steps, 300) {
			s.step()
		}
		s.finish()
		s.check()
	})
}
