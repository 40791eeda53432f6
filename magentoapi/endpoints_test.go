package magentoapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

// What is sent, where Magento's services take their parameters by name.
func TestBodiesOfWrites(t *testing.T) {
	for name, x := range map[string]struct {
		call   func(ctx context.Context, c *Client) error
		answer string
		want   string
	}{
		"a product with its options": {
			func(ctx context.Context, c *Client) error {
				return discard(c.Products.Update(ctx, &Product{SKU: "A/B", Options: []ProductCustomOption{{Title: "Size", Type: "field"}}}, SaveOptions))
			},
			`{"sku":"A/B"}`,
			`PUT /rest/all/V1/products/A%2FB {"product":{"sku":"A/B","options":[{"title":"Size","type":"field"}]},"saveOptions":true}`,
		},
		"a product alone": {
			func(ctx context.Context, c *Client) error { return discard(c.Products.Create(ctx, &Product{SKU: "A"})) },
			`{"sku":"A"}`, `POST /rest/all/V1/products {"product":{"sku":"A"}}`,
		},
		"a credit memo as it is": {
			func(ctx context.Context, c *Client) error {
				return discard(c.CreditMemos.Refund(ctx, &CreditMemo{OrderID: 7, BaseGrandTotal: decimalOf("1.50"), Items: []DocumentItem{{OrderItemID: 3, Qty: decimalOf("1")}}}, true))
			},
			`{"entity_id":4}`,
			`POST /rest/all/V1/creditmemo/refund {"creditmemo":{"order_id":7,"base_grand_total":1.5,"items":[{"order_item_id":3,"qty":1}]},"offlineRequested":true}`,
		},
		"sources": {
			func(ctx context.Context, c *Client) error {
				return discard(c.Inventory.SelectSources(ctx, 2, "priority", SKUQuantity{"A", decimal.RequireFromString("1.5")}))
			},
			`{"shippable":true,"source_selection_items":{}}`,
			`POST /rest/all/V1/inventory/source-selection-algorithm-result {"algorithmCode":"priority","inventoryRequest":{"items":[{"qty":1.5,"sku":"A"}],"stockId":2}}`,
		},
		"a transfer": {
			func(ctx context.Context, c *Client) error {
				return c.Inventory.Transfer(ctx, SourceRoute{"a", "b"}, true, "A", "B")
			},
			`true`,
			`POST /rest/all/V1/inventory/bulk-product-source-transfer {"destinationSource":"b","originSource":"a","skus":["A","B"],"unassignFromOrigin":true}`,
		},
		"a part": {
			func(ctx context.Context, c *Client) error {
				return c.Inventory.TransferPart(ctx, SourceRoute{"a", "b"}, SKUQuantity{"A", decimal.New(2, 0)})
			},
			`[]`,
			`POST /rest/all/V1/inventory/bulk-partial-source-transfer {"destinationSourceCode":"b","items":[{"qty":2,"sku":"A"}],"originSourceCode":"a"}`,
		},
		"a guest's payment": {
			func(ctx context.Context, c *Client) error {
				return discard(c.GuestCart("k3").Pay(ctx, &Payment{Method: "checkmo"}, &CartAddress{Email: "mara@shop.example"}))
			},
			`57`,
			`POST /rest/all/V1/guest-carts/k3/payment-information {"billingAddress":{"email":"mara@shop.example"},"email":"mara@shop.example","paymentMethod":{"method":"checkmo"}}`,
		},
		"a rule": {
			func(ctx context.Context, c *Client) error {
				return discard(c.Taxes.UpdateRule(ctx, &TaxRule{ID: 4, Priority: new(Int), TaxRateIDs: []ID{1, 2}}))
			},
			`{"id":4}`, `PUT /rest/all/V1/taxRules {"rule":{"id":4,"priority":0,"tax_rate_ids":[1,2]}}`,
		},
		"a link of a bundle": {
			func(ctx context.Context, c *Client) error {
				return c.Bundles.UpdateLink(ctx, "A B", &BundleLink{ID: 5, SKU: "C", PriceType: new(Int)})
			},
			`true`, `PUT /rest/all/V1/bundle-products/A%20B/links/5 {"linkedProduct":{"id":5,"sku":"C","price_type":0}}`,
		},
		"the default group": {
			func(ctx context.Context, c *Client) error { return c.CustomerGroups.SetDefault(ctx, 2) },
			`"2"`, `PUT /rest/all/V1/customerGroups/default/2 `,
		},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, x.answer) })
		if err := x.call(t.Context(), s.client(t, Options{})); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := s.requests("")[0]
		if got := r.method + " " + r.uri + " " + r.body; got != x.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, x.want)
		}
	}
}

// What can't be right is not sent.
func TestWritesThatAreNotSent(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *Client) error{
		"a credit memo that is there": func(ctx context.Context, c *Client) error {
			return discard(c.CreditMemos.Refund(ctx, &CreditMemo{EntityID: 1}, true))
		},
		"one without items": func(ctx context.Context, c *Client) error {
			return discard(c.CreditMemos.Refund(ctx, &CreditMemo{OrderID: 1, BaseGrandTotal: decimalOf("1")}, true))
		},
		"a rate without an id":  func(ctx context.Context, c *Client) error { return discard(c.Taxes.UpdateRate(ctx, &TaxRate{})) },
		"a rule without an id":  func(ctx context.Context, c *Client) error { return discard(c.Taxes.UpdateRule(ctx, &TaxRule{})) },
		"a class without an id": func(ctx context.Context, c *Client) error { return c.Taxes.UpdateClass(ctx, &TaxClass{}) },
		"an option without an id": func(ctx context.Context, c *Client) error {
			return discard(c.ProductOptions.Update(ctx, &ProductCustomOption{}))
		},
		"an option that has one": func(ctx context.Context, c *Client) error {
			return discard(c.ProductOptions.Create(ctx, &ProductCustomOption{OptionID: 1}))
		},
		"a link without an id": func(ctx context.Context, c *Client) error { return c.Bundles.UpdateLink(ctx, "A", &BundleLink{}) },
		"an admin's payment":   func(ctx context.Context, c *Client) error { return discard(c.Cart(3).Pay(ctx, &Payment{}, nil)) },
		"an admin's other payment": func(ctx context.Context, c *Client) error {
			return c.Cart(3).SetPaymentInformation(ctx, &Payment{}, nil)
		},
		"an admin's look": func(ctx context.Context, c *Client) error { return discard(c.Cart(3).PaymentInformation(ctx)) },
		"none of a SKU": func(ctx context.Context, c *Client) error {
			return c.Inventory.TransferPart(ctx, SourceRoute{"a", "b"}, SKUQuantity{SKU: "A"})
		},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{}`) })
		if err := call(t.Context(), s.client(t, Options{})); err == nil || len(s.requests("")) > 0 {
			t.Errorf("%s: %v, %d requests", name, err, len(s.requests("")))
		}
	}
}

// An answer that does not say what was asked is no answer.
func TestAnswersThatLackWhatWasAsked(t *testing.T) {
	for body, call := range map[string]func(ctx context.Context, c *Client) error{
		`{"source_selection_items":[]}`: func(ctx context.Context, c *Client) error {
			return discard(c.Inventory.SelectSources(ctx, 1, "priority"))
		},
		`{"shippable":[],"a":1}`: func(ctx context.Context, c *Client) error {
			return discard(c.Inventory.SelectSources(ctx, 1, "priority"))
		},
		`{"name":"x"}`: func(ctx context.Context, c *Client) error {
			return discard(c.Inventory.ResolveStock(ctx, "website", "base"))
		},
		`{"a":"b"}`: func(ctx context.Context, c *Client) error { return discard(c.CustomerAttributes.All(ctx)) },
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		if err := call(t.Context(), s.client(t, Options{})); !errors.Is(err, ErrUnreadable) || strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
