package businesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

const (
	// maxReference is how long an external document number may be.
	maxReference = 35
	// maxItem is how long an item's number may be.
	maxItem = 20
	// maxComments bounds the comment lines that the buyer's note makes.
	maxComments = 10
	// customerWord stands for the customer's number where it has to be looked up.
	customerWord = "{customer}"
)

// Build returns the order with its lines as one POST to salesOrders, and before it the customer, where one may have to be
// added.
func (c *Client) Build(o erp.SalesOrder) (erp.Payload, error) {
	f := c.o.Codes()
	reference, err := referenceOf(o.ExternalReference)
	if err != nil {
		return erp.Payload{}, err
	}
	store, err := c.storeOf(f, o.Store)
	if err != nil {
		return erp.Payload{}, err
	}
	p := erp.Payload{Order: o}
	number, err := c.customerNumber(f, o)
	if err != nil {
		return erp.Payload{}, err
	}
	if c.keeps(f) && o.Customer.ID != nil {
		var r erp.CustomerRecord
		r, number = customerOf(o, c.o.ReferencePrefix), code(erp.CustomerReference(c.o.ReferencePrefix, *o.Customer.ID))
		text, err := c.customerBody(f, r, true)
		if err != nil {
			return erp.Payload{}, err
		}
		p.Requests = append(p.Requests, erp.Request{Method: http.MethodPost, Path: c.companyPath() + "/customers", Body: text})
	}
	header, err := orderHeader(f, o, reference, number)
	if err != nil {
		return erp.Payload{}, err
	}
	lines, err := orderLines(f, o, store)
	if err != nil {
		return erp.Payload{}, err
	}
	header.add("salesOrderLines", lines)
	text, err := json.Marshal(header)
	if err != nil {
		return erp.Payload{}, event.Errorf(event.Invalid, "order %s can't be written as JSON: %w", o.ExternalReference, err)
	}
	p.Requests = append(p.Requests, erp.Request{Method: http.MethodPost, Path: c.companyPath() + "/salesOrders", Body: text})
	return p, nil
}

// referenceOf returns a reference as the ERP keeps it.
func referenceOf(s string) (string, error) {
	reference := code(s)
	if n := utf8.RuneCountInString(reference); n == 0 || n > maxReference {
		return "", invalid("the external reference %q has %d characters, and Business Central takes 1 to %d: shorten the prefix of references", s, n, maxReference)
	}
	return reference, nil
}

func invalid(format string, args ...any) error {
	return &event.Error{Class: event.Invalid, Downstream: erphttp.Downstream, Err: fmt.Errorf(format, args...)}
}

// storeOf returns what belongs to a store, which must be of the company that this connector serves.
func (c *Client) storeOf(f *codes.File, s erp.Store) (codes.Store, error) {
	if len(f.Stores) == 0 {
		return codes.Store{}, nil
	}
	store, err := f.Store(s)
	if err != nil {
		return store, err
	}
	if store.Company != "" && !strings.EqualFold(store.Company, c.o.Company) {
		return store, invalid("store %s belongs to the company %q by %s, and this connector serves %q: run one mageline for each company, with the stores of it",
			told(s.Code), store.Company, f.Name(), c.o.Company)
	}
	return store, nil
}

func told(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}

// customerNumber returns whom an order is booked for as far as that is known without a request.
func (c *Client) customerNumber(f *codes.File, o erp.SalesOrder) (string, error) {
	if c.looksUp(f, o) && o.Customer.ID == nil {
		// The guests' account is needed if no customer has the address.
		if _, err := f.GuestAccount(o.Store); err != nil {
			return "", err
		}
		return customerWord, nil
	}
	if c.keeps(f) && o.Customer.ID != nil {
		return "", nil
	}
	account, err := f.GuestAccount(o.Store)
	return code(account), err
}

func orderHeader(f *codes.File, o erp.SalesOrder, reference, customer string) (*body, error) {
	h := &body{}
	h.add("externalDocumentNumber", reference)
	h.add("orderDate", told(o.PlacedOn))
	h.add("customerNumber", customer)
	h.add("currencyCode", code(told(o.Currency)))
	h.add("pricesIncludeTax", included(f))
	bill, ship := o.BillingAddress, o.ShippingAddress
	if ship == nil {
		ship = bill
	}
	addressOf(h, "sellTo", f, bill)
	if ship != nil {
		name, person := cut(told(ship.Company), 100), cut(personOf(ship.FirstName, ship.LastName), 100)
		if name == "" {
			name, person = person, ""
		}
		h.add("shipToName", name)
		h.add("shipToContact", person)
	}
	addressOf(h, "shipTo", f, ship)
	if bill != nil {
		h.add("phoneNumber", cut(told(bill.Telephone), 30))
	}
	h.add("email", cut(told(o.Customer.Email), 80))
	if err := payment(h, f, o); err != nil {
		return nil, err
	}
	h.addAll(f.HeaderFields(o))
	return h, nil
}

// included reports whether prices are sent with tax.
func included(f *codes.File) bool {
	return f.Option("price_is") != "net" && f.Option("tax_as") != "line"
}

func addressOf(h *body, which string, f *codes.File, a *erp.Address) {
	if a == nil {
		return
	}
	first, second := street(a.Street)
	h.add(which+"AddressLine1", first)
	h.add(which+"AddressLine2", second)
	h.add(which+"City", cut(told(a.City), 30))
	h.add(which+"State", cut(regionOf(a), 30))
	h.add(which+"PostCode", cut(code(told(a.Postcode)), 20))
	h.add(which+"Country", code(f.Country(a.Country)))
}

func regionOf(a *erp.Address) string {
	if s := told(a.RegionCode); s != "" {
		return s
	}
	return told(a.Region)
}

// street puts all lines of a street into the two that there are.
func street(lines []string) (first, second string) {
	var told []string
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			told = append(told, l)
		}
	}
	if len(told) == 0 {
		return "", ""
	}
	return cut(told[0], 100), cut(strings.Join(told[1:], ", "), 50)
}

func personOf(first, last *string) string { return strings.TrimSpace(told(first) + " " + told(last)) }

// cut cuts a text to a field's length: a street that is a letter too long is no reason to lose the order.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:most]))
}

// payment adds what the options say of how an order is paid and shipped. Sales orders have no field for a payment method.
func payment(h *body, f *codes.File, o erp.SalesOrder) error {
	if f.Option("payment_as") == "terms" {
		id, err := f.PaymentMethod(o.Payment.Method)
		if err != nil {
			return err
		}
		if id != "" && !guid.MatchString(id) {
			return invalid("payment method %s is %q in %s: with payment_as: terms it must be the id of payment terms", told(o.Payment.Method), id, f.Name())
		}
		h.add("paymentTermsId", strings.ToLower(id))
	}
	if f.Option("shipping_method_as") == "id" && o.Shipping != nil {
		id, err := f.ShippingMethod(o.Shipping.Method)
		if err != nil {
			return err
		}
		if id != "" && !guid.MatchString(id) {
			return invalid("shipping method %s is %q in %s: with shipping_method_as: id it must be the id of a shipment method", told(o.Shipping.Method), id, f.Name())
		}
		h.add("shipmentMethodId", strings.ToLower(id))
	}
	return nil
}
