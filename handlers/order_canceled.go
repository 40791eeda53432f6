package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Canceled handles order_canceled: it cancels in the ERP's document what was cancelled in Magento, and writes a comment in Magento.
type Canceled struct {
	Orders Orders
	ERP    erp.OrderConnector
	Ledger Ledger
	Book   OrderBook
	Rules  OrderRules
	Export ExportRules
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
	if err := mapping.Quantities.Check(o); err != nil {
		return "", err
	}
	cancelled := mapping.Cancelled(o)
	whole := o.State == magentoapi.StateCanceled
	if !whole && len(cancelled) == 0 {
		return "", event.Errorf(event.NotFound, "nothing is cancelled in order %s yet: the event may have run ahead of its commit", key)
	}
	exported, known, err := h.Ledger.Lookup(ctx, createKey(key))
	if err == nil && known {
		err = ofAnother(ctx, h.Book, exported, o, key)
	}
	var other *another
	switch {
	case errors.As(err, &other) && h.Export.excludes(o) != "":
		return event.Skipped, nil
	case err != nil:
		return "", err
	case !known:
	case exported.State == idempotency.Skipped:
		return event.Skipped, nil
	case exported.State == idempotency.InProgress && !exported.Expired: // an expired claim counts as uncertain
		return "", &event.Deferral{Reason: fmt.Sprintf("order %s is on its way to the ERP (%s)", key, exported.Owner), Busy: true}
	case exported.State == idempotency.Waiting && whole:
		skipped, err := h.Ledger.Skip(ctx, exported.Key, magentoapi.StateCanceled, h.Book.Over())
		if err != nil {
			return "", err
		}
		if !skipped { // it waits no longer
			return "", &event.Deferral{Reason: fmt.Sprintf("order %s has stopped waiting just now", key), Busy: true}
		}
		zerolog.Ctx(ctx).Info().Str("event", "waiting_order_cancelled").Str("key", key).
			Msg("the order was cancelled while it waited: it does not go out")
		return event.Done, nil
	case exported.State == idempotency.Waiting:
		return "", &event.Deferral{Reason: fmt.Sprintf("order %s waits until it may go out", key), Wait: h.Rules.WaitEvery, Pick: event.Nearest}
	}

	// Two cancellations of one order depend on each other's quantities: the lease lets one be handled at a time.
	held, release, err := h.Ledger.Lease(ctx, "cancellation of order "+key)
	if err != nil {
		return "", err
	}
	defer release()
	// Read again: a cancellation of more may have been handled since the order was read.
	if o, err = find(held, h.Orders, event.Order{EntityID: event.ID(o.EntityID)}); err != nil {
		return "", err
	}
	if err := mapping.Quantities.Check(o); err != nil {
		return "", err
	}
	c := cancellation{Canceled: h, order: o, key: key, cancelled: mapping.Cancelled(o)}
	return c.run(held, e)
}

// ofAnother fails if the row of an order's number is for another order, which waits or may be in the ERP and must not be touched.
func ofAnother(ctx context.Context, book OrderBook, exported idempotency.Row, o *magentoapi.Order, key string) error {
	var stands string
	switch exported.State {
	case idempotency.Done:
		stands = inERP(exported.Result.Value)
	case idempotency.Waiting:
		stands = waits
	case idempotency.Uncertain:
		stands = mayBe
	default:
		return nil
	}
	row, ok, err := book.Known(ctx, exported.Key)
	switch {
	case err != nil:
		return err
	case !ok:
		row.EntityID = madeFor(exported.Result)
	case row.Waiting:
		row.Placed = time.Time{} // the order that waited under its entity id is gone
	}
	if row.EntityID == 0 || sameOrder(row.Order, identity(o)) {
		return nil
	}
	return &another{error: anotherOrder(key, stands, row.Order, identity(o)), order: o, row: row}
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

// The effect of a cancellation is named "cancel " and the quantities, and ";whole" where it is the order's: what was
// taken line by line leaves a document that is still to be cancelled. The row's data says the same to later handlings.
const (
	effectCancel = "cancel "
	suffixWhole  = ";whole"
	// maxQuantities is how long the quantities in the name of an effect may be; of longer ones there is a digest.
	maxQuantities = 1500
)

// effectName names the effect by all quantities: a cancellation of more is another effect.
func effectName(cancelled []erp.CancellationLine, key string, whole bool) string {
	parts := make([]string, 0, len(cancelled))
	for _, l := range cancelled {
		parts = append(parts, l.Reference+"="+l.Quantity.String())
	}
	quantities := strings.Join(parts, ",")
	if len(quantities) > maxQuantities {
		quantities = strings.TrimPrefix(mapping.CancellationKey(key, cancelled), key+":")
	}
	if whole {
		quantities += suffixWhole
	}
	return effectCancel + quantities
}

// step is one cancellation of an order, by the name of its effect.
type step struct {
	effect string
	data   cancelData
}

func (c cancellation) run(ctx context.Context, e event.Event) (event.Outcome, error) {
	rows, err := c.Ledger.Rows(ctx, OrderCanceled, c.key)
	if err != nil {
		return "", err
	}
	complete := c.order.State == magentoapi.StateCanceled
	this := step{effectName(c.cancelled, c.key, complete), newCancelData(c.cancelled, complete)}
	taken := quantities{}
	document := ""
	sentBefore := false // this one may have reached the ERP
	var open []step     // cancellations of less that may or may not have reached the ERP
	for _, row := range rows {
		if !strings.HasPrefix(row.Key.Effect, effectCancel) {
			continue
		}
		sent := row.State == idempotency.Uncertain || row.State == idempotency.InProgress
		data, ok := cancelOf(row)
		switch {
		case row.Key.Effect == this.effect && row.State == idempotency.Done:
			document = row.Result.Value
		case row.Key.Effect == this.effect:
			sentBefore = sent
		case !sent && row.State != idempotency.Done:
		case !ok && !complete:
			return "", event.Errorf(event.Rejected, "more was cancelled of order %s than can be told from what was cancelled before: "+
				"it has too many lines. Cancel the rest in the ERP by hand", c.key)
		case sent:
			open = append(open, step{row.Key.Effect, data})
		default:
			taken.add(data.quantities())
		}
	}
	if document == "" {
		document, err = c.document(ctx)
		if complete && sentBefore && event.ClassOf(err) == event.NotFound {
			// Some ERPs cancel a document by deleting it: what an earlier attempt has done leaves nothing to find.
			document, err = c.created(ctx, err)
		}
		if err != nil {
			return "", err
		}
	}
	before, err := c.all(ctx, e, this, document, open, taken)
	if errors.Is(err, errNothingLeft) {
		return event.Duplicate, nil
	}
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
			orders: c.Orders, ledger: c.Ledger, statuses: c.Rules.Statuses, lock: c.key, text: text,
			ref: event.Order{EntityID: event.ID(c.order.EntityID)},
			key: idempotency.Key{Consumer: OrderCanceled, Key: c.key, Effect: "comment on " + this.effect},
		}
		if refused {
			comment.key.Effect = "comment on refused " + this.effect
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

// errNothingLeft means that later cancellations, which were handled before, have cancelled everything.
var errNothingLeft = errors.New("nothing is left to cancel")

// all sends the open cancellations, and then the new one.
func (c cancellation) all(ctx context.Context, e event.Event, this step, document string, open []step, taken quantities) (before bool, err error) {
	if c.order.State != magentoapi.StateCanceled {
		// They are repeated first, unchanged: under their own idempotency keys the ERP answers as before. Then it is known what they
		// cancelled.
		slices.SortFunc(open, func(a, b step) int { return a.data.total().Cmp(b.data.total()) })
		for _, earlier := range open {
			q := earlier.data.quantities()
			lines, err := c.less(q, taken)
			if err != nil {
				return false, err
			}
			request := erp.Cancellation{Reason: "canceled in Magento", Lines: lines}
			if _, err := c.send(ctx, e, earlier, document, request); err != nil {
				return false, err
			}
			taken.add(q)
		}
	}
	request := mapping.Cancellation(c.order, taken)
	if !request.Complete && len(request.Lines) == 0 {
		return false, errNothingLeft
	}
	return c.send(ctx, e, this, document, request)
}

// created returns the number of the document that was created for the order, as the ledger has it; otherwise where it has none.
func (c cancellation) created(ctx context.Context, otherwise error) (string, error) {
	row, known, err := c.Ledger.Lookup(ctx, createKey(c.key))
	switch {
	case err != nil:
		return "", err
	case !known || row.Result.Value == "":
		return "", otherwise
	default:
		return row.Result.Value, nil
	}
}

// document looks up the order's document in the ERP.
func (c cancellation) document(ctx context.Context) (string, error) {
	reference := mapping.ExternalReference(c.Rules.ReferencePrefix, c.key)
	documents, err := c.ERP.Find(ctx, reference)
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
	case documents[0].Number == "":
		return "", &event.Error{
			Class: event.NotFound, Downstream: "erp",
			Err: fmt.Errorf("the document of order %s, from which something was cancelled, has no number in the ERP yet", reference),
		}
	default:
		return documents[0].Number, nil
	}
}

// send sends one cancellation once. There is no look-up for one that may have been sent: it is repeated unchanged, with the same
// idempotency key.
func (c cancellation) send(ctx context.Context, e event.Event, s step, document string, request erp.Cancellation) (before bool, err error) {
	key := idempotency.Key{Consumer: OrderCanceled, Key: c.key, Effect: s.effect}
	idempotencyKey := OrderCanceled + ":" + c.key + ":" + shortened(strings.TrimPrefix(s.effect, effectCancel))
	_, before, err = c.Ledger.Do(ctx, idempotency.Effect{Key: key, Repeat: e.Repeat, Data: encoded(s.data)}, func(ctx context.Context, claim *idempotency.Claim) (idempotency.Result, error) {
		if err := c.ERP.Cancel(ctx, callOf(c.Ledger, claim, idempotencyKey, e.Repeat, c.Export), erp.Document{Number: document}, request); err != nil {
			return idempotency.Result{}, err
		}
		zerolog.Ctx(ctx).Info().Str("event", "order_cancelled").Str("key", c.key).Str("document_number", document).
			Bool("complete", request.Complete).Msg("cancelled in the ERP")
		return idempotency.Result{Value: document}, nil
	})
	if err == nil && before {
		zerolog.Ctx(ctx).Info().Str("event", "order_cancellation_duplicate").Str("key", c.key).Str("document_number", document).
			Msg("duplicate: it was cancelled in the ERP before, nothing is sent")
	}
	return before, err
}

// shortened returns a part of a key in a length that fits in a header.
func shortened(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + hex.EncodeToString(sum[:])
}

// less returns the lines of q without what was cancelled before.
func (c cancellation) less(q, taken quantities) ([]erp.CancellationLine, error) {
	lines := []erp.CancellationLine{}
	known := 0
	for _, l := range c.cancelled {
		if _, ok := q[l.Reference]; ok {
			known++
		}
		if rest := q[l.Reference].Sub(taken[l.Reference]); rest.IsPositive() {
			l.Quantity = erp.NewQuantity(rest)
			lines = append(lines, l)
		}
	}
	if known < len(q) {
		return nil, event.Errorf(event.NotFound, "Magento answers an older state of order %s than it did before: "+
			"lines that were cancelled are not so in it", c.key)
	}
	return lines, nil
}

// add raises quantities to those in other: both count from the beginning.
func (q quantities) add(other quantities) {
	for reference, n := range other {
		q[reference] = decimal.Max(q[reference], n)
	}
}

// quantities returns what is cancelled by line.
func (d cancelData) quantities() quantities {
	q := make(quantities, len(d.Lines))
	for _, l := range d.Lines {
		q[l.Reference] = l.Quantity
	}
	return q
}

// total orders the cancellations of one order: quantities count up.
func (d cancelData) total() decimal.Decimal {
	sum := decimal.Zero
	for _, l := range d.Lines {
		sum = sum.Add(l.Quantity)
	}
	return sum
}
