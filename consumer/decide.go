package consumer

import (
	"errors"
	"time"

	"github.com/mageline/mageline/event"
)

// action is what becomes of a delivery.
type action int

const (
	acknowledge action = iota
	retry              // to the retry queue of the next delay; an attempt is used
	postpone           // to a retry queue, attempts unchanged; or requeued, see verdict.held
	deadLetter
	requeue
)

// The values of x-mageline-reason.
const (
	reasonPoison    = "poison"
	reasonExhausted = "exhausted"
	reasonCrashLoop = "crash_loop"
)

// maxDeaths is how many processes a message may kill while it is handled alone: any other death may be a neighbour's doing.
const maxDeaths = 3

// maxRefusals is how often one request of a message may be refused as unauthorized, with a success of its consumer between each
// two: a front that guards against robots, or Magento under load (magento2 issue 38426), refuses one call in three at random.
const maxRefusals = 3

// facts are all that the decision rests on.
type facts struct {
	err     error
	outcome event.Outcome // if err is nil
	attempt int           // counts from 1
	deaths  int           // of processes while they handled the message with nothing else in flight
	delays  []time.Duration
	// circuitsClosed: every circuit that the consumer needs is closed now, after the attempt.
	circuitsClosed bool
	// refusals is how often the message was refused as unauthorized, if it was this time: those of one request count, with a
	// success of the consumer between each two. freshRefusal: this one counts.
	refusals     int
	freshRefusal bool
	// cut: the handler was cancelled by a shutdown.
	cut bool
}

type verdict struct {
	action action
	delay  time.Duration // of retry and postpone
	class  event.Class
	reason string // of deadLetter
	// quiet: another handling has the key, and goes on.
	quiet bool
	// held: what a postpone waits for pauses the consumer, or is another handling that goes on, so that the message is better
	// requeued once nothing is subscribed.
	held     bool
	refusals int // as in facts, of an unauthorized postpone
	// what the gate is told
	postgresAway, unauthorized bool
}

// decide is the only place that turns the end of a handling into what becomes of the message.
func decide(f facts) verdict {
	if f.err == nil {
		return verdict{action: acknowledge}
	}
	if f.deaths >= maxDeaths {
		return verdict{action: deadLetter, class: event.Internal, reason: reasonCrashLoop}
	}
	if f.cut {
		return verdict{action: requeue}
	}
	var deferral *event.Deferral
	if errors.As(f.err, &deferral) {
		return verdict{
			action:       postpone,
			delay:        pick(f.delays, deferral.Pick, deferral.Wait),
			quiet:        deferral.Busy,
			held:         deferral.Downstream != "" || deferral.Busy,
			postgresAway: deferral.Downstream == "postgres",
		}
	}
	class := event.ClassOf(f.err)
	if class == event.Unauthorized && f.refusals >= maxRefusals {
		class = event.Rejected // others of its kind pass: it is this message
	}
	switch {
	case class.Poison():
		return verdict{action: deadLetter, class: class, reason: reasonPoison}
	case class == event.Unauthorized:
		delay := pick(f.delays, event.Shortest, 0) // as of a probe that failed: nothing has passed since
		if f.freshRefusal {
			delay = f.delays[min(f.refusals, len(f.delays))-1]
		}
		return verdict{action: postpone, delay: delay, class: class, unauthorized: true, refusals: f.refusals}
	case class == event.Throttled:
		var e *event.Error
		errors.As(f.err, &e)
		return verdict{action: postpone, delay: pick(f.delays, event.NotShorter, e.RetryAfter), class: class}
	case (class == event.Unavailable || class == event.Timeout) && !f.circuitsClosed:
		return verdict{action: postpone, delay: pick(f.delays, event.Shortest, 0), class: class, held: true}
	case f.attempt > len(f.delays):
		return verdict{action: deadLetter, class: class, reason: reasonExhausted}
	default:
		return verdict{action: retry, delay: f.delays[f.attempt-1], class: class}
	}
}

// pick chooses among the delays, of which there is at least one.
func pick(delays []time.Duration, how event.Pick, wait time.Duration) time.Duration {
	shortest, longest := delays[0], delays[0]
	for _, d := range delays {
		shortest, longest = min(shortest, d), max(longest, d)
	}
	best := shortest
	switch how {
	case event.NotShorter:
		best = longest
		for _, d := range delays {
			if d >= wait && d < best {
				best = d
			}
		}
	case event.NotLonger:
		for _, d := range delays {
			if d <= wait && d > best {
				best = d
			}
		}
	case event.Nearest:
		for _, d := range delays {
			if (d - wait).Abs() < (best - wait).Abs() {
				best = d
			}
		}
	case event.Shortest:
	}
	return best
}

// foldErrors makes one end of those of the events of one message: any transient failure and the message is tried again,
// else any poison and all of it is dead-lettered; the ledger keeps what is done from being repeated.
func foldErrors(errs []error) error {
	var transient, deferral, poison error
	for _, err := range errs {
		if err == nil {
			continue
		}
		var d *event.Deferral
		switch {
		case errors.As(err, &d):
			deferral = cmpErr(deferral, err)
		case event.ClassOf(err).Poison():
			poison = cmpErr(poison, err)
		default:
			transient = cmpErr(transient, err)
		}
	}
	return cmpErr(cmpErr(transient, deferral), poison)
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// foldOutcomes makes one outcome of those of the events of one message: the one that tells most.
func foldOutcomes(outcomes []event.Outcome) event.Outcome {
	for _, o := range []event.Outcome{event.Done, event.Stale, event.Duplicate, event.Skipped} {
		for _, have := range outcomes {
			if have == o {
				return o
			}
		}
	}
	return event.Done
}
