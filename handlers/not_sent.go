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

// Circuit is what NotSent needs of a downstream's circuit.Breaker.
type Circuit interface {
	Status() circuit.Status
	Probe() (circuit.Probe, bool)
}

// NotSent writes a comment in Magento on each order whose message was dead-lettered, for the shop's people (ORDER_COMMENT_FAILED). It
// is best effort and delays no message: a comment that can't be written in some tries, or before the process ends, is dropped.
type NotSent struct {
	Orders  Orders
	Ledger  Ledger
	Rules   OrderRules
	Magento Circuit
	Paused  func() bool // an operator has paused Magento
	Log     zerolog.Logger
	// Every is how often it checks whether a comment is due; 0 is 2 s.
	Every time.Duration

	mu      sync.Mutex
	pending []failedOrder
	dropped int // since the last line of the log about it: there were too many
}

const (
	// notSentKeys is the consumer of the comments' rows in the ledger. Under the consumer of the delivery they would be
	// effects of it, which a canary waits for.
	notSentKeys = "order_comment_failed"
	// maxPending bounds the orders that wait for their comment.
	maxPending = 1000
	// maxNotSentTries is how often one comment is tried while Magento can be called, with waits that double up to
	// maxNotSentWait: about half an hour in all.
	maxNotSentTries = 12
	maxNotSentWait  = 5 * time.Minute
	// notSentTimeout bounds one comment, with the read before it.
	notSentTimeout = time.Minute
	// notSentAtEnd bounds the writing of pending comments at the end of the process.
	notSentAtEnd = 3 * time.Second
	// maxReason bounds the reason in a comment, in characters.
	maxReason = 200
)

// failedOrder is an order whose message was dead-lettered.
type failedOrder struct {
	consumer string
	order    event.Order
	cause    string // the same for errors that differ in numbers and ids only
	reason   string
	tries    int
	next     time.Time // not before
}

// Note adds the event of a dead letter, if it names an order. It does not block.
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

// causeOf returns the part of an error that is the same for others of its kind.
func causeOf(err error) string {
	sum := sha256.Sum256([]byte(changing.ReplaceAllString(err.Error(), "#")))
	return fmt.Sprintf("%s %x", event.ClassOf(err), sum[:6])
}

// reasonOf returns the text of an error for a comment. Errors have no personal data, but the text of a remote API in them may have an
// address.
func reasonOf(err error) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(err.Error(), ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	text := []rune(emailLike.ReplaceAllString(strings.Join(words, " "), "***"))
	if len(text) > maxReason {
		text = append(text[:maxReason-1], '…')
	}
	return string(text)
}

// Run writes comments until ctx ends, and then those that are pending, for at most notSentAtEnd.
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

// write writes the comments that are due, one after the other, while Magento can be called.
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
			n.keep(f) // cut by the end of the process, so it is no try: it is tried again in the time that is left
			return
		}
		n.retry(f, err)
	}
}

// left returns how many are pending.
func (n *NotSent) left() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pending)
}

// open reports whether Magento can be called now. A half-open circuit is probed: if no message comes to do it, the comment would wait
// for ever.
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

// due returns the first one that is due.
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

// retry keeps a comment that could not be written, if another try can help.
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
		created, known, err := n.Ledger.Lookup(ctx, idempotency.Key{Consumer: OrderPlaced, Key: key, Effect: CreateEffect})
		switch {
		case err != nil:
			return err
		case !known:
		case created.State == idempotency.Done && (madeFor(created.Result) == 0 || madeFor(created.Result) == int64(o.EntityID)):
			return nil // the order is in the ERP, by another event or before the failure: another comment has its document
		case created.State == idempotency.InProgress && !created.Expired:
			return &event.Deferral{Reason: fmt.Sprintf("order %s is on its way to the ERP (%s)", key, created.Owner)}
		}
	}
	comment := orderComment{
		orders: n.Orders, ledger: n.Ledger, ref: event.Order{EntityID: event.ID(o.EntityID)}, lock: key,
		// Without the statuses of ORDER_STATUS_EXPORTED: the order is not exported.
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
