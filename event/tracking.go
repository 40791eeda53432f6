package event

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// Tracking is the body of shipping.tracking.received: a parcel of an order has a tracking number (docs/tracking.md).
type Tracking struct {
	OrderNumber string
	// TrackingNumber is "" for a parcel that has none, such as one that an own van takes.
	TrackingNumber string
	// Joins is another tracking number, whose shipment this one goes to; "" for none. Such a parcel has no items of its own.
	Joins string
	// Exact means that the order number is the whole number: without zeros in front it is another one.
	Exact bool
	// CarrierCode and Title are the carrier's; "" if not known.
	CarrierCode, Title string
	// ShipmentNumber names one of the order's shipments, "" for none.
	ShipmentNumber string
	// SourceCode is the source that the parcel leaves from (Magento's MSI); "" if not known.
	SourceCode string
	// Items are what is in the parcel, each SKU once, sorted by SKU; none if not known.
	Items []ParcelItem
}

// ParcelItem is one SKU of a parcel. Quantity is above 0. A Quantity that is not Valid means all that is open of the SKU.
type ParcelItem struct {
	SKU      string
	Quantity decimal.NullDecimal
}

const (
	// maxParcelItems bounds the SKUs of a parcel.
	maxParcelItems = 1000
	// maxNumber bounds the numbers of an order, a parcel and a shipment, in characters. No carrier has longer ones.
	maxNumber = 255
)

// ParseTracking reads the body of an event about a tracking number. A body that can't be used is Invalid.
func ParseTracking(body json.RawMessage) (Tracking, error) {
	var m struct {
		OrderNumber    Text            `json:"order_number"`
		TrackingNumber Text            `json:"tracking_number"`
		Joins          Text            `json:"joins"`
		Pad            json.RawMessage `json:"pad"`
		CarrierCode    Text            `json:"carrier_code"`
		Title          Text            `json:"title"`
		ShipmentNumber Text            `json:"shipment_number"`
		SourceCode     Text            `json:"source_code"`
		Items          []struct {
			SKU      Text            `json:"sku"`
			Quantity json.RawMessage `json:"quantity"`
		} `json:"items"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return Tracking{}, Errorf(Invalid, "the event can't be read as one about a tracking number: %w", err)
	}
	t := Tracking{
		OrderNumber: string(m.OrderNumber), TrackingNumber: string(m.TrackingNumber), Joins: string(m.Joins), CarrierCode: string(m.CarrierCode),
		Title: string(m.Title), ShipmentNumber: string(m.ShipmentNumber), SourceCode: string(m.SourceCode),
	}
	for _, n := range []struct {
		name, value string
		needed      bool
	}{
		{"order_number", t.OrderNumber, true},
		{"tracking_number", t.TrackingNumber, t.Joins != ""},
		{"joins", t.Joins, false},
		{"shipment_number", t.ShipmentNumber, false},
		{"source_code", t.SourceCode, false},
	} {
		switch {
		case n.needed && n.value == "":
			return Tracking{}, Errorf(Invalid, "the event has no %s; its members are %s", n.name, MemberNames(body))
		case utf8.RuneCountInString(n.value) > maxNumber:
			return Tracking{}, Errorf(Invalid, "%s has more than %d characters", n.name, maxNumber)
		}
	}
	switch pad := string(bytes.Trim(m.Pad, "\"")); pad {
	case "", "null", "true", "false":
		t.Exact = pad == "false"
	default:
		return Tracking{}, Errorf(Invalid, "pad must be true or false")
	}
	if t.Joins != "" {
		return t, nil // what is in the parcel is with the number that it joins
	}
	if len(m.Items) > maxParcelItems {
		return Tracking{}, Errorf(Invalid, "the parcel has %d items, at most %d are read", len(m.Items), maxParcelItems)
	}
	for i, item := range m.Items {
		quantity, err := parcelQuantity(item.Quantity)
		if err == nil && item.SKU == "" {
			err = Errorf(Invalid, "it has no sku")
		}
		if err != nil {
			return Tracking{}, Errorf(Invalid, "item %d of the parcel: %w", i+1, err)
		}
		t.gather(ParcelItem{string(item.SKU), quantity})
	}
	slices.SortFunc(t.Items, func(a, b ParcelItem) int { return strings.Compare(a.SKU, b.SKU) })
	return t, nil
}

// gather adds an item to the others of its SKU. One without a quantity means all that is open, whatever the others say.
func (t *Tracking) gather(item ParcelItem) {
	at := slices.IndexFunc(t.Items, func(other ParcelItem) bool { return other.SKU == item.SKU })
	switch {
	case at < 0:
		t.Items = append(t.Items, item)
	case !item.Quantity.Valid || !t.Items[at].Quantity.Valid:
		t.Items[at].Quantity = decimal.NullDecimal{}
	default:
		t.Items[at].Quantity.Decimal = t.Items[at].Quantity.Decimal.Add(item.Quantity.Decimal)
	}
}

// parcelQuantity reads a number or a string of one. Null, "" and nothing mean no quantity.
func parcelQuantity(raw json.RawMessage) (decimal.NullDecimal, error) {
	const right = "quantity must be a number above 0, of at most 12 digits with 4 behind the point"
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return decimal.NullDecimal{}, nil
	}
	var text Text
	if text.UnmarshalJSON(raw) != nil || len(text) > 40 {
		return decimal.NullDecimal{}, Errorf(Invalid, right)
	}
	if text == "" {
		return decimal.NullDecimal{}, nil
	}
	d, err := decimal.NewFromString(string(text))
	// The bounds of Magento's columns (app/code/Magento/Sales/etc/db_schema.xml); the exponent first: 1e999999999 would
	// fill the memory when it is written out.
	if err != nil || d.Exponent() > 12 || d.Exponent() < -20 || !d.IsPositive() || !d.Equal(d.Truncate(4)) ||
		d.GreaterThanOrEqual(decimal.New(1, 8)) {
		return decimal.NullDecimal{}, Errorf(Invalid, right)
	}
	return decimal.NewNullDecimal(d), nil
}

// Key returns the business key: order, tracking number and items.
func (t Tracking) Key() string {
	var b strings.Builder
	b.WriteString(t.OrderNumber + ":" + t.TrackingNumber)
	for i, item := range t.Items {
		b.WriteString(map[bool]string{true: ":", false: ","}[i == 0] + item.SKU)
		if item.Quantity.Valid {
			b.WriteString("=" + item.Quantity.Decimal.String())
		}
	}
	return b.String()
}
