package products_test

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestHandler_WritesADocumentForEachStoreView(t *testing.T) {
	r := newRig(t, fakemagento.Options{Stores: threeStores}, products.StoreIndex{Store: "en", Index: "products_en"},
		products.StoreIndex{Store: "de", Index: "products_de"}, products.StoreIndex{Store: "ch", Index: "products_ch"})
	r.Shop.Generate(40)
	r.export(event.Done, "GEN-0000008", "GEN-0000000", "GEN-0000004", "GEN-0000005", "GEN-0000006", "GEN-0000013")
	en, de, ch := r.document("products_en", "GEN-0000008"), r.document("products_de", "GEN-0000008"), r.document("products_ch", "GEN-0000008")
	if en == nil || de == nil || ch == nil {
		t.Fatalf("documents: %v %v %v; refused %v", en, de, ch, r.Engine.Refusals())
	}
	if de.Name != en.Name+" (de)" || ch.Currency != "CHF" || en.Currency != "EUR" || de.URL != "https://magento.test/wool-bag-0000008.html" {
		t.Errorf("names %q %q, currencies %s %s, address %s", en.Name, de.Name, en.Currency, ch.Currency, de.URL)
	}
	if c := r.document("products_de", "GEN-0000000"); c == nil || len(c.Variants) != 3 || c.PriceFrom == nil || !c.InStock {
		t.Errorf("configurable %+v", c)
	}
	if b := r.document("products_de", "GEN-0000005"); b == nil || b.PriceFrom == nil || b.PriceTo.LessThan(b.PriceFrom.Decimal) {
		t.Errorf("bundle %+v", b)
	}
}

func TestHandler_DeletesWhatNoStoreViewShows(t *testing.T) {
	r := newRig(t, fakemagento.Options{Stores: threeStores}, products.StoreIndex{Store: "en", Index: "products_en"}, products.StoreIndex{Store: "ch", Index: "products_ch"})
	r.Shop.AddProduct(fakemagento.Product{SKU: "A"})
	r.export(event.Done, "A")
	if r.document("products_en", "A") == nil || r.document("products_ch", "A") == nil {
		t.Fatal("no documents")
	}
	must(t, r.Client.Products.UnassignWebsite(t.Context(), "A", 2))
	r.export(event.Done, "A")
	if r.document("products_en", "A") == nil || r.document("products_ch", "A") != nil {
		t.Error("a website's index has the product after it was taken out of it, or another's has not")
	}
	must(t, r.Client.Products.Delete(t.Context(), "A"))
	r.send(products.TopicDeleted, event.Done, []string{"A"}, "")
	if r.document("products_en", "A") != nil {
		t.Error("a deleted product is still there")
	}
}

func TestHandler_IndexesWhatAMessageCallsDeletedAndMagentoStillHas(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	r.Shop.AddProduct(fakemagento.Product{SKU: "A"})
	r.send(products.TopicDeleted, event.Done, []string{"A"}, "")
	if r.document("products", "A") == nil {
		t.Error("there is no document")
	}
	r.send(products.TopicDeleted, event.Stale, []string{"A"}, `,"as_of":"2026-01-01T00:00:00Z"`)
	if r.document("products", "A") == nil {
		t.Error("an older deletion has deleted it")
	}
}

func TestHandler_ReadsParentsWithTheirVariants(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	r.Shop.Generate(20)
	r.export(event.Done, "GEN-0000000")
	before := r.document("products", "GEN-0000000")
	must(t, r.Client.Prices.UpdateBasePrices(t.Context(), basePrice("GEN-0000002", "1.25")))
	r.export(event.Done, "GEN-0000002")
	after := r.document("products", "GEN-0000000")
	if before == nil || after == nil || after.PriceFrom.String() != "1.25" {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	if r.document("products", "GEN-0000002") != nil {
		t.Error("a variant that is not visible by itself has a document")
	}
}

func TestHandler_LeavesUnchangedDocumentsOut(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	r.Shop.Generate(100)
	var skus []string
	for n := range 100 {
		skus = append(skus, fakemagento.GeneratedSKU(n))
	}
	r.export(event.Done, skus...)
	writes := r.Engine.Writes()
	r.export(event.Done, skus...)
	if n := r.Engine.Writes() - writes; n != 0 {
		t.Errorf("%d writes for what has not changed", n)
	}
	must(t, r.Client.Prices.UpdateBasePrices(t.Context(), basePrice("GEN-0000008", "1.25")))
	r.export(event.Done, skus...)
	if n := r.Engine.Writes() - writes; n != 2 { // it is in a grouped product
		t.Errorf("%d writes for one product and the one that it is in", n)
	}
}

func TestHandler_WritesAnIndexAgainThatWasLost(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	r.Shop.AddProduct(fakemagento.Product{SKU: "A"})
	r.export(event.Done, "A")
	r.deleteIndexes()
	r.Handler = r.replica([]products.StoreIndex{{Index: "products"}}) // which has not looked yet
	r.export(event.Done, "A")
	if r.document("products", "A") == nil {
		t.Errorf("there is no document; indexes %v", r.Engine.Indexes())
	}
}

func TestHandler_TakesProductsAsTheyAreInTheMessage(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	body := `{"products":[{"id":7,"sku":"X-1","name":"Caf\u00e9 &amp; more","type_id":"simple","status":1,"visibility":4,"price":"19.9000",
		"updated_at":"2026-11-20 10:00:00","custom_attributes":[],"extension_attributes":[]}]}`
	for _, result := range r.results(r.Handler, products.TopicExported, body) {
		if result.Err != nil || result.Outcome != event.Done {
			t.Errorf("%+v", result)
		}
	}
	d := r.document("products", "X-1")
	if d == nil || d.Name != "Café & more" || !d.Price.Equal(decimal.RequireFromString("19.9")) {
		t.Fatalf("%+v", d)
	}
	older := `[{"products":[{"id":7,"sku":"X-1","name":"Old","type_id":"simple","status":1,"visibility":4,"updated_at":"2026-11-19 10:00:00"}]}]`
	if results := r.results(r.Handler, products.TopicExported, older); results[0].Outcome != event.Stale {
		t.Errorf("older: %+v", results)
	}
	for _, bad := range []string{
		`{"products":[{"id":7,"sku":"X-2","type_id":"simple","status":1,"visibility":4}]}`,
		`{"products":[{"sku":"X-2","updated_at":"2026-11-19 10:00:00"}]}`, `{"skus":[""]}`, `{"skus":["A"],"as_of":"2999-01-01T00:00:00Z"}`,
	} {
		if results := r.results(r.Handler, products.TopicExported, bad); event.ClassOf(results[0].Err) != event.Invalid {
			t.Errorf("%s: %+v", bad, results)
		}
	}
}

func TestHandler_RejectsOneItemAlone(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	for _, sku := range []string{"A", "B", "C"} {
		r.Shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	r.export(event.Done, "A")
	r.Engine.FailItems(rejects("B"))
	results := r.results(r.Handler, products.TopicExported, `{"skus":["B","C"]}`)
	if event.ClassOf(results[0].Err) != event.Rejected || results[1].Err != nil || r.document("products", "C") == nil {
		t.Errorf("%+v", results)
	}
}

func TestHandler_ReadsAgainWhatAMessageSaysAndWhatIsMissing(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	r.Shop.AddProduct(fakemagento.Product{SKU: "A"})
	r.Shop.AddProduct(fakemagento.Product{SKU: "B"})
	r.send(products.TopicExported, event.Done, []string{"A"}, `,"settle":true`)
	r.export(event.Done, "B", "not-yet")
	r.send(products.TopicExported, event.Done, []string{"never"}, `,"again":true`)
	if n, err := r.Changes.Waiting(t.Context()); err != nil || n != 2 {
		t.Errorf("%d products are read again, %v; want A and not-yet", n, err)
	}
}

func TestHandler_ReadsSKUsWithCommas(t *testing.T) {
	r := newRig(t, fakemagento.Options{})
	for _, sku := range []string{"a,b", "c/d", "e f"} {
		r.Shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	r.export(event.Done, "a,b", "c/d", "e f")
	for _, sku := range []string{"a,b", "c/d", "e f"} {
		if r.document("products", sku) == nil {
			t.Errorf("no document of %q", sku)
		}
	}
}
