package fakemagento_test

import (
	"slices"
	"testing"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestConfigurableProduct_Life(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, configurable := t.Context(), client.Configurable
	color := ok(client.Attributes.Get(ctx, "color"))(t)
	values := []magentoapi.ConfigurableOptionValue{}
	for _, o := range ok(client.Attributes.Options(ctx, "color"))(t)[:2] {
		values = append(values, magentoapi.ConfigurableOptionValue{ValueIndex: idOf(t, o.Value)})
	}
	shop.AddProduct(fakemagento.Product{SKU: "T/Shirt"})
	shop.AddProduct(fakemagento.Product{SKU: "Colorless"})

	refused(t, configurable.Link(ctx, "T/Shirt", "Colorless"), magentoapi.ErrBadRequest, "The parent product doesn't have configurable product options.")
	_, err := configurable.Options(ctx, "T/Shirt")
	refused(t, err, magentoapi.ErrBadRequest, "Only implemented for configurable product: T/Shirt")
	option := &magentoapi.ConfigurableOption{AttributeID: color.AttributeID, Label: "Color", Values: values}
	id := ok(configurable.AddOption(ctx, "T/Shirt", option))(t)
	_, err = configurable.AddOption(ctx, "T/Shirt", option)
	refused(t, err, magentoapi.ErrBadRequest, "Product already has this option")
	_, err = configurable.AddOption(ctx, "T/Shirt", &magentoapi.ConfigurableOption{Label: "x", Values: values})
	refused(t, err, magentoapi.ErrBadRequest, "Option attribute ID is not specified.")

	options := ok(configurable.Options(ctx, "T/Shirt"))(t)
	if len(options) != 1 || int64(options[0].ID) != id || options[0].AttributeID != color.AttributeID || len(options[0].Values) != 2 {
		t.Errorf("options %+v", options)
	}
	options[0].Label = "Farbe"
	done(t, configurable.UpdateOption(ctx, "T/Shirt", options[0]))
	if got := ok(configurable.Option(ctx, "T/Shirt", id))(t); got.Label != "Farbe" || len(got.Values) != 2 {
		t.Errorf("got %+v", got)
	}
	_, err = configurable.Option(ctx, "T/Shirt", 99)
	refused(t, err, magentoapi.ErrNotFound, "Requested option doesn't exist: 99")

	// A child for each color, as Magento proposes them.
	parent := ok(client.Products.Get(ctx, "T/Shirt"))(t)
	base := &magentoapi.Product{SKU: parent.SKU, Name: parent.Name, AttributeSetID: parent.AttributeSetID, Price: amount("20")}
	for _, child := range ok(configurable.Variations(ctx, base, options))(t) {
		ok(client.Products.Create(ctx, child))(t)
		done(t, configurable.Link(ctx, "T/Shirt", string(child.SKU)))
	}
	var skus []string
	for _, child := range ok(configurable.Children(ctx, "T/Shirt"))(t) {
		skus = append(skus, string(child.SKU))
		if text, _ := child.CustomAttributes.Text("color"); text == "" || child.Visibility != magentoapi.NotVisible || !child.Price.Decimal.Equal(money("20")) {
			t.Errorf("child %+v", child)
		}
	}
	if !slices.Equal(skus, []string{"T/Shirt-Black", "T/Shirt-Blue"}) {
		t.Errorf("children %q", skus)
	}
	var links []int
	if there := ok(ok(client.Products.Get(ctx, "T/Shirt"))(t).ExtensionAttributes.Get("configurable_product_links", &links))(t); !there || len(links) != 2 {
		t.Errorf("links %v", links)
	}

	refused(t, configurable.Link(ctx, "T/Shirt", skus[0]), magentoapi.ErrBadRequest, "The product is already attached.")
	refused(t, configurable.Link(ctx, "T/Shirt", "Colorless"), magentoapi.ErrBadRequest, `The child product doesn't have the "color" attribute value. Verify the value and try again.`)
	refused(t, configurable.Link(ctx, "T/Shirt", "Nothing"), magentoapi.ErrNotFound, noProduct)
	done(t, configurable.Unlink(ctx, "T/Shirt", skus[0]))
	refused(t, configurable.Unlink(ctx, "T/Shirt", skus[0]), magentoapi.ErrNotFound, "The option that was requested doesn't exist. Verify the entity and try again.")
	if children := ok(configurable.Children(ctx, "T/Shirt"))(t); len(children) != 1 || string(children[0].SKU) != skus[1] {
		t.Errorf("children %+v", children)
	}
	done(t, configurable.DeleteOption(ctx, "T/Shirt", id))
	if children := ok(configurable.Children(ctx, "T/Shirt"))(t); len(children) != 0 {
		t.Errorf("children without an option: %+v", children)
	}
	if shop.Product(skus[0], 0) == nil {
		t.Error("a child was deleted with its place")
	}
}

func idOf(t *testing.T, value magentoapi.Text) magentoapi.ID {
	t.Helper()
	var id magentoapi.ID
	done(t, id.UnmarshalJSON([]byte(value)))
	return id
}
