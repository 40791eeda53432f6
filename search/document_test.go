package search

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

// full is a document that has every member.
func full() *Document {
	amount, at, count := NewAmount(decimal.RequireFromString("19.9")), time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), int64(3)
	return &Document{
		SKU: "A-1", ID: 7, Type: "configurable", Store: "de", Name: "Jacke", Description: "warm", ShortDescription: "w",
		URL: "https://shop.example.com/jacke.html", Image: "https://shop.example.com/a.jpg", Thumbnail: "https://shop.example.com/b.jpg",
		Images: []Image{{URL: "https://shop.example.com/a.jpg", Label: "von vorn"}}, Currency: "EUR",
		Price: amount, FinalPrice: amount, PriceFrom: amount, PriceTo: amount, SpecialPrice: amount, SpecialPriceFrom: &at, SpecialPriceTo: &at,
		GroupPrices: []GroupPrice{{Group: "1", Quantity: amount, Price: amount}}, InStock: true, Quantity: amount, InCatalog: true, InSearch: true,
		Categories:      []Category{{ID: 3, Name: "Jacken", Path: "Herren > Jacken", Level: 2, IDs: []int64{2, 3}, Position: 1}},
		Attributes:      Values{"color": "rot", "weight": amount, "size": []string{"M", "L"}, "eco": true, "since": at},
		OtherAttributes: []Attribute{{Code: "care", Label: "Pflege", Value: []string{"kalt"}}},
		Variants: []Variant{{
			SKU: "A-1-M", ID: 8, Name: "Jacke M", Image: "https://shop.example.com/m.jpg", Price: amount, FinalPrice: amount, SpecialPrice: amount,
			SpecialPriceFrom: &at, SpecialPriceTo: &at, InStock: true, Quantity: amount, Options: []Option{{Code: "size", Label: "Größe", Value: "M"}},
		}},
		Rating: amount, RatingCount: &count, CreatedAt: &at, UpdatedAt: &at, NewFrom: &at, NewTo: &at,
	}
}

var own = []Own{{"color", Keyword, false}, {"weight", Decimal, false}, {"size", Keyword, false}, {"eco", Boolean, false}, {"since", Date, false}}

// TestFields_AreThoseOfADocument holds every member of a document against the field of its name, both ways.
func TestFields_AreThoseOfADocument(t *testing.T) {
	raw, err := full().JSON()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	compare(t, "", Fields(own), members)
}

func compare(t *testing.T, at string, fields []Field, members map[string]any) {
	t.Helper()
	for name := range members {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			t.Errorf("%s%s is in the document and no field", at, name)
		}
	}
	for _, f := range fields {
		value, ok := members[f.Name]
		if !ok {
			t.Errorf("%s%s is a field and not in the document", at, f.Name)
			continue
		}
		if list, ok := value.([]any); ok {
			value = list[0]
		}
		var right bool
		switch f.Type {
		case Text, Keyword, Stored:
			_, right = value.(string)
		case Date:
			s, _ := value.(string)
			_, err := time.Parse(time.RFC3339, s)
			right = err == nil && strings.HasSuffix(s, "Z")
		case Decimal, Integer:
			_, right = value.(float64)
		case Boolean:
			_, right = value.(bool)
		case Object, Nested:
			var inner map[string]any
			if inner, right = value.(map[string]any); right {
				compare(t, at+f.Name+".", f.Fields, inner)
			}
		}
		if !right {
			t.Errorf("%s%s is %v (%T), and the field is %q", at, f.Name, value, value, f.Type)
		}
	}
}

func TestFit_LeavesADocumentThatFits(t *testing.T) {
	raw, cut, err := full().Fit(0)
	again, cutAgain, errAgain := full().Fit(len(raw))
	if err != nil || errAgain != nil || cut != nil || cutAgain != nil || string(raw) != string(again) {
		t.Errorf("cut %v, %v, errors %v, %v", cut, cutAgain, err, errAgain)
	}
}

// long is a document with much of everything.
func long() *Document {
	d := full()
	d.Description, d.ShortDescription = strings.Repeat("ä\"<", 20_000), strings.Repeat("k ", 5_000)
	variant, other, image := d.Variants[0], d.OtherAttributes[0], d.Images[0]
	d.Variants, d.OtherAttributes, d.Images = nil, nil, nil
	for i := range 800 {
		variant.SKU = fmt.Sprint("A-1-", i)
		d.Variants = append(d.Variants, variant)
	}
	for range 300 {
		d.OtherAttributes = append(d.OtherAttributes, other)
		d.Images = append(d.Images, image)
	}
	d.Name = strings.Repeat("N", 3_000)
	return d
}

func TestFit_CutsInOrder(t *testing.T) {
	for _, c := range []struct {
		limit    int
		cut      string
		variants int // that are left at least
	}{
		{400_000, "description", 800},
		{290_000, "description short_description", 800},
		{250_000, "description short_description variants", 500},
		{185_000, "description short_description variants other_attributes", 500},
		{100_000, "description short_description variants other_attributes images", 1},
		{5_000, "description short_description variants other_attributes images", 0},
		{2_000, "description short_description variants other_attributes images group_prices categories attributes name", 0},
	} {
		d := long()
		raw, cut, err := d.Fit(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var back Document
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(cut, " "); got != c.cut || len(raw) > c.limit || len(back.Variants) < c.variants {
			t.Errorf("limit %d: %d bytes, %d variants, cut %s, want %s", c.limit, len(raw), len(back.Variants), got, c.cut)
		}
		if strings.ContainsRune(back.Description, '\uFFFD') {
			t.Errorf("limit %d: a character was cut in two", c.limit)
		}
		if len(d.Variants) != 800 || len(d.Attributes) != 5 {
			t.Errorf("limit %d: the document itself was changed", c.limit)
		}
	}
}
