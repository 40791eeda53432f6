package erp

import (
	"encoding/json"

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
func (a Amount) String() string {
	if !a.Valid {
		return ""
	}
	d := a.Decimal
	// String drops the zeros at the end; where fewer than two decimals are left, two hold all of it.
	if d.Equal(d.Truncate(2)) {
		return d.StringFixed(2)
	}
	return d.String()
}

// MarshalJSON writes the form above.
func (a Amount) MarshalJSON() ([]byte, error) { return marshal(a.Valid, a.String()) }

// String returns the JSON form without quotes; "" if not known.
func (q Quantity) String() string {
	if !q.Valid {
		return ""
	}
	return q.Decimal.String()
}

// MarshalJSON writes the form above.
func (q Quantity) MarshalJSON() ([]byte, error) { return marshal(q.Valid, q.String()) }

func marshal(valid bool, s string) ([]byte, error) {
	if !valid {
		return []byte("null"), nil
	}
	return json.Marshal(s)
}
