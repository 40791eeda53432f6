package rabbitmq

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Headers that mageline adds to what it publishes. They are trusted only on a delivery that came through the default exchange:
// anybody can publish to Magento's.
const (
	HeaderTopic              = "x-mageline-topic"
	HeaderAttempts           = "x-mageline-attempts" // attempts used so far
	HeaderFirstFailedAt      = "x-mageline-first-failed-at"
	HeaderUnauthorized       = "x-mageline-unauthorized" // refusals in a row, with a success of the consumer between each two
	HeaderUnauthorizedAt     = "x-mageline-unauthorized-at"
	HeaderUnauthorizedFor    = "x-mageline-unauthorized-for" // the request that was refused
	HeaderDeferred           = "x-mageline-put-off"          // the message was deferred: it was handled, and no attempt was counted
	HeaderSuspect            = "x-mageline-entered"          // the message is a suspect: a process may have died over it
	HeaderReconciledAt       = "x-mageline-reconciled-at"
	HeaderReplayedAt         = "x-mageline-replayed-at"
	HeaderReplayCount        = "x-mageline-replay-count"
	HeaderReplayID           = "x-mageline-replay-id"
	HeaderOriginalUserID     = "x-mageline-original-user-id"
	HeaderOriginalExpiration = "x-mageline-original-expiration"
	HeaderDropped            = "x-mageline-headers-dropped"

	HeaderQueue      = "x-mageline-queue" // these are on dead letters only
	HeaderKey        = "x-mageline-key"
	HeaderReason     = "x-mageline-reason"
	HeaderErrorClass = "x-mageline-error-class"
	HeaderError      = "x-mageline-error"
	HeaderFailedAt   = "x-mageline-failed-at"
	HeaderHost       = "x-mageline-host"
	HeaderVersion    = "x-mageline-version"
)

const headerPrefix = "x-mageline-"

// Reconciled returns the headers of an event that was found to be missing, which goes straight to a consumer's queue.
func Reconciled(topic string, at time.Time) amqp.Table {
	return amqp.Table{HeaderTopic: topic, HeaderReconciledAt: at.UTC().Format(time.RFC3339)}
}

// Trusted reports whether the x-mageline headers of d were set by mageline.
func Trusted(d *amqp.Delivery) bool { return d.Exchange == "" }

// Text returns a header as text; "" if it is missing or no text.
func Text(headers amqp.Table, name string) string {
	switch v := headers[name].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return ""
	}
}

// Int returns a header that is an integer of any AMQP width; 0 if it is missing or no integer.
func Int(headers amqp.Table, name string) int64 {
	switch v := headers[name].(type) {
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case int:
		return int64(v)
	case int64:
		return v
	default:
		return 0
	}
}

// ID returns the letter id, which is the same for all deliveries, retries and replays of a message: 12 hex digits of the SHA-256
// of topic, message id and body.
func ID(topic, messageID string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(topic))
	h.Write([]byte{0})
	h.Write([]byte(messageID))
	h.Write([]byte{0})
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// Republishing returns the message that publishes a delivery again. It keeps the body, the properties and the headers, but for headers
// that a broker acts on, and for x-mageline headers that are not Trusted. Then it sets the headers in set and removes those that
// are nil there.
//
// frameSize is the connection's. Headers of the delivery that would not fit in a frame are left out, largest first, and named in
// x-mageline-headers-dropped: a broker closes the connection when the headers of a publish exceed a frame, and the call that
// publishes does not notice.
func Republishing(d *amqp.Delivery, set amqp.Table, frameSize int) amqp.Publishing {
	headers := make(amqp.Table, len(d.Headers)+len(set)+2)
	trusted := Trusted(d)
	for name, v := range d.Headers {
		if brokerActsOn(name) || (!trusted && strings.HasPrefix(strings.ToLower(name), headerPrefix)) {
			continue
		}
		headers[name] = v
	}
	ours := make(amqp.Table, len(set)+2)
	maps.Copy(ours, set)
	if d.UserId != "" {
		ours[HeaderOriginalUserID] = d.UserId
	}
	if d.Expiration != "" {
		ours[HeaderOriginalExpiration] = d.Expiration
	}
	for name, v := range ours {
		if v == nil {
			delete(headers, name)
			delete(ours, name)
			continue
		}
		headers[name] = v
	}
	p := amqp.Publishing{
		Headers:         headers,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		Priority:        d.Priority,
		CorrelationId:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		MessageId:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppId:           d.AppId,
		Body:            d.Body,
	}
	fitHeaders(&p, ours, frameSize)
	return p
}

// brokerActsOn reports whether a header would make a broker count, route or expire the message.
func brokerActsOn(name string) bool {
	switch name {
	case "x-death", "x-delivery-count", "x-acquired-count", "CC", "BCC":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

func fitHeaders(p *amqp.Publishing, ours amqp.Table, frameSize int) {
	if frameSize <= 0 {
		frameSize = 131072
	}
	// A content header frame has 8 bytes of frame, 14 of header, and every property beside the table.
	room := frameSize - 8 - 14 - 32
	for _, s := range []string{p.ContentType, p.ContentEncoding, p.CorrelationId, p.ReplyTo, p.MessageId, p.Type, p.AppId} {
		room -= 1 + len(s)
	}
	size := tableSize(p.Headers)
	if size <= room {
		return
	}
	const nameRoom = 4096 // for the header that names those left out
	var names []string
	for name := range p.Headers {
		_, set := ours[name]
		// Headers of an earlier publish of mageline are small. Whoever can publish to a queue can invent large ones.
		earlier := strings.HasPrefix(name, headerPrefix) && fieldSize(p.Headers[name]) <= nameRoom
		if !set && !earlier {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := fieldSize(p.Headers[b]) - fieldSize(p.Headers[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var dropped []string
	if before := Text(p.Headers, HeaderDropped); before != "" {
		dropped = append(dropped, before)
	}
	for _, name := range names {
		if size <= room-nameRoom {
			break
		}
		size -= 1 + len(name) + fieldSize(p.Headers[name])
		delete(p.Headers, name)
		dropped = append(dropped, name)
	}
	p.Headers[HeaderDropped] = Truncate(strings.Join(dropped, ","), nameRoom-64)
}

// Truncate truncates text to at most limit bytes of valid UTF-8.
func Truncate(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

func tableSize(t amqp.Table) int {
	n := 4
	for name, v := range t {
		n += 1 + len(name) + fieldSize(v)
	}
	return n
}

// fieldSize is the encoded size of a header's value, its type octet included (AMQP 0-9-1, 4.2.5.5, as amqp091-go does it).
func fieldSize(v any) int {
	switch v := v.(type) {
	case nil:
		return 1
	case bool, int8, uint8:
		return 2
	case int16, uint16:
		return 3
	case int, int32, uint32, float32:
		return 5
	case amqp.Decimal:
		return 6
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case []any:
		n := 5
		for _, e := range v {
			n += fieldSize(e)
		}
		return n
	case amqp.Table:
		return 1 + tableSize(v)
	default: // 64-bit numbers and times
		return 9
	}
}

// Topic returns the topic that a delivery was first published with: its routing key or, if it came through the default exchange,
// where the routing key is a queue's name, the header. Without the header it is fallback.
func Topic(d *amqp.Delivery, fallback string) string {
	if !Trusted(d) {
		return d.RoutingKey
	}
	if topic := Text(d.Headers, HeaderTopic); topic != "" {
		return topic
	}
	return fallback
}
