package consumer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// subscriber makes and cancels the subscriptions of one channel. *amqp.Channel is one.
type subscriber interface {
	Qos(prefetchCount, prefetchSize int, global bool) error
	Consume(queue, tag string, autoAck, exclusive, noLocal, noWait bool, args amqp.Table) (<-chan amqp.Delivery, error)
	Cancel(tag string, noWait bool) error
}

// subscription is one of an intake's.
type subscription struct {
	tag       string
	prefetch  int
	unsettled atomic.Int64   // its deliveries that are not settled
	reader    sync.WaitGroup // the goroutine that reads its deliveries, which ends with it
}

// intake takes deliveries from one queue on one channel: it subscribes with a prefetch of 1 and lets the prefetch double each
// time that as many deliveries as it has were settled, up to a limit and to what the byte budget allows.
//
// AMQP can't raise the prefetch of a subscription, so the prefetch grows by further subscriptions: 1, 1, 2, 4 …
// (docs/decisions/004). What was delivered before a pause counts, so that never more than the limit is unacknowledged. A
// quorum queue commits an entry of its log for each subscription of which a multiple acknowledgement settles a delivery, so
// that once the prefetch has grown to its limit, one subscription takes the place of all but the largest
// (docs/decisions/013).
//
// Deliveries of a batch consumer differ in how much work they are. Where a few of them keep every call busy, enough lowers the
// limit to so many (docs/decisions/072).
//
// One goroutine subscribes, grows and unsubscribes. The other methods may be called from any goroutine.
type intake struct {
	ch     subscriber
	queue  string
	prefix string // of consumer tags
	limit  int    // of the prefetch
	step   int    // the prefetch after the first 1, where one call takes so many; 0 is 1
	budget *budget
	enough func() int                             // deliveries that keep the dispatcher busy; 0: it is not known; nil: limit
	accept func(d amqp.Delivery, s *subscription) // takes each delivery; called from the subscription's goroutine

	made    int          // subscriptions; of the goroutine that subscribes
	granted atomic.Int64 // the prefetch of all subscriptions together

	mu        sync.Mutex
	live      []*subscription // in the order in which they were made
	cancelled []*subscription // of which deliveries are not settled
	fetched   int             // deliveries that came by no subscription and are not settled
	settled   int             // since the prefetch has grown last
	merging   bool            // one subscription is to take the place of some that were cancelled
}

// prefetch is that of all subscriptions together; 0 while there are none.
func (i *intake) prefetch() int { return int(i.granted.Load()) }

// fixed calls f while the prefetch can't change. f must call no method of the intake.
func (i *intake) fixed(f func(prefetch int)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i.prefetch())
}

// fetch counts deliveries that came by no subscription; n is -1 when one is settled.
func (i *intake) fetch(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetched += n
}

// settle counts n deliveries that were settled. It reports whether grow has something to do.
func (i *intake) settle(n int) (grows bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.settled += n
	return i.room() > 0 || i.scattered()
}

// grow subscribes once more, or merges the subscriptions, if it is time for it.
func (i *intake) grow() error {
	i.mu.Lock()
	n, scattered := i.room(), i.scattered()
	i.mu.Unlock()
	switch {
	case n > 0:
		return i.subscribe(n)
	case scattered:
		return i.merge()
	}
	return nil
}

// earlier is how many unsettled deliveries came by no live subscription. It is called with mu held.
func (i *intake) earlier() int {
	i.cancelled = slices.DeleteFunc(i.cancelled, func(s *subscription) bool { return s.unsettled.Load() == 0 })
	n := i.fetched
	for _, s := range i.cancelled {
		n += int(s.unsettled.Load())
	}
	return n
}

// room is the prefetch of the next subscription; 0 if it is not time for one. It is called with mu held.
func (i *intake) room() int {
	granted := i.prefetch()
	if granted == 0 || !i.merging && i.settled < granted {
		return 0
	}
	earlier := i.earlier()
	if i.merging && earlier > 0 {
		return 0
	}
	n := min(i.most(), i.budget.room()) - earlier - granted
	if !i.merging { // which restores the prefetch that was there before
		n = min(n, max(granted, i.step-granted))
	}
	return max(0, n)
}

// most is how many deliveries may be unsettled now.
func (i *intake) most() int {
	if i.enough == nil {
		return i.limit
	}
	if n := i.enough(); n > 0 {
		return min(n, i.limit)
	}
	return i.limit
}

// excessive reports whether the prefetch has grown to far more than is needed now, because the deliveries were smaller then.
func (i *intake) excessive() bool { return i.prefetch() > 4*i.most() }

// scattered reports whether the prefetch has grown to its limit by many subscriptions. It is called with mu held.
func (i *intake) scattered() bool {
	granted := i.prefetch()
	return ackBatch(granted) > 1 && granted >= i.most() && i.settled >= granted && len(i.live) > 2 && i.earlier() == 0
}

// merge cancels all subscriptions but the largest, which has about half of the prefetch. One more takes the place of the others
// when what they have delivered is settled.
func (i *intake) merge() error {
	largest := slices.MaxFunc(i.live, func(a, b *subscription) int { return cmp.Compare(a.prefetch, b.prefetch) })
	others := slices.DeleteFunc(slices.Clone(i.live), func(s *subscription) bool { return s == largest })
	if err := i.cancel(others); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.retire(others)
	i.live = []*subscription{largest}
	i.merging = true
	return nil
}

// subscribe adds a subscription with a prefetch of n.
func (i *intake) subscribe(n int) error {
	s := &subscription{tag: i.nextTag(), prefetch: n}
	i.mu.Lock()
	granted := i.prefetch()
	i.settled -= granted
	if granted == 0 || i.settled < 0 { // what was settled in a pause does not count
		i.settled = 0
	}
	i.granted.Store(int64(granted + n)) // from here on nothing is requeued
	i.merging = false
	i.live = append(i.live, s)
	i.mu.Unlock()
	if err := i.ch.Qos(n, 0, false); err != nil {
		return fmt.Errorf("set a prefetch of %d for queue %s: %w", n, i.queue, err)
	}
	in, err := i.ch.Consume(i.queue, s.tag, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("subscribe to queue %s: %w", i.queue, err)
	}
	s.reader.Go(func() {
		for d := range in {
			i.accept(d, s)
		}
	})
	return nil
}

// nextTag makes a consumer tag. None is used twice on a channel: with deliveries of the former subscription still unsettled, a
// quorum queue of RabbitMQ 3.10 mixes the two up, and the broker ends the connection with 541 (tried).
func (i *intake) nextTag() string {
	i.made++
	return i.prefix + strconv.Itoa(i.made)
}

// unsubscribe cancels all subscriptions. What the broker had sent by then is accepted when it returns.
func (i *intake) unsubscribe() error {
	if err := i.cancel(i.live); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.retire(i.live)
	i.live = nil
	i.merging, i.settled = false, 0
	return nil
}

// cancel cancels subscriptions and waits for the goroutines that read them.
func (i *intake) cancel(subscriptions []*subscription) error {
	for _, s := range subscriptions {
		if err := i.ch.Cancel(s.tag, false); err != nil {
			return fmt.Errorf("cancel the subscription to queue %s: %w", i.queue, err)
		}
		s.reader.Wait()
	}
	return nil
}

// retire takes cancelled subscriptions out of the prefetch. It is called with mu held.
func (i *intake) retire(subscriptions []*subscription) {
	for _, s := range subscriptions {
		i.granted.Add(-int64(s.prefetch))
		i.cancelled = append(i.cancelled, s)
	}
}

// wait waits for the goroutines that read the subscriptions, after their channel was closed.
func (i *intake) wait() {
	for _, s := range i.live {
		s.reader.Wait()
	}
}
