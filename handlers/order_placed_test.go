package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

func TestPlaced_FreshOrderIsSentWithoutAsking(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
	isCalls(t, r.toERP, "POST /sales-orders")
	if keys := r.toERP.idempotencyKeys(); len(keys) != 1 || keys[0] != "order_placed:"+p.IncrementID {
		t.Errorf("Idempotency-Key %q, want order_placed:%s", keys, p.IncrementID)
	}
	row := r.isCreate(p.IncrementID, idempotency.Done)
	if want := r.erp.Documents()[0].Number; row.Result.Value != want {
		t.Errorf("the ledger has the number %q, want %q", row.Result.Value, want)
	}
	if problems := r.erp.Problems(); len(problems) > 0 {
		t.Errorf("against the contract: %v", problems)
	}
}

// A duplicate costs the ERP nothing, and Magento one search where only its number names the order.
func TestPlaced_DuplicateCostsAtMostOneSearch(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.exported(p)
	for _, change := range []func(*event.Event){
		func(*event.Event) {}, repeated, replayed, reconciled,
		func(e *event.Event) { e.Topic = "sales.order.updated" },
	} {
		outcome, err := r.placed(number(p.IncrementID), change)
		isOutcome(t, outcome, err, event.Duplicate)
		isCalls(t, r.toShop, findOrder)
		outcome, err = r.placed(named(p), change)
		isOutcome(t, outcome, err, event.Duplicate)
		isCalls(t, r.toShop)
	}
	isCalls(t, r.toERP)
	r.isOnce(p)
}

func TestPlaced_OrderIsNamedInEachWay(t *testing.T) {
	t.Parallel()
	stores := []fakemagento.Store{
		{ID: 1, Code: "de", Name: "DE", WebsiteID: 1, Timezone: "Europe/Berlin", BaseCurrency: "EUR"},
		{ID: 2, Code: "fr", Name: "FR", WebsiteID: 1, Timezone: "Europe/Paris", BaseCurrency: "EUR"},
	}
	r := newRig(t, settings{shop: fakemagento.Options{Stores: stores}})
	byStore := func(o *handlers.OrderRules) { o.Key = mapping.ByStoreAndIncrementID }
	prefixed := func(o *handlers.OrderRules) { o.ReferencePrefix = "WEB-" }
	for _, tt := range []struct {
		name      string
		rules     func(*handlers.OrderRules)
		body      func(p fakemagento.Placed) string
		reference string
	}{
		{"number", nil, func(p fakemagento.Placed) string { return number(p.IncrementID) }, "%s"},
		{"number as a JSON number", nil, func(p fakemagento.Placed) string { return `{"increment_id":` + p.IncrementID + `}` }, "%s"},
		{"entity id", nil, func(p fakemagento.Placed) string { return fmt.Sprintf(`{"entity_id":%d}`, p.EntityID) }, "%s"},
		{"entity id as a string", nil, func(p fakemagento.Placed) string { return fmt.Sprintf(`{"entity_id":"%d"}`, p.EntityID) }, "%s"},
		{"both", nil, func(p fakemagento.Placed) string {
			return fmt.Sprintf(`{"entity_id":%d,"increment_id":%q}`, p.EntityID, p.IncrementID)
		}, "%s"},
		{"number and store", nil, func(p fakemagento.Placed) string {
			return fmt.Sprintf(`{"increment_id":%q,"store_id":"2"}`, p.IncrementID)
		}, "%s"},
		{"number, key with the store", byStore, func(p fakemagento.Placed) string { return number(p.IncrementID) }, "2-%s"},
		{"number and store, key with the store", byStore, func(p fakemagento.Placed) string {
			return fmt.Sprintf(`{"increment_id":%q,"store_id":2}`, p.IncrementID)
		}, "2-%s"},
		{"entity id, key with the store", byStore, func(p fakemagento.Placed) string { return fmt.Sprintf(`{"entity_id":%d}`, p.EntityID) }, "2-%s"},
		{"prefix", prefixed, func(p fakemagento.Placed) string { return number(p.IncrementID) }, "WEB-%s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			if tt.rules != nil {
				tt.rules(&r.rules)
			}
			p := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2})
			outcome, err := r.placed(tt.body(p))
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, create)
			reference := fmt.Sprintf(tt.reference, p.IncrementID)
			if documents := r.erp.DocumentsOf(reference); len(documents) != 1 {
				t.Fatalf("%d documents with the reference %s, want 1", len(documents), reference)
			}
			outcome, err = r.placed(tt.body(p))
			isOutcome(t, outcome, err, event.Duplicate)
		})
	}
}

func TestPlaced_OrdersThatCountAlike(t *testing.T) {
	t.Parallel()
	stores := []fakemagento.Store{{ID: 1, Code: "de", Timezone: "UTC", BaseCurrency: "EUR"}, {ID: 2, Code: "fr", Timezone: "UTC", BaseCurrency: "EUR"}}
	r := newRig(t, settings{
		shop:  fakemagento.Options{Stores: stores},
		rules: func(o *handlers.OrderRules) { o.Key = mapping.ByStoreAndIncrementID },
	})
	one := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, IncrementID: "5"})
	two := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 2, IncrementID: "5"})
	_, err := r.placed(number("5"))
	isClass(t, err, event.Invalid, fmt.Sprint(one.EntityID), fmt.Sprint(two.EntityID))
	if key := event.KeyOf(err); key != "5" {
		t.Errorf("the error's key is %q, want 5", key)
	}
	isCalls(t, r.toERP)
	for _, body := range []string{`{"increment_id":"5","store_id":1}`, fmt.Sprintf(`{"entity_id":%d}`, two.EntityID)} {
		outcome, err := r.placed(body)
		isOutcome(t, outcome, err, event.Done)
	}
	if counts := r.erp.Counts(); len(counts) != 2 || counts["1-5"] != 1 || counts["2-5"] != 1 {
		t.Errorf("documents %v, want one each of 1-5 and 2-5", counts)
	}
	if len(r.shop.Comments(one.EntityID)) != 1 || len(r.shop.Comments(two.EntityID)) != 1 {
		t.Error("want one comment on each order")
	}
}

func TestPlaced_CommentGoesToTheOrderThatWasSent(t *testing.T) {
	onEachVersion(t, testCommentGoesToTheOrderThatWasSent)
}

func testCommentGoesToTheOrderThatWasSent(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	p := r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5"})
	r.toERP.answering(func(_ http.ResponseWriter, _ *http.Request) bool {
		r.shop.PlaceOrder(fakemagento.Placing{IncrementID: "5"}) // another store's, at this very moment
		return false
	})
	outcome, err := r.placed(number("5"))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
}

func TestPlaced_EventsThatNameNoOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	for _, tt := range []struct {
		name, body string
		class      event.Class
	}{
		{"nothing", `{}`, event.Invalid},
		{"nulls", `{"increment_id":null,"entity_id":null}`, event.Invalid},
		{"an object for a number", `{"increment_id":{}}`, event.Invalid},
		{"a negative id", `{"entity_id":-1}`, event.Invalid},
		{"two orders mixed up", fmt.Sprintf(`{"entity_id":%d,"increment_id":"999"}`, p.EntityID), event.Invalid},
		{"a number with a NUL", `{"increment_id":"5\u0000"}`, event.Invalid},
		{"no such number", number("999999"), event.NotFound},
		{"no such entity id", `{"entity_id":999999}`, event.NotFound},
		{"no such store", fmt.Sprintf(`{"increment_id":%q,"store_id":7}`, p.IncrementID), event.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			_, err := r.placed(tt.body)
			isClass(t, err, tt.class)
			isCalls(t, r.toERP)
		})
	}
}

func TestPlaced_OrderComesAfterItsEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	_, err := r.placed(number("000000001"))
	isClass(t, err, event.NotFound)
	r.isCreate("000000001", idempotency.Failed)
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	outcome, err := r.placed(number(p.IncrementID), repeated)
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, "POST /sales-orders") // the ledger knows that nothing was sent
	r.isOnce(p)
}

// An order that is not placed to its end yet is not sent without its lines.
func TestPlaced_OrderWithoutItemsIsNotThereYet(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p, err := r.shop.AddOrder([]byte(`{"entity_id":77,"increment_id":"77","store_id":1,"state":"processing","status":"processing","items":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.placed(number(p.IncrementID))
	isClass(t, err, event.NotFound, "no items")
	r.isCreate("77", idempotency.Failed)
	isCalls(t, r.toERP)
}

func TestPlaced_SourceOfTheOrder(t *testing.T) {
	t.Parallel()
	without := func(member string) func(map[string]any) { return func(o map[string]any) { delete(o, member) } }
	child := func(names ...any) func(map[string]any) map[string]any {
		return func(o map[string]any) map[string]any {
			var v any = o
			for _, name := range names {
				switch at := name.(type) {
				case string:
					v = v.(map[string]any)[at]
				case int:
					v = v.([]any)[at]
				}
			}
			return v.(map[string]any)
		}
	}
	firstItem := child("items", 0)
	shipping := child("extension_attributes", "shipping_assignments", 0, "shipping")
	withoutOf := func(parent func(map[string]any) map[string]any, member string) func(map[string]any) {
		return func(o map[string]any) { delete(parent(o), member) }
	}
	with := func(parent func(map[string]any) map[string]any, member string, value any) func(map[string]any) {
		return func(o map[string]any) { parent(o)[member] = value }
	}
	r := newRig(t, settings{})
	trust := func(e *handlers.ExportRules) { e.TrustPayload = true }
	for _, tt := range []struct {
		name    string
		export  func(*handlers.ExportRules)
		change  func(o map[string]any)
		rule    mapping.KeyRule
		fetched bool
	}{
		{"payload, whole", trust, func(map[string]any) {}, "", false},
		{"fetch, whole", nil, func(map[string]any) {}, "", true},
		{"payload without entity_id", trust, without("entity_id"), "", true},
		{"payload without state", trust, without("state"), "", true},
		{"payload without items", trust, without("items"), "", true},
		{"payload with no item", trust, func(o map[string]any) { o["items"] = []any{} }, "", true},
		{"payload without a currency", trust, without("order_currency_code"), "", true},
		{"payload without a grand total", trust, without("grand_total"), "", true},
		{"payload whose grand total is null", trust, with(child(), "grand_total", nil), "", true},
		{"payload whose grand total is 0", trust, with(child(), "grand_total", 0), "", false},
		{"payload without a billing address", trust, without("billing_address"), "", true},
		{"payload whose billing address is an empty list", trust, with(child(), "billing_address", []any{}), "", true},
		{"payload whose billing address is an empty object", trust, with(child(), "billing_address", map[string]any{}), "", true},
		{"payload whose billing address is an id", trust, with(child(), "billing_address", map[string]any{"entity_id": 3}), "", true},
		{"payload without extension attributes", trust, without("extension_attributes"), "", true},
		{"payload without a shipping address", trust, withoutOf(shipping, "address"), "", true},
		{"payload without a shipping method", trust, withoutOf(shipping, "method"), "", true},
		{"payload without shipping, virtual", trust, func(o map[string]any) {
			o["is_virtual"] = 1
			delete(o, "extension_attributes")
		}, "", false},
		{"payload without shipping that does not say whether it is virtual", trust, func(o map[string]any) {
			delete(o, "is_virtual")
			delete(o, "extension_attributes")
		}, "", true},
		{"payload with an item without item_id", trust, withoutOf(firstItem, "item_id"), "", true},
		{"payload with an item without sku", trust, withoutOf(firstItem, "sku"), "", true},
		{"payload with an item without qty_ordered", trust, withoutOf(firstItem, "qty_ordered"), "", true},
		{"payload with an item whose quantity is named otherwise", trust, func(o map[string]any) {
			delete(firstItem(o), "qty_ordered")
			firstItem(o)["qty"] = 2
		}, "", true},
		{"payload with an item without row_total", trust, withoutOf(firstItem, "row_total"), "", true},
		{"payload whose second item is thin", trust, func(o map[string]any) {
			o["items"] = append(o["items"].([]any), map[string]any{"item_id": 99, "sku": "B"})
		}, "", true},
		{"payload without a number", trust, without("increment_id"), "", true},
		{"payload without a store", trust, without("store_id"), "", true},
		{"payload without a store, which is in the key", trust, without("store_id"), mapping.ByStoreAndIncrementID, true},
		{"payload without a store, which must be known", func(e *handlers.ExportRules) {
			e.TrustPayload, e.AllowsStore = true, func(id int64) bool { return id == 1 }
		}, without("store_id"), "", true},
		{"payload without a date, which must be known", func(e *handlers.ExportRules) {
			e.TrustPayload, e.From = true, time.Now().Add(-time.Hour)
		}, without("created_at"), "", true},
		{"payload with a value that can't be read", trust, func(o map[string]any) { o["grand_total"] = map[string]any{"a": 1} }, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			r.rules.Comment = false
			if tt.export != nil {
				tt.export(&r.export)
			}
			if tt.rule != "" {
				r.rules.Key = tt.rule
			}
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			var o map[string]any
			if err := json.Unmarshal(r.shop.Order(p.EntityID), &o); err != nil {
				t.Fatal(err)
			}
			tt.change(o)
			body, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			outcome, err := r.placed(string(body))
			isOutcome(t, outcome, err, event.Done)
			isCalls(t, r.toERP, create)
			calls := r.toShop.took()
			if fetched := strings.Contains(calls, "GET /orders"); fetched != tt.fetched {
				t.Errorf("fetched %v, want %v: %s", fetched, tt.fetched, calls)
			}
		})
	}
}

// A dump or a thin payload never becomes a document, least of all of an order that Magento does not have.
func TestPlaced_ThinPayloadOfNoOrderIsNotBooked(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{export: func(e *handlers.ExportRules) { e.TrustPayload = true }})
	for _, body := range []string{
		`{"entity_id":999,"increment_id":"000000999","state":"processing","items":[{"item_id":1}]}`,
		`{"entity_id":999,"increment_id":"000000999","state":"processing","store_id":1,"order_currency_code":"EUR",` +
			`"grand_total":"10.0000","items":[{"item_id":1,"sku":"A","qty_ordered":"1.0000","row_total":"10.0000"}],` +
			`"addresses":{"billing":{"city":"Berlin","country_id":"DE","street":"Main St 1"}}}`,
	} {
		_, err := r.placed(body)
		isClass(t, err, event.NotFound)
		isCalls(t, r.toERP)
	}
}

// What Magento itself has of an order may lack a number that its document needs.
func TestPlaced_OrderWithoutNumbersIsNotSent(t *testing.T) {
	t.Parallel()
	firstItem := func(o map[string]any) map[string]any { return o["items"].([]any)[0].(map[string]any) }
	r := newRig(t, settings{})
	for n, tt := range []struct {
		name    string
		change  func(o map[string]any)
		missing string // "" for an order that goes out
	}{
		{"whole", func(map[string]any) {}, ""},
		{"no grand total", func(o map[string]any) { delete(o, "grand_total") }, "grand_total"},
		{"no quantity", func(o map[string]any) { delete(firstItem(o), "qty_ordered") }, "qty_ordered of item"},
		{"no row total", func(o map[string]any) { firstItem(o)["row_total"] = nil }, "row_total of item"},
		{"no address and no currency", func(o map[string]any) {
			delete(o, "billing_address")
			delete(o, "order_currency_code")
			delete(o, "extension_attributes")
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			var o map[string]any
			if err := json.Unmarshal(r.shop.Order(p.EntityID), &o); err != nil {
				t.Fatal(err)
			}
			tt.change(o)
			o["entity_id"], o["increment_id"] = p.EntityID+1, fmt.Sprintf("N-%d", n)
			body, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			odd, err := r.shop.AddOrder(body)
			if err != nil {
				t.Fatal(err)
			}
			outcome, err := r.placed(number(odd.IncrementID))
			if tt.missing == "" {
				isOutcome(t, outcome, err, event.Done)
				return
			}
			isClass(t, err, event.NotFound, tt.missing)
			isCalls(t, r.toERP)
		})
	}
}

func TestPlaced_StaleStateOfAnEventIsNotBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	whole := string(r.shop.Order(p.EntityID))
	r.shop.Cancel(p.EntityID)
	outcome, err := r.placed(whole)
	isOutcome(t, outcome, err, event.Skipped)
	isCalls(t, r.toERP)
}

func TestPlaced_WhichOrdersGoOut(t *testing.T) {
	t.Parallel()
	methods := []string{"checkmo", "cashondelivery", "purchaseorder", "companycredit", "free", "banktransfer", "stripe_payments"}
	offline := map[string]bool{"checkmo": true, "cashondelivery": true, "purchaseorder": true, "companycredit": true, "free": true}
	r := newRig(t, settings{})
	for _, state := range []string{"new", "pending_payment", "processing", "complete", "closed", "canceled", "holded", "payment_review"} {
		for _, method := range methods {
			t.Run(state+" "+method, func(t *testing.T) {
				r := r.in(t)
				p := r.shop.PlaceOrder(fakemagento.Placing{State: state, Method: method})
				want := idempotency.Waiting
				switch {
				case state == "processing" || state == "complete" || state == "new" && offline[method]:
					want = idempotency.Done
				case state == "canceled" || state == "closed":
					want = idempotency.Skipped
				}
				outcome, err := r.placed(number(p.IncrementID))
				isOutcome(t, outcome, err, map[idempotency.State]event.Outcome{
					idempotency.Done: event.Done, idempotency.Waiting: event.Done, idempotency.Skipped: event.Skipped,
				}[want])
				row := r.isCreate(p.IncrementID, want)
				if want == idempotency.Done {
					r.isOnce(p)
					return
				}
				if row.Result.Reason != state {
					t.Errorf("reason %q, want %q", row.Result.Reason, state)
				}
				if n := len(r.erp.DocumentsOf(p.IncrementID)); n != 0 {
					t.Errorf("%d documents, want none", n)
				}
				r.isComments(p)
			})
		}
	}
	for _, call := range r.erp.Requests() {
		if call.Method != http.MethodPost {
			t.Errorf("%s %s: no fresh order is asked for", call.Method, call.Path)
		}
	}
}

func TestPlaced_ExcludedOrders(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, settings{
		shop: fakemagento.Options{Stores: []fakemagento.Store{
			{ID: 1, Code: "de", Timezone: "UTC", BaseCurrency: "EUR"}, {ID: 2, Code: "till", Timezone: "UTC", BaseCurrency: "EUR"},
		}},
		export: func(e *handlers.ExportRules) {
			e.AllowsStore, e.From = func(id int64) bool { return id == 1 }, from
		},
	})
	for _, tt := range []struct {
		name    string
		placing fakemagento.Placing
		reason  string
	}{
		{"another store", fakemagento.Placing{StoreID: 2}, "store 2 is not in ORDER_EXPORT_STORES"},
		{"too old", fakemagento.Placing{StoreID: 1, CreatedAt: from.Add(-time.Second)}, "created before ORDER_EXPORT_FROM"},
		{"waiting, but too old", fakemagento.Placing{StoreID: 1, State: "holded", CreatedAt: from.Add(-time.Second)}, "created before ORDER_EXPORT_FROM"},
	} {
		for i, change := range []func(*event.Event){func(*event.Event) {}, repeated, replayed, reconciled} {
			t.Run(fmt.Sprint(tt.name, i), func(t *testing.T) {
				r := r.in(t)
				p := r.shop.PlaceOrder(tt.placing)
				outcome, err := r.placed(number(p.IncrementID), change)
				isOutcome(t, outcome, err, event.Skipped)
				if row := r.isCreate(p.IncrementID, idempotency.Skipped); row.Result.Reason != tt.reason {
					t.Errorf("reason %q, want %q", row.Result.Reason, tt.reason)
				}
				isCalls(t, r.toERP)
			})
		}
	}
	p := r.shop.PlaceOrder(fakemagento.Placing{StoreID: 1, CreatedAt: from})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
}

func TestPlaced_WaitingOrderGoesOutOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "stripe_payments"})
	for range 3 {
		outcome, err := r.placed(number(p.IncrementID))
		isOutcome(t, outcome, err, event.Done)
		r.isCreate(p.IncrementID, idempotency.Waiting)
	}
	isCalls(t, r.toERP)
	r.shop.Pay(p.EntityID)
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, "POST /sales-orders")
	outcome, err = r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Duplicate)
	r.isOnce(p)
}

func TestPlaced_SkippedOrderIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{State: "closed"})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Skipped)
	r.shop.SetState(p.EntityID, "processing")
	outcome, err = r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isOnce(p)
}

func TestPlaced_ReadingFailsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, tt := range []struct {
		name  string
		fault fault.Fault
		class event.Class
	}{
		{"500", fault.Fault{Kind: fault.Fail}, event.Unavailable},
		{"503 of a maintenance page", fault.Fault{Kind: fault.Page}, event.Unavailable},
		{"200 of a proxy's page", fault.Fault{Kind: fault.Garble}, event.Unavailable},
		{"400 of a deadlock", fault.Fault{Kind: fault.Fail, Status: 400}, event.Unavailable},
		{"401", fault.Fault{Kind: fault.Fail, Status: 401}, event.Unauthorized},
		{"403", fault.Fault{Kind: fault.Fail, Status: 403}, event.Unauthorized},
		{"409", fault.Fault{Kind: fault.Fail, Status: 409}, event.Rejected},
		{"423", fault.Fault{Kind: fault.Fail, Status: 423}, event.Unavailable},
		{"408", fault.Fault{Kind: fault.Fail, Status: 408}, event.Timeout},
		{"302", fault.Fault{Kind: fault.Redirect, Status: 302}, event.Unavailable},
		{"404 in HTML", fault.Fault{Kind: fault.Page, Status: 404}, event.Unavailable},
		{"403 in HTML", fault.Fault{Kind: fault.Page, Status: 403}, event.Unauthorized},
		{"200 of something else", fault.Fault{Kind: fault.Say, Text: `{"status":"ok"}`}, event.Unavailable},
		{"lost connection", fault.Fault{Kind: fault.Refuse}, event.Unavailable},
		{"429", fault.Fault{Kind: fault.Throttle, After: 7 * time.Second}, event.Throttled}, // the last, because all wait then
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.in(t)
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			r.shop.Faults.Set(fault.Plan{Every: tt.fault})
			_, err := r.placed(fmt.Sprintf(`{"entity_id":%d,"increment_id":%q}`, p.EntityID, p.IncrementID))
			isClass(t, err, tt.class)
			var classed *event.Error
			if tt.class == event.Throttled && (!asError(err, &classed) || classed.RetryAfter < 6*time.Second) {
				t.Errorf("want the 7 s of Retry-After: %v", err)
			}
			if !asError(err, &classed) || classed.Downstream != "magento" {
				t.Errorf("the error names downstream %q, want magento: %v", classed.Downstream, err)
			}
			if event.KeyOf(err) != p.IncrementID {
				t.Errorf("the error's key is %q, want %q", event.KeyOf(err), p.IncrementID)
			}
			r.isCreate(p.IncrementID, idempotency.Failed)
			isCalls(t, r.toERP)
		})
	}
}

// Whether this handling made the document, found it or met what was done before is told apart.
func TestPlaced_LogsCreatedFoundAndDuplicateApart(t *testing.T) {
	t.Parallel()
	events := []string{"order_created", "order_found", "order_duplicate"}
	for _, tt := range []struct {
		want   string
		before func(r *rig, p fakemagento.Placed)
	}{
		{"order_created", func(*rig, fakemagento.Placed) {}},
		{"order_found", func(r *rig, p fakemagento.Placed) { r.erp.Book(p.IncrementID) }},
		{"order_duplicate", func(r *rig, p fakemagento.Placed) {
			r.exported(p)
			r.log.Reset()
		}},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{})
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			tt.before(r, p)
			if _, err := r.placed(number(p.IncrementID), replayed); err != nil {
				t.Fatal(err)
			}
			for _, name := range events {
				lines := r.log.Lines(name, "level", "info", "key", p.IncrementID, "document_number", "")
				if (len(lines) > 0) != (name == tt.want) {
					t.Errorf("the lines of %s are %q", name, lines)
				}
			}
		})
	}
}
