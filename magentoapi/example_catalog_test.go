package magentoapi_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// A product that was read and saved keeps all that the shop's modules have added to it. To change a few values, it need
// not be read.
func ExampleProductsService() {
	shop, client, done := simulated()
	defer done()
	shop.AddProduct(fakemagento.Product{SKU: "24-MB01/red", Name: "Duffle Bag", Price: decimal.RequireFromString("34")})
	ctx := context.Background()

	change := &magentoapi.Product{SKU: "24-MB01/red", Name: "Joust Duffle Bag"}
	if err := change.CustomAttributes.Set("description", "For the gym"); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Products.Update(ctx, change); err != nil {
		fmt.Println(err)
		return
	}

	product, err := client.Products.Get(ctx, "24-MB01/red")
	if err != nil {
		fmt.Println(err)
		return
	}
	description, _ := product.CustomAttributes.Text("description")
	fmt.Println(product.Name, product.Price.Decimal, description)

	for product, err := range client.Products.All(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.Gt("price", "30"))) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(product.SKU)
	}

	_, err = client.Products.Get(ctx, "gone")
	fmt.Println(errors.Is(err, magentoapi.ErrNotFound), err)
	// Output:
	// Joust Duffle Bag 34 For the gym
	// 24-MB01/red
	// true magento: GET /V1/products/gone: 404: The product that was requested doesn't exist. Verify the product and try again.
}

// Of many prices some may be refused. The others are saved.
func ExamplePricesService() {
	shop, client, done := simulated()
	defer done()
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	shop.AddProduct(fakemagento.Product{SKU: "C"})
	ctx := context.Background()

	prices := []magentoapi.BasePrice{
		{SKU: "A", Price: decimal.RequireFromString("19.90")},
		{SKU: "B", Price: decimal.RequireFromString("5")},
		{SKU: "C", Price: decimal.RequireFromString("-1")},
	}
	err := client.Prices.UpdateBasePrices(ctx, prices)
	var partial *magentoapi.PriceError
	if !errors.As(err, &partial) {
		fmt.Println(err)
		return
	}
	for _, refusal := range partial.Refused {
		fmt.Println(prices[refusal.Row].SKU, "-", refusal.Message)
	}
	fmt.Println("A is saved:", partial.Saved(0))

	saved, err := client.Prices.BasePrices(ctx, "A", "B", "C")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range saved {
		fmt.Println(p.SKU, p.Price)
	}
	// Output:
	// B - Invalid attribute SKU = B.
	// C - Invalid attribute Price = -1.
	// A is saved: true
	// A 19.9
	// C 10
}

func ExampleCategoriesService() {
	shop, client, done := simulated()
	defer done()
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	ctx := context.Background()

	bags, err := client.Categories.Create(ctx, &magentoapi.Category{Name: "Bags", ParentID: 2, IsActive: magentoapi.Flag{Valid: true, Bool: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Categories.Assign(ctx, int64(bags.ID), "A", 1); err != nil {
		fmt.Println(err)
		return
	}
	tree, err := client.Categories.Tree(ctx, 2, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for category := range tree.All() {
		fmt.Println(category.Level, category.Name, category.ProductCount)
	}
	// Output:
	// 1 Default Category 0
	// 2 Bags 1
}

func ExampleAttributesService() {
	_, client, done := simulated()
	defer done()
	ctx := context.Background()

	// What a product has as its color is the id of an option.
	green, err := client.Attributes.AddOption(ctx, "color", &magentoapi.AttributeOption{Label: "Green"})
	if err != nil {
		fmt.Println(err)
		return
	}
	options, err := client.Attributes.Options(ctx, "color")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range options {
		fmt.Println(o.Label, string(o.Value) == green)
	}
	// Output:
	// Black false
	// Blue false
	// Red false
	// Green true
}

func ExampleAttributeSetsService() {
	_, client, done := simulated()
	defer done()
	ctx := context.Background()

	set, err := client.AttributeSets.Create(ctx, &magentoapi.AttributeSet{Name: "Bags"}, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	groups, err := client.AttributeSets.Groups(ctx, int64(set.ID))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.AttributeSets.Assign(ctx, "material", magentoapi.AttributePlace{SetID: int64(set.ID), GroupID: int64(groups[0].ID), SortOrder: 10}); err != nil {
		fmt.Println(err)
		return
	}
	attributes, err := client.AttributeSets.Attributes(ctx, int64(set.ID))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Name, groups[0].Name, len(attributes))
	// Output: Bags Product Details 19
}

// A bag in two colors.
func ExampleConfigurableService() {
	shop, client, done := simulated()
	defer done()
	shop.AddProduct(fakemagento.Product{SKU: "Bag"})
	ctx := context.Background()

	color, err := client.Attributes.Get(ctx, "color")
	if err != nil {
		fmt.Println(err)
		return
	}
	option := magentoapi.ConfigurableOption{AttributeID: color.AttributeID, Label: "Color", Values: []magentoapi.ConfigurableOptionValue{
		{ValueIndex: 1}, {ValueIndex: 2},
	}}
	if _, err := client.Configurable.AddOption(ctx, "Bag", &option); err != nil {
		fmt.Println(err)
		return
	}
	base := &magentoapi.Product{SKU: "Bag", Name: "Bag", AttributeSetID: 4}
	children, err := client.Configurable.Variations(ctx, base, []*magentoapi.ConfigurableOption{&option})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, child := range children {
		if _, err := client.Products.Create(ctx, child); err != nil {
			fmt.Println(err)
			return
		}
		if err := client.Configurable.Link(ctx, "Bag", string(child.SKU)); err != nil {
			fmt.Println(err)
			return
		}
	}
	linked, err := client.Configurable.Children(ctx, "Bag")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, child := range linked {
		fmt.Println(child.SKU)
	}
	// Output:
	// Bag-Black
	// Bag-Blue
}

// What is saved for a store view hides what is saved for all.
func ExampleClient_Store() {
	shop, all, done := simulated()
	defer done()
	shop.AddProduct(fakemagento.Product{SKU: "A", Name: "Bag"})
	ctx := context.Background()

	one, err := all.Store("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := one.Products.Update(ctx, &magentoapi.Product{SKU: "A", Name: "Tasche"}); err != nil {
		fmt.Println(err)
		return
	}
	for _, client := range []*magentoapi.Client{all, one} {
		product, err := client.Products.Get(ctx, "A")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(product.Name)
	}
	// Output:
	// Bag
	// Tasche
}
