package event

import "testing"

func TestParseID_EachForm(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		body string
		want int64 // 0: Invalid
	}{
		{Shipments, `{"entity_id":9}`, 9},
		{Shipments, `{"entity_id":"9","increment_id":"000000077","order_id":57}`, 9},
		{Shipments, `{"shipment":{"entity_id":9,"items":[{"entity_id":3}]},"storeId":1}`, 9},
		{Shipments, `"{\"entity_id\":9}"`, 9},
		{Shipments, `{"id":9}`, 9},
		{Shipments, `{"order_id":57}`, 0},
		{Shipments, `{"entity_id":"nine"}`, 0},
		{CreditMemos, `{"entityId":4}`, 4},
		{CreditMemos, `{"creditmemo":{"entity_id":4}}`, 4},
		{CreditMemos, `{}`, 0},
		{Customers, `{"id":42}`, 42},
		{Customers, `{"id":42,"addresses":[{"id":7,"customer_id":42}]}`, 42},
		{Customers, `{"customer":{"id":42,"addresses":[{"id":7}]}}`, 42},
		{Customers, `{"entity_id":42}`, 42},
		{Customers, `{"email":"a@example.com"}`, 0},
	} {
		bodies, err := Decode([]byte(c.body), c.kind)
		var got int64
		if err == nil {
			got, err = ParseID(bodies[0], c.kind)
		}
		if got != c.want || (err == nil) != (c.want != 0) || err != nil && ClassOf(err) != Invalid {
			t.Errorf("%s: %d, %v; want %d", c.body, got, err, c.want)
		}
	}
}
