package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
)

func TestParseTracking_ReadsAndRefusesBodies(t *testing.T) {
	tests := []struct {
		name, body string
		key        string
		class      event.Class // "" for none
	}{
		{"the least", `{"order_number":"000000123","tracking_number":"T1"}`, "000000123:T1", ""},
		{"numbers", `{"order_number":123,"tracking_number":340434161094042557}`, "123:340434161094042557", ""},
		{"spaces around, unknown fields", `{"order_number":" 9 ","tracking_number":"T\t","x":{}}`, "9:T", ""},
		{"items are sorted", `{"order_number":"9","tracking_number":"T","items":[{"sku":"b","quantity":"1.50"},{"sku":"a"}]}`, "9:T:a,b=1.5", ""},
		{"a SKU twice", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":1},{"sku":"a","quantity":"2"}]}`, "9:T:a=3", ""},
		{"a SKU twice, once all", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":1},{"sku":"a","quantity":null}]}`, "9:T:a", ""},
		{"no items", `{"order_number":"9","tracking_number":"T","items":[]}`, "9:T", ""},
		{"no order", `{"tracking_number":"T"}`, "", event.Invalid},
		{"no number", `{"order_number":"9","tracking_number":" "}`, "9:", ""},
		{"no number, items", `{"order_number":"9","items":[{"sku":"a"}]}`, "9::a", ""},
		{"joins another", `{"order_number":"9","tracking_number":"T","joins":"S","items":[{"sku":"a"}]}`, "9:T", ""},
		{"joins without a number", `{"order_number":"9","joins":"S"}`, "", event.Invalid},
		{"pad is a word", `{"order_number":"9","tracking_number":"T","pad":"maybe"}`, "", event.Invalid},
		{"order is an object", `{"order_number":{},"tracking_number":"T"}`, "", event.Invalid},
		{"number too long", `{"order_number":"9","tracking_number":"` + strings.Repeat("T", 300) + `"}`, "", event.Invalid},
		{"no SKU", `{"order_number":"9","tracking_number":"T","items":[{"quantity":1}]}`, "", event.Invalid},
		{"quantity 0", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":0}]}`, "", event.Invalid},
		{"quantity below 0", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":"-1"}]}`, "", event.Invalid},
		{"quantity too fine", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":0.00001}]}`, "", event.Invalid},
		{"quantity too large", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":1e999999999}]}`, "", event.Invalid},
		{"quantity is a word", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":"two"}]}`, "", event.Invalid},
		{"quantity is a list", `{"order_number":"9","tracking_number":"T","items":[{"sku":"a","quantity":[1]}]}`, "", event.Invalid},
		{"items are no list", `{"order_number":"9","tracking_number":"T","items":{"sku":"a"}}`, "", event.Invalid},
		{"too many items", `{"order_number":"9","tracking_number":"T","items":[` + strings.Repeat(`{"sku":"a"},`, 1000) + `{"sku":"a"}]}`, "", event.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.ParseTracking(json.RawMessage(tt.body))
			if tt.class != "" {
				if err == nil || event.ClassOf(err) != tt.class {
					t.Fatalf("error %v, want class %s", err, tt.class)
				}
				return
			}
			if err != nil || got.Key() != tt.key {
				t.Fatalf("key %q, %v; want %q", got.Key(), err, tt.key)
			}
		})
	}
}

func FuzzParseTracking(f *testing.F) {
	for _, seed := range []string{
		`{"order_number":"000000123","tracking_number":"T1","carrier_code":"dhl","title":"DHL","shipment_number":"7","source_code":"eu"}`,
		`{"order_number":1e3,"tracking_number":-1,"items":[{"sku":"a","quantity":"1.5"},{"sku":"a","quantity":2}]}`,
		`{"order_number":"9","tracking_number":"T","items":[{"sku":1,"quantity":1E-9}]}`, `[]`, `{"items":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := event.ParseTracking(body)
		if err != nil {
			if event.ClassOf(err) != event.Invalid {
				t.Fatalf("class %q of %v", event.ClassOf(err), err)
			}
			return
		}
		if got.OrderNumber == "" || got.TrackingNumber == "" {
			t.Fatalf("%s gives %+v", body, got)
		}
		for i, item := range got.Items {
			if item.SKU == "" || item.Quantity.Valid && !item.Quantity.Decimal.IsPositive() || i > 0 && got.Items[i-1].SKU >= item.SKU {
				t.Fatalf("%s gives %+v", body, got)
			}
		}
		// What was read is read again as it was, so that a replay has the key of the first delivery.
		items := []map[string]string{}
		for _, item := range got.Items {
			one := map[string]string{"sku": item.SKU}
			if item.Quantity.Valid {
				one["quantity"] = item.Quantity.Decimal.String()
			}
			items = append(items, one)
		}
		again, err := json.Marshal(map[string]any{"order_number": got.OrderNumber, "tracking_number": got.TrackingNumber, "items": items})
		if err != nil {
			t.Fatal(err)
		}
		second, err := event.ParseTracking(again)
		if err != nil || second.Key() != got.Key() {
			t.Fatalf("%s has the key %q, read again %q, %v", body, got.Key(), second.Key(), err)
		}
	})
}
