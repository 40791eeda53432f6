package mapping

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// Reported is the order that a shipment or a credit memo is of.
type Reported struct {
	Order *magentoapi.Order
	// Reference is the order's ExternalReference, and Document the number of its document in the ERP.
	Reference, Document string
	Store               Store
}

// reportReference returns the name of a shipment or a credit memo in the ERP: prefix and the shop's number of it, with the store
// before it where stores count alike.
func reportReference(rule KeyRule, prefix string, number magentoapi.Text, store magentoapi.ID) (string, error) {
	key, err := BusinessKey(rule, &magentoapi.Order{IncrementID: number, StoreID: &store})
	return ExternalReference(prefix, key), err
}

// Shipment maps a shipment. It fails as Invalid if the shipment or its order can't be read, or if the shipment has nothing of the
// order.
func Shipment(s *magentoapi.Shipment, of Reported, rule KeyRule, prefix string, origin erp.Origin) (erp.Shipment, error) {
	p, err := NewParcel(of.Order, []*magentoapi.Shipment{s}, nil)
	if err != nil {
		return erp.Shipment{}, err
	}
	reference, err := reportReference(rule, prefix, s.IncrementID, s.StoreID)
	if err != nil {
		return erp.Shipment{}, event.Errorf(event.Invalid, "shipment %d has no increment_id: look at it in Magento", s.EntityID)
	}
	sales := sold(of.Order)
	es := erp.Shipment{
		ExternalReference: reference, EntityID: id(s.EntityID), OrderReference: of.Reference, DocumentNumber: of.Document,
		SourceCode: known(s.SourceCode()), Origin: origin, Lines: []erp.ShipmentLine{}, Tracks: []erp.Track{},
		Store: of.store(), All: orderRows(sales),
	}
	es.CreatedAt, es.PlacedOn = instant(s.CreatedAt, of.Store)
	byRow := map[*magentoapi.OrderItem]decimal.Decimal{}
	for piece, n := range p.content(s) {
		byRow[piece.row] = n
	}
	for _, sale := range sales {
		if n := byRow[sale.item]; n.IsPositive() {
			es.Lines = append(es.Lines, erp.ShipmentLine{
				Reference: itemReference(sale.item), SKU: sale.sku(), Quantity: erp.NewQuantity(n), Row: sale.row(sale.cancelled()),
			})
		}
	}
	if len(es.Lines) == 0 {
		return erp.Shipment{}, event.Errorf(event.Invalid, "shipment %d has nothing of order %s: look at it in Magento", s.EntityID, of.Order.IncrementID)
	}
	for i := range s.Tracks {
		t := &s.Tracks[i]
		es.Tracks = append(es.Tracks, erp.Track{CarrierCode: text(t.CarrierCode), Title: text(t.Title), TrackingNumber: text(t.TrackNumber)})
	}
	return es, nil
}

func (of Reported) store() erp.Store {
	return erp.Store{ID: number(of.Order.StoreID), Code: known(of.Store.Code), Name: storeName(of.Order, of.Store)}
}

// instant returns a time in UTC, and its date in the store's time zone.
func instant(t magentoapi.Time, s Store) (at *time.Time, on *string) {
	if t.IsZero() {
		return nil, nil
	}
	utc := t.UTC()
	where := s.Location
	if where == nil {
		where = time.UTC
	}
	date := utc.In(where).Format(time.DateOnly)
	return &utc, &date
}

// orderRows returns how every line of an order stands.
func orderRows(sales []sale) []erp.OrderRow {
	rows := make([]erp.OrderRow, 0, len(sales))
	for _, s := range sales {
		rows = append(rows, erp.OrderRow{Reference: itemReference(s.item), SKU: s.sku(), Row: s.row(s.cancelled())})
	}
	return rows
}

// creditMemoStates are Magento's (Sales\Model\Order\Creditmemo).
var creditMemoStates = map[magentoapi.ID]string{
	magentoapi.CreditMemoOpen: "open", magentoapi.CreditMemoRefunded: "refunded", magentoapi.CreditMemoCanceled: "canceled",
}

// Credited lists the fields that a credit memo can't be booked without.
var Credited = Required{fields: append([]string{
	"entity_id", "increment_id", "order_id", "grand_total", "subtotal", "discount_amount", "shipping_amount", "shipping_tax_amount", "tax_amount",
	"discount_tax_compensation_amount", "shipping_discount_tax_compensation_amount", "adjustment_positive", "adjustment_negative",
}, of("items", "order_item_id", "qty", "row_total", "row_total_incl_tax", "discount_amount", "tax_amount", "discount_tax_compensation_amount")...)}

// CreditMemo maps a credit memo. invoice is the shop's number of the invoice that it is for; "" for none.
func CreditMemo(m *magentoapi.CreditMemo, of Reported, rule KeyRule, prefix, invoice string) (erp.CreditMemo, []Warning, error) {
	if f, found := Credited.Odd(m.Odd()); found {
		return erp.CreditMemo{}, nil, event.Errorf(event.Invalid, "credit memo %d can't be read: %w. Magento does not write this by itself: "+
			"look for the module that does, put the credit memo right and replay", m.EntityID, f)
	}
	if err := Readable(of.Order); err != nil {
		return erp.CreditMemo{}, nil, err
	}
	reference, err := reportReference(rule, prefix, m.IncrementID, m.StoreID)
	if err != nil {
		return erp.CreditMemo{}, nil, event.Errorf(event.Invalid, "credit memo %d has no increment_id: look at it in Magento", m.EntityID)
	}
	if !m.GrandTotal.Valid {
		return erp.CreditMemo{}, nil, event.Errorf(event.NotFound, "credit memo %s has no grand_total in Magento yet: it is not sent without", m.IncrementID)
	}
	o := of.Order
	sales := sold(o)
	em := erp.CreditMemo{
		ExternalReference: reference, EntityID: id(m.EntityID), OrderReference: of.Reference, DocumentNumber: of.Document,
		InvoiceReference: known(invoice), State: known(creditMemoStates[m.State]), Currency: text(m.OrderCurrencyCode),
		Lines:            creditLines(m, o, sales),
		AdjustmentRefund: orZero(m.AdjustmentPositive), AdjustmentFee: orZero(m.AdjustmentNegative),
		OrderState: text(o.State), TransactionID: text(m.TransactionID), Comment: firstComment(m.Comments),
		Store: of.store(), Customer: customer(o, of.Store), All: orderRows(sales),
	}
	em.CreatedAt, em.PlacedOn = instant(m.CreatedAt, of.Store)
	em.Shipping = erp.CreditedShipping{Amount: orZero(m.ShippingAmount), TaxAmount: orZero(m.ShippingTaxAmount)}
	if isShipped(o) {
		em.Shipping.TaxPercent, em.Shipping.TaxCode = shippingTaxPercent(o), taxCodes(o)[0]
	}
	var warnings []Warning
	em.Totals, warnings = creditTotals(m)
	return em, warnings, nil
}

func creditLines(m *magentoapi.CreditMemo, o *magentoapi.Order, sales []sale) []erp.CreditMemoLine {
	items := map[magentoapi.ID]*magentoapi.DocumentItem{}
	for i := range m.Items {
		items[m.Items[i].OrderItemID] = &m.Items[i]
	}
	codes := taxCodes(o)
	lines := []erp.CreditMemoLine{}
	for _, s := range sales {
		item := items[s.item.ItemID]
		if item == nil || !item.Qty.Decimal.IsPositive() && item.RowTotal.Decimal.IsZero() {
			continue
		}
		l := erp.CreditMemoLine{
			Reference: itemReference(s.item), SKU: s.sku(), Quantity: erp.NewQuantity(item.Qty.Decimal),
			RowTotal: orZero(item.RowTotal), RowTotalInclTax: amount(item.RowTotalInclTax), DiscountAmount: orZero(item.DiscountAmount),
			TaxAmount: orZero(item.TaxAmount), DiscountTaxCompensation: orZero(item.DiscountTaxCompensationAmount),
			Row: s.row(s.cancelled()), Name: text(s.item.Name), TaxPercent: quantity(s.item.TaxPercent), TaxCode: codes[s.item.ItemID],
		}
		if s.included {
			zero := erp.NewAmount(decimal.Zero)
			l.RowTotal, l.RowTotalInclTax, l.DiscountAmount, l.TaxAmount, l.DiscountTaxCompensation = zero, zero, zero, zero, zero
		}
		lines = append(lines, l)
	}
	return lines
}

// creditTotals returns the parts of what is given back. They add up as those of an order do; the adjustments of a credit memo,
// which are beside its totals too, are in Other.
func creditTotals(m *magentoapi.CreditMemo) (erp.Totals, []Warning) {
	discount := amount(m.DiscountAmount)
	if discount.Valid { // an order has it below 0, and so have some credit memos
		discount = erp.NewAmount(discount.Decimal.Abs().Neg())
	}
	o := &magentoapi.Order{
		IncrementID: m.IncrementID, Subtotal: m.Subtotal, ShippingAmount: m.ShippingAmount, TaxAmount: m.TaxAmount, GrandTotal: m.GrandTotal,
		DiscountAmount:                        magentoapi.Decimal{NullDecimal: discount.NullDecimal},
		DiscountTaxCompensationAmount:         m.DiscountTaxCompensationAmount,
		ShippingDiscountTaxCompensationAmount: m.ShippingDiscountTaxCompensationAmount,
	}
	for name, into := range map[string]*magentoapi.Decimal{
		"gift_cards_amount": &o.ExtensionAttributes.GiftCardsAmount, "customer_balance_amount": &o.ExtensionAttributes.CustomerBalanceAmount,
		"reward_currency_amount": &o.ExtensionAttributes.RewardCurrencyAmount, "gw_price": &o.ExtensionAttributes.GwPrice,
		"gw_items_price": &o.ExtensionAttributes.GwItemsPrice, "gw_card_price": &o.ExtensionAttributes.GwCardPrice,
	} {
		_, _ = m.ExtensionAttributes.Get(name, into) // one of another form is in Other then
	}
	t, _ := totals(o, nil)
	adjusted := m.AdjustmentPositive.Decimal.Sub(m.AdjustmentNegative.Decimal.Abs())
	if t.Other.Valid && t.Other.Decimal.Sub(adjusted).Abs().GreaterThan(unexplained) {
		return t, []Warning{Warning("credit memo " + string(m.IncrementID) + ": " + t.Other.Decimal.Sub(adjusted).String() +
			" of its grand total " + t.GrandTotal.String() + " is in no part that Magento names; it is sent as totals.other")}
	}
	return t, nil
}

// orZero returns an amount, 0 where Magento has none.
func orZero(d magentoapi.Decimal) erp.Amount { return erp.NewAmount(d.Decimal) }

func firstComment(comments []magentoapi.DocumentComment) *string {
	for i := range comments {
		if c := text(comments[i].Comment); c != nil {
			return c
		}
	}
	return nil
}

// Customer maps a customer. It fails as Invalid if its id can't be read.
func Customer(c *magentoapi.Customer, prefix string, s Store) (erp.CustomerRecord, error) {
	if c.ID == 0 {
		return erp.CustomerRecord{}, event.Errorf(event.Invalid, "Magento answers a customer without an id: look at it in Magento")
	}
	r := erp.CustomerRecord{
		ID: int64(c.ID), WebsiteID: number(c.WebsiteID), GroupID: number(c.GroupID), Email: text(c.Email),
		FirstName: text(c.Firstname), LastName: text(c.Lastname), TaxID: text(c.Taxvat), Addresses: []erp.CustomerAddress{},
		ExternalReference: erp.CustomerReference(prefix, int64(c.ID)),
		Store:             erp.Store{ID: number(c.StoreID), Code: known(s.Code), Name: known(s.Name)},
	}
	r.CreatedAt, _ = instant(c.CreatedAt, s)
	r.UpdatedAt, _ = instant(c.UpdatedAt, s)
	var company struct {
		CompanyID   magentoapi.ID   `json:"company_id"`
		CompanyName magentoapi.Text `json:"company_name"`
	}
	if ok, err := c.ExtensionAttributes.Get("company_attributes", &company); ok && err == nil && company.CompanyID != 0 {
		r.Company = &erp.Company{ID: id(company.CompanyID), Name: text(company.CompanyName)}
	}
	for i := range c.Addresses {
		a := &c.Addresses[i]
		ea := erp.CustomerAddress{
			ID: id(a.ID),
			Address: erp.Address{
				FirstName: text(a.Firstname), LastName: text(a.Lastname), Company: text(a.Company), Street: a.Street, City: text(a.City),
				Postcode: text(a.Postcode), Country: text(a.CountryID), Telephone: text(a.Telephone), TaxID: text(a.VatID),
			},
			DefaultBilling:  a.DefaultBilling.Bool || a.ID != 0 && a.ID == c.DefaultBilling,
			DefaultShipping: a.DefaultShipping.Bool || a.ID != 0 && a.ID == c.DefaultShipping,
		}
		if a.Region != nil {
			ea.Region, ea.RegionCode = text(a.Region.Name), text(a.Region.Code)
		}
		r.Addresses = append(r.Addresses, ea)
	}
	return r, nil
}
