// Package tracking reads the files in which a 3PL tells its tracking numbers, as docs/tracking.md has them: it makes
// parcels and bad rows of a stream of bytes. It knows nothing of directories (internal/tracking/inbox), events or Magento.
//
// A file is read twice, and never held: [Look] finds its hash, its encoding and whether it is one to be read at all, so
// that nothing has gone out of a file that turns out to be none; a [Reader] then gives what is in it.
package tracking

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Parcel is a message shipping.tracking.received: one row, or neighbouring rows of one parcel.
type Parcel struct {
	OrderNumber    string `json:"order_number"`
	TrackingNumber string `json:"tracking_number"`
	CarrierCode    string `json:"carrier_code"`
	Title          string `json:"title,omitempty"`
	ShipmentNumber string `json:"shipment_number,omitempty"`
	SourceCode     string `json:"source_code,omitempty"`
	Items          []Item `json:"items,omitempty"`

	// Line is that of the file on which the first of its rows begins, LastLine that of its last one; Rows counts them.
	Line, LastLine, Rows int `json:"-"`
}

// Item is what a parcel holds of a SKU.
type Item struct {
	SKU string `json:"sku"`
	// Quantity is a decimal above 0, as short as it can be written; empty is all that is open of the SKU.
	Quantity json.Number `json:"quantity,omitempty"`
}

// BadRow is a row of which no parcel can be made.
type BadRow struct {
	Line   int    // on which it begins
	Reason string // names columns, and nothing of what is in them
	// Raw is the row as it was, in UTF-8, without its line break; cut where it has more than MaxRow bytes.
	Raw string

	cells []string // set where Raw can't be read again as what it was meant to be: a quote that is never closed
}

// Format is what a 3PL's files are like, where the contract does not say it.
type Format struct {
	// Columns has the file's own name of a column by ours (order_number=Auftragsnr.), or the column's number, from 1,
	// for files without a header: then for all of them.
	Columns map[string]string
	// Carriers has Magento's carrier code by the file's carrier.
	Carriers map[string]string
}

// The bounds of a file. What a 3PL sends stays far below each of them.
const (
	// MaxRows is how many rows a file may have, bad ones included.
	MaxRows = 1_000_000
	// MaxBytes is how large it may be.
	MaxBytes = 256 << 20
	// MaxRow is how long a row may be, in bytes of UTF-8; a longer one is bad.
	MaxRow = 1 << 20
	// maxCell is how long a cell may be that is used, in bytes; maxIdentifier one with a number or a code, in characters.
	maxCell       = 1024
	maxIdentifier = 255
	// maxItems is how many items a parcel may have; the rows that follow make another one.
	maxItems = 1000
)

// UnusableError says that nothing can be made of a file.
type UnusableError struct {
	// Reason tells what is wrong, and what to do. It holds nothing of the file.
	Reason string
	// Header is the first row, where that is what is wrong; for the person at whose side the file is, not for logs.
	Header []string
}

func (e *UnusableError) Error() string { return e.Reason }

func unusable(format string, args ...any) error {
	return &UnusableError{Reason: fmt.Sprintf(format, args...)}
}

// ErrRefused says that a path leads to what is not to be read: out of the inbox, through a symbolic link, or to something
// that is no file.
var ErrRefused = errors.New("not a file of the inbox")

// File is an opened file of the inbox. Its ways out each give the name under which it is now, in the directory that they
// name; that it is gone already is no error, and gives "".
type File interface {
	io.ReadSeekCloser
	// Rejected begins the file of bad rows anew. id names it until Processed shows it, also over the end of this process;
	// closed, it is on the disk.
	Rejected(id string) (io.WriteCloser, error)
	// Processed moves the file to processed/, and first the bad rows of that id, if there are any, to failed/.
	Processed(id string) (name string, err error)
	// Failed moves the file to failed/, with what is wrong beside it, and forgets the bad rows of that id.
	Failed(id, explanation string) (name string, err error)
}

// The columns that are known.
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

// ColumnNames gives the names of the columns that are known.
func ColumnNames() []string { return columnNames[:] }

// folded is a column's name without what does not count in it.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || isSpace(r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}
