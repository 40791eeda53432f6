package tracking

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mageline/mageline/internal/nearest"
	"github.com/mageline/mageline/internal/table"
)

// MaxProfiles bounds a file of profiles, in bytes.
const MaxProfiles = 1 << 20

// Parse reads a file of profiles: a list of them, also beneath the key profiles. name is the file's, for messages. The error has a
// line for each problem.
func Parse(name string, text []byte) ([]*Profile, error) { return parse(name, text, readyMade()) }

// parse reads a file of profiles that may extend those of ready, which is nil for the ready-made ones themselves.
func parse(name string, text []byte, ready map[string]*Profile) ([]*Profile, error) {
	r := &profileReader{file: name, ready: ready}
	if len(text) > MaxProfiles {
		return nil, fmt.Errorf("%s has %d bytes: want at most %d", name, len(text), MaxProfiles)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var root yaml.Node
		err := d.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no YAML: %w", name, err)
		}
		if len(root.Content) == 1 {
			r.profiles(root.Content[0])
		}
	}
	r.extend()
	return r.found, errors.Join(r.problems...)
}

// profileReader turns YAML into profiles, and gathers what is wrong.
type profileReader struct {
	file     string
	ready    map[string]*Profile
	found    []*Profile
	lines    []int // of the profiles
	problems []error
	profile  string // that is being read
}

func (r *profileReader) problem(n *yaml.Node, format string, args ...any) {
	where := fmt.Sprintf("%s:%d: ", r.file, n.Line)
	if r.profile != "" {
		where += "profile " + r.profile + ": "
	}
	r.problems = append(r.problems, errors.New(where+fmt.Sprintf(format, args...)))
}

// profiles reads a list of profiles, or one alone, or a mapping of names to profiles.
func (r *profileReader) profiles(n *yaml.Node) {
	r.profile = ""
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			r.one(item, "")
		}
	case yaml.MappingNode:
		if len(n.Content) == 2 && n.Content[0].Value == "profiles" {
			r.profiles(n.Content[1])
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == "name" && n.Content[i+1].Kind == yaml.ScalarNode {
				r.one(n, "")
				return
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.one(n.Content[i+1], n.Content[i].Value)
		}
	default:
		if n.Tag != "!!null" {
			r.problem(n, "want a list of profiles, each with a name")
		}
	}
}

// keys are those of a profile.
var keys = []string{
	"name", "pattern", "header", "columns", "order_number", "tracking_number", "split", "skip", "only", "extends", "carriers", "carrier",
	"title", "source_code", "encoding", "delimiter", "continuation",
}

// profileName matches names of profiles. A folder of the inbox may have it.
var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$`)

func (r *profileReader) one(n *yaml.Node, name string) {
	r.profile = name
	p := &Profile{Name: name, given: map[string]bool{}, Columns: map[string][]Column{}, Carriers: map[string]string{}}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			r.profile = n.Content[i+1].Value
		}
	}
	r.mapping(n, "", keys, func(key string, v *yaml.Node) {
		p.given[key] = true
		switch key {
		case "name":
			p.Name = r.text(v, key)
		case "pattern":
			p.Pattern = r.patterns(v)
		case "header":
			p.Header = r.list(v, key)
		case "columns":
			r.columns(v, p.Columns)
		case "order_number":
			p.Order = r.number(v, key, []string{"match", "remove", "split", "pad"})
		case "tracking_number":
			p.Tracking = r.number(v, key, []string{"match", "remove"})
		case "split":
			p.Split = r.list(v, key)
		case "skip":
			p.Skip = r.rules(v, key)
		case "only":
			p.Only = r.rules(v, key)
		case "extends":
			p.Extends = r.text(v, key)
		case "carriers":
			r.carriers(v, p.Carriers)
		case "carrier":
			p.Carrier = r.text(v, key)
		case "title":
			p.Title = r.text(v, key)
		case "source_code":
			p.SourceCode = r.text(v, key)
		case "encoding":
			p.Encoding = r.text(v, key)
			if err := (table.Options{Encoding: p.Encoding}).Check(); err != nil {
				r.problem(v, "%v", err)
			}
		case "delimiter":
			p.Delimiter = r.delimiter(v)
		case "continuation":
			p.Continuation = r.flag(v, key)
		}
	})
	switch {
	case n.Kind != yaml.MappingNode:
		return // it is a problem already
	case !profileName.MatchString(p.Name):
		r.problem(n, "a profile needs a name of letters, digits, blanks, points, hyphens and underscores")
	case slices.ContainsFunc(r.found, func(other *Profile) bool { return other.Name == p.Name }):
		r.problem(n, "there is a profile of this name already")
	}
	r.found, r.lines = append(r.found, p), append(r.lines, n.Line)
}

// mapping reads a mapping with keys that are known.
func (r *profileReader) mapping(n *yaml.Node, what string, known []string, take func(key string, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping of keys to values", orWord(what, "a profile"))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		full := key.Value
		if what != "" {
			full = what + "." + key.Value
		}
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		switch {
		case seen[key.Value]:
			r.problem(key, "%s is there twice", full)
		case known != nil && !slices.Contains(known, key.Value):
			r.problem(key, "there is no key %s%s", full, nearest.Hint(key.Value, known))
		default:
			take(key.Value, v)
		}
		seen[key.Value] = true
	}
}

func orWord(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (r *profileReader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode {
		r.problem(n, "%s must be a text", what)
		return ""
	}
	if n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// list reads a list of texts, or one text.
func (r *profileReader) list(n *yaml.Node, what string) []string {
	if n.Kind != yaml.SequenceNode {
		return []string{r.text(n, what)}
	}
	all := []string{}
	for _, item := range n.Content {
		all = append(all, r.text(item, what))
	}
	return all
}

func (r *profileReader) flag(n *yaml.Node, what string) bool {
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
		r.problem(n, "%s must be true or false", what)
	}
	return b
}

func (r *profileReader) patterns(n *yaml.Node) (all []string) {
	for _, text := range r.list(n, "pattern") {
		for glob := range strings.SplitSeq(text, ",") {
			glob = strings.TrimSpace(glob)
			if _, err := path.Match(glob, ""); err != nil || glob == "" || strings.Contains(glob, "/") {
				r.problem(n, "pattern must be a glob of file names, such as GLS_*.txt")
				continue
			}
			all = append(all, glob)
		}
	}
	return all
}

func (r *profileReader) delimiter(n *yaml.Node) string {
	d := r.text(n, "delimiter")
	switch strings.ToLower(d) {
	case "tab", `\t`:
		d = "\t"
	}
	if len(d) != 1 || (table.Options{Delimiter: d[0]}).Check() != nil {
		r.problem(n, "delimiter must be one character of ASCII, and no quote or line break")
		return ""
	}
	return d
}

func (r *profileReader) column(n *yaml.Node, what string) (Column, bool) {
	text := strings.TrimSpace(r.text(n, what))
	if number, err := strconv.Atoi(text); err == nil && isDigits(text) {
		if number < 1 || number > maxColumns {
			r.problem(n, "%s: columns are numbered from 1", what)
			return Column{}, false
		}
		return Column{Number: number}, true
	}
	if text == "" {
		r.problem(n, "%s must be a column's name, its number from 1, or - for none", what)
		return Column{}, false
	}
	return Column{Name: text}, true
}

// maxColumns bounds the number of a column.
const maxColumns = 16_384

func (r *profileReader) columns(n *yaml.Node, into map[string][]Column) {
	r.mapping(n, "columns", columnNames[:], func(key string, v *yaml.Node) {
		items := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			items = v.Content
		}
		into[key] = []Column{}
		for _, item := range items {
			if c, ok := r.column(item, "columns."+key); ok {
				into[key] = append(into[key], c)
			}
		}
		if len(into[key]) == 0 {
			r.problem(v, "columns.%s names no column: - means none", key)
		}
	})
}

func (r *profileReader) number(n *yaml.Node, what string, known []string) (num Number) {
	r.mapping(n, what, known, func(key string, v *yaml.Node) {
		switch key {
		case "match":
			re, err := regexp.Compile(r.text(v, what+".match"))
			switch {
			case err != nil:
				r.problem(v, "%s.match is no regular expression: %v", what, err)
			case re.NumSubexp() != 1:
				r.problem(v, "%s.match has %d groups: want one, which is the number; others are written (?:…)", what, re.NumSubexp())
			default:
				num.Match = re
			}
		case "remove":
			num.Remove = r.list(v, what+".remove")
		case "split":
			num.Split = r.list(v, what+".split")
		case "pad":
			num.NoPad = !r.flag(v, what+".pad")
		}
	})
	if slices.Contains(num.Remove, "") || slices.Contains(num.Split, "") {
		r.problem(n, "%s: remove and split must not have an empty text", what)
	}
	return num
}

func (r *profileReader) rules(n *yaml.Node, what string) (all []Rule) {
	items := n.Content
	if n.Kind == yaml.MappingNode {
		items = []*yaml.Node{n}
	}
	if n.Kind == yaml.ScalarNode {
		r.problem(n, "%s must be a list of column and equals", what)
		return nil
	}
	for _, item := range items {
		rule := Rule{strict: r.ready != nil}
		r.mapping(item, what, []string{"column", "equals"}, func(key string, v *yaml.Node) {
			if key == "column" {
				rule.Column, _ = r.column(v, what+".column")
				return
			}
			for _, text := range r.list(v, what+".equals") {
				rule.Equals = append(rule.Equals, ruleText(text))
			}
		})
		if rule.Column == (Column{}) || len(rule.Equals) == 0 {
			r.problem(item, "%s needs a column and what it equals", what)
			continue
		}
		all = append(all, rule)
	}
	return all
}

func (r *profileReader) carriers(n *yaml.Node, into map[string]string) {
	r.mapping(n, "carriers", nil, func(key string, v *yaml.Node) {
		code := r.text(v, "carriers."+key)
		if !anyCode.MatchString(code) || strings.Trim(key, "* ") == "" {
			r.problem(v, "carriers.%s must be a carrier code of Magento's: at most 32 letters, digits and _, such as dhl", key)
			return
		}
		into[strings.TrimSpace(key)] = code
	})
}

// anyCode matches what fits into sales_shipment_track.carrier_code.
var anyCode = regexp.MustCompile(`^[A-Za-z0-9_]{1,32}$`)

// extend completes each profile with the one that it extends.
func (r *profileReader) extend() {
	state := map[*Profile]int{}
	var complete func(i int) bool
	complete = func(i int) bool {
		p := r.found[i]
		r.profile = p.Name
		node := &yaml.Node{Line: r.lines[i]}
		if p.Extends == "" || state[p] == 2 {
			return true
		}
		if state[p] == 1 {
			r.problem(node, "extends goes round in a circle")
			return false
		}
		state[p] = 1
		base := (*Profile)(nil)
		for j, other := range r.found {
			if other.Name == p.Extends && other != p {
				if !complete(j) {
					return false
				}
				base = other
			}
		}
		if base == nil {
			base = r.ready[p.Extends]
		}
		r.profile = p.Name
		if base == nil {
			names := slices.Sorted(maps.Keys(r.ready))
			for _, other := range r.found {
				names = append(names, other.Name)
			}
			r.problem(node, "extends names a profile %s, and there is none%s", p.Extends, nearest.Hint(p.Extends, names))
			return false
		}
		p.inherit(base)
		state[p] = 2
		return true
	}
	for i := range r.found {
		complete(i)
		r.profile = r.found[i].Name
		r.whole(r.found[i], &yaml.Node{Line: r.lines[i]})
	}
}

// whole looks at what a profile has in sum.
func (r *profileReader) whole(p *Profile, n *yaml.Node) {
	isNowhere := func(column string) bool {
		all := p.Columns[column]
		return len(all) > 0 && !slices.ContainsFunc(all, func(c Column) bool { return !c.isNone() })
	}
	switch {
	case isNowhere("order_number") || isNowhere("tracking_number"):
		r.problem(n, "columns: order_number and tracking_number must be somewhere")
	case p.byNumber() && (len(p.Columns["order_number"]) == 0 || len(p.Columns["tracking_number"]) == 0):
		r.problem(n, "columns: without a header the numbers of order_number and tracking_number are needed")
	}
	p.prepare()
}

// inherit takes from base what p does not have itself.
func (p *Profile) inherit(base *Profile) {
	p.base = append(p.base, append([]string{base.Name}, base.base...)...)
	own := p.given
	take := func(key string) bool {
		if own[key] {
			return false
		}
		if base.given[key] {
			own[key] = true
			return true
		}
		return false
	}
	if !own["pattern"] && !own["header"] {
		p.Pattern, p.Header = base.Pattern, base.Header
	}
	columns := maps.Clone(base.Columns)
	maps.Copy(columns, p.Columns)
	p.Columns = columns
	carriers := maps.Clone(base.Carriers)
	maps.Copy(carriers, p.Carriers)
	p.Carriers = carriers
	p.Order.NoPad = p.Order.NoPad || !own["order_number"] && base.Order.NoPad
	p.Order.inherit(base.Order)
	p.Tracking.inherit(base.Tracking)
	if take("split") {
		p.Split = base.Split
	}
	if take("skip") {
		p.Skip = base.Skip
	}
	if take("only") {
		p.Only = base.Only
	}
	for key, text := range map[string]struct {
		own  *string
		base string
	}{
		"carrier": {&p.Carrier, base.Carrier}, "title": {&p.Title, base.Title}, "source_code": {&p.SourceCode, base.SourceCode},
		"encoding": {&p.Encoding, base.Encoding}, "delimiter": {&p.Delimiter, base.Delimiter},
	} {
		if take(key) {
			*text.own = text.base
		}
	}
	if take("continuation") {
		p.Continuation = base.Continuation
	}
}

func (n *Number) inherit(base Number) {
	if n.Match == nil {
		n.Match = base.Match
	}
	if n.Remove == nil {
		n.Remove = base.Remove
	}
	if n.Split == nil {
		n.Split = base.Split
	}
}
