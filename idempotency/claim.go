package idempotency

import (
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// Claim is what an effect knows of its own right to run, and what it tells the ledger about its downstream.
type Claim struct {
	Key Key // as it is stored
	// Number grows with each claim of the key.
	Number int64
	// Uncertain says that an earlier run may have taken effect: look in the downstream before anything is sent.
	Uncertain bool
	// UncertainFor is the time, by the database's clock when the claim was made, since the last request that may have
	// taken effect.
	UncertainFor time.Duration
	// Accepted says that the downstream has taken an earlier request and gave no number yet: only look, never send
	// again. Only Release clears it.
	Accepted bool

	token  string
	sentAt time.Time // the database's time of what made it uncertain
	data   string    // of the row

	mu               sync.Mutex
	looked, accepted bool
}

// Accept says that the downstream has accepted the effect and gave no number. The mark is kept with the uncertain row,
// whatever error the effect then returns.
func (c *Claim) Accept() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = true
}

// Looked says that the downstream was asked, has nothing of the earlier runs, and will not have it any more: enough
// time has passed since the last of them. The uncertainty from before this claim is over, so that an error marked by
// event.NotDone leaves the effect Failed.
//
// Call it after the look and right before the send. An effect that must not send yet, because a request from before may
// still take effect, does not call it and returns an error marked by event.NotDone: the uncertainty then stays as old
// as it was. It does nothing on a claim that is Accepted.
func (c *Claim) Looked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = !c.Accepted
}

func (c *Claim) isAccepted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted || c.Accepted
}

// renewal returns the change that renews the lease.
func (c *Claim) renewal() change {
	o := c.change()
	o.state, o.accepted = InProgress, c.isAccepted()
	return o
}

// change returns one that only the owner of the claim can make.
func (c *Claim) change() change {
	return change{key: c.Key, owner: c.token, number: c.Number + 1, data: c.data}
}

// end returns what is recorded for an effect that returned res and err.
func (c *Claim) end(res Result, err error) change {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.change()
	old := c.Uncertain && !c.looked // what made it uncertain before is still open
	switch {
	case err == nil && res.State == Done:
		o.state, o.result = Done, res.Value
	case err == nil:
		o.state, o.result = res.State, res.Value
		o.accepted = c.Accepted
		if old {
			o.sent = c.sentAt.UnixMicro()
		}
	case event.IsNotDone(err) && !c.accepted && !old:
		o.state = Failed
	case event.IsNotDone(err) && !c.accepted:
		o.state, o.sent, o.accepted = Uncertain, c.sentAt.UnixMicro(), c.Accepted
	default:
		o.state, o.sent, o.accepted = Uncertain, sentNow, c.Accepted || c.accepted
	}
	o.reason, o.also = res.Reason, res.Changes
	if err != nil {
		o.reason, o.class = "", event.ClassOf(err)
	}
	return o
}

// maxText bounds what is kept of a downstream's words, in bytes.
const maxText = 2048

// Text returns s as the ledger stores a result or a reason, for a Projection that stores the same: valid UTF-8 without NUL, of
// at most 2048 bytes.
func Text(s string) string { return text(s, maxText) }

// text makes s storable: valid UTF-8 without NUL, of at most limit bytes. What downstreams send ends in these columns, and
// must never fail the transaction that it shares with others.
func text(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
