package table

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A workbook (.xlsx) is a zip of XML. Its first sheet is turned into delimited text as it is read, a line for each row of the sheet,
// so that what is true of files is true of it too. Office Open XML: ECMA-376, part 1, sections 18.2 to 18.4.

const (
	// maxSheet bounds the XML of a sheet, and maxShared the texts that cells share.
	maxSheet  = 4 * MaxBytes
	maxShared = 64 << 20
	// lastRow and lastColumn are the bounds of a sheet.
	lastRow, lastColumn = 1 << 20, 1 << 14
	// lineSeparator stands for a line break in a cell, so that each row is a line.
	lineSeparator = "\u2028"

	damagedWorkbook = "the workbook (.xlsx) is damaged, or is none: save it again, or export it as CSV"
)

// openWorkbook returns the text of the first sheet.
func openWorkbook(z *zip.Reader, below *keeper) (io.Reader, error) {
	w := &workbook{zip: z, below: below}
	name, err := w.firstSheet()
	if err == nil {
		err = w.readShared()
	}
	if err != nil {
		return nil, below.or(err, damagedWorkbook)
	}
	d, err := w.open(name, maxSheet)
	if err != nil {
		return nil, below.or(err, damagedWorkbook)
	}
	return &unpacking{r: &sheet{xml: d, shared: w.shared, ends: w.ends}, below: below, left: maxUnpacked, reason: damagedWorkbook}, nil
}

type workbook struct {
	zip    *zip.Reader
	below  *keeper
	shared []byte // texts that cells share, one after the other
	ends   []int  // where each ends
}

var errMissing = errors.New("a part of the workbook is missing")

// open returns the XML of a part.
func (w *workbook) open(name string, most int64) (*xml.Decoder, error) {
	for _, f := range w.zip.File {
		if strings.EqualFold(f.Name, name) {
			r, err := f.Open()
			if err != nil {
				return nil, err
			}
			return xml.NewDecoder(&unpacking{r: r, below: w.below, left: most, reason: damagedWorkbook}), nil
		}
	}
	return nil, errMissing
}

// elements calls take for each element of a part that begins.
func (w *workbook) elements(name string, take func(e xml.StartElement)) error {
	d, err := w.open(name, MaxRow)
	if err != nil {
		return err
	}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e, ok := token.(xml.StartElement); ok {
			take(e)
		}
	}
}

func attribute(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// firstSheet returns the name of the part with the first sheet, and that of the shared texts' part is always the same.
func (w *workbook) firstSheet() (name string, err error) {
	id := ""
	err = w.elements("xl/workbook.xml", func(e xml.StartElement) {
		if e.Name.Local != "sheet" || id != "" {
			return
		}
		for _, a := range e.Attr {
			if a.Name.Local == "id" && a.Name.Space != "" { // r:id
				id = a.Value
			}
		}
	})
	if err != nil {
		return "", err
	}
	err = w.elements("xl/_rels/workbook.xml.rels", func(e xml.StartElement) {
		if e.Name.Local != "Relationship" || attribute(e, "Id") != id {
			return
		}
		if name = attribute(e, "Target"); strings.HasPrefix(name, "/") {
			name = name[1:]
		} else {
			name = path.Join("xl", name)
		}
	})
	if err == nil && name == "" {
		err = errMissing
	}
	return name, err
}

// readShared reads the texts that cells share.
func (w *workbook) readShared() error {
	d, err := w.open("xl/sharedStrings.xml", maxSheet)
	if errors.Is(err, errMissing) {
		return nil // there are none
	}
	if err != nil {
		return err
	}
	text, phonetic := false, false
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			text = t.Name.Local == "t"
			phonetic = phonetic || t.Name.Local == "rPh"
		case xml.EndElement:
			switch text = false; t.Name.Local {
			case "rPh":
				phonetic = false
			case "si":
				w.ends = append(w.ends, len(w.shared))
			}
		case xml.CharData:
			if text && !phonetic {
				w.shared = append(w.shared, t...)
			}
		}
		if len(w.shared) > maxShared || len(w.ends) > 4*MaxRows {
			return unusable("the workbook has more than %d MiB of texts: export it as CSV", maxShared>>20)
		}
	}
}

// sheet reads a sheet as delimited text.
type sheet struct {
	xml    *xml.Decoder
	shared []byte
	ends   []int
	row    int    // the last one that was written
	line   []byte // what is not read yet
	err    error
}

func (s *sheet) Read(p []byte) (int, error) {
	for len(s.line) == 0 && s.err == nil {
		s.err = s.next()
	}
	n := copy(p, s.line)
	s.line = s.line[n:]
	if n == 0 {
		return 0, s.err
	}
	return n, nil
}

// next reads up to the end of a row.
func (s *sheet) next() error {
	for {
		token, err := s.xml.RawToken()
		if err != nil {
			return err
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "row" {
			continue
		}
		row := s.row + 1
		if r := attribute(e, "r"); r != "" {
			if row, err = strconv.Atoi(r); err != nil || row <= s.row || row > lastRow {
				return unusable("the rows of the workbook are not in their order: save it again, or export it as CSV")
			}
		}
		s.line = append(s.line[:0], strings.Repeat("\n", row-s.row-1)...)
		s.row = row
		if err := s.cells(); err != nil {
			return err
		}
		s.line = append(s.line, '\n')
		return nil
	}
}

// cells reads the cells of a row.
func (s *sheet) cells() error {
	var (
		column, next int
		kind         string
		value        []byte
		in           string // the element whose text counts
		phonetic     bool
	)
	for {
		token, err := s.xml.RawToken()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "c":
				column, kind, value = next, attribute(t, "t"), value[:0]
				if ref := attribute(t, "r"); ref != "" {
					column = columnOf(ref)
				}
				if column < next || column >= lastColumn {
					return unusable("the cells of row %d of the workbook are not in their order: save it again, or export it as CSV", s.row)
				}
			case "rPh":
				phonetic = true
			case "v", "t":
				in = t.Name.Local
			}
		case xml.CharData:
			if in != "" && !phonetic && len(value) <= MaxRow {
				value = append(value, t...)
			}
		case xml.EndElement:
			switch in = ""; t.Name.Local {
			case "rPh":
				phonetic = false
			case "row":
				return nil
			case "c":
				text, err := s.text(kind, value)
				if err != nil {
					return err
				}
				if column > 0 {
					for range column - max(0, next-1) {
						s.line = append(s.line, ',')
					}
				}
				next = column + 1
				s.add(text)
			}
		}
	}
}

// add adds a cell to the line.
func (s *sheet) add(text string) {
	text = strings.NewReplacer("\r\n", lineSeparator, "\n", lineSeparator, "\r", lineSeparator).Replace(strings.ToValidUTF8(text, "\uFFFD"))
	if strings.ContainsAny(text, `",`) || strings.HasPrefix(text, " ") {
		text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	s.line = append(s.line, text...)
}

// columnOf returns the index of a cell's column, from its reference such as AB12; -1 if it is none.
func columnOf(ref string) int {
	column := 0
	for i := range len(ref) {
		c := ref[i] | 0x20
		if c < 'a' || c > 'z' {
			break
		}
		if column = 26*column + int(c-'a') + 1; column > lastColumn {
			return lastColumn
		}
	}
	return column - 1
}

// text returns what a cell shows. A number is its digits.
func (s *sheet) text(kind string, value []byte) (string, error) {
	switch kind {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(string(value)))
		if err != nil || i < 0 || i >= len(s.ends) {
			return "", unusable(damagedWorkbook)
		}
		from := 0
		if i > 0 {
			from = s.ends[i-1]
		}
		return unescaped(string(s.shared[from:s.ends[i]])), nil
	case "b":
		if strings.TrimSpace(string(value)) == "1" {
			return "TRUE", nil
		}
		return "FALSE", nil
	case "str", "inlineStr", "e", "d":
		return unescaped(string(value)), nil
	}
	number := strings.TrimSpace(string(value))
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f >= 1e21 || f <= -1e21 {
		return number, nil
	}
	if len(number) < 16 && !strings.ContainsAny(number, ".eE") {
		return number, nil
	}
	return strconv.FormatFloat(f, 'f', -1, 64), nil
}

// unescaped returns a text without the escapes that workbooks have for characters that XML has none for: _x000D_.
func unescaped(text string) string {
	if !strings.Contains(text, "_x") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "_x") && len(text) >= i+7 && text[i+6] == '_' {
			if c, err := strconv.ParseUint(text[i+2:i+6], 16, 16); err == nil {
				b.Write(utf8.AppendRune(nil, rune(c)))
				i += 6
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
