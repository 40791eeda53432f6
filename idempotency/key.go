package idempotency

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mageline/mageline/event"
)

// Key names an effect: what one consumer does for one business key.
type Key struct {
	Consumer string // order_placed
	Key      string // the business key, such as an order's number
	Effect   string // create, comment
}

func (k Key) String() string { return k.Consumer + ":" + k.Key + " " + k.Effect }

// Effect is what [Ledger.Do] runs once.
type Effect struct {
	Key Key
	// Repeat says that an earlier handling may have done it without leaving a row: the message was redelivered, replayed, or is
	// not at its first attempt. Without a row the claim is then uncertain.
	Repeat bool
	// Lease is the name of a lease, as of [Ledger.Lease], that the effect runs under; empty for none. It is taken in the
	// transaction of the claim and released in that of the finish. While another holds it, the effect does not run and Do
	// returns an *event.Deferral.
	Lease string
	// Data is what later handlings need to know of the effect, however it ends: a JSON object, or nil. It is in the row from
	// the claim on, and stays there unless the [Result] has other.
	Data json.RawMessage
}

// maxKey is the longest business key that is stored as it is, in bytes.
const maxKey = 200

// Stored returns the key as it is stored. A business key that is longer than 200 bytes is replaced by its hash; one that
// is empty, no valid UTF-8 or holds NUL is event.Invalid.
func (k Key) Stored() (Key, error) {
	for _, s := range []string{k.Consumer, k.Key, k.Effect} {
		if s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return k, event.Errorf(event.Invalid,
				"key %q is empty, no valid UTF-8 or holds a NUL: nothing can be remembered under it", text(k.String(), maxKey))
		}
	}
	if len(k.Key) > maxKey {
		sum := sha256.Sum256([]byte(k.Key))
		k.Key = "sha256:" + hex.EncodeToString(sum[:])
	}
	return k, nil
}

// maxData bounds the data of an effect, in bytes.
const maxData = 1 << 20

// storable returns data as Postgres can store it: a JSON string may hold a NUL, and its text may not.
func storable(data json.RawMessage) (string, error) {
	switch {
	case len(data) == 0:
		return "", nil
	case len(data) > maxData:
		return "", event.Errorf(event.Internal, "the data of an effect has %d bytes, and the ledger takes %d", len(data), maxData)
	case !json.Valid(data) || !utf8.Valid(data):
		return "", event.Errorf(event.Internal, "the data of an effect is no JSON")
	}
	text := string(data)
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if strings.HasPrefix(text[i:], `\u0000`) {
			text = text[:i] + `\ufffd` + text[i+len(`\u0000`):]
		}
		i++ // what is escaped begins no escape
	}
	return text, nil
}

// State is what the ledger knows of an effect.
type State string

const (
	// InProgress has an owner whose lease may or may not have passed.
	InProgress State = "in_progress"
	// Uncertain may have taken effect without our knowing: it is looked up before it is repeated.
	Uncertain State = "uncertain"
	// Failed has certainly not taken effect.
	Failed State = "failed"
	// Waiting is to be done later: its order may not go out yet.
	Waiting State = "waiting"
	// Skipped had nothing to do; a later event is looked at as ever.
	Skipped State = "skipped"
	// Done has taken effect, and its result is stored.
	Done State = "done"
)

// Result is how an effect that did not fail has ended.
type Result struct {
	State  State  // Done, which the zero value means too, Waiting or Skipped
	Value  string // what the effect gave: a document number
	Reason string // for people: why it waits or is skipped
	// Data is what later handlings need to know, as a JSON object of the caller's; nil leaves what [Effect] had. Nothing
	// that steers a handling belongs in a name or a reason.
	Data json.RawMessage
	// Changes are what else changes in the transaction that records the end, also of an effect that fails.
	Changes []Change
}

// Row is what the ledger holds of one effect.
type Row struct {
	Key      Key
	State    State
	Owner    string    // the process that claimed it last
	Number   int64     // of its last claim
	Lease    time.Time // until when an effect in progress is its owner's
	Expired  bool      // in progress, and its lease has passed by the database's clock
	Sent     time.Time // until when something sent may have taken effect unrecorded; zero if nothing may have
	Accepted bool
	Result   Result // State Waiting, Skipped or Done only; Data in every state; Changes is always nil
	Class    event.Class
	Created  time.Time
	Updated  time.Time
}
