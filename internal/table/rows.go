package table

import (
	"bytes"
	"errors"
	"io"
)

// rows splits a text into rows and cells. encoding/csv can't do it: to it a quote inside an unquoted cell is an error or, lazily, a
// quote that is never closed swallows the rest of the file; it does not return the text of a row; and it does not bound a row. The
// rules here:
//
//   - a row ends with its line, unless a quoted cell continues after it; empty lines are no rows;
//   - a cell is quoted if it begins with a quote (after spaces); inside of it "" is a quote, and so is a quote that is followed by
//     neither the delimiter nor the end of the line;
//   - where cells are separated by tabs, a cell is quoted only if nothing but the delimiter follows its second quote: programs that
//     write tabs often quote nothing, and such a quote is a character;
//   - a quote that is never closed makes its line a bad row, and the next line begins a row.
type rows struct {
	r         io.Reader
	err       error  // of r, once it has given one
	buf       []byte // buf[start:] is not used yet
	start     int
	line      int // of buf[start]
	delimiter byte
	cells     []Cell
	scratch   []byte
}

const readSize = 64 << 10

func newRows(r io.Reader) *rows {
	return &rows{r: r, buf: make([]byte, 0, readSize), line: 1, delimiter: ','}
}

// fill reads more and reports whether there was any.
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

// lineEnd returns the index, in the unused text, of the line break that ends the first line, or the length of the text at its end.
// whole is false if the line is longer than a row may be.
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

// skip uses n bytes, which have so many lines.
func (s *rows) skip(n, lines int) {
	s.start += n
	s.line += lines
	if s.start < len(s.buf) && s.buf[s.start] == '\n' {
		s.start++
	}
}

// next returns the next row, and io.EOF at the end.
func (s *rows) next() (Row, error) {
	end, err := s.begin()
	if err != nil {
		if errors.Is(err, errLong) {
			return s.long(), nil
		}
		return Row{}, err
	}
	r, n, lines := s.look(end)
	s.skip(n, lines)
	return r, nil
}

var errLong = errors.New(faultLong)

// begin finds the line on which the next row begins, and where it ends. It fails with errLong if it is longer than a row may be.
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
		case len(text) > 0:
			return end, nil
		}
		s.skip(end, 1)
	}
}

// look returns the row whose first line ends at end, its length, and how many lines it has. It uses none of the text.
func (s *rows) look(end int) (r Row, n, lines int) {
	r.Line, lines = s.line, 1
	n, state := s.split(s.buf[s.start:s.start+end], false)
	switch state {
	case closed:
		n = end
	case open:
		// Only now more of the text must be in memory.
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
		r.Fault = faultQuote
		n = end
		s.splitPlain(s.buf[s.start : s.start+end])
	}
	r.Raw = s.buf[s.start : s.start+n]
	r.Cells = s.cells
	return r, n, lines
}

// long skips a line that is longer than a row may be.
func (s *rows) long() Row {
	r := Row{Line: s.line, Fault: faultLong, Raw: bytes.Clone(s.buf[s.start : s.start+MaxRow])}
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

// splitState is how the quotes of a text end.
type splitState int

const (
	closed splitState = iota
	open              // a quoted cell goes on after the text
	lost              // the quotes make no sense
)

// splitPlain splits a line into cells. A quote is a character like any other.
func (s *rows) splitPlain(line []byte) {
	s.cells = s.cells[:0]
	for start := 0; ; {
		i := bytes.IndexByte(line[start:], s.delimiter)
		if i < 0 {
			s.cells = append(s.cells, Cell{line[start:], start, start})
			return
		}
		s.cells = append(s.cells, Cell{line[start : start+i], start, start})
		start += i + 1
	}
}

// split splits text into cells up to the first line break outside of quotes. It returns the index after the row.
// text is one line or, if several is true, as much as a row may have.
func (s *rows) split(text []byte, several bool) (n int, state splitState) {
	if !several && bytes.IndexByte(text, '"') < 0 {
		s.splitPlain(text)
		return len(text), closed
	}
	s.cells, s.scratch = s.cells[:0], s.scratch[:0]
	stray := false
	for at := 0; ; {
		c := Cell{from: at, At: at}
		for at < len(text) && text[at] == ' ' && s.delimiter != ' ' {
			at++
		}
		if at < len(text) && text[at] == '"' {
			var strayed bool
			c.At = at + 1
			c.Text, at, strayed, state = s.quoted(text, at+1, several)
			if strayed && s.delimiter == '\t' {
				at, c.At = s.cellEnd(text, c.from, several), c.from
				c.Text = text[c.from:at]
				s.cells = append(s.cells, c)
				if at >= len(text) || text[at] == '\n' {
					return at, closed
				}
				at++
				continue
			}
			stray = stray || strayed
			if state == open && stray {
				state = lost
			}
			if state != closed {
				return 0, state
			}
			if !bytes.HasPrefix(text[c.At:], c.Text) {
				c.At = -1 // a doubled quote was in it
			}
		} else {
			at = s.cellEnd(text, at, several)
			c.Text = text[c.from:at]
		}
		s.cells = append(s.cells, c)
		if at >= len(text) || text[at] == '\n' {
			return at, closed
		}
		at++ // the delimiter
	}
}

// cellEnd returns the index of what ends an unquoted cell: the delimiter, a line break, or the end of the text.
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

// quoted reads a cell from after its opening quote, and returns the index of what ends it: the delimiter, a line break, or the end
// of the text.
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
		for end < len(text) && text[end] == ' ' && s.delimiter != ' ' {
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
