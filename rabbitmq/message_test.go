package rabbitmq_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// everyType has a header of each type that the library can read.
func everyType() amqp.Table {
	return amqp.Table{
		"bool": true, "int8": int8(-8), "uint8": uint8(8), "int16": int16(-16), "uint16": uint16(16), "int32": int32(-32),
		"uint32": uint32(32), "int64": int64(-64), "float32": float32(1.5), "float64": 2.5, "decimal": amqp.Decimal{Scale: 2, Value: 1999},
		"text": "größe", "bytes": []byte{0, 1, 255}, "time": time.Unix(1_700_000_000, 0), "void": nil,
		"array": []any{int32(1), "two", []any{true}, amqp.Table{"three": int64(3)}}, "table": amqp.Table{"a": amqp.Table{"b": "c"}},
		"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
}

// What is published again has gone through a real broker twice and is as it was.
func TestRepublishing_KeepsTheMessage(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn, publish := dial(t, broker.URL), publisher(t, broker.URL)
	queue := broker.Queue("order_placed")
	declare(t, conn, queue, nil)
	body := []byte{0, 1, 2, 0xff, '"', '{', 0}
	broker.Send(queue, amqp.Publishing{
		Headers: everyType(), ContentType: "application/x", ContentEncoding: "br", DeliveryMode: amqp.Transient, Priority: 3,
		CorrelationId: "correlation", ReplyTo: "reply", Expiration: "3600000", MessageId: "message", Timestamp: time.Unix(1_700_000_001, 0),
		Type: "type", UserId: "guest", AppId: "app", Body: body,
	})
	got := get(t, conn, queue)
	if err := publish.Publish(t.Context(), "", queue, rabbitmq.Republishing(&got, amqp.Table{rabbitmq.HeaderAttempts: int64(1)}, publish.FrameSize())); err != nil {
		t.Fatal(err)
	}
	got = get(t, conn, queue)
	want := everyType()
	want[rabbitmq.HeaderAttempts] = int64(1)
	want[rabbitmq.HeaderOriginalUserID] = "guest"
	want[rabbitmq.HeaderOriginalExpiration] = "3600000"
	kit.DropCounts(got.Headers)
	if !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("headers\n%#v\nwant\n%#v", got.Headers, want)
	}
	if !bytes.Equal(got.Body, body) {
		t.Errorf("body %q", got.Body)
	}
	type properties struct {
		contentType, encoding     string
		mode, priority            uint8
		correlation, reply        string
		expiration, id, typ       string
		user, app                 string
		timestamp                 time.Time
		routingKey, exchange, tag string
	}
	have := properties{
		got.ContentType, got.ContentEncoding, got.DeliveryMode, got.Priority, got.CorrelationId, got.ReplyTo, got.Expiration,
		got.MessageId, got.Type, got.UserId, got.AppId, got.Timestamp, "", "", "",
	}
	if expected := (properties{
		"application/x", "br", amqp.Persistent, 3, "correlation", "reply", "", "message", "type", "", "app", time.Unix(1_700_000_001, 0), "", "", "",
	}); have != expected {
		t.Errorf("properties\n%+v\nwant\n%+v", have, expected)
	}
}

func TestRepublishing_SetsAndRemovesHeaders(t *testing.T) {
	came := amqp.Table{
		"mine": "kept", "x-death": []any{amqp.Table{"count": int64(3)}}, "x-first-death-queue": "q", "x-last-death-reason": "expired",
		"x-delivery-count": int64(4), "x-acquired-count": int64(5), "CC": []any{"other"}, "BCC": []any{"other"}, "x-deaths": "kept",
		"cc": "kept", rabbitmq.HeaderAttempts: int64(7), rabbitmq.HeaderReason: "poison", "X-Mageline-Key": "k",
	}
	kept := amqp.Table{"mine": "kept", "x-deaths": "kept", "cc": "kept"}
	tests := []struct {
		name     string
		exchange string
		set      amqp.Table
		want     amqp.Table
	}{
		{"ours stay", "", nil, amqp.Table{rabbitmq.HeaderAttempts: int64(7), rabbitmq.HeaderReason: "poison", "X-Mageline-Key": "k"}},
		{"ours are set", "", amqp.Table{rabbitmq.HeaderAttempts: int64(8)}, amqp.Table{rabbitmq.HeaderAttempts: int64(8), rabbitmq.HeaderReason: "poison", "X-Mageline-Key": "k"}},
		{"nil takes away", "", amqp.Table{rabbitmq.HeaderReason: nil, "not there": nil}, amqp.Table{rabbitmq.HeaderAttempts: int64(7), "X-Mageline-Key": "k"}},
		{"of others they go", "magento", nil, amqp.Table{}},
		{"of others they are set", "magento", amqp.Table{rabbitmq.HeaderTopic: "a"}, amqp.Table{rabbitmq.HeaderTopic: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, v := range kept {
				tt.want[name] = v
			}
			d := &amqp.Delivery{Exchange: tt.exchange, Headers: came}
			before := len(came)
			got := rabbitmq.Republishing(d, tt.set, 0)
			if !reflect.DeepEqual(got.Headers, tt.want) {
				t.Errorf("headers %v, want %v", got.Headers, tt.want)
			}
			if len(came) != before {
				t.Error("the delivery's own headers were changed")
			}
		})
	}
}

// Headers near the size of a frame, on a real broker: one that is too large closes the connection.
func TestRepublishing_FitsHeadersInAFrame(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn, publish := dial(t, broker.URL), publisher(t, broker.URL)
	queue := broker.Queue("order_placed")
	declare(t, conn, queue, nil)
	long := strings.Repeat("ä", 200)
	// What a dead letter adds, at its largest.
	set := amqp.Table{
		rabbitmq.HeaderError: strings.Repeat("e", 2048), rabbitmq.HeaderKey: strings.Repeat("k", 200), rabbitmq.HeaderTopic: strings.Repeat("t", 255),
		rabbitmq.HeaderQueue: queue, rabbitmq.HeaderReason: "exhausted", rabbitmq.HeaderAttempts: int64(6),
	}
	many := amqp.Table{}
	for i := range 4000 {
		many[fmt.Sprintf("header-%04d", i)] = strings.Repeat("m", 20)
	}
	tests := []struct {
		name    string
		headers amqp.Table
		dropped []string // in this order; nil: none
	}{
		{"small", amqp.Table{"a": "b"}, nil},
		{"100 KB", amqp.Table{"large": strings.Repeat("x", 100_000), "small": "s"}, nil},
		{"131 KB", amqp.Table{"large": strings.Repeat("x", 131_000), "small": "s"}, []string{"large"}},
		{"131 KB in several", amqp.Table{"a": strings.Repeat("x", 20_000), "b": strings.Repeat("x", 60_000), "c": strings.Repeat("x", 50_900), "d": "s"}, []string{"b"}},
		{"the largest first", amqp.Table{"a": strings.Repeat("x", 2_000), "b": strings.Repeat("x", 3_000), "c": []byte(strings.Repeat("x", 125_500))}, []string{"c"}},
		{"of equal ones by name", amqp.Table{"b": strings.Repeat("x", 65_500), "a": strings.Repeat("x", 65_500)}, []string{"a"}},
		{"nested", amqp.Table{"n": amqp.Table{"o": []any{strings.Repeat("x", 129_000), int64(1)}}, "small": int16(1)}, []string{"n"}},
		{"an x-mageline header that we never wrote", amqp.Table{rabbitmq.HeaderReplayID: strings.Repeat("x", 130_000)}, []string{rabbitmq.HeaderReplayID}},
		{"after others were left out before", amqp.Table{rabbitmq.HeaderDropped: "first", "large": strings.Repeat("x", 129_000)}, []string{"first", "large"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &amqp.Delivery{
				Headers: tt.headers, ContentType: long[:250], ContentEncoding: long[:250], CorrelationId: long[:250], ReplyTo: long[:250],
				MessageId: long[:250], Type: long[:250], AppId: long[:250], UserId: "guest", Expiration: "3600000", Timestamp: time.Unix(1_700_000_001, 0),
				Priority: 9, Body: []byte("body"),
			}
			if err := publish.Publish(t.Context(), "", queue, rabbitmq.Republishing(d, set, publish.FrameSize())); err != nil {
				t.Fatal(err)
			}
			got := get(t, conn, queue)
			var dropped []string
			if names := rabbitmq.Text(got.Headers, rabbitmq.HeaderDropped); names != "" {
				dropped = strings.Split(names, ",")
			}
			if !slices.Equal(dropped, tt.dropped) {
				t.Errorf("left out %q, want %q", dropped, tt.dropped)
			}
			for name, v := range tt.headers {
				_, there := got.Headers[name]
				if named := slices.Contains(dropped, name); there == named && name != rabbitmq.HeaderDropped {
					t.Errorf("header %s (%d bytes): there %t, named %t", name, len(fmt.Sprint(v)), there, named)
				}
			}
			for name, v := range set {
				if got.Headers[name] != v {
					t.Errorf("our header %s is lost", name)
				}
			}
		})
	}
	t.Run("thousands", func(t *testing.T) {
		if err := publish.Publish(t.Context(), "", queue, rabbitmq.Republishing(&amqp.Delivery{Headers: many}, set, publish.FrameSize())); err != nil {
			t.Fatal(err)
		}
		got := get(t, conn, queue)
		if rabbitmq.Int(got.Headers, rabbitmq.HeaderAttempts) != 6 || !strings.HasPrefix(rabbitmq.Text(got.Headers, rabbitmq.HeaderDropped), "header-0000,header-0001,") {
			t.Errorf("dropped %.60q", rabbitmq.Text(got.Headers, rabbitmq.HeaderDropped))
		}
	})
}

// Whatever headers come, what is made of them fits in a frame.
func FuzzAgainFits(f *testing.F) {
	f.Add(130_000, 1, "name", 131_072)
	f.Add(10, 9_000, "a name that is somewhat longer", 131_072)
	f.Add(0, 0, "", 16_384)
	f.Fuzz(func(t *testing.T, size, count int, name string, frame int) {
		size, count = min(max(size, 0), 200_000), min(max(count, 0), 10_000)
		if size*count > 4<<20 || frame < 16_384 || frame > 1<<20 {
			return // no headers that a broker would pass on
		}
		headers := amqp.Table{}
		for i := range count {
			headers[rabbitmq.Truncate(name, 100)+fmt.Sprint(i)] = strings.Repeat("x", size)
		}
		p := rabbitmq.Republishing(&amqp.Delivery{Headers: headers, MessageId: rabbitmq.Truncate(name, 255)}, amqp.Table{rabbitmq.HeaderAttempts: int64(1)}, frame)
		total := 8 + 14 + len(p.MessageId) + 1 + 4
		for name, v := range p.Headers {
			total += 1 + len(name)
			if text, ok := v.(string); ok {
				total += 5 + len(text)
			} else {
				total += 9
			}
		}
		if total > frame {
			t.Fatalf("the header frame has %d bytes, the frame size is %d", total, frame)
		}
		if p.Headers[rabbitmq.HeaderAttempts] != int64(1) {
			t.Fatal("our own header is lost")
		}
	})
}

func TestTruncate_TruncatesToValidUTF8(t *testing.T) {
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aä", 2, "a"}, {"aä", 3, "aä"}, {"a\xffb", 9, "a�b"}, {"\xff\xff", 3, "�"},
	} {
		got := rabbitmq.Truncate(tt.text, tt.limit)
		if got != tt.want || !utf8.ValidString(got) {
			t.Errorf("%q to %d: %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

func TestID_IsTheSameForEachCopy(t *testing.T) {
	// printf 'sales.order.placed\0m1\0{}' | sha256sum
	const want = "dbc67abbc0c9"
	if got := rabbitmq.ID("sales.order.placed", "m1", []byte("{}")); got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	if rabbitmq.ID("a", "b", []byte("c")) == rabbitmq.ID("ab", "", []byte("c")) {
		t.Error("topic and message id run together")
	}
}

func TestTopic_ComesFromKeyOrHeader(t *testing.T) {
	tests := []struct {
		name string
		d    amqp.Delivery
		want string
	}{
		{"Magento's", amqp.Delivery{Exchange: "magento", RoutingKey: "sales.order.placed"}, "sales.order.placed"},
		{"Magento's with a header not ours", amqp.Delivery{Exchange: "magento", RoutingKey: "a", Headers: amqp.Table{rabbitmq.HeaderTopic: "b"}}, "a"},
		{"from a retry queue", amqp.Delivery{RoutingKey: "mageline.order_placed", Headers: amqp.Table{rabbitmq.HeaderTopic: "b"}}, "b"},
		{"put in the queue by hand", amqp.Delivery{RoutingKey: "mageline.order_placed"}, "first"},
		{"a header that is no text", amqp.Delivery{RoutingKey: "q", Headers: amqp.Table{rabbitmq.HeaderTopic: int64(1)}}, "first"},
	}
	for _, tt := range tests {
		if got := rabbitmq.Topic(&tt.d, "first"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestHeaders_ReadAnyAMQPType(t *testing.T) {
	h := amqp.Table{"text": "a", "bytes": []byte("b"), "i8": int8(-1), "u8": uint8(2), "i16": int16(3), "u16": uint16(4), "i32": int32(5), "u32": uint32(6), "i64": int64(7), "int": 8}
	for name, want := range map[string]int64{"i8": -1, "u8": 2, "i16": 3, "u16": 4, "i32": 5, "u32": 6, "i64": 7, "int": 8, "text": 0, "missing": 0} {
		if got := rabbitmq.Int(h, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	for name, want := range map[string]string{"text": "a", "bytes": "b", "i8": "", "missing": ""} {
		if got := rabbitmq.Text(h, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if rabbitmq.Text(nil, "a") != "" || rabbitmq.Int(nil, "a") != 0 {
		t.Error("no headers at all have values")
	}
}
