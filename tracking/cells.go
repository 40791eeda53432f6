package tracking

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' // what is pasted from web pages brings them along
}

// unmarked takes off what spreadsheets and people put around a cell so that it stays a text: ="…", a leading ' or #.
func unmarked(cell string) string {
	if n := len(cell); n > 0 && isPlain(cell[0]) && isPlain(cell[n-1]) {
		return cell // as nearly all are
	}
	cell = strings.TrimFunc(cell, isSpace)
	if inner, ok := strings.CutPrefix(cell, `="`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok {
			cell = strings.TrimFunc(inner, isSpace)
		}
	}
	return strings.TrimFunc(strings.TrimLeft(cell, "'#"), isSpace)
}

// isPlain says of a byte that nothing of it is ever taken off.
func isPlain(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// isPrintable says that there is nothing in a cell but letters, digits and signs of ASCII.
func isPrintable(cell []byte) bool {
	for _, c := range cell {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

var (
	// spoilt is how a spreadsheet shows a long number: 1.23E+11, with a decimal comma in some countries.
	spoilt = regexp.MustCompile(`^\d(?:[.,]\d+)?[eE][+-]\d{1,3}$`)
	// plain is a quantity. A comma with three digits behind it may be a thousand or a decimal one: that is nobody's guess.
	plain = regexp.MustCompile(`^\+?(\d{1,8})(?:\.(\d{1,12})|,(\d{1,2}|\d{4,12}))?$`)
	// code is what Magento's carrier codes look like.
	code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

// identifiers are the columns that must be exactly as they were meant.
var identifiers = [columns]bool{
	columnOrder: true, columnTracking: true, columnShipment: true, columnSKU: true, columnSource: true,
}

// parcel makes a parcel of a row's cells. A reason says why they are a bad row.
func (r *Reader) parcel(p *Parcel, cells []cell) (reason string) {
	var values [columns]string
	for column, i := range r.layout.at {
		if i < 0 || i >= len(cells) || column == columnCarrier {
			continue
		}
		if values[column], reason = value(column, cells[i].text); reason != "" {
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
		ShipmentNumber: values[columnShipment], SourceCode: values[columnSource], CarrierCode: custom, Rows: 1,
	}
	if i := r.layout.at[columnCarrier]; i >= 0 && i < len(cells) {
		if p.CarrierCode, p.Title, reason = r.carrier(cells[i].text); reason != "" {
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
		p.Items = []Item{item}
	}
	return ""
}

// value gives what a cell says, or the reason why it can't be used.
func value(column int, text []byte) (value, reason string) {
	name := columnNames[column]
	if len(text) > maxCell || identifiers[column] && len(text) > maxIdentifier && utf8.RuneCount(text) > maxIdentifier {
		return "", name + " is too long"
	}
	printable := isPrintable(text)
	if !printable && !utf8.Valid(text) {
		return "", name + " has bytes that are no character in the encoding of the file: save the file as UTF-8"
	}
	value = unmarked(string(text))
	switch {
	case !identifiers[column] && printable:
	case !identifiers[column]:
		value = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, value)
	case (strings.IndexByte(value, '+') > 0 || strings.IndexByte(value, '-') > 0) && spoilt.MatchString(value):
		return "", name + " was spoilt by a spreadsheet, as 1.23E+11: format the column as text and export it again"
	case !printable && strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return "", name + " has a line break or another character in it that can't be part of one"
	case strings.HasPrefix(value, `"`):
		return "", name + " begins with a quote that belongs to nothing: take it away, or close it"
	}
	return value, ""
}

func quantity(text string) (decimal.Decimal, bool) {
	m := plain.FindStringSubmatch(text)
	if m == nil {
		return decimal.Zero, false
	}
	d, err := decimal.NewFromString(strings.TrimSuffix(m[1]+"."+m[2]+m[3], "."))
	return d, err == nil && d.IsPositive() && d.Equal(d.Truncate(4)) // as Magento's columns: decimal(12,4)
}

// custom is Magento's code for a carrier that it does not know.
const custom = "custom"

// named is a carrier as it is told.
type named struct{ code, title string }

// maxNamed is how many carriers of a file are remembered.
const maxNamed = 1000

// carrier gives Magento's code for the file's carrier, and the file's text for the title. Without TRACKING_CARRIERS what
// looks like a code is one.
func (r *Reader) carrier(text []byte) (carrierCode, title, reason string) {
	if n, ok := r.named[string(text)]; ok {
		return n.code, n.title, ""
	}
	if title, reason = value(columnCarrier, text); reason != "" {
		return "", "", reason
	}
	n := named{custom, title}
	if c, ok := r.carriers[strings.ToLower(title)]; ok {
		n.code = c
	} else if len(r.carriers) == 0 && code.MatchString(title) {
		n.code = title
	}
	if len(r.named) < maxNamed {
		r.named[string(text)] = n
	}
	return n.code, n.title, ""
}
