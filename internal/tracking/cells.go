package tracking

import (
	"encoding/binary"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mageline/mageline/internal/table"
)

// unmarked removes what spreadsheets and people put around a cell so that it stays a text: ="…", a leading ' or #.
func unmarked(cell string) string {
	if n := len(cell); n > 0 && isPlain(cell[0]) && isPlain(cell[n-1]) {
		return cell // as nearly all are
	}
	cell = strings.TrimFunc(cell, table.IsSpace)
	if inner, ok := strings.CutPrefix(cell, `="`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok {
			cell = strings.TrimFunc(inner, table.IsSpace)
		}
	}
	return strings.TrimFunc(strings.TrimLeft(cell, "'#"), table.IsSpace)
}

// isPlain reports whether a byte is never removed.
func isPlain(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// isPrintable reports whether a text has only printable characters of ASCII. It checks eight bytes at once.
func isPrintable(text []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(text) >= 8 {
		b := binary.LittleEndian.Uint64(text)
		// The top bit of a byte is set if the byte is above 127, below 32 or 127.
		if (b|(b-32*ones)|(b+ones))&tops != 0 {
			return false
		}
		text = text[8:]
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// code matches Magento's carrier codes.
var code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// isSpoilt reports whether a cell is what a spreadsheet shows for a long number: 1.23E+11, with a decimal comma in some countries.
func isSpoilt(cell string) bool {
	sign := len(cell) - 2 // of three digits at most
	for sign > 1 && sign > len(cell)-4 && isDigits(cell[sign:sign+1]) {
		sign--
	}
	if sign < 2 || cell[sign] != '+' && cell[sign] != '-' || !isDigits(cell[sign+1:]) || cell[sign-1]|0x20 != 'e' {
		return false
	}
	mantissa := cell[:sign-1]
	return isDigits(mantissa[:1]) && (len(mantissa) == 1 || (mantissa[1] == '.' || mantissa[1] == ',') && isDigits(mantissa[2:]))
}

// isDigits reports whether there are only digits, at least one.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// identifiers are the columns whose values must be exact.
var identifiers = [columns]bool{
	columnOrder: true, columnTracking: true, columnShipment: true, columnSKU: true, columnSource: true,
}

// parcel fills in a parcel from a row. reason is why the row is bad.
func (r *Reader) parcel(p *Parcel, row table.Row) (reason string) {
	var values [columns]string
	cells, whole := row.Cells, string(row.Raw) // one piece of memory for all that is kept of the row
	printable := isPrintable(row.Raw)
	for column, i := range r.layout.at {
		if i < 0 || i >= len(cells) || column == columnCarrier {
			continue
		}
		if values[column], reason = value(column, cells[i], whole, printable); reason != "" {
			return reason
		}
	}
	switch {
	case values[columnOrder] == "" && values[columnTracking] == "":
		return "order_number and tracking_number are missing"
	case values[columnOrder] == "":
		return "order_number is missing"
	case values[columnTracking] == "":
		return "tracking_number is missing"
	}
	*p = Parcel{
		OrderNumber: values[columnOrder], TrackingNumber: values[columnTracking],
		ShipmentNumber: values[columnShipment], SourceCode: values[columnSource], CarrierCode: custom,
		Line: row.Line, LastLine: row.Line, Rows: 1,
	}
	if i := r.layout.at[columnCarrier]; i >= 0 && i < len(cells) {
		if p.CarrierCode, p.Title, reason = r.carrier(cells[i]); reason != "" {
			return reason
		}
	}
	if values[columnTitle] != "" {
		p.Title = values[columnTitle]
	}
	item := Item{SKU: values[columnSKU]}
	if q := values[columnQuantity]; q != "" {
		var ok bool
		if item.Quantity, ok = quantity(q); !ok {
			return "quantity is not a positive number"
		}
	}
	if item.SKU != "" {
		if len(r.items) == 0 {
			r.items = make([]Item, 64) // at once, for as many parcels
		}
		r.items[0] = item
		p.Items, r.items = r.items[:1:1], r.items[1:]
	}
	return ""
}

// value returns the value of a cell, or the reason why it can't be used.
func value(column int, c table.Cell, row string, printable bool) (value, reason string) {
	name, text := columnNames[column], c.Text
	if len(text) > maxCell || identifiers[column] && len(text) > maxIdentifier && utf8.RuneCount(text) > maxIdentifier {
		return "", name + " is too long"
	}
	printable = printable || isPrintable(text)
	if !printable && !utf8.Valid(text) {
		return "", name + " has bytes that are no character in the encoding of the file: save the file as UTF-8"
	}
	if c.At >= 0 {
		value = unmarked(row[c.At : c.At+len(text)])
	} else {
		value = unmarked(string(text))
	}
	switch {
	case !identifiers[column] && printable:
	case !identifiers[column]:
		value = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, value)
	case isSpoilt(value):
		return "", name + " was spoilt by a spreadsheet, as 1.23E+11: format the column as text and export it again"
	case !printable && strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return "", name + " has a line break or another character in it that can't be part of one"
	case strings.HasPrefix(value, `"`):
		return "", name + " begins with a quote that belongs to nothing: take it away, or close it"
	}
	return value, ""
}

// quantity reads a positive decimal that fits in Magento's columns (decimal(12,4)): at most 8 digits before the decimal point and 4
// after it. Three digits after a comma are refused: the comma may separate thousands or decimals.
func quantity(text string) (json.Number, bool) {
	text = strings.TrimPrefix(text, "+")
	whole, rest, point := strings.Cut(text, ".")
	if !point {
		whole, rest, point = strings.Cut(text, ",")
		if point && len(rest) == 3 {
			return "", false
		}
	}
	if !isDigits(whole) || point && !isDigits(rest) {
		return "", false
	}
	whole, rest = strings.TrimLeft(whole, "0"), strings.TrimRight(rest, "0")
	switch {
	case len(whole) > 8 || len(rest) > 4 || whole == "" && rest == "":
		return "", false
	case rest == "":
		return json.Number(whole), true
	case whole == "":
		whole = "0"
	}
	return json.Number(whole + "." + rest), true
}

// custom is Magento's code for any other carrier.
const custom = "custom"

// named is a carrier's code and title.
type named struct{ code, title string }

// maxNamed bounds the carriers of a file that are remembered.
const maxNamed = 1000

// carrier returns Magento's code for the file's carrier, and the file's text as the title. Without TRACKING_CARRIERS a text in the
// form of a code is the code.
func (r *Reader) carrier(c table.Cell) (carrierCode, title, reason string) {
	if n := r.carrierBefore; n.title != "" && string(c.Text) == n.title { // most rows have that of the one before
		return n.code, n.title, ""
	}
	if n, ok := r.named[string(c.Text)]; ok {
		if string(c.Text) == n.title {
			r.carrierBefore = n
		}
		return n.code, n.title, ""
	}
	c.At = -1 // so that no row is kept in memory
	if title, reason = value(columnCarrier, c, "", false); reason != "" {
		return "", "", reason
	}
	n := named{custom, title}
	if ours, ok := r.carriers[strings.ToLower(title)]; ok {
		n.code = ours
	} else if len(r.carriers) == 0 && code.MatchString(title) {
		n.code = title
	}
	if len(r.named) < maxNamed {
		r.named[string(c.Text)] = n
	}
	return n.code, n.title, ""
}
