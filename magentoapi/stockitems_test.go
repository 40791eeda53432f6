package magentoapi

import (
	"net/http"
	"testing"

	"github.com/shopspring/decimal"
)

func decimalOf(s string) Decimal {
	return Decimal{decimal.NewNullDecimal(decimal.RequireFromString(s))}
}

func TestWhatIsWrittenOfAStockItem(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		if r.method == http.MethodGet {
			respond(w, 200, `{"item_id":"7","product_id":7,"qty":5.0000,"show_default_notification_message":true,"is_in_stock":true,"use_config_min_sale_qty":1,"qty_increments":false,"of_a_module":{"a":[]},"extension_attributes":[]}`)
			return
		}
		respond(w, 200, `"7"`)
	})
	items := s.client(t, Options{}).StockItems
	item, err := items.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	item.Qty = decimalOf("4.5")
	for _, written := range []StockItem{*item, {Qty: decimalOf("0"), IsInStock: Flag{Valid: true}}} {
		if id, err := items.Update(t.Context(), "a/b", &written); err != nil || id != 7 {
			t.Errorf("got %d, %v", id, err)
		}
	}
	for i, want := range []struct{ uri, body string }{
		{"/rest/all/V1/stockItems/a%2Fb", ""},
		// What Magento has no setter for is not written back, whatever else there is.
		{"/rest/all/V1/products/a%2Fb/stockItems/7", `{"stockItem":{"item_id":"7","product_id":7,"qty":4.5,"is_in_stock":true,"use_config_min_sale_qty":1,"qty_increments":false,"of_a_module":{"a":[]},"extension_attributes":[]}}`},
		{"/rest/all/V1/products/a%2Fb/stockItems/0", `{"stockItem":{"qty":0,"is_in_stock":0}}`},
	} {
		if got := s.requests("")[i]; got.uri != want.uri || got.body != want.body {
			t.Errorf("sent %s\n%s\nwant %s\n%s", got.uri, got.body, want.uri, want.body)
		}
	}
}

func TestASourceItemWithoutAQuantityIsNotSent(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("sent") })
	inventory := s.client(t, Options{}).Inventory
	for _, item := range []SourceItem{{SKU: "A", SourceCode: "default", Status: Flag{Valid: true}}, {SKU: "A", SourceCode: "default", Quantity: decimalOf("1")}} {
		if err := inventory.SaveSourceItems(t.Context(), item); err == nil {
			t.Errorf("%+v: no error", item)
		}
	}
	if err := inventory.SaveSourceItems(t.Context()); err != nil {
		t.Errorf("nothing to save: %v", err)
	}
	if err := inventory.DeleteSourceItems(t.Context()); err != nil {
		t.Errorf("nothing to delete: %v", err)
	}
	if _, err := s.client(t, Options{}).StockItems.LowStock(t.Context(), LowStock{WebsiteID: 1}); err == nil {
		t.Error("low stock below nothing: no error")
	}
}
