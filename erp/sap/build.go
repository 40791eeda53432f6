package sap

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/event"
)

// The options of the file of codes that the connector asks for, and their values; the page of SAP in docs explains them.
const (
	optAddress        = "address" // deep, patch, off
	optPriceIs        = "price_is"
	optTaxAs          = "tax_as"      // erp, class
	optShippingAs     = "shipping_as" // field, line
	optPaymentAs      = "payment_as"  // terms, method, off
	optShippingMethod = "shipping_method_as"
	optUnitAs         = "unit_as"
	optExtrasAs       = "extras_as"
	optItemPrice      = "item_price"
	optShipTo         = "ship_to"
	optBillTo         = "bill_to"
	optText           = "text_id"
	optRejection      = "rejection_reason"
	optIdentification = "identification_type"
	optImmediate      = "immediate_terms"
	optRole           = "customer_role"
	optGrouping       = "customer_grouping"
	optDelivery       = "delivery"
	optCreditType     = "credit_type"
	optCreditReason   = "credit_reason"
	optCreditBlock    = "credit_block"
	optCreditRefers   = "credit_reference"

	deep, patch, off, gross, class, line, item, on = "deep", "patch", "off", "gross", "class", "line", "item", "on"
)

// The lengths of what is sent, by the metadata of the services.
const (
	maxReference = 35
	maxMaterial  = 40
	maxText      = 40
	maxUnit      = 3
)

// document is one body that is built, and what is wrong with it. All that is wrong is said at once.
type document struct {
	file     *codes.File
	problems []error
}

func (d *document) failed(err error) {
	if err != nil {
		d.problems = append(d.problems, err)
	}
}

// put sets a property to a code of the shop's file. One that is too long is a mistake in the file; an empty one is left out.
func (d *document) put(to map[string]any, name, value string, most int) {
	switch n := len([]rune(value)); {
	case value == "":
	case n > most:
		d.failed(event.Errorf(event.Invalid, "%s can't be %q: SAP takes %d characters; correct it in %s", name, value, most, d.name()))
	default:
		to[name] = value
	}
}

func (d *document) name() string {
	if d.file.Name() == "" {
		return "the file of codes"
	}
	return d.file.Name()
}

// words sets a property to a text of the buyer's, which is cut where SAP has less room.
func words(to map[string]any, name string, value *string, most int) {
	if text := cut(value, most); text != "" {
		to[name] = text
	}
}

func cut(value *string, most int) string {
	if value == nil {
		return ""
	}
	text := []rune(strings.Join(strings.Fields(*value), " "))
	return strings.TrimSpace(string(text[:min(len(text), most)]))
}

// code sets a property to what the file has for a code of the shop.
func (d *document) code(to map[string]any, name string, most int, value string, err error) {
	if err != nil {
		d.failed(err)
		return
	}
	d.put(to, name, value, most)
}

// result returns the error of a document with problems.
func (d *document) result(what string) error {
	if len(d.problems) == 0 {
		return nil
	}
	return &event.Error{Class: event.Invalid, Downstream: downstream, Err: fmt.Errorf("%s can't be written for SAP: %w", what, errors.Join(d.problems...))}
}

// customerWord stands in a body for the account that is looked up in SAP before it is sent.
const customerWord = "{customer}"

// orderWord stands in the path of a later request for the number of the order.
const orderWord = "{SalesOrder}"

// Build returns the POST of the order with all that is in it and, with the option address: patch, the requests that change its
// addresses.
func (s *Client) Build(o erp.SalesOrder) (erp.Payload, error) {
	d := &document{file: s.o.Codes()}
	parts := erp.PartsOf(o, d.file.Tolerance())
	body := map[string]any{}
	d.header(body, o)
	d.items(body, o, parts)
	d.prices(body, o, parts)
	account := d.account(o)
	d.put(body, "SoldToParty", account, 10)
	partners, patches := d.partners(o, account)
	if len(partners) > 0 {
		body["to_Partner"] = partners
	}
	if text := cut(o.Comment, 5000); text != "" && d.file.Option(optText) != off {
		body["to_Text"] = []any{map[string]any{"Language": s.o.Language, "LongTextID": d.file.Option(optText), "LongText": text}}
	}
	for name, value := range d.file.HeaderFields(o) {
		body[name] = value
	}
	if err := d.result("order " + o.ExternalReference); err != nil {
		return erp.Payload{}, err
	}
	p := erp.Payload{Order: o}
	text, err := json.Marshal(body)
	if err != nil {
		return erp.Payload{}, internal(fmt.Errorf("write order %s as JSON: %w", o.ExternalReference, err))
	}
	p.Requests = append(p.Requests, erp.Request{Method: http.MethodPost, Path: "/A_SalesOrder", Body: text})
	for _, one := range patches {
		text, err := json.Marshal(one.body)
		if err != nil {
			return erp.Payload{}, internal(fmt.Errorf("write the address of order %s as JSON: %w", o.ExternalReference, err))
		}
		p.Requests = append(p.Requests, erp.Request{
			Method: http.MethodPatch, Body: text,
			Path: entity("A_SalesOrderPartnerAddress", "SalesOrder", orderWord, "PartnerFunction", one.function, "AddressRepresentationCode", ""),
		})
	}
	return p, nil
}

const downstream = "erp"

func internal(err error) error {
	return &event.Error{Class: event.Internal, Downstream: downstream, Err: err}
}

// area sets the sales area of a store.
func (d *document) area(to map[string]any, store codes.Store, code string) {
	for _, one := range []struct {
		name, value, key, what string
		most                   int
	}{
		{"SalesOrganization", store.SalesOrganization, "sales_organization", "sales organization", 4},
		{"DistributionChannel", store.Channel, "channel", "distribution channel", 2},
		{"OrganizationDivision", store.Division, "division", "division", 2},
	} {
		if one.value == "" {
			d.failed(d.file.Missing("stores."+code, one.key, "the "+one.what+" of store "+code))
			continue
		}
		d.put(to, one.name, one.value, one.most)
	}
}

func storeCode(s erp.Store) string {
	if s.Code == nil {
		return "*"
	}
	return *s.Code
}

func (d *document) header(to map[string]any, o erp.SalesOrder) {
	f := d.file
	store, err := f.Store(o.Store)
	d.failed(err)
	if err == nil {
		d.area(to, store, storeCode(o.Store))
	}
	d.put(to, "SalesOrderType", orElse(store.OrderType, "OR"), 4)
	d.put(to, "SalesOffice", store.SalesOffice, 4)
	if n := len([]rune(o.ExternalReference)); n > maxReference {
		d.failed(event.Errorf(event.Invalid, "the reference %s has %d characters, and SAP's PurchaseOrderByCustomer %d: shorten the prefix of references",
			o.ExternalReference, n, maxReference))
	}
	to["PurchaseOrderByCustomer"] = o.ExternalReference
	if o.PlacedOn != nil {
		if on, err := date(*o.PlacedOn); err == nil {
			to["CustomerPurchaseOrderDate"], to["PricingDate"] = on, on
		} else {
			d.failed(err)
		}
	}
	if o.Currency != nil {
		d.put(to, "TransactionCurrency", *o.Currency, 5)
	} else {
		d.failed(event.Errorf(event.Invalid, "the order has no currency"))
	}
	payment, err := f.PaymentMethod(o.Payment.Method)
	switch f.Option(optPaymentAs) {
	case off:
	case "method":
		d.code(to, "PaymentMethod", 1, payment, err)
	default:
		d.code(to, "CustomerPaymentTerms", 4, payment, err)
	}
	if o.Shipping != nil && f.Option(optShippingMethod) != off {
		method, err := f.ShippingMethod(o.Shipping.Method)
		name := "ShippingCondition"
		if f.Option(optShippingMethod) == "type" {
			name = "ShippingType"
		}
		d.code(to, name, 2, method, err)
	}
	group := f.CustomerGroup(o.Customer.GroupID)
	d.put(to, "CustomerPriceGroup", group.PriceGroup, 2)
	d.put(to, "CustomerGroup", group.CustomerGroup, 2)
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// date writes a day as SAP does.
func date(day string) (string, error) {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return "", event.Errorf(event.Invalid, "the order's date %q is none", day)
	}
	return fmt.Sprintf("/Date(%d)/", t.UnixMilli()), nil
}

// items writes the lines of the order and, after them, what is booked as an item without being a line.
func (d *document) items(to map[string]any, o erp.SalesOrder, parts erp.Parts) {
	store, _ := d.file.Store(o.Store) // a missing one is a problem of the header
	var items []any
	for i, l := range o.Lines {
		it := map[string]any{}
		material, err := d.file.SKU(l.SKU)
		d.code(it, "Material", maxMaterial, material, err)
		words(it, "SalesOrderItemText", l.Name, maxText)
		d.put(it, "PurchaseOrderByCustomer", l.Reference, maxReference)
		d.quantity(it, l.Quantity, d.file.Unit(l.SKU), "line "+l.Reference)
		d.put(it, "ProductionPlant", store.Warehouse, 4)
		d.put(it, "ShippingPoint", store.ShippingPoint, 4)
		d.tax(it, parts.Lines[i], l.TaxCode, l.TaxPercent)
		d.price(it, parts.Lines[i], l.Quantity, o.Currency)
		for name, value := range d.file.LineFields(o, l) {
			it[name] = value
		}
		items = append(items, it)
	}
	if o.Shipping != nil && d.file.Option(optShippingAs) == line && !parts.Shipping.Gross().IsZero() {
		items = append(items, d.extra(erp.AccountShipping, parts.Shipping, o.Shipping.TaxCode, o.Shipping.TaxPercent, o.Currency))
	}
	for _, e := range parts.Extras {
		if !d.isCondition(e.Account) {
			items = append(items, d.extra(e.Account, erp.Sum{Net: e.Amount}, nil, erp.Quantity{}, o.Currency))
		}
	}
	for i, it := range items {
		it.(map[string]any)["SalesOrderItem"] = strconv.Itoa((i + 1) * 10)
	}
	to["to_Item"] = items
}

// isCondition reports whether an amount is a price condition of the header; else it is an item with its account's material.
func (d *document) isCondition(a erp.Account) bool {
	if d.file.Option(optExtrasAs) != item || a == erp.AccountRounding {
		return true
	}
	own, err := d.file.Account(a)
	rounding, noRounding := d.file.Account(erp.AccountRounding)
	return err == nil && noRounding == nil && own == rounding // it has no account of its own
}

// extra is an item of an account: one piece of its material with the amount as its price.
func (d *document) extra(a erp.Account, sum erp.Sum, taxCode *string, percent erp.Quantity, currency *string) map[string]any {
	it := map[string]any{"PurchaseOrderByCustomer": string(a), "RequestedQuantity": "1"}
	material, err := d.file.Account(a)
	d.code(it, "Material", maxMaterial, material, err)
	d.tax(it, sum, taxCode, percent)
	d.price(it, sum, one(), currency)
	return it
}

func one() erp.Quantity { return erp.NewQuantity(decimal.NewFromInt(1)) }

// quantity sets how much is ordered, and in which unit: without one of the file SAP takes the material's.
func (d *document) quantity(to map[string]any, q erp.Quantity, unit, what string) {
	const places = 3
	if !q.Valid || !q.Decimal.IsPositive() || !q.Decimal.Equal(q.Decimal.Truncate(places)) {
		d.failed(event.Errorf(event.Invalid, "the quantity %q of %s can't be sent: SAP takes one above 0 with at most %d decimals", q.String(), what, places))
		return
	}
	to["RequestedQuantity"] = q.Decimal.String()
	name := "RequestedQuantityUnit"
	switch d.file.Option(optUnitAs) {
	case "iso":
		name = "RequestedQuantityISOUnit"
	case "sap":
		name = "RequestedQuantitySAPUnit"
	}
	d.put(to, name, unit, maxUnit)
}

// tax sets the tax classification of an item where the file says so; else SAP takes the material's.
func (d *document) tax(to map[string]any, sum erp.Sum, code *string, percent erp.Quantity) {
	if d.file.Option(optTaxAs) != class {
		return
	}
	found, err := d.file.Tax(code, sum.Percent(percent))
	d.code(to, "ProductTaxClassification1", 1, found, err)
}

// mostPer is the largest number of units that a price can be for.
var mostPer = decimal.NewFromInt(99999)

// ratePlaces is how many decimals a price may have.
const ratePlaces = 9

// price sets the price of an item: the whole row for so many units. Where that can't be, the price of one unit.
func (d *document) price(to map[string]any, sum erp.Sum, q erp.Quantity, currency *string) {
	amount, per := d.amount(sum), q.Decimal
	if !per.IsInteger() || per.GreaterThan(mostPer) || !per.IsPositive() {
		if per.IsPositive() {
			amount = amount.DivRound(per, ratePlaces)
		}
		per = decimal.NewFromInt(1)
	}
	element := map[string]any{"ConditionRateValue": amount.String(), "ConditionQuantity": per.String()}
	d.put(element, "ConditionType", d.file.Option(optItemPrice), 4)
	if currency != nil {
		element["ConditionCurrency"] = *currency
	}
	if unit, ok := to["RequestedQuantityUnit"]; ok {
		element["ConditionQuantityUnit"] = unit
	}
	to["to_PricingElement"] = []any{element}
}

// amount is what SAP is told of a part: its net or its gross amount.
func (d *document) amount(sum erp.Sum) decimal.Decimal {
	if d.file.Option(optPriceIs) == gross {
		return sum.Gross()
	}
	return sum.Net
}

// prices writes the price conditions of the header: shipping, and what is left over.
func (d *document) prices(to map[string]any, o erp.SalesOrder, parts erp.Parts) {
	var elements []any
	add := func(a erp.Account, amount decimal.Decimal) {
		element := map[string]any{"ConditionRateValue": amount.String()}
		account, err := d.file.Account(a)
		d.code(element, "ConditionType", 4, account, err)
		if o.Currency != nil {
			element["ConditionCurrency"] = *o.Currency
		}
		elements = append(elements, element)
	}
	if shipping := d.amount(parts.Shipping); o.Shipping != nil && d.file.Option(optShippingAs) != line && !shipping.IsZero() {
		add(erp.AccountShipping, shipping)
	}
	for _, e := range parts.Extras {
		if d.isCondition(e.Account) {
			add(e.Account, e.Amount)
		}
	}
	if len(elements) > 0 {
		to["to_PricingElement"] = elements
	}
}

// account is who the order is sold to: the guests' account, or a word in whose place the customer's is put when it is sent.
func (d *document) account(o erp.SalesOrder) string {
	identified := o.Customer.ID != nil && d.file.Option(optIdentification) != ""
	if identified || o.Customer.ID == nil && d.file.MatchEmail() {
		return customerWord
	}
	account, err := d.file.GuestAccount(o.Store)
	d.failed(err)
	return account
}

// address is one that is changed after the create.
type address struct {
	function string
	body     map[string]any
}

// partners writes who the goods and the bill go to, with their addresses in place of the account's.
func (d *document) partners(o erp.SalesOrder, account string) (partners []any, patches []address) {
	how := d.file.Option(optAddress)
	if how == off {
		return nil, nil
	}
	email := o.Customer.Email
	for _, one := range []struct {
		option string
		of     *erp.Address
	}{{optShipTo, o.ShippingAddress}, {optBillTo, o.BillingAddress}} {
		function := d.file.Option(one.option)
		if one.of == nil || function == off {
			continue
		}
		body := d.place(one.of, email)
		partner := map[string]any{"Customer": account}
		d.put(partner, "PartnerFunction", function, 2)
		if how == patch {
			patches = append(patches, address{function, body})
		} else {
			partner["to_Address"] = []any{body}
		}
		partners = append(partners, partner)
	}
	return partners, patches
}

func (d *document) place(a *erp.Address, email *string) map[string]any {
	to := map[string]any{}
	name := full(a)
	if company := cut(a.Company, maxText); company != "" {
		to["OrganizationName1"] = company
		words(to, "OrganizationName2", &name, maxText)
	} else {
		words(to, "OrganizationName1", &name, maxText)
	}
	for i, property := range []struct {
		name string
		most int
	}{{"StreetName", 60}, {"StreetSuffixName1", 40}, {"StreetSuffixName2", 40}} {
		if i < len(a.Street) {
			words(to, property.name, &a.Street[i], property.most)
		}
	}
	words(to, "PostalCode", a.Postcode, 10)
	words(to, "CityName", a.City, 40)
	d.put(to, "Country", d.file.Country(a.Country), 3)
	if a.RegionCode != nil && len([]rune(*a.RegionCode)) <= 3 { // a region without a code of SAP's length is in no list there
		words(to, "Region", a.RegionCode, 3)
	}
	words(to, "PhoneNumber", a.Telephone, 30)
	words(to, "EmailAddress", email, 241)
	return to
}

func full(a *erp.Address) string {
	var names []string
	for _, n := range []*string{a.FirstName, a.LastName} {
		if n != nil && strings.TrimSpace(*n) != "" {
			names = append(names, strings.TrimSpace(*n))
		}
	}
	return strings.Join(names, " ")
}
