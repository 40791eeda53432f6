package codes

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Filled returns a copy of the file with a placeholder for a code that is missing, so that whoever looks at an order finds what
// is missing beside it. ok is false where there is no place for one.
func (f *File) Filled(m *Missing) (filled *File, ok bool) {
	const placeholder = "…"
	c := *f
	set := func(values *map[string]string) bool {
		copied := maps.Clone(*values)
		if copied == nil {
			copied = map[string]string{}
		}
		if copied[m.Key] != "" {
			return false
		}
		copied[m.Key] = placeholder
		*values = copied
		return true
	}
	section, store, _ := strings.Cut(m.Section, ".")
	switch section {
	case "payment_methods":
		ok = set(&c.PaymentMethods)
	case "shipping_methods":
		ok = set(&c.ShippingMethods)
	case "tax":
		if ok = set(&c.document.Tax); ok {
			c.percents = maps.Clone(c.percents)
			if c.percents == nil {
				c.percents = map[string]string{}
			}
			c.percents[m.Key] = placeholder
		}
	case "units":
		ok = set(&c.Units)
	case "skus":
		ok = set(&c.SKUs)
	case "countries":
		ok = set(&c.Countries)
	case "accounts":
		ok = setField(&c.Accounts, m.Key, placeholder)
	case "stores":
		c.Stores = maps.Clone(c.Stores)
		if c.Stores == nil {
			c.Stores = map[string]Store{}
		}
		if store == "" {
			_, there := c.Stores[m.Key]
			c.Stores[m.Key] = Store{}
			return &c, !there
		}
		one := c.Stores[store]
		ok = setField(&one, m.Key, placeholder)
		c.Stores[store] = one
	}
	return &c, ok
}

// setField sets the text of a struct that has a key, unless it has one.
func setField(s any, key, text string) bool {
	v := reflect.ValueOf(s).Elem()
	i := slices.Index(keysOf(v.Type()), key)
	if i < 0 || v.Field(i).Kind() != reflect.String || v.Field(i).String() != "" {
		return false
	}
	v.Field(i).SetString(text)
	return true
}
