package magentoapi

import (
	"context"
	"iter"
	"net/http"
)

// TaxesService calls the endpoints of taxes: a rule says that what a customer of one class pays for a product of another
// is taxed by some rates.
//
// Source of the endpoints: app/code/Magento/Tax/etc/webapi.xml.
type TaxesService struct{ client *Client }

// The types of a tax class.
const (
	TaxClassCustomer Text = "CUSTOMER"
	TaxClassProduct  Text = "PRODUCT"
)

// TaxClass is a class of customers or products (Tax\Api\Data\TaxClassInterface).
type TaxClass struct {
	ID   ID   `json:"class_id"`
	Name Text `json:"class_name"`
	Type Text `json:"class_type"` // TaxClassCustomer or TaxClassProduct; can't be changed

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *TaxClass) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c TaxClass) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// TaxRate is a rate in a part of a country (Tax\Api\Data\TaxRateInterface).
type TaxRate struct {
	ID         ID             `json:"id"`
	Code       Text           `json:"code"`
	CountryID  Text           `json:"tax_country_id"` // ISO 3166-1 alpha-2
	RegionID   ID             `json:"tax_region_id"`  // 0 for all
	RegionName Text           `json:"region_name"`
	Postcode   Text           `json:"tax_postcode"` // * for all; not if ZipIsRange
	ZipIsRange Flag           `json:"zip_is_range"`
	ZipFrom    *Int           `json:"zip_from"`
	ZipTo      *Int           `json:"zip_to"`
	Rate       Decimal        `json:"rate"` // in percent
	Titles     []TaxRateTitle `json:"titles"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (r *TaxRate) UnmarshalJSON(data []byte) error { return readObject(data, r) }

// MarshalJSON writes what was read with what was changed.
func (r TaxRate) MarshalJSON() ([]byte, error) { return writeObject(r, r.asRead) }

// TaxRateTitle is what a rate is called in a store view.
type TaxRateTitle struct {
	StoreID Text `json:"store_id"`
	Value   Text `json:"value"`
}

// TaxRule is a rule (Tax\Api\Data\TaxRuleInterface). The rates of rules with one priority are added, those of the next are
// of the sum.
type TaxRule struct {
	ID                  ID   `json:"id"`
	Code                Text `json:"code"`
	Priority            *Int `json:"priority"`
	Position            *Int `json:"position"`
	CustomerTaxClassIDs []ID `json:"customer_tax_class_ids"`
	ProductTaxClassIDs  []ID `json:"product_tax_class_ids"`
	TaxRateIDs          []ID `json:"tax_rate_ids"`
	CalculateSubtotal   Flag `json:"calculate_subtotal"` // of the subtotal without other taxes

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (r *TaxRule) UnmarshalJSON(data []byte) error { return readObject(data, r) }

// MarshalJSON writes what was read with what was changed.
func (r TaxRule) MarshalJSON() ([]byte, error) { return writeObject(r, r.asRead) }

// Class reads a tax class.
//
// GET /V1/taxClasses/:taxClassId, permission Magento_Tax::manage_tax
func (s *TaxesService) Class(ctx context.Context, id int64) (*TaxClass, error) {
	return get[TaxClass](ctx, s.client, endpoint("taxClasses", itoa(id)))
}

// SearchClasses reads a page of tax classes. Without a sort they are sorted by class_id.
//
// GET /V1/taxClasses/search, permission Magento_Tax::manage_tax
func (s *TaxesService) SearchClasses(ctx context.Context, criteria SearchCriteria) (*Page[*TaxClass], error) {
	return search[TaxClass](ctx, s.client, endpoint("taxClasses", "search"), "class_id", criteria)
}

// AllClasses gives all tax classes that a search finds, in the order of their ids. It ends after an error.
//
// GET /V1/taxClasses/search, permission Magento_Tax::manage_tax
func (s *TaxesService) AllClasses(ctx context.Context, criteria SearchCriteria) iter.Seq2[*TaxClass, error] {
	return walk(ctx, criteria, "class_id", func(c *TaxClass) ID { return c.ID }, s.SearchClasses)
}

// CreateClass makes a tax class and gives its id. Its name must be new among those of its type: else it is ErrBadRequest,
// which is also what a repeat would be; it is not repeated.
//
// POST /V1/taxClasses, permission Magento_Tax::manage_tax
func (s *TaxesService) CreateClass(ctx context.Context, c *TaxClass) (int64, error) {
	return s.client.identified(ctx, operation{method: http.MethodPost, path: endpoint("taxClasses")}, map[string]*TaxClass{"taxClass": c})
}

// UpdateClass saves a tax class, whose id and type are in it.
//
// It is repeated when its outcome is not known: it puts the class in its own place.
//
// PUT /V1/taxClasses/:classId, permission Magento_Tax::manage_tax
func (s *TaxesService) UpdateClass(ctx context.Context, c *TaxClass) error {
	op := operation{method: http.MethodPut, path: endpoint("taxClasses", idOrNone(c.ID)), repeatable: true}
	_, err := s.client.identified(ctx, op, map[string]*TaxClass{"taxClass": c})
	return err
}

// DeleteClass deletes a tax class; one that is used can't be. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/taxClasses/:taxClassId, permission Magento_Tax::manage_tax
func (s *TaxesService) DeleteClass(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("taxClasses", itoa(id))}, nil)
}

// Rate reads a tax rate.
//
// GET /V1/taxRates/:rateId, permission Magento_Tax::manage_tax
func (s *TaxesService) Rate(ctx context.Context, id int64) (*TaxRate, error) {
	return get[TaxRate](ctx, s.client, endpoint("taxRates", itoa(id)))
}

// SearchRates reads a page of tax rates. Fields to filter by are those of the table (tax_calculation_rate_id, code,
// tax_country_id, …), and region_name. Without a sort they are sorted by tax_calculation_rate_id.
//
// GET /V1/taxRates/search, permission Magento_Tax::manage_tax
func (s *TaxesService) SearchRates(ctx context.Context, criteria SearchCriteria) (*Page[*TaxRate], error) {
	return search[TaxRate](ctx, s.client, endpoint("taxRates", "search"), "tax_calculation_rate_id", criteria)
}

// AllRates gives all tax rates that a search finds, in the order of their ids. It ends after an error.
//
// GET /V1/taxRates/search, permission Magento_Tax::manage_tax
func (s *TaxesService) AllRates(ctx context.Context, criteria SearchCriteria) iter.Seq2[*TaxRate, error] {
	return walk(ctx, criteria, "tax_calculation_rate_id", func(r *TaxRate) ID { return r.ID }, s.SearchRates)
}

// CreateRate makes a tax rate and gives it as it was saved. Its code must be new: else it is ErrBadRequest, which is also
// what a repeat would be; it is not repeated.
//
// POST /V1/taxRates, permission Magento_Tax::manage_tax
func (s *TaxesService) CreateRate(ctx context.Context, r *TaxRate) (*TaxRate, error) {
	return s.saveRate(ctx, operation{method: http.MethodPost, path: endpoint("taxRates")}, r)
}

// UpdateRate saves a tax rate, whose id is in it: without one it would be a new one.
//
// It is repeated when its outcome is not known: it puts the rate in its own place.
//
// PUT /V1/taxRates, permission Magento_Tax::manage_tax
func (s *TaxesService) UpdateRate(ctx context.Context, r *TaxRate) (*TaxRate, error) {
	if r.ID == 0 {
		return nil, errNoID("tax rate")
	}
	return s.saveRate(ctx, operation{method: http.MethodPut, path: endpoint("taxRates"), repeatable: true}, r)
}

func (s *TaxesService) saveRate(ctx context.Context, op operation, r *TaxRate) (*TaxRate, error) {
	return saveOne(ctx, s.client, op, map[string]any{"taxRate": r}, func(r *TaxRate) bool { return r.ID != 0 })
}

// DeleteRate deletes a tax rate; one that a rule has can't be. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/taxRates/:rateId, permission Magento_Tax::manage_tax
func (s *TaxesService) DeleteRate(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("taxRates", itoa(id))}, nil)
}

// Rule reads a tax rule.
//
// GET /V1/taxRules/:ruleId, permission Magento_Tax::manage_tax
func (s *TaxesService) Rule(ctx context.Context, id int64) (*TaxRule, error) {
	return get[TaxRule](ctx, s.client, endpoint("taxRules", itoa(id)))
}

// SearchRules reads a page of tax rules. Fields to filter by are id, code, priority, sort_order, tax_rate_ids,
// customer_tax_class_ids and product_tax_class_ids. Without a sort they are sorted by id.
//
// GET /V1/taxRules/search, permission Magento_Tax::manage_tax
func (s *TaxesService) SearchRules(ctx context.Context, criteria SearchCriteria) (*Page[*TaxRule], error) {
	return search[TaxRule](ctx, s.client, endpoint("taxRules", "search"), "id", criteria)
}

// AllRules gives all tax rules that a search finds, in the order of their ids. It ends after an error.
//
// GET /V1/taxRules/search, permission Magento_Tax::manage_tax
func (s *TaxesService) AllRules(ctx context.Context, criteria SearchCriteria) iter.Seq2[*TaxRule, error] {
	return walk(ctx, criteria, "id", func(r *TaxRule) ID { return r.ID }, s.SearchRules)
}

// CreateRule makes a tax rule and gives it as it was saved. Its code must be new: else it is ErrBadRequest, which is also
// what a repeat would be; it is not repeated.
//
// POST /V1/taxRules, permission Magento_Tax::manage_tax
func (s *TaxesService) CreateRule(ctx context.Context, r *TaxRule) (*TaxRule, error) {
	return s.saveRule(ctx, operation{method: http.MethodPost, path: endpoint("taxRules")}, r)
}

// UpdateRule saves a tax rule, whose id is in it: without one it would be a new one.
//
// It is repeated when its outcome is not known: it puts the rule in its own place.
//
// PUT /V1/taxRules, permission Magento_Tax::manage_tax
func (s *TaxesService) UpdateRule(ctx context.Context, r *TaxRule) (*TaxRule, error) {
	if r.ID == 0 {
		return nil, errNoID("tax rule")
	}
	return s.saveRule(ctx, operation{method: http.MethodPut, path: endpoint("taxRules"), repeatable: true}, r)
}

func (s *TaxesService) saveRule(ctx context.Context, op operation, r *TaxRule) (*TaxRule, error) {
	return saveOne(ctx, s.client, op, map[string]any{"rule": r}, func(r *TaxRule) bool { return r.ID != 0 })
}

// DeleteRule deletes a tax rule. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/taxRules/:ruleId, permission Magento_Tax::manage_tax
func (s *TaxesService) DeleteRule(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("taxRules", itoa(id))}, nil)
}
