package event_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
)

// orders decodes a body as a consumer of orders does, and gives the orders that it names and the first error.
func orders(body string) (named []string, first error) {
	events, err := event.Decode([]byte(body), event.Orders)
	for _, e := range events {
		o, orderErr := event.ParseOrder(e)
		if orderErr != nil {
			if first == nil {
				first = orderErr
			}
			continue
		}
		text := fmt.Sprintf("%d/%s", o.EntityID, o.IncrementID)
		if o.StoreID != nil {
			text += fmt.Sprintf("/%d", *o.StoreID)
		}
		named = append(named, text)
	}
	if first == nil {
		first = err
	}
	return named, first
}

const wholeOrder = `{"base_grand_total":86.87,"billing_address":{"entity_id":3,"parent_id":57,"address_type":"billing","city":"Berlin"},` +
	`"customer_id":42,"entity_id":57,"extension_attributes":{"shipping_assignments":[{"shipping":{"address":{"entity_id":4,"parent_id":57}}}]},` +
	`"increment_id":"000000123","items":[{"item_id":7,"order_id":57,"sku":"A"}],"payment":{"entity_id":5,"parent_id":57,"method":"checkmo"},` +
	`"quote_id":99,"state":"processing","status_histories":[{"entity_id":8,"parent_id":57}],"store_id":2}`

// trigger is an event of mage-os.
func trigger(arguments string, more string) string {
	return `["sales.order.created",` + quote(arguments) + more + `]`
}

// cloudEvent is an event of Adobe Commerce.
func cloudEvent(kind, value, store string) string {
	return `{"specversion":"1.0","id":"9a1e4b62-0000-4a31-8f7c-0d6b9f5e1c11","source":"urn:uuid:5d2b","type":"com.adobe.commerce.` + kind + `",` +
		`"datacontenttype":"application/json","time":"2026-11-23T09:15:02Z","data":{"key":"11b9","value":` + value +
		`,"source":"shop.production","_metadata":{"commerceEdition":"Adobe Commerce","storeId":"` + store + `","websiteId":"1"}}}`
}

// bodiesOfPublishers are bodies that name orders, with the orders: "entity id/number/store", separated by blanks.
var bodiesOfPublishers = []struct {
	name, body string
	want       string // the orders that it names, "entity id/number/store", separated by blanks
}{
	{"number in an object", `{"increment_id":"000000123"}`, "0/000000123"},
	{"text that holds JSON", quote(`{"increment_id":"000000123"}`), "0/000000123"},
	{"text in text", quote(quote(`{"increment_id":"000000123"}`)), "0/000000123"},
	{"a whole order", wholeOrder, "57/000000123/2"},
	{"a whole order as text", quote(wholeOrder), "57/000000123/2"},

	{"one parameter", `{"order":{"entity_id":57}}`, "57/"},
	{"one parameter, whole", `{"order":` + wholeOrder + `}`, "57/000000123/2"},
	{"two parameters", `{"order":{"entity_id":57,"increment_id":"000000123"},"storeId":1}`, "57/000000123"},
	{"two parameters, whole", `{"order":` + wholeOrder + `,"storeId":1}`, "57/000000123/2"},
	{"two parameters, by number", `{"order":{"increment_id":"000000123"},"storeId":2}`, "0/000000123/2"},
	{"two parameters, the order second", `{"storeId":2,"order":{"increment_id":"000000123"}}`, "0/000000123/2"},
	{"two parameters, store_id as text", `{"order":{"increment_id":"000000123"},"store_id":"2"}`, "0/000000123/2"},
	{"two parameters, the store of the order itself", `{"order":{"increment_id":"000000123","store_id":3},"storeId":2}`, "0/000000123/3"},
	{"two parameters, store of the admin", `{"order":{"increment_id":"000000123"},"storeId":0}`, "0/000000123"},
	{"two parameters, the order as text", `{"order":` + quote(`{"entity_id":57}`) + `,"notify":true}`, "57/"},
	{"two parameters, another name", `{"entity":{"entity_id":57},"scope":"default"}`, "57/"},
	{"several parameters, one is a customer", `{"order":{"entity_id":57},"customer":{"id":42,"email":"a@example.com"},"flags":[1,2],"note":null}`, "57/"},
	{"several parameters, one is the cart", `{"order":{"entity_id":"57"},"quote":{"entity_id":"99","reserved_order_id":"000000123"}}`, "57/"},
	{"several parameters, one is an invoice", `{"order":{"entity_id":57},"invoice":{"entity_id":9,"increment_id":"000000009","order_id":57}}`, "57/"},
	{"several parameters, the order by id", `{"order":{"id":57},"store":{"id":1}}`, "57/"},
	{"parameters beside an id of the message", `{"id":12,"order":{"increment_id":"000000123"}}`, "0/000000123"},
	{"parameters beside a text id of the message", `{"id":"evt_1","type":"order.placed","data":{"order_id":57}}`, "57/"},
	{"parameters two deep", `{"meta":{"id":"x"},"payload":{"version":1,"order":{"entity_id":57}}}`, "57/"},
	{"parameter that is a list", `{"orders":[{"entity_id":57},{"increment_id":"000000124"}],"storeId":1}`, "57/ 0/000000124/1"},

	{"a number", `57`, "57/"},
	{"a number with white space", " 57\n", "57/"},
	{"numbers", `[57,58]`, "57/ 58/"},
	{"text of digits", `"000000123"`, "0/000000123"},
	{"text of few digits", `"57"`, "0/57"},
	{"text with letters", `"DE-2026/000123"`, "0/DE-2026/000123"},
	{"text of an edited order", `"000000123-1"`, "0/000000123-1"},
	{"text with white space around", `" 000000123\n"`, "0/000000123"},
	{"text in text, digits", quote(`"000000123"`), "0/000000123"},
	{"texts", `["000000123","000000124"]`, "0/000000123 0/000000124"},
	{"texts of JSON", `[` + quote(`{"entity_id":57}`) + `,` + quote(`{"increment_id":"5"}`) + `]`, "57/ 0/5"},
	{"two texts with points", `["A.1","A.2"]`, "0/A.1 0/A.2"},

	{"orderId", `{"orderId":57}`, "57/"},
	{"order_id", `{"order_id":"57"}`, "57/"},
	{"order_id beside what is no id", `{"order_id":57,"status":"complete","total":"10.00"}`, "57/"},
	{"order_id beside nulls", `{"order_id":57,"entity_id":null,"increment_id":"","id":0}`, "57/"},
	{"order_id with a store", `{"order_id":57,"store_id":1}`, "57//1"},
	{"order_id as text", quote(`{"order_id":12}`), "12/"},
	{"order_id as a parameter's", `{"message":{"orderId":57},"storeId":1}`, "57/"},
	{"id", `{"id":57}`, "57/"},
	{"id as text", `{"id":"57"}`, "57/"},
	{"id beside a number", `{"id":"evt_1","increment_id":"000000123"}`, "0/000000123"},
	{"id in the order", `{"order":{"id":57}}`, "57/"},
	{"names in camel case", `{"entityId":57,"incrementId":"000000123","storeId":2}`, "57/000000123/2"},
	{"names in camel case beside Magento's", `{"entity_id":57,"entityId":58,"increment_id":"000000123","incrementId":"x","store_id":2,"storeId":"all"}`, "57/000000123/2"},
	{"names in camel case that are none", `{"increment_id":"000000123","entityId":"abc","storeId":"default"}`, "0/000000123"},
	{"order_id beside the id of a message", `{"id":"0d6b9f5e-1c11","order_id":57}`, "57/"},
	{"orderId of another system", `{"entity_id":57,"increment_id":"000000123","orderId":"EBAY-17-09"}`, "57/000000123"},
	{"a title of its own", `{"event":"sales.order.shipped","entity_id":57}`, "57/"},
	{"a title that is another's, beside the order", `{"event":"sales_order_invoice_pay","order":{"entity_id":57}}`, "57/"},
	{"a title that is another's, with the order's id", `{"event":"sales.invoice.created","order_id":57}`, "57/"},
	{"an entity type", `{"entity_type":"order","entity_id":57,"type":"simple"}`, "57/"},
	{"entity id not there yet", `{"entity_id":null,"increment_id":"000000123"}`, "0/000000123"},

	{"operation", operation(`{"increment_id":"000000123"}`), "0/000000123"},
	{"operation with the id of a route", operation(`{"id":57}`), "57/"},
	{"operation with the id as text", operation(`{"id":"57"}`), "57/"},
	{"operation with orderId", operation(`{"orderId":57,"notify":true}`), "57/"},
	{"operation with a whole order", operation(`{"entity":` + wholeOrder + `}`), "57/000000123/2"},
	{"operation with a number", operation(`57`), "57/"},
	{"operation of a route of orders", `{"bulk_uuid":"1","topic_name":"async.magento.sales.api.ordermanagementinterface.cancel.post","serialized_data":` +
		quote(`{"entity_id":null,"entity_link":"","meta_information":`+quote(`{"id":57}`)+`}`) + `}`, "57/"},
	{"operation of a route of invoices that names the order", `{"topic_name":"async.magento.sales.api.invoiceorderinterface.execute.post","serialized_data":` +
		quote(`{"meta_information":`+quote(`{"orderId":57,"capture":false}`)+`}`) + `}`, "57/"},
	{"operation of a mass action", `{"bulk_uuid":"1","topic_name":"acme_mass_export","serialized_data":` + quote(`{"order_id":57}`) + `,"operation_key":0,"status":4}`, "57/"},
	{"operations", `[` + operation(`{"id":57}`) + `,` + operation(`{"id":58}`) + `]`, "57/ 58/"},

	{"mage-os", trigger(`{"id":"57"}`, ""), "57/"},
	{"mage-os with a store", trigger(`{"id":"57"}`, ",1"), "57/"},
	{"mage-os with a store as text", trigger(`{"increment_id":"000000123"}`, `,"2"`), "0/000000123/2"},
	{"mage-os by number with a store", trigger(`{"increment_id":"000000123"}`, ",2"), "0/000000123/2"},
	{"mage-os with the admin's store", trigger(`{"increment_id":"000000123"}`, ",0"), "0/000000123"},
	{"mage-os without a store", trigger(`{"increment_id":"000000123"}`, ",null"), "0/000000123"},
	{"mage-os with entity_id", trigger(`{"entity_id":57}`, ",1"), "57/"},
	{"mage-os with orderId", trigger(`{"orderId":57}`, ""), "57/"},
	{"mage-os with a whole order", trigger(wholeOrder, ",1"), "57/000000123/2"},
	{"mage-os with an object", `["sales.order.created",{"id":57},1]`, "57/"},
	{"mage-os with a number", `["sales.order.created",57]`, "57/"},
	{"mage-os with white space", " [ \"sales.order.created\" , " + quote(` {"id": 57} `) + " , 1 ] ", "57/"},
	{"mage-os as text", quote(trigger(`{"id":"57"}`, ",1")), "57/"},
	{"mage-os in an array", `[` + trigger(`{"id":57}`, "") + `,` + trigger(`{"id":58}`, ",1") + `]`, "57/ 58/"},
	{"mage-os of another name", `["order.payment_review.released",` + quote(`{"id":57}`) + `]`, "57/"},
	{"mage-os of a name without order", `["acme.export",` + quote(`{"id":57}`) + `]`, "57/"},

	{"Adobe's data", `{"event":{"data":{"value":{"entity_id":"57","increment_id":"000000123"}}}}`, "57/000000123"},
	{"Adobe's data, whole", `{"event":{"data":{"value":` + wholeOrder + `}}}`, "57/000000123/2"},
	{"Adobe's event beside its id", `{"event_id":"11b9","event":{"data":{"key":"k","value":{"increment_id":"000000123"},"source":"s","_metadata":{"storeId":2}}},"recipient_client_id":"c"}`, "0/000000123/2"},
	{"CloudEvent", cloudEvent("observer.sales_order_save_commit_after", `{"entity_id":"57","increment_id":"000000123"}`, "1"), "57/000000123"},
	{"CloudEvent by number", cloudEvent("observer.sales_order_place_after", `{"increment_id":"000000123"}`, "2"), "0/000000123/2"},
	{"CloudEvent by number, from the admin", cloudEvent("observer.sales_order_place_after", `{"increment_id":"000000123"}`, "0"), "0/000000123"},
	{"CloudEvent, whole", cloudEvent("observer.sales_order_save_commit_after", wholeOrder, "1"), "57/000000123/2"},
	{"CloudEvent of a plugin", cloudEvent("plugin.magento.sales.api.order_repository.save", `{"id":"57"}`, "1"), "57/"},
	{"CloudEvent with order and cart", cloudEvent("observer.checkout_submit_all_after", `{"order":{"entity_id":"57"},"quote":{"entity_id":"99"}}`, "1"), "57/"},
	{"CloudEvent of a cart's name with the order", cloudEvent("observer.sales_model_service_quote_submit_success", `{"order":{"entity_id":"57"},"quote":{"entity_id":"99"}}`, "1"), "57/"},
	{"CloudEvent whose data is the order", `{"specversion":"1.0","id":"12","source":"/shop","type":"order.placed","data":{"entity_id":57}}`, "57/"},
	{"CloudEvent whose data is a text", `{"specversion":"1.0","id":"12","source":"/shop","type":"order.placed","data":` + quote(`{"id":57}`) + `}`, "57/"},
	{"CloudEvent whose data is a number", `{"specversion":"1.0","id":"12","source":"/shop","type":"order.placed","data":57}`, "57/"},
	{"data of a CloudEvent whose attributes are headers", `{"key":"k","value":{"entity_id":"57"},"source":"s","_metadata":{"storeId":"1"}}`, "57/"},
	{"CloudEvents", `[` + cloudEvent("observer.sales_order_place_after", `{"entity_id":"57"}`, "1") + `,` + cloudEvent("observer.sales_order_place_after", `{"entity_id":"58"}`, "1") + `]`, "57/ 58/"},

	{"byte order mark", "\uFEFF" + `{"entity_id":57}`, "57/"},
	{"byte order mark and a text", "\uFEFF" + quote(`{"entity_id":57}`), "57/"},
	{"byte order mark in a text", quote("\uFEFF" + `{"entity_id":57}`), "57/"},
	{"byte order mark and a number", "\uFEFF57", "57/"},
	{"byte order mark in a text, number", quote("\uFEFF000000123"), "0/000000123"},

	{"model dump", `{"entity_id":"57","increment_id":"000000123","store_id":"1","state":"processing","shipping_method":"flatrate_flatrate",` +
		`"addresses":{"shipping":{"entity_id":"3","parent_id":"57"},"billing":{"entity_id":"4","parent_id":"57"}},"items":[{"item_id":"7","order_id":"57"}]}`, "57/000000123/1"},
	{"model dump that only has an id", `{"id":57,"customer":{"id":3},"billing":{"entity_id":4},"items":[{"id":1}]}`, "57/"},
}

// What real publishers send: modules, Adobe's eventing, mage-os, Magento's own topics.
func TestDecode_BodiesOfPublishers(t *testing.T) {
	for _, tt := range bodiesOfPublishers {
		t.Run(tt.name, func(t *testing.T) {
			named, err := orders(tt.body)
			if err != nil {
				t.Fatalf("%s: %v", tt.body, err)
			}
			if got := strings.Join(named, " "); got != tt.want {
				t.Errorf("%s names %q, want %q", tt.body, got, tt.want)
			}
		})
	}
}

// Each wrapping around each form of an event, and two wrappings around each other.
func TestDecode_EveryWrappingOfEveryForm(t *testing.T) {
	forms := map[string]string{
		`{"increment_id":"000000123","store_id":2}`: "0/000000123/2",
		`{"entity_id":57}`:                          "57/",
		`{"orderId":57}`:                            "57/",
		`{"id":"57"}`:                               "57/",
		`57`:                                        "57/",
		`"000000123"`:                               "0/000000123",
		wholeOrder:                                  "57/000000123/2",
		quote(`{"id":57}`):                          "57/",
		`[{"id":57},{"id":8}]`:                      "57/ 8/",
	}
	wrappings := map[string]func(string) string{
		"text":       quote,
		"array":      func(s string) string { return `[` + s + `]` },
		"operation":  operation,
		"mage-os":    func(s string) string { return `["sales.order.updated",` + quote(s) + `,1]` },
		"CloudEvent": func(s string) string { return `{"specversion":"1.0","id":"1","type":"a.order.b","data":` + s + `}` },
		"Adobe's CloudEvent": func(s string) string {
			return `{"specversion":"1.0","id":"1","type":"a.order.b","data":{"key":"k","value":` + s + `,"_metadata":{}}}`
		},
	}
	around := map[string]func(string) string{ // only around objects
		"parameter":  func(s string) string { return `{"order":` + s + `}` },
		"parameters": func(s string) string { return `{"notify":false,"order":` + s + `,"scope":{"code":"x"}}` },
		"event data": func(s string) string { return `{"event":{"data":{"value":` + s + `}}}` },
	}
	for outer, wrapOuter := range wrappings {
		for inner, wrapInner := range wrappings {
			for form, want := range forms {
				if (outer == "mage-os" || inner == "mage-os") && strings.HasPrefix(form, `"0`) {
					continue // its arguments are an object
				}
				if (outer == "mage-os" || inner == "mage-os" || inner == "text") && form == `57` {
					continue // as text it is another order's number
				}
				body := wrapOuter(wrapInner(form))
				named, err := orders(body)
				if got := strings.Join(named, " "); err != nil || got != want {
					t.Errorf("%s of %s of %s: %s names %q, error %v; want %q", outer, inner, form, body, got, err, want)
				}
			}
		}
		for inner, wrapInner := range around {
			for form, want := range forms {
				if form[0] != '{' {
					continue
				}
				for _, body := range []string{wrapOuter(wrapInner(form)), wrapInner(form)} {
					named, err := orders(body)
					if got := strings.Join(named, " "); err != nil || got != want {
						t.Errorf("%s of %s of %s: %s names %q, error %v; want %q", outer, inner, form, body, got, err, want)
					}
				}
			}
		}
	}
}

const invoiceBody = `{"entity_id":9,"increment_id":"000000009","order_id":13,"grand_total":10,"items":[{"order_item_id":1}]}`

// bodiesWithoutOrder are refused, with a class and parts of the error.
var bodiesWithoutOrder = []struct {
	name, body string
	class      event.Class
	parts      []string // of the error
}{
	{"an empty object", `{}`, event.Invalid, []string{"members are none"}},
	{"members of no order", `{"status":"complete","total":{"amount":1},"customer_email":"a@example.com"}`, event.Invalid, []string{"status", "total (amount)", "customer_email", "increment_id"}},
	{"members with names that are data", `{"a@example.com":1,"Vesna Testperson":2}`, event.Invalid, []string{"members are *, *"}},
	{"an invoice", invoiceBody, event.Invalid, []string{"invoice", "13", "entity_id 9", "order_id", "grand_total"}},
	{"an invoice as text", quote(invoiceBody), event.Invalid, []string{"invoice", "13"}},
	{"an invoice as a parameter", `{"invoice":` + invoiceBody + `}`, event.Invalid, []string{"an invoice", "members are invoice"}},
	{"an invoice as a parameter of any name", `{"entity":` + invoiceBody + `}`, event.Invalid, []string{"invoice", "entity"}},
	{"an invoice as one of two parameters", `{"invoice":` + invoiceBody + `,"storeId":1}`, event.Invalid, []string{"an invoice", "storeId"}},
	{"an invoice in a CloudEvent", `{"specversion":"1.0","id":"1","type":"com.adobe.commerce.observer.sales_order_invoice_save_after","data":{"value":{"entity_id":"9","increment_id":"000000009"},"_metadata":{}}}`, event.Invalid, []string{"an invoice"}},
	{"an invoice by the id of a route", `{"topic_name":"async.magento.sales.api.invoicemanagementinterface.void.post","serialized_data":` +
		quote(`{"meta_information":`+quote(`{"id":9}`)+`}`) + `}`, event.Invalid, []string{"an invoice"}},
	{"an invoice of mage-os", `["sales.invoice.created",` + quote(`{"id":"9"}`) + `]`, event.Invalid, []string{"an invoice"}},
	{"an invoice of mage-os by number", `["sales.invoice.created",9]`, event.Invalid, []string{"an invoice"}},
	{"mage-os with a text for arguments", `["sales.order.created","57"]`, event.Malformed, []string{"sales.order.created"}},
	{"mage-os with a text for arguments and a store", `["sales.order.created","000000123-1",1]`, event.Malformed, []string{"sales.order.created"}},
	{"mage-os without arguments", `["sales.order.created",null,1]`, event.Malformed, []string{"sales.order.created"}},
	{"mage-os with arguments that are cut off", `["sales.order.created","{\"id\":",1]`, event.Malformed, []string{"it ends"}},
	{"an invoice by its title", `{"event":"sales.invoice.created","entity_id":9}`, event.Invalid, []string{"an invoice", "event, entity_id"}},
	{"an invoice by the title around it", `{"event":"sales.invoice.created","data":{"entity_id":9}}`, event.Invalid, []string{"an invoice"}},
	{"an invoice by the type around it", `{"type":"invoice.created","payload":{"id":9},"version":1}`, event.Invalid, []string{"an invoice"}},
	{"a customer by its type", `{"entity_type":"customer","id":42}`, event.Invalid, []string{"a customer"}},
	{"a shipment", `{"entity_id":9,"increment_id":"000000009","order_id":"13","tracks":[]}`, event.Invalid, []string{"shipment", "13", "tracks"}},
	{"a credit memo without a number yet", `{"entity_id":4,"order_id":13,"increment_id":null}`, event.Invalid, []string{"credit memo", "entity_id 4"}},
	{"a new invoice without an id yet", `{"increment_id":"000000009","order_id":13}`, event.Invalid, []string{"13", "increment_id"}},
	{"an id beside the order's", `{"id":9,"order_id":13}`, event.Invalid, []string{"13", "id 9"}},
	{"an id beside orderId", `{"id":9,"orderId":13}`, event.Invalid, []string{"13", "id 9"}},
	{"an address", `{"entity_id":3,"parent_id":57,"city":"Berlin"}`, event.Invalid, []string{"address", "parent_id", "city"}},
	{"a customer", `{"customer":{"id":42}}`, event.Invalid, []string{"a customer", "members are customer"}},
	{"a product", `{"product":{"id":42,"sku":"A"},"storeId":1}`, event.Invalid, []string{"a product"}},
	{"a cart", `{"quote":{"entity_id":99}}`, event.Invalid, []string{"a cart"}},
	{"an order's item", `{"specversion":"1.0","id":"1","type":"observer.sales_order_item_save_after","data":{"id":"9"}}`, event.Invalid, []string{"item"}},
	{"two orders", `{"order":{"entity_id":57},"other":{"entity_id":58}}`, event.Invalid, []string{"order, other"}},
	{"an order without its names", `{"state":"new","items":[{"item_id":1}],"billing_address":{"entity_id":3},"payment":{"entity_id":5,"parent_id":57}}`, event.Invalid, []string{"state", "billing_address (entity_id)"}},
	{"an order in a parameter without its names", `{"order":{"status":"new"}}`, event.Invalid, []string{"status"}},
	{"stock of the core", `{"stock":2,"skus":["A","B"]}`, event.Invalid, []string{"stock", "skus"}},
	{"an id that is a word", `{"id":"abc"}`, event.Invalid, []string{"id"}},
	{"an order's id that is a word", `{"orderId":"abc"}`, event.Invalid, []string{"orderId"}},
	{"a negative id", `{"order_id":-5}`, event.Invalid, []string{"order_id"}},

	{"nothing", ``, event.Malformed, []string{"is empty"}},
	{"a byte order mark alone", "\uFEFF", event.Malformed, []string{"is empty"}},
	{"an empty array", `[]`, event.Malformed, []string{"empty array"}},
	{"an empty text", `""`, event.Malformed, []string{"is empty"}},
	{"zero", `0`, event.Malformed, []string{"number"}},
	{"a negative number", `-57`, event.Malformed, []string{"number"}},
	{"a fraction", `5.7`, event.Malformed, []string{"number"}},
	{"a number beyond all", `99999999999999999999`, event.Malformed, []string{"number"}},
	{"null", `null`, event.Malformed, []string{"null"}},
	{"null as text", `"null"`, event.Malformed, []string{"null"}},
	{"true", `true`, event.Malformed, []string{"boolean"}},
	{"words", `"order 57 is placed"`, event.Malformed, []string{"byte 0", "order 57 is placed"}},
	{"a text that is too long", quote(strings.Repeat("9", 51) + "-1"), event.Malformed, []string{"not JSON"}},
	{"PHP's serialize", `a:1:{s:8:"order_id";i:57;}`, event.Malformed, []string{"serialize()"}},
	{"PHP's serialize as text", quote(`a:1:{s:8:"order_id";i:57;}`), event.Malformed, []string{"serialize()"}},
	{"PHP's serialize of a number", `"i:57;"`, event.Malformed, []string{"serialize()"}},
	{"PHP's serialize in an operation", `{"serialized_data":` + quote(`a:1:{s:2:"id";i:57;}`) + `}`, event.Malformed, []string{"serialize()", "serialized_data"}},
	{"cut off", `{"increment_id":"000000123","customer_firstname":"Ves`, event.Malformed, []string{"it ends", "53 bytes", `"customer_firstname":"***`}},
	{"cut off as text", quote(`{"increment_id":"0000`), event.Malformed, []string{"it ends"}},
	{"single quotes", `{'order_id': 57}`, event.Malformed, []string{"byte 1", `{'order_id': 57}`}},
	{"one comma too many", `{"entity_id":57,,"store_id":1}`, event.Malformed, []string{"byte 16", `{"entity_id":57,,"store_id":1}`}},
	{"XML", `<order><id>57</id></order>`, event.Malformed, []string{"byte 0", "<order><id>57</id></order>"}},
	{"XML as text", quote(`<order><id>57</id></order>`), event.Malformed, []string{"byte 0"}},
	{"a PHP notice in front", "<br />\n<b>Warning</b>: Undefined index\n{\"entity_id\":57}", event.Malformed, []string{"byte 0", "<b>Warning</b>: Undefined"}},
	{"UTF-16", "\xff\xfe{\x00}\x00", event.Malformed, []string{"UTF-16"}},
	{"Latin-1", "{\"city\":\"K\xf6ln\"}", event.Malformed, []string{"byte 10"}},
}

// What is not understood as an order says what it has; what is about something else says what that is.
func TestDecode_WhatNamesNoOrder(t *testing.T) {
	for _, tt := range bodiesWithoutOrder {
		t.Run(tt.name, func(t *testing.T) {
			named, err := orders(tt.body)
			if err == nil || event.ClassOf(err) != tt.class {
				t.Fatalf("names %q, error %v; want one of class %s", named, err, tt.class)
			}
			if len(named) > 0 {
				t.Errorf("names %q beside the error", named)
			}
			for _, part := range tt.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// One event of an array that can't be used does not keep the others back, and is not one of them.
func TestDecode_PartOfAnArray(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{`[{"entity_id":57},null]`, "57/"},
		{`[57,null,"000000123",[]]`, "57/ 0/000000123"},
		{`[{"entity_id":57},{"customer":{"id":42}}]`, "57/"},
		{`[{"entity_id":57},{"entity_id":9,"order_id":57}]`, "57/"},
		{`[["sales.order.created","{\"id\":57}"],["sales.invoice.created","{\"id\":9}"]]`, "57/"},
	} {
		named, err := orders(tt.body)
		if got := strings.Join(named, " "); err == nil || got != tt.want {
			t.Errorf("%s names %q, error %v; want %q and an error", tt.body, got, err, tt.want)
		}
	}
}

func TestDecode_OtherKinds(t *testing.T) {
	const parcel = `{"order_number":"000000123","tracking_number":"1Z"}`
	const file = `{"path":"a.csv","size":12}`
	for _, tt := range []struct {
		name, body string
		kind       event.Kind
		want       string // "" where it is malformed
	}{
		{"a parcel", parcel, event.Parcels, parcel},
		{"a parcel among parameters", `{"tracking":` + parcel + `,"storeId":1}`, event.Parcels, parcel},
		{"a parcel as a text among parameters", `{"tracking":` + quote(parcel) + `,"id":1}`, event.Parcels, parcel},
		{"a parcel of mage-os", `["shipping.tracking.received",` + quote(parcel) + `,1]`, event.Parcels, parcel},
		{"a parcel in a CloudEvent", `{"specversion":"1.0","id":"1","type":"shipment.x","data":` + parcel + `}`, event.Parcels, parcel},
		{"a parcel with the order's id", `{"order_id":57,"tracking_number":"1Z"}`, event.Parcels, `{"order_id":57,"tracking_number":"1Z"}`},
		{"a parcel with a byte order mark", "\uFEFF" + parcel, event.Parcels, parcel},
		{"a number is no parcel", `57`, event.Parcels, ""},
		{"a text is no parcel", `"000000123"`, event.Parcels, ""},
		{"a file", file, event.Files, file},
		{"a file among parameters", `{"file":` + file + `,"x":{"y":1}}`, event.Files, file},
		{"anything", `{"order":{"a":1},"b":2}`, event.Anything, `{"order":{"a":1},"b":2}`},
		{"anything in a CloudEvent", `{"specversion":"1.0","type":"t","data":{"key":"k","value":{"a":1,"b":2},"_metadata":{}}}`, event.Anything, `{"a":1,"b":2}`},
		{"anything of mage-os", `["a.b","{\"a\":1,\"b\":2}",1]`, event.Anything, `{"a":1,"b":2}`},
		{"a number is not anything", `57`, event.Anything, ""},
		{"a text is not anything", `"000000123"`, event.Anything, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.Decode([]byte(tt.body), tt.kind)
			if tt.want == "" {
				if event.ClassOf(err) != event.Malformed || len(got) > 0 {
					t.Fatalf("%s, error %v; want a malformed one", got, err)
				}
				return
			}
			if err != nil || len(got) != 1 || string(got[0]) != tt.want {
				t.Fatalf("%s, error %v; want %s", got, err, tt.want)
			}
		})
	}
}

// A body that can't be read is shown where it ends to be JSON, without what may be personal in it.
func TestDecode_ExcerptHoldsNoPersonalData(t *testing.T) {
	secrets := []string{"Vesna", "vesna", "Testperson", "fixture", "Geheimweg", "5550199", "Köln", "ln"}
	for _, body := range []string{
		`{"customer_firstname":"Vesna" "x"}`,
		`{"customer_firstname":"Vesna`,
		`{"a":1,"customer_email":"vesna@fixture.example",}`,
		`{"customer_firstname":Vesna}`,
		`{"telephone":"+49 30 5550199",}`,
		`{"telephone":+49305550199}`,
		`{"street":["Geheimweg 7",]}`,
		`{"city":"Köln",}`,
		`{'customer_firstname': 'Vesna', 'lastname': 'Testperson'}`,
		`{'customer_firstname': 'vesna'}`,
		`{customer_firstname: vesna}`,
		`firstname=vesna&email=vesna@fixture.example&order_id=57`,
		`mail from vesna@fixture.example`,
		`Order for Vesna Testperson, Geheimweg 7`,
		"Array\n(\n    [firstname] => vesna\n)",
		quote(`{"customer_firstname":"Vesna`),
		operation(`{"customer_firstname":"Vesna",}`),
		`{"x":"\"Vesna` + `\"",}`,
	} {
		_, err := event.Decode([]byte(body), event.Orders)
		if event.ClassOf(err) != event.Malformed {
			t.Fatalf("%s: error %v, want a malformed one", body, err)
		}
		for _, secret := range secrets {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error %q holds %s", body, err, secret)
			}
		}
	}
}

// A body that nests what it may costs no more time than its size.
func TestDecode_LooksNoDeeperThanItMust(t *testing.T) {
	body := `{"increment_id":"5"}`
	for i := range 40 {
		body = fmt.Sprintf(`{"a":1,"b%d":%s,"c":[]}`, i, body)
	}
	if _, err := orders(body); event.ClassOf(err) != event.Invalid {
		t.Errorf("error %v, want an invalid one", err)
	}
	text := `{"increment_id":"5"}`
	for len(text) < 1<<20 {
		text = `{"a":1,"b":` + quote(text) + `}`
	}
	if _, err := orders(text); err == nil {
		t.Error("no error")
	}
	wide := make([]string, 20_000)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"m%d":{"x":{"y":{}}}`, i)
	}
	_, err := orders(`{` + strings.Join(wide, ",") + `}`)
	if err == nil || len(err.Error()) > 2048 {
		t.Errorf("error %v", err)
	}
}

func BenchmarkDecode(b *testing.B) {
	var whole map[string]any
	if err := json.Unmarshal([]byte(wholeOrder), &whole); err != nil {
		b.Fatal(err)
	}
	for range 200 {
		whole["items"] = append(whole["items"].([]any), map[string]any{"item_id": 8, "order_id": 57, "sku": "B", "name": "Joust Duffle Bag"})
	}
	large, err := json.Marshal(whole)
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string][]byte{"thin": []byte(`{"increment_id":"000000123"}`), "whole": large} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := event.Decode(body, event.Orders); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
