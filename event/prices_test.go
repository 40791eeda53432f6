package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
)

const version = `"as_of":"2026-11-23T10:00:00+01:00"`

func TestParsePrices_ReadsEachType(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"base", `{"type":"base",` + version + `,"prices":[{"sku":"A","price":"12.50","store_id":"3"}]}`, "A 12.5 store 3"},
		{"numbers as SKU and price", `{"type":"base",` + version + `,"prices":[{"sku":123,"price":7}]}`, "123 7 store 0"},
		{"special", `{"type":"special",` + version + `,"prices":[{"sku":"A","price":1,"price_from":"2026-11-23 00:00:00","price_to":null}]}`, "A 1 store 0 from 2026-11-23 00:00:00"},
		{"special_delete", `{"type":"special_delete",` + version + `,"prices":[{"sku":"A"}]}`, "A - store 0"},
		{"tier", `{"type":"tier",` + version + `,"replace":true,"prices":[{"sku":"A","price":9.5,"price_type":"fixed","website_id":1,"customer_group":"General","quantity":"10"}]}`, "A 9.5 store 0 fixed General 10 website 1"},
		{"tier_delete", `{"type":"tier_delete",` + version + `,"prices":[{"sku":"A","customer_group":"ALL GROUPS","quantity":1}]}`, "A - store 0  ALL GROUPS 1 website 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := event.ParsePrices(json.RawMessage(tc.body))
			if err != nil || len(s.Prices) != 1 || s.Prices[0].Err != nil {
				t.Fatalf("%+v, %v", s, err)
			}
			if !s.AsOf.Equal(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)) {
				t.Errorf("as of %s", s.AsOf)
			}
			if got := describePrice(s.Prices[0]); got != tc.want {
				t.Errorf("read %q, want %q", got, tc.want)
			}
		})
	}
}

func describePrice(p event.Price) string {
	price := "-"
	if p.Price.Valid {
		price = p.Price.Decimal.String()
	}
	s := p.SKU + " " + price + " store " + decimal.NewFromInt(p.StoreID).String()
	if p.From != "" {
		s += " from " + p.From
	}
	if p.CustomerGroup != "" {
		s += " " + p.TierType + " " + p.CustomerGroup + " " + p.Quantity.String() + " website " + decimal.NewFromInt(p.WebsiteID).String()
	}
	return s
}

func TestParsePrices_RefusesABodyThatCannotBeUsed(t *testing.T) {
	for _, tc := range []struct{ name, body, says string }{
		{"no as_of", `{"type":"base","prices":[]}`, "as_of"},
		{"as_of without a zone", `{"type":"base","as_of":"2026-11-23 10:00:00","prices":[]}`, "as_of"},
		{"as_of as a number", `{"type":"base","as_of":1,"prices":[]}`, "as_of"},
		{"unknown type", `{"type":"cost",` + version + `,"prices":[]}`, "type"},
		{"no prices", `{"type":"base",` + version + `}`, "prices"},
		{"replace of base prices", `{"type":"base",` + version + `,"replace":true,"prices":[]}`, "replace"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := event.ParsePrices(json.RawMessage(tc.body))
			if event.ClassOf(err) != event.Invalid || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParsePrices_RefusesOnePriceBesideOthers(t *testing.T) {
	for _, tc := range []struct{ kind, price, says string }{
		{"base", `{"price":1}`, "sku"},
		{"base", `{"sku":"` + strings.Repeat("x", 65) + `","price":1}`, "64"},
		{"base", `{"sku":"A\u0000","price":1}`, "NUL"},
		{"base", `{"sku":"A"}`, "no price"},
		{"base", `{"sku":"A","price":-1}`, "below 0"},
		{"base", `{"sku":"A","price":"12,50"}`, "number"},
		{"base", `{"sku":"A","price":1e15}`, "digits"},
		{"base", `{"sku":"A","price":true}`, "number"},
		{"base", `{"sku":"A","price":1,"store_id":-1}`, "id"},
		{"base", `7`, "read"},
		{"special", `{"sku":"A","price":1,"price_from":"2026-11-23"}`, "YYYY-MM-DD HH:MM:SS"},
		{"special", `{"sku":"A","price":1,"price_from":"2026-11-23T10:00:00Z"}`, "YYYY-MM-DD HH:MM:SS"},
		{"special", `{"sku":"A","price":1,"price_to":"2026-02-30 00:00:00"}`, "YYYY-MM-DD HH:MM:SS"},
		{"special", `{"sku":"A","price":1,"price_to":20261123}`, "YYYY-MM-DD HH:MM:SS"},
		{"tier", `{"sku":"A","price":1,"price_type":"fixed","quantity":1}`, "customer_group"},
		{"tier", `{"sku":"A","price":1,"price_type":"percent","customer_group":"General","quantity":1}`, "fixed or discount"},
		{"tier", `{"sku":"A","price":1,"price_type":"fixed","customer_group":"General","quantity":0}`, "above 0"},
	} {
		s, err := event.ParsePrices(json.RawMessage(`{"type":"` + tc.kind + `",` + version + `,"prices":[` + tc.price +
			`,{"sku":"B","price":1,"price_type":"fixed","customer_group":"General","quantity":1}]}`))
		if err != nil || len(s.Prices) != 2 || s.Prices[1].Err != nil {
			t.Errorf("%s: %+v, %v", tc.price, s, err)
			continue
		}
		if err := s.Prices[0].Err; event.ClassOf(err) != event.Invalid || err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", tc.price, err, tc.says)
		}
	}
}

func TestParseStock_ReadsItems(t *testing.T) {
	s, err := event.ParseStock(json.RawMessage(`{` + version + `,"items":[
		{"sku":"A","quantity":"3.5"},{"sku":"A","source_code":"berlin","quantity":-1,"status":1},
		{"sku":"B","quantity":1,"status":"0"},{"sku":"B"},{"sku":"B","quantity":1,"status":2},{"sku":"B","quantity":1e9}]}`))
	if err != nil || len(s.Items) != 6 {
		t.Fatalf("%+v, %v", s, err)
	}
	if a := s.Items[0]; a.SourceCode != event.DefaultSource || a.InStock != nil || a.Quantity.String() != "3.5" || a.Err != nil {
		t.Errorf("the first: %+v", a)
	}
	if b := s.Items[1]; b.SourceCode != "berlin" || b.InStock == nil || !*b.InStock || b.Err != nil {
		t.Errorf("the second: %+v", b)
	}
	if c := s.Items[2]; c.InStock == nil || *c.InStock || c.Err != nil {
		t.Errorf("the third: %+v", c)
	}
	for n, says := range map[int]string{3: "no quantity", 4: "status", 5: "digits"} {
		if err := s.Items[n].Err; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("item %d: got %v, want %q", n, err, says)
		}
	}
}

// What is written is read as the same.
func TestSyncBodies_AreReadAsTheyWereWritten(t *testing.T) {
	at, one := time.Date(2026, 11, 23, 10, 0, 0, 5000, time.UTC), decimal.NewNullDecimal(decimal.RequireFromString("1.5"))
	yes := true
	for name, body := range map[string]any{
		"base":           event.PriceSync{Type: event.BasePrices, AsOf: at, Prices: []event.Price{{SKU: "A", Price: one, StoreID: 2}}},
		"special":        event.PriceSync{Type: event.SpecialPrices, AsOf: at, Prices: []event.Price{{SKU: "A", Price: one, From: "2026-11-23 00:00:00", To: "2026-11-24 00:00:00"}}},
		"special_delete": event.PriceSync{Type: event.SpecialDelete, AsOf: at, Prices: []event.Price{{SKU: "A"}}},
		"tier": event.PriceSync{Type: event.TierPrices, AsOf: at, Replace: true, Prices: []event.Price{
			{SKU: "A", Price: one, TierType: "fixed", WebsiteID: 1, CustomerGroup: "General", Quantity: decimal.NewFromInt(10)},
		}},
		"stock": event.StockSync{AsOf: at, Items: []event.StockItem{{SKU: "A", SourceCode: "default", Quantity: one.Decimal, InStock: &yes}}},
	} {
		written, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		kind := event.Prices
		if name == "stock" {
			kind = event.Stock
		}
		events, err := event.Decode([]byte(`{"request":`+string(written)+`}`), kind)
		if err != nil || len(events) != 1 {
			t.Fatalf("%s: %d events, %v", name, len(events), err)
		}
		var again any
		if name == "stock" {
			read, err := event.ParseStock(events[0])
			for i := range read.Items {
				read.Items[i].Raw = nil
			}
			again = read
			if err != nil {
				t.Fatal(err)
			}
		} else {
			read, err := event.ParsePrices(events[0])
			for i := range read.Prices {
				read.Prices[i].Raw = nil
			}
			again = read
			if err != nil {
				t.Fatal(err)
			}
		}
		rewritten, err := json.Marshal(again)
		if err != nil || string(rewritten) != string(written) {
			t.Errorf("%s: wrote %s, then %s (%v)", name, written, rewritten, err)
		}
	}
}
