package fakemagento

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// generated are products that are made when they are asked for, so that a million of them take no memory. One that is written to
// becomes a product like any other.
type generated struct {
	first, n   int          // ids from first on
	gone       map[int]bool // deleted, or products of their own
	categories []int
	colors     []string // values of the options
	attribute  int      // id of color
}

// blockSize is how many generated products belong together: a configurable product and its variants, a group, a bundle, and others.
const blockSize = 20

// GeneratedSKU returns the SKU of a generated product, which count from 0.
func GeneratedSKU(n int) string { return fmt.Sprintf("GEN-%07d", n) }

var generatedSKU = regexp.MustCompile(`^gen-(\d{7,9})$`)

// Generate adds n products of all types to the catalog. Of 20 one is configurable with three variants, which are not visible by
// themselves, one each is grouped, a bundle, virtual, downloadable and a gift card; of 100 one is disabled. The others are simple.
func (s *Server) Generate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.catalog
	g := &generated{first: c.last["product"] + 1, n: n, gone: map[int]bool{}}
	c.last["product"] += n
	for _, name := range []string{"Women", "Men", "Gear"} {
		top := c.addCategory(c.categories[defaultCategory], name)
		for _, below := range []string{"Tops", "Jackets & Coats", "Sale"} {
			g.categories = append(g.categories, c.addCategory(top, below).id)
		}
	}
	color := c.attributes["color"]
	g.attribute, _ = number(color["attribute_id"])
	for _, o := range options(color) {
		option, _ := o.(map[string]any)
		g.colors = append(g.colors, text(option["value"]))
	}
	c.generated = g
}

// Generated returns how many generated products a store view shows.
func (s *Server) Generated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	visible := 0
	if g := s.catalog.generated; g != nil {
		for i := range g.n {
			if kind, shown := generatedKind(i); kind != "" && shown && !g.gone[i] {
				visible++
			}
		}
	}
	return visible
}

// generatedKind is the type of a generated product, and whether a store view shows it by itself.
func generatedKind(n int) (kind string, shown bool) {
	shown = n%100 != 99
	switch n % blockSize {
	case 0:
		return "configurable", shown
	case 1, 2, 3:
		return "simple", false
	case 4:
		return "grouped", shown
	case 5:
		return "bundle", shown
	case 6:
		return "virtual", shown
	case 7:
		return "downloadable", shown
	case 13:
		return "giftcard", shown
	default:
		return "simple", shown
	}
}

// place returns which generated product a SKU is of, also of one that has become a product like any other.
func (g *generated) place(sku string) (int, bool) {
	m := generatedSKU.FindStringSubmatch(strings.ToLower(strings.TrimSpace(sku)))
	if g == nil || m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil && n < g.n
}

// find returns the place of a SKU among the products that are still generated.
func (g *generated) find(sku string) (int, bool) {
	n, ok := g.place(sku)
	return n, ok && !g.gone[n]
}

// generate makes a generated product.
func (c *catalog) generate(n int) *product {
	g := c.generated
	kind, _ := generatedKind(n)
	block := n / blockSize * blockSize
	p := &product{entity: newEntity(g.first + n), sku: GeneratedSKU(n), websites: c.websites()}
	name := fmt.Sprintf("%s %s %07d", []string{"Wool", "Rain", "Summer", "Trail"}[n%4], []string{"Jacket", "Shirt", "Bag"}[n%3], n)
	price := decimal.New(int64(500+n%9500), -2)
	for key, value := range map[string]any{
		"sku": p.sku, "name": name, "type_id": kind, "price": amount(price), "status": 1, "visibility": 4, "attribute_set_id": defaultSet,
		"weight": json.Number("0.75"), "created_at": "2026-01-05 08:00:00", "updated_at": "2026-11-01 09:30:00",
		"description":       "<p>" + name + " made of recycled fabric.</p>\r\n<ul><li>Wind &amp; water resistant</li><li>Packs into its own pocket</li></ul>",
		"short_description": "<p>Light &amp; warm</p>", "url_key": strings.ToLower(strings.ReplaceAll(name, " ", "-")),
		"image": "/g/e/" + strings.ToLower(p.sku) + ".jpg", "small_image": "/g/e/" + strings.ToLower(p.sku) + ".jpg", "thumbnail": "no_selection",
		"color": g.colors[n%len(g.colors)], "tax_class_id": "2", "options_container": "container2", "required_options": "0", "has_options": "0",
	} {
		p.values[key] = value
	}
	p.media = []map[string]any{{"id": g.first + n, "media_type": "image", "label": nil, "position": 1, "disabled": false, "types": []any{"image", "small_image"}, "file": "/g/e/" + strings.ToLower(p.sku) + ".jpg"}}
	if n%100 == 99 {
		p.values["status"] = 2
	}
	if n%7 == 0 {
		p.values["special_price"] = price.Mul(decimal.New(8, -1)).StringFixed(6)
	}
	for _, store := range c.stores[1:] {
		p.set(store.ID, "name", name+" ("+store.Code+")")
	}
	switch kind {
	case "configurable":
		delete(p.values, "price")
		var values []any
		for i := range 3 {
			p.children = append(p.children, GeneratedSKU(block+1+i))
			values = append(values, map[string]any{"value_index": json.Number(g.colors[(block+1+i)%len(g.colors)])})
		}
		p.options = []map[string]any{{"id": n, "attribute_id": text(g.attribute), "label": "Color", "position": 0, "values": values, "product_id": p.id}}
	case "grouped":
		for i, member := range []int{8, 9} {
			p.links = append(p.links, map[string]any{
				"sku": p.sku, "link_type": "associated", "linked_product_sku": GeneratedSKU(block + member), "linked_product_type": "simple",
				"position": i, "extension_attributes": map[string]any{"qty": 1},
			})
		}
		delete(p.values, "price")
	case "bundle":
		p.values["price_type"], p.values["sku_type"] = "0", "0"
		p.values["price"] = amount(decimal.Zero)
		delete(p.values, "special_price")
		for i, members := range [][]int{{10, 11}, {12}} {
			var links []any
			for at, member := range members {
				links = append(links, map[string]any{
					"id": text(n*10 + i*2 + at), "sku": GeneratedSKU(block + member), "option_id": n*2 + i, "qty": 1, "position": at, "is_default": at == 0,
					"price": nil, "price_type": nil, "can_change_quantity": 0,
				})
			}
			p.bundled = append(p.bundled, map[string]any{
				"option_id": n*2 + i, "title": "Choice " + text(i+1), "required": i == 0, "type": "select", "position": i, "sku": p.sku, "product_links": links,
			})
		}
	case "giftcard":
		delete(p.values, "price")
		delete(p.values, "special_price")
		p.extended["giftcard_amounts"] = []any{
			map[string]any{"attribute_id": 132, "website_id": 0, "value": 25, "website_value": 25},
			map[string]any{"attribute_id": 132, "website_id": 0, "value": 50, "website_value": 50},
		}
	}
	if i := n % blockSize; i >= 1 && i <= 3 {
		p.values["visibility"] = 1
		p.values["color"] = g.colors[(block+i)%len(g.colors)]
	}
	return p
}

// categoryOf is the category that a generated product is in.
func (g *generated) categoryOf(id int) (int, bool) {
	if g == nil || id < g.first || id >= g.first+g.n {
		return 0, false
	}
	return g.categories[(id-g.first)%len(g.categories)], true
}

// own makes a generated product one like any other, for it is written to.
func (c *catalog) own(n int) *product {
	p := c.generate(n)
	c.generated.gone[n] = true
	c.products[strings.ToLower(p.sku)] = p
	if category, ok := c.generated.categoryOf(p.id); ok {
		c.categories[category].products[p.id] = n % 10
	}
	return p
}

// peek returns a product to be looked at, without keeping a generated one; nil if there is none.
func (c *catalog) peek(sku string) *product {
	if p := c.products[strings.ToLower(strings.TrimSpace(sku))]; p != nil {
		return p
	}
	if n, ok := c.generated.find(sku); ok {
		return c.generate(n)
	}
	return nil
}

// ids returns the ids of all products, in order.
func (c *catalog) ids() []int {
	ids := make([]int, 0, len(c.products))
	for _, p := range c.products {
		ids = append(ids, p.id)
	}
	if g := c.generated; g != nil {
		for n := range g.n {
			if !g.gone[n] {
				ids = append(ids, g.first+n)
			}
		}
	}
	slices.Sort(ids)
	return ids
}
