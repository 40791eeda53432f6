package downstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	breaker "github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
)

// The rules of docs/deliveries.md, "A downstream that is away" and "A downstream that asks for a pause".
const (
	// failureAge is how long a failure counts.
	failureAge = 5 * time.Minute
	// longThrottle is the wait above which a throttle is an open circuit whose end is known.
	longThrottle = 10 * time.Second
	// firstThrottle doubles up to lastThrottle for each 429 in a row that does not say how long to wait.
	firstThrottle, lastThrottle = 5 * time.Second, time.Minute
	// maxThrottle is the longest wait, whatever a Retry-After asks for: one of a day would stop every order for a day.
	maxThrottle = 15 * time.Minute
)

// kind is what a request does; a success forgets the failures of its own kind only, because a downstream that can
// still be read may be unable to write.
type kind bool

const (
	reading kind = false
	writing kind = true
)

// outcome is how a request ended. Failures of one message count once, those without a message each time.
type outcome struct {
	kind     kind
	handling uint64 // event.HandlingNumber
	message  string // of a failure
	failed   bool
	at       time.Time
}

// maxRecent is how many outcomes are remembered, besides as many as it takes to open the circuit: a success may turn out to
// be a failure for as long as its message is handled.
const maxRecent = 256

// circuit decides whether requests may go out. The state machine is gobreaker's; what is counted is ours, because it
// counts messages, not requests. All its methods may be called at once.
type circuit struct {
	name     string
	failures int // that open it; 0: never
	openFor  time.Duration
	gauge    prometheus.Gauge
	log      zerolog.Logger
	breaker  *gobreaker.TwoStepCircuitBreaker[any]

	mu         sync.Mutex
	stopped    bool
	state      gobreaker.State // of the breaker, without the throttle
	generation int             // counts the changes of state: the end of a request of an earlier one decides nothing
	reason     string          // of the state
	until      time.Time       // of the open state
	reopen     *time.Timer
	recent     []outcome // of this generation, oldest first
	probing    *probe    // the last one
	throttle   throttle
	listeners  []func()
}

// throttle is the wait that a 429 asked for.
type throttle struct {
	until  time.Time
	reason string
	long   bool // counts as an open circuit, until its timer says that it is over
	number int  // counts the throttles, so that the many 429 of one burst are one step
	steps  int  // in a row, without a Retry-After
	inARow int  // since the last success
	timer  *time.Timer
	ended  chan struct{} // closed when somebody ends the wait before its time
}

var (
	errFailed    = errors.New("failed")
	errUndecided = errors.New("undecided")
)

func newCircuit(name string, failures int, openFor time.Duration, gauge prometheus.Gauge, log zerolog.Logger) *circuit {
	c := &circuit{name: name, failures: failures, openFor: openFor, gauge: gauge, log: log}
	c.throttle.ended = make(chan struct{})
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name:          name,
		MaxRequests:   1,                                           // one probe at a time
		Timeout:       time.Nanosecond,                             // it leaves the open state when it is asked after that: halfOpen asks when it is time
		ReadyToTrip:   func(gobreaker.Counts) bool { return true }, // the breaker hears of a failure only when there were enough
		IsExcluded:    func(err error) bool { return errors.Is(err, errUndecided) },
		OnStateChange: func(_ string, _, to gobreaker.State) { c.enter(to) },
	})
	gauge.Set(0)
	return c
}

// enter follows the breaker into its new state. Everything that can change it is called with mu held.
func (c *circuit) enter(to gobreaker.State) {
	c.state = to
	c.generation++
	c.recent = nil
	switch to {
	case gobreaker.StateOpen:
		c.until = time.Now().Add(c.openFor)
		c.reopen = time.AfterFunc(c.openFor, c.halfOpen)
	case gobreaker.StateHalfOpen:
		c.until, c.reason = time.Time{}, "waiting for a probe after: "+c.reason
	case gobreaker.StateClosed:
		c.until, c.reason = time.Time{}, ""
	}
}

// halfOpen is called by the timer at the end of the open state.
func (c *circuit) halfOpen() { c.update(c.leaveOpen) }

// leaveOpen asks the breaker, which lets it move on from the open state. It is called with mu held.
func (c *circuit) leaveOpen() {
	if !c.stopped && c.breaker.State() == gobreaker.StateOpen { // opened in this very nanosecond
		c.reopen = time.AfterFunc(time.Millisecond, c.halfOpen)
	}
}

// resume ends every wait: that of a throttle, and that of the open state for its probe.
func (c *circuit) resume() {
	c.update(func() {
		c.throttle.until, c.throttle.long = time.Time{}, false
		close(c.throttle.ended)
		c.throttle.ended = make(chan struct{})
		for _, t := range []*time.Timer{c.reopen, c.throttle.timer} {
			if t != nil {
				t.Stop()
			}
		}
		if c.state == gobreaker.StateOpen {
			c.leaveOpen()
		}
	})
}

// update runs change with mu held, and calls the listeners when the state has changed by it.
func (c *circuit) update(change func()) {
	c.mu.Lock()
	state, _, until := c.effective()
	change()
	after, reason, end := c.effective()
	changed := after != state || !end.Equal(until)
	var listeners []func()
	if changed {
		listeners = append(listeners, c.listeners...)
		c.gauge.Set(map[gobreaker.State]float64{gobreaker.StateClosed: 0, gobreaker.StateHalfOpen: 1, gobreaker.StateOpen: 2}[after])
	}
	c.mu.Unlock()
	if !changed {
		return
	}
	log := c.log.With().Str("downstream", c.name).Str("state", after.String()).Str("reason", reason).Logger()
	if after == gobreaker.StateOpen {
		log.Warn().Str("event", "circuit_opened").Time("until", end).Msg("circuit open: calls are refused until a probe succeeds")
	} else {
		log.Info().Str("event", "circuit_changed").Msg("circuit changed")
	}
	for _, f := range listeners {
		f()
	}
}

// effective returns the state with the throttle in it: a long one is an open circuit whose end is known.
func (c *circuit) effective() (state gobreaker.State, reason string, until time.Time) {
	if c.throttle.long && c.throttle.until.After(c.until) {
		return gobreaker.StateOpen, c.throttle.reason, c.throttle.until
	}
	return c.state, c.reason, c.until
}

func (c *circuit) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, t := range []*time.Timer{c.reopen, c.throttle.timer} {
		if t != nil {
			t.Stop()
		}
	}
}

// ticket lets one request out.
type ticket struct {
	generation int
	throttle   int
	probe      *probe
	uncounted  bool // event.Uncounted
}

// pause is a wait that ends after a time, or when ended is closed.
type pause struct {
	left  time.Duration
	ended <-chan struct{}
}

// admit returns a ticket, or a wait (of a short throttle) after which to ask again, or the refusal. ctx is the request's: it
// may carry the probe.
func (c *circuit) admit(ctx context.Context) (t ticket, wait pause, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t = ticket{generation: c.generation, throttle: c.throttle.number, uncounted: event.Uncounted(ctx)}
	switch state, reason, until := c.effective(); state {
	case gobreaker.StateOpen:
		return t, pause{}, event.NotDone(&event.Deferral{
			Reason:     fmt.Sprintf("the circuit of %s is open until %s: %s", c.name, until.UTC().Format(time.RFC3339), reason),
			Downstream: c.name, Pick: event.Shortest,
		})
	case gobreaker.StateHalfOpen:
		if p := c.probing; p != nil && !p.ended && !p.failed && breaker.Carries(ctx, p) {
			t.probe = p
		} else {
			return t, pause{}, event.NotDone(&event.Deferral{
				Reason:     fmt.Sprintf("the circuit of %s is half-open, another message is its probe", c.name),
				Downstream: c.name, Pick: event.Shortest,
			})
		}
	}
	return t, pause{max(time.Until(c.throttle.until), 0), c.throttle.ended}, nil
}

// succeeded says that the downstream has answered a request of ticket t; refused, that it refused the credential, which is
// no failure, and does not show that it takes calls again.
func (c *circuit) succeeded(t ticket, k kind, handling uint64, refused bool) {
	c.update(func() {
		if t.throttle == c.throttle.number {
			c.throttle.steps = 0
			if !refused {
				c.throttle.inARow = 0
			}
		}
		switch {
		case t.uncounted:
		case t.probe != nil:
			t.probe.answered, t.probe.handling = true, handling
		case t.generation == c.generation:
			c.note(outcome{kind: k, handling: handling})
		}
	})
}

// failedWith says that a request of ticket t has failed. message is "" for a failure that counts in any case.
func (c *circuit) failedWith(t ticket, k kind, message, text string) {
	c.update(func() {
		switch {
		case c.failures == 0 || c.stopped || t.uncounted:
		case t.probe != nil:
			t.probe.fail(text)
		case t.generation == c.generation && c.state == gobreaker.StateClosed:
			c.note(outcome{kind: k, message: message, failed: true})
			c.judge(text)
		}
	})
}

// unreadable makes a failure of the last success of a handling.
func (c *circuit) unreadable(handling uint64, message, text string) {
	c.update(func() {
		if c.failures == 0 || c.stopped {
			return
		}
		if p := c.probing; p != nil && p.answered && p.handling == handling {
			p.fail(text)
			return
		}
		for i := len(c.recent) - 1; i >= 0; i-- {
			if o := &c.recent[i]; !o.failed && o.handling == handling {
				o.failed, o.message = true, message
				c.judge(text)
				return
			}
		}
	})
}

// note remembers an outcome. It is called with mu held.
func (c *circuit) note(o outcome) {
	most := maxRecent + 2*c.failures
	if len(c.recent) >= 2*most {
		c.recent = append(c.recent[:0], c.recent[len(c.recent)-most:]...)
	}
	o.at = time.Now()
	c.recent = append(c.recent, o)
}

// judge opens the circuit if there have been enough failures. It is called with mu held.
func (c *circuit) judge(text string) {
	if n := c.inARow(); n >= c.failures && c.state == gobreaker.StateClosed {
		c.reason = fmt.Sprintf("%d failures in a row, the last: %s", n, text)
		if done, err := c.breaker.Allow(); err == nil {
			done(errFailed)
		}
	}
}

// inARow counts the failures since the last success of their kind.
func (c *circuit) inARow() int {
	now := time.Now()
	n, messages, over := 0, map[string]bool{}, map[kind]bool{}
	for i := len(c.recent) - 1; i >= 0 && len(over) < 2; i-- {
		switch o := c.recent[i]; {
		case now.Sub(o.at) > failureAge:
			return n + len(messages)
		case !o.failed:
			over[o.kind] = true
		case over[o.kind]:
		case o.message == "":
			n++
		default:
			messages[o.message] = true
		}
	}
	return n + len(messages)
}

// throttles returns how many throttles there were since the last success; those of one burst are one.
func (c *circuit) throttles() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.throttle.inARow
}

// throttled says that the downstream has answered a request of ticket t with a throttle; asked is what it wants, 0 if it
// did not say. It returns how long all calls wait now.
func (c *circuit) throttled(t ticket, status int, asked time.Duration) time.Duration {
	var left time.Duration
	c.update(func() {
		th := &c.throttle
		now := time.Now()
		reason := fmt.Sprintf("it answered %d and asks for a pause of %s", status, asked.Round(time.Second))
		switch {
		case asked <= 0:
			reason = fmt.Sprintf("it answered %d and does not say for how long", status)
		case asked > maxThrottle:
			reason += fmt.Sprintf(", of which it gets %s", maxThrottle)
		}
		first := t.throttle == th.number // not the second of a burst
		if asked <= 0 {
			if first {
				asked = min(firstThrottle<<min(th.steps, 10), lastThrottle)
				th.steps++
			} else {
				asked = max(th.until.Sub(now), firstThrottle)
			}
		}
		if first {
			th.number++
			th.inARow++
		}
		if until := now.Add(min(asked, maxThrottle)); until.After(th.until) {
			th.until, th.reason = until, fmt.Sprintf("%s; `mageline resume %s` ends it", reason, c.name)
		}
		left = th.until.Sub(now)
		if left > longThrottle && !c.stopped {
			th.long = true
			if th.timer != nil {
				th.timer.Stop()
			}
			th.timer = time.AfterFunc(left, c.endThrottle)
		}
	})
	return left
}

func (c *circuit) endThrottle() {
	c.update(func() {
		left := time.Until(c.throttle.until)
		if left > 0 && c.throttle.long && !c.stopped { // it was lengthened as this timer fired
			c.throttle.timer = time.AfterFunc(left, c.endThrottle)
			return
		}
		c.throttle.long = false
	})
}

// probe is the permit of a half-open circuit.
type probe struct {
	circuit          *circuit
	done             func(error)
	ended            bool // and what follows is guarded by circuit.mu
	answered, failed bool
	handling         uint64 // of the requests that were answered
}

// fail opens the circuit again. It is called with circuit.mu held.
func (p *probe) fail(text string) {
	if p.ended || p.failed {
		return
	}
	p.failed = true
	p.circuit.reason = "the probe failed: " + text
	p.done(errFailed)
}

// permit takes the one permit of a half-open circuit.
func (c *circuit) permit() (*probe, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state, _, _ := c.effective(); c.stopped || state != gobreaker.StateHalfOpen {
		return nil, false
	}
	done, err := c.breaker.Allow()
	if err != nil {
		return nil, false // another message is the probe
	}
	c.probing = &probe{circuit: c, done: done}
	return c.probing, true
}

// End returns the permit and decides by what the probe's requests did.
func (p *probe) End() (decided bool) {
	p.circuit.update(func() {
		switch {
		case p.ended:
		case p.failed:
			decided = true // it was opened at once
		case p.answered:
			p.done(nil)
			decided = true
		default:
			p.done(errUndecided)
		}
		p.ended = true
	})
	return decided
}
