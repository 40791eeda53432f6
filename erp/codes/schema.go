package codes

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/shopspring/decimal"
)

// Schema returns the JSON Schema of the file, by which an editor completes keys and marks what is wrong.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[document]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "mageline: what the shop's codes are called in the ERP"
	properties, ok := root["properties"].(map[string]any)
	if !ok {
		panic("the schema of a document has no properties")
	}
	properties["options"] = optionsSchema()
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // it has only what JSON has
	}
	return append(b, '\n')
}

// scalar is what a text may be written as.
func scalar() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean", "null"}}
}

func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[decimal.Decimal]():
		return map[string]any{"type": []string{"string", "number"}, "pattern": `^\d+(\.\d+)?$`}
	case t.Kind() == reflect.Struct:
		properties := map[string]any{}
		for i := range t.NumField() {
			f := t.Field(i)
			one := schemaOf(f.Type)
			if doc := f.Tag.Get("doc"); doc != "" {
				one["description"] = doc
			}
			properties[f.Tag.Get("yaml")] = one
		}
		return map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Interface:
		return map[string]any{"type": []string{"object", "null"}}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": schemaOf(t.Elem())}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	default:
		return scalar()
	}
}

// optionsSchema has each option with the values that it takes with any ERP.
func optionsSchema() map[string]any {
	properties := map[string]any{}
	values, docs := map[string]map[string]bool{}, map[string]string{}
	free := map[string]bool{}
	for _, o := range options {
		if values[o.Name] == nil {
			values[o.Name] = map[string]bool{}
		}
		for _, v := range o.Values {
			values[o.Name][v] = true
		}
		free[o.Name] = free[o.Name] || o.Values == nil
		if docs[o.Name] != "" {
			docs[o.Name] += "; "
		}
		docs[o.Name] += o.ERP + ": " + o.Doc
	}
	for name, all := range values {
		one := map[string]any{"description": docs[name]}
		if free[name] {
			one = scalar()
			one["description"] = docs[name]
		} else {
			one["enum"] = slices.Sorted(maps.Keys(all))
		}
		properties[name] = one
	}
	return map[string]any{
		"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false,
		"description": "how the ERP is served; the choices are on its page in docs/erp",
	}
}
