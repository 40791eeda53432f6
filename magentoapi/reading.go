package magentoapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
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
		if rest, ok := strings.CutPrefix(name, f.field); ok && (rest == "" || rest[0] == '.') {
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
	data  []byte
	owned bool   // nobody else changes data
	text  string // the same, if an object keeps a part of it
	dec   *jsontext.Decoder
	base  int // where in data the decoder has begun
	odd   []OddField
	depth int
	err   error // the first
}

func newReading(data []byte) *reading { return &reading{data: data, dec: decoder(data)} }

// decoder reads what encoding/json reads too: a key that is there twice, text that is not UTF-8.
func decoder(data []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// read reads data into v, which can be set, and gives what of it has an unexpected form. If that is data as a whole, or a
// row of a list that it is, it is an error, an OddField.
func read(data []byte, v reflect.Value) ([]OddField, error) { return newReading(data).whole(v) }

// readOwned is read for data that nobody will write to.
func readOwned(data []byte, v reflect.Value) ([]OddField, error) {
	r := newReading(data)
	r.owned = true
	return r.whole(v)
}

func (r *reading) whole(v reflect.Value) ([]OddField, error) {
	odd, err := r.next(v)
	if r.end(); r.err != nil {
		return nil, r.err
	}
	return odd, err
}

// next reads what comes next into v, as read does.
func (r *reading) next(v reflect.Value) ([]OddField, error) {
	kind := r.kind()
	r.odd = nil
	ok := planOf(v.Type()).read(r, v)
	switch {
	case r.err != nil:
		return nil, r.err
	case !ok:
		return nil, r.odd[0]
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 && kind == '{' { // an answer of another type must not look like none of these
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

// keepText has text set. It is data itself, without a copy, where nobody else has that.
func (r *reading) keepText() {
	switch {
	case r.text != "":
	case r.owned:
		r.text = unsafe.String(unsafe.SliceData(r.data), len(r.data)) //nolint:gosec // data is never written again
	default:
		r.text = string(r.data)
	}
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
			} else if json.Unmarshal(append(append([]byte{'"'}, name...), '"'), &text) != nil {
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

// read reads the next value into v. If its form is unexpected it is not ok, v is the zero value, and the last of r.odd says
// so.
func (p *plan) read(r *reading, v reflect.Value) (ok bool) {
	switch kind := r.kind(); {
	case p.kind == otherPlan:
		value := r.value()
		return r.took(p, value, v, json.Unmarshal(value, v.Addr().Interface()) == nil)
	case p.kind == objectPlan:
		return p.readObject(r, v)
	case kind == 'n': // null
		r.value()
		v.SetZero()
		return true
	case p.kind == pointerPlan:
		to := reflect.New(p.elem.typ)
		if ok = p.elem.read(r, to.Elem()); ok {
			v.Set(to)
		} else {
			v.SetZero()
		}
		return ok
	case p.kind == listPlan:
		return p.readList(r, v)
	case p.kind == textPlan:
		value := r.value()
		switch kind {
		case '"':
			v.SetString(r.string(value))
		case '0':
			v.SetString(string(value))
		default:
			return r.took(p, value, v, false)
		}
		return true
	default:
		value := r.value()
		ok = !p.strict || string(value) != `""`
		return r.took(p, value, v, ok && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(value) == nil)
	}
}

func (p *plan) readObject(r *reading, v reflect.Value) (ok bool) {
	v.SetZero()
	var kept *asRead
	if p.keeps {
		r.keepText()
		kept = v.Addr().Interface().(keeper).kept()
	}
	if kind := r.kind(); kind != '{' {
		value := r.value()
		if kept != nil {
			kept.json = r.text[r.at()-len(value) : r.at()]
		}
		if r.err != nil || kind == 'n' || kind == '[' && isEmpty(value) { // PHP's empty object
			return true
		}
		r.odds(p, value) // and v keeps it
		return false
	}
	r.token()
	begin := r.at() - 1
	if r.depth++; r.depth > maxDepth {
		r.fail(fmt.Errorf("more than %d objects in each other", maxDepth))
	}
	for r.more('}') {
		name := r.value()
		if r.err != nil {
			return true
		}
		f := p.field(name[1 : len(name)-1])
		if f == nil {
			r.value()
			continue
		}
		before := len(r.odd)
		f.plan.read(r, v.Field(f.index))
		for i := before; i < len(r.odd); i++ {
			r.odd[i].under(f.name)
		}
	}
	r.depth--
	if kept != nil && r.err == nil {
		kept.json = r.text[begin:r.at()]
	}
	return true
}

func (p *plan) readList(r *reading, v reflect.Value) (ok bool) {
	if r.kind() == '[' {
		r.token()
		rows := p.rows(r, v)
		for r.more(']') {
			rows.add()
		}
		return true
	}
	value := r.value()
	if p.custom && r.err == nil && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(value) == nil {
		return true
	}
	if r.err != nil || !numbered(value) {
		return r.took(p, value, v, false)
	}
	// What is in it is read as if it stood in a list.
	dec, base := r.dec, r.base
	r.dec, r.base = decoder(value), r.at()-len(value)
	r.token()
	rows := p.rows(r, v)
	for r.more('}') {
		r.value() // the key
		rows.add()
	}
	r.dec, r.base = dec, base
	return true
}

// rows adds the rows of a list to v, which is empty at first.
type rows struct {
	r     *reading
	elem  *plan
	v     reflect.Value
	start int // of what is odd in the list
}

func (p *plan) rows(r *reading, v reflect.Value) rows {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return rows{r, p.elem, v, len(r.odd)}
}

func (l *rows) add() {
	n, before := l.v.Len(), len(l.r.odd)
	l.v.Grow(1)
	l.v.SetLen(n + 1)
	isNull := l.r.kind() == 'n'
	l.elem.read(l.r, l.v.Index(n))
	if isNull && l.elem.kind == objectPlan {
		l.r.odds(l.elem, []byte("null"))
	}
	if l.r.depth == 0 { // of a list as a whole answer each row is on its own
		l.r.keep(l.v.Index(n), before)
	}
	l.r.inList(l.start, before, n)
}

// took says that the value of a plan was read, or marks it as odd.
func (r *reading) took(p *plan, value []byte, v reflect.Value, ok bool) bool {
	if !ok {
		v.SetZero()
		r.odds(p, value)
	}
	return ok
}

// odds marks a value as odd.
func (r *reading) odds(p *plan, value []byte) {
	form, empty := "nothing", false // where the JSON has ended
	if len(value) > 0 {
		form, empty = formOf(value)
	}
	r.odd = append(r.odd, OddField{Form: form, Want: p.want, Empty: empty})
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

// broken notes that data is not JSON from some place on.
func (r *reading) broken(err error) {
	at := len(r.data)
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = r.base + int(syntax.ByteOffset)
	}
	r.fail(notJSON(int64(at)))
}

// at gives the place behind what was read last.
func (r *reading) at() int { return r.base + int(r.dec.InputOffset()) }

// kind gives the kind of what is read next: n, t, f, 0 for a number, ", {, [, } or ], and 0 where there is none.
func (r *reading) kind() byte {
	if r.err != nil {
		return 0
	}
	return byte(r.dec.PeekKind())
}

// value reads the next value as it is. It is nil after an error.
func (r *reading) value() []byte {
	if r.err != nil {
		return nil
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		r.broken(err)
		return nil
	}
	return value
}

// token reads the beginning or the end of a list or object.
func (r *reading) token() {
	if r.err != nil {
		return
	}
	if _, err := r.dec.ReadToken(); err != nil {
		r.broken(err)
	}
}

// more reports whether something comes before the end of a list or object, which it reads.
func (r *reading) more(end byte) bool {
	switch r.kind() {
	case end:
		r.token()
		return false
	case 0:
		r.value() // for its error
		return false
	default:
		return true
	}
}

// members reads the object that comes next, member by member. A value is only good until the next is read.
func (r *reading) members() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for r.token(); r.more('}'); {
			name := r.string(r.value())
			if value := r.value(); r.err != nil || !yield(name, value) {
				return
			}
		}
	}
}

// end makes sure that nothing follows.
func (r *reading) end() {
	if r.err != nil {
		return
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		r.fail(notJSON(int64(r.at())))
	}
}

// string gives the content of a text that was read just now.
func (r *reading) string(value []byte) string {
	if len(value) < 2 {
		return ""
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		if r.text != "" {
			return r.text[r.at()-len(value)+1 : r.at()-1]
		}
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		r.fail(describeJSON(err))
	}
	return s
}

// numbered reports whether all keys of a value are numbers: it is a list, in PHP an array with a gap.
func numbered(value []byte) bool {
	r := newReading(value)
	if r.kind() != '{' {
		return false
	}
	r.token()
	for r.more('}') {
		key := r.value()
		if len(key) < 3 || len(bytes.Trim(key[1:len(key)-1], "0123456789")) > 0 {
			return false
		}
		r.value()
	}
	return r.err == nil
}

func isEmpty(value []byte) bool { return len(bytes.TrimSpace(value[1:len(value)-1])) == 0 }

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
		if isEmpty(value) {
			return strings.Replace(kind, "an ", "an empty ", 1), true
		}
		return kind, false
	case '"':
		var s string
		if json.Unmarshal(value, &s) != nil || s == "" {
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
