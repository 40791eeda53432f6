package table

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reader returns the rows of a table. It keeps one row in memory.
type Reader struct {
	rows  *rows
	about About
	names []string // of the header; nil where there is none
	width int      // cells of the header, or else of the first row
	total int      // rows so far
	// separator says that a line in front names the delimiter.
	separator bool
}

// delimiters are those that a file may have, the most common first.
const delimiters = ",;\t|"

// NewReader returns a Reader of a file. about is from [Look]. It fails with an *UnusableError if no row of the file can be used. That
// the file has too many rows, or bytes that are no text, only [Reader.Next] finds: see [Check].
func NewReader(f io.ReadSeeker, about About, o Options) (*Reader, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if named, _ := encodingOf(o.Encoding); named != "" && about.Container != Workbook && !about.Encoding.isWide() && about.Encoding != UTF8BOM {
		about.Encoding = named
	}
	switch {
	case about.fault != nil:
		return nil, about.fault
	case about.Size > MaxBytes:
		return nil, unusable("the file has %d bytes, at most %d are read: split it", about.Size, MaxBytes)
	case about.unpacked == 0:
		return nil, errEmpty
	case about.zero && !about.Encoding.isWide():
		return nil, errNotText
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	content, _, err := unpack(f, about.Size, about.packed())
	if err != nil {
		return nil, err
	}
	text, err := about.Encoding.text(bufio.NewReader(content)) // of which larger reads pass by its buffer
	if err != nil {
		return nil, err
	}
	r := &Reader{rows: newRows(text), about: about}
	if err := r.begin(o); err != nil {
		return nil, err
	}
	return r, nil
}

// begin finds the header and the delimiter in the first lines. It reads on to the first row after the header.
func (r *Reader) begin(o Options) error {
	candidates, nearest, empty := delimiters, []string(nil), true
	if r.about.Container == Workbook {
		o.Delimiter = ','
	}
	if o.Delimiter != 0 {
		candidates = string(rune(o.Delimiter))
	}
	for {
		end, err := r.rows.begin()
		switch {
		case errors.Is(err, io.EOF) && empty:
			return errEmpty
		case errors.Is(err, errLong):
			return unusable("a row at the beginning is longer than a mebibyte: this is no table")
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case err != nil || r.rows.line > HeaderLines:
			return &UnusableError{Reason: "none of the first lines is a header with the columns that are needed", Header: nearest, NoHeader: true}
		}
		line := r.rows.buf[r.rows.start : r.rows.start+end]
		if slices.ContainsFunc([]byte(candidates), func(d byte) bool { return isBlank(line, d) }) {
			r.rows.skip(end, 1)
			continue
		}
		empty = false
		if d := separator(line); d != 0 && r.about.Container != Workbook {
			if o.Delimiter == 0 {
				candidates, r.separator = string(rune(d)), true
			}
			r.rows.skip(end, 1)
			continue
		}
		header, most := r.try(o, candidates, end)
		switch {
		case header:
			row, err := r.rows.next()
			if err == nil && r.about.Encoding.isWide() && bytes.IndexByte(row.Raw, 0) >= 0 {
				err = errNotText
			}
			return err
		case o.Header == nil || o.NoHeader:
			return nil
		}
		if len(most) > len(nearest) {
			nearest = most
		}
		r.rows.skip(end, 1)
	}
}

// try splits the next row with each delimiter, and keeps the best one. most is the row with that.
func (r *Reader) try(o Options, candidates string, end int) (header bool, most []string) {
	best, score := candidates[0], 0
	for _, d := range []byte(candidates) {
		r.rows.delimiter = d
		first, _, _ := r.rows.look(end)
		names := make([]string, 0, len(first.Cells))
		for _, c := range first.Cells {
			names = append(names, strings.ToValidUTF8(string(c.Text), "\uFFFD"))
		}
		fits := 0
		if o.Header != nil && first.Fault == "" {
			fits = max(0, o.Header(names))
		}
		if most == nil || fits > score || fits == score && len(names) > len(most) {
			best, score, most = d, fits, names
		}
	}
	r.rows.delimiter = best
	r.width = len(most)
	if header = score > 0; header {
		r.names = most
		for r.width > 0 && strings.TrimFunc(most[r.width-1], IsSpace) == "" {
			r.width-- // what lies beneath empty cells at the end has no name
		}
	}
	return header, most
}

// separator returns the delimiter that a line sep=; names, as spreadsheets write it, and 0 for any other line.
func separator(line []byte) byte {
	if len(line) > 64 {
		return 0
	}
	text := strings.Trim(string(line), `" `)
	if len(text) < len("sep=;") || !strings.EqualFold(text[:4], "sep=") {
		return 0
	}
	d := text[4]
	if !unicode.In(rune(d), unicode.Punct, unicode.Symbol) && d != '\t' || d == '"' || d >= utf8.RuneSelf || strings.Trim(text[4:], string(rune(d))) != "" {
		return 0
	}
	return d
}

// Next returns the next row, and io.EOF at the end. Blank rows are passed over: nothing, or nothing but delimiters, quotes and blanks.
func (r *Reader) Next() (Row, error) {
	for {
		row, err := r.rows.next()
		switch {
		case err != nil:
			return Row{}, err
		case r.about.Encoding.isWide() && bytes.IndexByte(row.Raw, 0) >= 0:
			return Row{}, errNotText
		case isBlank(row.Raw, r.rows.delimiter):
			continue
		case r.total == MaxRows:
			return Row{}, unusable("the file has more than %d rows: split it", MaxRows)
		}
		r.total++
		if r.names != nil && len(row.Cells) > r.width && row.Fault == "" {
			for _, c := range row.Cells[r.width:] {
				if len(bytes.TrimFunc(c.Text, IsSpace)) > 0 {
					row.Fault = faultWide
				}
			}
		}
		return row, nil
	}
}

// isBlank reports whether a row has nothing but delimiters, quotes and blanks.
func isBlank(raw []byte, delimiter byte) bool {
	for i, b := range raw {
		switch {
		case b == delimiter || b == '"' || b == ' ' || b == '\t' || b == '\n':
		case b >= utf8.RuneSelf:
			return bytes.IndexFunc(raw[i:], func(c rune) bool { return !IsSpace(c) && c != rune(delimiter) && c != '"' }) < 0
		default:
			return false
		}
	}
	return true
}

// Names returns the header as the file has it, and nil where there is none.
func (r *Reader) Names() []string { return r.names }

// Width returns the number of cells of the header or, where there is none, of the first row.
func (r *Reader) Width() int { return r.width }

// Rows returns how many rows were read so far.
func (r *Reader) Rows() int { return r.total }

// Delimiter returns the delimiter of the file.
func (r *Reader) Delimiter() byte { return r.rows.delimiter }

// Encoding returns the encoding in which the file is read.
func (r *Reader) Encoding() Encoding { return r.about.Encoding }

// Check fails with an *UnusableError for a file with too many rows, or with bytes that are no text: no row of such a file may be
// used. It reads the file only if its size leaves that open.
func Check(f io.ReadSeeker, about About, o Options) error {
	r, err := NewReader(f, about, o)
	if err == nil && about.lines < MaxRows && !r.about.Encoding.isWide() {
		return nil
	}
	for err == nil {
		_, err = r.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
