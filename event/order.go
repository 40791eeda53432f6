package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// ID is one of Magento's entity ids. In JSON it is a number or a string of digits. Null and the empty string are 0, which is no id
// of an order, a shipment or a customer.
type ID int64

// UnmarshalJSON accepts either form.
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

// Text is a string that may be a number in JSON, whose digits are kept. Null is the empty string.
type Text string

// UnmarshalJSON accepts either form.
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

// Order is what an event says about an order.
type Order struct {
	EntityID    ID   // 0 if the event has none
	IncrementID Text // "" if the event has none
	StoreID     *ID  // nil if the event has none; 0 is Magento's admin store
}

// ParseOrder reads the body of an event about an order. The order is named by entity_id and increment_id, also written entityId and
// incrementId; without them by order_id or orderId, which is the entity id; without any of these by id. A body that names no order is
// Invalid. So is one about something that belongs to an order: an invoice, a shipment or a credit memo has order_id beside an id or
// number of its own. The body must be one that Decode has returned: ParseOrder does not check again that it is a JSON object, which
// would double its cost.
func ParseOrder(body json.RawMessage) (Order, error) {
	var (
		o                          Order
		camelID, camelNumber       []byte
		camelStore, aliasID, anyID []byte
		parent                     bool
		title                      string
	)
	// Only these members of a whole order are read: encoding/json would read each byte of it twice.
	for key, value := range members(body) {
		var into json.Unmarshaler
		switch name := string(key[1 : len(key)-1]); name {
		case "entity_id":
			into = &o.EntityID
		case "increment_id":
			into = &o.IncrementID
		case "store_id":
			if o.StoreID = nil; string(value) != "null" {
				o.StoreID = new(ID)
				into = o.StoreID
			}
		case "entityId":
			camelID = value
		case "incrementId":
			camelNumber = value
		case "storeId":
			camelStore = value
		case "order_id", "orderId":
			aliasID = value
		case "parent_id":
			parent = tells(value)
		case "id":
			anyID = value
		default:
			if value[0] == '"' && isTitle(name) {
				title = about(string(value), false)
			}
		}
		if into == nil {
			continue
		}
		if err := into.UnmarshalJSON(value); err != nil {
			return Order{}, Errorf(Invalid, "the event can't be read as one about an order: %s: %w", key, err)
		}
	}
	o.camelCase(camelID, camelNumber, camelStore)
	own := o.EntityID != 0 || o.IncrementID != ""
	byAlias, byID := aliasID != nil && isID(aliasID), anyID != nil && isID(anyID)
	switch {
	case byAlias && (own || byID):
		return Order{}, Errorf(Invalid, "the event is about something that belongs to an order, an invoice, a shipment or a credit memo: "+
			"it has an order's id (%s) beside %s; its members are %s", shortID(aliasID), ownName(o, anyID), MemberNames(body))
	case parent && o.EntityID != 0 && o.IncrementID == "":
		return Order{}, Errorf(Invalid, "the event is about something that belongs to an order, an address, a payment or a comment: "+
			"it has parent_id beside entity_id %d; its members are %s", o.EntityID, MemberNames(body))
	case isForeign(title, Orders) && !byAlias:
		return Order{}, Errorf(Invalid, "the event says that it is about %s and not about an order; its members are %s", title, MemberNames(body))
	case own:
		return o, nil
	case byAlias || byID:
		value := aliasID
		if !byAlias {
			value = anyID
		}
		err := o.EntityID.UnmarshalJSON(value)
		return o, err
	default:
		return Order{}, Errorf(Invalid, "the event names no order: it has neither entity_id nor increment_id, nor order_id or id that are ids; "+
			"its members are %s", MemberNames(body))
	}
}

// camelCase uses members in camel case where the ones in Magento's own writing are missing.
func (o *Order) camelCase(id, number, store []byte) {
	if o.EntityID == 0 && id != nil && isID(id) {
		_ = o.EntityID.UnmarshalJSON(id)
	}
	if o.IncrementID == "" && number != nil && o.IncrementID.UnmarshalJSON(number) != nil {
		o.IncrementID = ""
	}
	if o.StoreID == nil && store != nil {
		var s ID
		if string(store) != "null" && s.UnmarshalJSON(store) == nil {
			o.StoreID = &s
		}
	}
}

// shortID returns an id for an error, if it is one.
func shortID(value []byte) string {
	var id ID
	if id.UnmarshalJSON(value) != nil {
		return "no number"
	}
	return strconv.FormatInt(int64(id), 10)
}

// ownName returns what names an object that belongs to an order.
func ownName(o Order, id []byte) string {
	switch {
	case o.EntityID != 0:
		return fmt.Sprintf("entity_id %d", o.EntityID)
	case o.IncrementID != "":
		return "an increment_id"
	default:
		return "id " + shortID(id)
	}
}
