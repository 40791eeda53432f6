package magentoapi

import (
	"context"
	"net/http"
)

// ConfigurableService calls the endpoints of configurable products: their options, such as color and size, and their
// children, one for each combination.
//
// Source of the endpoints: app/code/Magento/ConfigurableProduct/etc/webapi.xml.
type ConfigurableService struct{ client *Client }

// ConfigurableOption is what the children differ in (ConfigurableProduct\Api\Data\OptionInterface).
type ConfigurableOption struct {
	ID           ID                        `json:"id"`
	AttributeID  ID                        `json:"attribute_id"`
	Label        Text                      `json:"label"`
	Position     Int                       `json:"position"`
	IsUseDefault Flag                      `json:"is_use_default"` // the attribute's label
	Values       []ConfigurableOptionValue `json:"values"`
	ProductID    ID                        `json:"product_id"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (o *ConfigurableOption) UnmarshalJSON(data []byte) error { return readObject(data, o) }

// MarshalJSON writes what was read with what was changed.
func (o ConfigurableOption) MarshalJSON() ([]byte, error) { return writeObject(o, o.asRead) }

// ConfigurableOptionValue is one of its values: the id of an AttributeOption.
type ConfigurableOptionValue struct {
	ValueIndex ID `json:"value_index"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (v *ConfigurableOptionValue) UnmarshalJSON(data []byte) error { return readObject(data, v) }

// MarshalJSON writes what was read with what was changed.
func (v ConfigurableOptionValue) MarshalJSON() ([]byte, error) { return writeObject(v, v.asRead) }

// Children reads the children of a product, without all of their values: their media and links are elsewhere. A product
// that is not configurable has none.
//
// GET /V1/configurable-products/:sku/children, permission Magento_Catalog::products
func (s *ConfigurableService) Children(ctx context.Context, sku string) ([]*Product, error) {
	op := operation{method: http.MethodGet, path: endpoint("configurable-products", sku, "children")}
	return pointed[Product](ctx, s.client, op, nil)
}

// Link makes a product a child; ErrBadRequest if it is one already, or has no value for one of the options. Magento saves
// the whole parent: what else is linked at that moment can be lost.
//
// POST /V1/configurable-products/:sku/child, permission Magento_Catalog::products
func (s *ConfigurableService) Link(ctx context.Context, sku, child string) error {
	op := operation{method: http.MethodPost, path: endpoint("configurable-products", sku, "child")}
	return s.client.confirmed(ctx, op, map[string]string{"childSku": child})
}

// Unlink takes a child away; ErrNotFound if it is none. The product itself stays. Magento saves the whole parent, as for
// Link.
//
// DELETE /V1/configurable-products/:sku/children/:childSku, permission Magento_Catalog::products
func (s *ConfigurableService) Unlink(ctx context.Context, sku, child string) error {
	op := operation{method: http.MethodDelete, path: endpoint("configurable-products", sku, "children", child)}
	return s.client.confirmed(ctx, op, nil)
}

// Options reads all options; ErrBadRequest if the product is not configurable.
//
// GET /V1/configurable-products/:sku/options/all, permission Magento_Catalog::products
func (s *ConfigurableService) Options(ctx context.Context, sku string) ([]*ConfigurableOption, error) {
	op := operation{method: http.MethodGet, path: endpoint("configurable-products", sku, "options", "all")}
	return pointed[ConfigurableOption](ctx, s.client, op, nil)
}

// Option reads one; ErrNotFound if there is none.
//
// GET /V1/configurable-products/:sku/options/:id, permission Magento_Catalog::products
func (s *ConfigurableService) Option(ctx context.Context, sku string, id int64) (*ConfigurableOption, error) {
	return get[ConfigurableOption](ctx, s.client, endpoint("configurable-products", sku, "options", itoa(id)))
}

// AddOption adds an option, and gives its id. It needs an attribute, a label and values. A simple product becomes a
// configurable one.
//
// POST /V1/configurable-products/:sku/options, permission Magento_Catalog::products
func (s *ConfigurableService) AddOption(ctx context.Context, sku string, o *ConfigurableOption) (int64, error) {
	return s.saveOption(ctx, operation{method: http.MethodPost, path: endpoint("configurable-products", sku, "options")}, o)
}

// UpdateOption changes the option with o.ID. It is repeated where a read is: the same values are saved again.
//
// PUT /V1/configurable-products/:sku/options/:id, permission Magento_Catalog::products
func (s *ConfigurableService) UpdateOption(ctx context.Context, sku string, o *ConfigurableOption) error {
	path := endpoint("configurable-products", sku, "options", itoa(int64(o.ID)))
	_, err := s.saveOption(ctx, operation{method: http.MethodPut, path: path, repeatable: true}, o)
	return err
}

func (s *ConfigurableService) saveOption(ctx context.Context, op operation, o *ConfigurableOption) (int64, error) {
	var id ID
	err := s.client.call(ctx, op, map[string]*ConfigurableOption{"option": o}, &id)
	return int64(id), err
}

// DeleteOption deletes an option and, with it, unlinks all children of the product
// (ConfigurableProduct\Model\OptionRepository::delete).
//
// DELETE /V1/configurable-products/:sku/options/:id, permission Magento_Catalog::products
func (s *ConfigurableService) DeleteOption(ctx context.Context, sku string, id int64) error {
	op := operation{method: http.MethodDelete, path: endpoint("configurable-products", sku, "options", itoa(id))}
	return s.client.confirmed(ctx, op, nil)
}

// Variations gives the products that a configurable one would have as its children, one for each combination of the
// options' values. None is saved: ProductsService.Create does that, and Link. It only reads, and is repeated as reads are.
//
// PUT /V1/configurable-products/variation, permission Magento_Catalog::products
func (s *ConfigurableService) Variations(ctx context.Context, p *Product, options []*ConfigurableOption) ([]*Product, error) {
	type generation struct {
		Product *Product              `json:"product"`
		Options []*ConfigurableOption `json:"options"`
	}
	op := operation{method: http.MethodPut, path: endpoint("configurable-products", "variation"), repeatable: true}
	return pointed[Product](ctx, s.client, op, generation{p, options})
}
