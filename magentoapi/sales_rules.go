package magentoapi

import (
	"context"
	"encoding/json"
	"iter"
)

// SalesRulesService reads the rules of cart prices, which give discounts.
//
// Source of the endpoints: app/code/Magento/SalesRule/etc/webapi.xml.
type SalesRulesService struct{ client *Client }

// SalesRule is a rule (SalesRule\Api\Data\RuleInterface). What it applies to, its conditions, is kept as it came.
type SalesRule struct {
	RuleID           ID      `json:"rule_id"`
	Name             Text    `json:"name"`
	Description      Text    `json:"description"`
	IsActive         Flag    `json:"is_active"`
	FromDate         Text    `json:"from_date"` // days of the store's calendar, YYYY-MM-DD
	ToDate           Text    `json:"to_date"`
	WebsiteIDs       []ID    `json:"website_ids"`
	CustomerGroupIDs []ID    `json:"customer_group_ids"`
	SortOrder        Int     `json:"sort_order"`
	StopRules        Flag    `json:"stop_rules_processing"`
	SimpleAction     Text    `json:"simple_action"` // by_percent, by_fixed, cart_fixed or buy_x_get_y
	DiscountAmount   Decimal `json:"discount_amount"`
	DiscountQty      Decimal `json:"discount_qty"` // at most so many are discounted
	DiscountStep     Int     `json:"discount_step"`
	ApplyToShipping  Flag    `json:"apply_to_shipping"`
	FreeShipping     Text    `json:"simple_free_shipping"`
	CouponType       Text    `json:"coupon_type"` // NO_COUPON, SPECIFIC_COUPON or AUTO
	UsesPerCoupon    Int     `json:"uses_per_coupon"`
	UsesPerCustomer  Int     `json:"uses_per_customer"`
	TimesUsed        Int     `json:"times_used"`

	StoreLabels     []SalesRuleLabel `json:"store_labels"`
	Condition       json.RawMessage  `json:"condition"`
	ActionCondition json.RawMessage  `json:"action_condition"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (r *SalesRule) UnmarshalJSON(data []byte) error { return readObject(data, r) }

// MarshalJSON writes what was read with what was changed.
func (r SalesRule) MarshalJSON() ([]byte, error) { return writeObject(r, r.asRead) }

// SalesRuleLabel is what a rule is called in a store view.
type SalesRuleLabel struct {
	StoreID    ID   `json:"store_id"`
	StoreLabel Text `json:"store_label"`
}

// Get reads a rule.
//
// GET /V1/salesRules/:ruleId, permission Magento_SalesRule::quote
func (s *SalesRulesService) Get(ctx context.Context, id int64) (*SalesRule, error) {
	return get[SalesRule](ctx, s.client, endpoint("salesRules", itoa(id)))
}

// Search reads a page of rules. Without a sort they are sorted by rule_id.
//
// GET /V1/salesRules/search, permission Magento_SalesRule::quote
func (s *SalesRulesService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*SalesRule], error) {
	return search[SalesRule](ctx, s.client, endpoint("salesRules", "search"), "rule_id", criteria)
}

// All gives all rules that a search finds, in the order of their ids. It ends after an error.
//
// GET /V1/salesRules/search, permission Magento_SalesRule::quote
func (s *SalesRulesService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*SalesRule, error] {
	return walk(ctx, criteria, "rule_id", func(r *SalesRule) ID { return r.RuleID }, s.Search)
}

// CouponsService reads coupons, by which customers get the discount of a rule.
//
// Source of the endpoints: app/code/Magento/SalesRule/etc/webapi.xml.
type CouponsService struct{ client *Client }

// Coupon is a coupon (SalesRule\Api\Data\CouponInterface).
type Coupon struct {
	CouponID         ID   `json:"coupon_id"`
	RuleID           ID   `json:"rule_id"`
	Code             Text `json:"code"`
	UsageLimit       Int  `json:"usage_limit"` // 0 for none
	UsagePerCustomer Int  `json:"usage_per_customer"`
	TimesUsed        Int  `json:"times_used"`
	ExpirationDate   Text `json:"expiration_date"`
	IsPrimary        Flag `json:"is_primary"` // the rule's only one, entered with it
	Type             Int  `json:"type"`       // 0 was entered, 1 was generated
	CreatedAt        Time `json:"created_at"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *Coupon) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c Coupon) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// Get reads a coupon by its id; by its code it is found with Eq("code", …).
//
// GET /V1/coupons/:couponId, permission Magento_SalesRule::quote
func (s *CouponsService) Get(ctx context.Context, id int64) (*Coupon, error) {
	return get[Coupon](ctx, s.client, endpoint("coupons", itoa(id)))
}

// Search reads a page of coupons. Without a sort they are sorted by coupon_id.
//
// GET /V1/coupons/search, permission Magento_SalesRule::quote
func (s *CouponsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Coupon], error) {
	return search[Coupon](ctx, s.client, endpoint("coupons", "search"), "coupon_id", criteria)
}

// All gives all coupons that a search finds, in the order of their ids. It ends after an error.
//
// GET /V1/coupons/search, permission Magento_SalesRule::quote
func (s *CouponsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Coupon, error] {
	return walk(ctx, criteria, "coupon_id", func(c *Coupon) ID { return c.CouponID }, s.Search)
}
