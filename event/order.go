package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// ID is one of Magento's entity ids. In JSON it comes as a number or as a string of digits; null and the empty string
// are 0, which Magento gives to no order, shipment or customer.
type ID int64

// UnmarshalJSON reads the id in either form.
func (id *ID) UnmarshalJSON(b []byte) error {
	var text Text
	if err := text.UnmarshalJSON(b); err != nil {
		return err
	}
	if text == "" {
		*id = 0
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("an id must be a whole number that is not negative, as a number or as a string")
	}
	*id = ID(n)
	return nil
}

// Text is a string that may come as a number, whose digits are kept as they are. Null is empty.
type Text string

// UnmarshalJSON reads the text in either form.
func (t *Text) UnmarshalJSON(b []byte) error {
	switch b = bytes.TrimSpace(b); {
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Text(strings.TrimSpace(s))
	case string(b) == "null":
		*t = ""
	case len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		*t = Text(b)
	default:
		return fmt.Errorf("a string or a number is expected, not an object, an array or a boolean")
	}
	return nil
}

// Order is what an event says of an order: the message of order_placed and order_canceled.
type Order struct {
	EntityID    ID   // 0 if the event does not tell
	IncrementID Text // "" if the event does not tell
	StoreID     *ID  // nil if the event does not tell; 0 is Magento's admin store
}

// ParseOrder reads the body of an event about an order. One that names no order is Invalid. The body must be one that
// Decode has given: that it is a JSON object is not looked at again, which would cost as much as all the rest.
func ParseOrder(body json.RawMessage) (Order, error) {
	var o Order
	// Of a whole order only these are read: encoding/json would look at each byte of it twice.
	for key, value := range members(body) {
		var into json.Unmarshaler
		switch string(key) {
		case `"entity_id"`:
			into = &o.EntityID
		case `"increment_id"`:
			into = &o.IncrementID
		case `"store_id"`:
			if o.StoreID = nil; string(value) != "null" {
				o.StoreID = new(ID)
				into = o.StoreID
			}
		}
		if into == nil {
			continue
		}
		if err := into.UnmarshalJSON(value); err != nil {
			return Order{}, Errorf(Invalid, "the event can't be read as one about an order: %s: %w", key, err)
		}
	}
	if o.EntityID == 0 && o.IncrementID == "" {
		return Order{}, Errorf(Invalid, "the event names no order: it has neither entity_id nor increment_id")
	}
	return o, nil
}
