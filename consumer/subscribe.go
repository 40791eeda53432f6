package consumer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/mageline/mageline/rabbitmq"
)

// subscription is one of a line's.
type subscription struct {
	tag      string
	prefetch int
	brings   sync.WaitGroup // its goroutine, which ends with it

	unsettled int // of its deliveries; with the line's mu, as is cancelled
	cancelled bool
}

// count adds n to the deliveries of s that are not settled; s is nil for one that was fetched. It is called with mu held.
func (l *line) count(s *subscription, n int) {
	if s != nil {
		s.unsettled += n
	}
	if s == nil || s.cancelled {
		l.earlier += n
	}
}

// grow lets the prefetch grow once as much was settled as it is. What is held from before a pause counts, so that there
// are never more than PREFETCH. Once it has grown, its many subscriptions become two.
func (l *line) grow() error {
	l.mu.Lock()
	n, scattered := l.room(), l.scattered()
	l.mu.Unlock()
	switch {
	case n > 0:
		return l.subscribe(n)
	case scattered:
		return l.merge()
	}
	return nil
}

// room is the prefetch of the next subscription; 0 if it is not time for one. It is called with mu held.
func (l *line) room() int {
	if l.granted == 0 || l.merging && l.earlier > 0 || !l.merging && l.settled < l.granted {
		return 0
	}
	n := min(l.consumer.Limits.Prefetch, l.memory.room()) - l.earlier - l.granted
	if !l.merging { // which gives back what was there before
		n = min(n, l.granted)
	}
	return max(0, n)
}

// scattered reports whether the prefetch has grown to its end by many subscriptions. For each of those that a multiple
// acknowledgement settles a delivery of, a quorum queue commits an entry of its log: with a PREFETCH of 64, seven of them,
// RabbitMQ had a fifth more to do. It is called with mu held.
func (l *line) scattered() bool {
	return l.granted == l.consumer.Limits.Prefetch && l.settled >= l.granted && l.earlier == 0 && len(l.subscriptions) > 2 && l.enough() > 1
}

// merge cancels all subscriptions but the largest. One takes their place when what they have brought is settled; until
// then the line goes on with the largest, which has about half of the prefetch.
func (l *line) merge() error {
	largest := slices.MaxFunc(l.subscriptions, func(a, b *subscription) int { return cmp.Compare(a.prefetch, b.prefetch) })
	others := slices.DeleteFunc(slices.Clone(l.subscriptions), func(s *subscription) bool { return s == largest })
	if err := l.cancel(others); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retire(others)
	l.subscriptions = []*subscription{largest}
	l.merging = true
	return nil
}

// subscribe adds a subscription with a prefetch of n. A prefetch can't be raised on a subscription, so the line grows by
// further ones, 1, 1, 2, 4 …, and never holds more than their sum.
func (l *line) subscribe(n int) error {
	// A tag is never used twice on a channel: with deliveries of the former subscription still unsettled, a quorum queue of
	// RabbitMQ 3.10 mixes the two up and the broker ends the connection with 541 (tried).
	l.made++
	s := &subscription{tag: "mageline." + l.consumer.Name + "." + strconv.Itoa(l.made), prefetch: n}
	l.mu.Lock()
	l.settled -= l.granted
	if l.granted == 0 || l.settled < 0 { // what was settled in a pause does not count
		l.settled = 0
	}
	l.granted += n // from here on nothing is given back
	l.merging = false
	l.subscriptions = append(l.subscriptions, s)
	l.mu.Unlock()
	if err := l.ch.Qos(n, 0, false); err != nil {
		return fmt.Errorf("set a prefetch of %d for queue %s: %w", n, l.queue, err)
	}
	in, err := l.ch.Consume(l.queue, s.tag, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("subscribe to queue %s: %w", l.queue, l.r.topology.Explain(err, rabbitmq.ToConsume))
	}
	l.subscribed.Store(true)
	l.trouble.Store(nil)
	l.gaugeRefused()
	l.metrics.paused.Set(0)
	s.brings.Go(func() {
		for d := range in {
			l.accept(d, s)
		}
	})
	return nil
}

// unsubscribe cancels the subscriptions and gives back, lowest tag first so that the queue keeps its order, what has not
// begun. Nothing is given back while a subscription is there: it would return at once, thousands of times a second.
func (l *line) unsubscribe() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if err := l.cancel(l.subscriptions); err != nil {
		return err
	}
	l.subscribed.Store(false)
	l.metrics.paused.Set(1)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.retire(l.subscriptions)
	l.subscriptions = nil
	l.closed, l.merging, l.settled = false, false, 0
	slices.SortFunc(l.waiting, func(a, b *delivery) int { return cmp.Compare(a.DeliveryTag, b.DeliveryTag) })
	for _, d := range l.waiting {
		if err := l.ch.Nack(d.DeliveryTag, false, true); err != nil {
			return fmt.Errorf("give a delivery back to queue %s: %w", l.queue, err)
		}
		l.tags.settled(d.DeliveryTag)
		l.memory.drop(d.Body)
		l.count(d.subscription, -1)
		l.metrics.outcomes[outcomeRequeued].Inc()
	}
	l.waiting = nil
	return nil
}

// cancel ends subscriptions. What the broker had sent by then is accepted when it returns.
func (l *line) cancel(subscriptions []*subscription) error {
	for _, s := range subscriptions {
		if err := l.ch.Cancel(s.tag, false); err != nil {
			return fmt.Errorf("cancel the subscription to queue %s: %w", l.queue, err)
		}
		s.brings.Wait()
	}
	return nil
}

// retire takes cancelled subscriptions from what is granted. It is called with mu held.
func (l *line) retire(subscriptions []*subscription) {
	for _, s := range subscriptions {
		l.granted -= s.prefetch
		s.cancelled = true
		l.earlier += s.unsettled
	}
}
