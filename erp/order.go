package erp

import "time"

// SalesOrder is an order of the shop. A nil pointer or an Amount that is not Valid is a field that the shop did not
// tell; it is null in JSON. All amounts but BaseGrandTotal are in Currency.
//
// RowTotal, tax and totals are the truth: shops round unit prices, they need not multiply to the row.
type SalesOrder struct {
	// ExternalReference is the name of the order between shop and ERP: at most one document bears it.
	ExternalReference string     `json:"external_reference"`
	EntityID          *int64     `json:"entity_id"`
	IncrementID       *string    `json:"increment_id"`
	PlacedAt          *time.Time `json:"placed_at"` // UTC
	// PlacedOn is the date of PlacedAt in the store's time zone, YYYY-MM-DD: the day to book by.
	PlacedOn *string `json:"placed_on"`
	// Replaces is the increment id of the order that an edit replaced by this one.
	Replaces     *string `json:"replaces"`
	Store        Store   `json:"store"`
	Currency     *string `json:"currency"` // ISO 4217
	BaseCurrency *string `json:"base_currency"`
	// ExchangeRate times an amount in BaseCurrency is one in Currency.
	ExchangeRate    Quantity  `json:"exchange_rate"`
	BaseGrandTotal  Amount    `json:"base_grand_total"` // in BaseCurrency
	Customer        Customer  `json:"customer"`
	BillingAddress  *Address  `json:"billing_address"`
	ShippingAddress *Address  `json:"shipping_address"` // nil for an order without shipping
	Shipping        *Shipping `json:"shipping"`         // nil for an order without shipping
	Payment         Payment   `json:"payment"`
	Lines           []Line    `json:"lines"`
	Totals          Totals    `json:"totals"`
	Comment         *string   `json:"comment"` // the customer's note
}

// Store is the store view in which the order was placed.
type Store struct {
	ID   *int64  `json:"id"`
	Code *string `json:"code"`
	Name *string `json:"name"`
}

// Customer is who ordered.
type Customer struct {
	ID        *int64   `json:"id"` // nil for a guest
	Guest     *bool    `json:"guest"`
	GroupID   *int64   `json:"group_id"`
	WebsiteID *int64   `json:"website_id"`
	Email     *string  `json:"email"`
	FirstName *string  `json:"first_name"`
	LastName  *string  `json:"last_name"`
	TaxID     *string  `json:"tax_id"`
	Company   *Company `json:"company"` // B2B shops only
}

// Company is the company account that a B2B customer ordered for.
type Company struct {
	ID   *int64  `json:"id"`
	Name *string `json:"name"`
}

// Address is a billing or shipping address.
type Address struct {
	FirstName  *string  `json:"first_name"`
	LastName   *string  `json:"last_name"`
	Company    *string  `json:"company"`
	Street     []string `json:"street"` // lines; nil if not known
	City       *string  `json:"city"`
	Region     *string  `json:"region"`
	RegionCode *string  `json:"region_code"`
	Postcode   *string  `json:"postcode"`
	Country    *string  `json:"country"` // ISO 3166-1 alpha-2
	Telephone  *string  `json:"telephone"`
	TaxID      *string  `json:"tax_id"`
}

// Shipping is the method and its price.
type Shipping struct {
	Method                  *string  `json:"method"` // <carrier>_<method>
	Description             *string  `json:"description"`
	Amount                  Amount   `json:"amount"` // without tax, before discounts
	AmountInclTax           Amount   `json:"amount_incl_tax"`
	TaxAmount               Amount   `json:"tax_amount"`
	TaxPercent              Quantity `json:"tax_percent"`
	TaxCode                 *string  `json:"-"`               // as Line.TaxCode
	DiscountAmount          Amount   `json:"discount_amount"` // 0 or above; part of Totals.Discount
	DiscountTaxCompensation Amount   `json:"discount_tax_compensation"`
}

// Payment is how the order is paid.
type Payment struct {
	Method              *string `json:"method"`
	TransactionID       *string `json:"transaction_id"`
	PurchaseOrderNumber *string `json:"purchase_order_number"`
	AmountOrdered       Amount  `json:"amount_ordered"`
	AmountAuthorized    Amount  `json:"amount_authorized"`
	AmountPaid          Amount  `json:"amount_paid"`
}

// Line is one thing that was sold.
type Line struct {
	// Reference is the shop's id of the row; shipments, cancellations and credit memos name it.
	Reference string `json:"reference"`
	// ParentReference is the line whose price includes this one's.
	ParentReference         *string  `json:"parent_reference"`
	Type                    *string  `json:"type"` // Magento's product type
	ProductID               *int64   `json:"product_id"`
	SKU                     *string  `json:"sku"`
	Name                    *string  `json:"name"`
	Options                 []Option `json:"options"`
	Quantity                Quantity `json:"quantity"`
	UnitPrice               Amount   `json:"unit_price"` // without tax
	UnitPriceInclTax        Amount   `json:"unit_price_incl_tax"`
	DiscountAmount          Amount   `json:"discount_amount"` // of the row, 0 or above
	DiscountTaxCompensation Amount   `json:"discount_tax_compensation"`
	TaxPercent              Quantity `json:"tax_percent"`
	TaxCode                 *string  `json:"-"` // Magento's code of the rate, where exactly one applies
	TaxAmount               Amount   `json:"tax_amount"`
	RowTotal                Amount   `json:"row_total"` // without tax, before discounts
	RowTotalInclTax         Amount   `json:"row_total_incl_tax"`
}

// Option is a custom option of the product and what the buyer entered for it.
type Option struct {
	ID    *int64  `json:"id"`
	Label *string `json:"label"`
	Value *string `json:"value"`
}

// Totals adds up: Subtotal + Discount + DiscountTaxCompensation + Shipping + Tax + all Adjustments + Other is
// GrandTotal, where a part that is not known counts as 0. Without a grand total Other is not known either.
type Totals struct {
	Subtotal Amount `json:"subtotal"`
	Discount Amount `json:"discount"` // 0 or below
	// DiscountTaxCompensation is the tax that is part of discounts on prices that include tax: of all lines and of
	// shipping.
	DiscountTaxCompensation Amount       `json:"discount_tax_compensation"`
	Shipping                Amount       `json:"shipping"`
	Tax                     Amount       `json:"tax"`
	Adjustments             []Adjustment `json:"adjustments"`
	Other                   Amount       `json:"other"`
	GrandTotal              Amount       `json:"grand_total"`
}

// Adjustment is a part of the grand total that the shop names and that is not zero. One that pays is below 0.
type Adjustment struct {
	Code   AdjustmentCode `json:"code"`
	Amount Amount         `json:"amount"`
}

// AdjustmentCode says what an Adjustment is for.
type AdjustmentCode string

// The adjustments, in the order in which they are listed.
const (
	GiftCard     AdjustmentCode = "gift_card"
	StoreCredit  AdjustmentCode = "store_credit"
	RewardPoints AdjustmentCode = "reward_points"
	GiftWrap     AdjustmentCode = "gift_wrap"
	WEEE         AdjustmentCode = "weee" // fixed product taxes
)
