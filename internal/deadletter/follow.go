package deadletter

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// Follow says how a replay finds out the outcome of the letters that it has published.
type Follow struct {
	// Timeout is for all of them together.
	Timeout time.Duration
	// Consumer returns the consumer of a queue; ok is false for any other queue.
	Consumer func(queue string) (name string, ok bool)
	// Standings reads the state of some of a consumer's business keys in the ledger. Keys without a row are left out.
	Standings func(ctx context.Context, consumer string, keys []string) (map[string]Standing, error)
	// Retries are the queues in which messages wait for their next attempt.
	Retries []string
	// Progress, if not nil, is called with the counts after each look.
	Progress func(Followed)
}

// Standing counts the effects of one business key in the ledger, by state.
type Standing struct {
	Open    int           // in progress, uncertain or failed
	Waiting int           // until the order may go out
	Over    int           // done or skipped
	Age     time.Duration // since the last change of one of them
}

// Followed counts replayed letters by outcome.
type Followed struct {
	Done int `json:"done"`
	// DeadAgain are those that are back in the dead-letter queue.
	DeadAgain int `json:"dead_again"`
	// Waiting are those whose order waits until it may go out, and those without an outcome before the time-out.
	Waiting int `json:"waiting"`
	// Open are those of Waiting that have no outcome.
	Open int `json:"-"`
}

func (f Followed) String() string {
	return fmt.Sprintf("done %d, dead again %d, waiting %d", f.Done, f.DeadAgain, f.Waiting)
}

// FollowError means that all letters were published, and that the outcome of some could not be found out.
type FollowError struct{ Err error }

func (e *FollowError) Error() string {
	return fmt.Sprintf("the letters were published, but the outcome of some is not known: %v", e.Err)
}

// Unwrap returns the cause.
func (e *FollowError) Unwrap() error { return e.Err }

const (
	// followEvery is the shortest time between two looks. A look may take a fifth of the time until the next.
	followEvery = 500 * time.Millisecond
	// followSteady is for how long the rows of a key must not change, as for a canary.
	followSteady = canarySteady
	// followQuiet is for how long the target queue and the retry queues must be empty before a letter without a new row in
	// the ledger counts as done: it was consumed and did not come back.
	followQuiet = 10 * time.Second
	// keysAtOnce is how many business keys one query has.
	keysAtOnce = 1000
)

// replayedLetter is a letter that was published by a replay.
type replayedLetter struct {
	id      [6]byte
	key, to string
	state   followState
	open    bool // the ledger has an effect of its key that is not over
}

type followState int

const (
	underObservation followState = iota
	sentDone
	sentDead
	sentWaiting
)

// follow finds out the outcome of the letters after the run has ended with err, if Follow is set. It looks once where the run
// ended early.
func (r *run) follow(ctx context.Context, err error) error {
	var canary *CanaryError
	var stopped *StoppedError
	early := errors.As(err, &canary) || errors.As(err, &stopped)
	if r.o.Follow == nil || r.o.DryRun || err != nil && !early {
		return err
	}
	f := &following{run: r, began: time.Now(), targets: map[string]*target{}, depth: r.left}
	for _, l := range r.sent {
		if f.targets[l.to] == nil {
			name, _ := r.o.Follow.Consumer(l.to)
			f.targets[l.to] = &target{consumer: name}
		}
	}
	deadline := f.began
	if !early {
		deadline = f.began.Add(r.o.Follow.Timeout)
	}
	last := f.watch(ctx, deadline, early)
	sum := f.count()
	r.sum.Followed = &sum
	if last != nil {
		return errors.Join(err, &FollowError{last})
	}
	return err
}

// following finds out the outcome of the letters of a run.
type following struct {
	*run
	began   time.Time
	conn    *amqp.Connection // to read the depth of queues; nil until it is opened
	targets map[string]*target
	depth   int       // of the dead-letter queue when it was read last, or what stayed in it
	next    time.Time // when it may be read again
}

// target is a queue that letters were published to.
type target struct {
	consumer string
	taken    time.Time // when it was first seen empty: all letters have been consumed
	quiet    time.Time // since when it and the retry queues have been empty
}

// watch looks until no letter is open, the deadline has passed or ctx has ended. It returns the error of the last look.
func (f *following) watch(ctx context.Context, deadline time.Time, once bool) (last error) {
	defer func() {
		if f.conn != nil {
			rabbitmq.Close(f.conn)
		}
	}()
	for {
		began := time.Now()
		last = f.look(ctx)
		over := began.After(deadline)
		if over && last == nil && !once {
			f.giveUp()
		}
		if last == nil && (over || f.count().Open == 0) {
			// A letter that seemed to be done may be back by now.
			if last = f.findDead(ctx, true); last == nil && (over || f.count().Open == 0) {
				return nil
			}
		}
		if f.o.Follow.Progress != nil {
			f.o.Follow.Progress(f.count())
		}
		if over {
			return last
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(followEvery, 4*time.Since(began))):
		}
	}
}

func (f *following) count() (c Followed) {
	for _, l := range f.sent {
		switch l.state {
		case sentDone:
			c.Done++
		case sentDead:
			c.DeadAgain++
		case sentWaiting:
			c.Waiting++
		case underObservation:
			c.Waiting++
			c.Open++
		}
	}
	return c
}

// look reads the queues and the ledger once.
func (f *following) look(ctx context.Context) error {
	if err := f.queues(ctx); err != nil {
		return err
	}
	open := map[string][]*replayedLetter{} // by consumer
	for _, l := range f.sent {
		if l.state == underObservation {
			consumer := f.targets[l.to].consumer
			open[consumer] = append(open[consumer], l)
		}
	}
	for consumer, letters := range open {
		for ; len(letters) > 0; letters = letters[min(keysAtOnce, len(letters)):] {
			if err := f.rows(ctx, consumer, letters[:min(keysAtOnce, len(letters))]); err != nil {
				return err
			}
		}
	}
	return f.findDead(ctx, false)
}

// queues records which queues are empty.
func (f *following) queues(ctx context.Context) error {
	if f.conn == nil || f.conn.IsClosed() {
		conn, err := rabbitmq.Dial(ctx, f.r.o.Broker, "mageline "+f.r.o.Host+" replay")
		if err != nil {
			return err
		}
		f.conn = conn
	}
	retries := 0
	for _, queue := range f.o.Follow.Retries {
		depth, _, err := rabbitmq.Depth(f.conn, queue)
		if err != nil {
			return err
		}
		retries += depth
	}
	for queue, t := range f.targets {
		depth, _, err := rabbitmq.Depth(f.conn, queue) // 0 for one that is gone
		if err != nil {
			return err
		}
		now := time.Now()
		if depth == 0 && t.taken.IsZero() {
			t.taken = now
		}
		switch {
		case depth > 0 || retries > 0:
			t.quiet = time.Time{}
		case t.quiet.IsZero():
			t.quiet = now
		}
	}
	return nil
}

// rows reads the ledger's rows of letters of one consumer, and sets their states.
func (f *following) rows(ctx context.Context, consumer string, letters []*replayedLetter) error {
	var keys []string
	for _, l := range letters {
		if consumer != "" && l.key != "" {
			keys = append(keys, l.key)
		}
	}
	known := map[string]Standing{}
	if len(keys) > 0 {
		var err error
		if known, err = f.o.Follow.Standings(ctx, consumer, keys); err != nil {
			return err
		}
	}
	for _, l := range letters {
		s, ok := known[l.key]
		l.open = ok && (s.Open > 0 || s.Waiting > 0 || s.Age < followSteady)
		l.state = f.state(s, ok, f.targets[l.to])
	}
	return nil
}

func (f *following) state(s Standing, known bool, t *target) followState {
	changed := known && s.Age < time.Since(f.run.began)
	switch {
	case known && (s.Open > 0 || s.Age < followSteady):
		return underObservation
	case !changed && (t.quiet.IsZero() || time.Since(t.quiet) < followQuiet):
		return underObservation
	case known && s.Waiting > 0:
		return sentWaiting
	default:
		return sentDone
	}
}

// giveUp is called at the time-out. Letters without a new row in the ledger count as done if they were consumed and nothing
// waits for a retry: such a message might be one of them.
func (f *following) giveUp() {
	for _, l := range f.sent {
		if l.state == underObservation && !l.open && !f.targets[l.to].quiet.IsZero() {
			l.state = sentDone
		}
	}
}

// findDead reads the dead-letter queue for letters of this run, if it has more than before. Unless it must, it does so only now
// and then.
func (f *following) findDead(ctx context.Context, must bool) error {
	depth, ok, err := rabbitmq.Depth(f.conn, f.o.Queue)
	if err != nil {
		return err
	}
	if !ok {
		return &NoQueueError{f.o.Queue}
	}
	f.depth = min(f.depth, depth) // somebody may have removed some
	// At the end it is read in any case if a letter is open: one may have come as another was removed.
	certain := depth == 0 || depth == f.depth && (!must || f.count().Open == 0)
	if certain || !must && time.Now().Before(f.next) {
		return nil
	}
	began := time.Now()
	back := map[[6]byte]bool{}
	err = f.r.each(ctx, f.o.Queue, func(l letter) {
		id, err := hex.DecodeString(l.ID)
		if err == nil && l.ours && rabbitmq.Text(l.d.Headers, rabbitmq.HeaderReplayID) == f.id {
			back[[6]byte(id)] = true
		}
	})
	f.next = time.Now().Add(10 * time.Since(began)) // the queue is free for others most of the time
	var locked *LockedError
	if errors.As(err, &locked) && !must {
		return nil
	}
	if err != nil {
		return err
	}
	f.depth = depth
	for _, l := range f.sent {
		if back[l.id] {
			l.state = sentDead
		}
	}
	return nil
}
