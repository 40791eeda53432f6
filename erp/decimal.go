package erp

import (
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// Amount is money, or not known. In JSON it is a string with at least two decimals and no zeros beyond the second
// ("86.87", "5.00", "29.9875"), or null. It is never rounded.
type Amount struct{ decimal.NullDecimal }

// Quantity is a number that is not money, or not known: a quantity, a rate, a percentage. In JSON it is a string without
// trailing zeros ("2", "0.5"), or null. It is never rounded.
type Quantity struct{ decimal.NullDecimal }

// NewAmount returns a known Amount.
func NewAmount(d decimal.Decimal) Amount { return Amount{decimal.NewNullDecimal(d)} }

// NewQuantity returns a known Quantity.
func NewQuantity(d decimal.Decimal) Quantity { return Quantity{decimal.NewNullDecimal(d)} }

// String returns the JSON form without quotes; "" if not known.
func (a Amount) String() string { return text(a.NullDecimal, 2) }

// MarshalJSON writes the form above.
func (a Amount) MarshalJSON() ([]byte, error) { return quoted(a.NullDecimal, 2), nil }

// String returns the JSON form without quotes; "" if not known.
func (q Quantity) String() string { return text(q.NullDecimal, 0) }

// MarshalJSON writes the form above.
func (q Quantity) MarshalJSON() ([]byte, error) { return quoted(q.NullDecimal, 0), nil }

func text(d decimal.NullDecimal, least int) string {
	if !d.Valid {
		return ""
	}
	return string(appendDecimal(nil, d.Decimal, least))
}

func quoted(d decimal.NullDecimal, least int) []byte {
	if !d.Valid {
		return []byte("null")
	}
	return append(appendDecimal(append(make([]byte, 0, 16), '"'), d.Decimal, least), '"')
}

// appendDecimal appends all decimals of d without zeros at the end, but at least so many. An order has dozens of them: what
// fits in a machine's word is written without the detour by a big.Int and a string.
func appendDecimal(b []byte, d decimal.Decimal, least int) []byte {
	decimals := int(-d.Exponent())
	if decimals < 0 || decimals > 15 || d.NumDigits() > 15 {
		s := d.String() // drops the zeros at the end
		if _, after, _ := strings.Cut(s, "."); len(after) < least {
			s = d.StringFixed(int32(least)) //nolint:gosec // 0 or 2
		}
		return append(b, s...)
	}
	n := d.CoefficientInt64()
	for ; decimals > least && n%10 == 0; decimals-- {
		n /= 10
	}
	for ; decimals < least; decimals++ {
		n *= 10
	}
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], n, 10)
	whole := len(text) - decimals
	if whole <= 0 {
		b = append(b, '0')
	} else {
		b = append(b, text[:whole]...)
	}
	if decimals == 0 {
		return b
	}
	b = append(b, '.')
	for ; whole < 0; whole++ {
		b = append(b, '0')
	}
	return append(b, text[whole:]...)
}
