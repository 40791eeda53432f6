package fakebusinesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// knobs are what the ERP and its people do besides.
type knobs struct {
	throttled, unavailable, locked, conflicts int
	retryAfter                                string
	lockStatus                                int
	missing, blocked                          map[string]bool
	stale                                     time.Duration
	staleAlways                               bool
	commitAfter                               time.Duration
}

func (s *Server) turn(f func(k *knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.knobs)
}

// Throttle answers the next n calls with 429, with Retry-After unless it is empty.
func (s *Server) Throttle(n int, retryAfter string) {
	s.turn(func(k *knobs) { k.throttled, k.retryAfter = n, retryAfter })
}

// Unavailable answers the next n calls with 503 in plain text.
func (s *Server) Unavailable(n int) { s.turn(func(k *knobs) { k.unavailable = n }) }

// Lock makes the next n calls that write find a record locked, which is 400 or 409.
func (s *Server) Lock(n, status int) { s.turn(func(k *knobs) { k.locked, k.lockStatus = n, status }) }

// Conflict makes the next n calls that write fail with a 409 that is no stale record.
func (s *Server) Conflict(n int) { s.turn(func(k *knobs) { k.conflicts = n }) }

// SetMissing says which items the company does not have, and SetBlocked which can't be sold.
func (s *Server) SetMissing(items ...string) {
	s.turn(func(k *knobs) { k.missing = setOf(items) })
}

// SetBlocked says which items can't be sold.
func (s *Server) SetBlocked(items ...string) {
	s.turn(func(k *knobs) { k.blocked = setOf(items) })
}

func setOf(all []string) map[string]bool {
	set := map[string]bool{}
	for _, one := range all {
		set[one] = true
	}
	return set
}

// SetStale hides from reads what is younger than d: from those that do not ask for the primary database or, with always, from
// all, as where an administrator has set the page so.
func (s *Server) SetStale(d time.Duration, always bool) {
	s.turn(func(k *knobs) { k.stale, k.staleAlways = d, always })
}

// SetCommitAfter has each POST take that long, though its client may have given up.
func (s *Server) SetCommitAfter(d time.Duration) { s.turn(func(k *knobs) { k.commitAfter = d }) }

// AddCustomer adds a customer as a person does.
func (s *Server) AddCustomer(number, name, email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.newEntity("customers", nil)
	c.values = map[string]any{"number": number, "displayName": name, "email": email, "posting": "DOMESTIC", "complete": true}
	s.add(c)
}

// BlockCustomer lets no documents be made for a customer.
func (s *Server) BlockCustomer(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.customer(number).values["blocked"] = "All"
}

// Book adds an order that nobody has sent, as a person does, and returns its number.
func (s *Server) Book(reference string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, p := s.create("salesOrders", nil, encode(map[string]string{"externalDocumentNumber": reference, "customerNumber": "10000"}))
	if p != nil {
		panic("fakebusinesscentral: " + p.text)
	}
	var made struct{ Number string }
	_ = json.Unmarshal(a.body, &made)
	return made.Number
}

// order returns the order with a number. It needs mu.
func (s *Server) order(number string) *entity {
	for _, e := range s.sets["salesOrders"].by[indexed("number", number)] {
		return e
	}
	panic("fakebusinesscentral: there is no order " + number)
}

// Release releases an order as a person does: its lines can't be changed any more.
func (s *Server) Release(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.order(number)
	e.released, e.values["status"] = true, "Open"
	e.touch()
}

// Ship ships quantity of each line of an order, without an invoice.
func (s *Server) Ship(number string, quantity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.order(number)
	for _, l := range e.lines {
		l.values["shippedQuantity"] = decimal.Min(decimal.NewFromInt(quantity), amount(l.values["quantity"]))
		l.touch()
	}
	e.touch()
}

// Post ships and invoices the whole of an order: it is gone, and there are an invoice and a shipment.
func (s *Server) Post(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.post(s.order(number))
}

// Delete deletes an order as a person does.
func (s *Server) Delete(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(number).deleted = true
}

// Relabel takes an order's lines for other items without our references, as a person does who has entered them anew.
func (s *Server) Relabel(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.order(number).lines {
		l.values["description2"], l.values["lineObjectNumber"] = "", "X"
	}
}

// Edit changes a line's quantity as a person does, which makes what others have read stale.
func (s *Server) Edit(number string, line int, quantity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.order(number)
	e.lines[line].values["quantity"] = decimal.NewFromInt(quantity)
	e.lines[line].touch()
	e.touch()
	s.compute(e)
}

// shipAndInvoice posts of each line what is to be shipped and invoiced, which is all that is open unless it was set. An order
// of which nothing is left is gone. It needs mu.
func (s *Server) shipAndInvoice(e *entity) (answer, *problem) {
	posted, left := decimal.Zero, decimal.Zero
	for _, l := range e.lines {
		for _, part := range []struct{ now, done string }{{"shipQuantity", "shippedQuantity"}, {"invoiceQuantity", "invoicedQuantity"}} {
			quantity, set := l.values[part.now].(decimal.Decimal)
			if !set {
				quantity = amount(l.values["quantity"]).Sub(amount(l.values[part.done]))
			}
			l.values[part.done] = amount(l.values[part.done]).Add(quantity)
			delete(l.values, part.now)
			posted = posted.Add(quantity)
		}
		left = left.Add(amount(l.values["quantity"]).Sub(amount(l.values["invoicedQuantity"])))
	}
	if posted.IsZero() {
		return answer{}, refusal(codeDialog, "There is nothing to post because the document does not contain a quantity or amount.")
	}
	e.touch()
	s.post(e)
	e.deleted = left.IsZero()
	return answer{status: http.StatusNoContent}, nil
}

// post needs mu.
func (s *Server) post(e *entity) {
	for set, prefix := range map[string]string{"salesInvoices": "PS-INV", "salesShipments": "PS-SHPT"} {
		posted := s.newEntity(set, nil)
		for name, v := range e.values {
			if _, ok := schema[set][name]; ok {
				posted.values[name] = v
			}
		}
		s.seq++
		posted.values["number"], posted.values["orderNumber"] = fmt.Sprintf("%s%06d", prefix, s.seq), e.values["number"]
		s.add(posted)
	}
	e.deleted = true
}

func (s *Server) postMemo(e *entity, r *http.Request) (answer, *problem) {
	if p := matches(e, r); p != nil {
		return answer{}, p
	}
	if e.values["status"] != "Draft" {
		return answer{}, refusal(codeDialog, "The action can be applied to a draft credit memo only.")
	}
	e.values["status"] = "Open"
	e.touch()
	return answer{status: http.StatusNoContent}, nil
}

// Document is an order or credit memo as the company has it.
type Document struct {
	Number, Reference string
	Deleted           bool
	BookedAt          time.Time
	Values            map[string]any
	Lines             []Line
	// Total is the company's own sum, tax included.
	Total decimal.Decimal
}

// Line is a line of a document.
type Line struct {
	Type, Object, Description, Reference string
	Quantity, First                      decimal.Decimal // now, and when it came
	Shipped, Invoiced                    decimal.Decimal
	Price, Discount, Total               decimal.Decimal
	TaxCode                              string
	Deleted                              bool
}

// Orders returns the orders with an external reference, deleted and posted ones too.
func (s *Server) Orders(reference string) []Document { return s.documents("salesOrders", reference) }

// Shipments returns how many shipments of the order with a number are posted.
func (s *Server) Shipments(number string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sets["salesShipments"].by[indexed("orderNumber", number)])
}

// CreditMemos returns the credit memos with an external reference.
func (s *Server) CreditMemos(reference string) []Document {
	return s.documents("salesCreditMemos", reference)
}

func (s *Server) documents(set, reference string) []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Document
	for _, e := range s.sets[set].by[indexed("externalDocumentNumber", strings.ToUpper(strings.TrimSpace(reference)))] {
		found = append(found, documentOf(e))
	}
	return found
}

// Counts returns the number of orders for each external reference, those not deleted.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, e := range s.sets["salesOrders"].all {
		if !e.deleted {
			counts[fmt.Sprint(e.values["externalDocumentNumber"])]++
		}
	}
	return counts
}

// Customer returns the values of a customer; nil where there is none.
func (s *Server) Customer(number string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.customer(number)
	if c == nil {
		return nil
	}
	values := map[string]any{}
	for k, v := range c.values {
		values[k] = v
	}
	return values
}

func documentOf(e *entity) Document {
	d := Document{
		Number: text(e, "number"), Reference: text(e, "externalDocumentNumber"), Deleted: e.deleted, BookedAt: e.booked,
		Values: map[string]any{}, Total: amount(e.values["totalAmountIncludingTax"]),
	}
	for k, v := range e.values {
		d.Values[k] = v
	}
	for _, l := range e.lines {
		d.Lines = append(d.Lines, Line{
			Type: text(l, "lineType"), Object: text(l, "lineObjectNumber"), Description: text(l, "description"), Reference: text(l, "description2"),
			Quantity: amount(l.values["quantity"]), First: l.first, Shipped: amount(l.values["shippedQuantity"]), Invoiced: amount(l.values["invoicedQuantity"]),
			Price: amount(l.values["unitPrice"]), Discount: amount(l.values["discountAmount"]),
			Total: amount(l.values["amountIncludingTax"]), TaxCode: text(l, "taxCode"), Deleted: l.deleted,
		})
	}
	return d
}

func text(e *entity, name string) string {
	s, _ := e.values[name].(string)
	return s
}
