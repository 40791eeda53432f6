package magentoapi

import (
	"context"
	"errors"
	"net/http"
)

// CartAddress is an address of a cart (app/code/Magento/Quote/Api/Data/AddressInterface.php).
type CartAddress struct {
	ID                ID     `json:"id"`
	Firstname         Text   `json:"firstname"`
	Lastname          Text   `json:"lastname"`
	Company           Text   `json:"company"`
	Street            Street `json:"street"`
	City              Text   `json:"city"`
	Region            Text   `json:"region"`
	RegionCode        Text   `json:"region_code"`
	RegionID          ID     `json:"region_id"`
	Postcode          Text   `json:"postcode"`
	CountryID         Text   `json:"country_id"` // ISO 3166-1 alpha-2
	Telephone         Text   `json:"telephone"`
	Email             Text   `json:"email"` // of the billing address of a guest: the order's
	VatID             Text   `json:"vat_id"`
	CustomerAddressID ID     `json:"customer_address_id"`
	SaveInAddressBook Flag   `json:"save_in_address_book"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`
	CustomAttributes    CustomAttributes    `json:"custom_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (a *CartAddress) UnmarshalJSON(data []byte) error { return readObject(data, a) }

// MarshalJSON writes what was read with what was changed.
func (a CartAddress) MarshalJSON() ([]byte, error) { return writeObject(a, a.asRead) }

// BillingAddress reads the billing address; an empty one if none is set.
//
// GET /V1/carts/:cartId/billing-address, permission Magento_Cart::manage
// GET /V1/carts/mine/billing-address
// GET /V1/guest-carts/:cartId/billing-address
func (s *CartService) BillingAddress(ctx context.Context) (*CartAddress, error) {
	return get[CartAddress](ctx, s.client, s.below("billing-address"))
}

// SetBillingAddress sets the billing address, and with forShipping the shipping address too.
//
// It is repeated when its outcome is not known: the cart has one billing address.
//
// POST /V1/carts/:cartId/billing-address, permission Magento_Cart::manage
// POST /V1/carts/mine/billing-address
// POST /V1/guest-carts/:cartId/billing-address
func (s *CartService) SetBillingAddress(ctx context.Context, address *CartAddress, forShipping bool) error {
	op := operation{method: http.MethodPost, path: s.below("billing-address"), repeatable: true}
	_, err := s.client.identified(ctx, op, map[string]any{"address": address, "useForShipping": forShipping})
	return err
}

// ShippingMethod is a way to ship the cart, and what it costs in the cart's currency.
type ShippingMethod struct {
	CarrierCode  Text    `json:"carrier_code"`
	MethodCode   Text    `json:"method_code"`
	CarrierTitle Text    `json:"carrier_title"`
	MethodTitle  Text    `json:"method_title"`
	Amount       Decimal `json:"amount"`
	BaseAmount   Decimal `json:"base_amount"`
	Available    Flag    `json:"available"`
	ErrorMessage Text    `json:"error_message"` // why it is not available
	PriceExclTax Decimal `json:"price_excl_tax"`
	PriceInclTax Decimal `json:"price_incl_tax"`
}

// ShippingMethods reads the ways to ship to the cart's shipping address; without one it is ErrBadRequest.
//
// GET /V1/carts/:cartId/shipping-methods, permission Magento_Cart::manage
// GET /V1/carts/mine/shipping-methods
// GET /V1/guest-carts/:cartId/shipping-methods
func (s *CartService) ShippingMethods(ctx context.Context) ([]ShippingMethod, error) {
	return getList[ShippingMethod](ctx, s.client, s.below("shipping-methods"))
}

// EstimateShipping reads the ways to ship to an address, of which country, region and postcode are enough. The cart's own
// address may be changed by it, until ShippingInformation sets it.
//
// It is repeated when its outcome is not known: nothing comes of it but what the next one sets.
//
// POST /V1/carts/:cartId/estimate-shipping-methods, permission Magento_Cart::manage
// POST /V1/carts/mine/estimate-shipping-methods
// POST /V1/guest-carts/:cartId/estimate-shipping-methods
func (s *CartService) EstimateShipping(ctx context.Context, address *CartAddress) ([]ShippingMethod, error) {
	op := operation{method: http.MethodPost, path: s.below("estimate-shipping-methods"), repeatable: true}
	var methods []ShippingMethod
	err := s.client.call(ctx, op, map[string]*CartAddress{"address": address}, &methods)
	return methods, err
}

// ShippingInformation is where to ship to, and how.
type ShippingInformation struct {
	ShippingAddress *CartAddress `json:"shipping_address"`
	BillingAddress  *CartAddress `json:"billing_address,omitempty"`
	CarrierCode     string       `json:"shipping_carrier_code"`
	MethodCode      string       `json:"shipping_method_code"`
}

// PaymentDetails are what there is to pay, and how it can be paid.
type PaymentDetails struct {
	PaymentMethods []PaymentMethod `json:"payment_methods"`
	Totals         Totals          `json:"totals"`
}

// SetShippingInformation sets where to ship to, how, and if it is given the billing address.
//
// It is repeated when its outcome is not known: the cart has one shipping address and one method.
//
// POST /V1/carts/:cartId/shipping-information, permission Magento_Cart::manage
// POST /V1/carts/mine/shipping-information
// POST /V1/guest-carts/:cartId/shipping-information
func (s *CartService) SetShippingInformation(ctx context.Context, information ShippingInformation) (*PaymentDetails, error) {
	op := operation{method: http.MethodPost, path: s.below("shipping-information"), repeatable: true}
	var details PaymentDetails
	if err := s.client.call(ctx, op, map[string]ShippingInformation{"addressInformation": information}, &details); err != nil {
		return nil, err
	}
	return &details, nil
}

// PaymentMethod is a way to pay.
type PaymentMethod struct {
	Code  Text `json:"code"`
	Title Text `json:"title"`
}

// PaymentMethods reads the ways to pay.
//
// GET /V1/carts/:cartId/payment-methods, permission Magento_Cart::manage
// GET /V1/carts/mine/payment-methods
// GET /V1/guest-carts/:cartId/payment-methods
func (s *CartService) PaymentMethods(ctx context.Context) ([]PaymentMethod, error) {
	return getList[PaymentMethod](ctx, s.client, s.below("payment-methods"))
}

// Payment is how a cart is paid. What is in additional_data is the payment method's own; it may be a secret.
type Payment struct {
	Method   Text `json:"method"`
	PoNumber Text `json:"po_number"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (p *Payment) UnmarshalJSON(data []byte) error { return readObject(data, p) }

// MarshalJSON writes what was read with what was changed.
func (p Payment) MarshalJSON() ([]byte, error) { return writeObject(p, p.asRead) }

// PaymentMethod reads how the cart is to be paid; its Method is empty if that is not set.
//
// GET /V1/carts/:cartId/selected-payment-method, permission Magento_Cart::manage
// GET /V1/carts/mine/selected-payment-method
// GET /V1/guest-carts/:cartId/selected-payment-method
func (s *CartService) PaymentMethod(ctx context.Context) (*Payment, error) {
	return get[Payment](ctx, s.client, s.below("selected-payment-method"))
}

// SetPaymentMethod sets how the cart is to be paid; the shipping address must be set before.
//
// It is repeated when its outcome is not known: the cart has one payment.
//
// PUT /V1/carts/:cartId/selected-payment-method, permission Magento_Cart::manage
// PUT /V1/carts/mine/selected-payment-method
// PUT /V1/guest-carts/:cartId/selected-payment-method
func (s *CartService) SetPaymentMethod(ctx context.Context, payment *Payment) error {
	op := operation{method: http.MethodPut, path: s.below("selected-payment-method"), repeatable: true}
	_, err := s.client.identified(ctx, op, map[string]*Payment{"method": payment})
	return err
}

// Totals are what the cart comes to, in QuoteCurrencyCode; those named Base… in BaseCurrencyCode
// (app/code/Magento/Quote/Api/Data/TotalsInterface.php).
type Totals struct {
	GrandTotal           Decimal        `json:"grand_total"`
	BaseGrandTotal       Decimal        `json:"base_grand_total"`
	Subtotal             Decimal        `json:"subtotal"`
	SubtotalInclTax      Decimal        `json:"subtotal_incl_tax"`
	SubtotalWithDiscount Decimal        `json:"subtotal_with_discount"`
	DiscountAmount       Decimal        `json:"discount_amount"` // 0 or below
	ShippingAmount       Decimal        `json:"shipping_amount"`
	ShippingInclTax      Decimal        `json:"shipping_incl_tax"`
	TaxAmount            Decimal        `json:"tax_amount"`
	QuoteCurrencyCode    Text           `json:"quote_currency_code"`
	BaseCurrencyCode     Text           `json:"base_currency_code"`
	CouponCode           Text           `json:"coupon_code"`
	ItemsQty             Decimal        `json:"items_qty"`
	Segments             []TotalSegment `json:"total_segments"`
}

// TotalSegment is a line of the sum as the customer sees it; modules add their own.
type TotalSegment struct {
	Code  Text    `json:"code"`
	Title Text    `json:"title"`
	Value Decimal `json:"value"`
}

// Totals reads what the cart comes to.
//
// GET /V1/carts/:cartId/totals, permission Magento_Cart::manage
// GET /V1/carts/mine/totals
// GET /V1/guest-carts/:cartId/totals
func (s *CartService) Totals(ctx context.Context) (*Totals, error) {
	return get[Totals](ctx, s.client, s.below("totals"))
}

// PaymentInformation reads what there is to pay, and how it can be paid. An admin's cart (Client.Cart) has no such endpoint.
//
// GET /V1/carts/mine/payment-information
// GET /V1/guest-carts/:cartId/payment-information
func (s *CartService) PaymentInformation(ctx context.Context) (*PaymentDetails, error) {
	if s.admins {
		return nil, errAdminsCart
	}
	return get[PaymentDetails](ctx, s.client, s.below("payment-information"))
}

// SetPaymentInformation sets how the cart is paid, and if it is given the billing address, of which a guest's must have the
// e-mail address. An admin's cart has no such endpoint.
//
// It is repeated when its outcome is not known: the cart has one payment and one billing address.
//
// POST /V1/carts/mine/set-payment-information
// POST /V1/guest-carts/:cartId/set-payment-information
func (s *CartService) SetPaymentInformation(ctx context.Context, payment *Payment, billing *CartAddress) error {
	body, err := s.paymentInformation(payment, billing)
	if err != nil {
		return err
	}
	op := operation{method: http.MethodPost, path: s.below("set-payment-information"), repeatable: true}
	return s.client.confirmed(ctx, op, body)
}

// Pay is SetPaymentInformation and PlaceOrder in one. All that PlaceOrder says of repeating is true here. An admin's cart has
// no such endpoint.
//
// POST /V1/carts/mine/payment-information
// POST /V1/guest-carts/:cartId/payment-information
func (s *CartService) Pay(ctx context.Context, payment *Payment, billing *CartAddress) (orderID int64, err error) {
	body, err := s.paymentInformation(payment, billing)
	if err != nil {
		return 0, err
	}
	return s.client.identified(ctx, operation{method: http.MethodPost, path: s.below("payment-information")}, body)
}

var errAdminsCart = errors.New("magento: an admin's cart has no payment information: use its payment method, billing address and PlaceOrder")

func (s *CartService) paymentInformation(payment *Payment, billing *CartAddress) (map[string]any, error) {
	if s.admins {
		return nil, errAdminsCart
	}
	body := map[string]any{"paymentMethod": payment}
	if billing != nil {
		body["billingAddress"] = billing
		if billing.Email != "" {
			body["email"] = billing.Email // which is demanded of a guest
		}
	}
	return body, nil
}

// PlaceOrder makes the cart an order and gives its entity id. Without a payment it is the cart's. What is missing or can't
// be had is ErrBadRequest.
//
// It is never repeated by itself, for the buyer may have been charged (but after a 401 or 403, which are given before
// anything is done). After an error that leaves the outcome open (a lost
// connection, a 5xx, ErrUnreadable) look at the cart's Items: ErrNotFound says that it has become an order, which a search
// of orders finds by its quote_id. Since 2.4.7 it may be ErrTooManyRequests, where the shop limits how fast orders are
// placed.
//
// PUT /V1/carts/:cartId/order, permission Magento_Cart::manage
// PUT /V1/carts/mine/order
// PUT /V1/guest-carts/:cartId/order
func (s *CartService) PlaceOrder(ctx context.Context, payment *Payment) (orderID int64, err error) {
	body := map[string]any{}
	if payment != nil {
		body["paymentMethod"] = payment
	}
	return s.client.identified(ctx, operation{method: http.MethodPut, path: s.below("order")}, body)
}
