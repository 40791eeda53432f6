package codes

import (
	"fmt"
	"slices"
	"strings"
)

// Shop is what a shop has codes for, as far as it could be asked.
type Shop struct {
	Stores          []Named // store views, by their codes
	PaymentMethods  []Named
	ShippingMethods []Named
	TaxPercents     []string // of all rates
	CustomerGroups  []Named  // by their ids
}

// Named is a code of the shop, and what people call it.
type Named struct{ Code, Name string }

// Draft returns a file with every code that a shop has, and blanks to fill in.
func Draft(s Shop) []byte {
	var b strings.Builder
	b.WriteString("# What the shop's codes are called in the ERP. Fill in the blanks; a line that is left blank counts as missing.\n" +
		"# A check of the file says what is still missing, and of an order also what would be sent.\n")
	section := func(name, comment string, all []Named, value string) {
		fmt.Fprintf(&b, "\n# %s\n%s:\n", comment, name)
		for _, one := range all {
			note := ""
			if one.Name != "" {
				note = "  # " + strings.Join(strings.Fields(one.Name), " ")
			}
			fmt.Fprintf(&b, "  %s: %s%s\n", quoted(one.Code), value, note)
		}
		fmt.Fprintf(&b, "  # \"*\": %s  # all others\n", value)
	}
	section("stores", "Store views.", s.Stores, `{company: "", warehouse: "", currency: ""}`)
	section("payment_methods", "Payment methods.", s.PaymentMethods, `""`)
	section("shipping_methods", "Shipping methods, carrier_method.", s.ShippingMethods, `""`)
	var percents []Named
	for _, p := range slices.Compact(append([]string{"0"}, s.TaxPercents...)) {
		percents = append(percents, Named{Code: p})
	}
	section("tax", "Tax codes by percent.", percents, `""`)
	section("customer_groups", "Customer groups.", s.CustomerGroups, `{price_group: ""}`)
	b.WriteString(`
# Accounts, items or conditions for what is no product.
accounts:
  guests: ""         # the customer that orders of guests are booked for
  shipping: ""
  discount: ""
  gift_card: ""
  store_credit: ""
  reward_points: ""
  gift_wrap: ""
  weee: ""
  fee: ""            # what an extension adds to the total
  rounding: ""       # cents that are left over

guests: {match_email: false}
# units: {"*": "PC"}
# countries: {UK: GB}
# skus: {"24-MB01": "100234", "TEE-*": "T*"}
# fields: {header: {}, line: {}}
tolerance: "0.02"
`)
	return []byte(b.String())
}
