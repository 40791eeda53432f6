package event

import (
	"errors"
	"fmt"
	"time"
)

// Class says what kind of failure it is. By it alone the delivery path decides whether an event is retried or dead-lettered.
type Class string

const (
	// Malformed is a body that can't be read: it is no JSON, too large or too deep.
	Malformed Class = "malformed"
	// Invalid is a body, or an object that it names, with content that can't be used.
	Invalid Class = "invalid"
	// NotFound means that what the event names is not there, or not yet: Magento publishes an event before it commits.
	NotFound Class = "not_found"
	// Rejected means that a downstream has refused this request for good.
	Rejected Class = "rejected"
	// Unauthorized means that a downstream refuses the credential, or that a permission is missing.
	Unauthorized Class = "unauthorized"
	// Throttled means that a downstream asks to be called later.
	Throttled Class = "throttled"
	// Unavailable means that a downstream fails or can't be reached.
	Unavailable Class = "unavailable"
	// Timeout means that a downstream did not answer in time.
	Timeout Class = "timeout"
	// Internal is a panic or a bug.
	Internal Class = "internal"
)

// Poison reports whether an event is dead-lettered at its first attempt: no repetition would help.
func (c Class) Poison() bool {
	return c == Malformed || c == Invalid || c == Rejected
}

// Error is a failure with its class. Its text is for the person on call: it names the object and the remedy. It contains no
// secret and no personal data.
type Error struct {
	Class Class
	// Downstream is the remote API that the failure came from (magento, erp, search), or empty.
	Downstream string
	// Status is the HTTP status of the answer that the failure was; 0 if none came, or if it does not matter.
	Status int
	// RetryAfter is how long a Throttled downstream asks callers to wait; 0 if it did not say.
	RetryAfter time.Duration
	// Unreadable is true if the downstream answered 2xx with a body that can't be read. Then something else than the API
	// answers at its address, and the delivery path counts the answer as a failure of the downstream's circuit.
	Unreadable bool
	// Request names a request that was refused as Unauthorized, with the same text each time that it is sent for the event;
	// empty if not known.
	Request string
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of a class, formatted as by fmt.Errorf.
func Errorf(class Class, format string, args ...any) error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// ClassOf returns the class of the first Error in err, or Internal without one.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Internal
}

// errNotDone marks an error after which the effect has certainly not happened.
var errNotDone = errors.New("not done")

type notDoneError struct{ error }

func (e notDoneError) Unwrap() []error { return []error{e.error, errNotDone} }

// NotDone marks err: the effect that failed with it has certainly not happened, because its request was never written or was
// refused for good. Such an effect may be repeated without a look-up. After any other error the effect may have happened.
// NotDone(nil) is nil.
func NotDone(err error) error {
	if err == nil {
		return nil
	}
	return notDoneError{err}
}

// MayBeDone returns err without the mark of NotDone, with the same class and text: the effect may have happened after all.
func MayBeDone(err error) error {
	if !IsNotDone(err) {
		return err
	}
	var d *Deferral
	if errors.As(err, &d) {
		own := *d
		own.Err = nil
		return &own
	}
	own := Error{Class: ClassOf(err), Err: errors.New(err.Error())}
	var e *Error
	if errors.As(err, &e) {
		own.Downstream, own.Status, own.RetryAfter, own.Unreadable, own.Request = e.Downstream, e.Status, e.RetryAfter, e.Unreadable, e.Request
	}
	return &own
}

// IsNotDone reports whether err, or an error in it, is marked by NotDone.
func IsNotDone(err error) bool { return errors.Is(err, errNotDone) }

// Pick says which retry queue the delivery path picks for a Deferral.
type Pick int

const (
	// Shortest is the one with the shortest delay. Wait has no effect.
	Shortest Pick = iota
	// NotShorter is the shortest delay of at least Wait; the longest of all if there is none.
	NotShorter
	// NotLonger is the longest delay of at most Wait; the shortest of all if there is none.
	NotLonger
	// Nearest is the delay nearest to Wait.
	Nearest
)

// Deferral is an error of a handling that can't succeed now, through no fault of the event. The delivery path defers the
// message: it comes again later, and no attempt is used.
type Deferral struct {
	// Reason names what it waits for, for the log and the operator.
	Reason string
	// Downstream is set if the event waits for a downstream: its circuit is open; or for Postgres ("postgres").
	Downstream string
	// Busy is set if another handling has the business key. Then the deferral is logged at debug only.
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

// Unwrap returns the cause, or nil.
func (d *Deferral) Unwrap() error { return d.Err }

type keyedError struct {
	error
	key string
}

func (e keyedError) Unwrap() error { return e.error }

// WithKey adds the business key of the event to err, for the dead letter and the log. WithKey of nil is nil.
func WithKey(err error, key string) error {
	if err == nil {
		return nil
	}
	return keyedError{err, key}
}

// KeyOf returns the business key that WithKey added, or "".
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

// WithEffect adds the name of the effect that failed to err. WithEffect of nil is nil.
func WithEffect(err error, effect string) error {
	if err == nil {
		return nil
	}
	return effectError{err, effect}
}

// EffectOf returns the effect that WithEffect added, or "".
func EffectOf(err error) string {
	var e effectError
	if errors.As(err, &e) {
		return e.effect
	}
	return ""
}
