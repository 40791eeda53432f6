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
	cell = strings.TrimFunc(cell, isSpace)
	if inner, ok := strings.CutPrefix(cell, `="`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok {
			cell = strings.TrimFunc(inner, isSpace)
		}
	}
	return strings.TrimFunc(strings.TrimLeft(cell, "'#"), isSpace)
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

// parcel reads a row's cells. A reason says why they are a bad row.
func (r *Reader) parcel(cells []cell) (p Parcel, reason string) {
	var values [columns]string
	for column, i := range r.layout.at {
		if i < 0 || i >= len(cells) {
			continue
		}
		name, text := columnNames[column], cells[i].text
		if len(text) > maxCell || identifiers[column] && utf8.RuneCount(text) > maxIdentifier {
			return p, name + " is too long"
		}
		if !utf8.Valid(text) {
			return p, name + " has bytes that are no character in the encoding of the file: save the file as UTF-8"
		}
		value := unmarked(string(text))
		switch {
		case !identifiers[column]:
			value = strings.Map(func(r rune) rune {
				if unicode.IsControl(r) {
					return ' '
				}
				return r
			}, value)
		case spoilt.MatchString(value):
			return p, name + " was spoilt by a spreadsheet, as 1.23E+11: format the column as text and export it again"
		case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
			return p, name + " has a line break or another character in it that can't be part of one"
		case strings.HasPrefix(value, `"`):
			return p, name + " begins with a quote that belongs to nothing: take it away, or close it"
		}
		values[column] = value
	}
	switch {
	case values[columnOrder] == "" && values[columnTracking] == "":
		return p, "order_number and tracking_number are missing"
	case values[columnOrder] == "":
		return p, "order_number is missing"
	case values[columnTracking] == "":
		return p, "tracking_number is missing"
	}
	p = Parcel{
		OrderNumber: values[columnOrder], TrackingNumber: values[columnTracking],
		ShipmentNumber: values[columnShipment], SourceCode: values[columnSource], Rows: 1,
	}
	p.CarrierCode, p.Title = r.carrier(values[columnCarrier])
	if values[columnTitle] != "" {
		p.Title = values[columnTitle]
	}
	item := Item{SKU: values[columnSKU]}
	if q := values[columnQuantity]; q != "" {
		var ok bool
		if item.Quantity, ok = quantity(q); !ok {
			return p, "quantity is not a positive number"
		}
	}
	if item.SKU != "" {
		p.Items = []Item{item}
	}
	return p, ""
}

func quantity(text string) (decimal.Decimal, bool) {
	m := plain.FindStringSubmatch(text)
	if m == nil {
		return decimal.Zero, false
	}
	d, err := decimal.NewFromString(strings.TrimSuffix(m[1]+"."+m[2]+m[3], "."))
	return d, err == nil && d.IsPositive() && d.Equal(d.Truncate(4)) // as Magento's columns: decimal(12,4)
}

// carrier gives Magento's code for the file's carrier, and the file's text for the title. Without TRACKING_CARRIERS what
// looks like a code is one.
func (r *Reader) carrier(text string) (carrierCode, title string) {
	const custom = "custom"
	if text == "" {
		return custom, ""
	}
	if c, ok := r.carriers[strings.ToLower(text)]; ok {
		return c, text
	}
	if len(r.carriers) == 0 && code.MatchString(text) {
		return text, text
	}
	return custom, text
}
