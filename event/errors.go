package event

import (
	"errors"
	"fmt"
	"time"
)

// Class says why a handling failed. The delivery path decides by it alone whether an event is retried or dead-lettered.
type Class string

const (
	// Malformed is a body that can't be read: no JSON, too large, too deep.
	Malformed Class = "malformed"
	// Invalid is a body that can be read, and says something that can't be used.
	Invalid Class = "invalid"
	// NotFound is something the event names and that is not there, or not yet: events run ahead of commits.
	NotFound Class = "not_found"
	// Rejected is a downstream's definite refusal.
	Rejected Class = "rejected"
	// Unauthorized is a refused credential or a missing permission.
	Unauthorized Class = "unauthorized"
	// Throttled is a downstream that asks to be called later.
	Throttled Class = "throttled"
	// Unavailable is a downstream that fails or can't be reached.
	Unavailable Class = "unavailable"
	// Timeout is a downstream that did not answer in time.
	Timeout Class = "timeout"
	// Internal is a panic or a bug.
	Internal Class = "internal"
)

// Poison reports whether an event that failed so is dead-lettered at its first attempt.
func (c Class) Poison() bool {
	return c == Malformed || c == Invalid || c == Rejected
}

// Error is a failure with its class. Its text is for the person on call: it names the thing and what to do, and holds
// no secret and no personal data.
type Error struct {
	Class Class
	// Downstream is the remote API that the failure came from (magento, erp, search), or empty.
	Downstream string
	// RetryAfter is how long a Throttled downstream asks to be left alone; 0 if it did not say.
	RetryAfter time.Duration
	// Unreadable is true where the downstream has answered with success and what it answered can't be read: that tells of
	// who answers there, and not of the event. The delivery path has the downstream's circuit count it.
	Unreadable bool
	// Request names the request that a downstream has refused as Unauthorized, the same text each time that it is sent for
	// the event; empty where it is not known.
	Request string
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a class, with a text made as by fmt.Errorf.
func Errorf(class Class, format string, args ...any) error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// ClassOf gives the class of err: that of the first Error in it, Internal where there is none.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Internal
}

// errNotDone marks errors after which the effect certainly has not happened.
var errNotDone = errors.New("not done")

type notDoneError struct{ error }

func (e notDoneError) Unwrap() []error { return []error{e.error, errNotDone} }

// NotDone says of err that the effect which failed with it certainly has not happened: its request was never written,
// or was refused for good. Such an effect may be repeated without looking whether it was done. Every other error leaves
// that open. NotDone(nil) is nil.
func NotDone(err error) error {
	if err == nil {
		return nil
	}
	return notDoneError{err}
}

// IsNotDone reports whether err, or an error in it, was marked by NotDone.
func IsNotDone(err error) bool { return errors.Is(err, errNotDone) }

// Pick says how the delivery path picks the retry queue of a Deferral.
type Pick int

const (
	// Shortest is the retry queue with the shortest delay, whatever Wait says.
	Shortest Pick = iota
	// NotShorter is the shortest one that waits at least Wait; the longest if none does.
	NotShorter
	// NotLonger is the longest one that waits at most Wait; the shortest if none does.
	NotLonger
	// Nearest is the one whose delay is nearest to Wait.
	Nearest
)

// Deferral says that an event can't be handled now through no fault of its own: it waits, and no attempt is used.
type Deferral struct {
	// Reason names what it waits for, for the log and the operator.
	Reason string
	// Downstream is set where the wait is for one: a circuit that is open, or Postgres ("postgres").
	Downstream string
	// Busy is set where it waits for another handling of the same thing, which goes on: nobody need hear of it.
	Busy bool
	Wait time.Duration
	Pick Pick
	Err  error // may be nil
}

func (d *Deferral) Error() string {
	if d.Err != nil {
		return d.Reason + ": " + d.Err.Error()
	}
	return d.Reason
}

// Unwrap gives the cause, if there is one.
func (d *Deferral) Unwrap() error { return d.Err }

type keyedError struct {
	error
	key string
}

func (e keyedError) Unwrap() error { return e.error }

// WithKey adds the business key of the event to err, for the dead letter and the log. WithKey(nil, …) is nil.
func WithKey(err error, key string) error {
	if err == nil {
		return nil
	}
	return keyedError{err, key}
}

// KeyOf gives the business key that WithKey added, or "".
func KeyOf(err error) string {
	var e keyedError
	if errors.As(err, &e) {
		return e.key
	}
	return ""
}

type effectError struct {
	error
	effect string
}

func (e effectError) Unwrap() error { return e.error }

// WithEffect adds to err which effect of the event failed with it. WithEffect(nil, …) is nil.
func WithEffect(err error, effect string) error {
	if err == nil {
		return nil
	}
	return effectError{err, effect}
}

// EffectOf gives the effect that WithEffect added, or "".
func EffectOf(err error) string {
	var e effectError
	if errors.As(err, &e) {
		return e.effect
	}
	return ""
}
