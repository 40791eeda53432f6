package erp

import (
	"context"
	"strconv"
	"strings"

	"github.com/mageline/mageline/event"
)

// CustomerReference returns the external id of a customer: prefix, C, and the shop's id.
func CustomerReference(prefix string, id int64) string {
	return prefix + "C" + strconv.FormatInt(id, 10)
}

// CustomerBook is how FindCustomer and KeepCustomer reach the customers of an ERP.
type CustomerBook interface {
	// ByReference returns the customer with an external id: none where there is none, or where the ERP has no place for one.
	ByReference(ctx context.Context, reference string) ([]ERPCustomer, error)
	// ByEmail returns the customers with an e-mail address, whatever its case.
	ByEmail(ctx context.Context, email string) ([]ERPCustomer, error)
	// Adopt writes an external id into a record that has none. It is called only where Keeps is true.
	Adopt(ctx context.Context, c Call, record ERPCustomer, reference string) error
	// Add creates a customer with an external id. It is called only where Keeps is true.
	Add(ctx context.Context, c Call, r CustomerRecord) (ERPCustomer, error)
	// Keeps reports whether the ERP has a place for an external id. Where it has none, nobody is created.
	Keeps() bool
}

// ERPCustomer is a customer in an ERP.
//
//nolint:revive // Customer is the shop's
type ERPCustomer struct {
	// Number is what orders name it by, and ID its name in the ERP's addresses.
	Number, ID string
	// Reference is its external id; empty for none.
	Reference string
	// Terms is true where it buys on account: an order never finds it by an e-mail address alone.
	Terms bool
	// Blocked is true where the ERP takes no orders for it.
	Blocked bool
}

// FindCustomer returns who an order is booked for. A customer who was logged in is found by the external id; without one an
// existing record without an external id is adopted if exactly one has the e-mail address; else it is added, where the ERP has
// a place for an external id. false: the order goes to the account of the store's guests. A guest is found by e-mail only
// with matchEmail, and never one who buys on account.
//
// It changes no record but for the external id, and no more than one look-up by e-mail is made for a customer.
func FindCustomer(ctx context.Context, c Call, book CustomerBook, o SalesOrder, prefix string, matchEmail bool) (ERPCustomer, bool, error) {
	email := ""
	if o.Customer.Email != nil {
		email = strings.TrimSpace(*o.Customer.Email)
	}
	if o.Customer.ID == nil {
		if !matchEmail || email == "" {
			return ERPCustomer{}, false, nil
		}
		found, err := book.ByEmail(ctx, email)
		if err != nil || len(found) != 1 || found[0].Terms || found[0].Blocked {
			return ERPCustomer{}, false, err
		}
		return found[0], true, nil
	}
	return KeepCustomer(ctx, c, book, orderCustomer(o, CustomerReference(prefix, *o.Customer.ID)))
}

// KeepCustomer finds a customer by the external id, adopts a record, or adds one, by the rules of FindCustomer.
func KeepCustomer(ctx context.Context, c Call, book CustomerBook, r CustomerRecord) (ERPCustomer, bool, error) {
	found, err := book.ByReference(ctx, r.ExternalReference)
	switch {
	case err != nil:
		return ERPCustomer{}, false, err
	case len(found) > 1:
		return ERPCustomer{}, false, event.NotDone(event.Errorf(event.Rejected, "the ERP has %d customers with the external id %s: leave it to one of them, then replay",
			len(found), r.ExternalReference))
	case len(found) == 1:
		return found[0], true, nil
	case !book.Keeps():
		return ERPCustomer{}, false, nil
	}
	if r.Email != nil && strings.TrimSpace(*r.Email) != "" {
		same, err := book.ByEmail(ctx, strings.TrimSpace(*r.Email))
		if err != nil {
			return ERPCustomer{}, false, err
		}
		if len(same) == 1 && same[0].Reference == "" {
			return same[0], true, book.Adopt(ctx, c, same[0], r.ExternalReference)
		}
	}
	added, err := book.Add(ctx, c, r)
	return added, err == nil, err
}

// orderCustomer returns the customer of an order, as far as the order tells.
func orderCustomer(o SalesOrder, reference string) CustomerRecord {
	r := CustomerRecord{
		ID: *o.Customer.ID, WebsiteID: o.Customer.WebsiteID, GroupID: o.Customer.GroupID, Email: o.Customer.Email,
		FirstName: o.Customer.FirstName, LastName: o.Customer.LastName, TaxID: o.Customer.TaxID, Company: o.Customer.Company,
		ExternalReference: reference, Store: o.Store,
	}
	if o.BillingAddress != nil {
		r.Addresses = append(r.Addresses, CustomerAddress{Address: *o.BillingAddress, DefaultBilling: true, DefaultShipping: o.ShippingAddress == nil})
	}
	if o.ShippingAddress != nil {
		r.Addresses = append(r.Addresses, CustomerAddress{Address: *o.ShippingAddress, DefaultShipping: true})
	}
	return r
}
