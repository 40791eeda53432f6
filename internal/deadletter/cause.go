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
	Help       string `json:"help"` // what usually helps, by Options.Help
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
	help  func(l Letter, queue, id string) string
	of    map[causeID]*Cause
	keys  map[uint64]struct{} // hashes of cause and key
	seed  maphash.Seed
}

type causeID struct {
	class, error string
	replayable   bool
	reason       string // only where it decides what helps
}

func newCauses(queue string, help func(l Letter, queue, id string) string) *causes {
	return &causes{queue: queue, help: help, of: map[causeID]*Cause{}, keys: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
}

func (c *causes) add(l Letter) {
	id := causeID{class: l.Class, error: commonError(l.Error), replayable: l.CanSucceed()}
	if l.Class == Unknown || l.Reason == CrashLoop {
		id.reason = l.Reason
	}
	one := c.of[id]
	if one == nil && len(c.of) >= maxCauses {
		id = causeID{class: Unknown, error: OtherErrors, replayable: true}
		one = c.of[id]
	}
	if one == nil {
		one = &Cause{Class: id.class, Error: id.error, Replayable: id.replayable, Help: c.help(l, c.queue, "ID")}
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
	text = strings.Join(strings.Fields(rabbitmq.Truncate(text, 2048)), " ")
	for _, d := range different {
		text = d.what.ReplaceAllString(text, d.by)
	}
	return rabbitmq.Truncate(text, maxCause)
}

// CrashLoop is the reason of a letter that has killed the process that handled it.
const CrashLoop = "crash_loop"

// CanSucceed is false for a letter that a replay can only make again: its body can't be read, or it names no order.
func (l Letter) CanSucceed() bool {
	return event.Class(l.Class) != event.Malformed && (event.Class(l.Class) != event.Invalid || l.Key != "")
}
