// Package table reads tables that people and programs send as files: delimited text in any of the usual encodings, also packed, and
// workbooks. It knows nothing of what is in a table: the caller says which row is the header ([Options]).
//
// A file is read twice and never kept in memory. [Look] finds its hash, its encoding and whether it is a text at all. Then a
// [Reader] returns its rows, one by one. Rows that the caller finds bad go to a [Rejected], which writes them with line and reason, so
// that a corrected copy can be read again.
package table

import (
	"fmt"
	"strings"
	"unicode"
)

// Bounds of a file, far above what anybody sends.
const (
	// MaxRows bounds the rows of a file, bad ones included and blank ones not.
	MaxRows = 1_000_000
	// MaxBytes bounds the size of a file, also of one that is unpacked.
	MaxBytes = 256 << 20
	// MaxRow bounds a row, in bytes of UTF-8. A longer one is bad.
	MaxRow = 1 << 20
	// HeaderLines is within how many lines the header begins.
	HeaderLines = 20
)

// Options say how a table is read.
type Options struct {
	// Header returns how well a row fits as the header: more for a better one, 0 or less for none. It is asked for each of the first
	// lines and each delimiter. The header is the first row that fits; the delimiter is the one with which it fits best, and of
	// several such the one that makes more cells of it. Without Header the file has none, and the delimiter is the one that makes
	// the most cells of the first row.
	Header func(names []string) int
	// NoHeader means that the file may be without a header: only the first row is asked for.
	NoHeader bool
	// Delimiter is one character of ASCII; 0 means that it is found among comma, semicolon, tab and pipe.
	Delimiter byte
	// Encoding is an encoding's IANA name; "" means that it is found out. UTF-16 and a byte order mark are found out in any case.
	Encoding string
}

// Check fails for options that can't be right.
func (o Options) Check() error {
	if o.Delimiter >= 0x80 || o.Delimiter == '"' || o.Delimiter == '\r' || o.Delimiter == '\n' {
		return fmt.Errorf("the delimiter must be one character of ASCII, and no quote or line break")
	}
	if _, ok := encodingOf(o.Encoding); !ok {
		return fmt.Errorf("the encoding %q is not known: utf-8, utf-16le, utf-16be, windows-1250 to windows-1258, iso-8859-1 to iso-8859-16, ibm437, ibm850, ibm852, koi8-r and macintosh are", o.Encoding)
	}
	return nil
}

// Cell is a cell of a row.
type Cell struct {
	Text []byte // valid until the next row is read
	At   int    // of Text in Row.Raw; -1 where it is not there as it is
	from int    // of the cell in Row.Raw, with its quotes
}

// Row is valid until the next one is read.
type Row struct {
	Line  int    // on which it begins, from 1
	Raw   []byte // in UTF-8, without its line break, truncated to MaxRow bytes
	Cells []Cell
	// Fault is why the row can't be read; "" if it can.
	Fault string
}

// Faults of a row.
const (
	faultQuote = "a quote is opened and never closed: close it, or take it away"
	faultLong  = "the row is longer than a mebibyte"
	faultWide  = "the row has more cells than the header: put a cell in quotes that has the delimiter in it"
)

// BadRow is a row that nothing can be made of.
type BadRow struct {
	Line   int    // on which it begins
	Reason string // names columns, and nothing of what is in them
	Raw    string // as in [Row]

	cells []string // set where Raw can't be read again as what it was meant to be: a quote that is never closed
}

// Bad returns the row as a bad one. It stays valid.
func (r *Row) Bad(reason string) *BadRow {
	b := &BadRow{Line: r.Line, Reason: reason, Raw: string(r.Raw)}
	if r.Fault == faultQuote {
		for _, c := range r.Cells {
			b.cells = append(b.cells, string(c.Text))
		}
	}
	return b
}

// UnusableError means that no row of a file can be used.
type UnusableError struct {
	// Reason is what is wrong and what to do. It has nothing of the file's content.
	Reason string
	// Header is the row that comes nearest to a header, if that is what is wrong. It is for the person who has the file, not for
	// logs.
	Header []string
	// NoHeader says that no row was taken for the header.
	NoHeader bool
}

func (e *UnusableError) Error() string { return e.Reason }

func unusable(format string, args ...any) error {
	return &UnusableError{Reason: fmt.Sprintf(format, args...)}
}

var (
	errEmpty   = unusable("the file is empty")
	errNotText = unusable("the file is not text: it has bytes of 0, as images, programs and old workbooks (.xls) have; export it as CSV")
)

// Folded returns the name of a column in the form in which names are compared: without regard to case, spaces, underscores, hyphens
// and points.
func Folded(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' || IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// IsSpace reports whether a character is a blank or is not seen. What is pasted from web pages brings the latter along.
func IsSpace(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff'
}
