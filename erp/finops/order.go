package finops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Words that stand in a Payload for what only an answer or a look-up has.
const (
	numberWord   = "{number}"
	customerWord = "{customer}"
)

// fields are the members of a body.
type fields map[string]any

func (f fields) text(name, value string, most int) {
	value = strings.TrimSpace(value)
	if utf8.RuneCountInString(value) > most {
		value = strings.TrimSpace(string([]rune(value)[:most]))
	}
	if value != "" {
		f[name] = value
	}
}

func (f fields) number(name string, d decimal.Decimal) { f[name] = json.Number(d.String()) }

// referenceField is where the external reference is, and how long it may be there.
func referenceField(f *codes.File) (name string, most int) {
	if f.Option("reference_field") == "CustomerRequisitionNumber" {
		return "CustomerRequisitionNumber", 20
	}
	return "CustomersOrderReference", 60
}

func checkReference(f *codes.File, reference string) error {
	name, most := referenceField(f)
	if n := utf8.RuneCountInString(reference); n == 0 || n > most || strings.Contains(reference, "*") {
		return invalid("the external reference %q can't be in %s, which takes 1 to %d characters and no *", reference, name, most)
	}
	return nil
}

// Build returns the header of the order, and a request for each line with the number that the header's answer has.
func (c *Client) Build(o erp.SalesOrder) (erp.Payload, error) {
	f := c.o.Codes()
	if err := checkReference(f, o.ExternalReference); err != nil {
		return erp.Payload{}, err
	}
	store, err := c.storeOf(f, o.Store)
	if err != nil {
		return erp.Payload{}, err
	}
	customer, err := c.customerOf(f, o)
	if err != nil {
		return erp.Payload{}, err
	}
	header, err := c.header(f, o, store, customer)
	if err != nil {
		return erp.Payload{}, err
	}
	all, err := c.orderLines(f, o, store)
	if err != nil {
		return erp.Payload{}, err
	}
	return payload(o, header, all)
}

func payload(o erp.SalesOrder, header fields, all []fields) (erp.Payload, error) {
	p := erp.Payload{Order: o}
	for i, body := range append([]fields{header}, all...) {
		set := lines
		if i == 0 {
			set = headers
		}
		text, err := json.Marshal(body)
		if err != nil {
			return p, invalid("order %s can't be written as JSON: %w", o.ExternalReference, err)
		}
		p.Requests = append(p.Requests, erp.Request{Method: http.MethodPost, Path: "/data/" + set, Body: text})
	}
	return p, nil
}

func (c *Client) storeOf(f *codes.File, s erp.Store) (codes.Store, error) {
	if len(f.Stores) == 0 {
		return codes.Store{}, nil
	}
	store, err := f.Store(s)
	if err == nil && store.Company != "" && !strings.EqualFold(store.Company, c.o.Company) {
		return store, invalid("store %s belongs to the company %q by %s, and this connector serves %q: run one mageline for each company, with the stores of it",
			told(s.Code), store.Company, f.Name(), c.o.Company)
	}
	return store, err
}

func (c *Client) header(f *codes.File, o erp.SalesOrder, store codes.Store, customer string) (fields, error) {
	h := fields{
		"dataAreaId": c.o.Company, "OrderingCustomerAccountNumber": customer, "InvoiceCustomerAccountNumber": customer,
		"ArePricesIncludingSalesTax": yes(included(f)), "SkipCreateAutoCharges": "Yes",
	}
	name, _ := referenceField(f)
	h[name] = o.ExternalReference
	h.text("CurrencyCode", told(o.Currency), 3)
	h.text("Email", told(o.Customer.Email), 255)
	h.text("SalesTaxGroupCode", store.TaxGroup, 20)
	h.text("SalesOrderOriginCode", store.OrderType, 20)
	h.text("DefaultShippingSiteId", store.Site, 10)
	h.text("DefaultShippingWarehouseId", store.Warehouse, 10)
	h.text("LanguageId", store.Language, 10)
	if day := told(o.PlacedOn); day != "" { // noon, so that no zone makes it another day
		h["RequestedShippingDate"] = day + "T12:00:00Z"
	}
	for _, code := range []struct {
		name   string
		known  map[string]string
		method *string
		of     func(*string) (string, error)
	}{{"CustomerPaymentMethodName", f.PaymentMethods, o.Payment.Method, f.PaymentMethod}, {"DeliveryModeCode", f.ShippingMethods, methodOf(o), f.ShippingMethod}} {
		if len(code.known) == 0 || code.method == nil {
			continue
		}
		value, err := code.of(code.method)
		if err != nil {
			return nil, err
		}
		h.text(code.name, value, 10)
	}
	to := o.ShippingAddress
	if to == nil {
		to = o.BillingAddress
	}
	if to != nil {
		h["IsDeliveryAddressOrderSpecific"] = "Yes"
		h.text("DeliveryAddressName", nameOf(to), 60)
		h.text("DeliveryAddressDescription", nameOf(to), 60)
		h.text("SalesOrderName", nameOf(to), 60)
		h.text("DeliveryAddressStreet", strings.Join(to.Street, "\n"), 250)
		h.text("DeliveryAddressCity", told(to.City), 60)
		h.text("DeliveryAddressZipCode", told(to.Postcode), 10)
		h.text("DeliveryAddressStateId", told(to.RegionCode), 10)
		h.text("DeliveryAddressCountryRegionId", f.Country(to.Country), 10)
	}
	for name, value := range f.HeaderFields(o) {
		h[name] = value
	}
	return h, nil
}

func methodOf(o erp.SalesOrder) *string {
	if o.Shipping == nil {
		return nil
	}
	return o.Shipping.Method
}

func nameOf(a *erp.Address) string {
	if s := told(a.Company); s != "" {
		return s
	}
	return strings.TrimSpace(told(a.FirstName) + " " + told(a.LastName))
}

func yes(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

func included(f *codes.File) bool { return f.Option("price_is") != "net" }

// sheet are the lines of a document as they are made.
type sheet struct {
	c        *Client
	f        *codes.File
	store    codes.Store
	places   int32
	negative bool // quantities are below zero: it credits
	all      []fields
	// net is the sum without tax of each line and its tax, to foretell the ERP's total where prices are sent without tax.
	total decimal.Decimal
}

func (c *Client) sheet(f *codes.File, currency *string, store codes.Store) *sheet {
	return &sheet{c: c, f: f, store: store, places: erp.Places(currency)}
}

// add adds a line: the amount is the row's, and the price only its quotient.
func (s *sheet) add(item, reference, text, unit string, quantity decimal.Decimal, sum erp.Sum, taxCode *string, rate erp.Quantity, own map[string]any) error {
	percent := sum.Percent(rate)
	tax, err := s.f.Tax(taxCode, percent)
	if err != nil {
		return err
	}
	amount := sum.Net
	s.total = s.total.Add(amount)
	if included(s.f) {
		amount = sum.Gross()
		s.total = s.total.Add(sum.Tax)
	} else {
		s.total = s.total.Add(amount.Mul(percent).Div(decimal.NewFromInt(100)).Round(s.places))
	}
	if s.negative {
		quantity, amount = quantity.Neg(), amount.Neg()
	}
	l := fields{"dataAreaId": s.c.o.Company, "SalesOrderNumber": numberWord, "ItemNumber": item, "SalesTaxItemGroupCode": tax, "SkipCreateAutoCharges": "Yes"}
	l[lineReference(s.f)] = reference
	l.text("LineDescription", text, 1000)
	l.text("SalesUnitSymbol", unit, 10)
	l.text("ShippingSiteId", s.store.Site, 10)
	l.text("ShippingWarehouseId", s.store.Warehouse, 10)
	l.text("SalesTaxGroupCode", s.store.TaxGroup, 20)
	l.number("OrderedSalesQuantity", quantity)
	l.number("SalesPrice", amount.DivRound(quantity, 6))
	l.number("SalesPriceQuantity", decimal.NewFromInt(1))
	l.number("LineAmount", amount)
	for name, value := range own {
		l[name] = value
	}
	s.all = append(s.all, l)
	return nil
}

// lineReference is where a line has the shop's id of its row.
func lineReference(f *codes.File) string {
	if f.Option("line_reference") == "OrderLineReference" {
		return "OrderLineReference"
	}
	return "ExternalItemNumber"
}

func (r record) line(f *codes.File) string {
	if lineReference(f) == "OrderLineReference" {
		return r.Order
	}
	return r.External
}

// account adds a line of a service item.
func (s *sheet) account(a erp.Account, sum erp.Sum, taxCode *string, rate erp.Quantity) error {
	item, err := s.f.Account(a)
	if err != nil {
		return err
	}
	return s.add(item, string(a), "", "", decimal.NewFromInt(1), sum, taxCode, rate, nil)
}

func (s *sheet) close(parts erp.Parts) error {
	for _, e := range parts.Extras {
		if e.Account == erp.AccountRounding {
			continue
		}
		if err := s.account(e.Account, erp.Sum{Net: e.Amount}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	if left := parts.Total.Sub(s.total); !left.IsZero() {
		return s.account(erp.AccountRounding, erp.Sum{Net: left}, nil, erp.Quantity{})
	}
	return nil
}

func (c *Client) orderLines(f *codes.File, o erp.SalesOrder, store codes.Store) ([]fields, error) {
	parts := erp.PartsOf(o, f.Tolerance())
	s := c.sheet(f, o.Currency, store)
	for i, l := range o.Lines {
		item, err := f.SKU(l.SKU)
		if err != nil {
			return nil, err
		}
		if !l.Quantity.Decimal.IsPositive() {
			return nil, invalid("line %s has the quantity %s", l.Reference, l.Quantity)
		}
		if err := s.add(item, l.Reference, told(l.Name), f.Unit(l.SKU), l.Quantity.Decimal, parts.Lines[i], l.TaxCode, l.TaxPercent, f.LineFields(o, l)); err != nil {
			return nil, err
		}
	}
	if o.Shipping != nil && !parts.Shipping.Gross().IsZero() {
		if err := s.account(erp.AccountShipping, parts.Shipping, o.Shipping.TaxCode, o.Shipping.TaxPercent); err != nil {
			return nil, err
		}
	}
	err := s.close(parts)
	return s.all, err
}

// Create sends the header, and then line after line. Each is a step: a later attempt goes on at the first that is not certain.
func (c *Client) Create(ctx context.Context, call erp.Call, p erp.Payload) (erp.Document, error) {
	f := c.o.Codes()
	what := "create sales order " + p.Order.ExternalReference
	if len(p.Requests) == 0 {
		return erp.Document{}, event.NotDone(&event.Error{Class: event.Internal, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: the payload has no request", what)})
	}
	number, err := call.Do(ctx, "header", func(ctx context.Context, a erp.Attempt) (string, error) {
		if a.Uncertain {
			found, err := c.Find(ctx, p.Order.ExternalReference)
			if err != nil || len(found) == 1 {
				return first(found).Number, err
			}
			if err := a.MayRepeat("order " + p.Order.ExternalReference); err != nil {
				return "", err
			}
		}
		text := []byte(p.Requests[0].Body)
		if bytes.Contains(text, []byte(customerWord)) {
			account, err := c.bookedFor(ctx, call, f, p.Order)
			if err != nil {
				return "", event.NotDone(fmt.Errorf("%s: %w", what, err))
			}
			text = bytes.ReplaceAll(text, []byte(strconv.Quote(customerWord)), []byte(strconv.Quote(account)))
		}
		return c.post(ctx, what, headers, text, &p.Order)
	})
	if err != nil {
		return erp.Document{}, c.explained(err, f, p.Order)
	}
	return c.fill(ctx, call, f, p, erp.Document{Number: number}, nil)
}

func first(found []erp.Document) erp.Document {
	if len(found) == 0 {
		return erp.Document{}
	}
	return found[0]
}

// post creates a record and returns the number of the order that it is, or is of.
func (c *Client) post(ctx context.Context, what, set string, text []byte, who *erp.SalesOrder) (string, error) {
	a, err := c.send(ctx, erphttp.Request{What: what, Method: http.MethodPost, Path: "/data/" + set, Body: text, Order: who})
	if err != nil {
		return "", err
	}
	var made record
	if err := a.Object(&made); err != nil {
		return "", a.Unreadable(err)
	}
	if made.Number == "" {
		return "", a.Unreadable(errors.New("there is no SalesOrderNumber"))
	}
	return made.Number, nil
}

// fill adds the lines that a document does not have yet, and reads what it comes to.
func (c *Client) fill(ctx context.Context, call erp.Call, f *codes.File, p erp.Payload, d erp.Document, there map[string]bool) (erp.Document, error) {
	what := "add the lines of order " + p.Order.ExternalReference
	for _, r := range p.Requests[1:] {
		var of map[string]any
		if err := json.Unmarshal(r.Body, &of); err != nil {
			return d, event.MayBeDone(err)
		}
		reference := fmt.Sprint(of[lineReference(f)])
		if there[reference] {
			continue
		}
		text := bytes.ReplaceAll(r.Body, []byte(strconv.Quote(numberWord)), []byte(strconv.Quote(d.Number)))
		_, err := call.Do(ctx, "line "+reference, func(ctx context.Context, a erp.Attempt) (string, error) {
			if a.Uncertain {
				has, err := c.linesOf(ctx, what, f, d.Number)
				if err != nil {
					return "", err
				}
				if _, ok := has[reference]; ok {
					return d.Number, nil
				}
				if err := a.MayRepeat(fmt.Sprintf("line %s of order %s", reference, p.Order.ExternalReference)); err != nil {
					return "", err
				}
			}
			return c.post(ctx, what, lines, text, &p.Order)
		})
		if err != nil {
			return d, event.MayBeDone(c.explained(err, f, p.Order))
		}
	}
	d.Total = c.totalOf(ctx, d.Number)
	return d, nil
}

// linesOf returns the lines of an order by their references.
func (c *Client) linesOf(ctx context.Context, what string, f *codes.File, number string) (map[string]record, error) {
	found, err := c.search(ctx, what, lines, "SalesOrderNumber", number, "SalesOrderNumber,InventoryLotId,ItemNumber,ExternalItemNumber,OrderLineReference,OrderedSalesQuantity,LineAmount")
	if err != nil {
		return nil, err
	}
	has := make(map[string]record, len(found))
	for _, r := range found {
		has[r.line(f)] = r
	}
	return has, nil
}

// totalOf reads what an order comes to; not known where it is not calculated, or does not say.
func (c *Client) totalOf(ctx context.Context, number string) erp.Amount {
	a, err := c.send(ctx, erphttp.Request{
		What: "read a total", Method: http.MethodGet, Path: c.key(headers, "SalesOrderNumber", number), Question: true,
		Query: url.Values{"$select": {"OrderTotalAmount,AreTotalsCalculated"}},
	})
	var r record
	if err != nil || a.Object(&r) != nil || r.Calculated != "Yes" {
		return erp.Amount{}
	}
	return erp.NewAmount(r.Total)
}

// Complete adds the lines that an order lacks which an earlier attempt has begun.
func (c *Client) Complete(ctx context.Context, call erp.Call, p erp.Payload, d erp.Document) (erp.Document, error) {
	f := c.o.Codes()
	ours := true
	if _, err := call.Do(ctx, "header", func(_ context.Context, a erp.Attempt) (string, error) {
		ours = a.Uncertain
		return d.Number, nil
	}); err != nil {
		return d, event.MayBeDone(err)
	}
	if !ours { // nothing is on record: people may have worked on it
		return d, nil
	}
	has, err := c.linesOf(ctx, "complete order "+p.Order.ExternalReference, f, d.Number)
	if err != nil {
		return d, event.MayBeDone(err)
	}
	there := make(map[string]bool, len(has))
	for reference := range has {
		there[reference] = true
	}
	return c.fill(ctx, call, f, p, d, there)
}

// explained names the file of codes in a refusal that it may cure.
func (c *Client) explained(err error, f *codes.File, o erp.SalesOrder) error {
	if event.ClassOf(err) != event.Invalid {
		return err
	}
	for _, l := range o.Lines {
		item, skuErr := f.SKU(l.SKU)
		if skuErr == nil && strings.Contains(err.Error(), "'"+item+"'") {
			return &event.Error{Class: event.Invalid, Downstream: erphttp.Downstream, Err: fmt.Errorf("%w: %w", err, &codes.Missing{
				File: f.Name(), Section: "skus", Key: told(l.SKU), What: fmt.Sprintf("SKU %s (item %s)", told(l.SKU), item),
			})}
		}
	}
	return err
}

// Find asks for the orders with a reference in the company.
func (c *Client) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	f := c.o.Codes()
	name, _ := referenceField(f)
	found, err := c.search(ctx, "find sales order "+reference, headers, name, reference, "SalesOrderNumber,CustomersOrderReference,CustomerRequisitionNumber")
	if err != nil {
		return nil, err
	}
	var all []erp.Document
	for _, r := range found {
		if r.Reference != reference && r.Requisition != reference {
			continue
		}
		if r.Number == "" {
			return nil, &event.Error{Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true, Err: fmt.Errorf("find sales order %s: an order has no number", reference)}
		}
		all = append(all, erp.Document{Number: r.Number})
	}
	return all, nil
}
