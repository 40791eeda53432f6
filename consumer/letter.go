package consumer

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// maxEntryError bounds what a partial letter says of one entry.
const maxEntryError = 500

// entriesOf is one event of a message of a batch consumer.
type entriesOf struct {
	event event.Event
	count int // of its entries, which follow those of the event before it
}

// entryError is what a partial letter says of one of its entries.
type entryError struct {
	Index   int    `json:"index"`
	Message string `json:"message"`
}

// partialLetter returns the body of a letter with the rejected entries of a message, of which there is at least one, and an error
// that names the first and the number of the others. The events that have some are in it, in an array if they are several.
func partialLetter(h BatchHandler, events []entriesOf, rejected []Rejection) (body []byte, first error, err error) {
	first = rejected[0].Err
	if n := len(rejected) - 1; n > 0 {
		first = fmt.Errorf("%w (and %d more rejected)", first, n)
	}
	var bodies [][]byte
	base := 0
	for _, e := range events {
		var of []Rejection
		for len(rejected) > 0 && rejected[0].Index < base+e.count {
			r := rejected[0]
			r.Index -= base
			of = append(of, r)
			rejected = rejected[1:]
		}
		base += e.count
		if len(of) == 0 {
			continue
		}
		body, err := letterOf(h, e.event, of)
		if err != nil {
			return nil, nil, err
		}
		bodies = append(bodies, body)
	}
	body = bodies[0]
	if len(bodies) > 1 {
		body = append(append([]byte{'['}, bytes.Join(bodies, []byte{','})...), ']')
	}
	if len(body) > event.MaxBody {
		return nil, nil, fmt.Errorf("the partial letter has %d bytes, at most %d are read", len(body), event.MaxBody)
	}
	return body, first, nil
}

// letterOf returns the letter of one event. Its errors take the place of those that it may have from being rejected before.
func letterOf(h BatchHandler, e event.Event, rejected []Rejection) (body []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked as it made the partial letter (%T)", p)
		}
	}()
	letter, err := h.Letter(e, rejected)
	if err != nil {
		return nil, fmt.Errorf("make the partial letter: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(letter, &members); err != nil {
		return nil, fmt.Errorf("the partial letter is no JSON object: %w", err)
	}
	errs, row := make([]entryError, 0, len(rejected)), 0
	for _, r := range rejected {
		errs = append(errs, entryError{row, rabbitmq.Truncate(r.Err.Error(), maxEntryError)})
		row += max(1, r.Entry.Rows)
	}
	if members == nil {
		members = map[string]json.RawMessage{}
	}
	if members["errors"], err = json.Marshal(errs); err != nil {
		return nil, fmt.Errorf("make the partial letter: %w", err)
	}
	return json.Marshal(members)
}
