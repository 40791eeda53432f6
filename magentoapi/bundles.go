package magentoapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// BundlesService calls the endpoints of bundle products: their options, and the products that each has to choose from.
//
// Source of the endpoints: app/code/Magento/Bundle/etc/webapi.xml.
type BundlesService struct{ client *Client }

// BundleOption is what a buyer chooses one or several products of (Bundle\Api\Data\OptionInterface).
type BundleOption struct {
	OptionID ID           `json:"option_id"`
	SKU      Text         `json:"sku"` // of the bundle
	Title    Text         `json:"title"`
	Type     Text         `json:"type"` // select, radio, checkbox or multi
	Required Flag         `json:"required"`
	Position Int          `json:"position"`
	Links    []BundleLink `json:"product_links"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (o *BundleOption) UnmarshalJSON(data []byte) error { return readObject(data, o) }

// MarshalJSON writes what was read with what was changed.
func (o BundleOption) MarshalJSON() ([]byte, error) { return writeObject(o, o.asRead) }

// BundleLink is a product to choose (Bundle\Api\Data\LinkInterface). Its price counts in bundles with a fixed price only.
type BundleLink struct {
	ID                ID      `json:"id"`
	SKU               Text    `json:"sku"`
	OptionID          ID      `json:"option_id"`
	Qty               Decimal `json:"qty"`
	CanChangeQuantity Flag    `json:"can_change_quantity"`
	Position          Int     `json:"position"`
	IsDefault         Flag    `json:"is_default"`
	Price             Decimal `json:"price"`
	PriceType         *Int    `json:"price_type"` // 0 is an amount, 1 a percentage

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (l *BundleLink) UnmarshalJSON(data []byte) error { return readObject(data, l) }

// MarshalJSON writes what was read with what was changed.
func (l BundleLink) MarshalJSON() ([]byte, error) { return writeObject(l, l.asRead) }

// BundleOptionType is a type that an option can have.
type BundleOptionType struct {
	Code  Text `json:"code"`
	Label Text `json:"label"`
}

// OptionTypes reads the types that options can have.
//
// GET /V1/bundle-products/options/types, permission Magento_Catalog::products
func (s *BundlesService) OptionTypes(ctx context.Context) ([]BundleOptionType, error) {
	return getList[BundleOptionType](ctx, s.client, endpoint("bundle-products", "options", "types"))
}

// Options reads the options of a bundle; of another product it is ErrBadRequest.
//
// GET /V1/bundle-products/:sku/options/all, permission Magento_Catalog::products
func (s *BundlesService) Options(ctx context.Context, sku string) ([]*BundleOption, error) {
	return pointed[BundleOption](ctx, s.client, operation{method: http.MethodGet, path: endpoint("bundle-products", sku, "options", "all")}, nil)
}

// Option reads an option of a bundle.
//
// GET /V1/bundle-products/:sku/options/:optionId, permission Magento_Catalog::products
func (s *BundlesService) Option(ctx context.Context, sku string, id int64) (*BundleOption, error) {
	return get[BundleOption](ctx, s.client, endpoint("bundle-products", sku, "options", itoa(id)))
}

// AddOption adds an option, with its products, to the bundle with o.SKU, and gives its id. It is not repeated: twice makes
// two.
//
// POST /V1/bundle-products/options/add, permission Magento_Catalog::products
func (s *BundlesService) AddOption(ctx context.Context, o *BundleOption) (int64, error) {
	op := operation{method: http.MethodPost, path: endpoint("bundle-products", "options", "add")}
	return s.client.identified(ctx, op, map[string]*BundleOption{"option": o})
}

// UpdateOption saves an option, whose id and SKU are in it. If it has Links, they take the place of those that it had. It is
// not repeated: a link without an id would be a second one.
//
// PUT /V1/bundle-products/options/:optionId, permission Magento_Catalog::products
func (s *BundlesService) UpdateOption(ctx context.Context, o *BundleOption) error {
	op := operation{method: http.MethodPut, path: endpoint("bundle-products", "options", idOrNone(o.OptionID))}
	_, err := s.client.identified(ctx, op, map[string]*BundleOption{"option": o})
	return err
}

// DeleteOption deletes an option with its links. It is not repeated: the second time it may fail.
//
// DELETE /V1/bundle-products/:sku/options/:optionId, permission Magento_Catalog::products
func (s *BundlesService) DeleteOption(ctx context.Context, sku string, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("bundle-products", sku, "options", itoa(id))}, nil)
}

// Children reads the products of an option, 0 for those of all.
//
// GET /V1/bundle-products/:productSku/children, permission Magento_Catalog::products
func (s *BundlesService) Children(ctx context.Context, sku string, optionID int64) ([]*BundleLink, error) {
	op := operation{method: http.MethodGet, path: endpoint("bundle-products", sku, "children")}
	if optionID != 0 {
		op.query = encodeQuery(url.Values{"optionId": {itoa(optionID)}})
	}
	return pointed[BundleLink](ctx, s.client, op, nil)
}

// Link adds a product to an option and gives the link's id. One that is there is ErrBadRequest, which is also what a repeat
// would be; it is not repeated.
//
// POST /V1/bundle-products/:sku/links/:optionId, permission Magento_Catalog::products
func (s *BundlesService) Link(ctx context.Context, sku string, optionID int64, l *BundleLink) (int64, error) {
	op := operation{method: http.MethodPost, path: endpoint("bundle-products", sku, "links", itoa(optionID))}
	return s.client.identified(ctx, op, map[string]*BundleLink{"linkedProduct": l})
}

// UpdateLink saves a link, whose id is in it.
//
// It is repeated when its outcome is not known: it puts the link in its own place.
//
// PUT /V1/bundle-products/:sku/links/:id, permission Magento_Catalog::products
func (s *BundlesService) UpdateLink(ctx context.Context, sku string, l *BundleLink) error {
	op := operation{method: http.MethodPut, path: endpoint("bundle-products", sku, "links", idOrNone(l.ID)), repeatable: true}
	return s.client.confirmed(ctx, op, map[string]*BundleLink{"linkedProduct": l})
}

// Unlink takes a product out of an option. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/bundle-products/:sku/options/:optionId/children/:childSku, permission Magento_Catalog::products
func (s *BundlesService) Unlink(ctx context.Context, sku string, optionID int64, childSKU string) error {
	path := endpoint("bundle-products", sku, "options", itoa(optionID), "children", childSKU)
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: path}, nil)
}

// idOrNone is the id in a path of what must have one; without it no request is sent (see endpoint).
func idOrNone(id ID) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprint(int64(id))
}
