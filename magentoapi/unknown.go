package magentoapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A shop's modules add keys that no type here has a field for, and a save that leaves them out, or that writes a zero
// where nothing was set, can destroy what they hold. So a type that is read and saved keeps the JSON that it was read
// from, and writes that again with what has been changed since:
//
//   - what it has no field for stays as it was, in its place;
//   - what was not changed is written as the literal that was read: 29.9900 stays 29.9900, null stays null, and a key
//     that was missing stays missing;
//   - what was changed is written, also where it was changed to nothing: null, 0 or "".
//
// Of a value that was made and not read, what is set is written: all that is not the zero value.
//
// A type embeds it and has two methods; all its other fields have a json tag:
//
//	type Thing struct {
//		Name Text `json:"name"`
//
//		asRead
//	}
//
//	func (t *Thing) UnmarshalJSON(data []byte) error { return readObject(data, t) }
//
//	func (t Thing) MarshalJSON() ([]byte, error) { return writeObject(t, t.asRead) }
type asRead struct {
	json string
	odd  []OddField
}

type keeper interface{ kept() *asRead }

func (r *asRead) kept() *asRead { return r }

// Odd gives the fields of an answer of which the values have an unexpected form, those of the objects in it too: they are
// not set, and are written as they came. An object within an answer does not know them.
func (r asRead) Odd() []OddField { return r.odd }

// readObject reads an object, or the [] that PHP makes of an empty one, into v. What was in v before is gone; a null
// leaves it as it is, as encoding/json wants it.
func readObject[T any](data []byte, v *T) error {
	if string(data) == "null" {
		return nil
	}
	_, err := read(data, reflect.ValueOf(v).Elem())
	return err
}

// writeObject writes what was read with what has been changed in now since.
func writeObject[T any](now T, read asRead) ([]byte, error) {
	changed, err := changes(now, read)
	if err != nil {
		return nil, err
	}
	if len(changed) == 0 && read.json != "" {
		return []byte(read.json), nil
	}
	all, err := read.members()
	if err != nil {
		return nil, err
	}
	for _, c := range changed {
		all = replace(all, c)
	}
	return encodeMembers(all)
}

// A member is one key of an object and its value.
type member struct {
	name  string
	value json.RawMessage
}

// changes gives the fields whose values are not what was read, in the order of the fields.
func changes[T any](now T, kept asRead) ([]member, error) {
	var was T
	var odd OddField
	if kept.json != "" {
		if _, err := read([]byte(kept.json), reflect.ValueOf(&was).Elem()); err != nil && !errors.As(err, &odd) {
			return nil, err
		}
	}
	before, after := reflect.ValueOf(was), reflect.ValueOf(now)
	var changed []member
	for i := range after.NumField() {
		name, _, _ := strings.Cut(after.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" || reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			continue
		}
		value, err := json.Marshal(after.Field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		changed = append(changed, member{name, value})
	}
	return changed, nil
}

// replace puts m in the place of the member that encoding/json reads for its name, which is without regard to case.
func replace(all []member, m member) []member {
	same := func(old member) bool { return strings.EqualFold(old.name, m.name) }
	at := slices.IndexFunc(all, same)
	if at < 0 {
		return append(all, m)
	}
	all[at] = m
	return append(all[:at+1], slices.DeleteFunc(all[at+1:], same)...)
}

// members gives the members of the object that was read, in its order; none of what is no object.
func (r asRead) members() ([]member, error) {
	in := newReading([]byte(r.json))
	if in.kind() != '{' {
		return nil, nil
	}
	var all []member
	for name, value := range in.members() {
		all = append(all, member{name, slices.Clone(value)})
	}
	return all, in.err
}

// get reads the member into v and reports whether there is one that is not null.
func (r asRead) get(name string, v any) (bool, error) {
	all, err := r.members()
	if err != nil {
		return false, err
	}
	for _, m := range slices.Backward(all) { // of two, encoding/json takes the last
		if m.name == name {
			return readMember(m.value, name, v)
		}
	}
	return false, nil
}

func readMember(value json.RawMessage, name string, v any) (bool, error) {
	if len(value) == 0 || string(value) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(value, v); err != nil {
		return false, fmt.Errorf("magento: %s: %w", name, describeJSON(err))
	}
	return true, nil
}

func encodeMembers(all []member) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		if len(m.value) == 0 {
			return nil, errors.New(m.name + " has no value")
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
