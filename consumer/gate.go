package consumer

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/consumer/circuit"
)

// gate keeps the causes for which consumers are paused. A consumer is subscribed if and only if no cause covers it.
// The states of circuits are not copied here: they are asked each time.
type gate struct {
	circuits []circuit.Breaker

	mu      sync.Mutex
	causes  map[string]cause
	waiters map[chan struct{}]struct{}
}

// cause is a reason to pause that somebody adds and takes away. The zero value covers every consumer, without an end that it
// knows.
type cause struct {
	consumer   string   // covers this one
	downstream string   // covers those that need it; neither: everybody
	needs      []string // the consumer's, of a refused credential
	text       string
	since      time.Time
	probeAt    time.Time // when a single message may try whether it is over; zero: never
}

func (c cause) covers(of *Consumer) bool {
	return c.consumer == "" && c.downstream == "" || c.consumer == of.Name || slices.Contains(of.Needs, c.downstream)
}

// standing is what the gate says of a consumer.
type standing struct {
	paused   bool
	reason   string // why, in words
	probe    bool   // every reason would let one message through, to see whether it is over
	halfOpen []circuit.Breaker
}

// Names of causes.
const (
	causePostgres     = "postgres"
	causeDraining     = "draining"
	causePublishing   = "publishing:"   // + consumer
	causeUnauthorized = "unauthorized:" // + consumer
	causeOperator     = "operator:"     // + consumer or downstream
	causeOutage       = "outage:"       // + consumer
)

func newGate(circuits []circuit.Breaker) *gate {
	g := &gate{circuits: circuits, causes: map[string]cause{}, waiters: map[chan struct{}]struct{}{}}
	for _, c := range circuits {
		c.OnChange(g.wake)
	}
	return g
}

// watch returns a channel that has a value after each change, and a function that ends this.
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

// pause adds a cause, or replaces it; it reports whether it is new.
func (g *gate) pause(name string, c cause) bool {
	g.mu.Lock()
	old, had := g.causes[name]
	if had {
		c.since = old.since
	} else {
		c.since = time.Now()
	}
	g.causes[name] = c
	g.mu.Unlock()
	if !had {
		g.wake()
	}
	return !had
}

// resume takes a cause away; it reports since when it had been there.
func (g *gate) resume(name string) (since time.Time, had bool) {
	g.mu.Lock()
	c, had := g.causes[name]
	delete(g.causes, name)
	g.mu.Unlock()
	if had {
		g.wake()
	}
	return c.since, had
}

// setPauses makes the operator's pauses these, name of a consumer or downstream to reason; it tells who watches once, if
// one has come or gone.
func (g *gate) setPauses(reasons map[string]string) {
	g.mu.Lock()
	changed := false
	for name := range g.causes {
		if of, ok := strings.CutPrefix(name, causeOperator); ok && reasons[of] == "" {
			delete(g.causes, name)
			changed = true
		}
	}
	for of, text := range reasons {
		p, had := g.causes[causeOperator+of]
		if !had {
			changed = true
			p = cause{consumer: of, downstream: of, since: time.Now()}
		}
		p.text = text
		g.causes[causeOperator+of] = p
	}
	g.mu.Unlock()
	if changed {
		g.wake()
	}
}

// operator returns the reason of an operator's pause that covers c.
func (g *gate) operator(c *Consumer) (text string, paused bool) {
	for _, of := range append([]string{c.Name}, c.Needs...) {
		if text, paused = g.has(causeOperator + of); paused {
			return text, true
		}
	}
	return "", false
}

// probeUnauthorized lets a message try at once whether credentials are accepted again: those of a consumer, or of all that
// need a downstream; "" is all.
func (g *gate) probeUnauthorized(of string) {
	g.mu.Lock()
	for name, p := range g.causes {
		if strings.HasPrefix(name, causeUnauthorized) && (of == "" || p.consumer == of || slices.Contains(p.needs, of)) {
			p.probeAt = time.Now()
			g.causes[name] = p
		}
	}
	g.mu.Unlock()
	g.wake()
}

func (g *gate) has(name string) (text string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.causes[name]
	return p.text, ok
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
	for _, p := range g.causes {
		if !p.covers(c) {
			continue
		}
		reasons = append(reasons, p.text)
		if p.probeAt.IsZero() || time.Now().Before(p.probeAt) {
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

// permits takes those permits of the half-open circuits that c needs which are free.
func (g *gate) permits(c *Consumer) (permits []circuit.Probe) {
	for _, b := range g.circuits {
		if !slices.Contains(c.Needs, b.Name()) {
			continue
		}
		if p, ok := b.Probe(); ok {
			permits = append(permits, p)
		}
	}
	return permits
}
