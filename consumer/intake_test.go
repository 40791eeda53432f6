package consumer

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// subscriptions is a channel whose broker delivers what a test says.
type subscriptions struct {
	mu    sync.Mutex
	qos   int
	calls []string // "+8" for a subscription with a prefetch of 8, "-" and its tag for one that was cancelled
	open  map[string]chan amqp.Delivery
	tags  map[string]bool
	fail  error
}

func (s *subscriptions) Qos(prefetch, _ int, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.qos = prefetch
	return s.fail
}

func (s *subscriptions) Consume(_, tag string, _, _, _, _ bool, _ amqp.Table) (<-chan amqp.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tags[tag] {
		return nil, fmt.Errorf("tag %s is used twice", tag)
	}
	ch := make(chan amqp.Delivery)
	s.tags[tag], s.open[tag] = true, ch
	s.calls = append(s.calls, fmt.Sprintf("+%d", s.qos))
	return ch, nil
}

func (s *subscriptions) Cancel(tag string, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.open[tag])
	delete(s.open, tag)
	s.calls = append(s.calls, "-"+tag)
	return nil
}

// intakeRig is an intake on a fake channel.
type intakeRig struct {
	*intake
	t       *testing.T
	channel *subscriptions
	budget  *budget
	open    map[*subscription]int // unsettled
}

func newIntakeRig(t *testing.T, limit int) *intakeRig {
	r := &intakeRig{
		t: t, channel: &subscriptions{open: map[string]chan amqp.Delivery{}, tags: map[string]bool{}},
		budget: &budget{share: 1 << 30}, open: map[*subscription]int{},
	}
	r.intake = &intake{ch: r.channel, queue: "q", prefix: "t.", limit: limit, budget: r.budget, accept: func(_ amqp.Delivery, s *subscription) {
		s.unsettled.Add(1)
	}}
	t.Cleanup(func() { r.must(r.unsubscribe()) })
	return r
}

func (r *intakeRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// fill has the broker deliver as much as the subscriptions take.
func (r *intakeRig) fill() {
	for _, s := range r.live {
		for n := int(s.unsettled.Load()); n < s.prefetch; n++ {
			r.channel.open[s.tag] <- amqp.Delivery{}
			for int(s.unsettled.Load()) == n { // it was taken from the channel, and is accepted now
				continue
			}
		}
	}
}

// settleAll settles everything that is held.
func (r *intakeRig) settleAll() (grows bool) {
	for _, s := range append(slices.Clone(r.live), r.cancelled...) {
		for s.unsettled.Load() > 0 {
			s.unsettled.Add(-1)
			grows = r.settle(1)
		}
	}
	return grows
}

func (r *intakeRig) held() (n int) {
	for _, s := range append(slices.Clone(r.live), r.cancelled...) {
		n += int(s.unsettled.Load())
	}
	return n + r.fetched
}

func (r *intakeRig) called(when string, want ...string) {
	r.t.Helper()
	if got := r.channel.calls; !slices.Equal(got, want) {
		r.t.Errorf("%s: %v, want %v", when, got, want)
	}
	r.channel.calls = nil
}

func TestIntake_DoublesThePrefetchAsMuchIsSettled(t *testing.T) {
	r := newIntakeRig(t, 6)
	r.must(r.subscribe(1))
	for range 6 {
		r.fill()
		r.must(r.grow()) // nothing was settled yet
		if r.settleAll() {
			r.must(r.grow())
		}
	}
	r.called("the prefetch has grown to 6", "+1", "+1", "+2", "+2")
	if r.prefetch() != 6 {
		t.Errorf("the prefetch is %d, want 6", r.prefetch())
	}
}

// Of a batch consumer the prefetch grows from 1 to what one call takes.
func TestIntake_GrowsToACallAtOnce(t *testing.T) {
	r := newIntakeRig(t, 30)
	r.step = 10
	r.must(r.subscribe(1))
	for range 6 {
		r.fill()
		if r.settleAll() {
			r.must(r.grow())
		}
	}
	r.called("the prefetch has grown to 30", "+1", "+9", "+10", "+10", "-t.1", "-t.2", "-t.4", "+20")
}

func TestIntake_GrowsOnlyWhenAsMuchAsThePrefetchIsSettled(t *testing.T) {
	r := newIntakeRig(t, 64)
	r.must(r.subscribe(1))
	r.settle(1)
	r.must(r.grow())
	if grows := r.settle(1); grows {
		t.Error("it grows after one of two was settled")
	}
	if grows := r.settle(1); !grows {
		t.Error("it does not grow after two of two were settled")
	}
	r.must(r.grow())
	r.called("two and two", "+1", "+1", "+2")
}

// What is held from before a pause counts: never more than the limit is unacknowledged.
func TestIntake_NeverHoldsMoreThanTheLimitAfterAPause(t *testing.T) {
	r := newIntakeRig(t, 4)
	r.must(r.subscribe(1))
	for range 3 {
		r.settle(4)
		r.must(r.grow())
	}
	r.fill() // four, all of which stay
	r.must(r.unsubscribe())
	if r.prefetch() != 0 || r.held() != 4 {
		t.Fatalf("a prefetch of %d, and %d held; want 0 and 4", r.prefetch(), r.held())
	}
	r.cancelled[0].unsettled.Add(-1)
	r.must(r.subscribe(1))
	for range 4 {
		r.settle(1)
		r.must(r.grow())
	}
	r.fill()
	if r.held() > 4 {
		t.Errorf("%d are held, want at most 4", r.held())
	}
	r.settleAll()
	r.must(r.grow())
	if r.prefetch() != 2 {
		t.Errorf("once what was held is settled, the prefetch is %d, want 2", r.prefetch())
	}
}

func TestIntake_CountsFetchedDeliveries(t *testing.T) {
	r := newIntakeRig(t, 2)
	r.fetch(1)
	r.must(r.subscribe(1))
	if r.settle(1) {
		t.Error("it grows though a fetched delivery uses up the limit")
	}
	r.fetch(-1)
	if !r.settle(1) {
		t.Error("it does not grow once the fetched delivery is settled")
	}
}

func TestIntake_MergesManySubscriptions(t *testing.T) {
	r := newIntakeRig(t, 16)
	r.must(r.subscribe(1))
	for r.prefetch() < 16 {
		r.settle(16)
		r.must(r.grow())
	}
	r.called("the prefetch has grown", "+1", "+1", "+2", "+4", "+8")
	r.fill()
	if !r.settle(16) {
		t.Error("it does not ask to merge")
	}
	r.must(r.grow())
	r.called("all but the largest are cancelled", "-t.1", "-t.2", "-t.3", "-t.4")
	if r.prefetch() != 8 {
		t.Errorf("meanwhile the prefetch is %d, want 8", r.prefetch())
	}
	r.must(r.grow())
	r.called("while their deliveries are not settled")
	r.settleAll()
	r.must(r.grow())
	r.called("one takes their place", "+8")
	r.settle(100)
	r.must(r.grow())
	r.called("two are not merged")
}

// With a small prefetch each acknowledgement is written by itself, and many subscriptions cost nothing.
func TestIntake_MergesNothingWithASmallPrefetch(t *testing.T) {
	r := newIntakeRig(t, 7)
	r.must(r.subscribe(1))
	for range 8 {
		r.settle(7)
		r.must(r.grow())
	}
	r.called("a prefetch of 7", "+1", "+1", "+2", "+3")
}

func TestIntake_StaysWithinTheByteBudget(t *testing.T) {
	r := newIntakeRig(t, 64)
	r.budget.share = 8 * copies * 100
	r.budget.take(make([]byte, 100))
	r.must(r.subscribe(1))
	for range 10 {
		r.settle(64)
		r.must(r.grow())
	}
	if r.prefetch() != 8 {
		t.Errorf("the prefetch is %d, want 8: as many bodies as fit", r.prefetch())
	}
}

func TestIntake_TakesNoMoreThanIsEnough(t *testing.T) {
	r := newIntakeRig(t, 64)
	enough := 0
	r.step, r.enough = 40, func() int { return enough }
	r.must(r.subscribe(1))
	enough = 8
	for range 10 {
		r.settle(64)
		r.must(r.grow())
	}
	r.called("8 are enough", "+1", "+7")
	for enough = 32; r.prefetch() < 32; {
		r.settle(64)
		r.must(r.grow())
	}
	if enough = 8; r.excessive() {
		t.Error("four times as many as are enough are too many")
	}
	if enough = 7; !r.excessive() {
		t.Error("more than four times as many as are enough are not too many")
	}
}

func TestIntake_ReturnsWhatTheBrokerRefuses(t *testing.T) {
	r := newIntakeRig(t, 4)
	r.channel.fail = errors.New("403")
	if err := r.subscribe(1); !errors.Is(err, r.channel.fail) {
		t.Errorf("error %v", err)
	}
	r.live = nil
}

func TestBudget_CountsBodies(t *testing.T) {
	b := &budget{share: 1000}
	if b.full() || b.exceeded() || b.room() != 500 {
		t.Errorf("empty: full %t, exceeded %t, room %d", b.full(), b.exceeded(), b.room())
	}
	b.take(make([]byte, 1200))
	if !b.full() || b.exceeded() || b.room() != 1 {
		t.Errorf("one body larger than the share: full %t, exceeded %t, room %d", b.full(), b.exceeded(), b.room())
	}
	b.take(make([]byte, 10))
	if !b.exceeded() {
		t.Error("two bodies that are more than the share do not exceed it")
	}
	b.drop(2, 1210)
	if b.full() || b.exceeded() {
		t.Error("nothing is held, and the budget is full")
	}
	for range 100 {
		b.take(make([]byte, 10))
		b.drop(1, 10)
	}
	if b.room() != 50 {
		t.Errorf("room for %d bodies of 10 bytes, want 50: the large one was long ago", b.room())
	}
}
