package tracking

import (
	"fmt"
	"strconv"
	"strings"
)

// delimiters are those that a file may have, the most common first.
const delimiters = ",;\t|"

// layout is which column is where.
type layout struct {
	at        [columns]int // index of the cell, -1 where the file has no such column
	header    bool         // the first row is one
	delimiter byte
	width     int // cells of the first row
	names     []string
}

// layoutOf finds the layout in the first row. split returns its cells for a delimiter.
func layoutOf(f Format, split func(delimiter byte) []string) (layout, error) {
	byNumber, err := f.numbers()
	if err != nil {
		return layout{}, err
	}
	var best layout
	most := -1
	for _, d := range []byte(delimiters) {
		l := layout{delimiter: d, names: split(d), header: byNumber == nil}
		l.width = len(l.names)
		score := l.width
		if byNumber != nil {
			l.at = *byNumber
			l.names = nil
		} else {
			score = 10_000_000*l.find(f) + l.width // a known column counts more than any number of others
		}
		if score > most {
			best, most = l, score
		}
	}
	return best, best.enough()
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
		index[folded(unmarked(l.names[i]))] = i
	}
	for column, ours := range columnNames {
		i, there := index[folded(unmarked(f.Columns[ours]))]
		if !there || f.Columns[ours] == "" {
			i, there = index[folded(ours)]
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
	case order >= 0 && tracking >= 0 && (l.header || max(order, tracking) < l.width):
		return nil
	case !l.header && (order < 0 || tracking < 0):
		return unusable("TRACKING_COLUMNS has numbers, and none for order_number or for tracking_number")
	case !l.header:
		return unusable("the first row has %d cells, and TRACKING_COLUMNS asks for number %d: is the delimiter a comma, a semicolon, a tab or a pipe?",
			l.width, max(order, tracking)+1)
	}
	missing := "no tracking_number"
	switch {
	case order < 0 && tracking < 0:
		missing = "neither order_number nor tracking_number"
	case order < 0:
		missing = "no order_number"
	}
	return &UnusableError{
		Reason: fmt.Sprintf("the header has %s among its %d columns: name the file's own in TRACKING_COLUMNS, or correct the header", missing, l.width),
		Header: l.names,
	}
}
