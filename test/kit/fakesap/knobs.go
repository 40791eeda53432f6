package fakesap

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Reading is one of several ways in which a real system may take something.
type Reading int

// The readings. Of nested sets that the metadata calls not insertable: Accepted, Refused or Ignored. Of the codes of partner
// functions: Internal, External or Both.
const (
	Accepted Reading = iota
	Refused
	Ignored
	Internal
	External
	Both
)

type knobs struct {
	addressInsert, creditPriceInsert, partnerCodes Reading
	ifMatchLenient, itemIfMatch, actionIfMatch     bool
	ifMatchMissing                                 int
	csrfBody                                       string
	sessionCalls                                   int
	sessionTTL, tokenTTL, booking, lag             time.Duration
	badLogons                                      int
	lockTries                                      int
	lockCode, lockText                             string
	sapMessage, blocked, taxOff                    string
	gross, taxByDocument, readOnlyIgnored          bool
	leadingZeros, deferred, deleteWithFollowers    bool
	rateDecimals                                   int32
	missing                                        map[string]bool
	identificationTypes                            []string
	limit, limitStatus                             int
	limitAfter                                     string
}

func defaultKnobs() knobs {
	return knobs{partnerCodes: Internal, ifMatchMissing: http.StatusPreconditionRequired, rateDecimals: 9, missing: map[string]bool{}, identificationTypes: []string{"ZSHOP"}}
}

// set changes a knob.
func (s *Server) set(change func(k *knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.knobs)
}

// SetAddressInsert says what becomes of an address in the create of an order.
func (s *Server) SetAddressInsert(r Reading) { s.set(func(k *knobs) { k.addressInsert = r }) }

// SetCreditPriceInsert says what becomes of a price in the create of a credit memo request.
func (s *Server) SetCreditPriceInsert(r Reading) { s.set(func(k *knobs) { k.creditPriceInsert = r }) }

// SetPartnerCodes says which codes of partner functions are taken.
func (s *Server) SetPartnerCodes(r Reading) { s.set(func(k *knobs) { k.partnerCodes = r }) }

// SetIfMatch says where If-Match is asked for, and with what status it is.
func (s *Server) SetIfMatch(documents, items, actions bool, missing int) {
	s.set(func(k *knobs) {
		k.ifMatchLenient, k.itemIfMatch, k.actionIfMatch, k.ifMatchMissing = !documents, items, actions, missing
	})
}

// SetCSRFBody says how a refusal for the want of a token is worded: text, xml or json.
func (s *Server) SetCSRFBody(form string) { s.set(func(k *knobs) { k.csrfBody = form }) }

// SetSessions ends a session after so many calls and so much time; 0 never does.
func (s *Server) SetSessions(calls int, ttl time.Duration) {
	s.set(func(k *knobs) { k.sessionCalls, k.sessionTTL = calls, ttl })
}

// EndSessions ends all sessions that there are.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// SetTokenTTL says how long new tokens of OAuth last; 0 is an hour.
func (s *Server) SetTokenTTL(d time.Duration) { s.set(func(k *knobs) { k.tokenTTL = d }) }

// EndTokens ends all tokens of OAuth that there are.
func (s *Server) EndTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// RefuseLogons refuses the next n calls as if the log-on were wrong.
func (s *Server) RefuseLogons(n int) { s.set(func(k *knobs) { k.badLogons = n }) }

// SetBookingTime makes each change happen that long after its call came, though the client may have given up.
func (s *Server) SetBookingTime(d time.Duration) { s.set(func(k *knobs) { k.booking = d }) }

// SetLocked refuses the next n changes because somebody works on the document. Empty: the usual code and text, in which %s
// is the document.
func (s *Server) SetLocked(n int, code, text string) {
	s.set(func(k *knobs) { k.lockTries, k.lockCode, k.lockText = n, code, text })
}

// SetMessage is the header sap-message of each create; empty for none.
func (s *Server) SetMessage(text string) { s.set(func(k *knobs) { k.sapMessage = text }) }

// SetBlocked books new orders with a block: credit, delivery, billing, or none.
func (s *Server) SetBlocked(why string) { s.set(func(k *knobs) { k.blocked = why }) }

// SetPriceIs says whether the manual price is gross, and how many places a rate keeps.
func (s *Server) SetPriceIs(gross bool, places int32) {
	s.set(func(k *knobs) { k.gross, k.rateDecimals = gross, places })
}

// SetTax says how the tax is rounded: once for the document, or by item, with one cent more on the item called off.
func (s *Server) SetTax(byDocument bool, off string) {
	s.set(func(k *knobs) { k.taxByDocument, k.taxOff = byDocument, off })
}

// SetReadOnlyIgnored takes bodies with properties that are read-only, and ignores these.
func (s *Server) SetReadOnlyIgnored(on bool) { s.set(func(k *knobs) { k.readOnlyIgnored = on }) }

// SetAnswers says how documents are answered: numbers with leading zeros, nested sets as links only.
func (s *Server) SetAnswers(leadingZeros, deferred bool) {
	s.set(func(k *knobs) { k.leadingZeros, k.deferred = leadingZeros, deferred })
}

// SetMissing sets the materials and accounts that there are not.
func (s *Server) SetMissing(names ...string) {
	s.set(func(k *knobs) {
		k.missing = map[string]bool{}
		for _, n := range names {
			k.missing[n] = true
		}
	})
}

// SetIdentificationTypes sets the types of identification numbers that are customised.
func (s *Server) SetIdentificationTypes(types ...string) {
	s.set(func(k *knobs) { k.identificationTypes = types })
}

// SetLimit refuses calls over n at once with a status and, unless it is empty, a Retry-After; 0 ends that.
func (s *Server) SetLimit(n, status int, retryAfter string) {
	s.set(func(k *knobs) { k.limit, k.limitStatus, k.limitAfter = n, status, retryAfter })
}

// SetLag hides orders from look-ups that are younger than d.
func (s *Server) SetLag(d time.Duration) { s.set(func(k *knobs) { k.lag = d }) }

// SetClock sets the system's clock off by d.
func (s *Server) SetClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = d
}

// hidden reports whether a look-up does not see a row yet. It needs mu.
func (s *Server) hidden(one *row) bool {
	if s.knobs.lag == 0 || one.set.name != "A_SalesOrder" {
		return false
	}
	created := condition{name: "LastChangeDateTime", op: "gt", at: s.now().Add(-s.knobs.lag), isTime: true}
	return created.holds(one)
}

// Document is a sales order in the books.
type Document struct {
	Number, Reference, SoldTo, Currency string
	// Net and Tax are the system's own arithmetic, Gross their sum.
	Net, Tax, Gross decimal.Decimal
	Canceled        bool // every item is rejected
	Items           []Item
	Header          map[string]any
	// Addresses are those of the partner functions, by their internal codes.
	Addresses map[string]map[string]any
	Texts     []string
	Prices    []Price // of the header
}

// Item is one item of a document.
type Item struct {
	Number, Reference, Material, Category string
	Ordered, Quantity, Net, Tax           decimal.Decimal
	Rejected                              string
	Props                                 map[string]any
	Prices                                []Price
}

// Price is a condition of a document or an item.
type Price struct {
	Type                   string
	Rate, Quantity, Amount decimal.Decimal
}

// Taken returns how much of the item was cancelled.
func (i Item) Taken() decimal.Decimal {
	if i.Rejected != "" {
		return i.Ordered
	}
	return i.Ordered.Sub(i.Quantity)
}

// Documents returns all sales orders, oldest first.
func (s *Server) Documents() []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Document, 0, len(s.orders))
	for _, o := range s.orders {
		all = append(all, s.document(o))
	}
	return all
}

// DocumentsOf returns the sales orders with a reference.
func (s *Server) DocumentsOf(reference string) []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Document
	for _, o := range s.byRef[reference] {
		all = append(all, s.document(o))
	}
	return all
}

// Counts returns the number of sales orders for each reference.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for ref, orders := range s.byRef {
		if len(orders) > 0 {
			counts[ref] = len(orders)
		}
	}
	return counts
}

func (s *Server) prices(of *row, set string) []Price {
	var all []Price
	for _, e := range s.related(of, schema[set]) {
		all = append(all, Price{
			Type: e.text("ConditionType"), Rate: number(e.props["ConditionRateValue"]), Quantity: number(e.props["ConditionQuantity"]),
			Amount: number(e.props["ConditionAmount"]),
		})
	}
	return all
}

func (s *Server) document(o *row) Document {
	d := Document{
		Number: o.text("SalesOrder"), Reference: o.text("PurchaseOrderByCustomer"), SoldTo: o.text("SoldToParty"), Currency: o.text("TransactionCurrency"),
		Net: number(o.props["TotalNetAmount"]), Header: maps.Clone(o.props), Addresses: map[string]map[string]any{},
		Prices: s.prices(o, "A_SalesOrderHeaderPrElement"), Canceled: o.text("OverallSDDocumentRejectionSts") == "C",
	}
	for _, i := range s.related(o, schema["A_SalesOrderItem"]) {
		item := Item{
			Number: i.text("SalesOrderItem"), Reference: i.text("PurchaseOrderByCustomer"), Material: i.text("Material"),
			Ordered: number(i.props["ordered"]), Quantity: number(i.props["RequestedQuantity"]), Net: number(i.props["NetAmount"]),
			Tax: number(i.props["TaxAmount"]), Rejected: i.text("SalesDocumentRjcnReason"), Props: maps.Clone(i.props),
			Prices: s.prices(i, "A_SalesOrderItemPrElement"),
		}
		if item.Rejected == "" {
			d.Tax = d.Tax.Add(item.Tax)
		}
		d.Items = append(d.Items, item)
	}
	d.Gross = d.Net.Add(d.Tax)
	for _, a := range s.related(o, schema["A_SalesOrderPartnerAddress"]) {
		d.Addresses[a.text("PartnerFunction")] = maps.Clone(a.props)
	}
	for _, t := range s.related(o, schema["A_SalesOrderText"]) {
		d.Texts = append(d.Texts, t.text("LongText"))
	}
	return d
}

// Credit is a credit memo request in the books.
type Credit struct {
	Number, Reference, Order string
	Net, Tax                 decimal.Decimal
	Items                    []map[string]any
	Header                   map[string]any
}

// CreditsOf returns the credit memo requests with a reference.
func (s *Server) CreditsOf(reference string) []Credit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Credit
	for _, key := range slices.Sorted(maps.Keys(s.rows["A_CreditMemoRequest"])) {
		for _, m := range s.rows["A_CreditMemoRequest"][key] {
			if m.text("PurchaseOrderByCustomer") != reference {
				continue
			}
			c := Credit{
				Number: m.text("CreditMemoRequest"), Reference: reference, Order: m.text("ReferenceSDDocument"),
				Net: number(m.props["TotalNetAmount"]), Header: maps.Clone(m.props),
			}
			for _, i := range s.related(m, schema["A_CreditMemoRequestItem"]) {
				c.Items = append(c.Items, maps.Clone(i.props))
				c.Tax = c.Tax.Add(number(i.props["tax"]))
			}
			all = append(all, c)
		}
	}
	return all
}

// Delivery is an outbound delivery in the books.
type Delivery struct {
	Number string
	Header map[string]any
	Posted bool
	// Items are the delivered quantities by the order's item.
	Items map[string]decimal.Decimal
}

// DeliveriesOf returns the deliveries of a sales order.
func (s *Server) DeliveriesOf(order string) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Delivery
	for _, key := range slices.Sorted(maps.Keys(s.rows["A_OutbDeliveryHeader"])) {
		for _, h := range s.rows["A_OutbDeliveryHeader"][key] {
			d := Delivery{Number: h.text("DeliveryDocument"), Header: maps.Clone(h.props), Posted: h.text("OverallGoodsMovementStatus") == "C", Items: map[string]decimal.Decimal{}}
			of := false
			for _, i := range s.related(h, schema["A_OutbDeliveryItem"]) {
				of = of || keyed(i.text("ReferenceSDDocument")) == keyed(order)
				d.Items[i.text("ReferenceSDDocumentItem")] = number(i.props["ActualDeliveryQuantity"])
			}
			if of {
				all = append(all, d)
			}
		}
	}
	return all
}

// Partner is a business partner in the books.
type Partner struct {
	Number, Customer string
	Props            map[string]any
	// IDs are its identification numbers by their types.
	IDs map[string]string
}

// Partners returns all business partners.
func (s *Server) Partners() []Partner {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Partner
	for _, key := range slices.Sorted(maps.Keys(s.rows["A_BusinessPartner"])) {
		for _, p := range s.rows["A_BusinessPartner"][key] {
			one := Partner{Number: p.text("BusinessPartner"), Customer: p.text("Customer"), Props: maps.Clone(p.props), IDs: map[string]string{}}
			for _, id := range s.related(p, schema["A_BuPaIdentification"]) {
				one.IDs[id.text("BPIdentificationType")] = id.text("BPIdentificationNumber")
			}
			all = append(all, one)
		}
	}
	return all
}

// AddPartner enters a customer by hand, and returns its number. terms are its terms of payment.
func (s *Server) AddPartner(email, terms string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, address := s.next("A_BusinessPartner"), s.next("Address")
	s.add(schema["A_BusinessPartner"], map[string]any{"BusinessPartner": number, "Customer": number, "BusinessPartnerCategory": "1"})
	s.add(schema["A_Customer"], map[string]any{"Customer": number})
	s.add(schema["A_CustomerSalesArea"], map[string]any{
		"Customer": number, "SalesOrganization": "1010", "DistributionChannel": "10", "Division": "00", "CustomerPaymentTerms": terms,
	})
	s.add(schema["A_BusinessPartnerAddress"], map[string]any{"BusinessPartner": number, "AddressID": address})
	s.addMail(address, map[string]any{"EmailAddress": email})
	return number
}

// Book enters a sales order by hand, with one item, and returns its number.
func (s *Server) Book(reference string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &node{set: schema["A_SalesOrder"], nested: map[string][]*node{}, props: map[string]any{
		"SalesOrderType": "OR", "PurchaseOrderByCustomer": reference, "TransactionCurrency": "EUR", "SalesOrder": s.next("A_SalesOrder"),
		"LastChangeDateTime": instant(s.now()), "CreationDate": date(s.now()),
	}}
	n.nested["to_Item"] = []*node{{set: schema["A_SalesOrderItem"], nested: map[string][]*node{}, props: map[string]any{
		"Material": "BY-HAND", "RequestedQuantity": "1",
	}}}
	order := s.add(n.set, n.props)
	s.orders = append(s.orders, order)
	s.byRef[reference] = append(s.byRef[reference], order)
	s.addNested(order, n)
	s.price(order)
	return order.text("SalesOrder")
}

// Approve has an order approved: it can't be changed any more.
func (s *Server) Approve(number string) { s.edit(number, func(o *row) { o.props["approved"] = true }) }

// Edit changes the quantity of an item, as a person does.
func (s *Server) Edit(number, item, quantity string) {
	s.edit(number, func(o *row) {
		for _, i := range s.related(o, schema["A_SalesOrderItem"]) {
			if i.text("SalesOrderItem") == item {
				i.props["RequestedQuantity"] = quantity
			}
		}
		s.price(o)
	})
}

// Delete removes an order, as a person does.
func (s *Server) Delete(number string) { s.edit(number, s.forget) }

func (s *Server) edit(number string, change func(o *row)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.orderOf(number); o != nil {
		s.touch(o)
		change(o)
	}
}

// Requests returns all calls, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Problems returns what was wrong with calls by the schema and the protocol, and how often.
func (s *Server) Problems() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.problems)
}

// Refusals returns what was refused, and how often.
func (s *Server) Refusals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// Changes returns what was changed by calls, as "PATCH A_SalesOrderItem", and how often.
func (s *Server) Changes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.writes)
}

// ErrorBody is an error in the system's form.
func ErrorBody(message string) string { return string(errorBody("V1/382", strings.TrimSpace(message))) }
