package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/magentoapi"
)

// Cancelled returns how much of each line of the sales order is cancelled so far, without lines of which nothing is. Of an order
// that is canceled as a whole everything counts as cancelled that was neither shipped nor refunded, also where a row says
// otherwise: Magento leaves the rows of bundles at 0, and the event may come before the rows are saved.
func Cancelled(o *magentoapi.Order) []erp.CancellationLine {
	ls := []erp.CancellationLine{}
	for _, s := range sold(o) {
		q := s.cancelled()
		if item := s.item; o.State == magentoapi.StateCanceled {
			q = decimal.Max(q, item.QtyOrdered.Decimal.Sub(item.QtyShipped.Decimal).Sub(item.QtyRefunded.Decimal))
		}
		if q.IsPositive() {
			ls = append(ls, erp.CancellationLine{
				Reference: itemReference(s.item), SKU: s.sku(), Quantity: erp.NewQuantity(q), Row: s.row(q),
			})
		}
	}
	return ls
}

// cancelled returns the cancelled quantity of a row. Where only the composite's row has it, a component's share is that of the
// composite; where only the variant's row of a configurable has it, it is the variant's.
func (s sale) cancelled() decimal.Decimal {
	return s.count(func(i *magentoapi.OrderItem) decimal.Decimal { return i.QtyCanceled.Decimal })
}

// count returns a quantity of the row, also where Magento has it on the row of the composite or the variant only.
func (s sale) count(of func(*magentoapi.OrderItem) decimal.Decimal) decimal.Decimal {
	q := of(s.item)
	if s.variant != nil {
		q = decimal.Max(q, of(s.variant))
	}
	if s.parent != nil && s.parent.QtyOrdered.Decimal.IsPositive() {
		share := s.item.QtyOrdered.Decimal.Mul(of(s.parent)).DivRound(s.parent.QtyOrdered.Decimal, 4)
		q = decimal.Max(q, share)
	}
	return q
}

// row returns how a row stands, with what is cancelled of it. Of a component the composite's row may have it.
func (s sale) row(canceled decimal.Decimal) erp.Row {
	shipped, refunded := s.count(func(i *magentoapi.OrderItem) decimal.Decimal { return i.QtyShipped.Decimal }),
		s.count(func(i *magentoapi.OrderItem) decimal.Decimal { return i.QtyRefunded.Decimal })
	ordered := s.item.QtyOrdered.Decimal
	return erp.Row{
		Ordered: erp.NewQuantity(ordered), Shipped: erp.NewQuantity(shipped), Refunded: erp.NewQuantity(refunded),
		Canceled: erp.NewQuantity(canceled),
		Open:     erp.NewQuantity(decimal.Max(decimal.Zero, ordered.Sub(shipped).Sub(refunded).Sub(canceled))),
	}
}

// maxKey bounds the part of a key that has the quantities, because it is sent in a header.
const maxKey = 200

// CancellationKey returns the business key of a cancellation: the order's, and the cancelled quantities by line. A later
// cancellation of more has another key. For an order with very many lines it has their number and a digest.
func CancellationKey(businessKey string, cancelled []erp.CancellationLine) string {
	parts := make([]string, 0, len(cancelled))
	for _, l := range cancelled {
		parts = append(parts, l.Reference+"="+l.Quantity.String())
	}
	quantities := strings.Join(parts, ",")
	if len(quantities) > maxKey {
		digest := sha256.Sum256([]byte(quantities))
		quantities = fmt.Sprintf("%d-lines-%s", len(cancelled), hex.EncodeToString(digest[:16]))
	}
	return businessKey + ":" + quantities
}

// Cancellation returns what to cancel in the ERP's document: what is Cancelled, less what was cancelled there before (quantities by
// the reference of their line). It is complete if the whole order is canceled. If it is neither complete nor has lines it need not
// be sent.
func Cancellation(o *magentoapi.Order, taken map[string]decimal.Decimal) erp.Cancellation {
	c := erp.Cancellation{
		Reason:   "canceled in Magento",
		Complete: o.State == magentoapi.StateCanceled,
		Lines:    []erp.CancellationLine{},
	}
	for _, l := range Cancelled(o) {
		if rest := l.Quantity.Decimal.Sub(taken[l.Reference]); rest.IsPositive() {
			l.Quantity = erp.NewQuantity(rest)
			c.Lines = append(c.Lines, l)
		}
	}
	return c
}
