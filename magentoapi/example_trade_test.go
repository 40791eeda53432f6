package magentoapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// openShop gives a shop with one product, of which there are ten, and a client of it.
func openShop(auth magentoapi.Credential) (shop *fakemagento.Server, client *magentoapi.Client, closeShop func()) {
	shop = fakemagento.New(fakemagento.Options{})
	shop.AddProduct(fakemagento.Product{SKU: "24-MB01", Name: "Joust Duffle Bag", Price: decimal.New(34, 0)})
	shop.Stock("24-MB01", decimal.New(10, 0))
	client, closeShop = clientOf(shop, auth)
	return shop, client, closeShop
}

func clientOf(shop *fakemagento.Server, auth magentoapi.Credential) (client *magentoapi.Client, closeShop func()) {
	server := httptest.NewServer(shop)
	client, err := magentoapi.New(server.URL, magentoapi.Options{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, Auth: auth,
	})
	if err != nil {
		panic(err)
	}
	return client, func() {
		server.Close()
		shop.Close()
	}
}

func number(s string) magentoapi.Decimal {
	return magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(decimal.RequireFromString(s))}
}

func ExampleStockItemsService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	// Only what is set is changed.
	id, err := client.StockItems.Update(ctx, "24-MB01", &magentoapi.StockItem{
		Qty: number("12.5"), IsInStock: magentoapi.Flag{Valid: true, Bool: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	item, err := client.StockItems.Get(ctx, "24-MB01")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(int64(item.ItemID) == id, item.Qty.Decimal, item.ManageStock.Bool)
	// Output: true 12.5 true
}

func ExampleInventoryService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	err := client.Inventory.SaveSourceItems(ctx, magentoapi.SourceItem{
		SKU: "24-MB01", SourceCode: "default", Quantity: number("7"), Status: magentoapi.Flag{Valid: true, Bool: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for item, err := range client.Inventory.AllSourceItems(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.Eq("sku", "24-MB01"))) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(item.SourceCode, item.Quantity.Decimal)
	}
	salable, err := client.Inventory.SalableQuantity(ctx, "24-MB01", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(salable.Decimal, "may be sold")
	// Output:
	// default 7
	// 7 may be sold
}

func ExampleCustomersService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	customer, err := client.Customers.Create(ctx, &magentoapi.Customer{
		Email: "mara@shop.example", Firstname: "Mara", Lastname: "Muster",
		Addresses: []magentoapi.CustomerAddress{{
			Firstname: "Mara", Lastname: "Muster", Street: magentoapi.Street{"Am Markt 1"}, Postcode: "10115", City: "Berlin",
			CountryID: "DE", Telephone: "030 555", DefaultBilling: magentoapi.Flag{Valid: true, Bool: true},
		}},
	}, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	customer.Taxvat = "DE123456789"
	if customer, err = client.Customers.Update(ctx, customer); err != nil {
		fmt.Println(err)
		return
	}
	address, err := client.Customers.BillingAddress(ctx, int64(customer.ID))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(customer.ID, customer.Taxvat, address.City)

	_, err = client.Customers.Create(ctx, &magentoapi.Customer{Email: "mara@shop.example", Firstname: "Mara", Lastname: "Muster"}, "")
	fmt.Println(errors.Is(err, magentoapi.ErrBadRequest))
	// Output:
	// 1 DE123456789 Berlin
	// true
}

func ExampleCustomerGroupsService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	if _, err := client.CustomerGroups.Create(ctx, &magentoapi.CustomerGroup{Code: "Dealers", TaxClassID: 3}); err != nil {
		fmt.Println(err)
		return
	}
	for group, err := range client.CustomerGroups.All(ctx, magentoapi.SearchCriteria{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(*group.ID, group.Code)
	}
	// Output:
	// 0 NOT LOGGED IN
	// 1 General
	// 2 Wholesale
	// 3 Retailer
	// 4 Dealers
}

// A guest buys: the cart, what is in it, where it goes, how it is paid, the order.
func ExampleCartsService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	maskedID, err := client.Carts.CreateGuest(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	cart := client.GuestCart(maskedID)
	if _, err := cart.AddItem(ctx, &magentoapi.CartItem{SKU: "24-MB01", Qty: number("2")}); err != nil {
		fmt.Println(err)
		return
	}
	address := magentoapi.CartAddress{
		Firstname: "Mara", Lastname: "Muster", Street: magentoapi.Street{"Am Markt 1"}, Postcode: "10115", City: "Berlin",
		CountryID: "DE", Telephone: "030 555", Email: "mara@shop.example",
	}
	methods, err := cart.EstimateShipping(ctx, &address)
	if err != nil {
		fmt.Println(err)
		return
	}
	details, err := cart.SetShippingInformation(ctx, magentoapi.ShippingInformation{
		ShippingAddress: &address, BillingAddress: &address,
		CarrierCode: string(methods[0].CarrierCode), MethodCode: string(methods[0].MethodCode),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(details.Totals.GrandTotal.Decimal, details.Totals.QuoteCurrencyCode)

	orderID, err := cart.PlaceOrder(ctx, &magentoapi.Payment{Method: details.PaymentMethods[0].Code})
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.IncrementID, order.State, order.GrandTotal.Decimal)
	// Output:
	// 86.87 EUR
	// 000000001 new 86.87
}

// A customer who is logged in has one cart.
func ExampleCartService() {
	shop, client, closeShop := openShop(magentoapi.CustomerToken("mara@shop.example", magentoapi.Fixed("pa55word")))
	defer closeShop()
	if _, err := shop.AddCustomer([]byte(`{"email":"mara@shop.example","firstname":"Mara","lastname":"Muster"}`), "pa55word"); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if _, err := client.Carts.CreateMine(ctx); err != nil {
		fmt.Println(err)
		return
	}
	cart := client.MyCart()
	item, err := cart.AddItem(ctx, &magentoapi.CartItem{SKU: "24-MB01", Qty: number("1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	item.Qty = number("3")
	if item, err = cart.UpdateItem(ctx, item); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(item.Qty.Decimal, item.Name)
	// Output: 3 Joust Duffle Bag
}

// Prices of many products, carried out by Magento's queue.
func ExampleBulkService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	scheduled, err := client.Bulk.CallAll(ctx, http.MethodPost, "/V1/products/base-prices", []any{
		map[string]any{"prices": []any{
			map[string]any{"sku": "24-MB01", "price": 36.5, "store_id": 0},
			map[string]any{"sku": "unknown", "price": 1, "store_id": 0},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := client.Bulk.Wait(ctx, scheduled.UUID, magentoapi.Waiting{Interval: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range status.Operations {
		refused, err := o.PriceRefusals()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(o.Status == magentoapi.OperationComplete, len(refused), refused[0].Message)
	}
	// Output: true 1 Invalid attribute SKU = unknown.
}

func ExampleModulesService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	modules, err := client.Modules.List(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(strings.Join(modules, " "), "Magento_InventoryApi"))
	// Output: true
}
