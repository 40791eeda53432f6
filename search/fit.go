package search

import (
	"encoding/json"
	"unicode/utf8"
)

// What a document has at most when it is cut. Descriptions are cut first, as a search finds a product by its first words too;
// then variants, of which a page shows some hundreds at most.
const (
	keptVariants    = 500
	keptDescription = 500 // bytes
)

// Fit cuts a document until its JSON has at most limit bytes, and returns the JSON and the names of the fields that were cut. In
// this order, each step only while the document is too long:
//
//  1. description, then short_description are shortened, to no less than 500 bytes;
//  2. variants beyond 500 are left out;
//  3. other_attributes, then images are left out, the last first;
//  4. description and short_description are left out;
//  5. variants, group_prices, then categories are left out, the last first;
//  6. attributes are left out, the longest first;
//  7. the name is shortened.
//
// A limit of 0 is none. What is left may be longer than a limit below 2,000.
func (d *Document) Fit(limit int) (json.RawMessage, []string, error) {
	whole, err := d.JSON()
	if err != nil || limit == 0 || len(whole) <= limit {
		return whole, nil, err
	}
	c := cutter{doc: *d, limit: limit, size: len(whole)}
	c.text("description", &c.doc.Description, keptDescription)
	c.text("short_description", &c.doc.ShortDescription, keptDescription)
	if len(c.doc.Variants) > keptVariants {
		shorten(&c, "variants", &c.doc.Variants, keptVariants)
	}
	shorten(&c, "other_attributes", &c.doc.OtherAttributes, 0)
	shorten(&c, "images", &c.doc.Images, 0)
	c.text("description", &c.doc.Description, 0)
	c.text("short_description", &c.doc.ShortDescription, 0)
	shorten(&c, "variants", &c.doc.Variants, 0)
	shorten(&c, "group_prices", &c.doc.GroupPrices, 0)
	shorten(&c, "categories", &c.doc.Categories, 0)
	c.values()
	c.text("name", &c.doc.Name, 100)
	cut, err := c.doc.JSON()
	return cut, c.cut, err
}

// cutter is a document that is being cut.
type cutter struct {
	doc   Document
	limit int
	size  int // of the document's JSON now, or a little more
	cut   []string
}

func (c *cutter) over() int { return c.size - c.limit }

// did notes that a field was cut.
func (c *cutter) did(name string) {
	for _, known := range c.cut {
		if known == name {
			return
		}
	}
	c.cut = append(c.cut, name)
}

// text shortens a text by as much as is too much, to no less than keep bytes, between two characters.
func (c *cutter) text(name string, text *string, keep int) {
	if c.over() <= 0 || len(*text) <= keep {
		return
	}
	before := sizeOf(*text)
	end := len(*text)
	for end > keep {
		// An escaped character is longer in JSON than in the text, so that cutting as many bytes as are too many may need
		// another round, and never cuts too little text for good.
		over := c.over() - (before - sizeOf((*text)[:end]))
		if over <= 0 {
			break
		}
		end = max(keep, end-max(1, over/6))
		for end > 0 && !utf8.RuneStart((*text)[end]) {
			end--
		}
	}
	*text = (*text)[:end]
	c.size -= before - sizeOf(*text)
	c.did(name)
}

// shorten takes elements from the end of a list until the document fits or keep are left.
func shorten[T any](c *cutter, name string, list *[]T, keep int) {
	end := len(*list)
	for end > keep && c.over() > 0 {
		end--
		c.size -= sizeOf((*list)[end]) + 1 // its comma
		c.did(name)
	}
	*list = (*list)[:end:end]
}

// values leaves attributes out, the longest first.
func (c *cutter) values() {
	left := Values{}
	for code, value := range c.doc.Attributes {
		left[code] = value
	}
	for len(left) > 0 && c.over() > 0 {
		longest, size := "", -1
		for code, value := range left {
			if n := sizeOf(value) + sizeOf(code); n > size || n == size && code < longest {
				longest, size = code, n
			}
		}
		delete(left, longest)
		c.size -= size + 2
		c.did("attributes")
	}
	c.doc.Attributes = left
}

// sizeOf is how long the JSON of a part is.
func sizeOf(part any) int {
	b, err := json.Marshal(part)
	if err != nil {
		return 0 // the whole was marshaled before
	}
	return len(b)
}
