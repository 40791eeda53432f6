package fakemagento

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// taxes are the classes, rates and rules. The first classes are those that a new shop has.
type taxes struct {
	classes, rates, rules []map[string]any
	last                  map[string]int
}

func (t *taxes) init() {
	t.last = map[string]int{"class": 3}
	t.classes = []map[string]any{
		{"class_id": 2, "class_name": "Taxable Goods", "class_type": "PRODUCT"},
		{"class_id": 3, "class_name": "Retail Customer", "class_type": "CUSTOMER"},
	}
}

func (s *Server) taxRoutes(routes *http.ServeMux) {
	route := func(pattern string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Tax::manage_tax", s.endpoint(f)))
	}
	for _, kind := range []struct {
		path, id, key string
		all           *[]map[string]any
		columns       []string
		save          func(c call) (any, *problem)
		used          func(id string) *problem
	}{
		{"taxClasses", "class_id", "class_id", &s.taxes.classes, []string{"class_id", "class_name", "class_type"}, s.saveTaxClass, s.taxClassInUse},
		{
			"taxRates", "id", "tax_calculation_rate_id", &s.taxes.rates,
			[]string{"tax_calculation_rate_id", "code", "tax_country_id", "tax_region_id", "tax_postcode", "rate", "region_name"},
			s.saveTaxRate, s.taxRateInUse,
		},
		{"taxRules", "id", "id", &s.taxes.rules, []string{"id", "code", "priority", "position"}, s.saveTaxRule, nil},
	} {
		one := func(c call) (map[string]any, *problem) {
			d := document(*kind.all, kind.id, c.PathValue("id"))
			if d == nil {
				return nil, noSuchEntity(strings.ToLower(kind.path[:3])+"Id", c.PathValue("id"))
			}
			return d, nil
		}
		route("GET /V1/"+kind.path+"/search", func(c call) (any, *problem) {
			shown := make([]map[string]any, 0, len(*kind.all))
			for _, d := range *kind.all {
				d = maps.Clone(d)
				d[kind.key] = d[kind.id]
				shown = append(shown, d)
			}
			return list(c, oneOf(kind.columns), shown)
		})
		route("GET /V1/"+kind.path+"/{id}", func(c call) (any, *problem) {
			d, wrong := one(c)
			return d, wrong
		})
		route("DELETE /V1/"+kind.path+"/{id}", func(c call) (any, *problem) {
			d, wrong := one(c)
			if wrong == nil && kind.used != nil {
				wrong = kind.used(text(d[kind.id]))
			}
			if wrong != nil {
				return nil, wrong
			}
			*kind.all = slices.DeleteFunc(*kind.all, func(other map[string]any) bool { return text(other[kind.id]) == text(d[kind.id]) })
			return true, nil
		})
		route("POST /V1/"+kind.path, kind.save)
	}
	route("PUT /V1/taxClasses/{id}", s.saveTaxClass)
	route("PUT /V1/taxRates", s.saveTaxRate)
	route("PUT /V1/taxRules", s.saveTaxRule)
}

// save keeps what is given, in the place of what has its id.
func (t *taxes) save(all *[]map[string]any, kind, id string, given map[string]any) (map[string]any, *problem) {
	if n, _ := number(given[id]); n == 0 {
		t.last[kind]++
		given[id] = t.last[kind]
		*all = append(*all, given)
		return given, nil
	}
	kept := document(*all, id, text(given[id]))
	if kept == nil {
		return nil, noSuchEntity(kind+"Id", given[id])
	}
	old := kept[id]
	maps.Copy(kept, given)
	kept[id] = old
	return kept, nil
}

// taken reports whether another has this code already.
func taken(all []map[string]any, id, key string, given map[string]any) bool {
	return slices.ContainsFunc(all, func(d map[string]any) bool {
		return text(d[id]) != text(given[id]) && strings.EqualFold(text(d[key]), text(given[key]))
	})
}

func (s *Server) saveTaxClass(c call) (any, *problem) {
	given, wrong := c.object("taxClass")
	if wrong != nil {
		return nil, wrong
	}
	if id := c.PathValue("id"); id != "" {
		given["class_id"] = id
	}
	kind := text(given["class_type"])
	old := document(s.taxes.classes, "class_id", text(given["class_id"]))
	switch {
	case old != nil && old["class_type"] != kind:
		return nil, invalid("Updating classType is not allowed.", nil)
	case text(given["class_name"]) == "":
		return nil, required("class_name")
	case kind == "":
		return nil, required("class_type")
	case kind != "CUSTOMER" && kind != "PRODUCT":
		return nil, invalid(`Invalid value of "%value" provided for the %fieldName field.`, map[string]string{"fieldName": "class_type", "value": kind})
	case taken(slices.DeleteFunc(slices.Clone(s.taxes.classes), func(d map[string]any) bool { return d["class_type"] != kind }), "class_id", "class_name", given):
		return nil, invalid("A class with the same name already exists for ClassType %1.", []string{kind})
	}
	kept, wrong := s.taxes.save(&s.taxes.classes, "class", "class_id", given)
	if wrong != nil {
		return nil, wrong
	}
	return text(kept["class_id"]), nil // a text
}

func (s *Server) taxClassInUse(id string) *problem {
	for _, rule := range s.taxes.rules {
		if holds(rule["customer_tax_class_ids"], id) || holds(rule["product_tax_class_ids"], id) {
			return invalid("You cannot delete this tax class because it is used in Tax Rules. You have to delete the rules it is used in first.", nil)
		}
	}
	for _, group := range s.customers.groups {
		if text(group["tax_class_id"]) == id {
			return invalid("You cannot delete this tax class because it is used in existing customer groups.", nil)
		}
	}
	return nil
}

func holds(list any, id string) bool {
	ids, _ := list.([]any)
	return slices.ContainsFunc(ids, func(one any) bool { return text(one) == id })
}

// saveTaxRate is Tax\Model\Calculation\RateRepository.
func (s *Server) saveTaxRate(c call) (any, *problem) {
	given, wrong := c.object("taxRate")
	if wrong != nil {
		return nil, wrong
	}
	rate, numeric := money(given["rate"])
	switch {
	case text(given["tax_country_id"]) == "":
		return nil, required("country_id")
	case len(text(given["tax_country_id"])) != 2:
		return nil, invalid(`Invalid value of "%value" provided for the %fieldName field.`,
			map[string]string{"fieldName": "country_id", "value": text(given["tax_country_id"])})
	case !numeric || rate.IsNegative():
		return nil, required("percentage_rate")
	case text(given["code"]) == "":
		return nil, required("code")
	case !yes(given["zip_is_range"]) && text(given["tax_postcode"]) == "":
		return nil, required("postcode")
	case taken(s.taxes.rates, "id", "code", given):
		return nil, invalid("Code already exists.", nil)
	}
	if yes(given["zip_is_range"]) {
		from, isFrom := number(given["zip_from"])
		to, isTo := number(given["zip_to"])
		if !isFrom || !isTo || from > to {
			return nil, invalid("Range To should be equal or greater than Range From.", nil)
		}
	}
	given["rate"] = floating(given["rate"])
	if given["tax_region_id"] == nil {
		given["tax_region_id"] = 0
	}
	if given["titles"] == nil {
		given["titles"] = []any{}
	}
	kept, wrong := s.taxes.save(&s.taxes.rates, "rate", "id", given)
	return kept, wrong
}

func (s *Server) taxRateInUse(id string) *problem {
	for _, rule := range s.taxes.rules {
		if holds(rule["tax_rate_ids"], id) {
			return invalid("The tax rate cannot be removed. It exists in a tax rule.", nil)
		}
	}
	return nil
}

// saveTaxRule is Tax\Model\TaxRuleRepository.
func (s *Server) saveTaxRule(c call) (any, *problem) {
	given, wrong := c.object("rule")
	if wrong != nil {
		return nil, wrong
	}
	for _, field := range []string{"code", "customer_tax_class_ids", "product_tax_class_ids", "tax_rate_ids"} {
		if list, isList := given[field].([]any); given[field] == nil || text(given[field]) == "" || isList && len(list) == 0 {
			return nil, required(field)
		}
	}
	for field, all := range map[string][]map[string]any{"tax_rate_ids": s.taxes.rates, "customer_tax_class_ids": s.taxes.classes, "product_tax_class_ids": s.taxes.classes} {
		key := "class_id"
		if field == "tax_rate_ids" {
			key = "id"
		}
		ids, _ := given[field].([]any)
		for _, id := range ids {
			if document(all, key, text(id)) == nil {
				return nil, noSuchEntity(field, id)
			}
		}
	}
	if taken(s.taxes.rules, "id", "code", given) {
		return nil, invalid("Code already exists.", nil)
	}
	for _, field := range []string{"priority", "position"} {
		if given[field] == nil {
			given[field] = 0
		}
	}
	kept, wrong := s.taxes.save(&s.taxes.rules, "rule", "id", given)
	return kept, wrong
}
