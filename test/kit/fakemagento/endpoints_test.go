package fakemagento_test

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestCustomOption_Life(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, options := t.Context(), client.ProductOptions
	shop.AddProduct(fakemagento.Product{SKU: "T/Shirt"})

	if types := ok(options.Types(ctx))(t); len(types) != 10 {
		t.Errorf("types %+v", types)
	}
	_, err := options.Create(ctx, &magentoapi.ProductCustomOption{ProductSKU: "T/Shirt", Title: "Size", Type: "drop_down"})
	refused(t, err, magentoapi.ErrBadRequest, "Invalid option value")
	_, err = options.Create(ctx, &magentoapi.ProductCustomOption{ProductSKU: "T/Shirt", Title: "Size", Type: "wheel"})
	refused(t, err, magentoapi.ErrBadRequest, "Invalid option type")
	_, err = options.Create(ctx, &magentoapi.ProductCustomOption{ProductSKU: "gone", Title: "Size", Type: "field"})
	refused(t, err, magentoapi.ErrNotFound, noProduct)
	size := ok(options.Create(ctx, &magentoapi.ProductCustomOption{
		ProductSKU: "T/Shirt", Title: "Size", Type: "drop_down", Values: []magentoapi.ProductCustomOptionValue{
			{Title: "S"}, {Title: "XXL", Price: amount("2.50"), PriceType: "fixed"},
		},
	}))(t)
	if size.OptionID == 0 || len(size.Values) != 2 || size.Values[1].OptionTypeID == 0 || !size.Values[1].Price.Decimal.Equal(money("2.50")) {
		t.Errorf("made %+v", size)
	}
	size.Values = size.Values[1:]
	ok(options.Update(ctx, size))(t)
	got := ok(options.Get(ctx, "T/Shirt", int64(size.OptionID)))(t)
	if len(got.Values) != 1 || got.Values[0].OptionTypeID != size.Values[0].OptionTypeID {
		t.Errorf("changed to %+v", got)
	}

	// A product has them, too, and is saved with them.
	product := ok(client.Products.Get(ctx, "T/Shirt"))(t)
	if len(product.Options) != 1 || product.Options[0].OptionID != size.OptionID {
		t.Errorf("the product's options are %+v", product.Options)
	}
	product.Options = append(product.Options, magentoapi.ProductCustomOption{Title: "Initials", Type: "field"})
	saved := ok(client.Products.Update(ctx, product, magentoapi.SaveOptions))(t)
	if len(saved.Options) != 2 || saved.Options[0].OptionID != size.OptionID || saved.Options[1].OptionID == 0 {
		t.Errorf("saved with %+v", saved.Options)
	}
	done(t, options.Delete(ctx, "T/Shirt", int64(size.OptionID)))
	refused(t, options.Delete(ctx, "T/Shirt", int64(size.OptionID)), magentoapi.ErrNotFound, "No such entity with optionId = 1")
	if left := ok(options.List(ctx, "T/Shirt"))(t); len(left) != 1 || left[0].Title != "Initials" {
		t.Errorf("left %+v", left)
	}
}

func TestBundle_Life(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, bundles := t.Context(), client.Bundles
	shop.AddProduct(fakemagento.Product{SKU: "S/ET", TypeID: "bundle"})
	for _, sku := range []string{"A", "B"} {
		shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	one := func(sku magentoapi.Text) *magentoapi.BundleLink {
		return &magentoapi.BundleLink{SKU: sku, Qty: amount("1")}
	}

	_, err := bundles.Options(ctx, "A")
	refused(t, err, magentoapi.ErrBadRequest, "This is implemented for bundle products only.")
	_, err = bundles.AddOption(ctx, &magentoapi.BundleOption{SKU: "S/ET", Title: "x", Type: "select", Links: []magentoapi.BundleLink{*one("S/ET")}})
	refused(t, err, magentoapi.ErrBadRequest, "The bundle product can't contain another composite product.")
	id := ok(bundles.AddOption(ctx, &magentoapi.BundleOption{SKU: "S/ET", Title: "First", Type: "select", Links: []magentoapi.BundleLink{*one("A")}}))(t)
	_, err = bundles.Link(ctx, "S/ET", id, one("A"))
	refused(t, err, magentoapi.ErrBadRequest, `Child with specified sku: "A" already assigned to product: "S/ET"`)
	_, err = bundles.Link(ctx, "S/ET", 99, one("B"))
	refused(t, err, magentoapi.ErrBadRequest, `Product with specified sku: "S/ET" does not contain option: "99"`)
	link := ok(bundles.Link(ctx, "S/ET", id, one("B")))(t)

	option := ok(bundles.Option(ctx, "S/ET", id))(t)
	if len(option.Links) != 2 || int64(option.Links[1].ID) != link || !option.Required.Bool {
		t.Errorf("got %+v", option)
	}
	second := option.Links[1]
	second.Qty = amount("3")
	done(t, bundles.UpdateLink(ctx, "S/ET", &second))
	children := ok(bundles.Children(ctx, "S/ET", id))(t)
	if len(children) != 2 || !children[1].Qty.Decimal.Equal(money("3")) || children[1].SKU != "B" {
		t.Errorf("children %+v", children)
	}
	if none := ok(bundles.Children(ctx, "S/ET", 99))(t); len(none) != 0 {
		t.Errorf("children of no option: %+v", none)
	}
	second.ID = 99
	refused(t, bundles.UpdateLink(ctx, "S/ET", &second), magentoapi.ErrBadRequest, `The product link with the "99" ID field wasn't found. Verify the ID and try again.`)

	option.Title, option.Links = "Erste", option.Links[:1]
	done(t, bundles.UpdateOption(ctx, option))
	if got := ok(bundles.Options(ctx, "S/ET"))(t); len(got) != 1 || got[0].Title != "Erste" || len(got[0].Links) != 1 || got[0].Links[0].SKU != "A" {
		t.Errorf("options %+v", got)
	}
	done(t, bundles.Unlink(ctx, "S/ET", id, "a"))
	refused(t, bundles.Unlink(ctx, "S/ET", id, "A"), magentoapi.ErrNotFound, "The bundle product doesn't exist. Review your request and try again.")
	done(t, bundles.DeleteOption(ctx, "S/ET", id))
	_, err = bundles.Option(ctx, "S/ET", id)
	refused(t, err, magentoapi.ErrNotFound, "The option that was requested doesn't exist. Verify the entity and try again.")
	if types := ok(bundles.OptionTypes(ctx))(t); len(types) != 4 {
		t.Errorf("types %+v", types)
	}
}

func TestTaxRule_Life(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil)
	ctx, taxes := t.Context(), client.Taxes
	books := ok(taxes.CreateClass(ctx, &magentoapi.TaxClass{Name: "Books", Type: magentoapi.TaxClassProduct}))(t)
	_, err := taxes.CreateClass(ctx, &magentoapi.TaxClass{Name: "books", Type: magentoapi.TaxClassProduct})
	refused(t, err, magentoapi.ErrBadRequest, "A class with the same name already exists for ClassType PRODUCT.")
	_, err = taxes.CreateClass(ctx, &magentoapi.TaxClass{Name: "Books", Type: "PLANET"})
	refused(t, err, magentoapi.ErrBadRequest, `Invalid value of "PLANET" provided for the class_type field.`)
	class := ok(taxes.Class(ctx, books))(t)
	class.Name = "Bücher"
	done(t, taxes.UpdateClass(ctx, class))
	class.Type = magentoapi.TaxClassCustomer
	refused(t, taxes.UpdateClass(ctx, class), magentoapi.ErrBadRequest, "Updating classType is not allowed.")

	_, err = taxes.CreateRate(ctx, &magentoapi.TaxRate{Code: "DE-7", CountryID: "DE", Rate: amount("7")})
	refused(t, err, magentoapi.ErrBadRequest, `"postcode" is required. Enter and try again.`)
	rate := ok(taxes.CreateRate(ctx, &magentoapi.TaxRate{Code: "DE-7", CountryID: "DE", Postcode: "*", Rate: amount("7.0000")}))(t)
	rate.Rate = amount("7.5")
	rate = ok(taxes.UpdateRate(ctx, rate))(t)
	ok(taxes.CreateRate(ctx, &magentoapi.TaxRate{
		Code: "US-CA", CountryID: "US", ZipIsRange: yes, ZipFrom: new(magentoapi.Int), ZipTo: new(magentoapi.Int), Rate: amount("8.25"),
	}))(t)
	var rates []magentoapi.Text
	for r, err := range taxes.AllRates(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.Gt("rate", "8"))) {
		done(t, err)
		rates = append(rates, r.Code)
	}
	if len(rates) != 1 || rates[0] != "US-CA" || !ok(taxes.Rate(ctx, int64(rate.ID)))(t).Rate.Decimal.Equal(money("7.5")) {
		t.Errorf("rates %q", rates)
	}

	rule := magentoapi.TaxRule{Code: "Books", CustomerTaxClassIDs: []magentoapi.ID{3}, ProductTaxClassIDs: []magentoapi.ID{class.ID}, TaxRateIDs: []magentoapi.ID{rate.ID}}
	made := ok(taxes.CreateRule(ctx, &rule))(t)
	_, err = taxes.CreateRule(ctx, &rule)
	refused(t, err, magentoapi.ErrBadRequest, "Code already exists.")
	made.CalculateSubtotal = yes
	ok(taxes.UpdateRule(ctx, made))(t)
	if got := ok(taxes.Rule(ctx, int64(made.ID)))(t); !got.CalculateSubtotal.Bool || len(got.TaxRateIDs) != 1 {
		t.Errorf("rule %+v", got)
	}
	refused(t, taxes.DeleteRate(ctx, int64(rate.ID)), magentoapi.ErrBadRequest, "The tax rate cannot be removed. It exists in a tax rule.")
	refused(t, taxes.DeleteClass(ctx, 3), magentoapi.ErrBadRequest, "You cannot delete this tax class because it is used in Tax Rules. You have to delete the rules it is used in first.")
	done(t, taxes.DeleteRule(ctx, int64(made.ID)))
	done(t, taxes.DeleteRate(ctx, int64(rate.ID)))
	done(t, taxes.DeleteClass(ctx, books))
	refused(t, taxes.DeleteClass(ctx, books), magentoapi.ErrNotFound, "No such entity with taxId = 4")
	classes := 0
	for _, err := range taxes.AllClasses(ctx, magentoapi.SearchCriteria{}) {
		done(t, err)
		classes++
	}
	if classes != 2 {
		t.Errorf("%d classes are left", classes)
	}
}

func TestCoupon_AndItsRule(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil)
	shop.AddCoupon("A", decimal.New(5, 0))
	shop.AddCoupon("B", decimal.New(10, 0))
	coupon := ok(client.Coupons.Get(t.Context(), 2))(t)
	page := ok(client.SalesRules.Search(t.Context(), magentoapi.SearchCriteria{}.Where(magentoapi.Eq("name", "Coupon B"))))(t)
	if coupon.Code != "B" || len(page.Items) != 1 || page.Items[0].RuleID != coupon.RuleID || len(page.Items[0].Condition) < 10 {
		t.Errorf("coupon %+v, rules %+v", coupon, page.Items)
	}
	_, err := client.SalesRules.Get(t.Context(), 3)
	refused(t, err, magentoapi.ErrNotFound, "No such entity with rule_id = 3")
}

func TestAttribute_OfCustomersAndAddresses(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil)
	gender := ok(client.CustomerAttributes.Get(t.Context(), "gender"))(t)
	form := ok(client.AddressAttributes.Form(t.Context(), "customer_address_edit"))(t)
	custom := ok(client.AddressAttributes.Custom(t.Context()))(t)
	all := ok(client.CustomerAttributes.All(t.Context()))(t)
	if len(gender.Options) != 2 || len(form) != 3 || len(custom) != 1 || custom[0].Code != "floor" || len(all) != 5 {
		t.Errorf("gender %+v, form %+v, custom %+v, %d in all", gender, form, custom, len(all))
	}
	_, err := client.CustomerAttributes.Get(t.Context(), "floor")
	refused(t, err, magentoapi.ErrNotFound, "No such entity with entityType = customer, attributeCode = floor")
	_, err = client.CustomerAttributes.Form(t.Context(), "x")
	refused(t, err, magentoapi.ErrNotFound, "No such entity with formCode = x")
}

func TestSourceItems_MovedBetweenSources(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{Sources: []string{"berlin", "bern"}}, nil, "A", "B")
	ctx, inventory := t.Context(), client.Inventory
	has := func(want string) {
		t.Helper()
		got := ""
		for item, err := range inventory.AllSourceItems(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.Eq("sku", "A"))) {
			done(t, err)
			got += string(item.SourceCode) + " " + item.Quantity.Decimal.String() + ", "
		}
		if got != want {
			t.Errorf("there are %s, want %s", got, want)
		}
	}
	part := func(sku, n string) magentoapi.SKUQuantity { return magentoapi.SKUQuantity{SKU: sku, Qty: money(n)} }
	refused(t, inventory.Transfer(ctx, magentoapi.SourceRoute{From: "mars", To: "bern"}, false, "A"), magentoapi.ErrBadRequest, "Validation Failed; Origin source mars does not exist")
	refused(t, inventory.Transfer(ctx, magentoapi.SourceRoute{From: "bern", To: "bern"}, false, "A"), magentoapi.ErrBadRequest, "Validation Failed; Cannot transfer a source on itself")
	done(t, inventory.Transfer(ctx, magentoapi.SourceRoute{From: "default", To: "berlin"}, false, "A", "gone"))
	has("default 0, berlin 10, ")
	refused(t, inventory.TransferPart(ctx, magentoapi.SourceRoute{From: "berlin", To: "bern"}, part("A", "1")), magentoapi.ErrBadRequest,
		"Transfer validation failed; Source item for A and bern does not exist")
	done(t, inventory.SaveSourceItems(ctx, magentoapi.SourceItem{SKU: "A", SourceCode: "bern", Quantity: decimalOf("0"), Status: no}))
	refused(t, inventory.TransferPart(ctx, magentoapi.SourceRoute{From: "berlin", To: "bern"}, part("A", "1"), part("A", "11")), magentoapi.ErrBadRequest,
		"Transfer validation failed; Requested transfer amount for sku A is not available")
	has("default 0, berlin 10, bern 0, ")
	done(t, inventory.TransferPart(ctx, magentoapi.SourceRoute{From: "berlin", To: "bern"}, part("A", "2.5")))
	has("default 0, berlin 7.5, bern 2.5, ")
	done(t, inventory.Transfer(ctx, magentoapi.SourceRoute{From: "berlin", To: "bern"}, true, "A"))
	has("default 0, bern 10, ")

	selection := ok(inventory.SelectSources(ctx, 1, "priority", part("A", "12"), part("B", "1")))(t)
	if selection.Shippable.Bool || len(selection.Items) != 2 || selection.Items[0].QtyToDeduct.Decimal.String() != "10" {
		t.Errorf("selected %+v", selection)
	}
	_, err := inventory.SelectSources(ctx, 1, "distance", part("A", "1"))
	refused(t, err, magentoapi.ErrBadRequest, "No destination address was provided in the request")
	if ways := ok(inventory.SourceSelectionAlgorithms(ctx))(t); len(ways) != 2 {
		t.Errorf("algorithms %+v", ways)
	}
	_, err = inventory.ResolveStock(ctx, "website", "mars")
	refused(t, err, magentoapi.ErrNotFound, "No linked stock found")
}

func TestCustomerGroup_DefaultOfAStoreView(t *testing.T) {
	_, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx := t.Context()
	german, err := client.Store("de")
	done(t, err)
	done(t, german.CustomerGroups.SetDefault(ctx, 2))
	if of, all := ok(client.CustomerGroups.DefaultOf(ctx, 2))(t), ok(client.CustomerGroups.Default(ctx))(t); of.Code != "Wholesale" || all.Code != "General" {
		t.Errorf("of the view %s, of all %s", of.Code, all.Code)
	}
	refused(t, client.CustomerGroups.Delete(ctx, 2), magentoapi.ErrBadRequest, "Cannot delete group.")
	refused(t, client.CustomerGroups.SetDefault(ctx, 99), magentoapi.ErrNotFound, "No such entity with id = 99")
}

func TestCreditMemo_AsItIsGiven(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil)
	ctx := t.Context()
	placed := shop.PlaceOrder(fakemagento.Placing{})
	invoice := ok(client.Orders.Invoice(ctx, int64(placed.EntityID), magentoapi.NewInvoice{}))(t)
	order := ok(client.Orders.Get(ctx, int64(placed.EntityID)))(t)
	memo := magentoapi.CreditMemo{
		OrderID: order.EntityID, InvoiceID: magentoapi.ID(invoice), GrandTotal: amount("1000"), BaseGrandTotal: amount("1000"),
		Items: []magentoapi.DocumentItem{{OrderItemID: order.Items[0].ItemID, Qty: amount("1")}},
	}
	_, err := client.CreditMemos.Refund(ctx, &memo, false)
	refused(t, err, magentoapi.ErrBadRequest, "The most money available to refund is "+order.TotalPaid.Decimal.String()+".")
	memo.GrandTotal, memo.BaseGrandTotal = amount("40"), amount("40")
	memo.Items[0].Qty = amount("3")
	_, err = client.CreditMemos.Refund(ctx, &memo, false)
	refused(t, err, magentoapi.ErrBadRequest, `We found an invalid quantity to refund item "Joust Duffle Bag".`)
	memo.Items[0].Qty = amount("1")
	kept := ok(client.CreditMemos.Refund(ctx, &memo, false))(t)
	order = ok(client.Orders.Get(ctx, int64(placed.EntityID)))(t)
	if kept.TransactionID == "" || kept.InvoiceID != magentoapi.ID(invoice) || order.TotalRefunded.Decimal.String() != "40" || order.Items[0].QtyRefunded.Decimal.String() != "1" {
		t.Errorf("kept %+v, refunded %s", kept, order.TotalRefunded.Decimal)
	}
}

func TestCart_PaidAndOrdered(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A")
	ctx := t.Context()
	cart := client.GuestCart(ok(client.Carts.CreateGuest(ctx))(t))
	ok(cart.AddItem(ctx, &magentoapi.CartItem{SKU: "A", Qty: amount("1")}))(t)
	address := magentoapi.CartAddress{Firstname: "Mara", Lastname: "Muster", Street: magentoapi.Street{"Am Markt 1"}, City: "Berlin", CountryID: "DE", Postcode: "10115"}
	refused(t, cart.SetPaymentInformation(ctx, &magentoapi.Payment{Method: "checkmo"}, &address), magentoapi.ErrBadRequest, `"email" is required. Enter and try again.`)
	address.Email = "mara@shop.example"
	refused(t, cart.SetPaymentInformation(ctx, &magentoapi.Payment{Method: "checkmo"}, &address), magentoapi.ErrBadRequest,
		"The shipping address is missing. Set the address and try again.")
	ok(cart.SetShippingInformation(ctx, magentoapi.ShippingInformation{ShippingAddress: &address, CarrierCode: "flatrate", MethodCode: "flatrate"}))(t)
	done(t, cart.SetPaymentInformation(ctx, &magentoapi.Payment{Method: "checkmo"}, &address))
	if got := ok(cart.PaymentMethod(ctx))(t); got.Method != "checkmo" {
		t.Errorf("paid by %s", got.Method)
	}
	_, err := cart.Pay(ctx, &magentoapi.Payment{Method: "gold"}, &address)
	refused(t, err, magentoapi.ErrBadRequest, "The requested Payment Method is not available.")
	id := ok(cart.Pay(ctx, &magentoapi.Payment{Method: "banktransfer"}, &address))(t)
	if order := ok(client.Orders.Get(ctx, id))(t); order.Payment.Method != "banktransfer" || order.CustomerEmail != "mara@shop.example" {
		t.Errorf("order %+v", order)
	}
}
