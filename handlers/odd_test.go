package handlers_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// withValue sets a value in JSON, by a path such as items.0.sku.
func withValue(t *testing.T, v any, path, value string) any {
	t.Helper()
	name, rest, below := strings.Cut(path, ".")
	next := func(old any) any {
		if below {
			return withValue(t, old, rest, value)
		}
		return json.RawMessage(value)
	}
	switch v := v.(type) {
	case map[string]any:
		v[name] = next(v[name])
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil {
			t.Fatal(err)
		}
		v[i] = next(v[i])
	default:
		t.Fatalf("there is no %s", path)
	}
	return v
}

// oddOrder puts an order of a whole answer of Magento's into the shop, with these values, as in state="new".
func (r *rig) oddOrder(id int, values ...string) fakemagento.Placed {
	r.t.Helper()
	data, err := os.ReadFile("../mapping/testdata/simple.order.json")
	if err != nil {
		r.t.Fatal(err)
	}
	var o any
	if err := json.Unmarshal(data, &o); err != nil {
		r.t.Fatal(err)
	}
	o = withValue(r.t, o, "entity_id", strconv.Itoa(id))
	o = withValue(r.t, o, "increment_id", fmt.Sprintf(`"ODD-%d"`, id))
	for _, v := range values {
		path, value, _ := strings.Cut(v, "=")
		o = withValue(r.t, o, path, value)
	}
	body, err := json.Marshal(o)
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := r.shop.AddOrder(body)
	if err != nil {
		r.t.Fatal(err)
	}
	p.IncrementID = fmt.Sprintf("ODD-%d", id)
	return p
}

// What mageline does not need of an order never keeps it back.
func TestPlaced_OddValueThatNobodyNeeds(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for i, value := range []string{
		`status_histories=[{"comment":"IPN","is_customer_notified":2,"status":null}]`, `status_histories={"3":{"is_customer_notified":null}}`,
		`status_histories="none"`, `extension_attributes.company_order_attributes=[]`, `extension_attributes.gift_cards="[{\"a\":10}]"`,
		`extension_attributes=[]`, `payment.amount_paid=false`, `payment=[]`, `customer_id=-1`, `customer_note=false`, `billing_address=[]`,
		`billing_address.region={"region":"X"}`, `created_at="Nov 23, 2026, 9:15:02 AM"`, `store_name=false`, `items={"12":null}`,
		`total_paid=""`, `items.0.parent_item=false`, `items.0.product_option="a:0:{}"`,
	} {
		t.Run(value, func(t *testing.T) {
			r := r.in(t)
			if value == `items={"12":null}` { // a list that PHP made an object of
				value = `items={"12":` + string(item(t)) + `}`
			}
			p := r.oddOrder(1000+i, value)
			outcome, err := r.placed(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			r.isOnce(p)
			odd := strings.Join(r.log.Lines("odd_fields", "where", "GET /V1/orders"), "")
			if path, _, _ := strings.Cut(value, "="); strings.HasPrefix(value, "payment.") && !strings.Contains(odd, path) {
				t.Errorf("no debug line names %s: %s", path, odd)
			}
			if strings.Contains(odd, "Testperson") || strings.Contains(odd, "Nov 23") {
				t.Errorf("the line says what the value says: %s", odd)
			}
		})
	}
}

func item(t *testing.T) json.RawMessage {
	t.Helper()
	data, err := os.ReadFile("../mapping/testdata/simple.order.json")
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Items []json.RawMessage }
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o.Items[0]
}

// What the document is made of must be readable: nothing is sent without it, and the error names it.
func TestPlaced_OddValueOfTheDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{statusless: true})
	for i, tt := range []struct{ value, says string }{
		{`grand_total="NAN"`, `grand_total is a string like "aaa"`},
		{`grand_total="39,00 €"`, `grand_total is a string like "00,00 €"`},
		{`items.0.qty_ordered="1,0000"`, `items[0].qty_ordered is a string like "0,0000"`},
		{`items.0.tax_percent=false`, `items[0].tax_percent is the boolean false`},
		{`items="jane@fixture.example"`, `items is a string`},
		{`items.0=[1]`, `items[0] is an array`},
		{`state=["processing"]`, `state is an array`},
		{`store_id="default"`, `store_id is a string`},
		{`order_currency_code={}`, `order_currency_code is an empty object`},
	} {
		t.Run(tt.value, func(t *testing.T) {
			r := r.in(t)
			p := r.oddOrder(1000+i, tt.value)
			_, err := r.placed(number(p.IncrementID))
			isClass(t, err, event.Invalid, tt.says, p.IncrementID)
			if strings.Contains(err.Error(), "jane") {
				t.Errorf("the error says what the value says: %v", err)
			}
			isCalls(t, r.toERP)
		})
	}
	t.Run("its number", func(t *testing.T) {
		r := r.in(t)
		p := r.oddOrder(2000, `increment_id=["ODD"]`)
		_, err := r.placed(fmt.Sprintf(`{"entity_id":%d}`, p.EntityID))
		isClass(t, err, event.Invalid, "increment_id is an array")
	})
	t.Run("its id", func(t *testing.T) {
		r := r.in(t)
		p := r.oddOrder(2001)
		r.toShop.with("GET", 200, `{"entity_id":{"id":2001},"increment_id":"`+p.IncrementID+`"}`)
		_, err := r.placed(fmt.Sprintf(`{"entity_id":%d}`, p.EntityID))
		isClass(t, err, event.Invalid, "entity_id is an object")
	})
}

// An order of which it can't be said whether it goes out must not wait until it is abandoned.
func TestPlaced_OddValueThatDecides(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{export: func(e *handlers.ExportRules) { e.From = time.Now().AddDate(-20, 0, 0) }})
	for i, tt := range []struct{ says, values string }{
		{"payment.method is an array", `state="new" payment.method=["checkmo"]`},
		{"payment is a string", `state="new" payment="checkmo"`},
		{"created_at is a string", `created_at="23.11.2026"`},
	} {
		t.Run(tt.values, func(t *testing.T) {
			r := r.in(t)
			p := r.oddOrder(1000+i, strings.Fields(tt.values)...)
			_, err := r.placed(number(p.IncrementID))
			isClass(t, err, event.Invalid, tt.says)
		})
	}

	// One that waits, and of which that can't be said any more, has its event, and with it its dead letter.
	t.Run("an order that waits", func(t *testing.T) {
		r := r.in(t)
		p := r.placeWaiting()
		var o map[string]any
		if err := json.Unmarshal(r.shop.Order(p.EntityID), &o); err != nil {
			t.Fatal(err)
		}
		o["payment"] = "stripe"
		body, err := json.Marshal(map[string]any{"items": []any{o}, "total_count": 1})
		if err != nil {
			t.Fatal(err)
		}
		r.toShop.with("GET", 200, string(body))
		var s sent
		if err := r.waiting(&s).Run(r.context()); err != nil || len(s.bodies) != 1 {
			t.Errorf("published %q, %v", s.bodies, err)
		}
		r.isCreate(p.IncrementID, idempotency.Waiting)
	})
}

// A comment without the order's own status would change it.
func TestPlaced_OddStatusIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{statusless: true})
	p := r.oddOrder(1000, `status={"code":"processing"}`)
	outcome, err := r.placed(number(p.IncrementID))
	if err != nil || outcome == "" {
		t.Fatalf("outcome %q, %v", outcome, err)
	}
	r.isComments(p)
	if len(r.erp.DocumentsOf(p.IncrementID)) != 1 || !r.log.Has("comment_refused", "error", "status is an object") {
		t.Error("the order is not in the ERP, or nothing says why it has no comment")
	}
}

func TestCanceled_OddQuantities(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.oddOrder(1000, `items.0.qty_canceled="1,0"`)
	_, err := r.canceled(number(p.IncrementID))
	isClass(t, err, event.Invalid, `items[0].qty_canceled is a string like "0,0"`)
	isCalls(t, r.toERP)
}

// A whole order in an event that can't be read is read from Magento, where the module that writes the event has no part.
func TestPlaced_OddValueInAPayload(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{export: func(e *handlers.ExportRules) { e.TrustPayload = true }})
	for i, value := range []string{`items.0.tax_percent=false`, `customer_note=false`} {
		p := r.oddOrder(1000 + i)
		var o any
		if err := json.Unmarshal(r.shop.Order(p.EntityID), &o); err != nil {
			t.Fatal(err)
		}
		path, odd, _ := strings.Cut(value, "=")
		body, err := json.Marshal(withValue(t, o, path, odd))
		if err != nil {
			t.Fatal(err)
		}
		r.toShop.took()
		outcome, err := r.placed(string(body))
		isOutcome(t, outcome, err, event.Done)
		fetched := strings.Count(r.toShop.took(), "GET /orders")
		if want := 2 - i; fetched != want { // one more is for the comment
			t.Errorf("%s: the order was read %d times, want %d", value, fetched, want)
		}
	}
}
