package deadletter

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// ledgerOf is what a test's ledger shows, by key.
type ledgerOf struct {
	mu   sync.Mutex
	rows map[string]Standing
	at   map[string]time.Time // of the last change
}

func (l *ledgerOf) set(key string, s Standing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows, l.at = map[string]Standing{}, map[string]time.Time{}
	}
	l.rows[key], l.at[key] = s, time.Now()
}

func (l *ledgerOf) standings(_ context.Context, consumer string, keys []string) (map[string]Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if consumer != "order_placed" {
		return nil, errors.New("asked for " + consumer)
	}
	found := map[string]Standing{}
	for _, key := range keys {
		if s, ok := l.rows[key]; ok {
			s.Age = time.Since(l.at[key])
			found[key] = s
		}
	}
	return found, nil
}

// following are the options of a replay that follows its letters.
func (l *testQueue) following(ledger *ledgerOf, timeout time.Duration) ReplayOptions {
	return ReplayOptions{Follow: &Follow{
		Timeout: timeout, Retries: []string{l.RetryQueue(retryMS * time.Millisecond)}, Standings: ledger.standings,
		Consumer: func(queue string) (string, bool) { return "order_placed", queue == l.work },
	}}
}

// consume settles what comes into the work queue as ends says by message id: "dead" goes to the dead-letter queue again, any
// other state is the ledger's.
func (l *testQueue) consume(ledger *ledgerOf, ends map[string]string) {
	l.t.Helper()
	ch := l.channel()
	deliveries, err := ch.Consume(l.work, "", true, false, false, false, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		for d := range deliveries {
			key := "00000000" + strings.TrimPrefix(d.MessageId, "m")
			switch ends[d.MessageId] {
			case "dead":
				p := amqp.Publishing{MessageId: d.MessageId, Body: d.Body, Headers: d.Headers}
				p.Headers[rabbitmq.HeaderQueue] = l.work
				ledger.set(key, Standing{Open: 1})
				_ = ch.Publish("", l.dlq, false, false, p)
			case "open":
				ledger.set(key, Standing{Open: 1})
			case "waiting":
				ledger.set(key, Standing{Waiting: 1})
			case "done":
				ledger.set(key, Standing{Over: 2})
			}
		}
	}()
}

// What was published is followed to its end: done, dead again, waiting until its order may go out; what is not seen to end
// counts as waiting too.
func TestReplay_FollowsLettersToTheirEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		ends    map[string]string
		timeout time.Duration
		want    Followed
	}{
		{
			"each ends another way",
			map[string]string{"m0": "done", "m1": "dead", "m2": "waiting", "m3": "done"},
			time.Minute,
			Followed{Done: 2, DeadAgain: 1, Waiting: 1},
		},
		{
			"one is tried again and again",
			map[string]string{"m0": "done", "m1": "open", "m2": "done", "m3": "done"},
			4 * time.Second,
			Followed{Done: 3, Waiting: 1, Open: 1},
		},
		{
			"the ledger has no row of them",
			map[string]string{"m1": "dead"},
			time.Minute,
			Followed{Done: 3, DeadAgain: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, ledger := newTestQueue(t), &ledgerOf{}
			l.fill(4, func(int) string { return "rejected" })
			stays := l.dead(5, "rejected")
			stays.Headers[rabbitmq.HeaderKey] = "another"
			l.Send(l.dlq, stays)
			l.awaitDepth(l.dlq, 5)
			l.consume(ledger, tt.ends)
			o := l.following(ledger, tt.timeout)
			o.Limit = 4
			sum, err := l.replay(o)
			if err != nil {
				t.Fatal(err)
			}
			if sum.Replayed != 4 || sum.Keys != 4 || sum.Followed == nil || *sum.Followed != tt.want {
				t.Errorf("%s, %d keys, %+v; want %+v", sum, sum.Keys, sum.Followed, tt.want)
			}
		})
	}
}

// Rows that were over before tell nothing: such a letter is done once it was taken and nothing waits for a retry.
func TestReplay_FollowsWhatWasDoneBefore(t *testing.T) {
	t.Parallel()
	l, ledger := newTestQueue(t), &ledgerOf{}
	ledger.set("000000000", Standing{Over: 2})
	l.fill(1, func(int) string { return "rejected" })
	sum, err := l.replay(l.following(ledger, 3*time.Second)) // nobody consumes
	if err != nil || sum.Followed == nil || *sum.Followed != (Followed{Waiting: 1, Open: 1}) {
		t.Fatalf("not taken: %+v, %v", sum.Followed, err)
	}
	l.awaitDepth(l.work, 1)
	if got := l.drain(l.work, 1); len(got) != 1 {
		t.Fatalf("%d were published", len(got))
	}
	l.fill(1, func(int) string { return "rejected" })
	l.consume(ledger, nil)
	sum, err = l.replay(l.following(ledger, time.Minute))
	if err != nil || sum.Followed == nil || *sum.Followed != (Followed{Done: 1}) {
		t.Errorf("taken: %+v, %v", sum.Followed, err)
	}
}

// A letter that came back dead while another left the queue is found though the depth is what it was.
func TestReplay_FindsTheDeadWhereTheDepthTellsNothing(t *testing.T) {
	t.Parallel()
	l, ledger := newTestQueue(t), &ledgerOf{}
	l.fill(1, func(int) string { return "rejected" })
	stays := l.dead(5, "rejected")
	l.Send(l.dlq, stays)
	l.awaitDepth(l.dlq, 2)
	o := l.following(ledger, 3*time.Second)
	o.Limit = 1
	var once sync.Once
	o.Follow.Progress = func(Followed) {
		once.Do(func() {
			if got, ok := l.Get(l.dlq); !ok || got.MessageId != "m5" {
				t.Errorf("got %v, %v", got.MessageId, ok)
			}
			ledger.set("000000000", Standing{Open: 1})
			back := l.drain(l.work, 1)[0]
			p := amqp.Publishing{MessageId: back.MessageId, Body: back.Body, Headers: back.Headers}
			p.Headers[rabbitmq.HeaderQueue] = l.work
			l.Send(l.dlq, p)
		})
	}
	sum, err := l.replay(o)
	if err != nil || sum.Followed == nil || *sum.Followed != (Followed{DeadAgain: 1}) {
		t.Errorf("%+v, %v", sum.Followed, err)
	}
}

// With the ledger away it is said that it could not be seen, and when the reader is interrupted too.
func TestReplay_CanNotFollow(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	l.fill(1, func(int) string { return "rejected" })
	o := l.following(nil, time.Second)
	o.Follow.Standings = func(context.Context, string, []string) (map[string]Standing, error) {
		return nil, errors.New("Postgres is away")
	}
	sum, err := l.replay(o)
	var unseen *FollowError
	if !errors.As(err, &unseen) || !strings.Contains(err.Error(), "Postgres is away") || sum.Replayed != 1 || sum.Open != 1 {
		t.Errorf("%s, %+v, %v", sum, sum.Followed, err)
	}
	l.fill(1, func(int) string { return "rejected" })
	ctx, cancel := context.WithCancel(t.Context())
	o = l.following(&ledgerOf{}, time.Minute)
	o.Queue = l.dlq
	o.Follow.Progress = func(Followed) { cancel() }
	sum, err = New(l.o).Replay(ctx, o)
	if !errors.As(err, &unseen) || !errors.Is(err, context.Canceled) || sum.Open != 1 {
		t.Errorf("interrupted: %+v, %v", sum.Followed, err)
	}
}

// Letters of one order are one key, and those without a key are none.
func TestReplay_CountsKeys(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	for i, key := range []string{"a", "b", "a", "", "b", "c"} {
		p := l.dead(i, "rejected")
		p.Headers[rabbitmq.HeaderKey] = key
		l.Send(l.dlq, p)
	}
	l.awaitDepth(l.dlq, 6)
	for _, tt := range []struct {
		o    ReplayOptions
		want string
		keys int
	}{
		{ReplayOptions{DryRun: true}, "would replay 6 (3 orders), would skip 0", 3},
		{ReplayOptions{DryRun: true, Filter: Filter{Key: "a"}}, "would replay 2 (1 orders), would skip 4", 1},
		{ReplayOptions{Limit: 3}, "replayed 3, skipped 0, failed 0", 2},
	} {
		sum, err := l.replay(tt.o)
		if err != nil || sum.String() != tt.want || sum.Keys != tt.keys {
			t.Errorf("%q with %d keys, %v; want %q, %d", sum, sum.Keys, err, tt.want, tt.keys)
		}
	}
	kit.Eventually(t, 20*time.Second, func() bool { return l.Depth(l.dlq) == 3 }, "three to stay")
}
