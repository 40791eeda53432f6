package magentoapi

import (
	"context"
	"errors"
	"net/http"
)

// CartService calls the endpoints of one cart. There are three of each, which do the same: for an admin or an
// integration, who may see all carts (Client.Cart); for the customer whose token is used, who has one (Client.MyCart);
// and for a guest (Client.GuestCart), who needs no credential but the cart's masked id. A cart that has become an order
// is ErrNotFound to all of them but Get, which may show it as no longer active.
//
// Source of the endpoints: app/code/Magento/Quote/etc/webapi.xml and, for the shipping information,
// app/code/Magento/Checkout/etc/webapi.xml.
type CartService struct {
	client *Client
	path   string // of the cart
	// quoteID is what the cart is called in its items; empty for a customer's, where Magento puts it in.
	quoteID string
	admins  bool
}

// Cart gives the cart of this id, for an admin or an integration.
func (c *Client) Cart(id int64) *CartService {
	return &CartService{c, endpoint("carts", itoa(id)), itoa(id), true}
}

// MyCart gives the cart of the customer whose token is used. There must be one: see CartsService.CreateMine.
func (c *Client) MyCart() *CartService { return &CartService{c, endpoint("carts", "mine"), "", false} }

// GuestCart gives the cart of this masked id: see CartsService.CreateGuest.
func (c *Client) GuestCart(maskedID string) *CartService {
	return &CartService{c, endpoint("guest-carts", maskedID), maskedID, false}
}

func (s *CartService) below(parts ...string) string {
	return s.path + endpoint(parts...)[len("/V1"):]
}

// Get reads the cart.
//
// GET /V1/carts/:cartId, permission Magento_Cart::manage
// GET /V1/carts/mine
// GET /V1/guest-carts/:cartId
func (s *CartService) Get(ctx context.Context) (*Cart, error) {
	return get[Cart](ctx, s.client, s.path)
}

// CartItem is a row of a cart (app/code/Magento/Quote/Api/Data/CartItemInterface.php).
type CartItem struct {
	ItemID      ID      `json:"item_id"`
	SKU         Text    `json:"sku"`
	Qty         Decimal `json:"qty"`
	Name        Text    `json:"name"`
	Price       Decimal `json:"price"` // of one, without tax
	ProductType Text    `json:"product_type"`
	QuoteID     Text    `json:"quote_id"` // the cart's id, a guest's is the masked one
	// ProductOption is what was chosen of a configurable or bundle product, and the custom options.
	ProductOption       *ProductOption      `json:"product_option"`
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *CartItem) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i CartItem) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// Items reads the rows.
//
// GET /V1/carts/:cartId/items, permission Magento_Cart::manage
// GET /V1/carts/mine/items
// GET /V1/guest-carts/:cartId/items
func (s *CartService) Items(ctx context.Context) ([]*CartItem, error) {
	return pointed[CartItem](ctx, s.client, operation{method: http.MethodGet, path: s.below("items")}, nil)
}

// AddItem puts so many of a SKU into the cart and gives the row, which may have been there with others of it already.
// Magento refuses what it has not enough of with ErrBadRequest, and a SKU that it has not with ErrNotFound.
//
// It is not repeated: twice adds twice as many.
//
// POST /V1/carts/:cartId/items, permission Magento_Cart::manage
// POST /V1/carts/mine/items
// POST /V1/guest-carts/:cartId/items
func (s *CartService) AddItem(ctx context.Context, item *CartItem) (*CartItem, error) {
	return s.saveItem(ctx, operation{method: http.MethodPost, path: s.below("items")}, item)
}

// UpdateItem sets the quantity of a row, whose ItemID is in it.
//
// It is repeated when its outcome is not known: the quantity is absolute.
//
// PUT /V1/carts/:cartId/items/:itemId, permission Magento_Cart::manage
// PUT /V1/carts/mine/items/:itemId
// PUT /V1/guest-carts/:cartId/items/:itemId
func (s *CartService) UpdateItem(ctx context.Context, item *CartItem) (*CartItem, error) {
	return s.saveItem(ctx, operation{method: http.MethodPut, path: s.below("items", itoa(int64(item.ItemID))), repeatable: true}, item)
}

func (s *CartService) saveItem(ctx context.Context, op operation, item *CartItem) (*CartItem, error) {
	if s.quoteID != "" {
		its := *item
		its.QuoteID, item = Text(s.quoteID), &its
	}
	var saved CartItem
	if err := s.client.call(ctx, op, map[string]*CartItem{"cartItem": item}, &saved); err != nil {
		return nil, err
	}
	if saved.ItemID == 0 {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("an item without an id"))
	}
	return &saved, nil
}

// DeleteItem takes a row out. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/carts/:cartId/items/:itemId, permission Magento_Cart::manage
// DELETE /V1/carts/mine/items/:itemId
// DELETE /V1/guest-carts/:cartId/items/:itemId
func (s *CartService) DeleteItem(ctx context.Context, itemID int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: s.below("items", itoa(itemID))}, nil)
}

// Coupon reads the coupon code; empty if there is none.
//
// GET /V1/carts/:cartId/coupons, permission Magento_Cart::manage
// GET /V1/carts/mine/coupons
// GET /V1/guest-carts/:cartId/coupons
func (s *CartService) Coupon(ctx context.Context) (string, error) {
	var code textOrNone
	err := s.client.call(ctx, operation{method: http.MethodGet, path: s.below("coupons")}, nil, &code)
	return string(code), err
}

// textOrNone is a text, or the [] that PHP's null is as a whole answer.
type textOrNone string

func (t *textOrNone) UnmarshalJSON(data []byte) error {
	if string(data) == "[]" {
		*t = ""
		return nil
	}
	return (*Text)(t).UnmarshalJSON(data)
}

// SetCoupon sets the coupon code, in the place of the one that there was. One that isn't valid for the cart is
// ErrNotFound, as is a cart without items.
//
// It is repeated when its outcome is not known: the cart has the same coupon then.
//
// PUT /V1/carts/:cartId/coupons/:couponCode, permission Magento_Cart::manage
// PUT /V1/carts/mine/coupons/:couponCode
// PUT /V1/guest-carts/:cartId/coupons/:couponCode
func (s *CartService) SetCoupon(ctx context.Context, code string) error {
	return s.client.confirmed(ctx, operation{method: http.MethodPut, path: s.below("coupons", code), repeatable: true}, nil)
}

// DeleteCoupon takes the coupon away. That there is none is no error.
//
// It is repeated when its outcome is not known: the cart has no coupon then.
//
// DELETE /V1/carts/:cartId/coupons, permission Magento_Cart::manage
// DELETE /V1/carts/mine/coupons
// DELETE /V1/guest-carts/:cartId/coupons
func (s *CartService) DeleteCoupon(ctx context.Context) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: s.below("coupons"), repeatable: true}, nil)
}
