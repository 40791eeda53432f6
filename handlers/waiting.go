package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// waitingPage is how many waiting orders one search reads.
const waitingPage = 100

// Waiting reads waiting orders again: an order may be able to go out without an event. One replica at a time runs it.
type Waiting struct {
	Orders Orders
	Ledger Ledger
	Book   OrderBook
	Export ExportRules
	Key    mapping.KeyRule
	Max    time.Duration // after which an order is abandoned
	// Send publishes an event to the queue of OrderPlaced and waits for the confirm.
	Send func(ctx context.Context, topic string, body []byte) error
}

// Run reads every waiting order once. It publishes an event for an order that waits no longer, which is handled like any other.
func (w *Waiting) Run(ctx context.Context) error {
	seen := map[idempotency.Key]bool{}
	for {
		page, err := w.Book.Waiting(ctx, waitingPage)
		if err != nil {
			return fmt.Errorf("list the waiting orders: %w", err)
		}
		// Orders that were read go to the end of the list. When the first of them comes again, the round is over.
		full := len(page) == waitingPage
		page = slices.DeleteFunc(page, func(o orderbook.Waiting) bool { return seen[o.Key] })
		full = full && len(page) == waitingPage
		if len(page) == 0 {
			return nil
		}
		for _, o := range page {
			seen[o.Key] = true
		}
		if err := w.look(ctx, page); err != nil {
			return err
		}
		if err := event.Progress(ctx); err != nil {
			return err
		}
		if !full {
			return nil
		}
	}
}

func (w *Waiting) look(ctx context.Context, page []orderbook.Waiting) error {
	log := zerolog.Ctx(ctx)
	ids := make([]string, 0, len(page))
	for _, o := range page {
		ids = append(ids, strconv.FormatInt(o.Order.EntityID, 10))
	}
	found, err := w.Orders.Search(ctx, magentoapi.SearchCriteria{PageSize: waitingPage}.Where(magentoapi.In("entity_id", ids...)))
	if err != nil {
		return fmt.Errorf("read %d waiting orders again: %w", len(page), FromMagento(err))
	}
	byID := make(map[int64]*magentoapi.Order, len(found.Items))
	for _, o := range found.Items {
		byID[int64(o.EntityID)] = o
	}
	looked := make(map[idempotency.Key]string, len(page))
	for _, waiting := range page {
		o, there := byID[waiting.Order.EntityID]
		state := ""
		if there && w.is(o, waiting) {
			state = string(o.State)
			if judged, _ := w.Export.judge(o); judged != idempotency.Waiting || w.Export.readable(o) != nil {
				if err := w.send(ctx, o); err != nil {
					return fmt.Errorf("publish an event for order %s, which waits no longer: %w", waiting.Key.Key, err)
				}
				log.Info().Str("event", "order_wait_over").Str("key", waiting.Key.Key).Str("state", state).Msg("the order waits no longer")
				looked[waiting.Key] = state
				continue
			}
		}
		if waiting.For > w.Max {
			skipped, err := w.Ledger.Skip(ctx, waiting.Key, "abandoned", w.Book.Over())
			if err != nil {
				return fmt.Errorf("give up order %s: %w", waiting.Key.Key, err)
			}
			if !skipped { // an event is being handled for it
				continue
			}
			log.Warn().Str("event", "order_abandoned").Bool("journal", true).Str("key", waiting.Key.Key).Str("state", state).Dur("waited", waiting.For).
				Msg("abandoned: the order has waited longer than ORDER_WAIT_MAX")
			continue
		}
		looked[waiting.Key] = state
	}
	if err := w.Book.LookedAt(ctx, looked); err != nil {
		return fmt.Errorf("note that %d waiting orders were read again: %w", len(looked), err)
	}
	return nil
}

// is reports whether an order is the one that waits: after a database was restored, another order may have its entity id.
func (w *Waiting) is(o *magentoapi.Order, waiting orderbook.Waiting) bool {
	key, err := mapping.BusinessKey(w.Key, o)
	return err == nil && key == waiting.Key.Key
}

func (w *Waiting) send(ctx context.Context, o *magentoapi.Order) error {
	body, err := json.Marshal(map[string]any{
		"entity_id": int64(o.EntityID), "increment_id": string(o.IncrementID), "store_id": storeID(o),
	})
	if err != nil {
		return err
	}
	return w.Send(ctx, "sales.order.updated", body)
}
