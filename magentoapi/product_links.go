package magentoapi

import (
	"context"
	"errors"
	"net/http"
)

// LinkType is how a product leads to another.
type LinkType string

// The types of links. A grouped product leads to its parts by LinkAssociated.
const (
	LinkRelated    LinkType = "related"
	LinkUpsell     LinkType = "upsell"
	LinkCrosssell  LinkType = "crosssell"
	LinkAssociated LinkType = "associated"
)

// ProductLink leads from a product to another (Catalog\Api\Data\ProductLinkInterface).
type ProductLink struct {
	SKU                 Text                `json:"sku"`
	LinkType            LinkType            `json:"link_type"`
	LinkedProductSKU    Text                `json:"linked_product_sku"`
	LinkedProductType   Text                `json:"linked_product_type"` // told by Magento
	Position            Int                 `json:"position"`
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"` // qty, of an associated product

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (l *ProductLink) UnmarshalJSON(data []byte) error { return readObject(data, l) }

// MarshalJSON writes what was read with what was changed.
func (l ProductLink) MarshalJSON() ([]byte, error) { return writeObject(l, l.asRead) }

// LinkTypes reads the types that the shop knows.
//
// GET /V1/products/links/types, permission Magento_Catalog::catalog
func (s *ProductsService) LinkTypes(ctx context.Context) ([]LinkType, error) {
	var types []struct {
		Name LinkType `json:"name"`
	}
	err := s.client.call(ctx, operation{method: http.MethodGet, path: endpoint("products", "links", "types")}, nil, &types)
	var names []LinkType
	for _, t := range types {
		names = append(names, t.Name)
	}
	return names, err
}

// Links reads the links of one type.
//
// GET /V1/products/:sku/links/:type, permission Magento_Catalog::catalog
func (s *ProductsService) Links(ctx context.Context, sku string, of LinkType) ([]ProductLink, error) {
	var links []ProductLink
	op := operation{method: http.MethodGet, path: endpoint("products", sku, "links", string(of))}
	err := s.client.call(ctx, op, nil, &links)
	return links, err
}

// SetLinks puts links, all of one type, in the place of all that the product has of that type. It is repeated where a
// read is: the same links are set again.
//
// POST /V1/products/:sku/links, permission Magento_Catalog::catalog
func (s *ProductsService) SetLinks(ctx context.Context, sku string, links []ProductLink) error {
	if len(links) == 0 { // Magento takes the type from them
		return errors.New("magento: no links to set: to have none, delete each")
	}
	for _, l := range links {
		// Of several types Magento would add those of all but the last one to what there is
		// (Catalog\Model\ProductLink\Management::setProductLinks).
		if l.LinkType != links[0].LinkType {
			return errors.New("magento: links to set must all be of one type")
		}
	}
	op := operation{method: http.MethodPost, path: endpoint("products", sku, "links"), repeatable: true}
	return s.client.confirmed(ctx, op, map[string][]ProductLink{"items": links})
}

// SaveLink adds the link from l.SKU to l.LinkedProductSKU, or changes it. It is repeated where a read is: there is one
// link of a type between two products.
//
// PUT /V1/products/:sku/links, permission Magento_Catalog::catalog
func (s *ProductsService) SaveLink(ctx context.Context, l *ProductLink) error {
	op := operation{method: http.MethodPut, path: endpoint("products", string(l.SKU), "links"), repeatable: true}
	return s.client.confirmed(ctx, op, map[string]*ProductLink{"entity": l})
}

// DeleteLink deletes a link; ErrNotFound if there is none.
//
// DELETE /V1/products/:sku/links/:type/:linkedProductSku, permission Magento_Catalog::catalog
func (s *ProductsService) DeleteLink(ctx context.Context, sku string, of LinkType, to string) error {
	op := operation{method: http.MethodDelete, path: endpoint("products", sku, "links", string(of), to)}
	return s.client.confirmed(ctx, op, nil)
}
