package handlers

import (
	"context"
	"errors"
	"strings"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
)

// orderComment is a comment that is written to an order once, for the shop's people only.
type orderComment struct {
	orders Orders
	ledger Ledger
	ref    event.Order
	lock   string // business key of the order: Magento loses one of two writes to it at the same moment
	key    idempotency.Key
	text   string
	status func(state string) string // set with it; nil for none
	// once is true for a text that an order never has twice. If its history shows it already, the ledger has forgotten
	// that it was written, or never knew.
	once bool
}

// write writes the comment if it is not there; before says that it was.
func (c orderComment) write(ctx context.Context, repeat bool) (before bool, err error) {
	res, before, err := c.ledger.DoHolding(ctx, orderLease(c.lock), c.key, repeat, func(ctx context.Context, claim *idempotency.Claim) (idempotency.Result, error) {
		result, err := c.effect(ctx, claim)
		var deferral *event.Deferral
		if err != nil && !errors.As(err, &deferral) && event.ClassOf(err).Poison() {
			// The ERP has done its part: that Magento does not take the comment must not make it a dead letter.
			zerolog.Ctx(ctx).Warn().Bool("journal", true).Err(err).Str("key", c.key.Key).Str("comment", c.text).
				Msg("Magento refuses the comment for good")
			return idempotency.Result{State: idempotency.Skipped, Reason: "Magento refuses the comment"}, nil
		}
		return result, err
	})
	return before || res.State == idempotency.Skipped, err
}

func (c orderComment) effect(ctx context.Context, claim *idempotency.Claim) (idempotency.Result, error) {
	o, err := find(ctx, c.orders, c.ref)
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	id := int64(o.EntityID)
	if c.once && c.times(o.StatusHistories) > 0 {
		return idempotency.Result{Value: c.text}, nil
	}
	if claim.Uncertain {
		there, err := c.orders.Comments(ctx, id)
		if err != nil {
			return idempotency.Result{}, event.NotDone(fromMagento(err))
		}
		// The same words may be there of another effect that wrote them: of an earlier cancellation of some lines.
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
	log := zerolog.Ctx(ctx).With().Str("key", c.key.Key).Int64("entity_id", id).Logger()
	comment := magentoapi.Comment{Text: c.text}
	if c.status != nil {
		comment.Status = c.status(string(o.State))
		if comment.Status == "" {
			log.Warn().Str("state", string(o.State)).Msg("ORDER_STATUS_EXPORTED has no status for the order's state: it stays as it is")
		}
	}
	err = fromMagento(c.orders.AddComment(ctx, id, comment))
	if comment.Status != "" && isRefusal(err) {
		log.Warn().Str("status", comment.Status).Str("state", string(o.State)).
			Msg("Magento refuses the status of ORDER_STATUS_EXPORTED for this state: the comment goes without it")
		comment.Status = ""
		err = fromMagento(c.orders.AddComment(ctx, id, comment))
	}
	if err != nil {
		return idempotency.Result{}, err
	}
	return idempotency.Result{Value: c.text}, nil
}

// times counts the comment in an order's history.
func (c orderComment) times(history []magentoapi.OrderStatusHistory) (n int) {
	for _, h := range history {
		if strings.TrimSpace(string(h.Comment)) == c.text {
			n++
		}
	}
	return n
}

// isRefusal reports that Magento has refused what was asked, for good.
func isRefusal(err error) bool {
	return err != nil && event.ClassOf(err) == event.Rejected && event.IsNotDone(err)
}
