package fakemagento

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

type product struct {
	entity
	sku      string
	websites []int
	links    []map[string]any
	media    []map[string]any
	tiers    []tierPrice
	periods  []period         // scheduled updates
	options  []map[string]any // of a configurable product
	children []string         // their SKUs
	bundled  []map[string]any // options of a bundle
}

// productFields are the keys of a product's document; a value of any other attribute is a custom attribute.
var productFields = []string{
	"sku", "name", "attribute_set_id", "price", "status", "visibility", "type_id", "created_at", "updated_at", "weight",
	"options",
}

// globalFields are those that a store view has no value of its own of.
var globalFields = []string{"sku", "attribute_set_id", "price", "type_id", "weight", "options"}

// Product is a product to begin with. The zero value but for the SKU is a simple one that costs 10.
type Product struct {
	SKU, Name  string
	TypeID     string // empty: simple
	Price      decimal.Decimal
	Attributes map[string]string // values by code
	Unpriced   bool              // it has no price at all
}

// AddProduct puts a product into the catalog, in the place of one with this SKU, and gives its id.
func (s *Server) AddProduct(p Product) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Name == "" {
		p.Name = "Product " + p.SKU
	}
	if p.TypeID == "" {
		p.TypeID = "simple"
	}
	if p.Price.IsZero() {
		p.Price = decimal.New(10, 0)
	}
	added := &product{entity: newEntity(s.catalog.nextID("product")), sku: p.SKU, websites: s.catalog.websites()}
	maps.Copy(added.values, map[string]any{
		"sku": p.SKU, "name": p.Name, "type_id": p.TypeID, "price": amount(p.Price), "status": 1, "visibility": 4,
		"attribute_set_id": defaultSet, "weight": json.Number("1"),
	})
	for code, value := range p.Attributes {
		added.values[code] = value
	}
	if p.Unpriced {
		delete(added.values, "price")
	}
	s.catalog.products[strings.ToLower(p.SKU)] = added
	return added.id
}

// Product gives a product as GET /V1/products/:sku shows it to a store view, 0 for all, or nil where there is none.
func (s *Server) Product(sku string, store int) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, wrong := s.catalog.product(sku)
	if wrong != nil {
		return nil
	}
	return encode(s.catalog.showProduct(p, store))
}

func (c *catalog) websites() []int {
	var ids []int
	for _, store := range c.stores {
		if !slices.Contains(ids, store.WebsiteID) {
			ids = append(ids, store.WebsiteID)
		}
	}
	return ids
}

func (c *catalog) product(sku string) (*product, *problem) {
	p := c.products[strings.ToLower(strings.TrimSpace(sku))]
	if p == nil {
		return nil, notFound("The product that was requested doesn't exist. Verify the product and try again.", nil)
	}
	return p, nil
}

func (c *catalog) productByID(id int) *product {
	for _, p := range c.products {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (c *catalog) showProduct(p *product, store int) map[string]any {
	d := p.show(store, productFields)
	extension, _ := d["extension_attributes"].(map[string]any)
	extension["website_ids"] = p.websites
	links, ids := []any{}, []any{}
	for _, category := range byID(c.categories) {
		if position, ok := category.products[p.id]; ok {
			links = append(links, map[string]any{"position": position, "category_id": text(category.id)})
			ids = append(ids, text(category.id))
		}
	}
	if len(links) > 0 {
		extension["category_links"] = links
		attributes, _ := d["custom_attributes"].([]any)
		d["custom_attributes"] = append(attributes, map[string]any{"attribute_code": "category_ids", "value": ids})
	}
	if p.values["type_id"] == "configurable" {
		extension["configurable_product_options"] = p.options
		extension["configurable_product_links"] = c.childIDs(p)
	}
	d["product_links"] = orEmpty(p.links)
	d["media_gallery_entries"] = orEmpty(p.media)
	d["tier_prices"] = p.showTiers()
	if d["options"] == nil {
		d["options"] = []any{}
	}
	return d
}

// orEmpty makes sure that no list is null in JSON.
func orEmpty(list []map[string]any) []map[string]any {
	if list == nil {
		return []map[string]any{}
	}
	return list
}

func (s *Server) getProduct(c call) (any, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	return s.catalog.showProduct(p, c.store), nil
}

func (s *Server) searchProducts(c call) (any, *problem) {
	var all []map[string]any
	for _, p := range s.catalog.sorted() {
		all = append(all, s.catalog.showProduct(p, c.store))
	}
	return list(c, func(field string) bool {
		return field == "entity_id" || field == "category_id" || slices.Contains(productFields, field) || s.catalog.attributes[field] != nil
	}, all)
}

// sorted gives the products by their ids.
func (c *catalog) sorted() []*product {
	return slices.SortedFunc(maps.Values(c.products), func(a, b *product) int { return a.id - b.id })
}

func (s *Server) deleteProduct(c call) (any, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	delete(s.catalog.products, strings.ToLower(p.sku))
	s.catalog.unassignAll(p)
	for _, other := range s.catalog.products {
		other.children = slices.DeleteFunc(other.children, func(sku string) bool { return sku == p.sku })
		other.links = slices.DeleteFunc(other.links, func(l map[string]any) bool { return l["linked_product_sku"] == p.sku })
	}
	return true, nil
}

func (s *Server) productTypes(call) (any, *problem) {
	types := []any{}
	for _, t := range [][2]string{{"simple", "Simple Product"}, {"virtual", "Virtual Product"}, {"configurable", "Configurable Product"}, {"grouped", "Grouped Product"}, {"bundle", "Bundle Product"}} {
		types = append(types, map[string]any{"name": t[0], "label": t[1]})
	}
	return types, nil
}

func (s *Server) assignWebsite(c call) (any, *problem) {
	link, wrong := c.object("productWebsiteLink")
	if wrong != nil {
		return nil, wrong
	}
	id, _ := number(link["website_id"])
	if id == 0 {
		return nil, invalid("There are not websites for assign to product", nil)
	}
	p, wrong := s.catalog.product(text(link["sku"]))
	if wrong != nil {
		return nil, wrong
	}
	if !slices.Contains(s.catalog.websites(), id) {
		return nil, invalid(`Could not assign product "%1" to websites "%2"`, []any{p.id, id})
	}
	if !slices.Contains(p.websites, id) {
		p.websites = append(p.websites, id)
	}
	return true, nil
}

func (s *Server) unassignWebsite(c call) (any, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	p.websites = slices.DeleteFunc(p.websites, func(have int) bool { return have == id })
	return true, nil
}
