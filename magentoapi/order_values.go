package magentoapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Magento's types on the wire depend on its version, on the getter's doc comment and on who made the JSON: an id comes
// as 57 or "57", a flag as 1, "1" or true, an amount as 29.99 or "29.9900", an empty object as []. The types in this
// file read all of these. Reading never fails for a null.

// ID is a numeric id; 0 where Magento told none.
type ID int64

// UnmarshalJSON reads a number, or a text that holds one. An empty text is 0.
func (i *ID) UnmarshalJSON(data []byte) error {
	s, err := scalar(data)
	if err != nil || s == "" {
		*i = 0
		return err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("id %.40q is not a whole number", s)
	}
	*i = ID(n)
	return nil
}

// Text is a string that may also come as a number, such as an increment id or a postcode.
type Text string

// UnmarshalJSON reads a string or a number; null and false are the empty text.
func (t *Text) UnmarshalJSON(data []byte) error {
	s, err := scalar(data)
	if s == "false" && data[0] != '"' {
		s = ""
	}
	*t = Text(s)
	return err
}

// Flag is a yes or no that Magento may not tell.
type Flag struct{ Valid, Bool bool }

// UnmarshalJSON reads 0, 1, false, true, and these as texts.
func (f *Flag) UnmarshalJSON(data []byte) error {
	s, err := scalar(data)
	if err != nil {
		return err
	}
	switch s {
	case "":
		*f = Flag{}
	case "0", "false":
		*f = Flag{Valid: true}
	case "1", "true":
		*f = Flag{Valid: true, Bool: true}
	default:
		return fmt.Errorf("flag %.40q is neither 0 nor 1", s)
	}
	return nil
}

// MarshalJSON writes 1 or 0, which Magento takes for its flags and its booleans alike, or null.
func (f Flag) MarshalJSON() ([]byte, error) {
	switch {
	case !f.Valid:
		return []byte("null"), nil
	case f.Bool:
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// Decimal is an amount of money, a quantity, a rate or a percentage; not Valid where Magento told none.
type Decimal struct{ decimal.NullDecimal }

// decimalPlaces is the scale of Magento's columns for money, quantities, rates and percentages (db_schema.xml of
// Magento_Sales). What JSON has beyond is left over from PHP's binary floats: 19.989999999999998 is 19.99.
const decimalPlaces = 4

// UnmarshalJSON reads a number from its literal, never through a float, or a text that holds one. An empty text is null.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	v, err := readDecimal(data)
	if err == nil && v.Decimal.Exponent() < -decimalPlaces {
		v.Decimal = v.Decimal.Round(decimalPlaces)
	}
	d.NullDecimal = v
	return err
}

func readDecimal(data []byte) (decimal.NullDecimal, error) {
	s, err := scalar(data)
	if err != nil || s == "" {
		return decimal.NullDecimal{}, err
	}
	// Longer than any column; and an exponent as in 1e999999999 would fill the memory when it is written out.
	if len(s) > 64 {
		return decimal.NullDecimal{}, fmt.Errorf("number %.40q… has more digits than Magento's columns", s)
	}
	v, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.NullDecimal{}, fmt.Errorf("%.40q is not a number", s)
	}
	if v.Exponent() > 30 || v.Exponent() < -64 {
		return decimal.NullDecimal{}, fmt.Errorf("number %.40q is outside the range of Magento's columns", s)
	}
	return decimal.NewNullDecimal(v), nil
}

// MarshalJSON writes a number, as many digits as it has, or null.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if !d.Valid {
		return []byte("null"), nil
	}
	return []byte(d.Decimal.String()), nil
}

// Time is an instant. Magento writes it as 'Y-m-d H:i:s' without a zone, in UTC; zero where it told none.
type Time struct{ time.Time }

// UnmarshalJSON reads Magento's form, or RFC 3339.
func (t *Time) UnmarshalJSON(data []byte) error {
	s, err := scalar(data)
	if err != nil || s == "" || strings.HasPrefix(s, "0000-00-00") {
		*t = Time{}
		return err
	}
	v, err := time.ParseInLocation(time.DateTime, s, time.UTC)
	if err != nil {
		v, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return fmt.Errorf("%.40q is not a time: want YYYY-MM-DD hh:mm:ss", s)
	}
	t.Time = v.UTC()
	return nil
}

// MarshalJSON writes Magento's form.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.DateTime))
}

// Street is the lines of an address.
type Street []string

// UnmarshalJSON reads a list, or one text with line breaks, which is how the column holds it.
func (s *Street) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		var lines []Text
		if err := json.Unmarshal(data, &lines); err != nil {
			return err
		}
		*s = nil
		for _, l := range lines {
			*s = append(*s, string(l))
		}
		return nil
	}
	text, err := scalar(data)
	if err == nil && text != "" && (data[0] == 't' || data[0] == 'f') {
		err = errors.New("a boolean is no street")
	}
	*s = nil
	if err != nil {
		return err
	}
	if text != "" {
		*s = strings.Split(text, "\n")
	}
	return nil
}

// scalar gives a JSON string's content, or the literal of a number or a boolean; "" for null.
func scalar(data []byte) (string, error) {
	switch {
	case len(data) == 0 || string(data) == "null":
		return "", nil
	case data[0] == '"':
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	case data[0] == '{' || data[0] == '[':
		return "", fmt.Errorf("want a single value, got an object or a list")
	default:
		return string(data), nil
	}
}

// unmarshalObject reads an object into v, which must not have this method's caller as its UnmarshalJSON. PHP can't tell
// an empty object from an empty list, so [] is one too.
func unmarshalObject(data []byte, v any) error {
	if inner, ok := bytes.CutPrefix(data, []byte("[")); ok && string(bytes.TrimSpace(inner)) == "]" {
		return nil
	}
	return json.Unmarshal(data, v)
}
