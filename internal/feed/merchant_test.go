package feed

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/search"
)

var codes = Codes{GTIN: []string{"gtin", "ean"}, MPN: []string{"mpn"}, Brand: []string{"brand", "manufacturer"}, Condition: []string{"condition"}, Category: []string{"google_product_category"}}

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

type items []struct {
	Members []struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	} `xml:",any"`
}

// written writes products and reads the feed: the attributes of each item, those that come more than once joined by a blank.
func written(t *testing.T, products ...Product) (all []map[string]string, rejected []Rejection) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewMerchant(&out, Merchant{Title: "Shop & Co", Link: "https://shop.example/", Codes: codes, Now: now, Reject: func(r Rejection) error {
		rejected = append(rejected, r)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range products {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var rss struct {
		Channel struct {
			Title string `xml:"title"`
			Items items  `xml:"item"`
		} `xml:"channel"`
	}
	if err := xml.Unmarshal(out.Bytes(), &rss); err != nil || rss.Channel.Title != "Shop & Co" {
		t.Fatalf("%v in %s", err, out.String())
	}
	for _, i := range rss.Channel.Items {
		item := map[string]string{}
		for _, m := range i.Members {
			if m.XMLName.Space != "http://base.google.com/ns/1.0" {
				t.Errorf("%s is of the name space %q", m.XMLName.Local, m.XMLName.Space)
			}
			item[m.XMLName.Local] = strings.TrimSpace(item[m.XMLName.Local] + " " + m.Value)
		}
		all = append(all, item)
	}
	if w.Items() != len(all) {
		t.Errorf("%d items are counted, %d are there", w.Items(), len(all))
	}
	return all, rejected
}

func TestMerchant_SimpleProduct(t *testing.T) {
	p := hoodie()
	p.Document.Name = "Hoodie <A> & \"B\""
	all, rejected := written(t, p)
	want := map[string]string{
		"id": "24-MB01", "title": "Hoodie <A> & \"B\"", "description": "Warm.\nSoft.", "link": "https://shop.example/hoodie.html",
		"image_link": "https://shop.example/1.jpg", "additional_image_link": "https://shop.example/2.jpg", "availability": "in_stock", "price": "49.90 EUR",
		"gtin": "4006381333931", "mpn": "A-1, A-2", "brand": "Acme", "condition": "new", "product_type": "Men > Tops", "shipping_weight": "1.5 kg",
	}
	if len(all) != 1 || len(rejected) != 0 || fmt.Sprint(all[0]) != fmt.Sprint(want) {
		t.Errorf("items %v, rejected %v; want %v", all, rejected, want)
	}
}

func TestMerchant_VariantsAreItemsOfOneGroup(t *testing.T) {
	variant := func(sku, color, gtin string, stock bool) Variant {
		return Variant{Document: &search.Document{
			SKU: sku, Name: sku, Type: "simple", URL: "https://shop.example/h.html#93=" + color, Currency: "EUR", Price: amount("10"), FinalPrice: amount("8"), InStock: stock,
			Attributes: search.Values{"ean": gtin},
		}, Options: []search.Option{{Code: "color", Value: color}, {Code: "length", Value: "L"}}, Weight: "2 kg"}
	}
	group := Product{Document: &search.Document{
		SKU: "H", Name: "Hoodie", Type: "configurable", Description: "d", URL: "https://shop.example/h.html", Image: "https://shop.example/h.jpg", Currency: "EUR",
		Attributes: search.Values{"brand": "Acme"}, Categories: []search.Category{{Path: "Men", Level: 1}},
	}, Variants: []Variant{variant("H-red", "red", "4006381333931", true), variant("H-blue", "blue", "4006381333932", false)}}
	alone := hoodie()
	alone.Document.SKU = "h-RED" // shown by itself besides
	all, rejected := written(t, group, alone)
	if len(all) != 2 || len(rejected) != 0 {
		t.Fatalf("items %v, rejected %v", all, rejected)
	}
	for name, want := range map[string]string{
		"id": "H-red", "item_group_id": "H", "title": "Hoodie - red, L", "link": "https://shop.example/h.html#93=red", "image_link": "https://shop.example/h.jpg",
		"description": "d", "color": "red", "length": "", "gtin": "4006381333931", "brand": "Acme", "identifier_exists": "", "price": "10.00 EUR",
		"sale_price": "8.00 EUR", "product_type": "Men", "shipping_weight": "2 kg", "availability": "in_stock",
	} {
		if all[0][name] != want {
			t.Errorf("%s is %q, want %q", name, all[0][name], want)
		}
	}
	// The GTIN of the second has the wrong check digit.
	if all[1]["gtin"] != "" || all[1]["identifier_exists"] != "no" || all[1]["availability"] != "out_of_stock" {
		t.Errorf("the second is %v", all[1])
	}
}

func TestMerchant_SalePrices(t *testing.T) {
	before, later, last := at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z"), at("2026-12-24T22:59:59Z")
	for name, tt := range map[string]struct {
		final, special string
		from, to       *time.Time
		price, when    string
	}{
		"none":                        {"20", "", nil, nil, "", ""},
		"in force":                    {"15", "15", before, nil, "15.00 EUR", ""},
		"with an end":                 {"15", "15", before, last, "15.00 EUR", "2026-11-01T00:00Z/2026-12-24T22:59Z"},
		"with an end alone":           {"15", "15", nil, last, "15.00 EUR", "2026-11-23T10:00Z/2026-12-24T22:59Z"},
		"to come":                     {"20", "15", later, last, "15.00 EUR", "2026-12-01T00:00Z/2026-12-24T22:59Z"},
		"to come without an end":      {"20", "15", later, nil, "", ""},
		"over":                        {"20", "15", nil, before, "", ""},
		"another price is lower":      {"12", "15", before, last, "12.00 EUR", ""},
		"another, and one to come":    {"18", "15", later, last, "18.00 EUR", ""},
		"special above the price":     {"20", "25", before, nil, "", ""},
		"of a rule, without dates":    {"18.5", "", nil, nil, "18.50 EUR", ""},
		"nothing, which is no price":  {"0", "0", before, nil, "", ""},
		"a third of a cent is halved": {"13.335", "13.335", before, nil, "13.34 EUR", ""},
	} {
		p := hoodie()
		p.Document.Price, p.Document.FinalPrice = amount("20"), amount(tt.final)
		if tt.special != "" {
			p.Document.SpecialPrice, p.Document.SpecialPriceFrom, p.Document.SpecialPriceTo = amount(tt.special), tt.from, tt.to
		}
		all, rejected := written(t, p)
		if len(all) != 1 || all[0]["price"] != "20.00 EUR" || all[0]["sale_price"] != tt.price || all[0]["sale_price_effective_date"] != tt.when {
			t.Errorf("%s: %v, %v", name, all, rejected)
		}
	}
}

func TestMerchant_Currencies(t *testing.T) {
	for currency, want := range map[string]string{"EUR": "1234.57 EUR", "JPY": "1235 JPY", "KWD": "1234.567 KWD"} {
		p := hoodie()
		p.Document.Currency, p.Document.Price, p.Document.FinalPrice = currency, amount("1234.567"), nil
		if all, _ := written(t, p); all[0]["price"] != want {
			t.Errorf("%s: %v", currency, all)
		}
	}
}

func TestMerchant_NamesWhatIsMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(d *search.Document)
		lacks  []string
	}{
		"everything":     {func(d *search.Document) { *d = search.Document{SKU: d.SKU} }, []string{"title", "description", "link", "image_link", "price"}},
		"a long SKU":     {func(d *search.Document) { d.SKU = strings.Repeat("x", 51) }, []string{"id"}},
		"a price of 0":   {func(d *search.Document) { d.Price = amount("0") }, []string{"price"}},
		"a path alone":   {func(d *search.Document) { d.URL, d.Image = "/a.html", "a.jpg" }, []string{"link", "image_link"}},
		"no currency":    {func(d *search.Document) { d.Currency = "" }, []string{"price"}},
		"a long address": {func(d *search.Document) { d.URL += strings.Repeat("x", 2000) }, []string{"link"}},
		"no variants":    {func(d *search.Document) { d.Type = "configurable" }, []string{"item_group_id"}},
	} {
		p := hoodie()
		tt.change(p.Document)
		all, rejected := written(t, p)
		if len(all) != 0 || len(rejected) != 1 || !slices.Equal(rejected[0].Lacks, tt.lacks) || rejected[0].SKU != p.Document.SKU || rejected[0].Reason == "" {
			t.Errorf("%s: %v, %+v", name, all, rejected)
		}
	}
}

func TestMerchant_TextsAreBounded(t *testing.T) {
	p := hoodie()
	p.Document.Name, p.Document.Description = strings.Repeat("wörter ", 100), strings.Repeat("äöü ", 5000)
	all, _ := written(t, p)
	if n := len([]rune(all[0]["title"])); n > maxTitle || n < maxTitle*3/4 {
		t.Errorf("the title has %d characters", n)
	}
	if n := len([]rune(all[0]["description"])); n > maxDescription || n < maxDescription*3/4 {
		t.Errorf("the description has %d characters", n)
	}
}

func TestValidGTIN(t *testing.T) {
	for s, want := range map[string]string{
		"4006381333931": "4006381333931", "4006381333932": "", "036000291452": "036000291452", "96385074": "96385074", "10036000291459": "10036000291459",
		"400-638133 3931": "4006381333931", "": "", "123": "", "0000000000000": "", "40063813339３1": "", "no": "",
	} {
		if got := validGTIN(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzMerchant(f *testing.F) {
	f.Add("SKU", "name", "text\x00\ufffe]]>", "https://shop.example/?a=1&b=<", "12.5")
	f.Fuzz(func(t *testing.T, sku, name, text, link, brand string) {
		p := hoodie()
		p.Document.SKU, p.Document.Name, p.Document.Description, p.Document.URL = sku, name, text, link
		p.Document.Attributes = search.Values{"brand": brand, "ean": brand}
		all, rejected := written(t, p)
		if len(all)+len(rejected) != 1 {
			t.Errorf("%d items, %d rejected", len(all), len(rejected))
		}
		for _, item := range all {
			if len([]rune(item["title"])) > maxTitle || len([]rune(item["description"])) > maxDescription {
				t.Errorf("%v is too long", item)
			}
		}
	})
}
