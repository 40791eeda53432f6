package fakesap

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// resource is what an address names: a set, one entity of it, or what one entity leads to.
type resource struct {
	set  *entitySet
	key  map[string]string // nil: the whole set
	nav  string            // "" : the set itself
	root bool              // the service's root
}

var segmentForm = regexp.MustCompile(`^(\w+)(?:\((.*)\))?$`)

// resourceOf reads the part of a path behind the service.
func resourceOf(service, rest string) (resource, bool) {
	rest = strings.TrimPrefix(rest, "/")
	if rest == "" {
		return resource{root: true}, true
	}
	first, more, _ := strings.Cut(rest, "/")
	m := segmentForm.FindStringSubmatch(first)
	if m == nil {
		return resource{}, false
	}
	set := schema[m[1]]
	if set == nil || set.service != service {
		return resource{}, false
	}
	r := resource{set: set}
	if strings.Contains(first, "(") {
		if r.key = keyOf(set, m[2]); r.key == nil {
			return resource{}, false
		}
	}
	if more != "" {
		if _, ok := set.nav[more]; !ok || r.key == nil {
			return resource{}, false
		}
		r.nav = more
	}
	return r, true
}

var keyForm = regexp.MustCompile(`(?:(\w+)=)?'((?:[^']|'')*)'(?:,|$)`)

func keyOf(set *entitySet, text string) map[string]string {
	key := map[string]string{}
	for text != "" {
		at := keyForm.FindStringSubmatchIndex(text)
		if at == nil || at[0] != 0 {
			return nil
		}
		m := keyForm.FindStringSubmatch(text)
		name := m[1]
		if name == "" && len(set.key) == 1 {
			name = set.key[0]
		}
		key[name] = strings.ReplaceAll(m[2], "''", "'")
		text = text[at[1]:]
	}
	if len(key) != len(set.key) {
		return nil
	}
	for _, k := range set.key {
		if _, ok := key[k]; !ok {
			return nil
		}
	}
	return key
}

// condition is one comparison of a $filter.
type condition struct {
	name, op string
	text     string
	at       time.Time
	isTime   bool
}

var conditionForm = regexp.MustCompile(`^\(?\s*(\w+) (eq|ne|ge|gt|le|lt) (?:'((?:[^']|'')*)'|datetime'([0-9T:-]+)'|datetimeoffset'([0-9T:Z-]+)')\s*\)?`)

// filterOf reads a $filter: comparisons with "and" between them all, or with "or".
func filterOf(set *entitySet, text string) (all []condition, anyOf bool, err error) {
	joint := ""
	for {
		m := conditionForm.FindStringSubmatch(text)
		if m == nil {
			return nil, false, fmt.Errorf("invalid token at %q", text)
		}
		p, ok := set.properties[m[1]]
		if !ok || p.nofind {
			return nil, false, fmt.Errorf("property %s can't be filtered", m[1])
		}
		c := condition{name: m[1], op: m[2], text: strings.ReplaceAll(m[3], "''", "'")}
		if stamp := m[4] + strings.TrimSuffix(m[5], "Z"); stamp != "" {
			if c.at, err = time.Parse("2006-01-02T15:04:05", stamp); err != nil || !strings.HasPrefix(p.kind, "DateTime") {
				return nil, false, fmt.Errorf("invalid literal for %s", m[1])
			}
			c.isTime = true
		} else if strings.HasPrefix(p.kind, "DateTime") {
			return nil, false, fmt.Errorf("invalid literal for %s", m[1])
		}
		all = append(all, c)
		text = strings.TrimSpace(text[len(m[0]):])
		if text == "" {
			return all, joint == "or", nil
		}
		word, rest, _ := strings.Cut(text, " ")
		if word != "and" && word != "or" || joint != "" && word != joint {
			return nil, false, fmt.Errorf("invalid token at %q", text)
		}
		joint, text = word, strings.TrimSpace(rest)
	}
}

func (c condition) holds(r *row) bool {
	v, _ := r.props[c.name].(string)
	order := strings.Compare(v, c.text)
	if c.isTime {
		ms, err := strconv.ParseInt(strings.TrimSuffix(strings.Trim(v, "/Date()"), "+0000"), 10, 64)
		if err != nil {
			return false
		}
		order = time.UnixMilli(ms).Compare(c.at)
	}
	switch c.op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "ge":
		return order >= 0
	case "gt":
		return order > 0
	case "le":
		return order <= 0
	default:
		return order < 0
	}
}

// options are OData's of one request.
type options struct {
	conditions []condition
	anyOf      bool
	filtered   bool
	selected   []string
	expand     []string
	top        int // -1: all
	count      bool
}

func optionsOf(set *entitySet, q url.Values) (options, error) {
	o := options{top: -1}
	for name, values := range q {
		v := values[0]
		var err error
		switch name {
		case "$filter":
			o.filtered = true
			o.conditions, o.anyOf, err = filterOf(set, v)
		case "$select":
			o.selected = strings.Split(v, ",")
			for _, p := range o.selected {
				if _, ok := set.properties[p]; !ok && set.nav[strings.Split(p, "/")[0]].set == "" {
					err = fmt.Errorf("property %s is not there", p)
				}
			}
		case "$expand":
			o.expand = strings.Split(v, ",")
			for _, path := range o.expand {
				at := set
				for _, n := range strings.Split(path, "/") {
					if at == nil || at.nav[n].set == "" {
						return o, fmt.Errorf("%s can't be expanded", path)
					}
					at = schema[at.nav[n].set]
				}
			}
		case "$top":
			o.top, err = strconv.Atoi(v)
		case "$inlinecount":
			o.count = v == "allpages"
		case "$format":
			if v != "json" {
				err = fmt.Errorf("format %s is not supported", v)
			}
		case "sap-client", "sap-language":
		default:
			err = fmt.Errorf("the query option %s is not supported", name)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o options) holds(r *row) bool {
	for _, c := range o.conditions {
		if c.holds(r) == o.anyOf {
			return o.anyOf
		}
	}
	return !o.anyOf || len(o.conditions) == 0
}
