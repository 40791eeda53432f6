package magentoapi

// OrderExtension holds the extension attributes of an order. Gift cards, store credit, reward points and gift wrapping
// are of Adobe Commerce, company_order_attributes of its B2B extension.
type OrderExtension struct {
	ShippingAssignments   []ShippingAssignment `json:"shipping_assignments"`
	PaymentAdditionalInfo []KeyValue           `json:"payment_additional_info"`
	AppliedTaxes          []AppliedTax         `json:"applied_taxes"`
	ItemAppliedTaxes      []ItemAppliedTax     `json:"item_applied_taxes"`

	GiftCards             []GiftCard `json:"gift_cards"`
	GiftCardsAmount       Decimal    `json:"gift_cards_amount"`
	CustomerBalanceAmount Decimal    `json:"customer_balance_amount"` // store credit that was used
	RewardCurrencyAmount  Decimal    `json:"reward_currency_amount"`  // what the reward points are worth
	GwPrice               Decimal    `json:"gw_price"`                // wrapping of the whole order
	GwItemsPrice          Decimal    `json:"gw_items_price"`          // wrapping of single items
	GwCardPrice           Decimal    `json:"gw_card_price"`           // a printed card

	CompanyOrderAttributes *CompanyOrder `json:"company_order_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (e *OrderExtension) UnmarshalJSON(data []byte) error { return readObject(data, e) }

// MarshalJSON writes what was read with what was changed.
func (e OrderExtension) MarshalJSON() ([]byte, error) { return writeObject(e, e.asRead) }

// Get reads an attribute that a module of the shop's has added into v, a pointer, and reports whether there is one that is
// not null.
func (e OrderExtension) Get(name string, v any) (bool, error) { return e.get(name, v) }

// ShippingAssignment says how items are shipped.
type ShippingAssignment struct {
	Shipping Shipping `json:"shipping"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (s *ShippingAssignment) UnmarshalJSON(data []byte) error { return readObject(data, s) }

// MarshalJSON writes what was read with what was changed.
func (s ShippingAssignment) MarshalJSON() ([]byte, error) { return writeObject(s, s.asRead) }

// Shipping is an address and the method, <carrier>_<method>. For a virtual order it is empty.
type Shipping struct {
	Address *OrderAddress `json:"address"`
	Method  Text          `json:"method"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (s *Shipping) UnmarshalJSON(data []byte) error { return readObject(data, s) }

// MarshalJSON writes what was read with what was changed.
func (s Shipping) MarshalJSON() ([]byte, error) { return writeObject(s, s.asRead) }

// KeyValue is a named text.
type KeyValue struct {
	Key   Text `json:"key"`
	Value Text `json:"value"`
}

// AppliedTax is one tax rate and what it came to.
type AppliedTax struct {
	Code    Text    `json:"code"`
	Title   Text    `json:"title"`
	Percent Decimal `json:"percent"`
	Amount  Decimal `json:"amount"`
}

// ItemAppliedTax lists the rates that apply to one row, to shipping or to another charge.
type ItemAppliedTax struct {
	Type         Text         `json:"type"` // product, shipping, weee, …
	ItemID       ID           `json:"item_id"`
	AppliedTaxes []AppliedTax `json:"applied_taxes"`
}

// GiftCard is what one gift card paid.
type GiftCard struct {
	ID     ID      `json:"id"`
	Amount Decimal `json:"amount"`
}

// CompanyOrder names the company that a buyer ordered for.
type CompanyOrder struct {
	CompanyID   ID   `json:"company_id"`
	CompanyName Text `json:"company_name"`
}
