package lists

import (
	"strings"
	"unicode"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/internal/table"
)

// separators is what the cells of a column show of its decimal separator.
type separators struct{ comma, point bool }

// decimal returns the separator that the column shows, 0 where it shows none or both.
func (s separators) decimal() byte {
	switch {
	case s.comma == s.point:
		return 0
	case s.comma:
		return ','
	default:
		return '.'
	}
}

func (s *separators) see(cell string) {
	n, _ := split(cell)
	switch n.decimal {
	case ',':
		s.comma = true
	case '.':
		s.point = true
	}
}

// amount is a number as it is written, in parts.
type amount struct {
	negative bool
	percent  bool
	// whole and fraction are digits alone.
	whole, fraction string
	// decimal is the decimal separator, where the number itself leaves no doubt of it; separated is that of a number which can be
	// read either way: three digits stand behind it, and no more than three before it.
	decimal, separated byte
}

// Why a cell is no number.
const (
	noNumber    = "is no number"
	badGroups   = "has a separator where none can be: a decimal separator stands once, and thousands have three digits"
	doubtful    = "can be read with a thousands separator or with three decimals, and no other row of the column shows which: name the separator (--decimal)"
	contradicts = "has another decimal separator than --decimal says"
	spoilt      = "was turned into a power of ten by a spreadsheet"
)

// split takes a number apart. Reason says why it is none.
func split(cell string) (n amount, reason string) {
	text, percent := strings.CutSuffix(trimmed(cell), "%")
	n.percent = percent
	text = trimmed(text)
	if body, ok := strings.CutSuffix(text, "-"); ok { // as SAP writes it
		text, n.negative = body, true
	} else if body, ok := strings.CutPrefix(text, "-"); ok {
		text, n.negative = body, true
	} else {
		text = strings.TrimPrefix(text, "+")
	}
	text = trimmed(text)
	if text == "" {
		return n, noNumber
	}
	var digits strings.Builder
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9' || r == ',' || r == '.':
			digits.WriteRune(r)
		case r == '\'' || r == '’' || table.IsSpace(r):
			digits.WriteByte(' ')
		case (r == 'e' || r == 'E') && digits.Len() > 0:
			return n, spoilt
		default:
			return n, noNumber
		}
	}
	return n.parts(digits.String())
}

func trimmed(text string) string {
	text = strings.TrimFunc(text, func(r rune) bool { return table.IsSpace(r) || unicode.Is(unicode.Sc, r) })
	for _, c := range currencies {
		if len(text) > len(c) && strings.EqualFold(text[len(text)-len(c):], c) {
			return strings.TrimFunc(text[:len(text)-len(c)], table.IsSpace)
		}
		if len(text) > len(c) && strings.EqualFold(text[:len(c)], c) {
			return strings.TrimFunc(text[len(c):], table.IsSpace)
		}
	}
	return text
}

// parts takes digits, commas, points and blanks apart.
func (n amount) parts(text string) (amount, string) {
	commas, points := strings.Count(text, ","), strings.Count(text, ".")
	last := strings.LastIndexAny(text, ",.")
	blanks := strings.Contains(text, " ")
	switch {
	case commas > 0 && points > 0: // the last one is the decimal separator, the others are of thousands
		if blanks || strings.Count(text, text[last:last+1]) > 1 {
			return n, badGroups
		}
		return n.cut(text, last, map[byte]string{',': ".", '.': ","}[text[last]])
	case commas+points > 1: // of thousands
		other := map[byte]byte{',': '.', '.': ','}[text[last]]
		whole, ok := ungrouped(text, text[last:last+1])
		if !ok || blanks {
			return n, badGroups
		}
		n.whole, n.decimal = whole, other
		return n, ""
	case last < 0:
		whole, ok := ungrouped(text, " ")
		if !ok {
			return n, badGroups
		}
		n.whole = whole
		return n, ""
	case blanks || len(text)-last-1 != 3 || last == 0 || last > 3 || text[0] == '0':
		return n.cut(text, last, " ")
	}
	n.separated, n.whole, n.fraction = text[last], text[:last], text[last+1:]
	return n, ""
}

// cut takes a number apart at its decimal separator.
func (n amount) cut(text string, at int, thousands string) (amount, string) {
	whole, ok := ungrouped(text[:at], thousands)
	if !ok || strings.Contains(text[at:], " ") {
		return n, badGroups
	}
	n.whole, n.fraction, n.decimal = whole, text[at+1:], text[at]
	if n.whole == "" && n.fraction == "" {
		return n, noNumber
	}
	return n, ""
}

// ungrouped takes separators of thousands out.
func ungrouped(text, separator string) (digits string, ok bool) {
	groups := strings.Split(text, separator)
	for i, g := range groups {
		if len(groups) > 1 && (i > 0 && len(g) != 3 || i == 0 && (g == "" || len(g) > 3)) {
			return "", false
		}
	}
	return strings.Join(groups, ""), true
}

// number reads a cell of a column whose decimal separator is known, or 0. Named says that a person has named it.
func number(cell string, separator byte, named bool) (d decimal.Decimal, percent bool, reason string) {
	n, reason := split(cell)
	switch {
	case reason != "":
		return d, false, reason
	case named && n.decimal != 0 && n.decimal != separator:
		return d, false, contradicts
	case n.separated != 0 && separator == 0:
		return d, false, doubtful
	case n.separated != 0 && n.separated != separator:
		n.whole, n.fraction = n.whole+n.fraction, ""
	}
	text := n.whole
	if text == "" {
		text = "0"
	}
	if n.fraction != "" {
		text += "." + n.fraction
	}
	d, err := decimal.NewFromString(text)
	if err != nil || len(text) > maxNumber {
		return d, false, noNumber
	}
	if n.negative {
		d = d.Neg()
	}
	return d, n.percent, ""
}

// maxNumber bounds the digits of a number.
const maxNumber = 40
