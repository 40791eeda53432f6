package fakesearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mapping is what an index knows of fields.
type mapping struct {
	dynamic    string // strict, true (also if empty), false
	properties map[string]*property
}

// property is one field.
type property struct {
	kind       string
	params     map[string]any // all others, as they were given
	fields     map[string]*property
	properties map[string]*property
}

func (p *property) enabled() bool { return p.params["enabled"] != false }

// fieldTypes are those that there are, with the parameters that they take.
var fieldTypes = map[string][]string{
	"text":    {"analyzer", "search_analyzer", "norms", "index", "store", "copy_to"},
	"keyword": {"ignore_above", "index", "doc_values", "normalizer", "store", "copy_to"},
	"double":  {"index", "doc_values", "coerce", "ignore_malformed", "store"}, "float": {"index", "doc_values", "coerce"},
	"long": {"index", "doc_values", "coerce", "store"}, "integer": {"index", "doc_values", "coerce"},
	"boolean": {"index", "doc_values", "store"}, "date": {"format", "index", "doc_values", "store"},
	"object": {"enabled", "dynamic"}, "nested": {"dynamic", "include_in_parent", "include_in_root"},
}

func broken(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, kind: "mapper_parsing_exception", reason: fmt.Sprintf(format, args...)}
}

func parseMapping(raw []byte) (m mapping, p *problem) {
	var body map[string]json.RawMessage
	if json.Unmarshal(raw, &body) != nil {
		return m, &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "the mapping is no object"}
	}
	for _, key := range slices.Sorted(maps.Keys(body)) {
		value := body[key]
		switch key {
		case "dynamic":
			m.dynamic = strings.Trim(string(value), `"`)
		case "properties":
			if m.properties, p = parseProperties(value); p != nil {
				return m, p
			}
		case "_source", "_meta", "date_detection", "numeric_detection":
		default:
			return m, broken("Root mapping definition has unsupported parameters:  [%s : %s]", key, value)
		}
	}
	return m, nil
}

func parseProperties(raw []byte) (map[string]*property, *problem) {
	var body map[string]map[string]json.RawMessage
	if json.Unmarshal(raw, &body) != nil {
		return nil, broken("Expected map for property [properties]")
	}
	all := map[string]*property{}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		one := &property{params: map[string]any{}}
		_ = json.Unmarshal(body[name]["type"], &one.kind) // looked at below
		if one.kind == "" && (body[name]["properties"] != nil || body[name]["enabled"] != nil) {
			one.kind = "object"
		}
		allowed, ok := fieldTypes[one.kind]
		if one.kind == "" {
			return nil, broken("No type specified for field [%s]", name)
		}
		if !ok {
			return nil, broken("No handler for type [%s] declared on field [%s]", one.kind, name)
		}
		for key, value := range body[name] {
			var p *problem
			switch {
			case key == "type":
			case key == "properties" && (one.kind == "object" || one.kind == "nested"):
				one.properties, p = parseProperties(value)
			case key == "fields" && one.kind != "object" && one.kind != "nested":
				one.fields, p = parseProperties(value)
			case slices.Contains(allowed, key):
				var v any
				_ = json.Unmarshal(value, &v) // the body was JSON
				one.params[key] = v
			default:
				p = broken("unknown parameter [%s] on mapper [%s] of type [%s]", key, name, one.kind)
			}
			if p != nil {
				return nil, p
			}
		}
		all[name] = one
	}
	return all, nil
}

// wire shows a mapping as the engine does: without what is as it is by default.
func (m mapping) wire() map[string]any {
	w := map[string]any{}
	if m.dynamic != "" {
		w["dynamic"] = m.dynamic
	}
	if len(m.properties) > 0 {
		w["properties"] = wireProperties(m.properties)
	}
	return w
}

func wireProperties(all map[string]*property) map[string]any {
	w := map[string]any{}
	for name, p := range all {
		one := maps.Clone(p.params)
		if p.kind != "object" || len(p.properties) == 0 {
			one["type"] = p.kind
		}
		if len(p.fields) > 0 {
			one["fields"] = wireProperties(p.fields)
		}
		if len(p.properties) > 0 {
			one["properties"] = wireProperties(p.properties)
		}
		w[name] = one
	}
	return w
}

// with returns the mapping with what another adds to it.
func (m mapping) with(other mapping) (mapping, *problem) {
	if other.dynamic != "" {
		m.dynamic = other.dynamic
	}
	all, p := addTo(m.properties, other.properties, "")
	m.properties = all
	return m, p
}

func addTo(old, added map[string]*property, under string) (map[string]*property, *problem) {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]*property{}
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		a, o := added[name], all[name]
		if o == nil {
			all[name] = a
			continue
		}
		if a.kind != o.kind {
			if a.kind == "nested" || o.kind == "nested" {
				return nil, illegal("cannot change object mapping from [%s] to [%s]", o.kind, a.kind)
			}
			return nil, illegal("mapper [%s%s] cannot be changed from type [%s] to [%s]", under, name, o.kind, a.kind)
		}
		if a.enabled() != o.enabled() {
			return nil, &problem{status: http.StatusBadRequest, kind: "mapper_exception", reason: "the [enabled] parameter can't be updated for the object mapping [" + under + name + "]"}
		}
		one := &property{kind: a.kind, params: maps.Clone(o.params)}
		maps.Copy(one.params, a.params)
		var p *problem
		if one.properties, p = addTo(o.properties, a.properties, under+name+"."); p != nil {
			return nil, p
		}
		if one.fields, p = addTo(o.fields, a.fields, under+name+"."); p != nil {
			return nil, p
		}
		all[name] = one
	}
	return all, nil
}

func countFields(all map[string]*property) int {
	n := len(all)
	for _, p := range all {
		n += countFields(p.fields) + countFields(p.properties)
	}
	return n
}

func (i *index) checkLimit(m mapping) *problem {
	limit := 1000
	if text, ok := i.settings["mapping.total_fields.limit"].(string); ok {
		limit, _ = strconv.Atoi(text) // it was looked at when it was set
	}
	if countFields(m.properties) > limit {
		return illegal("Limit of total fields [%d] has been exceeded", limit)
	}
	return nil
}

// parser reads one document by a mapping.
type parser struct {
	dec    *json.Decoder
	id     string
	index  *index
	grown  mapping // with what a mapping that is not strict has taken up
	nested int
}

// take looks at a document. It returns the problem that the engine has with it.
func (i *index) take(id string, source []byte) *problem {
	d := &parser{dec: json.NewDecoder(bytes.NewReader(source)), id: id, index: i, grown: i.mapping}
	d.dec.UseNumber()
	token, err := d.dec.Token()
	if err != nil || token != json.Delim('{') {
		return &problem{
			status: http.StatusBadRequest, kind: "mapper_parsing_exception", reason: "failed to parse",
			cause: &problem{kind: "not_x_content_exception", reason: "Compressor detection can only be called on some xcontent bytes or compressed xcontent bytes"},
		}
	}
	props, p := d.object(d.grown.properties, "_doc", "")
	if p != nil {
		return p
	}
	if d.dec.More() {
		return d.syntax("something stands behind the document")
	}
	if d.nested > 10_000 {
		return broken("The number of nested documents has exceeded the allowed limit of [10000]. This limit can be set by changing the [index.mapping.nested_objects.limit] index level setting.")
	}
	d.grown.properties = props
	if p := i.checkLimit(d.grown); p != nil {
		return p
	}
	i.mapping = d.grown
	return nil
}

func (d *parser) syntax(why string) *problem {
	return &problem{
		status: http.StatusBadRequest, kind: "mapper_parsing_exception", reason: "failed to parse",
		cause: &problem{kind: "json_parse_exception", reason: why},
	}
}

// object reads the members of an object up to its end, and returns its properties with what was added.
func (d *parser) object(props map[string]*property, within, under string) (map[string]*property, *problem) {
	var seen map[string]bool
	for d.dec.More() {
		token, err := d.dec.Token()
		if err != nil {
			return nil, d.syntax(err.Error())
		}
		name, _ := token.(string)
		if seen == nil {
			seen = make(map[string]bool, 16)
		}
		if seen[name] {
			return nil, d.syntax("Duplicate field '" + name + "'")
		}
		seen[name] = true
		p := props[name]
		if p == nil {
			switch d.index.mapping.dynamic {
			case "strict":
				return nil, &problem{
					status: http.StatusBadRequest, kind: "strict_dynamic_mapping_exception",
					reason: "mapping set to strict, dynamic introduction of [" + name + "] within [" + within + "] is not allowed",
				}
			case "false":
				p = &property{kind: "object", params: map[string]any{"enabled": false}}
			default:
				p = &property{params: map[string]any{}} // guessed from its first value
			}
		}
		if bad := d.value(p, name, under+name); bad != nil {
			return nil, bad
		}
		if props[name] == nil && p.kind != "" && d.index.mapping.dynamic != "false" {
			props = maps.Clone(props)
			if props == nil {
				props = map[string]*property{}
			}
			props[name] = p
		}
	}
	if _, err := d.dec.Token(); err != nil {
		return nil, d.syntax(err.Error())
	}
	return props, nil
}

// value reads one value, or a list of them.
func (d *parser) value(p *property, name, path string) *problem {
	if !p.enabled() {
		var skipped json.RawMessage
		if err := d.dec.Decode(&skipped); err != nil {
			return d.syntax(err.Error())
		}
		return nil
	}
	token, err := d.dec.Token()
	if err != nil {
		return d.syntax(err.Error())
	}
	switch token {
	case nil:
		return nil
	case json.Delim('['):
		for d.dec.More() {
			if bad := d.value(p, name, path); bad != nil {
				return bad
			}
		}
		if _, err := d.dec.Token(); err != nil {
			return d.syntax(err.Error())
		}
		return nil
	case json.Delim('{'):
		if p.kind == "" {
			p.kind = "object"
		}
		if p.kind != "object" && p.kind != "nested" {
			return d.wrong(p, path, "{...}", "illegal_state_exception", "Can't get text on a START_OBJECT")
		}
		if p.kind == "nested" {
			d.nested++
		}
		props, bad := d.object(p.properties, path, path+".")
		if bad != nil {
			return bad
		}
		if len(props) != len(p.properties) {
			p.properties = props
		}
		return nil
	}
	if p.kind == "" {
		p.kind = map[bool]string{true: "text", false: "long"}[isString(token)]
		if p.kind == "text" {
			p.fields = map[string]*property{"keyword": {kind: "keyword", params: map[string]any{"ignore_above": 256.0}}}
		}
		if _, ok := token.(bool); ok {
			p.kind = "boolean"
		}
		if n, ok := token.(json.Number); ok && strings.ContainsAny(n.String(), ".eE") {
			p.kind = "float"
		}
	}
	if p.kind == "object" || p.kind == "nested" {
		return broken("object mapping for [%s] tried to parse field [%s] as object, but found a concrete value", path, name)
	}
	return d.scalar(p, path, token)
}

func isString(token any) bool { _, ok := token.(string); return ok }

var date = regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$|^-?\d+$`)

// maxTerm is Lucene's bound for a value that is indexed as a whole.
const maxTerm = 32766

func (d *parser) scalar(p *property, path string, token any) *problem {
	text := fmt.Sprint(token)
	_, flag := token.(bool)
	switch p.kind {
	case "keyword":
		above := math.MaxInt
		if n, ok := p.params["ignore_above"].(float64); ok {
			above = int(n)
		}
		if utf8.RuneCountInString(text) <= above && len(text) > maxTerm && p.params["index"] != false {
			return illegal("Document contains at least one immense term in field=\"%s\" (whose UTF8 encoding is longer than the max length 32766), all of which were skipped.", path)
		}
	case "double", "float", "long", "integer":
		if text == "" {
			return nil
		}
		n, err := strconv.ParseFloat(text, 64)
		if flag || err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return d.wrong(p, path, text, "number_format_exception", "For input string: \""+text+"\"")
		}
		if p.kind == "long" && math.Abs(n) > math.MaxInt64 || p.kind == "integer" && math.Abs(n) > math.MaxInt32 {
			return d.wrong(p, path, text, "illegal_argument_exception", "Value ["+text+"] is out of range for a "+p.kind)
		}
	case "boolean":
		if !flag && (!isString(token) || text != "true" && text != "false" && text != "") {
			return d.wrong(p, path, text, "illegal_argument_exception", "Failed to parse value ["+text+"] as only [true] or [false] are allowed.")
		}
	case "date":
		if !date.MatchString(text) {
			return d.wrong(p, path, text, "illegal_argument_exception", "failed to parse date field ["+text+"] with format [strict_date_optional_time||epoch_millis]")
		}
	}
	for name, sub := range p.fields {
		if bad := d.scalar(sub, path+"."+name, token); bad != nil {
			return bad
		}
	}
	return nil
}

func (d *parser) wrong(p *property, path, value, kind, reason string) *problem {
	bad := broken("failed to parse field [%s] of type [%s] in document with id '%s'. Preview of field's value: '%s'", path, p.kind, d.id, value)
	bad.cause = &problem{kind: kind, reason: reason}
	return bad
}
