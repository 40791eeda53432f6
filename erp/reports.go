package erp

import (
	"context"
	"time"
)

// Off is the error of a connector that is set not to report something, by an option of the file of codes. It is skipped.
type Off struct{ Reason string }

func (o *Off) Error() string { return o.Reason }

// ShipmentReporter is the ability to tell an ERP of the shop's shipments.
type ShipmentReporter interface {
	// ReportShipment books a shipment once. Where c.Uncertain, an earlier call may have been carried out: the connector looks
	// it up, and asks c.MayRepeat before it sends, unless the ERP answers a second call with the same key as the first. Several
	// requests are steps of c, as in Create. The Document may be empty.
	ReportShipment(ctx context.Context, c Call, s Shipment) (Document, error)
}

// CreditMemoReporter is the ability to tell an ERP of the shop's credit memos.
type CreditMemoReporter interface {
	// ReportCreditMemo books a credit memo once, and has the ERP's order not ship what was refunded: the line is reduced to
	// CreditMemoLine.Row.Keep, and the document cancelled where nothing was shipped and nothing is open. For the rest it is as
	// ReportShipment.
	ReportCreditMemo(ctx context.Context, c Call, m CreditMemo) (Document, error)
}

// CustomerWriter is the ability to keep the shop's customers in an ERP.
type CustomerWriter interface {
	// WriteCustomer creates or changes a customer. It may be called any number of times with the same customer. Two calls for
	// one customer never run at once. Several requests are steps of c where they can't be repeated.
	WriteCustomer(ctx context.Context, c Call, r CustomerRecord) (Document, error)
}

// Shipment is what the shop has shipped of an order.
type Shipment struct {
	// ExternalReference is the name of the shipment between shop and ERP.
	ExternalReference string `json:"external_reference"`
	EntityID          *int64 `json:"entity_id"`
	// OrderReference is the order's ExternalReference, and DocumentNumber its document in the ERP.
	OrderReference string     `json:"order_reference"`
	DocumentNumber string     `json:"document_number"`
	CreatedAt      *time.Time `json:"created_at"` // UTC
	SourceCode     *string    `json:"source_code"`
	// Origin says who made the shipment in the shop.
	Origin Origin         `json:"origin"`
	Lines  []ShipmentLine `json:"lines"`
	Tracks []Track        `json:"tracks"`

	// Store is that of the order, and PlacedOn the day of the shipment in its time zone.
	Store    Store   `json:"-"`
	PlacedOn *string `json:"-"`
	// All are the lines of the order as they stand after this shipment: those too that it does not ship.
	All []OrderRow `json:"-"`
}

// Origin says who made a shipment.
type Origin string

// The origins of shipments.
const (
	FromMagento  Origin = "magento"
	FromMageline Origin = "mageline" // it came of a tracking number
)

// ShipmentLine is how much of one line of the sales order was shipped.
type ShipmentLine struct {
	Reference string   `json:"reference"` // that of the sales order's line
	SKU       *string  `json:"sku"`
	Quantity  Quantity `json:"quantity"`
	Row       Row      `json:"-"` // how the order's row stands now
}

// OrderRow is one line of an order and how it stands.
type OrderRow struct {
	Reference string
	SKU       *string
	Row       Row
}

// Track is a parcel's tracking number.
type Track struct {
	CarrierCode    *string `json:"carrier_code"`
	Title          *string `json:"title"`
	TrackingNumber *string `json:"tracking_number"`
}

// CreditMemo is what the shop has given back of an order's price.
type CreditMemo struct {
	ExternalReference string     `json:"external_reference"`
	EntityID          *int64     `json:"entity_id"`
	OrderReference    string     `json:"order_reference"`
	DocumentNumber    string     `json:"document_number"`
	InvoiceReference  *string    `json:"invoice_reference"` // the shop's number of the invoice
	CreatedAt         *time.Time `json:"created_at"`
	// State is open, refunded or canceled; nil for another one of the shop's.
	State    *string          `json:"state"`
	Currency *string          `json:"currency"`
	Lines    []CreditMemoLine `json:"lines"` // none for a refund of shipping or an adjustment
	Shipping CreditedShipping `json:"shipping"`
	// AdjustmentRefund is paid back beside the lines, AdjustmentFee is kept back.
	AdjustmentRefund Amount  `json:"adjustment_refund"`
	AdjustmentFee    Amount  `json:"adjustment_fee"`
	Totals           Totals  `json:"totals"`
	OrderState       *string `json:"order_state"`
	TransactionID    *string `json:"transaction_id"`
	Comment          *string `json:"comment"`

	// Store and Customer are those of the order, and PlacedOn the day of the credit memo in the store's time zone.
	Store    Store    `json:"-"`
	Customer Customer `json:"-"`
	PlacedOn *string  `json:"-"`
	// All are the lines of the order as they stand after this credit memo: those too of which it credits nothing.
	All []OrderRow `json:"-"`
}

// Over reports whether the order's document is to be cancelled: nothing was shipped of the order, and nothing is open.
func (m CreditMemo) Over() bool {
	for _, r := range m.All {
		if r.Row.Keep().IsPositive() {
			return false
		}
	}
	return len(m.All) > 0
}

// CreditMemoLine is what is credited of one line of the sales order.
type CreditMemoLine struct {
	Reference               string   `json:"reference"`
	SKU                     *string  `json:"sku"`
	Quantity                Quantity `json:"quantity"`
	RowTotal                Amount   `json:"row_total"`
	RowTotalInclTax         Amount   `json:"row_total_incl_tax"`
	DiscountAmount          Amount   `json:"discount_amount"`
	TaxAmount               Amount   `json:"tax_amount"`
	DiscountTaxCompensation Amount   `json:"discount_tax_compensation"`
	Row                     Row      `json:"order_line"`

	Name       *string  `json:"-"`
	TaxPercent Quantity `json:"-"` // as in the order's line
	TaxCode    *string  `json:"-"`
}

// CreditedShipping is what is credited of the price of shipping.
type CreditedShipping struct {
	Amount    Amount `json:"amount"`
	TaxAmount Amount `json:"tax_amount"`

	TaxPercent Quantity `json:"-"` // as in the order's shipping
	TaxCode    *string  `json:"-"`
}

// CustomerRecord is a customer of the shop.
type CustomerRecord struct {
	ID        int64             `json:"id"`
	WebsiteID *int64            `json:"website_id"`
	GroupID   *int64            `json:"group_id"`
	Email     *string           `json:"email"`
	FirstName *string           `json:"first_name"`
	LastName  *string           `json:"last_name"`
	TaxID     *string           `json:"tax_id"`
	Company   *Company          `json:"company"`
	CreatedAt *time.Time        `json:"created_at"`
	UpdatedAt *time.Time        `json:"updated_at"`
	Addresses []CustomerAddress `json:"addresses"`

	// ExternalReference is the name of the customer between shop and ERP: CustomerReference of its id.
	ExternalReference string `json:"-"`
	// Store is where the customer registered.
	Store Store `json:"-"`
}

// CustomerAddress is an address in a customer's address book.
type CustomerAddress struct {
	Address
	ID              *int64 `json:"id"`
	DefaultBilling  bool   `json:"default_billing"`
	DefaultShipping bool   `json:"default_shipping"`
}
