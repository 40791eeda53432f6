package fakemagento

import (
	"slices"
	"strings"
)

var linkTypes = map[string]int{"related": 1, "associated": 3, "upsell": 4, "crosssell": 5}

func (s *Server) linkTypes(call) (any, *problem) {
	types := []any{}
	for _, name := range []string{"related", "crosssell", "upsell", "associated"} {
		types = append(types, map[string]any{"code": linkTypes[name], "name": name})
	}
	return types, nil
}

func (s *Server) linksOf(c call) (*product, string, *problem) {
	kind := c.PathValue("type")
	if linkTypes[kind] == 0 {
		return nil, "", notFound(`The "%1" link type is unknown. Verify the type and try again.`, []string{kind})
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	return p, kind, wrong
}

func (s *Server) listLinks(c call) (any, *problem) {
	p, kind, wrong := s.linksOf(c)
	if wrong != nil {
		return nil, wrong
	}
	found := []map[string]any{}
	for _, link := range p.links {
		if link["link_type"] == kind {
			found = append(found, link)
		}
	}
	return found, nil
}

// link adds a link, or changes the one to the same product of the same type.
func (c *catalog) link(p *product, link map[string]any) {
	to := c.products[strings.ToLower(text(link["linked_product_sku"]))]
	kept := map[string]any{
		"sku": p.sku, "link_type": text(link["link_type"]), "linked_product_sku": to.sku,
		"linked_product_type": to.values["type_id"], "position": link["position"],
	}
	if position, ok := number(link["position"]); ok {
		kept["position"] = position
	}
	if extension := link["extension_attributes"]; extension != nil {
		kept["extension_attributes"] = extension
	}
	p.links = slices.DeleteFunc(p.links, func(l map[string]any) bool {
		return l["link_type"] == kept["link_type"] && l["linked_product_sku"] == kept["linked_product_sku"]
	})
	p.links = append(p.links, kept)
}

// setLinks is POST: of the types that are given it replaces all links. Magento goes by the last one's type.
func (s *Server) setLinks(c call) (any, *problem) {
	items, wrong := c.rows("items")
	if wrong != nil {
		return nil, wrong
	}
	last := ""
	for _, item := range items {
		if last = text(item["link_type"]); last == "" {
			return nil, required("linkType")
		}
		if linkTypes[last] == 0 {
			return nil, notFound(`The "%1" link type wasn't found. Verify the type and try again.`, []string{last})
		}
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	for _, item := range items {
		if s.catalog.peek(text(item["linked_product_sku"])) == nil {
			return nil, invalid("The linked products data is invalid. Verify the data and try again.", nil)
		}
	}
	p.links = slices.DeleteFunc(p.links, func(l map[string]any) bool { return l["link_type"] == last })
	for _, item := range items {
		s.catalog.link(p, item)
	}
	return true, nil
}

// saveLink is PUT: it adds or changes the one link that is given.
func (s *Server) saveLink(c call) (any, *problem) {
	link, wrong := c.object("entity")
	if wrong != nil {
		return nil, wrong
	}
	if _, wrong := s.catalog.product(text(link["linked_product_sku"])); wrong != nil {
		return nil, wrong
	}
	p, wrong := s.catalog.product(text(link["sku"]))
	if wrong != nil {
		return nil, wrong
	}
	if linkTypes[text(link["link_type"])] == 0 {
		return nil, invalid("Invalid data provided for linked products", nil)
	}
	s.catalog.link(p, link)
	return true, nil
}

func (s *Server) deleteLink(c call) (any, *problem) {
	p, kind, wrong := s.linksOf(c)
	if wrong != nil {
		return nil, wrong
	}
	to := c.PathValue("to")
	before := len(p.links)
	p.links = slices.DeleteFunc(p.links, func(l map[string]any) bool {
		return l["link_type"] == kind && l["linked_product_sku"] == to
	})
	if len(p.links) == before {
		return nil, notFound("Product %1 doesn't have linked %2 as %3", []string{p.sku, to, kind})
	}
	return true, nil
}
