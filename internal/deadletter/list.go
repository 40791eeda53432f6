package deadletter

import (
	"context"
	"errors"
	"time"

	"github.com/mageline/mageline/rabbitmq"
)

// Overview summarizes one dead-letter queue.
type Overview struct {
	Queue   string         `json:"queue"`
	Depth   int            `json:"depth"`
	Oldest  time.Time      `json:"oldest,omitzero"` // when the oldest failed; zero if empty or unknown
	Classes map[string]int `json:"classes"`         // letters by error class
	Causes  []Cause        `json:"causes"`          // at most some 200
	// Locked is set when another reader has the lock. Then only Depth is known, without what that reader has taken.
	Locked *LockedError `json:"-"`
}

// Overviews reads each of the queues. Those that do not exist are left out.
func (r *Reader) Overviews(ctx context.Context, queues []string) ([]Overview, error) {
	depths, err := r.depths(ctx, queues)
	if err != nil {
		return nil, err
	}
	var all []Overview
	for _, queue := range queues {
		depth, ok := depths[queue]
		if !ok {
			continue
		}
		o := Overview{Queue: queue, Classes: map[string]int{}}
		causes := newCauses(queue, r.o.Help)
		err := r.each(ctx, queue, func(l letter) {
			o.Depth++
			causes.add(l.Letter)
			class := l.Class
			if _, known := o.Classes[class]; !known && len(o.Classes) >= maxCauses {
				class = Unknown // whoever can publish to the queue can invent classes
			}
			o.Classes[class]++
			if !l.FailedAt.IsZero() && (o.Oldest.IsZero() || l.FailedAt.Before(o.Oldest)) {
				o.Oldest = l.FailedAt
			}
		})
		o.Causes = causes.list(time.Now())
		var gone *NoQueueError
		switch {
		case errors.As(err, &o.Locked):
			o.Depth = depth
		case errors.As(err, &gone):
			continue
		case err != nil:
			return all, err
		}
		all = append(all, o)
	}
	return all, nil
}

// Depth returns how many letters a queue has, without those that a reader has taken. It fails with a *NoQueueError.
func (r *Reader) Depth(ctx context.Context, queue string) (int, error) {
	depths, err := r.depths(ctx, []string{queue})
	if err != nil {
		return 0, err
	}
	n, ok := depths[queue]
	if !ok {
		return 0, &NoQueueError{queue}
	}
	return n, nil
}

// depths returns the depths of those queues that exist.
func (r *Reader) depths(ctx context.Context, queues []string) (map[string]int, error) {
	conn, err := rabbitmq.Dial(ctx, r.o.Broker, "mageline "+r.o.Host+" dead letters")
	if err != nil {
		return nil, err
	}
	defer rabbitmq.Close(conn)
	depths := make(map[string]int, len(queues))
	for _, queue := range queues {
		depth, ok, err := rabbitmq.Depth(conn, queue)
		if err != nil {
			return nil, err
		}
		if ok {
			depths[queue] = depth
		}
	}
	return depths, nil
}

// ListedLetter is a letter of a list. Count is how many letters of the queue are that message.
type ListedLetter struct {
	Letter
	Count int `json:"count"`
	Advice
}

// Advice is what to do with a letter.
type Advice struct {
	// Replayable is false for a letter that a replay can only make again. Help then says what to do instead.
	Replayable bool   `json:"replayable"`
	Help       string `json:"help"` // by Options.Help
}

func (r *Reader) advice(l Letter, queue string) Advice {
	return Advice{l.CanSucceed(), r.o.Help(l, queue, l.ID)}
}

// maxListedError bounds the error of a listed letter, in bytes. Show returns all of it.
const maxListedError = 512

// List returns the letters that match, in the order of the queue. A message that is there more than once, because a process
// died between its publish and its acknowledgement, is listed once.
func (r *Reader) List(ctx context.Context, queue string, f Filter) ([]ListedLetter, error) {
	var lines []ListedLetter
	at := map[string]int{}
	err := r.each(ctx, queue, func(l letter) {
		if i, ok := at[l.ID]; ok {
			lines[i].Count++
			return
		}
		if !f.matches(l.Letter) {
			return
		}
		l.Error = rabbitmq.Truncate(l.Error, maxListedError)
		at[l.ID] = len(lines)
		lines = append(lines, ListedLetter{l.Letter, 1, r.advice(l.Letter, queue)})
	})
	return lines, err
}

// Show returns every letter of the queue with that id. It fails with a *NoLetterError.
func (r *Reader) Show(ctx context.Context, queue, id string) ([]Shown, error) {
	var shown []Shown
	err := r.each(ctx, queue, func(l letter) {
		if l.ID == id {
			shown = append(shown, r.show(l, queue))
		}
	})
	if err == nil && len(shown) == 0 {
		err = &NoLetterError{queue, id}
	}
	return shown, err
}

// each calls f with every letter of the queue, and leaves the queue as it is.
func (r *Reader) each(ctx context.Context, queue string, f func(letter)) error {
	return r.withQueue(ctx, queue, func(s *lockedQueue) error { return s.each(ctx, f) })
}

// each calls f with every letter of the queue, and leaves the queue as it is.
func (s *lockedQueue) each(ctx context.Context, f func(letter)) error {
	began := time.Now()
	return s.readSet(ctx, everything, func(h *reading) error {
		for h.remaining() > 0 {
			if h.expired() {
				return &StoppedError{Queue: s.queue, After: time.Since(began).Round(time.Second), Until: began}
			}
			got, err := h.take(ctx, h.remaining())
			for i := range got {
				f(s.r.letter(&got[i], s.queue))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
