package handlers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// ExportRules say which orders go out (docs/orders.md).
type ExportRules struct {
	// Allows reports whether an order of a state and a payment method goes out (ORDER_EXPORT_STATES).
	Allows func(state, method string) bool
	// AllowsStore reports whether orders of a store go out (ORDER_EXPORT_STORES).
	AllowsStore func(id int64) bool
	// From excludes orders that were created before it; zero excludes none.
	From time.Time
	// TrustPayload uses a whole order in the event instead of reading it (ORDER_SOURCE=payload).
	TrustPayload bool
	// UncertainWait is for how long after an uncertain create the ERP is only asked and never sent to.
	UncertainWait time.Duration
	// Retention is how long the ledger keeps rows. The row of an order older than half of it may be deleted.
	Retention time.Duration
}

// Placed handles order_placed: it reads the order and, if it may go out, maps it, creates it in the ERP, and writes the document
// number in a comment in Magento.
type Placed struct {
	Orders Orders
	ERP    erp.OrderConnector
	Ledger Ledger
	Book   OrderBook
	Stores *Stores
	Rules  OrderRules
	Export ExportRules
}

// Handle runs each effect once, however often an event for the order comes.
func (h *Placed) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	ref, err := event.ParseOrder(e.Body)
	if err != nil {
		return "", err
	}
	key, o, err := h.Rules.key(ctx, h.Orders, ref)
	if err != nil {
		return "", event.WithKey(err, string(ref.IncrementID))
	}
	outcome, err := h.export(ctx, e, ref, o, key)
	return outcome, event.WithKey(err, key)
}

// export handles the order that ref names. o is that order if it was read to find its key.
func (h *Placed) export(ctx context.Context, e event.Event, ref event.Order, o *magentoapi.Order, key string) (event.Outcome, error) {
	log := zerolog.Ctx(ctx).With().Str("key", key).Logger()
	if o != nil {
		ref.EntityID = event.ID(o.EntityID) // the very order, should another one come to share its number
	}
	var other *another
	created, before, err := h.Ledger.Do(ctx, idempotency.Effect{Key: createKey(key), Repeat: e.Repeat}, func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		result, err := h.create(ctx, e, ref, key, c)
		if errors.As(err, &other) && other.row.Waiting {
			return idempotency.Result{ // as it was
				State: idempotency.Waiting, Reason: other.row.State,
				Data: encoded(createdData{EntityID: other.row.EntityID}), Changes: []idempotency.Change{h.Book.Change(other.row.Order)},
			}, nil
		}
		return result, err
	})
	var deferral *event.Deferral
	switch {
	case other != nil && !errors.As(err, &deferral):
		return h.forAnother(ctx, key, other.order, other.error)
	case err != nil:
		return "", err
	}
	switch created.State {
	case idempotency.Waiting:
		log.Info().Str("event", "order_waiting").Str("reason", created.Reason).Msg("the order waits until it may go out")
		return event.Done, nil
	case idempotency.Skipped:
		log.Info().Str("event", "order_skipped").Str("reason", created.Reason).Msg("the order does not go out")
		return event.Skipped, nil
	}
	var id int64
	if before {
		if id, err = h.duplicate(ctx, ref, o, key, created); err != nil {
			return h.notDuplicate(ctx, ref, key, err)
		}
		log.Info().Str("event", "order_duplicate").Str("document_number", created.Value).
			Msg("duplicate: the order was in the ERP before, nothing is sent")
	} else {
		id = madeFor(created)
	}
	if !h.Rules.Comment {
		return doneOrDuplicate(before), nil
	}
	if id != 0 { // the very order that was sent, should others have come to share its number
		ref = event.Order{EntityID: event.ID(id)}
	}
	comment := orderComment{
		orders: h.Orders, ledger: h.Ledger, statuses: h.Rules.Statuses, ref: ref, lock: key, once: true,
		key:  idempotency.Key{Consumer: OrderPlaced, Key: key, Effect: "comment"},
		text: fmt.Sprintf("Sales order %s created in %s", created.Value, h.Rules.ERPName) + differs(created),
	}
	commentedBefore, err := comment.write(ctx, e.Repeat)
	if err != nil {
		return "", err
	}
	return doneOrDuplicate(before && commentedBefore), nil
}

func doneOrDuplicate(before bool) event.Outcome {
	if before {
		return event.Duplicate
	}
	return event.Done
}

// create is the effect: its result has the document's number, or the reason why there is none.
func (h *Placed) create(ctx context.Context, e event.Event, ref event.Order, key string, c *idempotency.Claim) (idempotency.Result, error) {
	o, fetched, err := h.read(ctx, e, ref, key)
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	// Whatever the outcome, the row has which order it is for.
	is := orderbook.Order{EntityID: int64(o.EntityID), StoreID: storeID(o), State: string(o.State)}
	if fetched { // the time in an event may be in another time zone
		is.Placed = o.CreatedAt.Time
	}
	if err := h.taken(ctx, key, c, o, &is); err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	result := idempotency.Result{
		Data: encoded(createdData{EntityID: is.EntityID}), Changes: []idempotency.Change{h.Book.Change(is)},
	}
	reference := mapping.ExternalReference(h.Rules.ReferencePrefix, key)
	var found erp.Document

	if err := h.Export.readable(o); err != nil {
		return result, event.NotDone(err)
	}
	result.State, result.Reason = h.Export.judge(o)
	// An order that does not go out now may have gone out before: then it must not wait as if it had not.
	mayBeThere := (c.Uncertain || e.Reconciled) && h.Export.excludes(o) == ""
	if result.State != idempotency.Done && !mayBeThere {
		return result, nil
	}
	if h.mustAsk(e, o, c) {
		found, err = h.ask(ctx, reference, c)
		if err != nil {
			return result, err
		}
		if found.Number != "" {
			zerolog.Ctx(ctx).Info().Str("event", "order_found").Str("key", key).Str("document_number", found.Number).
				Msg("found: the order is in the ERP already, looked up before it would be repeated")
		}
		if _, ok := h.ERP.(erp.Completer); found.Number != "" && (!ok || result.State != idempotency.Done) {
			result.State, result.Reason, result.Value = idempotency.Done, entityID(is.EntityID), found.Number
			return result, nil
		}
	}
	if result.State != idempotency.Done {
		return result, nil
	}

	return h.send(ctx, key, reference, o, c, found, result)
}

// send creates the document of an order, or completes the one that was found, and returns result with it.
func (h *Placed) send(ctx context.Context, key, reference string, o *magentoapi.Order, c *idempotency.Claim, found erp.Document, result idempotency.Result,
) (idempotency.Result, error) {
	store, err := h.Stores.Of(ctx, o)
	if err != nil {
		return result, event.NotDone(err)
	}
	so, warnings, err := mapping.SalesOrder(o, reference, store)
	if err != nil {
		return result, event.NotDone(err)
	}
	if len(o.Items) == 0 { // Adobe Commerce may return an order before all of it is placed (AsyncOrder)
		return result, event.NotDone(&event.Error{
			Class: event.NotFound, Downstream: magento,
			Err: fmt.Errorf("order %s has no items in Magento yet: it is not sent without them", key),
		})
	}
	if missing := mapping.MissingNumbers(o); len(missing) > 0 {
		return result, event.NotDone(&event.Error{
			Class: event.NotFound, Downstream: magento,
			Err: fmt.Errorf("order %s has no %s in Magento yet: it is not sent without", key, strings.Join(missing[:min(len(missing), maxNamed)], ", ")),
		})
	}
	for _, w := range warnings {
		zerolog.Ctx(ctx).Warn().Str("event", "order_mapping_warning").Str("key", key).Msg(string(w))
	}
	payload, err := h.ERP.Build(so)
	if err != nil {
		return result, event.NotDone(err)
	}
	// Whether the order is in the ERP is known by now: a step without a row has not begun.
	call := erp.Call{Key: OrderPlaced + ":" + key, Steps: stepsOf(h.Ledger, c.Key, false, h.Export.UncertainWait)}
	var document erp.Document
	if found.Number != "" {
		document, err = h.ERP.(erp.Completer).Complete(ctx, call, payload, found)
	} else {
		document, err = h.ERP.Create(ctx, call, payload)
	}
	switch {
	case err != nil && document.Number != "":
		return result, incomplete(err, key, document)
	case err != nil:
		return result, err
	case document.Number == "":
		c.Accept()
		return result, &event.Error{
			Class: event.NotFound, Downstream: "erp",
			Err: fmt.Errorf("the ERP accepted order %s and has given it no document number yet: it is asked again, not sent again", reference),
		}
	}
	if c.Uncertain && found.Number == "" && h.Export.UncertainWait > 0 { // without a wait the ERP answers both requests with one document
		if err := h.sentAgain(ctx, key, reference, document, c); err != nil {
			return result, err
		}
	}
	result.Reason, result.Value = entityID(int64(o.EntityID)), document.Number
	if differs := h.compare(ctx, key, so, document); differs != "" {
		result.Data = encoded(createdData{EntityID: int64(o.EntityID), Differs: differs})
	}
	zerolog.Ctx(ctx).Info().Str("event", "order_created").Str("key", key).Str("document_number", document.Number).
		Msg("created: the order is in the ERP")
	return result, nil
}

// sentAgain looks once more after a create that was sent again because the ERP had nothing of an earlier one: that one may have
// been carried out meanwhile.
func (h *Placed) sentAgain(ctx context.Context, key, reference string, d erp.Document, c *idempotency.Claim) error {
	zerolog.Ctx(ctx).Info().Str("event", "order_sent_again").Bool("journal", true).Str("key", key).Str("document_number", d.Number).
		Stringer("after", c.UncertainFor.Round(time.Second)).
		Msg("the order was sent to the ERP again, which had nothing of an earlier request. Should it carry out that one after all, there are two " +
			"documents, and `mageline reconcile --ask-erp` names them")
	documents, err := h.ERP.Find(ctx, reference)
	if err == nil && len(documents) > 1 {
		return severalDocuments(reference, documents)
	}
	return nil // the document is there; a look-up that fails says nothing against it
}

func severalDocuments(reference string, documents []erp.Document) error {
	return event.Errorf(event.Rejected, "the ERP has %d documents for order %s: %s. Cancel all but one there, then replay",
		len(documents), reference, numbers(documents))
}

// read returns the order from Magento or, with ORDER_SOURCE=payload, from the event if that has all that is needed.
func (h *Placed) read(ctx context.Context, e event.Event, ref event.Order, key string) (o *magentoapi.Order, fetched bool, err error) {
	if o = h.trusted(ctx, e); o == nil {
		fetched = true
		if o, err = find(ctx, h.Orders, ref); err != nil {
			return nil, false, err
		}
	}
	// The order that is claimed and the one that goes out must be the same.
	actual, err := mapping.BusinessKey(h.Rules.Key, o)
	if err == nil && actual != key {
		err = event.Errorf(event.Invalid, "the event is for order %s, and Magento answers order %s", key, actual)
	}
	return o, fetched, err
}

// maxNamed bounds how many missing fields an error names.
const maxNamed = 10

// trusted returns the order in the event if it has all that the document and the rules need; else nil.
func (h *Placed) trusted(ctx context.Context, e event.Event) *magentoapi.Order {
	if !h.Export.TrustPayload {
		return nil
	}
	o := &magentoapi.Order{}
	missing := []string{"a form that can be read"}
	if json.Unmarshal(e.Body, o) == nil {
		LogOdd(ctx, "the event", o.Odd())
		missing = mapping.MissingFromPayload(o)
		if o.CreatedAt.IsZero() && !h.Export.From.IsZero() {
			missing = append(missing, "created_at")
		}
		var odd magentoapi.OddField
		if err := cmp.Or(mapping.Readable(o), h.Export.readable(o)); errors.As(err, &odd) {
			missing = append(missing, odd.Path)
		}
	}
	if len(missing) > 0 {
		zerolog.Ctx(ctx).Debug().Str("event", "payload_not_trusted").Strs("missing", missing[:min(len(missing), maxNamed)]).
			Msg("the event does not hold a whole order: it is read from Magento")
		return nil
	}
	return o
}

// mustAsk reports whether the ERP may have the order already.
func (h *Placed) mustAsk(e event.Event, o *magentoapi.Order, c *idempotency.Claim) bool {
	return c.Uncertain || c.Accepted || e.Replayed || e.Reconciled ||
		mapping.Require("created_at").Check(o) != nil ||
		(!o.CreatedAt.IsZero() && time.Since(o.CreatedAt.Time) > h.Export.Retention/2)
}

// ask looks up the order in the ERP. A document without a number means that it is not there and may be sent. After a look-up that fails the effect
// stays uncertain, since the same time as before: no later event may send without asking.
func (h *Placed) ask(ctx context.Context, reference string, c *idempotency.Claim) (found erp.Document, err error) {
	documents, err := h.ERP.Find(ctx, reference)
	if err != nil {
		if c.Uncertain {
			err = event.NotDone(err)
		}
		return erp.Document{}, err
	}
	switch {
	case len(documents) > 1:
		// Not NotDone: the next handling must look it up again.
		return erp.Document{}, severalDocuments(reference, documents)
	case len(documents) == 1 && documents[0].Number != "":
		return documents[0], nil
	case len(documents) == 1:
		c.Accept()
		return erp.Document{}, &event.Error{
			Class: event.NotFound, Downstream: "erp",
			Err: fmt.Errorf("the ERP has a document for order %s that has no number yet: it is asked again, not sent again", reference),
		}
	case c.Accepted:
		return erp.Document{}, event.NotDone(&event.Error{
			Class: event.NotFound, Downstream: "erp",
			Err: fmt.Errorf("the ERP accepted order %s and has given it no document number yet; "+
				"if it never will, `mageline key release %s:%s` lets it be sent once more", reference, OrderPlaced, c.Key.Key),
		})
	}
	return erp.Document{}, attempt(c, h.Export.UncertainWait).MayRepeat("order " + reference)
}

func numbers(documents []erp.Document) string {
	var all []string
	for _, d := range documents {
		all = append(all, d.Number)
	}
	if len(all) > 10 {
		all = append(all[:10], "…")
	}
	return fmt.Sprintf("%q", all)
}

// excludes returns the reason why an order never goes out, whatever its state becomes; "" for one that may.
func (r *ExportRules) excludes(o *magentoapi.Order) string {
	switch {
	case !r.AllowsStore(storeID(o)):
		return fmt.Sprintf("store %d is not in ORDER_EXPORT_STORES", storeID(o))
	case !r.From.IsZero() && o.CreatedAt.Before(r.From):
		return "created before ORDER_EXPORT_FROM"
	default:
		return ""
	}
}

// readable fails if a field that decides about an order can't be read. Otherwise the order would wait or be skipped unnoticed.
func (r *ExportRules) readable(o *magentoapi.Order) error {
	need := []string{"state"}
	if !r.From.IsZero() {
		need = append(need, "created_at")
	}
	switch state := string(o.State); state {
	case magentoapi.StateCanceled, magentoapi.StateClosed:
	default:
		if !r.Allows(state, "") {
			need = append(need, "payment.method")
		}
	}
	return mapping.Require(need...).Check(o)
}

// judge returns whether an order goes out (Done), waits or is skipped, and why.
func (r *ExportRules) judge(o *magentoapi.Order) (idempotency.State, string) {
	if reason := r.excludes(o); reason != "" {
		return idempotency.Skipped, reason
	}
	method := ""
	if o.Payment != nil {
		method = string(o.Payment.Method)
	}
	state := string(o.State)
	switch {
	case r.Allows(state, method):
		return idempotency.Done, ""
	case state == magentoapi.StateCanceled || state == magentoapi.StateClosed:
		return idempotency.Skipped, state
	default:
		return idempotency.Waiting, state
	}
}

func storeID(o *magentoapi.Order) int64 {
	if o.StoreID == nil {
		return 0
	}
	return int64(*o.StoreID)
}
