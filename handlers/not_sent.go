package handlers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/mapping"
)

// Circuit is what NotSent asks of a downstream's circuit.Breaker.
type Circuit interface {
	Status() circuit.Status
	Probe() (circuit.Probe, bool)
}

// NotSent tells Magento, in a comment, of orders whose delivery was dead-lettered: the shop's people look there, not here
// (ORDER_COMMENT_FAILED). It does its best and is in the way of no message: what it can't write in some tries, or before the
// process ends, stays unwritten.
type NotSent struct {
	Orders  Orders
	Ledger  Ledger
	Rules   OrderRules
	Magento Circuit
	Paused  func() bool // an operator has paused Magento
	Log     zerolog.Logger
	// Every is how often it looks whether there is something to write; 0 is 2 s.
	Every time.Duration

	mu      sync.Mutex
	pending []failedOrder
	dropped int // since it was last said, for want of room
}

const (
	// notSentKeys is the consumer under which the ledger has the comments: under that of the delivery they would be effects
	// of it, which a canary looks at.
	notSentKeys = "order_comment_failed"
	// maxPending bounds the orders that wait for their comment.
	maxPending = 1000
	// maxNotSentTries is how often one comment is tried while Magento can be called, with waits that double up to
	// maxNotSentWait: about half an hour in all.
	maxNotSentTries = 12
	maxNotSentWait  = 5 * time.Minute
	// notSentTimeout is for one comment, the read before it included.
	notSentTimeout = time.Minute
	// notSentAtEnd is for those that are pending when the process ends.
	notSentAtEnd = 3 * time.Second
	// maxReason is how many characters of the reason a comment has.
	maxReason = 200
)

// failedOrder is an order whose delivery was dead-lettered.
type failedOrder struct {
	consumer string
	order    event.Order
	cause    string // the same for errors that differ in numbers and ids only
	reason   string
	tries    int
	next     time.Time // not before
}

// Note takes note of an event of a dead letter, if it names an order. It returns at once.
func (n *NotSent) Note(consumer string, e event.Event, err error) {
	var deferral *event.Deferral
	if err == nil || errors.As(err, &deferral) {
		return
	}
	order, parseErr := event.ParseOrder(e.Body)
	if parseErr != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pending) >= maxPending {
		n.dropped++
		return
	}
	n.pending = append(n.pending, failedOrder{consumer: consumer, order: order, cause: causeOf(err), reason: reasonOf(err)})
}

var (
	changing  = regexp.MustCompile(`\S*\d\S*`)
	emailLike = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;:]+`)
)

// causeOf names what an error has in common with others of its kind.
func causeOf(err error) string {
	sum := sha256.Sum256([]byte(changing.ReplaceAllString(err.Error(), "#")))
	return fmt.Sprintf("%s %x", event.ClassOf(err), sum[:6])
}

// reasonOf gives an error's text for a comment. Errors hold no personal data; what a remote API has said in its own words may
// have an address in it all the same.
func reasonOf(err error) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(err.Error(), ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	text := []rune(emailLike.ReplaceAllString(strings.Join(words, " "), "***"))
	if len(text) > maxReason {
		text = append(text[:maxReason-1], '…')
	}
	return string(text)
}

// Run writes the comments until ctx ends, and then those that are pending, for a moment.
func (n *NotSent) Run(ctx context.Context) {
	if n.Every == 0 {
		n.Every = 2 * time.Second
	}
	tick := time.NewTicker(n.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.write(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), notSentAtEnd)
			defer cancel()
			n.write(last)
			if left := n.left(); left > 0 {
				n.Log.Warn().Str("event", "order_comments_dropped").Int("orders", left).
					Msg("dead-lettered orders of which Magento was not told before the end: see `mageline dlq list`")
			}
			return
		}
	}
}

// write writes what is due, one after the other, while Magento can be called.
func (n *NotSent) write(ctx context.Context) {
	for ctx.Err() == nil {
		probing, end, ok := n.open(ctx)
		if !ok {
			return
		}
		f, ok := n.due()
		if !ok {
			end()
			return
		}
		err := n.comment(probing, f)
		end()
		if err != nil && ctx.Err() != nil {
			n.keep(f) // cut off by the end of the process, so it is no try: what time is left at the end is for it too
			return
		}
		n.retry(f, err)
	}
}

// left gives the number of those that are pending.
func (n *NotSent) left() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pending)
}

// open reports whether Magento can be called now. A half-open circuit is probed: where no message comes that could do it, the
// comment would wait for ever.
func (n *NotSent) open(ctx context.Context) (probing context.Context, end func(), ok bool) {
	if n.left() == 0 || n.Paused() {
		return nil, nil, false
	}
	switch n.Magento.Status().State {
	case circuit.Closed:
		return ctx, func() {}, true
	case circuit.HalfOpen:
		probe, ok := n.Magento.Probe()
		if !ok {
			return nil, nil, false
		}
		return circuit.WithProbes(ctx, probe), func() { probe.End() }, true
	case circuit.Open:
	}
	return nil, nil, false
}

// due takes the first that is to be written now.
func (n *NotSent) due() (failedOrder, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dropped > 0 {
		n.Log.Warn().Str("event", "order_comments_dropped").Int("orders", n.dropped).
			Msg("dead-lettered orders of which Magento is not told: there were too many at once; see `mageline dlq list`")
		n.dropped = 0
	}
	now := time.Now()
	for i, f := range n.pending {
		if !f.next.After(now) {
			n.pending = append(n.pending[:i], n.pending[i+1:]...)
			return f, true
		}
	}
	return failedOrder{}, false
}

// retry keeps one that could not be written, if another try can help.
func (n *NotSent) retry(f failedOrder, err error) {
	if err == nil {
		return
	}
	log := n.Log.With().Str("consumer", f.consumer).Str("increment_id", string(f.order.IncrementID)).Int64("entity_id", int64(f.order.EntityID)).Logger()
	var deferral *event.Deferral
	deferred := errors.As(err, &deferral)
	switch class := event.ClassOf(err); {
	case deferred && deferral.Downstream != "": // it, or Postgres, is away
	case !deferred && (class.Poison() || class == event.NotFound):
		log.Debug().Str("event", "order_comment_not_written").Err(err).Msg("there is no order to write the comment of a dead letter to")
		return
	default:
		f.tries++
	}
	if f.tries >= maxNotSentTries {
		log.Warn().Str("event", "order_comment_not_written").Err(err).Msg("Magento could not be told of a dead-lettered order")
		return
	}
	f.next = time.Now().Add(min(n.Every<<f.tries, maxNotSentWait))
	n.keep(f)
}

func (n *NotSent) keep(f failedOrder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending = append(n.pending, f)
}

func (n *NotSent) comment(ctx context.Context, f failedOrder) error {
	ctx, cancel := context.WithTimeout(n.Log.With().Str("consumer", f.consumer).Logger().WithContext(ctx), notSentTimeout)
	defer cancel()
	o, err := find(ctx, n.Orders, f.order)
	if err != nil {
		return err
	}
	key, err := mapping.BusinessKey(n.Rules.Key, o)
	if err != nil {
		return err
	}
	if f.consumer == OrderPlaced {
		created, known, err := n.Ledger.Lookup(ctx, idempotency.Key{Consumer: OrderPlaced, Key: key, Effect: effectCreate})
		switch {
		case err != nil:
			return err
		case !known:
		case created.State == idempotency.Done && (madeFor(created.Result) == 0 || madeFor(created.Result) == int64(o.EntityID)):
			return nil // it is in the ERP, by another event or before what failed: the comment of its document says so
		case created.State == idempotency.InProgress && !created.Expired:
			return &event.Deferral{Reason: fmt.Sprintf("order %s is on its way to the ERP (%s)", key, created.Owner)}
		}
	}
	comment := orderComment{
		orders: n.Orders, ledger: n.Ledger, ref: event.Order{EntityID: event.ID(o.EntityID)}, lock: key,
		// Without those of ORDER_STATUS_EXPORTED: the order is not exported.
		statuses: nil,
		key:      idempotency.Key{Consumer: notSentKeys, Key: key, Effect: f.consumer + " " + f.cause},
		text:     fmt.Sprintf("Not sent to %s: %s", n.Rules.ERPName, f.reason),
	}
	before, err := comment.write(ctx, false)
	if err == nil && !before {
		zerolog.Ctx(ctx).Info().Str("event", "order_comment_failed").Str("key", key).Int64("entity_id", int64(o.EntityID)).
			Msg("Magento was told that the order is not sent")
	}
	return err
}
