package fakesap

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"
)

//go:embed schema.yaml
var schemaText []byte

// The services, as they stand in an address.
const (
	Orders     = "API_SALES_ORDER_SRV"
	Credits    = "API_CREDIT_MEMO_REQUEST_SRV"
	Deliveries = "API_OUTBOUND_DELIVERY_SRV;v=0002"
	Partners   = "API_BUSINESS_PARTNER"
)

// schema is the entity sets of all services, by their names, which are unique.
var schema = parseSchema(schemaText)

type entitySet struct {
	name, service              string
	key                        []string
	post, patch, delete, query bool
	etag                       bool
	properties                 map[string]property
	nav                        map[string]nav
}

type property struct {
	kind                                                 string
	length, scale                                        int
	key, upper, digits, date, nocreate, noupdate, nofind bool
}

type nav struct {
	set  string
	many bool
}

var typeForm = regexp.MustCompile(`^([A-Za-z]+)(?:\((\d+)(?:,(\d+))?\))?$`)

func parseSchema(text []byte) map[string]*entitySet {
	var file struct {
		Services map[string]struct {
			Sets map[string]struct {
				Type       string
				Key        []string
				Set        struct{ Post, Patch, Delete, Query bool }
				EtagFrom   []string `yaml:"etag_from"`
				Properties map[string]string
				Nav        map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		panic("fakesap: the schema can't be read: " + err.Error())
	}
	all, types := map[string]*entitySet{}, map[string]string{}
	for service, s := range file.Services {
		for name, set := range s.Sets {
			e := &entitySet{
				name: name, service: service, key: set.Key, post: set.Set.Post, patch: set.Set.Patch, delete: set.Set.Delete, query: set.Set.Query,
				etag: len(set.EtagFrom) > 0, properties: map[string]property{}, nav: map[string]nav{},
			}
			types[set.Type] = name
			for p, text := range set.Properties {
				e.properties[p] = parseProperty(text)
			}
			for n, text := range set.Nav {
				target, many, _ := strings.Cut(text, " ")
				e.nav[n] = nav{set: target, many: many == "*"}
			}
			all[name] = e
		}
	}
	for _, e := range all {
		for n, target := range e.nav {
			target.set = types[target.set] // "" for a set that the fake does not have
			e.nav[n] = target
		}
	}
	return all
}

func parseProperty(text string) property {
	words := strings.Fields(text)
	m := typeForm.FindStringSubmatch(words[0])
	if m == nil {
		panic("fakesap: no type: " + text)
	}
	p := property{kind: m[1]}
	p.length, _ = strconv.Atoi(m[2])
	p.scale, _ = strconv.Atoi(m[3])
	for _, word := range words[1:] {
		switch word {
		case "key":
			p.key = true
		case "upper":
			p.upper = true
		case "digits":
			p.digits = true
		case "date":
			p.date = true
		case "nocreate":
			p.nocreate = true
		case "noupdate":
			p.noupdate = true
		case "nofilter":
			p.nofind = true
		case "notnull":
		default:
			panic("fakesap: no mark of a property: " + text)
		}
	}
	return p
}

var (
	decimalForm = regexp.MustCompile(`^-?(\d+)(?:\.(\d+))?$`)
	digitsForm  = regexp.MustCompile(`^\d*$`)
	dateForm    = regexp.MustCompile(`^/Date\((-?\d+)(\+0000)?\)/$`)
)

// value returns a property's value as it is stored, or what is wrong with it.
func (p property) value(v any) (any, string) {
	switch p.kind {
	case "Boolean":
		if b, ok := v.(bool); ok {
			return b, ""
		}
		return nil, "is neither true nor false"
	case "Decimal":
		s, ok := v.(string)
		m := decimalForm.FindStringSubmatch(s)
		switch {
		case !ok:
			return nil, fmt.Sprintf("is a JSON %T: a Decimal is a JSON string", v)
		case m == nil:
			return nil, "is no decimal"
		case len(m[2]) > p.scale:
			return nil, fmt.Sprintf("has %d places, %d are possible", len(m[2]), p.scale)
		case len(strings.TrimLeft(m[1], "0")) > p.length-p.scale:
			return nil, fmt.Sprintf("has more than %d places before the point", p.length-p.scale)
		}
		return s, ""
	case "DateTime", "DateTimeOffset":
		s, ok := v.(string)
		m := dateForm.FindStringSubmatch(s)
		if !ok || m == nil || (m[2] != "") != (p.kind == "DateTimeOffset") {
			return nil, "is no " + p.kind
		}
		ms, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || p.date && ms%(24*time.Hour).Milliseconds() != 0 {
			return nil, "is no date at midnight"
		}
		return s, ""
	}
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Sprintf("is a JSON %T: want a string", v)
	}
	if n := len([]rune(s)); p.length > 0 && n > p.length {
		return nil, fmt.Sprintf("has %d characters, %d are possible", n, p.length)
	}
	if p.digits && !digitsForm.MatchString(s) {
		return nil, "has other characters than figures"
	}
	if p.upper {
		s = strings.ToUpper(s)
	}
	return s, ""
}

// violation is a body that the service does not take.
type violation struct{ property, what string }

// check returns the properties of a body as they are stored, and the bodies of its nested sets. update is true for a PATCH.
func (s *Server) check(e *entitySet, body map[string]any, update bool) (props map[string]any, nested map[string][]map[string]any, v *violation) {
	props, nested = map[string]any{}, map[string][]map[string]any{}
	for name, raw := range body {
		if target, ok := e.nav[name]; ok {
			if update || target.set == "" {
				return nil, nil, &violation{name, "can't be in this body"}
			}
			list, ok := nestedList(raw)
			if !ok {
				return nil, nil, &violation{name, "is neither a list nor an object with results"}
			}
			nested[name] = list
			continue
		}
		p, ok := e.properties[name]
		if !ok && s.extension(e.name, name) {
			p, ok = property{kind: "String", length: 255}, true
		}
		switch {
		case !ok:
			return nil, nil, &violation{name, "is invalid"}
		case update && p.noupdate, update && p.key, !update && p.nocreate:
			if s.knobs.readOnlyIgnored {
				continue
			}
			return nil, nil, &violation{name, "is read-only"}
		case raw == nil:
			continue
		}
		stored, problem := p.value(raw)
		if problem != "" {
			return nil, nil, &violation{name, problem}
		}
		props[name] = stored
	}
	return props, nested, nil
}

func nestedList(raw any) ([]map[string]any, bool) {
	if o, ok := raw.(map[string]any); ok {
		if results, ok := o["results"]; ok && len(o) == 1 {
			raw = results
		} else {
			raw = []any{raw} // a navigation to one
		}
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, false
	}
	all := make([]map[string]any, 0, len(list))
	for _, one := range list {
		o, ok := one.(map[string]any)
		if !ok {
			return nil, false
		}
		all = append(all, o)
	}
	return all, true
}

func (s *Server) extension(set, name string) bool { return slices.Contains(s.o.Extensions[set], name) }

func decode(body []byte) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	if o == nil || d.More() {
		return nil, fmt.Errorf("it is no object")
	}
	return o, nil
}

func number(v any) decimal.Decimal {
	s, _ := v.(string)
	d, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.Zero
	}
	return d
}

func date(t time.Time) string {
	return fmt.Sprintf("/Date(%d)/", t.UTC().Truncate(24*time.Hour).UnixMilli())
}
func instant(t time.Time) string { return fmt.Sprintf("/Date(%d+0000)/", t.UnixMilli()) }
