package deadletter

import (
	"cmp"
	"hash/maphash"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// Cause is a group of letters with one cause.
type Cause struct {
	Class string `json:"class"` // an event.Class, or Unknown
	// Error is the error without its numbers, ids and quoted values, at most 200 bytes.
	Error   string `json:"error"`
	Letters int    `json:"letters"`
	// Keys counts the distinct business keys among them. Where KeysAtLeast is set there may be more: a bound was reached.
	Keys        int       `json:"keys"`
	KeysAtLeast bool      `json:"keys_at_least,omitempty"`
	First       time.Time `json:"first,omitzero"` // when the first of them failed; zero if not known
	Last        time.Time `json:"last,omitzero"`
	// StillHappening is true if the last one failed less than 5 minutes ago.
	StillHappening bool `json:"still_happening"`
	// Replayable is false for letters that a replay can only make again.
	Replayable bool   `json:"replayable"`
	Help       string `json:"help"` // what usually helps
}

const (
	// happening bounds how long ago the last letter of a cause failed for the cause to be still happening.
	happening = 5 * time.Minute
	// maxCauses bounds the causes of a queue that are counted apart, and maxKeys the business keys over all of its causes.
	maxCauses = 200
	maxKeys   = 1 << 20
	maxCause  = 200
)

// OtherErrors is the error of the cause that gathers what comes after the first 200 causes of a queue.
const OtherErrors = "(other errors: there are too many to tell them apart)"

// causes groups the letters of one queue. Its memory is bounded: it has 8 bytes for each distinct business key of a cause, of
// which it counts a million at most.
type causes struct {
	queue string
	of    map[causeID]*Cause
	keys  map[uint64]struct{} // hashes of cause and key
	seed  maphash.Seed
}

type causeID struct {
	class, error string
	replayable   bool
	reason       string // only where it decides what helps
}

func newCauses(queue string) *causes {
	return &causes{queue: queue, of: map[causeID]*Cause{}, keys: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
}

func (c *causes) add(l Letter) {
	id := causeID{class: l.Class, error: commonError(l.Error), replayable: l.canSucceed()}
	if l.Class == Unknown || l.Reason == crashLoop {
		id.reason = l.Reason
	}
	one := c.of[id]
	if one == nil && len(c.of) >= maxCauses {
		id = causeID{class: Unknown, error: OtherErrors, replayable: true}
		one = c.of[id]
	}
	if one == nil {
		one = &Cause{Class: id.class, Error: id.error, Replayable: id.replayable, Help: l.help(c.queue, "ID")}
		if id.error == OtherErrors {
			one.Help = "look at them one by one"
		}
		c.of[id] = one
	}
	one.Letters++
	if l.Key != "" {
		c.count(one, id, l.Key)
	}
	if at := l.FailedAt; !at.IsZero() {
		if one.First.IsZero() || at.Before(one.First) {
			one.First = at
		}
		if at.After(one.Last) {
			one.Last = at
		}
	}
}

func (c *causes) count(one *Cause, id causeID, key string) {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, part := range []string{id.class, id.error, id.reason, key} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	sum := h.Sum64()
	if _, known := c.keys[sum]; known {
		return
	}
	if len(c.keys) == maxKeys {
		one.KeysAtLeast = true
		return
	}
	c.keys[sum] = struct{}{}
	one.Keys++
}

// list returns the causes, the one with the newest letter first.
func (c *causes) list(now time.Time) []Cause {
	all := make([]Cause, 0, len(c.of))
	for _, one := range c.of {
		one.StillHappening = !one.Last.IsZero() && now.Sub(one.Last) < happening
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Class+a.Error, b.Class+b.Error))
	})
	return all
}

// different are the parts of an error that differ between letters of one cause, in the order in which they are replaced.
var different = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`"(?:[^"\\]|\\.)*"|“[^”]*”|«[^»]*»`), "<text>"},
	// An apostrophe inside of a word is no quotation mark. Twice, because two quotations that touch share a character.
	{regexp.MustCompile(`(^|[\s(\[{=:,;])'[^']*'($|[\s)\]}=:,;.])`), "$1<text>$2"},
	{regexp.MustCompile(`(^|[\s(\[{=:,;])'[^']*'($|[\s)\]}=:,;.])`), "$1<text>$2"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?`), "<time>"},
	{regexp.MustCompile(`[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}`), "<id>"},
	{regexp.MustCompile(`\b(?:\d+(?:\.\d+)?(?:ns|µs|us|ms|s|m|h))+\b`), "<n>"},
	{regexp.MustCompile(`\b[0-9]*\p{L}+[0-9]+\p{L}[\p{L}0-9]*\b|\b[0-9]+\p{L}[\p{L}0-9]*\b`), "<id>"}, // 3f9a, x1y2
	{regexp.MustCompile(`[0-9]+`), "<n>"},                                                             // also those of SO-1001 and V1
	{regexp.MustCompile(`<n>(?:[.,:]<n>)+`), "<n>"},
	{regexp.MustCompile(`(<\w+>)(?:[ ,]+(?:<\w+>))+`), "$1 …"}, // a list of some
}

// commonError returns the error with its variable parts replaced: the same for all letters of one cause.
func commonError(text string) string {
	text = strings.Join(strings.Fields(rabbitmq.Bounded(text, 2048)), " ")
	for _, d := range different {
		text = d.what.ReplaceAllString(text, d.by)
	}
	return rabbitmq.Bounded(text, maxCause)
}

// crashLoop is the reason of a letter that has killed the process that handled it.
const crashLoop = "crash_loop"

// canSucceed is false for a letter that a replay can only make again: its body can't be read, or it names no order.
func (l Letter) canSucceed() bool {
	return event.Class(l.Class) != event.Malformed && (event.Class(l.Class) != event.Invalid || l.Key != "")
}

// help returns what usually helps, for a person who has not seen such a letter before. queue is its dead-letter queue.
func (l Letter) help(queue, id string) string {
	keep := "keep it with `mageline dlq discard " + queue + " --id " + id + " --out FILE`"
	switch {
	case l.Reason == crashLoop:
		return "processes have died over it: look at their last lines in the log, and for OOMKilled; then replay it alone (--limit 1)"
	case event.Class(l.Class) == event.Malformed:
		return "can't be replayed with success: its body can't be read; tell whoever publishes it, have it sent again, and " + keep
	case !l.canSucceed():
		return "can't be replayed with success: it names no order; ask whoever publishes it which one is meant, publish that with `mageline publish`, and " + keep
	}
	switch event.Class(l.Class) {
	case event.Malformed: // above
	case event.Invalid:
		return "put right what the error names, in Magento, in the settings or with a corrected event (`mageline publish`), then replay"
	case event.NotFound:
		return "look whether it is there by now: if so replay, else " + keep
	case event.Rejected:
		return "put right what the error says, there where it was refused, then replay with --canary"
	case event.Unauthorized:
		return "put right the credential or permission that the error names (`mageline check`), then replay"
	case event.Throttled:
		return "replay slowly, with --rate; set the downstream's rate limit"
	case event.Unavailable, event.Timeout:
		return "passing: replay with --canary when /readyz shows that the downstream answers"
	case event.Internal:
		return "a fault of mageline: look for the letter's id in the log, report it, replay after the update"
	}
	if l.Queue == "" {
		return "it does not say where it was consumed: replay it with --to QUEUE"
	}
	return "the broker has dead-lettered it (" + cmp.Or(l.Reason, "it does not say why") + "): `mageline check` finds policies and queues that do, then replay"
}
