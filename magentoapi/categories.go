package magentoapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// CategoriesService calls the endpoints of categories and of the products in them. On a Client for a store view, names
// and other values are that view's.
//
// Source of the endpoints: app/code/Magento/Catalog/etc/webapi.xml.
type CategoriesService struct{ client *Client }

// Category is a category (Catalog\Api\Data\CategoryInterface). What has no field here is in CustomAttributes:
// description, is_anchor, url_key, …
type Category struct {
	ID              ID     `json:"id"`
	ParentID        ID     `json:"parent_id"` // not changed by a save: see Move
	Name            Text   `json:"name"`
	IsActive        Flag   `json:"is_active"`
	IncludeInMenu   Flag   `json:"include_in_menu"`
	Position        Int    `json:"position"` // among its siblings
	Level           Int    `json:"level"`    // 0 for the root of all, 1 for those of the websites
	Path            Text   `json:"path"`     // the ids from the root to itself, as in 1/2/7
	Children        Text   `json:"children"` // the ids right below, with commas
	AvailableSortBy []Text `json:"available_sort_by"`
	CreatedAt       Time   `json:"created_at"`
	UpdatedAt       Time   `json:"updated_at"`

	CustomAttributes    CustomAttributes    `json:"custom_attributes"`
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *Category) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c Category) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// CategoryNode is a category and what is below it (Catalog\Api\Data\CategoryTreeInterface).
type CategoryNode struct {
	ID           ID             `json:"id"`
	ParentID     ID             `json:"parent_id"`
	Name         Text           `json:"name"`
	IsActive     Flag           `json:"is_active"`
	Position     Int            `json:"position"`
	Level        Int            `json:"level"`
	ProductCount Int            `json:"product_count"`
	Children     []CategoryNode `json:"children_data"`
}

// All gives the node and each below it, every parent before its children.
func (n *CategoryNode) All() iter.Seq[*CategoryNode] {
	return func(yield func(*CategoryNode) bool) { n.walk(yield) }
}

func (n *CategoryNode) walk(yield func(*CategoryNode) bool) bool {
	if !yield(n) {
		return false
	}
	for i := range n.Children {
		if !n.Children[i].walk(yield) {
			return false
		}
	}
	return true
}

// CategoryProduct is a product's place in a category (Catalog\Api\Data\CategoryProductLinkInterface).
type CategoryProduct struct {
	SKU        Text `json:"sku"`
	Position   Int  `json:"position"`
	CategoryID Text `json:"category_id"`
}

// Tree reads the categories from one on, 0 for the root of the store view, or of all, and so many levels below it, 0 for
// all of them.
//
// GET /V1/categories, permission Magento_Catalog::categories
func (s *CategoriesService) Tree(ctx context.Context, root int64, depth int) (*CategoryNode, error) {
	query := url.Values{}
	if root != 0 {
		query.Set("rootCategoryId", itoa(root))
	}
	if depth > 0 {
		query.Set("depth", strconv.Itoa(depth))
	}
	op := operation{method: http.MethodGet, path: endpoint("categories"), query: encodeQuery(query)}
	var node CategoryNode
	if err := s.client.call(ctx, op, nil, &node); err != nil {
		return nil, err
	}
	if node.ID == 0 {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("a category without an id"))
	}
	return &node, nil
}

// Get reads a category; ErrNotFound if there is none.
//
// GET /V1/categories/:categoryId, permission Magento_Catalog::categories
func (s *CategoriesService) Get(ctx context.Context, id int64) (*Category, error) {
	return s.one(ctx, operation{method: http.MethodGet, path: endpoint("categories", itoa(id))}, nil)
}

// one is an operation that answers with a category.
func (s *CategoriesService) one(ctx context.Context, op operation, body any) (*Category, error) {
	var c Category
	if err := s.client.call(ctx, op, body, &c); err != nil {
		return nil, err
	}
	if c.ID == 0 {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("a category without an id"))
	}
	return &c, nil
}

// Search reads one page of categories. Without a sort they are sorted by entity_id.
//
// GET /V1/categories/list, permission Magento_Catalog::categories
func (s *CategoriesService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Category], error) {
	return search[Category](ctx, s.client, endpoint("categories", "list"), "entity_id", criteria)
}

// All gives all categories that a search finds, as ProductsService.All does products.
//
// GET /V1/categories/list, permission Magento_Catalog::categories
func (s *CategoriesService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Category, error] {
	return walk(ctx, criteria, "entity_id", func(c *Category) ID { return c.ID }, s.Search)
}

// Create makes a category below c.ParentID, 0 for the root of the store view, and gives it as it was saved. It needs a
// name, and IsActive.
//
// POST /V1/categories, permission Magento_Catalog::categories
func (s *CategoriesService) Create(ctx context.Context, c *Category) (*Category, error) {
	return s.one(ctx, operation{method: http.MethodPost, path: endpoint("categories")}, map[string]*Category{"category": c})
}

// Update changes the category with c.ID: only what c has, but neither its parent nor its path. It is repeated where a
// read is: the same values are saved again.
//
// PUT /V1/categories/:id, permission Magento_Catalog::categories
func (s *CategoriesService) Update(ctx context.Context, c *Category) (*Category, error) {
	op := operation{method: http.MethodPut, path: endpoint("categories", itoa(int64(c.ID))), repeatable: true}
	return s.one(ctx, op, map[string]*Category{"category": c})
}

// Delete deletes a category and all categories below it. Their products stay.
//
// DELETE /V1/categories/:categoryId, permission Magento_Catalog::categories
func (s *CategoriesService) Delete(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("categories", itoa(id))}, nil)
}

// CategoryPlace is where a category is moved to.
type CategoryPlace struct {
	ParentID int64
	// AfterID is the category below the parent that it comes right after; 0 is the end, and below 0 the place before all
	// others. It comes to the end, too, if AfterID is higher than the id of the last one there
	// (Catalog\Model\CategoryManagement::move).
	AfterID int64
}

// Move moves a category, and what is below it, below another one. It is repeated where a read is: it is put into the same
// place again.
//
// PUT /V1/categories/:categoryId/move, permission Magento_Catalog::categories
func (s *CategoriesService) Move(ctx context.Context, id int64, place CategoryPlace) error {
	type move struct {
		ParentID int64  `json:"parentId"`
		AfterID  *int64 `json:"afterId,omitempty"`
	}
	to := move{ParentID: place.ParentID}
	if place.AfterID != 0 {
		after := max(place.AfterID, 0)
		to.AfterID = &after
	}
	op := operation{method: http.MethodPut, path: endpoint("categories", itoa(id), "move"), repeatable: true}
	return s.client.confirmed(ctx, op, to)
}

// Products reads the products of a category and their places: all at once, for this endpoint has no pages. To go
// through the products themselves, search them by category_id.
//
// GET /V1/categories/:categoryId/products, permission Magento_Catalog::categories
func (s *CategoriesService) Products(ctx context.Context, id int64) ([]CategoryProduct, error) {
	var products []CategoryProduct
	op := operation{method: http.MethodGet, path: endpoint("categories", itoa(id), "products")}
	err := s.client.call(ctx, op, nil, &products)
	return products, err
}

// Assign puts a product into a category, at a position, or moves it there. Magento saves the whole category: what else is
// assigned at that moment can be lost. It is repeated where a read is: the same place is saved again.
//
// PUT /V1/categories/:categoryId/products, permission Magento_Catalog::categories
func (s *CategoriesService) Assign(ctx context.Context, id int64, sku string, position int) error {
	// Position 0 is one, so that it is written, which CategoryProduct need not be.
	type link struct {
		SKU        string `json:"sku"`
		Position   int    `json:"position"`
		CategoryID string `json:"category_id"`
	}
	op := operation{method: http.MethodPut, path: endpoint("categories", itoa(id), "products"), repeatable: true}
	return s.client.confirmed(ctx, op, map[string]link{"productLink": {sku, position, itoa(id)}})
}

// Unassign takes a product out of a category; ErrBadRequest if it is not in it. Magento saves the whole category, as for
// Assign.
//
// DELETE /V1/categories/:categoryId/products/:sku, permission Magento_Catalog::categories
func (s *CategoriesService) Unassign(ctx context.Context, id int64, sku string) error {
	op := operation{method: http.MethodDelete, path: endpoint("categories", itoa(id), "products", sku)}
	return s.client.confirmed(ctx, op, nil)
}
