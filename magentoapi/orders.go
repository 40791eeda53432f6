package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
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
// With fields, Magento answers with these alone and entity_id: "state", or "items[sku,qty_ordered]" for a part of what
// is in a field. All others are not set, as if the order had none. Magento reads the whole order all the same, and
// fails with ErrInternal where brackets follow a field that holds no object or list.
//
// GET /V1/orders/:id, permission Magento_Sales::actions_view; Framework\Webapi\Rest\Response\FieldsFilter
func (s *OrdersService) Get(ctx context.Context, id int64, fields ...string) (*Order, error) {
	op := operation{method: http.MethodGet, path: orderPath(id)}
	if len(fields) > 0 {
		wanted, err := fieldsFilter(append([]string{"entity_id"}, fields...))
		if err != nil {
			return nil, fmt.Errorf("magento: order %d: %w", id, err)
		}
		op.query = encodeQuery(url.Values{"fields": {wanted}})
	}
	return getByID(ctx, s.client, op, "order", id, func(o *Order) ID { return o.EntityID })
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
	for _, o := range page.Items {
		if err := oddAt(o.odd, "increment_id"); err != nil {
			return nil, fmt.Errorf("magento: an order that was found by its number, %s, can't be read: %w", incrementID, err)
		}
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

// Status reads the status of an order, a text of the shop's own; branch on Order.State.
//
// GET /V1/orders/:id/statuses, permission Magento_Sales::actions_view
func (s *OrdersService) Status(ctx context.Context, orderID int64) (string, error) {
	status, err := get[Text](ctx, s.client, orderPath(orderID)+"/statuses")
	if err != nil {
		return "", err
	}
	return string(*status), nil
}

// Save changes an order: it sends its ids and what is set, of an order that was read only what has been changed since.
// Magento updates these columns and leaves the others alone. What it answers is not the whole order: read it again.
//
// Both EntityID and IncrementID must be set: without the number some versions give the order a new one (magento2 issues
// 32397 and 33666). Rows are sent only if they have been changed, and then all of them: what is sent of a row overwrites
// it (issue 22431). State and Status are not checked against each other. Nothing locks the order, and the shop's observers
// run each time: it is not repeated by itself.
//
// POST /V1/orders, permission Magento_Sales::api_actions (up to 2.4.6 Magento_Sales::create); Sales\Model\OrderRepository::save
func (s *OrdersService) Save(ctx context.Context, o *Order) (*Order, error) {
	if o.EntityID == 0 || o.IncrementID == "" {
		return nil, errors.New("magento: saving an order needs its entity_id and its increment_id")
	}
	changed, err := changes(*o, o.asRead)
	if err != nil {
		return nil, fmt.Errorf("magento: saving order %d: %w", o.EntityID, err)
	}
	entity := map[string]any{"entity_id": o.EntityID, "increment_id": o.IncrementID}
	for _, m := range changed {
		entity[m.name] = m.value
	}
	var saved Order
	op := operation{method: http.MethodPost, path: "/V1/orders"}
	if err := s.client.call(ctx, op, map[string]any{"entity": entity}, &saved); err != nil {
		return nil, err
	}
	return &saved, checkID(op, "order", int64(o.EntityID), saved.EntityID, &saved)
}

// Create makes an order as it is given, for imports: no cart, no stock that is reserved, no payment. Without an
// IncrementID Magento gives it a number.
//
// PUT /V1/orders/create, permission Magento_Sales::create; Sales\Model\OrderRepository::save
func (s *OrdersService) Create(ctx context.Context, o *Order) (*Order, error) {
	if o.EntityID != 0 {
		return nil, fmt.Errorf("magento: order %d has an entity_id and would be overwritten: Save changes an order", o.EntityID)
	}
	var created Order
	op := operation{method: http.MethodPut, path: "/V1/orders/create"}
	if err := s.client.call(ctx, op, map[string]any{"entity": o}, &created); err != nil {
		return nil, err
	}
	return &created, nil
}

// SaveAddress saves a billing or shipping address of an order, which was read with it and then changed.
//
// PUT /V1/orders/:parent_id, permission Magento_Sales::create; Sales\Model\Order\AddressRepository::save
func (s *OrdersService) SaveAddress(ctx context.Context, orderID int64, a *OrderAddress) (*OrderAddress, error) {
	if a.EntityID == 0 {
		return nil, fmt.Errorf("magento: the address of order %d has no entity_id: it would be a second one", orderID)
	}
	// The whole address takes the place of the one with its id: a second time changes nothing.
	op := operation{method: http.MethodPut, path: orderPath(orderID), repeatable: true}
	var saved OrderAddress
	if err := s.client.call(ctx, op, map[string]any{"entity": a}, &saved); err != nil {
		return nil, err
	}
	return &saved, nil
}

// Item reads one row of an order by its item_id.
//
// GET /V1/orders/items/:id, permission Magento_Sales::actions_view
func (s *OrdersService) Item(ctx context.Context, itemID int64) (*OrderItem, error) {
	return get[OrderItem](ctx, s.client, "/V1/orders/items/"+strconv.FormatInt(itemID, 10))
}

// SearchItems reads one page of rows of orders. Without a sort they are sorted by item_id.
//
// GET /V1/orders/items, permission Magento_Sales::actions_view
func (s *OrdersService) SearchItems(ctx context.Context, criteria SearchCriteria) (*Page[*OrderItem], error) {
	return search[OrderItem](ctx, s.client, "/V1/orders/items", "item_id", criteria)
}

// AllItems gives all rows of orders that a search finds: see All.
//
// GET /V1/orders/items, permission Magento_Sales::actions_view
func (s *OrdersService) AllItems(ctx context.Context, criteria SearchCriteria) iter.Seq2[*OrderItem, error] {
	return walk(ctx, criteria, "item_id", func(i *OrderItem) ID { return i.ItemID }, s.SearchItems)
}

func orderPath(id int64) string { return "/V1/orders/" + strconv.FormatInt(id, 10) }
