package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// ackPatience is how long an acknowledgement may wait for others, to be written as one with them. What waits when the
	// process dies is delivered again, and found done.
	ackPatience = 2 * time.Millisecond
	// behindPatience is how long an acknowledgement may wait behind an open delivery, to be written with the others after all.
	// By itself it costs the broker and this process as much as all of a flush together.
	behindPatience = 20 * time.Millisecond
)

// settler settles deliveries of one channel. *amqp.Channel is one.
type settler interface {
	Ack(tag uint64, multiple bool) error
	Nack(tag uint64, multiple, requeue bool) error
}

// settlement is a delivery that is to be acknowledged.
type settlement struct {
	m       *message
	outcome string    // under which it is counted
	behind  time.Time // since when it waits for an open delivery below it
}

// acker acknowledges the deliveries of one channel. It gathers acknowledgements and writes those of contiguous tags as one: a
// quorum queue commits an entry of its log for each acknowledgement, and this process makes a system call (docs/decisions/013).
//
// Its methods may be called from any goroutine; one of them at a time writes. Whoever owns the acker calls flushLate each time
// that late fires.
type acker struct {
	ch      settler
	granted func() int                          // the prefetch of all subscriptions together
	idle    func() bool                         // the broker sends nothing more before something is acknowledged
	over    func() bool                         // the channel has ended: nothing can be settled any more
	settled func(batch []settlement, err error) // is told what was written, or why it was not; called without the lock
	late    *time.Timer                         // when what has gathered has waited long enough

	mu       sync.Mutex
	tags     tags
	gathered []settlement // to be acknowledged
	behind   []settlement // to be acknowledged, but above a tag that was open at the last flush
	writing  bool         // a goroutine writes acknowledgements
}

func newAcker(ch settler) *acker {
	return &acker{ch: ch, tags: newTags(), late: time.NewTimer(ackPatience)}
}

// errSessionOver is why nothing is settled on a channel that has ended.
var errSessionOver = errors.New("the session has ended")

// ackBatch is how many acknowledgements are written at once. It leaves the broker most of the prefetch to go on with.
func ackBatch(prefetch int) int { return max(1, min(64, prefetch/4)) }

func (a *acker) enough() int { return ackBatch(a.granted()) }

// ack has a delivery acknowledged, soon.
func (a *acker) ack(m *message, outcome string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gathered = append(a.gathered, settlement{m: m, outcome: outcome})
	switch {
	case len(a.gathered) >= a.enough() || a.over():
		a.flush(false)
	case len(a.gathered) == 1 && len(a.behind) == 0:
		a.late.Reset(ackPatience)
	}
}

// nack requeues a delivery at once, or has the broker dead-letter it.
func (a *acker) nack(tag uint64, requeue bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ch.Nack(tag, false, requeue); err != nil {
		return err
	}
	a.tags.settled(tag)
	return nil
}

// flushLate writes what has waited long enough.
func (a *acker) flushLate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flush(a.idle())
}

// close writes all that can be written, and reports the rest as not settled.
func (a *acker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flush(true)
	a.late.Stop()
}

// flush writes what has gathered. What lies above an open delivery can't be written with the others: some of it waits for the
// next flush, unless all is asked for. While another goroutine writes, that one goes on with what has gathered if it is enough;
// else it waits for the next flush. It is called with mu held, and releases it while it writes.
func (a *acker) flush(all bool) {
	if a.writing || len(a.gathered)+len(a.behind) == 0 {
		return
	}
	a.writing = true
	for again := true; again; again = len(a.gathered) >= a.enough() || len(a.gathered)+len(a.behind) > 0 && a.over() {
		batch := append(a.behind, a.gathered...)
		a.behind, a.gathered = nil, nil
		for i := range batch {
			a.tags.settled(batch[i].m.DeliveryTag)
		}
		slices.SortFunc(batch, func(x, y settlement) int { return cmp.Compare(x.m.DeliveryTag, y.m.DeliveryTag) })
		n, _ := slices.BinarySearchFunc(batch, a.tags.first, func(s settlement, first uint64) int { return cmp.Compare(s.m.DeliveryTag, first) })
		together, alone := batch[:n], batch[n:]
		over := a.over()
		if !all && len(alone) <= a.granted()/2 && !over {
			alone, a.behind = overdue(alone)
			batch = batch[:n+len(alone)]
		}
		a.mu.Unlock()
		err := errSessionOver
		if !over {
			err = a.write(together, alone)
		}
		a.settled(batch, err)
		a.mu.Lock()
	}
	a.writing = false
	if len(a.gathered)+len(a.behind) > 0 {
		a.late.Reset(ackPatience)
	}
}

// overdue returns those that have waited behind an open delivery for long enough, in place, and the others in an array of
// their own: the first array keeps the bodies of those that are acknowledged now.
func overdue(alone []settlement) (late, behind []settlement) {
	now := time.Now()
	late = alone[:0]
	for _, s := range alone {
		if s.behind.IsZero() {
			s.behind = now
		}
		if now.Sub(s.behind) >= behindPatience {
			late = append(late, s)
		} else {
			behind = append(behind, s)
		}
	}
	return late, behind
}

// write acknowledges: once for all that lie together below every open delivery, in order, and once for each of the others.
func (a *acker) write(together, alone []settlement) error {
	if n := len(together); n > 0 {
		if err := a.ch.Ack(together[n-1].m.DeliveryTag, n > 1); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
	for _, s := range alone {
		if err := a.ch.Ack(s.m.DeliveryTag, false); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
	return nil
}
