package consumer

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/consumer/circuit"
)

// gate holds the reasons for which consumers are paused. A consumer is subscribed if and only if no reason covers it.
// The states of circuits are not copied here: they are asked each time.
type gate struct {
	circuits []circuit.Breaker

	mu      sync.Mutex
	holds   map[string]hold
	waiters map[chan struct{}]struct{}
}

// hold is a reason to pause that somebody adds and takes away.
type hold struct {
	consumer   string   // covers this one
	downstream string   // covers those that need it; neither: everybody
	needs      []string // the consumer's, of a refused credential
	text       string
	since      time.Time
	probeAt    time.Time // when a single message may try whether it is over; zero: never
}

func (h hold) covers(c *Consumer) bool {
	return h.consumer == "" && h.downstream == "" || h.consumer == c.Name || slices.Contains(c.Needs, h.downstream)
}

// standing is what the gate says of a consumer.
type standing struct {
	paused   bool
	reason   string // why, in words
	probe    bool   // every reason would let one message through, to see whether it is over
	halfOpen []circuit.Breaker
}

// Names of holds.
const (
	holdPostgres     = "postgres"
	holdDraining     = "draining"
	holdPublishing   = "publishing:"   // + consumer
	holdUnauthorized = "unauthorized:" // + consumer
	holdOperator     = "operator:"     // + consumer or downstream
)

func newGate(circuits []circuit.Breaker) *gate {
	g := &gate{circuits: circuits, holds: map[string]hold{}, waiters: map[chan struct{}]struct{}{}}
	for _, c := range circuits {
		c.OnChange(g.wake)
	}
	return g
}

// watch gives a channel that gets a value after each change, and a function that ends this.
func (g *gate) watch() (changed <-chan struct{}, end func()) {
	ch := make(chan struct{}, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiters[ch] = struct{}{}
	return ch, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.waiters, ch)
	}
}

func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ch := range g.waiters {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// hold adds a reason, or says it anew; it reports whether it was new.
func (g *gate) hold(name string, h hold) bool {
	g.mu.Lock()
	old, had := g.holds[name]
	if had {
		h.since = old.since
	} else {
		h.since = time.Now()
	}
	g.holds[name] = h
	g.mu.Unlock()
	if !had {
		g.wake()
	}
	return !had
}

// release takes a reason away; it reports since when it had been there.
func (g *gate) release(name string) (since time.Time, had bool) {
	g.mu.Lock()
	h, had := g.holds[name]
	delete(g.holds, name)
	g.mu.Unlock()
	if had {
		g.wake()
	}
	return h.since, had
}

// setPauses makes the operator's pauses these, name of a consumer or downstream to reason; it tells who watches once, if
// one has come or gone.
func (g *gate) setPauses(reasons map[string]string) {
	g.mu.Lock()
	changed := false
	for name := range g.holds {
		if of, ok := strings.CutPrefix(name, holdOperator); ok && reasons[of] == "" {
			delete(g.holds, name)
			changed = true
		}
	}
	for of, text := range reasons {
		h, had := g.holds[holdOperator+of]
		if !had {
			changed = true
			h = hold{consumer: of, downstream: of, since: time.Now()}
		}
		h.text = text
		g.holds[holdOperator+of] = h
	}
	g.mu.Unlock()
	if changed {
		g.wake()
	}
}

// operator gives the reason of an operator's pause that covers c.
func (g *gate) operator(c *Consumer) (text string, paused bool) {
	for _, of := range append([]string{c.Name}, c.Needs...) {
		if text, paused = g.held(holdOperator + of); paused {
			return text, true
		}
	}
	return "", false
}

// probeUnauthorized lets a message try at once whether credentials are accepted again: those of a consumer, or of all that
// need a downstream; "" is all.
func (g *gate) probeUnauthorized(of string) {
	g.mu.Lock()
	for name, h := range g.holds {
		if strings.HasPrefix(name, holdUnauthorized) && (of == "" || h.consumer == of || slices.Contains(h.needs, of)) {
			h.probeAt = time.Now()
			g.holds[name] = h
		}
	}
	g.mu.Unlock()
	g.wake()
}

func (g *gate) held(name string) (text string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h, ok := g.holds[name]
	return h.text, ok
}

func (g *gate) standing(c *Consumer) standing {
	s := standing{probe: true}
	var reasons []string
	for _, b := range g.circuits {
		if !slices.Contains(c.Needs, b.Name()) {
			continue
		}
		status := b.Status()
		switch status.State {
		case circuit.Closed:
			continue
		case circuit.HalfOpen:
			s.halfOpen = append(s.halfOpen, b)
		case circuit.Open:
			s.probe = false
		}
		state := status.State.String()
		if !status.Until.IsZero() {
			state += " until " + status.Until.UTC().Format(time.RFC3339)
		}
		reasons = append(reasons, "the circuit of "+b.Name()+" is "+state+": "+status.Reason)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.holds {
		if !h.covers(c) {
			continue
		}
		reasons = append(reasons, h.text)
		if h.probeAt.IsZero() || time.Now().Before(h.probeAt) {
			s.probe = false
		}
	}
	slices.Sort(reasons)
	s.paused = len(reasons) > 0
	s.probe = s.probe && s.paused
	s.reason = strings.Join(reasons, "; ")
	return s
}

// allClosed reports whether every circuit that c needs is closed.
func (g *gate) allClosed(c *Consumer) bool {
	for _, b := range g.circuits {
		if slices.Contains(c.Needs, b.Name()) && b.Status().State != circuit.Closed {
			return false
		}
	}
	return true
}
