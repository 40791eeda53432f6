package tracking

import (
	"bytes"
	"errors"
	"io"
)

// rows cuts a text into rows and cells. encoding/csv can't: it takes a quote inside an unquoted cell for an error or,
// lazily, lets a quote that is never closed swallow the rest of the file; it does not give a row as it was; and it holds
// a row however long it is. What is read here:
//
//   - a row ends with its line (LF or CRLF), unless a quoted cell goes on over it; lines without anything are no rows;
//   - a cell is quoted when it begins with a quote (after spaces); in it "" is a quote, and so is one that neither the
//     delimiter nor the end of the line follows;
//   - of a quote that is never closed the line is the row, which is bad, and the next line is a row of its own.
type rows struct {
	r         io.Reader
	err       error  // of r, once it has given one
	buf       []byte // buf[start:] is not used yet
	start     int
	line      int // of buf[start]
	delimiter byte
	cells     []cell
	scratch   []byte
}

type cell struct {
	text  []byte // valid until the next row
	start int    // of the cell in row.raw
	at    int    // of text in row.raw; -1 where it is not there as it is
}

// row is one of them. All of it is valid until the next one is read.
type row struct {
	line  int
	raw   []byte // without its line break
	cells []cell
	// fault says why the row can't be read, "" if it can.
	fault string
}

// The faults of a row.
const (
	faultQuote = "a quote is opened and never closed: close it, or take it away"
	faultLong  = "the row is longer than a mebibyte"
)

const readSize = 64 << 10

func newRows(r io.Reader) *rows {
	return &rows{r: r, buf: make([]byte, 0, readSize), line: 1, delimiter: ','}
}

// fill reads more, and reports whether anything came.
func (s *rows) fill() bool {
	if s.err != nil {
		return false
	}
	if s.start > 0 && s.start >= cap(s.buf)/2 {
		s.buf = s.buf[:copy(s.buf, s.buf[s.start:])]
		s.start = 0
	}
	if cap(s.buf)-len(s.buf) < readSize/2 {
		s.buf = append(make([]byte, 0, 2*cap(s.buf)), s.buf...)
	}
	for {
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		s.err = err
		if n > 0 || err != nil {
			return n > 0
		}
	}
}

// lineEnd gives the index in what is not used yet of the line break that ends the first line, or its length at the end of
// the text; whole is false where the line is longer than a row may be.
func (s *rows) lineEnd() (end int, whole bool) {
	seen := 0
	for {
		rest := s.buf[s.start:]
		if i := bytes.IndexByte(rest[seen:], '\n'); i >= 0 {
			return seen + i, seen+i <= MaxRow
		}
		seen = len(rest)
		if seen > MaxRow {
			return seen, false
		}
		if !s.fill() {
			return len(s.buf) - s.start, true
		}
	}
}

// skip uses n bytes, which hold so many lines.
func (s *rows) skip(n, lines int) {
	s.start += n
	s.line += lines
	if s.start < len(s.buf) && s.buf[s.start] == '\n' {
		s.start++
	}
}

// next gives the next row, io.EOF at the end.
func (s *rows) next() (row, error) {
	end, err := s.begin()
	if err != nil {
		if errors.Is(err, errLong) {
			return s.long(), nil
		}
		return row{}, err
	}
	r, n, lines := s.look(end)
	s.skip(n, lines)
	return r, nil
}

var errLong = errors.New(faultLong)

// begin finds the line on which the next row begins, and where it ends. errLong says that it is longer than a row may be.
func (s *rows) begin() (end int, err error) {
	for {
		end, whole := s.lineEnd()
		switch text := s.buf[s.start : s.start+end]; {
		case !whole:
			return 0, errLong
		case s.start+end == len(s.buf) && !errors.Is(s.err, io.EOF):
			return 0, s.err // the line may go on
		case len(text) == 0 && s.start == len(s.buf):
			return 0, io.EOF
		case len(withoutCR(text)) > 0:
			return end, nil
		}
		s.skip(end, 1)
	}
}

// look gives the row whose first line ends at end, how long it is, and how many lines it has. It uses nothing of it.
func (s *rows) look(end int) (r row, n, lines int) {
	r.line, lines = s.line, 1
	n, state := s.split(withoutCR(s.buf[s.start:s.start+end]), false)
	switch state {
	case closed:
		n = end
	case open:
		// Only now is more of the text needed in one piece.
		for len(s.buf)-s.start <= MaxRow && s.fill() {
			continue
		}
		window := s.buf[s.start:]
		window = window[:min(len(window), MaxRow)]
		if n, state = s.split(window, true); state == closed {
			lines += bytes.Count(window[:n], []byte{'\n'})
			break
		}
		fallthrough
	case lost:
		r.fault = faultQuote
		n = end
		s.splitPlain(withoutCR(s.buf[s.start : s.start+end]))
	}
	r.raw = withoutCR(s.buf[s.start : s.start+n])
	r.cells = s.cells
	return r, n, lines
}

// long takes a line that is longer than a row may be.
func (s *rows) long() row {
	r := row{line: s.line, fault: faultLong, raw: bytes.Clone(s.buf[s.start : s.start+MaxRow])}
	for {
		rest := s.buf[s.start:]
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			s.skip(i, 1)
			break
		}
		s.start = len(s.buf)
		if !s.fill() {
			s.line++
			break
		}
	}
	return r
}

func withoutCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// splitState is how the quotes of a text have ended.
type splitState int

const (
	closed splitState = iota
	open              // a quoted cell goes on after the text
	lost              // the quotes make no sense
)

// splitPlain cuts a line into cells, every quote a character.
func (s *rows) splitPlain(line []byte) {
	s.cells = s.cells[:0]
	for start := 0; ; {
		i := bytes.IndexByte(line[start:], s.delimiter)
		if i < 0 {
			s.cells = append(s.cells, cell{line[start:], start, start})
			return
		}
		s.cells = append(s.cells, cell{line[start : start+i], start, start})
		start += i + 1
	}
}

// split cuts text into cells up to the first line break outside of quotes, and gives the index behind the row, with its
// carriage return. text is one line or, with several true, as much as there may be.
func (s *rows) split(text []byte, several bool) (n int, state splitState) {
	if !several && bytes.IndexByte(text, '"') < 0 {
		s.splitPlain(text)
		return len(text), closed
	}
	s.cells, s.scratch = s.cells[:0], s.scratch[:0]
	stray := false
	for at := 0; ; {
		c := cell{start: at, at: at}
		for at < len(text) && text[at] == ' ' {
			at++
		}
		if at < len(text) && text[at] == '"' {
			var strayed bool
			c.at = at + 1
			c.text, at, strayed, state = s.quoted(text, at+1, several)
			stray = stray || strayed
			if state == open && stray {
				state = lost
			}
			if state != closed {
				return 0, state
			}
			if !bytes.HasPrefix(text[c.at:], c.text) {
				c.at = -1 // a doubled quote was in it
			}
		} else {
			at = s.cellEnd(text, at, several)
			c.text = text[c.start:at]
			if at == len(text) || text[at] == '\n' {
				c.text = withoutCR(c.text)
			}
		}
		s.cells = append(s.cells, c)
		if at >= len(text) || text[at] == '\n' {
			return at, closed
		}
		at++ // the delimiter
	}
}

// cellEnd gives the index of what ends an unquoted cell: the delimiter, a line break, or the end of the text.
func (s *rows) cellEnd(text []byte, at int, several bool) int {
	end := bytes.IndexByte(text[at:], s.delimiter)
	if end < 0 {
		end = len(text) - at
	}
	if several {
		if i := bytes.IndexByte(text[at:at+end], '\n'); i >= 0 {
			end = i
		}
	}
	return at + end
}

// quoted reads a cell from behind its opening quote, and gives the index of what ends it: the delimiter, a line break, or
// the end of the text.
func (s *rows) quoted(text []byte, at int, several bool) (value []byte, next int, stray bool, state splitState) {
	begin := len(s.scratch)
	from, looked := at, at // from is what scratch does not have yet; up to looked there is no line break
	for {
		i := bytes.IndexByte(text[at:], '"')
		if i < 0 {
			return nil, 0, stray, open
		}
		at += i
		if at+1 < len(text) && text[at+1] == '"' {
			s.scratch = append(s.scratch, text[from:at+1]...)
			at += 2
			from = at
			continue
		}
		end := at + 1
		for end < len(text) && (text[end] == ' ' || text[end] == '\r') {
			end++
		}
		if end == len(text) || text[end] == s.delimiter || text[end] == '\n' {
			if len(s.scratch) == begin { // nothing was doubled
				return text[from:at], end, stray, closed
			}
			s.scratch = append(s.scratch, text[from:at]...)
			return s.scratch[begin:], end, stray, closed
		}
		if several && bytes.IndexByte(text[looked:at], '\n') >= 0 {
			return nil, 0, stray, lost // it was opened by mistake, and this one opens another cell
		}
		looked = at
		stray = true
		at++
	}
}
