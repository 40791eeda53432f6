package fakebusinesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/odata"
)

func indexed(property, value string) string { return property + "\x00" + value }

// searched are the properties that are indexed, so that a search costs the same with ten and with ten thousand orders.
var searched = []string{"externalDocumentNumber", "number", "email", "orderNumber"}

// add puts a record into its set. It needs mu, as everything in this file.
func (s *Server) add(e *entity) {
	t := s.sets[e.set]
	t.byID[e.id] = e
	t.all = append(t.all, e)
	for _, p := range searched {
		if v, ok := e.values[p]; ok {
			t.by[indexed(p, fmt.Sprint(v))] = append(t.by[indexed(p, fmt.Sprint(v))], e)
		}
	}
	if extra := len(t.all) - s.options.Keep; extra > 0 && e.parent == nil {
		for _, old := range t.all[:extra] {
			delete(t.byID, old.id)
		}
		t.all = slices.Delete(t.all, 0, extra)
	}
}

func (s *Server) newEntity(set string, parent *entity) *entity {
	s.seq++
	return &entity{set: set, id: fmt.Sprintf("5b6c7d8e-0000-4000-8000-%012d", s.seq), version: 1, booked: time.Now(), at: time.Now(), values: map[string]any{}, parent: parent}
}

// create answers a POST. parent is the document of a line that is added later.
func (s *Server) create(set string, parent *entity, body []byte) (answer, *problem) {
	if !slices.Contains([]string{"salesOrders", "salesOrderLines", "salesCreditMemos", "salesCreditMemoLines", "customers"}, set) || (parent == nil) != !strings.HasSuffix(set, "Lines") {
		return answer{}, &problem{http.StatusMethodNotAllowed, "BadRequest_MethodNotAllowed", "'POST' requests are not allowed here."}
	}
	members, err := odata.Members(body)
	if err != nil {
		return answer{}, refusal(codeBad, "Invalid Request Body: %v", err)
	}
	e := s.newEntity(set, parent)
	var lines []*entity
	if p := s.apply(e, members, &lines); p != nil {
		return answer{}, p
	}
	if p := s.complete(e); p != nil {
		return answer{}, p
	}
	if parent != nil {
		if p := editable(parent); p != nil {
			return answer{}, p
		}
		parent.lines = append(parent.lines, e)
		parent.touch()
	}
	s.add(e)
	for _, l := range lines {
		s.add(l)
	}
	e.lines = lines
	s.computeOf(e)
	shown, p := s.show(e, nil)
	if p != nil {
		return answer{}, p
	}
	return answer{status: http.StatusCreated, body: encode(shown)}, nil
}

func (s *Server) computeOf(e *entity) {
	if e.parent != nil {
		e = e.parent
	}
	if strings.HasPrefix(e.set, "sales") {
		s.compute(e)
	}
}

func (e *entity) touch() {
	e.version++
	e.at = time.Now()
}

// apply sets the members of a body one after the other, in their order.
func (s *Server) apply(e *entity, members []odata.Member, lines *[]*entity) *problem {
	for _, m := range members { // a line's type is set first, wherever it stands
		if m.Name == "lineType" {
			if p := s.set(e, m); p != nil {
				return p
			}
		}
	}
	for _, m := range members {
		if m.Name == "lineType" {
			continue
		}
		if lines != nil && e.parent == nil && m.Name == strings.TrimSuffix(e.set, "s")+"Lines" {
			if p := s.insertLines(e, m.Value, lines); p != nil {
				return p
			}
			continue
		}
		if p := s.set(e, m); p != nil {
			return p
		}
	}
	return nil
}

func (s *Server) insertLines(e *entity, value json.RawMessage, lines *[]*entity) *problem {
	var bodies []json.RawMessage
	if json.Unmarshal(value, &bodies) != nil {
		return refusal(codeBad, "Invalid Request Body: the lines are no list")
	}
	if p := s.complete(e); p != nil { // the header is inserted before its lines
		return p
	}
	for _, body := range bodies {
		members, err := odata.Members(body)
		if err != nil {
			return refusal(codeBad, "Invalid Request Body: %v", err)
		}
		l := s.newEntity(strings.TrimSuffix(e.set, "s")+"Lines", e)
		if p := s.apply(l, members, nil); p != nil {
			return p
		}
		if p := s.complete(l); p != nil {
			return p
		}
		l.values["sequence"] = 10000 * (len(*lines) + 1)
		*lines = append(*lines, l)
	}
	return nil
}

// set sets one property.
func (s *Server) set(e *entity, m odata.Member) *problem {
	p, ok := schema[e.set][m.Name]
	switch {
	case !ok:
		return refusal(codeBad, "The property '%s' does not exist on type 'Microsoft.NAV.%s'. Make sure to only use property names that are defined by the type.", m.Name, e.set)
	case m.Name == "sequence":
		return &problem{http.StatusInternalServerError, codeServer, "You cannot change the value of the SystemId field."}
	case p.ReadOnly:
		return refusal(codeReadOnly, "Control '%s' is read-only.", m.Name)
	}
	v, bad := typedValue(m, p)
	if bad != nil {
		return bad
	}
	if strings.HasSuffix(e.set, "Lines") {
		return s.setOnLine(e, m.Name, v)
	}
	if e.set == "customers" {
		return s.setOnCustomer(e, m.Name, v)
	}
	return s.setOnHeader(e, m.Name, v)
}

var (
	guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	// A number of JSON has no sign of a text, and none that the ERP's decimals could not hold.
	number = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
)

// typedValue reads a value as its property's type.
func typedValue(m odata.Member, p odata.Property) (any, *problem) {
	bad := refusal(codeBad, "Cannot convert the literal '%s' to the expected type of '%s' (%s).", m.Value, m.Name, p.Type)
	var text string
	isText := json.Unmarshal(m.Value, &text) == nil && len(m.Value) > 0 && m.Value[0] == '"'
	switch p.Type {
	case "Decimal", "Integer":
		if !number.Match(m.Value) {
			return nil, bad
		}
		return decimal.RequireFromString(string(m.Value)), nil
	case "Boolean":
		var b bool
		if json.Unmarshal(m.Value, &b) != nil {
			return nil, bad
		}
		return b, nil
	}
	if !isText {
		return nil, bad
	}
	switch p.Type {
	case "Code":
		text = strings.ToUpper(strings.TrimSpace(text))
	case "Date":
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, refusal(codeBad, "Unable to convert value to Date: %s", text)
		}
	case "Guid":
		if !guid.MatchString(text) {
			return nil, refusal("Application_InvalidGUID", "The format of the GUID is not valid: %s", text)
		}
	}
	if n := utf8.RuneCountInString(text); p.Max > 0 && n > p.Max {
		return nil, refusal(codeLength, "The length of the string is %d, but it must be less than or equal to %d characters. Value: %s", n, p.Max, text)
	}
	return text, nil
}

func (s *Server) customer(number string) *entity {
	for _, c := range s.sets["customers"].by[indexed("number", number)] {
		if !c.deleted {
			return c
		}
	}
	return nil
}

// PaymentTermsID, ShipmentMethodID and LocationID are the only payment terms, shipment method and location that the company has.
const (
	LocationID       = "33333333-0000-4000-8000-000000000001"
	PaymentTermsID   = "11111111-0000-4000-8000-000000000014"
	ShipmentMethodID = "22222222-0000-4000-8000-000000000001"
)

func (s *Server) setOnHeader(e *entity, name string, v any) *problem {
	text, _ := v.(string)
	switch name {
	case "customerNumber":
		c := s.customer(text)
		switch {
		case c == nil:
			return refusal(codeDialog, "The sell-to customer cannot be found.")
		case c.values["blocked"] == "All":
			return refusal(codeDialog, "You cannot create this type of document when Customer %s is blocked with type All", text)
		case c.values["posting"] == "":
			return refusal(codeField, "Customer Posting Group must have a value in Customer: No.=%s. It cannot be zero or empty.", text)
		}
		e.values["customerName"], e.values["customerId"] = c.values["displayName"], c.id
		if e.set == "salesCreditMemos" {
			e.values["pricesIncludeTax"] = !s.options.NetCustomers
		}
	case "customerId", "billToCustomerId", "currencyId", "customerReturnReasonId", "invoiceId", "billToCustomerNumber", "discountAmount":
		return refusal(codeBad, "%s: the fake does not do this yet", name)
	case "invoiceNumber":
		if s.sets["salesInvoices"].by[indexed("number", text)] == nil {
			return refusal(codeDialog, `The "invoiceId" and "invoiceNumber" do not match to a specific Invoice.`)
		}
	case "currencyCode":
		if !regexp.MustCompile(`^[A-Z]{3}$`).MatchString(text) || text == "XXX" {
			return refusal(codeDialog, `The "currencyCode" does not match to a Currency.`)
		}
	case "pricesIncludeTax":
		if v == true && s.options.SalesTax {
			return refusal(codeDialog, `The "pricesIncludeTax" cannot be set to true if VAT Calculation Type is Sales Tax.`)
		}
	case "paymentTermsId":
		if text != PaymentTermsID {
			return refusal(codeDialog, `The "paymentTermsId" does not match to a Payment Terms.`)
		}
	case "shipmentMethodId":
		if text != ShipmentMethodID {
			return refusal(codeDialog, `The "shipmentMethodId" does not match to a Shipment Method.`)
		}
	case "shipToCountry", "sellToCountry", "billToCountry":
		if text != "" && !regexp.MustCompile(`^[A-Z]{2}$`).MatchString(text) {
			return refusal("Internal_InvalidTableRelation", "The field Country/Region Code of table Sales Header contains a value (%s) that cannot be found in the related table (Country/Region).", text)
		}
	}
	e.values[name] = v
	return nil
}

// taxPercent returns by what a line of a tax code is taxed: STANDARD, REDUCED, ZERO, and VAT with any number after it.
func taxPercent(code string) (decimal.Decimal, bool) {
	rate, ok := map[string]string{"STANDARD": "19", "REDUCED": "7", "ZERO": "0"}[code]
	if !ok {
		rate, ok = strings.CutPrefix(code, "VAT")
	}
	percent, err := decimal.NewFromString(rate)
	return percent, ok && err == nil
}

// Accounts are the general ledger accounts that a line may be of.
var Accounts = []string{"8400", "8410", "8420", "8430", "8440", "8450", "8460", "8470", "8480", "8490"}

func (s *Server) setOnLine(e *entity, name string, v any) *problem {
	text, _ := v.(string)
	d, _ := v.(decimal.Decimal)
	created := e.values["complete"] == true
	switch name {
	case "lineType":
		if !slices.Contains([]string{"Comment", "Account", "Item", "Resource", "Fixed_x0020_Asset", "Charge", "Allocation_x0020_Account"}, text) {
			return refusal("Unknown", "'%s' is not an option. The existing options are: Comment,Account,Item,Resource,Fixed Asset,Charge,Allocation Account", text)
		}
	case "lineObjectNumber":
		if p := s.objectOf(e, text, created); p != nil {
			return p
		}
	case "locationId":
		if text != LocationID {
			return refusal(codeDialog, "The location cannot be found.")
		}
	case "documentId", "itemId", "accountId", "unitOfMeasureId", "itemVariantId":
		return refusal(codeBad, "%s: the fake does not do this yet", name)
	case "unitOfMeasureCode":
		if !slices.Contains([]string{"PCS", "BOX", "SET"}, text) {
			return refusal("Internal_InvalidTableRelation", "The field Unit of Measure Code of table Sales Line contains a value (%s) that cannot be found in the related table (Item Unit of Measure).", text)
		}
		delete(e.values, "unitPrice") // the unit sets the price of the item card, which is none
	case "quantity":
		if kind := e.values["lineType"]; kind == nil || kind == "Comment" {
			return refusal(codeField, "Quantity must be equal to '0' in Sales Line: Type= . Current value is '%s'.", d)
		}
		if shipped, ok := e.values["shippedQuantity"].(decimal.Decimal); ok && d.LessThan(shipped) {
			return refusal(codeField, "Quantity must not be less than the quantity shipped in Sales Line: %s", e.id)
		}
		if !created {
			e.first = d
		}
	case "taxCode":
		percent, ok := taxPercent(text)
		if !ok {
			return refusal("Internal_InvalidTableRelation", "The field VAT Prod. Posting Group of table Sales Line contains a value (%s) that cannot be found in the related table (VAT Product Posting Group).", text)
		}
		if price, ok := e.values["unitPrice"].(decimal.Decimal); ok && e.parent.values["pricesIncludeTax"] == true {
			// Of a price with tax that is there already the tax is taken out and the new one put in.
			e.values["unitPrice"] = price.Mul(hundred.Add(percent)).Div(hundred.Add(amount(e.values["taxPercent"]))).Round(s.options.UnitPricePlaces)
		}
		e.values["taxPercent"] = percent
	case "unitPrice":
		v = d.Round(s.options.UnitPricePlaces)
	case "discountAmount":
		if q, ok := e.values["quantity"].(decimal.Decimal); !ok || q.IsZero() {
			if !d.IsZero() {
				return refusal(codeField, "Quantity must have a value in Sales Line: Document Type=Order. It cannot be zero or empty.")
			}
			break
		}
		if d.IsNegative() || d.GreaterThan(s.gross(e).Abs()) {
			return refusal(codeField, "The field Line Discount %% of table Sales Line must be between 0 and 100.")
		}
		v = d.Round(s.options.AmountPlaces)
	case "shipQuantity", "invoiceQuantity":
		e.values[name] = v
		return tooMuch(e, name, d) // a change that is refused is taken back
	case "discountPercent", "shippedQuantity", "invoicedQuantity":
		return refusal(codeBad, "%s: the fake does not do this yet", name)
	}
	e.values[name] = v
	if name == "quantity" && created { // the discount keeps its percentage
		if first, ok := e.values["discountAmount"].(decimal.Decimal); ok && !e.values["grossBefore"].(decimal.Decimal).IsZero() {
			e.values["discountAmount"] = s.gross(e).Mul(first).Div(e.values["grossBefore"].(decimal.Decimal)).Round(s.options.AmountPlaces)
		}
	}
	return nil
}

// tooMuch refuses to ship or invoice more than is open.
func tooMuch(l *entity, name string, d decimal.Decimal) *problem {
	done := map[string]string{"shipQuantity": "shippedQuantity", "invoiceQuantity": "invoicedQuantity"}[name]
	if open := amount(l.values["quantity"]).Sub(amount(l.values[done])); d.IsNegative() || d.GreaterThan(open) {
		return refusal(codeDialog, "You cannot %s more than %s units.", strings.TrimSuffix(name, "Quantity"), open)
	}
	return nil
}

// objectOf refuses what a line can't be of.
func (s *Server) objectOf(l *entity, number string, created bool) *problem {
	switch kind := l.values["lineType"]; {
	case created && l.values["lineObjectNumber"] != number:
		return refusal(codeDialog, `The value for "lineObjectNumber" cannot be modified.`)
	case kind == "Item" && s.knobs.missing[number]:
		return refusal(codeDialog, "Item does not exist.")
	case kind == "Item" && s.knobs.blocked[number]:
		return refusal(codeDialog, "You cannot sell Item %s because the Sales Blocked check box is selected on the Item card.", number)
	case kind == "Account" && !slices.Contains(Accounts, number):
		return refusal(codeDialog, "Account does not exist.")
	}
	return nil
}

func (s *Server) setOnCustomer(e *entity, name string, v any) *problem {
	text, _ := v.(string)
	switch name {
	case "number":
		if s.options.NoManualNumbers {
			return refusal(codeDialog, "You may not enter numbers manually. If you want to enter numbers manually, please activate Manual Nos. in No. Series CUST.")
		}
		if c := s.customer(text); c != nil && c != e {
			return refusal(codeSameKey, "The Customer already exists. Identification fields and values: No.='%s'", text)
		}
	case "displayName":
		if text == "" {
			return refusal(codeDialog, `The blank "displayName" is not allowed.`)
		}
	case "type":
		if text != "Person" && text != "Company" {
			return refusal("Unknown", "'%s' is not an option. The existing options are: Company,Person", text)
		}
	case "blocked", "currencyId", "salespersonCode", "taxAreaId", "paymentTermsId", "paymentMethodId", "shipmentMethodId":
		return refusal(codeBad, "%s: the fake does not do this yet", name)
	}
	e.values[name] = v
	return nil
}

// complete checks what a record must have when it is inserted.
func (s *Server) complete(e *entity) *problem {
	if e.values["complete"] == true {
		return nil
	}
	switch e.set {
	case "salesOrders", "salesCreditMemos":
		if e.values["customerNumber"] == nil {
			return refusal(codeDialog, `A "customerNumber" or a "customerId" must be provided.`)
		}
		s.seq++
		prefix := map[string]string{"salesOrders": "S-ORD", "salesCreditMemos": "S-CR"}[e.set]
		e.values["number"], e.values["status"] = fmt.Sprintf("%s%06d", prefix, s.seq), "Draft"
		if e.values["currencyCode"] == nil {
			e.values["currencyCode"] = "EUR"
		}
	case "customers":
		if e.values["displayName"] == nil {
			return refusal(codeDialog, `A "displayName" must be provided.`)
		}
		if e.values["number"] == nil {
			s.seq++
			e.values["number"] = fmt.Sprintf("C%05d", s.seq)
		}
		if e.values["posting"] = "DOMESTIC"; s.options.NoTemplate {
			e.values["posting"] = ""
		}
	case "salesOrderLines", "salesCreditMemoLines":
		switch kind := e.values["lineType"]; {
		case kind == nil:
			e.values["lineType"] = "Comment"
		case kind != "Comment" && e.values["lineObjectNumber"] == nil:
			return refusal(codeDialog, "%s does not exist.", kind)
		}
		if e.values["lineType"] == "Comment" && e.values["unitPrice"] != nil {
			return refusal(codeField, "Type must not be equal to ' ' in Sales Line")
		}
	}
	e.values["complete"] = true
	return nil
}

// editable refuses a change of the lines of a document that a person has released.
func editable(document *entity) *problem {
	if document.released {
		return refusal(codeField, "Status must be equal to 'Open' in Sales Header: Document Type=Order, No.=%s. Current value is 'Released'.", document.values["number"])
	}
	return nil
}

func (s *Server) change(e *entity, r *http.Request, body []byte) (answer, *problem) {
	if p := matches(e, r); p != nil {
		return answer{}, p
	}
	if e.set == "salesInvoices" || e.set == "salesShipments" {
		return answer{}, refusal(codeReadOnly, "The record is posted.")
	}
	members, err := odata.Members(body)
	if err != nil {
		return answer{}, refusal(codeBad, "Invalid Request Body: %v", err)
	}
	posting := !slices.ContainsFunc(members, func(m odata.Member) bool { return m.Name != "shipQuantity" && m.Name != "invoiceQuantity" })
	if e.parent != nil && !posting {
		if p := editable(e.parent); p != nil {
			return answer{}, p
		}
	}
	before := make(map[string]any, len(e.values))
	for k, v := range e.values {
		before[k] = v
	}
	if p := s.apply(e, members, nil); p != nil {
		e.values = before
		return answer{}, p
	}
	e.touch()
	s.computeOf(e)
	shown, p := s.show(e, nil)
	return answer{status: http.StatusOK, body: encode(shown)}, p
}

// remove answers a DELETE. Status does not keep a document: only what was shipped and not invoiced does.
func (s *Server) remove(e *entity, r *http.Request) (answer, *problem) {
	if p := matches(e, r); p != nil {
		return answer{}, p
	}
	switch {
	case e.set == "salesInvoices" || e.set == "salesShipments":
		return answer{}, refusal(codeDialog, "You cannot delete a posted document.")
	case e.parent != nil:
		if p := editable(e.parent); p != nil {
			return answer{}, p
		}
		if shipped, ok := e.values["shippedQuantity"].(decimal.Decimal); ok && shipped.IsPositive() {
			return answer{}, refusal(codeField, "Qty. Shipped Not Invoiced must be equal to '0' in Sales Line: Document Type=Order. Current value is '%s'.", shipped)
		}
		e.deleted = true
		e.parent.lines = slices.DeleteFunc(e.parent.lines, func(l *entity) bool { return l == e })
		e.parent.touch()
		s.compute(e.parent)
	default:
		for _, l := range e.lines {
			if shipped, ok := l.values["shippedQuantity"].(decimal.Decimal); ok && shipped.GreaterThan(amount(l.values["invoicedQuantity"])) {
				return answer{}, refusal(codeField, "Qty. Shipped Not Invoiced must be equal to '0' in Sales Line: Document Type=Order, Document No.=%s. Current value is '%s'.",
					e.values["number"], shipped)
			}
		}
		e.deleted = true
	}
	return answer{status: http.StatusNoContent}, nil
}

func amount(v any) decimal.Decimal {
	d, _ := v.(decimal.Decimal)
	return d
}
