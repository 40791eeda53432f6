// Package event is the vocabulary between the delivery path and the handlers: what an event is (Event), how its handling may end
// (Outcome), why it may fail (Error and its Class) and when it must wait (Deferral). It decodes the bodies that Magento and other
// publishers send (Decode, ParseOrder, ParseTracking), and says what the answers of HTTP APIs mean. It does no I/O and imports
// nothing of the project.
package event

import (
	"encoding/json"
	"time"
)

// Event is one thing that has happened in the shop. A message holds one or, if its body is an array, several.
type Event struct {
	// ID is the message's property message_id. It names a publish: an order that is published twice has two. It is logged and
	// never used as a key.
	ID string
	// Topic is the routing key of the publish, such as sales.order.placed.
	Topic string
	// Body is the JSON object of the event, without what a publisher has wrapped around it: see Decode.
	Body json.RawMessage
	// Attempt counts from 1. A delivery that was deferred does not count.
	Attempt int
	// Published is the time of the publish, where the message has one; else zero.
	Published time.Time
	// Repeat is true when an earlier handling of this message may have had an effect that was not recorded: it is a
	// redelivery, it was replayed or deferred, or this is not its first attempt.
	Repeat bool
	// Replayed is true when the message was replayed from a dead-letter queue, Reconciled when reconcile published it. In both
	// cases its effects may have happened before the ledger recorded them.
	Replayed, Reconciled bool
}

// Outcome is how a handling that did not fail ended. The values are those of the label outcome of mageline_deliveries_total.
type Outcome string

const (
	// Done means that this handling did what the event asks for.
	Done Outcome = "acked"
	// Duplicate means that an earlier handling had done it.
	Duplicate Outcome = "duplicate"
	// Skipped means that there is nothing to do for this event. A later event is handled as usual.
	Skipped Outcome = "skipped"
	// Stale means that a newer event had been handled before.
	Stale Outcome = "stale"
)
