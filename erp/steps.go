package erp

import (
	"context"
	"fmt"
	"time"

	"github.com/mageline/mageline/event"
)

// Call is one effect on the ERP, as its caller runs it.
type Call struct {
	// Key is the idempotency key: the same whenever the same thing is sent.
	Key string
	// Attempt is what is known of the effect as a whole. It does not concern Create, whose caller looks first.
	Attempt
	// Steps keeps the outcome of each step; nil keeps nothing, as in a test.
	Steps Steps
}

// Do runs a step of the effect once: where an earlier attempt has done it, Do returns what that one returned. name is the
// step's, and the same in each attempt. run returns what later steps and later attempts need to know, such as a number or an
// id, as a short text.
//
// Where a.Uncertain, an earlier request may have been carried out. run then looks in the ERP, returns what it finds, and
// otherwise asks a.MayRepeat before it sends.
//
// Errors of run follow the rule of OrderConnector: event.NotDone only where this step has certainly not happened.
func (c Call) Do(ctx context.Context, name string, run func(ctx context.Context, a Attempt) (string, error)) (string, error) {
	if c.Steps == nil {
		return run(ctx, Attempt{})
	}
	return c.Steps.Do(ctx, name, run)
}

// Steps keeps what became of the steps of an effect. Its Do is that of Call. The ledger is behind it in mageline.
type Steps interface {
	Do(ctx context.Context, name string, run func(ctx context.Context, a Attempt) (string, error)) (string, error)
}

// Attempt is what is known of earlier attempts at an effect or a step.
type Attempt struct {
	// Uncertain is true where an earlier request may have been carried out: look in the ERP before anything is sent.
	Uncertain bool
	// For is the time since that request, by one clock.
	For time.Duration
	// Wait is how long after a request without an answer the ERP may still carry it out.
	Wait time.Duration
	// Looked, if set, notes that the ERP was asked and has nothing of the earlier request.
	Looked func()
}

// MayRepeat returns nil where the request may be sent again, because the ERP was asked, has nothing of the earlier one, and
// will not have it any more. Before that it returns an *event.Deferral. what names the request in its text. Call it right
// before the request is sent.
func (a Attempt) MayRepeat(what string) error {
	if !a.Uncertain {
		return nil
	}
	if left := a.Wait - a.For; left > 0 {
		return event.NotDone(&event.Deferral{
			Reason: fmt.Sprintf("%s was sent to the ERP and not confirmed: it is only asked for %s more", what, left.Round(time.Second)),
			Wait:   left, Pick: event.NotLonger,
		})
	}
	if a.Looked != nil {
		a.Looked()
	}
	return nil
}
