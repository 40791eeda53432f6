package businesscentral

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// keeps reports whether customers are numbered by the shop: a customer has no other place for an external id.
func (c *Client) keeps(f *codes.File) bool { return f.Option("customers") == "number" }

// looksUp reports whether the customer of an order has to be looked up.
func (c *Client) looksUp(f *codes.File, o erp.SalesOrder) bool {
	if o.Customer.ID == nil {
		return f.MatchEmail() && told(o.Customer.Email) != ""
	}
	return c.keeps(f)
}

// bookedFor returns the number of the customer that an order is for.
func (c *Client) bookedFor(ctx context.Context, call erp.Call, f *codes.File, o erp.SalesOrder) (string, error) {
	found, known, err := erp.FindCustomer(ctx, call, customers{c, f, &o}, o, c.o.ReferencePrefix, f.MatchEmail())
	if err != nil {
		return "", err
	}
	if known {
		return found.Number, nil
	}
	account, err := f.GuestAccount(o.Store)
	return code(account), err
}

func customerOf(o erp.SalesOrder, prefix string) erp.CustomerRecord {
	r := erp.CustomerRecord{
		ID: *o.Customer.ID, Email: o.Customer.Email, FirstName: o.Customer.FirstName, LastName: o.Customer.LastName, TaxID: o.Customer.TaxID,
		Company: o.Customer.Company, ExternalReference: erp.CustomerReference(prefix, *o.Customer.ID), Store: o.Store,
	}
	if o.BillingAddress != nil {
		r.Addresses = append(r.Addresses, erp.CustomerAddress{Address: *o.BillingAddress, DefaultBilling: true})
	}
	return r
}

// customers is the company's customers as package erp looks for them.
type customers struct {
	c *Client
	f *codes.File
	o *erp.SalesOrder // whose personal data is in no error
}

func (b customers) Keeps() bool { return b.c.keeps(b.f) }

func (b customers) ByReference(ctx context.Context, reference string) ([]erp.ERPCustomer, error) {
	if !b.Keeps() {
		return nil, nil
	}
	return b.search(ctx, "look up customer "+reference, equals("number", code(reference)))
}

func (b customers) ByEmail(ctx context.Context, email string) ([]erp.ERPCustomer, error) {
	return b.search(ctx, "look up a customer by e-mail", equals("email", email))
}

func (b customers) search(ctx context.Context, what, filter string) ([]erp.ERPCustomer, error) {
	found, err := b.c.search(ctx, what, "customers", filter, url.Values{"$select": {"id,number,email,blocked,paymentTermsId"}, "$top": {"2"}})
	if err != nil {
		return nil, err
	}
	var all []erp.ERPCustomer
	for _, r := range found {
		blocked := strings.TrimSpace(strings.ReplaceAll(r.Blocked, "_x0020_", " "))
		all = append(all, erp.ERPCustomer{
			// The number is the external id, and can't be changed: a record that people have numbered is never adopted.
			Number: r.Number, ID: r.ID, Reference: r.Number, Blocked: blocked != "",
			Terms: r.PaymentTermsID != "" && strings.Trim(r.PaymentTermsID, "0-") != "",
		})
	}
	return all, nil
}

// Adopt is never asked for: every customer has a number.
func (b customers) Adopt(context.Context, erp.Call, erp.ERPCustomer, string) error {
	return event.NotDone(&event.Error{Class: event.Internal, Downstream: erphttp.Downstream, Err: errors.New("a customer's number can't be changed")})
}

// Add creates a customer with the shop's number for it. A second one with the number is refused, so that it is never there
// twice.
func (b customers) Add(ctx context.Context, call erp.Call, r erp.CustomerRecord) (erp.ERPCustomer, error) {
	text, err := b.c.customerBody(b.f, r, true)
	if err != nil {
		return erp.ERPCustomer{}, event.NotDone(err)
	}
	what := "create customer " + r.ExternalReference
	a, err := b.c.send(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: "/customers", Body: text, Order: b.o})
	if err != nil {
		return erp.ERPCustomer{}, err
	}
	var made record
	if err := a.Object(&made); err != nil || made.Number == "" {
		return erp.ERPCustomer{}, a.Unreadable(errors.Join(err, errors.New("there is no number")))
	}
	return erp.ERPCustomer{Number: made.Number, ID: made.ID, Reference: made.Number}, nil
}

// customerBody is what a customer is sent as. The number is only in a new one.
func (c *Client) customerBody(f *codes.File, r erp.CustomerRecord, created bool) (json.RawMessage, error) {
	b := &body{}
	if created {
		number := code(r.ExternalReference)
		if len(number) > 20 {
			return nil, invalid("the customer number %s has %d characters, and Business Central takes 20: shorten the prefix of references", number, len(number))
		}
		b.add("number", number)
	}
	person, company := personOf(r.FirstName, r.LastName), ""
	if r.Company != nil {
		company = told(r.Company.Name)
	}
	address := billing(r)
	if company == "" && address != nil && told(address.Company) != "" && told(r.TaxID) != "" {
		company = told(address.Company)
	}
	switch {
	case company != "":
		b.add("displayName", cut(company, 100))
		b.add("type", "Company")
	case person != "":
		b.add("displayName", cut(person, 100))
		b.add("type", "Person")
	default:
		b.add("displayName", code(r.ExternalReference))
		b.add("type", "Person")
	}
	if address != nil {
		first, second := street(address.Street)
		b.add("addressLine1", first)
		b.add("addressLine2", second)
		b.add("city", cut(told(address.City), 30))
		b.add("state", cut(regionOf(&address.Address), 30))
		b.add("country", code(f.Country(address.Country)))
		b.add("postalCode", cut(code(told(address.Postcode)), 20))
		b.add("phoneNumber", cut(told(address.Telephone), 30))
	}
	b.add("email", cut(told(r.Email), 80))
	b.add("taxRegistrationNumber", cut(told(r.TaxID), 50))
	return json.Marshal(b)
}

// billing returns the address that a customer is kept with.
func billing(r erp.CustomerRecord) *erp.CustomerAddress {
	for i := range r.Addresses {
		if r.Addresses[i].DefaultBilling {
			return &r.Addresses[i]
		}
	}
	if len(r.Addresses) > 0 {
		return &r.Addresses[0]
	}
	return nil
}

// WriteCustomer creates or changes the customer whose number is the shop's reference. Without numbers of the shop's there is
// nothing by which a customer could be known again: then nothing is written.
func (c *Client) WriteCustomer(ctx context.Context, call erp.Call, r erp.CustomerRecord) (erp.Document, error) {
	f := c.o.Codes()
	if !c.keeps(f) {
		return erp.Document{}, &erp.Off{Reason: "customers are the guests' account: options: {customers: number} has them kept"}
	}
	who := personal(r)
	book := customers{c, f, who}
	found, err := book.ByReference(ctx, r.ExternalReference)
	if err != nil {
		return erp.Document{}, err
	}
	if len(found) == 0 {
		added, err := book.Add(ctx, call, r)
		return erp.Document{Number: added.Number, ID: added.ID}, err
	}
	text, err := c.customerBody(f, r, false)
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	_, err = c.send(ctx, erphttp.Request{
		What: "change customer " + r.ExternalReference, Method: http.MethodPatch, Path: "/customers(" + found[0].ID + ")", Header: versioned("*"), Body: text, Order: who,
	})
	if err != nil {
		return erp.Document{}, fmt.Errorf("%w", err)
	}
	return erp.Document{Number: found[0].Number, ID: found[0].ID}, nil
}

// personal is an order with a customer's personal data, by which it is taken out of errors.
func personal(r erp.CustomerRecord) *erp.SalesOrder {
	o := &erp.SalesOrder{Customer: erp.Customer{Email: r.Email, FirstName: r.FirstName, LastName: r.LastName, TaxID: r.TaxID}}
	if a := billing(r); a != nil {
		o.BillingAddress = &a.Address
	}
	return o
}
