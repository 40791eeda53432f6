package tracking

import (
	"encoding/binary"
	"encoding/json"
	"regexp"
	"slices"
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

// code matches a text in the form of Magento's carrier codes.
var code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// isSpoilt reports whether a cell is what a spreadsheet shows for a long number: 1.23E+11, with a decimal comma in some countries.
func isSpoilt(cell string) bool {
	e := len(cell) - 2 // of an exponent of three digits and a sign at most
	for e > 0 && e > len(cell)-6 && cell[e]|0x20 != 'e' {
		e--
	}
	if e < 1 || cell[e]|0x20 != 'e' {
		return false
	}
	mantissa, exponent := cell[:e], cell[e+1:]
	whole, rest, point := strings.Cut(mantissa, ".")
	if !point {
		whole, rest, point = strings.Cut(mantissa, ",")
	}
	sign := exponent != "" && (exponent[0] == '+' || exponent[0] == '-')
	if sign {
		exponent = exponent[1:]
	}
	// Without a point, and with a minus or no sign, it may be a number as any other: 12E5, 100E-1.
	certain := point || sign && (cell[e+1] == '+' || len(whole) == 1)
	return certain && isDigits(whole) && (!point || isDigits(rest)) && isDigits(exponent) && len(exponent) <= 3
}

// hasLostDigits reports whether a number has nothing but zeros from its 16th digit on: a spreadsheet keeps 15. That is certain from 18
// digits on; of good numbers with 16 one in ten ends with 0.
func hasLostDigits(cell string) bool {
	return len(cell) >= 18 && cell[len(cell)-1] == '0' && isDigits(cell) && strings.Trim(cell[15:], "0") == ""
}

// isError reports whether a cell is a spreadsheet's error, such as #N/A or #DIV/0!.
func isError(cell string) bool {
	cell = strings.TrimFunc(cell, table.IsSpace)
	return len(cell) > 2 && cell[0] == '#' && (strings.HasSuffix(cell, "!") || strings.HasSuffix(cell, "?") || strings.EqualFold(cell, "#N/A") || strings.EqualFold(cell, "#NV"))
}

// isLink reports whether a cell is an address on the web.
func isLink(cell string) bool {
	cell = strings.ToLower(cell)
	return strings.Contains(cell, "://") || strings.Contains(cell, "www.")
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

// Reasons of bad rows.
const (
	reasonSpoilt   = " was spoilt by a spreadsheet, as 1.23E+11: format the column as text and export it again"
	reasonLost     = " has lost its last digits in a spreadsheet, as 340434161094042000: format the column as text and export it again"
	reasonError    = " is a spreadsheet's error, such as #N/A"
	severalOrders  = "has several orders and a sku: nobody can tell of which order it is"
	tooManyNumbers = "tracking_number has more than 100 numbers"
)

// maxNumbers bounds the numbers in a cell.
const maxNumbers = 100

// parcel fills in a parcel from a row. reason is why the row is bad.
func (r *Reader) parcel(p *parcel, row *table.Row) (reason string) {
	var values [columns]string
	whole := string(row.Raw) // one piece of memory for all that is kept of the row
	printable := isPrintable(row.Raw)
	for column := range columns {
		at := r.layout.at[column]
		switch {
		case column == columnCarrier || len(at) == 0:
		case len(at) > 1:
			values[column], reason = r.value(column, row, whole, printable)
		case at[0] < len(row.Cells):
			values[column], reason = cellValue(column, &row.Cells[at[0]], whole, printable)
		}
		if reason != "" {
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
	p.Parcel = Parcel{
		ShipmentNumber: values[columnShipment], SourceCode: values[columnSource], CarrierCode: custom,
		Line: row.Line, LastLine: row.Line, Rows: 1,
	}
	p.orders, p.numbers = nil, nil
	if r.profile.Order.NoPad {
		p.Pad = &noPad
	}
	if reason := r.orders(p, values[columnOrder]); reason != "" {
		return reason
	}
	if reason := r.numbers(p, values[columnTracking]); reason != "" {
		return reason
	}
	if reason := r.carriage(p, row, values[columnTitle]); reason != "" {
		return reason
	}
	if p.SourceCode == "" {
		p.SourceCode = r.profile.SourceCode
	}
	item, reason := itemOf(values[columnSKU], values[columnQuantity])
	if reason != "" {
		return reason
	}
	if item.SKU != "" {
		if len(p.orders) > 0 {
			return severalOrders
		}
		if len(r.items) == 0 {
			r.items = make([]Item, 64) // at once, for as many parcels
		}
		r.items[0] = item
		p.Items, r.items = r.items[:1:1], r.items[1:]
	}
	return ""
}

var noPad = false

// carriage sets the carrier and the title of a parcel.
func (r *Reader) carriage(p *parcel, row *table.Row, title string) (reason string) {
	for _, i := range r.layout.at[columnCarrier] {
		if i < len(row.Cells) {
			if p.CarrierCode, p.Title, reason = r.carrier(&row.Cells[i]); reason != "" || p.Title != "" {
				break
			}
		}
	}
	if reason != "" {
		return reason
	}
	given := p.Title != ""
	if !given && r.profile.Carrier != "" {
		p.CarrierCode, p.Title = r.profile.ownCarrier()
	}
	switch {
	case title != "":
		p.Title = title
	case !given && r.profile.Title != "":
		p.Title = r.profile.Title
	}
	return ""
}

func itemOf(sku, amount string) (item Item, reason string) {
	item.SKU = sku
	if amount != "" {
		var ok bool
		if item.Quantity, ok = quantity(amount); !ok {
			return item, "quantity is not a positive number"
		}
	}
	return item, ""
}

// orders sets the order number of a parcel, of which a cell may have several where the profile splits it.
func (r *Reader) orders(p *parcel, cell string) (reason string) {
	rules := &r.profile.Order
	if isPlainNumber(cell) && rules.Match == nil && rules.Remove == nil && rules.Split == nil {
		p.OrderNumber = cell
		return ""
	}
	for part := range splitSeq(cell, rules.Split) {
		for _, text := range rules.Remove {
			part = strings.ReplaceAll(part, text, "")
		}
		if rules.Match != nil {
			match := rules.Match.FindStringSubmatch(strings.TrimFunc(part, table.IsSpace))
			if match == nil {
				match = rules.Match.FindStringSubmatch(unmarked(part))
			}
			if match == nil {
				return "order_number does not match what the profile asks for"
			}
			part = match[1]
		}
		number := unmarked(part)
		if reason := orderFault(number, part); reason != "" {
			return reason
		}
		switch {
		case p.OrderNumber == "":
			p.OrderNumber = number
		case len(p.orders) == maxNumbers:
			return "order_number has more than 100 numbers"
		case number != p.OrderNumber && !slices.Contains(p.orders, number):
			p.orders = append(p.orders, number)
		}
	}
	if p.OrderNumber == "" {
		return "order_number is missing"
	}
	return ""
}

// orderFault returns why an order number is bad, and "" if it is not.
func orderFault(number, cell string) string {
	digits, plain := false, true
	for i := range len(number) {
		c := number[i]
		digits = digits || '0' <= c && c <= '9'
		plain = plain && isPlain(c)
	}
	switch {
	case number == "":
		return "order_number is missing"
	case isError(cell):
		return "order_number" + reasonError
	case !digits:
		return "order_number has no digit in it"
	case len(number) > maxIdentifier:
		return "order_number is too long"
	case hasLostDigits(number):
		return "order_number" + reasonLost
	case plain:
		return ""
	case isSpoilt(number):
		return "order_number" + reasonSpoilt
	case number[0] == '=' || isLink(number):
		return "order_number is a formula or a link"
	case strings.ContainsAny(number, ",;|<>\"") || strings.ContainsFunc(number, table.IsSpace):
		return "order_number has a blank, a comma or another separator in it: the profile's order_number has match, remove and split for that"
	case isGrouped(number, ".'’", 2):
		return "order_number has thousands separators: the profile's order_number.remove takes them out"
	case isSeveral(number):
		return "order_number has several numbers in it: the profile's order_number.split separates them"
	case isFraction(number):
		return "order_number has a decimal fraction, as 100000001.0: the profile's order_number.match takes it off"
	}
	return ""
}

// isSeveral reports whether there are two order numbers of one length and at least six digits.
func isSeveral(number string) bool {
	parts := strings.FieldsFunc(number, func(c rune) bool { return strings.ContainsRune("/+&-_", c) })
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool { return len(p) < 6 || len(p) != len(parts[0]) || !isDigits(p) })
}

// isGrouped reports whether a number has its digits in groups, at least so many, as 100.000.001.
func isGrouped(number, separators string, least int) bool {
	groups := strings.FieldsFunc(number, func(c rune) bool { return strings.ContainsRune(separators, c) })
	if len(groups) < least || len(groups[0]) > 3 || !isDigits(groups[0]) {
		return false
	}
	for _, g := range groups[1:] {
		if len(g) != 3 || !isDigits(g) {
			return false
		}
	}
	return true
}

// isFraction reports whether a number is whole, and written with a decimal point.
func isFraction(number string) bool {
	whole, rest, point := strings.Cut(number, ".")
	return point && isDigits(whole) && isDigits(rest) && strings.Trim(rest, "0") == ""
}

// numbers sets the tracking number of a parcel, of which a cell may have several. The cell is looked at whole first: what is no number
// has no several in it.
func (r *Reader) numbers(p *parcel, cell string) (reason string) {
	rules := &r.profile.Tracking
	if len(rules.Remove) == 0 && rules.Match == nil && isPlainNumber(cell) && r.profile.Split == nil {
		p.TrackingNumber = cell
		return ""
	}
	for _, text := range rules.Remove {
		cell = strings.ReplaceAll(cell, text, "")
	}
	var parts []string
	if rules.Match != nil && r.profile.Split == nil {
		for _, match := range rules.Match.FindAllStringSubmatch(cell, maxNumbers+1) {
			parts = append(parts, match[1])
		}
	}
	if parts == nil {
		if rules.Match == nil {
			if reason := numberFault(cell); reason != "" {
				return reason
			}
		}
		for part := range splitSeq(cell, r.separators()) {
			part = strings.TrimFunc(part, table.IsSpace)
			if part == "" {
				continue
			}
			if rules.Match != nil {
				match := rules.Match.FindStringSubmatch(part)
				if match == nil {
					return "tracking_number does not match what the profile asks for"
				}
				part = match[1]
			}
			parts = append(parts, part)
		}
	}
	if len(parts) > maxNumbers {
		return tooManyNumbers
	}
	for _, part := range parts {
		number := strings.Map(func(c rune) rune {
			if table.IsSpace(c) {
				return -1
			}
			return c
		}, unmarked(part))
		if reason := numberFault(number); reason != "" {
			return reason
		}
		if strings.ContainsFunc(number, func(c rune) bool { return unicode.IsControl(c) || strings.ContainsRune(";<>\"{}?=&!@", c) }) {
			return "tracking_number has a character in it that can't be part of one: the profile's split separates several, its tracking_number.match finds one"
		}
		switch {
		case len(number) > maxIdentifier:
			return reasonLong
		case p.TrackingNumber == "":
			p.TrackingNumber = number
		case number != p.TrackingNumber && !slices.Contains(p.numbers, number):
			p.numbers = append(p.numbers, number)
		}
	}
	if p.TrackingNumber == "" {
		return "tracking_number is missing"
	}
	return ""
}

// isPlainNumber reports whether a cell is one good number of letters and digits, as nearly all are.
func isPlainNumber(cell string) bool {
	digit := false
	for i := range len(cell) {
		c := cell[i]
		switch {
		case '1' <= c && c <= '9':
			digit = true
		case !isPlain(c):
			return false
		}
	}
	return digit && !hasLostDigits(cell) && len(cell) <= maxIdentifier
}

// numberFault returns why a tracking number is bad, and "" if it is not.
func numberFault(number string) string {
	switch {
	case number == "":
		return "tracking_number is missing"
	case isError(number):
		return "tracking_number" + reasonError
	case isLink(number):
		return "tracking_number is a link: the profile's tracking_number.match can take the number out of it"
	case number[0] == '=':
		return "tracking_number is a formula"
	case isSpoilt(number):
		return "tracking_number" + reasonSpoilt
	case isFraction(number) || isGrouped(number, ",.'’", 3):
		return "tracking_number has a decimal fraction or thousands separators: format the column as text and export it again"
	case !strings.ContainsAny(number, "0123456789"):
		return "tracking_number has no digit in it"
	case !strings.ContainsAny(number, "123456789"):
		return "tracking_number has no other digit than 0"
	case hasLostDigits(number):
		return "tracking_number" + reasonLost
	}
	return ""
}

const reasonLong = "tracking_number is too long"

// separators returns the texts that separate several numbers in a cell. Nil stands for the usual ones.
func (r *Reader) separators() []string {
	if r.profile.Split != nil {
		return r.profile.Split
	}
	return usual
}

// usual are the texts that separate numbers, but for <br>, which has many forms.
var usual = []string{",", "/", "|", "\n", "\r", "\u2028", "<br>"}

// lineBreak matches <br> in any form.
var lineBreak = regexp.MustCompile(`(?i)<\s*/?\s*br\b[^<>]*>`)

// splitSeq splits a cell at each of the separators. Their case does not count.
func splitSeq(cell string, separators []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if slices.Contains(separators, "<br>") && strings.Contains(cell, "<") {
			cell = lineBreak.ReplaceAllString(cell, "<br>")
		}
		lower := strings.ToLower(cell)
		if len(lower) != len(cell) { // a letter whose small form has another length: then case counts
			lower = cell
		}
		from := 0
		for at := 0; at < len(cell); {
			length := 0
			for _, s := range separators {
				if strings.HasPrefix(lower[at:], strings.ToLower(s)) {
					length = max(length, len(s))
				}
				if s == "\n" && strings.HasPrefix(lower[at:], "\u2028") { // a line break in a cell of a workbook
					length = len("\u2028")
				}
			}
			if length == 0 {
				at++
				continue
			}
			if !yield(cell[from:at]) {
				return
			}
			at += length
			from = at
		}
		yield(cell[from:])
	}
}

// value returns the value of a column, or the reason why it can't be used.
func (r *Reader) value(column int, row *table.Row, whole string, printable bool) (value, reason string) {
	for _, i := range r.layout.at[column] {
		if i >= len(row.Cells) {
			continue
		}
		if value, reason = cellValue(column, &row.Cells[i], whole, printable); value != "" || reason != "" {
			return value, reason
		}
	}
	return "", ""
}

// cellValue returns the value of a cell of a column, or the reason why it can't be used.
func cellValue(column int, c *table.Cell, row string, printable bool) (value, reason string) {
	name, text := columnNames[column], c.Text
	several := column == columnTracking || column == columnOrder
	if len(text) > maxCell || identifiers[column] && !several && len(text) > maxIdentifier && utf8.RuneCount(text) > maxIdentifier {
		return "", name + " is too long"
	}
	printable = printable || isPrintable(text)
	if !printable && !utf8.Valid(text) {
		return "", name + " has bytes that are no character in the encoding of the file: save the file as UTF-8"
	}
	if c.At >= 0 && row != "" {
		value = row[c.At : c.At+len(text)]
	} else {
		value = string(text)
	}
	if several {
		return numberCell(column, value, printable)
	}
	value = unmarked(value)
	switch {
	case !identifiers[column] && printable:
	case !identifiers[column]:
		value = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, value)
	case strings.HasPrefix(value, `"`):
		return "", name + " begins with a quote that belongs to nothing: take it away, or close it"
	case isSpoilt(value):
		return "", name + reasonSpoilt
	case hasLostDigits(value):
		return "", name + reasonLost
	case !printable && strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return "", name + reasonControl
	}
	return value, ""
}

// numberCell returns a cell that may have several numbers in it: each of them is looked at by itself.
func numberCell(column int, cell string, printable bool) (value, reason string) {
	if n := len(cell); n > 0 && isPlain(cell[0]) && isPlain(cell[n-1]) && printable {
		return cell, "" // as nearly all are
	}
	if !printable && strings.ContainsFunc(cell, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' || r == utf8.RuneError }) {
		return "", columnNames[column] + reasonControl
	}
	if column == columnOrder { // what is around it is part of what a profile's match looks at
		return strings.TrimFunc(cell, table.IsSpace), ""
	}
	if isError(cell) {
		return "", columnNames[column] + reasonError
	}
	if value = unmarked(cell); strings.HasPrefix(value, `"`) {
		return "", columnNames[column] + " begins with a quote that belongs to nothing: take it away, or close it"
	}
	return value, ""
}

const reasonControl = " has a line break or another character in it that can't be part of one"

// quantity reads a positive decimal that fits in Magento's columns (decimal(12,4)): at most 8 digits before the decimal point and 4
// after it. Three digits after a comma are refused: the comma may separate thousands or decimals.
func quantity(text string) (json.Number, bool) {
	if len(text) == 1 && '1' <= text[0] && text[0] <= '9' {
		return json.Number(text), true // as nearly all are
	}
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

// carrier returns Magento's code for the file's carrier, and the file's text as the title.
func (r *Reader) carrier(c *table.Cell) (carrierCode, title, reason string) {
	if n := r.carrierBefore; n.title != "" && string(c.Text) == n.title { // most rows have that of the one before
		return n.code, n.title, ""
	}
	if n, ok := r.named[string(c.Text)]; ok {
		if string(c.Text) == n.title {
			r.carrierBefore = n
		}
		return n.code, n.title, ""
	}
	if title, reason = cellValue(columnCarrier, c, "", false); reason != "" {
		return "", "", reason
	}
	n := named{r.profile.carrierCode(title), title}
	if len(r.named) < maxNamed {
		r.named[string(c.Text)] = n
	}
	return n.code, n.title, ""
}

// carrierCode returns Magento's code for a carrier's text: that of the profile, else that of a core carrier whose name is the text or
// its first word, else custom.
func (p *Profile) carrierCode(text string) string {
	text = strings.ToLower(text)
	if code, ok := p.exact[text]; ok {
		return code
	}
	for _, b := range p.begin {
		if strings.HasPrefix(text, b.text) {
			return b.code
		}
	}
	first := text
	if end := strings.IndexFunc(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }); end >= 0 {
		first = text[:end]
	}
	if slices.Contains(coreCarriers, first) {
		return first
	}
	return custom
}

// coreCarriers are those that Magento comes with.
var coreCarriers = []string{"dhl", "ups", "usps", "fedex"}

// ownCarrier returns the carrier of rows that have none: a code of Magento's, or else a text that becomes the title.
func (p *Profile) ownCarrier() (carrierCode, title string) {
	if known := p.carrierCode(p.Carrier); known != custom {
		return known, ""
	}
	if code.MatchString(p.Carrier) {
		return p.Carrier, ""
	}
	return custom, p.Carrier
}
