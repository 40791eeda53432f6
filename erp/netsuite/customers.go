package netsuite

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

// keeps reports whether customers are kept by their external ids.
func keeps(f *codes.File) bool { return f.Option("customers") == "reference" }

// entityOf returns whom an order is booked for as far as that is known without a request.
func (c *Client) entityOf(f *codes.File, o erp.SalesOrder) (string, error) {
	if o.Customer.ID != nil && keeps(f) {
		return customerWord, nil
	}
	guests, err := f.GuestAccount(o.Store)
	if err != nil {
		return "", err
	}
	if o.Customer.ID == nil && f.MatchEmail() && told(o.Customer.Email) != "" {
		return customerWord, nil
	}
	return guests, nil
}

// bookedFor returns the internal id of the customer that an order is for.
func (c *Client) bookedFor(ctx context.Context, call erp.Call, f *codes.File, o erp.SalesOrder) (string, error) {
	found, known, err := erp.FindCustomer(ctx, call, customers{c, f, o.Store}, o, c.o.ReferencePrefix, f.MatchEmail())
	if err != nil {
		return "", err
	}
	if known {
		return found.ID, nil
	}
	return f.GuestAccount(o.Store)
}

func customerOf(o erp.SalesOrder, prefix string) erp.CustomerRecord {
	r := erp.CustomerRecord{
		ID: *o.Customer.ID, GroupID: o.Customer.GroupID, Email: o.Customer.Email, FirstName: o.Customer.FirstName, LastName: o.Customer.LastName,
		TaxID: o.Customer.TaxID, Company: o.Customer.Company, ExternalReference: erp.CustomerReference(prefix, *o.Customer.ID), Store: o.Store,
	}
	if o.BillingAddress != nil {
		r.Addresses = append(r.Addresses, erp.CustomerAddress{Address: *o.BillingAddress, DefaultBilling: true, DefaultShipping: o.ShippingAddress == nil})
	}
	if o.ShippingAddress != nil {
		r.Addresses = append(r.Addresses, erp.CustomerAddress{Address: *o.ShippingAddress, DefaultShipping: true})
	}
	return r
}

// customers is the account's customers as package erp looks for them.
type customers struct {
	c     *Client
	f     *codes.File
	store erp.Store
}

func (b customers) Keeps() bool { return keeps(b.f) }

const customerFields = "id,externalId,entityId,isInactive,terms,creditHoldOverride"

func customerOfRecord(r *record) erp.ERPCustomer {
	return erp.ERPCustomer{
		Number: r.EntityID, ID: r.ID, Reference: r.ExternalID, Terms: r.Terms.ID != "", Blocked: r.Inactive || r.CreditHold.ID == "ON",
	}
}

func (b customers) ByReference(ctx context.Context, reference string) ([]erp.ERPCustomer, error) {
	if !b.Keeps() {
		return nil, nil
	}
	if err := checkReference(reference); err != nil {
		return nil, err
	}
	r, err := b.c.byExternalID(ctx, "look up customer "+reference, "customer", reference, customerFields)
	if err != nil || r == nil {
		return nil, err
	}
	one := customerOfRecord(r)
	one.Reference = reference
	return []erp.ERPCustomer{one}, nil
}

// several is when it no longer matters how many there are.
const several = 2

func (b customers) ByEmail(ctx context.Context, email string) ([]erp.ERPCustomer, error) {
	const what = "look up a customer by e-mail"
	if strings.ContainsAny(email, `"\`) { // it can't be asked for
		return nil, nil
	}
	a, err := b.c.send(ctx, erphttp.Request{
		What: what, Method: http.MethodGet, Path: path("customer"), Query: url.Values{"q": {`email IS "` + email + `"`}, "limit": {"2"}}, Question: true,
	})
	if err != nil {
		return nil, err
	}
	var list struct {
		Items *[]reference `json:"items"`
	}
	if err := a.Object(&list); err != nil || list.Items == nil {
		return nil, a.Unreadable(errors.Join(err, errors.New("there is no list")))
	}
	var all []erp.ERPCustomer
	for _, one := range *list.Items {
		r, err := b.c.lookUp(ctx, what, path("customer", one.ID), url.Values{"fields": {customerFields}})
		switch {
		case err != nil:
			return nil, err
		case r == nil:
			continue
		}
		if all = append(all, customerOfRecord(r)); len(all) == several {
			break
		}
	}
	return all, nil
}

// Adopt writes the external id into a record that has none. It may be repeated.
func (b customers) Adopt(ctx context.Context, _ erp.Call, record erp.ERPCustomer, reference string) error {
	body, err := json.Marshal(fields{"externalId": reference})
	if err != nil {
		return event.NotDone(err)
	}
	_, err = b.c.send(ctx, erphttp.Request{What: "adopt customer " + reference, Method: http.MethodPatch, Path: path("customer", record.ID), Body: body})
	return err
}

// Add creates a customer with its external id. It may be repeated: NetSuite refuses a second one with the id.
func (b customers) Add(ctx context.Context, _ erp.Call, r erp.CustomerRecord) (erp.ERPCustomer, error) {
	body, err := b.c.customerBody(b.f, r, true)
	if err != nil {
		return erp.ERPCustomer{}, event.NotDone(err)
	}
	what := "create customer " + r.ExternalReference
	a, err := b.c.http.Do(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: path("customer"), Body: body, Header: strict(), Customer: &r})
	if err != nil {
		return erp.ERPCustomer{}, err
	}
	if a.OK() && a.Status != http.StatusAccepted {
		id, err := idOf(a)
		return erp.ERPCustomer{ID: id, Reference: r.ExternalReference}, err
	}
	refusal := error(&event.Error{Class: event.Unavailable, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: NetSuite has taken it, and has no id of it yet", what)})
	if !a.OK() {
		refusal = a.Refused()
	}
	if a.Status != http.StatusBadRequest && a.Status != http.StatusConflict {
		return erp.ERPCustomer{}, refusal
	}
	there, err := b.ByReference(ctx, r.ExternalReference)
	switch {
	case err != nil:
		return erp.ERPCustomer{}, err
	case len(there) > 0:
		return there[0], nil
	}
	if _, message := readError(a.Body); strings.Contains(message, textThere) {
		return erp.ERPCustomer{}, event.NotDone(&event.Error{
			Class: event.Rejected, Downstream: erphttp.Downstream,
			Err: fmt.Errorf("%s: NetSuite has another record with this name (entity id): have it number customers by itself, or set the option entity_id: reference", what),
		})
	}
	return erp.ERPCustomer{}, refusal
}

// customerBody is what a customer is sent as, new or changed.
func (c *Client) customerBody(f *codes.File, r erp.CustomerRecord, created bool) (json.RawMessage, error) {
	if err := checkReference(r.ExternalReference); err != nil {
		return nil, err
	}
	b := fields{}
	company := ""
	if r.Company != nil {
		company = told(r.Company.Name)
	}
	bill := billing(r)
	if company == "" && bill != nil && told(r.TaxID) != "" {
		company = told(bill.Company)
	}
	first, last := told(r.FirstName), told(r.LastName)
	if company == "" && first == "" && last == "" {
		company = r.ExternalReference
	}
	if company != "" {
		b.text("companyName", company, maxName)
	} else {
		b.text("firstName", orDash(first), maxPhone)
		b.text("lastName", orDash(last), maxPhone)
	}
	b.text("email", told(r.Email), maxEmail)
	if bill != nil {
		b.text("phone", told(bill.Telephone), maxPhone)
	}
	if created {
		if err := newCustomer(b, f, r, company == ""); err != nil {
			return nil, err
		}
	}
	if created || f.Option("customer_addresses") == "replace" {
		var book []fields
		for _, a := range r.Addresses {
			book = append(book, fields{
				"defaultBilling": a.DefaultBilling, "defaultShipping": a.DefaultShipping, "addressBookAddress": address(f, &a.Address),
			})
		}
		if len(book) > 0 {
			b["addressBook"] = fields{"items": book}
		}
	}
	return json.Marshal(b)
}

// newCustomer adds what only a new customer is sent: people may have changed it since.
func newCustomer(b fields, f *codes.File, r erp.CustomerRecord, person bool) error {
	b["externalId"], b["isPerson"] = r.ExternalReference, person
	if f.Option("entity_id") == "reference" {
		b["entityId"], b["autoName"] = r.ExternalReference, false
	}
	group := f.CustomerGroup(r.GroupID)
	b.ref("priceLevel", group.PriceGroup)
	b.ref("category", group.CustomerGroup)
	b.ref("terms", group.PaymentTerms)
	if len(f.Stores) == 0 {
		return nil
	}
	store, err := f.Store(r.Store)
	if err != nil {
		return err
	}
	b.ref("subsidiary", store.Company)
	if group.PaymentTerms == "" {
		b.ref("terms", store.PaymentTerms)
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// billing returns the address that a customer is billed at.
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

// WriteCustomer changes the customer with the external id, or adopts or adds one.
func (c *Client) WriteCustomer(ctx context.Context, call erp.Call, r erp.CustomerRecord) (erp.Document, error) {
	f := c.o.Codes()
	if !keeps(f) {
		return erp.Document{}, &erp.Off{Reason: "customers are the guests' account: options: {customers: reference} has them kept"}
	}
	book := customers{c, f, r.Store}
	there, err := book.ByReference(ctx, r.ExternalReference)
	if err != nil {
		return erp.Document{}, err
	}
	if len(there) == 0 {
		kept, _, err := erp.KeepCustomer(ctx, call, book, r)
		if err != nil || kept.Reference != "" { // it was added
			return erp.Document{Number: kept.Number, ID: kept.ID}, err
		}
		there = append(there, kept)
	}
	body, err := c.customerBody(f, r, false)
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	var query url.Values
	if f.Option("customer_addresses") == "replace" {
		query = url.Values{"replace": {"addressBook"}}
	}
	_, err = c.send(ctx, erphttp.Request{
		What: "change customer " + r.ExternalReference, Method: http.MethodPatch, Path: path("customer", there[0].ID), Query: query, Body: body, Customer: &r,
	})
	return erp.Document{Number: there[0].Number, ID: there[0].ID}, err
}
