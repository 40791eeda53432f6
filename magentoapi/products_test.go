package magentoapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestIntReadsNumbersAndTexts(t *testing.T) {
	for literal, want := range map[string]Int{`3`: 3, `"3"`: 3, `-1`: -1, `null`: 0, `""`: 0, `"007"`: 7} {
		i := Int(9)
		if err := i.UnmarshalJSON([]byte(literal)); err != nil || i != want {
			t.Errorf("%s: got %d, %v", literal, i, err)
		}
	}
	for _, literal := range []string{`1.5`, `"x"`, `[]`, `{}`, `true`, `99999999999999999999`} {
		var i Int
		if err := i.UnmarshalJSON([]byte(literal)); err == nil {
			t.Errorf("%s: got %d", literal, i)
		}
	}
}

// The answers of an endpoint that are something else.
func TestNoProductWhereNoneWasAnswered(t *testing.T) {
	for _, body := range []string{`{}`, `[]`, `null`, `""`, `true`, `<html>`, `{"sku":{}}`, `{"sku":""}`} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		c := s.client(t, Options{})
		for name, err := range map[string]error{
			"get":       second(c.Products.Get(t.Context(), "A")),
			"create":    second(c.Products.Create(t.Context(), &Product{SKU: "A"})),
			"category":  second(c.Categories.Get(t.Context(), 1)),
			"tree":      second(c.Categories.Tree(t.Context(), 0, 0)),
			"attribute": second(c.Attributes.Get(t.Context(), "a")),
			"set":       second(c.AttributeSets.Get(t.Context(), 1)),
			"group":     second(c.AttributeSets.CreateGroup(t.Context(), &AttributeGroup{})),
		} {
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s answered with %s: %v", name, body, err)
			}
		}
	}
}

func TestOfAnUpdateOnlyWhatIsGivenIsSent(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"sku":"A/1"}`) })
	p := &Product{SKU: "A/1", Name: "Bag"}
	if err := p.CustomAttributes.Set("special_price", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client(t, Options{}).Products.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	sent := s.requests("")[0]
	want := `{"product":{"sku":"A/1","name":"Bag","custom_attributes":[{"attribute_code":"special_price","value":null}]}}`
	if sent.method != http.MethodPut || sent.uri != "/rest/all/V1/products/A%2F1" || sent.body != want {
		t.Errorf("sent %+v", sent)
	}
}

// A write is repeated if, and only if, that does no harm.
func TestWhatIsRepeated(t *testing.T) {
	image := []MediaEntry{{MediaType: "image", Content: &MediaContent{}}}
	for name, c := range map[string]struct {
		call  func(c *Client) error
		times int
	}{
		"update": {func(c *Client) error { return second(c.Products.Update(t.Context(), &Product{SKU: "A"})) }, 2},
		"update with image": {func(c *Client) error {
			return second(c.Products.Update(t.Context(), &Product{SKU: "A", MediaGalleryEntries: image}))
		}, 1},
		"create":      {func(c *Client) error { return second(c.Products.Create(t.Context(), &Product{SKU: "A"})) }, 1},
		"delete":      {func(c *Client) error { return c.Products.Delete(t.Context(), "A") }, 1},
		"prices":      {func(c *Client) error { return c.Prices.UpdateBasePrices(t.Context(), []BasePrice{{SKU: "A"}}) }, 2},
		"information": {func(c *Client) error { return second(c.Prices.TierPrices(t.Context(), "A")) }, 2},
		"assign":      {func(c *Client) error { return c.Categories.Assign(t.Context(), 2, "A", 0) }, 2},
		"option":      {func(c *Client) error { return second(c.Attributes.AddOption(t.Context(), "color", &AttributeOption{})) }, 1},
		"link":        {func(c *Client) error { return c.Configurable.Link(t.Context(), "A", "B") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 503, "") })
			client := s.client(t, Options{Retries: Retries{Max: 1, Wait: 1}})
			if err := c.call(client); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if sent := len(s.requests("")); sent != c.times {
				t.Errorf("sent %d times, want %d", sent, c.times)
			}
		})
	}
}

func TestNoEmptyOptionIsSaved(t *testing.T) {
	const answered = `{"attribute_id":93,"attribute_code":"color","options":[{"label":" ","value":""},{"label":"Red","value":"5","module":1}],"new":[1]}`
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, answered) })
	c := s.client(t, Options{})
	a, err := c.Attributes.Get(t.Context(), "color")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attributes.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(answered, `{"label":" ","value":""},`, "", 1)
	if got := s.requests("")[1].body; got != `{"attribute":`+want+`}` {
		t.Errorf("sent %s", got)
	}
	if len(a.Options) != 2 {
		t.Error("what the caller has was changed")
	}
}

func TestIDOfANewOption(t *testing.T) {
	for body, want := range map[string]string{`"57"`: "57", `57`: "57", `"id_57"`: "57", `true`: "", `"id_new_option"`: "", `""`: "", `[]`: ""} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		got, err := s.client(t, Options{}).Attributes.AddOption(t.Context(), "color", &AttributeOption{Label: "Red"})
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
}

// What was read is written as it was, whatever it is, and that is read as the same.
func FuzzProduct(f *testing.F) {
	f.Add([]byte(`{"id":1,"sku":"A","price":29.9900,"custom_attributes":[{"attribute_code":"a","value":["1"]}],"media_gallery_entries":[{"id":"7","x":1}]}`))
	f.Add([]byte(`{"extension_attributes":[],"product_links":[{"link_type":"upsell"}],"tier_prices":[{"qty":1.5}],"custom_attributes":{"0":{"attribute_code":"x"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Product
		if json.Unmarshal(data, &p) != nil || string(data) == "null" {
			return
		}
		body, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%q can be read and not written: %v", data, err)
		}
		var before, after any
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(body, &after) != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q was written as %q", data, body)
		}
		var again Product
		if err := json.Unmarshal(body, &again); err != nil {
			t.Fatalf("%q was written as %q, which can't be read: %v", data, body, err)
		}
		if rewritten, err := json.Marshal(again); err != nil || string(rewritten) != string(body) {
			t.Errorf("%q was written as %q, and then as %q, %v", data, body, rewritten, err)
		}
	})
}
