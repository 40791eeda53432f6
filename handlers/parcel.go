package handlers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// trackedParcel is a tracking number with its order and the shipments that Magento has of it.
type trackedParcel struct {
	event.Tracking
	order     *magentoapi.Order
	shipments []*magentoapi.Shipment // oldest first
	goods     *mapping.Parcel
}

func newParcel(t event.Tracking, o *magentoapi.Order, shipments []*magentoapi.Shipment) (*trackedParcel, error) {
	goods, err := mapping.NewParcel(o, shipments, t.Items)
	return &trackedParcel{t, o, shipments, goods}, err
}

// recorded returns the shipment that has the number and these items already, or nil.
func (p *trackedParcel) recorded() *magentoapi.Shipment {
	if p.TrackingNumber == "" {
		return nil // which shipment it is shows whether there is one
	}
	return p.first(func(s *magentoapi.Shipment) bool { return p.numbered(s) && (len(p.Items) == 0 || p.goods.Made(s)) })
}

// made returns the shipment with the number that was not there before, or nil.
func (p *trackedParcel) made(now []*magentoapi.Shipment) *magentoapi.Shipment {
	for _, s := range now {
		if p.numbered(s) && p.first(func(old *magentoapi.Shipment) bool { return old.EntityID == s.EntityID }) == nil {
			return s
		}
	}
	return nil
}

// within returns a shipment that has the number and more than these items, or nil. It is used if no item is open.
func (p *trackedParcel) within() *magentoapi.Shipment {
	return p.first(func(s *magentoapi.Shipment) bool {
		return (p.TrackingNumber == "" || p.numbered(s)) && p.goods.Within(s)
	})
}

// ways returns how the parcel can be shipped. If less than its items is open, because shipments with the number have some of them
// already, it is the rest: a file that was taken while it was written may end within a parcel. Without any rest, s is the last of
// these shipments.
func (p *trackedParcel) ways() (ways [][]magentoapi.NewDocumentItem, s *magentoapi.Shipment, err error) {
	ways, err = p.goods.Ways()
	if err == nil {
		return ways, nil, nil
	}
	if s := p.within(); s != nil {
		return nil, s, nil
	}
	var mine []*magentoapi.Shipment
	for _, s := range p.shipments {
		if p.TrackingNumber != "" && p.numbered(s) {
			mine = append(mine, s)
		}
	}
	rest := p.goods.Without(mine)
	switch {
	case rest == nil:
		return nil, nil, err
	case rest.Empty():
		return nil, mine[len(mine)-1], nil
	}
	ways, err = rest.Ways()
	return ways, nil, err
}

// shipment returns the shipment to add the number to; nil means that a new one must be made.
func (p *trackedParcel) shipment() (*magentoapi.Shipment, error) {
	switch {
	case p.Joins != "":
		s := p.first(func(s *magentoapi.Shipment) bool { return hasTrack(s, p.Joins) })
		if s == nil {
			return nil, &event.Error{
				Class: event.NotFound, Downstream: magento,
				Err: fmt.Errorf("no shipment of order %s has the number yet that this one joins", p.order.IncrementID),
			}
		}
		return s, nil
	case p.ShipmentNumber != "":
		s := p.first(func(s *magentoapi.Shipment) bool {
			return string(s.IncrementID) == p.ShipmentNumber || string(s.IncrementID) == padded(p.ShipmentNumber)
		})
		if s == nil {
			return nil, &event.Error{
				Class: event.NotFound, Downstream: magento,
				Err: fmt.Errorf("order %s has no shipment %s", p.order.IncrementID, p.ShipmentNumber),
			}
		}
		return s, nil
	case len(p.Items) > 0:
		return p.first(func(s *magentoapi.Shipment) bool { return len(s.Tracks) == 0 && p.goods.Just(s) }), nil
	case len(p.shipments) == 1:
		return p.shipments[0], nil
	default:
		for _, s := range slices.Backward(p.shipments) {
			if len(s.Tracks) == 0 {
				return s, nil
			}
		}
		return nil, nil
	}
}

func (p *trackedParcel) first(is func(*magentoapi.Shipment) bool) *magentoapi.Shipment {
	if at := slices.IndexFunc(p.shipments, is); at >= 0 {
		return p.shipments[at]
	}
	return nil
}

// numbered reports whether a shipment has the tracking number; without one, whether it has none either.
func (p *trackedParcel) numbered(s *magentoapi.Shipment) bool {
	if p.TrackingNumber == "" {
		return len(s.Tracks) == 0
	}
	return hasTrack(s, p.TrackingNumber)
}

func hasTrack(s *magentoapi.Shipment, number string) bool {
	return slices.ContainsFunc(s.Tracks, func(t magentoapi.ShipmentTrack) bool {
		return strings.EqualFold(strings.TrimSpace(string(t.TrackNumber)), number)
	})
}

// coreCarriers are those that Magento comes with and that have tracking (app/code/Magento/Dhl, Fedex, Ups, Usps).
var coreCarriers = []string{magentoapi.CarrierCustom, "dhl", "fedex", "ups", "usps"}

// carrier returns the code and the title of a track. A carrier that Magento does not know is custom, with its name as the title.
func (r *TrackingRules) carrier(t event.Tracking) (code, title string) {
	code, title = magentoapi.CarrierCustom, t.Title
	for _, known := range slices.Concat(coreCarriers, r.Carriers) {
		if strings.EqualFold(known, t.CarrierCode) {
			code = known
		}
	}
	for _, text := range []string{t.CarrierCode, code} {
		if title == "" {
			title = text
		}
	}
	if runes := []rune(title); len(runes) > magentoapi.MaxTrackTitle {
		title = string(runes[:magentoapi.MaxTrackTitle])
	}
	return code, title
}
