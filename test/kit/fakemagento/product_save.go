package fakemagento

import (
	"maps"
	"slices"
	"strings"
)

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
	// What can still be refused comes before anything is kept.
	media, tiers := p.media, p.tiers
	if entries, ok := body["media_gallery_entries"].([]any); ok {
		if media, wrong = s.catalog.gallery(p, entries); wrong != nil {
			return nil, wrong
		}
	}
	if list, ok := body["tier_prices"].([]any); ok {
		if tiers, wrong = s.tiersIn(list); wrong != nil {
			return nil, wrong
		}
	}
	for _, option := range objects(body["options"]) {
		if wrong := checkOption(option); wrong != nil {
			return nil, wrong
		}
	}
	p.media, p.tiers = media, tiers
	if missing != nil {
		p.id = s.catalog.nextID("product")
		s.catalog.products[strings.ToLower(sku)] = p
	}
	s.catalog.fillProduct(p, body, c.store, missing != nil)
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
		if to := text(link["linked_product_sku"]); c.peek(to) == nil {
			return notFound(`The Product with the "%1" SKU doesn't exist.`, []string{to})
		}
	}
	return nil
}

func (c *catalog) fillProduct(p *product, body map[string]any, store int, isNew bool) {
	for key, value := range body {
		at := store
		if isNew || slices.Contains(globalFields, key) {
			at = 0
		}
		switch key {
		case "id", "sku", "created_at", "updated_at", "media_gallery_entries", "tier_prices":
		case "price", "weight":
			p.set(at, key, floating(value))
		case "options": // with saveOptions in the body or without
			options := objects(value)
			for i := range options {
				options[i] = c.keepOption(p, options[i])
			}
			p.setCustomOptions(options)
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
		default:
			p.set(at, key, value)
		}
	}
	p.touch()
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
