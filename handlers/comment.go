package handlers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Statuses are the statuses of comments on orders. Every comment has one: without it Magento up to 2.4.6 sets the order's status to
// NULL, and the order vanishes from the admin's grid (magento2 issue 34180). A nil *Statuses has none configured.
type Statuses struct {
	// Exported returns the status that is configured for a state, or "" (ORDER_STATUS_EXPORTED).
	Exported func(state string) string

	mu      sync.Mutex
	refused map[string]bool // those that a warning was logged for
}

// of returns the statuses that a comment may have, in the order in which to try them.
func (s *Statuses) of(o *magentoapi.Order) []string {
	var all []string
	if status := s.configured(string(o.State)); status != "" {
		all = append(all, status)
	}
	if present := string(o.Status); present != "" {
		return slices.Compact(append(all, present))
	}
	// The order has lost its status and is in no grid, or never had one: the status of its state brings it back. If Magento
	// refuses that, a comment without a status does no harm.
	if installed := magentoapi.InstalledStatuses(string(o.State)); len(installed) > 0 {
		all = append(all, installed[0])
	}
	return slices.Compact(append(all, ""))
}

func (s *Statuses) configured(state string) string {
	if s == nil || s.Exported == nil {
		return ""
	}
	return s.Exported(state)
}

// firstRefusal reports whether the status was not refused before in this process.
func (s *Statuses) firstRefusal(status string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused[status] {
		return false
	}
	if s.refused == nil {
		s.refused = map[string]bool{}
	}
	s.refused[status] = true
	return true
}

// orderComment is a comment that is written to an order once, for the shop's people only.
type orderComment struct {
	orders   Orders
	ledger   Ledger
	statuses *Statuses
	ref      event.Order
	lock     string // business key of the order: Magento loses one of two writes to it at the same moment
	key      idempotency.Key
	text     string
	// once is true for a text that an order never has twice. If its history has it already, the ledger has lost the row or
	// never had it.
	once bool
}

// write writes the comment once. before is true if an earlier handling had written it.
func (c orderComment) write(ctx context.Context, repeat bool) (before bool, err error) {
	res, before, err := c.ledger.Do(ctx, idempotency.Effect{Key: c.key, Repeat: repeat, Lease: orderLease(c.lock)}, func(ctx context.Context, claim *idempotency.Claim) (idempotency.Result, error) {
		result, err := c.effect(ctx, claim)
		var deferral *event.Deferral
		if err != nil && !errors.As(err, &deferral) && event.ClassOf(err).Poison() {
			// The document is in the ERP: a comment that Magento refuses must not make a dead letter.
			zerolog.Ctx(ctx).Warn().Str("event", "comment_refused").Bool("journal", true).Err(err).Str("key", c.key.Key).Str("comment", c.text).
				Msg("Magento refuses the comment for good")
			return idempotency.Result{State: idempotency.Skipped, Reason: "Magento refuses the comment"}, nil
		}
		return result, err
	})
	return before || res.State == idempotency.Skipped, err
}

func (c orderComment) effect(ctx context.Context, claim *idempotency.Claim) (idempotency.Result, error) {
	fields := []string{"state", "status"}
	if c.once {
		// The whole order: Magento fails to filter the fields of a history that a module has made no list.
		fields = append(fields, "status_histories")
	}
	o, err := find(ctx, c.orders, c.ref, fields...)
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	// A status that can't be read can't be kept: the comment would change it.
	if err := mapping.Require("state", "status").Check(o); err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	if c.once && c.times(o.StatusHistories) > 0 {
		return idempotency.Result{Value: c.text}, nil
	}
	if claim.Uncertain {
		there, err := c.orders.Comments(ctx, int64(o.EntityID))
		if err != nil {
			return idempotency.Result{}, event.NotDone(FromMagento(err))
		}
		// Another effect may have written the same text: an earlier cancellation of some lines.
		others, err := c.ledger.Rows(ctx, c.key.Consumer, c.key.Key)
		if err != nil {
			return idempotency.Result{}, event.NotDone(err)
		}
		written := 0
		for _, row := range others {
			if row.State == idempotency.Done && row.Result.Value == c.text {
				written++
			}
		}
		if c.times(there) > written {
			return idempotency.Result{Value: c.text}, nil
		}
		claim.Looked()
	}
	if err := c.send(ctx, o); err != nil {
		return idempotency.Result{}, err
	}
	return idempotency.Result{Value: c.text}, nil
}

// maxRounds bounds how often a comment is sent whose status is refused because the order's state changes at that moment.
const maxRounds = 3

// send adds the comment to the order, which was just read, with the first of its statuses that Magento accepts.
func (c orderComment) send(ctx context.Context, o *magentoapi.Order) error {
	for round := 1; ; round++ {
		taken, err := c.add(ctx, o)
		if err == nil {
			c.tell(ctx, o, taken)
			return nil
		}
		if !isRefusal(err) || round == maxRounds {
			return err
		}
		now, readErr := find(ctx, c.orders, event.Order{EntityID: event.ID(o.EntityID)}, "state", "status")
		if readErr != nil {
			return event.NotDone(readErr)
		}
		if now.State == o.State && now.Status == o.Status {
			return err // the comment itself is refused, or every status
		}
		o = now
	}
}

// add returns the status that Magento accepted with the comment.
func (c orderComment) add(ctx context.Context, o *magentoapi.Order) (taken string, err error) {
	for _, taken = range c.statuses.of(o) {
		err = FromMagento(c.orders.AddComment(ctx, int64(o.EntityID), magentoapi.Comment{Text: c.text, Status: taken}))
		if !isRefusal(err) {
			break
		}
	}
	return taken, err
}

// tell logs a warning for a status that was refused, and for an order that had none.
func (c orderComment) tell(ctx context.Context, o *magentoapi.Order, taken string) {
	log := zerolog.Ctx(ctx).With().Str("key", c.key.Key).Int64("entity_id", int64(o.EntityID)).Str("state", string(o.State)).Logger()
	// Only if Magento accepted the comment with another status, it was the status that it refused.
	configured := c.statuses.configured(string(o.State))
	if configured != "" && taken != configured && c.statuses.firstRefusal(configured) {
		log.Warn().Str("event", "status_refused").Str("status", configured).
			Msg("Magento refuses the status of ORDER_STATUS_EXPORTED: comments go with the one that the order has; see `mageline check`")
	}
	if o.Status == "" {
		log.Warn().Str("event", "order_without_status").Bool("journal", true).Str("status", taken).
			Msg("the order had no status, and was in no grid: it has the one that is named now; without one, Magento refuses to give it any")
	}
}

// times returns how often an order's history has the comment.
func (c orderComment) times(history []magentoapi.OrderStatusHistory) (n int) {
	for _, h := range history {
		if strings.TrimSpace(string(h.Comment)) == c.text {
			n++
		}
	}
	return n
}

// isRefusal reports whether Magento has refused the request for good.
func isRefusal(err error) bool {
	return err != nil && event.ClassOf(err) == event.Rejected && event.IsNotDone(err)
}
