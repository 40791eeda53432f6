package deadletter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// Listing never changes which messages are in the queue, their order or their content, however often it is done.
func TestList_ChangesNothing(t *testing.T) {
	for _, queueType := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			const n = 700
			l := newTestQueueOf(t, queueType)
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
				kit.DropCounts(d.Headers)
				if d.MessageId != want.MessageId || string(d.Body) != string(want.Body) || !reflect.DeepEqual(d.Headers, want.Headers) {
					t.Fatalf("message %d is %s %v", i, d.MessageId, d.Headers)
				}
			}
		})
	}
}

// A list that is interrupted gives back what it holds, in its place.
func TestList_ChangesNothingWhenInterrupted(t *testing.T) {
	t.Parallel()
	const n = 600
	l := newTestQueue(t)
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
func TestList_ChangesNothingBesideTraffic(t *testing.T) {
	t.Parallel()
	const n, more = 300, 50
	l := newTestQueue(t)
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

func TestList_FiltersAndCounts(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
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

func TestShow_ReturnsEveryLetterOfTheID(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
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

func TestOverviews_SummarizeEachQueue(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
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

func TestReader_FailsWithoutTheQueue(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
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

// declareDLQ makes the dead-letter queue anew, with other arguments than mageline's.
func (l *testQueue) declareDLQ(args amqp.Table) {
	l.t.Helper()
	ch := l.channel()
	if _, err := ch.QueueDelete(l.dlq, false, false, false); err != nil {
		l.t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(l.dlq, true, false, false, false, args); err != nil {
		l.t.Fatal(err)
	}
}

// A queue that somebody else has declared may drop what was requeued a few times: however often it is looked at, all letters
// stay, in their order, with their content.
func TestList_LosesNothingAtALowDeliveryLimit(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	l.declareDLQ(amqp.Table{"x-queue-type": rabbitmq.Quorum, "x-delivery-limit": int64(3)})
	const n = 40
	l.fill(n, func(i int) string { return []string{"rejected", "timeout"}[i%2] })
	brokers := amqp.Publishing{MessageId: "broker's", Body: []byte("x"), Headers: amqp.Table{
		"x-death": []any{amqp.Table{"queue": l.work, "exchange": "magento", "routing-keys": []any{topic}, "reason": "expired"}},
	}}
	l.Send(l.dlq, brokers)
	l.awaitDepth(l.dlq, n+1)
	for range 8 {
		lines := l.list()
		if len(lines) != n+1 || lines[0].Key != "000000000" || lines[n].Queue != l.work || lines[n].Topic != topic {
			t.Fatalf("%d letters are listed, want %d; the last one is %+v", len(lines), n+1, lines[len(lines)-1])
		}
		if _, err := New(l.o).Show(t.Context(), l.dlq, lines[3].ID); err != nil {
			t.Fatal(err)
		}
		l.mustReplay(ReplayOptions{DryRun: true, Filter: Filter{Class: "timeout"}}, n/2, n/2+1, 0)
	}
	l.awaitDepth(l.dlq, n+1)
	l.mustReplay(ReplayOptions{Filter: Filter{Class: "timeout"}}, n/2, n/2+1, 0)
	got := l.drain(l.dlq, n/2+1)
	if all, want := ids(got), append(wanted(n, func(i int) bool { return i%2 == 0 }), "broker's"); !slices.Equal(all, want) {
		t.Errorf("left are %v, want %v", all, want)
	}
	if first := got[0]; string(first.Body) != `{"entity_id":0}` || first.DeliveryMode != amqp.Persistent || first.Headers[rabbitmq.HeaderError] != "the ERP refused order 0" {
		t.Errorf("the first one is %+v", first)
	}
}

// Where nothing can be done about it, nothing is taken.
func TestList_TakesNothingThatWouldBeLost(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]amqp.Table{
		"none may be requeued": {"x-queue-type": rabbitmq.Quorum, "x-delivery-limit": int64(0)},
		"a bounded length":     {"x-queue-type": rabbitmq.Quorum, "x-delivery-limit": int64(2), "x-max-length": int64(3)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTestQueue(t)
			l.declareDLQ(args)
			l.fill(3, func(int) string { return "rejected" })
			counts := l.countsLooks() // else a look loses nothing
			for range 4 {
				_, err := New(l.o).List(t.Context(), l.dlq, Filter{})
				var fragile *FragileError
				if errors.As(err, &fragile) != counts {
					t.Fatalf("%v", err)
				}
				if _, err := l.replay(ReplayOptions{Filter: Filter{Key: "none"}}); errors.As(err, &fragile) != counts {
					t.Fatalf("%v", err)
				}
			}
			if got := ids(l.drain(l.dlq, 3)); !slices.Equal(got, wanted(3, every)) {
				t.Errorf("left are %v", got)
			}
		})
	}
}

// What is given back is given back by nack, all of it and before the channel ends: from RabbitMQ 4.3 on only that leaves the
// delivery count as it is.
func TestList_RequeuesByNackAlone(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	l.fill(100, func(int) string { return "rejected" })
	frames := kit.NewFrames(t, l.URL)
	l.o.Broker.URL = frames.URL
	const methodDeliver, methodReject, methodRecover, methodRecoverAsync, classChannel, methodClose = 60, 90, 110, 100, 20, 40
	var mu sync.Mutex
	held := map[uint16]map[uint64]bool{} // by channel
	frames.On(func(f *kit.Frame) bool {
		mu.Lock()
		defer mu.Unlock()
		tags := held[f.Channel]
		switch {
		case f.FromBroker && f.Is(methodDeliver):
			if tags == nil {
				tags = map[uint64]bool{}
				held[f.Channel] = tags
			}
			tags[binary.BigEndian.Uint64(f.Payload[5+f.Payload[4]:])] = true
		case f.FromBroker:
		case f.Is(kit.MethodNack):
			last := binary.BigEndian.Uint64(f.Payload[4:])
			for tag := range tags {
				if tag <= last {
					delete(tags, tag)
				}
			}
		case f.Is(methodReject), f.Is(methodRecover), f.Is(methodRecoverAsync):
			t.Errorf("method %d was sent", f.Method)
		case f.Class == classChannel && f.Method == methodClose && len(tags) > 0:
			t.Errorf("a channel was closed that held %d letters", len(tags))
		}
		return true
	})
	if lines := l.list(); len(lines) != 100 {
		t.Errorf("%d letters", len(lines))
	}
	if len(held) == 0 {
		t.Error("nothing was seen")
	}
}

// countsLooks reports whether the broker counts what is requeued by nack: up to RabbitMQ 4.2.
func (l *testQueue) countsLooks() bool {
	l.t.Helper()
	conn, err := amqp.Dial(l.URL)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // of a test
	version, _ := conn.Properties["version"].(string)
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		l.t.Fatalf("%q: %v", version, err)
	}
	return major < 4 || major == 4 && minor < 3
}

// Where the broker lets it, a look leaves a letter's delivery count as it is; where not, it counts each look once.
func TestList_LeavesTheDeliveryCountWhereItMay(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	l.fill(3, func(int) string { return "rejected" })
	const looks = 4
	for range looks {
		l.list()
	}
	want := int64(0)
	if l.countsLooks() {
		want = looks
	}
	for _, d := range l.drain(l.dlq, 3) {
		if n := rabbitmq.Int(d.Headers, "x-delivery-count"); n != want {
			t.Errorf("the delivery count is %d after %d looks, want %d", n, looks, want)
		}
	}
}
