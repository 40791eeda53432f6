package consumer

import (
	"errors"
	"math/bits"
	"net/http"

	"github.com/mageline/mageline/event"
)

// batch is entries of one kind and the calls that are made of them: one with all, and where that fails as a whole over what is in
// it, others with fewer, one after the other, until the entry at fault is alone.
type batch[M any] struct {
	kind    string
	entries []place[M]
	keys    []string

	todo     []span     // to be called, the last one first
	now      span       // what is called
	calling  []place[M] // the entries of it
	repeated bool       // all of it was called a second time
	halving  bool
	failures int // in a row that may be the downstream's
}

// span is a part of a batch's entries.
type span struct{ from, to int }

// afterCall is what follows a call that failed as a whole.
type afterCall int

const (
	endCall    afterCall = iota // its entries have failed
	endBatch                    // and so have those that were to be called after them
	callAgain                   // the same again
	callHalves                  // each half by itself
)

// after says what follows a call of n entries that failed as a whole with err.
func (b *batch[M]) after(err error, n int, healthy bool) afterCall {
	switch faultOf(err) {
	case refused:
		b.failures = 0
		if n == 1 {
			return endCall
		}
		b.halving = true
		return callHalves
	case failed:
		b.failures++
		switch {
		case !healthy || b.failures > b.patience():
			return endBatch
		case n == 1:
			return endCall
		case !b.repeated && !b.halving:
			b.repeated = true
			return callAgain
		}
		b.halving = true
		return callHalves
	default:
		return endBatch
	}
}

// patience is how many calls in a row may fail while the entry at fault is looked for. One entry makes as many fail as the
// batch can be halved, a second and a third next to it a few more; a downstream that fails whatever it is sent makes all fail,
// and should not be called twice for each entry.
func (b *batch[M]) patience() int { return 2*bits.Len(uint(len(b.entries))) + 8 }

// fault says where a call's failure may lie.
type fault int

const (
	elsewhere fault = iota // in no entry: a throttle, a credential, an open circuit, a lost connection, a time-out
	refused                // in an entry: the call was understood, and refused for what is in it
	failed                 // in an entry, or in the downstream, which has answered that it failed; or in the handler
)

func faultOf(err error) fault {
	var deferral *event.Deferral
	if errors.As(err, &deferral) {
		return elsewhere
	}
	status := 0
	var e *event.Error
	if errors.As(err, &e) {
		status = e.Status
	}
	switch class := event.ClassOf(err); {
	case class.Poison():
		switch status {
		case 0, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return refused
		}
	case class == event.Unavailable && status >= http.StatusBadRequest, class == event.Internal:
		return failed
	}
	return elsewhere
}

// isPoison reports whether err is one that no repetition helps.
func isPoison(err error) bool {
	var deferral *event.Deferral
	return err != nil && !errors.As(err, &deferral) && event.ClassOf(err).Poison()
}
