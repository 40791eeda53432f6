package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/consumer/circuit"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// shop takes prices in bulk, and is the handler of lists of them.
type shop struct {
	before func(ctx context.Context, c consumer.Call) error // of each call
	refuse map[string]error                                 // of a call with this SKU
	reject map[string]error                                 // of this SKU alone

	mu     sync.Mutex
	prices map[string]int
	calls  []consumer.Call
	most   int // calls at once
	now    int
}

type price struct {
	SKU   string `json:"sku"`
	Price int    `json:"price"`
}

type priceList struct {
	AsOf   string `json:"as_of,omitempty"`
	Prices []price
}

func (s *shop) Entries(_ context.Context, e event.Event) (entries []consumer.Entry, err error) {
	var l priceList
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return nil, event.Errorf(event.Malformed, "the list: %w", err)
	}
	for _, p := range l.Prices {
		one := consumer.Entry{Value: p, Key: p.SKU}
		if p.Price < 0 {
			one.Err = event.Errorf(event.Invalid, "the price of %s is %d", p.SKU, p.Price)
		}
		entries = append(entries, one)
	}
	return entries, nil
}

func (s *shop) Write(ctx context.Context, c consumer.Call) ([]consumer.Result, error) {
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
	}()
	if s.before != nil {
		if err := s.before(ctx, c); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range c.Entries {
		if err := s.refuse[e.Value.(price).SKU]; err != nil {
			return nil, err
		}
	}
	results := make([]consumer.Result, len(c.Entries))
	for i, e := range c.Entries {
		p := e.Value.(price)
		if results[i].Err = s.reject[p.SKU]; results[i].Err == nil {
			s.prices[p.SKU] = p.Price
		}
	}
	return results, nil
}

func (s *shop) Letter(e event.Event, rejected []consumer.Rejection) (json.RawMessage, error) {
	var l priceList
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return nil, err
	}
	l.Prices = nil
	for _, r := range rejected {
		l.Prices = append(l.Prices, r.Entry.Value.(price))
	}
	return json.Marshal(map[string]any{"as_of": l.AsOf, "prices": l.Prices})
}

func (s *shop) count() (prices, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.prices), len(s.calls)
}

// listed is the body with n prices, of the SKUs from first on.
func listed(first, n int) string {
	var b strings.Builder
	b.WriteString(`{"as_of":"2026-11-23T10:00:00Z","prices":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"sku-%06d","price":%d}`, first+i, first+i)
	}
	b.WriteString(`]}`)
	return b.String()
}

func sku(n int) string { return fmt.Sprintf("sku-%06d", n) }

// newShop sets a runtime with one batch consumer up.
func newShop(t *testing.T, b consumer.Batch) (*rig, *shop) {
	t.Helper()
	r := newRig(t, nil)
	s := &shop{prices: map[string]int{}, refuse: map[string]error{}, reject: map[string]error{}}
	b.Handler = s
	r.opts.Consumers[0].Batch, r.opts.Consumers[0].Handler = &b, nil
	return r, s
}

// held starts the runtime with its consumer paused, has messages published, and resumes it.
func (r *rig) held(n int, body func(i int) string) {
	r.t.Helper()
	r.start()
	r.SetPauses(map[string]string{orders: "until all are published"})
	r.consumerIs(orders, "paused")
	r.flood(n, body)
	r.SetPauses(nil)
}

// unsubscribed waits until the consumer has no subscription, so that it begins nothing.
func (r *rig) unsubscribed() {
	r.t.Helper()
	r.eventually("it is unsubscribed", func() bool { return r.count("mageline_paused", "consumer", orders) == 1 })
}

// flood publishes many messages.
func (r *rig) flood(n int, body func(i int) string) {
	r.t.Helper()
	conn, err := rabbitmq.Dial(r.t.Context(), rabbitmq.Options{URL: r.URL}, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		r.t.Fatal(err)
	}
	defer publisher.Close()
	var wg sync.WaitGroup
	numbers := make(chan int)
	for range min(n, 200) {
		wg.Go(func() {
			for i := range numbers {
				if err := publisher.Publish(r.t.Context(), r.Exchange, placed, kit.Publishing([]byte(body(i)))); err != nil {
					r.t.Error(err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

// bulk is as large as batches are.
var bulk = consumer.Batch{Size: 500, Linger: 100 * time.Millisecond, Concurrency: 2}

func TestBatch_GathersOneEntryOfEachMessage(t *testing.T) {
	t.Parallel()
	const n = 50_000
	b := bulk
	b.Linger = 5 * time.Second // calls of this shop take no time: more gather while deliveries come slowly
	r, s := newShop(t, b)
	r.held(n, func(i int) string { return listed(i, 1) })
	began := time.Now()
	kit.Eventually(t, 2*time.Minute, func() bool { return r.settled(orders, "acked") == n }, "every message is acknowledged")
	prices, calls := s.count()
	t.Logf("%d messages in %d calls, %s", n, calls, time.Since(began).Round(time.Millisecond))
	if prices != n {
		t.Errorf("%d prices were written", prices)
	}
	if calls > 105 {
		t.Errorf("%d calls for %d entries", calls, n)
	}
	if s.most > 2 {
		t.Errorf("%d calls at once", s.most)
	}
}

func TestBatch_DividesAMessageOfManyEntries(t *testing.T) {
	t.Parallel()
	const n = 50_000
	r, s := newShop(t, bulk)
	r.held(1, func(int) string { return listed(0, n) })
	r.outcomes(map[string]int{"acked": 1})
	if prices, calls := s.count(); prices != n || calls != n/500 {
		t.Errorf("%d prices were written in %d calls", prices, calls)
	}
}

// Of messages with many entries few are held: as many as keep the calls busy.
func TestBatch_HoldsFewMessagesOfManyEntries(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 50, Linger: 10 * time.Millisecond, Concurrency: 2})
	var calls atomic.Int64
	goOn := make(chan struct{})
	s.before = func(context.Context, consumer.Call) error {
		if calls.Add(1) > 100 { // when the prefetch has grown for long
			<-goOn
		}
		return nil
	}
	r.held(200, func(i int) string { return listed(50*i, 50) })
	r.eventually("two calls are held", func() bool { return calls.Load() == 102 })
	r.eventually("as many messages as are enough are held", func() bool { return r.unacked(200) >= 8 })
	if n := r.unacked(200); n > 8 {
		t.Errorf("%d messages are unacknowledged, where 8 are enough", n)
	}
	close(goOn)
	r.outcomes(map[string]int{"acked": 200})
	if prices, calls := s.count(); prices != 10_000 || calls > 205 {
		t.Errorf("%d prices in %d calls", prices, calls)
	}
}

// A prefetch that has grown with small messages is lowered for large ones. Nothing is requeued for it.
func TestBatch_LowersThePrefetchWhenMessagesHaveMoreEntries(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 50, Linger: 10 * time.Millisecond, Concurrency: 2})
	r.held(1200, func(i int) string {
		if i < 1000 {
			return listed(i, 1)
		}
		return listed(1000+50*(i-1000), 50)
	})
	r.outcomes(map[string]int{"acked": 1200})
	if prices, _ := s.count(); prices != 11_000 {
		t.Errorf("%d prices were written", prices)
	}
	if lowered := r.log.Lines("prefetch_lowered"); len(lowered) == 0 {
		t.Error("the prefetch was not lowered")
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

var errNoSuch = &event.Error{Class: event.Rejected, Err: errors.New("the SKU is not known")}

// What a shop rejects is dead-lettered alone, and does well when it is replayed after its cause is gone.
func TestBatch_DeadLettersRejectedEntriesAlone(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 10, Linger: 10 * time.Millisecond, Concurrency: 1})
	s.reject[sku(3)], s.reject[sku(17)] = errNoSuch, errNoSuch
	r.start()
	r.Publish(placed, listed(0, 25))
	r.outcomes(map[string]int{"dead_lettered": 1})
	if prices, _ := s.count(); prices != 23 {
		t.Errorf("%d prices were written", prices)
	}
	d := r.take(r.DeadLetters(orders))
	want := `{"as_of":"2026-11-23T10:00:00Z","errors":[{"index":0,"message":"the SKU is not known"},{"index":1,"message":"the SKU is not known"}],` +
		`"prices":[{"sku":"sku-000003","price":3},{"sku":"sku-000017","price":17}]}`
	if string(d.Body) != want {
		t.Errorf("letter\n%s, want\n%s", d.Body, want)
	}
	for name, want := range map[string]string{
		rabbitmq.HeaderError: "the SKU is not known (and 1 more rejected)", rabbitmq.HeaderErrorClass: "rejected",
		rabbitmq.HeaderReason: "poison", rabbitmq.HeaderTopic: placed, rabbitmq.HeaderQueue: r.Queue(orders),
	} {
		if got := rabbitmq.Text(d.Headers, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s.mu.Lock()
	delete(s.reject, sku(3))
	s.mu.Unlock()
	r.Publish(placed, string(d.Body)) // a replay is the same as a publish
	r.outcomes(map[string]int{"dead_lettered": 2})
	again := r.take(r.DeadLetters(orders))
	want = `{"as_of":"2026-11-23T10:00:00Z","errors":[{"index":0,"message":"the SKU is not known"}],"prices":[{"sku":"sku-000017","price":17}]}`
	if string(again.Body) != want {
		t.Errorf("the second letter\n%s, want\n%s", again.Body, want)
	}
	s.mu.Lock()
	delete(s.reject, sku(17))
	s.mu.Unlock()
	r.Publish(placed, string(again.Body))
	r.outcomes(map[string]int{"dead_lettered": 2, "acked": 1})
	if prices, _ := s.count(); prices != 25 {
		t.Errorf("%d prices were written in the end", prices)
	}
}

// Entries that can't be used are in no call, and in the letter.
func TestBatch_DeadLettersEntriesThatCanNotBeUsed(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 10, Concurrency: 1})
	r.start()
	r.Publish(placed, `{"prices":[{"sku":"a","price":-1},{"sku":"b","price":2}]}`)
	r.outcomes(map[string]int{"dead_lettered": 1})
	d := r.take(r.DeadLetters(orders))
	if !strings.Contains(string(d.Body), `"prices":[{"sku":"a","price":-1}]`) || rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass) != "invalid" {
		t.Errorf("letter %s with headers %v", d.Body, d.Headers)
	}
	r.Publish(placed, `{"prices":7}`)
	r.outcomes(map[string]int{"dead_lettered": 2})
	if d := r.take(r.DeadLetters(orders)); string(d.Body) != `{"prices":7}` || rabbitmq.Text(d.Headers, rabbitmq.HeaderErrorClass) != "malformed" {
		t.Errorf("letter %s with headers %v", d.Body, d.Headers)
	}
	r.Publish(placed, `{"prices":[]}`)
	r.outcomes(map[string]int{"dead_lettered": 2, "skipped": 1})
	if prices, calls := s.count(); prices != 1 || calls != 1 {
		t.Errorf("%d prices in %d calls", prices, calls)
	}
}

// An entry over which whole calls are refused is found. Its neighbours are written, and no other message fails.
func TestBatch_FindsTheEntryOverWhichACallIsRefused(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 50, Linger: 50 * time.Millisecond, Concurrency: 2})
	s.refuse[sku(13)] = &event.Error{Class: event.Rejected, Status: 400, Err: errors.New("something is wrong")}
	r.held(100, func(i int) string { return listed(i, 1) })
	r.outcomes(map[string]int{"acked": 99, "dead_lettered": 1})
	if d := r.take(r.DeadLetters(orders)); !strings.Contains(string(d.Body), sku(13)) {
		t.Errorf("letter %s", d.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.Halving && len(c.Entries) > 25 {
			t.Errorf("a call of %d entries while halving", len(c.Entries))
		}
	}
}

// One over which they fail uses its attempts up alone, and goes to the dead letters as it came.
func TestBatch_FindsTheEntryOverWhichACallFails(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 50, Linger: 50 * time.Millisecond, Concurrency: 2})
	s.refuse[sku(13)] = &event.Error{Class: event.Unavailable, Status: 500, Err: errors.New("failed")}
	r.held(100, func(i int) string { return listed(i, 1) })
	r.outcomes(map[string]int{"acked": 99, "retried": 2, "dead_lettered": 1})
	d := r.take(r.DeadLetters(orders))
	if string(d.Body) != listed(13, 1) || rabbitmq.Text(d.Headers, rabbitmq.HeaderReason) != "exhausted" || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) != 3 {
		t.Errorf("letter %s with headers %v", d.Body, d.Headers)
	}
}

// With anything that may pass the whole message is tried again, and there is no letter before that is settled.
func TestBatch_RetriesTheWholeMessageBeforeItMakesALetter(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 4, Concurrency: 1})
	s.reject[sku(0)] = errNoSuch
	s.reject[sku(9)] = event.Errorf(event.NotFound, "not there yet")
	r.start()
	r.Publish(placed, listed(0, 10))
	r.eventually("it is retried", func() bool { return r.settled(orders, "retried") == 1 })
	if n := r.Depth(r.DeadLetters(orders)); n != 0 {
		t.Errorf("%d letters though it will be tried again", n)
	}
	s.mu.Lock()
	delete(s.reject, sku(9))
	s.mu.Unlock()
	d := r.take(r.DeadLetters(orders))
	if !strings.Contains(string(d.Body), `"prices":[{"sku":"sku-000000","price":0}]`) || rabbitmq.Int(d.Headers, rabbitmq.HeaderAttempts) < 2 {
		t.Errorf("letter %s with headers %v", d.Body, d.Headers)
	}
	s.mu.Lock()
	s.reject[sku(9)] = event.Errorf(event.NotFound, "not there yet")
	s.mu.Unlock()
	r.Publish(placed, listed(0, 10))
	if d := r.take(r.DeadLetters(orders)); string(d.Body) != listed(0, 10) || rabbitmq.Text(d.Headers, rabbitmq.HeaderReason) != "exhausted" {
		t.Errorf("with the attempts used up: letter %s with headers %v", d.Body, d.Headers)
	}
}

// stepped has each call wait until it is let go on, or ends.
type stepped struct {
	begun chan consumer.Call
	goOn  chan error
}

func (s *stepped) before(ctx context.Context, c consumer.Call) error {
	select {
	case s.begun <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-s.goOn:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newStepped() *stepped { return &stepped{make(chan consumer.Call), make(chan error)} }

// On a drain the call that is out ends, no other begins, and the message goes back to its queue.
func TestBatch_RequeuesWhatHasNotBegunOnADrain(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 10, Concurrency: 1})
	steps := newStepped()
	s.before = steps.before
	r.start()
	r.Publish(placed, listed(0, 100))
	<-steps.begun
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	r.unsubscribed()
	steps.goOn <- nil
	if err := <-stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
	if prices, calls := s.count(); prices != 10 || calls != 1 {
		t.Errorf("%d prices in %d calls", prices, calls)
	}
	r.outcomes(map[string]int{"requeued": 1})
	r.eventually("it is in its queue", func() bool { return r.Depth(r.Queue(orders)) == 1 })
}

// A connection that is cut in the midst of a message has it delivered again, and every entry is written.
func TestBatch_GoesOnAfterACut(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 10, Linger: 10 * time.Millisecond, Concurrency: 2})
	proxy, url := kit.ProxyURL(t, r.URL)
	r.opts.Broker.URL = url
	cut := make(chan struct{}, 1)
	cut <- struct{}{}
	s.before = func(_ context.Context, c consumer.Call) error {
		if c.Entries[0].Value.(price).Price >= 200 {
			select {
			case <-cut:
				proxy.Cut()
			default:
			}
		}
		return nil
	}
	r.start()
	r.Publish(placed, listed(0, 500))
	for i := range 50 {
		r.Publish(placed, listed(1000+i, 1))
	}
	r.eventually("all is written and settled", func() bool {
		prices, _ := s.count()
		return prices == 550 && r.Depth(r.Queue(orders)) == 0 && r.settled(orders, "acked") >= 51
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if n := r.Depth(r.Queue(orders)); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// A probe is one message in calls of its own. The first call that the downstream answers has the others go on.
func TestBatch_ProbesWithTheFirstCallOfOneMessage(t *testing.T) {
	t.Parallel()
	magento := newBreaker("magento", circuit.HalfOpen)
	r, s := newShop(t, consumer.Batch{Size: 10, Linger: 10 * time.Millisecond, Concurrency: 2})
	steps := newStepped()
	var second sync.Once
	s.before = func(ctx context.Context, c consumer.Call) error {
		if err := magento.request(ctx, true); err != nil {
			return err
		}
		if c.Entries[0].Value.(price).Price == 10 {
			second.Do(func() { _ = steps.before(ctx, c) })
		}
		return nil
	}
	r.opts.Consumers[0].Needs = []string{"magento"}
	r.opts.Circuits = []circuit.Breaker{magento}
	r.start()
	r.consumerIs(orders, "paused")
	r.Publish(placed, listed(0, 100))
	<-steps.begun // the second call of the probe: the first has closed the circuit
	r.consumerIs(orders, "subscribed")
	r.Publish(placed, listed(1000, 1))
	r.eventually("the others go on", func() bool { return r.settled(orders, "acked") == 1 })
	steps.goOn <- nil
	r.outcomes(map[string]int{"acked": 2})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if n := len(c.Entries); n != 10 && n != 1 {
			t.Errorf("a call of %d entries", n)
		}
	}
}

// A probe that fails has no further call, and goes to the shortest retry queue as it was.
func TestBatch_EndsAProbeThatFails(t *testing.T) {
	t.Parallel()
	magento := newBreaker("magento", circuit.HalfOpen)
	r, s := newShop(t, consumer.Batch{Size: 10, Concurrency: 2})
	s.before = func(ctx context.Context, _ consumer.Call) error { return magento.request(ctx, false) }
	r.opts.Consumers[0].Needs = []string{"magento"}
	r.opts.Circuits = []circuit.Breaker{magento}
	r.opts.RetryDelays = []time.Duration{2 * away, away}
	r.start()
	r.Publish(placed, listed(0, 100))
	r.outcomes(map[string]int{"deferred": 1})
	if _, calls := s.count(); calls != 1 || r.Depth(r.RetryQueue(away)) != 1 || magento.Status().State != circuit.Open {
		t.Errorf("%d calls, the circuit is %s", calls, magento.Status().State)
	}
}

// While a circuit is open nothing of a message that has begun is called, and the message waits in its queue.
func TestBatch_StopsWhenACircuitOpens(t *testing.T) {
	t.Parallel()
	magento := newBreaker("magento", circuit.Closed)
	r, s := newShop(t, consumer.Batch{Size: 10, Concurrency: 1})
	steps := newStepped()
	s.before = func(ctx context.Context, c consumer.Call) error {
		if err := steps.before(ctx, c); err != nil {
			return err
		}
		return magento.request(ctx, true)
	}
	r.opts.Consumers[0].Needs = []string{"magento"}
	r.opts.Circuits = []circuit.Breaker{magento}
	r.start()
	r.Publish(placed, listed(0, 100))
	<-steps.begun
	magento.set(circuit.Open)
	r.unsubscribed()
	steps.goOn <- nil
	r.outcomes(map[string]int{"requeued": 1})
	r.eventually("it is in its queue", func() bool { return r.Depth(r.Queue(orders)) == 1 })
	if _, calls := s.count(); calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// A suspect shares no call, and nothing else is in flight as long as it has any.
func TestBatch_HandlesASuspectInCallsOfItsOwn(t *testing.T) {
	t.Parallel()
	reg := &register{died: true}
	r, s := newShop(t, consumer.Batch{Size: 10, Linger: 10 * time.Millisecond, Concurrency: 4})
	r.opts.Suspects = reg
	var mu sync.Mutex
	running := 0
	s.before = func(_ context.Context, c consumer.Call) error {
		mu.Lock()
		defer mu.Unlock()
		running++
		if c.Entries[0].Value.(price).Price < 100 && running > 1 {
			t.Error("another call is out beside a suspect's")
		}
		defer func() { running-- }()
		own := 0
		for _, e := range c.Entries {
			if e.Value.(price).Price < 100 {
				own++
			}
		}
		if own != 0 && own != len(c.Entries) {
			t.Errorf("%d of %d entries of a call are the suspect's", own, len(c.Entries))
		}
		return nil
	}
	r.start()
	r.SetPauses(map[string]string{orders: "until all are published"})
	r.consumerIs(orders, "paused")
	r.returned(listed(0, 95))
	for i := range 50 {
		r.Publish(placed, listed(100+i, 1))
	}
	r.SetPauses(nil)
	r.outcomes(map[string]int{"acked": 51})
	if calls := reg.have(); !slices.Equal(calls, []string{"enter", "alone", "strike"}) {
		t.Errorf("the register was told %v", calls)
	}
}

// Messages of one key are not in two calls at once.
func TestBatch_WritesAKeyInOneCallAtATime(t *testing.T) {
	t.Parallel()
	r, s := newShop(t, consumer.Batch{Size: 5, Linger: time.Millisecond, Concurrency: 4})
	var mu sync.Mutex
	out := map[string]bool{}
	s.before = func(_ context.Context, c consumer.Call) error {
		mine := map[string]bool{}
		mu.Lock()
		for _, e := range c.Entries {
			if out[e.Key] {
				t.Errorf("%s is in two calls", e.Key)
			}
			mine[e.Key] = true
		}
		for key := range mine {
			out[key] = true
		}
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		for key := range mine {
			delete(out, key)
		}
		return nil
	}
	r.held(500, func(i int) string { return listed(i%7, 3) })
	r.outcomes(map[string]int{"acked": 500})
}
