// Package mapping maps Magento's orders, shipments and cancellations to what an ERP is sent. Its functions are pure: no I/O, no
// clock, no log. A value that Magento's answer does not have is null in the result, and nothing is rounded.
package mapping

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// KeyRule says how the business key of an order is made. Its values are those of the setting ORDER_KEY.
type KeyRule string

const (
	// ByIncrementID is the order number alone.
	ByIncrementID KeyRule = "increment_id"
	// ByStoreAndIncrementID is <store id>-<order number>, for shops whose stores count alike.
	ByStoreAndIncrementID KeyRule = "store_increment_id"
)

// BusinessKey returns the name of an order in the ledger, in logs and, after a prefix, in the ERP. It fails as Invalid if the order
// lacks what the rule needs.
func BusinessKey(rule KeyRule, o *magentoapi.Order) (string, error) {
	if o.IncrementID == "" {
		return "", event.Errorf(event.Invalid, "order with entity id %d has no increment_id, so it can't be told from others: look at it in Magento", o.EntityID)
	}
	switch rule {
	case ByIncrementID:
		return string(o.IncrementID), nil
	case ByStoreAndIncrementID:
		if o.StoreID == nil {
			return "", event.Errorf(event.Invalid, "order %s has no store_id, which a business key of the store and the number (%s) is made of", o.IncrementID, rule)
		}
		return strconv.FormatInt(int64(*o.StoreID), 10) + "-" + string(o.IncrementID), nil
	default:
		return "", event.Errorf(event.Internal, "order key %q is not known: want %s or %s", rule, ByIncrementID, ByStoreAndIncrementID)
	}
}

// ExternalReference returns the name of an order in the ERP.
func ExternalReference(prefix, businessKey string) string { return prefix + businessKey }

// Store is what Magento's configuration has about the store view of an order, and the order itself has not.
type Store struct {
	Code      string // "" if not known
	Name      string // "" if not known: then it is taken from the order
	WebsiteID *int64
	Location  *time.Location // the store's time zone; nil is UTC
}

// Warning is something about an order that a person should check, though it can be sent. It has no personal data.
type Warning string

// SalesOrder maps an order. reference is its ExternalReference. It fails as Invalid if the order is not Readable.
func SalesOrder(o *magentoapi.Order, reference string, s Store) (erp.SalesOrder, []Warning, error) {
	if err := Readable(o); err != nil {
		return erp.SalesOrder{}, nil, err
	}
	sales := sold(o)
	totals, warnings := totals(o, sales)
	so := erp.SalesOrder{
		ExternalReference: reference,
		EntityID:          id(o.EntityID),
		IncrementID:       text(o.IncrementID),
		Replaces:          text(o.RelationParentRealID),
		Store:             erp.Store{ID: number(o.StoreID), Code: known(s.Code), Name: storeName(o, s)},
		Currency:          text(o.OrderCurrencyCode),
		BaseCurrency:      text(o.BaseCurrencyCode),
		ExchangeRate:      quantity(o.BaseToOrderRate),
		BaseGrandTotal:    amount(o.BaseGrandTotal),
		Customer:          customer(o, s),
		BillingAddress:    address(o.BillingAddress),
		Lines:             lines(o, sales),
		Totals:            totals,
		Comment:           text(o.CustomerNote),
	}
	if !o.CreatedAt.IsZero() {
		at := o.CreatedAt.UTC()
		where := s.Location
		if where == nil {
			where = time.UTC
		}
		on := at.In(where).Format(time.DateOnly)
		so.PlacedAt, so.PlacedOn = &at, &on
	}
	if p := o.Payment; p != nil {
		so.Payment = erp.Payment{
			Method:              text(p.Method),
			TransactionID:       text(p.LastTransID),
			PurchaseOrderNumber: text(p.PoNumber),
			AmountOrdered:       amount(p.AmountOrdered),
			AmountAuthorized:    amount(p.AmountAuthorized),
			AmountPaid:          amount(p.AmountPaid),
		}
	}
	if isShipped(o) {
		so.Shipping = shipping(o)
		if a := o.ShippingAssignment(); a != nil {
			so.ShippingAddress = address(a.Address)
		}
	}
	return so, warnings, nil
}

// storeName returns the name of the store view: the last line of store_name, which has website, store and view in a line each.
func storeName(o *magentoapi.Order, s Store) *string {
	if s.Name != "" {
		return &s.Name
	}
	name := strings.TrimSpace(string(o.StoreName))
	return known(strings.TrimSpace(name[strings.LastIndexByte(name, '\n')+1:]))
}

func customer(o *magentoapi.Order, s Store) erp.Customer {
	c := erp.Customer{
		ID:        id(o.CustomerID),
		GroupID:   number(o.CustomerGroupID),
		WebsiteID: s.WebsiteID,
		Email:     text(o.CustomerEmail),
		FirstName: text(o.CustomerFirstname),
		LastName:  text(o.CustomerLastname),
		TaxID:     text(o.CustomerTaxvat),
	}
	// An order with a customer is no guest's, even without the flag.
	if o.CustomerIsGuest.Valid || o.CustomerID != 0 {
		guest := o.CustomerIsGuest.Bool
		c.Guest = &guest
	}
	if company := o.ExtensionAttributes.CompanyOrderAttributes; company != nil && *company != (magentoapi.CompanyOrder{}) {
		c.Company = &erp.Company{ID: id(company.CompanyID), Name: text(company.CompanyName)}
	}
	return c
}

func address(a *magentoapi.OrderAddress) *erp.Address {
	if a == nil {
		return nil
	}
	told := erp.Address{
		FirstName:  text(a.Firstname),
		LastName:   text(a.Lastname),
		Company:    text(a.Company),
		Street:     a.Street,
		City:       text(a.City),
		Region:     text(a.Region),
		RegionCode: text(a.RegionCode),
		Postcode:   text(a.Postcode),
		Country:    text(a.CountryID),
		Telephone:  text(a.Telephone),
		TaxID:      text(a.VatID),
	}
	if reflect.ValueOf(told).IsZero() {
		return nil
	}
	return &told
}

// isShipped reports whether the order has shipping: it is not virtual or, if the flag is missing, it has a value about shipping.
func isShipped(o *magentoapi.Order) bool {
	if o.IsVirtual.Valid {
		return !o.IsVirtual.Bool
	}
	a := o.ShippingAssignment()
	return a != nil && (a.Method != "" || a.Address != nil) || o.ShippingDescription != "" || !o.ShippingAmount.Decimal.IsZero()
}

func shipping(o *magentoapi.Order) *erp.Shipping {
	sh := &erp.Shipping{
		Description:             text(o.ShippingDescription),
		Amount:                  amount(o.ShippingAmount),
		AmountInclTax:           amount(o.ShippingInclTax),
		TaxAmount:               amount(o.ShippingTaxAmount),
		TaxPercent:              shippingTaxPercent(o),
		TaxCode:                 taxCodes(o)[0],
		DiscountAmount:          amount(o.ShippingDiscountAmount),
		DiscountTaxCompensation: amount(o.ShippingDiscountTaxCompensationAmount),
	}
	if a := o.ShippingAssignment(); a != nil {
		sh.Method = text(a.Method)
	}
	return sh
}

// shippingTaxPercent returns the sum of the rates that Magento lists for shipping (compound rates are listed as shares of the
// whole). If it lists none, shipping is taxed and the order has one rate only, it is that rate.
func shippingTaxPercent(o *magentoapi.Order) erp.Quantity {
	var percent erp.Quantity
	for _, item := range o.ExtensionAttributes.ItemAppliedTaxes {
		if item.Type != "shipping" {
			continue
		}
		for _, tax := range item.AppliedTaxes {
			if tax.Percent.Valid {
				percent = erp.NewQuantity(percent.Decimal.Add(tax.Percent.Decimal))
			}
		}
	}
	if taxes := o.ExtensionAttributes.AppliedTaxes; !percent.Valid && len(taxes) == 1 && o.ShippingTaxAmount.Decimal.IsPositive() {
		return quantity(taxes[0].Percent)
	}
	return percent
}

// text returns nil for an empty text: Magento does not distinguish an empty one from none.
func text(t magentoapi.Text) *string { return known(string(t)) }

func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func id(i magentoapi.ID) *int64 {
	if i == 0 {
		return nil
	}
	return number(&i)
}

func number(i *magentoapi.ID) *int64 {
	if i == nil {
		return nil
	}
	n := int64(*i)
	return &n
}

func amount(d magentoapi.Decimal) erp.Amount { return erp.Amount{NullDecimal: d.NullDecimal} }

func quantity(d magentoapi.Decimal) erp.Quantity { return erp.Quantity{NullDecimal: d.NullDecimal} }

func itemReference(item *magentoapi.OrderItem) string { return fmt.Sprint(int64(item.ItemID)) }
