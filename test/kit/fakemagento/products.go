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
	if n, ok := c.generated.find(sku); p == nil && ok {
		return c.own(n), nil
	}
	if p == nil {
		return nil, notFound("The product that was requested doesn't exist. Verify the product and try again.", nil)
	}
	return p, nil
}

func (c *catalog) productByID(id int) *product {
	if g := c.generated; g != nil && id >= g.first && id < g.first+g.n && !g.gone[id-g.first] {
		return c.generate(id - g.first)
	}
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
		position, ok := category.products[p.id]
		if id, is := c.generated.categoryOf(p.id); is && !ok && c.products[strings.ToLower(p.sku)] == nil {
			ok = id == category.id
		}
		if ok {
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
	if p.values["type_id"] == "bundle" {
		extension["bundle_product_options"] = orEmpty(p.bundled)
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
	criteria, wrong := parseCriteria(c.URL.Query(), func(field string) bool {
		return field == "entity_id" || field == "category_id" || field == "website_id" || slices.Contains(productFields, field) || s.catalog.attributes[field] != nil
	})
	if wrong != nil {
		return nil, wrong
	}
	if found, ok := s.catalog.indexed(criteria); ok {
		return s.catalog.page(criteria, found, c.store), nil
	}
	rows := []row{}
	for _, p := range s.catalog.sorted() {
		d := s.catalog.showProduct(p, c.store)
		columns := searchable(d)
		columns["website_id"] = anyOf(p.websiteIDs())
		rows = append(rows, row{columns, func() map[string]any { return d }})
	}
	return criteria.result(rows), nil
}

// websiteIDs are those of its websites.
func (p *product) websiteIDs() []any {
	ids := make([]any, len(p.websites))
	for i, id := range p.websites {
		ids[i] = id
	}
	return ids
}

// indexed returns the ids of the products that a search finds which filters by ids and SKUs alone, and sorts by id, as a database
// does with its indexes; ok is false for any other.
func (c *catalog) indexed(criteria criteria) (found []int, ok bool) {
	if len(criteria.sort) > 1 || len(criteria.sort) == 1 && (criteria.sort[0].field != "entity_id" || criteria.sort[0].direction != "ASC") {
		return nil, false
	}
	among := false
	for _, group := range criteria.groups {
		for _, f := range group {
			if f.Field != "entity_id" && f.Field != "sku" {
				return nil, false
			}
		}
		if len(group) == 1 && (group[0].Condition == "in" || group[0].Condition == "eq") {
			among = true
			values := []string{group[0].Value}
			if group[0].Condition == "in" {
				values = strings.Split(group[0].Value, ",")
			}
			found = c.among(group[0].Field, values)
			break
		}
	}
	if !among {
		found = c.ids()
	}
	matches := func(id int) bool {
		if len(criteria.groups) == 0 {
			return true
		}
		d := map[string]any{"entity_id": id}
		for _, group := range criteria.groups {
			if slices.ContainsFunc(group, func(f filter) bool { return f.Field == "sku" }) {
				d["sku"] = c.productByID(id).sku
			}
		}
		return criteria.match(d)
	}
	return slices.DeleteFunc(found, func(id int) bool { return !matches(id) }), true
}

// among returns the ids of the products of which a field has one of the values.
func (c *catalog) among(field string, values []string) []int {
	var found []int
	for _, value := range values {
		if field == "sku" {
			if p := c.peek(value); p != nil {
				found = append(found, p.id)
			}
			continue
		}
		if id, ok := number(value); ok && c.productByID(id) != nil {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// page shows one page of the products that were found.
func (c *catalog) page(criteria criteria, found []int, store int) any {
	total := len(found)
	if criteria.pageSize > 0 && total > 0 {
		size := min(criteria.pageSize, total)
		page := min(criteria.page, (total+size-1)/size) // a page beyond the last is the last page again
		found = found[(page-1)*size : min(page*size, total)]
	}
	items := []any{}
	for _, id := range found {
		items = append(items, c.showProduct(c.productByID(id), store))
	}
	return map[string]any{"items": items, "search_criteria": criteria.show(), "total_count": total}
}

// sorted gives the products by their ids.
func (c *catalog) sorted() []*product {
	var all []*product
	for _, id := range c.ids() {
		all = append(all, c.productByID(id))
	}
	return all
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
