package tracking

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// layout is which column is where.
type layout struct {
	at    [columns]int // index of the cell, -1 where the file has no such column
	names []string     // of the header; nil where there is none
	width int          // cells of the header, or else of the first row
}

// options returns how a table is read whose header has the columns.
func (f Format) options() (table.Options, error) {
	byNumber, err := f.numbers()
	if err != nil || byNumber != nil {
		return table.Options{}, err
	}
	return table.Options{Header: func(names []string) int {
		l := layout{names: names}
		if found := l.find(f); l.at[columnOrder] >= 0 && l.at[columnTracking] >= 0 {
			return found
		}
		return 0
	}}, nil
}

// layoutOf finds the layout of a table.
func layoutOf(f Format, t *table.Reader) (layout, error) {
	l := layout{names: t.Names(), width: t.Width()}
	if byNumber, _ := f.numbers(); byNumber != nil {
		l.at = *byNumber
	} else {
		l.find(f)
	}
	return l, l.enough()
}

// numbers returns the indexes of the columns if the format has numbers, else nil.
func (f Format) numbers() (*[columns]int, error) {
	at, numbers := none(), 0
	for ours, theirs := range f.Columns {
		column, known := columnOf(ours)
		if !known {
			return nil, fmt.Errorf("there is no column %q, but %s", ours, strings.Join(columnNames[:], ", "))
		}
		if n, err := strconv.Atoi(theirs); err == nil && n > 0 {
			at[column] = n - 1
			numbers++
		}
	}
	switch numbers {
	case 0:
		return nil, nil
	case len(f.Columns):
		return &at, nil
	default:
		return nil, fmt.Errorf("columns have either names or numbers, not both")
	}
}

func columnOf(name string) (int, bool) {
	for i, n := range columnNames {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

func none() (at [columns]int) {
	for i := range at {
		at[i] = -1
	}
	return at
}

// find looks for the known columns in the header and returns how many there are. Of two with one name the first counts.
func (l *layout) find(f Format) (found int) {
	l.at = none()
	index := make(map[string]int, len(l.names))
	for i := len(l.names) - 1; i >= 0; i-- {
		index[table.Folded(unmarked(l.names[i]))] = i
	}
	for column, ours := range columnNames {
		i, there := index[table.Folded(unmarked(f.Columns[ours]))]
		if !there || f.Columns[ours] == "" {
			i, there = index[table.Folded(ours)]
		}
		if there {
			l.at[column] = i
			found++
		}
	}
	return found
}

// enough fails if a column is missing that rows need.
func (l *layout) enough() error {
	order, tracking := l.at[columnOrder], l.at[columnTracking]
	switch {
	case l.names != nil:
	case order < 0 || tracking < 0:
		return unusable("TRACKING_COLUMNS has numbers, and none for order_number or for tracking_number")
	case max(order, tracking) >= l.width:
		return unusable("the first row has %d cells, and TRACKING_COLUMNS asks for number %d: is the delimiter a comma, a semicolon, a tab or a pipe?",
			l.width, max(order, tracking)+1)
	}
	return nil
}

// missing returns the error about a file without a header, with what its nearest row lacks.
func (f Format) missing(nearest []string) error {
	l := layout{names: nearest}
	l.find(f)
	missing := "no tracking_number"
	switch order, tracking := l.at[columnOrder], l.at[columnTracking]; {
	case order < 0 && tracking < 0:
		missing = "neither order_number nor tracking_number"
	case order < 0:
		missing = "no order_number"
	}
	return &table.UnusableError{
		Reason: fmt.Sprintf("the header has %s among its %d columns: name the file's own in TRACKING_COLUMNS, or correct the header", missing, len(nearest)),
		Header: nearest, NoHeader: true,
	}
}
