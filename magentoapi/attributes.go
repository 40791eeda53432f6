package magentoapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// ExtensionAttributes are what modules add to an entity, by name. They are kept whole.
type ExtensionAttributes map[string]json.RawMessage

// UnmarshalJSON reads the object, or the [] that PHP makes of an empty one.
func (e *ExtensionAttributes) UnmarshalJSON(data []byte) error {
	var all map[string]json.RawMessage
	if err := unmarshalObject(data, &all); err != nil {
		return err
	}
	*e = all
	return nil
}

// Get reads the attribute into v, a pointer, and reports whether there is one that is not null.
func (e ExtensionAttributes) Get(name string, v any) (bool, error) {
	return readMember(e[name], name, v)
}

// Set sets the attribute to what v is in JSON.
func (e *ExtensionAttributes) Set(name string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("magento: extension attribute %s: %w", name, err)
	}
	if *e == nil {
		*e = ExtensionAttributes{}
	}
	(*e)[name] = value
	return nil
}

// CustomAttributes are the values of the attributes of a product, a category, a customer or an address that Magento has
// no key of its own for. They are kept whole.
//
// Magento does not type them: a price is the text "45.000000", a number as it is, a choice the id of its option, several
// choices a list or a text with commas, and what is not set is null or not there
// (lib/internal/Magento/Framework/Reflection/DataObjectProcessor.php).
type CustomAttributes []CustomAttribute

// CustomAttribute is one value: a string, a number, a list or null in JSON.
type CustomAttribute struct {
	Code  string          `json:"attribute_code"`
	Value json.RawMessage `json:"value"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *CustomAttribute) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c CustomAttribute) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// UnmarshalJSON reads a list; or an object, which Magento makes of a list with a gap, keyed by place, and of some entities'
// attributes, keyed by code. It is written as a list.
func (a *CustomAttributes) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte("{")) {
		var list []CustomAttribute
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		*a = list
		return nil
	}
	all, err := asRead{json: string(data)}.members()
	if err != nil {
		return err
	}
	*a = CustomAttributes{}
	for _, m := range all {
		var one CustomAttribute
		if !bytes.HasPrefix(m.value, []byte("{")) {
			one = CustomAttribute{Code: m.name, Value: m.value}
		} else if err := json.Unmarshal(m.value, &one); err != nil {
			return err
		}
		*a = append(*a, one)
	}
	return nil
}

func (a CustomAttributes) find(code string) int {
	return slices.IndexFunc(a, func(c CustomAttribute) bool { return c.Code == code })
}

// value gives the attribute's value, nil if there is none or it is null.
func (a CustomAttributes) value(code string) json.RawMessage {
	at := a.find(code)
	if at < 0 || string(a[at].Value) == "null" {
		return nil
	}
	return a[at].Value
}

// Text gives a single value, a number as its literal; false if there is none, or it is a list.
func (a CustomAttributes) Text(code string) (string, bool) {
	value := a.value(code)
	if value == nil {
		return "", false
	}
	text, err := scalar(value)
	return text, err == nil
}

// List gives the values of a list, or of a text with commas, which is how Magento holds several choices; none if there is
// no such attribute.
func (a CustomAttributes) List(code string) ([]string, error) {
	value := a.value(code)
	if bytes.HasPrefix(value, []byte("[")) {
		var texts []Text
		if err := json.Unmarshal(value, &texts); err != nil {
			return nil, fmt.Errorf("magento: custom attribute %s: %w", code, describeJSON(err))
		}
		var list []string
		for _, t := range texts {
			list = append(list, string(t))
		}
		return list, nil
	}
	text, err := scalar(value)
	if err != nil {
		return nil, fmt.Errorf("magento: custom attribute %s: %w", code, err)
	}
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, ","), nil
}

// Decimal gives a number, read from its literal; not Valid if there is none.
func (a CustomAttributes) Decimal(code string) (Decimal, error) {
	var d Decimal
	if err := d.UnmarshalJSON(a.value(code)); err != nil {
		return Decimal{}, fmt.Errorf("magento: custom attribute %s: %w", code, err)
	}
	return d, nil
}

// Set sets the attribute to what v is in JSON: a text, a number, a list, or nil, which empties it.
func (a *CustomAttributes) Set(code string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("magento: custom attribute %s: %w", code, err)
	}
	*a = slices.Clone(*a) // another entity may share the list
	if at := a.find(code); at >= 0 {
		(*a)[at].Value = value
		return nil
	}
	*a = append(*a, CustomAttribute{Code: code, Value: value})
	return nil
}

// Delete leaves the attribute out, so that a save does not touch what the shop has. To empty it there, Set it to nil.
func (a *CustomAttributes) Delete(code string) {
	*a = slices.DeleteFunc(slices.Clone(*a), func(c CustomAttribute) bool { return c.Code == code })
}
