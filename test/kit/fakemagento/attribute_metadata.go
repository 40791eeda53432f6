package fakemagento

import (
	"net/http"
	"slices"
)

// The attributes of customers and of their addresses, with the forms that ask for them. The last of each is the shop's own.
var (
	customerAttributes = []map[string]any{
		attributeMetadata("firstname", "text", "First Name", true, nil),
		attributeMetadata("lastname", "text", "Last Name", true, nil),
		attributeMetadata("email", "text", "Email", true, nil),
		attributeMetadata("gender", "select", "Gender", false, []any{
			map[string]any{"label": "Male", "value": "1"}, map[string]any{"label": "Female", "value": "2"},
		}),
		own(attributeMetadata("erp_number", "text", "ERP number", false, nil)),
	}
	addressAttributes = []map[string]any{
		attributeMetadata("street", "multiline", "Street Address", true, nil),
		attributeMetadata("city", "text", "City", true, nil),
		attributeMetadata("country_id", "select", "Country", true, []any{map[string]any{"label": "Germany", "value": "DE"}}),
		own(attributeMetadata("floor", "text", "Floor", false, nil)),
	}
	forms = map[string][]string{
		"customer_account_create": {"firstname", "lastname", "email"}, "customer_account_edit": {"firstname", "lastname", "email", "gender"},
		"customer_address_edit": {"street", "city", "country_id"},
	}
)

func attributeMetadata(code, input, label string, required bool, options []any) map[string]any {
	if options == nil {
		options = []any{}
	}
	return map[string]any{
		"frontend_input": input, "input_filter": "", "store_label": label, "validation_rules": []any{map[string]any{"name": "max_text_length", "value": "255"}},
		"multiline_count": 1, "visible": true, "required": required, "data_model": "", "options": options, "frontend_class": "",
		"user_defined": false, "sort_order": 40, "frontend_label": label, "note": "", "system": true, "backend_type": "static",
		"is_used_in_grid": true, "is_visible_in_grid": true, "attribute_code": code,
	}
}

func own(attribute map[string]any) map[string]any {
	attribute["user_defined"], attribute["system"], attribute["backend_type"] = true, false, "varchar"
	return attribute
}

func (s *Server) attributeMetadataRoutes(routes *http.ServeMux) {
	for of, all := range map[string][]map[string]any{"customer": customerAttributes, "customerAddress": addressAttributes} {
		route := func(path string, f func(call) (any, *problem)) {
			routes.Handle("GET /V1/attributeMetadata/"+of+path, s.allowed("Magento_Customer::customer", s.endpoint(f)))
		}
		some := func(is func(map[string]any) bool) []map[string]any {
			return orEmpty(slices.DeleteFunc(slices.Clone(all), func(a map[string]any) bool { return !is(a) }))
		}
		route("", func(call) (any, *problem) { return all, nil })
		route("/custom", func(call) (any, *problem) {
			return some(func(a map[string]any) bool { return a["user_defined"] == true }), nil
		})
		route("/attribute/{code}", func(c call) (any, *problem) {
			if found := document(all, "attribute_code", c.PathValue("code")); found != nil {
				return found, nil
			}
			return nil, notFound("No such entity with %fieldName = %fieldValue, %field2Name = %field2Value", map[string]any{
				"fieldName": "entityType", "fieldValue": of, "field2Name": "attributeCode", "field2Value": c.PathValue("code"),
			})
		})
		route("/form/{form}", func(c call) (any, *problem) {
			codes := forms[c.PathValue("form")]
			if codes == nil {
				return nil, noSuchEntity("formCode", c.PathValue("form"))
			}
			return some(func(a map[string]any) bool { return slices.Contains(codes, text(a["attribute_code"])) }), nil
		})
	}
}
