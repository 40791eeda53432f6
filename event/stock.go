package event

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// DefaultSource is the source of a stock entry that names none.
const DefaultSource = "default"

// StockSync is the body of inventory.sync.requested (docs/prices-and-stock.md). It is written as JSON in the form in which
// ParseStock reads it.
type StockSync struct {
	// AsOf is the version of all of its items: of two for one key the newer one counts, whichever arrives last.
	AsOf  time.Time
	Items []StockItem
}

// StockItem is what lies in a source of one SKU, goods of open orders included.
type StockItem struct {
	SKU, SourceCode string
	Quantity        decimal.Decimal
	// InStock is nil if the message does not say: then the quantity decides.
	InStock *bool

	// Raw is the item as the message had it; nil in one that was not parsed.
	Raw json.RawMessage
	// Err is Invalid if this item can't be used, beside others that can.
	Err error
}

// ParseStock reads the body of an event about stock. A body that can't be used as a whole is Invalid; an item that can't be
// used beside others that can has Err set. The items share the body's memory.
func ParseStock(body json.RawMessage) (StockSync, error) {
	var m struct {
		AsOf  json.RawMessage   `json:"as_of"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return StockSync{}, Errorf(Invalid, "the event can't be read as one about stock: %w", err)
	}
	s := StockSync{Items: make([]StockItem, len(m.Items))}
	var err error
	if s.AsOf, err = asOf(m.AsOf, body); err != nil {
		return StockSync{}, err
	}
	if m.Items == nil {
		return StockSync{}, Errorf(Invalid, "the event has no list of items; its members are %s", MemberNames(body))
	}
	for i, raw := range m.Items {
		s.Items[i] = parseStockItem(raw)
	}
	return s, nil
}

func parseStockItem(raw json.RawMessage) StockItem {
	var m struct {
		SKU      Text            `json:"sku"`
		Source   Text            `json:"source_code"`
		Quantity json.RawMessage `json:"quantity"`
		Status   json.RawMessage `json:"status"`
	}
	i := StockItem{Raw: raw}
	if err := json.Unmarshal(raw, &m); err != nil {
		i.Err = Errorf(Invalid, "the item can't be read: %w", err)
		return i
	}
	i.SKU, i.SourceCode = string(m.SKU), string(m.Source)
	if i.SourceCode == "" {
		i.SourceCode = DefaultSource
	}
	i.Err = i.check(m.Quantity, m.Status)
	return i
}

func (i *StockItem) check(rawQuantity, rawStatus json.RawMessage) error {
	if err := checkSKU(i.SKU); err != nil {
		return err
	}
	if utf8.RuneCountInString(i.SourceCode) > maxSourceCode || hasNUL(i.SourceCode) {
		return Errorf(Invalid, "source_code of SKU %s can't be that of a source", i.SKU)
	}
	quantity, err := number(rawQuantity, stockDigits, stockDecimals)
	if err != nil {
		return Errorf(Invalid, "quantity of SKU %s %w", i.SKU, err)
	}
	if !quantity.Valid {
		return Errorf(Invalid, "SKU %s has no quantity", i.SKU)
	}
	i.Quantity = quantity.Decimal
	if status := string(rawStatus); status != "" && status != "null" && status != `""` {
		inStock, err := boolean(rawStatus)
		if err != nil {
			return Errorf(Invalid, "status of SKU %s must be 1 or 0", i.SKU)
		}
		i.InStock = &inStock
	}
	return nil
}

// MarshalJSON writes the body of an event.
func (s StockSync) MarshalJSON() ([]byte, error) {
	rows := make([]json.RawMessage, len(s.Items))
	for n, i := range s.Items {
		row, err := i.row()
		if err != nil {
			return nil, err
		}
		rows[n] = row
	}
	return json.Marshal(struct {
		AsOf  string            `json:"as_of"`
		Items []json.RawMessage `json:"items"`
	}{s.AsOf.UTC().Format(time.RFC3339Nano), rows})
}

// row returns the item as it stands in a message: as it came, if it was parsed.
func (i StockItem) row() (json.RawMessage, error) {
	if i.Raw != nil {
		return i.Raw, nil
	}
	r := struct {
		SKU      string      `json:"sku"`
		Source   string      `json:"source_code"`
		Quantity json.Number `json:"quantity"`
		Status   *int        `json:"status,omitempty"`
	}{i.SKU, i.SourceCode, json.Number(i.Quantity.String()), nil}
	if i.InStock != nil {
		status := 0
		if *i.InStock {
			status = 1
		}
		r.Status = &status
	}
	return json.Marshal(r)
}
