package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// padded is the body of a message n of so many bytes.
func padded(n, size int) string {
	head := fmt.Sprintf(`{"n":%d,"padding":"`, n)
	return head + strings.Repeat("x", size-len(head)-2) + `"}`
}

// The prefetch stays below the share of MEMORY_LIMIT divided by the largest body.
func TestBudget_BoundsThePrefetch(t *testing.T) {
	t.Parallel()
	const size, messages = 1 << 20, 40
	var most, handled atomic.Int64
	var r *rig
	r = newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
		if held := int64(r.unacked(messages)); held > most.Load() {
			most.Store(held)
		}
		handled.Add(1)
		return event.Done, nil
	})
	r.opts.Prefetch, r.opts.Concurrency = 32, 1
	r.opts.MemoryLimit = 8 * size
	gate := newBreaker("erp", circuit.Open)
	r.opts.Circuits, r.opts.Consumers[0].Needs = append(r.opts.Circuits, gate), []string{"erp"}
	r.start()
	for n := range messages {
		r.Publish(placed, padded(n, size))
	}
	r.eventually("all are there", func() bool { return r.Depth(r.Queue(orders)) == messages })
	gate.set(circuit.Closed)
	r.eventually("all are done", func() bool { return handled.Load() == messages })
	if n := most.Load(); n < 2 || n > 8 {
		t.Errorf("at most %d bodies were held at once, want 2 to 8", n)
	}
}

// Bodies that grow all of a sudden go back, and the consumer starts slowly again; a body larger than its whole share is
// handled all the same.
func TestBudget_RequeuesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	const size, small, large = 1 << 20, 200, 12
	release := make(chan struct{})
	var handled, begun atomic.Int64
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		if bytes.Contains(e.Body, []byte("padding")) && begun.Add(1) == 1 {
			<-release // the others gather behind it
		}
		handled.Add(1)
		return event.Done, nil
	})
	r.opts.Prefetch, r.opts.Concurrency = 8, 1
	r.opts.MemoryLimit = size - 1
	gate := newBreaker("erp", circuit.Open)
	r.opts.Circuits, r.opts.Consumers[0].Needs = append(r.opts.Circuits, gate), []string{"erp"}
	r.start()
	for n := range small {
		r.Publish(placed, numbered(n))
	}
	for n := range large {
		r.Publish(placed, padded(n, size))
	}
	r.eventually("all are there", func() bool { return r.Depth(r.Queue(orders)) == small+large })
	gate.set(circuit.Closed)
	r.eventually("what has not begun has gone back", func() bool { return r.settled(orders, "requeued") > 0 })
	close(release)
	r.eventually("all are done", func() bool { return r.settled(orders, "acked") == small+large })
	if n := handled.Load(); n != small+large {
		t.Errorf("%d were handled, of %d", n, small+large)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
