package fakemagento

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// firstAttributes are those of a new shop, and the set with its groups that they are in.
func (c *catalog) firstAttributes() {
	c.last["set"] = defaultSet - 1
	set := c.addSet("Default")
	for _, a := range [][4]string{ // code, label, input, backend type
		{"name", "Product Name", "text", "varchar"},
		{"sku", "SKU", "text", "static"},
		{"description", "Description", "textarea", "text"},
		{"short_description", "Short Description", "textarea", "text"},
		{"price", "Price", "price", "decimal"},
		{"special_price", "Special Price", "price", "decimal"},
		{"special_from_date", "Special Price From Date", "date", "datetime"},
		{"special_to_date", "Special Price To Date", "date", "datetime"},
		{"cost", "Cost", "price", "decimal"},
		{"weight", "Weight", "weight", "decimal"},
		{"meta_title", "Meta Title", "text", "varchar"},
		{"url_key", "URL Key", "text", "varchar"},
		{"tax_class_id", "Tax Class", "select", "int"},
		{"category_ids", "Categories", "text", "static"},
		{"status", "Enable Product", "select", "int"},
		{"visibility", "Visibility", "select", "int"},
	} {
		c.addAttribute(map[string]any{"attribute_code": a[0], "default_frontend_label": a[1], "frontend_input": a[2], "backend_type": a[3], "is_user_defined": false})
		set.place(a[0], set.groups[0].id, 0)
	}
	for _, a := range []struct {
		code, label, input string
		options            []string
	}{
		{"color", "Color", "select", []string{"Black", "Blue", "Red"}},
		{"size", "Size", "select", []string{"S", "M", "L"}},
		{"material", "Material", "multiselect", []string{"Cotton", "Wool"}},
	} {
		added := c.addAttribute(map[string]any{"attribute_code": a.code, "default_frontend_label": a.label, "frontend_input": a.input, "is_user_defined": true})
		for _, label := range a.options {
			added["options"] = append(options(added), c.newOption(map[string]any{"label": label}))
		}
		set.place(a.code, set.groups[0].id, 0)
	}
}

// addAttribute adds an attribute with what Magento gives it where nothing is said.
func (c *catalog) addAttribute(given map[string]any) map[string]any {
	input := text(given["frontend_input"])
	backend := map[string]string{"select": "int", "boolean": "int", "multiselect": "text", "textarea": "text", "price": "decimal", "date": "datetime"}[input]
	if backend == "" {
		backend = "varchar"
	}
	d := map[string]any{
		"is_required": false, "is_unique": "0", "scope": "store", "backend_type": backend, "entity_type_id": "4", "is_visible": true,
		"is_searchable": "0", "is_filterable": false, "is_comparable": "0", "is_visible_on_front": "0", "used_in_product_listing": "0",
		"apply_to": []any{}, "options": []any{}, "frontend_labels": []any{}, "position": 0, "is_user_defined": true,
	}
	maps.Copy(d, given)
	d["attribute_id"] = c.nextID("attribute") + 72
	c.attributes[text(d["attribute_code"])] = d
	return d
}

func options(attribute map[string]any) []any {
	list, _ := attribute["options"].([]any)
	return list
}

func (c *catalog) attribute(code string) (map[string]any, *problem) {
	found := c.attributes[code]
	if found == nil {
		// Also by id, which is what a configurable product's option names.
		for _, a := range c.attributes {
			if text(a["attribute_id"]) == code {
				return a, nil
			}
		}
		return nil, notFound(`The attribute with a "%1" attributeCode doesn't exist. Verify the attribute and try again.`, []string{code})
	}
	return found, nil
}

// optionIn is an option with the label that a store view shows.
func optionIn(option map[string]any, store int) map[string]any {
	shown := maps.Clone(option)
	labels, _ := option["store_labels"].([]any)
	for _, one := range labels {
		label, _ := one.(map[string]any)
		if id, _ := number(label["store_id"]); id == store && text(label["label"]) != "" {
			shown["label"] = label["label"]
		}
	}
	delete(shown, "store_labels") // they are written, and never answered
	return shown
}

// showAttribute puts the choice of nothing before the options, as Magento does.
func showAttribute(attribute map[string]any, store int) map[string]any {
	if len(options(attribute)) == 0 {
		return attribute
	}
	shown := maps.Clone(attribute)
	all := []any{map[string]any{"label": " ", "value": ""}}
	for _, one := range options(attribute) {
		option, _ := one.(map[string]any)
		all = append(all, optionIn(option, store))
	}
	shown["options"] = all
	return shown
}

func (s *Server) getAttribute(c call) (any, *problem) {
	found, wrong := s.catalog.attribute(c.PathValue("code"))
	if wrong != nil {
		return nil, wrong
	}
	return showAttribute(found, c.store), nil
}

func (s *Server) searchAttributes(c call) (any, *problem) {
	var all []map[string]any
	for _, a := range s.catalog.attributes {
		all = append(all, showAttribute(a, c.store))
	}
	slices.SortFunc(all, func(a, b map[string]any) int { return a["attribute_id"].(int) - b["attribute_id"].(int) })
	// A filter by attribute_id is an SQL error in Magento: the column is in several of the tables that it joins.
	known := []string{
		"attribute_code", "frontend_input", "backend_type", "is_user_defined", "is_required", "is_visible", "is_searchable",
		"is_filterable", "scope", "default_frontend_label",
	}
	return list(c, func(field string) bool { return slices.Contains(known, field) }, all)
}

var attributeCode = regexp.MustCompile(`^[a-z][a-z_0-9]{0,30}$`)

func (s *Server) saveAttribute(c call) (any, *problem) {
	body, wrong := c.object("attribute")
	if wrong != nil {
		return nil, wrong
	}
	code := c.PathValue("code")
	if code == "" && body["attribute_id"] != nil {
		code = text(body["attribute_code"])
	}
	if code != "" {
		return s.changeAttribute(c, code, body)
	}
	label := text(body["default_frontend_label"])
	labels, _ := body["frontend_labels"].([]any)
	if label == "" && len(labels) == 0 {
		return nil, required("frontend_label")
	}
	code = text(body["attribute_code"])
	if code == "" {
		code = regexp.MustCompile(`[^a-z_0-9]`).ReplaceAllString(strings.ToLower(label), "_")
	}
	inputs := []string{"text", "textarea", "texteditor", "date", "datetime", "boolean", "multiselect", "select", "price", "media_image", "weee", "swatch_visual", "swatch_text"}
	switch {
	case !attributeCode.MatchString(code):
		return nil, invalidField("attribute_code", code)
	case !slices.Contains(inputs, text(body["frontend_input"])):
		return nil, invalidField("frontend_input", body["frontend_input"])
	case s.catalog.attributes[code] != nil:
		return nil, invalid("Attribute with the same code already exists.", nil)
	}
	added := s.catalog.addAttribute(map[string]any{"attribute_code": code, "is_user_defined": true, "frontend_input": body["frontend_input"]})
	s.catalog.fillAttribute(added, body)
	return showAttribute(added, c.store), nil
}

func invalidField(field string, value any) *problem {
	return invalid(`Invalid value of "%value" provided for the %fieldName field.`, map[string]any{"fieldName": field, "value": value})
}

func (s *Server) changeAttribute(c call, code string, body map[string]any) (any, *problem) {
	found, wrong := s.catalog.attribute(code)
	if wrong != nil {
		return nil, wrong
	}
	s.catalog.fillAttribute(found, body)
	return showAttribute(found, c.store), nil
}

// fillAttribute takes all but what can't be changed. Of the options those with a value are changed, those without one are
// new, be they as empty as they may, and the others stay.
func (c *catalog) fillAttribute(attribute, body map[string]any) {
	for key, value := range body {
		switch key {
		case "attribute_id", "attribute_code", "is_user_defined", "frontend_input", "backend_type", "entity_type_id":
		case "options":
			given, _ := value.([]any)
			all := slices.Clone(options(attribute))
			for _, one := range given {
				option, _ := one.(map[string]any)
				if at := optionAt(attribute, text(option["value"])); at >= 0 {
					all[at] = option
					continue
				}
				all = append(all, c.newOption(option))
			}
			attribute["options"] = all
		default:
			attribute[key] = value
		}
	}
}

func (s *Server) deleteAttribute(c call) (any, *problem) {
	found, wrong := s.catalog.attribute(c.PathValue("code"))
	if wrong != nil {
		return nil, wrong
	}
	code := text(found["attribute_code"])
	if found["is_user_defined"] != true {
		return nil, invalid("The system attribute can't be deleted.", nil)
	}
	delete(s.catalog.attributes, code)
	for _, set := range s.catalog.sets {
		delete(set.places, code)
	}
	for _, p := range s.catalog.products {
		delete(p.values, code)
		for _, values := range p.scoped {
			delete(values, code)
		}
	}
	return true, nil
}

func (s *Server) attributeTypes(call) (any, *problem) {
	types := []any{}
	for _, t := range [][2]string{{"text", "Text Field"}, {"textarea", "Text Area"}, {"date", "Date"}, {"boolean", "Yes/No"}, {"multiselect", "Multiple Select"}, {"select", "Dropdown"}, {"price", "Price"}} {
		types = append(types, map[string]any{"value": t[0], "label": t[1]})
	}
	return types, nil
}
