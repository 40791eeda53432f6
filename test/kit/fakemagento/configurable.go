package fakemagento

import (
	"encoding/json"
	"maps"
	"slices"
)

func (c *catalog) childIDs(p *product) []int {
	ids := []int{}
	for _, sku := range p.children {
		if child := c.peek(sku); child != nil {
			ids = append(ids, child.id)
		}
	}
	return ids
}

// configurable gives the product that the path names, if it is one that has children.
func (s *Server) configurable(c call) (*product, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	if p.values["type_id"] != "configurable" {
		return nil, invalid("Only implemented for configurable product: %1", []string{p.sku})
	}
	return p, nil
}

func (s *Server) children(c call) (any, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	all := []any{}
	for _, sku := range p.children {
		if child := s.catalog.peek(sku); child != nil {
			all = append(all, s.catalog.showProduct(child, c.store))
		}
	}
	return all, nil
}

func (s *Server) addChild(c call) (any, *problem) {
	if c.body["childSku"] == nil {
		return nil, required("childSku")
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	child, wrong := s.catalog.product(text(c.body["childSku"]))
	if wrong != nil {
		return nil, wrong
	}
	switch {
	case slices.Contains(p.children, child.sku):
		return nil, invalid("The product is already attached.", nil)
	case len(p.options) == 0:
		return nil, invalid("The parent product doesn't have configurable product options.", nil)
	}
	for _, option := range p.options {
		found, wrong := s.catalog.attribute(text(option["attribute_id"]))
		if wrong != nil {
			return nil, wrong
		}
		if code := text(found["attribute_code"]); text(child.values[code]) == "" {
			return nil, invalid(`The child product doesn't have the "%1" attribute value. Verify the value and try again.`, []string{code})
		}
	}
	p.children = append(p.children, child.sku)
	return true, nil
}

func (s *Server) removeChild(c call) (any, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	if p.values["type_id"] != "configurable" {
		return nil, invalid(`The product with the "%1" SKU isn't a configurable product.`, []string{p.sku})
	}
	at := slices.Index(p.children, c.PathValue("child"))
	if at < 0 {
		return nil, notFound("The option that was requested doesn't exist. Verify the entity and try again.", nil)
	}
	p.children = slices.Delete(p.children, at, at+1)
	return true, nil
}

func (s *Server) configurableOptions(c call) (any, *problem) {
	p, wrong := s.configurable(c)
	if wrong != nil {
		return nil, wrong
	}
	return orEmpty(p.options), nil
}

func (s *Server) optionOf(c call) (*product, int, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, 0, wrong
	}
	p, wrong := s.configurable(c)
	if wrong != nil {
		return nil, 0, wrong
	}
	at := slices.IndexFunc(p.options, func(o map[string]any) bool { return o["id"] == id })
	if at < 0 {
		return nil, 0, notFound("Requested option doesn't exist: %1", []int{id})
	}
	return p, at, nil
}

func (s *Server) configurableOption(c call) (any, *problem) {
	p, at, wrong := s.optionOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return p.options[at], nil
}

// saveConfigurableOption answers with the option's id, as a text. A simple product becomes a configurable one.
func (s *Server) saveConfigurableOption(c call) (any, *problem) {
	option, wrong := c.object("option")
	if wrong != nil {
		return nil, wrong
	}
	if c.PathValue("id") != "" {
		p, at, wrong := s.optionOf(c)
		if wrong != nil {
			return nil, wrong
		}
		changed := maps.Clone(p.options[at])
		maps.Copy(changed, option)
		changed["id"] = p.options[at]["id"]
		p.options[at] = changed
		return text(changed["id"]), nil
	}
	values, _ := option["values"].([]any)
	switch {
	case text(option["attribute_id"]) == "":
		return nil, invalid("Option attribute ID is not specified.", nil)
	case text(option["label"]) == "":
		return nil, invalid("Option label is not specified.", nil)
	case len(values) == 0:
		return nil, invalid("Option values are not specified.", nil)
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	found, wrong := s.catalog.attribute(text(option["attribute_id"]))
	if wrong != nil {
		return nil, wrong
	}
	id := text(found["attribute_id"])
	if slices.ContainsFunc(p.options, func(o map[string]any) bool { return o["attribute_id"] == id }) {
		return nil, invalid("Product already has this option", nil)
	}
	added := maps.Clone(option)
	maps.Copy(added, map[string]any{"id": s.catalog.nextID("configurable option"), "attribute_id": id, "product_id": p.id})
	p.options = append(p.options, added)
	p.values["type_id"] = "configurable"
	return text(added["id"]), nil
}

// deleteConfigurableOption takes all children away, too, as Magento does.
func (s *Server) deleteConfigurableOption(c call) (any, *problem) {
	p, at, wrong := s.optionOf(c)
	if wrong != nil {
		return nil, wrong
	}
	p.options = slices.Delete(p.options, at, at+1)
	p.children = nil
	return true, nil
}

// variations makes a product of each combination of the options' values, and saves none of them.
func (s *Server) variations(c call) (any, *problem) {
	base, wrong := c.object("product")
	if wrong != nil {
		return nil, wrong
	}
	options, wrong := c.rows("options")
	if wrong != nil {
		return nil, wrong
	}
	type variation struct {
		suffix     string
		attributes []any
	}
	all := []variation{{}}
	for _, option := range options {
		found, wrong := s.catalog.attribute(text(option["attribute_id"]))
		if wrong != nil {
			return nil, wrong
		}
		values, _ := option["values"].([]any)
		var more []variation
		for _, v := range all {
			for _, one := range values {
				value, _ := one.(map[string]any)
				index := text(value["value_index"])
				more = append(more, variation{v.suffix + "-" + optionLabel(found, index), append(slices.Clone(v.attributes), map[string]any{
					"attribute_code": found["attribute_code"], "value": index,
				})})
			}
		}
		all = more
	}
	made := []any{}
	for _, v := range all {
		d := maps.Clone(base)
		given, _ := base["custom_attributes"].([]any)
		maps.Copy(d, map[string]any{
			"sku": text(base["sku"]) + v.suffix, "name": text(base["name"]) + v.suffix, "type_id": "simple", "visibility": 1, "status": 1,
			"price": json.Number("0"), "custom_attributes": append(slices.Clone(given), v.attributes...),
		})
		if price := base["price"]; price != nil {
			d["price"] = floating(price)
		}
		made = append(made, d)
	}
	return made, nil
}

func optionLabel(attribute map[string]any, value string) string {
	for _, one := range options(attribute) {
		if option, _ := one.(map[string]any); text(option["value"]) == value {
			return text(option["label"])
		}
	}
	return value
}
