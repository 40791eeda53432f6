package magentoapi

import (
	"context"
	"errors"
	"net/http"
)

// ProductOptionsService calls the endpoints of custom options: what a buyer chooses or enters on a product's page, such as
// an engraving. What was chosen is in OrderItem.ProductOption.
//
// Source of the endpoints: app/code/Magento/Catalog/etc/webapi.xml.
type ProductOptionsService struct{ client *Client }

// ProductCustomOption is a custom option (Catalog\Api\Data\ProductCustomOptionInterface). Those to choose from have
// Values, each with its price; the others have a price of their own.
type ProductCustomOption struct {
	OptionID      ID      `json:"option_id"`
	ProductSKU    Text    `json:"product_sku"`
	Title         Text    `json:"title"`
	Type          Text    `json:"type"` // field, area, file, drop_down, radio, checkbox, multiple, date, date_time, time
	SortOrder     Int     `json:"sort_order"`
	IsRequire     Flag    `json:"is_require"`
	Price         Decimal `json:"price"`
	PriceType     Text    `json:"price_type"` // fixed or percent
	SKU           Text    `json:"sku"`        // added to that of the order's row
	MaxCharacters Int     `json:"max_characters"`
	FileExtension Text    `json:"file_extension"`

	Values              []ProductCustomOptionValue `json:"values"`
	ExtensionAttributes ExtensionAttributes        `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (o *ProductCustomOption) UnmarshalJSON(data []byte) error { return readObject(data, o) }

// MarshalJSON writes what was read with what was changed.
func (o ProductCustomOption) MarshalJSON() ([]byte, error) { return writeObject(o, o.asRead) }

// ProductCustomOptionValue is one of the choices.
type ProductCustomOptionValue struct {
	OptionTypeID ID      `json:"option_type_id"`
	Title        Text    `json:"title"`
	SortOrder    Int     `json:"sort_order"`
	Price        Decimal `json:"price"`
	PriceType    Text    `json:"price_type"`
	SKU          Text    `json:"sku"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (v *ProductCustomOptionValue) UnmarshalJSON(data []byte) error { return readObject(data, v) }

// MarshalJSON writes what was read with what was changed.
func (v ProductCustomOptionValue) MarshalJSON() ([]byte, error) { return writeObject(v, v.asRead) }

// ProductCustomOptionType is a type that an option can have.
type ProductCustomOptionType struct {
	Code  Text `json:"code"`
	Label Text `json:"label"`
	Group Text `json:"group"` // text, file, select or date
}

// Types reads the types that options can have.
//
// GET /V1/products/options/types, permission Magento_Catalog::catalog
func (s *ProductOptionsService) Types(ctx context.Context) ([]ProductCustomOptionType, error) {
	return getList[ProductCustomOptionType](ctx, s.client, endpoint("products", "options", "types"))
}

// List reads the options of a product.
//
// GET /V1/products/:sku/options, permission Magento_Catalog::catalog
func (s *ProductOptionsService) List(ctx context.Context, sku string) ([]*ProductCustomOption, error) {
	return pointed[ProductCustomOption](ctx, s.client, operation{method: http.MethodGet, path: endpoint("products", sku, "options")}, nil)
}

// Get reads an option of a product.
//
// GET /V1/products/:sku/options/:optionId, permission Magento_Catalog::catalog
func (s *ProductOptionsService) Get(ctx context.Context, sku string, id int64) (*ProductCustomOption, error) {
	return get[ProductCustomOption](ctx, s.client, endpoint("products", sku, "options", itoa(id)))
}

// Create adds an option to the product with o.ProductSKU and gives it as it was saved. It is not repeated: twice makes two.
//
// POST /V1/products/options, permission Magento_Catalog::catalog
func (s *ProductOptionsService) Create(ctx context.Context, o *ProductCustomOption) (*ProductCustomOption, error) {
	if o.OptionID != 0 {
		return nil, errors.New("magento: a custom option with an option_id is there already: Update changes it")
	}
	return s.save(ctx, operation{method: http.MethodPost, path: endpoint("products", "options")}, o)
}

// Update saves an option, whose ids are in it. Values that it has no longer are deleted.
//
// It is repeated when its outcome is not known: it puts the option in its own place; but not with a new value, which twice
// would be two.
//
// PUT /V1/products/options/:optionId, permission Magento_Catalog::catalog
func (s *ProductOptionsService) Update(ctx context.Context, o *ProductCustomOption) (*ProductCustomOption, error) {
	op := operation{method: http.MethodPut, path: endpoint("products", "options", idOrNone(o.OptionID)), repeatable: true}
	for _, v := range o.Values {
		if v.OptionTypeID == 0 {
			op.repeatable = false
		}
	}
	return s.save(ctx, op, o)
}

func (s *ProductOptionsService) save(ctx context.Context, op operation, o *ProductCustomOption) (*ProductCustomOption, error) {
	return saveOne(ctx, s.client, op, map[string]any{"option": o}, func(o *ProductCustomOption) bool { return o.OptionID != 0 })
}

// Delete deletes an option. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/products/:sku/options/:optionId, permission Magento_Catalog::catalog
func (s *ProductOptionsService) Delete(ctx context.Context, sku string, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("products", sku, "options", itoa(id))}, nil)
}
