package fakemagento

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/shopspring/decimal"
)

// salesRules shows each coupon that AddCoupon has made, and its rule, which have one id.
func (s *Server) salesRuleRoutes(routes *http.ServeMux) {
	for _, kind := range []struct {
		path, id string
		columns  []string
		show     func(i int, code string, percent decimal.Decimal) map[string]any
	}{
		{"salesRules", "rule_id", []string{"rule_id", "name", "is_active", "coupon_type", "sort_order", "from_date", "to_date"}, showSalesRule},
		{"coupons", "coupon_id", []string{"coupon_id", "rule_id", "code", "times_used", "expiration_date", "created_at"}, showCoupon},
	} {
		all := func() []map[string]any {
			var shown []map[string]any
			for i, code := range s.carts.couponCodes {
				shown = append(shown, kind.show(i+1, code, s.carts.coupons[code]))
			}
			return shown
		}
		route := func(pattern string, f func(call) (any, *problem)) {
			routes.Handle(pattern, s.allowed("Magento_SalesRule::quote", s.endpoint(f)))
		}
		route("GET /V1/"+kind.path+"/search", func(c call) (any, *problem) { return list(c, oneOf(kind.columns), all()) })
		route("GET /V1/"+kind.path+"/{id}", func(c call) (any, *problem) {
			if found := document(all(), kind.id, c.PathValue("id")); found != nil {
				return found, nil
			}
			return nil, noSuchEntity(kind.id, c.PathValue("id"))
		})
	}
}

func showSalesRule(i int, code string, percent decimal.Decimal) map[string]any {
	condition := func(kind string) map[string]any {
		return map[string]any{"condition_type": kind, "conditions": []any{}, "aggregator_type": "all", "operator": nil, "value": "1"}
	}
	return map[string]any{
		"rule_id": i, "name": "Coupon " + code, "store_labels": []any{}, "website_ids": []any{1}, "customer_group_ids": []any{0, 1, 2, 3},
		"uses_per_customer": 0, "is_active": true, "condition": condition("Magento\\SalesRule\\Model\\Rule\\Condition\\Combine"),
		"action_condition":      condition("Magento\\SalesRule\\Model\\Rule\\Condition\\Product\\Combine"),
		"stop_rules_processing": false, "is_advanced": true, "sort_order": 0, "simple_action": "by_percent",
		"discount_amount": json.Number(percent.String()), "discount_step": 0, "apply_to_shipping": false, "times_used": 0, "is_rss": false,
		"coupon_type": "SPECIFIC_COUPON", "use_auto_generation": false, "uses_per_coupon": 0, "simple_free_shipping": "0",
	}
}

func showCoupon(i int, code string, _ decimal.Decimal) map[string]any {
	return map[string]any{
		"coupon_id": i, "rule_id": i, "code": code, "usage_limit": nil, "usage_per_customer": 0, "times_used": 0, "is_primary": true,
		"created_at": "2026-11-01 00:00:0" + strconv.Itoa(i%10), "type": 0,
	}
}
