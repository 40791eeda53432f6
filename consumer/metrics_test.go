package consumer

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestPublished_FindsTheTimeOfThePublish(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	tests := []struct {
		name   string
		d      amqp.Delivery
		source string
	}{
		{"timestamp", amqp.Delivery{Timestamp: at}, "timestamp"},
		{"timestamp before header", amqp.Delivery{Timestamp: at, Headers: amqp.Table{"timestamp_in_ms": int64(5)}}, "timestamp"},
		{"header of RabbitMQ's plugin", amqp.Delivery{Headers: amqp.Table{"timestamp_in_ms": at.UnixMilli()}}, "timestamp_in_ms"},
		{"header that is no time", amqp.Delivery{Headers: amqp.Table{"timestamp_in_ms": "yesterday"}}, ""},
		{"negative", amqp.Delivery{Headers: amqp.Table{"timestamp_in_ms": int64(-1)}}, ""},
		{"nothing", amqp.Delivery{}, ""},
	}
	for _, tt := range tests {
		got, source := published(&tt.d)
		if source != tt.source || (source != "") != got.Equal(at) {
			t.Errorf("%s: %s from %q, want %q", tt.name, got, source, tt.source)
		}
	}
}

func TestOccurred_FindsTheTimeInTheBody(t *testing.T) {
	for body, want := range map[string]string{
		`{"n":1,"occurred_at":"2026-11-23T10:00:00Z"}`:      "occurred_at",
		`{"n":1,"occurred_at":"2026-11-23T11:00:00+01:00"}`: "occurred_at",
		`{"occurred_at":"yesterday"}`:                       "",
		`{"occurred_at":null}`:                              "",
		`{"n":1}`:                                           "",
		`[{"occurred_at":"2026-11-23T10:00:00Z"}]`:          "",
		`occurred_at`:                                       "",
		``:                                                  "",
	} {
		at, source := occurred([]byte(body))
		if source != want || (source != "") != at.Equal(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %s from %q", body, at, source)
		}
	}
}
