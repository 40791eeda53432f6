package event

import (
	"bytes"
	"regexp"
	"strings"
)

// Kind is what the events of a consumer are about. By it Decode finds the event in a body that has more than it.
type Kind string

const (
	// Anything accepts an object with any members as an event.
	Anything Kind = ""
	// Orders are named by entity_id or increment_id, or by some other names: see ParseOrder.
	Orders Kind = "an order"
	// Shipments are named by entity_id: see ParseID.
	Shipments Kind = "a shipment"
	// CreditMemos are named by entity_id.
	CreditMemos Kind = "a credit memo"
	// Customers are named by id.
	Customers Kind = "a customer"
	// Parcels are named by order_number or tracking_number: see ParseTracking.
	Parcels Kind = "a tracking number"
	// Files are named by path.
	Files Kind = "a tracking file"
	// Prices have a list of that name: see ParsePrices.
	Prices Kind = "prices"
	// Stock has a list of items: see ParseStock.
	Stock Kind = "stock"
	// Products have a list of skus or of products: see ParseProducts.
	Products Kind = "products"
)

// grade is how surely an object names what its kind is about.
type grade int

const (
	unnamed   grade = iota
	byAnyID         // id, which anything has
	byAliasID       // order_id or orderId, which also what belongs to an order has
	byName
)

// naming is what the members of an object say about it.
type naming struct {
	grade
	entityID, number, store bool // it has an entity id, an order number, a store
	foreign                 bool // it is something that belongs to an order
}

// names reports whether the object v has a member of the kind's own name. It stops at the first one.
func (k Kind) names(v []byte) bool {
	for key, value := range members(v) {
		if k.own(string(key[1:len(key)-1])) && k.tells(value) {
			return true
		}
	}
	return false
}

// own reports whether that is a name by which k names its object.
func (k Kind) own(name string) bool {
	switch k {
	case Orders:
		return name == "entity_id" || name == "entityId" || name == "increment_id" || name == "incrementId"
	case Shipments, CreditMemos:
		return name == "entity_id" || name == "entityId"
	case Customers:
		return name == "id" || name == "customer_id" || name == "customerId"
	case Parcels:
		return name == "order_number" || name == "tracking_number"
	case Files:
		return name == "path"
	case Prices:
		return name == "prices"
	case Stock:
		return name == "items"
	case Products:
		return name == "skus" || name == "products"
	default:
		return false
	}
}

// named reads all members of the object v. A value that is null, empty or 0 does not count, nor what is no list where the kind is one.
func (k Kind) named(v []byte) naming {
	var (
		n                      naming
		anyID, aliasID, parent bool
	)
	for key, value := range members(v) {
		if !k.tells(value) {
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
			anyID = isID(value) // a message has one too, mostly of letters
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

// tells reports whether a value can be that of the kind's own name, or of another that says something.
func (k Kind) tells(value []byte) bool {
	if k == Prices || k == Stock || k == Products {
		return value[0] == '['
	}
	return tells(value)
}

// tells reports whether a value is a text that is not empty or a number that is not 0.
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

// nouns are words in names of members, events and topics that say what they are about.
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

// parts are such words that count in a member's name only: an event named sales.order.payment.received is about the order.
var parts = map[string]string{
	"billing": "an address", "shipping": "an address", "payment": "a payment", "payments": "a payment", "comment": "a comment",
	"comments": "a comment", "store": "a store", "stores": "a store", "website": "a website", "websites": "a website",
	"user": "a user", "admin": "a user",
}

// token matches a word within a name: sales_order, salesOrder, OrderRepositoryInterface.
var token = regexp.MustCompile(`[A-Z]*[a-z]+|[A-Z]+|\d+`)

// about returns what a name says that something is, such as "an order" or "an invoice", or "". The last word counts:
// sales_order_invoice_save_after is about an invoice.
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

// isTitle reports whether the value of a member of that name says what the object is about.
func isTitle(name string) bool {
	switch name {
	case "event", "event_name", "eventName", "topic", "topic_name", "entity_type", "entityType", "entity_name":
		return true
	}
	return false
}

// service returns what a service of Magento's is about whose name is one word, as in the topics of its asynchronous API:
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
