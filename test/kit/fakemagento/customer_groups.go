package fakemagento

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (cs *customers) initGroups() {
	for i, code := range []string{"NOT LOGGED IN", "General", "Wholesale", "Retailer"} {
		cs.groups = append(cs.groups, map[string]any{"id": i, "code": code, "tax_class_id": 3, "tax_class_name": "Retail Customer"})
	}
	cs.nextGroup = len(cs.groups)
	cs.defaultGroups = map[int]int{0: 1}
}

// defaultGroup is that of a store view, or else that of all.
func (s *Server) defaultGroup(store int) map[string]any {
	id, ok := s.customers.defaultGroups[store]
	if !ok {
		id = s.customers.defaultGroups[0]
	}
	return document(s.customers.groups, "id", strconv.Itoa(id))
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
	route("GET /V1/customerGroups/default", func(c call) (any, *problem) { return s.defaultGroup(c.store), nil })
	route("GET /V1/customerGroups/default/{store}", func(c call) (any, *problem) {
		store, wrong := c.id("store")
		if wrong != nil {
			return nil, wrong
		}
		if !slices.ContainsFunc(s.options.Stores, func(st Store) bool { return st.ID == store }) {
			return nil, noSuchEntity("storeId", store)
		}
		return s.defaultGroup(store), nil
	})
	route("PUT /V1/customerGroups/default/{id}", func(c call) (any, *problem) {
		group, wrong := s.customerGroup(c)
		if wrong != nil {
			return nil, wrong
		}
		s.customers.defaultGroups[c.store], _ = number(group["id"])
		return group["id"], nil
	})
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
	id, _ := number(group["id"])
	if isDefault := slices.Contains(slices.Collect(maps.Values(s.customers.defaultGroups)), id); id == 0 || isDefault { // 0 is not logged in
		return nil, invalid("Cannot delete group.", nil)
	}
	s.customers.groups = slices.DeleteFunc(s.customers.groups, func(d map[string]any) bool { return text(d["id"]) == text(group["id"]) })
	return true, nil
}
