package mapping

import (
	"slices"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// Required lists the fields of Magento's answer that must be readable for a purpose. Any other field of an unexpected form
// (magentoapi.OddField) is left out and does no harm. A field that is null or missing counts as readable.
type Required struct {
	fields []string
	// orNothing are fields for which false, "", [] and {} count as null: PHP writes them for none.
	orNothing []string
}

// What a purpose needs of an order.
var (
	// Identity is what identifies the order.
	Identity = Required{fields: []string{"entity_id", "increment_id", "store_id"}}

	// Document is what a sales order can't be made without: what was sold, and all parts of its price. The customer, the
	// addresses, the payment and the amounts in the base currency may be missing. So may gift cards, credit, points and
	// wrapping: the totals have them in Other then, with a warning.
	Document = Required{
		fields: append([]string{
			"entity_id", "increment_id", "store_id", "order_currency_code",
			"subtotal", "discount_amount", "discount_tax_compensation_amount",
			"shipping_discount_tax_compensation_amount", "shipping_amount", "tax_amount", "grand_total",
		}, of("items", row...)...),
		orNothing: of("items", "parent_item_id"),
	}

	// shippingCosts is what Document needs besides for an order that is shipped.
	shippingCosts = Required{fields: []string{"shipping_incl_tax", "shipping_tax_amount", "shipping_discount_amount"}}

	// parentRow is what Document needs besides where there is a component's row and not the row of its composite.
	parentRow = Required{fields: of("items.parent_item", row...)}

	// Quantities is what a cancellation and a parcel can't be made without.
	Quantities = Required{
		fields: append([]string{"entity_id", "increment_id", "state"},
			of("items", "item_id", "product_type", "sku", "qty_ordered")...),
		orNothing: of("items", "parent_item_id", "qty_canceled", "qty_shipped", "qty_refunded"),
	}

	// Replacement is which order replaces one that was edited.
	Replacement = Required{orNothing: []string{"relation_child_id", "relation_child_real_id"}}
)

var row = []string{
	"item_id", "product_type", "sku", "qty_ordered", "price", "price_incl_tax", "discount_amount",
	"discount_tax_compensation_amount", "tax_percent", "tax_amount", "row_total", "row_total_incl_tax",
}

// Parceled is what a parcel needs of the shipments that the order has already.
var Parceled = Required{fields: append(of("items", "order_item_id", "qty"), "entity_id", "tracks.track_number")}

// Require returns a Required with these fields.
func Require(fields ...string) Required { return Required{fields: fields} }

func of(list string, names ...string) []string {
	var fields []string
	for _, name := range names {
		fields = append(fields, list+"."+name)
	}
	return fields
}

// Odd returns the first of the needed fields that can't be read.
func (n Required) Odd(odd []magentoapi.OddField) (magentoapi.OddField, bool) {
	for _, f := range odd {
		if f.In(n.fields...) || !f.Empty && f.In(n.orNothing...) {
			return f, true
		}
	}
	return magentoapi.OddField{}, false
}

// Check fails as Invalid if a needed field of an order can't be read.
func (n Required) Check(o *magentoapi.Order) error {
	f, found := n.Odd(o.Odd())
	if !found {
		return nil
	}
	name := "order " + string(o.IncrementID)
	if o.IncrementID == "" {
		name = "the order"
	}
	return event.Errorf(event.Invalid, "%s (entity id %d) can't be read: %w. Magento does not write this by itself: "+
		"look for the module or the import that does, put the order right and replay", name, o.EntityID, f)
}

// Readable fails as Invalid if a field of an order can't be read that its sales order can't be made without.
func Readable(o *magentoapi.Order) error {
	if len(o.Odd()) == 0 {
		return nil
	}
	needs := []Required{Document}
	if isShipped(o) {
		needs = append(needs, shippingCosts)
	}
	told := map[magentoapi.ID]bool{0: true}
	for _, item := range o.Items {
		told[item.ItemID] = true
	}
	if slices.ContainsFunc(o.Items, func(i magentoapi.OrderItem) bool { return !told[i.ParentItemID] }) {
		needs = append(needs, parentRow)
	}
	for _, n := range needs {
		if err := n.Check(o); err != nil {
			return err
		}
	}
	return nil
}
