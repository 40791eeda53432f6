package magentoapi

import (
	"context"
	"net/http"
)

// MediaEntry is an image or a video of a product (Catalog\Api\Data\ProductAttributeMediaGalleryEntryInterface).
type MediaEntry struct {
	ID        ID     `json:"id"`
	MediaType Text   `json:"media_type"` // image or external-video
	Label     Text   `json:"label"`      // the alternative text
	Position  Int    `json:"position"`
	Disabled  Flag   `json:"disabled"` // not shown
	Types     []Text `json:"types"`    // its roles: image, small_image, thumbnail, swatch_image
	File      Text   `json:"file"`     // below pub/media/catalog/product
	// Content is the image itself, to add or to change it; Magento never answers it.
	Content             *MediaContent       `json:"content"`
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"` // video_content

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (m *MediaEntry) UnmarshalJSON(data []byte) error { return readObject(data, m) }

// MarshalJSON writes what was read with what was changed.
func (m MediaEntry) MarshalJSON() ([]byte, error) { return writeObject(m, m.asRead) }

// MediaContent is an image (Framework\Api\Data\ImageContentInterface).
type MediaContent struct {
	Data []byte `json:"base64_encoded_data"`
	Type string `json:"type"` // as in image/jpeg
	Name string `json:"name"` // of the file; Magento changes it if there is one with this name
}

// Media reads all media of a product.
//
// GET /V1/products/:sku/media, permission Magento_Catalog::catalog
func (s *ProductsService) Media(ctx context.Context, sku string) ([]*MediaEntry, error) {
	return pointed[MediaEntry](ctx, s.client, operation{method: http.MethodGet, path: endpoint("products", sku, "media")}, nil)
}

// Medium reads one.
//
// GET /V1/products/:sku/media/:entryId, permission Magento_Catalog::catalog
func (s *ProductsService) Medium(ctx context.Context, sku string, id int64) (*MediaEntry, error) {
	return get[MediaEntry](ctx, s.client, endpoint("products", sku, "media", itoa(id)))
}

// AddMedia adds one, and gives its id. It needs Content, MediaType "image", and a Label.
//
// POST /V1/products/:sku/media, permission Magento_Catalog::catalog
func (s *ProductsService) AddMedia(ctx context.Context, sku string, m *MediaEntry) (int64, error) {
	var id ID
	op := operation{method: http.MethodPost, path: endpoint("products", sku, "media")}
	err := s.client.call(ctx, op, map[string]*MediaEntry{"entry": m}, &id)
	return int64(id), err
}

// UpdateMedia changes the one with m.ID. What m doesn't have is emptied: read it, change it, save it.
//
// PUT /V1/products/:sku/media/:entryId, permission Magento_Catalog::catalog
func (s *ProductsService) UpdateMedia(ctx context.Context, sku string, m *MediaEntry) error {
	op := operation{method: http.MethodPut, path: endpoint("products", sku, "media", itoa(int64(m.ID)))}
	return s.client.confirmed(ctx, op, map[string]*MediaEntry{"entry": m})
}

// DeleteMedia deletes one.
//
// DELETE /V1/products/:sku/media/:entryId, permission Magento_Catalog::catalog
func (s *ProductsService) DeleteMedia(ctx context.Context, sku string, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("products", sku, "media", itoa(id))}, nil)
}
