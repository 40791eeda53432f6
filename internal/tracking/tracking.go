// Package tracking reads a 3PL's files of tracking numbers (docs/tracking.md): it turns a stream of bytes into parcels and bad rows.
// It knows nothing of directories (internal/inbox), events or Magento.
//
// What the rows of a file are is found by internal/table. A file is read twice and never kept in memory: table.Look finds its hash,
// its encoding and whether it is a text at all, so that no parcel of an unusable file goes out. Then a [Reader] returns its parcels
// and bad rows.
package tracking

import (
	"encoding/json"
	"fmt"

	"github.com/mageline/mageline/internal/table"
)

// Parcel is the body of a message shipping.tracking.received. It comes from one row, or from adjacent rows of one parcel.
type Parcel struct {
	OrderNumber    string `json:"order_number"`
	TrackingNumber string `json:"tracking_number"`
	CarrierCode    string `json:"carrier_code"`
	Title          string `json:"title,omitempty"`
	ShipmentNumber string `json:"shipment_number,omitempty"`
	SourceCode     string `json:"source_code,omitempty"`
	Items          []Item `json:"items,omitempty"`
	// Joins is the tracking number of a parcel to whose shipment this one goes, without items of its own.
	Joins string `json:"joins,omitempty"`
	// Pad is false where the order is looked up by the number as it is, without zeros in front; nil otherwise.
	Pad *bool `json:"pad,omitempty"`

	// Line is the line of the file on which the first of its rows begins, LastLine that of the last one. Rows counts them.
	Line, LastLine, Rows int `json:"-"`
}

// Item is a SKU of a parcel.
type Item struct {
	SKU string `json:"sku"`
	// Quantity is a decimal above 0 in its shortest form; empty means all that is open of the SKU.
	Quantity json.Number `json:"quantity,omitempty"`
}

// Bounds of a row, far above what a 3PL sends; those of a file are in internal/table.
const (
	// maxCell bounds a cell that is used, in bytes, and maxIdentifier one with a number or a code, in characters.
	maxCell       = 1024
	maxIdentifier = 255
	// maxItems bounds the items of a parcel. The rows that follow make another parcel.
	maxItems = 1000
)

func unusable(format string, args ...any) error {
	return &table.UnusableError{Reason: fmt.Sprintf(format, args...)}
}

// The known columns.
const (
	columnOrder = iota
	columnTracking
	columnCarrier
	columnTitle
	columnShipment
	columnSKU
	columnQuantity
	columnSource
	columns
)

var columnNames = [columns]string{
	"order_number", "tracking_number", "carrier_code", "title", "shipment_number", "sku", "quantity", "source_code",
}

// ColumnNames returns the names of the known columns.
func ColumnNames() []string { return columnNames[:] }
