// Package circuit is what a circuit breaker is to those who wait for its downstream: a typed state, changes of it, and the
// one probe that a half-open circuit lets through. It implements none; internal/downstream has one for each remote API.
package circuit

import (
	"context"
	"slices"
	"time"
)

// State is the state of a circuit breaker. The zero value is Closed.
type State int

const (
	// Closed lets every request through.
	Closed State = iota
	// HalfOpen lets only the requests of one probe through.
	HalfOpen
	// Open refuses every request.
	Open
)

// String returns closed, half-open or open.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half-open"
	case Open:
		return "open"
	}
	return "unknown"
}

// Status is a state and what is known of it.
type Status struct {
	State  State
	Reason string    // in words, for the log and the operator
	Until  time.Time // when an open circuit becomes half-open; zero if that is not known
}

// Breaker is the circuit breaker of one downstream. All its methods may be called from any goroutine.
type Breaker interface {
	// Name is the downstream's name.
	Name() string
	Status() Status
	// OnChange adds a function that is called, from any goroutine, after each change of the state. It must return at once.
	OnChange(f func())
	// Probe takes the permit of a half-open circuit. It returns false in any other state, and while another has the permit.
	Probe() (Probe, bool)
	// Unreadable reports that the last request of the handling with this context was answered with a success that can't be
	// read: it counts as a failure after all.
	Unreadable(ctx context.Context, why string)
}

// Probe is the permit of a half-open circuit. Requests whose context carries it (WithProbes) are let through. The first that
// fails opens the circuit again.
type Probe interface {
	// End returns the permit; it must be called once the probe's work has ended. The circuit is closed if at least one
	// request was answered and none failed. If there was no request, nothing is decided and the circuit stays half-open.
	End() (decided bool)
}

type contextKey struct{}

// WithProbes returns a context whose requests are those of the probes, of one circuit each.
func WithProbes(ctx context.Context, probes ...Probe) context.Context {
	return context.WithValue(ctx, contextKey{}, probes)
}

// Probes returns the probes that ctx carries.
func Probes(ctx context.Context) []Probe {
	probes, _ := ctx.Value(contextKey{}).([]Probe)
	return probes
}

// Carries reports whether ctx carries this probe.
func Carries(ctx context.Context, p Probe) bool { return slices.Contains(Probes(ctx), p) }
