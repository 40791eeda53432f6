package magentoapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

func TestGetReadsAnOrder(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 200, `{"entity_id":"57","increment_id":"000000123","grand_total":19.989999999999998,"items":[{"item_id":1,"sku":"A","qty_ordered":1.5}],"unknown":{}}`)
	})
	order, err := s.client(t, Options{}).Orders.Get(t.Context(), 57)
	if err != nil {
		t.Fatal(err)
	}
	if order.EntityID != 57 || order.IncrementID != "000000123" || len(order.Items) != 1 ||
		!order.GrandTotal.Decimal.Equal(decimal.RequireFromString("19.99")) {
		t.Errorf("got %+v", order)
	}
	if got := s.requests("")[0]; got.method != http.MethodGet || got.uri != "/rest/all/V1/orders/57" {
		t.Errorf("sent %s %s", got.method, got.uri)
	}
}

func TestOrdersGet_OfFields(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 200, `{"entity_id":57,"state":"new","items":[{"sku":"A"}]}`)
	})
	orders := s.client(t, Options{}).Orders
	order, err := orders.Get(t.Context(), 57, "state", "items[sku,qty_ordered]")
	if err != nil || order.State != StateNew || len(order.Items) != 1 || order.Items[0].SKU != "A" {
		t.Errorf("got %+v, %v", order, err)
	}
	if got := s.requests("")[0]; got.uri != "/rest/all/V1/orders/57?fields=entity_id%2Cstate%2Citems%5Bsku%2Cqty_ordered%5D" {
		t.Errorf("sent %s", got.uri)
	}
	for _, ignored := range []string{"state status", "items[sku", "a-b"} { // by Magento, which would answer the whole order
		if _, err := orders.Get(t.Context(), 57, ignored); err == nil || len(s.requests("")) > 1 {
			t.Errorf("%q: got %v after %d requests, want an error before the first", ignored, err, len(s.requests("")))
		}
	}
}

func TestGetOfAnOrderThatIsNotThere(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 404, `{"message":"The entity that was requested doesn't exist. Verify the entity and try again."}`)
	})
	if _, err := s.client(t, Options{}).Orders.Get(t.Context(), 57); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestByIncrementID(t *testing.T) {
	for name, c := range map[string]struct {
		items string
		total int
		want  []ID
		fails bool
	}{
		"none":           {"", 0, nil, false},
		"one":            {`{"entity_id":1,"increment_id":"A1"}`, 1, []ID{1}, false},
		"two stores'":    {`{"entity_id":1,"increment_id":"A1"},{"entity_id":2,"increment_id":"A1"}`, 2, []ID{1, 2}, false},
		"another's case": {`{"entity_id":1,"increment_id":"a1"},{"entity_id":2,"increment_id":"A1"}`, 2, []ID{2}, false},
		"too many":       {`{"entity_id":1,"increment_id":"A1"}`, 101, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
				respond(w, 200, fmt.Sprintf(`{"items":[%s],"search_criteria":{},"total_count":%d}`, c.items, c.total))
			})
			orders, err := s.client(t, Options{}).Orders.ByIncrementID(t.Context(), "A1")
			if (err != nil) != c.fails {
				t.Fatalf("got %v", err)
			}
			var got []ID
			for _, o := range orders {
				got = append(got, o.EntityID)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			query := parse(t, s.requests("")[0].uri).Query()
			want := url.Values{
				"searchCriteria[filter_groups][0][filters][0][field]":          {"increment_id"},
				"searchCriteria[filter_groups][0][filters][0][value]":          {"A1"},
				"searchCriteria[filter_groups][0][filters][0][condition_type]": {"eq"},
				"searchCriteria[sortOrders][0][field]":                         {"entity_id"},
				"searchCriteria[sortOrders][0][direction]":                     {"ASC"},
				"searchCriteria[pageSize]":                                     {"100"},
				"searchCriteria[currentPage]":                                  {"1"},
			}
			if !reflect.DeepEqual(query, want) {
				t.Errorf("asked %v", query)
			}
		})
	}
}

func TestByIncrementIDNeedsANumber(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("asked for all orders") })
	if _, err := s.client(t, Options{}).Orders.ByIncrementID(t.Context(), ""); err == nil {
		t.Error("no error")
	}
}

func TestSearchOfWhatIsNoList(t *testing.T) {
	for _, body := range []string{"[]", "{}", `{"items":[null],"total_count":1}`, "<html>"} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		if _, err := s.client(t, Options{}).Orders.Search(t.Context(), SearchCriteria{}); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", body, err)
		}
		if _, err := s.client(t, Options{}).Orders.Comments(t.Context(), 1); !errors.Is(err, ErrUnreadable) && body != `{"items":[null],"total_count":1}` {
			t.Errorf("comments, %s: %v", body, err)
		}
	}
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("asked") })
	if _, err := s.client(t, Options{}).Orders.Search(t.Context(), SearchCriteria{}.Where()); err == nil {
		t.Error("criteria that mean nothing were sent")
	}
}

func TestAddComment(t *testing.T) {
	for name, c := range map[string]struct {
		comment Comment
		want    string
	}{
		"silent": {Comment{Text: "Sales order 7 created"}, `{"statusHistory":{"comment":"Sales order 7 created",
			"is_customer_notified":0,"is_visible_on_front":0,"parent_id":57,"entity_name":"order"}}`},
		"loud": {
			Comment{Text: "ü <b>", Status: "exported", NotifyCustomer: true, VisibleToCustomer: true},
			`{"statusHistory":{"comment":"ü <b>","status":"exported","is_customer_notified":1,"is_visible_on_front":1,
			"parent_id":57,"entity_name":"order"}}`,
		},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, "true") })
		if err := s.client(t, Options{}).Orders.AddComment(t.Context(), 57, c.comment); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sent := s.requests("")[0]
		var got, want any
		if json.Unmarshal([]byte(sent.body), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil ||
			!reflect.DeepEqual(got, want) || sent.method != http.MethodPost || sent.uri != "/rest/all/V1/orders/57/comments" {
			t.Errorf("%s: sent %+v", name, sent)
		}
	}
}

func TestACommentThatIsNotConfirmed(t *testing.T) {
	for _, body := range []string{"false", "[]", "", "{}", "<html>", `"yes"`} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		if err := s.client(t, Options{}).Orders.AddComment(t.Context(), 57, Comment{}); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAStatusThatMagentoRefuses(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 400, `{"message":"Unable to add comment: The status \"%1\" is not part of the order status history.","parameters":["exported"]}`)
	})
	err := s.client(t, Options{}).Orders.AddComment(t.Context(), 57, Comment{Status: "exported"})
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrBadRequest) || e.Transient() || !strings.Contains(err.Error(), `"exported" is not part`) {
		t.Errorf("got %v", err)
	}
}

func TestComments(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 200, `{"items":[{"comment":"Sales order 7 created","entity_id":3,"is_visible_on_front":0,"created_at":"2026-11-23 10:00:00"},{"comment":null}],"search_criteria":{},"total_count":2}`)
	})
	comments, err := s.client(t, Options{}).Orders.Comments(t.Context(), 57)
	if err != nil || len(comments) != 2 || comments[0].Comment != "Sales order 7 created" || comments[0].EntityID != 3 || comments[1].Comment != "" {
		t.Errorf("got %+v, %v", comments, err)
	}
	if got := s.requests("")[0].uri; got != "/rest/all/V1/orders/57/comments" {
		t.Errorf("asked %s", got)
	}
}
