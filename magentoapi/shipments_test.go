package magentoapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

// What each write sends, and what it makes of the answer.
func TestWhatTheShipmentsServiceSends(t *testing.T) {
	item := []NewDocumentItem{{OrderItemID: 5, Qty: decimal.RequireFromString("1.50")}}
	for name, c := range map[string]struct {
		call         func(c *Client) (any, error)
		answer       string
		method, path string
		body         string
		want         any
		unreadable   string // an answer that must not be taken for a success
	}{
		"ship, all": {
			func(c *Client) (any, error) { return c.Shipments.Ship(t.Context(), 57, NewShipment{}) },
			`"9"`, "POST", "order/57/ship", `{"notify":false,"appendComment":false}`, int64(9), `0`,
		},
		"ship, a part": {
			func(c *Client) (any, error) {
				return c.Shipments.Ship(t.Context(), 57, NewShipment{
					Items: item, Notify: true, SourceCode: "eu", Comment: "c", CommentVisible: true, MailComment: true,
					Tracks: []NewTrack{{TrackNumber: "T1", Title: "DHL Paket", CarrierCode: "dhl"}},
				})
			},
			`9`, "POST", "order/57/ship",
			`{"items":[{"order_item_id":5,"qty":1.5}],"notify":true,"appendComment":true,"comment":{"comment":"c","is_visible_on_front":1},
			  "tracks":[{"track_number":"T1","title":"DHL Paket","carrier_code":"dhl"}],
			  "arguments":{"extension_attributes":{"source_code":"eu"}}}`,
			int64(9), `[]`,
		},
		"track": {
			func(c *Client) (any, error) {
				added, err := c.Shipments.AddTrack(t.Context(), &ShipmentTrack{OrderID: 57, ParentID: 9, TrackNumber: "T1", Title: "x", CarrierCode: "custom"})
				if err != nil {
					return nil, err
				}
				return added.EntityID, nil
			},
			`{"entity_id":"3","track_number":"T1"}`, "POST", "shipment/track",
			`{"entity":{"order_id":57,"parent_id":9,"track_number":"T1","title":"x","carrier_code":"custom","description":"","weight":0,"qty":0}}`,
			ID(3), `true`,
		},
		"delete a track": {
			func(c *Client) (any, error) { return nil, c.Shipments.DeleteTrack(t.Context(), 3) },
			`true`, "DELETE", "shipment/track/3", ``, nil, `false`,
		},
		"mail": {
			func(c *Client) (any, error) { return c.Shipments.SendEmail(t.Context(), 9) },
			`false`, "POST", "shipment/9/emails", ``, false, `{}`,
		},
		"label": {
			func(c *Client) (any, error) { return c.Shipments.Label(t.Context(), 9) },
			`"JVBERi0xLjQK"`, "GET", "shipment/9/label", ``, "JVBERi0xLjQK", `{}`,
		},
		"comment": {
			func(c *Client) (any, error) {
				added, err := c.Shipments.AddComment(t.Context(), 9, Comment{Text: "c", VisibleToCustomer: true})
				if err != nil {
					return nil, err
				}
				return added.Comment, nil
			},
			`{"entity_id":1,"comment":"c"}`, "POST", "shipment/9/comments",
			`{"entity":{"comment":"c","parent_id":9,"is_customer_notified":0,"is_visible_on_front":1}}`, Text("c"), `false`,
		},
		"comments": {
			func(c *Client) (any, error) {
				all, err := c.Shipments.Comments(t.Context(), 9)
				return len(all), err
			},
			`{"items":[{"comment":"c"}],"total_count":1}`, "GET", "shipment/9/comments", ``, 1, `[]`,
		},
		"get": {
			func(c *Client) (any, error) {
				s, err := c.Shipments.Get(t.Context(), 9)
				if err != nil {
					return nil, err
				}
				return fmt.Sprintf("%s %s %s %s", s.IncrementID, s.SourceCode(), s.Items[0].Qty.Decimal, s.Tracks[0].TrackNumber), nil
			},
			`{"entity_id":9,"increment_id":"000000009","items":[{"order_item_id":5,"qty":1.5000}],"tracks":[{"track_number":123}],
			  "extension_attributes":{"source_code":"eu"}}`, "GET", "shipment/9", ``, "000000009 eu 1.5 123", `{"entity_id":8}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, n int) {
				respond(w, 200, map[bool]string{true: c.answer, false: c.unreadable}[n == 1])
			})
			client := s.client(t, Options{})
			got, err := c.call(client)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			sent := s.requests("")[0]
			if sent.method != c.method || sent.uri != "/rest/all/V1/"+c.path || c.body == "" && sent.body != "" || c.body != "" && !sameJSON(t, sent.body, c.body) {
				t.Errorf("sent %s %s %s", sent.method, sent.uri, sent.body)
			}
			if got, err := c.call(client); !errors.Is(err, ErrUnreadable) {
				t.Errorf("the answer %s was taken for %v, %v", c.unreadable, got, err)
			}
		})
	}
}

// All shipments of an order, however many, and none of another's.
func TestShipmentsOfAnOrder(t *testing.T) {
	shipment := func(id, order int) string { return fmt.Sprintf(`{"entity_id":%d,"order_id":"%d"}`, id, order) }
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		from := 1
		if strings.Contains(r.uri, "gt") {
			from = 101
		}
		var items []string
		for id := from; id <= 120 && id < from+100; id++ {
			items = append(items, shipment(id, 57))
		}
		respond(w, 200, fmt.Sprintf(`{"items":[%s],"total_count":%d}`, strings.Join(items, ","), 121-from))
	})
	all, err := s.client(t, Options{}).Shipments.OfOrder(t.Context(), 57)
	if err != nil || len(all) != 120 || len(s.requests("")) != 2 {
		t.Errorf("%d shipments by %d requests, %v", len(all), len(s.requests("")), err)
	}
	other := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 200, `{"items":[`+shipment(1, 57)+`,`+shipment(2, 58)+`],"total_count":2}`)
	})
	if all, err := other.client(t, Options{}).Shipments.OfOrder(t.Context(), 57); !errors.Is(err, ErrUnreadable) {
		t.Errorf("another order's shipment was taken: %v, %v", all, err)
	}
}

// Writes are not repeated: a second shipment would be one too many.
func TestShippingIsNotRepeated(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 503, `{"message":"busy"}`) })
	c := s.client(t, Options{Retries: Retries{Max: 3, Wait: 1}})
	_, err1 := c.Shipments.Ship(t.Context(), 57, NewShipment{})
	_, err2 := c.Shipments.AddTrack(t.Context(), &ShipmentTrack{})
	_, err3 := c.Shipments.SendEmail(t.Context(), 9)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
	if n := len(s.requests("")); n != 3 {
		t.Errorf("%d requests for three writes", n)
	}
}

// What is read and saved unchanged is what it was, whatever the type has no field for.
func FuzzShipment(f *testing.F) {
	for _, body := range []string{
		`{"entity_id":"9","items":[{"qty":1.5000,"x":[]}],"tracks":[{"track_number":1e3,"weight":null}],"packages":[],"extension_attributes":[]}`,
		`{"comments":[{"is_customer_notified":"1"}],"extension_attributes":{"source_code":7}}`, `[]`, `null`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		saved[Shipment](t, body)
		var s Shipment
		if json.Unmarshal([]byte(body), &s) == nil {
			_ = s.SourceCode()
		}
	})
}
