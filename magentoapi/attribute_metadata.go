package magentoapi

import (
	"context"
	"net/http"
)

// AttributeMetadataService reads what attributes customers have, or their addresses, those that a shop has added too:
// Client.CustomerAttributes and Client.AddressAttributes. Their values are in CustomAttributes.
//
// Source of the endpoints: app/code/Magento/Customer/etc/webapi.xml.
type AttributeMetadataService struct {
	client *Client
	of     string // customer or customerAddress
}

// AttributeMetadata is an attribute (Customer\Api\Data\AttributeMetadataInterface).
type AttributeMetadata struct {
	Code            Text                      `json:"attribute_code"`
	FrontendInput   Text                      `json:"frontend_input"` // text, select, multiselect, boolean, date, …
	FrontendLabel   Text                      `json:"frontend_label"`
	StoreLabel      Text                      `json:"store_label"`
	BackendType     Text                      `json:"backend_type"` // static, varchar, int, …
	InputFilter     Text                      `json:"input_filter"`
	Note            Text                      `json:"note"`
	Required        Flag                      `json:"required"`
	Visible         Flag                      `json:"visible"`
	System          Flag                      `json:"system"`
	UserDefined     Flag                      `json:"user_defined"`
	SortOrder       Int                       `json:"sort_order"`
	MultilineCount  Int                       `json:"multiline_count"`
	Options         []AttributeMetadataOption `json:"options"`
	ValidationRules []AttributeMetadataRule   `json:"validation_rules"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (m *AttributeMetadata) UnmarshalJSON(data []byte) error { return readObject(data, m) }

// MarshalJSON writes what was read with what was changed.
func (m AttributeMetadata) MarshalJSON() ([]byte, error) { return writeObject(m, m.asRead) }

// AttributeMetadataOption is a value to choose from, or a group of them.
type AttributeMetadataOption struct {
	Label   Text                      `json:"label"`
	Value   Text                      `json:"value"`
	Options []AttributeMetadataOption `json:"options"`
}

// AttributeMetadataRule bounds a value, as in max_text_length 255.
type AttributeMetadataRule struct {
	Name  Text `json:"name"`
	Value Text `json:"value"`
}

// All reads all attributes.
//
// GET /V1/attributeMetadata/customer, permission Magento_Customer::customer
// GET /V1/attributeMetadata/customerAddress, permission Magento_Customer::customer
func (s *AttributeMetadataService) All(ctx context.Context) ([]*AttributeMetadata, error) {
	return pointed[AttributeMetadata](ctx, s.client, operation{method: http.MethodGet, path: endpoint("attributeMetadata", s.of)}, nil)
}

// Custom reads those that the shop has added.
//
// GET /V1/attributeMetadata/customer/custom, permission Magento_Customer::customer
// GET /V1/attributeMetadata/customerAddress/custom, permission Magento_Customer::customer
func (s *AttributeMetadataService) Custom(ctx context.Context) ([]*AttributeMetadata, error) {
	return pointed[AttributeMetadata](ctx, s.client, operation{method: http.MethodGet, path: endpoint("attributeMetadata", s.of, "custom")}, nil)
}

// Get reads an attribute by its code.
//
// GET /V1/attributeMetadata/customer/attribute/:attributeCode, permission Magento_Customer::customer
// GET /V1/attributeMetadata/customerAddress/attribute/:attributeCode, permission Magento_Customer::customer
func (s *AttributeMetadataService) Get(ctx context.Context, code string) (*AttributeMetadata, error) {
	return get[AttributeMetadata](ctx, s.client, endpoint("attributeMetadata", s.of, "attribute", code))
}

// Form reads those that a form asks for, such as customer_account_create or customer_address_edit.
//
// GET /V1/attributeMetadata/customer/form/:formCode, permission Magento_Customer::customer
// GET /V1/attributeMetadata/customerAddress/form/:formCode, permission Magento_Customer::customer
func (s *AttributeMetadataService) Form(ctx context.Context, form string) ([]*AttributeMetadata, error) {
	return pointed[AttributeMetadata](ctx, s.client, operation{method: http.MethodGet, path: endpoint("attributeMetadata", s.of, "form", form)}, nil)
}
