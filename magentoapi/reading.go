package magentoapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// What Magento answers is read leniently. PHP and a shop's modules write values in forms that no interface of Magento's
// has: false or "" for an amount, [] for an object, a list with a gap as an object, JSON as a text. So that a field which
// nobody needs does not make the rest unreadable, a value of a form that its field has no use for leaves the field
// unset, is written again as it came (see asRead), and is told as an OddField. Whoever does need the field looks there.
//
// Forms that say the same are read: see order_values.go for single values. A list may be an object whose keys are
// numbers, an object [].

// OddField is a value of an unexpected form. As an error it says that the value was needed.
type OddField struct {
	// Path is where it is, as in items[0].tax_percent. Of a list in which several rows have it, it is the first.
	Path string
	// Form is what it is, without what it says: a boolean, an empty array, a string like "00,00 €", in which digits and
	// letters are masked.
	Form string
	// Want is what belongs there.
	Want string
	// Empty is whether it is what PHP writes for nothing: false, "", [] or {}.
	Empty bool

	field string
}

// Field is Path without the places in lists: items.tax_percent.
func (f OddField) Field() string { return f.field }

// In reports whether it is one of the fields, named as Field names them, or something that a part of them is in.
func (f OddField) In(fields ...string) bool {
	for _, name := range fields {
		if name == f.field || strings.HasPrefix(name, f.field+".") {
			return true
		}
	}
	return false
}

func (f OddField) Error() string {
	path := f.Path
	if path == "" {
		path = "it"
	}
	return path + " is " + f.Form + ", where " + f.Want + " belongs"
}

// maxDepth bounds how deep objects may lie in each other: writing looks through each of them once more for each that it
// lies in.
const maxDepth = 100

// A reading is what is known of JSON while it is read.
type reading struct {
	data  []byte // valid JSON; what is not ends the reading with an error, somehow
	text  string // the same, if an object keeps a part of it
	odd   []OddField
	depth int
	err   error
}

// read reads data into v, which can be set, and gives what of it has an unexpected form. If that is data as a whole, or a
// row of a list that it is, it is an error, an OddField.
func read(data []byte, v reflect.Value) ([]OddField, error) {
	r := &reading{data: data}
	end, ok := planOf(v.Type()).read(r, r.space(0), v)
	switch {
	case r.err != nil:
		return nil, r.err
	case r.space(end) != len(data):
		return nil, notJSON(int64(end))
	case !ok:
		return nil, r.odd[0]
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 && r.at(r.space(0)) == '{' { // an answer of another type must not look like none of these
			return nil, OddField{Form: "an empty object", Want: "a list"}
		}
		for _, f := range r.odd {
			if f.field == "" {
				return nil, f
			}
		}
	}
	r.keep(v, 0)
	return r.odd, nil
}

// keep gives v, if it keeps what it was read from, what is odd since before.
func (r *reading) keep(v reflect.Value, before int) {
	if len(r.odd) == before {
		return
	}
	if v.Kind() != reflect.Pointer {
		v = v.Addr()
	}
	if k, ok := v.Interface().(keeper); ok && !v.IsNil() {
		k.kept().odd = slices.Clone(r.odd[before:])
	}
}

// A plan is how the values of a type are read.
type plan struct {
	kind   planKind
	typ    reflect.Type
	want   string
	strict bool // a scalar that "" is no form of
	custom bool // a list that reads other forms by itself
	keeps  bool // an object that keeps what it was read from
	elem   *plan
	fields map[string]*planField
}

type planField struct {
	plan  *plan
	name  string
	index int
}

type planKind int

const (
	scalarPlan  planKind = iota // a type of order_values.go, or another with a method to read itself
	textPlan                    // a Text or a string
	objectPlan                  // a struct
	listPlan                    // a slice
	pointerPlan                 // nil where the value is null or of an unexpected form
	otherPlan                   // what encoding/json reads: a map, any, json.RawMessage
)

var (
	plans       sync.Map // of *plan by reflect.Type
	plansMu     sync.Mutex
	keeperType  = reflect.TypeFor[keeper]()
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	bytesType   = reflect.TypeFor[[]byte]()
	wants       = map[reflect.Type]string{
		reflect.TypeFor[ID]():      "an id (a whole number, 0 or above)",
		reflect.TypeFor[Int]():     "a whole number",
		reflect.TypeFor[Decimal](): "a number",
		reflect.TypeFor[Rate]():    "a number",
		reflect.TypeFor[Flag]():    "0 or 1",
		reflect.TypeFor[Time]():    "a time (YYYY-MM-DD hh:mm:ss)",
	}
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	plansMu.Lock()
	defer plansMu.Unlock()
	made := map[reflect.Type]*plan{}
	p := makePlan(t, made)
	for t, p := range made {
		plans.LoadOrStore(t, p) // only now is none of them half made
	}
	return p
}

func makePlan(t reflect.Type, made map[reflect.Type]*plan) *plan {
	if p := made[t]; p != nil {
		return p
	}
	p := &plan{typ: t, want: wants[t]}
	made[t] = p
	reads := reflect.PointerTo(t).Implements(unmarshaler)
	switch {
	case t.Kind() == reflect.Pointer:
		p.kind, p.elem = pointerPlan, makePlan(t.Elem(), made)
		p.want = p.elem.want
	case t == reflect.TypeFor[Text](), t.Kind() == reflect.String && !reads:
		p.kind, p.want = textPlan, "a text"
	case reflect.PointerTo(t).Implements(keeperType), t.Kind() == reflect.Struct && !reads:
		p.kind, p.want, p.fields = objectPlan, "an object", map[string]*planField{}
		p.keeps = reflect.PointerTo(t).Implements(keeperType)
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			if f.IsExported() && name != "-" {
				p.fields[name] = &planField{makePlan(f.Type, made), name, i}
			}
		}
	case t.Kind() == reflect.Slice && !t.ConvertibleTo(bytesType):
		p.kind, p.want, p.custom, p.elem = listPlan, "a list", reads, makePlan(t.Elem(), made)
	case reads && t.Kind() != reflect.Map:
		p.kind, p.strict = scalarPlan, p.want != "" && t != reflect.TypeFor[Flag]() && t != reflect.TypeFor[Time]()
	default:
		p.kind = otherPlan
	}
	if p.want == "" {
		p.want = "another form"
		if t.Kind() == reflect.Map || t.Kind() == reflect.Struct {
			p.want = "an object"
		}
	}
	return p
}

// field gives the field that encoding/json reads for a name, which is without regard to case; nil if there is none.
func (p *plan) field(name []byte) *planField {
	if f := p.fields[string(name)]; f != nil {
		return f
	}
	for _, c := range name {
		if c < 'a' && c != '_' && (c < '0' || c > '9') || c > 'z' {
			var text string
			if bytes.IndexByte(name, '\\') < 0 {
				text = string(name)
			} else if unmarshal(append(append([]byte{'"'}, name...), '"'), &text) != nil {
				return nil
			}
			for _, f := range p.fields {
				if strings.EqualFold(f.name, text) {
					return f
				}
			}
			return nil
		}
	}
	return nil
}

// read reads the value that begins at a place into v, and gives the place behind it. If its form is unexpected it is not
// ok, v is the zero value, and the last of r.odd says so.
func (p *plan) read(r *reading, at int, v reflect.Value) (end int, ok bool) {
	switch c := r.at(at); {
	case p.kind == otherPlan:
		end = r.skip(at)
		err := unmarshal(r.data[at:end], v.Addr().Interface())
		return r.read(p, at, end, v, err == nil)
	case p.kind == objectPlan:
		return p.readObject(r, at, v)
	case c == 'n': // null
		v.SetZero()
		return r.skip(at), true
	case p.kind == pointerPlan:
		to := reflect.New(p.elem.typ)
		if end, ok = p.elem.read(r, at, to.Elem()); ok {
			v.Set(to)
		} else {
			v.SetZero()
		}
		return end, ok
	case p.kind == listPlan:
		return p.readList(r, at, v)
	case p.kind == textPlan:
		var text string
		switch end = r.skip(at); {
		case c == '"':
			text = r.string(at, end)
		case c == '-' || c >= '0' && c <= '9':
			text = string(r.data[at:end])
		default:
			return r.read(p, at, end, v, false)
		}
		v.SetString(text)
		return end, true
	default:
		end = r.skip(at)
		ok = !p.strict || end-at != 2 || c != '"' // ""
		return r.read(p, at, end, v, ok && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(r.data[at:end]) == nil)
	}
}

func (p *plan) readObject(r *reading, at int, v reflect.Value) (end int, ok bool) {
	v.SetZero()
	var kept *asRead
	if p.keeps {
		if r.text == "" {
			r.text = string(r.data)
		}
		kept = v.Addr().Interface().(keeper).kept()
	}
	switch r.at(at) {
	case '{':
	default:
		end = r.skip(at)
		if kept != nil {
			kept.json = r.text[at:end]
		}
		if r.at(at) == 'n' {
			return end, true
		}
		if r.at(at) == '[' && r.space(at+1) == end-1 { // PHP's empty object
			return end, true
		}
		return r.odds(p, at, end), false
	}
	if r.depth++; r.depth > maxDepth {
		r.fail(fmt.Errorf("more than %d objects in each other", maxDepth))
	}
	for name, value := range r.members(at, &end) {
		f := p.field(r.data[name.from+1 : name.to-1])
		if f == nil {
			value.to = r.skip(value.from)
			continue
		}
		before := len(r.odd)
		value.to, _ = f.plan.read(r, value.from, v.Field(f.index))
		for i := before; i < len(r.odd); i++ {
			r.odd[i].under(f.name)
		}
	}
	r.depth--
	if kept != nil && r.err == nil {
		kept.json = r.text[at:end]
	}
	return end, true
}

func (p *plan) readList(r *reading, at int, v reflect.Value) (end int, ok bool) {
	c := r.at(at)
	if p.custom && c != '[' {
		end = r.skip(at)
		if v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(r.data[at:end]) == nil {
			return end, true
		}
	}
	if c != '[' && (c != '{' || !r.numbered(at)) {
		v.SetZero()
		end = r.skip(at)
		return r.odds(p, at, end), false
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	start, n := len(r.odd), 0
	add := func(from int) (to int) {
		v.Grow(1)
		v.SetLen(n + 1)
		before := len(r.odd)
		to, _ = p.elem.read(r, from, v.Index(n))
		if p.elem.kind == objectPlan && r.at(from) == 'n' {
			r.odds(p.elem, from, to)
		}
		if r.depth == 0 { // of a list as a whole answer each row is on its own
			r.keep(v.Index(n), before)
		}
		r.inList(start, before, n)
		n++
		return to
	}
	if c == '{' {
		for _, value := range r.members(at, &end) {
			value.to = add(value.from)
		}
		return end, true
	}
	for at = r.space(at + 1); r.err == nil; {
		switch r.at(at) {
		case ']':
			return at + 1, true
		case ',':
			at = r.space(at + 1)
		case 0, '}', ':':
			r.fail(notJSON(int64(at)))
		default:
			at = r.space(add(at))
		}
	}
	return len(r.data), true
}

// read says that the value of a plan was read, or marks it as odd.
func (r *reading) read(p *plan, at, end int, v reflect.Value, ok bool) (int, bool) {
	if !ok {
		v.SetZero()
		r.odds(p, at, end)
	}
	return end, ok
}

// odds marks a value as odd, and gives its end.
func (r *reading) odds(p *plan, at, end int) int {
	if at >= end || end-at == 1 && strings.IndexByte(`{["`, r.data[at]) >= 0 {
		r.fail(notJSON(int64(at)))
		return len(r.data)
	}
	form, empty := formOf(r.data[at:end])
	r.odd = append(r.odd, OddField{Form: form, Want: p.want, Empty: empty})
	return end
}

// under puts the field into the object that is in a field of that name.
func (f *OddField) under(name string) {
	switch {
	case f.Path == "" || f.Path[0] == '[':
		f.Path = name + f.Path
	default:
		f.Path = name + "." + f.Path
	}
	if f.field == "" {
		f.field = name
	} else {
		f.field = name + "." + f.field
	}
}

// inList puts what is odd since before into the n-th row of the list that began at start. Of each field the first is told.
func (r *reading) inList(start, before, n int) {
	kept := before
next:
	for _, f := range r.odd[before:] {
		for _, earlier := range r.odd[start:before] {
			if earlier.field == f.field {
				continue next
			}
		}
		dot := "."
		if f.Path == "" || f.Path[0] == '[' {
			dot = ""
		}
		f.Path = fmt.Sprintf("[%d]%s%s", n, dot, f.Path)
		r.odd[kept] = f
		kept++
	}
	r.odd = r.odd[:kept]
}

func (r *reading) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// at gives the byte at a place, 0 behind the end.
func (r *reading) at(at int) byte {
	if at >= len(r.data) {
		return 0
	}
	return r.data[at]
}

func (r *reading) space(at int) int {
	for at < len(r.data) && (r.data[at] == ' ' || r.data[at] == '\n' || r.data[at] == '\t' || r.data[at] == '\r') {
		at++
	}
	return at
}

// skip gives the end of the value that begins at a place.
func (r *reading) skip(at int) int {
	for depth := 0; at < len(r.data); {
		switch r.data[at] {
		case '"':
			at = r.endOfText(at)
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\n', '\t', '\r':
			at++
			continue
		default: // a number or a word
			for at < len(r.data) && strings.IndexByte(",:]} \n\t\r", r.data[at]) < 0 {
				at++
			}
		}
		if depth <= 0 {
			return at
		}
	}
	return len(r.data)
}

// endOfText gives the place behind the quote that ends the text that begins at a place.
func (r *reading) endOfText(at int) int {
	for i := at + 1; i < len(r.data); i++ {
		next := bytes.IndexByte(r.data[i:], '"')
		if next < 0 {
			break
		}
		i += next
		escapes := 0
		for r.data[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	r.fail(notJSON(int64(len(r.data))))
	return len(r.data)
}

// string gives the content of a text.
func (r *reading) string(at, end int) string {
	if end-at < 2 {
		return ""
	}
	inner := r.data[at+1 : end-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		if r.text != "" {
			return r.text[at+1 : end-1]
		}
		return string(inner)
	}
	var s string
	if err := unmarshal(r.data[at:end], &s); err != nil {
		r.fail(describeJSON(err))
	}
	return s
}

// A span is a part of what is read.
type span struct{ from, to int }

// members gives the names of the object that begins at a place, each with its value, whose end the loop's body sets; and
// at last the end of the object.
func (r *reading) members(at int, end *int) func(yield func(name span, value *span) bool) {
	return func(yield func(name span, value *span) bool) {
		*end = len(r.data)
		for at = r.space(at + 1); r.err == nil; {
			switch r.at(at) {
			case '}':
				*end = at + 1
				return
			case ',':
				at = r.space(at + 1)
				continue
			case '"':
			default:
				r.fail(notJSON(int64(at)))
				return
			}
			name := span{at, r.endOfText(at)}
			colon := r.space(name.to)
			if r.at(colon) != ':' {
				r.fail(notJSON(int64(colon)))
				return
			}
			value := span{from: r.space(colon + 1)}
			if !yield(name, &value) {
				return
			}
			at = r.space(value.to)
		}
	}
}

// numbered reports whether all keys of the object that begins at a place are numbers: it is a list, in PHP an array with
// a gap.
func (r *reading) numbered(at int) bool {
	var end int
	for name, value := range r.members(at, &end) {
		key := r.data[name.from+1 : name.to-1]
		if len(key) == 0 || len(bytes.Trim(key, "0123456789")) > 0 {
			return false
		}
		value.to = r.skip(value.from)
	}
	return r.err == nil
}

// formOf says what a value is, without what it says, and whether it is one of PHP's for nothing.
func formOf(value []byte) (form string, empty bool) {
	switch value[0] {
	case 'n':
		return "null", false
	case 't':
		return "the boolean true", false
	case 'f':
		return "the boolean false", true
	case '{', '[':
		kind := "an object"
		if value[0] == '[' {
			kind = "an array"
		}
		if len(bytes.TrimSpace(value[1:len(value)-1])) == 0 {
			return strings.Replace(kind, "an ", "an empty ", 1), true
		}
		return kind, false
	case '"':
		var s string
		if unmarshal(value, &s) != nil || s == "" {
			return "an empty string", s == ""
		}
		return like("string", s, `"`), false
	default:
		return like("number", string(value), ""), false
	}
}

// like names a value, by what it says only if that says nothing of anybody: a number below 100.
func like(kind, s, quote string) string {
	if n, err := strconv.Atoi(s); err == nil && n > -100 && n < 100 {
		return "the " + kind + " " + quote + s + quote
	}
	return "a " + kind + " like " + quote + mask(s) + quote
}

// mask takes out what a text says: a digit is 0, a letter a.
func mask(s string) string {
	const most = 24
	var b strings.Builder
	n := 0
	for _, c := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		switch {
		case unicode.IsDigit(c):
			c = '0'
		case c > unicode.MaxASCII && !unicode.IsSymbol(c) || unicode.IsLetter(c) || c < ' ' || c == '"':
			c = 'a'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// oddAt gives the first of the fields that are needed and have an unexpected form, or are in something that has; nil if
// there is none.
func oddAt(odd []OddField, needed ...string) error {
	for _, f := range odd {
		if f.In(needed...) {
			return f
		}
	}
	return nil
}

// oddOf is oddAt for what keeps what it was read from.
func oddOf(v any, needed ...string) error {
	if k, ok := v.(keeper); ok {
		return oddAt(k.kept().odd, needed...)
	}
	return nil
}
