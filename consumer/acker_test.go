package consumer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// acks are written so by a fake channel: "3" alone, "3*" with all below it, "-3" requeued, "x3" rejected.
type acks struct {
	mu      sync.Mutex
	written []string
	fail    error
}

func (a *acks) write(text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail == nil {
		a.written = append(a.written, text)
	}
	return a.fail
}

func (a *acks) Ack(tag uint64, multiple bool) error {
	if multiple {
		return a.write(fmt.Sprintf("%d*", tag))
	}
	return a.write(fmt.Sprint(tag))
}

func (a *acks) Nack(tag uint64, _, requeue bool) error {
	if requeue {
		return a.write(fmt.Sprintf("-%d", tag))
	}
	return a.write(fmt.Sprintf("x%d", tag))
}

func (a *acks) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	written := a.written
	a.written = nil
	return written
}

// ackerRig is an acker on a fake channel.
type ackerRig struct {
	*acker
	channel *acks
	isIdle  bool
	isOver  bool
	told    []uint64
	err     error
}

func newAckerRig(prefetch int) *ackerRig {
	r := &ackerRig{channel: &acks{}}
	r.acker = newAcker(r.channel)
	r.granted = func() int { return prefetch }
	r.idle = func() bool { return r.isIdle }
	r.over = func() bool { return r.isOver }
	r.settled = func(batch []settlement, err error) {
		for _, s := range batch {
			r.told = append(r.told, s.m.DeliveryTag)
		}
		if err != nil {
			r.err = err
		}
	}
	return r
}

func tagged(tag uint64) *message { return &message{Delivery: amqp.Delivery{DeliveryTag: tag}} }

func (r *ackerRig) acks(tags ...uint64) {
	for _, tag := range tags {
		r.ack(tagged(tag), "acked")
	}
}

func (r *ackerRig) wrote(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := r.channel.take(); !slices.Equal(got, want) {
		t.Errorf("%s: %v was written, want %v", when, got, want)
	}
}

func TestAcker_WritesContiguousTagsAsOne(t *testing.T) {
	r := newAckerRig(16) // four at once
	r.acks(2, 1, 3)
	r.wrote(t, "before there are enough")
	r.acks(4)
	r.wrote(t, "four contiguous tags", "4*")
	if !slices.Equal(r.told, []uint64{1, 2, 3, 4}) || r.err != nil {
		t.Errorf("told of %v, %v", r.told, r.err)
	}
}

func TestAcker_WritesTheRestAfterItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newAckerRig(64)
		r.acks(1, 2)
		<-r.late.C
		r.flushLate()
		r.wrote(t, "after 2 ms", "2*")
	})
}

func TestAcker_WritesEachAloneWithASmallPrefetch(t *testing.T) {
	r := newAckerRig(7)
	r.acks(1, 2, 3)
	r.wrote(t, "at once", "1", "2", "3")
}

func TestAcker_HoldsWhatIsAboveAnOpenTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newAckerRig(16)
		r.acks(1, 2, 4, 5)
		r.wrote(t, "3 is open", "2*")
		time.Sleep(behindPatience - time.Millisecond)
		r.flushLate()
		r.wrote(t, "a moment before its patience ends")
		time.Sleep(time.Millisecond)
		r.flushLate()
		r.wrote(t, "its patience is over", "4", "5")
		r.acks(3)
		<-r.late.C
		r.flushLate()
		r.wrote(t, "the open one", "3")
	})
}

func TestAcker_WritesAllWhenHandlersWouldStandIdle(t *testing.T) {
	r := newAckerRig(16)
	r.acks(2, 4)
	r.isIdle = true
	r.flushLate()
	r.wrote(t, "idle", "2", "4")
}

// Half of the prefetch may wait behind an open delivery, no more: the broker must have something to send.
func TestAcker_HoldsAtMostHalfOfThePrefetch(t *testing.T) {
	r := newAckerRig(16)
	for tag := uint64(2); tag <= 13; tag++ {
		r.acks(tag)
	}
	if n := len(r.channel.take()); n != 12 {
		t.Errorf("%d acknowledgements were written, want 12", n)
	}
}

func TestAcker_CountsRequeuedTagsAsSettled(t *testing.T) {
	r := newAckerRig(16)
	if err := errors.Join(r.nack(1, true), r.nack(2, false)); err != nil {
		t.Fatal(err)
	}
	r.acks(3, 4, 5, 6)
	r.wrote(t, "after two that were nacked", "-1", "x2", "6*")
}

func TestAcker_ReportsWhatCantBeSettled(t *testing.T) {
	r := newAckerRig(16)
	r.acks(1, 2)
	r.isOver = true
	r.close()
	r.acks(3)
	r.wrote(t, "after the channel has ended")
	if !slices.Equal(r.told, []uint64{1, 2, 3}) || !errors.Is(r.err, errSessionOver) {
		t.Errorf("told of %v, %v", r.told, r.err)
	}

	r = newAckerRig(4)
	r.channel.fail = errors.New("broken")
	r.acks(1)
	if !slices.Equal(r.told, []uint64{1}) || !errors.Is(r.err, r.channel.fail) {
		t.Errorf("told of %v, %v", r.told, r.err)
	}
	if err := r.nack(2, true); !errors.Is(err, r.channel.fail) {
		t.Errorf("nack: %v", err)
	}
}

// What was settled is counted once each, whatever goroutines acknowledge at the same time.
func TestAcker_AcknowledgesEachOnceFromManyGoroutines(t *testing.T) {
	const n = 2000
	r := newAckerRig(64)
	var mu sync.Mutex
	told := map[uint64]int{}
	r.settled = func(batch []settlement, err error) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range batch {
			told[s.m.DeliveryTag]++
		}
		if err != nil {
			t.Error(err)
		}
	}
	tags := rand.Perm(n)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := i; j < n; j += 8 {
				r.ack(tagged(uint64(tags[j])+1), "acked")
			}
		})
	}
	all.Wait()
	r.mu.Lock()
	r.flush(true)
	r.mu.Unlock()
	settled := map[uint64]bool{}
	for _, text := range r.channel.take() {
		var tag uint64
		if _, err := fmt.Sscan(text, &tag); err != nil {
			t.Fatal(err)
		}
		if text[len(text)-1] != '*' {
			if settled[tag] {
				t.Errorf("tag %d was acknowledged twice", tag)
			}
			settled[tag] = true
			continue
		}
		for ; tag > 0; tag-- {
			settled[tag] = true
		}
	}
	if len(settled) != n || len(told) != n {
		t.Errorf("%d of %d are settled, %d were told", len(settled), n, len(told))
	}
	for tag, times := range told {
		if times != 1 {
			t.Errorf("tag %d was told %d times", tag, times)
		}
	}
}

func TestDry_MeansThatOnlyAnAcknowledgementBringsMore(t *testing.T) {
	for name, c := range map[string]struct {
		backlog, open, prefetch int
		want                    bool
	}{
		"something waits to be begun":   {backlog: 1, open: 64, prefetch: 64},
		"the broker may send more":      {open: 63, prefetch: 64},
		"all are begun and not settled": {open: 64, prefetch: 64, want: true},
		"paused":                        {open: 1, want: true},
		"paused, and all is settled":    {want: true},
	} {
		if got := dry(c.backlog, c.open, c.prefetch); got != c.want {
			t.Errorf("%s: dry %v, want %v", name, got, c.want)
		}
	}
}
