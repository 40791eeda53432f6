package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// PriceType is what a message of pricing.sync.requested asks for.
type PriceType string

// The types of messages of prices.
const (
	// BasePrices are the regular prices of products.
	BasePrices PriceType = "base"
	// SpecialPrices are prices for a time.
	SpecialPrices PriceType = "special"
	// SpecialDelete deletes special prices.
	SpecialDelete PriceType = "special_delete"
	// TierPrices are what a group of customers pays from a quantity on.
	TierPrices PriceType = "tier"
	// TierDelete deletes tier prices.
	TierDelete PriceType = "tier_delete"
)

// PriceSync is the body of pricing.sync.requested (docs/prices-and-stock.md). It is written as JSON in the form in which
// ParsePrices reads it.
type PriceSync struct {
	Type PriceType
	// AsOf is the version of all of its prices: of two for one key the newer one counts, whichever arrives last.
	AsOf time.Time
	// Replace, of tier prices alone: those of the message take the place of all that their SKUs have.
	Replace bool
	Prices  []Price
}

// Price is one price of a PriceSync. Which fields have a meaning depends on the type.
type Price struct {
	SKU   string
	Price decimal.NullDecimal // not Valid only where it is deleted
	// StoreID is the store view of a base or special price, 0 for all.
	StoreID int64
	// From and To bound a special price, as YYYY-MM-DD HH:MM:SS on the store's clock; "" for no bound.
	From, To string
	// TierType of a tier price is fixed or discount (percent).
	TierType string
	// WebsiteID of a tier price is 0 for all.
	WebsiteID int64
	// CustomerGroup is the name of the tier price's group, in Magento's words: ALL GROUPS, General.
	CustomerGroup string
	// Quantity is from how many on the tier price holds.
	Quantity decimal.Decimal

	// Raw is the price as the message had it; nil in one that was not parsed.
	Raw json.RawMessage
	// Err is Invalid if this price can't be used, beside others that can.
	Err error
}

// The most digits of what Magento keeps, before the point and behind it (Catalog/etc/db_schema.xml, decimal(20,6);
// Inventory/etc/db_schema.xml, decimal(12,4)), and the longest SKU, in characters (varchar(64)).
const (
	priceDigits    = 14
	priceDecimals  = 6
	stockDigits    = 8
	stockDecimals  = 4
	maxSKU         = 64
	maxGroupName   = 255
	maxSourceCode  = 255
	maxNumberBytes = 64
)

// ParsePrices reads the body of an event about prices. A body that can't be used as a whole is Invalid; a price that can't be
// used beside others that can has Err set. The prices share the body's memory.
func ParsePrices(body json.RawMessage) (PriceSync, error) {
	var m struct {
		Type    Text              `json:"type"`
		AsOf    json.RawMessage   `json:"as_of"`
		Replace json.RawMessage   `json:"replace"`
		Prices  []json.RawMessage `json:"prices"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return PriceSync{}, Errorf(Invalid, "the event can't be read as one about prices: %w", err)
	}
	s := PriceSync{Type: PriceType(m.Type), Prices: make([]Price, len(m.Prices))}
	var err error
	if s.AsOf, err = asOf(m.AsOf, body); err != nil {
		return PriceSync{}, err
	}
	switch s.Type {
	case BasePrices, SpecialPrices, SpecialDelete, TierPrices, TierDelete:
	default:
		return PriceSync{}, Errorf(Invalid, "type is %q: it must be base, special, special_delete, tier or tier_delete", excerptOf(string(m.Type)))
	}
	if m.Prices == nil {
		return PriceSync{}, Errorf(Invalid, "the event has no list of prices; its members are %s", MemberNames(body))
	}
	replace, err := boolean(m.Replace)
	if err != nil {
		return PriceSync{}, Errorf(Invalid, "replace %w", err)
	}
	if s.Replace = replace; replace && s.Type != TierPrices {
		return PriceSync{}, Errorf(Invalid, "replace is for the type tier: the type %s has no price that another one could replace", s.Type)
	}
	for i, raw := range m.Prices {
		s.Prices[i] = parsePrice(s.Type, raw)
	}
	return s, nil
}

func parsePrice(t PriceType, raw json.RawMessage) Price {
	var m struct {
		SKU           Text            `json:"sku"`
		Price         json.RawMessage `json:"price"`
		StoreID       ID              `json:"store_id"`
		From          json.RawMessage `json:"price_from"`
		To            json.RawMessage `json:"price_to"`
		TierType      Text            `json:"price_type"`
		WebsiteID     ID              `json:"website_id"`
		CustomerGroup Text            `json:"customer_group"`
		Quantity      json.RawMessage `json:"quantity"`
	}
	p := Price{Raw: raw}
	if err := json.Unmarshal(raw, &m); err != nil {
		p.Err = Errorf(Invalid, "the price can't be read: %w", err)
		return p
	}
	p.SKU, p.StoreID, p.WebsiteID = string(m.SKU), int64(m.StoreID), int64(m.WebsiteID)
	p.TierType, p.CustomerGroup = string(m.TierType), string(m.CustomerGroup)
	p.Err = p.check(t, m.Price, m.From, m.To, m.Quantity)
	return p
}

// check reads what must have a form.
func (p *Price) check(t PriceType, price, from, to, quantity json.RawMessage) (err error) {
	if err := checkSKU(p.SKU); err != nil {
		return err
	}
	deleted := t == SpecialDelete || t == TierDelete
	if p.Price, err = number(price, priceDigits, priceDecimals); err != nil {
		return Errorf(Invalid, "price of SKU %s %w", p.SKU, err)
	}
	switch {
	case !p.Price.Valid && !deleted:
		return Errorf(Invalid, "SKU %s has no price", p.SKU)
	case p.Price.Decimal.IsNegative():
		return Errorf(Invalid, "price of SKU %s is below 0", p.SKU)
	}
	switch t {
	case SpecialPrices, SpecialDelete:
		if p.From, err = storeTime(from); err != nil {
			return Errorf(Invalid, "price_from of SKU %s %w", p.SKU, err)
		}
		if p.To, err = storeTime(to); err != nil {
			return Errorf(Invalid, "price_to of SKU %s %w", p.SKU, err)
		}
	case TierPrices, TierDelete:
		return p.checkTier(deleted, quantity)
	}
	return nil
}

func (p *Price) checkTier(deleted bool, raw json.RawMessage) error {
	switch {
	case p.CustomerGroup == "":
		return Errorf(Invalid, "the tier price of SKU %s has no customer_group", p.SKU)
	case utf8.RuneCountInString(p.CustomerGroup) > maxGroupName || hasNUL(p.CustomerGroup):
		return Errorf(Invalid, "customer_group of SKU %s can't be the name of a group", p.SKU)
	case p.TierType != "fixed" && p.TierType != "discount" && (!deleted || p.TierType != ""):
		return Errorf(Invalid, "price_type of SKU %s is %q: it must be fixed or discount", p.SKU, excerptOf(p.TierType))
	}
	quantity, err := number(raw, stockDigits, stockDecimals)
	if err == nil && !quantity.Decimal.IsPositive() {
		err = fmt.Errorf("must be a number above 0")
	}
	if err != nil {
		return Errorf(Invalid, "quantity of the tier price of SKU %s %w", p.SKU, err)
	}
	p.Quantity = quantity.Decimal
	return nil
}

// MarshalJSON writes the body of an event.
func (s PriceSync) MarshalJSON() ([]byte, error) {
	rows := make([]json.RawMessage, len(s.Prices))
	for i, p := range s.Prices {
		row, err := p.row(s.Type)
		if err != nil {
			return nil, err
		}
		rows[i] = row
	}
	return json.Marshal(struct {
		Type    PriceType         `json:"type"`
		AsOf    string            `json:"as_of"`
		Replace bool              `json:"replace,omitempty"`
		Prices  []json.RawMessage `json:"prices"`
	}{s.Type, s.AsOf.UTC().Format(time.RFC3339Nano), s.Replace, rows})
}

// row returns the price as it stands in a message of the type: as it came, if it was parsed.
func (p Price) row(t PriceType) (json.RawMessage, error) {
	if p.Raw != nil {
		return p.Raw, nil
	}
	var r struct {
		SKU           string      `json:"sku"`
		Price         json.Number `json:"price,omitempty"`
		StoreID       *int64      `json:"store_id,omitempty"`
		From          string      `json:"price_from,omitempty"`
		To            string      `json:"price_to,omitempty"`
		TierType      string      `json:"price_type,omitempty"`
		WebsiteID     *int64      `json:"website_id,omitempty"`
		CustomerGroup string      `json:"customer_group,omitempty"`
		Quantity      json.Number `json:"quantity,omitempty"`
	}
	r.SKU = p.SKU
	if p.Price.Valid {
		r.Price = json.Number(p.Price.Decimal.String())
	}
	switch t {
	case TierPrices, TierDelete:
		r.TierType, r.WebsiteID, r.CustomerGroup, r.Quantity = p.TierType, &p.WebsiteID, p.CustomerGroup, json.Number(p.Quantity.String())
	default:
		r.StoreID, r.From, r.To = &p.StoreID, p.From, p.To
	}
	return json.Marshal(r)
}

// asOf reads the version of a message's entries. Postgres keeps it to the microsecond.
func asOf(raw, body json.RawMessage) (time.Time, error) {
	const right = "such as 2026-11-23T10:00:00Z: without it nobody knows which of two values is the newer one"
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return time.Time{}, Errorf(Invalid, "the event has no as_of, a time %s; its members are %s", right, MemberNames(body))
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return time.Time{}, Errorf(Invalid, "as_of must be a text of a time (RFC 3339), %s", right)
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, Errorf(Invalid, "as_of is %q: it must be a time (RFC 3339), %s", excerptOf(text), right)
	}
	return at.UTC().Truncate(time.Microsecond), nil
}

func checkSKU(sku string) error {
	switch {
	case sku == "":
		return Errorf(Invalid, "the entry has no sku")
	case utf8.RuneCountInString(sku) > maxSKU:
		return Errorf(Invalid, "sku %q has more than %d characters, which is the most that Magento keeps", excerptOf(sku), maxSKU)
	case hasNUL(sku):
		return Errorf(Invalid, "sku %q has a NUL in it", excerptOf(sku))
	}
	return nil
}

func hasNUL(s string) bool { return bytes.IndexByte([]byte(s), 0) >= 0 }

// number reads a number or a string of one. Null, "" and nothing are not Valid. The text of its errors continues a sentence.
func number(raw json.RawMessage, digits, decimals int32) (decimal.NullDecimal, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return decimal.NullDecimal{}, nil
	}
	var text Text
	if text.UnmarshalJSON(raw) != nil || len(text) > maxNumberBytes {
		return decimal.NullDecimal{}, fmt.Errorf("must be a number")
	}
	if text == "" {
		return decimal.NullDecimal{}, nil
	}
	d, err := decimal.NewFromString(string(text))
	switch {
	case err != nil:
		return decimal.NullDecimal{}, fmt.Errorf("is %q: it must be a number", excerptOf(string(text)))
	// The exponent first: 1e999999999 would fill the memory when it is compared or written out.
	case d.Exponent() > digits, d.Exponent() < -maxNumberBytes, d.Abs().GreaterThanOrEqual(decimal.New(1, digits)), !d.Equal(d.Truncate(decimals)):
		return decimal.NullDecimal{}, fmt.Errorf("must have at most %d digits before the point and %d behind it", digits, decimals)
	}
	return decimal.NewNullDecimal(d), nil
}

// storeTime reads a time on a store's clock, which is passed on as it is.
func storeTime(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("must be a text of the form YYYY-MM-DD HH:MM:SS")
	}
	if text == "" {
		return "", nil
	}
	if at, err := time.Parse(time.DateTime, text); err != nil || at.Format(time.DateTime) != text {
		return "", fmt.Errorf("is %q: it must have the form YYYY-MM-DD HH:MM:SS, in the store's local time", excerptOf(text))
	}
	return text, nil
}

// boolean reads true, false, 1 or 0, also as a string. Null and nothing are false.
func boolean(raw json.RawMessage) (bool, error) {
	switch string(bytes.TrimSpace(raw)) {
	case "", "null", "false", "0", `"0"`, `"false"`, `""`:
		return false, nil
	case "true", "1", `"1"`, `"true"`:
		return true, nil
	}
	return false, fmt.Errorf("must be true or false")
}

// excerptOf bounds what an error repeats of a value.
func excerptOf(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
