package magentoapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// AttributesService calls the endpoints of the attributes of products and of their options.
//
// Source of the endpoints: app/code/Magento/Catalog/etc/webapi.xml.
type AttributesService struct{ client *Client }

// Attribute is an attribute of products (Catalog\Api\Data\ProductAttributeInterface and Eav\Api\Data\AttributeInterface).
type Attribute struct {
	AttributeID          ID           `json:"attribute_id"`
	AttributeCode        Text         `json:"attribute_code"`
	FrontendInput        Text         `json:"frontend_input"` // text, textarea, select, multiselect, boolean, date, price, …
	BackendType          Text         `json:"backend_type"`   // varchar, text, int, decimal, datetime, static
	Scope                Text         `json:"scope"`          // store, website or global
	DefaultFrontendLabel Text         `json:"default_frontend_label"`
	FrontendLabels       []StoreLabel `json:"frontend_labels"`
	DefaultValue         Text         `json:"default_value"`
	IsRequired           Flag         `json:"is_required"`
	IsUnique             Flag         `json:"is_unique"`
	IsUserDefined        Flag         `json:"is_user_defined"` // the others can't be deleted
	ApplyTo              []Text       `json:"apply_to"`        // types of products; none is all
	// What the shop's front end uses it for.
	IsSearchable         Flag              `json:"is_searchable"`
	IsFilterable         Flag              `json:"is_filterable"`           // in the layered navigation of categories
	IsFilterableInSearch Flag              `json:"is_filterable_in_search"` // in that of search results
	UsedForSortBy        Flag              `json:"used_for_sort_by"`
	IsVisibleOnFront     Flag              `json:"is_visible_on_front"`
	Options              []AttributeOption `json:"options"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (a *Attribute) UnmarshalJSON(data []byte) error { return readObject(data, a) }

// MarshalJSON writes what was read with what was changed.
func (a Attribute) MarshalJSON() ([]byte, error) { return writeObject(a, a.asRead) }

// AttributeOption is one of the values of an attribute with a choice (Eav\Api\Data\AttributeOptionInterface).
type AttributeOption struct {
	Value       Text         `json:"value"` // its id, which is what products have; of a new one nothing
	Label       Text         `json:"label"`
	SortOrder   Int          `json:"sort_order"`
	IsDefault   Flag         `json:"is_default"`
	StoreLabels []StoreLabel `json:"store_labels"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (o *AttributeOption) UnmarshalJSON(data []byte) error { return readObject(data, o) }

// MarshalJSON writes what was read with what was changed.
func (o AttributeOption) MarshalJSON() ([]byte, error) { return writeObject(o, o.asRead) }

// StoreLabel is what something is called in a store view.
type StoreLabel struct {
	StoreID ID   `json:"store_id"`
	Label   Text `json:"label"`
}

// AttributeType is a kind of input (Eav\Api\Data\AttributeTypeInterface through ProductAttributeTypeInterface).
type AttributeType struct {
	Value Text `json:"value"` // as in Attribute.FrontendInput
	Label Text `json:"label"`
}

// Get reads an attribute; ErrNotFound if there is none.
//
// GET /V1/products/attributes/:attributeCode, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Get(ctx context.Context, code string) (*Attribute, error) {
	return s.one(ctx, operation{method: http.MethodGet, path: endpoint("products", "attributes", code)}, nil)
}

// one is an operation that answers with an attribute.
func (s *AttributesService) one(ctx context.Context, op operation, body any) (*Attribute, error) {
	var a Attribute
	if err := s.client.call(ctx, op, body, &a); err != nil {
		return nil, err
	}
	if a.AttributeCode == "" {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("an attribute without a code"))
	}
	return &a, nil
}

// Search reads one page of attributes. Without a sort they are sorted by attribute_code. A filter on attribute_id fails:
// three of the tables that Magento joins have that column (Eav\Model\AttributeRepository::getList).
//
// GET /V1/products/attributes, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Attribute], error) {
	return search[Attribute](ctx, s.client, endpoint("products", "attributes"), "attribute_code", criteria)
}

// All gives all attributes that a search finds, a page in memory at a time. It goes by the number of the page, for there is
// no filter by id: some may come twice or not at all when attributes are added or removed meanwhile.
//
// GET /V1/products/attributes, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Attribute, error] {
	if !slices.ContainsFunc(criteria.Sort, func(o SortOrder) bool { return o.Field == "attribute_code" }) {
		criteria = criteria.SortBy("attribute_code", Ascending) // what is equal must not change places between two pages
	}
	return walkPages(ctx, criteria, s.Search)
}

// Types reads the kinds of input that an attribute can have.
//
// GET /V1/products/attributes/types, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Types(ctx context.Context) ([]AttributeType, error) {
	return getList[AttributeType](ctx, s.client, endpoint("products", "attributes", "types"))
}

// Create makes an attribute, and gives it as it was saved. It needs a code, a FrontendInput and a DefaultFrontendLabel.
// Products have it once it is in their attribute set.
//
// POST /V1/products/attributes, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Create(ctx context.Context, a *Attribute) (*Attribute, error) {
	op := operation{method: http.MethodPost, path: endpoint("products", "attributes")}
	return s.one(ctx, op, map[string]*Attribute{"attribute": a})
}

// Update changes an attribute that was read: without its AttributeID Magento would take it for a new one. New Options are
// made; those that are left out stay, use DeleteOption.
//
// PUT /V1/products/attributes/:attributeCode, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Update(ctx context.Context, a *Attribute) (*Attribute, error) {
	if a.AttributeID == 0 {
		return nil, errors.New("magento: attribute " + string(a.AttributeCode) + ": an attribute to change must be read first, for its id")
	}
	saved := *a
	saved.Options = withoutEmpty(a.Options)
	op := operation{method: http.MethodPut, path: endpoint("products", "attributes", string(a.AttributeCode))}
	return s.one(ctx, op, map[string]Attribute{"attribute": saved})
}

// withoutEmpty leaves out the choice of nothing, which Magento puts first in what it answers. Were it saved, it would
// become a real option with a space as its label (Catalog\Model\Product\Attribute\Repository::save).
func withoutEmpty(options []AttributeOption) []AttributeOption {
	return slices.DeleteFunc(slices.Clone(options), func(o AttributeOption) bool {
		return o.Value == "" && strings.TrimSpace(string(o.Label)) == ""
	})
}

// Delete deletes an attribute, and its values of all products.
//
// DELETE /V1/products/attributes/:attributeCode, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Delete(ctx context.Context, code string) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("products", "attributes", code)}, nil)
}

// Options reads the options of an attribute, without the choice of nothing that Magento puts first. Their labels are the
// store view's.
//
// GET /V1/products/attributes/:attributeCode/options, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) Options(ctx context.Context, code string) ([]AttributeOption, error) {
	var options []AttributeOption
	op := operation{method: http.MethodGet, path: endpoint("products", "attributes", code, "options")}
	err := s.client.call(ctx, op, nil, &options)
	return withoutEmpty(options), err
}

// AddOption adds an option, and gives its id, which is the value that products have. ErrBadRequest if there is one with
// this label.
//
// POST /V1/products/attributes/:attributeCode/options, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) AddOption(ctx context.Context, code string, o *AttributeOption) (string, error) {
	var id Text
	op := operation{method: http.MethodPost, path: endpoint("products", "attributes", code, "options")}
	if err := s.client.call(ctx, op, map[string]*AttributeOption{"option": o}, &id); err != nil {
		return "", err
	}
	// Some versions answer with the key that they save it under, "id_57", and older ones with true.
	added := strings.TrimPrefix(string(id), "id_")
	if _, err := strconv.ParseUint(added, 10, 64); err != nil {
		return "", op.unreadable(http.StatusOK, nil, errors.New("no id of the new option: look for it by its label"))
	}
	return added, nil
}

// UpdateOption changes the option with o.Value. It needs the label, too. It is repeated where a read is: the same values
// are saved again.
//
// PUT /V1/products/attributes/:attributeCode/options/:optionId, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) UpdateOption(ctx context.Context, code string, o *AttributeOption) error {
	op := operation{method: http.MethodPut, path: endpoint("products", "attributes", code, "options", string(o.Value)), repeatable: true}
	return s.client.confirmed(ctx, op, map[string]*AttributeOption{"option": o})
}

// DeleteOption deletes an option; ErrNotFound if there is none.
//
// DELETE /V1/products/attributes/:attributeCode/options/:optionId, permission Magento_Catalog::attributes_attributes
func (s *AttributesService) DeleteOption(ctx context.Context, code, id string) error {
	op := operation{method: http.MethodDelete, path: endpoint("products", "attributes", code, "options", id)}
	return s.client.confirmed(ctx, op, nil)
}
