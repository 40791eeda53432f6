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
// A type has a field for it and two methods; all its other fields have a json tag, and none is embedded:
//
//	type Thing struct {
//		Name Text `json:"name"`
//
//		read asRead
//	}
//
//	func (t *Thing) UnmarshalJSON(data []byte) error {
//		type plain Thing
//		return readObject(data, (*plain)(t), &t.read)
//	}
//
//	func (t Thing) MarshalJSON() ([]byte, error) {
//		type plain Thing
//		return writeObject(plain(t), t.read)
//	}
type asRead string

// maxDepth bounds how deep objects and lists may lie in each other, in what is longer than shallow bytes. Each level is
// looked through again for the one below it, and encoding/json alone would go 10,000 deep; what is shorter can't be deep
// enough to matter, and is most of what is read.
const maxDepth, shallow = 100, 8 << 10

// readObject reads an object, or the [] that PHP makes of an empty one, into v and read, which is a field of v. What was
// in v before is gone; a null leaves it as it is, as encoding/json wants it.
func readObject[P any](data []byte, v *P, read *asRead) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > shallow && depth(data) > maxDepth {
		return fmt.Errorf("more than %d objects and lists in each other", maxDepth)
	}
	var fresh P
	if err := unmarshalObject(data, &fresh); err != nil {
		return err
	}
	*v = fresh
	*read = asRead(data)
	return nil
}

// depth gives how deep the objects and lists of valid JSON lie in each other.
func depth(data []byte) int {
	now, most, text := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// writeObject writes what was read with what has been changed in now since.
func writeObject[P any](now P, read asRead) ([]byte, error) {
	changed, err := changes(now, read)
	if err != nil {
		return nil, err
	}
	if len(changed) == 0 && read != "" {
		return []byte(read), nil
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
func changes[P any](now P, read asRead) ([]member, error) {
	var was P
	if read != "" {
		if err := unmarshalObject([]byte(read), &was); err != nil {
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

// members gives the members of the object that was read, in its order.
func (r asRead) members() ([]member, error) {
	d := json.NewDecoder(strings.NewReader(string(r)))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, nil // nothing was read, or []
	}
	var all []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, describeJSON(err)
		}
		m := member{name: fmt.Sprint(name)}
		if err := d.Decode(&m.value); err != nil {
			return nil, describeJSON(err)
		}
		all = append(all, m)
	}
	return all, nil
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
	if err := unmarshal(value, &callers{v}); err != nil {
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
