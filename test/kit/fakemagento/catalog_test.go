package fakemagento_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// catalog starts a shop with two store views and a client of them all. Nothing is repeated, so that each failure is seen.
func catalog(t *testing.T, o fakemagento.Options, c magentoapi.Options) (*fakemagento.Server, *magentoapi.Client) {
	t.Helper()
	o.Stores = []fakemagento.Store{
		{ID: 1, Code: "default", Name: "Default", WebsiteID: 1, BaseCurrency: "EUR"},
		{ID: 2, Code: "de", Name: "Deutsch", WebsiteID: 2, BaseCurrency: "EUR"},
	}
	shop, http := start(t, o)
	c.HTTPClient, c.Retries = http.http, magentoapi.NoRetries
	client, err := magentoapi.New(http.url, c)
	if err != nil {
		t.Fatal(err)
	}
	return shop, client
}

// ok is for steps that must succeed: ok(client.Products.Get(ctx, sku))(t).
func ok[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused wants Magento's refusal of this case and with this text.
func refused(t *testing.T, err, want error, message string) {
	t.Helper()
	var e *magentoapi.Error
	if !errors.Is(err, want) || !errors.As(err, &e) || e.Message != message {
		t.Errorf("got %v, want %v with %q", err, want, message)
	}
}

func money(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func amount(s string) magentoapi.Decimal {
	return magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(money(s))}
}

const noProduct = "The product that was requested doesn't exist. Verify the product and try again."

func TestProduct_Life(t *testing.T) {
	_, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, products := t.Context(), client.Products

	_, err := products.Get(ctx, "MB/1")
	refused(t, err, magentoapi.ErrNotFound, noProduct)
	_, err = products.Create(ctx, &magentoapi.Product{SKU: "MB/1", AttributeSetID: 4})
	refused(t, err, magentoapi.ErrBadRequest, `The "Product Name" attribute value is empty. Set the attribute and try again.`)
	_, err = products.Create(ctx, &magentoapi.Product{SKU: "MB/1", Name: "Bag", AttributeSetID: 4})
	refused(t, err, magentoapi.ErrBadRequest, `The "Price" attribute value is empty. Set the attribute and try again.`)

	p := &magentoapi.Product{SKU: "MB/1", Name: "Bag", AttributeSetID: 4, Price: amount("34"), Weight: amount("0.5")}
	done(t, p.CustomAttributes.Set("description", "A bag"))
	done(t, p.CustomAttributes.Set("special_price", "29.90"))
	done(t, p.CustomAttributes.Set("material", []string{"7", "8"}))
	done(t, p.CustomAttributes.Set("no_such_attribute", "1"))
	made := ok(products.Create(ctx, p))(t)
	if made.ID == 0 || made.TypeID != "simple" || made.Status != magentoapi.ProductEnabled || made.Visibility != magentoapi.VisibleInBoth ||
		!made.Price.Decimal.Equal(money("34")) || made.CreatedAt.IsZero() {
		t.Errorf("made %+v", made)
	}
	got := ok(products.Get(ctx, "mb/1"))(t) // without regard to case
	if text, _ := got.CustomAttributes.Text("description"); text != "A bag" {
		t.Errorf("description %q", text)
	}
	if special := ok(got.CustomAttributes.Decimal("special_price"))(t); !special.Decimal.Equal(money("29.9")) {
		t.Errorf("special price %v", special)
	}
	if list := ok(got.CustomAttributes.List("material"))(t); !slices.Equal(list, []string{"7", "8"}) {
		t.Errorf("material %v", list)
	}
	if _, there := got.CustomAttributes.Text("no_such_attribute"); there {
		t.Error("an attribute that the shop hasn't was kept")
	}

	// What is given is changed, the rest stays; null takes an attribute away.
	change := &magentoapi.Product{SKU: "MB/1", Name: "Duffle bag"}
	done(t, change.CustomAttributes.Set("special_price", nil))
	changed := ok(products.Update(ctx, change))(t)
	if _, there := changed.CustomAttributes.Text("special_price"); there || changed.Name != "Duffle bag" || !changed.Price.Decimal.Equal(money("34")) {
		t.Errorf("changed to %+v", changed)
	}

	done(t, products.Delete(ctx, "MB/1"))
	refused(t, products.Delete(ctx, "MB/1"), magentoapi.ErrNotFound, noProduct)
	if types := ok(products.Types(ctx))(t); len(types) < 4 || types[0].Name != "simple" {
		t.Errorf("types %v", types)
	}
}

// What the types have no field for goes through a get and a save unharmed, in the product and in what is in it.
func TestProduct_SavedWhole(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx := t.Context()
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	shop.AddProduct(fakemagento.Product{SKU: "B"})
	done(t, client.Do(ctx, "PUT", "/V1/products/A", nil, json.RawMessage(`{"product":{"sku":"A","price":29.9900,
		"extension_attributes":{"module_field":{"deep":[1,2.50,null]}},
		"options":[{"title":"Engraving","type":"field","unknown":"kept"}],
		"product_links":[{"sku":"A","link_type":"upsell","linked_product_sku":"B","position":1,"extension_attributes":{"qty":2.5}}]}}`), nil))
	before := shop.Product("A", 0)

	p := ok(client.Products.Get(ctx, "A"))(t)
	p.Name = "Renamed"
	ok(client.Products.Update(ctx, p))(t)

	var was, is map[string]any
	done(t, json.Unmarshal(before, &was))
	done(t, json.Unmarshal(shop.Product("A", 0), &is))
	if is["name"] != "Renamed" {
		t.Errorf("name %v", is["name"])
	}
	was["name"], was["updated_at"] = is["name"], is["updated_at"]
	if !reflect.DeepEqual(was, is) {
		t.Errorf("was %v\nis  %v", was, is)
	}
}

func TestProduct_ValuesOfStoreViews(t *testing.T) {
	shop, all := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx := t.Context()
	shop.AddProduct(fakemagento.Product{SKU: "A", Name: "Bag"})
	de := ok(all.Store("de"))(t)
	ok(de.Products.Update(ctx, &magentoapi.Product{SKU: "A", Name: "Tasche"}))(t)
	ok(all.Products.Update(ctx, &magentoapi.Product{SKU: "A", Price: amount("12")}))(t)
	for client, want := range map[*magentoapi.Client]magentoapi.Text{all: "Bag", de: "Tasche"} {
		if p := ok(client.Products.Get(ctx, "A"))(t); p.Name != want || !p.Price.Decimal.Equal(money("12")) {
			t.Errorf("got %s for %v, want %s for 12", p.Name, p.Price, want)
		}
	}
	unknown := ok(all.Store("fr"))(t)
	if _, err := unknown.Products.Get(ctx, "A"); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("a store view that is not there: %v", err)
	}
}

func TestProduct_Search(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx := t.Context()
	for i := range 25 {
		shop.AddProduct(fakemagento.Product{
			SKU: fmt.Sprintf("P-%02d", i), Price: decimal.New(int64(i+1), 0),
			Attributes: map[string]string{"color": fmt.Sprint(i % 3)},
		})
	}
	criteria := magentoapi.SearchCriteria{PageSize: 4}.
		Where(magentoapi.Gt("price", "5"), magentoapi.Eq("sku", "p-00")).
		Where(magentoapi.Eq("color", "0"))
	var skus []string
	for p, err := range client.Products.All(ctx, criteria) {
		done(t, err)
		skus = append(skus, string(p.SKU))
	}
	if want := []string{"P-00", "P-06", "P-09", "P-12", "P-15", "P-18", "P-21", "P-24"}; !slices.Equal(skus, want) {
		t.Errorf("got %v, want %v", skus, want)
	}
	sorted := ok(client.Products.Search(ctx, magentoapi.SearchCriteria{}.SortBy("price", magentoapi.Descending).OnPage(1, 2)))(t)
	if len(sorted.Items) != 2 || sorted.Items[0].SKU != "P-24" || sorted.TotalCount != 25 || !sorted.More() {
		t.Errorf("got %+v", sorted)
	}
	// The page behind the last one is the last one again: All has not fallen for it, Search is told by More.
	beyond := ok(client.Products.Search(ctx, magentoapi.SearchCriteria{}.OnPage(9, 10)))(t)
	if len(beyond.Items) != 5 || beyond.Items[0].SKU != "P-20" || beyond.More() {
		t.Errorf("got %d items from %s on", len(beyond.Items), beyond.Items[0].SKU)
	}
}

func TestProduct_Websites(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx := t.Context()
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	websites := func() (ids []int) {
		ok(ok(client.Products.Get(ctx, "A"))(t).ExtensionAttributes.Get("website_ids", &ids))(t)
		return ids
	}
	done(t, client.Products.UnassignWebsite(ctx, "A", 2))
	if got := websites(); !slices.Equal(got, []int{1}) {
		t.Errorf("got %v", got)
	}
	done(t, client.Products.AssignWebsite(ctx, "A", 2))
	if got := websites(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("got %v", got)
	}
	refused(t, client.Products.AssignWebsite(ctx, "A", 0), magentoapi.ErrBadRequest, "There are not websites for assign to product")
	refused(t, client.Products.AssignWebsite(ctx, "B", 1), magentoapi.ErrNotFound, noProduct)
}

func TestProduct_Media(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, products := t.Context(), client.Products
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	image := &magentoapi.MediaEntry{
		MediaType: "image", Label: "Front", Types: []magentoapi.Text{"image"},
		Content: &magentoapi.MediaContent{Data: []byte("\x89PNG"), Type: "image/png", Name: "Front.png"},
	}
	id := ok(products.AddMedia(ctx, "A", image))(t)
	entry := ok(products.Medium(ctx, "A", id))(t)
	if entry.File != "/f/r/front.png" || entry.Label != "Front" || !slices.Equal(entry.Types, image.Types) || entry.Content != nil {
		t.Errorf("got %+v", entry)
	}
	entry.Label, entry.Position = "Seen from the front", 3
	done(t, products.UpdateMedia(ctx, "A", entry))
	if all := ok(products.Media(ctx, "A"))(t); len(all) != 1 || all[0].Label != "Seen from the front" || all[0].Position != 3 {
		t.Errorf("got %+v", all)
	}
	// A save of the product keeps the gallery that it was read with.
	ok(products.Update(ctx, ok(products.Get(ctx, "A"))(t)))(t)
	if all := ok(products.Media(ctx, "A"))(t); len(all) != 1 || int64(all[0].ID) != id {
		t.Errorf("got %+v", all)
	}
	done(t, products.DeleteMedia(ctx, "A", id))
	refused(t, products.DeleteMedia(ctx, "A", id), magentoapi.ErrNotFound, "There is no image with provided ID.")
	_, err := products.Medium(ctx, "A", id)
	refused(t, err, magentoapi.ErrNotFound, "Such image doesn't exist")
	image.Content.Data = nil
	_, err = products.AddMedia(ctx, "A", image)
	refused(t, err, magentoapi.ErrBadRequest, "The image content is not valid.")
}

func TestProduct_Links(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, products := t.Context(), client.Products
	for _, sku := range []string{"A", "B/2", "C 3"} {
		shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	link := func(to string, position int64) magentoapi.ProductLink {
		return magentoapi.ProductLink{
			SKU: "A", LinkType: magentoapi.LinkUpsell, LinkedProductSKU: magentoapi.Text(to), LinkedProductType: "simple",
			Position: magentoapi.Int(position),
		}
	}
	done(t, products.SetLinks(ctx, "A", []magentoapi.ProductLink{link("B/2", 1)}))
	other := link("C 3", 2)
	done(t, products.SaveLink(ctx, &other))
	links := ok(products.Links(ctx, "A", magentoapi.LinkUpsell))(t)
	if len(links) != 2 || links[0].LinkedProductSKU != "B/2" || links[1].LinkedProductSKU != "C 3" || links[1].Position != 2 {
		t.Errorf("got %+v", links)
	}
	if related := ok(products.Links(ctx, "A", magentoapi.LinkRelated))(t); len(related) != 0 {
		t.Errorf("got %+v", related)
	}
	done(t, products.SetLinks(ctx, "A", []magentoapi.ProductLink{link("C 3", 1)})) // takes the place of both
	refused(t, products.DeleteLink(ctx, "A", magentoapi.LinkUpsell, "B/2"), magentoapi.ErrNotFound, "Product A doesn't have linked B/2 as upsell")
	done(t, products.DeleteLink(ctx, "A", magentoapi.LinkUpsell, "C 3"))
	_, err := products.Links(ctx, "A", "nonsense")
	refused(t, err, magentoapi.ErrNotFound, `The "nonsense" link type is unknown. Verify the type and try again.`)
	missing := link("D", 1)
	refused(t, products.SaveLink(ctx, &missing), magentoapi.ErrNotFound, noProduct)
	for _, bad := range [][]magentoapi.ProductLink{nil, {link("B/2", 1), {SKU: "A", LinkType: magentoapi.LinkRelated, LinkedProductSKU: "C 3"}}} {
		if err := products.SetLinks(ctx, "A", bad); err == nil {
			t.Errorf("set %+v", bad)
		}
	}
	if types := ok(products.LinkTypes(ctx))(t); !slices.Contains(types, magentoapi.LinkAssociated) {
		t.Errorf("got %v", types)
	}
}

// Every SKU that can be in an address arrives as it is, and what signs the address and what checks it agree, for Magento
// as it is and as 2.4.6 was.
func TestProduct_AnySKUInAPath(t *testing.T) {
	integration := fakemagento.OAuth{ConsumerKey: "ck", ConsumerSecret: "c&s", AccessToken: "at", AccessTokenSecret: "a s"}
	signed := magentoapi.OAuth1(magentoapi.Fixed("ck"), magentoapi.Fixed("c&s"), magentoapi.Fixed("at"), magentoapi.Fixed("a s"))
	for name, o := range map[string]fakemagento.Options{
		"bearer":            {Token: "secret"},
		"OAuth":             {OAuth: integration},
		"OAuth as in 2.4.6": {OAuth: integration, DecodesPath: true},
	} {
		t.Run(name, func(t *testing.T) {
			credential := magentoapi.Bearer(magentoapi.Fixed("secret"))
			if o.Token == "" {
				credential = signed
			}
			shop, client := catalog(t, o, magentoapi.Options{Auth: credential})
			skus := []string{
				"24-MB01", "A/B", "A B", "50% off", "100%", "A%2FB", "50%41", "A%", "A+B", "A&B=C;D,E:F@G", "Größe ✓", "A?B#C", "(20-B)*!'$", "...", "A//B",
				`back\slash`, "<x>", "[0]", "日本",
			}
			for _, sku := range skus {
				shop.AddProduct(fakemagento.Product{SKU: sku})
			}
			var all sync.WaitGroup
			for _, sku := range skus { // the first of them, at once, find out how this Magento checks
				all.Go(func() {
					if _, err := client.Products.Get(t.Context(), sku); err != nil {
						t.Errorf("%q: %v", sku, err)
					}
				})
			}
			all.Wait()
			for _, sku := range skus {
				p, err := client.Products.Get(t.Context(), sku)
				if err != nil || string(p.SKU) != sku {
					t.Errorf("%q: %+v, %v", sku, p, err)
					continue
				}
				if _, err := client.Products.Media(t.Context(), sku); err != nil {
					t.Errorf("%q: media: %v", sku, err)
				}
				if _, err := client.Products.Update(t.Context(), &magentoapi.Product{SKU: magentoapi.Text(sku), Name: "x"}); err != nil {
					t.Errorf("%q: update: %v", sku, err)
				}
			}
			for endpoint, n := range shop.Requests() {
				if !strings.Contains(endpoint, "/:sku") {
					t.Errorf("%d requests counted for %s", n, endpoint)
				}
			}
		})
	}
}
