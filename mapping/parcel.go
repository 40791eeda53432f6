package mapping

import (
	"maps"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// Parcel compares what a warehouse says is in a parcel with an order and the shipments that Magento has of it.
//
// A warehouse knows pieces: a variant, a component of a bundle. Magento has a row for the composite and one for each component. It
// ships a configurable product by the row of the composite. It ships a bundle by its row ("ship together") or by those of its
// components ("separately"); REST does not have which.
type Parcel struct {
	pieces []*piece
	wants  []want
}

// piece is a product that can be in a parcel.
type piece struct {
	row    *magentoapi.OrderItem // by which Magento ships it, unless that is bundle
	skus   []string
	bundle *magentoapi.OrderItem // of which row is a component; nil for none
	per    decimal.Decimal       // pieces for one of the bundle
	open   decimal.Decimal
}

// want is one SKU of a parcel. Several rows of an order may have it.
type want struct {
	sku    string
	pieces []*piece
	qty    decimal.NullDecimal // not Valid: all that is open
}

// NewParcel matches items to the order's rows, ignoring case as Magento's database does. It fails as Invalid for a SKU of which
// the order has nothing to ship, and for quantities that can't be read.
func NewParcel(o *magentoapi.Order, shipments []*magentoapi.Shipment, items []event.ParcelItem) (*Parcel, error) {
	if err := Quantities.Check(o); err != nil {
		return nil, err
	}
	for _, s := range shipments {
		if f, found := Parceled.Odd(s.Odd()); found {
			return nil, event.Errorf(event.Invalid, "shipment %d of order %s can't be read: %w", s.EntityID, o.IncrementID, f)
		}
	}
	p := &Parcel{pieces: pieces(o)}
	shipped := map[*piece]decimal.Decimal{}
	for _, s := range shipments {
		for piece, qty := range p.content(s) {
			shipped[piece] = shipped[piece].Add(qty)
		}
	}
	for _, piece := range p.pieces {
		// The order may have been read before the last shipment. And Magento may count more than its shipments have.
		piece.open = piece.open.Sub(decimal.Max(shipped[piece], piece.row.QtyShipped.Decimal))
	}
	for _, item := range items {
		wants := p.named(item)
		if len(wants) == 0 {
			return nil, event.Errorf(event.Invalid, "order %s has nothing to ship with the SKU %q", o.IncrementID, item.SKU)
		}
		p.wants = append(p.wants, wants...)
	}
	return p, nil
}

func pieces(o *magentoapi.Order) []*piece {
	items := rows(o)
	var all []*piece
	for _, item := range items {
		if item.IsVirtual.Bool {
			continue
		}
		var composite *magentoapi.OrderItem
		var components []*magentoapi.OrderItem
		for _, other := range items {
			switch {
			case other == item:
			case other.ItemID == item.ParentItemID:
				composite = other
			case other.ParentItemID == item.ItemID:
				components = append(components, other)
			}
		}
		switch {
		case composite != nil && composite.ProductType == "configurable":
			// The row of its product counts.
		case composite != nil:
			all = append(all, component(item, composite))
		case item.ProductType == "configurable" || len(components) == 0:
			p := &piece{row: item, skus: []string{string(item.SKU)}}
			for _, variant := range components { // the product's row may have the product's own SKU
				p.skus = append(p.skus, string(variant.SKU))
			}
			p.open = item.QtyOrdered.Decimal.Sub(item.QtyCanceled.Decimal).Sub(item.QtyRefunded.Decimal)
			all = append(all, p)
		}
	}
	return all
}

// component returns a piece of a bundle. Its own row or the bundle's has what was cancelled or refunded.
func component(item, bundle *magentoapi.OrderItem) *piece {
	p := &piece{row: item, skus: []string{string(item.SKU)}, bundle: bundle, per: decimal.New(1, 0)}
	if bundle.QtyOrdered.Decimal.IsPositive() && item.QtyOrdered.Decimal.IsPositive() {
		p.per = item.QtyOrdered.Decimal.Div(bundle.QtyOrdered.Decimal)
	}
	canceled := decimal.Max(item.QtyCanceled.Decimal, bundle.QtyCanceled.Decimal.Mul(p.per))
	refunded := decimal.Max(item.QtyRefunded.Decimal, bundle.QtyRefunded.Decimal.Mul(p.per))
	p.open = item.QtyOrdered.Decimal.Sub(canceled).Sub(refunded)
	return p
}

// content returns how many of each piece a shipment has. A bundle that is shipped together may have no rows for its components.
// One whose components are shipped separately has a row that does not count.
func (p *Parcel) content(s *magentoapi.Shipment) map[*piece]decimal.Decimal {
	qty := map[magentoapi.ID]decimal.Decimal{}
	for _, item := range s.Items {
		qty[item.OrderItemID] = qty[item.OrderItemID].Add(item.Qty.Decimal)
	}
	byComponent := map[*magentoapi.OrderItem]bool{}
	for _, piece := range p.pieces {
		if piece.bundle != nil && qty[piece.row.ItemID].IsPositive() {
			byComponent[piece.bundle] = true
		}
	}
	content := map[*piece]decimal.Decimal{}
	for _, piece := range p.pieces {
		n := qty[piece.row.ItemID]
		if piece.bundle != nil && !byComponent[piece.bundle] {
			n = qty[piece.bundle.ItemID].Mul(piece.per).Round(4)
		}
		if n.IsPositive() {
			content[piece] = n
		}
	}
	return content
}

// named returns the pieces of a SKU. For a bundle's SKU these are all of its components.
func (p *Parcel) named(item event.ParcelItem) []want {
	w := want{sku: item.SKU, qty: item.Quantity}
	for _, piece := range p.pieces {
		if slices.ContainsFunc(piece.skus, func(sku string) bool { return strings.EqualFold(sku, item.SKU) }) {
			w.pieces = append(w.pieces, piece)
		}
	}
	if len(w.pieces) > 0 {
		return []want{w}
	}
	var wants []want
	for i, piece := range p.pieces {
		if piece.bundle == nil || !strings.EqualFold(string(piece.bundle.SKU), item.SKU) {
			continue
		}
		qty := item.Quantity
		if qty.Valid {
			qty.Decimal = qty.Decimal.Mul(piece.per).Round(4)
		}
		wants = append(wants, want{piece.skus[0], p.pieces[i : i+1], qty})
	}
	return wants
}

// Just reports whether a shipment has exactly what is in the parcel.
func (p *Parcel) Just(s *magentoapi.Shipment) bool { return p.just(p.content(s)) }

func (p *Parcel) just(content map[*piece]decimal.Decimal) bool {
	for _, w := range p.wants {
		if n := w.in(content); !n.IsPositive() || w.qty.Valid && !n.Equal(w.qty.Decimal) {
			return false
		}
	}
	for piece := range content {
		if !slices.ContainsFunc(p.wants, func(w want) bool { return slices.Contains(w.pieces, piece) }) {
			return false
		}
	}
	return true
}

// Made reports whether a shipment has exactly what is in the parcel, or what Ways returns for it: whole bundles of which the
// parcel has a part.
func (p *Parcel) Made(s *magentoapi.Shipment) bool {
	content := p.content(s)
	if p.just(content) {
		return true
	}
	parts := map[*magentoapi.OrderItem]map[*piece]decimal.Decimal{} // of each bundle in the parcel
	for _, w := range p.wants {
		if first := w.pieces[0]; len(w.pieces) == 1 && first.bundle != nil && w.qty.Valid {
			if parts[first.bundle] == nil {
				parts[first.bundle] = map[*piece]decimal.Decimal{}
			}
			parts[first.bundle][first] = parts[first.bundle][first].Add(w.qty.Decimal)
		}
	}
	for bundle, part := range parts {
		whole := decimal.Zero
		for piece, n := range part {
			whole = decimal.Max(whole, piece.bundles(n))
		}
		of := func(piece *piece) bool { return piece.bundle == bundle }
		if slices.ContainsFunc(p.pieces, func(piece *piece) bool {
			return of(piece) && !content[piece].Equal(whole.Mul(piece.per).Round(4))
		}) {
			continue
		}
		maps.DeleteFunc(content, func(piece *piece, _ decimal.Decimal) bool { return of(piece) })
		maps.Copy(content, part)
	}
	return p.just(content)
}

// bundles returns how many bundles must be shipped to ship n of a component.
func (p *piece) bundles(n decimal.Decimal) decimal.Decimal { return n.Div(p.per).Round(4).Ceil() }

// Within reports whether a shipment has at least what is in the parcel.
func (p *Parcel) Within(s *magentoapi.Shipment) bool {
	content := p.content(s)
	return !slices.ContainsFunc(p.wants, func(w want) bool {
		n := w.in(content)
		return !n.IsPositive() || w.qty.Valid && n.LessThan(w.qty.Decimal)
	})
}

// Without returns what is in the parcel and not in those shipments together, nil if they have nothing of it.
func (p *Parcel) Without(shipments []*magentoapi.Shipment) *Parcel {
	content := map[*piece]decimal.Decimal{}
	for _, s := range shipments {
		for piece, n := range p.content(s) {
			content[piece] = content[piece].Add(n)
		}
	}
	rest := &Parcel{pieces: p.pieces}
	some := false
	for _, w := range p.wants {
		had := w.in(content)
		some = some || had.IsPositive()
		switch {
		case !had.IsPositive():
		case !w.qty.Valid, had.GreaterThanOrEqual(w.qty.Decimal):
			continue
		default:
			w.qty.Decimal = w.qty.Decimal.Sub(had)
		}
		rest.wants = append(rest.wants, w)
	}
	if !some {
		return nil
	}
	return rest
}

// Empty reports whether nothing is in the parcel. One that was made without items is never asked: it is all that is open.
func (p *Parcel) Empty() bool { return len(p.wants) == 0 }

func (w want) in(content map[*piece]decimal.Decimal) decimal.Decimal {
	n := decimal.Zero
	for _, piece := range w.pieces {
		n = n.Add(content[piece])
	}
	return n
}

// Ways returns the quantities to ship by, in the order in which to try them. If the parcel is one bundle, Magento refuses the rows
// by which it does not ship the bundle. If other products are in the parcel, Magento silently leaves the bundle out then
// (Sales\Model\Order\ShipmentFactory); of a request with both it uses the right rows, so that is the first way. Ways fails as
// Invalid for more than what is open, of which Magento would silently ship what is open.
//
// A parcel without items is everything that is open: one way, without quantities.
func (p *Parcel) Ways() ([][]magentoapi.NewDocumentItem, error) {
	if len(p.wants) == 0 {
		return [][]magentoapi.NewDocumentItem{nil}, nil
	}
	taken := map[*piece]decimal.Decimal{}
	free := func(piece *piece) decimal.Decimal { return decimal.Max(piece.open.Sub(taken[piece]), decimal.Zero) }
	for _, w := range p.wants {
		left := decimal.Zero
		for _, piece := range w.pieces {
			left = left.Add(free(piece))
		}
		asked := left
		if w.qty.Valid {
			asked = w.qty.Decimal
		}
		if !asked.IsPositive() || asked.GreaterThan(left) {
			return nil, event.Errorf(event.Invalid, "%s of SKU %s are to be shipped, and %s are open", amountOf(w.qty), w.sku, left)
		}
		for _, piece := range w.pieces {
			n := decimal.Min(asked, free(piece))
			taken[piece], asked = taken[piece].Add(n), asked.Sub(n)
		}
	}
	var others, components, bundles []magentoapi.NewDocumentItem
	for _, piece := range p.pieces {
		n := taken[piece]
		switch {
		case !n.IsPositive():
		case piece.bundle == nil:
			others = append(others, magentoapi.NewDocumentItem{OrderItemID: int64(piece.row.ItemID), Qty: n})
		default:
			components = append(components, magentoapi.NewDocumentItem{OrderItemID: int64(piece.row.ItemID), Qty: n})
			// A bundle of which the parcel has a part counts as shipped: Magento can't ship a part.
			whole := piece.bundles(n)
			at := slices.IndexFunc(bundles, func(i magentoapi.NewDocumentItem) bool { return i.OrderItemID == int64(piece.bundle.ItemID) })
			if at < 0 {
				bundles = append(bundles, magentoapi.NewDocumentItem{OrderItemID: int64(piece.bundle.ItemID), Qty: whole})
				continue
			}
			bundles[at].Qty = decimal.Max(bundles[at].Qty, whole)
		}
	}
	if len(bundles) == 0 {
		return [][]magentoapi.NewDocumentItem{others}, nil
	}
	ways := [][]magentoapi.NewDocumentItem{slices.Concat(others, components), slices.Concat(others, bundles)}
	if len(others) > 0 || len(bundles) > 1 {
		ways = slices.Insert(ways, 0, slices.Concat(others, components, bundles))
	}
	return ways, nil
}

func amountOf(qty decimal.NullDecimal) string {
	if !qty.Valid {
		return "all"
	}
	return qty.Decimal.String()
}
