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

// Cancelled lists how much of each line of the sales order is cancelled by now, leaving out lines of which nothing is.
// An order that is canceled as a whole has everything cancelled that was neither shipped nor refunded, also where a row
// does not say so: Magento leaves the rows of bundles at 0, and the event may come before the rows are saved.
func Cancelled(o *magentoapi.Order) []erp.CancellationLine {
	ls := []erp.CancellationLine{}
	for _, s := range sold(o) {
		q := s.cancelled()
		if item := s.item; o.State == magentoapi.StateCanceled {
			q = decimal.Max(q, item.QtyOrdered.Decimal.Sub(item.QtyShipped.Decimal).Sub(item.QtyRefunded.Decimal))
		}
		if q.IsPositive() {
			ls = append(ls, erp.CancellationLine{Reference: itemReference(s.item), SKU: s.sku(), Quantity: erp.NewQuantity(q)})
		}
	}
	return ls
}

// cancelled is the row's own quantity. Where a composite's row has it and a component's has not, the component's share
// is that of the composite, and the other way round for the variant of a configurable.
func (s sale) cancelled() decimal.Decimal {
	q := s.item.QtyCanceled.Decimal
	if s.variant != nil {
		q = decimal.Max(q, s.variant.QtyCanceled.Decimal)
	}
	if s.parent != nil && s.parent.QtyOrdered.Decimal.IsPositive() {
		share := s.item.QtyOrdered.Decimal.Mul(s.parent.QtyCanceled.Decimal).DivRound(s.parent.QtyOrdered.Decimal, 4)
		q = decimal.Max(q, share)
	}
	return q
}

// maxKey is how long the part of a key may be that holds quantities: it is sent in a header.
const maxKey = 200

// CancellationKey is the business key of a cancellation: the order's, and the cancelled quantities by line, so that a
// later cancellation of more is another. Of an order with very many lines it has their number and a digest.
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

// Cancellation is what to take from the ERP's document: what is Cancelled, less what was taken from it before (the
// quantity by the line's reference). It is complete where the whole order is canceled; else without lines it asks for
// nothing, and need not be sent.
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
