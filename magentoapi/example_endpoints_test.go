package magentoapi_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

var yes = magentoapi.Flag{Valid: true, Bool: true}

// A bag with initials on it, for 5 more.
func ExampleProductOptionsService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	initials, err := client.ProductOptions.Create(ctx, &magentoapi.ProductCustomOption{
		ProductSKU: "24-MB01", Title: "Initials", Type: "field", Price: number("5"), PriceType: "fixed", MaxCharacters: 3,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	initials.MaxCharacters = 2
	if _, err := client.ProductOptions.Update(ctx, initials); err != nil {
		fmt.Println(err)
		return
	}
	options, err := client.ProductOptions.List(ctx, "24-MB01")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range options {
		fmt.Println(o.Title, o.Price.Decimal, o.MaxCharacters)
	}
	// Output: Initials 5 2
}

// A set of a bag and one of two bottles.
func ExampleBundlesService() {
	shop, client, closeShop := openShop(nil)
	defer closeShop()
	shop.AddProduct(fakemagento.Product{SKU: "SET", TypeID: "bundle"})
	shop.AddProduct(fakemagento.Product{SKU: "BOTTLE-1"})
	shop.AddProduct(fakemagento.Product{SKU: "BOTTLE-2"})
	ctx := context.Background()

	if _, err := client.Bundles.AddOption(ctx, &magentoapi.BundleOption{
		SKU: "SET", Title: "Bag", Type: "select", Required: yes, Links: []magentoapi.BundleLink{{SKU: "24-MB01", Qty: number("1"), IsDefault: yes}},
	}); err != nil {
		fmt.Println(err)
		return
	}
	bottle, err := client.Bundles.AddOption(ctx, &magentoapi.BundleOption{SKU: "SET", Title: "Bottle", Type: "radio"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sku := range []magentoapi.Text{"BOTTLE-1", "BOTTLE-2"} {
		if _, err := client.Bundles.Link(ctx, "SET", bottle, &magentoapi.BundleLink{SKU: sku, Qty: number("1")}); err != nil {
			fmt.Println(err)
			return
		}
	}
	options, err := client.Bundles.Options(ctx, "SET")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range options {
		fmt.Println(o.Title, o.Type, len(o.Links))
	}
	// Output:
	// Bag select 1
	// Bottle radio 2
}

func ExampleTaxesService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	books, err := client.Taxes.CreateClass(ctx, &magentoapi.TaxClass{Name: "Books", Type: magentoapi.TaxClassProduct})
	if err != nil {
		fmt.Println(err)
		return
	}
	rate, err := client.Taxes.CreateRate(ctx, &magentoapi.TaxRate{Code: "DE-7", CountryID: "DE", Postcode: "*", Rate: number("7")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Taxes.CreateRule(ctx, &magentoapi.TaxRule{
		Code: "Books in Germany", CustomerTaxClassIDs: []magentoapi.ID{3}, ProductTaxClassIDs: []magentoapi.ID{magentoapi.ID(books)}, TaxRateIDs: []magentoapi.ID{rate.ID},
	}); err != nil {
		fmt.Println(err)
		return
	}
	for rule, err := range client.Taxes.AllRules(ctx, magentoapi.SearchCriteria{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rule.Code, rule.TaxRateIDs)
	}
	fmt.Println(errors.Is(client.Taxes.DeleteRate(ctx, int64(rate.ID)), magentoapi.ErrBadRequest), "a rule has it")
	// Output:
	// Books in Germany [1]
	// true a rule has it
}

func ExampleCouponsService() {
	shop, client, closeShop := openShop(nil)
	defer closeShop()
	shop.AddCoupon("WELCOME", decimal.New(10, 0))
	ctx := context.Background()

	for coupon, err := range client.Coupons.All(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.Eq("code", "WELCOME"))) {
		if err != nil {
			fmt.Println(err)
			return
		}
		rule, err := client.SalesRules.Get(ctx, int64(coupon.RuleID))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(coupon.Code, rule.SimpleAction, rule.DiscountAmount.Decimal)
	}
	// Output: WELCOME by_percent 10
}

func ExampleSalesRulesService() {
	shop, client, closeShop := openShop(nil)
	defer closeShop()
	shop.AddCoupon("WELCOME", decimal.New(10, 0))

	for rule, err := range client.SalesRules.All(context.Background(), magentoapi.SearchCriteria{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rule.Name, rule.CouponType, rule.IsActive.Bool)
	}
	// Output: Coupon WELCOME SPECIFIC_COUPON true
}

func ExampleAttributeMetadataService() {
	_, client, closeShop := openShop(nil)
	defer closeShop()

	custom, err := client.CustomerAttributes.Custom(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, attribute := range custom {
		fmt.Println(attribute.Code, attribute.FrontendInput, attribute.Required.Bool)
	}
	// Output: erp_number text false
}

// Where to send three pieces from, when the nearest place has two.
func ExampleInventoryService_SelectSources() {
	shop := fakemagento.New(fakemagento.Options{Sources: []string{"berlin", "bern"}})
	client, closeShop := clientOf(shop, nil)
	defer closeShop()
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	ctx := context.Background()

	if err := client.Inventory.SaveSourceItems(ctx,
		magentoapi.SourceItem{SKU: "A", SourceCode: "berlin", Quantity: number("2"), Status: yes},
		magentoapi.SourceItem{SKU: "A", SourceCode: "bern", Quantity: number("9"), Status: yes}); err != nil {
		fmt.Println(err)
		return
	}
	stock, err := client.Inventory.ResolveStock(ctx, "website", "base")
	if err != nil {
		fmt.Println(err)
		return
	}
	selection, err := client.Inventory.SelectSources(ctx, int64(stock.ID), "priority", magentoapi.SKUQuantity{SKU: "A", Qty: decimal.New(3, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range selection.Items {
		fmt.Println(item.SourceCode, item.QtyToDeduct.Decimal)
	}
	fmt.Println(selection.Shippable.Bool)
	// Output:
	// berlin 2
	// bern 1
	// true
}

func ExampleInventoryService_TransferPart() {
	shop := fakemagento.New(fakemagento.Options{Sources: []string{"berlin", "bern"}})
	client, closeShop := clientOf(shop, nil)
	defer closeShop()
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	ctx := context.Background()

	if err := client.Inventory.SaveSourceItems(ctx,
		magentoapi.SourceItem{SKU: "A", SourceCode: "berlin", Quantity: number("5"), Status: yes},
		magentoapi.SourceItem{SKU: "A", SourceCode: "bern", Quantity: number("0"), Status: yes}); err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Inventory.TransferPart(ctx, magentoapi.SourceRoute{From: "berlin", To: "bern"}, magentoapi.SKUQuantity{SKU: "A", Qty: decimal.New(2, 0)}); err != nil {
		fmt.Println(err)
		return
	}
	for item, err := range client.Inventory.AllSourceItems(ctx, magentoapi.SearchCriteria{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(item.SourceCode, item.Quantity.Decimal)
	}
	// Output:
	// berlin 3
	// bern 2
}

func ExampleCustomerGroupsService_SetDefault() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	if err := client.CustomerGroups.SetDefault(ctx, 2); err != nil {
		fmt.Println(err)
		return
	}
	group, err := client.CustomerGroups.DefaultOf(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(group.Code)
	// Output: Wholesale
}

// A credit memo that was worked out elsewhere, in an ERP, is kept as it is.
func ExampleCreditMemosService_Refund() {
	shop, client, closeShop := openShop(nil)
	defer closeShop()
	placed := shop.PlaceOrder(fakemagento.Placing{})
	ctx := context.Background()

	orderID := int64(placed.EntityID)
	if _, err := client.Orders.Invoice(ctx, orderID, magentoapi.NewInvoice{}); err != nil {
		fmt.Println(err)
		return
	}
	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	row := order.Items[0]
	memo, err := client.CreditMemos.Refund(ctx, &magentoapi.CreditMemo{
		OrderID: order.EntityID, GrandTotal: number("40.46"), BaseGrandTotal: number("40.46"),
		Items: []magentoapi.DocumentItem{{OrderItemID: row.ItemID, Qty: number("1"), SKU: row.SKU, RowTotal: number("34"), TaxAmount: number("6.46")}},
	}, true)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(memo.IncrementID, memo.BaseGrandTotal.Decimal, memo.State == magentoapi.CreditMemoRefunded)
	// Output: 000000001 40.46 true
}

// The payment and the billing address, and the order, in one call.
func ExampleCartService_Pay() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	ctx := context.Background()

	maskedID, err := client.Carts.CreateGuest(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	cart := client.GuestCart(maskedID)
	if _, err := cart.AddItem(ctx, &magentoapi.CartItem{SKU: "24-MB01", Qty: number("1")}); err != nil {
		fmt.Println(err)
		return
	}
	address := magentoapi.CartAddress{
		Firstname: "Mara", Lastname: "Muster", Street: magentoapi.Street{"Am Markt 1"}, Postcode: "10115", City: "Berlin",
		CountryID: "DE", Telephone: "030 555", Email: "mara@shop.example",
	}
	if _, err := cart.SetShippingInformation(ctx, magentoapi.ShippingInformation{
		ShippingAddress: &address, CarrierCode: "flatrate", MethodCode: "flatrate",
	}); err != nil {
		fmt.Println(err)
		return
	}
	details, err := cart.PaymentInformation(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	orderID, err := cart.Pay(ctx, &magentoapi.Payment{Method: details.PaymentMethods[0].Code}, &address)
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(details.Totals.GrandTotal.Decimal, order.State, order.Payment.Method)
	// Output: 46.41 new checkmo
}
