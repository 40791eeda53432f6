package handlers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Canceled handles order_canceled: it takes what was cancelled from the ERP's document, and tells Magento.
type Canceled struct {
	Orders Orders
	ERP    erp.Connector
	Ledger Ledger
	Rules  OrderRules
}

// Handle does each cancellation once. What is cancelled counts up over the life of an order, so the effect is named by
// the quantities cancelled so far: a later cancellation of more is another effect.
func (h *Canceled) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	ref, err := event.ParseOrder(e.Body)
	if err != nil {
		return "", err
	}
	o, err := find(ctx, h.Orders, ref)
	if err != nil {
		return "", event.WithKey(err, string(ref.IncrementID))
	}
	key, err := mapping.BusinessKey(h.Rules.Key, o)
	if err != nil {
		return "", err
	}
	outcome, err := h.cancel(ctx, e, o, key)
	return outcome, event.WithKey(err, key)
}

func (h *Canceled) cancel(ctx context.Context, e event.Event, o *magentoapi.Order, key string) (event.Outcome, error) {
	cancelled := mapping.Cancelled(o)
	whole := o.State == magentoapi.StateCanceled
	if !whole && len(cancelled) == 0 {
		return "", event.Errorf(event.NotFound, "nothing is cancelled in order %s yet: the event may have run ahead of its commit", key)
	}
	exported, known, err := h.Ledger.Lookup(ctx, idempotency.Key{Consumer: OrderPlaced, Key: key, Effect: effectCreate})
	switch {
	case err != nil:
		return "", err
	case !known:
	case exported.State == idempotency.Skipped:
		return event.Skipped, nil
	case exported.State == idempotency.InProgress:
		return "", &event.Deferral{Reason: fmt.Sprintf("order %s is on its way to the ERP (%s)", key, exported.Owner)}
	case exported.State == idempotency.Waiting && whole:
		skipped, err := h.Ledger.Skip(ctx, exported.Key, magentoapi.StateCanceled)
		if err != nil {
			return "", err
		}
		if !skipped { // it has gone on meanwhile
			return "", &event.Deferral{Reason: fmt.Sprintf("order %s has stopped waiting just now", key)}
		}
		zerolog.Ctx(ctx).Info().Str("key", key).Msg("the order was cancelled while it waited: it does not go out")
		return event.Done, nil
	case exported.State == idempotency.Waiting:
		return "", &event.Deferral{Reason: fmt.Sprintf("order %s waits until it may go out", key), Wait: h.Rules.WaitEvery, Pick: event.Nearest}
	}

	// Two cancellations of one order count on each other's quantities.
	held, release, err := h.Ledger.Lease(ctx, "cancellation of order "+key)
	if err != nil {
		return "", err
	}
	defer release()
	c := cancellation{Canceled: h, order: o, key: key, cancelled: cancelled}
	return c.run(held, e)
}

// cancellation is what is cancelled of one order now.
type cancellation struct {
	*Canceled
	order     *magentoapi.Order
	key       string
	cancelled []erp.CancellationLine
}

// quantities are cancelled quantities by the line's reference, counted from the beginning.
type quantities map[string]decimal.Decimal

const effectCancel = "cancel "

func (c cancellation) run(ctx context.Context, e event.Event) (event.Outcome, error) {
	rows, err := c.Ledger.Rows(ctx, OrderCanceled, c.key)
	if err != nil {
		return "", err
	}
	name := effectCancel + strings.TrimPrefix(mapping.CancellationKey(c.key, c.cancelled), c.key+":")
	taken := quantities{}
	var open []string // cancellations of less that may or may not have reached the ERP
	for _, row := range rows {
		q, ok := parseQuantities(row.Key.Effect)
		switch {
		case !ok || row.Key.Effect == name:
		case row.State == idempotency.Done:
			taken.add(q)
		case row.State == idempotency.Uncertain || row.State == idempotency.InProgress:
			open = append(open, row.Key.Effect)
		}
	}
	document, err := c.document(ctx)
	if err != nil {
		return "", err
	}
	complete := c.order.State == magentoapi.StateCanceled
	if !complete {
		// They are repeated first, as they were: under their own keys the ERP answers as before. What they took is then known.
		slices.SortFunc(open, func(a, b string) int { return total(a).Cmp(total(b)) })
		for _, earlier := range open {
			q, _ := parseQuantities(earlier)
			request := erp.Cancellation{Reason: "canceled in Magento", Lines: c.less(q, taken)}
			if _, err := c.send(ctx, e, earlier, document, request); err != nil {
				return "", err
			}
			taken.add(q)
		}
	}
	before, err := c.send(ctx, e, name, document, mapping.Cancellation(c.order, taken))
	text := fmt.Sprintf("Sales order %s cancelled in %s", document, c.Rules.ERPName)
	refused := err != nil && event.ClassOf(err) == event.Rejected
	switch {
	case refused:
		text = fmt.Sprintf("Sales order %s could not be cancelled in %s: %s", document, c.Rules.ERPName, err)
	case err != nil:
		return "", err
	}
	if c.Rules.Comment {
		comment := orderComment{
			orders: c.Orders, ledger: c.Ledger, lock: c.key, text: text,
			ref: event.Order{EntityID: event.ID(c.order.EntityID)},
			key: idempotency.Key{Consumer: OrderCanceled, Key: c.key, Effect: "comment on " + name},
		}
		if refused {
			comment.key.Effect = "comment on refused " + name
		}
		commented, commentErr := comment.write(ctx, e.Repeat)
		if commentErr != nil {
			return "", commentErr
		}
		before = before && commented
	}
	if refused {
		return "", err
	}
	return doneOrDuplicate(before), nil
}

// document looks the order's document up in the ERP.
func (c cancellation) document(ctx context.Context) (string, error) {
	reference := mapping.ExternalReference(c.Rules.ReferencePrefix, c.key)
	documents, err := c.ERP.FindOrder(ctx, reference)
	if err != nil {
		return "", err
	}
	switch {
	case len(documents) == 0:
		return "", &event.Error{
			Class: event.NotFound, Downstream: "erp",
			Err: fmt.Errorf("the ERP has no document for order %s, from which something was cancelled", reference),
		}
	case len(documents) > 1:
		return "", event.Errorf(event.Rejected, "the ERP has %d documents for order %s: %s. Cancel there by hand",
			len(documents), reference, numbers(documents))
	default:
		return documents[0].Number, nil
	}
}

// send sends one cancellation once. Where it may have been sent before there is nothing to look in: it is repeated as it
// was, with the same idempotency key.
func (c cancellation) send(ctx context.Context, e event.Event, name, document string, request erp.Cancellation) (before bool, err error) {
	key := idempotency.Key{Consumer: OrderCanceled, Key: c.key, Effect: name}
	_, before, err = c.Ledger.Do(ctx, key, e.Repeat, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		if !request.Complete && len(request.Lines) == 0 {
			return idempotency.Result{Value: document}, nil
		}
		idempotencyKey := OrderCanceled + ":" + c.key + ":" + strings.TrimPrefix(name, effectCancel)
		if _, err := c.ERP.CancelOrder(ctx, idempotencyKey, document, request); err != nil {
			return idempotency.Result{}, err
		}
		zerolog.Ctx(ctx).Info().Str("key", c.key).Str("document_number", document).Bool("complete", request.Complete).
			Msg("cancelled in the ERP")
		return idempotency.Result{Value: document}, nil
	})
	return before, err
}

// less gives the lines of q without what was taken before.
func (c cancellation) less(q, taken quantities) []erp.CancellationLine {
	lines := []erp.CancellationLine{}
	for _, l := range c.cancelled {
		if rest := q[l.Reference].Sub(taken[l.Reference]); rest.IsPositive() {
			l.Quantity = erp.NewQuantity(rest)
			lines = append(lines, l)
		}
	}
	return lines
}

// add takes over what is more in other: both count from the beginning.
func (q quantities) add(other quantities) {
	for reference, n := range other {
		q[reference] = decimal.Max(q[reference], n)
	}
}

// parseQuantities reads the name of an effect, as mapping.CancellationKey makes it. One with very many lines holds a
// digest instead, and can't be read.
func parseQuantities(effect string) (quantities, bool) {
	list, ok := strings.CutPrefix(effect, effectCancel)
	if !ok {
		return nil, false
	}
	q := quantities{}
	for part := range strings.SplitSeq(list, ",") {
		reference, n, ok := strings.Cut(part, "=")
		quantity, err := decimal.NewFromString(n)
		if !ok || err != nil {
			return nil, false
		}
		q[reference] = quantity
	}
	return q, true
}

func total(effect string) decimal.Decimal {
	q, _ := parseQuantities(effect)
	sum := decimal.Zero
	for _, n := range q {
		sum = sum.Add(n)
	}
	return sum
}
