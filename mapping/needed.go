package mapping

import (
	"slices"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// A Need lists the fields of Magento's answer that must be readable for something to be made of it. Whatever else is in
// a form that nobody expects (magentoapi.OddField) is left out, and keeps nothing back. A field that is null or missing is
// readable: it tells nothing.
type Need struct {
	fields []string
	// orNothing are fields for which false, "", [] and {} are as good as null: what PHP writes for none.
	orNothing []string
}

// What is needed of an order.
var (
	// Identity says which order it is.
	Identity = Need{fields: []string{"entity_id", "increment_id", "store_id"}}

	// Document is what the sales order is made of: what was sold, and all that its price is made of. Who bought it, where
	// it goes, how it is paid, and what it comes to in the base currency, may be left out. So may be what was paid with
	// gift cards, credit or points, and wrapping: the totals then have it in Other, with a warning.
	Document = Need{
		fields: append([]string{
			"entity_id", "increment_id", "store_id", "order_currency_code",
			"subtotal", "discount_amount", "discount_tax_compensation_amount",
			"shipping_discount_tax_compensation_amount", "shipping_amount", "tax_amount", "grand_total",
		}, of("items", row...)...),
		orNothing: of("items", "parent_item_id"),
	}

	// shippingCosts are a part of the document of an order that is shipped.
	shippingCosts = Need{fields: []string{"shipping_incl_tax", "shipping_tax_amount", "shipping_discount_amount"}}

	// parentRow is a part of the document where a component's row is there and the row of its composite is not.
	parentRow = Need{fields: of("items.parent_item", row...)}

	// Quantities are what a cancellation and a parcel are made of.
	Quantities = Need{
		fields: append([]string{"entity_id", "increment_id", "state"},
			of("items", "item_id", "product_type", "sku", "qty_ordered")...),
		orNothing: of("items", "parent_item_id", "qty_canceled", "qty_shipped", "qty_refunded"),
	}

	// Replacement says which order has taken the place of one that was edited.
	Replacement = Need{orNothing: []string{"relation_child_id", "relation_child_real_id"}}
)

var row = []string{
	"item_id", "product_type", "sku", "qty_ordered", "price", "price_incl_tax", "discount_amount",
	"discount_tax_compensation_amount", "tax_percent", "tax_amount", "row_total", "row_total_incl_tax",
}

// Parceled is what is needed of the shipments that an order has already.
var Parceled = Need{fields: append(of("items", "order_item_id", "qty"), "entity_id", "tracks.track_number")}

// Needed are fields by their names.
func Needed(fields ...string) Need { return Need{fields: fields} }

func of(list string, names ...string) []string {
	var fields []string
	for _, name := range names {
		fields = append(fields, list+"."+name)
	}
	return fields
}

// Odd gives the first of the needed fields that can't be read.
func (n Need) Odd(odd []magentoapi.OddField) (magentoapi.OddField, bool) {
	for _, f := range odd {
		if f.In(n.fields...) || !f.Empty && f.In(n.orNothing...) {
			return f, true
		}
	}
	return magentoapi.OddField{}, false
}

// Check is an Invalid error where something can't be read of an order that is needed of it.
func (n Need) Check(o *magentoapi.Order) error {
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

// Readable is an Invalid error where something can't be read that the sales order of an order is made of.
func Readable(o *magentoapi.Order) error {
	if len(o.Odd()) == 0 {
		return nil
	}
	needs := []Need{Document}
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
