package consumer

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// dispatcherRig is a dispatcher whose handlers end when the test says so.
type dispatcherRig struct {
	*oneByOne
	over atomic.Bool
	wg   sync.WaitGroup

	mu      sync.Mutex
	begun   []uint64
	running map[uint64]chan bool // says whether the handling kept its slot
}

func newDispatcherRig(concurrency int) *dispatcherRig {
	r := &dispatcherRig{running: map[uint64]chan bool{}}
	r.oneByOne = &oneByOne{slots: newSlots(concurrency), over: r.over.Load, spawn: r.wg.Go, work: func(m *message) bool {
		end := make(chan bool)
		r.mu.Lock()
		r.begun = append(r.begun, m.DeliveryTag)
		r.running[m.DeliveryTag] = end
		r.mu.Unlock()
		return <-end
	}}
	return r
}

func (r *dispatcherRig) adds(tags ...uint64) {
	for _, tag := range tags {
		r.add(tagged(tag))
	}
	synctest.Wait()
}

// ends lets handlings end.
func (r *dispatcherRig) ends(hasSlot bool, tags ...uint64) {
	for _, tag := range tags {
		r.mu.Lock()
		end := r.running[tag]
		r.mu.Unlock()
		end <- hasSlot
	}
	synctest.Wait()
}

func (r *dispatcherRig) has(t *testing.T, when string, backlog int, begun ...uint64) {
	t.Helper()
	r.mu.Lock()
	got := r.begun
	r.begun = nil
	r.mu.Unlock()
	slices.Sort(got)
	if !slices.Equal(got, begun) || r.backlog() != backlog {
		t.Errorf("%s: %v have begun and %d wait, want %v and %d", when, got, r.backlog(), begun, backlog)
	}
}

func bubbled(t *testing.T, concurrency int, f func(t *testing.T, r *dispatcherRig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newDispatcherRig(concurrency)
		f(t, r)
		r.wg.Wait()
		if n := len(r.slots.taken); n != 0 {
			t.Errorf("%d slots are taken at the end", n)
		}
	})
}

func TestDispatcher_BeginsTheOldestWithinItsSlots(t *testing.T) {
	bubbled(t, 2, func(t *testing.T, r *dispatcherRig) {
		r.adds(1, 2, 3, 4)
		r.has(t, "two slots", 2, 1, 2)
		r.ends(true, 2)
		r.has(t, "one has ended", 1, 3)
		r.ends(true, 1, 3)
		r.has(t, "all but one have ended", 0, 4)
		r.ends(true, 4)
	})
}

func TestDispatcher_BeginsNothingOnceStopped(t *testing.T) {
	bubbled(t, 1, func(t *testing.T, r *dispatcherRig) {
		r.adds(1, 2, 3)
		r.stop()
		r.ends(true, 1)
		r.adds(4)
		r.begin()
		r.has(t, "stopped", 3, 1)
		if backlog := r.drain(); len(backlog) != 3 || backlog[0].DeliveryTag != 2 {
			t.Errorf("the backlog is %v", backlog)
		}
		r.adds(5)
		r.has(t, "after the drain", 0, 5)
		r.ends(true, 5)
	})
}

func TestDispatcher_ReturnsWhatWasPutBack(t *testing.T) {
	bubbled(t, 1, func(t *testing.T, r *dispatcherRig) {
		r.adds(1)
		r.has(t, "at first", 0, 1)
		r.putBack(tagged(1))
		r.ends(true, 1)
		r.has(t, "put back", 1)
		if n := len(r.drain()); n != 1 {
			t.Errorf("%d are drained, want 1", n)
		}
	})
}

// A handler of a channel that has ended keeps its slot until it returns; then whoever is there now is told.
func TestDispatcher_AnnouncesASlotOfAnEndedChannel(t *testing.T) {
	bubbled(t, 1, func(t *testing.T, r *dispatcherRig) {
		r.adds(1, 2)
		r.over.Store(true)
		r.ends(true, 1)
		r.has(t, "the channel has ended", 1, 1)
		select {
		case <-r.slots.freed:
		default:
			t.Error("nobody is told that a slot is free")
		}
	})
}

func TestDispatcher_BeginsAProbeInTheCallersSlot(t *testing.T) {
	bubbled(t, 1, func(t *testing.T, r *dispatcherRig) {
		if !r.slots.take() || r.slots.take() {
			t.Fatal("there is not one slot")
		}
		r.probe(tagged(7))
		synctest.Wait()
		r.has(t, "the probe", 0, 7)
		r.ends(true, 7)
	})
}

// A handling that gave up its slot gets one before anything that has not begun.
func TestDispatcher_LetsWhatWaitsGoOnFirst(t *testing.T) {
	bubbled(t, 1, func(t *testing.T, r *dispatcherRig) {
		r.adds(1, 2)
		entered := make(chan bool)
		go func() { entered <- r.slots.enter(nil, nil) }()
		synctest.Wait()
		r.ends(true, 1)
		if !<-entered {
			t.Fatal("it did not enter")
		}
		r.has(t, "one has entered", 1, 1)
		r.slots.release()
		r.begin()
		synctest.Wait()
		r.has(t, "it has ended", 0, 2)
		r.ends(true, 2)
	})
}

func TestSlots_EnterEndsWhenItIsStopped(t *testing.T) {
	s := newSlots(1)
	s.take()
	stop := make(chan struct{})
	close(stop)
	if s.enter(nil, stop) || s.enter(stop, nil) {
		t.Error("it entered without a slot")
	}
	s.release()
	if n := s.entering.Load(); n != 0 {
		t.Errorf("%d are still entering", n)
	}
}
