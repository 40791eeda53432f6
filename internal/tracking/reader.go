package tracking

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// Reader returns the parcels and bad rows of a file, in its order. It keeps one row and one parcel in memory.
type Reader struct {
	*table.Reader
	layout   layout
	carriers map[string]string // by what the file says, in lower case
	named    map[string]named  // by what the file says, those that were read
	items    []Item            // that the next parcels will have
	// carrierBefore is the carrier of the row before, if its title is the file's text.
	carrierBefore named

	next   *Parcel // gathers, if it has rows
	spare  *Parcel // where the next one is made: most rows are one, and copying costs
	bad    *table.BadRow
	failed error
}

// NewReader returns a Reader of a file. about is from [table.Look]. It fails with a *table.UnusableError if no row of the file can be
// used. That the file has too many rows, or bytes that are no text, only [Reader.Next] finds: see [Check].
func NewReader(file io.ReadSeeker, about table.About, format Format) (*Reader, error) {
	options, err := format.options()
	if err != nil {
		return nil, err
	}
	t, err := table.NewReader(file, about, options)
	if err != nil {
		return nil, format.named(err)
	}
	r := &Reader{
		Reader: t, carriers: make(map[string]string, len(format.Carriers)), named: map[string]named{},
		next: &Parcel{}, spare: &Parcel{},
	}
	for theirs, ours := range format.Carriers {
		r.carriers[strings.ToLower(theirs)] = ours
		r.carriers[strings.ToLower(ours)] = ours
	}
	r.layout, err = layoutOf(format, t)
	return r, err
}

// named returns an error of a table in the words of tracking files.
func (f Format) named(err error) error {
	if u := (*table.UnusableError)(nil); errors.As(err, &u) && u.NoHeader {
		return f.missing(u.Header)
	}
	return err
}

// Next returns the next parcel or the next bad row, and io.EOF at the end.
func (r *Reader) Next() (Parcel, *table.BadRow, error) {
	for {
		if r.bad != nil && r.next.Rows == 0 {
			bad := r.bad
			r.bad = nil
			return Parcel{}, bad, nil
		}
		if r.bad != nil || r.failed != nil && r.next.Rows > 0 {
			p := *r.next
			r.next.Rows = 0
			return p, nil, nil
		}
		if r.failed != nil {
			return Parcel{}, nil, r.failed
		}
		row, err := r.Reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			r.failed = err
		case err != nil:
			return r.fail(err)
		default:
			if p := r.take(row); p != nil {
				return *p, nil, nil
			}
		}
	}
}

func (r *Reader) fail(err error) (Parcel, *table.BadRow, error) {
	r.failed, r.next.Rows = err, 0
	return Parcel{}, nil, err
}

// take adds a row, and returns the parcel that is complete by it, if any.
func (r *Reader) take(row table.Row) *Parcel {
	n, p := r.next, r.spare
	reason := row.Fault
	if reason == "" {
		reason = r.parcel(p, row)
	}
	if reason != "" {
		r.bad = row.Bad(reason)
		return nil
	}
	if n.Rows == 0 {
		r.next, r.spare = p, n
		return nil
	}
	if n.TrackingNumber != p.TrackingNumber || n.OrderNumber != p.OrderNumber || n.ShipmentNumber != p.ShipmentNumber ||
		len(n.Items) == maxItems {
		r.next, r.spare = p, n
		return n
	}
	n.Items = append(n.Items, p.Items...)
	n.Rows++
	n.LastLine = p.Line
	if n.CarrierCode == custom && n.Title == "" {
		n.CarrierCode, n.Title = p.CarrierCode, p.Title
	}
	if n.SourceCode == "" {
		n.SourceCode = p.SourceCode
	}
	return nil
}

// Columns maps our names of the columns that were found to the file's names or numbers.
func (r *Reader) Columns() map[string]string {
	found := map[string]string{}
	for column, i := range r.layout.at {
		switch {
		case i < 0:
		case r.layout.names != nil:
			found[columnNames[column]] = r.layout.names[i]
		default:
			found[columnNames[column]] = strconv.Itoa(i + 1)
		}
	}
	return found
}

// NewRejected returns what writes bad rows to w.
func (r *Reader) NewRejected(w io.Writer) (*table.Rejected, error) {
	cells := 0
	for _, at := range r.layout.at {
		cells = max(cells, at+1)
	}
	return r.Reader.NewRejected(w, cells)
}

// Check fails with a *table.UnusableError for a file with too many rows, or with bytes that are no text: no parcel of such a file may
// go out. It reads the file only if its size leaves that open.
func Check(file io.ReadSeeker, about table.About, format Format) error {
	options, err := format.options()
	if err != nil {
		return err
	}
	return format.named(table.Check(file, about, options))
}
