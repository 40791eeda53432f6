package fakemagento

import (
	"maps"
	"slices"
	"strings"
)

type attributeSet struct {
	id     int
	name   string
	sort   int
	groups []*attributeGroup
	places map[string]attributePlace // by attribute code
}

type attributeGroup struct {
	id   int
	name string
	kept map[string]any // extension attributes
}

type attributePlace struct{ group, sort, id int }

// defaultSet is the id of the attribute set that a new shop has.
const defaultSet = 4

func (c *catalog) addSet(name string) *attributeSet {
	set := &attributeSet{id: c.nextID("set"), name: name, places: map[string]attributePlace{}}
	set.groups = []*attributeGroup{{id: c.nextID("group"), name: "Product Details"}}
	c.sets[set.id] = set
	return set
}

// place puts an attribute into a group of the set, and gives the id of the place.
func (s *attributeSet) place(code string, group, sort int) int {
	id := 1000*s.id + len(s.places)
	if old, ok := s.places[code]; ok {
		id = old.id
	}
	s.places[code] = attributePlace{group, sort, id}
	return id
}

func (s *attributeSet) show() map[string]any {
	return map[string]any{"attribute_set_id": s.id, "attribute_set_name": s.name, "sort_order": s.sort, "entity_type_id": 4}
}

func (g *attributeGroup) show(set int) map[string]any {
	d := map[string]any{"attribute_group_id": text(g.id), "attribute_group_name": g.name, "attribute_set_id": set}
	if g.kept != nil {
		d["extension_attributes"] = g.kept
	}
	return d
}

func (s *Server) setOf(c call) (*attributeSet, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, wrong
	}
	if s.catalog.sets[id] == nil {
		return nil, noSuchEntity("id", id)
	}
	return s.catalog.sets[id], nil
}

func (s *Server) getSet(c call) (any, *problem) {
	set, wrong := s.setOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return set.show(), nil
}

func (s *Server) searchSets(c call) (any, *problem) {
	var all []map[string]any
	for _, set := range byID(s.catalog.sets) {
		d := set.show()
		d["entity_type_code"] = "catalog_product"
		all = append(all, d)
	}
	known := []string{"attribute_set_id", "attribute_set_name", "entity_type_id", "entity_type_code", "sort_order"}
	return list(c, func(field string) bool { return slices.Contains(known, field) }, all)
}

func (s *Server) createSet(c call) (any, *problem) {
	body, wrong := c.object("attributeSet")
	if wrong != nil {
		return nil, wrong
	}
	skeleton, _ := number(c.body["skeletonId"])
	name := text(body["attribute_set_name"])
	switch {
	case body["attribute_set_id"] != nil:
		return nil, invalidField("id", body["attribute_set_id"])
	case skeleton == 0:
		return nil, invalidField("skeletonId", c.body["skeletonId"])
	case s.catalog.sets[skeleton] == nil:
		return nil, noSuchEntity("id", skeleton)
	case name == "":
		return nil, invalid("The attribute set name is empty. Enter the name and try again.", nil)
	case s.catalog.setNamed(name) != nil:
		return nil, invalid(`A "%1" attribute set name already exists. Create a new name and try again.`, []string{name})
	}
	added := s.catalog.addSet(name)
	added.sort, _ = number(body["sort_order"])
	from := s.catalog.sets[skeleton]
	added.groups = nil
	groups := map[int]int{}
	for _, g := range from.groups {
		copied := &attributeGroup{id: s.catalog.nextID("group"), name: g.name}
		groups[g.id] = copied.id
		added.groups = append(added.groups, copied)
	}
	for code, at := range from.places {
		added.place(code, groups[at.group], at.sort)
	}
	return added.show(), nil
}

func (c *catalog) setNamed(name string) *attributeSet {
	for _, set := range c.sets {
		if strings.EqualFold(set.name, name) {
			return set
		}
	}
	return nil
}

func (s *Server) updateSet(c call) (any, *problem) {
	body, wrong := c.object("attributeSet")
	if wrong != nil {
		return nil, wrong
	}
	set, wrong := s.setOf(c)
	if wrong != nil {
		return nil, wrong
	}
	if name := text(body["attribute_set_name"]); name != "" {
		set.name = name
	}
	if sort, ok := number(body["sort_order"]); ok {
		set.sort = sort
	}
	return set.show(), nil
}

// deleteSet deletes the products of the set with it, as Magento does.
func (s *Server) deleteSet(c call) (any, *problem) {
	set, wrong := s.setOf(c)
	if wrong != nil {
		return nil, wrong
	}
	if set.id == defaultSet {
		return nil, invalid("The default attribute set can't be deleted.", nil)
	}
	delete(s.catalog.sets, set.id)
	maps.DeleteFunc(s.catalog.products, func(_ string, p *product) bool { return text(p.values["attribute_set_id"]) == text(set.id) })
	return true, nil
}

func (s *Server) setAttributes(c call) (any, *problem) {
	set, wrong := s.setOf(c)
	if wrong != nil {
		return nil, wrong
	}
	all := []any{}
	for _, code := range slices.Sorted(maps.Keys(set.places)) {
		all = append(all, showAttribute(s.catalog.attributes[code], c.store))
	}
	return all, nil
}

func (s *Server) assignAttribute(c call) (any, *problem) {
	for _, name := range []string{"attributeSetId", "attributeGroupId", "attributeCode", "sortOrder"} {
		if c.body[name] == nil {
			return nil, required(name)
		}
	}
	id, _ := number(c.body["attributeSetId"])
	group, _ := number(c.body["attributeGroupId"])
	sort, _ := number(c.body["sortOrder"])
	set := s.catalog.sets[id]
	if set == nil {
		return nil, notFound(`The AttributeSet with a "%1" ID doesn't exist. Verify the attributeSet and try again.`, []int{id})
	}
	in, _ := s.catalog.group(group)
	switch {
	case in == nil:
		return nil, notFound(`The group with the "%1" ID doesn't exist. Verify the ID and try again.`, []int{group})
	case in != set:
		return nil, invalid("The attribute group doesn't belong to the attribute set.", nil)
	}
	found, wrong := s.catalog.attribute(text(c.body["attributeCode"]))
	if wrong != nil {
		return nil, wrong
	}
	return set.place(text(found["attribute_code"]), group, sort), nil
}

func (s *Server) unassignAttribute(c call) (any, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, wrong
	}
	set := s.catalog.sets[id]
	if set == nil {
		return nil, notFound(`The "%1" attribute set wasn't found. Verify and try again.`, []int{id})
	}
	found, wrong := s.catalog.attribute(c.PathValue("code"))
	if wrong != nil {
		return nil, wrong
	}
	code := text(found["attribute_code"])
	if _, ok := set.places[code]; !ok {
		return nil, invalid(`The "%1" attribute wasn't found in the "%2" attribute set. Enter the attribute and try again.`, []any{code, id})
	}
	if found["is_user_defined"] != true {
		return nil, invalid("The system attribute can't be deleted.", nil)
	}
	delete(set.places, code)
	return true, nil
}
