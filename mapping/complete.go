package mapping

import (
	"fmt"
	"slices"

	"github.com/mageline/mageline/magentoapi"
)

// MissingNumbers returns the amounts and quantities that an order lacks and that a document can't be made without: many an ERP reads
// a null as 0. Any other missing value is null in the document. The names are Magento's, such as items[0].row_total.
func MissingNumbers(o *magentoapi.Order) []string {
	var missing []string
	if !o.GrandTotal.Valid {
		missing = append(missing, "grand_total")
	}
	for _, s := range sold(o) {
		missing = append(missing, missingOf(s.item, !s.included)...)
	}
	return missing
}

// missingOf names a row by its id: that of a composite may be only inside of its components.
func missingOf(item *magentoapi.OrderItem, money bool) []string {
	var missing []string
	if !item.QtyOrdered.Valid {
		missing = append(missing, fmt.Sprintf("qty_ordered of item %d", item.ItemID))
	}
	if money && !item.RowTotal.Valid {
		missing = append(missing, fmt.Sprintf("row_total of item %d", item.ItemID))
	}
	return missing
}

// MissingFromPayload returns what the order in an event lacks to be used instead of reading the order. It returns nothing for one
// that can be trusted. Dumps and thin payloads have an entity_id, a state and items too.
func MissingFromPayload(o *magentoapi.Order) []string {
	var missing []string
	need := func(has bool, name string) {
		if !has {
			missing = append(missing, name)
		}
	}
	need(o.EntityID != 0, "entity_id")
	need(o.IncrementID != "", "increment_id")
	need(o.State != "", "state")
	need(o.StoreID != nil, "store_id")
	need(o.OrderCurrencyCode != "", "order_currency_code")
	need(o.GrandTotal.Valid, "grand_total")
	need(isAddress(o.BillingAddress), "billing_address")
	if !o.IsVirtual.Bool {
		a := o.ShippingAssignment()
		need(a != nil && isAddress(a.Address), "the shipping address")
		need(a != nil && a.Method != "", "the shipping method")
	}
	need(len(o.Items) > 0, "items")
	for i := range o.Items {
		item := &o.Items[i]
		need(item.ItemID != 0, fmt.Sprintf("items[%d].item_id", i))
		need(item.SKU != "", fmt.Sprintf("items[%d].sku", i))
		need(item.QtyOrdered.Valid, fmt.Sprintf("items[%d].qty_ordered", i))
		need(item.RowTotal.Valid, fmt.Sprintf("items[%d].row_total", i))
	}
	return missing
}

// isAddress reports whether an object has enough of an address to send something to.
func isAddress(a *magentoapi.OrderAddress) bool {
	return a != nil && a.CountryID != "" && a.City != "" && slices.ContainsFunc(a.Street, func(line string) bool { return line != "" })
}
