package fakemagento

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Placing says what order is placed. The zero value is a guest's paid order of one product.
type Placing struct {
	// IncrementID is the order's number; empty: the next of its store.
	IncrementID string
	StoreID     int    // 0 is the first store
	State       string // empty: processing
	Status      string // empty: the first of the state
	Method      string // of payment; empty: checkmo
	CustomerID  int    // 0 is a guest
	Lines       []Line // none: one
	Virtual     bool   // nothing to ship: no shipping address, no shipping costs
	CreatedAt   time.Time
	// VisibleAfter is how long the order's transaction stays open: until then the API does not know it.
	VisibleAfter time.Duration
}

// Line is one product of an order. Money is in the order's currency, tax excluded.
type Line struct {
	SKU, Name  string
	Qty        int64
	Price      decimal.Decimal
	TaxPercent decimal.Decimal
	Discount   decimal.Decimal // of the row, taken off before tax
	// Type is the product's: empty is simple. A configurable product has its variant as its only component, whose SKU
	// Magento shows on both rows; a bundle has what it consists of. The components' Qty is for one of the composite.
	Type       string
	Components []Line
	// ShipSeparately is how a bundle is shipped: its components one by one. The API does not show it.
	ShipSeparately bool
}

// Placed names an order: its number, and what it has in the API's paths.
type Placed struct {
	EntityID    int
	IncrementID string
}

// Comment is an entry of an order's history.
type Comment struct {
	Text, Status             string
	Notified, VisibleOnFront bool
	CreatedAt                time.Time
}

type order struct {
	id        int
	document  map[string]any // as the API shows it, numbers as json.Number
	visibleAt time.Time
	comments  []Comment
}

// layout is how Magento writes instants, in UTC.
const layout = "2006-01-02 15:04:05"

// The customer of every order. These are names to look for in logs, where they must not be.
const (
	firstName = "Vesna"
	lastName  = "Testperson"
	email     = "vesna@fixture.example"
	street    = "Geheimweg 7"
	telephone = "+49 30 5550199"
)

// PlaceOrder places an order. It publishes nothing.
func (s *Server) PlaceOrder(p Placing) Placed {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.place(p)
	return Placed{o.id, fmt.Sprint(o.document["increment_id"])}
}

// place needs mu.
func (s *Server) place(p Placing) *order {
	store := s.store(p.StoreID)
	if p.IncrementID == "" {
		p.IncrementID = s.nextNumber(store)
	}
	if p.State == "" {
		p.State = "processing"
	}
	if p.Status == "" && len(s.statuses[p.State]) > 0 {
		p.Status = s.statuses[p.State][0]
	}
	if p.Method == "" {
		p.Method = "checkmo"
	}
	if len(p.Lines) == 0 {
		p.Lines = []Line{{SKU: "24-MB01", Name: "Joust Duffle Bag", Qty: 2, Price: decimal.New(34, 0), TaxPercent: decimal.New(19, 0)}}
	}
	if p.CreatedAt.IsZero() {
		p.CreatedAt = time.Now()
	}
	s.nextID++
	o := &order{id: s.nextID, visibleAt: time.Now().Add(p.VisibleAfter)}
	o.document = s.orderDocument(o.id, p, store)
	s.keep(o)
	return o
}

// AddOrder adds an order that is given as Magento's JSON. Its entity_id must be higher than any before.
func (s *Server) AddOrder(document []byte) (Placed, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var d map[string]any
	if err := decoder.Decode(&d); err != nil {
		return Placed{}, fmt.Errorf("fakemagento: add an order: %w", err)
	}
	id, err := strconv.Atoi(fmt.Sprint(d["entity_id"]))
	if err != nil {
		return Placed{}, fmt.Errorf("fakemagento: add an order: entity_id: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id <= s.nextID {
		return Placed{}, fmt.Errorf("fakemagento: add an order: entity_id %d is not higher than %d, the last order's", id, s.nextID)
	}
	s.nextID = id
	s.keep(&order{id: id, document: d})
	number, _ := d["increment_id"].(string)
	return Placed{id, number}, nil
}

// keep needs mu.
func (s *Server) keep(o *order) {
	s.orders = append(s.orders, o)
	s.index(o)
	if extra := len(s.orders) - s.options.Keep; extra > 0 {
		for _, old := range s.orders[:extra] {
			s.forget(old)
		}
		s.orders = slices.Delete(s.orders, 0, extra)
	}
}

func (s *Server) index(o *order) {
	if s.numbered == nil {
		s.numbered = map[string][]*order{}
	}
	s.numbered[o.number()] = append(s.numbered[o.number()], o)
}

// number is what the index of a search by increment id holds an order under: MySQL compares without regard to case.
func (o *order) number() string { return strings.ToLower(fmt.Sprint(o.document["increment_id"])) }

func (s *Server) forget(o *order) {
	left := slices.DeleteFunc(s.numbered[o.number()], func(other *order) bool { return other == o })
	if s.numbered[o.number()] = left; len(left) == 0 {
		delete(s.numbered, o.number())
	}
	for _, sh := range s.shipments.of[o.id] {
		delete(s.shipments.byID, sh.id)
	}
	delete(s.shipments.of, o.id)
	for _, row := range o.rows() {
		delete(s.separately, idOf(row))
	}
}

// find gives the order with the entity id, or nil. It needs mu.
func (s *Server) find(id int) *order {
	at, ok := slices.BinarySearchFunc(s.orders, id, func(o *order, id int) int { return o.id - id })
	if !ok {
		return nil
	}
	return s.orders[at]
}

// change is for the methods that tests and the demo call: an order that isn't there is their mistake.
func (s *Server) change(id int, f func(o *order)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.find(id)
	if o == nil {
		panic(fmt.Errorf("fakemagento: there is no order with entity id %d", id))
	}
	f(o)
	o.document["updated_at"] = time.Now().UTC().Format(layout)
}

// SetState moves an order to a state, with the state's first status.
func (s *Server) SetState(id int, state string) {
	s.change(id, func(o *order) {
		o.document["state"] = state
		if statuses := s.statuses[state]; len(statuses) > 0 {
			o.document["status"] = statuses[0]
		}
	})
}

// SetStatus sets an order's status, whatever its state; "" is NULL.
func (s *Server) SetStatus(id int, status string) {
	s.change(id, func(o *order) {
		if o.document["status"] = status; status == "" {
			delete(o.document, "status")
		}
	})
}

// Status gives an order's status, "" for NULL.
func (s *Server) Status(id int) (status string) {
	s.change(id, func(o *order) { status = text(o.document["status"]) })
	return status
}

// Pay records the payment of an order that waited for it: it is in processing then.
func (s *Server) Pay(id int) {
	s.change(id, func(o *order) {
		o.document["state"], o.document["status"] = "processing", "processing"
		o.document["total_paid"] = o.document["grand_total"]
		o.document["total_due"] = json.Number("0")
		if payment, ok := o.document["payment"].(map[string]any); ok {
			payment["amount_paid"] = o.document["grand_total"]
		}
	})
}

// Delete deletes an order, as some extensions do; Magento itself never does.
func (s *Server) Delete(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = slices.DeleteFunc(s.orders, func(o *order) bool {
		if o.id == id {
			s.forget(o)
		}
		return o.id == id
	})
}

// Restore takes the shop's database back to where the order with this entity id was the last one, as from a backup: the
// orders after it are gone, and the next ones have their entity ids and numbers.
func (s *Server) Restore(last int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range slices.Backward(s.orders) {
		if o.id <= last {
			break
		}
		s.forget(o)
		s.orders = s.orders[:len(s.orders)-1]
		if id, err := strconv.Atoi(fmt.Sprint(o.document["store_id"])); err == nil {
			if store := s.store(id); numberOf(store, s.sequences[store.ID]) == fmt.Sprint(o.document["increment_id"]) {
				s.sequences[store.ID]--
			}
		}
	}
	s.nextID = last
}

// Cancel cancels all of an order.
func (s *Server) Cancel(id int) {
	s.change(id, func(o *order) {
		o.document["state"], o.document["status"] = "canceled", "canceled"
		o.cancel(func(item map[string]any) any { return item["qty_ordered"] })
		o.document["total_canceled"] = o.document["grand_total"]
	})
}

// CancelQuantities cancels some quantities by item id; the order stays in its state.
func (s *Server) CancelQuantities(id int, quantities map[int]decimal.Decimal) {
	s.change(id, func(o *order) {
		o.cancel(func(item map[string]any) any {
			itemID, err := strconv.Atoi(fmt.Sprint(item["item_id"]))
			if err != nil {
				return item["qty_canceled"]
			}
			if qty, ok := quantities[itemID]; ok {
				return amount(qty)
			}
			return item["qty_canceled"]
		})
	})
}

func (o *order) cancel(quantity func(item map[string]any) any) {
	items, _ := o.document["items"].([]any)
	for _, i := range items {
		if item, ok := i.(map[string]any); ok {
			item["qty_canceled"] = quantity(item)
		}
	}
}

// Order gives an order as the API shows it, or nil where there is none.
func (s *Server) Order(id int) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.find(id)
	if o == nil {
		return nil
	}
	return encode(o.show())
}

// Comments gives the comments of an order, oldest first.
func (s *Server) Comments(id int) []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.find(id); o != nil {
		return slices.Clone(o.comments)
	}
	return nil
}

// CommentCounts gives the number of comments that begin with a text by order number, for every order.
func (s *Server) CommentCounts(prefix string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, o := range s.orders {
		number := text(o.document["increment_id"])
		counts[number] += 0
		for _, c := range o.comments {
			if strings.HasPrefix(c.Text, prefix) {
				counts[number]++
			}
		}
	}
	return counts
}

// show gives the document with its comments, newest first as Magento shows them. It needs mu.
func (o *order) show() map[string]any {
	d := maps.Clone(o.document)
	if _, list := d["status_histories"].([]any); list || len(o.comments) > 0 {
		d["status_histories"] = o.allHistories()
	}
	return d
}

// allHistories are the comments, and what the order came with.
func (o *order) allHistories() []any {
	histories, _ := o.document["status_histories"].([]any)
	return append(o.histories(), histories...)
}

func (o *order) histories() []any {
	shown := []any{}
	for i, c := range slices.Backward(o.comments) {
		entry := map[string]any{
			"comment": c.Text, "created_at": c.CreatedAt.UTC().Format(layout), "entity_id": o.id*1000 + i, "entity_name": "order",
			"is_customer_notified": flag(c.Notified), "is_visible_on_front": flag(c.VisibleOnFront), "parent_id": o.id,
		}
		if c.Status != "" {
			entry["status"] = c.Status
		}
		shown = append(shown, entry)
	}
	return shown
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// visible gives the order that a path names, if its transaction has been committed; else it answers 404. It needs mu.
func (s *Server) visible(w http.ResponseWriter, r *http.Request) *order {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, `The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`,
			map[string]string{"value": r.PathValue("id"), "type": "int"})
		return nil
	}
	o := s.find(id)
	if o == nil || time.Now().Before(o.visibleAt) {
		refuse(w, http.StatusNotFound, "The entity that was requested doesn't exist. Verify the entity and try again.", nil)
		return nil
	}
	return o
}

func (s *Server) getOrder(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.visible(w, r); o != nil {
		answer(w, http.StatusOK, o.show())
	}
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.visible(w, r); o != nil {
		answer(w, http.StatusOK, o.document["status"])
	}
}
