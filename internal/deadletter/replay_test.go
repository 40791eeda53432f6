package deadletter

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func TestReplay_KeepsTheMessage(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	p := l.dead(1, "rejected")
	p.ContentType, p.ContentEncoding, p.Priority, p.CorrelationId, p.ReplyTo = "application/json", "utf-8", 3, "c", "r"
	p.Timestamp, p.Type, p.AppId = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), "t", "a"
	p.Body = []byte("{ \"entity_id\" : 1 }\n\xff")
	p.Headers[rabbitmq.HeaderReplayCount] = int64(2)
	p.Headers[rabbitmq.HeaderReplayID] = "EARLIER"
	p.Headers[rabbitmq.HeaderUnauthorized], p.Headers[rabbitmq.HeaderUnauthorizedAt] = int64(2), "2026-11-20T09:00:00Z"
	p.Headers[rabbitmq.HeaderReconciledAt] = "2026-11-20T08:00:00Z"
	p.Headers["x-other"] = int32(7)
	l.Send(l.dlq, p)
	l.mustReplay(ReplayOptions{}, 1, 0, 0)

	got := l.drain(l.work, 1)[0]
	if string(got.Body) != string(p.Body) || got.MessageId != p.MessageId || got.ContentType != p.ContentType ||
		got.ContentEncoding != p.ContentEncoding || got.Priority != p.Priority || got.CorrelationId != p.CorrelationId ||
		got.ReplyTo != p.ReplyTo || !got.Timestamp.Equal(p.Timestamp) || got.Type != p.Type || got.AppId != p.AppId ||
		got.DeliveryMode != amqp.Persistent || got.Exchange != "" {
		t.Fatalf("replayed as %+v", got)
	}
	at, err := time.Parse(time.RFC3339, rabbitmq.Text(got.Headers, rabbitmq.HeaderReplayedAt))
	if err != nil || time.Since(at) > time.Hour || !strings.HasSuffix(rabbitmq.Text(got.Headers, rabbitmq.HeaderReplayedAt), "Z") {
		t.Errorf("replayed at %v, %v", got.Headers[rabbitmq.HeaderReplayedAt], err)
	}
	if id := rabbitmq.Text(got.Headers, rabbitmq.HeaderReplayID); id == "" || id == "EARLIER" {
		t.Errorf("replay id %q", id)
	}
	delete(got.Headers, rabbitmq.HeaderReplayedAt)
	delete(got.Headers, rabbitmq.HeaderReplayID)
	kit.DropCounts(got.Headers)
	want := amqp.Table{
		rabbitmq.HeaderTopic: topic, rabbitmq.HeaderFirstFailedAt: "2026-11-20T10:00:00Z", rabbitmq.HeaderReplayCount: int64(3),
		rabbitmq.HeaderReconciledAt: "2026-11-20T08:00:00Z", "traceparent": "00-abc-def-01", "x-other": int32(7),
	}
	if !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("headers %v\nwant %v", got.Headers, want)
	}
	if l.Depth(l.dlq) != 0 {
		t.Error("the letter did not leave")
	}
}

func TestReplay_KeepsTheOrderOfTheRest(t *testing.T) {
	for _, queueType := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			const n = 700
			l := newTestQueueOf(t, queueType)
			l.fill(n, oddTimeout)
			l.mustReplay(ReplayOptions{Filter: Filter{Class: "timeout"}}, n/2, n/2, 0)
			l.mustReplay(ReplayOptions{Limit: 3}, 3, 0, 0)
			odd := func(i int) bool { return i%2 == 1 }
			first := append(wanted(n, odd), "m0", "m2", "m4")
			if got := ids(l.drain(l.work, len(first))); !slices.Equal(got, first) {
				t.Error("the replayed did not come in their order")
			}
			rest := wanted(n, func(i int) bool { return i%2 == 0 && i > 4 })
			l.awaitDepth(l.dlq, len(rest))
			if got := ids(l.drain(l.dlq, len(rest))); !slices.Equal(got, rest) {
				t.Error("the rest has not kept its order")
			}
		})
	}
}

func TestReplay_PublishesOnlyWhatMatches(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	const n = 6
	at := func(i int) time.Time { return time.Date(2026, 11, 20, 10, 0, i, 0, time.UTC) }
	l.fill(n, oddTimeout)
	l.Send(l.dlq, amqp.Publishing{Body: []byte("of nobody")})
	tests := []struct {
		name     string
		f        Filter
		replayed int
		failed   int
	}{
		{"all", Filter{}, n, 1},
		{"id", Filter{ID: rabbitmq.ID(topic, "m3", []byte(`{"entity_id":3}`))}, 1, 0},
		{"other id", Filter{ID: "0123456789ab"}, 0, 0},
		{"key", Filter{Key: "000000002"}, 1, 0},
		{"class", Filter{Class: "timeout"}, 3, 0},
		{"unknown class", Filter{Class: Unknown}, 0, 1},
		{"text", Filter{Match: "order 4"}, 1, 0},
		{"since", Filter{Since: at(4)}, 2, 0},
		{"until", Filter{Until: at(1)}, 2, 0},
		{"all together", Filter{Since: at(1), Until: at(4), Class: "rejected", Match: "ERP"}, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			l.mustReplay(ReplayOptions{Filter: tt.f, DryRun: true}, tt.replayed, n+1-tt.replayed-tt.failed, tt.failed)
		})
	}
	l.t = t
	l.awaitDepth(l.dlq, n+1)
	if l.Depth(l.work) != 0 {
		t.Error("a dry run has published")
	}
}

// A crash can leave a letter twice, or more: one is published, all leave, wherever they are, and whichever matches.
func TestReplay_PublishesOneOfEachID(t *testing.T) {
	t.Parallel()
	const n = 400
	l := newTestQueue(t)
	l.fill(n, rejected)
	l.Send(l.dlq, l.dead(0, "rejected")) // after the limit is reached
	l.Send(l.dlq, l.dead(7, "timeout"))  // matches, the first of it did not
	l.Send(l.dlq, l.dead(9, "rejected"))
	l.mustReplay(ReplayOptions{Limit: 1, Filter: Filter{Class: "rejected"}, DryRun: true}, 1, 0, 0)
	l.mustReplay(ReplayOptions{Limit: 1, Filter: Filter{Class: "rejected"}}, 1, 0, 0)
	l.mustReplay(ReplayOptions{Filter: Filter{Class: "timeout"}}, 1, n-2, 0)
	if got := ids(l.drain(l.work, 2)); !slices.Equal(got, []string{"m0", "m7"}) {
		t.Fatalf("replayed %v", got)
	}
	rest := append(wanted(n, func(i int) bool { return i != 0 && i != 7 }), "m9")
	l.awaitDepth(l.dlq, len(rest))
	if got := ids(l.drain(l.dlq, len(rest))); !slices.Equal(got, rest) {
		t.Fatal("the rest is not what it should be, in its order")
	}
}

func TestReplay_ChoosesTheTargetQueue(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	other := l.Prefix + "other" // its name begins as the prefix does, and is outside of it
	l.Own(other)
	if _, err := l.channel().QueueDeclare(other, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	to := func(queue string) amqp.Publishing {
		p := l.dead(1, "rejected")
		p.MessageId = queue
		p.Headers[rabbitmq.HeaderQueue] = queue
		return p
	}
	l.Send(l.dlq, to(other))
	l.Send(l.dlq, to(l.Queue("order_canceled"))) // not declared
	l.Send(l.dlq, to(l.dlq))
	l.Send(l.dlq, to(""))
	l.Send(l.dlq, to(l.work))
	texts := map[string]bool{}
	var mu sync.Mutex
	o := ReplayOptions{Progress: func(s ReplayStep) {
		mu.Lock()
		defer mu.Unlock()
		if s.Err != nil {
			for _, text := range []string{"not one of", "no queue took", "does not exist", "itself", "neither"} {
				if strings.Contains(s.Err.Error(), text) {
					texts[text] = true
				}
			}
		}
	}}
	o.DryRun = true
	l.mustReplay(o, 1, 0, 4)
	o.DryRun = false
	l.mustReplay(o, 1, 0, 4)
	if want := map[string]bool{"not one of": true, "no queue took": true, "does not exist": true, "itself": true, "neither": true}; !maps.Equal(texts, want) {
		t.Errorf("reasons %v", texts)
	}
	l.awaitDepth(l.dlq, 4)
	if l.Depth(l.work) != 1 || l.Depth(other) != 0 || l.Depth(l.Queue("order_canceled")) != -1 {
		t.Error("something went where it should not")
	}
	if _, err := l.replay(ReplayOptions{To: l.dlq}); err == nil {
		t.Error("a queue can be replayed to itself")
	}
	l.mustReplay(ReplayOptions{To: other}, 4, 0, 0)
	if l.Depth(other) != 4 || l.Depth(l.dlq) != 0 {
		t.Error("--to did not take all")
	}
}

// refuse has the broker dead-letter the messages of the work queue.
func (l *testQueue) refuse(n int) {
	l.t.Helper()
	l.awaitDepth(l.work, n)
	ch := l.channel()
	for range n {
		d, ok, err := ch.Get(l.work, false)
		if err != nil || !ok {
			l.t.Fatalf("get from %s: %v %v", l.work, ok, err)
		}
		if err := d.Reject(false); err != nil {
			l.t.Fatal(err)
		}
	}
	l.awaitDepth(l.dlq, n)
}

// What the broker has dead-lettered has an x-death in place of our headers, and may have headers that only look ours.
func TestReplay_TakesTheBrokersOwnLetters(t *testing.T) {
	t.Parallel()
	t.Run("published to Magento's exchange", func(t *testing.T) {
		t.Parallel()
		l := newTestQueue(t)
		l.publishTo(l.Exchange, topic, amqp.Table{
			"mine": "kept", rabbitmq.HeaderQueue: l.Prefix + ".elsewhere", rabbitmq.HeaderTopic: "evil", rabbitmq.HeaderAttempts: int64(9),
			rabbitmq.HeaderReplayCount: int64(7), rabbitmq.HeaderReconciledAt: "x",
		})
		l.refuse(1)
		l.replaysBrokersOwn(topic, 1)
	})
	t.Run("come back from a retry queue", func(t *testing.T) {
		t.Parallel()
		l := newTestQueue(t)
		l.publishTo(l.RetryQueue(retryMS*time.Millisecond), l.work, amqp.Table{
			"mine": "kept", rabbitmq.HeaderTopic: topic, rabbitmq.HeaderAttempts: int64(2), rabbitmq.HeaderReplayCount: int64(1),
		})
		l.refuse(1)
		l.replaysBrokersOwn(topic, 2)
	})
	t.Run("sent straight to the queue", func(t *testing.T) {
		t.Parallel()
		l := newTestQueue(t)
		l.publishTo("", l.work, amqp.Table{"mine": "kept"})
		l.refuse(1)
		l.replaysBrokersOwn(nil, 1) // the consumer takes its first topic
	})
	t.Run("given back too often", testReplayGivenBackTooOften)
	t.Run("without a queue", func(t *testing.T) {
		t.Parallel()
		l := newTestQueue(t)
		l.Send(l.dlq, amqp.Publishing{Body: []byte("{}"), Headers: amqp.Table{"x-death": []any{
			amqp.Table{"queue": l.RetryQueue(time.Minute), "reason": "expired"}, "no table", amqp.Table{"queue": int64(3)},
		}}})
		l.mustReplay(ReplayOptions{}, 0, 0, 1)
		l.awaitDepth(l.dlq, 1)
	})
}

// publishTo publishes an event as somebody does who knows nothing of mageline.
func (l *testQueue) publishTo(exchange, key string, headers amqp.Table) {
	l.t.Helper()
	ch := l.channel()
	err := ch.PublishWithContext(l.t.Context(), exchange, key, false, false, amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: "m1", Headers: headers, Body: []byte(`{"entity_id":1}`),
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// replaysBrokersOwn replays the one letter, which the broker itself has made, and looks at what of it comes back.
func (l *testQueue) replaysBrokersOwn(wantTopic any, count int64) {
	l.t.Helper()
	lines := l.list()
	if len(lines) != 1 || lines[0].Queue != l.work || lines[0].Reason != "rejected" || lines[0].Class != Unknown || lines[0].Topic != topic ||
		lines[0].ID != rabbitmq.ID(topic, "m1", []byte(`{"entity_id":1}`)) || time.Since(lines[0].FailedAt).Abs() > time.Hour {
		l.t.Fatalf("lines %+v", lines)
	}
	l.mustReplay(ReplayOptions{}, 1, 0, 0)
	got := l.drain(l.work, 1)[0]
	for name := range got.Headers {
		if strings.Contains(name, "death") {
			l.t.Errorf("header %s was kept", name)
		}
	}
	if got.Headers[rabbitmq.HeaderTopic] != wantTopic || rabbitmq.Int(got.Headers, rabbitmq.HeaderReplayCount) != count ||
		got.Headers[rabbitmq.HeaderAttempts] != nil || got.Headers[rabbitmq.HeaderQueue] != nil || got.Headers["mine"] != "kept" {
		l.t.Errorf("headers %v", got.Headers)
	}
}

func testReplayGivenBackTooOften(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	limited := l.Queue("shipment_created")
	ch := l.channel()
	_, err := ch.QueueDeclare(limited, true, false, false, false, amqp.Table{
		"x-queue-type": rabbitmq.Quorum, "x-delivery-limit": int64(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": l.dlq,
	})
	if err == nil {
		err = ch.QueueBind(limited, "sales.shipment.created", l.Exchange, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.publishTo(l.Exchange, "sales.shipment.created", amqp.Table{"mine": "kept"})
	for range 2 {
		l.awaitDepth(limited, 1)
		d, ok, err := ch.Get(limited, false)
		if err != nil || !ok {
			t.Fatalf("get: %v %v", ok, err)
		}
		if err := d.Reject(true); err != nil {
			t.Fatal(err)
		}
	}
	l.awaitDepth(l.dlq, 1)
	if lines := l.list(); lines[0].Reason != "delivery_limit" || lines[0].Queue != limited || lines[0].Topic != "sales.shipment.created" {
		t.Fatalf("lines %+v", lines)
	}
	l.mustReplay(ReplayOptions{}, 1, 0, 0)
	if got := l.drain(limited, 1)[0]; got.Headers[rabbitmq.HeaderTopic] != "sales.shipment.created" || got.Headers["mine"] != "kept" {
		t.Errorf("headers %v", got.Headers)
	}
}

// The set is fixed: what comes back dead, or comes new, while a replay runs is not taken.
func TestReplay_EndsAtWhatComesBackDead(t *testing.T) {
	t.Parallel()
	const n = 150
	l := newTestQueue(t)
	l.fill(n, rejected)
	back := l.channel()
	deliveries, err := l.channel().Consume(l.work, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var failed error
	go func() { // a consumer for which all is poison
		defer close(ended)
		for range n {
			d := <-deliveries
			p := rabbitmq.Republishing(&d, amqp.Table{
				rabbitmq.HeaderQueue: l.work, rabbitmq.HeaderErrorClass: "rejected", rabbitmq.HeaderFailedAt: time.Now().UTC().Format(time.RFC3339),
			}, 0)
			if failed = back.PublishWithContext(context.WithoutCancel(t.Context()), "", l.dlq, false, false, p); failed != nil {
				return
			}
		}
	}()
	l.mustReplay(ReplayOptions{}, n, 0, 0)
	<-ended
	if failed != nil {
		t.Fatal(failed)
	}
	l.awaitDepth(l.dlq, n)
	for _, d := range l.drain(l.dlq, n) {
		if rabbitmq.Int(d.Headers, rabbitmq.HeaderReplayCount) != 1 {
			t.Fatalf("%s was replayed %d times", d.MessageId, rabbitmq.Int(d.Headers, rabbitmq.HeaderReplayCount))
		}
	}
}

// What fails while a replay runs is not of its set, whatever it is: it stays behind the rest, in its order.
func TestReplay_LeavesNewLetters(t *testing.T) {
	t.Parallel()
	const n, more = 300, 40
	l := newTestQueue(t)
	l.fill(n, oddTimeout)
	sent := 0
	l.mustReplay(ReplayOptions{Filter: Filter{Class: "timeout"}, Progress: func(ReplayStep) {
		if sent < more {
			l.Send(l.dlq, l.dead(n+sent, "timeout"))
			sent++
		}
	}}, n/2, n/2, 0)
	rest := append(wanted(n, func(i int) bool { return i%2 == 0 }), wanted(n+more, func(i int) bool { return i >= n })...)
	l.awaitDepth(l.dlq, len(rest))
	if got := ids(l.drain(l.dlq, len(rest))); !slices.Equal(got, rest) {
		t.Errorf("the rest is %v", got)
	}
	if got := ids(l.drain(l.work, n/2)); !slices.Equal(got, wanted(n, func(i int) bool { return i%2 == 1 })) {
		t.Error("the replayed did not come in their order, or others with them")
	}
}

// A letter with this run's id ends the set although others were counted: somebody has taken some away meanwhile.
func TestReplay_EndsAtItsOwnLetters(t *testing.T) {
	t.Parallel()
	const n = 4
	l := newTestQueue(t)
	l.fill(n, rejected)
	l.Send(l.dlq, l.dead(0, "rejected")) // so that the set is one larger than what is replayed
	thief := l.channel()
	first := true
	l.mustReplay(ReplayOptions{Rate: 1000, Progress: func(ReplayStep) {
		if !first {
			return
		}
		first = false
		back := l.drain(l.work, 1)[0]
		for range 2 { // m1 and m2
			if _, ok, err := thief.Get(l.dlq, true); err != nil || !ok {
				t.Errorf("get: %v %v", ok, err)
			}
		}
		for range 2 {
			l.Send(l.dlq, rabbitmq.Republishing(&back, amqp.Table{rabbitmq.HeaderQueue: l.work}, 0))
		}
	}}, 2, 0, 0)
	l.awaitDepth(l.dlq, 2)
	if got := ids(l.drain(l.work, 1)); !slices.Equal(got, []string{"m3"}) {
		t.Errorf("replayed %v", got)
	}
}

func TestReader_ExcludesASecondOne(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	l.fill(3, rejected)
	asked := false
	l.mustReplay(ReplayOptions{Progress: func(ReplayStep) {
		if asked {
			return
		}
		asked = true
		var locked *LockedError
		_, err := l.replay(ReplayOptions{})
		if !errors.As(err, &locked) || !strings.HasPrefix(locked.Holder, "mageline test-host/") || time.Since(locked.Since).Abs() > time.Hour {
			t.Errorf("a second replay: %v", err)
		}
		if _, err := New(l.o).List(t.Context(), l.dlq, Filter{}); !errors.As(err, &locked) || !strings.Contains(err.Error(), "test-host") {
			t.Errorf("a list beside a replay: %v", err)
		}
		if _, err := New(l.o).List(t.Context(), l.work, Filter{}); err != nil {
			t.Errorf("another queue: %v", err)
		}
	}}, 3, 0, 0)
	if !asked {
		t.Error("nobody asked")
	}
	l.list() // the lock is free again
}

func TestReplay_StopsWhenTheLockIsLost(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	proxy, url := kit.ProxyURL(t, l.o.DatabaseURL)
	o := l.o
	o.DatabaseURL = url
	held, err := New(o).lock(t.Context(), l.dlq)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	held.checked = time.Time{}
	if err := held.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	if err := held.check(t.Context()); err != nil {
		t.Fatalf("asked again at once: %v", err)
	}
	held.checked = time.Time{}
	if err := held.check(t.Context()); err == nil {
		t.Fatal("the loss was not noticed")
	}
}
