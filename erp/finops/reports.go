package finops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Cancel deletes an order, or lowers the quantities of its lines to what is left of them; a line of which nothing is left is
// deleted. What is left is the same however often it is sent.
func (c *Client) Cancel(ctx context.Context, call erp.Call, d erp.Document, x erp.Cancellation) error {
	what := "cancel sales order " + d.Number
	if x.Complete {
		err := c.change(ctx, what, http.MethodDelete, c.key(headers, "SalesOrderNumber", d.Number), nil, nil)
		if call.Uncertain && event.ClassOf(err) == event.NotFound { // what deletes it leaves no trace
			return nil
		}
		return err
	}
	for _, l := range x.Lines {
		if err := c.lower(ctx, what, d.Number, l); err != nil {
			return err
		}
	}
	return nil
}

// lower sets the quantity of a line to what is to be left of it, unless it is that or less already.
func (c *Client) lower(ctx context.Context, what, number string, l erp.CancellationLine) error {
	f := c.o.Codes()
	has, err := c.linesOf(ctx, what, f, number)
	if err != nil {
		return err
	}
	line, ok := has[l.Reference]
	keep := l.Row.Keep()
	if !l.Row.Ordered.Valid {
		keep = decimal.Max(decimal.Zero, line.Quantity.Sub(l.Quantity.Decimal))
	}
	switch {
	case !ok && keep.IsZero(): // it is gone already
		return nil
	case !ok:
		return event.NotDone(&event.Error{
			Class: event.Rejected, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: it has no line %s of the shop: change it in Finance & Operations by hand", what, l.Reference),
		})
	case line.Quantity.LessThanOrEqual(keep):
		return nil
	case keep.IsZero():
		return c.change(ctx, what, http.MethodDelete, c.key(lines, "InventoryLotId", line.Lot), nil, nil)
	}
	change := fields{}
	change.number("OrderedSalesQuantity", keep)
	change.number("LineAmount", line.Amount.Mul(keep).DivRound(line.Quantity, 2))
	return c.change(ctx, what, http.MethodPatch, c.key(lines, "InventoryLotId", line.Lot), change, nil)
}

// ReportShipment says of each line of a shipment how much of it is to be delivered now, where the option shipment is deliver_now:
// no data entity posts a packing slip. The same again changes nothing.
func (c *Client) ReportShipment(ctx context.Context, _ erp.Call, s erp.Shipment) (erp.Document, error) {
	f := c.o.Codes()
	if f.Option("shipment") != "deliver_now" {
		return erp.Document{}, &erp.Off{Reason: "no data entity posts a packing slip: options: {shipment: deliver_now} prepares one"}
	}
	what := "prepare shipment " + s.ExternalReference
	has, err := c.linesOf(ctx, what, f, s.DocumentNumber)
	if err != nil {
		return erp.Document{}, err
	}
	for _, l := range s.Lines {
		if _, ok := has[l.Reference]; !ok {
			return erp.Document{}, event.NotDone(&event.Error{
				Class: event.Rejected, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: order %s has no line %s of the shop: deliver it in Finance & Operations by hand", what, s.DocumentNumber, l.Reference),
			})
		}
	}
	for _, l := range s.Lines {
		change := fields{}
		change.number("SalesDeliverNow", l.Quantity.Decimal)
		if err := c.change(ctx, what, http.MethodPatch, c.key(lines, "InventoryLotId", has[l.Reference].Lot), change, nil); err != nil {
			return erp.Document{}, err
		}
	}
	return erp.Document{}, nil
}

// ReportCreditMemo makes a sales order with quantities below zero, and has the order not ship what was refunded.
func (c *Client) ReportCreditMemo(ctx context.Context, call erp.Call, m erp.CreditMemo) (erp.Document, error) {
	f := c.o.Codes()
	what := "create credit memo " + m.ExternalReference
	store, err := c.storeOf(f, m.Store)
	if err == nil {
		err = checkReference(f, m.ExternalReference)
	}
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	orders, err := c.search(ctx, what, headers, "SalesOrderNumber", m.DocumentNumber, "SalesOrderNumber,OrderingCustomerAccountNumber")
	switch {
	case err != nil:
		return erp.Document{}, err
	case len(orders) == 0: // an earlier attempt may have deleted it, behind the memo's header
		orders = []record{{}}
	}
	o := erp.SalesOrder{ExternalReference: m.ExternalReference, Currency: m.Currency, PlacedOn: m.PlacedOn, Customer: m.Customer, Store: m.Store}
	header, err := c.header(f, o, store, orders[0].Ordering)
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	header.text("CreditNoteReasonCode", f.Option("credit_reason"), 10)
	all, err := c.memoLines(f, m, store)
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	p, err := payload(o, header, all)
	if err != nil {
		return erp.Document{}, event.NotDone(err)
	}
	number, err := call.Do(ctx, "header", func(ctx context.Context, a erp.Attempt) (string, error) {
		if !a.Uncertain {
			a = call.Attempt
		}
		if a.Uncertain {
			found, err := c.Find(ctx, m.ExternalReference)
			if err != nil || len(found) > 0 {
				return first(found).Number, err
			}
			if err := a.MayRepeat("credit memo " + m.ExternalReference); err != nil {
				return "", err
			}
		}
		if orders[0].Ordering == "" {
			return "", event.NotDone(&event.Error{
				Class: event.NotFound, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: Finance & Operations has no order %s", what, m.DocumentNumber),
			})
		}
		return c.post(ctx, what, headers, p.Requests[0].Body, &o)
	})
	if err != nil {
		return erp.Document{}, err
	}
	has, err := c.linesOf(ctx, what, f, number)
	d := erp.Document{Number: number}
	if err != nil {
		return d, event.MayBeDone(err)
	}
	there := map[string]bool{}
	for reference := range has {
		there[reference] = true
	}
	if d, err = c.fill(ctx, call, f, p, d, there); err == nil {
		err = c.notShipped(ctx, call, m)
	}
	if err != nil {
		return d, fmt.Errorf("credit memo %s is in Finance & Operations, and is not complete: %w", number, event.MayBeDone(err))
	}
	return d, nil
}

func (c *Client) memoLines(f *codes.File, m erp.CreditMemo, store codes.Store) ([]fields, error) {
	parts := erp.PartsOfCreditMemo(m, f.Tolerance())
	s := c.sheet(f, m.Currency, store)
	s.negative = true
	for i, l := range m.Lines {
		if !l.Quantity.Decimal.IsPositive() {
			if err := s.account(erp.AccountRefund, parts.Lines[i], l.TaxCode, l.TaxPercent); err != nil {
				return nil, err
			}
			continue
		}
		item, err := f.SKU(l.SKU)
		if err != nil {
			return nil, err
		}
		if err := s.add(item, l.Reference, told(l.Name), f.Unit(l.SKU), l.Quantity.Decimal, parts.Lines[i], l.TaxCode, l.TaxPercent, nil); err != nil {
			return nil, err
		}
	}
	if !parts.Shipping.Gross().IsZero() {
		if err := s.account(erp.AccountShipping, parts.Shipping, m.Shipping.TaxCode, m.Shipping.TaxPercent); err != nil {
			return nil, err
		}
	}
	err := s.close(parts)
	return s.all, err
}

func (c *Client) notShipped(ctx context.Context, call erp.Call, m erp.CreditMemo) error {
	if m.Over() {
		call.Uncertain = true // it may be gone by an earlier attempt
		return c.Cancel(ctx, call, erp.Document{Number: m.DocumentNumber}, erp.Cancellation{Complete: true})
	}
	for _, l := range m.Lines {
		if !l.Row.Ordered.Valid {
			continue
		}
		if err := c.lower(ctx, "cancel what was refunded of "+m.DocumentNumber, m.DocumentNumber, erp.CancellationLine{Reference: l.Reference, Row: l.Row}); err != nil {
			return err
		}
	}
	return nil
}

// keeps reports whether customers are numbered by the shop.
func (c *Client) keeps(f *codes.File) bool { return f.Option("customers") == "number" }

// customerOf returns the account that an order is for as far as that is known without a request.
func (c *Client) customerOf(f *codes.File, o erp.SalesOrder) (string, error) {
	account, err := f.GuestAccount(o.Store)
	if err != nil {
		return "", err
	}
	if o.Customer.ID == nil && f.MatchEmail() && told(o.Customer.Email) != "" || o.Customer.ID != nil && c.keeps(f) {
		return customerWord, nil
	}
	return account, nil
}

func (c *Client) bookedFor(ctx context.Context, call erp.Call, f *codes.File, o erp.SalesOrder) (string, error) {
	found, known, err := erp.FindCustomer(ctx, call, book{c, f, &o}, o, c.o.ReferencePrefix, f.MatchEmail())
	if err != nil || known {
		return found.Number, err
	}
	return f.GuestAccount(o.Store)
}

// book is the company's customers as package erp looks for them.
type book struct {
	c *Client
	f *codes.File
	o *erp.SalesOrder // whose personal data is in no error
}

func (b book) Keeps() bool { return b.c.keeps(b.f) }

func (b book) ByReference(ctx context.Context, reference string) ([]erp.ERPCustomer, error) {
	if !b.Keeps() {
		return nil, nil
	}
	return b.search(ctx, "look up customer "+reference, "CustomerAccount", reference)
}

func (b book) ByEmail(ctx context.Context, email string) ([]erp.ERPCustomer, error) {
	return b.search(ctx, "look up a customer by e-mail", "PrimaryContactEmail", email)
}

func (b book) search(ctx context.Context, what, property, value string) ([]erp.ERPCustomer, error) {
	found, err := b.c.search(ctx, what, customers, property, value, "CustomerAccount,PaymentTerms,OnHoldStatus")
	if err != nil {
		return nil, err
	}
	var all []erp.ERPCustomer
	for _, r := range found {
		all = append(all, erp.ERPCustomer{
			Number: r.Account, ID: r.Account, Reference: r.Account, Terms: r.Terms != "", Blocked: r.OnHold != "" && r.OnHold != "No",
		})
	}
	return all, nil
}

// Adopt is never asked for: every customer has an account.
func (b book) Adopt(context.Context, erp.Call, erp.ERPCustomer, string) error {
	return event.NotDone(&event.Error{Class: event.Internal, Downstream: erphttp.Downstream, Err: errors.New("a customer's account can't be changed")})
}

// Add creates a customer with the shop's account for it, which is its key.
func (b book) Add(ctx context.Context, _ erp.Call, r erp.CustomerRecord) (erp.ERPCustomer, error) {
	text, err := json.Marshal(b.c.customer(b.f, r, true))
	if err != nil {
		return erp.ERPCustomer{}, event.NotDone(err)
	}
	_, err = b.c.send(ctx, erphttp.Request{What: "create customer " + r.ExternalReference, Method: http.MethodPost, Path: "/data/" + customers, Body: text, Order: b.o})
	return erp.ERPCustomer{Number: r.ExternalReference, ID: r.ExternalReference, Reference: r.ExternalReference}, err
}

// customer is what a customer is sent as. Key, group and currency are only in a new one.
func (c *Client) customer(f *codes.File, r erp.CustomerRecord, created bool) fields {
	b := fields{}
	if created {
		b["dataAreaId"], b["CustomerAccount"] = c.o.Company, r.ExternalReference
		b.text("CustomerGroupId", f.CustomerGroup(r.GroupID).CustomerGroup, 10)
		if store, err := f.Store(r.Store); err == nil {
			b.text("SalesCurrencyCode", store.Currency, 3)
		}
	}
	switch {
	case r.Company != nil && told(r.Company.Name) != "":
		b["PartyType"] = "Organization"
		b.text("OrganizationName", told(r.Company.Name), 100)
	default:
		b["PartyType"] = "Person"
		b.text("PersonFirstName", told(r.FirstName), 25)
		b.text("PersonLastName", told(r.LastName), 25)
	}
	b.text("PrimaryContactEmail", told(r.Email), 255)
	b.text("TaxExemptNumber", told(r.TaxID), 20)
	for _, a := range r.Addresses {
		if a.DefaultBilling {
			b.text("AddressDescription", nameOf(&a.Address), 60)
			b.text("AddressStreet", strings.Join(a.Street, "\n"), 250)
			b.text("AddressCity", told(a.City), 60)
			b.text("AddressZipCode", told(a.Postcode), 10)
			b.text("AddressCountryRegionId", f.Country(a.Country), 10)
			b.text("PrimaryContactPhone", told(a.Telephone), 255)
		}
	}
	return b
}

// WriteCustomer creates or changes the customer whose account is the shop's reference.
func (c *Client) WriteCustomer(ctx context.Context, call erp.Call, r erp.CustomerRecord) (erp.Document, error) {
	f := c.o.Codes()
	if !c.keeps(f) {
		return erp.Document{}, &erp.Off{Reason: "customers are the guests' account: options: {customers: number} has them kept"}
	}
	who := &erp.SalesOrder{Customer: erp.Customer{Email: r.Email, FirstName: r.FirstName, LastName: r.LastName, TaxID: r.TaxID}}
	b := book{c, f, who}
	found, err := b.ByReference(ctx, r.ExternalReference)
	if err != nil {
		return erp.Document{}, err
	}
	if len(found) == 0 {
		_, err = b.Add(ctx, call, r)
	} else {
		err = c.change(ctx, "change customer "+r.ExternalReference, http.MethodPatch, c.key(customers, "CustomerAccount", r.ExternalReference), c.customer(f, r, false), who)
	}
	if err != nil {
		return erp.Document{}, err
	}
	return erp.Document{Number: r.ExternalReference}, nil
}
