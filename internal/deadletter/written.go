package deadletter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// writtenLetter is a letter as a discard writes it. The order of its members is part of the format (docs/operations.md).
type writtenLetter struct {
	Topic      string         `json:"topic"`
	Queue      string         `json:"queue"` // where it was consumed; empty if not known
	Properties map[string]any `json:"properties"`
	Headers    map[string]any `json:"headers"`
	Body       *string        `json:"body_base64"`
}

// typed begins the name of the only member of an object that stands for an AMQP value of a type that JSON has not. JSON's own
// types stand for themselves: a text, a boolean, null, an array, an object (a table), a whole number (int64). A table that looks
// like such an object is written as one.
const typed = "amqp:"

// encode returns a letter as one line. It fails if decode would not return the same letter. x-mageline headers that mageline
// has not set are left out, as in a replay.
func encode(l letter) ([]byte, error) {
	d := l.d
	headers := maps.Clone(d.Headers)
	if !l.ours {
		maps.DeleteFunc(headers, func(name string, _ any) bool { return isOurs(name) })
	}
	w := writtenLetter{Topic: l.Topic, Queue: l.Queue, Properties: map[string]any{"delivery_mode": d.DeliveryMode}}
	if !utf8.ValidString(l.Topic) || !utf8.ValidString(l.Queue) {
		return nil, errors.New("its topic or its queue is no UTF-8 text, and can't be written down")
	}
	var err error
	if w.Headers, err = encodeTable(headers); err != nil {
		return nil, err
	}
	for name, v := range texts(d) {
		if *v != "" {
			w.Properties[name] = encodeText(*v)
		}
	}
	if d.Priority != 0 {
		w.Properties["priority"] = d.Priority
	}
	if !d.Timestamp.IsZero() {
		w.Properties["timestamp"] = encodeTime(d.Timestamp)
	}
	body := base64.StdEncoding.EncodeToString(d.Body)
	w.Body = &body
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(w); err != nil {
		return nil, fmt.Errorf("it can't be written down: %w", err)
	}
	return line.Bytes(), nil
}

func isOurs(header string) bool { return strings.HasPrefix(strings.ToLower(header), "x-mageline-") }

// texts returns the properties that are text, by their name in a line.
func texts(d *amqp.Delivery) map[string]*string {
	return map[string]*string{
		"content_type": &d.ContentType, "content_encoding": &d.ContentEncoding, "correlation_id": &d.CorrelationId,
		"reply_to": &d.ReplyTo, "expiration": &d.Expiration, "message_id": &d.MessageId, "type": &d.Type, "user_id": &d.UserId,
		"app_id": &d.AppId,
	}
}

func encodeTable(t amqp.Table) (map[string]any, error) {
	m := make(map[string]any, len(t))
	for name, v := range t {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("the name %q of a header is no UTF-8 text, and can't be written down", name)
		}
		var err error
		if m[name], err = encodeValue(v); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func encodeValue(v any) (any, error) {
	as := func(name string, v any) (any, error) { return map[string]any{typed + name: v}, nil }
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return encodeText(v), nil
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			var err error
			if all[i], err = encodeValue(e); err != nil {
				return nil, err
			}
		}
		return all, nil
	case amqp.Table:
		m, err := encodeTable(v)
		if err == nil && isTyped(m) {
			return as("table", m)
		}
		return m, err
	case int8:
		return as("int8", v)
	case uint8:
		return as("uint8", v)
	case int16:
		return as("int16", v)
	case uint16:
		return as("uint16", v)
	case int32:
		return as("int32", v)
	case int: // amqp091-go sends it as int32
		return as("int32", v)
	case uint32:
		return as("uint32", v)
	case float32: // as text: NaN is no JSON
		return as("float32", strconv.FormatFloat(float64(v), 'g', -1, 32))
	case float64:
		return as("float64", strconv.FormatFloat(v, 'g', -1, 64))
	case amqp.Decimal: // its value times ten to the power of minus its scale
		return as("decimal", []int64{int64(v.Scale), int64(v.Value)})
	case time.Time:
		return as("timestamp", encodeTime(v))
	case []byte:
		return as("bytes", base64.StdEncoding.EncodeToString(v))
	default:
		return nil, fmt.Errorf("a header's value has the unknown type %T, and can't be written down", v)
	}
}

// isTyped reports whether an object stands for a value of another type than a table.
func isTyped(m map[string]any) bool {
	for name := range m {
		return len(m) == 1 && strings.HasPrefix(name, typed)
	}
	return false
}

func encodeText(text string) any {
	if utf8.ValidString(text) {
		return text
	}
	return map[string]any{typed + "string": base64.StdEncoding.EncodeToString([]byte(text))}
}

// encodeTime returns RFC 3339 or, for a year that it can't express (milliseconds taken for seconds), seconds since 1970.
func encodeTime(at time.Time) any {
	if at = at.UTC(); at.Year() < 0 || at.Year() > 9999 {
		return at.Unix()
	}
	return at.Format(time.RFC3339)
}

// decode reads a line that encode has written.
func decode(line []byte) (letter, error) {
	var w writtenLetter
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&w); err != nil {
		return letter{}, fmt.Errorf("it is no letter, or was cut short: %w", err)
	}
	if decoder.More() {
		return letter{}, errors.New("it has something after its letter")
	}
	if w.Body == nil {
		return letter{}, errors.New("it is no letter: body_base64 is missing")
	}
	l := letter{Letter: Letter{Topic: w.Topic, Queue: w.Queue}, d: &amqp.Delivery{}, ours: true, topicOf: w.Topic}
	var err error
	if l.d.Body, err = base64.StdEncoding.DecodeString(*w.Body); err != nil {
		return l, fmt.Errorf("body_base64: %w", err)
	}
	if l.d.Headers, err = decodeTable(w.Headers); err != nil {
		return l, err
	}
	return l, decodeProperties(l.d, w.Properties)
}

func decodeProperties(d *amqp.Delivery, properties map[string]any) error {
	text := texts(d)
	for name, v := range properties {
		v, err := decodeValue(v)
		if err != nil {
			return fmt.Errorf("property %s: %w", name, err)
		}
		ok := true
		switch to := text[name]; {
		case to != nil:
			*to, ok = v.(string)
		case name == "timestamp":
			d.Timestamp, err = decodeTime(v)
		case name == "priority":
			var n int64
			n, ok = v.(int64)
			ok = ok && n >= 0 && n <= math.MaxUint8
			d.Priority = uint8(n) //nolint:gosec // checked
		case name == "delivery_mode": // what is published again is persistent
		default:
			return fmt.Errorf("there is no property %q", name)
		}
		if err != nil || !ok {
			return errors.Join(fmt.Errorf("property %s can't be %v", name, v), err)
		}
	}
	return nil
}

func decodeTable(m map[string]any) (amqp.Table, error) {
	t := make(amqp.Table, len(m))
	for name, v := range m {
		value, err := decodeValue(v)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		t[name] = value
	}
	return t, nil
}

func decodeValue(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return strconv.ParseInt(v.String(), 10, 64)
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			var err error
			if all[i], err = decodeValue(e); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		if !isTyped(v) {
			return decodeTable(v)
		}
		for name, value := range v {
			return decodeTyped(name, value)
		}
	}
	return v, nil
}

// integers are the types of whole numbers other than int64.
var integers = map[string]struct {
	signed bool
	bits   int
	of     func(int64) any
}{
	"int8":   {true, 8, func(n int64) any { return int8(n) }},     //nolint:gosec // as with all: read with that width
	"uint8":  {false, 8, func(n int64) any { return uint8(n) }},   //nolint:gosec // as above
	"int16":  {true, 16, func(n int64) any { return int16(n) }},   //nolint:gosec // as above
	"uint16": {false, 16, func(n int64) any { return uint16(n) }}, //nolint:gosec // as above
	"int32":  {true, 32, func(n int64) any { return int32(n) }},   //nolint:gosec // as above
	"uint32": {false, 32, func(n int64) any { return uint32(n) }}, //nolint:gosec // as above
}

func decodeTyped(name string, v any) (any, error) {
	name = strings.TrimPrefix(name, typed)
	if number, ok := v.(json.Number); ok {
		if kind, ok := integers[name]; ok {
			if kind.signed {
				n, err := strconv.ParseInt(number.String(), 10, kind.bits)
				return kind.of(n), err
			}
			n, err := strconv.ParseUint(number.String(), 10, kind.bits)
			return kind.of(int64(n)), err //nolint:gosec // at most 32 bits
		}
	}
	if name == "timestamp" {
		if number, ok := v.(json.Number); ok {
			n, err := number.Int64()
			return time.Unix(n, 0).UTC(), err
		}
		return decodeTime(v)
	}
	switch v := v.(type) {
	case map[string]any:
		if name == "table" {
			return decodeTable(v)
		}
	case []any:
		if name == "decimal" && len(v) == 2 {
			return decodeDecimal(v)
		}
	case string:
		switch name {
		case "bytes":
			return base64.StdEncoding.DecodeString(v)
		case "string":
			text, err := base64.StdEncoding.DecodeString(v)
			return string(text), err
		case "float32":
			f, err := strconv.ParseFloat(v, 32)
			return float32(f), err
		case "float64":
			return strconv.ParseFloat(v, 64)
		}
	}
	return nil, fmt.Errorf("%v is no value of a type %q", v, name)
}

func decodeDecimal(pair []any) (any, error) {
	scale, err := strconv.ParseUint(fmt.Sprint(pair[0]), 10, 8)
	if err != nil {
		return nil, err
	}
	value, err := strconv.ParseInt(fmt.Sprint(pair[1]), 10, 32)
	return amqp.Decimal{Scale: uint8(scale), Value: int32(value)}, err
}

func decodeTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case int64:
		return time.Unix(v, 0).UTC(), nil
	case string:
		return time.Parse(time.RFC3339, v)
	}
	return time.Time{}, fmt.Errorf("%v is no time as 2026-11-23T09:00:00Z", v)
}
