package netsuite

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/event"
)

// Words in braces stand in a Payload for what is looked up before it is sent.
const (
	customerWord = "{customer}"
	itemWord     = "{item " // then the item's number and a brace
)

// fields are the members of a body.
type fields map[string]any

// text adds a text, cut to a length, unless it is empty.
func (f fields) text(name, s string, most int) {
	if s = cut(s, most); s != "" {
		f[name] = s
	}
}

// ref adds the internal id of another record, unless it is empty.
func (f fields) ref(name, id string) {
	if id != "" {
		f[name] = fields{"id": id}
	}
}

func (f fields) number(name string, d decimal.Decimal) { f[name] = json.Number(d.String()) }

// cut cuts a text to a field's length: a street that is a letter too long is no reason to lose the order.
func cut(s string, most int) string {
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:most]))
}

// The lengths of texts. NetSuite publishes none for REST: these are those of its forms.
const (
	maxShort = 45 // otherRefNum
	maxLong  = 999
	maxName  = 83
	maxEmail = 254
	maxState = 50
	maxPhone = 32
	maxZIP   = 36
	maxLine  = 150
	maxCity  = 50
	maxTrack = 200
)

// Build returns the order with its lines as one POST to salesOrder, and before it the customer, where one may have to be added.
func (c *Client) Build(o erp.SalesOrder) (erp.Payload, error) {
	f := c.o.Codes()
	if err := checkReference(o.ExternalReference); err != nil {
		return erp.Payload{}, err
	}
	p := erp.Payload{Order: o}
	entity, err := c.entityOf(f, o)
	if err != nil {
		return erp.Payload{}, err
	}
	if keeps(f) && o.Customer.ID != nil {
		r := customerOf(o, c.o.ReferencePrefix)
		body, err := c.customerBody(f, r, true)
		if err != nil {
			return erp.Payload{}, err
		}
		p.Requests = append(p.Requests, erp.Request{Method: http.MethodPost, Path: path("customer"), Body: body})
	}
	h, err := header(f, o, entity)
	if err != nil {
		return erp.Payload{}, err
	}
	parts := erp.PartsOf(o, f.Tolerance())
	s := newSheet(f, o.Store)
	for i, l := range o.Lines {
		if err := s.goods(goods{
			sku: l.SKU, description: describe(l), reference: l.Reference, quantity: l.Quantity.Decimal, amount: parts.Lines[i],
			taxCode: l.TaxCode, percent: l.TaxPercent, own: f.LineFields(o, l),
		}); err != nil {
			return erp.Payload{}, err
		}
	}
	if o.Shipping != nil {
		if err := s.shipping(h, parts.Shipping, told(o.Shipping.Description), o.Shipping.TaxCode, o.Shipping.TaxPercent); err != nil {
			return erp.Payload{}, err
		}
		if err := shipMethod(h, f, o); err != nil {
			return erp.Payload{}, err
		}
	}
	if err := s.extras(parts); err != nil {
		return erp.Payload{}, err
	}
	s.into(h)
	maps.Copy(h, f.HeaderFields(o))
	body, err := json.Marshal(h)
	if err != nil {
		return erp.Payload{}, event.Errorf(event.Invalid, "order %s can't be written as JSON: %w", o.ExternalReference, err)
	}
	p.Requests = append(p.Requests, erp.Request{Method: http.MethodPost, Path: path("salesOrder"), Body: body})
	return p, nil
}

// header returns the members of an order but for its lines.
func header(f *codes.File, o erp.SalesOrder, entity string) (fields, error) {
	h := fields{"externalId": o.ExternalReference, "toBeEmailed": false}
	h.ref("entity", entity)
	h.text("tranDate", told(o.PlacedOn), len("2026-11-23"))
	number := told(o.Payment.PurchaseOrderNumber)
	if number == "" {
		number = told(o.IncrementID)
	}
	h.text("otherRefNum", number, maxShort)
	h.text("email", told(o.Customer.Email), maxEmail)
	if status := f.Option("order_status"); status != "off" {
		h.ref("orderStatus", status)
	}
	if err := place(h, f, o.Store, o.Currency); err != nil {
		return nil, err
	}
	if err := payment(h, f, o); err != nil {
		return nil, err
	}
	h.text("message", told(o.Comment), maxLong)
	if a := o.BillingAddress; a != nil {
		h["billingAddress"] = address(f, a)
	}
	if a := o.ShippingAddress; a != nil {
		h["shippingAddress"] = address(f, a)
	}
	return h, nil
}

// place adds what belongs to the store: subsidiary, currency, location, department, class, nexus.
func place(h fields, f *codes.File, s erp.Store, currency *string) error {
	if len(f.Stores) == 0 {
		return nil
	}
	store, err := f.Store(s)
	if err != nil {
		return err
	}
	id, err := currencyOf(f, s, store, told(currency))
	if err != nil {
		return err
	}
	h.ref("subsidiary", store.Company)
	h.ref("currency", id)
	h.ref("location", store.Warehouse)
	h.ref("department", store.Department)
	h.ref("class", store.Class)
	if store.TaxGroup != "" {
		h.ref("nexus", store.TaxGroup)
		h["taxRegOverride"] = true
	}
	return nil
}

// currencyOf returns NetSuite's id of a currency: a store has one id for all, or pairs as EUR=1 USD=2.
func currencyOf(f *codes.File, s erp.Store, store codes.Store, code string) (string, error) {
	if !strings.Contains(store.Currency, "=") {
		return store.Currency, nil
	}
	for _, pair := range strings.FieldsFunc(store.Currency, func(r rune) bool { return r == ' ' || r == ',' }) {
		if id, ok := strings.CutPrefix(pair, code+"="); ok && code != "" {
			return id, nil
		}
	}
	where := told(s.Code)
	if _, ok := f.Stores[where]; !ok {
		where = "*"
	}
	return "", invalid("%s has no id for the currency %s: add %s=… to currency of store %s, then replay the message", orFile(f.Name()), code, code, where)
}

func orFile(name string) string {
	if name == "" {
		return "the file of codes"
	}
	return name
}

// payment adds how the order is paid, as the option payment_as says.
func payment(h fields, f *codes.File, o erp.SalesOrder) error {
	as := f.Option("payment_as")
	if as == "off" {
		return nil
	}
	method := told(o.Payment.Method)
	if as != "memo" || len(f.PaymentMethods) > 0 {
		var err error
		if method, err = f.PaymentMethod(o.Payment.Method); err != nil {
			return err
		}
	}
	switch as {
	case "terms":
		h.ref("terms", method)
	case "option":
		h.ref("paymentOption", method)
	default:
		h.text("memo", strings.Join(strings.Fields(method+" "+told(o.Payment.TransactionID)), " "), maxLong)
	}
	return nil
}

func shipMethod(h fields, f *codes.File, o erp.SalesOrder) error {
	if f.Option("shipping_method_as") == "off" {
		return nil
	}
	id, err := f.ShippingMethod(o.Shipping.Method)
	h.ref("shipMethod", id)
	return err
}

// address returns an address as orders and customers have it.
func address(f *codes.File, a *erp.Address) fields {
	to := fields{}
	person, company := strings.TrimSpace(told(a.FirstName)+" "+told(a.LastName)), told(a.Company)
	if company == "" {
		to.text("addressee", person, maxName)
	} else {
		to.text("addressee", company, maxName)
		to.text("attention", person, maxName)
	}
	var street []string
	for _, l := range a.Street {
		if l = strings.TrimSpace(l); l != "" {
			street = append(street, l)
		}
	}
	if len(street) > 3 { // there are three fields
		street = append(street[:2:2], strings.Join(street[2:], ", "))
	}
	for i, l := range street {
		to.text([]string{"addr1", "addr2", "addr3"}[i], l, maxLine)
	}
	to.text("city", told(a.City), maxCity)
	state := told(a.RegionCode)
	if state == "" {
		state = told(a.Region)
	}
	to.text("state", state, maxState)
	to.text("zip", told(a.Postcode), maxZIP)
	to.ref("country", f.Country(a.Country))
	to.text("addrPhone", told(a.Telephone), maxPhone)
	return to
}

// describe returns a line's description: the product's name and what the buyer chose.
func describe(l erp.Line) string {
	text := told(l.Name)
	for _, option := range l.Options {
		if chosen := strings.Trim(told(option.Label)+": "+told(option.Value), ": "); chosen != "" {
			text += "; " + chosen
		}
	}
	return text
}

// sheet are the lines of a document and their taxes as they are made.
type sheet struct {
	f        *codes.File
	location string
	tax      string // the option tax_as
	lines    []fields
	taxes    []fields
}

func newSheet(f *codes.File, s erp.Store) *sheet {
	n := &sheet{f: f, tax: f.Option("tax_as")}
	if store, err := f.Store(s); err == nil {
		n.location = store.Warehouse
	}
	return n
}

// into adds the lines to a document. Magento's tax of each of them is forced where the option says so.
func (s *sheet) into(h fields) {
	h["item"] = fields{"items": s.lines}
	if s.tax == "override" {
		h["taxDetailsOverride"] = true
		h["taxDetails"] = fields{"items": s.taxes}
	}
}

// goods is a line of an item.
type goods struct {
	sku                    *string
	description, reference string
	quantity               decimal.Decimal
	amount                 erp.Sum
	taxCode                *string
	percent                erp.Quantity
	own                    map[string]any
}

func (s *sheet) goods(g goods) error {
	number, err := s.f.SKU(g.sku)
	if err != nil {
		return err
	}
	if !g.quantity.IsPositive() {
		return invalid("line %s has the quantity %s", g.reference, g.quantity)
	}
	l := fields{}
	l.text("description", g.description, maxLong)
	l.text("units", s.f.Unit(g.sku), maxShort)
	l.ref("location", s.location)
	if column := s.f.Option("line_reference"); column != "" {
		l.text(column, g.reference, maxLong)
	}
	if err := s.add(l, number, "L"+g.reference, g.quantity, g.amount, g.taxCode, g.percent); err != nil {
		return err
	}
	maps.Copy(l, g.own)
	return nil
}

var columns = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// add adds a line of an item with an amount. The amount is sent, and no price of one: NetSuite need not multiply.
func (s *sheet) add(l fields, number, reference string, quantity decimal.Decimal, sum erp.Sum, taxCode *string, told erp.Quantity) error {
	switch by := s.f.Option("item_by"); {
	case by == "id":
		l.ref("item", number)
	case by == "externalid":
		l["item"] = fields{"externalId": number}
	case columns.MatchString(by):
		l.ref("item", itemWord+number+"}")
	default:
		return invalid("the option item_by is %q in %s: want id, externalid or a column of items, as itemid or upccode", by, orFile(s.f.Name()))
	}
	l.number("quantity", quantity)
	l.ref("price", s.f.Option("price_level"))
	l.number("amount", sum.Net)
	switch s.tax {
	case "override":
		percent := sum.Percent(told)
		code, err := s.f.Tax(taxCode, percent)
		if err != nil {
			return err
		}
		l["taxDetailsReference"] = reference
		t := fields{"taxDetailsReference": fields{"id": reference}}
		kind, id, ok := strings.Cut(code, "/")
		if !ok {
			kind, id = "", code
		}
		t.text("taxType", kind, maxLong)
		t.ref("taxCode", id)
		t.number("taxBasis", sum.Net)
		t.number("taxRate", percent)
		t.number("taxAmount", sum.Tax)
		s.taxes = append(s.taxes, t)
	case "line":
		l["isTaxable"] = false
	}
	s.lines = append(s.lines, l)
	return nil
}

// account adds a line of the item that stands for an account.
func (s *sheet) account(a erp.Account, text string, sum erp.Sum, taxCode *string, told erp.Quantity) error {
	number, err := s.f.Account(a)
	if err != nil {
		return err
	}
	l := fields{}
	l.text("description", text, maxLong)
	return s.add(l, number, "A"+string(a), decimal.NewFromInt(1), sum, taxCode, told)
}

// shipping adds what shipping costs, in the header or as a line.
func (s *sheet) shipping(h fields, sum erp.Sum, text string, taxCode *string, told erp.Quantity) error {
	if sum.Net.IsZero() && sum.Tax.IsZero() {
		return nil
	}
	if s.f.Option("shipping_as") == "line" {
		if text == "" {
			text = titles[erp.AccountShipping]
		}
		return s.account(erp.AccountShipping, text, sum, taxCode, told)
	}
	h.number("shippingCost", sum.Net)
	if s.tax != "override" {
		return nil
	}
	code, err := s.f.Tax(taxCode, sum.Percent(told))
	if err != nil {
		return err
	}
	_, id, ok := strings.Cut(code, "/")
	if !ok {
		id = code
	}
	h.ref("shippingTaxCode", id)
	h.number("shippingTaxAmount", sum.Tax)
	return nil
}

var titles = map[erp.Account]string{
	erp.AccountGiftCard: "Gift card", erp.AccountCredit: "Store credit", erp.AccountPoints: "Reward points", erp.AccountGiftWrap: "Gift wrap",
	erp.AccountWEEE: "Fixed product tax", erp.AccountFee: "Fee", erp.AccountRounding: "Rounding", erp.AccountTax: "Tax",
	erp.AccountRefund: "Adjustment refund", erp.AccountRefundFee: "Adjustment fee", erp.AccountShipping: "Shipping",
}

// extras adds the parts of a total that are no goods, and Magento's tax where it is a line of its own.
func (s *sheet) extras(parts erp.Parts) error {
	if tax := parts.Tax(); s.tax == "line" && !tax.IsZero() {
		if err := s.account(erp.AccountTax, titles[erp.AccountTax], erp.Sum{Net: tax}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	for _, e := range parts.Extras {
		if err := s.account(e.Account, titles[e.Account], erp.Sum{Net: e.Amount}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	return nil
}

// words returns the numbers of items that stand in a body for ids.
func words(body []byte) []string {
	var d struct {
		Item struct {
			Items []struct {
				Item reference `json:"item"`
			} `json:"items"`
		} `json:"item"`
	}
	if json.Unmarshal(body, &d) != nil {
		return nil
	}
	var all []string
	for _, l := range d.Item.Items {
		if number, ok := strings.CutPrefix(l.Item.ID, itemWord); ok {
			all = append(all, strings.TrimSuffix(number, "}"))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
