package fakenetsuite

import (
	"maps"
	"time"

	"github.com/shopspring/decimal"
)

// knobs are what the account and its people do besides.
type knobs struct {
	throttled, unavailable, forbidden, noRole, changed, workflow int
	changedStatus                                                int
	throttleAsLogin, closedPeriod                                bool
	retryAfter, duplicateAs, twice                               string
	missing                                                      map[string]bool
	commitAfter                                                  time.Duration
}

func (s *Server) turn(f func(k *knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.knobs)
}

// Throttle answers the next n calls as if too many were running, with Retry-After unless it is empty.
func (s *Server) Throttle(n int, retryAfter string) {
	s.turn(func(k *knobs) { k.throttled, k.retryAfter = n, retryAfter })
}

// SetThrottleAsLogin has the limit of calls told as a wrong login.
func (s *Server) SetThrottleAsLogin(on bool) { s.turn(func(k *knobs) { k.throttleAsLogin = on }) }

// Unavailable answers the next n calls with 503 in plain text.
func (s *Server) Unavailable(n int) { s.turn(func(k *knobs) { k.unavailable = n }) }

// Forbid refuses the next n calls that write, by 403, or as 400 with inWords.
func (s *Server) Forbid(n int, inWords bool) {
	s.turn(func(k *knobs) {
		if inWords {
			k.noRole = n
		} else {
			k.forbidden = n
		}
	})
}

// Changed has the next n calls that write find that somebody has changed the record meanwhile, which is 400 or 409.
func (s *Server) Changed(n, status int) {
	s.turn(func(k *knobs) { k.changed, k.changedStatus = n, status })
}

// LockByWorkflow has the next n calls that write find the record locked by a workflow.
func (s *Server) LockByWorkflow(n int) { s.turn(func(k *knobs) { k.workflow = n }) }

// ClosePeriod has what posts refused: fulfilments and credit memos.
func (s *Server) ClosePeriod(on bool) { s.turn(func(k *knobs) { k.closedPeriod = on }) }

// SetDuplicateAs is the code with which a second record is refused; "" is USER_ERROR with its usual words.
func (s *Server) SetDuplicateAs(code string) { s.turn(func(k *knobs) { k.duplicateAs = code }) }

// SetMissing says which items the account does not have.
func (s *Server) SetMissing(items ...string) {
	s.turn(func(k *knobs) {
		k.missing = map[string]bool{}
		for _, one := range items {
			k.missing[one] = true
		}
	})
}

// SetTwice says which item there are two of.
func (s *Server) SetTwice(item string) { s.turn(func(k *knobs) { k.twice = item }) }

// SetCommitAfter has each POST take that long, though its client may have given up.
func (s *Server) SetCommitAfter(d time.Duration) { s.turn(func(k *knobs) { k.commitAfter = d }) }

// Item returns the internal id of an item. One whose number begins with ACCOUNT- is a charge, which is never fulfilled.
func (s *Server) Item(number string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.item(number)
}

// AddCustomer adds a customer as a person does, and returns its id.
func (s *Server) AddCustomer(name, email, terms string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	c := s.person(decimal.NewFromInt(int64(s.seq)).String(), name, email)
	c.more = map[string][]map[string]any{}
	if terms != "" {
		c.values["terms"] = map[string]any{"id": terms}
	}
	return c.id
}

// Book adds an order that nobody has sent, as a person does, and returns its number.
func (s *Server) Book(reference string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	o := &record{
		kind: "salesOrder", id: decimal.NewFromInt(int64(s.seq)).String(), reference: reference, booked: time.Now(),
		values: map[string]any{
			"entity": map[string]any{"id": DemoID}, "item": []map[string]any{{"item": map[string]any{"id": s.item("24-MB01")}, "price": map[string]any{"id": "-1"}, "amount": decimal.NewFromInt(1)}},
		},
	}
	if p := s.newDocument(o); p != nil {
		panic("fakenetsuite: " + p.text)
	}
	s.add(o)
	return text(o.values["tranId"])
}

// order returns the order with a number. It needs mu.
func (s *Server) order(number string) *record {
	for _, o := range s.tables["salesOrder"].byNumber[number] {
		return o
	}
	panic("fakenetsuite: there is no order " + number)
}

// Delete deletes an order as a person does.
func (s *Server) Delete(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(number).deleted = true
}

// Edit changes a line's quantity as a person does.
func (s *Server) Edit(number string, line int, quantity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(number).lines[line]["quantity"] = decimal.NewFromInt(quantity)
}

// Fulfil ships quantity of each line of goods of an order, as a person does.
func (s *Server) Fulfil(number string, quantity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.order(number)
	for _, l := range o.lines {
		if s.ships(l) {
			l["quantityFulfilled"] = decimal.Min(decimal.NewFromInt(quantity), amount(l["quantity"]))
		}
	}
	s.settle(o)
}

// Document is an order, fulfilment or credit memo as the account has it.
type Document struct {
	ID, Number, Reference, Status, Entity string
	Deleted                               bool
	BookedAt                              time.Time
	Values                                map[string]any
	Lines                                 []Line
	Packages                              []map[string]any
	// Total is the account's own sum, tax included.
	Total decimal.Decimal
}

// Line is a line of a document.
type Line struct {
	Number, Item, Description, Reference string
	Quantity, First                      decimal.Decimal // now, and when it came
	Fulfilled, Amount, Tax               decimal.Decimal
	Closed                               bool
	Values                               map[string]any
}

// Orders returns the orders with an external reference, deleted ones too.
func (s *Server) Orders(reference string) []Document { return s.documents("salesOrder", reference) }

// Fulfilments returns the item fulfilments with an external reference.
func (s *Server) Fulfilments(reference string) []Document {
	return s.documents("itemFulfillment", reference)
}

// FulfilmentsOf counts the item fulfilments of the order with a number.
func (s *Server) FulfilmentsOf(number string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.tables["itemFulfillment"].all {
		if text(f.order.values["tranId"]) == number {
			n++
		}
	}
	return n
}

// CreditMemos returns the credit memos with an external reference.
func (s *Server) CreditMemos(reference string) []Document {
	return s.documents("creditMemo", reference)
}

// AllCreditMemos returns every credit memo.
func (s *Server) AllCreditMemos() []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Document
	for _, m := range s.tables["creditMemo"].all {
		found = append(found, s.documentOf(m))
	}
	return found
}

func (s *Server) documents(kind, reference string) []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Document
	if r := s.tables[kind].byReference[reference]; r != nil {
		found = append(found, s.documentOf(r))
	}
	return found
}

// Counts returns the number of orders for each external reference, those not deleted.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, o := range s.tables["salesOrder"].all {
		if !o.deleted {
			counts[o.reference]++
		}
	}
	return counts
}

// Customer is a customer as the account has it.
type Customer struct {
	ID, Reference string
	Values        map[string]any
	Addresses     []map[string]any
}

// Customers returns the customers, but for those that the account has from the beginning.
func (s *Server) Customers() []Customer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Customer
	for _, c := range s.tables["customer"].all {
		if c.id != GuestsID && c.id != DemoID {
			all = append(all, Customer{c.id, c.reference, maps.Clone(c.values), c.more["addressBook"]})
		}
	}
	return all
}

func (s *Server) documentOf(r *record) Document {
	d := Document{
		ID: r.id, Number: text(r.values["tranId"]), Reference: r.reference, Status: ref(r.values["status"]), Entity: ref(r.values["entity"]),
		Deleted: r.deleted, BookedAt: r.booked, Values: maps.Clone(r.values), Total: amount(r.values["total"]), Packages: r.more["package"],
	}
	taxes := map[string]decimal.Decimal{}
	for _, t := range r.taxes {
		taxes[ref(t["taxDetailsReference"])] = amount(t["taxAmount"])
	}
	for i, l := range r.lines {
		one := Line{
			Number: amount(l["line"]).String(), Item: s.numbers[ref(l["item"])], Description: text(l["description"]), Reference: text(l["taxDetailsReference"]),
			Quantity: amount(l["quantity"]), Fulfilled: amount(l["quantityFulfilled"]), Amount: amount(l["amount"]),
			Tax: taxes[text(l["taxDetailsReference"])], Closed: l["isClosed"] == true, Values: maps.Clone(l),
		}
		if r.kind == "itemFulfillment" {
			one.Number = amount(l["orderLine"]).String()
		} else {
			one.First = r.first[i]
		}
		d.Lines = append(d.Lines, one)
	}
	return d
}
