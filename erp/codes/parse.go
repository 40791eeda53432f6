package codes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"

	"github.com/mageline/mageline/internal/nearest"
)

// MaxSize bounds a file.
const MaxSize = 16 << 20

// Problem is one thing that is wrong with a file.
type Problem struct {
	Line int // 0 where it is the whole file
	Text string
}

// Problems are all that is wrong with a file.
type Problems struct {
	File string
	All  []Problem
}

func (p *Problems) Error() string {
	lines := make([]string, 0, len(p.All))
	for _, one := range p.All {
		where := p.File
		if one.Line > 0 {
			where += ":" + strconv.Itoa(one.Line)
		}
		lines = append(lines, where+": "+one.Text)
	}
	return strings.Join(lines, "\n")
}

// Parse reads a file. name is the file's, for messages, and erp the connector whose options are known; "" is any. The error is
// *Problems, with every problem of the file.
func Parse(name, erp string, text []byte) (*File, error) {
	f := &File{name: name, erp: erp}
	r := &reader{file: f}
	if len(text) > MaxSize {
		r.problem(0, "it has %d MB: want at most %d", len(text)>>20, MaxSize>>20)
		return nil, r.result()
	}
	var root, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&root); {
	case errors.Is(err, io.EOF): // an empty file
		return f, nil
	case err != nil:
		line, what := syntax(err)
		r.problem(line, "no YAML: %s", what)
		return nil, r.result()
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		r.problem(second.Line, "a second document begins: want one")
	}
	if len(root.Content) == 1 && !isNull(root.Content[0]) {
		r.into(reflect.ValueOf(&f.document).Elem(), root.Content[0], "")
	}
	r.prepare()
	return f, r.result()
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax returns what an error of the YAML parser says, and of which line.
func syntax(err error) (line int, what string) {
	m := yamlLine.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0])
	if m == nil {
		return 0, err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	return line, m[2]
}

// reader turns nodes into a document and gathers what is wrong.
type reader struct {
	file     *File
	problems []Problem
}

func (r *reader) problem(line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{line, fmt.Sprintf(format, args...)})
}

func (r *reader) result() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
	return &Problems{File: r.file.name, All: r.problems}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// into reads a node into a value of the document. path is the node's, for messages.
func (r *reader) into(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.problem(n.Line, "%s: anchors and aliases are not used here: write the value out", path)
		return
	}
	if v.Type() == reflect.TypeFor[decimal.Decimal]() {
		d, err := decimal.NewFromString(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || d.IsNegative() {
			r.problem(n.Line, "%s must be an amount such as \"0.02\"", path)
			return
		}
		v.Set(reflect.ValueOf(d))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.object(v, n, path)
	case reflect.Map:
		r.entries(v, n, path)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			r.problem(n.Line, "%s must be true or false", path)
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Interface:
		if got := r.free(n, path); got != nil {
			v.Set(reflect.ValueOf(got))
		}
	default: // a text: what is written counts, so that 0100 keeps its zero without quotes
		if n.Kind != yaml.ScalarNode {
			r.problem(n.Line, "%s must be a text, and is %s", path, kindOf(n))
			return
		}
		if !isNull(n) {
			v.SetString(n.Value)
		}
	}
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return "a text"
	default:
		return "something else"
	}
}

// pairs returns keys and values of a mapping, without keys that are there twice.
func (r *reader) pairs(n *yaml.Node, path string) [][2]*yaml.Node {
	if isNull(n) { // a section without lines
		return nil
	}
	if n.Kind != yaml.MappingNode {
		if path == "" {
			path = "the file"
		}
		r.problem(n.Line, "%s must be a mapping of keys to values, and is %s", path, kindOf(n))
		return nil
	}
	var all [][2]*yaml.Node
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Anchor != "":
			r.problem(key.Line, "a key must be a text, and is %s", kindOf(key))
		case twice:
			r.problem(key.Line, "%s is there already, in line %d", join(path, key.Value), line)
		default:
			first[key.Value] = key.Line
			all = append(all, [2]*yaml.Node{key, n.Content[i+1]})
		}
	}
	return all
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (r *reader) object(v reflect.Value, n *yaml.Node, path string) {
	known := keysOf(v.Type())
	for _, p := range r.pairs(n, path) {
		key := p[0].Value
		i := slices.Index(known, key)
		if i < 0 {
			r.problem(p[0].Line, "there is no key %s%s", join(path, key), nearest.Hint(key, known))
			continue
		}
		if isNull(p[1]) || p[1].Kind == yaml.ScalarNode && p[1].Value == "" {
			if v.Field(i).Kind() != reflect.Map && v.Field(i).Kind() != reflect.Struct {
				r.file.blanks = append(r.file.blanks, Blank{p[0].Line, join(path, key)})
				continue
			}
		}
		r.into(v.Field(i), p[1], join(path, key))
	}
}

// keysOf returns the keys of a struct, in the order of its fields.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}

func (r *reader) entries(v reflect.Value, n *yaml.Node, path string) {
	pairs := r.pairs(n, path)
	v.Set(reflect.MakeMapWithSize(v.Type(), len(pairs)))
	for _, p := range pairs {
		key := join(path, p[0].Value)
		blank := isNull(p[1]) || p[1].Kind == yaml.ScalarNode && p[1].Value == ""
		if elem := v.Type().Elem().Kind(); blank && (elem == reflect.String || elem == reflect.Struct) {
			r.file.blanks = append(r.file.blanks, Blank{p[0].Line, key})
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		before := len(r.problems)
		r.into(value, p[1], key)
		if len(r.problems) == before {
			r.check(path, p[0], value)
			v.SetMapIndex(reflect.ValueOf(p[0].Value), value)
		}
	}
}

// check looks at one line of a section whose keys or values have a form.
func (r *reader) check(section string, key *yaml.Node, v reflect.Value) {
	switch section {
	case "options":
		r.option(key, v.String())
	case "customer_groups":
		if _, err := strconv.ParseUint(key.Value, 10, 63); err != nil && key.Value != anyCode {
			r.problem(key.Line, "customer_groups.%s: want the id of a group, a whole number, or *", key.Value)
		}
	case "skus", "units":
		if i := strings.Index(key.Value, anyCode); i >= 0 && i < len(key.Value)-1 {
			r.problem(key.Line, "%s.%s: a * stands at the end only", section, key.Value)
		}
	case "countries":
		if len(key.Value) != 2 {
			r.problem(key.Line, "countries.%s: want Magento's code of a country, two letters", key.Value)
		}
	}
}

// option looks at an option: those of other ERPs are known too, so that one file can serve several.
func (r *reader) option(key *yaml.Node, v string) {
	var names, values []string
	own := slices.ContainsFunc(options, func(o option) bool { return o.ERP == r.file.erp && o.Name == key.Value })
	free := false
	for _, o := range options {
		names = append(names, o.Name)
		if o.Name == key.Value && (!own || o.ERP == r.file.erp) {
			values = append(values, o.Values...)
			free = free || o.Values == nil
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case !slices.Contains(names, key.Value):
		r.problem(key.Line, "there is no key options.%s%s", key.Value, nearest.Hint(key.Value, names))
	case !free && !slices.Contains(values, v):
		slices.Sort(values)
		r.problem(key.Line, "options.%s must be %s, and is %q", key.Value, strings.Join(slices.Compact(values), " or "), v)
	}
}

// free reads what the ERP's own fields may be: texts, numbers, true and false, lists and mappings of them.
func (r *reader) free(n *yaml.Node, path string) any {
	switch n.Kind {
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return nil
		case "!!bool":
			return strings.EqualFold(n.Value, "true")
		case "!!int", "!!float":
			if d, err := decimal.NewFromString(n.Value); err == nil && len(n.Value) < 40 {
				return number(d.String())
			}
		}
		t, err := compile(n.Value)
		if err != nil {
			r.problem(n.Line, "%s: %v", path, err)
			return nil
		}
		return t
	case yaml.SequenceNode:
		list := []any{}
		for i, item := range n.Content {
			list = append(list, r.free(item, path+"["+strconv.Itoa(i)+"]"))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for _, p := range r.pairs(n, path) {
			m[p[0].Value] = r.free(p[1], join(path, p[0].Value))
		}
		return m
	default:
		r.problem(n.Line, "%s: anchors and aliases are not used here: write the value out", path)
		return nil
	}
}

// prepare makes what look-ups need.
func (r *reader) prepare() {
	f := r.file
	f.skus, f.units = prefixesOf(f.SKUs), prefixesOf(f.Units)
	f.percents = map[string]string{}
	for key, v := range f.document.Tax {
		if p, err := decimal.NewFromString(strings.TrimSpace(strings.TrimSuffix(key, "%"))); err == nil {
			f.percents[p.String()] = v
		}
	}
	f.header, f.lines = fieldsOf(f.Fields.Header), fieldsOf(f.Fields.Line)
}
