package fakemagento

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// catalog is the shop's products, categories and attributes, as a new shop has them: no products, the root category and
// a default one, the attributes of a simple product. All of it needs mu.
type catalog struct {
	stores     []Store
	products   map[string]*product // by SKU in lower case: Magento doesn't tell "ABC" from "abc"
	categories map[int]*category
	attributes map[string]map[string]any // by code
	sets       map[int]*attributeSet
	last       map[string]int // the last id given out, by kind
	generated  *generated     // products that are made when they are asked for; nil: none
}

func newCatalog(stores []Store) catalog {
	c := catalog{
		stores: stores, products: map[string]*product{}, categories: map[int]*category{},
		attributes: map[string]map[string]any{}, sets: map[int]*attributeSet{}, last: map[string]int{},
	}
	c.firstCategories()
	c.firstAttributes()
	return c
}

func (c *catalog) nextID(kind string) int {
	c.last[kind]++
	return c.last[kind]
}

// An entity has fields and attributes, with values that hold for all store views and others that one view has of its
// own.
type entity struct {
	id       int
	values   map[string]any         // for all store views
	scoped   map[int]map[string]any // by store view
	extended map[string]any         // extension attributes that the shop merely keeps
}

func newEntity(id int) entity {
	now := time.Now().UTC().Format(layout)
	return entity{
		id: id, values: map[string]any{"created_at": now, "updated_at": now}, scoped: map[int]map[string]any{},
		extended: map[string]any{},
	}
}

// set keeps a value of one store view, or of all: a null in a view takes the view's own value away.
func (e *entity) set(store int, key string, value any) {
	if store == 0 {
		e.values[key] = value
		return
	}
	if e.scoped[store] == nil {
		e.scoped[store] = map[string]any{}
	}
	if value == nil {
		delete(e.scoped[store], key)
		return
	}
	e.scoped[store][key] = value
}

// setAttributes keeps the values of a list of custom_attributes as the database does: as texts, several at once with
// commas between them. Magento ignores an attribute that there is not.
func (e *entity) setAttributes(store int, list any, known func(code string) bool) {
	attributes, _ := list.([]any)
	for _, one := range attributes {
		a, _ := one.(map[string]any)
		code := text(a["attribute_code"])
		if !known(code) {
			continue
		}
		switch value := a["value"].(type) {
		case nil:
			e.set(store, code, nil)
		case bool:
			e.set(store, code, fmt.Sprint(flag(value)))
		case []any:
			var parts []string
			for _, part := range value {
				parts = append(parts, text(part))
			}
			e.set(store, code, strings.Join(parts, ","))
		default:
			e.set(store, code, fmt.Sprint(value))
		}
	}
}

// extend merges what the shop keeps of extension_attributes but does not know.
func (e *entity) extend(extension any, known ...string) {
	object, _ := extension.(map[string]any)
	for key, value := range object {
		if !slices.Contains(known, key) {
			e.extended[key] = value
		}
	}
}

// show gives the entity as a store view sees it: the fields beside each other, all other values in custom_attributes.
// What is null is left out.
func (e *entity) show(store int, fields []string) map[string]any {
	values := maps.Clone(e.values)
	maps.Copy(values, e.scoped[store])
	d := map[string]any{"id": e.id}
	attributes := []any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch value := values[key]; {
		case value == nil:
		case slices.Contains(fields, key):
			d[key] = value
		default:
			attributes = append(attributes, map[string]any{"attribute_code": key, "value": value})
		}
	}
	d["custom_attributes"] = attributes
	d["extension_attributes"] = maps.Clone(e.extended)
	return d
}

func (e *entity) touch() { e.values["updated_at"] = time.Now().UTC().Format(layout) }

// byID gives the values of a map in the order of their keys.
func byID[K cmp.Ordered, V any](m map[K]V) []V {
	var all []V
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[key])
	}
	return all
}

// floating gives a number as PHP prints it, whatever it came as: 29.90 and "29.9000" are 29.9.
func floating(v any) any {
	if d, ok := money(v); ok {
		return json.Number(d.String())
	}
	return v
}
