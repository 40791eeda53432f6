package consumer

import (
	"sync"
	"sync/atomic"
)

// dispatcher decides when what was delivered is handled. One belongs to one channel (link). It keeps the backlog: the
// deliveries that have not begun. What it has begun it hands to the link, which settles it:
//
//	res := l.handle(m)   // has the handler called, decides what becomes of the message
//	l.conclude(m, res)   // settles the delivery, now or when a publish is confirmed
//
// A dispatcher of batches does not call handle: it makes a result for each message when its last entry has one, and calls
// conclude. It must call conclude exactly once for each message that it was given and did not return from drain.
//
// Its methods are called from any goroutine and must not block.
type dispatcher interface {
	// add takes a delivery into the backlog and begins what can be begun.
	add(m *message)
	// begin begins as much of the backlog as slots are free for. It is called when something may have become possible.
	begin()
	// probe begins a message at once, in a slot that the caller has taken: the probe of a circuit, which is a batch of one
	// message where batches are made.
	probe(m *message)
	// stop has nothing begin any more; drain allows it again.
	stop()
	// putBack returns a message that has begun, and was cut off, to the backlog of a dispatcher that it stops.
	putBack(m *message)
	// drain empties the backlog, and lets begin again what is added from now on. Its caller requeues what it returns.
	drain() []*message
	// backlog is how many deliveries have not begun.
	backlog() int
}

// slots bound how many handlings of one consumer run at once, over all sessions. A handling may give up its slot while it waits
// for another one (leave) and takes one again before it goes on (enter); it has precedence over what has not begun.
type slots struct {
	taken    chan struct{}
	entering atomic.Int32  // handlings that wait for a slot to go on
	freed    chan struct{} // has a value after a slot became free of which a dispatcher of another session can't know
}

func newSlots(n int) *slots {
	return &slots{taken: make(chan struct{}, n), freed: make(chan struct{}, 1)}
}

// take takes a slot if one is free.
func (s *slots) take() bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
		return false
	}
}

// release makes a slot free. A handling that waits in enter has it at once.
func (s *slots) release() { <-s.taken }

// announce says to the sessions' goroutines that a slot is free.
func (s *slots) announce() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// enter waits for a slot, before anything that has not begun gets one. It returns false if one of the channels was closed first.
func (s *slots) enter(ended, stopping <-chan struct{}) bool {
	s.entering.Add(1)
	defer s.entering.Add(-1)
	select {
	case s.taken <- struct{}{}:
		return true
	case <-ended:
		return false
	case <-stopping:
		return false
	}
}

// worker handles and settles one message. It reports whether the goroutine still has its slot.
type worker func(m *message) (hasSlot bool)

// oneByOne is the dispatcher that begins one message at a time for each slot, the oldest first.
//
// A goroutine that has a slot takes one message after the other. Before it handles one, it has another goroutine start, if there
// is a backlog and a slot is free. So handlers that take long all run at once, and handlers that are done at once share a few
// goroutines, whose stacks have grown already (docs/decisions/013).
type oneByOne struct {
	slots *slots
	work  worker
	over  func() bool  // the channel has ended: nothing begins any more
	spawn func(func()) // starts a goroutine that somebody waits for

	mu       sync.Mutex
	waiting  []*message
	stopped  bool
	starting bool // a goroutine that has a slot has not taken its first message yet
}

func (o *oneByOne) add(m *message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, m)
	o.start()
}

func (o *oneByOne) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start()
}

func (o *oneByOne) probe(m *message) { o.spawn(func() { o.run(m) }) }

func (o *oneByOne) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
}

func (o *oneByOne) putBack(m *message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	o.waiting = append(o.waiting, m)
}

func (o *oneByOne) drain() []*message {
	o.mu.Lock()
	defer o.mu.Unlock()
	waiting := o.waiting
	o.waiting, o.stopped = nil, false
	return waiting
}

func (o *oneByOne) backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

// more reports whether a message may begin. It is called with mu held.
func (o *oneByOne) more() bool { return len(o.waiting) > 0 && !o.stopped && !o.over() }

// start has one more goroutine take messages, if there is one for it and a slot. It is called with mu held.
func (o *oneByOne) start() {
	if o.starting || !o.more() || !o.slots.take() {
		return
	}
	o.starting = true
	o.spawn(func() {
		o.mu.Lock()
		o.starting = false
		m := o.take()
		o.mu.Unlock()
		o.run(m)
	})
}

// run handles m and goes on with the backlog, in a slot.
func (o *oneByOne) run(m *message) {
	for m != nil {
		if !o.work(m) {
			return
		}
		o.mu.Lock()
		m = o.take()
		o.mu.Unlock()
	}
}

// take returns the oldest message for a goroutine that has a slot, or nil after it has released the slot. It is called with mu
// held.
func (o *oneByOne) take() *message {
	if o.more() && o.slots.entering.Load() == 0 {
		m := o.waiting[0]
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
		o.start()
		return m
	}
	o.slots.release()
	if o.over() || o.slots.entering.Load() > 0 {
		o.slots.announce() // who waits for a slot is not seen by this dispatcher, or may no longer want it
	}
	return nil
}
