package fakemagento

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

type category struct {
	entity
	parent   *category // nil for the root
	position int
	products map[int]int // position by product id
}

// categoryFields are the keys of a category's document.
var categoryFields = []string{"name", "is_active", "include_in_menu", "created_at", "updated_at", "available_sort_by"}

// categoryAttributes are those that have no key of their own.
var categoryAttributes = []string{
	"description", "display_mode", "image", "is_anchor", "meta_title", "meta_keywords", "meta_description", "url_key", "url_path",
	"landing_page", "custom_design", "default_sort_by",
}

const (
	rootCategory    = 1
	defaultCategory = 2
)

func (c *catalog) firstCategories() {
	root := c.addCategory(nil, "Root Catalog")
	c.addCategory(root, "Default Category")
}

func (c *catalog) addCategory(parent *category, name string) *category {
	added := &category{entity: newEntity(c.nextID("category")), parent: parent, products: map[int]int{}}
	maps.Copy(added.values, map[string]any{
		"name": name, "is_active": true, "include_in_menu": true, "available_sort_by": []any{},
	})
	if parent != nil {
		added.position = len(c.childrenOf(parent)) + 1
	}
	c.categories[added.id] = added
	return added
}

// childrenOf gives the categories right below one, in their order.
func (c *catalog) childrenOf(parent *category) []*category {
	var below []*category
	for _, one := range byID(c.categories) {
		if one.parent == parent {
			below = append(below, one)
		}
	}
	slices.SortStableFunc(below, func(a, b *category) int { return a.position - b.position })
	return below
}

func (g *category) path() string {
	if g.parent == nil {
		return strconv.Itoa(g.id)
	}
	return g.parent.path() + "/" + strconv.Itoa(g.id)
}

func (g *category) level() int { return strings.Count(g.path(), "/") }

func (c *catalog) category(id int) (*category, *problem) {
	found := c.categories[id]
	if found == nil {
		return nil, noSuchEntity("id", id)
	}
	return found, nil
}

func (s *Server) categoryOf(c call) (*category, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, wrong
	}
	return s.catalog.category(id)
}

func (c *catalog) showCategory(g *category, store int) map[string]any {
	d := g.show(store, categoryFields)
	var children []string
	for _, child := range c.childrenOf(g) {
		children = append(children, strconv.Itoa(child.id))
	}
	parent := 0
	if g.parent != nil {
		parent = g.parent.id
	}
	maps.Copy(d, map[string]any{
		"parent_id": parent, "position": g.position, "level": g.level(), "path": g.path(),
		"children": strings.Join(children, ","),
	})
	return d
}

func (s *Server) getCategory(c call) (any, *problem) {
	found, wrong := s.categoryOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return s.catalog.showCategory(found, c.store), nil
}

func (s *Server) searchCategories(c call) (any, *problem) {
	var all []map[string]any
	for _, one := range byID(s.catalog.categories) {
		all = append(all, s.catalog.showCategory(one, c.store))
	}
	known := []string{"entity_id", "parent_id", "position", "level", "path"}
	return list(c, func(field string) bool {
		return slices.Contains(known, field) || slices.Contains(categoryFields, field) || slices.Contains(categoryAttributes, field)
	}, all)
}

// categoryTree begins at rootCategoryId, or at the root, which for a store view is that of its website.
func (s *Server) categoryTree(c call) (any, *problem) {
	root := rootCategory
	if c.store != 0 {
		root = defaultCategory
	}
	if given := c.URL.Query().Get("rootCategoryId"); given != "" {
		root, _ = strconv.Atoi(given)
	}
	depth := -1
	if given, err := strconv.Atoi(c.URL.Query().Get("depth")); err == nil {
		depth = given
	}
	top, wrong := s.catalog.category(root)
	if wrong != nil {
		return nil, wrong
	}
	return s.catalog.tree(top, c.store, depth), nil
}

func (c *catalog) tree(g *category, store, depth int) map[string]any {
	d := c.showCategory(g, store)
	node := map[string]any{"product_count": len(g.products), "children_data": []any{}}
	for _, key := range []string{"id", "parent_id", "name", "is_active", "position", "level"} {
		node[key] = d[key]
	}
	if depth == 0 {
		return node
	}
	below := []any{}
	for _, child := range c.childrenOf(g) {
		below = append(below, c.tree(child, store, depth-1))
	}
	node["children_data"] = below
	return node
}

func (s *Server) saveCategory(c call) (any, *problem) {
	body, wrong := c.object("category")
	if wrong != nil {
		return nil, wrong
	}
	id, _ := number(body["id"])
	if c.PathValue("id") != "" {
		if id, wrong = c.id("id"); wrong != nil {
			return nil, wrong
		}
	}
	name, named := body["name"]
	saved := s.catalog.categories[id]
	switch {
	case id != 0 && saved == nil:
		return nil, noSuchEntity("id", id)
	case (saved == nil || named) && text(name) == "":
		return nil, invalid("Could not save category: %1", []string{`The "Name" attribute is required. Enter and try again.`})
	}
	store := c.store
	if saved == nil {
		parentID, _ := number(body["parent_id"])
		if parentID == 0 {
			parentID = defaultCategory
		}
		parent, wrong := s.catalog.category(parentID)
		if wrong != nil {
			return nil, wrong
		}
		saved = s.catalog.addCategory(parent, text(name))
		store = 0
	}
	for key, value := range body {
		switch key { // path, level and parent are changed by a move alone
		case "id", "parent_id", "path", "level", "children", "created_at", "updated_at":
		case "position":
			if position, ok := number(value); ok {
				saved.position = position
			}
		case "custom_attributes":
			saved.setAttributes(store, value, func(code string) bool { return slices.Contains(categoryAttributes, code) })
		case "extension_attributes":
			saved.extend(value)
		case "is_active", "include_in_menu":
			saved.set(store, key, value != nil && value != false && text(value) != "0")
		default:
			saved.set(store, key, value)
		}
	}
	saved.touch()
	return s.catalog.showCategory(saved, c.store), nil
}

// deleteCategory deletes the category and all below it.
func (s *Server) deleteCategory(c call) (any, *problem) {
	found, wrong := s.categoryOf(c)
	if wrong != nil {
		return nil, wrong
	}
	if found.level() < 2 {
		return nil, invalid("Cannot delete category with id %1", []int{found.id})
	}
	below := found.path() + "/"
	for id, one := range s.catalog.categories {
		if one == found || strings.HasPrefix(one.path()+"/", below) {
			delete(s.catalog.categories, id)
		}
	}
	return true, nil
}

func (s *Server) moveCategory(c call) (any, *problem) {
	moved, wrong := s.categoryOf(c)
	if wrong != nil {
		return nil, wrong
	}
	if c.body["parentId"] == nil {
		return nil, required("parentId")
	}
	parentID, _ := number(c.body["parentId"])
	parent, wrong := s.catalog.category(parentID)
	if wrong != nil {
		return nil, wrong
	}
	if strings.HasPrefix(parent.path()+"/", moved.path()+"/") {
		return nil, invalid("Operation do not allow to move a parent category to any of children category", nil)
	}
	below := slices.DeleteFunc(s.catalog.childrenOf(parent), func(g *category) bool { return g == moved })
	at := len(below)
	if after, ok := number(c.body["afterId"]); ok && at > 0 && after <= below[at-1].id {
		at = 1 + slices.IndexFunc(below, func(g *category) bool { return g.id == after }) // 0 for the first place
	}
	moved.parent = parent
	for i, one := range slices.Insert(below, at, moved) {
		one.position = i + 1
	}
	return true, nil
}

func (s *Server) categoryProducts(c call) (any, *problem) {
	found, wrong := s.categoryOf(c)
	if wrong != nil {
		return nil, wrong
	}
	links := []any{}
	for _, p := range s.catalog.sorted() {
		if position, ok := found.products[p.id]; ok {
			links = append(links, map[string]any{"sku": p.sku, "position": position, "category_id": text(found.id)})
		}
	}
	return links, nil
}

func (s *Server) assignProduct(c call) (any, *problem) {
	link, wrong := c.object("productLink")
	if wrong != nil {
		return nil, wrong
	}
	if link["category_id"] == nil {
		return nil, required("category_id")
	}
	id, _ := number(link["category_id"])
	found, wrong := s.catalog.category(id)
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.catalog.product(text(link["sku"]))
	if wrong != nil {
		return nil, wrong
	}
	position, _ := number(link["position"])
	found.products[p.id] = position
	return true, nil
}

func (s *Server) unassignProduct(c call) (any, *problem) {
	found, wrong := s.categoryOf(c)
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	if _, ok := found.products[p.id]; !ok {
		return nil, invalid("The category doesn't contain the specified product.", nil)
	}
	delete(found.products, p.id)
	return true, nil
}
