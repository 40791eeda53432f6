package magentoapi

// The order as GET /V1/orders/:id and GET /V1/orders answer it, with the keys that this package knows. Names and meanings
// are those of Magento's OrderInterface, OrderItemInterface, OrderAddressInterface and OrderPaymentInterface
// (app/code/Magento/Sales/Api/Data). Magento leaves out what is null, so a missing key and a null are the same here:
// the zero value, a nil pointer, or a Decimal that is not Valid.

// The fixed states of an order. Statuses are free texts of the shop; branch on the state only.
const (
	StateNew            = "new"
	StatePendingPayment = "pending_payment"
	StateProcessing     = "processing"
	StateComplete       = "complete"
	StateClosed         = "closed"
	StateCanceled       = "canceled"
	StateHolded         = "holded"
	StatePaymentReview  = "payment_review"
)

// InstalledStatuses gives the statuses that Magento assigns to a state when it is installed, the state's default first; none
// for a text that is no state. A shop may have assigned others since, and REST does not list them
// (app/code/Magento/Sales/Setup/Patch/Data/InstallOrderStatusesAndInitialSalesConfig.php).
func InstalledStatuses(state string) []string {
	switch state {
	case StateNew:
		return []string{"pending"}
	case StateProcessing, StatePaymentReview:
		return []string{state, "fraud"}
	case StatePendingPayment, StateComplete, StateClosed, StateCanceled, StateHolded:
		return []string{state}
	default:
		return nil
	}
}

// Order is a sales order. Amounts are in OrderCurrencyCode, those named Base… in BaseCurrencyCode.
type Order struct {
	EntityID    ID   `json:"entity_id"`
	IncrementID Text `json:"increment_id"` // the number shown to people; unique per store at best
	State       Text `json:"state"`
	Status      Text `json:"status"`
	StoreID     *ID  `json:"store_id"`
	StoreName   Text `json:"store_name"` // website, store and store view, a line each
	CreatedAt   Time `json:"created_at"`
	UpdatedAt   Time `json:"updated_at"`
	IsVirtual   Flag `json:"is_virtual"`

	CustomerID        ID   `json:"customer_id"` // 0 for a guest
	CustomerIsGuest   Flag `json:"customer_is_guest"`
	CustomerGroupID   *ID  `json:"customer_group_id"` // 0 is the group of those not logged in
	CustomerEmail     Text `json:"customer_email"`
	CustomerFirstname Text `json:"customer_firstname"`
	CustomerLastname  Text `json:"customer_lastname"`
	CustomerTaxvat    Text `json:"customer_taxvat"`
	CustomerNote      Text `json:"customer_note"`

	OrderCurrencyCode Text    `json:"order_currency_code"`
	BaseCurrencyCode  Text    `json:"base_currency_code"`
	BaseToOrderRate   Decimal `json:"base_to_order_rate"` // an amount in the base currency times this is one in the order's

	Subtotal                              Decimal `json:"subtotal"`        // of all rows, without tax, before discounts
	DiscountAmount                        Decimal `json:"discount_amount"` // of rows and shipping, 0 or below
	DiscountTaxCompensationAmount         Decimal `json:"discount_tax_compensation_amount"`
	ShippingAmount                        Decimal `json:"shipping_amount"` // without tax, before discounts
	ShippingInclTax                       Decimal `json:"shipping_incl_tax"`
	ShippingTaxAmount                     Decimal `json:"shipping_tax_amount"`
	ShippingDiscountAmount                Decimal `json:"shipping_discount_amount"` // 0 or above; part of DiscountAmount
	ShippingDiscountTaxCompensationAmount Decimal `json:"shipping_discount_tax_compensation_amount"`
	ShippingDescription                   Text    `json:"shipping_description"`
	TaxAmount                             Decimal `json:"tax_amount"` // of rows, shipping, WEEE and gift wrapping
	GrandTotal                            Decimal `json:"grand_total"`
	BaseGrandTotal                        Decimal `json:"base_grand_total"`
	TotalInvoiced                         Decimal `json:"total_invoiced"`
	TotalPaid                             Decimal `json:"total_paid"`
	TotalRefunded                         Decimal `json:"total_refunded"`
	TotalCanceled                         Decimal `json:"total_canceled"`
	TotalDue                              Decimal `json:"total_due"`

	// An edit in the admin cancels the order and makes another, which names the old one here.
	RelationParentID     ID   `json:"relation_parent_id"`
	RelationParentRealID Text `json:"relation_parent_real_id"`
	RelationChildID      ID   `json:"relation_child_id"`
	RelationChildRealID  Text `json:"relation_child_real_id"`
	OriginalIncrementID  Text `json:"original_increment_id"`

	ExtOrderID    Text `json:"ext_order_id"` // free for the number in another system
	ExtCustomerID Text `json:"ext_customer_id"`
	// Where an order on hold was before.
	HoldBeforeState  Text `json:"hold_before_state"`
	HoldBeforeStatus Text `json:"hold_before_status"`

	Items               []OrderItem          `json:"items"`
	BillingAddress      *OrderAddress        `json:"billing_address"`
	Payment             *OrderPayment        `json:"payment"`
	StatusHistories     []OrderStatusHistory `json:"status_histories"`
	ExtensionAttributes OrderExtension       `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (o *Order) UnmarshalJSON(data []byte) error { return readObject(data, o) }

// MarshalJSON writes what was read with what was changed.
func (o Order) MarshalJSON() ([]byte, error) { return writeObject(o, o.asRead) }

// ShippingAssignment gives the first shipping assignment, or nil: Magento makes no more than one, and tells the
// shipping address and method nowhere else.
func (o *Order) ShippingAssignment() *Shipping {
	if as := o.ExtensionAttributes.ShippingAssignments; len(as) > 0 {
		return &as[0].Shipping
	}
	return nil
}

// OrderItem is one row of an order. A composite product has a row of its own and one for each component, which names
// it in ParentItemID.
type OrderItem struct {
	ItemID       ID         `json:"item_id"`
	OrderID      ID         `json:"order_id"`
	ParentItemID ID         `json:"parent_item_id"` // 0 for a row without a parent
	ParentItem   *OrderItem `json:"parent_item"`    // repeats the parent's row; never a line of its own
	ProductID    ID         `json:"product_id"`
	ProductType  Text       `json:"product_type"`
	SKU          Text       `json:"sku"`
	Name         Text       `json:"name"`
	IsVirtual    Flag       `json:"is_virtual"`

	QtyOrdered  Decimal `json:"qty_ordered"`
	QtyInvoiced Decimal `json:"qty_invoiced"`
	QtyShipped  Decimal `json:"qty_shipped"`
	QtyRefunded Decimal `json:"qty_refunded"`
	QtyCanceled Decimal `json:"qty_canceled"`

	Price                         Decimal `json:"price"` // without tax
	PriceInclTax                  Decimal `json:"price_incl_tax"`
	DiscountAmount                Decimal `json:"discount_amount"` // of the row, 0 or above
	DiscountTaxCompensationAmount Decimal `json:"discount_tax_compensation_amount"`
	TaxPercent                    Decimal `json:"tax_percent"`
	TaxAmount                     Decimal `json:"tax_amount"` // of the row, after discounts where the shop taxes so
	RowTotal                      Decimal `json:"row_total"`  // without tax, before discounts
	RowTotalInclTax               Decimal `json:"row_total_incl_tax"`
	WeeeTaxAppliedRowAmount       Decimal `json:"weee_tax_applied_row_amount"` // fixed product taxes of the row, without tax
	GwPrice                       Decimal `json:"gw_price"`                    // gift wrapping of one piece (Adobe Commerce)

	ProductOption       ProductOption      `json:"product_option"`
	ExtensionAttributes OrderItemExtension `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *OrderItem) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i OrderItem) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// OrderItemExtension holds the extension attributes of an order's row.
type OrderItemExtension struct {
	GwPrice Decimal `json:"gw_price"`

	asRead
}

// Get reads an attribute that a module of the shop's has added into v, a pointer, and reports whether there is one that is
// not null.
func (e OrderItemExtension) Get(name string, v any) (bool, error) { return e.get(name, v) }

// UnmarshalJSON keeps what the type has no field for.
func (e *OrderItemExtension) UnmarshalJSON(data []byte) error { return readObject(data, e) }

// MarshalJSON writes what was read with what was changed.
func (e OrderItemExtension) MarshalJSON() ([]byte, error) { return writeObject(e, e.asRead) }

// ProductOption is what the buyer chose on the product's page.
type ProductOption struct {
	ExtensionAttributes ProductOptionExtension `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (p *ProductOption) UnmarshalJSON(data []byte) error { return readObject(data, p) }

// MarshalJSON writes what was read with what was changed.
func (p ProductOption) MarshalJSON() ([]byte, error) { return writeObject(p, p.asRead) }

// ProductOptionExtension holds the choices by their kind.
type ProductOptionExtension struct {
	CustomOptions []CustomOption `json:"custom_options"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (p *ProductOptionExtension) UnmarshalJSON(data []byte) error { return readObject(data, p) }

// MarshalJSON writes what was read with what was changed.
func (p ProductOptionExtension) MarshalJSON() ([]byte, error) { return writeObject(p, p.asRead) }

// CustomOption is one custom option and what was entered for it: a text, or for a choice the ids of its values. Magento
// does not tell its title.
type CustomOption struct {
	OptionID    ID   `json:"option_id"`
	OptionValue Text `json:"option_value"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *CustomOption) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c CustomOption) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// OrderAddress is a billing or shipping address.
type OrderAddress struct {
	EntityID    ID     `json:"entity_id"`
	AddressType Text   `json:"address_type"`
	Firstname   Text   `json:"firstname"`
	Lastname    Text   `json:"lastname"`
	Company     Text   `json:"company"`
	Street      Street `json:"street"`
	City        Text   `json:"city"`
	Region      Text   `json:"region"`
	RegionCode  Text   `json:"region_code"`
	Postcode    Text   `json:"postcode"`
	CountryID   Text   `json:"country_id"` // ISO 3166-1 alpha-2
	Telephone   Text   `json:"telephone"`
	Email       Text   `json:"email"`
	VatID       Text   `json:"vat_id"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (a *OrderAddress) UnmarshalJSON(data []byte) error { return readObject(data, a) }

// MarshalJSON writes what was read with what was changed.
func (a OrderAddress) MarshalJSON() ([]byte, error) { return writeObject(a, a.asRead) }

// OrderPayment is how the order is paid. Method alone says nothing about whether it is.
type OrderPayment struct {
	Method           Text    `json:"method"`
	LastTransID      Text    `json:"last_trans_id"`
	PoNumber         Text    `json:"po_number"`
	AmountOrdered    Decimal `json:"amount_ordered"`
	AmountAuthorized Decimal `json:"amount_authorized"`
	AmountPaid       Decimal `json:"amount_paid"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (p *OrderPayment) UnmarshalJSON(data []byte) error { return readObject(data, p) }

// MarshalJSON writes what was read with what was changed.
func (p OrderPayment) MarshalJSON() ([]byte, error) { return writeObject(p, p.asRead) }

// OrderStatusHistory is a comment on an order.
type OrderStatusHistory struct {
	EntityID           ID   `json:"entity_id"`
	ParentID           ID   `json:"parent_id"`
	Comment            Text `json:"comment"`
	Status             Text `json:"status"`
	CreatedAt          Time `json:"created_at"`
	IsCustomerNotified Flag `json:"is_customer_notified"`
	IsVisibleOnFront   Flag `json:"is_visible_on_front"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (h *OrderStatusHistory) UnmarshalJSON(data []byte) error { return readObject(data, h) }

// MarshalJSON writes what was read with what was changed.
func (h OrderStatusHistory) MarshalJSON() ([]byte, error) { return writeObject(h, h.asRead) }
