package magentoapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
)

// CartsService makes and finds carts. What is done with one is done with a CartService: Client.Cart, Client.MyCart and
// Client.GuestCart give it.
//
// Source of the endpoints: app/code/Magento/Quote/etc/webapi.xml.
type CartsService struct{ client *Client }

// Cart is what somebody is about to buy (app/code/Magento/Quote/Api/Data/CartInterface.php).
type Cart struct {
	ID              ID           `json:"id"`
	StoreID         ID           `json:"store_id"`
	IsActive        Flag         `json:"is_active"` // false when it has become an order
	IsVirtual       Flag         `json:"is_virtual"`
	CustomerIsGuest Flag         `json:"customer_is_guest"`
	Customer        *Customer    `json:"customer"`
	Items           []CartItem   `json:"items"`
	ItemsCount      Int          `json:"items_count"`
	ItemsQty        Decimal      `json:"items_qty"`
	BillingAddress  *CartAddress `json:"billing_address"`
	ReservedOrderID Text         `json:"reserved_order_id"` // the number of the order to be
	CreatedAt       Time         `json:"created_at"`
	UpdatedAt       Time         `json:"updated_at"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *Cart) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c Cart) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// Create makes an empty cart of nobody and gives its id. It is not repeated: twice makes two carts.
//
// POST /V1/carts, permission Magento_Cart::manage
func (s *CartsService) Create(ctx context.Context) (int64, error) {
	return s.client.identified(ctx, operation{method: http.MethodPost, path: endpoint("carts")}, nil)
}

// CreateFor gives the id of a customer's cart: the one that there is, or else a new one.
//
// It is repeated when its outcome is not known: the second time it gives the cart of the first.
//
// POST /V1/customers/:customerId/carts, permission Magento_Cart::manage
func (s *CartsService) CreateFor(ctx context.Context, customerID int64) (int64, error) {
	op := operation{method: http.MethodPost, path: endpoint("customers", itoa(customerID), "carts"), repeatable: true}
	return s.client.identified(ctx, op, nil)
}

// CreateMine gives the id of the cart of the customer whose token is used: the one that there is, or else a new one.
//
// It is repeated when its outcome is not known: the second time it gives the cart of the first.
//
// POST /V1/carts/mine
func (s *CartsService) CreateMine(ctx context.Context) (int64, error) {
	return s.client.identified(ctx, operation{method: http.MethodPost, path: endpoint("carts", "mine"), repeatable: true}, nil)
}

// CreateGuest makes an empty cart of a guest and gives its masked id, which is a secret: who knows it has the cart. It is
// not repeated: twice makes two carts.
//
// POST /V1/guest-carts
func (s *CartsService) CreateGuest(ctx context.Context) (maskedID string, err error) {
	op := operation{method: http.MethodPost, path: endpoint("guest-carts")}
	var masked Text
	if err := s.client.call(ctx, op, nil, &masked); err != nil {
		return "", err
	}
	if masked == "" {
		return "", op.unreadable(http.StatusOK, nil, errors.New("a cart without an id"))
	}
	return string(masked), nil
}

// Search reads a page of carts. Without a sort they are sorted by entity_id, which is what the id is called there.
//
// GET /V1/carts/search, permission Magento_Cart::manage
func (s *CartsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Cart], error) {
	return search[Cart](ctx, s.client, endpoint("carts", "search"), "entity_id", criteria)
}

// All gives all carts that a search finds, a page in memory at a time, in the order of their ids: each once, whatever is
// added or removed meanwhile. With a sort of the criteria's own some may come twice or not at all. It ends after an error.
//
// GET /V1/carts/search, permission Magento_Cart::manage
func (s *CartsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Cart, error] {
	return walk(ctx, criteria, "entity_id", func(c *Cart) ID { return c.ID }, s.Search)
}

// CartOwner is whom a cart is assigned to.
type CartOwner struct {
	CustomerID int64
	StoreID    int64 // of the store view; it must be one that the customer may buy in
}

// Assign assigns a cart of nobody to a customer; what the customer has in another cart goes into it. It is not repeated;
// the second time, Magento would say that the cart is somebody's.
//
// PUT /V1/carts/:cartId, permission Magento_Cart::manage
func (s *CartsService) Assign(ctx context.Context, cartID int64, to CartOwner) error {
	op := operation{method: http.MethodPut, path: endpoint("carts", itoa(cartID))}
	return s.client.confirmed(ctx, op, map[string]int64{"customerId": to.CustomerID, "storeId": to.StoreID})
}
