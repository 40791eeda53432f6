package tracking

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// layout is which column is where.
type layout struct {
	at         [columns][]int // indexes of the cells, of which the first that is not empty counts
	skip, only []filter
	names      []string // of the header; nil where there is none
	width      int      // cells of the header, or else of the first row
}

// filter is a rule with the index of its column, -1 where the file has no such column.
type filter struct {
	at     int
	name   string
	equals []string
}

// indexOf returns where each column of a header is. Of two with one name the first counts.
func indexOf(names []string) map[string]int {
	index := make(map[string]int, len(names))
	for i, name := range slices.Backward(names) {
		index[table.Folded(unmarked(name))] = i
	}
	return index
}

// layoutOf finds the columns of a profile in a header, or by their numbers where names is nil.
func (p *Profile) layoutOf(names []string, width int) layout {
	l := layout{names: names, width: width}
	index := indexOf(names)
	find := func(c Column) (int, bool) {
		if c.Number > 0 {
			return c.Number - 1, names == nil || c.Number <= len(names)
		}
		i, there := index[table.Folded(unmarked(c.Name))]
		return i, there && !c.isNone()
	}
	for column, ours := range columnNames {
		all, named := p.Columns[ours]
		if !named && names != nil {
			all = []Column{{Name: ours}}
		}
		for _, c := range all {
			if i, there := find(c); there {
				l.at[column] = append(l.at[column], i)
			}
		}
	}
	filters := func(rules []Rule) (all []filter) {
		for _, r := range rules {
			f := filter{at: -1, name: r.Column.Name, equals: r.Equals}
			if r.Column.Number > 0 {
				f.name = strconv.Itoa(r.Column.Number)
			}
			if i, there := find(r.Column); there {
				f.at = i
			} else if !r.strict {
				continue
			}
			all = append(all, f)
		}
		return all
	}
	l.skip, l.only = filters(p.Skip), filters(p.Only)
	return l
}

// found returns how many columns there are, 0 if those are missing that rows need.
func (l *layout) found() (n int) {
	if len(l.at[columnOrder]) == 0 || len(l.at[columnTracking]) == 0 {
		return 0
	}
	for _, at := range l.at {
		if len(at) > 0 {
			n++
		}
	}
	return n
}

// enough fails if a column is missing that is needed.
func (p *Profile) enough(l *layout) error {
	for _, f := range slices.Concat(l.skip, l.only) {
		if f.at < 0 {
			return unusable("%sthe header has no column for a rule of skip or only, which nobody can go by then: correct the profile, or the header", p.says())
		}
	}
	if l.names == nil && l.width < 2 {
		return unusable("%sthe first row has one cell: is the delimiter a comma, a semicolon, a tab or a pipe?", p.says())
	}
	if l.names == nil {
		most := slices.Max(slices.Concat(l.at[columnOrder], l.at[columnTracking]))
		if slices.Min(l.at[columnOrder]) >= l.width || slices.Min(l.at[columnTracking]) >= l.width {
			return unusable("%sthe first row has %d cells, and the profile asks for number %d: is the delimiter a comma, a semicolon, a tab or a pipe?",
				p.says(), l.width, most+1)
		}
	}
	return nil
}

// says begins a reason with the profile's name, if it has one.
func (p *Profile) says() string {
	if p.Name == "" {
		return ""
	}
	return "profile " + p.Name + ": "
}

// missing returns the error about a file without a header, with what its nearest row lacks.
func (p *Profile) missing(nearest []string) error {
	l := p.layoutOf(nearest, len(nearest))
	missing := "has no tracking_number"
	switch order, tracking := len(l.at[columnOrder]) > 0, len(l.at[columnTracking]) > 0; {
	case !order && !tracking:
		missing = "has no known column, neither order_number nor tracking_number"
	case !order:
		missing = "has no order_number"
	case tracking:
		missing = "is not within the first lines"
	}
	return &table.UnusableError{
		Reason: fmt.Sprintf("%sthe header %s: name the file's own columns in a profile or in TRACKING_COLUMNS, or correct the header", p.says(), missing),
		Header: nearest, NoHeader: true,
	}
}

// meets reports whether a row's cell is one of the texts of a rule.
func (f *filter) meets(cells []table.Cell) bool {
	text := ""
	if f.at >= 0 && f.at < len(cells) {
		text = ruleText(string(cells[f.at].Text))
	}
	return slices.Contains(f.equals, text) || text != "" && slices.Contains(f.equals, strings.ToLower(unmarked(text)))
}

// ruleText returns a cell, or a text of a rule, in the form in which they are compared.
func ruleText(cell string) string {
	return strings.ToLower(strings.TrimFunc(cell, table.IsSpace))
}
