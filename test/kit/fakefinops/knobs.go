package fakefinops

import (
	"fmt"
	"maps"
	"strings"

	"github.com/shopspring/decimal"
)

// Throttle answers the next n calls with 429, with Retry-After unless it is empty.
func (s *Server) Throttle(n int, retryAfter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.throttle, s.after = n, retryAfter
}

// Conflict makes the next n calls that write meet another process that writes the same record.
func (s *Server) Conflict(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conflict = n
}

// SetMissing says which items the company does not have.
func (s *Server) SetMissing(items ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = map[string]bool{}
	for _, item := range items {
		s.missing[item] = true
	}
}

// Book adds an order that nobody has sent, as a person does, and returns its number.
func (s *Server) Book(reference string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, p := s.createHeader(map[string]any{
		"dataAreaId": Company, "CustomersOrderReference": reference, "OrderingCustomerAccountNumber": "GUESTS", "InvoiceCustomerAccountNumber": "GUESTS",
	})
	if p != nil {
		panic("fakefinops: " + p.text)
	}
	return text(s.orders[len(s.orders)-1].values, "SalesOrderNumber")
}

// Confirm confirms an order, as a person does: it can't be deleted and its lines can't be changed any more.
func (s *Server) Confirm(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byNumber[number].values["SalesOrderProcessingStatus"] = "Confirmed"
}

// Document is an order as the company has it.
type Document struct {
	Number  string
	Deleted bool
	Values  map[string]any
	Lines   []Line
	// Total is the company's own sum.
	Total decimal.Decimal
}

// Line is a line of an order.
type Line struct {
	Item, Reference         string
	Quantity, First, Amount decimal.Decimal
	DeliverNow              decimal.Decimal
	Deleted                 bool
}

// Orders returns the orders with a reference, deleted ones too.
func (s *Server) Orders(reference string) []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Document
	for _, o := range s.byRef[reference] {
		d := Document{Number: text(o.values, "SalesOrderNumber"), Deleted: o.deleted, Values: maps.Clone(o.values), Total: amount(o.values["OrderTotalAmount"])}
		for _, l := range o.lines {
			d.Lines = append(d.Lines, Line{
				Item: text(l.values, "ItemNumber"), Reference: text(l.values, "ExternalItemNumber"), Quantity: amount(l.values["OrderedSalesQuantity"]),
				DeliverNow: amount(l.values["SalesDeliverNow"]),
				First:      l.first, Amount: amount(l.values["LineAmount"]), Deleted: l.gone,
			})
		}
		found = append(found, d)
	}
	return found
}

// Counts returns the number of orders for each reference, those not deleted.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, o := range s.orders {
		if !o.deleted {
			counts[fmt.Sprint(o.values["CustomersOrderReference"])]++
		}
	}
	return counts
}

// Customer returns the values of a customer; nil where there is none.
func (s *Server) Customer(account string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.customer[account])
}

// Refusals returns what was refused, and how often.
func (s *Server) Refusals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// Problems returns what was wrong with calls by the rules of OData, and how often: what no client may do.
func (s *Server) Problems() map[string]int {
	problems := map[string]int{}
	for text, n := range s.Refusals() {
		for _, part := range []string{"does not exist on type", "Cannot convert the literal", "A blank is %20", "If-Match is missing", "can't be read"} {
			if strings.Contains(text, part) {
				problems[text] = n
			}
		}
	}
	return problems
}

// Requests returns the number of calls, but for tokens.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}
