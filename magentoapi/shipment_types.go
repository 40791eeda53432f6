package magentoapi

// The shipment as GET /V1/shipment/:id and GET /V1/shipments answer it. Names and meanings are those of Magento's
// ShipmentInterface, ShipmentItemInterface, ShipmentTrackInterface and ShipmentCommentInterface
// (app/code/Magento/Sales/Api/Data). What these types have no field for is kept: see asRead.

// Shipment is what was sent of an order at once.
type Shipment struct {
	EntityID      ID      `json:"entity_id"`
	IncrementID   Text    `json:"increment_id"` // the number shown to people
	OrderID       ID      `json:"order_id"`
	StoreID       ID      `json:"store_id"`
	CustomerID    ID      `json:"customer_id"` // 0 for a guest
	CreatedAt     Time    `json:"created_at"`
	UpdatedAt     Time    `json:"updated_at"`
	TotalQty      Decimal `json:"total_qty"`
	EmailSent     Flag    `json:"email_sent"`
	ShippingLabel Text    `json:"shipping_label"` // see ShipmentsService.Label

	Items    []ShipmentItem    `json:"items"`
	Tracks   []ShipmentTrack   `json:"tracks"`
	Comments []DocumentComment `json:"comments"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (s *Shipment) UnmarshalJSON(data []byte) error { return readObject(data, s) }

// MarshalJSON writes what was read with what was changed.
func (s Shipment) MarshalJSON() ([]byte, error) { return writeObject(s, s.asRead) }

// SourceCode gives the code of the place that it was sent from; "" in a shop without Magento's Inventory (MSI).
func (s *Shipment) SourceCode() string {
	var code Text
	if ok, err := s.ExtensionAttributes.Get("source_code", &code); !ok || err != nil {
		return ""
	}
	return string(code)
}

// ShipmentItem is a row of a shipment. Of a composite product it has a row for what Magento ships by, and may have rows
// for the others, also with quantity 0.
type ShipmentItem struct {
	EntityID    ID      `json:"entity_id"`
	OrderItemID ID      `json:"order_item_id"`
	ProductID   ID      `json:"product_id"`
	SKU         Text    `json:"sku"`
	Name        Text    `json:"name"`
	Qty         Decimal `json:"qty"`
	Price       Decimal `json:"price"`
	Weight      Decimal `json:"weight"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *ShipmentItem) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i ShipmentItem) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// The bounds of a track's columns, in characters (sales_shipment_track in app/code/Magento/Sales/etc/db_schema.xml).
const (
	MaxTrackTitle  = 255
	MaxCarrierCode = 32
)

// CarrierCustom is the carrier code of all carriers that the shop has no code for.
const CarrierCustom = "custom"

// ShipmentTrack is a tracking number of a shipment.
type ShipmentTrack struct {
	EntityID    ID      `json:"entity_id"`
	OrderID     ID      `json:"order_id"`
	ParentID    ID      `json:"parent_id"` // entity id of the shipment
	TrackNumber Text    `json:"track_number"`
	Title       Text    `json:"title"`        // the carrier's name, shown to the customer; at most MaxTrackTitle
	CarrierCode Text    `json:"carrier_code"` // CarrierCustom or that of an installed carrier, such as dhl, ups, usps, fedex
	Description Text    `json:"description"`
	Weight      Decimal `json:"weight"`
	Qty         Decimal `json:"qty"`
	CreatedAt   Time    `json:"created_at"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (t *ShipmentTrack) UnmarshalJSON(data []byte) error { return readObject(data, t) }

// MarshalJSON writes what was read with what was changed.
func (t ShipmentTrack) MarshalJSON() ([]byte, error) { return writeObject(t, t.asRead) }
