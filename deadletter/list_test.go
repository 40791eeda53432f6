package deadletter

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/testkit"
)

// Listing never changes which messages are in the queue, their order or their content, however often it is done.
func TestListChangesNothing(t *testing.T) {
	for _, queueType := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			const n = 700
			l := newLineOf(t, queueType)
			l.fill(n, oddTimeout)
			for range 3 {
				lines := l.list()
				if len(lines) != n {
					t.Fatalf("%d lines, want %d", len(lines), n)
				}
				for i, line := range lines {
					want := l.dead(i, oddTimeout(i))
					if line.ID != rabbitmq.ID(topic, want.MessageId, want.Body) || line.Count != 1 || line.Queue != l.work || line.Topic != topic ||
						line.Class != oddTimeout(i) || line.Error != want.Headers[rabbitmq.HeaderError] || line.Attempts != 1 ||
						line.Key != want.Headers[rabbitmq.HeaderKey] || line.FailedAt != time.Date(2026, 11, 20, 10, 0, i, 0, time.UTC) {
						t.Fatalf("line %d is %+v", i, line)
					}
				}
			}
			if _, err := New(l.o).Show(t.Context(), l.dlq, l.list()[600].ID); err != nil {
				t.Fatal(err)
			}
			l.awaitDepth(l.dlq, n)
			for i, d := range l.drain(l.dlq, n) {
				want := l.dead(i, oddTimeout(i))
				testkit.DropCounts(d.Headers)
				if d.MessageId != want.MessageId || string(d.Body) != string(want.Body) || !reflect.DeepEqual(d.Headers, want.Headers) {
					t.Fatalf("message %d is %s %v", i, d.MessageId, d.Headers)
				}
			}
		})
	}
}

// A list that is interrupted gives back what it holds, in its place.
func TestListInterrupted(t *testing.T) {
	t.Parallel()
	const n = 600
	l := newLine(t)
	l.fill(n, rejected)
	l.list() // a quorum queue keeps what came back apart from what never left
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := New(l.o).each(ctx, l.dlq, func(letter) {
		if seen++; seen == n/2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if seen == n {
		t.Fatal("the list was not interrupted")
	}
	l.awaitDepth(l.dlq, n)
	if got := ids(l.drain(l.dlq, n)); !slices.Equal(got, wanted(n, every)) {
		t.Fatal("the order has changed")
	}
}

// What comes while a list is made stays behind what was there.
func TestListBesideTraffic(t *testing.T) {
	t.Parallel()
	const n, more = 300, 50
	l := newLine(t)
	l.fill(n, rejected)
	seen := 0
	err := New(l.o).each(t.Context(), l.dlq, func(letter) {
		if seen < more {
			l.Send(l.dlq, l.dead(n+seen, "rejected"))
		}
		seen++
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != n {
		t.Fatalf("%d letters, want the %d that were there", seen, n)
	}
	l.awaitDepth(l.dlq, n+more)
	if got := ids(l.drain(l.dlq, n+more)); !slices.Equal(got, wanted(n+more, every)) {
		t.Fatal("the order has changed")
	}
}

func TestListFilterAndCount(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.fill(6, oddTimeout)
	l.Send(l.dlq, l.dead(2, "rejected"))
	l.Send(l.dlq, l.dead(2, "timeout"))
	var keys []string
	counts := map[string]int{}
	lines, err := New(l.o).List(t.Context(), l.dlq, Filter{Class: "rejected"})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		keys = append(keys, line.Key)
		counts[line.Key] = line.Count
	}
	if !slices.Equal(keys, []string{"000000000", "000000002", "000000004"}) || counts["000000002"] != 3 || counts["000000000"] != 1 {
		t.Fatalf("lines %v, counts %v", keys, counts)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	p := l.dead(1, "rejected")
	p.ContentType, p.Priority, p.AppId, p.Timestamp = "application/json", 4, "magento", time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	p.Headers["nested"] = amqp.Table{"list": []any{int32(1), "a", []byte{0xff}}}
	l.Send(l.dlq, p)
	l.Send(l.dlq, p)
	binary := l.dead(2, "malformed")
	binary.Body = []byte{0xff, 0x00}
	l.Send(l.dlq, binary)

	r := New(l.o)
	shown, err := r.Show(t.Context(), l.dlq, rabbitmq.ID(topic, "m1", p.Body))
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) != 2 {
		t.Fatalf("%d letters, want both of that id", len(shown))
	}
	s := shown[0]
	if s.Body != `{"entity_id":1}` || s.BodyBase64 != "" || s.Properties["content_type"] != "application/json" ||
		s.Properties["timestamp"] != "2026-11-20T09:00:00Z" || s.Properties["message_id"] != "m1" || s.Headers["traceparent"] != "00-abc-def-01" {
		t.Fatalf("shown %+v", s)
	}
	if nested := s.Headers["nested"].(map[string]any)["list"].([]any); nested[1] != "a" || nested[2] != "/w==" {
		t.Fatalf("nested %v", nested)
	}
	shown, err = r.Show(t.Context(), l.dlq, rabbitmq.ID(topic, "m2", binary.Body))
	if err != nil || shown[0].BodyBase64 != "/wA=" || shown[0].Body != "" {
		t.Fatalf("shown %+v, %v", shown, err)
	}
	var none *NoLetterError
	if _, err := r.Show(t.Context(), l.dlq, "0123456789ab"); !errors.As(err, &none) {
		t.Fatalf("error %v", err)
	}
	l.awaitDepth(l.dlq, 3)
}

func TestOverviews(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.fill(5, oddTimeout)
	l.Send(l.dlq, amqp.Publishing{Body: []byte("?")})
	r := New(l.o)
	all, err := r.Overviews(t.Context(), []string{l.dlq, l.DeadLetters("order_canceled")})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d queues, want the one that exists: %+v", len(all), all)
	}
	o := all[0]
	if o.Queue != l.dlq || o.Depth != 6 || !o.Oldest.Equal(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)) ||
		!maps.Equal(o.Classes, map[string]int{"rejected": 3, "timeout": 2, Unknown: 1}) {
		t.Fatalf("overview %+v", o)
	}
	lock, err := r.lock(t.Context(), l.dlq)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	all, err = r.Overviews(t.Context(), []string{l.dlq})
	if err != nil || len(all) != 1 || all[0].Locked == nil || all[0].Depth != 6 {
		t.Fatalf("overview of a locked queue %+v, %v", all, err)
	}
}

func TestNoQueue(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	name := l.DeadLetters("order_canceled")
	var none *NoQueueError
	if _, err := l.replay(ReplayOptions{Queue: name}); !errors.As(err, &none) || none.Queue != name {
		t.Fatalf("replay: %v", err)
	}
	if _, err := New(l.o).List(t.Context(), name, Filter{}); !errors.As(err, &none) {
		t.Fatalf("list: %v", err)
	}
	if l.Depth(name) != -1 {
		t.Fatal("the queue was declared")
	}
}
