package deadletter

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Shown is a letter with its properties, headers and body, as JSON can express them.
type Shown struct {
	Letter
	Advice
	Properties map[string]any `json:"properties"` // those that are set
	Headers    map[string]any `json:"headers"`
	// Body is the body if it is UTF-8, else BodyBase64 is set.
	Body       string `json:"body,omitempty"`
	BodyBase64 string `json:"body_base64,omitempty"`
}

func (r *Reader) show(l letter, queue string) Shown {
	d := l.d
	s := Shown{Letter: l.Letter, Advice: r.advice(l.Letter, queue), Properties: map[string]any{}, Headers: plainTable(d.Headers)}
	for name, v := range map[string]string{
		"content_type": d.ContentType, "content_encoding": d.ContentEncoding, "correlation_id": d.CorrelationId,
		"reply_to": d.ReplyTo, "expiration": d.Expiration, "message_id": d.MessageId, "type": d.Type, "user_id": d.UserId,
		"app_id": d.AppId,
	} {
		if v != "" {
			s.Properties[name] = v
		}
	}
	s.Properties["delivery_mode"] = d.DeliveryMode
	if d.Priority != 0 {
		s.Properties["priority"] = d.Priority
	}
	if !d.Timestamp.IsZero() {
		s.Properties["timestamp"] = d.Timestamp.UTC().Format(time.RFC3339)
	}
	if utf8.Valid(d.Body) {
		s.Body = string(d.Body)
	} else {
		s.BodyBase64 = base64.StdEncoding.EncodeToString(d.Body)
	}
	return s
}

func plainTable(t amqp.Table) map[string]any {
	m := make(map[string]any, len(t))
	for name, v := range t {
		m[name] = plain(v)
	}
	return m
}

// plain returns a header's value as JSON can express it. Bytes that are no UTF-8 become base64.
func plain(v any) any {
	switch v := v.(type) {
	case amqp.Table:
		return plainTable(v)
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = plain(e)
		}
		return all
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case nil, bool, string, int, int8, int16, int32, int64, uint8, uint16, uint32, uint64:
		return v
	default: // a float may be NaN, a decimal is a pair
		return fmt.Sprint(v)
	}
}
