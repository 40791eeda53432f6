package magentoapi

import (
	"context"
	"iter"
	"net/http"
)

// CustomerGroupsService calls the endpoints of customer groups.
//
// Source of the endpoints: app/code/Magento/Customer/etc/webapi.xml.
type CustomerGroupsService struct{ client *Client }

// CustomerGroup is a group of customers (app/code/Magento/Customer/Api/Data/GroupInterface.php). The one with the id 0 is
// of those who are not logged in.
type CustomerGroup struct {
	ID           *ID  `json:"id"`
	Code         Text `json:"code"` // the name, at most 32 characters; what tier prices call it by
	TaxClassID   ID   `json:"tax_class_id"`
	TaxClassName Text `json:"tax_class_name"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (g *CustomerGroup) UnmarshalJSON(data []byte) error { return readObject(data, g) }

// MarshalJSON writes what was read with what was changed.
func (g CustomerGroup) MarshalJSON() ([]byte, error) { return writeObject(g, g.asRead) }

func (g *CustomerGroup) id() ID {
	if g.ID == nil {
		return 0
	}
	return *g.ID
}

// Get reads a group by its id.
//
// GET /V1/customerGroups/:id, permission Magento_Customer::group
func (s *CustomerGroupsService) Get(ctx context.Context, id int64) (*CustomerGroup, error) {
	return get[CustomerGroup](ctx, s.client, endpoint("customerGroups", itoa(id)))
}

// Default reads the group that new customers are put in.
//
// GET /V1/customerGroups/default, permission Magento_Customer::group
func (s *CustomerGroupsService) Default(ctx context.Context) (*CustomerGroup, error) {
	return get[CustomerGroup](ctx, s.client, endpoint("customerGroups", "default"))
}

// DefaultOf reads the group that new customers of a store view are put in.
//
// GET /V1/customerGroups/default/:storeId, permission Magento_Customer::group
func (s *CustomerGroupsService) DefaultOf(ctx context.Context, storeID int64) (*CustomerGroup, error) {
	return get[CustomerGroup](ctx, s.client, endpoint("customerGroups", "default", itoa(storeID)))
}

// SetDefault sets the group that new customers are put in, of the store view that the client is of, or of all.
//
// It is repeated when its outcome is not known: there is one default group.
//
// PUT /V1/customerGroups/default/:id, permission Magento_Customer::group
func (s *CustomerGroupsService) SetDefault(ctx context.Context, id int64) error {
	op := operation{method: http.MethodPut, path: endpoint("customerGroups", "default", itoa(id)), repeatable: true}
	_, err := s.client.identified(ctx, op, nil)
	return err
}

// Search reads a page of groups. Without a sort they are sorted by id.
//
// GET /V1/customerGroups/search, permission Magento_Customer::group
func (s *CustomerGroupsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*CustomerGroup], error) {
	return search[CustomerGroup](ctx, s.client, endpoint("customerGroups", "search"), "id", criteria)
}

// All gives all groups that a search finds, in the order of their ids. It ends after an error.
//
// GET /V1/customerGroups/search, permission Magento_Customer::group
func (s *CustomerGroupsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*CustomerGroup, error] {
	return walk(ctx, criteria, "id", (*CustomerGroup).id, s.Search)
}

// Create makes a group and gives it with its id. Its code must be new: else it is ErrBadRequest, which is also what a
// repeat would be; it is not repeated.
//
// POST /V1/customerGroups, permission Magento_Customer::group
func (s *CustomerGroupsService) Create(ctx context.Context, group *CustomerGroup) (*CustomerGroup, error) {
	return s.save(ctx, operation{method: http.MethodPost, path: endpoint("customerGroups")}, group)
}

// Update saves a group, whose id is in it.
//
// It is repeated when its outcome is not known: it puts the group in its own place.
//
// PUT /V1/customerGroups/:id, permission Magento_Customer::group
func (s *CustomerGroupsService) Update(ctx context.Context, group *CustomerGroup) (*CustomerGroup, error) {
	op := operation{method: http.MethodPut, path: endpoint("customerGroups", itoa(int64(group.id()))), repeatable: true}
	return s.save(ctx, op, group)
}

func (s *CustomerGroupsService) save(ctx context.Context, op operation, group *CustomerGroup) (*CustomerGroup, error) {
	return saveOne(ctx, s.client, op, map[string]any{"group": group}, func(g *CustomerGroup) bool { return g.ID != nil })
}

// Delete deletes a group; its customers go to the default one. The default one and 0 can't be deleted. It is not repeated:
// the second time it would be ErrNotFound.
//
// DELETE /V1/customerGroups/:id, permission Magento_Customer::group
func (s *CustomerGroupsService) Delete(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("customerGroups", itoa(id))}, nil)
}
