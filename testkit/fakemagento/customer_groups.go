package fakemagento

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (cs *customers) initGroups() {
	for i, code := range []string{"NOT LOGGED IN", "General", "Wholesale", "Retailer"} {
		cs.groups = append(cs.groups, map[string]any{"id": i, "code": code, "tax_class_id": 3, "tax_class_name": "Retail Customer"})
	}
	cs.nextGroup = len(cs.groups)
}

func (s *Server) customerGroupRoutes(routes *http.ServeMux) {
	route := func(pattern string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Customer::group", s.endpoint(f)))
	}
	route("GET /V1/customerGroups/search", func(c call) (any, *problem) {
		known := func(field string) bool {
			return slices.Contains([]string{"id", "code", "tax_class_id", "tax_class_name"}, field)
		}
		return list(c, known, slices.Clone(s.customers.groups))
	})
	route("GET /V1/customerGroups/default", func(call) (any, *problem) { return document(s.customers.groups, "id", "1"), nil })
	route("GET /V1/customerGroups/{id}", s.getCustomerGroup)
	route("POST /V1/customerGroups", s.createCustomerGroup)
	route("PUT /V1/customerGroups/{id}", s.updateCustomerGroup)
	route("DELETE /V1/customerGroups/{id}", s.deleteCustomerGroup)
}

func (s *Server) customerGroup(c call) (map[string]any, *problem) {
	group := document(s.customers.groups, "id", c.PathValue("id"))
	if group == nil {
		return nil, noSuchEntity("id", c.PathValue("id"))
	}
	return group, nil
}

func (s *Server) getCustomerGroup(c call) (any, *problem) {
	group, wrong := s.customerGroup(c)
	return group, wrong
}

func (s *Server) checkCustomerGroup(id any, code string) *problem {
	if code == "" {
		return required("code")
	}
	for _, other := range s.customers.groups {
		if text(other["id"]) != text(id) && strings.EqualFold(text(other["code"]), code) {
			return invalid("Customer Group already exists.", nil)
		}
	}
	return nil
}

func (s *Server) createCustomerGroup(c call) (any, *problem) {
	group, wrong := c.object("group")
	if wrong == nil {
		wrong = s.checkCustomerGroup(nil, text(group["code"]))
	}
	if wrong != nil {
		return nil, wrong
	}
	made := map[string]any{"tax_class_id": 3, "tax_class_name": "Retail Customer"}
	maps.Copy(made, group)
	made["id"] = s.customers.nextGroup
	s.customers.nextGroup++
	s.customers.groups = append(s.customers.groups, made)
	return made, nil
}

func (s *Server) updateCustomerGroup(c call) (any, *problem) {
	given, wrong := c.object("group")
	if wrong != nil {
		return nil, wrong
	}
	group, wrong := s.customerGroup(c)
	if wrong == nil {
		wrong = s.checkCustomerGroup(group["id"], text(given["code"]))
	}
	if wrong != nil {
		return nil, wrong
	}
	delete(given, "id")
	maps.Copy(group, given)
	return group, nil
}

func (s *Server) deleteCustomerGroup(c call) (any, *problem) {
	group, wrong := s.customerGroup(c)
	if wrong != nil {
		return nil, wrong
	}
	if id, _ := number(group["id"]); id <= 1 { // not logged in, and the default of new customers
		return nil, invalid("Cannot delete group.", nil)
	}
	s.customers.groups = slices.DeleteFunc(s.customers.groups, func(d map[string]any) bool { return text(d["id"]) == text(group["id"]) })
	return true, nil
}
