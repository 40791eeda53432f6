package handlers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Shipments reads and creates shipments in Magento. *magentoapi.ShipmentsService implements it.
type Shipments interface {
	OfOrder(ctx context.Context, orderID int64) ([]*magentoapi.Shipment, error)
	Ship(ctx context.Context, orderID int64, n magentoapi.NewShipment) (int64, error)
	AddTrack(ctx context.Context, t *magentoapi.ShipmentTrack) (*magentoapi.ShipmentTrack, error)
	SendEmail(ctx context.Context, shipmentID int64) (bool, error)
}

// TrackingRules are the settings of docs/tracking.md for shipments.
type TrackingRules struct {
	SourceCode string   // of shipments that are created, if the message names none
	Create     bool     // creates a shipment if there is none; else the number waits for one
	Notify     bool     // one mail for each shipment that is created, and one for each number that is added later
	Carriers   []string // carrier codes that Magento knows, besides those that it comes with
}

// Tracked handles tracking_received: it adds the tracking number to the right shipment of the order, or creates one.
type Tracked struct {
	Orders    Orders
	Shipments Shipments
	Ledger    Ledger
	Book      OrderBook
	Key       mapping.KeyRule
	Rules     TrackingRules
}

// Effects of TrackingReceived, and for people the reasons of the first: that the second is due, or that the shipment was made
// with the number, by its mail too.
const (
	effectTrack  = "track"
	effectMail   = "mail"
	mailDue      = "mail due"
	shipmentMade = "made the shipment"
)

// Handle adds each number of an order, with the same items, to Magento once.
func (h *Tracked) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	t, err := event.ParseTracking(e.Body)
	if err != nil {
		return "", err
	}
	key := t.Key()
	outcome, err := h.handle(ctx, e, t, key)
	return outcome, event.WithKey(err, key)
}

func (h *Tracked) handle(ctx context.Context, e event.Event, t event.Tracking, key string) (event.Outcome, error) {
	// This is mostly the right lease already: then taking it costs no further write.
	res, before, err := h.Ledger.Do(ctx, idempotency.Effect{
		Key: idempotency.Key{Consumer: TrackingReceived, Key: key, Effect: effectTrack}, Repeat: e.Repeat, Lease: orderLease(t.OrderNumber),
	},
		func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) { return h.find(ctx, t, c) })
	if err != nil {
		return "", err
	}
	if before {
		zerolog.Ctx(ctx).Info().Str("event", "tracking_duplicate").Str("key", key).Str("shipment", res.Value).
			Msg("duplicate: the tracking number was recorded before")
	}
	tracked, ok := trackOf(res)
	switch {
	case !ok:
		return "", event.Errorf(event.Internal, "the ledger has %q as the shipment of %s", res.Value, key)
	case !tracked.MailDue:
		return doneOrDuplicate(before), nil
	}
	// A number that was added just now was not mailed before, also if this is a redelivery.
	mailed, err := h.mail(ctx, key, tracked.Shipment, e.Repeat && before)
	if err != nil {
		return "", err
	}
	return doneOrDuplicate(before && mailed), nil
}

// find is the effect: it finds the order, takes the lease for writing to it, and adds the number. Its result has the shipment's entity
// id.
func (h *Tracked) find(ctx context.Context, t event.Tracking, c *idempotency.Claim) (idempotency.Result, error) {
	o, err := h.order(ctx, t)
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	lock, err := mapping.BusinessKey(h.Key, o)
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	if lock == t.OrderNumber {
		return h.track(ctx, t, o, c)
	}
	held, release, err := h.Ledger.Lease(ctx, orderLease(lock))
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	defer release()
	return h.track(held, t, o, c)
}

func (h *Tracked) track(ctx context.Context, t event.Tracking, o *magentoapi.Order, c *idempotency.Claim) (idempotency.Result, error) {
	log := zerolog.Ctx(ctx).With().Str("key", c.Key.Key).Int64("entity_id", int64(o.EntityID)).Logger()

	// Read under the lease: a number that is there is never added again, whoever added it.
	shipments, err := h.Shipments.OfOrder(ctx, int64(o.EntityID))
	if err != nil {
		return idempotency.Result{}, event.NotDone(FromMagento(err))
	}
	p, err := newParcel(t, o, shipments)
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	if s := p.recorded(); s != nil {
		log.Info().Str("event", "tracking_found").Int64("shipment", int64(s.EntityID)).
			Msg("found: the shipment has the tracking number already")
		return trackResult(int64(s.EntityID), ""), nil
	}
	s, err := p.shipment()
	if err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	switch {
	case s == nil:
		return h.ship(ctx, p, c)
	case t.TrackingNumber == "":
		log.Info().Str("event", "tracking_found").Int64("shipment", int64(s.EntityID)).Msg("found: there is a shipment, and no number to add to it")
		return trackResult(int64(s.EntityID), ""), nil
	}
	code, title := h.Rules.carrier(t)
	c.Looked()
	_, err = h.Shipments.AddTrack(ctx, &magentoapi.ShipmentTrack{
		OrderID: o.EntityID, ParentID: s.EntityID, TrackNumber: magentoapi.Text(t.TrackingNumber),
		CarrierCode: magentoapi.Text(code), Title: magentoapi.Text(title),
	})
	if err != nil {
		return idempotency.Result{}, FromMagento(err)
	}
	log.Info().Str("event", "tracking_added").Int64("shipment", int64(s.EntityID)).Msg("added: the tracking number is on the shipment")
	if h.Rules.Notify {
		return trackResult(int64(s.EntityID), mailDue), nil
	}
	return trackResult(int64(s.EntityID), ""), nil
}

// trackResult is that of effectTrack; the reason is one of those beside it, or none.
func trackResult(shipment int64, reason string) idempotency.Result {
	return idempotency.Result{
		Value: strconv.FormatInt(shipment, 10), Reason: reason, Data: encoded(trackData{Shipment: shipment, MailDue: reason == mailDue}),
	}
}

// ship creates a shipment with the number.
func (h *Tracked) ship(ctx context.Context, p *trackedParcel, c *idempotency.Claim) (idempotency.Result, error) {
	number, id := p.order.IncrementID, int64(p.order.EntityID)
	if !h.Rules.Create {
		return idempotency.Result{}, event.NotDone(&event.Error{
			Class: event.NotFound, Downstream: magento,
			Err: fmt.Errorf("order %s has no shipment yet for the number, and TRACKING_WHEN_NO_SHIPMENT=wait makes none", number),
		})
	}
	ways, has, err := p.ways()
	switch {
	case has != nil:
		return trackResult(int64(has.EntityID), ""), nil
	case err != nil:
		return idempotency.Result{}, event.NotDone(fmt.Errorf("order %s (state %s): %w", number, p.order.State, err))
	}
	shipment := magentoapi.NewShipment{Notify: h.Rules.Notify, SourceCode: p.SourceCode}
	if p.TrackingNumber != "" {
		code, title := h.Rules.carrier(p.Tracking)
		shipment.Tracks = []magentoapi.NewTrack{{TrackNumber: p.TrackingNumber, Title: title, CarrierCode: code}}
	}
	if shipment.SourceCode == "" {
		shipment.SourceCode = h.Rules.SourceCode
	}
	// Noted before the shipment is there: its own event may be handled before Magento answers.
	if _, _, err := h.Ledger.Do(ctx, idempotency.Effect{Key: shipsKey(id, p.TrackingNumber)}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
		return idempotency.Result{}, nil
	}); err != nil {
		return idempotency.Result{}, event.NotDone(err)
	}
	for _, way := range ways {
		shipment.Items = way
		c.Looked()
		var made int64
		if made, err = h.Shipments.Ship(ctx, id, shipment); err == nil {
			zerolog.Ctx(ctx).Info().Str("key", c.Key.Key).Int64("entity_id", id).Int64("shipment", made).
				Str("event", "shipment_created").Msg("created: a shipment of the parcel")
			return trackResult(made, shipmentMade), nil
		}
		if !errors.Is(err, magentoapi.ErrBadRequest) {
			return idempotency.Result{}, fromShip(err)
		}
		// Magento answers 400 for any failure, and the shipment may have been created.
		shipments, lookErr := h.Shipments.OfOrder(ctx, id)
		if lookErr != nil {
			return idempotency.Result{}, uncertain(FromMagento(lookErr), fmt.Errorf("%w; and the shipments can't be read again: %w", err, lookErr))
		}
		if s := p.made(shipments); s != nil {
			return trackResult(int64(s.EntityID), shipmentMade), nil
		}
		if err = fromShip(err); event.ClassOf(err) != event.Rejected {
			return idempotency.Result{}, err
		}
	}
	return idempotency.Result{}, uncertain(err, fmt.Errorf("order %s (state %s) can't be shipped: %w", number, p.order.State, err))
}

// uncertain gives err the class of another error, or has it wait as that one does, and nothing else of it: not that
// nothing was done.
func uncertain(like, err error) error {
	var classed *event.Error
	var deferral *event.Deferral
	switch {
	case errors.As(like, &classed):
		return &event.Error{Class: classed.Class, Downstream: classed.Downstream, RetryAfter: classed.RetryAfter, Err: errors.New(err.Error())}
	case errors.As(like, &deferral):
		return &event.Deferral{Reason: deferral.Reason, Downstream: deferral.Downstream, Wait: deferral.Wait, Pick: deferral.Pick, Busy: deferral.Busy, Err: errors.New(err.Error())}
	default:
		return errors.New(err.Error())
	}
}

// mail has Magento mail a shipment to which a number was added. before is true if an earlier handling had added it. A mail that may
// have been sent is not sent again.
func (h *Tracked) mail(ctx context.Context, key string, shipment int64, repeat bool) (before bool, err error) {
	res, before, err := h.Ledger.Do(ctx, idempotency.Effect{Key: idempotency.Key{Consumer: TrackingReceived, Key: key, Effect: effectMail}, Repeat: repeat},
		func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			if c.Uncertain {
				return idempotency.Result{Reason: "may have been sent before"}, nil
			}
			sent, err := h.Shipments.SendEmail(ctx, shipment)
			log := zerolog.Ctx(ctx).With().Str("key", key).Str("shipment", strconv.FormatInt(shipment, 10)).Logger()
			switch err = FromMagento(err); {
			case isRefusal(err):
				// The number is recorded: a mail that Magento refuses must not make a dead letter.
				log.Warn().Str("event", "shipment_mail_refused").Bool("journal", true).Err(err).Msg("Magento refuses to mail the shipment")
				return idempotency.Result{State: idempotency.Skipped, Reason: "Magento refuses the mail"}, nil
			case err != nil:
				return idempotency.Result{}, err
			case !sent:
				log.Info().Str("event", "shipment_mail_not_sent").Msg("Magento has taken the mail and not sent it: the shop sends none, or later")
			}
			return idempotency.Result{}, nil
		})
	return before || res.State == idempotency.Skipped, err
}

// order finds the order that a warehouse names by a number: Magento's number, with the leading zeros that a spreadsheet has removed, or
// that of the ERP's document. An order that was edited is the one that has replaced it.
func (h *Tracked) order(ctx context.Context, t event.Tracking) (*magentoapi.Order, error) {
	o, err := h.byNumber(ctx, t)
	if err != nil {
		return nil, err
	}
	for range 100 {
		if err := mapping.Replacement.Check(o); err != nil {
			return nil, err
		}
		switch {
		case o.RelationChildID != 0 && o.RelationChildID != o.EntityID:
			o, err = find(ctx, h.Orders, event.Order{EntityID: event.ID(o.RelationChildID)})
		case o.RelationChildID == 0 && o.RelationChildRealID != "" && o.RelationChildRealID != o.IncrementID:
			o, err = find(ctx, h.Orders, event.Order{IncrementID: event.Text(o.RelationChildRealID)})
		default:
			return o, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, event.Errorf(event.Invalid, "order %s was edited more than 100 times, or its replacements go round in a circle", t.OrderNumber)
}

func (h *Tracked) byNumber(ctx context.Context, t event.Tracking) (*magentoapi.Order, error) {
	number := t.OrderNumber
	candidates := []string{number}
	if p := padded(number); p != number && len(number) >= fewestDigits && !t.Exact {
		candidates = append(candidates, p)
	}
	for _, candidate := range candidates {
		o, err := find(ctx, h.Orders, event.Order{IncrementID: event.Text(candidate)})
		if err == nil {
			return o, h.exported(ctx, o)
		}
		if event.ClassOf(err) != event.NotFound {
			return nil, err
		}
	}
	ids, err := h.Book.ByDocument(ctx, number)
	switch {
	case err != nil:
		return nil, err
	case len(ids) > 1:
		return nil, event.Errorf(event.Invalid, "several orders have the document number %s (entity ids %d): name the order by its own", number, ids)
	case len(ids) == 1:
		return find(ctx, h.Orders, event.Order{EntityID: event.ID(ids[0])})
	}
	return nil, &event.Error{
		Class: event.NotFound, Downstream: magento,
		Err: fmt.Errorf("neither Magento has an order %s nor the ledger a document of that number", number),
	}
}

// exported fails if the order that was sent under that number, whose parcel this is, was another one.
func (h *Tracked) exported(ctx context.Context, o *magentoapi.Order) error {
	key, err := mapping.BusinessKey(h.Key, o)
	if err != nil {
		return err
	}
	sent, ok, err := h.Book.Known(ctx, createKey(key))
	if err != nil || !ok || sent.Document == "" || sameOrder(sent.Order, identity(o)) {
		return err
	}
	return anotherOrder(key, inERP(sent.Document), sent.Order, identity(o))
}

// fewestDigits is how many digits an order number must have to be looked up with zeros in front: a shorter one is mostly the 3PL's
// own, which would ship whichever order has it.
const fewestDigits = 4

// padded returns digits with leading zeros to 9 digits, as Magento's numbers have.
func padded(number string) string {
	const width = 9
	if len(number) >= width || strings.Trim(number, "0123456789") != "" {
		return number
	}
	return strings.Repeat("0", width-len(number)) + number
}
