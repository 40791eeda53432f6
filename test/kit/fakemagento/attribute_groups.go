package fakemagento

import (
	"maps"
	"slices"
	"strings"
)

// group gives the set of a group, and the group's place in it.
func (c *catalog) group(id int) (*attributeSet, int) {
	for _, set := range c.sets {
		if at := slices.IndexFunc(set.groups, func(g *attributeGroup) bool { return g.id == id }); at >= 0 {
			return set, at
		}
	}
	return nil, 0
}

// searchGroups wants to be told the set.
func (s *Server) searchGroups(c call) (any, *problem) {
	known := []string{"attribute_set_id", "attribute_group_id", "attribute_group_name"}
	field := func(field string) bool { return slices.Contains(known, field) }
	criteria, wrong := parseCriteria(c.URL.Query(), field)
	if wrong != nil {
		return nil, wrong
	}
	var of string
	for _, group := range criteria.groups {
		for _, f := range group {
			if f.Field == "attribute_set_id" {
				of = f.Value
			}
		}
	}
	if of == "" {
		return nil, required("attribute_set_id")
	}
	if id, _ := number(of); s.catalog.sets[id] == nil {
		return nil, noSuchEntity("attributeSetId", of)
	}
	var all []map[string]any
	for _, set := range byID(s.catalog.sets) {
		for _, g := range set.groups {
			all = append(all, g.show(set.id))
		}
	}
	return list(c, field, all)
}

func (s *Server) saveGroup(c call) (any, *problem) {
	body, wrong := c.object("group")
	if wrong != nil {
		return nil, wrong
	}
	setID, _ := number(body["attribute_set_id"])
	if c.PathValue("id") != "" && setID == 0 {
		if setID, wrong = c.id("id"); wrong != nil {
			return nil, wrong
		}
	}
	set := s.catalog.sets[setID]
	if set == nil {
		return nil, noSuchEntity("attributeSetId", setID)
	}
	name := text(body["attribute_group_name"])
	var saved *attributeGroup
	if id, ok := number(body["attribute_group_id"]); ok {
		in, at := s.catalog.group(id)
		if in != set {
			return nil, noSuchEntity("attributeGroupId", id)
		}
		saved = set.groups[at]
	}
	if slices.ContainsFunc(set.groups, func(g *attributeGroup) bool { return g != saved && strings.EqualFold(g.name, name) }) {
		return nil, invalid("The attributeGroup can't be saved.", nil)
	}
	if saved == nil {
		saved = &attributeGroup{id: s.catalog.nextID("group")}
		set.groups = append(set.groups, saved)
	}
	saved.name = name
	if extension, ok := body["extension_attributes"].(map[string]any); ok {
		saved.kept = extension
	}
	return saved.show(set.id), nil
}

func (s *Server) deleteGroup(c call) (any, *problem) {
	id, wrong := c.id("group")
	if wrong != nil {
		return nil, wrong
	}
	set, at := s.catalog.group(id)
	if set == nil {
		return nil, notFound(`The group with the "%1" ID doesn't exist. Verify the ID and try again.`, []int{id})
	}
	for code, place := range set.places {
		if place.group == id && s.catalog.attributes[code]["is_user_defined"] != true {
			return nil, invalid("The attribute group can't be deleted because it contains system attributes.", nil)
		}
	}
	maps.DeleteFunc(set.places, func(_ string, p attributePlace) bool { return p.group == id })
	set.groups = slices.Delete(set.groups, at, at+1)
	return true, nil
}
