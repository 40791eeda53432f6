package deadletter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/time/rate"

	"github.com/mageline/mageline/rabbitmq"
)

// ReplayOptions say which letters are replayed, and how.
type ReplayOptions struct {
	Queue  string
	Filter Filter
	Limit  int     // letters that are replayed; 0: all
	Rate   float64 // letters a second; 0: unlimited
	// To is the queue that every letter is published to. Without it each goes to the queue that it was consumed from, and
	// stays where that is outside of the prefix.
	To string
	// DryRun counts what would happen, and publishes nothing.
	DryRun bool
	// Canary, if not nil, awaits the success of the first letter before the rest is published.
	Canary *Canary
	// Follow, if not nil, awaits the outcome of each letter after all are published.
	Follow *Follow
	// Progress, if not nil, is called for each message that was replayed or could not be.
	Progress func(ReplayStep)
}

// ReplayStep is what happened to one message of a replay.
type ReplayStep struct {
	ID  string
	Err error // why it stays; nil if it was replayed
	// Summary counts all so far. Set is the number of letters in the set.
	Summary ReplaySummary
	Set     int
}

// ReplaySummary counts messages, not letters: two letters with one id count once.
type ReplaySummary struct {
	Queue    string `json:"queue"`
	Replayed int    `json:"replayed"`
	Skipped  int    `json:"skipped"` // did not match
	Failed   int    `json:"failed"`  // stay in the queue; Progress has the reason
	Keys     int    `json:"keys"`    // distinct business keys of those that were replayed
	DryRun   bool   `json:"dry_run"`
	// Canary is the outcome of the first letter; nil without a canary, or where none was published.
	Canary *CanaryResult `json:"canary,omitempty"`
	// Followed counts the outcomes of the replayed letters; nil without Follow.
	*Followed
}

func (s ReplaySummary) String() string {
	if s.DryRun {
		return fmt.Sprintf("would replay %d (%d orders), would skip %d", s.Replayed, s.Keys, s.Skipped)
	}
	return fmt.Sprintf("replayed %d, skipped %d, failed %d", s.Replayed, s.Skipped, s.Failed)
}

// Replay publishes letters to the queues that they were consumed from. A letter leaves the dead-letter queue when its publish
// is confirmed. When Replay is killed no letter is lost. Those that were published and not yet acknowledged, some hundreds at
// most, are published again by the next replay. The set is what is in the queue when Replay begins. Of letters with one id,
// one is published and all leave.
//
// Replay fails with a *NoQueueError, *LockedError, *StoppedError, *CanaryError, *NoCanaryError or *FollowError, or when
// RabbitMQ or Postgres goes away. The ReplaySummary counts what was done in each case.
func (r *Reader) Replay(ctx context.Context, o ReplayOptions) (ReplaySummary, error) {
	run := &run{
		r: r, o: o, id: newReplayID(), began: time.Now(),
		sum: ReplaySummary{Queue: o.Queue, DryRun: o.DryRun}, exists: map[string]bool{}, reported: map[[6]byte]bool{},
		keys: map[string]struct{}{},
	}
	if o.To == o.Queue {
		return run.sum, fmt.Errorf("letters of %s can't be replayed to %s itself", o.Queue, o.To)
	}
	run.move = run.publish
	if o.Rate > 0 {
		run.limiter = rate.NewLimiter(rate.Limit(o.Rate), 1)
	}
	err := r.withQueue(ctx, o.Queue, func(s *lockedQueue) (err error) {
		if run.publisher, err = r.publisher(ctx); err != nil {
			return err
		}
		defer run.publisher.Close()
		run.conn = s.conn
		if o.Canary != nil && !o.DryRun {
			return run.replayAfterCanary(ctx, s)
		}
		return run.runPass(ctx, s, everything)
	})
	run.sum.Keys = len(run.keys)
	if err = run.follow(ctx, err); run.sum.Followed != nil {
		r.o.Log.Info().Str("event", "replay_followed").Str("queue", o.Queue).Str("replay_id", run.id).Int("done", run.sum.Done).
			Int("dead_again", run.sum.DeadAgain).Int("waiting", run.sum.Waiting).Msg("looked what became of replayed letters")
	}
	r.o.Log.Info().Str("event", "dead_letters_replayed").Str("queue", o.Queue).Str("replay_id", run.id).Bool("dry_run", o.DryRun).Int("replayed", run.sum.Replayed).
		Int("skipped", run.sum.Skipped).Int("failed", run.sum.Failed).Err(err).Msg("dead letters replayed")
	return run.sum, err
}

// newReplayID names one run. By it a letter that comes back dead is told from one that was there before.
func newReplayID() string { return rand.Text()[:16] }

func (r *Reader) publisher(ctx context.Context) (*rabbitmq.Publisher, error) {
	conn, err := rabbitmq.Dial(ctx, r.o.Broker, "mageline "+r.o.Host+" replay")
	if err != nil {
		return nil, err
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		rabbitmq.Close(conn)
		return nil, err
	}
	return publisher, nil
}

// window is how many letters are in flight at once: published and not confirmed, or written and not on the disk.
const window = rabbitmq.MaxUnconfirmed

// run is one run of Replay, of Discard, or of Restore.
type run struct {
	r          *Reader
	o          ReplayOptions
	id         string
	began      time.Time
	conn       *amqp.Connection // of the reading
	publisher  *rabbitmq.Publisher
	limiter    *rate.Limiter // nil: no rate
	mayPublish bool
	sum        ReplaySummary
	exists     map[string]bool // target queues, as a dry run has found them
	// move begins to store a letter elsewhere: it publishes the letter or, for a discard, writes it to the file. wait
	// returns when that is done; it is nil if there is nothing to wait for. stays is why this letter can't be moved. err
	// ends the run.
	move     func(context.Context, letter) (wait pending, stays, err error)
	reported map[[6]byte]bool    // letters whose failure Progress has been called with
	keys     map[string]struct{} // business keys of what was replayed
	sent     []*replayedLetter   // what was replayed, for Follow
	left     int                 // letters of the set that stayed in the queue
	// canary is called before the first letter is published; nil afterwards.
	canary func(to string, l letter) error
}

type pending func() (stays, err error)

// pass is one reading of the set.
type pass struct {
	*run
	h       *reading
	limit   int
	stopped bool // maxReading has passed: nothing more is published
	ended   bool // the set turned out to be smaller
	sum     ReplaySummary
	// fates has the state of each message; all letters with one id share it.
	fates map[[6]byte]*fate
	// underWay are the letters that are being moved, oldest first.
	underWay []underWay
}

type fate struct {
	state letterState
	tags  []uint64 // delivery tags that are not acknowledged
}

type letterState int

const (
	skipped letterState = iota
	failed
	left // matched, and was beyond the limit
	moving
	replayed
)

type underWay struct {
	letter replayedLetter
	fate   *fate
	wait   pending
}

// runPass goes runPass the letters, the first set of them at most. What it has counted is the run's.
func (r *run) runPass(ctx context.Context, s *lockedQueue, set int) error {
	p := r.pass(r.o.Limit)
	err := s.readSet(ctx, set, func(h *reading) error {
		err := p.all(ctx, h)
		r.left = h.held + h.remaining()
		return err
	})
	r.sum.Replayed += p.sum.Replayed
	r.sum.Skipped, r.sum.Failed = p.sum.Skipped, p.sum.Failed
	return err
}

func (r *run) pass(limit int) *pass {
	return &pass{run: r, limit: limit, fates: map[[6]byte]*fate{}}
}

func (p *pass) all(ctx context.Context, h *reading) error {
	p.h = h
	// The set is read to its end, also when the limit is reached: a second letter of a replayed message may come late in it,
	// and must leave too.
	for h.remaining() > 0 && !p.stopped && !p.ended {
		most := h.remaining()
		if p.limiter != nil && p.publishing() {
			most = 1
			if err := p.awaitTurn(ctx); err != nil {
				return err
			}
			if p.stopped {
				break
			}
		}
		got, err := h.take(ctx, most)
		for i := range got {
			if err != nil || p.stopped || p.ended {
				break
			}
			err = p.handle(ctx, p.r.letter(&got[i], p.o.Queue))
		}
		// Also after an error: a letter that was published and is not acknowledged would be published again.
		if err = errors.Join(err, p.settle(0)); err != nil {
			return err
		}
	}
	if !p.stopped {
		return nil
	}
	e := &StoppedError{Queue: p.o.Queue, After: time.Since(p.began).Round(time.Second), Until: p.began}
	if p.o.Limit > 0 {
		e.Limit = p.o.Limit - p.sum.Replayed
	}
	if e.Until.After(p.o.Filter.Until) && !p.o.Filter.Until.IsZero() {
		e.Until = p.o.Filter.Until
	}
	return e
}

// publishing reports whether more may be published.
func (p *pass) publishing() bool {
	return !p.stopped && (p.limit == 0 || p.sum.Replayed < p.limit) && !p.o.DryRun
}

// awaitTurn waits until the rate allows another publish. A turn that is not used, because the letter does not match, is kept.
func (p *pass) awaitTurn(ctx context.Context) error {
	if p.mayPublish {
		return nil
	}
	wait := ctx
	if until := p.h.until(); !until.IsZero() {
		var cancel context.CancelFunc
		wait, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	switch err := p.limiter.Wait(wait); {
	case err == nil:
		p.mayPublish = true
	case ctx.Err() != nil:
		return ctx.Err()
	default: // its turn would come after maxReading
		p.stopped = true
	}
	return nil
}

// handle moves a letter if it matches, and counts its message.
func (p *pass) handle(ctx context.Context, l letter) error {
	if l.ours && rabbitmq.Text(l.d.Headers, rabbitmq.HeaderReplayID) == p.id {
		p.ended = true // published by this run and dead again, as is all behind it
		p.h.endSet()
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.h.lock.check(ctx); err != nil {
		return err
	}
	if p.h.expired() {
		p.stopped = true
		return nil
	}
	id, err := l.number()
	if err != nil {
		return err
	}
	before := p.fates[id]
	if before == nil {
		before = &fate{}
		p.fates[id] = before
		p.sum.Skipped++
	}
	if before.state == replayed {
		return p.ack(l.d.DeliveryTag)
	}
	before.tags = append(before.tags, l.d.DeliveryTag)
	if before.state != skipped || !p.o.Filter.matches(l.Letter) {
		return nil
	}
	if p.limit > 0 && p.sum.Replayed+len(p.underWay) >= p.limit {
		if err := p.settle(0); err != nil { // one of them may stay, which leaves room for this one
			return err
		}
	}
	p.sum.Skipped--
	if p.limit > 0 && p.sum.Replayed >= p.limit {
		before.state = left
		return nil
	}
	if err := p.settle(window - 1); err != nil {
		return err
	}
	before.state = moving
	wait, stays, err := p.move(ctx, l)
	switch {
	case err != nil:
		return err
	case wait == nil:
		return p.record(replayedLetter{id: id, key: l.Key}, before, stays)
	}
	p.r.o.step("begun")
	to, _ := p.target(l)
	p.underWay = append(p.underWay, underWay{replayedLetter{id: id, key: l.Key, to: to}, before, wait})
	return nil
}

// number returns the id in the form of a key of fates.
func (l letter) number() (id [6]byte, err error) {
	if _, err := hex.Decode(id[:], []byte(l.ID)); err != nil {
		return id, fmt.Errorf("the id %q of a letter: %w", l.ID, err)
	}
	return id, nil
}

// settle waits until at most so many letters are in flight, and acknowledges those that were moved. A failure of one does not
// keep it from the others.
func (p *pass) settle(most int) (err error) {
	for len(p.underWay) > most {
		u := p.underWay[0]
		p.underWay = p.underWay[1:]
		stays, one := u.wait()
		if one == nil {
			one = p.record(u.letter, u.fate, stays)
		}
		if err == nil && one != nil { // nothing more is published: the outcome of all in flight must be known
			err, most = one, 0
		}
	}
	return err
}

// record records whether a message was moved.
func (p *pass) record(l replayedLetter, f *fate, stays error) error {
	told := false
	if stays != nil {
		f.state = failed
		p.sum.Failed++
		told = p.reported[l.id]
		p.reported[l.id] = true
	} else {
		f.state = replayed
		p.sum.Replayed++
		if l.key != "" {
			p.keys[l.key] = struct{}{}
		}
		if p.o.Follow != nil {
			p.sent = append(p.sent, &l)
		}
	}
	if p.o.Progress != nil && !told {
		sum := p.run.sum
		sum.Replayed += p.sum.Replayed
		sum.Skipped, sum.Failed = p.sum.Skipped, p.sum.Failed
		p.o.Progress(ReplayStep{ID: hex.EncodeToString(l.id[:]), Err: stays, Summary: sum, Set: p.h.set})
	}
	if stays != nil {
		return nil
	}
	p.r.o.step("through")
	for _, tag := range f.tags {
		if err := p.ack(tag); err != nil {
			return err
		}
	}
	f.tags = nil
	p.r.o.step("left")
	return nil
}

func (p *pass) ack(tag uint64) error {
	if p.o.DryRun {
		return nil
	}
	return p.h.ack(tag)
}

// publish begins to publish a letter to its target queue.
func (r *run) publish(ctx context.Context, l letter) (wait pending, stays, err error) {
	to, stays := r.target(l)
	if stays != nil {
		return nil, stays, nil
	}
	if r.o.DryRun {
		stays, err = r.wouldStay(to)
		return nil, stays, err
	}
	if r.canary != nil {
		if err := r.canary(to, l); err != nil {
			return nil, nil, err
		}
	}
	r.mayPublish = false
	// After an interrupt the publish has some more time, so that its outcome is known.
	publishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(publishGrace, cancel) })
	stored, err := r.publisher.Start(publishing, "", to, rabbitmq.Republishing(l.d, r.headers(l), r.publisher.FrameSize()))
	if err != nil {
		stop()
		cancel()
		return nil, nil, err
	}
	return func() (stays, err error) {
		defer cancel()
		defer stop()
		err = stored(publishing)
		// A missing permission concerns the run, not this letter.
		if errors.Is(err, rabbitmq.ErrReturned) || errors.Is(err, rabbitmq.ErrRefused) && !rabbitmq.IsRefused(err) {
			return err, nil
		}
		return nil, rabbitmq.Explain(err)
	}, nil, nil
}

// wouldStay returns, for a dry run, why a letter to that queue would stay.
func (r *run) wouldStay(to string) (stays, err error) {
	ok, known := r.exists[to]
	if !known {
		if _, ok, err = rabbitmq.Depth(r.conn, to); err != nil {
			return nil, err
		}
		r.exists[to] = ok
	}
	if !ok {
		return fmt.Errorf("the queue %s does not exist", to), nil
	}
	return nil, nil
}

const publishGrace = 5 * time.Second

// NoTargetError means that a letter stays because it does not say to which queue it goes: ReplayOptions.To can.
type NoTargetError struct{ Why string }

func (e *NoTargetError) Error() string { return e.Why }

// target returns the queue that a letter is published to, or why it stays.
func (r *run) target(l letter) (string, error) {
	switch {
	case r.o.To != "":
		return r.o.To, nil
	case l.Queue == "":
		return "", &NoTargetError{"it does not say where it was consumed: it has neither x-mageline-queue nor an x-death of a queue"}
	case !strings.HasPrefix(l.Queue, r.r.o.Prefix+"."):
		return "", &NoTargetError{fmt.Sprintf("it was consumed from %s, which is not one of %s.*", l.Queue, r.r.o.Prefix)}
	case l.Queue == r.o.Queue:
		return "", &NoTargetError{fmt.Sprintf("it says that it was consumed from %s itself", l.Queue)}
	}
	return l.Queue, nil
}

// ofFailure are the headers about the failure, which a replay removes. HeaderFirstFailedAt stays.
var ofFailure = []string{
	rabbitmq.HeaderQueue, rabbitmq.HeaderKey, rabbitmq.HeaderReason, rabbitmq.HeaderErrorClass, rabbitmq.HeaderError,
	rabbitmq.HeaderAttempts, rabbitmq.HeaderFailedAt, rabbitmq.HeaderUnauthorized, rabbitmq.HeaderUnauthorizedAt,
	rabbitmq.HeaderUnauthorizedFor, rabbitmq.HeaderHost, rabbitmq.HeaderVersion,
}

// headers returns the headers that a replay sets. It removes those that are nil.
func (r *run) headers(l letter) amqp.Table {
	set := amqp.Table{}
	count := int64(0)
	if l.ours {
		count = rabbitmq.Int(l.d.Headers, rabbitmq.HeaderReplayCount)
		for _, name := range ofFailure {
			set[name] = nil
		}
	} else {
		for name := range l.d.Headers {
			if isOurs(name) {
				set[name] = nil
			}
		}
	}
	if l.topicOf != "" {
		set[rabbitmq.HeaderTopic] = l.topicOf
	}
	set[rabbitmq.HeaderReplayedAt] = time.Now().UTC().Format(time.RFC3339)
	set[rabbitmq.HeaderReplayCount] = max(0, min(count, math.MaxInt32)) + 1
	set[rabbitmq.HeaderReplayID] = r.id
	return set
}
