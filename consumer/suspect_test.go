package consumer_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// register stands for the ledger's rows of suspects.
type register struct {
	mu     sync.Mutex
	died   bool // a process, over whatever is entered
	calls  []string
	refuse error
}

func (r *register) note(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *register) Enter(context.Context, string, string) (bool, int, error) {
	r.note("enter")
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.died, 0, r.refuse
}

func (r *register) Alone(context.Context, string, string) error  { r.note("alone"); return nil }
func (r *register) Defer(context.Context, string, string) error  { r.note("defer"); return nil }
func (r *register) Strike(context.Context, string, string) error { r.note("strike"); return nil }

func (r *register) have() (calls []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(calls, r.calls...)
}

func equal(a []string, b ...string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// returned puts a message into the queue as one that was delivered before.
func (r *rig) returned(body string) {
	r.t.Helper()
	r.Publish(placed, body)
	r.eventually("the message is in the queue", func() bool { return r.Depth(r.Queue(orders)) == 1 })
	r.channel(func(ch *amqp.Channel) error {
		d, _, err := ch.Get(r.Queue(orders), false)
		if err == nil {
			err = d.Nack(false, true)
		}
		return err
	})
}

// Only what was delivered before is entered, and each end but a deferral strikes it out.
func TestSuspect_IsEnteredAndStruckOut(t *testing.T) {
	t.Parallel()
	deferral := &event.Deferral{Reason: "not now"}
	for name, c := range map[string]struct {
		suspect bool
		ends    []error // one for each handling
		want    []string
	}{
		"done":                         {ends: []error{nil}, want: []string{"enter", "strike"}},
		"tried again, then new":        {ends: []error{event.Errorf(event.NotFound, "not yet"), nil}, want: []string{"enter", "strike"}},
		"dead-lettered":                {ends: []error{event.Errorf(event.Invalid, "no")}, want: []string{"enter", "strike"}},
		"a deferred one stays entered": {ends: []error{deferral, nil}, want: []string{"enter", "defer", "enter", "strike"}},
		"a suspect is deferred": {
			suspect: true, ends: []error{deferral, nil},
			want: []string{"enter", "alone", "defer", "enter", "alone", "strike"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suspects := &register{died: c.suspect}
			var handled atomic.Int64
			r := newRig(t, func(context.Context, event.Event) (event.Outcome, error) {
				err := c.ends[handled.Add(1)-1]
				return event.Done, err
			})
			r.opts.Suspects = suspects
			gate := newBreaker("erp", circuit.Open) // pauses the consumer until the message lies there
			r.opts.Circuits, r.opts.Consumers[0].Needs = append(r.opts.Circuits, gate), []string{"erp"}
			r.start()
			r.returned(numbered(1))
			gate.set(circuit.Closed)
			r.eventually("every handling has ended", func() bool { return handled.Load() == int64(len(c.ends)) })
			r.eventually("all is noted", func() bool { return len(suspects.have()) >= len(c.want) })
			r.eventually("all is settled", func() bool { return r.Status().Ready() && r.count("mageline_in_flight", "consumer", orders) == 0 })
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if got := suspects.have(); !equal(got, c.want...) {
				t.Errorf("noted %q, want %q", got, c.want)
			}
		})
	}
}

// A message that a living process has goes to the shortest retry queue, attempts unchanged, and is looked at again when it
// comes back, though nothing but our header then says that it was delivered before.
func TestSuspect_OfAnotherProcessIsDeferred(t *testing.T) {
	t.Parallel()
	suspects := &register{refuse: &event.Deferral{Reason: "another process has it"}}
	var handled atomic.Int64
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		handled.Add(1)
		if e.Attempt != 1 {
			t.Errorf("attempt %d", e.Attempt)
		}
		return event.Done, nil
	})
	r.opts.Suspects = suspects
	gate := newBreaker("erp", circuit.Open)
	r.opts.Circuits, r.opts.Consumers[0].Needs = append(r.opts.Circuits, gate), []string{"erp"}
	r.start()
	r.returned(numbered(1))
	gate.set(circuit.Closed)
	r.eventually("it has come back twice", func() bool { return len(suspects.have()) >= 3 })
	if n := handled.Load(); n != 0 {
		t.Errorf("it was handled %d times", n)
	}
	suspects.mu.Lock()
	suspects.refuse = nil
	suspects.mu.Unlock()
	r.eventually("it is done", func() bool { return r.settled(orders, "acked") == 1 })
	if n := r.settled(orders, "dead_lettered") + r.settled(orders, "retried"); n != 0 {
		t.Errorf("%d attempts were used", n)
	}
}

// A suspect is handled with nothing else in flight.
func TestSuspect_IsHandledAlone(t *testing.T) {
	t.Parallel()
	const suspect, others = 1, 6
	suspects := &register{died: true}
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	var inFlight, handled atomic.Int64
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		defer handled.Add(1)
		if number(e) == suspect {
			if n != 1 {
				t.Errorf("the suspect is handled beside %d others", n-1)
			}
			<-release
			if n := inFlight.Load(); n != 1 {
				t.Errorf("%d others began while the suspect was handled", n-1)
			}
		}
		return event.Done, nil
	})
	r.opts.Suspects = suspects
	gate := newBreaker("erp", circuit.Open)
	r.opts.Circuits, r.opts.Consumers[0].Needs = append(r.opts.Circuits, gate), []string{"erp"}
	r.start()
	t.Cleanup(free)
	r.returned(numbered(suspect))
	for n := range others {
		r.Publish(placed, numbered(n+2))
	}
	gate.set(circuit.Closed)
	r.eventually("the suspect is alone", func() bool { return equal(suspects.have(), "enter", "alone") })
	free()
	r.eventually("all are handled", func() bool { return handled.Load() == others+1 })
}

// Who goes on with what a process has begun that is gone may end as that process did.
func TestSuspect_IsFoundByATakeOver(t *testing.T) {
	t.Parallel()
	suspects := &register{}
	var handled atomic.Int64
	r := newRig(t, func(ctx context.Context, _ event.Event) (event.Outcome, error) {
		if handled.Add(1) == 1 {
			suspects.mu.Lock()
			suspects.died = true
			suspects.mu.Unlock()
			return event.Done, event.TakeOver(ctx)
		}
		return event.Done, nil
	})
	r.opts.Suspects = suspects
	r.start()
	r.Publish(placed, numbered(1))
	r.eventually("it is done", func() bool { return r.settled(orders, "acked") == 1 })
	want := []string{"enter", "defer", "enter", "alone", "strike"}
	if got := suspects.have(); !equal(got, want...) {
		t.Errorf("noted %q, want %q", got, want)
	}
}
