package magentoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
)

// OrdersService calls the endpoints of sales orders. Ids are entity ids; an increment id is the number that people see.
//
// Source of the endpoints: app/code/Magento/Sales/etc/webapi.xml.
type OrdersService struct{ client *Client }

// Get reads an order by its entity id; ErrNotFound if there is none, or none yet: Magento's events run ahead of its
// commits.
//
// GET /V1/orders/:id, permission Magento_Sales::actions_view
func (s *OrdersService) Get(ctx context.Context, id int64) (*Order, error) {
	op := operation{method: http.MethodGet, path: orderPath(id)}
	body, err := s.client.send(ctx, op, s.client.auth)
	if err != nil {
		return nil, err
	}
	var order Order
	if err := op.decode(body, &order); err != nil {
		return nil, err
	}
	if int64(order.EntityID) != id {
		return nil, op.unreadable(http.StatusOK, body, fmt.Errorf("asked for order %d, it is of order %d", id, order.EntityID))
	}
	return &order, nil
}

// ByIncrementID reads the orders that have this number: none, one, or several, for stores may count alike. That there
// is none is no error here.
//
// GET /V1/orders, permission Magento_Sales::actions_view
func (s *OrdersService) ByIncrementID(ctx context.Context, incrementID string) ([]*Order, error) {
	if incrementID == "" {
		return nil, errors.New("magento: order without a number: increment_id is empty")
	}
	page, err := s.Search(ctx, SearchCriteria{}.Where(Eq("increment_id", incrementID)))
	if err != nil {
		return nil, err
	}
	if page.More() {
		return nil, fmt.Errorf("magento: %d orders have the number %q, more than can be told apart", page.TotalCount, incrementID)
	}
	// The database finds "abc1" for "ABC1".
	return slices.DeleteFunc(page.Items, func(o *Order) bool { return string(o.IncrementID) != incrementID }), nil
}

// Search reads one page of orders. Without a sort they are sorted by entity_id, for Magento promises no order.
//
// GET /V1/orders, permission Magento_Sales::actions_view
func (s *OrdersService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Order], error) {
	return search[Order](ctx, s.client, "/V1/orders", "entity_id", criteria)
}

// All gives all orders that a search finds, a page in memory at a time, in the order of their entity ids: each once,
// whatever is added or removed meanwhile. With a sort of the criteria's own some may come twice or not at all when
// orders are added or removed meanwhile. It ends after an error.
//
// GET /V1/orders, permission Magento_Sales::actions_view
func (s *OrdersService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Order, error] {
	return walk(ctx, criteria, "entity_id", func(o *Order) ID { return o.EntityID }, s.Search)
}

// A Comment is written to an order's history.
type Comment struct {
	Text string
	// Status is set with the comment; it must be one of the order's present state. Empty leaves the order's as it is.
	Status string
	// NotifyCustomer mails the comment to the customer.
	NotifyCustomer bool
	// VisibleToCustomer shows it in the customer's account.
	VisibleToCustomer bool
}

// AddComment adds a comment to an order. Magento keeps every one: a repeat is a second comment. It saves the whole
// order, without a lock: what else is written to the order at that moment can be lost.
//
// POST /V1/orders/:id/comments, permission Magento_Sales::comment; the body's fields are those of
// app/code/Magento/Sales/Api/Data/OrderStatusHistoryInterface.php
func (s *OrdersService) AddComment(ctx context.Context, orderID int64, c Comment) error {
	type statusHistory struct {
		Comment            string `json:"comment"`
		Status             string `json:"status,omitempty"`
		IsCustomerNotified int    `json:"is_customer_notified"`
		IsVisibleOnFront   int    `json:"is_visible_on_front"`
		ParentID           int64  `json:"parent_id"`
		EntityName         string `json:"entity_name"`
	}
	body, err := json.Marshal(map[string]statusHistory{"statusHistory": {
		c.Text, c.Status, flag(c.NotifyCustomer), flag(c.VisibleToCustomer), orderID, "order",
	}})
	if err != nil {
		return fmt.Errorf("magento: comment on order %d: %w", orderID, err)
	}
	op := operation{method: http.MethodPost, path: orderPath(orderID) + "/comments", body: body}
	answer, err := s.client.send(ctx, op, s.client.auth)
	if err != nil {
		return err
	}
	var added Flag
	if err := op.decode(answer, &added); err != nil {
		return err
	}
	if !added.Bool {
		return op.unreadable(http.StatusOK, answer, errors.New("false, where Magento answers true"))
	}
	return nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Comments reads all comments of an order; the endpoint has no pages.
//
// GET /V1/orders/:id/comments, permission Magento_Sales::actions_view
func (s *OrdersService) Comments(ctx context.Context, orderID int64) ([]OrderStatusHistory, error) {
	op := operation{method: http.MethodGet, path: orderPath(orderID) + "/comments"}
	body, err := s.client.send(ctx, op, s.client.auth)
	if err != nil {
		return nil, err
	}
	page, err := decodePage[OrderStatusHistory](body, SearchCriteria{})
	if err != nil {
		return nil, op.unreadable(http.StatusOK, body, err)
	}
	return page.Items, nil
}

func orderPath(id int64) string { return "/V1/orders/" + strconv.FormatInt(id, 10) }
