package fakemagento_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

var yes, no = magentoapi.Flag{Valid: true, Bool: true}, magentoapi.Flag{Valid: true}

func decimalOf(s string) magentoapi.Decimal {
	return magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(decimal.RequireFromString(s))}
}

// shopWith gives a shop with a product of each SKU, ten in stock, and a client of it.
func shopWith(t *testing.T, o fakemagento.Options, auth magentoapi.Credential, skus ...string) (*fakemagento.Server, *magentoapi.Client) {
	t.Helper()
	shop, c := start(t, o)
	for _, sku := range skus {
		shop.AddProduct(fakemagento.Product{SKU: sku, Price: decimal.New(34, 0)})
		shop.Stock(sku, decimal.New(10, 0))
	}
	client, err := magentoapi.New(c.url, magentoapi.Options{HTTPClient: c.http, Auth: auth, Retries: magentoapi.NoRetries})
	if err != nil {
		t.Fatal(err)
	}
	return shop, client
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestStockItem_ReadAndWritten(t *testing.T) {
	const sku = "a/b %é+"
	_, client := shopWith(t, fakemagento.Options{}, nil, sku)
	item := must(client.StockItems.Get(t.Context(), sku))(t)
	item.Qty, item.IsInStock, item.Backorders = decimalOf("0"), no, new(magentoapi.Int)
	*item.Backorders = 1
	if id := must(client.StockItems.Update(t.Context(), sku, item))(t); id != int64(item.ItemID) {
		t.Errorf("updated %d, want %d", id, item.ItemID)
	}
	item = must(client.StockItems.Get(t.Context(), sku))(t)
	if !item.Qty.Decimal.IsZero() || item.IsInStock != no || *item.Backorders != 1 || item.MaxSaleQty.Decimal.String() != "10000" {
		t.Errorf("got %+v", item)
	}
	status := must(client.StockItems.Status(t.Context(), sku))(t)
	if status.StockStatus.Bool || status.StockItem.ItemID != item.ItemID {
		t.Errorf("status %+v", status)
	}
	if _, err := client.StockItems.Get(t.Context(), "unknown"); !errors.Is(err, magentoapi.ErrNotFound) || errors.Is(err, magentoapi.ErrNoEndpoint) {
		t.Errorf("an unknown SKU: %v", err)
	}
}

func TestLowStock_EndsAtTheLastPage(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil, "A", "B", "C", "D")
	for _, sku := range []string{"B", "C", "D"} {
		shop.Stock(sku, decimal.RequireFromString("1.5"))
	}
	low := magentoapi.LowStock{WebsiteID: 1, AtMost: decimalOf("1.5"), PageSize: 2}
	first := must(client.StockItems.LowStock(t.Context(), low))(t)
	low.Page = 2
	second := must(client.StockItems.LowStock(t.Context(), low))(t)
	if len(first.Items) != 2 || !first.More() || len(second.Items) != 1 || second.More() || second.Items[0].Qty.Decimal.String() != "1.5" {
		t.Errorf("got %+v and %+v", first, second)
	}
}

func TestSourceItems_OfSeveralSources(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A")
	inventory := client.Inventory
	for _, code := range []string{"berlin", "bern"} {
		source := magentoapi.Source{Code: magentoapi.Text(code), Name: magentoapi.Text(code), Enabled: yes, CountryID: "DE", Postcode: "10115"}
		if err := inventory.CreateSource(t.Context(), &source); err != nil {
			t.Fatal(err)
		}
	}
	stock := must(inventory.CreateStock(t.Context(), &magentoapi.Stock{Name: "Europe"}))(t)
	err := inventory.SaveStockSourceLinks(t.Context(), magentoapi.StockSourceLink{StockID: magentoapi.ID(stock), SourceCode: "berlin"},
		magentoapi.StockSourceLink{StockID: magentoapi.ID(stock), SourceCode: "bern"})
	if err != nil {
		t.Fatal(err)
	}
	err = inventory.SaveSourceItems(t.Context(),
		magentoapi.SourceItem{SKU: "A", SourceCode: "berlin", Quantity: decimalOf("2.25"), Status: yes},
		magentoapi.SourceItem{SKU: "A", SourceCode: "bern", Quantity: decimalOf("4"), Status: yes})
	if err != nil {
		t.Fatal(err)
	}
	salable := func(want string) {
		t.Helper()
		if got := must(inventory.SalableQuantity(t.Context(), "A", stock))(t); got.Decimal.String() != want {
			t.Errorf("salable %s, want %s", got.Decimal, want)
		}
	}
	salable("6.25")
	bern := must(inventory.Source(t.Context(), "bern"))(t)
	bern.Enabled = no
	if err := inventory.UpdateSource(t.Context(), bern); err != nil {
		t.Fatal(err)
	}
	salable("2.25")
	if err := inventory.DeleteSourceItems(t.Context(), magentoapi.SourceItem{SKU: "A", SourceCode: "berlin"}); err != nil {
		t.Fatal(err)
	}
	salable("0")
	if must(inventory.IsSalable(t.Context(), "A", stock))(t) || !must(inventory.IsSalable(t.Context(), "A", 1))(t) {
		t.Error("only the default stock has any left")
	}
	var found []string
	for item, err := range inventory.AllSourceItems(t.Context(), magentoapi.SearchCriteria{PageSize: 1}.Where(magentoapi.Eq("sku", "A"))) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(item.SourceCode, " ", item.Quantity.Decimal))
	}
	if fmt.Sprint(found) != "[default 10 bern 4]" {
		t.Errorf("source items %v", found)
	}
	if err := inventory.DeleteStockSourceLinks(t.Context(), magentoapi.StockSourceLink{StockID: magentoapi.ID(stock), SourceCode: "bern"}); err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, err := range inventory.AllStockSourceLinks(t.Context(), magentoapi.SearchCriteria{}.Where(magentoapi.Eq("stock_id", fmt.Sprint(stock)))) {
		if err != nil {
			t.Fatal(err)
		}
		links++
	}
	europe := must(inventory.Stock(t.Context(), stock))(t)
	europe.Name = "Switzerland"
	if err := inventory.UpdateStock(t.Context(), europe); err != nil {
		t.Fatal(err)
	}
	stocks := must(inventory.Stocks(t.Context(), magentoapi.SearchCriteria{}))(t)
	sources := must(inventory.Sources(t.Context(), magentoapi.SearchCriteria{}))(t)
	if links != 1 || stocks.TotalCount != 2 || stocks.Items[1].Name != "Switzerland" || sources.TotalCount != 3 || sources.Items[0].Code != "berlin" {
		t.Errorf("%d links, stocks %+v, sources %+v", links, stocks, sources)
	}
	if err := inventory.DeleteStock(t.Context(), stock); err != nil {
		t.Fatal(err)
	}
	if _, err := inventory.Stock(t.Context(), stock); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("a stock that was deleted: %v", err)
	}
}

func TestSourceItems_AllRefusedForOne(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A")
	err := client.Inventory.SaveSourceItems(t.Context(),
		magentoapi.SourceItem{SKU: "A", SourceCode: "default", Quantity: decimalOf("3"), Status: yes},
		magentoapi.SourceItem{SKU: "A", SourceCode: "mars", Quantity: decimalOf("3"), Status: yes})
	var refusal *magentoapi.Error
	if !errors.As(err, &refusal) || refusal.Message != "Could not save Source Item" {
		t.Fatalf("an unknown source: %v", err)
	}
	err = client.Inventory.SaveSourceItems(t.Context(),
		magentoapi.SourceItem{SKU: "A", SourceCode: "default", Quantity: decimalOf("3"), Status: yes},
		magentoapi.SourceItem{SKU: " ", SourceCode: "default", Quantity: decimalOf("3"), Status: yes})
	if !errors.As(err, &refusal) || refusal.Message != `Validation Failed: "sku" can not be empty.; "sku" can not be empty.` {
		t.Fatalf("an empty SKU: %v", err)
	}
	if got := must(client.Inventory.SalableQuantity(t.Context(), "A", 1))(t); got.Decimal.String() != "10" {
		t.Errorf("%s are left: some were saved", got.Decimal)
	}
	err = client.Inventory.CreateSource(t.Context(), &magentoapi.Source{Code: "mars", Name: "Mars"})
	if !errors.As(err, &refusal) || refusal.Message != `Validation Failed; "country_id" can not be empty.` {
		t.Errorf("a source without a country: %v", err)
	}
	if _, err := client.Inventory.Source(t.Context(), "mars"); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("a source that was refused: %v", err)
	}
}
