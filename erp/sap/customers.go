package sap

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

// customers are SAP's business partners. Their external id is an identification number of the type that the file of codes
// names; without one SAP has no place for it.
type customers struct {
	sap   *Client
	file  *codes.File
	store erp.Store
}

var _ erp.CustomerBook = customers{}

func (b customers) kind() string { return b.file.Option(optIdentification) }

// Keeps reports whether there is an identification type.
func (b customers) Keeps() bool { return b.kind() != "" }

type identification struct{ BusinessPartner, BPIdentificationType, BPIdentificationNumber string }

// ByReference asks for the partner with an identification number, which SAP keeps in capitals.
func (b customers) ByReference(ctx context.Context, reference string) ([]erp.ERPCustomer, error) {
	if !b.Keeps() {
		return nil, nil
	}
	what := "find customer " + reference
	found, err := list[identification](ctx, b.sap.partner, what, "/A_BuPaIdentification", url.Values{
		"$filter": {"BPIdentificationType eq " + literal(b.kind()) + " and BPIdentificationNumber eq " + literal(strings.ToUpper(reference))}, "$top": {"3"},
	})
	if err != nil {
		return nil, err
	}
	var all []erp.ERPCustomer
	for _, id := range found {
		if !strings.EqualFold(id.BPIdentificationNumber, reference) {
			continue
		}
		one, err := b.partner(ctx, what, id.BusinessPartner)
		if err != nil {
			return nil, err
		}
		one.Reference = reference
		if one.Number == "" {
			return nil, event.NotDone(&event.Error{
				Class: event.Invalid, Downstream: downstream,
				Err: fmt.Errorf("%s: business partner %s has the external id and is no customer: give it the role of one in SAP, then replay", what, one.ID),
			})
		}
		all = append(all, one)
	}
	return all, nil
}

// partner reads the customer of a business partner.
func (b customers) partner(ctx context.Context, what, number string) (erp.ERPCustomer, error) {
	a, err := b.sap.partner.http.Do(ctx, erphttp.Request{
		What: what, Method: http.MethodGet, Path: entity("A_BusinessPartner", number), Question: true,
		Query: url.Values{"$select": {"BusinessPartner,Customer,BusinessPartnerIsBlocked"}, "$format": {"json"}},
	})
	if err != nil {
		return erp.ERPCustomer{}, err
	}
	if !a.OK() {
		return erp.ERPCustomer{}, a.Refused()
	}
	var p struct {
		BusinessPartner, Customer string
		BusinessPartnerIsBlocked  bool
	}
	if err := readOne(a, &p); err != nil || p.BusinessPartner == "" {
		return erp.ERPCustomer{}, a.Unreadable(errors.Join(err, errNoEntity))
	}
	return erp.ERPCustomer{Number: p.Customer, ID: p.BusinessPartner, Blocked: p.BusinessPartnerIsBlocked}, nil
}

// maxSearch is how many characters of an e-mail address SAP has an index of.
const maxSearch = 20

// several is when it no longer matters how many there are.
const severalPartners = 2

// ByEmail goes from the address in the index to the address of a partner, the partner and its sales area.
func (b customers) ByEmail(ctx context.Context, email string) ([]erp.ERPCustomer, error) {
	const what = "find a customer by e-mail"
	search := []rune(strings.ToUpper(email))
	mails, err := list[struct{ AddressID, EmailAddress string }](ctx, b.sap.partner, what, "/A_AddressEmailAddress", url.Values{
		"$filter": {"SearchEmailAddress eq " + literal(string(search[:min(len(search), maxSearch)]))},
		"$select": {"AddressID,EmailAddress"},
	})
	if err != nil {
		return nil, err
	}
	var all []erp.ERPCustomer
	seen := map[string]bool{}
	for _, m := range mails {
		if !strings.EqualFold(m.EmailAddress, email) || m.AddressID == "" {
			continue
		}
		addresses, err := list[struct{ BusinessPartner string }](ctx, b.sap.partner, what, "/A_BusinessPartnerAddress", url.Values{
			"$filter": {"AddressID eq " + literal(m.AddressID)}, "$select": {"BusinessPartner"}, "$top": {"3"},
		})
		if err != nil {
			return nil, err
		}
		for _, address := range addresses {
			if address.BusinessPartner == "" || seen[address.BusinessPartner] {
				continue
			}
			seen[address.BusinessPartner] = true
			one, err := b.known(ctx, what, address.BusinessPartner)
			if err != nil {
				return nil, err
			}
			if one.Number != "" {
				all = append(all, one)
			}
			if len(all) >= severalPartners {
				return all, nil
			}
		}
	}
	return all, nil
}

// known reads all that decides about a partner that was found by its e-mail address.
func (b customers) known(ctx context.Context, what, number string) (erp.ERPCustomer, error) {
	one, err := b.partner(ctx, what, number)
	if err != nil || one.Number == "" {
		return one, err
	}
	if b.Keeps() {
		ids, err := list[identification](ctx, b.sap.partner, what, "/A_BuPaIdentification", url.Values{
			"$filter": {"BusinessPartner eq " + literal(number) + " and BPIdentificationType eq " + literal(b.kind())}, "$top": {"1"},
		})
		if err != nil {
			return one, err
		}
		for _, id := range ids {
			one.Reference = id.BPIdentificationNumber
		}
	}
	areas, err := list[struct{ CustomerPaymentTerms, OrderIsBlockedForCustomer string }](ctx, b.sap.partner, what, "/A_CustomerSalesArea", url.Values{
		"$filter": {"Customer eq " + literal(one.Number)}, "$select": {"CustomerPaymentTerms,OrderIsBlockedForCustomer"},
	})
	for _, area := range areas {
		one.Terms = one.Terms || area.CustomerPaymentTerms != "" && area.CustomerPaymentTerms != b.file.Option(optImmediate)
		one.Blocked = one.Blocked || area.OrderIsBlockedForCustomer != ""
	}
	return one, err
}

// Adopt adds the external id to a partner.
func (b customers) Adopt(ctx context.Context, c erp.Call, record erp.ERPCustomer, reference string) error {
	body, err := json.Marshal(identification{record.ID, b.kind(), reference})
	if err != nil {
		return event.NotDone(internal(err))
	}
	_, err = c.Do(ctx, "adopt customer "+reference, func(ctx context.Context, a erp.Attempt) (string, error) {
		// The caller has looked: the partner has no external id.
		if err := a.MayRepeat("the external id of customer " + reference); err != nil {
			return "", err
		}
		return record.ID, b.sap.change(ctx, b.sap.partner, "adopt customer "+reference, erp.Request{
			Method: http.MethodPost, Path: "/A_BuPaIdentification", Body: body,
		}, nil)
	})
	return err
}

// Add creates a business partner with the role of a customer, its sales area and the external id.
func (b customers) Add(ctx context.Context, c erp.Call, r erp.CustomerRecord) (erp.ERPCustomer, error) {
	body, err := b.body(r)
	if err != nil {
		return erp.ERPCustomer{}, event.NotDone(err)
	}
	what := "create customer " + r.ExternalReference
	number, err := c.Do(ctx, what, func(ctx context.Context, a erp.Attempt) (string, error) {
		if err := a.MayRepeat("customer " + r.ExternalReference); err != nil {
			return "", err
		}
		return b.post(ctx, what, body, r)
	})
	return erp.ERPCustomer{Number: number, ID: number, Reference: r.ExternalReference}, err
}

func (b customers) post(ctx context.Context, what string, body []byte, r erp.CustomerRecord) (string, error) {
	who := personOf(r)
	a, err := b.sap.partner.http.Do(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: "/A_BusinessPartner", Body: body, Order: &who})
	if err != nil {
		return "", err
	}
	if !a.OK() {
		return "", a.Refused()
	}
	var created struct{ BusinessPartner, Customer string }
	if err := readOne(a, &created); err != nil || created.BusinessPartner == "" {
		return "", a.Unreadable(errors.Join(err, errNoEntity))
	}
	if created.Customer == "" { // some systems make the customer after they have answered
		one, err := b.partner(ctx, what, created.BusinessPartner)
		if err != nil {
			return "", err
		}
		created.Customer = one.Number
	}
	if created.Customer == "" {
		return "", &event.Error{
			Class: event.NotFound, Downstream: downstream,
			Err: fmt.Errorf("%s: business partner %s has no customer yet: see that the role %s makes one", what, created.BusinessPartner, b.file.Option(optRole)),
		}
	}
	return created.Customer, nil
}

// personOf returns whose personal data is taken out of errors.
func personOf(r erp.CustomerRecord) erp.SalesOrder {
	o := erp.SalesOrder{Customer: erp.Customer{Email: r.Email, FirstName: r.FirstName, LastName: r.LastName, TaxID: r.TaxID}}
	if len(r.Addresses) > 0 {
		o.BillingAddress = &r.Addresses[0].Address
	}
	if len(r.Addresses) > 1 {
		o.ShippingAddress = &r.Addresses[1].Address
	}
	return o
}

func (b customers) body(r erp.CustomerRecord) ([]byte, error) {
	d := &document{file: b.file}
	to := map[string]any{"BusinessPartnerCategory": "1"}
	words(to, "FirstName", r.FirstName, 40)
	words(to, "LastName", r.LastName, 40)
	company := ""
	if r.Company != nil {
		company = cut(r.Company.Name, 40)
	}
	if company != "" {
		to = map[string]any{"BusinessPartnerCategory": "2", "OrganizationBPName1": company}
	}
	d.put(to, "BusinessPartnerGrouping", b.file.Option(optGrouping), 4)
	d.put(to, "SearchTerm1", cut(&r.ExternalReference, 20), 20)
	to["to_BuPaIdentification"] = []any{map[string]any{"BPIdentificationType": b.kind(), "BPIdentificationNumber": r.ExternalReference}}
	roles := []any{}
	for _, role := range strings.Fields(b.file.Option(optRole)) {
		roles = append(roles, map[string]any{"BusinessPartnerRole": role})
	}
	to["to_BusinessPartnerRole"] = roles
	if address := billing(r); address != nil {
		place := map[string]any{}
		for i, name := range []string{"StreetName", "StreetSuffixName"} {
			if i < len(address.Street) {
				words(place, name, &address.Street[i], 40)
			}
		}
		words(place, "PostalCode", address.Postcode, 10)
		words(place, "CityName", address.City, 40)
		d.put(place, "Country", b.file.Country(address.Country), 3)
		if r.Email != nil {
			place["to_EmailAddress"] = []any{map[string]any{"EmailAddress": cut(r.Email, 241)}}
		}
		to["to_BusinessPartnerAddress"] = []any{place}
	}
	store, err := b.file.Store(b.store)
	d.failed(err)
	area := map[string]any{}
	if err == nil {
		d.area(area, store, storeCode(b.store))
		area["Division"] = area["OrganizationDivision"]
		delete(area, "OrganizationDivision")
		d.put(area, "Currency", store.Currency, 5)
		d.put(area, "CustomerPaymentTerms", store.PaymentTerms, 4)
		group := b.file.CustomerGroup(r.GroupID)
		d.put(area, "CustomerPriceGroup", group.PriceGroup, 2)
		d.put(area, "CustomerGroup", group.CustomerGroup, 2)
	}
	to["to_Customer"] = map[string]any{"to_CustomerSalesArea": []any{area}}
	if err := d.result("customer " + r.ExternalReference); err != nil {
		return nil, err
	}
	text, err := json.Marshal(to)
	if err != nil {
		return nil, internal(err)
	}
	return text, nil
}

func billing(r erp.CustomerRecord) *erp.Address {
	for i := range r.Addresses {
		if r.Addresses[i].DefaultBilling {
			return &r.Addresses[i].Address
		}
	}
	if len(r.Addresses) > 0 {
		return &r.Addresses[0].Address
	}
	return nil
}

// WriteCustomer finds the customer, adopts it or creates it. A record that is there is not changed: SAP's master data is kept
// by its own people.
func (s *Client) WriteCustomer(ctx context.Context, c erp.Call, r erp.CustomerRecord) (erp.Document, error) {
	found, ok, err := erp.KeepCustomer(ctx, c, customers{s, s.o.Codes(), r.Store}, r)
	if err != nil || !ok {
		return erp.Document{}, err
	}
	return erp.Document{Number: found.Number, ID: found.ID}, nil
}
