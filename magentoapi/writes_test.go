package magentoapi

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// write is a method that changes something.
type write struct {
	answer   string // that Magento gives to it
	repeated bool
	call     func(ctx context.Context, c *Client) error
}

func discard[T any](_ T, err error) error { return err }

var writes = map[string]write{
	"StockItems.Update": {`7`, true, func(ctx context.Context, c *Client) error {
		return discard(c.StockItems.Update(ctx, "A", &StockItem{}))
	}},
	"Inventory.SaveSourceItems": {`[]`, true, func(ctx context.Context, c *Client) error {
		return c.Inventory.SaveSourceItems(ctx, SourceItem{Quantity: decimalOf("1"), Status: Flag{Valid: true}})
	}},
	"Inventory.DeleteSourceItems": {`[]`, true, func(ctx context.Context, c *Client) error { return c.Inventory.DeleteSourceItems(ctx, SourceItem{}) }},
	"Inventory.CreateSource":      {`[]`, true, func(ctx context.Context, c *Client) error { return c.Inventory.CreateSource(ctx, &Source{}) }},
	"Inventory.UpdateSource":      {`[]`, true, func(ctx context.Context, c *Client) error { return c.Inventory.UpdateSource(ctx, &Source{Code: "a"}) }},
	"Inventory.CreateStock":       {`2`, false, func(ctx context.Context, c *Client) error { return discard(c.Inventory.CreateStock(ctx, &Stock{})) }},
	"Inventory.UpdateStock":       {`2`, true, func(ctx context.Context, c *Client) error { return c.Inventory.UpdateStock(ctx, &Stock{ID: 2}) }},
	"Inventory.DeleteStock":       {`[]`, false, func(ctx context.Context, c *Client) error { return c.Inventory.DeleteStock(ctx, 2) }},
	"Inventory.SaveStockSourceLinks": {`[]`, true, func(ctx context.Context, c *Client) error {
		return c.Inventory.SaveStockSourceLinks(ctx, StockSourceLink{})
	}},
	"Inventory.DeleteStockSourceLinks": {`[]`, true, func(ctx context.Context, c *Client) error {
		return c.Inventory.DeleteStockSourceLinks(ctx, StockSourceLink{})
	}},
	"Customers.Create":        {`{"id":1}`, false, func(ctx context.Context, c *Client) error { return discard(c.Customers.Create(ctx, &Customer{}, "")) }},
	"Customers.Update":        {`{"id":1}`, false, func(ctx context.Context, c *Client) error { return discard(c.Customers.Update(ctx, &Customer{ID: 1})) }},
	"Customers.UpdateMe":      {`{"id":1}`, false, func(ctx context.Context, c *Client) error { return discard(c.Customers.UpdateMe(ctx, &Customer{})) }},
	"Customers.Delete":        {`true`, false, func(ctx context.Context, c *Client) error { return c.Customers.Delete(ctx, 1) }},
	"Customers.DeleteAddress": {`true`, false, func(ctx context.Context, c *Client) error { return c.Customers.DeleteAddress(ctx, 1) }},
	"CustomerGroups.Create": {`{"id":4,"code":"a"}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.CustomerGroups.Create(ctx, &CustomerGroup{}))
	}},
	"CustomerGroups.Update": {`{"id":4,"code":"a"}`, true, func(ctx context.Context, c *Client) error {
		return discard(c.CustomerGroups.Update(ctx, &CustomerGroup{ID: new(ID(4))}))
	}},
	"CustomerGroups.Delete": {`true`, false, func(ctx context.Context, c *Client) error { return c.CustomerGroups.Delete(ctx, 4) }},
	"Carts.Create":          {`"3"`, false, func(ctx context.Context, c *Client) error { return discard(c.Carts.Create(ctx)) }},
	"Carts.CreateFor":       {`3`, true, func(ctx context.Context, c *Client) error { return discard(c.Carts.CreateFor(ctx, 1)) }},
	"Carts.CreateMine":      {`3`, true, func(ctx context.Context, c *Client) error { return discard(c.Carts.CreateMine(ctx)) }},
	"Carts.CreateGuest":     {`"k3"`, false, func(ctx context.Context, c *Client) error { return discard(c.Carts.CreateGuest(ctx)) }},
	"Carts.Assign": {`true`, false, func(ctx context.Context, c *Client) error {
		return c.Carts.Assign(ctx, 3, CartOwner{CustomerID: 1, StoreID: 1})
	}},
	"Cart.AddItem": {`{"item_id":"5"}`, false, func(ctx context.Context, c *Client) error { return discard(c.Cart(3).AddItem(ctx, &CartItem{})) }},
	"Cart.UpdateItem": {`{"item_id":5}`, true, func(ctx context.Context, c *Client) error {
		return discard(c.Cart(3).UpdateItem(ctx, &CartItem{ItemID: 5}))
	}},
	"Cart.DeleteItem":   {`"true"`, false, func(ctx context.Context, c *Client) error { return c.Cart(3).DeleteItem(ctx, 5) }},
	"Cart.SetCoupon":    {`true`, true, func(ctx context.Context, c *Client) error { return c.Cart(3).SetCoupon(ctx, "a/b") }},
	"Cart.DeleteCoupon": {`true`, true, func(ctx context.Context, c *Client) error { return c.Cart(3).DeleteCoupon(ctx) }},
	"Cart.SetBillingAddress": {`"9"`, true, func(ctx context.Context, c *Client) error {
		return c.Cart(3).SetBillingAddress(ctx, &CartAddress{}, true)
	}},
	"Cart.EstimateShipping": {`[]`, true, func(ctx context.Context, c *Client) error {
		return discard(c.Cart(3).EstimateShipping(ctx, &CartAddress{}))
	}},
	"Cart.SetShippingInformation": {`{}`, true, func(ctx context.Context, c *Client) error {
		return discard(c.Cart(3).SetShippingInformation(ctx, ShippingInformation{}))
	}},
	"Cart.SetPaymentMethod": {`"1"`, true, func(ctx context.Context, c *Client) error { return c.Cart(3).SetPaymentMethod(ctx, &Payment{}) }},
	"Cart.PlaceOrder":       {`"57"`, false, func(ctx context.Context, c *Client) error { return discard(c.Cart(3).PlaceOrder(ctx, nil)) }},
	"Cart.SetPaymentInformation": {`true`, true, func(ctx context.Context, c *Client) error {
		return c.GuestCart("k3").SetPaymentInformation(ctx, &Payment{}, nil)
	}},
	"Cart.Pay":                  {`"57"`, false, func(ctx context.Context, c *Client) error { return discard(c.MyCart().Pay(ctx, &Payment{}, nil)) }},
	"CustomerGroups.SetDefault": {`2`, true, func(ctx context.Context, c *Client) error { return c.CustomerGroups.SetDefault(ctx, 2) }},
	"CreditMemos.Refund": {`{"entity_id":4}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.CreditMemos.Refund(ctx, &CreditMemo{OrderID: 7, BaseGrandTotal: decimalOf("1"), Items: []DocumentItem{{OrderItemID: 1}}}, true))
	}},
	"ProductOptions.Create": {`{"option_id":"4"}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.ProductOptions.Create(ctx, &ProductCustomOption{}))
	}},
	"ProductOptions.Update": {`{"option_id":4}`, true, func(ctx context.Context, c *Client) error {
		return discard(c.ProductOptions.Update(ctx, &ProductCustomOption{OptionID: 4, Values: []ProductCustomOptionValue{{OptionTypeID: 5}}}))
	}},
	"ProductOptions.Update with a new value": {`{"option_id":4}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.ProductOptions.Update(ctx, &ProductCustomOption{OptionID: 4, Values: []ProductCustomOptionValue{{Title: "new"}}}))
	}},
	"ProductOptions.Delete": {`true`, false, func(ctx context.Context, c *Client) error { return c.ProductOptions.Delete(ctx, "A", 4) }},
	"Products.Update": {`{"sku":"A"}`, true, func(ctx context.Context, c *Client) error {
		return discard(c.Products.Update(ctx, &Product{SKU: "A", Options: []ProductCustomOption{{OptionID: 4}}}, SaveOptions))
	}},
	"Products.Update with a new option": {`{"sku":"A"}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.Products.Update(ctx, &Product{SKU: "A", Options: []ProductCustomOption{{Title: "new"}}}, SaveOptions))
	}},
	"Bundles.AddOption": {`"4"`, false, func(ctx context.Context, c *Client) error { return discard(c.Bundles.AddOption(ctx, &BundleOption{})) }},
	"Bundles.UpdateOption": {`4`, false, func(ctx context.Context, c *Client) error {
		return c.Bundles.UpdateOption(ctx, &BundleOption{OptionID: 4})
	}},
	"Bundles.DeleteOption": {`true`, false, func(ctx context.Context, c *Client) error { return c.Bundles.DeleteOption(ctx, "A", 4) }},
	"Bundles.Link":         {`"4"`, false, func(ctx context.Context, c *Client) error { return discard(c.Bundles.Link(ctx, "A", 4, &BundleLink{})) }},
	"Bundles.UpdateLink":   {`true`, true, func(ctx context.Context, c *Client) error { return c.Bundles.UpdateLink(ctx, "A", &BundleLink{ID: 5}) }},
	"Bundles.Unlink":       {`true`, false, func(ctx context.Context, c *Client) error { return c.Bundles.Unlink(ctx, "A", 4, "B") }},
	"Taxes.CreateClass":    {`"4"`, false, func(ctx context.Context, c *Client) error { return discard(c.Taxes.CreateClass(ctx, &TaxClass{})) }},
	"Taxes.UpdateClass":    {`"4"`, true, func(ctx context.Context, c *Client) error { return c.Taxes.UpdateClass(ctx, &TaxClass{ID: 4}) }},
	"Taxes.DeleteClass":    {`true`, false, func(ctx context.Context, c *Client) error { return c.Taxes.DeleteClass(ctx, 4) }},
	"Taxes.CreateRate":     {`{"id":4}`, false, func(ctx context.Context, c *Client) error { return discard(c.Taxes.CreateRate(ctx, &TaxRate{})) }},
	"Taxes.UpdateRate":     {`{"id":4}`, true, func(ctx context.Context, c *Client) error { return discard(c.Taxes.UpdateRate(ctx, &TaxRate{ID: 4})) }},
	"Taxes.DeleteRate":     {`true`, false, func(ctx context.Context, c *Client) error { return c.Taxes.DeleteRate(ctx, 4) }},
	"Taxes.CreateRule":     {`{"id":4}`, false, func(ctx context.Context, c *Client) error { return discard(c.Taxes.CreateRule(ctx, &TaxRule{})) }},
	"Taxes.UpdateRule":     {`{"id":4}`, true, func(ctx context.Context, c *Client) error { return discard(c.Taxes.UpdateRule(ctx, &TaxRule{ID: 4})) }},
	"Taxes.DeleteRule":     {`true`, false, func(ctx context.Context, c *Client) error { return c.Taxes.DeleteRule(ctx, 4) }},
	"Inventory.SelectSources": {`{"shippable":false,"source_selection_items":[]}`, true, func(ctx context.Context, c *Client) error {
		return discard(c.Inventory.SelectSources(ctx, 1, "priority"))
	}},
	"Inventory.Transfer": {`true`, false, func(ctx context.Context, c *Client) error {
		return c.Inventory.Transfer(ctx, SourceRoute{"a", "b"}, false, "A")
	}},
	"Inventory.TransferPart": {`[]`, false, func(ctx context.Context, c *Client) error {
		return c.Inventory.TransferPart(ctx, SourceRoute{"a", "b"})
	}},
	"Bulk.Call": {`{"bulk_uuid":"u"}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.Bulk.Call(ctx, http.MethodPost, "/V1/x", nil))
	}},
	"Bulk.CallAll": {`{"bulk_uuid":"u"}`, false, func(ctx context.Context, c *Client) error {
		return discard(c.Bulk.CallAll(ctx, http.MethodPost, "/V1/x", []any{1}))
	}},
}

func TestWritesAreRepeatedWhereThatDoesNoHarm(t *testing.T) {
	for name, w := range writes {
		t.Run(name, func(t *testing.T) {
			for how, fail := range map[string]func(http.ResponseWriter){
				"busy": func(w http.ResponseWriter) { respond(w, 503, "<html>") },
				"lost": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			} {
				s := serve(t, func(rw http.ResponseWriter, _ seen, n int) {
					if n == 1 {
						fail(rw)
						return
					}
					respond(rw, 200, w.answer)
				})
				err := w.call(t.Context(), s.client(t, Options{Retries: Retries{Max: 3, Wait: time.Millisecond}}))
				if sent := len(s.requests("")); w.repeated && (err != nil || sent != 2) || !w.repeated && (err == nil || sent != 1) {
					t.Errorf("%s: %d requests, %v", how, sent, err)
				}
			}
			s := serve(t, func(rw http.ResponseWriter, _ seen, _ int) { respond(rw, 200, w.answer) })
			if err := w.call(t.Context(), s.client(t, Options{})); err != nil {
				t.Errorf("an answer of %s: %v", w.answer, err)
			}
		})
	}
}

// What a write answers says that it was carried out; an answer that doesn't is an error.
func TestWritesThatAreNotConfirmed(t *testing.T) {
	for name, w := range writes {
		t.Run(name, func(t *testing.T) {
			for _, body := range []string{"<html>", "null", `{"item`} {
				s := serve(t, func(rw http.ResponseWriter, _ seen, _ int) { respond(rw, 200, body) })
				// Those whose answer tells nothing take any JSON.
				if err := w.call(t.Context(), s.client(t, Options{})); !errors.Is(err, ErrUnreadable) && (body != "null" || err != nil) {
					t.Errorf("%s: %v", body, err)
				}
			}
			if w.answer == "[]" || w.answer == "{}" {
				return
			}
			for _, body := range []string{"false", `""`, "{}"} {
				s := serve(t, func(rw http.ResponseWriter, _ seen, _ int) { respond(rw, 200, body) })
				if err := w.call(t.Context(), s.client(t, Options{})); !errors.Is(err, ErrUnreadable) {
					t.Errorf("%s: %v", body, err)
				}
			}
		})
	}
}
