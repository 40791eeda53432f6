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
	options  []map[string]any // of a configurable product
	children []string         // their SKUs
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
	d["tier_prices"] = c.showTiers(p)
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
		return field == "entity_id" || slices.Contains(productFields, field) || s.catalog.attributes[field] != nil
	}, all)
}

// sorted gives the products by their ids.
func (c *catalog) sorted() []*product {
	return slices.SortedFunc(maps.Values(c.products), func(a, b *product) int { return a.id - b.id })
}

// saveProduct is POST /V1/products and PUT /V1/products/:sku: both make the product that is not there, and change the
// one that is.
func (s *Server) saveProduct(c call) (any, *problem) {
	body, wrong := c.object("product")
	if wrong != nil {
		return nil, wrong
	}
	// Magento puts what is in the path into the body only if there is nothing but the product in it
	// (Webapi\Controller\Rest\ParamsOverrider).
	if sku := c.PathValue("sku"); sku != "" && len(c.body) == 1 {
		body["sku"] = sku
	}
	sku := strings.TrimSpace(text(body["sku"]))
	if sku == "" {
		return nil, emptyAttribute("SKU")
	}
	p, missing := s.catalog.product(sku)
	if missing != nil {
		p = &product{entity: newEntity(0), sku: sku, websites: s.catalog.websites()}
		maps.Copy(p.values, map[string]any{"sku": sku, "type_id": "simple", "status": 1, "visibility": 4})
	}
	if wrong := s.catalog.checkProduct(p, body, missing != nil); wrong != nil {
		return nil, wrong
	}
	if missing != nil {
		p.id = s.catalog.nextID("product")
		s.catalog.products[strings.ToLower(sku)] = p
	}
	if wrong := s.catalog.fillProduct(p, body, c.store, missing != nil); wrong != nil {
		return nil, wrong
	}
	return s.catalog.showProduct(p, c.store), nil
}

func emptyAttribute(label string) *problem {
	return invalid(`The "%1" attribute value is empty. Set the attribute and try again.`, []string{label})
}

func (c *catalog) checkProduct(p *product, body map[string]any, isNew bool) *problem {
	name, named := body["name"]
	price, priced := body["price"]
	kind := text(p.values["type_id"])
	if body["type_id"] != nil {
		kind = text(body["type_id"])
	}
	set, _ := number(body["attribute_set_id"])
	switch {
	case (isNew || named) && text(name) == "":
		return emptyAttribute("Product Name")
	case isNew && !priced && kind != "configurable" && kind != "grouped" && kind != "bundle":
		return emptyAttribute("Price")
	case (isNew || body["attribute_set_id"] != nil) && c.sets[set] == nil:
		return invalid("Invalid product data: %1", []string{"Invalid attribute set entity type"})
	}
	if d, ok := money(price); priced && price != nil && (!ok || d.IsNegative()) {
		return invalid(`Invalid value of "%value" provided for the %fieldName field.`, map[string]any{"fieldName": "price", "value": price})
	}
	links, _ := body["product_links"].([]any)
	for _, one := range links {
		link, _ := one.(map[string]any)
		if to := text(link["linked_product_sku"]); c.products[strings.ToLower(to)] == nil {
			return notFound(`The Product with the "%1" SKU doesn't exist.`, []string{to})
		}
	}
	return nil
}

func (c *catalog) fillProduct(p *product, body map[string]any, store int, isNew bool) *problem {
	for key, value := range body {
		at := store
		if isNew || slices.Contains(globalFields, key) {
			at = 0
		}
		switch key {
		case "id", "sku", "created_at", "updated_at":
		case "price", "weight":
			p.set(at, key, floating(value))
		case "custom_attributes":
			p.setAttributes(at, value, func(code string) bool { return c.attributes[code] != nil && code != "category_ids" })
			c.categoryIDs(p, value)
		case "extension_attributes":
			c.extendProduct(p, value)
		case "product_links":
			if links, ok := value.([]any); ok {
				p.links = nil
				for _, one := range links {
					link, _ := one.(map[string]any)
					c.link(p, link)
				}
			}
		case "media_gallery_entries":
			if entries, ok := value.([]any); ok {
				if wrong := c.replaceMedia(p, entries); wrong != nil {
					return wrong
				}
			}
		case "tier_prices": // the fake takes them at their own endpoints alone
		default:
			p.set(at, key, value)
		}
	}
	p.touch()
	return nil
}

func (c *catalog) extendProduct(p *product, extension any) {
	object, _ := extension.(map[string]any)
	p.extend(object, "website_ids", "category_links", "configurable_product_options", "configurable_product_links")
	if ids, ok := object["website_ids"].([]any); ok {
		p.websites = []int{}
		for _, one := range ids {
			if id, ok := number(one); ok {
				p.websites = append(p.websites, id)
			}
		}
	}
	if links, ok := object["category_links"].([]any); ok {
		c.unassignAll(p)
		for _, one := range links {
			link, _ := one.(map[string]any)
			id, _ := number(link["category_id"])
			position, _ := number(link["position"])
			if category := c.categories[id]; category != nil {
				category.products[p.id] = position
			}
		}
	}
	if ids, ok := object["configurable_product_links"].([]any); ok {
		p.children = nil
		for _, one := range ids {
			id, _ := number(one)
			if child := c.productByID(id); child != nil {
				p.children = append(p.children, child.sku)
			}
		}
	}
}

// categoryIDs assigns the product to the categories of the attribute category_ids, if it is among them.
func (c *catalog) categoryIDs(p *product, attributes any) {
	list, _ := attributes.([]any)
	for _, one := range list {
		a, _ := one.(map[string]any)
		ids, ok := a["value"].([]any)
		if a["attribute_code"] != "category_ids" || !ok {
			continue
		}
		kept := map[int]bool{}
		for _, one := range ids {
			id, _ := number(one)
			kept[id] = true
		}
		for id, category := range c.categories {
			_, is := category.products[p.id]
			switch {
			case kept[id] && !is:
				category.products[p.id] = 0
			case !kept[id]:
				delete(category.products, p.id)
			}
		}
	}
}

func (c *catalog) unassignAll(p *product) {
	for _, category := range c.categories {
		delete(category.products, p.id)
	}
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
