package tracking

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// Reader returns the parcels and bad rows of a file, in its order. It keeps one row and one parcel in memory.
type Reader struct {
	rows     *rows
	layout   layout
	carriers map[string]string // by what the file says, in lower case
	named    map[string]named  // by what the file says, those that were read
	items    []Item            // that the next parcels will have
	// carrierBefore is the carrier of the row before, if its title is the file's text.
	carrierBefore named
	about         About
	wide          bool // UTF-16: whether it is text shows in its characters only

	total  int     // rows so far, bad ones included
	next   *Parcel // gathers, if it has rows
	spare  *Parcel // where the next one is made: most rows are one, and copying costs
	bad    *BadRow
	failed error
}

// NewReader returns a Reader of a file, which must be at its beginning. about is from [Look]. It fails with an *UnusableError if no
// row of the file can be used. That the file has too many rows, or bytes that are no text, only [Reader.Next] finds: see [Check].
func NewReader(file io.Reader, about About, format Format) (*Reader, error) {
	switch {
	case about.Size == 0:
		return nil, errEmpty
	case about.Size > MaxBytes:
		return nil, unusable("the file has %d bytes, at most %d are read: split it", about.Size, MaxBytes)
	case about.zero:
		return nil, errNotText
	}
	text, err := about.Encoding.text(file)
	if err != nil {
		return nil, err
	}
	r := &Reader{
		rows: newRows(text), about: about, wide: about.Encoding == UTF16LE || about.Encoding == UTF16BE,
		carriers: make(map[string]string, len(format.Carriers)), named: map[string]named{},
		next: &Parcel{}, spare: &Parcel{},
	}
	for theirs, ours := range format.Carriers {
		r.carriers[strings.ToLower(theirs)] = ours
		r.carriers[strings.ToLower(ours)] = ours
	}
	if err := r.begin(format); err != nil {
		return nil, err
	}
	return r, nil
}

var (
	errEmpty   = unusable("the file is empty")
	errNotText = unusable("the file is not text: it has bytes of 0, as workbooks (.xlsx), archives and images have; export it as CSV")
)

// begin finds the layout in the first row.
func (r *Reader) begin(format Format) error {
	end, err := r.rows.begin()
	switch {
	case errors.Is(err, io.EOF):
		return errEmpty
	case errors.Is(err, errLong):
		return unusable("the first row is longer than a mebibyte: this is no CSV")
	case err != nil:
		return err
	}
	split := func(delimiter byte) (names []string) {
		r.rows.delimiter = delimiter
		first, _, _ := r.rows.look(end)
		for _, c := range first.cells {
			names = append(names, strings.ToValidUTF8(string(c.text), "\uFFFD"))
		}
		return names
	}
	if r.layout, err = layoutOf(format, split); err != nil {
		return err
	}
	r.rows.delimiter = r.layout.delimiter
	if !r.layout.header {
		return nil
	}
	header, err := r.rows.next()
	if err == nil && r.wide && bytes.IndexByte(header.raw, 0) >= 0 {
		err = errNotText
	}
	return err
}

// Next returns the next parcel or the next bad row, and io.EOF at the end.
func (r *Reader) Next() (Parcel, *BadRow, error) {
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
		row, err := r.rows.next()
		switch {
		case err != nil:
			if r.failed = err; !errors.Is(err, io.EOF) {
				return Parcel{}, nil, err
			}
		case r.wide && bytes.IndexByte(row.raw, 0) >= 0:
			return r.fail(errNotText)
		case r.total == MaxRows:
			return r.fail(unusable("the file has more than %d rows: split it", MaxRows))
		default:
			if p := r.take(row); p != nil {
				return *p, nil, nil
			}
		}
	}
}

func (r *Reader) fail(err error) (Parcel, *BadRow, error) {
	r.failed, r.next.Rows = err, 0
	return Parcel{}, nil, err
}

// take adds a row, and returns the parcel that is complete by it, if any.
func (r *Reader) take(row row) *Parcel {
	r.total++
	n, p := r.next, r.spare
	reason := row.fault
	if reason == "" {
		reason = r.parcel(p, row)
	}
	if reason != "" {
		r.bad = &BadRow{Line: row.line, Reason: reason, Raw: string(row.raw)}
		if row.fault == faultQuote {
			for _, c := range row.cells {
				r.bad.cells = append(r.bad.cells, string(c.text))
			}
		}
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

// Rows returns how many rows were read so far, bad ones included.
func (r *Reader) Rows() int { return r.total }

// Delimiter returns the delimiter of the file.
func (r *Reader) Delimiter() byte { return r.layout.delimiter }

// Columns maps our names of the columns that were found to the file's names or numbers.
func (r *Reader) Columns() map[string]string {
	found := map[string]string{}
	for column, i := range r.layout.at {
		switch {
		case i < 0:
		case r.layout.header:
			found[columnNames[column]] = r.layout.names[i]
		default:
			found[columnNames[column]] = number(i + 1)
		}
	}
	return found
}

// Check fails with an *UnusableError for a file with too many rows, or with bytes that are no text: no parcel of such a file may go
// out. It reads the file only if its size leaves that open.
func Check(file io.Reader, about About, format Format) error {
	if about.lines < MaxRows && !slices.Contains([]Encoding{UTF16LE, UTF16BE}, about.Encoding) {
		return nil
	}
	r, err := NewReader(file, about, format)
	for err == nil {
		_, _, err = r.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
