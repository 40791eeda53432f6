package config

import (
	"strings"

	"github.com/shopspring/decimal"
)

// Send says which prices and stock are written.
type Send string

// The ways to send.
const (
	SendChanged Send = "changed"
	SendAll     Send = "all"
)

// Type says what it takes.
func (Send) Type() string { return words(SendChanged, SendAll) }

// Decode reads it.
func (s *Send) Decode(value string) error { return choice(s, value, SendChanged, SendAll) }

// PriceScope is what a price of the shop is for.
type PriceScope string

// The scopes of prices.
const (
	GlobalPrices  PriceScope = "global"
	WebsitePrices PriceScope = "website"
)

// Type says what it takes.
func (PriceScope) Type() string { return words(GlobalPrices, WebsitePrices) }

// Decode reads it.
func (s *PriceScope) Decode(value string) error { return choice(s, value, GlobalPrices, WebsitePrices) }

// Share is a part of something, written in percent; the zero value is none.
type Share struct{ decimal.Decimal }

// Type says what it takes.
func (Share) Type() string { return "a percentage such as 50%" }

// Decode reads it.
func (s *Share) Decode(value string) error {
	number, ok := strings.CutSuffix(strings.TrimSpace(value), "%")
	d, err := decimal.NewFromString(strings.TrimSpace(number))
	if !ok || err != nil || !d.IsPositive() || len(number) > 20 || d.GreaterThan(decimal.New(1, 9)) {
		return want("%s, above 0", s.Type())
	}
	s.Decimal = d.Shift(-2)
	return nil
}

// String is what Decode reads.
func (s Share) String() string {
	if s.IsZero() {
		return ""
	}
	return s.Shift(2).String() + "%"
}

// StockBuffer has what is kept back of each source, by its code.
type StockBuffer map[string]decimal.Decimal

// Type says what it takes.
func (StockBuffer) Type() string { return "source=quantity pairs separated by commas" }

// Decode reads it.
func (b *StockBuffer) Decode(value string) error {
	*b = StockBuffer{}
	for _, part := range list(value) {
		source, number, ok := strings.Cut(part, "=")
		source, number = strings.TrimSpace(source), strings.TrimSpace(number)
		d, err := decimal.NewFromString(number)
		if !ok || source == "" || err != nil || d.IsNegative() || len(number) > 20 || d.GreaterThanOrEqual(decimal.New(1, 8)) {
			return want("%s, such as default=2", b.Type())
		}
		if _, twice := (*b)[source]; twice {
			return want("%s, each source once", b.Type())
		}
		(*b)[source] = d
	}
	return nil
}
