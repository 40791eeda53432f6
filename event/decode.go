package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of Decode, far above what Magento itself publishes.
const (
	// MaxBody is the size of the largest body that is decoded, in bytes.
	MaxBody = 16 << 20
	// maxDepth bounds how deep arrays and objects may be nested, because decoders recurse.
	maxDepth = 100
	// maxWraps bounds how many wrappings (arrays, strings of JSON, members around the object) an event may have. An
	// operation of Magento's asynchronous API in an array has five.
	maxWraps = 12
	// maxLook bounds how deep an object with several members is searched for the one that is the event.
	maxLook = 6
	// maxEvents bounds the events of one body.
	maxEvents = 10_000
	// maxOrderNumber bounds an order number that is the whole event, in characters: varchar(50) in Magento
	// (Sales/etc/db_schema.xml).
	maxOrderNumber = 50
)

// Decode returns the events of a message body. Each is one JSON object. The body may have it in any form that Magento's publisher
// makes, and in any combination of these forms:
//
//   - the object itself;
//   - a JSON string of JSON (a topic of type string, to which modules publish text that is JSON already);
//   - an object whose only member is the object, or a string of it (a topic with a schema: one member
//     for each parameter of the method);
//   - an operation of the asynchronous API, whose serialized_data is a string of JSON, whose meta_information is a string
//     of JSON again;
//   - an array of any of these.
//
// It understands forms of other publishers too:
//
//   - an event of mage-os, ["name", "<JSON>", <store id>], which is one event and not three;
//   - a CloudEvent with data or data.value, and Adobe's {"event":{"data":{"value":{…}}}};
//   - an object with several members of which exactly one names what the kind is about, such as {"order":{…},"storeId":1};
//   - for Orders a bare number, which is the entity id, and a string that is neither an object, array or string of JSON nor
//     has a space, which is the increment id. They become {"entity_id":57} and {"increment_id":"000000123"}.
//
// A byte order mark in front is skipped. A store that a wrapping names is added as store_id to an order that is named by its number
// alone.
//
// An array may have events that can be read and others that can't. Then Decode returns both: the caller handles the events, and
// dead-letters the message for the error if no event must be retried. Errors have the class Malformed, or Invalid if the body is
// about something else than the kind. The events share the body's memory.
func Decode(body []byte, kind Kind) ([]json.RawMessage, error) {
	if len(body) > MaxBody {
		return nil, Errorf(Malformed, "the body has %d bytes, at most %d are read", len(body), MaxBody)
	}
	body = withoutMark(body)
	if !utf8.Valid(body) {
		return nil, Errorf(Malformed, "the body is not UTF-8%s", whereNot(body))
	}
	if err := wellFormed(body); err != nil {
		return nil, Errorf(Malformed, "the body %w", err)
	}
	d := decoder{kind: kind}
	d.value(body, wrapping{})
	if d.full() {
		return nil, Errorf(Malformed, "the body holds more than %d events", maxEvents)
	}
	if d.err != nil && d.failed > 1 {
		d.err = Errorf(ClassOf(d.err), "%w (and %d more values of the body can't be read)", d.err, d.failed-1)
	}
	return d.events, d.err
}

// withoutMark removes a byte order mark.
func withoutMark(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\uFEFF")) }

// whereNot describes what is not UTF-8.
func whereNot(b []byte) string {
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return " but UTF-16"
	}
	at := 0
	for at < len(b) {
		r, size := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return fmt.Sprintf(" at byte %d", at)
}

// decoder collects the events of one body.
type decoder struct {
	kind   Kind
	events []json.RawMessage
	err    error // the first
	failed int
}

// wrapping is what a value is inside of.
type wrapping struct {
	count int
	about string // what the nearest name says that the value is: see the function about
	store string // the store's id; "" if not known
}

// in returns the wrapping of a value inside of w.
func (w wrapping) in() wrapping {
	w.count++
	return w
}

// named returns the wrapping with what a name says about the value.
func (w wrapping) named(name string, member bool) wrapping {
	if thing := about(name, member); thing != "" {
		w.about = thing
	}
	return w
}

// titled returns the wrapping with what the object around an event says that it is about.
func (w wrapping) titled(v []byte) wrapping {
	for key, value := range members(v) {
		if name := string(key[1 : len(key)-1]); value[0] == '"' && (name == "type" || isTitle(name)) {
			w = w.named(string(value), false)
		}
	}
	return w
}

// from returns the wrapping with the store that a value names. Store 0 is Magento's admin, which has no orders.
func (w wrapping) from(store []byte) wrapping {
	var id ID
	if len(store) > 0 && id.UnmarshalJSON(store) == nil && id > 0 {
		w.store = fmt.Sprint(int64(id))
	}
	return w
}

func (d *decoder) fail(class Class, format string, args ...any) {
	d.failed++
	if d.err == nil {
		d.err = Errorf(class, format, args...)
	}
}

// full reports whether maxEvents is reached. Errors count too, which bounds the work.
func (d *decoder) full() bool { return len(d.events)+d.failed > maxEvents }

// value adds the events in v, which is valid JSON inside of w.
func (d *decoder) value(v []byte, w wrapping) {
	v = bytes.TrimSpace(v)
	if w.count > maxWraps {
		d.fail(Malformed, "an event of the body has more than %d wrappings", maxWraps)
		return
	}
	switch c := v[0]; {
	case c == '{':
		d.object(v, w)
	case c == '[':
		d.array(v, w)
	case c == '"':
		d.text(v, w)
	case d.kind == Orders && wholeNumber.Match(v):
		d.emit([]byte(`{"entity_id":`+string(v)+`}`), w)
	default:
		d.fail(Malformed, "the body has a number, a boolean or null where an event is expected")
	}
}

var wholeNumber = regexp.MustCompile(`^[1-9]\d{0,17}$`)

func (d *decoder) array(v []byte, w wrapping) {
	if name, arguments, store := trigger(v); name != nil {
		d.arguments(name, arguments, w.named(string(name), false).from(store))
		return
	}
	none := true
	for e := range elements(v) {
		none = false
		d.value(e, w.in())
		if d.full() {
			break
		}
	}
	if none {
		d.fail(Malformed, "the body has an empty array where events are expected")
	}
}

var (
	// eventName is a name of mage-os' events, such as sales.order.created.
	eventName   = regexp.MustCompile(`^"[A-Za-z][\w-]*(\.[A-Za-z][\w-]*)+"$`)
	digitsAlone = regexp.MustCompile(`^"?\d*"?$`)
)

// trigger returns the parts of an event of mage-os: its name, the arguments of the service that would read its object, and the
// store or nil (mage-os/mageos-async-events, topic event.trigger). name is nil for any other array: two strings with dots may be the
// numbers of two orders.
func trigger(v []byte) (name, arguments, store []byte) {
	var parts [][]byte
	for e := range elements(v) {
		if parts = append(parts, e); len(parts) > 3 {
			return nil, nil, nil
		}
	}
	if len(parts) < 2 || !eventName.Match(parts[0]) {
		return nil, nil, nil
	}
	if len(parts) == 3 {
		if store = parts[2]; string(store) != "null" && !digitsAlone.Match(store) {
			return nil, nil, nil
		}
		return parts[0], parts[1], store
	}
	if text, err := unquote(parts[1]); err == nil && !looksJSON(text) && !digitsAlone.Match(text) {
		return nil, nil, nil
	}
	return parts[0], parts[1], nil
}

// arguments adds the events in the arguments of an event of mage-os: an object, or a string of one.
func (d *decoder) arguments(name, v []byte, w wrapping) {
	if text, err := unquote(v); err == nil && !looksJSON(text) || v[0] != '"' && v[0] != '{' && v[0] != '[' && !wholeNumber.Match(v) {
		d.fail(Malformed, "the arguments of the event %s are no JSON object", name)
		return
	}
	d.value(v, w.in())
}

// looksJSON reports whether a text begins like an object, an array or a string of JSON.
func looksJSON(text []byte) bool {
	return len(text) > 0 && bytes.IndexByte([]byte(`{["`), text[0]) >= 0
}

// text adds the events in the string v.
func (d *decoder) text(v []byte, w wrapping) {
	text, err := unquote(v)
	switch {
	case err != nil:
		d.fail(Malformed, "a string of the body %w", err)
		return
	case d.kind == Orders && isNumber(text):
		number, err := json.Marshal(string(text))
		if err != nil {
			d.fail(Malformed, "a string of the body can't be read: %w", err)
			return
		}
		d.emit([]byte(`{"increment_id":`+string(number)+`}`), w)
		return
	}
	if err := wellFormed(text); err != nil {
		d.fail(Malformed, "a string of the body %w", err)
		return
	}
	d.value(text, w.in())
}

// isNumber reports whether a text can be an order number: it does not begin like JSON, XML or the output of PHP's serialize(), and
// has no space.
func isNumber(text []byte) bool {
	switch string(text) {
	case "", "null", "true", "false":
		return false
	}
	return !looksJSON(text) && text[0] != '<' && !phpSerialized.Match(text) &&
		utf8.RuneCount(text) <= maxOrderNumber && bytes.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) < 0
}

func (d *decoder) object(v []byte, w wrapping) {
	if data, ok := stringMember(v, "serialized_data"); ok {
		d.operation(v, data, w)
		return
	}
	if d.kind.names(v) {
		d.emit(v, w)
		return
	}
	if has(v, "specversion") && has(v, "data") {
		d.cloudEvent(v, w)
		return
	}
	if d.kind != Anything {
		own, inner := d.kind.named(v), d.look(v, w.about, 0)
		switch {
		case inner.grade > own.grade && len(inner.names) > 1:
			d.fail(Invalid, "the body has several members that name %s: %s", d.kind, strings.Join(inner.names, ", "))
			return
		case inner.grade > own.grade:
			d.value(inner.value, w.in().titled(v).named(inner.names[0], true).from(storeOf(v)))
			return
		case own.grade > unnamed || own.foreign:
			d.emit(v, w)
			return
		case len(inner.foreign) == 1:
			d.fail(Invalid, "the body is about %s and not about %s; its members are %s", inner.foreign[0], d.kind, MemberNames(v))
			return
		}
	}
	if name, only := onlyMember(v); only != nil {
		if inner, ok := object(only); ok {
			d.value(inner, w.in().named(name, true))
			return
		}
	}
	d.emit(v, w)
}

// operation adds the events in an operation of Magento's asynchronous API, whose serialized_data is data.
func (d *decoder) operation(v, data []byte, w wrapping) {
	inner, err := unquoteJSON(data)
	if err != nil {
		d.fail(Malformed, "serialized_data of the operation %w", err)
		return
	}
	if topic, ok := stringMember(v, "topic_name"); ok {
		w = w.named(string(topic), false)
	}
	if meta, ok := stringMember(inner, "meta_information"); ok {
		w.count++
		if inner, err = unquoteJSON(meta); err != nil {
			d.fail(Malformed, "meta_information of the operation %w", err)
			return
		}
	}
	d.value(inner, w.in())
}

// cloudEvent adds the events in the data of a CloudEvent (github.com/cloudevents/spec). That of Adobe Commerce has value beside
// _metadata (AdobeDocs/commerce-extensibility, events).
func (d *decoder) cloudEvent(v []byte, w wrapping) {
	if name, ok := stringMember(v, "type"); ok {
		w = w.named(string(name), false)
	}
	data := member(v, "data")
	if inner, ok := object(data); ok {
		data = inner
		if value := member(inner, "value"); value != nil && (has(inner, "_metadata") || has(inner, "key") || has(inner, "source")) {
			w, data = w.in().from(storeOf(inner)), value
		}
	}
	d.value(data, w.in())
}

// storeOf returns the store that an object names beside the event, among the parameters of a method or in Adobe's _metadata, or nil.
func storeOf(v []byte) []byte {
	for key, value := range members(v) {
		switch string(key) {
		case `"storeId"`, `"store_id"`:
			return value
		case `"_metadata"`:
			if value[0] == '{' {
				if store := storeOf(value); store != nil {
					return store
				}
			}
		}
	}
	return nil
}

// inside is what look finds in an object.
type inside struct {
	grade
	names   []string // of the members that name an event with this grade; the first few
	value   []byte   // of the first of them
	foreign []string // what other members are about
}

// look finds the members of the object v, itself depth members deep, that name an event with the highest grade.
func (d *decoder) look(v []byte, thing string, depth int) (found inside) {
	if depth == maxLook {
		return found
	}
	for key, value := range members(v) {
		name := string(key[1 : len(key)-1])
		if strings.HasPrefix(name, "_") {
			continue
		}
		thing := thing
		if d.kind == Orders {
			if t := about(name, true); t != "" {
				thing = t
			}
		}
		g, foreign := d.grade(value, thing, depth+1)
		if foreign != "" && len(found.foreign) < maxNames {
			found.foreign = append(found.foreign, foreign)
		}
		switch {
		case g == unnamed || g < found.grade:
		case g > found.grade:
			found.grade, found.names, found.value = g, []string{name}, value
		case len(found.names) < maxNames:
			found.names = append(found.names, name)
		}
	}
	return found
}

// grade returns how surely a member's value names an event, or what else it is about.
func (d *decoder) grade(value []byte, thing string, depth int) (g grade, foreign string) {
	v, ok := object(value)
	if !ok {
		if thing != string(Orders) || value[0] != '[' { // {"orders":[{…},{…}]}
			return unnamed, ""
		}
		for e := range elements(value) {
			if v, ok = object(e); ok {
				break
			}
		}
		if !ok {
			return unnamed, ""
		}
	}
	if _, ok := stringMember(v, "serialized_data"); ok {
		return byName, ""
	}
	own := d.kind.named(v)
	switch {
	case own.foreign:
		return unnamed, firstOf(thing, "an invoice, a shipment or a credit memo")
	case isForeign(thing, d.kind) && own.grade != byAliasID:
		if own.grade > unnamed {
			return unnamed, thing
		}
	case own.grade == byAnyID && thing == string(Orders):
		return byAliasID, "" // {"order":{"id":57}}
	case own.grade == byName:
		return byName, ""
	}
	inner := d.look(v, thing, depth)
	if len(inner.foreign) == 1 {
		foreign = inner.foreign[0]
	}
	return max(own.grade, inner.grade), foreign
}

// isForeign reports whether a name says that something is not of the kind.
func isForeign(thing string, k Kind) bool {
	return k == Orders && thing != "" && thing != string(Orders)
}

func firstOf(thing, otherwise string) string {
	if thing != "" && thing != string(Orders) {
		return thing
	}
	return otherwise
}

// emit adds an event.
func (d *decoder) emit(v []byte, w wrapping) {
	if d.kind == Orders && (w.about != "" || w.store != "") {
		own := d.kind.named(v)
		if isForeign(w.about, d.kind) && own.grade != byAliasID && !own.foreign {
			d.fail(Invalid, "the body is about %s and not about %s; its members are %s", w.about, d.kind, MemberNames(v))
			return
		}
		if w.store != "" && own.number && !own.entityID && !own.store && !own.foreign {
			v = append([]byte(`{"store_id":`+w.store+`,`), v[1:]...)
		}
	}
	d.events = append(d.events, v)
}

// object returns v if it is an object, or the object in v if it is a string of one.
func object(v []byte) ([]byte, bool) {
	if len(v) == 0 {
		return nil, false
	}
	if v[0] == '"' {
		text, err := unquote(v)
		if err != nil || len(text) == 0 || text[0] != '{' || wellFormed(text) != nil {
			return nil, false
		}
		v = text
	}
	return v, v[0] == '{'
}
