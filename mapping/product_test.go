package mapping

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

func testView(t *testing.T) *View {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return &View{
		Store: "de", WebsiteID: 1, Currency: "EUR", LinkURL: "https://shop.example/de/", MediaURL: "https://shop.example/media/", Suffix: ".html", Location: berlin,
		Categories: map[int64]CategoryFact{7: {Name: "Jacken", Path: []string{"Damen", "Jacken"}, IDs: []int64{3, 7}, Level: 2}},
		Attributes: map[string]AttributeFact{
			"color":    {Label: "Farbe", Input: "select", Options: map[string]string{"50": "Rot", "51": "Blau"}, Type: search.Keyword},
			"material": {Label: "Material", Input: "multiselect", Options: map[string]string{"1": "Wolle", "2": "Leinen"}, Type: search.Keyword},
			"eco":      {Label: "Öko", Input: "boolean", Options: map[string]string{"1": "Ja", "0": "Nein"}, Type: search.Boolean},
			"deposit":  {Label: "Pfand", Input: "price", Type: search.Decimal},
			"care":     {Label: "Pflege", Input: "textarea", Listed: true},
			"size":     {Label: "Größe", Input: "select", Options: map[string]string{"9": "M"}, Listed: true},
			"internal": {Label: "Interna", Input: "text"},
			"cost":     {Label: "Cost", Input: "price"},
		},
		Codes: map[int64]string{93: "color", 144: "size"},
	}
}

func product(t *testing.T, raw string) *magentoapi.Product {
	t.Helper()
	var p magentoapi.Product
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

var mappingNow = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func priceOf(s string) *search.Amount { return search.NewAmount(decimal.RequireFromString(s)) }

func wantJSON(t *testing.T, d *search.Document, want string) {
	t.Helper()
	raw, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got, wanted any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

// A product as shops have them: texts for numbers, PHP's empty arrays for objects, entities, directives, lists as texts.
func TestView_MapsAnOddSimpleProduct(t *testing.T) {
	p := product(t, `{"id":"12","sku":"24-MB01","name":"Joust Duffle &amp; Bag\u00ae","attribute_set_id":15,"price":"34.0000","status":"1","visibility":4,
		"type_id":"simple","created_at":"2026-01-02 03:04:05","updated_at":"2026-11-20 10:00:00","product_links":[],"tier_prices":[
			{"customer_group_id":32000,"qty":1,"value":30.50,"extension_attributes":{"website_id":0}},
			{"customer_group_id":2,"qty":1,"value":5,"extension_attributes":[]}],
		"media_gallery_entries":[{"id":2,"media_type":"image","label":null,"position":2,"disabled":false,"types":[],"file":"/m/b/b.jpg"},
			{"id":1,"media_type":"image","label":"Vorn &amp; hinten","position":1,"disabled":false,"types":["image"],"file":"/m/b/a.jpg"},
			{"id":3,"media_type":"image","label":"","position":3,"disabled":true,"types":[],"file":"/m/b/c.jpg"}],
		"extension_attributes":{"website_ids":["1","2"],"category_links":[{"position":4,"category_id":"7"},{"position":0,"category_id":"99"}],"rating_summary":"87","reviews_count":3},
		"custom_attributes":{"0":{"attribute_code":"description","value":"<style>p{}</style><p>The <b>sporty</b> bag&nbsp;can&rsquo;t &lt;br&gt;be beat.<\/p>{{widget type=\"x\"}}<ul><li>A<li>B<\/ul>"},
			"2":{"attribute_code":"special_price","value":"29.990000"},"3":{"attribute_code":"special_from_date","value":"2026-11-20 00:00:00"},
			"4":{"attribute_code":"special_to_date","value":"2026-11-23 00:00:00"},"5":{"attribute_code":"color","value":"50"},
			"6":{"attribute_code":"material","value":"1,2,77"},"7":{"attribute_code":"eco","value":"1"},"8":{"attribute_code":"deposit","value":"n/a"},
			"9":{"attribute_code":"care","value":"<p>cold<\/p>"},"10":{"attribute_code":"internal","value":"secret"},"11":{"attribute_code":"cost","value":"3"},
			"12":{"attribute_code":"image","value":"/m/b/a.jpg"},"13":{"attribute_code":"small_image","value":"no_selection"},
			"14":{"attribute_code":"url_key","value":"joust-duffle-bag"},"15":{"attribute_code":"unknown","value":"x"},"16":{"attribute_code":"size","value":null}}}`)
	d := testView(t).Product(p, Parts{Stock: map[string]Stock{"24-mb01": {Quantity: decimal.NewNullDecimal(decimal.New(12, 0)), InStock: true}}}, mappingNow)
	if d == nil {
		t.Fatal("no document")
	}
	wantJSON(t, d, `{"sku":"24-MB01","id":12,"type":"simple","store":"de","name":"Joust Duffle & Bag®","description":"The sporty bag can’t be beat. A B",
		"url":"https://shop.example/de/joust-duffle-bag.html","image":"https://shop.example/media/catalog/product/m/b/a.jpg","thumbnail":"https://shop.example/media/catalog/product/m/b/a.jpg",
		"images":[{"url":"https://shop.example/media/catalog/product/m/b/a.jpg","label":"Vorn & hinten"},{"url":"https://shop.example/media/catalog/product/m/b/b.jpg"}],
		"currency":"EUR","price":34,"final_price":29.99,"price_from":29.99,"price_to":29.99,"special_price":29.99,
		"special_price_from":"2026-11-19T23:00:00Z","special_price_to":"2026-11-23T22:59:59Z","in_stock":true,"quantity":12,"in_catalog":true,"in_search":true,
		"categories":[{"id":7,"name":"Jacken","path":"Damen > Jacken","level":2,"ids":[3,7],"position":4}],
		"attributes":{"color":"Rot","material":["Wolle","Leinen"],"eco":true},"other_attributes":[{"code":"care","label":"Pflege","value":["cold"]}],
		"rating":87,"rating_count":3,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-11-20T10:00:00Z"}`)
}

func TestView_MapsAProductThatHasNearlyNothing(t *testing.T) {
	p := product(t, `{"id":3,"sku":" x ","type_id":"virtual","status":1,"visibility":3,"custom_attributes":[],"extension_attributes":[]}`)
	wantJSON(t, testView(t).Product(p, Parts{}, mappingNow), `{"sku":" x ","id":3,"type":"virtual","store":"de","name":"",
		"url":"https://shop.example/de/catalog/product/view/id/3","currency":"EUR","in_stock":false,"in_catalog":false,"in_search":true}`)
}

func TestView_ShowsNoProductThatIsNotInTheStoreView(t *testing.T) {
	for _, raw := range []string{
		`{"id":3,"sku":"x","type_id":"simple","status":2,"visibility":4}`,
		`{"id":3,"sku":"x","type_id":"simple","status":1,"visibility":1}`,
		`{"id":3,"sku":"x","type_id":"simple","status":1,"visibility":4,"extension_attributes":{"website_ids":[2]}}`,
		`{"id":3,"sku":"x","type_id":"simple","status":1,"visibility":4,"extension_attributes":{"website_ids":[]}}`,
	} {
		if d := testView(t).Product(product(t, raw), Parts{}, mappingNow); d != nil {
			t.Errorf("%s has a document", raw)
		}
	}
}

// partsOf makes parts of products, all of which are in stock but those that are named.
func partsOf(t *testing.T, soldOut string, raws ...string) Parts {
	t.Helper()
	parts := Parts{Products: map[string]*magentoapi.Product{}, ByID: map[int64]*magentoapi.Product{}, Stock: map[string]Stock{}}
	for _, raw := range raws {
		p := product(t, raw)
		key := strings.ToLower(string(p.SKU))
		parts.Products[key], parts.ByID[int64(p.ID)] = p, p
		parts.Stock[key] = Stock{Quantity: decimal.NewNullDecimal(decimal.New(2, 0)), InStock: key != soldOut}
	}
	return parts
}

const (
	variantM = `{"id":21,"sku":"J-M","name":"J M","type_id":"simple","status":1,"visibility":1,"price":20,"custom_attributes":[{"attribute_code":"color","value":50},{"attribute_code":"size","value":"9"}]}`
	variantL = `{"id":22,"sku":"J-L","name":"J L","type_id":"simple","status":1,"visibility":1,"price":10,"custom_attributes":[{"attribute_code":"color","value":"51"}]}`
	variantX = `{"id":23,"sku":"J-X","name":"J X","type_id":"simple","status":2,"visibility":1,"price":1}`
)

func TestView_MapsAConfigurableProduct(t *testing.T) {
	p := product(t, `{"id":20,"sku":"J","name":"J","type_id":"configurable","status":1,"visibility":4,"price":0,"extension_attributes":{"configurable_product_links":["21",22,23,24],
		"configurable_product_options":[{"id":2,"attribute_id":"144","label":"Size","position":1,"values":[]},{"id":1,"attribute_id":"93","label":"Color","position":0,"values":[]}]}}`)
	d := testView(t).Product(p, partsOf(t, "j-l", variantM, variantL, variantX), mappingNow)
	if len(d.Variants) != 2 || !d.InStock || d.PriceFrom.String() != "20" || d.PriceTo.String() != "20" || d.Price.String() != "20" {
		t.Fatalf("%+v", d)
	}
	want := []search.Option{{Code: "color", Label: "Farbe", Value: "Rot"}, {Code: "size", Label: "Größe", Value: "M"}}
	if !reflect.DeepEqual(d.Variants[0].Options, want) {
		t.Errorf("options %+v", d.Variants[0].Options)
	}
	d = testView(t).Product(p, partsOf(t, "", variantM, variantL), mappingNow)
	if d.PriceFrom.String() != "10" || d.PriceTo.String() != "20" {
		t.Errorf("from %s to %s", d.PriceFrom, d.PriceTo)
	}
}

func TestView_MapsOtherComposedProducts(t *testing.T) {
	bundle := func(attributes, price string) string {
		return `{"id":30,"sku":"B","name":"B","type_id":"bundle","status":1,"visibility":4,"price":` + price + `,"custom_attributes":[` + attributes + `],"extension_attributes":{"bundle_product_options":[
			{"option_id":1,"required":true,"type":"select","product_links":[{"sku":"J-M","qty":2,"price":5,"price_type":0},{"sku":"J-L","qty":1,"price":10,"price_type":1}]},
			{"option_id":2,"required":false,"type":"checkbox","product_links":[{"sku":"J-L","qty":1,"price":3,"price_type":0},{"sku":"J-M","qty":1,"price":4,"price_type":0}]}]}}`
	}
	for name, c := range map[string]struct{ raw, from, to string }{
		"dynamic bundle":            {bundle("", "0"), "10", "70"},
		"fixed bundle":              {bundle(`{"attribute_code":"price_type","value":"1"}`, "100"), "110", "117"},
		"dynamic bundle, 50 % less": {bundle(`{"attribute_code":"special_price","value":"50"}`, "0"), "5", "35"},
		"grouped": {`{"id":31,"sku":"G","type_id":"grouped","status":1,"visibility":4,"product_links":[{"sku":"G","link_type":"associated","linked_product_sku":"J-M"},
			{"sku":"G","link_type":"associated","linked_product_sku":"J-L"},{"sku":"G","link_type":"related","linked_product_sku":"J-X"}]}`, "10", "20"},
		"gift card": {`{"id":32,"sku":"C","type_id":"giftcard","status":1,"visibility":4,"extension_attributes":{"giftcard_amounts":[{"value":50},{"value":"25.0000"}]},
			"custom_attributes":[{"attribute_code":"allow_open_amount","value":"1"},{"attribute_code":"open_amount_min","value":"5.0000"},{"attribute_code":"open_amount_max","value":"500.0000"}]}`, "5", "500"},
		"downloadable": {`{"id":33,"sku":"D","type_id":"downloadable","status":1,"visibility":4,"price":9.9}`, "9.9", "9.9"},
	} {
		d := testView(t).Product(product(t, c.raw), partsOf(t, "", variantM, variantL), mappingNow)
		if d == nil || d.PriceFrom == nil || !d.PriceFrom.Equal(priceOf(c.from).Decimal) || !d.PriceTo.Equal(priceOf(c.to).Decimal) {
			t.Errorf("%s: %+v, want %s to %s", name, d, c.from, c.to)
		}
	}
}

func TestView_HasGroupPricesOnlyIfTheyAreAskedFor(t *testing.T) {
	p := product(t, `{"id":3,"sku":"x","type_id":"simple","status":1,"visibility":4,"price":100,"tier_prices":[
		{"customer_group_id":1,"qty":1,"value":0,"extension_attributes":{"percentage_value":10,"website_id":0}},
		{"customer_group_id":32000,"qty":5,"value":80,"extension_attributes":{"website_id":1}},{"customer_group_id":1,"qty":1,"value":1,"extension_attributes":{"website_id":2}}]}`)
	v := testView(t)
	if d := v.Product(p, Parts{}, mappingNow); d.GroupPrices != nil || d.FinalPrice.String() != "100" {
		t.Errorf("%+v", d)
	}
	v.GroupPrices = true
	raw, err := json.Marshal(v.Product(p, Parts{}, mappingNow).GroupPrices)
	if err != nil || string(raw) != `[{"group":"1","quantity":1,"price":90},{"group":"all","quantity":5,"price":80}]` {
		t.Errorf("%s %v", raw, err)
	}
}
