package event

import (
	"bytes"
	"regexp"
	"strings"
)

// Kind says what the events of a consumer are about. With it Decode finds the event in bodies that hold more than it.
type Kind string

const (
	// Anything leaves open what an event is: an object of any members is one.
	Anything Kind = ""
	// Orders are named by entity_id and increment_id, and by some other names: see ParseOrder.
	Orders Kind = "an order"
	// Parcels are named by order_number and tracking_number: see ParseTracking.
	Parcels Kind = "a tracking number"
	// Files are named by their path.
	Files Kind = "a tracking file"
)

// grade says how surely an object names what its kind is about.
type grade int

const (
	unnamed   grade = iota
	byAnyID         // id, which anything has
	byAliasID       // order_id or orderId, which also what belongs to an order has
	byName
)

// naming is what an object says of itself.
type naming struct {
	grade
	entityID, number, store bool // what an order is named by, and whether it tells its store
	foreign                 bool // something else, which belongs to an order
}

// names reports whether the object v names what it is about by its own name for it. It looks no further than it must.
func (k Kind) names(v []byte) bool {
	for key, value := range members(v) {
		if k.own(string(key[1:len(key)-1])) && tells(value) {
			return true
		}
	}
	return false
}

// own reports whether a member of that name names what k is about.
func (k Kind) own(name string) bool {
	switch k {
	case Orders:
		return name == "entity_id" || name == "entityId" || name == "increment_id" || name == "incrementId"
	case Parcels:
		return name == "order_number" || name == "tracking_number"
	case Files:
		return name == "path"
	default:
		return false
	}
}

// named looks at all members of the object v. A value that is null, empty or 0 says nothing.
func (k Kind) named(v []byte) naming {
	var (
		n                      naming
		anyID, aliasID, parent bool
	)
	for key, value := range members(v) {
		if !tells(value) {
			continue
		}
		name := string(key[1 : len(key)-1])
		if k.own(name) {
			n.grade = byName
		}
		if k != Orders {
			continue
		}
		switch name {
		case "entity_id", "entityId":
			n.entityID = true
		case "increment_id", "incrementId":
			n.number = true
		case "store_id", "storeId":
			n.store = true
		case "order_id", "orderId":
			aliasID = aliasID || isID(value)
		case "parent_id":
			parent = true
		case "id":
			anyID = isID(value) // a message has one too, of letters mostly
		}
	}
	n.foreign = aliasID && (n.grade == byName || anyID) || parent && n.entityID && !n.number
	switch {
	case n.grade == byName:
	case aliasID && !anyID:
		n.grade = byAliasID
	case anyID && !aliasID:
		n.grade = byAnyID
	}
	return n
}

// tells reports whether a value is a text or a number that is not empty and not 0.
func tells(value []byte) bool {
	switch c := value[0]; {
	case c == '"':
		return len(bytes.Trim(value, `"0 `)) > 0
	case c == '-' || c >= '0' && c <= '9':
		return string(value) != "0"
	default:
		return false
	}
}

// isID reports whether a value can be the id of an entity.
func isID(value []byte) bool {
	var id ID
	return tells(value) && id.UnmarshalJSON(value) == nil && id > 0
}

// nouns are the words by which names of members, events and topics tell what they are about.
var nouns = map[string]string{
	"order": "an order", "orders": "an order",
	"invoice": "an invoice", "invoices": "an invoice", "shipment": "a shipment", "shipments": "a shipment",
	"creditmemo": "a credit memo", "creditmemos": "a credit memo", "memo": "a credit memo", "memos": "a credit memo",
	"quote": "a cart", "quotes": "a cart", "cart": "a cart", "carts": "a cart",
	"customer": "a customer", "customers": "a customer", "product": "a product", "products": "a product",
	"category": "a category", "categories": "a category", "transaction": "a transaction", "transactions": "a transaction",
	"item": "an order's item", "items": "an order's item", "address": "an address", "addresses": "an address",
	"history": "a comment", "histories": "a comment", "track": "a track", "tracks": "a track",
}

// parts are such words that only a member's name has to be taken by: an event named sales.order.payment.received is about
// the order.
var parts = map[string]string{
	"billing": "an address", "shipping": "an address", "payment": "a payment", "payments": "a payment", "comment": "a comment",
	"comments": "a comment", "store": "a store", "stores": "a store", "website": "a website", "websites": "a website",
	"user": "a user", "admin": "a user",
}

// token is a word within a name: sales_order, salesOrder, OrderRepositoryInterface.
var token = regexp.MustCompile(`[A-Z]*[a-z]+|[A-Z]+|\d+`)

// about gives what a name says that something is, such as "an order" or "an invoice"; "" where it says nothing. What comes
// last counts: sales_order_invoice_save_after is an invoice's.
func about(name string, member bool) string {
	const longest = 200
	if len(name) > longest {
		return ""
	}
	thing := ""
	for _, word := range token.FindAllString(name, -1) {
		word = strings.ToLower(word)
		if noun := nouns[word]; noun != "" {
			thing = noun
		} else if noun := parts[word]; noun != "" && member {
			thing = noun
		} else if noun := service(word); noun != "" {
			thing = noun
		}
	}
	return thing
}

// isTitle reports whether the text of a member of that name says what an object is about.
func isTitle(name string) bool {
	switch name {
	case "event", "event_name", "eventName", "topic", "topic_name", "entity_type", "entityType", "entity_name":
		return true
	}
	return false
}

// service gives what a service of Magento's is about whose name is one word, as in the topics of its asynchronous API:
// async.magento.sales.api.ordermanagementinterface.cancel.post.
func service(word string) string {
	class, ok := strings.CutSuffix(word, "interface")
	if !ok {
		return ""
	}
	class = strings.TrimSuffix(strings.TrimSuffix(class, "repository"), "management")
	thing, longest := "", 0
	for noun, of := range nouns {
		if strings.HasSuffix(class, noun) && len(noun) > longest {
			thing, longest = of, len(noun)
		}
	}
	return thing
}
