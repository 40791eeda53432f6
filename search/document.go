package search

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Document is a product in one store view, as it stands in an index. Its fields are the members of the index: the name in JSON,
// and in the tag search the Type and what else Field has. What a product does not have is left out.
type Document struct {
	SKU  string `json:"sku" search:"keyword"`
	ID   int64  `json:"id" search:"integer"` // Magento's entity_id
	Type string `json:"type" search:"keyword"`
	// Store is the code of the store view.
	Store            string `json:"store,omitempty" search:"keyword"`
	Name             string `json:"name" search:"text,sort"`
	Description      string `json:"description,omitempty" search:"text"`
	ShortDescription string `json:"short_description,omitempty" search:"text"`
	URL              string `json:"url,omitempty" search:"stored"`
	// Image is the address of the base image, or else of the first.
	Image     string  `json:"image,omitempty" search:"stored"`
	Thumbnail string  `json:"thumbnail,omitempty" search:"stored"`
	Images    []Image `json:"images,omitempty" search:"object"`

	// Currency is that of all prices of the document.
	Currency string `json:"currency,omitempty" search:"keyword"`
	// Price is the regular price; of a product that is composed of others the lowest of theirs.
	Price *Amount `json:"price,omitempty" search:"decimal"`
	// FinalPrice is what a customer pays who is not logged in.
	FinalPrice       *Amount    `json:"final_price,omitempty" search:"decimal"`
	PriceFrom        *Amount    `json:"price_from,omitempty" search:"decimal"` // the lowest final price, of any variant
	PriceTo          *Amount    `json:"price_to,omitempty" search:"decimal"`   // the highest
	SpecialPrice     *Amount    `json:"special_price,omitempty" search:"decimal"`
	SpecialPriceFrom *time.Time `json:"special_price_from,omitempty" search:"date"`
	SpecialPriceTo   *time.Time `json:"special_price_to,omitempty" search:"date"`
	// GroupPrices are those of customer groups and of quantities.
	GroupPrices []GroupPrice `json:"group_prices,omitempty" search:"nested"`

	InStock bool `json:"in_stock" search:"boolean"`
	// Quantity is what can be sold.
	Quantity *Amount `json:"quantity,omitempty" search:"decimal"`

	// InCatalog and InSearch say where the shop shows the product.
	InCatalog  bool       `json:"in_catalog" search:"boolean"`
	InSearch   bool       `json:"in_search" search:"boolean"`
	Categories []Category `json:"categories,omitempty" search:"object"`

	// Attributes are those that are fields of their own, by code.
	Attributes Values `json:"attributes,omitempty" search:"values"`
	// OtherAttributes are all others.
	OtherAttributes []Attribute `json:"other_attributes,omitempty" search:"nested"`
	Variants        []Variant   `json:"variants,omitempty" search:"nested"`

	// Rating is in percent, the mean of all reviews.
	Rating      *Amount `json:"rating,omitempty" search:"decimal"`
	RatingCount *int64  `json:"rating_count,omitempty" search:"integer"`

	CreatedAt *time.Time `json:"created_at,omitempty" search:"date"`
	UpdatedAt *time.Time `json:"updated_at,omitempty" search:"date"`
	NewFrom   *time.Time `json:"new_from,omitempty" search:"date"`
	NewTo     *time.Time `json:"new_to,omitempty" search:"date"`
}

// Image is one of a product's.
type Image struct {
	URL   string `json:"url" search:"stored"`
	Label string `json:"label,omitempty" search:"stored"`
}

// GroupPrice is the price of one customer group from a quantity on.
type GroupPrice struct {
	Group    string  `json:"group" search:"keyword"` // its id, or all
	Quantity *Amount `json:"quantity" search:"decimal"`
	Price    *Amount `json:"price" search:"decimal"`
}

// Category is one that the product is shown in.
type Category struct {
	ID   int64  `json:"id" search:"integer"`
	Name string `json:"name" search:"keyword"`
	// Path has the names from the shop's root category, which is left out, to this one, as in Men > Tops > Jackets.
	Path  string `json:"path" search:"keyword"`
	Level int64  `json:"level" search:"integer"` // 1 is right below the root
	// IDs are those of the path.
	IDs      []int64 `json:"ids" search:"integer"`
	Position int64   `json:"position" search:"integer"` // of the product in the category
}

// Attribute is one with its label and its values' labels, in the language of the store view.
type Attribute struct {
	Code  string   `json:"code" search:"keyword"`
	Label string   `json:"label" search:"keyword"`
	Value []string `json:"value" search:"keyword"`
}

// Variant is one product of those that a configurable product is made of.
type Variant struct {
	SKU              string     `json:"sku" search:"keyword"`
	ID               int64      `json:"id" search:"integer"`
	Name             string     `json:"name" search:"keyword"`
	Image            string     `json:"image,omitempty" search:"stored"`
	Price            *Amount    `json:"price,omitempty" search:"decimal"`
	FinalPrice       *Amount    `json:"final_price,omitempty" search:"decimal"`
	SpecialPrice     *Amount    `json:"special_price,omitempty" search:"decimal"`
	SpecialPriceFrom *time.Time `json:"special_price_from,omitempty" search:"date"`
	SpecialPriceTo   *time.Time `json:"special_price_to,omitempty" search:"date"`
	InStock          bool       `json:"in_stock" search:"boolean"`
	Quantity         *Amount    `json:"quantity,omitempty" search:"decimal"`
	// Options are the values by which it differs from the others.
	Options []Option `json:"options,omitempty" search:"object"`
}

// Option is one value of a variant.
type Option struct {
	Code  string `json:"code" search:"keyword"`
	Label string `json:"label" search:"keyword"`
	Value string `json:"value" search:"keyword"`
}

// Values are attributes that are fields of their own, by code: a string, an Amount, a bool or a time.Time, or a list of strings.
type Values map[string]any

// Amount is a price or a quantity. In JSON it is a number.
type Amount struct{ decimal.Decimal }

// NewAmount rounds to the 4 decimals that a Decimal has.
func NewAmount(d decimal.Decimal) *Amount { return &Amount{d.Round(4)} }

// MarshalJSON writes a number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// Own is an attribute that is a field of its own.
type Own struct {
	Code string
	Type Type
	Sort bool
}

// Fields are those of a Document, of which Attributes has the attributes given.
func Fields(attributes []Own) []Field {
	return fieldsOf(reflect.TypeFor[Document](), attributes)
}

func fieldsOf(t reflect.Type, attributes []Own) []Field {
	var all []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind, sort, _ := strings.Cut(f.Tag.Get("search"), ",")
		field := Field{Name: name, Type: Type(kind), Sort: sort == "sort"}
		switch {
		case kind == "values":
			field.Type = Object
			for _, a := range attributes {
				field.Fields = append(field.Fields, Field{Name: a.Code, Type: a.Type, Sort: a.Sort})
			}
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			field.Fields = fieldsOf(f.Type.Elem(), nil)
		}
		all = append(all, field)
	}
	return all
}

// JSON is the document for a Write.
func (d *Document) JSON() (json.RawMessage, error) { return encode(d) }
