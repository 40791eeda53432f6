package fakemagento

import (
	"maps"
	"slices"
	"strings"
)

// optionTypes are the types of custom options by their groups (Catalog/etc/product_options.xml).
var optionTypes = map[string][]string{
	"text": {"field", "area"}, "file": {"file"}, "select": {"drop_down", "radio", "checkbox", "multiple"}, "date": {"date", "date_time", "time"},
}

func (s *Server) customOptionTypes(call) (any, *problem) {
	types := []any{}
	for _, group := range slices.Sorted(maps.Keys(optionTypes)) {
		for _, code := range optionTypes[group] {
			types = append(types, map[string]any{"code": code, "label": strings.ReplaceAll(code, "_", " "), "group": group})
		}
	}
	return types, nil
}

// options are the custom options that a product has.
func (p *product) customOptions() []map[string]any { return objects(p.values["options"]) }

// checkOption is what Catalog\Model\Product\Option\Validator asks for.
func checkOption(option map[string]any) *problem {
	kind := text(option["type"])
	group := ""
	for name, codes := range optionTypes {
		if slices.Contains(codes, kind) {
			group = name
		}
	}
	switch {
	case text(option["title"]) == "":
		return invalid("Missed values for option required fields", nil)
	case group == "":
		return invalid("Invalid option type", nil)
	case group == "select" && len(objects(option["values"])) == 0:
		return invalid("Invalid option value", nil)
	}
	for _, value := range objects(option["values"]) {
		if text(value["title"]) == "" {
			return invalid("Invalid option value", nil)
		}
	}
	return nil
}

// keepOption gives an option and its values their ids.
func (c *catalog) keepOption(p *product, option map[string]any) map[string]any {
	kept := map[string]any{"sort_order": 0, "is_require": false}
	maps.Copy(kept, option)
	if id, _ := number(kept["option_id"]); id == 0 {
		kept["option_id"] = c.nextID("custom option")
	}
	kept["product_sku"] = p.sku
	if price := kept["price"]; price != nil {
		kept["price"] = floating(price)
	}
	values := []any{}
	for _, value := range objects(kept["values"]) {
		value = maps.Clone(value)
		if id, _ := number(value["option_type_id"]); id == 0 {
			value["option_type_id"] = c.nextID("custom option value")
		}
		if price := value["price"]; price != nil {
			value["price"] = floating(price)
		}
		values = append(values, value)
	}
	if len(values) > 0 {
		kept["values"] = values
	}
	return kept
}

func (p *product) setCustomOptions(options []map[string]any) {
	all := make([]any, 0, len(options))
	for _, o := range options {
		all = append(all, o)
	}
	p.values["options"] = all
}

func (s *Server) listCustomOptions(c call) (any, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	return orEmpty(p.customOptions()), nil
}

func (s *Server) customOptionOf(c call) (*product, int, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, 0, wrong
	}
	at := slices.IndexFunc(p.customOptions(), func(o map[string]any) bool { return text(o["option_id"]) == c.PathValue("id") })
	if at < 0 {
		return nil, 0, noSuchEntity("optionId", c.PathValue("id"))
	}
	return p, at, nil
}

func (s *Server) getCustomOption(c call) (any, *problem) {
	p, at, wrong := s.customOptionOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return p.customOptions()[at], nil
}

// saveCustomOption is POST and PUT: the product's SKU is in the option, and the id in the path overrides the body's.
func (s *Server) saveCustomOption(c call) (any, *problem) {
	option, wrong := c.object("option")
	if wrong != nil {
		return nil, wrong
	}
	if text(option["product_sku"]) == "" {
		return nil, invalid("The ProductSku is empty. Set the ProductSku and try again.", nil)
	}
	p, wrong := s.catalog.product(text(option["product_sku"]))
	if wrong != nil {
		return nil, wrong
	}
	options := p.customOptions()
	at := len(options)
	if id := c.PathValue("id"); id != "" {
		option["option_id"], _ = number(id)
		if at = slices.IndexFunc(options, func(o map[string]any) bool { return text(o["option_id"]) == id }); at < 0 {
			return nil, noSuchEntity("optionId", id)
		}
	}
	if wrong := checkOption(option); wrong != nil {
		return nil, wrong
	}
	kept := s.catalog.keepOption(p, option)
	if at == len(options) {
		options = append(options, nil)
	}
	options[at] = kept
	p.setCustomOptions(options)
	return kept, nil
}

func (s *Server) deleteCustomOption(c call) (any, *problem) {
	p, at, wrong := s.customOptionOf(c)
	if wrong != nil {
		return nil, wrong
	}
	p.setCustomOptions(slices.Delete(p.customOptions(), at, at+1))
	return true, nil
}
