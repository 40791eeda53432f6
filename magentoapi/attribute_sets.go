package magentoapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
)

// AttributeSetsService calls the endpoints of the sets of attributes that products have, and of the groups in them.
//
// Source of the endpoints: app/code/Magento/Catalog/etc/webapi.xml.
type AttributeSetsService struct{ client *Client }

// AttributeSet is a set (Eav\Api\Data\AttributeSetInterface). The one of a new shop has the id 4.
type AttributeSet struct {
	ID           ID   `json:"attribute_set_id"`
	Name         Text `json:"attribute_set_name"`
	SortOrder    Int  `json:"sort_order"`
	EntityTypeID ID   `json:"entity_type_id"` // 4 is products

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (a *AttributeSet) UnmarshalJSON(data []byte) error { return readObject(data, a) }

// MarshalJSON writes what was read with what was changed.
func (a AttributeSet) MarshalJSON() ([]byte, error) { return writeObject(a, a.asRead) }

// AttributeGroup is a group of attributes in a set (Eav\Api\Data\AttributeGroupInterface).
type AttributeGroup struct {
	ID    ID   `json:"attribute_group_id"`
	Name  Text `json:"attribute_group_name"`
	SetID ID   `json:"attribute_set_id"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"` // attribute_group_code, sort_order

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (g *AttributeGroup) UnmarshalJSON(data []byte) error { return readObject(data, g) }

// MarshalJSON writes what was read with what was changed.
func (g AttributeGroup) MarshalJSON() ([]byte, error) { return writeObject(g, g.asRead) }

// Get reads a set; ErrNotFound if there is none.
//
// GET /V1/products/attribute-sets/:attributeSetId, permission Magento_Catalog::sets
func (s *AttributeSetsService) Get(ctx context.Context, id int64) (*AttributeSet, error) {
	return s.one(ctx, operation{method: http.MethodGet, path: endpoint("products", "attribute-sets", itoa(id))}, nil)
}

// one is an operation that answers with a set.
func (s *AttributeSetsService) one(ctx context.Context, op operation, body any) (*AttributeSet, error) {
	var set AttributeSet
	if err := s.client.call(ctx, op, body, &set); err != nil {
		return nil, err
	}
	if set.ID == 0 {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("an attribute set without an id"))
	}
	return &set, nil
}

// Search reads one page of sets.
//
// GET /V1/products/attribute-sets/sets/list, permission Magento_Catalog::sets
func (s *AttributeSetsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*AttributeSet], error) {
	return search[AttributeSet](ctx, s.client, endpoint("products", "attribute-sets", "sets", "list"), "attribute_set_id", criteria)
}

// All gives all sets that a search finds. It goes by the number of the page, for older versions filter sets by nothing:
// some may come twice or not at all when sets are added or removed meanwhile.
//
// GET /V1/products/attribute-sets/sets/list, permission Magento_Catalog::sets
func (s *AttributeSetsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*AttributeSet, error] {
	return walkPages(ctx, criteria, s.Search)
}

// Create makes a set with the groups and attributes of another, and gives it as it was saved. It needs a name.
//
// POST /V1/products/attribute-sets, permission Magento_Catalog::sets
func (s *AttributeSetsService) Create(ctx context.Context, set *AttributeSet, from int64) (*AttributeSet, error) {
	type creation struct {
		Set      *AttributeSet `json:"attributeSet"`
		Skeleton int64         `json:"skeletonId"`
	}
	return s.one(ctx, operation{method: http.MethodPost, path: endpoint("products", "attribute-sets")}, creation{set, from})
}

// Update changes the name and the order of the set with set.ID. It is repeated where a read is: the same values are saved
// again.
//
// PUT /V1/products/attribute-sets/:attributeSetId, permission Magento_Catalog::sets
func (s *AttributeSetsService) Update(ctx context.Context, set *AttributeSet) (*AttributeSet, error) {
	op := operation{method: http.MethodPut, path: endpoint("products", "attribute-sets", itoa(int64(set.ID))), repeatable: true}
	return s.one(ctx, op, map[string]*AttributeSet{"attributeSet": set})
}

// Delete deletes a set and, with it, all products that have it.
//
// DELETE /V1/products/attribute-sets/:attributeSetId, permission Magento_Catalog::sets
func (s *AttributeSetsService) Delete(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("products", "attribute-sets", itoa(id))}, nil)
}

// Attributes reads the attributes of a set: all at once, for this endpoint has no pages.
//
// GET /V1/products/attribute-sets/:attributeSetId/attributes, permission Magento_Catalog::sets
func (s *AttributeSetsService) Attributes(ctx context.Context, id int64) ([]*Attribute, error) {
	op := operation{method: http.MethodGet, path: endpoint("products", "attribute-sets", itoa(id), "attributes")}
	return pointed[Attribute](ctx, s.client, op, nil)
}

// AttributePlace is where an attribute stands in a set.
type AttributePlace struct {
	SetID, GroupID int64
	SortOrder      int // among those of the group
}

// Assign puts an attribute into a group of a set, or moves it there. It is repeated where a read is: it is put into the
// same place again.
//
// POST /V1/products/attribute-sets/attributes, permission Magento_Catalog::sets
func (s *AttributeSetsService) Assign(ctx context.Context, code string, at AttributePlace) error {
	type place struct {
		Set       int64  `json:"attributeSetId"`
		Group     int64  `json:"attributeGroupId"`
		Code      string `json:"attributeCode"`
		SortOrder int    `json:"sortOrder"`
	}
	var placed ID // of the place, which no endpoint takes
	op := operation{method: http.MethodPost, path: endpoint("products", "attribute-sets", "attributes"), repeatable: true}
	return s.client.call(ctx, op, place{at.SetID, at.GroupID, code, at.SortOrder}, &placed)
}

// Unassign takes an attribute out of a set, and its values from the set's products; ErrBadRequest if it is not in it, or
// not of the shop's own making.
//
// DELETE /V1/products/attribute-sets/:attributeSetId/attributes/:attributeCode, permission Magento_Catalog::sets
func (s *AttributeSetsService) Unassign(ctx context.Context, id int64, code string) error {
	op := operation{method: http.MethodDelete, path: endpoint("products", "attribute-sets", itoa(id), "attributes", code)}
	return s.client.confirmed(ctx, op, nil)
}

// Groups reads the groups of a set.
//
// GET /V1/products/attribute-sets/groups/list, permission Magento_Catalog::sets
func (s *AttributeSetsService) Groups(ctx context.Context, id int64) ([]*AttributeGroup, error) {
	page := func(ctx context.Context, criteria SearchCriteria) (*Page[*AttributeGroup], error) {
		return search[AttributeGroup](ctx, s.client, endpoint("products", "attribute-sets", "groups", "list"), "attribute_group_id", criteria)
	}
	var groups []*AttributeGroup
	for g, err := range walkPages(ctx, SearchCriteria{}.Where(Eq("attribute_set_id", itoa(id))), page) {
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// CreateGroup makes a group in the set g.SetID, and gives it as it was saved.
//
// POST /V1/products/attribute-sets/groups, permission Magento_Catalog::sets
func (s *AttributeSetsService) CreateGroup(ctx context.Context, g *AttributeGroup) (*AttributeGroup, error) {
	return s.saveGroup(ctx, operation{method: http.MethodPost, path: endpoint("products", "attribute-sets", "groups")}, g)
}

// UpdateGroup changes the name of the group g.ID in the set g.SetID. It is repeated where a read is: the same name is
// saved again.
//
// PUT /V1/products/attribute-sets/:attributeSetId/groups, permission Magento_Catalog::sets
func (s *AttributeSetsService) UpdateGroup(ctx context.Context, g *AttributeGroup) (*AttributeGroup, error) {
	path := endpoint("products", "attribute-sets", itoa(int64(g.SetID)), "groups")
	return s.saveGroup(ctx, operation{method: http.MethodPut, path: path, repeatable: true}, g)
}

func (s *AttributeSetsService) saveGroup(ctx context.Context, op operation, g *AttributeGroup) (*AttributeGroup, error) {
	var saved AttributeGroup
	if err := s.client.call(ctx, op, map[string]*AttributeGroup{"group": g}, &saved); err != nil {
		return nil, err
	}
	if saved.ID == 0 {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("an attribute group without an id"))
	}
	return &saved, nil
}

// DeleteGroup deletes a group; ErrBadRequest if attributes of Magento's own are in it.
//
// DELETE /V1/products/attribute-sets/groups/:groupId, permission Magento_Catalog::sets
func (s *AttributeSetsService) DeleteGroup(ctx context.Context, group int64) error {
	op := operation{method: http.MethodDelete, path: endpoint("products", "attribute-sets", "groups", itoa(group))}
	return s.client.confirmed(ctx, op, nil)
}
