package magentoapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

func dec(s string) Decimal { return Decimal{decimal.NewNullDecimal(decimal.RequireFromString(s))} }

// sameJSON reports whether two texts are the same in JSON.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return json.Unmarshal([]byte(got), &a) == nil && reflect.DeepEqual(a, b)
}

// What each write sends, and what it makes of the answer.
func TestWhatTheSalesServicesSend(t *testing.T) {
	item := []NewDocumentItem{{OrderItemID: 5, Qty: decimal.RequireFromString("1.50")}}
	for name, c := range map[string]struct {
		call         func(c *Client) (any, error)
		answer       string
		method, path string
		body         string
		want         any
		unreadable   string // an answer that must not be taken for a success
	}{
		"cancel": {
			func(c *Client) (any, error) { return c.Orders.Cancel(t.Context(), 57) },
			`true`, "POST", "orders/57/cancel", ``, true, `{}`,
		},
		"cancel that Magento does not": {
			func(c *Client) (any, error) { return c.Orders.Cancel(t.Context(), 57) },
			`false`, "POST", "orders/57/cancel", ``, false, `[]`,
		},
		"hold": {
			func(c *Client) (any, error) { return nil, c.Orders.Hold(t.Context(), 57) },
			`true`, "POST", "orders/57/hold", ``, nil, `false`,
		},
		"unhold": {
			func(c *Client) (any, error) { return nil, c.Orders.Unhold(t.Context(), 57) },
			`true`, "POST", "orders/57/unhold", ``, nil, `false`,
		},
		"status": {
			func(c *Client) (any, error) { return c.Orders.Status(t.Context(), 57) },
			`"pending"`, "GET", "orders/57/statuses", ``, "pending", `{}`,
		},
		"mail": {
			func(c *Client) (any, error) { return c.Orders.SendEmail(t.Context(), 57) },
			`false`, "POST", "orders/57/emails", ``, false, `{}`,
		},
		"invoice, all": {
			func(c *Client) (any, error) { return c.Orders.Invoice(t.Context(), 57, NewInvoice{}) },
			`"3"`, "POST", "order/57/invoice", `{"notify":false,"appendComment":false}`, int64(3), `0`,
		},
		"invoice, a part": {
			func(c *Client) (any, error) {
				return c.Orders.Invoice(t.Context(), 57, NewInvoice{
					Items: item, Capture: true, Notify: true, Comment: "c", CommentVisible: true, MailComment: true,
				})
			},
			`3`, "POST", "order/57/invoice",
			`{"capture":true,"items":[{"order_item_id":5,"qty":1.5}],"notify":true,"appendComment":true,
			  "comment":{"comment":"c","is_visible_on_front":1}}`,
			int64(3), `[]`,
		},
		"refund": {
			func(c *Client) (any, error) {
				return c.Orders.Refund(t.Context(), 57, NewCreditMemo{
					Items: item, ShippingAmount: dec("0"), AdjustmentNegative: dec("1.10"), ReturnToStock: []int64{5}, Comment: "c",
				})
			},
			`4`, "POST", "order/57/refund",
			`{"items":[{"order_item_id":5,"qty":1.5}],"notify":false,"appendComment":false,"comment":{"comment":"c","is_visible_on_front":0},
			  "arguments":{"shipping_amount":0,"adjustment_negative":1.1,"extension_attributes":{"return_to_stock_items":[5]}}}`,
			int64(4), `null`,
		},
		"refund of an invoice": {
			func(c *Client) (any, error) {
				return c.Invoices.Refund(t.Context(), 3, NewCreditMemo{Online: true, AdjustmentPositive: dec("2")})
			},
			`4`, "POST", "invoice/3/refund",
			`{"isOnline":true,"notify":false,"appendComment":false,"arguments":{"adjustment_positive":2}}`, int64(4), `{}`,
		},
		"capture": {
			func(c *Client) (any, error) { return nil, c.Invoices.Capture(t.Context(), 3) },
			`"1"`, "POST", "invoices/3/capture", ``, nil, `false`,
		},
		"void": {
			func(c *Client) (any, error) { return nil, c.Invoices.Void(t.Context(), 3) },
			`true`, "POST", "invoices/3/void", ``, nil, `[]`,
		},
		"comment on an invoice": {
			func(c *Client) (any, error) {
				added, err := c.Invoices.AddComment(t.Context(), 3, Comment{Text: "x", VisibleToCustomer: true})
				if err != nil {
					return nil, err
				}
				return added.EntityID, nil
			},
			`{"entity_id":9,"comment":"x"}`, "POST", "invoices/comments",
			`{"entity":{"comment":"x","parent_id":3,"is_customer_notified":0,"is_visible_on_front":1}}`, ID(9), `[1]`,
		},
		"comment on a credit memo": {
			func(c *Client) (any, error) {
				added, err := c.CreditMemos.AddComment(t.Context(), 4, Comment{Text: "x", NotifyCustomer: true})
				if err != nil {
					return nil, err
				}
				return added.EntityID, nil
			},
			`{"entity_id":9}`, "POST", "creditmemo/4/comments",
			`{"entity":{"comment":"x","parent_id":4,"is_customer_notified":1,"is_visible_on_front":0}}`, ID(9), `"x"`,
		},
		"an address": {
			func(c *Client) (any, error) {
				saved, err := c.Orders.SaveAddress(t.Context(), 57, &OrderAddress{EntityID: 7, Street: Street{"a", "b"}})
				if err != nil {
					return nil, err
				}
				return saved.EntityID, nil
			},
			`{"entity_id":7}`, "PUT", "orders/57", `{"entity":{"entity_id":7,"street":["a","b"]}}`, ID(7), `[1]`,
		},
		"an import": {
			func(c *Client) (any, error) {
				o, err := c.Orders.Create(t.Context(), &Order{IncrementID: "X1", GrandTotal: dec("9.90")})
				if err != nil {
					return nil, err
				}
				return o.EntityID, nil
			},
			`{"entity_id":"58"}`, "PUT", "orders/create", `{"entity":{"increment_id":"X1","grand_total":9.9}}`, ID(58), `[1]`,
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

func TestSaveSendsTheIDsAndWhatWasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *Order)
		want   string
	}{
		"nothing":   {func(*Order) {}, `{"entity":{"entity_id":57,"increment_id":"000000123"}}`},
		"a column":  {func(o *Order) { o.ExtOrderID = "SO-1" }, `{"entity":{"entity_id":57,"increment_id":"000000123","ext_order_id":"SO-1"}}`},
		"emptied":   {func(o *Order) { o.GrandTotal = Decimal{} }, `{"entity":{"entity_id":57,"increment_id":"000000123","grand_total":null}}`},
		"a renamed": {func(o *Order) { o.IncrementID = "7" }, `{"entity":{"entity_id":57,"increment_id":"7"}}`},
		"a row": {
			func(o *Order) { o.Items[0].SKU = "B" },
			`{"entity":{"entity_id":57,"increment_id":"000000123","items":[{"item_id":1,"sku":"B","vendor_row":7}]}}`,
		},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"entity_id":57}`) })
		o := readOddOrder(t)
		c.change(o)
		if saved, err := s.client(t, Options{}).Orders.Save(t.Context(), o); err != nil || saved.EntityID != 57 {
			t.Errorf("%s: %v", name, err)
		}
		if sent := s.requests("")[0]; sent.method != http.MethodPost || sent.uri != "/rest/all/V1/orders" || !sameJSON(t, sent.body, c.want) {
			t.Errorf("%s: sent %s %s %s", name, sent.method, sent.uri, sent.body)
		}
	}
}

func TestSavesThatCanNotBe(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("sent") })
	orders := s.client(t, Options{}).Orders
	for name, call := range map[string]func() error{
		"no id":            func() error { _, err := orders.Save(t.Context(), &Order{IncrementID: "1"}); return err },
		"no number":        func() error { _, err := orders.Save(t.Context(), &Order{EntityID: 1}); return err },
		"an import again":  func() error { _, err := orders.Create(t.Context(), &Order{EntityID: 1}); return err },
		"no address":       func() error { _, err := orders.SaveAddress(t.Context(), 1, &OrderAddress{}); return err },
		"an online refund": func() error { _, err := orders.Refund(t.Context(), 1, NewCreditMemo{Online: true}); return err },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	other := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"entity_id":58}`) })
	if _, err := other.client(t, Options{}).Orders.Save(t.Context(), &Order{EntityID: 57, IncrementID: "1"}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("another order was saved: %v", err)
	}
}

func TestDocumentsAreRead(t *testing.T) {
	const document = `{"entity_id":3,"increment_id":"000000009","order_id":"57","state":2,"grand_total":46.41,"items":[{"order_item_id":1,"qty":1}],` +
		`"comments":[{"comment":"x"}],"extension_attributes":{"vendor":1},"transaction_id":3,"vendor":{}}`
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		switch {
		case strings.Contains(r.uri, "/comments"):
			respond(w, 200, `{"items":[{"comment":"x"}],"total_count":1}`)
		case strings.Contains(r.uri, "?"):
			respond(w, 200, `{"items":[`+document+`],"total_count":1}`)
		default:
			respond(w, 200, document)
		}
	})
	c := s.client(t, Options{})
	ctx := t.Context()
	criteria := SearchCriteria{}.Where(Eq("order_id", "57"))

	invoice, err := c.Invoices.Get(ctx, 3)
	if err != nil || invoice.OrderID != 57 || invoice.State != InvoicePaid || invoice.GrandTotal.Decimal.String() != "46.41" || len(invoice.Items) != 1 {
		t.Errorf("%+v, %v", invoice, err)
	}
	memo, err := c.CreditMemos.Get(ctx, 3)
	if err != nil || memo.OrderID != 57 || memo.State != CreditMemoRefunded || len(memo.Comments) != 1 {
		t.Errorf("%+v, %v", memo, err)
	}
	txn, err := c.Transactions.Get(ctx, 3)
	if err != nil || txn.OrderID != 57 {
		t.Errorf("%+v, %v", txn, err)
	}
	for _, v := range []any{invoice, memo, txn} {
		if got, err := json.Marshal(v); err != nil || string(got) != document {
			t.Errorf("%T is written as %s, %v", v, got, err)
		}
	}
	invoices, err := c.Invoices.Search(ctx, criteria)
	if err != nil || len(invoices.Items) != 1 {
		t.Error(err)
	}
	for name, get := range map[string]func() error{
		"invoice":     func() error { _, err := c.Invoices.Get(ctx, 4); return err },
		"credit memo": func() error { _, err := c.CreditMemos.Get(ctx, 4); return err },
		"transaction": func() error { _, err := c.Transactions.Get(ctx, 4); return err },
	} {
		if err := get(); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), name) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if all, err := c.Invoices.Comments(ctx, 3); err != nil || len(all) != 1 || all[0].Comment != "x" {
		t.Errorf("%v, %v", all, err)
	}
	paths := map[string]string{"/V1/invoices?": "entity_id", "/V1/creditmemos?": "entity_id", "/V1/transactions?": "transaction_id", "/V1/orders/items?": "item_id"}
	_, err1 := c.CreditMemos.Search(ctx, criteria)
	_, err2 := c.Transactions.Search(ctx, criteria)
	_, err3 := c.Orders.SearchItems(ctx, criteria)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for path, key := range paths {
		sent := s.requests(path)
		if len(sent) != 1 || parse(t, sent[0].uri).Query().Get("searchCriteria[sortOrders][0][field]") != key {
			t.Errorf("%s: %+v", path, sent)
		}
	}
}
