package businesscentral

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

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

// member is one member of a body. Business Central sets the members in the order in which they stand there, so that a map,
// whose names are sorted, would not do.
type member struct {
	name  string
	value any
}

type body []member

// add adds a member unless it is empty.
func (b *body) add(name string, v any) {
	switch v := v.(type) {
	case string:
		if v == "" {
			return
		}
	case decimal.Decimal:
		*b = append(*b, member{name, json.Number(v.String())})
		return
	}
	*b = append(*b, member{name, v})
}

// addAll adds the shop's own fields, sorted by their names.
func (b *body) addAll(fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		*b = append(*b, member{name, fields[name]})
	}
}

// MarshalJSON writes the members in their order.
func (b body) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	text.WriteByte('{')
	for i, m := range b {
		if i > 0 {
			text.WriteByte(',')
		}
		if err := e.Encode(m.name); err != nil {
			return nil, err
		}
		text.WriteByte(':')
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
	}
	text.WriteByte('}')
	return bytes.ReplaceAll(text.Bytes(), []byte("\n"), nil), nil
}

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
		// The guests' account is needed should nobody have the address.
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

// sheet are the lines of a document as they are made.
type sheet struct {
	f        *codes.File
	included bool
	lineTax  bool // tax is a line of its own
	places   int32
	price    int32  // places of a unit price
	location string // of items; empty: the company's own rule
	lines    []*body
	// net is the sum without tax of each tax code, and percent its rate, to foretell the ERP's tax where prices are sent
	// without it.
	net, percent map[string]decimal.Decimal
	sum          decimal.Decimal
}

func newSheet(f *codes.File, currency *string, included bool) *sheet {
	places := int32(5)
	if n, err := strconv.ParseInt(f.Option("unit_price_places"), 10, 32); err == nil && n >= 0 {
		places = int32(n)
	}
	return &sheet{
		f: f, included: included, lineTax: f.Option("tax_as") == "line", places: erp.Places(currency), price: places,
		net: map[string]decimal.Decimal{}, percent: map[string]decimal.Decimal{},
	}
}

// taxCode returns the tax code of a part; "" leaves it to the item or account.
func (s *sheet) taxCode(own *string, percent decimal.Decimal) (string, error) {
	if s.lineTax {
		own, percent = nil, decimal.Zero
	}
	return s.f.Tax(own, percent)
}

// count adds a part to what the document comes to.
func (s *sheet) count(tax string, percent, amount decimal.Decimal) {
	s.sum = s.sum.Add(amount)
	if !s.included && !s.lineTax {
		s.net[tax], s.percent[tax] = s.net[tax].Add(amount), percent
	}
}

// total is what the ERP will come to.
func (s *sheet) total() decimal.Decimal {
	sum := s.sum
	for tax, net := range s.net {
		sum = sum.Add(net.Mul(s.percent[tax]).Div(decimal.NewFromInt(100)).Round(s.places))
	}
	return sum
}

// goods is a line of an item.
type goods struct {
	sku, name, reference *string
	quantity             decimal.Decimal
	amount               erp.Sum
	unit                 erp.Amount // the shop's price of one, in the same sense as included; it may be rounded
	discounted           bool
	taxCode              *string
	percent              erp.Quantity
	fields               map[string]any
}

func (s *sheet) item(g goods) error {
	number, err := s.f.SKU(g.sku)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(code(number)); n > maxItem {
		return &codes.Missing{
			File: s.f.Name(), Section: "skus", Key: told(g.sku),
			What: fmt.Sprintf("SKU %s, whose %d characters are more than the %d of an item's number in Business Central,", told(g.sku), n, maxItem),
		}
	}
	amount := g.amount.Net
	if s.included {
		amount = g.amount.Gross()
	}
	if !g.quantity.IsPositive() || amount.IsNegative() {
		return invalid("line %s has the quantity %s and the amount %s: Business Central's price and discount can't come to that", told(g.reference), g.quantity, amount)
	}
	percent := g.amount.Percent(g.percent)
	tax, err := s.taxCode(g.taxCode, percent)
	if err != nil {
		return err
	}
	price, discount := s.priceOf(g, amount)
	l := &body{}
	l.add("lineType", "Item")
	l.add("lineObjectNumber", code(number))
	l.add("locationId", s.location)
	l.addAll(g.fields)
	l.add("description", cut(told(g.name), 100))
	if s.f.Option("line_reference") != "off" {
		l.add("description2", cut(told(g.reference), 50))
	}
	l.add("unitOfMeasureCode", code(s.f.Unit(g.sku)))
	l.add("quantity", g.quantity)
	l.add("taxCode", code(tax))
	l.add("unitPrice", price)
	l.add("discountAmount", discount)
	s.lines = append(s.lines, l)
	s.count(tax, percent, amount)
	return nil
}

// priceOf returns a unit price and a discount of which the ERP makes amount exactly: quantity times price, rounded, less the
// discount. A row that is discounted in the shop has the shop's own price, so that people see its discount.
func (s *sheet) priceOf(g goods, amount decimal.Decimal) (price, discount decimal.Decimal) {
	row := func(price decimal.Decimal) decimal.Decimal { return g.quantity.Mul(price).Round(s.places) }
	if g.discounted && g.unit.Valid {
		if price = g.unit.Decimal.Round(s.price); row(price).GreaterThanOrEqual(amount) {
			return price, row(price).Sub(amount)
		}
	}
	price = amount.DivRound(g.quantity, s.price+4).RoundCeil(s.price)
	for row(price).LessThan(amount) {
		price = price.Add(decimal.New(1, -s.price))
	}
	return price, row(price).Sub(amount)
}

// account is a line of a general ledger account: amount without tax, and its tax.
func (s *sheet) account(a erp.Account, text string, amount erp.Sum, taxCode *string, told erp.Quantity) error {
	number, err := s.f.Account(a)
	if err != nil {
		return err
	}
	percent := amount.Percent(told)
	tax, err := s.taxCode(taxCode, percent)
	if err != nil {
		return err
	}
	price := amount.Net
	if s.included {
		price = amount.Gross()
	}
	s.count(tax, percent, price)
	q := decimal.NewFromInt(1)
	if price.IsNegative() && s.f.Option("negative_as") == "quantity" {
		q, price = q.Neg(), price.Neg()
	}
	l := &body{}
	l.add("lineType", "Account")
	l.add("lineObjectNumber", code(number))
	l.add("description", cut(text, 100))
	if s.f.Option("line_reference") != "off" {
		l.add("description2", string(a))
	}
	l.add("quantity", q)
	l.add("taxCode", code(tax))
	l.add("unitPrice", price)
	s.lines = append(s.lines, l)
	return nil
}

// comment is a line that is only text.
func (s *sheet) comment(text string) {
	for n := 0; text != "" && n < maxComments; n++ {
		line := cut(text, 100)
		l := &body{}
		l.add("lineType", "Comment")
		l.add("description", line)
		s.lines = append(s.lines, l)
		text = strings.TrimSpace(strings.TrimPrefix(text, line))
	}
}

var titles = map[erp.Account]string{
	erp.AccountGiftCard: "Gift card", erp.AccountCredit: "Store credit", erp.AccountPoints: "Reward points", erp.AccountGiftWrap: "Gift wrap",
	erp.AccountWEEE: "Fixed product tax", erp.AccountFee: "Fee", erp.AccountRounding: "Rounding", erp.AccountTax: "Tax",
	erp.AccountRefund: "Adjustment refund", erp.AccountRefundFee: "Adjustment fee", erp.AccountShipping: "Shipping",
}

func orderLines(f *codes.File, o erp.SalesOrder, store codes.Store) ([]*body, error) {
	parts := erp.PartsOf(o, f.Tolerance())
	s := newSheet(f, o.Currency, included(f))
	if guid.MatchString(store.Warehouse) {
		s.location = strings.ToLower(store.Warehouse)
	}
	for i, l := range o.Lines {
		g := goods{
			sku: l.SKU, name: l.Name, reference: &l.Reference, quantity: l.Quantity.Decimal, amount: parts.Lines[i], taxCode: l.TaxCode, percent: l.TaxPercent,
			unit: l.UnitPrice, discounted: l.DiscountAmount.Decimal.IsPositive(), fields: f.LineFields(o, l),
		}
		if s.included {
			g.unit = l.UnitPriceInclTax
		}
		if err := s.item(g); err != nil {
			return nil, err
		}
		if f.Option("comments") != "off" {
			for _, option := range l.Options {
				s.comment(strings.Trim(told(option.Label)+": "+told(option.Value), ": "))
			}
		}
	}
	if o.Shipping != nil && !parts.Shipping.Gross().IsZero() {
		text := told(o.Shipping.Description)
		if text == "" {
			text = titles[erp.AccountShipping]
		}
		if err := s.account(erp.AccountShipping, text, parts.Shipping, o.Shipping.TaxCode, o.Shipping.TaxPercent); err != nil {
			return nil, err
		}
	}
	if err := s.close(parts); err != nil {
		return nil, err
	}
	err := s.notes(o)
	return s.lines, err
}

// close adds the parts of a total that are no goods, and what is left between them and the ERP's own sum.
func (s *sheet) close(parts erp.Parts) error {
	if tax := parts.Tax(); s.lineTax && !tax.IsZero() {
		if err := s.account(erp.AccountTax, titles[erp.AccountTax], erp.Sum{Net: tax}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	for _, e := range parts.Extras {
		if e.Account == erp.AccountRounding {
			continue
		}
		if err := s.account(e.Account, titles[e.Account], erp.Sum{Net: e.Amount}, nil, erp.Quantity{}); err != nil {
			return err
		}
	}
	if left := parts.Total.Sub(s.total()); !left.IsZero() {
		return s.account(erp.AccountRounding, titles[erp.AccountRounding], erp.Sum{Net: left}, nil, erp.Quantity{})
	}
	return nil
}

// notes adds what has no field: how it is paid and shipped, and what the buyer wrote.
func (s *sheet) notes(o erp.SalesOrder) error {
	if s.f.Option("payment_as") == "comment" && o.Payment.Method != nil && len(s.f.PaymentMethods) > 0 {
		name, err := s.f.PaymentMethod(o.Payment.Method)
		if err != nil {
			return err
		}
		text := "Payment: " + name
		if id := told(o.Payment.TransactionID); id != "" {
			text += " " + id
		}
		if number := told(o.Payment.PurchaseOrderNumber); number != "" {
			text += ", purchase order " + number
		}
		s.comment(cut(text, 100))
	}
	if s.f.Option("shipping_method_as") == "comment" && o.Shipping != nil && o.Shipping.Method != nil && len(s.f.ShippingMethods) > 0 {
		name, err := s.f.ShippingMethod(o.Shipping.Method)
		if err != nil {
			return err
		}
		s.comment(cut("Shipping: "+name, 100))
	}
	if s.f.Option("comments") != "off" {
		s.comment(strings.Join(strings.Fields(told(o.Comment)), " "))
	}
	return nil
}

// Create sends what Build made. Header and lines are one request, which is carried out whole or not at all.
func (c *Client) Create(ctx context.Context, call erp.Call, p erp.Payload) (erp.Document, error) {
	what := "create sales order " + p.Order.ExternalReference
	if len(p.Requests) == 0 {
		return erp.Document{}, event.NotDone(&event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: the payload has no request: want those that Build makes", what),
		})
	}
	f := c.o.Codes()
	post := p.Requests[len(p.Requests)-1]
	text := []byte(post.Body)
	if c.looksUp(f, p.Order) {
		number, err := c.bookedFor(ctx, call, f, p.Order)
		if err != nil {
			return erp.Document{}, event.NotDone(fmt.Errorf("%s: %w", what, err)) // the order itself was not sent
		}
		quoted, err := json.Marshal(number)
		if err != nil {
			return erp.Document{}, event.NotDone(err)
		}
		text = bytes.Replace(text, []byte(`"`+customerWord+`"`), quoted, 1)
	}
	a, err := c.send(ctx, erphttp.Request{What: what, Method: post.Method, Path: "/salesOrders", Body: text, Order: &p.Order})
	if err != nil {
		return erp.Document{}, c.explained(ctx, err, f, p.Order)
	}
	var made record
	if err := a.Object(&made); err != nil {
		return erp.Document{}, a.Unreadable(err)
	}
	if made.Number == "" || made.ID == "" {
		return erp.Document{}, a.Unreadable(errors.New("there is no number and id"))
	}
	d := documentOf(made)
	if want := p.Order.Totals.GrandTotal; want.Valid && (!d.Total.Valid || !d.Total.Decimal.Equal(want.Decimal)) {
		// The totals of the answer may be those of before the lines: only what is read again is the ERP's word.
		d.Total = c.totalOf(ctx, "/salesOrders("+made.ID+")", d.Total)
	}
	return d, nil
}

func documentOf(r record) erp.Document {
	d := erp.Document{Number: r.Number, ID: r.ID, ETag: r.ETag}
	if r.Total != nil {
		if total, err := decimal.NewFromString(r.Total.String()); err == nil {
			d.Total = erp.NewAmount(total)
		}
	}
	if r.Status == "In_x0020_Review" {
		d.Notes = append(d.Notes, "the order waits for an approval in Business Central")
	}
	return d
}

// totalOf reads what a document comes to; otherwise, should that fail, since the document is there.
func (c *Client) totalOf(ctx context.Context, path string, otherwise erp.Amount) erp.Amount {
	a, err := c.send(ctx, erphttp.Request{
		What: "read a total", Method: http.MethodGet, Path: path, Header: fresh(), Question: true,
		Query: url.Values{"$select": {"totalAmountIncludingTax"}},
	})
	if err != nil {
		return otherwise
	}
	var r record
	if a.Object(&r) != nil || r.Total == nil {
		return otherwise
	}
	return documentOf(r).Total
}

// explained adds to a refusal what it leaves out: which item is missing, or which codes the order names.
func (c *Client) explained(ctx context.Context, err error, f *codes.File, o erp.SalesOrder) error {
	if event.ClassOf(err) != event.Invalid {
		return err
	}
	if strings.Contains(err.Error(), textNoItem) {
		if missing := c.missingItem(ctx, f, o.Lines); missing != nil {
			return event.NotDone(fmt.Errorf("create sales order %s: %w", o.ExternalReference, missing))
		}
	}
	var accounts []string
	for _, a := range []erp.Account{erp.AccountGuests, erp.AccountShipping, erp.AccountRounding} {
		if number, err := f.Account(a); err == nil {
			accounts = append(accounts, string(a)+" "+number)
		}
	}
	return fmt.Errorf("%w; see that the company has the codes of %s, such as %s", err, orFile(f.Name()), strings.Join(accounts, ", "))
}

func orFile(name string) string {
	if name == "" {
		return "the file of codes"
	}
	return name
}

// maxAsked bounds the items that are asked for in one request: they are in its address.
const maxAsked = 40

// missingItem returns an error that names the first item of lines that the company does not have; nil if it has all, or does
// not say.
func (c *Client) missingItem(ctx context.Context, f *codes.File, lines []erp.Line) error {
	var filter []string
	numbers := map[string]*string{}
	for _, l := range lines {
		number, err := f.SKU(l.SKU)
		if err != nil || numbers[code(number)] != nil || len(numbers) == maxAsked {
			continue
		}
		numbers[code(number)] = l.SKU
		filter = append(filter, equals("number", code(number)))
	}
	found, err := c.search(ctx, "look up the items of an order", "items", strings.Join(filter, " or "), url.Values{"$select": {"number"}})
	if err != nil {
		return nil
	}
	for _, r := range found {
		delete(numbers, code(r.Number))
	}
	for _, number := range slices.Sorted(maps.Keys(numbers)) {
		return &codes.Missing{
			File: f.Name(), Section: "skus", Key: *numbers[number],
			What: fmt.Sprintf("SKU %s, of which Business Central has no item %s,", *numbers[number], number),
		}
	}
	return nil
}

// Find asks for the orders with a reference and, since a posted order is gone, for the invoices and shipments that came of one.
// Several that came of one order are one document.
func (c *Client) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	wanted, err := referenceOf(reference)
	if err != nil {
		return nil, err
	}
	var found []erp.Document
	seen := map[string]bool{}
	for _, set := range []struct{ name, fields string }{
		{"salesOrders", "id,number,status,externalDocumentNumber,totalAmountIncludingTax"},
		{"salesInvoices", "id,number,orderNumber,externalDocumentNumber"},
		{"salesShipments", "id,number,orderNumber,externalDocumentNumber"},
	} {
		records, err := c.search(ctx, "find sales order "+reference, set.name, equals("externalDocumentNumber", wanted), url.Values{"$select": {set.fields}, "$top": {"20"}})
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if code(r.Reference) != wanted {
				continue
			}
			if set.name != "salesOrders" && r.OrderNumber != "" {
				r = record{Number: r.OrderNumber}
			}
			if r.Number == "" {
				return nil, &event.Error{
					Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true,
					Err: fmt.Errorf("find sales order %s: a record of %s has no number", reference, set.name),
				}
			}
			if !seen[r.Number] {
				seen[r.Number] = true
				found = append(found, documentOf(r))
			}
		}
	}
	return found, nil
}
