package fakemagento

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// cancelOrder is Sales\Model\Service\OrderService::cancel: false where the order can't be cancelled.
func (s *Server) cancelOrder(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	open := slices.ContainsFunc(o.rows(), func(row map[string]any) bool { return !hasParent(row) && toInvoice(row).IsPositive() })
	if !open || slices.Contains([]string{"holded", "payment_review", "canceled", "complete", "closed"}, o.state()) {
		return false, nil
	}
	for _, row := range o.rows() {
		n := toInvoice(row)
		if !isVirtual(row) {
			n = decimal.Min(n, openQty(row))
		}
		row["qty_canceled"] = amount(number4(row["qty_canceled"]).Add(n))
	}
	plus(o.document, "total_canceled", number4(o.document["grand_total"]).Sub(number4(o.document["total_paid"])))
	state := "canceled"
	if slices.ContainsFunc(o.rows(), func(row map[string]any) bool { return toRefund(row).IsPositive() }) {
		state = "complete"
		if slices.ContainsFunc(o.rows(), func(row map[string]any) bool { return !isVirtual(row) && s.toShip(o, row).IsPositive() }) {
			state = "processing"
		}
	}
	s.enter(o, state)
	return true, nil
}

func (s *Server) holdOrder(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	if slices.Contains([]string{"canceled", "payment_review", "complete", "closed", "holded"}, o.state()) {
		return nil, invalid("A hold action is not available.", nil)
	}
	o.document["hold_before_state"], o.document["hold_before_status"] = o.document["state"], o.document["status"]
	s.enter(o, "holded")
	return true, nil
}

func (s *Server) unholdOrder(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	if o.state() != "holded" {
		return nil, invalid("You cannot remove the hold.", nil)
	}
	status := o.document["hold_before_status"]
	s.enter(o, text(o.document["hold_before_state"]))
	if status != nil {
		o.document["status"] = status
	}
	delete(o.document, "hold_before_state")
	delete(o.document, "hold_before_status")
	return true, nil
}

func (s *Server) mailOrder(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	o.document["email_sent"] = 1
	return true, nil
}

// saveOrder is OrderRepository::save: it makes an order, or writes the columns that are given of one. What has gone wrong with
// that in real shops is told as problems.
func (s *Server) saveOrder(c call) (any, *problem) {
	entity, wrong := c.object("entity")
	if wrong != nil {
		return nil, wrong
	}
	if entity["entity_id"] == nil {
		return s.importOrder(entity)
	}
	id, _ := number(entity["entity_id"])
	o := s.find(id)
	if o == nil || time.Now().Before(o.visibleAt) {
		return nil, unknownEntity()
	}
	if entity["increment_id"] == nil {
		s.problems["an order saved without its increment_id: some versions give it a new one (magento2 issue 32397)"]++
	}
	if entity["items"] != nil {
		s.problems["an order saved with its items: what they have is overwritten (magento2 issue 22431)"]++
	}
	s.forget(o)
	for key, value := range entity {
		if key != "entity_id" && key != "status_histories" {
			o.document[key] = value
		}
		if value == nil {
			delete(o.document, key)
		}
	}
	s.index(o)
	o.document["updated_at"] = time.Now().UTC().Format(layout)
	saved := maps.Clone(entity) // not the whole order: the model has what was given
	saved["updated_at"] = o.document["updated_at"]
	return saved, nil
}

func (s *Server) importOrder(entity map[string]any) (any, *problem) {
	if items, ok := entity["items"].([]any); !ok || len(items) == 0 {
		return nil, invalid(`"%fieldName" is required. Enter and try again.`, map[string]string{"fieldName": "items"})
	}
	store, _ := number(entity["store_id"])
	if text(entity["increment_id"]) == "" {
		entity["increment_id"] = s.nextNumber(s.store(store))
	}
	s.nextID++
	now := time.Now().UTC().Format(layout)
	entity["entity_id"], entity["created_at"], entity["updated_at"] = s.nextID, now, now
	if entity["state"] == nil {
		entity["state"], entity["status"] = "new", "pending"
	}
	o := &order{id: s.nextID, document: entity}
	for _, row := range o.rows() {
		s.nextItem++
		row["item_id"], row["order_id"] = s.nextItem, o.id
	}
	s.keep(o)
	return o.show(), nil
}

// saveOrderAddress is OrderAddressRepository::save.
func (s *Server) saveOrderAddress(c call) (any, *problem) {
	o, wrong := s.orderOf(c)
	if wrong != nil {
		return nil, wrong
	}
	entity, wrong := c.object("entity")
	if wrong != nil {
		return nil, wrong
	}
	for _, a := range o.addresses() {
		if text(a["entity_id"]) == text(entity["entity_id"]) {
			maps.Copy(a, entity)
			return a, nil
		}
	}
	return nil, unknownEntity()
}

// addresses are the billing address, and the shipping address if there is one.
func (o *order) addresses() []map[string]any {
	var all []map[string]any
	if billing, ok := o.document["billing_address"].(map[string]any); ok {
		all = append(all, billing)
	}
	extension, _ := o.document["extension_attributes"].(map[string]any)
	assignments, _ := extension["shipping_assignments"].([]any)
	for _, a := range assignments {
		assignment, _ := a.(map[string]any)
		shipping, _ := assignment["shipping"].(map[string]any)
		if address, ok := shipping["address"].(map[string]any); ok {
			all = append(all, address)
		}
	}
	return all
}

var itemColumns = []string{"item_id", "order_id", "parent_item_id", "product_id", "product_type", "sku", "name", "qty_ordered", "created_at", "updated_at"}

func (s *Server) allRows() []map[string]any {
	var all []map[string]any
	for _, o := range s.orders {
		if !time.Now().Before(o.visibleAt) {
			all = append(all, o.rows()...)
		}
	}
	return all
}

func (s *Server) listOrderItems(c call) (any, *problem) {
	return list(c, oneOf(itemColumns), s.allRows())
}

func (s *Server) getOrderItem(c call) (any, *problem) {
	for _, row := range s.allRows() {
		if idOf(row) == c.PathValue("part") {
			return row, nil
		}
	}
	return nil, unknownEntity()
}

// nextNumber is the next order number of a store. It needs mu.
func (s *Server) nextNumber(store Store) string {
	s.sequences[store.ID]++
	return numberOf(store, s.sequences[store.ID])
}

// numberOf writes the n-th order number of a store.
func numberOf(store Store, n int) string {
	increment := fmt.Sprintf("%09d", n)
	if store.ID > 1 {
		increment = fmt.Sprint(store.ID) + increment
	}
	return increment
}
