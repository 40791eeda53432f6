package tracking

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// Reader returns the parcels and bad rows of a file, in its order. It keeps one row and one parcel in memory.
type Reader struct {
	*table.Reader
	// Skipped is called for each row that is left out by a rule of the profile. It may be nil.
	Skipped func(line int, reason string)

	profile *Profile
	layout  layout
	skipped int
	header  int              // rows that are headers though columns are numbers
	named   map[string]named // by what the file says, those that were read
	items   []Item           // that the next parcels will have
	// carrierBefore is the carrier of the row before, if its title is the file's text.
	carrierBefore named

	above  above   // what became of the last row with a number
	next   *parcel // gathers, if it has rows
	spare  *parcel // where the next one is made: most rows are one, and copying costs
	out    []Parcel
	bad    *table.BadRow
	failed error
}

// parcel is one that gathers rows.
type parcel struct {
	Parcel
	orders, numbers []string // the others, where a cell has several
}

// above is what became of a row that others may continue.
type above int

const (
	aboveNothing above = iota
	aboveGood
	aboveSkipped
	aboveBad
)

// Open returns a Reader of a file of the profile. about is from [table.Look]. It fails with a *table.UnusableError if no row of the
// file can be used. That the file has too many rows, or bytes that are no text, only [Reader.Next] finds: see [Profile.Check].
func (p *Profile) Open(f io.ReadSeeker, about table.About) (*Reader, error) {
	t, err := table.NewReader(f, about, p.options(p.fits))
	if err != nil {
		return nil, p.named(err)
	}
	r := &Reader{
		Reader: t, profile: p, layout: p.layoutOf(t.Names(), t.Width()), named: map[string]named{}, next: &parcel{}, spare: &parcel{},
	}
	return r, p.enough(&r.layout)
}

// Check fails with a *table.UnusableError for a file with too many rows, or with bytes that are no text: no parcel of such a file may
// go out. It reads the file only if its size leaves that open.
func (p *Profile) Check(f io.ReadSeeker, about table.About) error {
	return p.named(table.Check(f, about, p.options(p.fits)))
}

// named returns an error of a table in the words of tracking files.
func (p *Profile) named(err error) error {
	if u := (*table.UnusableError)(nil); errors.As(err, &u) && u.NoHeader {
		return p.missing(u.Header)
	}
	return err
}

// Profile returns the profile by which the file is read. One without a name goes by our own names of columns.
func (r *Reader) Profile() *Profile { return r.profile }

// Rows returns how many rows were read so far, bad and skipped ones included.
func (r *Reader) Rows() int { return r.Reader.Rows() - r.header }

// Next returns the next parcel or the next bad row, and io.EOF at the end.
func (r *Reader) Next() (Parcel, *table.BadRow, error) {
	for {
		switch {
		case len(r.out) > 0:
			p := r.out[0]
			r.out = r.out[1:]
			return p, nil, nil
		case r.bad != nil && r.next.Rows == 0:
			bad := r.bad
			r.bad = nil
			return Parcel{}, bad, nil
		case r.bad != nil || r.failed != nil && r.next.Rows > 0:
			return r.take(r.next), nil, nil
		case r.failed != nil:
			return Parcel{}, nil, r.failed
		}
		row, err := r.Reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			r.failed = err
		case err != nil:
			r.failed, r.next.Rows = err, 0
			return Parcel{}, nil, err
		default:
			if p := r.row(&row); p != nil {
				if p.numbers == nil && p.orders == nil {
					return p.Parcel, nil, nil
				}
				return r.take(p), nil, nil
			}
		}
	}
}

// take returns the first parcel of the rows that were gathered, and keeps the others of several numbers or orders in a cell. The
// items go with the first.
func (r *Reader) take(p *parcel) Parcel {
	first := p.Parcel
	p.Rows = 0
	if len(p.numbers) == 0 && len(p.orders) == 0 {
		return first
	}
	more := first
	more.Rows, more.Items = 0, nil
	for i, order := range append([]string{first.OrderNumber}, p.orders...) {
		more.OrderNumber = order
		for j, number := range append([]string{first.TrackingNumber}, p.numbers...) {
			more.TrackingNumber, more.Joins = number, ""
			if j > 0 {
				more.Joins = first.TrackingNumber
			}
			if i > 0 || j > 0 {
				r.out = append(r.out, more)
			}
		}
	}
	p.numbers, p.orders = nil, nil
	return first
}

// row adds a row, and returns the parcel that is complete by it, if any.
func (r *Reader) row(row *table.Row) *parcel {
	continues := r.profile.Continuation && r.isEmpty(row, columnOrder) && r.isEmpty(row, columnTracking)
	if reason := r.isLeftOut(row); reason != "" {
		if !continues {
			r.above = aboveSkipped
		}
		r.skip(row.Line, reason)
		return nil
	}
	if r.layout.names == nil && r.Reader.Rows() == 1 && r.isHeader(row) {
		r.header = 1
		return nil
	}
	if continues {
		r.goOn(row)
		return nil
	}
	n, p := r.next, r.spare
	reason := row.Fault
	if reason == "" {
		reason = r.parcel(p, row)
	}
	if reason != "" {
		r.bad, r.above = row.Bad(reason), aboveBad
		return nil
	}
	r.above = aboveGood
	if n.Rows == 0 {
		r.next, r.spare = p, n
		return nil
	}
	if n.TrackingNumber != p.TrackingNumber || n.OrderNumber != p.OrderNumber || n.ShipmentNumber != p.ShipmentNumber ||
		len(n.Items) == maxItems || !slices.Equal(n.numbers, p.numbers) || !slices.Equal(n.orders, p.orders) {
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

// goOn adds a row that continues the one above.
func (r *Reader) goOn(row *table.Row) {
	var reason string
	switch r.above {
	case aboveSkipped:
		r.skip(row.Line, "goes on with a row that is skipped")
		return
	case aboveBad:
		reason = "goes on with a bad row: correct that one"
	case aboveNothing:
		reason = "has neither order nor tracking number, and there is no row above that it goes on with"
	case aboveGood:
		if reason = row.Fault; reason == "" {
			reason = r.continuation(row)
		}
	}
	if reason != "" {
		r.bad = row.Bad(reason)
		r.above = aboveBad
	}
}

// continuation adds the items of a row to the parcel above.
func (r *Reader) continuation(row *table.Row) (reason string) {
	var values [columns]string
	for _, column := range []int{columnSKU, columnQuantity} {
		if values[column], reason = r.value(column, row, "", false); reason != "" {
			return reason
		}
	}
	item, reason := itemOf(values[columnSKU], values[columnQuantity])
	switch {
	case reason != "":
		return reason
	case len(r.next.Items) == maxItems:
		return "the parcel has more than " + strconv.Itoa(maxItems) + " items"
	case len(r.next.orders) > 0 && item.SKU != "":
		return severalOrders
	case item.SKU != "":
		r.next.Items = append(r.next.Items, item)
	}
	r.next.Rows++
	r.next.LastLine = row.Line
	return ""
}

func (r *Reader) skip(line int, reason string) {
	r.skipped++
	if r.Skipped != nil {
		r.Skipped(line, reason)
	}
}

// SkippedRows returns how many rows were left out so far by a rule of the profile.
func (r *Reader) SkippedRows() int { return r.skipped }

// isEmpty reports whether a row has nothing in a column.
func (r *Reader) isEmpty(row *table.Row, column int) bool {
	for _, i := range r.layout.at[column] {
		if i < len(row.Cells) && unmarked(string(row.Cells[i].Text)) != "" {
			return false
		}
	}
	return true
}

// isHeader reports whether the first row is a header though columns are numbers: neither cell has a digit.
func (r *Reader) isHeader(row *table.Row) bool {
	for _, column := range []int{columnOrder, columnTracking} {
		for _, i := range r.layout.at[column] {
			if i >= len(row.Cells) || strings.ContainsAny(string(row.Cells[i].Text), "0123456789") {
				return false
			}
		}
	}
	return true
}

// isLeftOut returns why a row is left out by a rule, and "" if it is not.
func (r *Reader) isLeftOut(row *table.Row) string {
	for i := range r.layout.skip {
		if f := &r.layout.skip[i]; f.meets(row.Cells) {
			return "skip: column " + f.name + " says so"
		}
	}
	for i := range r.layout.only {
		if f := &r.layout.only[i]; !f.meets(row.Cells) {
			return "only: column " + f.name + " says otherwise"
		}
	}
	return ""
}

// Columns maps our names of the columns that were found to the file's names or numbers.
func (r *Reader) Columns() map[string]string {
	found := map[string]string{}
	for column, at := range r.layout.at {
		var all []string
		for _, i := range at {
			if r.layout.names != nil {
				all = append(all, r.layout.names[i])
			} else {
				all = append(all, strconv.Itoa(i+1))
			}
		}
		if len(all) > 0 {
			found[columnNames[column]] = strings.Join(all, ", ")
		}
	}
	return found
}

// Ignored returns the columns of the header that are not read.
func (r *Reader) Ignored() []string {
	used := map[int]bool{}
	for _, at := range r.layout.at {
		for _, i := range at {
			used[i] = true
		}
	}
	for _, f := range slices.Concat(r.layout.skip, r.layout.only) {
		used[f.at] = true
	}
	var ignored []string
	for i, name := range r.layout.names {
		if !used[i] && strings.TrimSpace(name) != "" {
			ignored = append(ignored, name)
		}
	}
	return ignored
}

// NewRejected returns what writes bad rows to w.
func (r *Reader) NewRejected(w io.Writer) (*table.Rejected, error) {
	cells := 0
	for _, at := range r.layout.at {
		for _, i := range at {
			cells = max(cells, i+1)
		}
	}
	return r.Reader.NewRejected(w, cells)
}
