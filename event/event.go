// Package event is the vocabulary between the queue and the handlers: what an event is, how a handling of it may end,
// and why it may fail. It does no I/O and imports nothing of the project.
package event

import (
	"encoding/json"
	"time"
)

// Event is one thing that Magento says has happened. A delivery holds one, or several when its body is an array.
type Event struct {
	// ID is the message id that the publisher gave this publish. The same order published twice has two: it is
	// logged and never a key.
	ID string
	// Topic is the routing key that Magento published with, such as sales.order.placed.
	Topic string
	// Body is one JSON value, an object in all shapes that Magento makes, taken out of Magento's wrappings.
	Body json.RawMessage
	// Attempt counts from 1; deliveries that were put off through no fault of their own do not count.
	Attempt int
	// Published is when the publisher says it published; zero if it said nothing.
	Published time.Time
	// Repeat is true when an earlier handling of this message may have had an effect that nobody recorded: the broker
	// has redelivered it, it was replayed, or this is not its first attempt.
	Repeat bool
	// Replayed is true when the message came out of a dead-letter queue, and Reconciled when reconcile sent it:
	// both mean that what it asks for may have been done before the ledger knew.
	Replayed, Reconciled bool
}

// Outcome is how a handling that needs no further attempt ended. The values are those of the outcome label of
// mageline_deliveries_total.
type Outcome string

const (
	// Done means that what the event asks for was done by this handling.
	Done Outcome = "acked"
	// Duplicate means that it had been done before.
	Duplicate Outcome = "duplicate"
	// Skipped means that there is nothing to do for this event, and that a later one is looked at as ever.
	Skipped Outcome = "skipped"
	// Stale means that something newer had been done before.
	Stale Outcome = "stale"
)
