package magentoapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
)

// ProductsService calls the endpoints of products, their websites, media and links. A SKU may hold anything but be
// empty, "." or ".."; Magento takes it without regard to case. A web server in front may refuse SKUs with a slash
// (Apache: AllowEncodedSlashes).
//
// On a Client for all store views (Options.StoreCode, Client.Store) values are read and saved that hold where a store
// view has none of its own.
//
// Source of the endpoints: app/code/Magento/Catalog/etc/webapi.xml.
type ProductsService struct{ client *Client }

// Get reads a product; ErrNotFound if there is none.
//
// GET /V1/products/:sku, permission Magento_Catalog::products
func (s *ProductsService) Get(ctx context.Context, sku string) (*Product, error) {
	return s.one(ctx, operation{method: http.MethodGet, path: endpoint("products", sku)}, nil)
}

// one is an operation that answers with a product.
func (s *ProductsService) one(ctx context.Context, op operation, body any) (*Product, error) {
	var p Product
	if err := s.client.call(ctx, op, body, &p); err != nil {
		return nil, err
	}
	if p.SKU == "" {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("a product without a SKU"))
	}
	return &p, nil
}

// Search reads one page of products. Fields to filter by are the attributes, and entity_id, category_id and website_id
// (Catalog\Model\Api\SearchCriteria\ProductCollectionProcessor). Without a sort they are sorted by entity_id.
//
// GET /V1/products, permission Magento_Catalog::products
func (s *ProductsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Product], error) {
	return search[Product](ctx, s.client, endpoint("products"), "entity_id", criteria)
}

// All gives all products that a search finds, a page in memory at a time, in the order of their ids: each once, whatever
// is added or removed meanwhile. With a sort of the criteria's own some may come twice or not at all when products are
// added or removed meanwhile. It ends after an error.
//
// GET /V1/products, permission Magento_Catalog::products
func (s *ProductsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Product, error] {
	return walk(ctx, criteria, "entity_id", func(p *Product) ID { return p.ID }, s.Search)
}

// Create makes a product, and gives it as it was saved. If there is one with this SKU, it is changed as by Update:
// Magento makes no difference.
//
// POST /V1/products, permission Magento_Catalog::products
func (s *ProductsService) Create(ctx context.Context, p *Product, options ...ProductSaveOption) (*Product, error) {
	return s.one(ctx, operation{method: http.MethodPost, path: endpoint("products")}, save(p, options))
}

// Update changes the product with p.SKU, and gives it as it was saved; it makes one if there is none, if p has all that
// Magento wants. A SKU can't be changed.
//
// Only what p has is changed: a new Product with the SKU and what is to change is enough, and for a store view it is
// better than one that was read: that has all values, and what is saved for a store view no longer follows the value for
// all. It is repeated where a read is, unless it adds an image or a custom option: the same values are saved again.
//
// PUT /V1/products/:sku, permission Magento_Catalog::products
func (s *ProductsService) Update(ctx context.Context, p *Product, options ...ProductSaveOption) (*Product, error) {
	op := operation{method: http.MethodPut, path: endpoint("products", string(p.SKU)), repeatable: true}
	if slices.ContainsFunc(p.MediaGalleryEntries, func(m MediaEntry) bool { return m.Content != nil }) ||
		slices.ContainsFunc(p.Options, func(o ProductCustomOption) bool { return o.OptionID == 0 }) {
		op.repeatable = false
	}
	return s.one(ctx, op, save(p, options))
}

// A ProductSaveOption says how a product is saved.
type ProductSaveOption func(*product)

// SaveOptions sets saveOptions in the body. Magento's own code saves Product.Options, if the product has any, with it or
// without (magento2 issue 21729); the plugins of modules may look at it.
func SaveOptions(p *product) { p.SaveOptions = true }

// product is the body of a save. Where there is nothing beside the product, Magento takes the SKU in the path for the
// product's (Webapi\Controller\Rest\ParamsOverrider); so what is in it must be the same.
type product struct {
	Product     *Product `json:"product"`
	SaveOptions bool     `json:"saveOptions,omitempty"`
}

func save(p *Product, options []ProductSaveOption) product {
	body := product{Product: p}
	for _, o := range options {
		o(&body)
	}
	return body
}

// Delete deletes a product.
//
// DELETE /V1/products/:sku, permission Magento_Catalog::products
func (s *ProductsService) Delete(ctx context.Context, sku string) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("products", sku)}, nil)
}

// Types reads the types that products can have.
//
// GET /V1/products/types, permission Magento_Catalog::products
func (s *ProductsService) Types(ctx context.Context) ([]ProductType, error) {
	return getList[ProductType](ctx, s.client, endpoint("products", "types"))
}

// AssignWebsite offers a product in a website, too. It is repeated where a read is: a website is not added twice.
//
// POST /V1/products/:sku/websites, permission Magento_Catalog::products
func (s *ProductsService) AssignWebsite(ctx context.Context, sku string, websiteID int64) error {
	type link struct {
		SKU       string `json:"sku"`
		WebsiteID int64  `json:"website_id"`
	}
	op := operation{method: http.MethodPost, path: endpoint("products", sku, "websites"), repeatable: true}
	return s.client.confirmed(ctx, op, map[string]link{"productWebsiteLink": {sku, websiteID}})
}

// UnassignWebsite no longer offers a product in a website. It is repeated where a read is: a website that is not there is
// none to take away.
//
// DELETE /V1/products/:sku/websites/:websiteId, permission Magento_Catalog::products
func (s *ProductsService) UnassignWebsite(ctx context.Context, sku string, websiteID int64) error {
	op := operation{method: http.MethodDelete, path: endpoint("products", sku, "websites", itoa(websiteID)), repeatable: true}
	return s.client.confirmed(ctx, op, nil)
}
