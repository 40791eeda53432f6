package handlers

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// effectReport is the only effect of ShipmentCreated, CreditMemoCreated and CustomerSaved.
const effectReport = "report"

// Followed is what the handlers of what follows an order have in common: shipments and credit memos are reported once the order's
// document is there.
type Followed struct {
	Orders Orders
	ERP    erp.OrderConnector
	Ledger Ledger
	Book   OrderBook
	Stores *Stores
	Rules  OrderRules
	Export ExportRules
}

// notReported means that nothing is reported, for a reason.
type notReported struct{ reason string }

func (n *notReported) Error() string { return n.reason }

// of reads the order that something follows, and finds its document. It fails with *notReported where the order does not go out.
//
// With begun an earlier attempt may have cancelled the document with the last of what it has reported: one that is not found is
// then the one that the ledger remembers.
func (f *Followed) of(ctx context.Context, orderID int64, what string, begun bool) (mapping.Reported, error) {
	o, err := find(ctx, f.Orders, event.Order{EntityID: event.ID(orderID)})
	if err != nil {
		return mapping.Reported{}, err
	}
	key, err := mapping.BusinessKey(f.Rules.Key, o)
	if err != nil {
		return mapping.Reported{}, err
	}
	r := mapping.Reported{Order: o, Reference: mapping.ExternalReference(f.Rules.ReferencePrefix, key)}
	if err := f.standing(ctx, o, key, what); err != nil {
		return r, err
	}
	r.Document, err = f.document(ctx, r.Reference, what)
	if begun && event.ClassOf(err) == event.NotFound {
		if row, known, lerr := f.Ledger.Lookup(ctx, createKey(key)); lerr == nil && known && row.State == idempotency.Done && row.Result.Value != "" {
			r.Document, err = row.Result.Value, nil
		}
	}
	if err != nil {
		return r, err
	}
	r.Store, err = f.Stores.Of(ctx, o)
	return r, err
}

// standing returns nil where the order's document is to be looked up.
func (f *Followed) standing(ctx context.Context, o *magentoapi.Order, key, what string) error {
	row, known, err := f.Ledger.Lookup(ctx, createKey(key))
	if err != nil {
		return err
	}
	if known {
		var other *another
		if err := ofAnother(ctx, f.Book, row, o, key); errors.As(err, &other) && f.Export.excludes(o) != "" {
			return &notReported{f.Export.excludes(o)}
		} else if err != nil {
			return err
		}
	}
	switch {
	case !known && f.Export.excludes(o) != "":
		return &notReported{f.Export.excludes(o)}
	case !known:
		return nil
	case row.State == idempotency.Skipped:
		return &notReported{"its order does not go out: " + row.Result.Reason}
	case row.State == idempotency.InProgress && !row.Expired: // an expired claim counts as uncertain
		return &event.Deferral{Reason: fmt.Sprintf("%s: order %s is on its way to the ERP (%s)", what, key, row.Owner), Busy: true}
	case row.State == idempotency.Waiting:
		return &event.Deferral{Reason: fmt.Sprintf("%s: order %s waits until it may go out", what, key), Wait: f.Rules.WaitEvery, Pick: event.Nearest}
	default:
		return nil
	}
}

// document looks up the order's document in the ERP.
func (f *Followed) document(ctx context.Context, reference, what string) (string, error) {
	documents, err := f.ERP.Find(ctx, reference)
	switch {
	case err != nil:
		return "", err
	case len(documents) > 1:
		return "", severalDocuments(reference, documents)
	case len(documents) == 1 && documents[0].Number != "":
		return documents[0].Number, nil
	default:
		return "", &event.Error{
			Class: event.NotFound, Downstream: "erp",
			Err: fmt.Errorf("the ERP has no document with a number for order %s, which %s is of", reference, what),
		}
	}
}

// report runs the one effect of a consumer for an id. run reads what is reported, reports it, and returns the ERP's number of it.
func (f *Followed) report(ctx context.Context, e event.Event, consumer string, id int64, run func(ctx context.Context, c erp.Call) (erp.Document, error)) (event.Outcome, error) {
	key := strconv.FormatInt(id, 10)
	log := zerolog.Ctx(ctx).With().Str("key", key).Logger()
	effect := idempotency.Effect{Key: idempotency.Key{Consumer: consumer, Key: key, Effect: effectReport}, Repeat: e.Repeat}
	res, before, err := f.Ledger.Do(ctx, effect, func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		var not *notReported
		var off *erp.Off
		d, err := run(ctx, callOf(f.Ledger, c, consumer+":"+key, e.Repeat, f.Export))
		if errors.As(err, &not) {
			return idempotency.Result{State: idempotency.Skipped, Reason: not.reason}, nil
		}
		if errors.As(err, &off) {
			return idempotency.Result{State: idempotency.Skipped, Reason: off.Reason}, nil
		}
		if err != nil && d.Number != "" {
			err = event.MayBeDone(err)
		}
		return idempotency.Result{Value: d.Number}, err
	})
	switch {
	case err != nil:
		return "", event.WithKey(err, key)
	case res.State == idempotency.Skipped:
		log.Info().Str("event", "report_skipped").Str("reason", res.Reason).Msg("nothing is reported to the ERP")
		return event.Skipped, nil
	case before:
		log.Info().Str("event", "report_duplicate").Msg("duplicate: it was reported to the ERP before, nothing is sent")
	default:
		log.Info().Str("event", "reported").Str("document_number", res.Value).Msg("reported to the ERP")
	}
	return doneOrDuplicate(before), nil
}

// callOf returns the call of a claimed effect.
func callOf(l Ledger, c *idempotency.Claim, key string, repeat bool, rules ExportRules) erp.Call {
	return erp.Call{Key: key, Attempt: attempt(c, rules.UncertainWait), Steps: stepsOf(l, c.Key, repeat && c.Uncertain, rules.UncertainWait)}
}

// ShipmentReader reads shipments in Magento. *magentoapi.ShipmentsService implements it.
type ShipmentReader interface {
	Get(ctx context.Context, id int64) (*magentoapi.Shipment, error)
}

// ShipmentCreated handles shipment_created: it reports a shipment to the ERP.
type ShipmentCreated struct {
	Followed
	Shipments ShipmentReader
	Reporter  erp.ShipmentReporter
	// OnlyMagentos leaves out shipments that mageline made from tracking numbers (SHIPMENT_REPORT=magento).
	OnlyMagentos bool
}

// Handle reports each shipment once.
func (h *ShipmentCreated) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	id, err := event.ParseID(e.Body, event.Shipments)
	if err != nil {
		return "", err
	}
	return h.report(ctx, e, ShipmentCreatedName, id, func(ctx context.Context, c erp.Call) (erp.Document, error) {
		s, err := h.shipment(ctx, id, c.Uncertain)
		if err != nil {
			return erp.Document{}, event.NotDone(err)
		}
		return h.Reporter.ReportShipment(ctx, c, s)
	})
}

func (h *ShipmentCreated) shipment(ctx context.Context, id int64, begun bool) (erp.Shipment, error) {
	s, err := h.Shipments.Get(ctx, id)
	if err != nil {
		return erp.Shipment{}, FromMagento(err)
	}
	origin, err := h.origin(ctx, s)
	if err != nil {
		return erp.Shipment{}, err
	}
	if origin == erp.FromMageline && h.OnlyMagentos {
		return erp.Shipment{}, &notReported{"mageline made the shipment from a tracking number"}
	}
	of, err := h.of(ctx, int64(s.OrderID), fmt.Sprintf("shipment %d", id), begun)
	if err != nil {
		return erp.Shipment{}, err
	}
	return mapping.Shipment(s, of, h.Rules.Key, h.Rules.ReferencePrefix, origin)
}

// origin returns who made a shipment: mageline has noted before it made one with which tracking number (Tracked.ship).
func (h *ShipmentCreated) origin(ctx context.Context, s *magentoapi.Shipment) (erp.Origin, error) {
	tracks := s.Tracks
	if len(tracks) == 0 {
		tracks = []magentoapi.ShipmentTrack{{}}
	}
	for i := range tracks {
		_, made, err := h.Ledger.Lookup(ctx, shipsKey(int64(s.OrderID), string(tracks[i].TrackNumber)))
		if err != nil {
			return "", err
		}
		if made {
			return erp.FromMageline, nil
		}
	}
	return erp.FromMagento, nil
}

// shipsKey is the row that says that mageline makes a shipment of an order for a tracking number.
func shipsKey(orderID int64, number string) idempotency.Key {
	return idempotency.Key{Consumer: TrackingReceived, Key: fmt.Sprintf("order %d", orderID), Effect: "ships " + shortened(number)}
}

// CreditMemoReader reads credit memos in Magento. *magentoapi.CreditMemosService implements it.
type CreditMemoReader interface {
	Get(ctx context.Context, id int64) (*magentoapi.CreditMemo, error)
}

// InvoiceReader reads invoices in Magento. *magentoapi.InvoicesService implements it.
type InvoiceReader interface {
	Get(ctx context.Context, id int64) (*magentoapi.Invoice, error)
}

// CreditMemoCreated handles creditmemo_created: it reports a credit memo to the ERP.
type CreditMemoCreated struct {
	Followed
	CreditMemos CreditMemoReader
	Invoices    InvoiceReader
	Reporter    erp.CreditMemoReporter
}

// Handle reports each credit memo once.
func (h *CreditMemoCreated) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	id, err := event.ParseID(e.Body, event.CreditMemos)
	if err != nil {
		return "", err
	}
	return h.report(ctx, e, CreditMemoCreatedName, id, func(ctx context.Context, c erp.Call) (erp.Document, error) {
		m, err := h.creditMemo(ctx, id, c.Uncertain)
		if err != nil {
			return erp.Document{}, event.NotDone(err)
		}
		d, err := h.Reporter.ReportCreditMemo(ctx, c, m)
		if err == nil {
			h.compareCreditMemo(ctx, m, d)
		}
		return d, err
	})
}

func (h *CreditMemoCreated) creditMemo(ctx context.Context, id int64, begun bool) (erp.CreditMemo, error) {
	m, err := h.CreditMemos.Get(ctx, id)
	if err != nil {
		return erp.CreditMemo{}, FromMagento(err)
	}
	of, err := h.of(ctx, int64(m.OrderID), fmt.Sprintf("credit memo %d", id), begun)
	if err != nil {
		return erp.CreditMemo{}, err
	}
	invoice := ""
	if m.InvoiceID != 0 {
		if invoice, err = h.invoice(ctx, int64(m.InvoiceID)); err != nil {
			return erp.CreditMemo{}, err
		}
	}
	mapped, warnings, err := mapping.CreditMemo(m, of, h.Rules.Key, h.Rules.ReferencePrefix, invoice)
	for _, w := range warnings {
		zerolog.Ctx(ctx).Warn().Str("event", "creditmemo_mapping_warning").Str("key", strconv.FormatInt(id, 10)).Msg(string(w))
	}
	return mapped, err
}

// invoice returns the shop's number of an invoice; "" where it may not be read, or is gone.
func (h *CreditMemoCreated) invoice(ctx context.Context, id int64) (string, error) {
	invoice, err := h.Invoices.Get(ctx, id)
	if err == nil {
		return string(invoice.IncrementID), nil
	}
	err = FromMagento(err)
	switch event.ClassOf(err) {
	case event.Unauthorized, event.NotFound, event.Rejected:
		zerolog.Ctx(ctx).Debug().Str("event", "invoice_unreadable").Int64("invoice", id).Err(err).Msg("the credit memo goes out without the number of its invoice")
		return "", nil
	}
	return "", err
}

// compareCreditMemo logs where the ERP's total of a credit memo is another than Magento's.
func (h *CreditMemoCreated) compareCreditMemo(ctx context.Context, m erp.CreditMemo, d erp.Document) {
	for _, note := range d.Notes {
		zerolog.Ctx(ctx).Warn().Str("event", "creditmemo_document_note").Bool("journal", true).Str("document_number", d.Number).Msg(note)
	}
	difference, over := erp.Compare(erp.SalesOrder{Totals: m.Totals}, d, h.Rules.tolerance())
	if difference.IsZero() {
		return
	}
	total, grandTotal := d.Total.String(), m.Totals.GrandTotal.String()
	if !over {
		zerolog.Ctx(ctx).Info().Str("event", "creditmemo_total_differs").Bool("journal", true).Str("document_number", d.Number).
			Str("total", total).Str("grand_total", grandTotal).Msg("the ERP's total of the credit memo is not Magento's, within the tolerance")
		return
	}
	zerolog.Ctx(ctx).Warn().Str("event", "creditmemo_total_differs").Bool("journal", true).Str("document_number", d.Number).
		Str("total", total).Str("grand_total", grandTotal).Msg("the ERP's total of the credit memo is not Magento's, and over the tolerance")
}
