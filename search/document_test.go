package search

import (
	"encoding/json"
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
